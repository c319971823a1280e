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

Lemma coefficient_above_value : coefficient_above = / 8388608.
Proof. apply (bpow_inverse 23). lia. Qed.

Lemma coefficient_underflow_value : coefficient_underflow = 2 * t.
Proof. unfold coefficient_underflow. change 2 with (bpow radix2 1). unfold tiny.
rewrite <- bpow_plus. reflexivity. Qed.

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

(** ** Sums written as lists *)

Lemma terms_map k (c s : nat -> R) :
  terms (map (fun j => (c j, s j)) (seq 0 k)) = sum k (fun j => c j * s j).
Proof.
  induction k as [|k IH]; [reflexivity|].
  rewrite seq_S, map_app, terms_app, IH. simpl. ring.
Qed.

Lemma size_map k (c s : nat -> R) :
  size (map (fun j => (c j, s j)) (seq 0 k)) = sum k (fun j => Rabs (c j * s j)).
Proof.
  induction k as [|k IH]; [reflexivity|].
  rewrite seq_S, map_app, size_app, IH. simpl. ring.
Qed.

(** ** Normalization *)

Definition normalize_growth : R := 1 + 3 * u + 9 * u ^ 2.

Lemma normalize_error mean std x X e y :
  / IZR (2 ^ 28) <= std <= IZR (2 ^ 40) -> 0 <= e -> Rabs (X - x) <= e ->
  (Rabs (x - mean) + e) / std <= IZR (2 ^ 30) ->
  normalizes mean std X y ->
  Rabs (y - (x - mean) / std) <=
  e / std + (normalize_growth - 1) * ((Rabs (x - mean) + e) / std) + / IZR (2 ^ 50).
