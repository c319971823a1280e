(** * LayersSound: the checker is sound for sorted neurons, group sorts and affine operations *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Selection Ranges CheckerSound.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** ** Sorted neurons *)

Lemma neuron_room_ge k : (Z.of_nat k <= 1048576)%Z -> neuron_growth k - 1 <= grid (neuron_room k).
Proof.
  intros H. unfold neuron_room. rewrite grid_minus, grid_1.
  enough (neuron_growth k <= grid (unit_grid + (Z.of_nat k + 1) * single_unit +
            (Z.of_nat k + 1) * (Z.of_nat k + 1)) * grid (unit_grid + coefficient_room)).
  { pose proof (mul_up_ge (unit_grid + (Z.of_nat k + 1) * single_unit +
      (Z.of_nat k + 1) * (Z.of_nat k + 1)) (unit_grid + coefficient_room)). lra. }
  unfold neuron_growth. rewrite (grid_plus unit_grid coefficient_room), grid_1,
    grid_coefficient_room.
  apply Rmult_le_compat_r; [rewrite coefficient_error_value; lra|].
  rewrite !grid_plus, grid_1, grid_mul, grid_single_unit.
  assert (K : INR (k + 1) = IZR (Z.of_nat k + 1)).
  { rewrite INR_IZR_INZ. f_equal. lia. }
  assert (P : 0 <= IZR (Z.of_nat k + 1) <= 1048577) by (split; apply IZR_le; lia).
  pose proof (growth_bound single (k + 1)) as G. rewrite K, unit_single in G.
  rewrite unit_single. specialize (G ltac:(lra)).
  eapply Rle_trans; [exact G|]. right. unfold grid, unit_grid. rewrite mult_IZR. lra.
Qed.

Lemma neurons_some inputs W rho k l : neurons inputs W rho k = Some l ->
  (0 <= below rho)%Z /\ (above rho <= unit_grid)%Z /\ (1 <= k <= cols W)%nat /\
  (Z.of_nat k <= 1048576)%Z /\ length inputs = cols W /\ length l = rows W /\
  forall x o, within inputs x -> (o < rows W)%nat ->
  in_range (nth o l (0, 0)%Z) (neuron (cols W) (entry W o) (value rho) k x).
Proof.
  unfold neurons. destruct (_ && (length inputs =? cols W)%nat) eqn:C; [|discriminate]. intros H.
  repeat (apply andb_prop in C; destruct C as [C ?C]).
  apply Z.leb_le in C1, C4, C5. apply Nat.leb_le in C2, C3. apply Nat.eqb_eq in C0.
  unfold longest_selection in C1.
  destruct (collect_nth _ _ _ _ H) as (L & F & _). cbn [length] in L. rewrite Nat.add_0_r in L.
  split; [exact C5|]. split; [exact C4|]. split; [lia|]. split; [lia|]. split; [exact C0|].
  split; [exact L|]. intros x o Hx Ho. specialize (F o (0, 0)%Z Ho).
  destruct (nth o l (0, 0)%Z) as [lo hi]. rewrite <- C0.
  apply (neuron_range_sound inputs rho k (row W o) lo hi x); [exact C5|exact C4|lia|exact Hx|exact F].
Qed.

Lemma neurons_close inputs W rho k l o x X e y : neurons inputs W rho k = Some l ->
  within inputs x -> (o < rows W)%nat ->
  0 <= e -> (forall i, (i < cols W)%nat -> Rabs (X i - x i) <= e) ->
  grid (magnitude l) + e <= IZR (2 ^ 30) ->
  sorts (cols W) (entry W o) (value rho) k X y ->
  Rabs (y - neuron (cols W) (entry W o) (value rho) k x) <=
  e + grid (neuron_room k) * (grid (magnitude l) + e) + / IZR (2 ^ 48).
