(** * From margins to radii *)

From Coq Require Import Reals Lra Lia Arith.
From SortNet Require Import Definitions Statements Sums Mass Lipschitz.
Open Scope R_scope.

(** On the ball of radius t/(2L), every difference of logits moves by at most t. *)
Lemma difference_moves d C f L x x' c j t : 0 < L -> lipschitz_logits d C f L ->
  (c < C)%nat -> (j < C)%nat -> dist d x x' < t / (2 * L) ->
  (f x c - f x j) - (f x' c - f x' j) < t.
Proof.
  intros HL H Hc Hj Hd.
  assert (D : 2 * (L * dist d x x') < t).
  { replace t with (2 * (L * (t / (2 * L)))) by (field; lra).
    apply Rmult_lt_compat_l; [lra|]. apply Rmult_lt_compat_l; assumption. }
  pose proof (abs_bounds _ _ (H x x' c Hc)). pose proof (abs_bounds _ _ (H x x' j Hj)). lra.
Qed.

Theorem margin_certificate : margin_certificate_statement.
Proof.
  intros d C f L x c margin HL Hc H Hm x' Hd j Hj Hne.
  specialize (Hm j Hj Hne). pose proof (difference_moves d C f L x x' c j _ HL H Hc Hj Hd). lra.
Qed.

Theorem margin_certificate_closed : margin_certificate_closed_statement.
Proof.
  intros d C f L x c margin HL Hc H Hm x' Hd j Hj.
  destruct (Nat.eq_dec j c) as [->|Hne]; [lra|]. specialize (Hm j Hj Hne).
  pose proof (abs_bounds _ _ (H x x' c Hc)). pose proof (abs_bounds _ _ (H x x' j Hj)).
  assert (D : 2 * (L * dist d x x') <= margin).
  { replace margin with (2 * (L * (margin / (2 * L)))) by (field; lra).
    apply Rmult_le_compat_l; [lra|]. apply Rmult_le_compat_l; [lra|exact Hd]. }
  lra.
Qed.

Theorem weights_to_radius_norm : weights_to_radius_norm_statement.
Proof.
  intros d C N L Lpos HL x c r Hc Hr x' Hd.
  apply (margin_certificate d C (eval N) L x c (2 * r));
    [exact Lpos|exact Hc|apply network_norm, HL| |].
  - intros j Hj Hne. specialize (Hr j Hj Hne). lra.
  - replace (2 * r / (2 * L)) with (r / L) by (field; lra). exact Hd.
Qed.

Theorem weights_to_radius : weights_to_radius_statement.
Proof.
  intros d C N HN x c r Hc Hr x' Hd.
  apply (weights_to_radius_norm d C N 1 Rlt_0_1 (proj2 families d C N HN) x c r Hc Hr).
  unfold Rdiv. rewrite Rinv_1, Rmult_1_r. exact Hd.
Qed.

Theorem computed_margin : computed_margin_statement.
Proof.
  intros d C f L x c margin E computed HL H Hc HE Hm x' Hd.
  apply (margin_certificate d C f L x c (margin - 2 * E)); try assumption.
  intros j Hj Hne. specialize (Hm j Hj Hne).
  pose proof (abs_bounds _ _ (HE c Hc)). pose proof (abs_bounds _ _ (HE j Hj)). lra.
Qed.

Theorem rounded_certificate : rounded_certificate_statement.
Proof.
  intros d C f L x c margin E computed HL H Hc r HE Hm x' Hd j Hj Hne.
  assert (Hx : dist d x x <= r).
  { rewrite dist_self. pose proof (dist_nonneg d x x'). lra. }
  specialize (Hm j Hj Hne).
  pose proof (difference_moves d C f L x x' c j (margin - 4 * E) HL H Hc Hj Hd) as M.
  assert (S : forall z k, (k < C)%nat -> dist d x z <= r ->
              - E <= computed z k - f z k <= E).
  { intros z k Hk Hz. apply abs_bounds, HE; assumption. }
  pose proof (S x c Hc Hx). pose proof (S x j Hj Hx).
  assert (Hx' : dist d x x' <= r) by lra.
  pose proof (S x' c Hc Hx'). pose proof (S x' j Hj Hx'). lra.
Qed.
