(** * NeuronBounds: bounds of sorted neurons, of negations and of absolute values *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Ranges CheckerSound LayersSound AffineSound ErrorBound IntervalSemantics
  IntervalChecker MonotoneSound FunctionBounds.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** ** The nominal neuron against the exact one *)

Definition nominal_error : R := bpow radix2 (-23) + bpow radix2 (-38).

Lemma nominal_error_value : nominal_error = / 8388608 + / 274877906944.
Proof.
  change (bpow radix2 (- (23)) + bpow radix2 (- (38)) = / 8388608 + / 274877906944).
  rewrite !bpow_inverse by lia. reflexivity.
Qed.

Lemma weighted_near n k w rho (c z : vec) D : 0 <= rho -> (1 <= k <= n)%nat ->
  (forall j, (j < k)%nat -> nominal_coefficient (coefficient rho k j) (c j)) ->
  (forall i, (i < n)%nat -> Rabs (z i - w i) <= D) ->
  (1 - nominal_error) * neuron n w rho k z - INR k * (2 * t * D) <= weighted_neuron n k w c z <=
  neuron n w rho k z.
Proof.
  intros Hr Hk Hc HD. unfold weighted_neuron, neuron.
  assert (S : forall j, (j < k)%nat ->
            0 <= order_stat n (fun i => Rabs (z i - w i)) (j + 1) <= D).
  { intros j Hj. apply order_stat_bounds; [lia|]. intros i Hi.
    split; [apply Rabs_pos|apply HD, Hi]. }
  pose proof (tiny_pos single) as T. split.
  - rewrite <- sum_scale, <- sum_const, <- sum_minus. apply sum_le. intros j Hj.
    destruct (Hc j Hj) as [C _]. rewrite coefficient_underflow_value in C. specialize (S j Hj).
    set (v := order_stat n (fun i => Rabs (z i - w i)) (j + 1)) in *.
    set (q := coefficient rho k j) in *. unfold nominal_error.
    assert (A : (q - bpow radix2 (-23) * q - bpow radix2 (-38) * q - 2 * t) * v <= c j * v)
      by (apply Rmult_le_compat_r; lra).
    assert (2 * t * v <= 2 * t * D) by (apply Rmult_le_compat_l; lra). lra.
  - apply sum_le. intros j Hj. apply Rmult_le_compat_r; [apply S, Hj|apply Hc, Hj].
Qed.

(** A point moved between two bounds. *)
Definition clamped (l h X : vec) : vec := fun i => Rmax (l i) (Rmin (X i) (h i)).

Lemma clamped_between l h X i : l i <= h i -> l i <= clamped l h X i <= h i.
Proof.
  intros H. unfold clamped. split; [apply Rmax_l|].
  apply Rmax_lub; [exact H|apply Rmin_r].
Qed.

Lemma clamped_near l h X g i : 0 <= g -> l i <= h i -> l i - g <= X i <= h i + g ->
  Rabs (clamped l h X i - X i) <= g.
Proof.
  intros G H B. unfold clamped, Rmax, Rmin.
  destruct (Rle_dec (X i) (h i)); destruct (Rle_dec (l i) _); apply Rabs_le; lra.
Qed.

Section Unit.

Variables (inputs : list (Z * Z)) (W : matrix) (rho : Z) (k : nat) (lst : list (Z * Z)) (o : nat).
Hypothesis N : neurons inputs W rho k = Some lst.
Hypothesis Ho : (o < rows W)%nat.

Local Notation n := (cols W).
Local Notation v z := (neuron n (entry W o) (value rho) k z).
Local Notation lo_in i := (grid (fst (nth i inputs (0, 0)%Z))).
Local Notation hi_in i := (grid (snd (nth i inputs (0, 0)%Z))).

