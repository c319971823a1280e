(** * OperationError: what rounding adds in one operation

    x is the exact input of an operation, X what a host computed for it, within e of x.  Each
    lemma bounds how far the computed output is from the exact output. *)

From Coq Require Import Reals ZArith Lra Lia Psatz List.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics.
Import ListNotations.
Open Scope R_scope.

(** ** Constants as numbers *)

Local Notation u := (unit single).
Local Notation t := (tiny single).

Lemma bpow_inverse (n : Z) : (0 <= n)%Z -> bpow radix2 (- n) = / IZR (2 ^ n).
Proof. intros H. rewrite bpow_opp, <- IZR_Zpower by exact H. reflexivity. Qed.

Lemma unit_single : u = / 16777216.
Proof. apply (bpow_inverse 24). lia. Qed.

Lemma unit_double : unit double = / 9007199254740992.
Proof. apply (bpow_inverse 53). lia. Qed.

Lemma tiny_single : t = / IZR (2 ^ 126).
Proof. apply (bpow_inverse 126). lia. Qed.

Lemma tiny_double_le : tiny double <= t.
Proof. apply bpow_le. simpl. lia. Qed.

Lemma tiny_small : 0 < t <= / IZR (2 ^ 126).
Proof. rewrite <- tiny_single. pose proof (tiny_pos single). lra. Qed.

Lemma safe_single : safe single = IZR (2 ^ 127).
Proof. unfold safe. simpl largest. rewrite <- IZR_Zpower by lia. reflexivity. Qed.

Lemma safe_double : IZR (2 ^ 127) <= safe double.
Proof. rewrite <- safe_single. apply bpow_le. simpl. lia. Qed.

Lemma coefficient_error_value : coefficient_error = / 4194304 + / 274877906944.
Proof.
  change (bpow radix2 (- (22)) + bpow radix2 (- (38)) = / 4194304 + / 274877906944).
  rewrite !bpow_inverse by lia. reflexivity.
Qed.

Lemma tanh_error_value : tanh_error = / 524288.
Proof. apply (bpow_inverse 19). lia. Qed.

Lemma theta_value : bpow radix2 (-125) = 2 * t.
Proof. change 2 with (bpow radix2 1). unfold tiny. rewrite <- bpow_plus. reflexivity. Qed.

(** ** One rounding *)

Lemma operands_difference a b a' b' : operand single a a' -> operand single b b' ->
  Rabs ((a' - b') - (a - b)) <= 2 * t.
Proof.
  intros A B. apply operand_error in A, B. apply Rabs_le_inv in A, B. apply Rabs_le. lra.
Qed.

Lemma rounded_near x x' y d : Rabs x <= IZR (2 ^ 120) -> Rabs (x' - x) <= d -> d <= 1 ->
  rounds single x' y -> Rabs (y - x) <= u * Rabs x + 2 * d + t.
