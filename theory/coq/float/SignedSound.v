(** * SignedSound: the checker is sound for order statistics with coefficients of any sign *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  SignedError LayerError Grid Checker Selection Ranges CheckerSound LayersSound AffineSound.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).

Lemma signed_room_ge k : (Z.of_nat k <= 1048576)%Z -> signed_growth k - 1 <= grid (signed_room k).
Proof.
  intros H. unfold signed_growth, signed_room.
  assert (K : INR (k + 1) = IZR (Z.of_nat k + 1)).
  { rewrite INR_IZR_INZ. f_equal. lia. }
  assert (P : 0 <= IZR (Z.of_nat k + 1) <= 1048577) by (split; apply IZR_le; lia).
  pose proof (growth_bound single (k + 1)) as G. rewrite K, unit_single in G.
  specialize (G ltac:(lra)). rewrite grid_plus, grid_mul, grid_single_unit, unit_single.
  assert (E : grid ((Z.of_nat k + 1) * (Z.of_nat k + 1)) =
              (IZR (Z.of_nat k + 1) * / 16777216) ^ 2).
  { unfold grid, unit_grid. rewrite mult_IZR. lra. }
  rewrite E. lra.
Qed.

Definition signed_value (W C : matrix) (o : nat) (x : vec) : R :=
  sum (cols C) (fun j =>
    entry C o j * order_stat (cols W) (fun i => Rabs (x i - entry W o i)) (j + 1)).

Lemma signed_unit_sound rs W C o r : length rs = cols W -> (1 <= cols C <= cols W)%nat ->
  signed_unit_of rs (row W o) (row C o) (cols C) = Some r ->
  sum (cols C) (fun j => Rabs (entry C o j)) <= grid (signed_weight r) /\
  forall x, within rs x ->
    in_range (signed_low r, signed_high r) (signed_value W C o x) /\
    forall i, (i < cols W)%nat -> Rabs (x i - entry W o i) <= grid (signed_far r).
Proof.
  intros L Hk H. unfold signed_unit_of in H.
  destruct (scan rs (row W o) _ _) as [[near far]|] eqn:S; [|discriminate].
  set (d := combine (rev (kept near)) (rev (kept far))) in *.
  destruct (affine_scan d (row C o) 0 0 0) as [[[low high] weight]|] eqn:A; [|discriminate].
  apply some_same in H. subst r. cbn [signed_low signed_high signed_weight signed_far].
  destruct (scan_holds (cols C) rs (row W o) _ _ near far [] [] (holds_nothing _)
    (holds_nothing _) S) as (Lr & N & F).
  rewrite app_nil_r in N, F.
  assert (Kn : length (rev (kept near)) = cols C).
  { rewrite rev_length. apply (holds_order_stat _ _ _
      (fun i => grid (nth i (map2 near_of rs (row W o)) 0%Z)) N); [|reflexivity].
    rewrite map2_length by exact Lr. lia. }
  assert (Kf : length (rev (kept far)) = cols C).
  { rewrite rev_length. apply (holds_order_stat _ _ _
      (fun i => grid (nth i (map2 far_of rs (row W o)) 0%Z)) F); [|reflexivity].
    rewrite map2_length by exact Lr. lia. }
  assert (Ld : length d = cols C) by (unfold d; rewrite combine_length; lia).
  pose proof (affine_scan_weight _ _ _ _ _ _ _ _ A) as Wt. rewrite Ld, grid_0, Rplus_0_l in Wt.
  split; [exact Wt|]. intros x Hx.
  destruct (scan_order_stats rs (cols C) (row W o) near far x ltac:(lia) Hx S) as (_ & _ & B).
  rewrite L in B. set (s := fun j => order_stat (cols W) (fun i => Rabs (x i - entry W o i)) (j + 1)).
  assert (Wd : within d s).
  { intros j Hj. rewrite Ld in Hj. unfold d. rewrite combine_nth by lia.
    unfold in_range. cbn [fst snd]. destruct (B j Hj) as ([_ Low] & High). split; assumption. }
  destruct (affine_scan_sound _ _ _ _ _ _ _ _ s A Wd) as (_ & H1 & H2).
  rewrite Ld, fine_0 in H1, H2. split.
  - unfold in_range, signed_value. cbn [fst snd]. rewrite grid_opp. fold s.
    pose proof (shiftr_fine low). pose proof (shiftr_fine (- high)) as Sh. rewrite fine_opp in Sh.
    unfold entry at 1 3. unfold s in H1, H2. lra.
  - intros i Hi. unfold d. rewrite combine_nth by lia. cbn [snd].
    eapply Rle_trans; [|apply (proj2 (B 0%nat ltac:(lia)))].
    apply (order_stat_first (cols W) (fun i => Rabs (x i - entry W o i)) i Hi).