Variables (x X l h : vec) (e g s m Y lo hi : R).
Hypothesis Wx : within inputs x.
Hypothesis He : forall i, (i < n)%nat -> Rabs (X i - x i) <= e.
Hypothesis Hg : forall i, (i < n)%nat -> l i - g <= X i <= h i + g.
Hypothesis Hs : forall i, (i < n)%nat -> lo_in i - s <= l i /\ h i <= hi_in i + s.
Hypothesis e0 : 0 <= e.
Hypothesis g0 : 0 <= g <= IZR (2 ^ 30).
Hypothesis s0 : 0 <= s <= IZR (2 ^ 30).
Hypothesis Hm : forall z, within inputs z -> Rabs (v z) <= m.
Hypothesis me : m + e <= IZR (2 ^ 30).
Hypothesis HY : sorts n (entry W o) (value rho) k X Y.
Hypothesis HB : neuron_bounds_of n (entry W o) (value rho) k l h lo hi.

Lemma neuron_bounds_close :
  (lo - (g + grid (neuron_room k) * (m + e) + / IZR (2 ^ 47)) <= Y <=
   hi + (g + grid (neuron_room k) * (m + e) + / IZR (2 ^ 47))) /\
  grid (fst (nth o lst (0, 0)%Z)) - (s + grid (loose_room k) * (m + s) + / IZR (2 ^ 47)) <= lo /\
  hi <= grid (snd (nth o lst (0, 0)%Z)) + (s + grid (loose_room k) * (m + s) + / IZR (2 ^ 47)).