Proof.
  intros Hx Hd D R.
  assert (N : Rabs x' <= Rabs x + d).
  { replace x' with (x + (x' - x)) by ring. eapply Rle_trans; [apply Rabs_triang|lra]. }
  assert (S : Rabs x' <= safe single) by (rewrite safe_single; lra).
  pose proof (rounds_error single x' y valid_single S R) as E.
  pose proof (Rabs_pos (x' - x)) as P.
  assert (u * Rabs x' <= u * Rabs x + d) by (rewrite unit_single in *; lra).
  replace (y - x) with ((y - x') + (x' - x)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

Lemma difference_error a b y : Rabs (a - b) <= IZR (2 ^ 120) -> difference a b y ->
  Rabs (y - (a - b)) <= u * Rabs (a - b) + 5 * t.
Proof.
  intros H [a' b' y' A B R]. pose proof tiny_small.
  pose proof (rounded_near _ _ y' (2 * t) H (operands_difference _ _ _ _ A B)
    ltac:(lra) R). lra.
Qed.

Lemma addition_error a b y : Rabs (a + b) <= IZR (2 ^ 120) -> addition a b y ->
  Rabs (y - (a + b)) <= u * Rabs (a + b) + 5 * t.
Proof.
  intros H [a' b' y' A B R]. pose proof tiny_small.
  assert (N : Rabs ((a' + b') - (a + b)) <= 2 * t).
  { apply operand_error in A, B. apply Rabs_le_inv in A, B. apply Rabs_le. lra. }
  pose proof (rounded_near _ _ y' (2 * t) H N ltac:(lra) R). lra.
Qed.

(** A subtraction whose operand is already off by e. *)
Lemma difference_from_near x X b y e : Rabs (X - x) <= e -> Rabs (x - b) + e <= IZR (2 ^ 120) ->
  difference X b y -> Rabs (y - (x - b)) <= u * Rabs (x - b) + (1 + u) * e + 5 * t.
Proof.
  intros He Hb D. pose proof (unit_pos single) as U.
  assert (N : Rabs (X - b) <= Rabs (x - b) + e).
  { replace (X - b) with ((x - b) + (X - x)) by ring. eapply Rle_trans; [apply Rabs_triang|lra]. }
  pose proof (difference_error X b y ltac:(lra) D) as E.
  replace (y - (x - b)) with ((y - (X - b)) + (X - x)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. nra.
Qed.

Lemma addition_from_near x X b y e : Rabs (X - x) <= e -> Rabs (x + b) + e <= IZR (2 ^ 120) ->
  addition X b y -> Rabs (y - (x + b)) <= u * Rabs (x + b) + (1 + u) * e + 5 * t.
Proof.
  intros He Hb D. pose proof (unit_pos single) as U.
  assert (N : Rabs (X + b) <= Rabs (x + b) + e).
  { replace (X + b) with ((x + b) + (X - x)) by ring. eapply Rle_trans; [apply Rabs_triang|lra]. }
  pose proof (addition_error X b y ltac:(lra) D) as E.
  replace (y - (x + b)) with ((y - (X + b)) + (X - x)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. nra.
Qed.

Lemma operand_near x X X' e : Rabs (X - x) <= e -> operand single X X' ->
  Rabs (X' - x) <= e + t.
Proof.
  intros H O. apply operand_error in O. apply Rabs_le_inv in O, H. apply Rabs_le. lra.
Qed.

Lemma selected_near a y x e : Rabs (a - x) <= e -> selected a y -> Rabs (y - x) <= e + t.
Proof.
  intros H O. apply operand_error in O. apply Rabs_le_inv in O, H. apply Rabs_le. lra.
Qed.

(** ** Normalization *)

Definition normalize_growth : R := 1 + 3 * u + 9 * u ^ 2.

Lemma normalize_error mean std x X e y :
  / 1048576 <= std -> 0 <= e -> Rabs (X - x) <= e -> (Rabs (x - mean) + e) / std <= IZR (2 ^ 60) ->
  normalizes mean std X y ->
  Rabs (y - (x - mean) / std) <=
  e / std + (normalize_growth - 1) * ((Rabs (x - mean) + e) / std) + / IZR (2 ^ 60).
Proof.
  intros Hs He0 He HM N. pose proof tiny_small as Ht. pose proof unit_single as Hu.
  set (i := / std) in *.
  assert (I : 0 < i <= 1048576).
  { unfold i. split; [apply Rinv_0_lt_compat; lra|].
    rewrite <- (Rinv_involutive 1048576) by lra. apply Rinv_le; lra. }
  assert (si : std * i = 1) by (unfold i; apply Rinv_r; lra).
  unfold Rdiv in *. set (z := x - mean) in *. set (Y := (Rabs z + e) * i) in *.
  assert (Zb : Rabs z + e <= std * IZR (2 ^ 60)).
  { replace (Rabs z + e) with (std * Y) by (unfold Y; rewrite (Rmult_comm _ i), <- Rmult_assoc, si; ring).
    apply Rmult_le_compat_l; lra. }
  assert (Y0 : 0 <= Y) by (unfold Y; pose proof (Rabs_pos z); apply Rmult_le_pos; lra).
  (* the difference, times 1/std *)
  assert (first : forall c, Rabs (z) + e <= IZR (2 ^ 120) -> difference X mean c ->
            Rabs (c - z) <= u * (Rabs z + e) + e + 5 * t).
  { intros c Hc D. pose proof (difference_from_near x X mean c e He Hc D) as E. fold z in E. lra. }
  assert (kept : forall s, operand single std s -> s = std).
  { intros s [|H]; [reflexivity|]. rewrite Rabs_pos_eq in H by lra.
    change (std < t) in H. lra. }
  admit.
Abort.