Qed.

Lemma signed_moves k n (w c x z : vec) r : (1 <= k <= n)%nat -> 0 <= r ->
  (forall i, (i < n)%nat -> Rabs (x i - z i) <= r) ->
  Rabs (sum k (fun j => c j * order_stat n (fun i => Rabs (x i - w i)) (j + 1)) -
        sum k (fun j => c j * order_stat n (fun i => Rabs (z i - w i)) (j + 1))) <=
  sum k (fun j => Rabs (c j)) * r.
Proof.
  intros Hk R0 H. rewrite <- sum_minus. eapply Rle_trans; [apply sum_abs|].
  rewrite <- sum_scale_r. apply sum_le. intros j Hj.
  rewrite <- Rmult_minus_distr_l, Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|].
  apply order_stat_moves; [exact R0|]. intros i Hi. eapply Rle_trans; [apply Rabs_triang_inv2|].
  replace (x i - w i - (z i - w i)) with (x i - z i) by ring. apply H, Hi.
Qed.

Lemma signed_sound W C s s' : ready s -> step (Signed W C) s = Some s' -> sound (Signed W C) s s'.
Proof.
  intros [E0 [Lm Mn]] H. cbn [step] in H.
  destruct ((1 <=? cols C)%nat && _ && _ && _ && _) eqn:K; [|discriminate].
  repeat (apply andb_prop in K; destruct K as [K ?K]).
  apply Nat.leb_le in K, K3. apply Z.leb_le in K2. apply Nat.eqb_eq in K0, K1.
  unfold longest_selection in K2.
  destruct (collect _ (rows W) []) as [l|] eqn:N; [|discriminate].
  set (weight := fold_left (fun m r => Z.max m (signed_weight r)) l 0%Z) in *.
  set (far := fold_left (fun m r => Z.max m (signed_far r)) l 0%Z) in *.
  destruct ((weight <=? largest_operand)%Z && _) eqn:B; [|discriminate].
  apply andb_prop in B. destruct B as [B1 B2]. apply Z.leb_le, grid_le in B1, B2.
  rewrite grid_largest_operand in B1, B2. rewrite grid_plus in B2.
  destruct (collect_nth _ _ _ _ N) as (Ll & F & _). cbn [length] in Ll. rewrite Nat.add_0_r in Ll.
  apply checked_some in H. destruct H as [-> _].
  set (out := map (fun r => (signed_low r, signed_high r)) l).
  assert (Lo : length out = rows W) by (unfold out; rewrite map_length; exact Ll).
  assert (W0 : (0 <= weight)%Z) by (apply (fold_max_ge signed_weight l 0)).
  assert (F0 : (0 <= far)%Z) by (apply (fold_max_ge signed_far l 0)).
  pose proof (mul_up_nonneg _ _ W0 E0) as WE0.
  pose proof (mul_up_nonneg weight (far + error s) W0 ltac:(lia)) as WF0.
  assert (R0 : (0 <= signed_room (cols C))%Z) by (unfold signed_room, single_unit; nia).
  pose proof (rounded_nonneg _ _ R0 WF0) as RN.
  pose proof (lipschitz_nonneg s) as L0.
  set (none := SignedUnit 0 0 0 0).
  assert (un : forall o, (o < rows W)%nat ->
    sum (cols C) (fun j => Rabs (entry C o j)) <= grid (signed_weight (nth o l none)) /\
    grid (signed_weight (nth o l none)) <= grid weight /\
    forall x, within (ranges s) x ->
      in_range (nth o out (0, 0)%Z) (signed_value W C o x) /\
      forall i, (i < cols W)%nat -> Rabs (x i - entry W o i) <= grid far).
  { intros o Ho. specialize (F o none Ho).
    destruct (signed_unit_sound (ranges s) W C o _ K0 ltac:(lia) F) as [U1 U2].
    assert (Ir : In (nth o l none) l) by (apply nth_In; lia).
    split; [exact U1|]. split; [apply grid_le, (fold_max_ge signed_weight l 0), Ir|].
    intros x Hx. destruct (U2 x Hx) as [U3 U4]. split.
    - unfold out. rewrite (map_nth_lt _ l none) by lia. exact U3.
    - intros i Hi. eapply Rle_trans; [apply U4, Hi|].
      apply grid_le, (fold_max_ge signed_far l 0), Ir. }
  constructor; unfold units in *; cbn [ranges error moves].
  - exact Lo.
  - split; [cbn [error]; lia|]. unfold units. cbn [ranges moves]. fold out. rewrite Lo.
    split; [rewrite map_length; exact Ll|]. intros o.
    destruct (Nat.lt_ge_cases o (rows W)) as [Ho|Ho].
    + rewrite (map_nth_lt _ l none) by lia. apply mul_up_nonneg; [|exact L0].
      apply grid_le_inv. rewrite grid_0. destruct (un o Ho) as [U1 _].
      eapply Rle_trans; [|exact U1]. apply sum_nonneg. intros. apply Rabs_pos.
    + rewrite nth_overflow by (rewrite map_length; lia). lia.
  - intros x Wx o Ho. fold out in Ho |- *. rewrite Lo in Ho. apply (un o Ho), Wx.
  - intros x X y Wx Hx Hy o Ho. fold out in Ho. rewrite Lo in Ho. specialize (Hy o Ho).
    generalize dependent (y o). intros v Hv. inversion Hv; subst.
    destruct (un o Ho) as (U1 & U2 & U3). destruct (U3 x Wx) as [_ U4].
    assert (Kr : INR (cols C) <= 4096) by (rewrite INR_IZR_INZ; apply IZR_le; exact K2).
    pose proof (signed_error (cols W) (cols C) (entry W o) (entry C o) x X (grid (error s))
      (grid weight) (grid far + grid (error s)) v ltac:(lia)) as E.
    specialize (E ltac:(intros i Hi; apply Hx; lia) (grid_nonneg _ E0)
      ltac:(intros i Hi; specialize (U4 i Hi); lra) ltac:(lra) B2 B1 Kr ltac:(assumption)).
    cbn [apply_op]. rewrite grid_plus.
    pose proof (mul_up_ge weight (error s)) as M1.
    pose proof (rounded_ge (signed_room (cols C)) (mul_up weight (far + error s))) as R1.
    pose proof (mul_up_ge weight (far + error s)) as M2. rewrite grid_plus in M2.
    pose proof (signed_room_ge (cols C) ltac:(lia)) as G.
    assert (G0 : 0 <= signed_growth (cols C) - 1)
      by (unfold signed_growth; pose proof (growth_pos single (cols C + 1)); lra).
    assert (P0 : 0 <= grid weight * (grid far + grid (error s))).
    { rewrite <- grid_plus. apply Rmult_le_pos; apply grid_nonneg; lia. }
    assert ((signed_growth (cols C) - 1) * (grid weight * (grid far + grid (error s))) <=
            grid (signed_room (cols C)) * grid (mul_up weight (far + error s)))
      by (apply Rmult_le_compat; assumption).
    lra.
  - intros x z d Hd Hx o Ho. fold out in Ho. rewrite Lo in Ho. cbn [apply_op].
    destruct (un o Ho) as (U1 & _ & _). rewrite (map_nth_lt _ l none) by lia.
    assert (D0 : 0 <= grid (lipschitz s) * d)
      by (apply Rmult_le_pos; [apply grid_nonneg, L0|exact Hd]).
    eapply Rle_trans; [apply (signed_moves (cols C) (cols W) (entry W o) (entry C o) x z
      (grid (lipschitz s) * d)); [lia|exact D0|]|].
    + intros i Hi. eapply Rle_trans; [apply Hx; lia|]. apply Rmult_le_compat_r; [exact Hd|].
      apply grid_le, moves_lipschitz.
    + apply Rle_trans with (grid (signed_weight (nth o l none)) * (grid (lipschitz s) * d));
        [apply Rmult_le_compat_r; assumption|].
      rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [exact Hd|]. apply mul_up_ge.
Qed.