Proof.
  intros H Hx Ho He0 He B S.
  destruct (neurons_some _ _ _ _ _ H) as (R0 & R1 & Hk & Kl & L1 & L2 & Hr).
  pose proof (rho_range rho R0 R1) as R.
  set (v := neuron (cols W) (entry W o) (value rho) k x).
  assert (V : 0 <= v <= grid (magnitude l)).
  { split.
    - apply (Rle_trans _ (neuron (cols W) (entry W o) (value rho) k x)); [|apply Rle_refl].
      unfold neuron. apply sum_nonneg. intros j Hj. apply Rmult_le_pos;
        [apply coefficient_nonneg; [apply R|lia]|].
      apply order_stat_nonneg; [lia|]. intros. apply Rabs_pos.
    - eapply Rle_trans; [apply Rle_abs|]. eapply Rle_trans; [apply reach_bound, (Hr x o Hx Ho)|].
      apply grid_le, (fold_max_ge reach l 0), nth_In. rewrite L2. exact Ho. }
  set (m := grid (magnitude l)) in *.
  assert (Kr : 1 <= INR k <= 1048576).
  { split; [apply (le_INR 1); lia|]. rewrite INR_IZR_INZ. apply IZR_le, Kl. }
  set (D := INR k * m + e).
  assert (Dl : D <= IZR (2 ^ 51)).
  { unfold D. assert (INR k * m <= 1048576 * IZR (2 ^ 30)) by (apply Rmult_le_compat; lra). lra. }
  assert (HD : forall i, (i < cols W)%nat -> Rabs (x i - entry W o i) + e <= D).
  { intros i Hi. unfold D.
    pose proof (neuron_distance (cols W) (entry W o) (value rho) k x i R Hk Hi) as N. fold v in N.
    assert (INR k * v <= INR k * m) by (apply Rmult_le_compat_l; lra). lra. }
  pose proof (neuron_error (cols W) k (entry W o) x X (value rho) e D y Hk (proj1 R) He He0 HD)
    as E. fold v in E.
  assert (E' : Rabs (y - v) <= e + (neuron_growth k - 1) * (v + e) + neuron_underflow k D).
  { apply E; [lra| |exact S]. rewrite unit_single. lra. }
  pose proof (neuron_room_ge k Kl) as G.
  assert (G0 : 0 <= neuron_growth k - 1).
  { unfold neuron_growth. pose proof (growth_pos single (k + 1)).
    assert (0 <= coefficient_error) by (rewrite coefficient_error_value; lra). nra. }
  assert ((neuron_growth k - 1) * (v + e) <= grid (neuron_room k) * (m + e))
    by (apply Rmult_le_compat; lra).
  assert (neuron_underflow k D <= / IZR (2 ^ 48)).
  { unfold neuron_underflow. pose proof tiny_small.
    assert (D0 : 0 <= D) by (unfold D; nra).
    apply Rle_trans with (100 * 1048576 * / IZR (2 ^ 126) * (1 + IZR (2 ^ 50) + IZR (2 ^ 30)));
      [|lra].
    apply Rmult_le_compat; [|lra| |].
    - repeat apply Rmult_le_pos; lra.
    - apply Rmult_le_compat; lra.
    - unfold D. assert (INR k * m <= 1048576 * IZR (2 ^ 30)) by (apply Rmult_le_compat; lra). lra. }
  lra.
Qed.

Lemma neuron_moves n w rho k x z r : 0 <= rho -> (1 <= k <= n)%nat -> 0 <= r ->
  (forall i, (i < n)%nat -> Rabs (x i - z i) <= r) ->
  Rabs (neuron n w rho k x - neuron n w rho k z) <= r.
Proof.
  intros Hr Hk R0 H. unfold neuron. rewrite <- (Rmult_1_l r).
  apply (sum_moves k (coefficient rho k) (fun j => order_stat n (fun i => Rabs (x i - w i)) (j + 1))
           (fun j => order_stat n (fun i => Rabs (z i - w i)) (j + 1))); [exact R0| |].
  - right. rewrite <- (coefficient_sum rho k Hr ltac:(lia)). apply sum_ext. intros j Hj.
    apply Rabs_pos_eq, coefficient_nonneg; [exact Hr|lia].
  - intros j Hj. apply order_stat_moves; [exact R0|]. intros i Hi.
    eapply Rle_trans; [apply Rabs_triang_inv2|].
    replace (x i - w i - (z i - w i)) with (x i - z i) by ring. apply H, Hi.
Qed.

Lemma neuron_room_nonneg k : (Z.of_nat k <= 1048576)%Z -> (0 <= neuron_room k)%Z.
Proof.
  intros H. apply grid_le_inv. rewrite grid_0. eapply Rle_trans; [|apply neuron_room_ge, H].
  unfold neuron_growth. pose proof (growth_pos single (k + 1)).
  assert (0 <= coefficient_error) by (rewrite coefficient_error_value; lra). nra.
Qed.

Lemma sort_neuron_sound W rho k s s' : ready s -> step (SortNeuron W rho k) s = Some s' ->
  sound (SortNeuron W rho k) s s'.
Proof.
  intros R H. cbn [step] in H. destruct (neurons (ranges s) W rho k) as [l|] eqn:N; [|discriminate].
  destruct (neurons_some _ _ _ _ _ N) as (R0 & R1 & Hk & Kl & L1 & L2 & Hr).
  revert H. apply sound_after; [exact R|apply neuron_room_nonneg, Kl|exact L2| | |].
  - intros x Wx i Hi. rewrite L2 in Hi. apply Hr; assumption.
  - intros x X y i Wx Hx Hi M B C. inversion C; subst. cbn [apply_op].
    apply (neurons_close (ranges s) W rho k l i x X _ y N Wx Hi); try assumption.
    + apply grid_nonneg, R.
    + intros j Hj. apply Hx. unfold units. lia.
  - intros x z r Hr0 Hx i Hi. cbn [apply_op]. apply neuron_moves; [apply (rho_range rho R0 R1)|lia|
      exact Hr0|]. intros j Hj. apply Hx. unfold units. lia.
Qed.
