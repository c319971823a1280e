(** * FunctionBounds: the SortNeuronBounds function of the file encloses the neuron *)

From Coq Require Import Reals ZArith Lra Lia Psatz List.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  IntervalSemantics.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

Lemma max_near2 a b c d e : Rabs (a - c) <= e -> Rabs (b - d) <= e ->
  Rabs (Rmax a b - Rmax c d) <= e.
Proof.
  intros H1 H2. apply Rabs_le_inv in H1, H2. apply Rabs_le.
  pose proof (Rmax_l a b). pose proof (Rmax_r a b). pose proof (Rmax_l c d). pose proof (Rmax_r c d).
  assert (Rmax a b <= Rmax c d + e) by (apply Rmax_lub; lra).
  assert (Rmax c d <= Rmax a b + e) by (apply Rmax_lub; lra). lra.
Qed.

Lemma product_error a b y : Rabs a <= IZR (2 ^ 60) -> Rabs b <= 1 -> product a b y ->
  Rabs (y - a * b) <= u * Rabs (a * b) + / IZR (2 ^ 60).
Proof.
  intros A B [a' b' y' Oa Ob R]. pose proof tiny_small as Ht.
  destruct (product_operands single a b a' b' Oa Ob) as [P1 P2].
  pose proof (Rabs_pos a). pose proof (Rabs_pos b).
  assert (AB : Rabs (a * b) <= IZR (2 ^ 60) * 1) by (rewrite Rabs_mult; apply Rmult_le_compat; lra).
  pose proof (rounds_error single (a' * b') y' valid_single ltac:(rewrite safe_single; lra) R) as E.
  assert (u * Rabs (a' * b') <= u * Rabs (a * b))
    by (apply Rmult_le_compat_l; [apply Rlt_le, unit_pos|exact P2]).
  assert (t * (Rabs a + Rabs b) <= / IZR (2 ^ 126) * (IZR (2 ^ 60) + 1)) by (apply Rmult_le_compat; lra).
  replace (y' - a * b) with ((y' - a' * b') + (a' * b' - a * b)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

(** A computed difference is not far above 0 where the exact one is not above 0. *)
Lemma difference_not_positive a b y : Rabs (a - b) <= IZR (2 ^ 100) -> a - b <= 0 ->
  difference a b y -> y <= 6 * t.
Proof.
  intros H N [a' b' y' A B R]. pose proof tiny_small as Ht. pose proof unit_single as Hu.
  pose proof (Rabs_le_inv _ _ (operands_difference a b a' b' A B)) as D.
  pose proof (Rabs_le_inv _ _ H) as H'.
  assert (S : Rabs (a' - b') <= safe single) by (rewrite safe_single; apply Rabs_le; lra).
  destruct (Rle_dec y' 0) as [|P]; [lra|].
  assert (Q : 0 < a' - b') by (apply (rounds_positive single _ y' valid_single S R); lra).
  pose proof (rounds_error single _ y' valid_single S R) as E.
  rewrite (Rabs_pos_eq (a' - b')) in E by lra. apply Rabs_le_inv in E. rewrite Hu in E. lra.
Qed.

(** ** Moving a sum outward *)

Section Outward.

Variables (k : nat) (A s f : R).
Hypothesis Hk : (Z.of_nat k <= 1048576)%Z.
Hypothesis A0 : 0 <= A <= IZR (2 ^ 52).
Hypothesis f0 : 0 <= f <= / IZR (2 ^ 49).
Let q := INR (k + 8) * u.
Hypothesis Hs : Rabs (s - A) <= 11 / 10 * (q * A) + f.

Lemma outward_facts : 0 <= q <= 63 / 1000 /\ u <= q / 8 /\ outward k = 2 * q.
Proof.
  unfold q, outward. pose proof unit_single as Hu.
  assert (E : INR (k + 8) = IZR (Z.of_nat k) + 8) by (rewrite INR_IZR_INZ, <- plus_IZR; f_equal; lia).
  assert (P : 0 <= IZR (Z.of_nat k) <= 1048576) by (split; apply IZR_le; lia).
  rewrite E, Hu. split; [lra|]. split; [lra|].
  change (bpow radix2 (-23)) with (bpow radix2 (- (23))). rewrite bpow_inverse by lia.
  change (IZR (2 ^ 23)) with 8388608. lra.
Qed.

(** The part that is added or taken off, and the rounding of the sum with it. *)
Lemma outward_part part : product s (outward k) part ->
  - 2 * f <= s /\ Rabs s <= s + 4 * f /\ Rabs s <= IZR (2 ^ 54) /\ 0 <= q * A /\
  Rabs (part - 2 * (q * s)) <= 1 / 100 * (q * s) + / IZR (2 ^ 55) /\
  Rabs part <= 3 / 10 * Rabs s + / IZR (2 ^ 55) /\ 0 <= q * (s + 2 * f).
Proof.
  intros P. destruct outward_facts as (Q & U & O). rewrite O in P.
  pose proof unit_single as Hu. pose proof (Rabs_le_inv _ _ Hs) as S.
  assert (qA : 0 <= q * A <= 63 / 1000 * A) by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  assert (s0 : - 2 * f <= s) by lra.
  assert (sa : Rabs s <= s + 4 * f) by (apply Rabs_le; lra).
  assert (sm : Rabs s <= IZR (2 ^ 54)) by (apply Rabs_le; lra).
  pose proof (product_error s (2 * q) part ltac:(lra) ltac:(rewrite Rabs_pos_eq; lra) P) as E.
  pose proof (Rabs_pos s) as sp.
  assert (qs : Rabs (s * (2 * q)) = 2 * (q * Rabs s)).
  { rewrite Rabs_mult, (Rabs_pos_eq (2 * q)) by lra. ring. }
  rewrite qs in E.
  assert (q1 : 0 <= q * Rabs s <= 63 / 1000 * Rabs s)
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  assert (q2 : q * Rabs s <= q * s + q * (4 * f)).
  { rewrite <- Rmult_plus_distr_l. apply Rmult_le_compat_l; lra. }
  assert (q3 : 0 <= q * (s + 2 * f)) by (apply Rmult_le_pos; lra).
  assert (q4 : 0 <= q * (4 * f) <= 63 / 1000 * (4 * f))
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  replace (s * (2 * q)) with (2 * (q * s)) in E by ring.
  assert (E' : Rabs (part - 2 * (q * s)) <= 1 / 100 * (q * s) + / IZR (2 ^ 55)) by (rewrite Hu in E; lra).
  repeat split; try assumption; try lra.
  replace part with ((part - 2 * (q * s)) + 2 * (q * s)) by ring.
  eapply Rle_trans; [apply Rabs_triang|].
  assert (Rabs (2 * (q * s)) <= 2 * (q * Rabs s)) by (rewrite <- qs; right; f_equal; ring).
  assert (q * s <= q * Rabs s) by (apply Rmult_le_compat_l; [lra|apply Rle_abs]). lra.
Qed.

Lemma function_tiny_value : 0 <= function_tiny <= / IZR (2 ^ 60).
Proof.
  unfold function_tiny. change (bpow radix2 (-100)) with (bpow radix2 (- (100))).
  rewrite bpow_inverse by lia. lra.
Qed.

Lemma outward_low part less out : product s (outward k) part -> difference s part less ->
  difference less function_tiny out ->
  out <= A + 3 / 2 * f + / IZR (2 ^ 51) /\ (1 - 4 * q) * A - 3 / 2 * f - / IZR (2 ^ 51) <= out.
Proof.
  intros P D1 D2. destruct outward_facts as (Q & U & _).
  destruct (outward_part part P) as (s0 & sa & sm & qA & Ep & pm & q3).
  pose proof tiny_small as Ht. pose proof function_tiny_value as Hf. pose proof (unit_pos single) as Up.
  assert (b1 : Rabs (s - part) <= 13 / 10 * Rabs s + / IZR (2 ^ 55)).
  { unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
  pose proof (difference_error s part less ltac:(lra) D1) as E1.
  assert (uq : forall z, 0 <= z -> u * z <= q / 8 * z) by (intros z Z; apply Rmult_le_compat_r; assumption).
  pose proof (Rabs_pos s) as sp.
  assert (u1 : u * Rabs (s - part) <= q / 8 * (13 / 10 * Rabs s + / IZR (2 ^ 55))).
  { eapply Rle_trans; [apply Rmult_le_compat_l; [lra|exact b1]|]. apply uq. lra. }
  assert (qs : q * Rabs s <= q * s + q * (4 * f))
    by (rewrite <- Rmult_plus_distr_l; apply Rmult_le_compat_l; lra).
  assert (qf : 0 <= q * f <= 63 / 1000 * f) by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  assert (L1 : Rabs (less - (s - part)) <= 17 / 100 * (q * s) + f / 20 + / IZR (2 ^ 54)) by lra.
  assert (b2 : Rabs (less - function_tiny) <= 14 / 10 * Rabs s + / IZR (2 ^ 53)).
  { replace (less - function_tiny) with ((less - (s - part)) + (s - part) + - function_tiny) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, (Rabs_pos_eq function_tiny) by lra.
    apply Rle_trans with (Rabs (less - (s - part)) + Rabs (s - part) + function_tiny).
    - apply Rplus_le_compat_r, Rabs_triang.
    - pose proof (difference_error s part less ltac:(lra) D1) as E1'.
      assert (u * Rabs (s - part) <= 1 / 100 * Rabs (s - part))
        by (apply Rmult_le_compat_r; [apply Rabs_pos|rewrite unit_single; lra]). lra. }
  pose proof (difference_error less function_tiny out ltac:(lra) D2) as E2.
  assert (u2 : u * Rabs (less - function_tiny) <= q / 8 * (14 / 10 * Rabs s + / IZR (2 ^ 53))).
  { eapply Rle_trans; [apply Rmult_le_compat_l; [lra|exact b2]|]. apply uq. lra. }
  assert (L2 : Rabs (out - (less - function_tiny)) <= 18 / 100 * (q * s) + f / 20 + / IZR (2 ^ 54)) by lra.
  apply Rabs_le_inv in L1, L2, Ep. pose proof (Rabs_le_inv _ _ Hs) as S.
  assert (qS1 : q * s <= q * (A + 11 / 10 * (q * A) + f)) by (apply Rmult_le_compat_l; lra).
  assert (qS2 : q * (A - 11 / 10 * (q * A) - f) <= q * s) by (apply Rmult_le_compat_l; lra).
  assert (qqA : 0 <= q * (q * A) <= 63 / 1000 * (q * A))
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  split; lra.
Qed.

Lemma outward_high part sum hi : product s (outward k) part -> addition s part sum ->
  addition sum function_tiny hi ->
  A - 3 / 2 * f - / IZR (2 ^ 51) <= hi /\ hi <= (1 + 4 * q) * A + 3 / 2 * f + / IZR (2 ^ 51).
Proof.
  intros P D1 D2. destruct outward_facts as (Q & U & _).
  destruct (outward_part part P) as (s0 & sa & sm & qA & Ep & pm & q3).
  pose proof tiny_small as Ht. pose proof function_tiny_value as Hf. pose proof (unit_pos single) as Up.
  assert (b1 : Rabs (s + part) <= 13 / 10 * Rabs s + / IZR (2 ^ 55)).
  { eapply Rle_trans; [apply Rabs_triang|]. lra. }
  pose proof (addition_error s part sum ltac:(lra) D1) as E1.
  assert (uq : forall z, 0 <= z -> u * z <= q / 8 * z) by (intros z Z; apply Rmult_le_compat_r; assumption).
  pose proof (Rabs_pos s) as sp.
  assert (u1 : u * Rabs (s + part) <= q / 8 * (13 / 10 * Rabs s + / IZR (2 ^ 55))).
  { eapply Rle_trans; [apply Rmult_le_compat_l; [lra|exact b1]|]. apply uq. lra. }
  assert (qs : q * Rabs s <= q * s + q * (4 * f))
    by (rewrite <- Rmult_plus_distr_l; apply Rmult_le_compat_l; lra).
  assert (qf : 0 <= q * f <= 63 / 1000 * f) by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  assert (L1 : Rabs (sum - (s + part)) <= 17 / 100 * (q * s) + f / 20 + / IZR (2 ^ 54)) by lra.
  assert (b2 : Rabs (sum + function_tiny) <= 14 / 10 * Rabs s + / IZR (2 ^ 53)).
  { replace (sum + function_tiny) with ((sum - (s + part)) + (s + part) + function_tiny) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite (Rabs_pos_eq function_tiny) by lra.
    apply Rle_trans with (Rabs (sum - (s + part)) + Rabs (s + part) + function_tiny).
    - apply Rplus_le_compat_r, Rabs_triang.
    - assert (u * Rabs (s + part) <= 1 / 100 * Rabs (s + part))
        by (apply Rmult_le_compat_r; [apply Rabs_pos|rewrite unit_single; lra]). lra. }
  pose proof (addition_error sum function_tiny hi ltac:(lra) D2) as E2.
  assert (u2 : u * Rabs (sum + function_tiny) <= q / 8 * (14 / 10 * Rabs s + / IZR (2 ^ 53))).
  { eapply Rle_trans; [apply Rmult_le_compat_l; [lra|exact b2]|]. apply uq. lra. }
  assert (L2 : Rabs (hi - (sum + function_tiny)) <= 18 / 100 * (q * s) + f / 20 + / IZR (2 ^ 54)) by lra.
  apply Rabs_le_inv in L1, L2, Ep. pose proof (Rabs_le_inv _ _ Hs) as S.
  assert (qS1 : q * s <= q * (A + 11 / 10 * (q * A) + f)) by (apply Rmult_le_compat_l; lra).
  assert (qS2 : q * (A - 11 / 10 * (q * A) - f) <= q * s) by (apply Rmult_le_compat_l; lra).
  assert (qqA : 0 <= q * (q * A) <= 63 / 1000 * (q * A))
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  split; lra.
Qed.

End Outward.
