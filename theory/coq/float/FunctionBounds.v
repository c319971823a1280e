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

Lemma max_near a b c d e : Rabs (a - c) <= e -> Rabs (b - d) <= e ->
  Rabs (Rmax a b - Rmax c d) <= e.
Proof.
  intros H1 H2. apply Rabs_le_inv in H1, H2. apply Rabs_le.
  pose proof (Rmax_l a b). pose proof (Rmax_r a b). pose proof (Rmax_l c d).
  pose proof (Rmax_r c d).
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
  assert (t * (Rabs a + Rabs b) <= / IZR (2 ^ 126) * (IZR (2 ^ 60) + 1))
    by (apply Rmult_le_compat; lra).
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
  assert (E : INR (k + 8) = IZR (Z.of_nat k) + 8)
    by (rewrite INR_IZR_INZ, <- plus_IZR; f_equal; lia).
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
  assert (qA : 0 <= q * A <= 63 / 1000 * A)
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
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
  assert (E' : Rabs (part - 2 * (q * s)) <= 1 / 100 * (q * s) + / IZR (2 ^ 55))
    by (rewrite Hu in E; lra).
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
  pose proof tiny_small as Ht. pose proof function_tiny_value as Hf.
  pose proof (unit_pos single) as Up.
  assert (b1 : Rabs (s - part) <= 13 / 10 * Rabs s + / IZR (2 ^ 55)).
  { unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
  pose proof (difference_error s part less ltac:(lra) D1) as E1.
  assert (uq : forall z, 0 <= z -> u * z <= q / 8 * z)
    by (intros z Z; apply Rmult_le_compat_r; assumption).
  pose proof (Rabs_pos s) as sp.
  assert (u1 : u * Rabs (s - part) <= q / 8 * (13 / 10 * Rabs s + / IZR (2 ^ 55))).
  { eapply Rle_trans; [apply Rmult_le_compat_l; [lra|exact b1]|]. apply uq. lra. }
  assert (qs : q * Rabs s <= q * s + q * (4 * f))
    by (rewrite <- Rmult_plus_distr_l; apply Rmult_le_compat_l; lra).
  assert (qf : 0 <= q * f <= 63 / 1000 * f)
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  assert (L1 : Rabs (less - (s - part)) <= 17 / 100 * (q * s) + f / 20 + / IZR (2 ^ 54)) by lra.
  assert (b2 : Rabs (less - function_tiny) <= 14 / 10 * Rabs s + / IZR (2 ^ 53)).
  { replace (less - function_tiny) with ((less - (s - part)) + (s - part) +
      - function_tiny) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, (Rabs_pos_eq function_tiny) by lra.
    apply Rle_trans with (Rabs (less - (s - part)) + Rabs (s - part) + function_tiny).
    - apply Rplus_le_compat_r, Rabs_triang.
    - pose proof (difference_error s part less ltac:(lra) D1) as E1'.
      assert (u * Rabs (s - part) <= 1 / 100 * Rabs (s - part))
        by (apply Rmult_le_compat_r; [apply Rabs_pos|rewrite unit_single; lra]). lra. }
  pose proof (difference_error less function_tiny out ltac:(lra) D2) as E2.
  assert (u2 : u * Rabs (less - function_tiny) <= q / 8 * (14 / 10 * Rabs s + / IZR (2 ^ 53))).
  { eapply Rle_trans; [apply Rmult_le_compat_l; [lra|exact b2]|]. apply uq. lra. }
  assert (L2 : Rabs (out - (less - function_tiny)) <= 18 / 100 * (q * s) + f / 20 +
    / IZR (2 ^ 54)) by lra.
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
  pose proof tiny_small as Ht. pose proof function_tiny_value as Hf.
  pose proof (unit_pos single) as Up.
  assert (b1 : Rabs (s + part) <= 13 / 10 * Rabs s + / IZR (2 ^ 55)).
  { eapply Rle_trans; [apply Rabs_triang|]. lra. }
  pose proof (addition_error s part sum ltac:(lra) D1) as E1.
  assert (uq : forall z, 0 <= z -> u * z <= q / 8 * z)
    by (intros z Z; apply Rmult_le_compat_r; assumption).
  pose proof (Rabs_pos s) as sp.
  assert (u1 : u * Rabs (s + part) <= q / 8 * (13 / 10 * Rabs s + / IZR (2 ^ 55))).
  { eapply Rle_trans; [apply Rmult_le_compat_l; [lra|exact b1]|]. apply uq. lra. }
  assert (qs : q * Rabs s <= q * s + q * (4 * f))
    by (rewrite <- Rmult_plus_distr_l; apply Rmult_le_compat_l; lra).
  assert (qf : 0 <= q * f <= 63 / 1000 * f)
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
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
  assert (L2 : Rabs (hi - (sum + function_tiny)) <= 18 / 100 * (q * s) + f / 20 +
    / IZR (2 ^ 54)) by lra.
  apply Rabs_le_inv in L1, L2, Ep. pose proof (Rabs_le_inv _ _ Hs) as S.
  assert (qS1 : q * s <= q * (A + 11 / 10 * (q * A) + f)) by (apply Rmult_le_compat_l; lra).
  assert (qS2 : q * (A - 11 / 10 * (q * A) - f) <= q * s) by (apply Rmult_le_compat_l; lra).
  assert (qqA : 0 <= q * (q * A) <= 63 / 1000 * (q * A))
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  split; lra.
Qed.

End Outward.

(** ** The function *)

Lemma growth_of_sum k : (Z.of_nat k <= 1048576)%Z ->
  0 <= neuron_growth k - 1 <= 11 / 10 * (INR (k + 8) * u).
Proof.
  intros Hk. pose proof unit_single as Hu. pose proof coefficient_error_value as Hr.
  pose proof (growth_bound single (k + 1)) as G. pose proof (growth_pos single (k + 1)) as P.
  rewrite plus_INR in G. simpl (INR 1) in G. unfold neuron_growth.
  rewrite plus_INR. replace (INR 8) with 8 by (simpl; lra).
  assert (K : 0 <= INR k <= 1048576).
  { split; [apply pos_INR|]. rewrite INR_IZR_INZ. apply IZR_le, Hk. }
  rewrite Hu in *. specialize (G ltac:(lra)).
  set (y := (INR k + 1) * / 16777216) in *.
  assert (Y : / 16777216 <= y <= 63 / 1000) by (unfold y; lra).
  assert (y * y <= 63 / 1000 * y) by (apply Rmult_le_compat_r; lra). simpl pow in G.
  set (g := growth single (k + 1)) in *.
  assert (R : 0 <= coefficient_error <= 41 / 10 * / 16777216) by (rewrite Hr; lra).
  assert (G1 : g <= 1 + 1063 / 1000 * y) by lra.
  assert (gr : g * coefficient_error <= (11 / 10) * (41 / 10 * / 16777216))
    by (apply Rmult_le_compat; lra).
  assert (gr0 : 0 <= g * coefficient_error) by (apply Rmult_le_pos; lra).
  replace ((INR k + 8) * / 16777216) with (y + 7 * / 16777216) by (unfold y; ring).
  lra.
Qed.

Section Function.

Variables (n k : nat) (w l h : vec) (rho lo hi D : R).
Hypothesis Hk : (1 <= k <= n)%nat.
Hypothesis Kl : (Z.of_nat k <= 1048576)%Z.
Hypothesis Hr : 0 <= rho.
Hypothesis Hlh : forall i, (i < n)%nat -> l i <= h i.
Hypothesis HD : forall i, (i < n)%nat -> Rabs (l i - w i) <= D /\ Rabs (h i - w i) <= D.
Hypothesis D0 : 0 <= D <= IZR (2 ^ 50) + IZR (2 ^ 40).
Hypothesis HF : function_bounds n w rho k l h lo hi.

(** The points of the box nearest to the weights, and farthest from them. *)
Definition nearest_point : vec := fun i => Rmax (l i) (Rmin (w i) (h i)).
Definition farthest_point : vec := fun i => if Rle_dec (h i - w i) (w i - l i) then l i else h i.

Definition near_distance : vec := fun i => Rmax (Rmax (l i - w i) (w i - h i)) 0.
Definition far_distance : vec := fun i => - Rmin (l i - w i) (w i - h i).

Lemma near_point i : (i < n)%nat ->
  l i <= nearest_point i <= h i /\ Rabs (nearest_point i - w i) = near_distance i.
Proof.
  intros Hi. specialize (Hlh i Hi). unfold nearest_point, near_distance, Rmax, Rmin.
  destruct (Rle_dec (w i) (h i)); destruct (Rle_dec (l i) _); destruct (Rle_dec (l i - w i) _);
    destruct (Rle_dec _ 0); split; try lra;
    (rewrite Rabs_pos_eq by lra; lra) || (rewrite Rabs_left1 by lra; lra).
Qed.

Lemma far_point i : (i < n)%nat ->
  l i <= farthest_point i <= h i /\ Rabs (farthest_point i - w i) = far_distance i.
Proof.
  intros Hi. specialize (Hlh i Hi). unfold farthest_point, far_distance, Rmin.
  destruct (Rle_dec (h i - w i) (w i - l i)); destruct (Rle_dec (l i - w i) _); split; try lra;
    (rewrite Rabs_pos_eq by lra; lra) || (rewrite Rabs_left1 by lra; lra).
Qed.

Lemma distance_between x i : (i < n)%nat -> l i <= x i <= h i ->
  near_distance i <= Rabs (x i - w i) <= far_distance i.
Proof.
  intros Hi Hx. unfold near_distance, far_distance.
  pose proof (Rle_abs (x i - w i)) as A1. pose proof (Rle_abs (- (x i - w i))) as A2.
  rewrite Rabs_Ropp in A2. split.
  - repeat apply Rmax_lub; try lra.
  - pose proof (Rmin_l (l i - w i) (w i - h i)). pose proof (Rmin_r (l i - w i) (w i - h i)).
    apply Rabs_le. lra.
Qed.

Lemma far_le_D i : (i < n)%nat -> 0 <= near_distance i <= far_distance i /\ far_distance i <= D.
Proof.
  intros Hi. destruct (HD i Hi) as [H1 H2]. apply Rabs_le_inv in H1, H2.
  pose proof (distance_between l i Hi ltac:(specialize (Hlh i Hi); lra)) as B.
  split; [split; [apply Rmax_r|lra]|].
  unfold far_distance, Rmin. destruct (Rle_dec _ _); lra.
Qed.

Theorem function_encloses :
  let slack := 15 / 16 * / IZR (2 ^ 48) in let q := INR (k + 8) * u in
  (forall x, (forall i, (i < n)%nat -> l i <= x i <= h i) ->
    lo - slack <= neuron n w rho k x <= hi + slack) /\
  (1 - 4 * q) * neuron n w rho k nearest_point - slack <= lo /\
  hi <= (1 + 4 * q) * neuron n w rho k farthest_point + slack.
Proof.
  intros slack q. pose proof tiny_small as Ht. pose proof unit_single as Hu.
  destruct HF as [under over nearest farthest c d low part less out out' high more sm hi' Hu' Ho'
    Hn Hf Hc Hd Dl Dh P1 P2 P3 O1 P4 P5 P6]. clear HF.
  assert (Kr : 1 <= INR k <= 1048576).
  { split; [apply (le_INR 1); lia|]. rewrite INR_IZR_INZ. apply IZR_le, Kl. }
  (* computed distances *)
  assert (du : forall i, (i < n)%nat ->
    Rabs (under i - (l i - w i)) <= u * Rabs (l i - w i) + 5 * t /\
    Rabs (over i - (w i - h i)) <= u * Rabs (w i - h i) + 5 * t /\
    (l i - w i <= 0 -> under i <= 6 * t) /\ (w i - h i <= 0 -> over i <= 6 * t)).
  { intros i Hi. destruct (HD i Hi) as [A1 A2]. rewrite Rabs_minus_sym in A2.
    split; [apply difference_error; [lra|apply Hu', Hi]|].
    split; [apply difference_error; [lra|apply Ho', Hi]|].
    split; intros N; [apply (difference_not_positive (l i) (w i)); [lra|exact N|apply Hu', Hi]|
      apply (difference_not_positive (w i) (h i)); [lra|exact N|apply Ho', Hi]]. }
  assert (near : forall i, (i < n)%nat ->
    Rabs (Rmax (Rmax (under i) (over i)) 0 - near_distance i) <= u * near_distance i + 6 * t).
  { intros i Hi. destruct (du i Hi) as (E1 & E2 & N1 & N2).
    pose proof (far_le_D i Hi) as [[Nn _] _].
    assert (L1 : l i - w i <= near_distance i)
      by (eapply Rle_trans; [apply Rmax_l|apply (Rmax_l (Rmax (l i - w i) (w i - h i)) 0)]).
    assert (L2 : w i - h i <= near_distance i)
      by (eapply Rle_trans; [apply Rmax_r|apply (Rmax_l (Rmax (l i - w i) (w i - h i)) 0)]).
    apply Rabs_le_inv in E1, E2. rewrite Hu in *. apply Rabs_le. split.
    - (* from below: the largest of the three is attained *)
      pose proof (Rmax_l (Rmax (under i) (over i)) 0).
      pose proof (Rmax_r (Rmax (under i) (over i)) 0).
      pose proof (Rmax_l (under i) (over i)). pose proof (Rmax_r (under i) (over i)).
      unfold near_distance in *. destruct (Rle_dec (Rmax (l i - w i) (w i - h i)) 0) as [Z|Z].
      + rewrite (Rmax_right _ 0) by exact Z. lra.
      + rewrite (Rmax_left _ 0) in * by lra.
        destruct (Rle_dec (l i - w i) (w i - h i)) as [Y|Y].
        * rewrite (Rmax_right (l i - w i)) in * by exact Y. rewrite Rabs_pos_eq in E2 by lra. lra.
        * rewrite (Rmax_left (l i - w i)) in * by lra. rewrite Rabs_pos_eq in E1 by lra. lra.
    - enough (Rmax (Rmax (under i) (over i)) 0 <=
        near_distance i + / 16777216 * near_distance i + 6 * t) by lra.
      repeat apply Rmax_lub; [| |lra].
      + destruct (Rle_dec (l i - w i) 0) as [Z|Z]; [specialize (N1 Z); lra|].
        rewrite Rabs_pos_eq in E1 by lra. lra.
      + destruct (Rle_dec (w i - h i) 0) as [Z|Z]; [specialize (N2 Z); lra|].
        rewrite Rabs_pos_eq in E2 by lra. lra. }
  assert (far : forall i, (i < n)%nat ->
    Rabs (- Rmin (under i) (over i) - far_distance i) <= u * far_distance i + 6 * t).
  { intros i Hi. destruct (du i Hi) as (E1 & E2 & _ & _).
    pose proof (Hlh i Hi) as LH.
    assert (F1 : Rabs (l i - w i) <= far_distance i).
    { unfold far_distance. pose proof (Rmin_l (l i - w i) (w i - h i)).
      pose proof (Rmin_r (l i - w i) (w i - h i)). apply Rabs_le. lra. }
    assert (F2 : Rabs (w i - h i) <= far_distance i).
    { unfold far_distance. pose proof (Rmin_l (l i - w i) (w i - h i)).
      pose proof (Rmin_r (l i - w i) (w i - h i)). apply Rabs_le. lra. }
    assert (u * Rabs (l i - w i) <= u * far_distance i)
      by (apply Rmult_le_compat_l; [rewrite Hu; lra|exact F1]).
    assert (u * Rabs (w i - h i) <= u * far_distance i)
      by (apply Rmult_le_compat_l; [rewrite Hu; lra|exact F2]).
    set (e := u * far_distance i + 6 * t) in *. unfold far_distance.
    assert (mm : forall a b, - Rmin a b = Rmax (- a) (- b)).
    { intros a b. unfold Rmin, Rmax. destruct (Rle_dec a b), (Rle_dec (- a) (- b)); lra. }
    rewrite !mm. apply Rabs_le_inv in E1, E2.
    apply max_near; apply Rabs_le; unfold e; lra. }
  set (sn := fun j => order_stat n near_distance (j + 1)).
  set (sf := fun j => order_stat n far_distance (j + 1)).
  assert (snb : forall j, (j < k)%nat -> 0 <= sn j <= D).
  { intros j Hj. apply order_stat_bounds; [lia|]. intros i Hi. pose proof (far_le_D i Hi). lra. }
  assert (sfb : forall j, (j < k)%nat -> 0 <= sf j <= D).
  { intros j Hj. apply order_stat_bounds; [lia|]. intros i Hi. pose proof (far_le_D i Hi). lra. }
  assert (Tn : forall j, (j < k)%nat ->
    Rabs (nearest j - sn j) <= u * sn j + ((1 + u) * 0 + 7 * t)).
  { intros j Hj.
    pose proof (order_stat_relative n (j +
      1) u (6 * t) near_distance _ ltac:(lia) ltac:(lra) near) as R.
    apply (selected_near _ (nearest j)) in R; [|apply Hn, Hj]. fold (sn j) in R. lra. }
  assert (Tf : forall j, (j < k)%nat ->
    Rabs (farthest j - sf j) <= u * sf j + ((1 + u) * 0 + 7 * t)).
  { intros j Hj.
    pose proof (order_stat_relative n (j +
      1) u (6 * t) far_distance _ ltac:(lia) ltac:(lra) far) as R.
    apply (selected_near _ (farthest j)) in R; [|apply Hf, Hj]. fold (sf j) in R. lra. }
  assert (sum_of : forall (s T C : vec) y, (forall j, (j < k)%nat -> 0 <= s j <= D) ->
    (forall j, (j < k)%nat -> Rabs (T j - s j) <= u * s j + ((1 + u) * 0 + 7 * t)) ->
    (forall j, (j < k)%nat -> host_coefficient (coefficient rho k j) (C j)) ->
    dot single (map (fun j => (C j, T j)) (seq 0 k)) y ->
    let A := Definitions.sum k (fun j => coefficient rho k j * s j) in
    0 <= A <= D /\ Rabs (y - A) <= 11 / 10 * (q * A) + / IZR (2 ^ 49)).
  { intros s T C y Hs HT HC Hdot A.
    assert (cs := coefficient_sum rho k Hr ltac:(lia)).
    assert (A0 : 0 <= A <= D).
    { split.
      - apply sum_nonneg. intros j Hj.
        apply Rmult_le_pos; [apply coefficient_nonneg; [exact Hr|lia]|apply Hs, Hj].
      - replace D with (Definitions.sum k (fun j => coefficient rho k j * D))
          by (rewrite sum_scale_r, cs; ring).
        apply sum_le. intros j Hj. apply Rmult_le_compat_l; [apply coefficient_nonneg;
            [exact Hr|lia]|apply Hs, Hj]. }
    split; [exact A0|].
    destruct (weighted_sum_error k s T C rho 0 D y ltac:(lia) Hr (Rle_refl 0)) as [E _];
      try assumption.
    - intros j Hj. apply Hs, Hj.
    - intros j Hj. pose proof (Hs j Hj). lra.
    - intros j Hj. pose proof (Rabs_le_inv _ _ (HT j Hj)). pose proof (Hs j Hj). rewrite Hu in *.
      lra.
    - lra.
    - rewrite Hu. lra.
    - fold A in E. rewrite !Rplus_0_r, Rplus_0_l in E.
      pose proof (growth_of_sum k Kl) as G. fold q in G.
      assert ((neuron_growth k - 1) * A <= 11 / 10 * q * A) by (apply Rmult_le_compat_r; lra).
      assert (neuron_underflow k D <= / IZR (2 ^ 49)).
      { unfold neuron_underflow.
        apply Rle_trans with (100 * 1048576 * / IZR (2 ^ 126) * (1 + (IZR (2 ^ 50) +
          IZR (2 ^ 40)))); [|lra].
        apply Rmult_le_compat; [|lra| |lra].
        - repeat apply Rmult_le_pos; lra.
        - apply Rmult_le_compat; lra. }
      lra. }
  destruct (sum_of sn nearest c low snb Tn Hc Dl) as [An En].
  destruct (sum_of sf farthest d high sfb Tf Hd Dh) as [Af Ef]. clear sum_of.
  set (N := Definitions.sum k (fun j => coefficient rho k j * sn j)) in *.
  set (F := Definitions.sum k (fun j => coefficient rho k j * sf j)) in *.
  destruct (outward_low k N low (/ IZR (2 ^ 49)) Kl ltac:(lra) ltac:(lra) En part less out P1 P2
    P3) as [L1 L2].
  destruct (outward_high k F high (/ IZR (2 ^ 49)) Kl ltac:(lra) ltac:(lra) Ef more sm hi' P4 P5
    P6) as [H1 H2].
  fold q in L2, H2. apply operand_error, Rabs_le_inv in O1.
  assert (cn : forall j, (j < k)%nat -> 0 <= coefficient rho k j)
    by (intros; apply coefficient_nonneg; [exact Hr|lia]).
  assert (En' : neuron n w rho k nearest_point = N).
  { unfold neuron, N, sn. apply sum_ext. intros j Hj. f_equal. apply Rle_antisym;
      apply order_stat_monotone; try lia; intros i Hi; rewrite (proj2 (near_point i Hi)); lra. }
  assert (Ef' : neuron n w rho k farthest_point = F).
  { unfold neuron, F, sf. apply sum_ext. intros j Hj. f_equal. apply Rle_antisym;
      apply order_stat_monotone; try lia; intros i Hi; rewrite (proj2 (far_point i Hi)); lra. }
  rewrite En', Ef'. unfold slack. split; [|split].
  - intros x Hx.
    assert (B1 : N <= neuron n w rho k x).
    { apply sum_le. intros j Hj. apply Rmult_le_compat_l; [apply cn, Hj|].
      apply order_stat_monotone; [lia|]. intros i Hi. apply distance_between; auto. }
    assert (B2 : neuron n w rho k x <= F).
    { apply sum_le. intros j Hj. apply Rmult_le_compat_l; [apply cn, Hj|].
      apply order_stat_monotone; [lia|]. intros i Hi. apply distance_between; auto. }
    split; [|lra]. enough (Rmax out' 0 <= N + 15 / 16 * / IZR (2 ^ 48)) by lra.
    apply Rmax_lub; lra.
  - pose proof (Rmax_l out' 0). lra.
  - lra.
Qed.

End Function.