Proof.
  destruct (neurons_some _ _ _ _ _ N) as (R0 & R1 & Hk & Kl & L1 & L2 & Hr).
  pose proof (rho_range rho R0 R1) as R. pose proof tiny_small as Ht. pose proof unit_single as Hu.
  assert (Kr : 1 <= INR k <= 1048576).
  { split; [apply (le_INR 1); lia|]. rewrite INR_IZR_INZ. apply IZR_le, Kl. }
  assert (v0 : forall z, 0 <= v z).
  { intros z. unfold neuron. apply sum_nonneg. intros j Hj. apply Rmult_le_pos;
      [apply coefficient_nonneg; [apply R|lia]|].
    apply order_stat_nonneg; [lia|]. intros. apply Rabs_pos. }
  assert (vx : v x <= m) by (eapply Rle_trans; [apply Rle_abs|apply Hm, Wx]).
  assert (moves : forall p q d, 0 <= d -> (forall i, (i < n)%nat -> Rabs (p i - q i) <= d) ->
            v p - d <= v q <= v p + d).
  { intros p q d Hd H. pose proof (neuron_moves n (entry W o) (value rho) k p q d (proj1 R) Hk Hd H)
      as M. apply Rabs_le_inv in M. lra. }
  assert (vX : v X <= m + e).
  { pose proof (moves x X e e0) as M. assert (M' := M ltac:(intros i Hi; rewrite Rabs_minus_sym;
      apply He, Hi)). lra. }
  pose proof (v0 x) as vx0. pose proof (v0 X) as vX0.
  set (D := IZR (2 ^ 52)).
  assert (dist : forall z b, v z <= b -> forall i, (i < n)%nat ->
            Rabs (z i - entry W o i) <= 1048576 * b).
  { intros z b Hz i Hi. eapply Rle_trans;
        [apply (neuron_distance n (entry W o) (value rho) k z i R Hk Hi)|].
    apply Rmult_le_compat; try lra. apply v0. }
  (* with the library or with the function of the file *)
  set (sl := 15 / 16 * / IZR (2 ^ 48)).
  assert (Ord : forall i, (i < n)%nat -> lo_in i <= hi_in i).
  { intros i Hi. pose proof (Wx i ltac:(lia)) as [A B]. lra. }
  assert (HB' : exists c xl xh, (forall i, (i < n)%nat -> l i <= h i) /\
    (forall j, (j < k)%nat -> nominal_coefficient (coefficient (value rho) k j) (c j)) /\
    (forall z, (forall i, (i < n)%nat -> l i <= z i <= h i) ->
      lo - sl <= weighted_neuron n k (entry W o) c z <= hi + sl) /\
    (forall i, (i < n)%nat -> l i <= xl i <= h i) /\
    (forall i, (i < n)%nat -> l i <= xh i <= h i) /\
    (1 - looseness k) * weighted_neuron n k (entry W o) c xl - sl <= lo /\
    hi <= (1 + looseness k) * weighted_neuron n k (entry W o) c xh + sl).
  { assert (bu : 0 <= bound_underflow <= / IZR (2 ^ 60)).
    { unfold bound_underflow. change (bpow radix2 (-90)) with (bpow radix2 (- (90))).
      rewrite bpow_inverse by lia. lra. }
    destruct HB as [c xl xh lo' hi' Hlh Hc Henc Hxl Hxh Hlo Hhi|lo' hi' Hlh Hf].
    - exists c, xl, xh. split; [exact Hlh|]. split; [exact Hc|]. split.
      { intros z Hz. pose proof (Henc z Hz). unfold sl. lra. }
      unfold sl. repeat split; try apply Hxl; try apply Hxh; try assumption; lra.
    - assert (HD : forall i, (i < n)%nat ->
      Rabs (l i - entry W o i) <= IZR (2 ^ 50) + IZR (2 ^ 40) /\
                Rabs (h i - entry W o i) <= IZR (2 ^ 50) + IZR (2 ^ 40)).
      { intros i Hi. specialize (Hlh i Hi). specialize (Hs i Hi).
        assert (Wl : within inputs (fun i => lo_in i))
          by (intros j Hj; split; [apply Rle_refl|apply Ord; lia]).
        assert (Wh : within inputs (fun i => hi_in i))
          by (intros j Hj; split; [apply Ord; lia|apply Rle_refl]).
        pose proof (dist _ m (Rle_trans _ _ _ (Rle_abs _) (Hm _ Wl)) i Hi) as A1.
        pose proof (dist _ m (Rle_trans _ _ _ (Rle_abs _) (Hm _ Wh)) i Hi) as A2.
        cbv beta in A1, A2. apply Rabs_le_inv in A1, A2. split; apply Rabs_le; lra. }
      destruct (function_encloses n k (entry W o) l h (value rho) lo' hi' (IZR (2 ^ 50) +
        IZR (2 ^ 40))
        Hk Kl (proj1 R) Hlh HD ltac:(lra) Hf) as (G1 & G2 & G3).
      exists (coefficient (value rho) k), (nearest_point (entry W o) l h), (farthest_point (entry
        W o) l h).
      assert (Lq : 4 * (INR (k + 8) * u) <= looseness k).
      { unfold looseness. change (bpow radix2 (-22)) with (bpow radix2 (- (22))).
        rewrite bpow_inverse by lia. change (IZR (2 ^ 22)) with 4194304. rewrite Hu, !plus_INR.
        replace (INR 8) with 8 by (simpl; lra). replace (INR 16) with 16 by (simpl; lra). lra. }
      split; [exact Hlh|]. split.
      { intros j Hj. unfold nominal_coefficient. pose proof (coefficient_nonneg (value rho) k j
          (proj1 R) ltac:(lia)). rewrite coefficient_underflow_value.
        pose proof (bpow_gt_0 radix2 (-23)). pose proof (bpow_gt_0 radix2 (-38)).
        assert (0 <= bpow radix2 (-23) * coefficient (value rho) k j) by (apply Rmult_le_pos; lra).
        assert (0 <= bpow radix2 (-38) * coefficient (value rho) k j) by (apply Rmult_le_pos; lra).
        lra. }
      split; [exact G1|].
      split; [intros i Hi; apply (near_point n (entry W o) l h Hlh i Hi)|].
      split; [intros i Hi; apply (far_point n (entry W o) l h Hlh i Hi)|].
      change (weighted_neuron n k (entry W o) (coefficient (value rho) k)) with
        (neuron n (entry W o) (value rho) k).
      pose proof (v0 (nearest_point (entry W o) l h)) as V1.
      pose proof (v0 (farthest_point (entry W o) l h)) as V2.
      assert (4 * (INR (k + 8) * u) * v (nearest_point (entry W o) l h) <=
              looseness k * v (nearest_point (entry W o) l h))
                by (apply Rmult_le_compat_r; assumption).
      assert (4 * (INR (k + 8) * u) * v (farthest_point (entry W o) l h) <=
              looseness k * v (farthest_point (entry W o) l h))
                by (apply Rmult_le_compat_r; assumption).
      unfold sl. split; lra. }
  clear HB. destruct HB' as (c & xl & xh & Hlh & Hc & Henc & Hxl & Hxh & Hlo & Hhi).
  assert (tD : INR k * (2 * t * D) <= / IZR (2 ^ 50)).
  { apply Rle_trans with (1048576 * (2 * / IZR (2 ^ 126) * D)); [|unfold D; lra].
    apply Rmult_le_compat; try lra; [apply Rmult_le_pos; unfold D; lra|].
    apply Rmult_le_compat_r; [unfold D; lra|lra]. }
  pose proof nominal_error_value as Hn.
  assert (near : forall z, v z <= IZR (2 ^ 32) ->
            v z - nominal_error * v z - / IZR (2 ^ 50) <= weighted_neuron n k (entry W o) c z <= v
              z).
  { intros z Hz. pose proof (weighted_near n k (entry W o) (value rho) c z D (proj1 R) Hk Hc
      ltac:(intros i Hi; eapply Rle_trans; [apply (dist z _ Hz i Hi)|unfold D; lra])). lra. }
  (* the computed neuron *)
  destruct (neuron_error n k (entry W o) X X (value rho) 0 (IZR (2 ^ 50)) Y Hk (proj1 R))
    as [E1 E2].
  { intros i _. rewrite Rminus_eq_0, Rabs_R0. lra. }
  { lra. }
  { intros i Hi. rewrite Rplus_0_r.
    eapply Rle_trans; [apply (dist X (IZR (2 ^ 30)) ltac:(lra) i Hi)|lra]. }
  { lra. }
  { rewrite Hu. lra. }
  { exact HY. }
  apply Rabs_le_inv in E1. rewrite Rplus_0_r in E1, E2.
  assert (uf : neuron_underflow k (IZR (2 ^ 50)) <= / IZR (2 ^ 49)).
  { unfold neuron_underflow.
    apply Rle_trans with (100 * 1048576 * / IZR (2 ^ 126) * (1 + IZR (2 ^ 50))); [|lra].
    apply Rmult_le_compat; [|lra| |lra].
    - repeat apply Rmult_le_pos; lra.
    - apply Rmult_le_compat; lra. }
  pose proof (neuron_room_ge k Kl) as G. pose proof (growth_pos single (k + 1)) as gp.
  pose proof coefficient_error_value as Hce. pose proof coefficient_above_value as Hca.
  assert (G0 : 0 <= neuron_growth k - 1).
  { unfold neuron_growth.
    apply Rle_trans with (1 * (1 + coefficient_error) - 1); [rewrite Hce; lra|].
    apply Rplus_le_compat_r, Rmult_le_compat_r; [rewrite Hce; lra|exact gp]. }
  assert (GX : (neuron_growth k - 1) * v X <= grid (neuron_room k) * (m + e))
    by (apply Rmult_le_compat; lra).
  assert (GA : neuron_growth_above k - 1 + nominal_error <= neuron_growth k - 1).
  { unfold neuron_growth, neuron_growth_above.
    assert (1 * (coefficient_error - coefficient_above) <=
            growth single (k + 1) * (coefficient_error - coefficient_above))
      by (apply Rmult_le_compat_r; [rewrite Hce, Hca; lra|exact gp]).
    rewrite Hn. rewrite Hce, Hca in *. lra. }
  assert (GAX : (neuron_growth_above k - 1) * v X + nominal_error * v X <=
                (neuron_growth k - 1) * v X).
  { replace ((neuron_growth_above k - 1) * v X + nominal_error * v X)
      with ((neuron_growth_above k - 1 + nominal_error) * v X) by ring.
    apply Rmult_le_compat_r; assumption. }
  (* the point between the bounds *)
  set (p := clamped l h X).
  assert (Hp : forall i, (i < n)%nat -> l i <= p i <= h i)
    by (intros i Hi; apply clamped_between, Hlh, Hi).
  assert (Hpx : forall i, (i < n)%nat -> Rabs (p i - X i) <= g)
    by (intros i Hi; apply clamped_near; [apply g0|apply Hlh, Hi|apply Hg, Hi]).
  pose proof (moves X p g (proj1 g0) ltac:(intros i Hi; rewrite Rabs_minus_sym; apply Hpx, Hi)) as
    vp.
  pose proof (Henc p Hp) as En. pose proof (near p ltac:(lra)) as Np. pose proof (v0 p) as vp0.
  split.
  - split; [unfold sl in *; lra|].
    assert (nominal_error * v p <= nominal_error * v X + g) by (rewrite Hn; lra). 
    assert (hi + sl >= v X - g - nominal_error * v X - / IZR (2 ^ 50)).
    { assert ((1 - nominal_error) * (v X - g) <= (1 - nominal_error) * v p)
        by (apply Rmult_le_compat_l; [rewrite Hn|]; lra).
      assert (0 <= nominal_error * g) by (apply Rmult_le_pos; [rewrite Hn|]; lra). lra. }
    unfold sl in *. lra.
  - (* against the intervals *)
    assert (inside : forall z, (forall i, (i < n)%nat -> l i <= z i <= h i) ->
      exists q, within inputs q /\ v q - s <= v z <= v q + s).
    { intros z Hz. exists (clamped (fun i => lo_in i) (fun i => hi_in i) z). split.
      - intros i Hi. apply (clamped_between (fun i => lo_in i) (fun i => hi_in i)), Ord. lia.
      - apply moves; [apply s0|]. intros i Hi.
        apply (clamped_near (fun i => lo_in i) (fun i => hi_in i)); [apply s0|apply Ord, Hi|].
        specialize (Hz i Hi). specialize (Hs i Hi). lra. }
    assert (K16 : looseness k + nominal_error <= grid (loose_room k) /\ 0 <= looseness k).
    { unfold loose_room, looseness. rewrite grid_mul.
      assert (Hl : grid loose_unit = / 4194304) by (unfold grid, loose_unit, unit_grid; lra).
      change (bpow radix2 (-22)) with (bpow radix2 (- (22))). rewrite bpow_inverse by lia.
      change (IZR (2 ^ 22)) with 4194304.
      rewrite Hl, Hn, INR_IZR_INZ, plus_IZR, Nat2Z.inj_add, plus_IZR. simpl (IZR (Z.of_nat 16)).
      pose proof (IZR_le 0 (Z.of_nat k) ltac:(lia)). lra. }
    destruct K16 as [K16 K0].
    unfold sl in *.
    assert (loose : forall z, v z <= m + s -> 0 <= v z ->
              looseness k * v z + nominal_error * v z <= grid (loose_room k) * (m + s)).
    { intros z Hz Hz0. replace (looseness k * v z + nominal_error * v z)
        with ((looseness k + nominal_error) * v z) by ring.
      apply Rmult_le_compat; try lra. }
    split.
    + destruct (inside xl Hxl) as [q [Wq Vq]]. pose proof (Hm q Wq) as Mq.
      pose proof (Rle_abs (v q)) as Aq. pose proof (v0 xl) as V0.
      pose proof (near xl ltac:(lra)) as Nx. pose proof (Hr q o Wq Ho) as [Q1 Q2].
      pose proof (loose xl ltac:(lra) V0) as Lx.
      assert (looseness k * weighted_neuron n k (entry W o) c xl <= looseness k * v xl)
        by (apply Rmult_le_compat_l; lra).
      lra.
    + destruct (inside xh Hxh) as [q [Wq Vq]]. pose proof (Hm q Wq) as Mq.
      pose proof (Rle_abs (v q)) as Aq. pose proof (v0 xh) as V0.
      pose proof (near xh ltac:(lra)) as Nx. pose proof (Hr q o Wq Ho) as [Q1 Q2].
      pose proof (loose xh ltac:(lra) V0) as Lx.
      assert (looseness k * weighted_neuron n k (entry W o) c xh <= looseness k * v xh)
        by (apply Rmult_le_compat_l; lra).
      assert (0 <= nominal_error * v xh) by (apply Rmult_le_pos; [rewrite Hn|]; lra).
      lra.
Qed.

End Unit.