Proof.
  intros Hs He0 He HM N. pose proof tiny_small as Ht. pose proof unit_single as Hu.
  assert (I : 0 < / std <= IZR (2 ^ 28)).
  { split; [apply Rinv_0_lt_compat; lra|].
    rewrite <- (Rinv_inv (IZR (2 ^ 28))). apply Rinv_le_contravar; lra. }
  assert (si : std * / std = 1) by (apply Rinv_r; lra).
  assert (kept : forall s, operand single std s -> s = std).
  { intros s [|H]; [reflexivity|]. rewrite Rabs_pos_eq in H by lra.
    change (std < t) in H. lra. }
  unfold normalize_growth, Rdiv in *. set (i := / std) in *. set (z := x - mean) in *.
  pose proof (Rabs_pos z) as Hz.
  assert (Zb : Rabs z + e <= IZR (2 ^ 70)).
  { replace (Rabs z + e) with (std * ((Rabs z + e) * i))
      by (rewrite (Rmult_comm _ i), <- Rmult_assoc, si; ring).
    apply Rle_trans with (IZR (2 ^ 40) * IZR (2 ^ 30)); [|lra].
    apply Rmult_le_compat; try lra. apply Rmult_le_pos; lra. }
  set (Y := (Rabs z + e) * i) in *.
  assert (Y0 : 0 <= Y) by (unfold Y; apply Rmult_le_pos; lra).
  assert (first : forall c c', difference X mean c -> operand single c c' ->
            Rabs (c' - z) <= u * (Rabs z + e) + e + 6 * t).
  { intros c c' D O.
    pose proof (difference_from_near x X mean c e He ltac:(fold z; lra) D) as E. fold z in E.
    pose proof (operand_near _ _ _ _ E O). lra. }
  assert (ti : 0 <= t * i <= / IZR (2 ^ 96)).
  { split; [apply Rmult_le_pos; lra|].
    apply Rle_trans with (/ IZR (2 ^ 126) * IZR (2 ^ 28)); [apply Rmult_le_compat; lra|lra]. }
  destruct N as [c y D Q|c r y D Q P].
  - destruct Q as [c' s y O S R]. apply kept in S. subst s.
    pose proof (first c c' D O) as F. unfold Rdiv in R. fold i in R.
    assert (A : Rabs (c' * i - z * i) <= u * Y + e * i + 6 * (t * i)).
    { replace (c' * i - z * i) with ((c' - z) * i) by ring.
      rewrite Rabs_mult, (Rabs_pos_eq i) by lra.
      apply Rle_trans with ((u * (Rabs z + e) + e + 6 * t) * i);
        [apply Rmult_le_compat_r; lra|unfold Y; right; ring]. }
    assert (zi : Rabs (z * i) + e * i = Y)
      by (rewrite Rabs_mult, (Rabs_pos_eq i) by lra; unfold Y; ring).
    assert (B : Rabs (c' * i) <= (1 + u) * Y + 6 * (t * i)).
    { replace (c' * i) with ((c' * i - z * i) + z * i) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. lra. }
    assert (S : Rabs (c' * i) <= safe single) by (rewrite safe_single, Hu in *; lra).
    pose proof (rounds_error single _ y valid_single S R) as E.
    assert (u * Rabs (c' * i) <= u * ((1 + u) * Y + 6 * (t * i)))
      by (apply Rmult_le_compat_l; lra).
    replace (y - z * i) with ((y - c' * i) + (c' * i - z * i)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Hu in *. lra.
  - destruct Q as [one s r O1 S R1]. apply kept in S. subst s.
    assert (one = 1).
    { destruct O1 as [|H]; [reflexivity|]. rewrite Rabs_R1 in H. change (1 < t) in H. lra. }
    subst one. unfold Rdiv in R1. rewrite Rmult_1_l in R1. fold i in R1.
    assert (Ri : Rabs (r - i) <= u * i + t).
    { rewrite <- (Rabs_pos_eq i) at 2 by lra. apply rounds_error; [apply valid_single| |exact R1].
      rewrite safe_single, Rabs_pos_eq; lra. }
    destruct P as [c' r' y O S R]. pose proof (first c c' D O) as F.
    pose proof (operand_near _ _ _ _ Ri S) as R'.
    assert (Rm : Rabs r' <= (1 + u) * i + 2 * t).
    { replace r' with ((r' - i) + i) by ring. eapply Rle_trans; [apply Rabs_triang|].
      rewrite (Rabs_pos_eq i) by lra. lra. }
    set (W := u * (Rabs z + e) + e + 6 * t) in *.
    assert (W0 : 0 <= W <= IZR (2 ^ 72)) by (unfold W; rewrite Hu; lra).
    assert (tW : 0 <= t * W <= / IZR (2 ^ 54)).
    { split; [apply Rmult_le_pos; lra|].
      apply Rle_trans with (/ IZR (2 ^ 126) * IZR (2 ^ 72)); [apply Rmult_le_compat; lra|lra]. }
    assert (tz : 0 <= t * Rabs z <= / IZR (2 ^ 54)).
    { split; [apply Rmult_le_pos; lra|].
      apply Rle_trans with (/ IZR (2 ^ 126) * IZR (2 ^ 72)); [apply Rmult_le_compat; lra|lra]. }
    assert (A : Rabs (c' * r' - z * i) <=
                (2 * u + u ^ 2) * Y + e * i + (6 * (1 + u) * (t * i) + 2 * (t * W) +
                  2 * (t * Rabs z))).
    { replace (c' * r' - z * i) with ((c' - z) * r' + z * (r' - i)) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
      apply Rle_trans with (W * ((1 + u) * i + 2 * t) + Rabs z * (u * i + 2 * t)).
      - apply Rplus_le_compat; apply Rmult_le_compat; try apply Rabs_pos; lra.
      - unfold W, Y. right. ring. }
    assert (zi : Rabs (z * i) + e * i = Y)
      by (rewrite Rabs_mult, (Rabs_pos_eq i) by lra; unfold Y; ring).
    assert (B : Rabs (c' * r') <= (1 + 2 * u + u ^ 2) * Y +
                (6 * (1 + u) * (t * i) + 2 * (t * W) + 2 * (t * Rabs z))).
    { replace (c' * r') with ((c' * r' - z * i) + z * i) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. lra. }
    assert (Sf : Rabs (c' * r') <= safe single) by (rewrite safe_single, Hu in *; lra).
    pose proof (rounds_error single _ y valid_single Sf R) as E.
    assert (u * Rabs (c' * r') <= u * ((1 + 2 * u + u ^ 2) * Y +
                (6 * (1 + u) * (t * i) + 2 * (t * W) + 2 * (t * Rabs z))))
      by (apply Rmult_le_compat_l; lra).
    replace (y - z * i) with ((y - c' * r') + (c' * r' - z * i)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Hu in *. lra.
Qed.

(** ** The other operations of one unit *)

Lemma shift_error x X c e y : 0 <= e -> Rabs (X - x) <= e -> Rabs (x - c) + e <= IZR (2 ^ 60) ->
  difference X c y -> Rabs (y - (x - c)) <= e + u * (Rabs (x - c) + e) + / IZR (2 ^ 60).
Proof.
  intros He0 He H D. pose proof tiny_small as Ht.
  pose proof (difference_from_near x X c y e He ltac:(lra) D). lra.
Qed.

Lemma bias_error x X c e y : 0 <= e -> Rabs (X - x) <= e -> Rabs (x + c) + e <= IZR (2 ^ 60) ->
  addition X c y -> Rabs (y - (x + c)) <= e + u * (Rabs (x + c) + e) + / IZR (2 ^ 60).
Proof.
  intros He0 He H D. pose proof tiny_small as Ht.
  pose proof (addition_from_near x X c y e He ltac:(lra) D). lra.
Qed.

Lemma negate_error x X e y : Rabs (X - x) <= e -> operand single X y ->
  Rabs (- y - - x) <= e + / IZR (2 ^ 60).
Proof.
  intros He O. pose proof tiny_small. pose proof (operand_near _ _ _ _ He O) as H0.
  apply Rabs_le_inv in H0. apply Rabs_le. lra.
Qed.

Lemma relu_error x X e y : Rabs (X - x) <= e -> operand single X y ->
  Rabs (Rmax y 0 - Rmax x 0) <= e + / IZR (2 ^ 60).
Proof.
  intros He O. pose proof tiny_small. pose proof (operand_near _ _ _ _ He O) as H0.
  apply Rabs_le_inv in H0. apply Rabs_le. unfold Rmax.
  destruct (Rle_dec y 0), (Rle_dec x 0); lra.
Qed.

Lemma abs_error x X e y : Rabs (X - x) <= e -> operand single X y ->
  Rabs (Rabs y - Rabs x) <= e + / IZR (2 ^ 60).
Proof.
  intros He O. pose proof tiny_small. pose proof (operand_near _ _ _ _ He O) as H0.
  eapply Rle_trans; [apply Rabs_triang_inv2|]. lra.
Qed.
