(** * AffineSound: the checker is sound for affine operations *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError
  LayerError Grid Checker Selection Ranges CheckerSound.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).

(** Numbers at scale 2^-96. *)
Definition fine (z : Z) : R := grid z / IZR unit_grid.

Lemma fine_plus a b : fine (a + b) = fine a + fine b.
Proof. unfold fine. rewrite grid_plus. field. pose proof unit_grid_pos. lra. Qed.

Lemma fine_opp a : fine (- a) = - fine a.
Proof. unfold fine. rewrite grid_opp. field. pose proof unit_grid_pos. lra. Qed.

Lemma fine_0 : fine 0 = 0.
Proof. unfold fine. rewrite grid_0. field. pose proof unit_grid_pos. lra. Qed.

Lemma fine_mul a b : fine (a * b) = grid a * grid b.
Proof. unfold fine, grid. rewrite mult_IZR. field. pose proof unit_grid_pos. lra. Qed.

Lemma fine_le a b : (a <= b)%Z -> fine a <= fine b.
Proof.
  intros H. unfold fine, Rdiv. apply Rmult_le_compat_r; [|apply grid_le, H].
  apply Rlt_le, Rinv_0_lt_compat, unit_grid_pos.
Qed.

Lemma shiftr_fine z : grid (Z.shiftr z grid_bits) <= fine z.
Proof.
  rewrite shiftr_grid. pose proof unit_grid_pos as P. unfold fine, grid at 1, grid.
  unfold Rdiv. apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat, P|].
  apply (IZR_div_le z unit_grid). reflexivity.
Qed.

(** The product of two numbers in intervals is between those of the ends. *)
Lemma product_between l h w v a b : l <= a <= h -> w <= b <= v ->
  Rmin (Rmin (w * l) (w * h)) (Rmin (v * l) (v * h)) <= b * a <=
  Rmax (Rmax (w * l) (w * h)) (Rmax (v * l) (v * h)).
Proof.
  intros A B.
  assert (E : forall c, Rmin (c * l) (c * h) <= c * a <= Rmax (c * l) (c * h)).
  { intros c. pose proof (Rmin_l (c * l) (c * h)). pose proof (Rmin_r (c * l) (c * h)).
    pose proof (Rmax_l (c * l) (c * h)). pose proof (Rmax_r (c * l) (c * h)).
    destruct (Rle_dec 0 c) as [C|C].
    - assert (c * l <= c * a <= c * h) by (split; apply Rmult_le_compat_l; lra). lra.
    - assert (c * h <= c * a <= c * l).
      { split; apply Rmult_le_compat_neg_l; lra. }
      lra. }
  pose proof (E w) as Ew. pose proof (E v) as Ev.
  assert (F : Rmin (w * a) (v * a) <= b * a <= Rmax (w * a) (v * a)).
  { pose proof (Rmin_l (w * a) (v * a)). pose proof (Rmin_r (w * a) (v * a)).
    pose proof (Rmax_l (w * a) (v * a)). pose proof (Rmax_r (w * a) (v * a)).
    destruct (Rle_dec 0 a) as [C|C].
    - assert (w * a <= b * a <= v * a) by (split; apply Rmult_le_compat_r; lra). lra.
    - assert (v * a <= b * a <= w * a).
      { split; apply Rmult_le_compat_neg_r || (rewrite !(Rmult_comm _ a);
          apply Rmult_le_compat_neg_l); lra. }
      lra. }
  split.
  - eapply Rle_trans; [|apply F]. apply Rmin_glb.
    + eapply Rle_trans; [apply Rmin_l|apply Ew].
    + eapply Rle_trans; [apply Rmin_r|apply Ev].
  - eapply Rle_trans; [apply F|]. apply Rmax_lub.
    + eapply Rle_trans; [apply Ew|apply Rmax_l].
    + eapply Rle_trans; [apply Ev|apply Rmax_r].
Qed.

Lemma fine_min a b : fine (Z.min a b) = Rmin (fine a) (fine b).
Proof.
  destruct (Z.min_spec a b) as [[H ->]|[H ->]].
  - rewrite Rmin_left; [reflexivity|]. apply fine_le. lia.
  - rewrite Rmin_right; [reflexivity|]. apply fine_le. lia.
Qed.

Lemma fine_max a b : fine (Z.max a b) = Rmax (fine a) (fine b).
Proof.
  destruct (Z.max_spec a b) as [[H ->]|[H ->]].
  - rewrite Rmax_right; [reflexivity|]. apply fine_le. lia.
  - rewrite Rmax_left; [reflexivity|]. apply fine_le. lia.
Qed.

Lemma terms_between l h b a : grid l <= a <= grid h ->
  fine (term_down l h (below b) (above b)) <= value b * a <=
  fine (term_up l h (below b) (above b)).
Proof.
  intros A. unfold term_down, term_up. rewrite !fine_min, !fine_max, !fine_mul.
  apply product_between; [exact A|apply enclose_value].
Qed.

Lemma weight_bound b : Rabs (value b) <= grid (Z.max (Z.abs (below b)) (Z.abs (above b))).
Proof.
  pose proof (below_value b). pose proof (above_value b).
  assert (H1 : grid (- Z.max (Z.abs (below b)) (Z.abs (above b))) <= grid (below b))
    by (apply grid_le; lia).
  assert (H2 : grid (above b) <= grid (Z.max (Z.abs (below b)) (Z.abs (above b))))
    by (apply grid_le; lia).
  rewrite grid_opp in H1. apply Rabs_le. lra.
Qed.

Lemma affine_scan_sound rs row low high weight low' high' weight' (x : vec) :
  affine_scan rs row low high weight = Some (low', high', weight') -> within rs x ->
  length rs = length row /\
  fine low' <= fine low + sum (length rs) (fun j => value (nth j row 0%Z) * x j) /\
  fine high + sum (length rs) (fun j => value (nth j row 0%Z) * x j) <= fine high'.
Proof.
  revert row low high weight x. induction rs as [|[l h] rs IH]; intros row low high weight x H W.
  - destruct row as [|b row]; [|discriminate H]. injection H as <- <- <-.
    cbn [length sum]. split; [reflexivity|lra].
  - destruct row as [|b row]; [discriminate H|]. cbn [affine_scan] in H.
    destruct (finite b); [|discriminate H]. destruct (enclose b) as [w v] eqn:E.
    assert (W' : within rs (fun i => x (S i))).
    { intros i Hi. apply (W (S i)). cbn [length]. lia. }
    destruct (IH row _ _ _ _ H W') as (L & H1 & H2). cbn [length].
    rewrite !sum_shift. cbn [nth]. split; [lia|].
    rewrite fine_plus in H1, H2.
    pose proof (terms_between l h b (x 0%nat) (W 0%nat ltac:(cbn [length]; lia))) as T.
    unfold below, above in T. rewrite E in T. cbn [fst snd] in T. lra.
Qed.

(** The weights are bounded whether or not the intervals hold anything. *)
Lemma affine_scan_weight rs row low high weight low' high' weight' :
  affine_scan rs row low high weight = Some (low', high', weight') ->
  grid weight + sum (length rs) (fun j => Rabs (value (nth j row 0%Z))) <= grid weight'.
Proof.
  revert row low high weight. induction rs as [|[l h] rs IH]; intros row low high weight H.
  - destruct row as [|b row]; [|discriminate H]. injection H as <- <- <-. cbn [length sum]. lra.
  - destruct row as [|b row]; [discriminate H|]. cbn [affine_scan] in H.
    destruct (finite b); [|discriminate H]. destruct (enclose b) as [w v] eqn:E.
    specialize (IH row _ _ _ H). cbn [length]. rewrite sum_shift. cbn [nth].
    rewrite grid_plus in IH. pose proof (weight_bound b) as B. unfold below, above in B.
    rewrite E in B. cbn [fst snd] in B. lra.
Qed.

Definition row_value (W : matrix) (b : list Z) (o : nat) (x : vec) : R :=
  sum (cols W) (fun j => entry W o j * x j) + entry_of b o.

Lemma affine_unit_sound rs W b o r : length rs = cols W ->
  affine_unit_of rs (row W o) (nth o b 0%Z) = Some r ->
  (forall x, within rs x -> in_range (unit_low r, unit_high r) (row_value W b o x)) /\
  sum (cols W) (fun j => Rabs (entry W o j)) <= grid (unit_weight r) /\
  Rabs (entry_of b o) <= grid (unit_bias r).
Proof.
  intros L H. unfold affine_unit_of in H.
  destruct (affine_scan rs (row W o) 0 0 0) as [[[low high] weight]|] eqn:E; [|discriminate].
  apply some_same in H. subst r. pose proof (affine_scan_weight _ _ _ _ _ _ _ _ E) as H3.
  cbn [unit_low unit_high unit_weight unit_bias]. split; [|split].
  - intros x Wx. destruct (affine_scan_sound _ _ _ _ _ _ _ _ x E Wx) as (_ & H1 & H2).
    rewrite L, fine_0 in H1, H2. unfold in_range, row_value, entry, entry_of. cbn [fst snd].
    rewrite grid_plus, grid_minus.
    pose proof (below_value (nth o b 0%Z)). pose proof (above_value (nth o b 0%Z)).
    pose proof (shiftr_fine low). pose proof (shiftr_fine (- high)) as S. rewrite fine_opp in S.
    lra.
  - rewrite L, grid_0 in H3. unfold entry. lra.
  - apply weight_bound.
Qed.

Lemma affine_unit_length rs row b r : affine_unit_of rs row b = Some r -> length rs = length row.
Proof.
  unfold affine_unit_of. destruct (affine_scan rs row 0 0 0) as [[[l h] w]|] eqn:E; [|discriminate].
  intros _. revert E. generalize 0%Z at 1. generalize 0%Z at 1. generalize 0%Z.
  revert row. induction rs as [|[a c] rs IH]; intros [|b' row] i j k E; try discriminate E;
    [reflexivity|].
  cbn [affine_scan] in E. destruct (finite b'); [|discriminate E].
  destruct (enclose b'). cbn [length]. f_equal. apply (IH row _ _ _ E).
Qed.

Lemma weighted_ge l : forall row sum0, length l = length row -> (forall i, (0 <= nth i l 0)%Z) ->
  (0 <= sum0)%Z -> (0 <= weighted l row sum0)%Z /\
  fine sum0 +
    sum (length l) (fun j => Rabs (value (nth j row 0%Z)) * grid (nth j l 0%Z)) <=
  fine (weighted l row sum0).
Proof.
  induction l as [|m l IH]; intros [|b row] s L N S0; try discriminate L.
  - cbn [weighted length sum]. split; [exact S0|lra].
  - cbn [weighted length]. destruct (enclose b) as [w v] eqn:E.
    pose proof (N 0%nat) as M0. cbn [nth] in M0.
    destruct (IH row (s + Z.max (Z.abs w) (Z.abs v) * m)%Z ltac:(simpl in L; lia)
      (fun i => N (S i)) ltac:(nia)) as [P H].
    split; [exact P|]. rewrite sum_shift. cbn [nth]. eapply Rle_trans; [|exact H].
    rewrite fine_plus, fine_mul. pose proof (weight_bound b) as B.
    unfold below, above in B. rewrite E in B. cbn [fst snd] in B.
    pose proof (Rmult_le_compat_r _ _ _ (grid_nonneg _ M0) B). lra.
Qed.

Lemma row_moves_sound l row : length l = length row -> (forall i, (0 <= nth i l 0)%Z) ->
  (0 <= row_moves l row)%Z /\
  sum (length l) (fun j => Rabs (value (nth j row 0%Z)) * grid (nth j l 0%Z)) <=
  grid (row_moves l row).
Proof.
  intros L N. destruct (weighted_ge l row 0 L N ltac:(lia)) as [P H].
  rewrite fine_0, Rplus_0_l in H.
  assert (G : fine (weighted l row 0) <= grid (row_moves l row)).
  { unfold row_moves. rewrite grid_opp.
    pose proof (shiftr_fine (- weighted l row 0)) as F. rewrite fine_opp in F. lra. }
  split; [|lra]. apply grid_le_inv. rewrite grid_0. eapply Rle_trans; [|exact G].
  rewrite <- fine_0. apply fine_le, P.
Qed.

Lemma affine_room_ge_more n : (Z.of_nat n < 1048576)%Z ->
  growth double (n + 8) - 1 <= grid (affine_room n).
Proof.
  intros H. unfold affine_room.
  pose proof (growth_bound double (n + 8)) as G. rewrite unit_double in G.
  assert (K : INR (n + 8) = IZR (Z.of_nat n + 1) + 7).
  { rewrite INR_IZR_INZ, <- plus_IZR. f_equal. lia. }
  rewrite K in G. set (z := (Z.of_nat n + 1)%Z) in *.
  assert (P : 1 <= IZR z <= 1048576) by (split; apply IZR_le; unfold z; lia).
  specialize (G ltac:(lra)).
  assert (D : IZR z / 32 - 31 / 32 <= IZR (z / 32)).
  { apply (Rmult_le_reg_r 32); [lra|].
    replace ((IZR z / 32 - 31 / 32) * 32) with (IZR z - 31) by field.
    rewrite <- mult_IZR, <- minus_IZR. apply IZR_le.
    pose proof (Z.div_mod z 32 ltac:(lia)). pose proof (Z.mod_pos_bound z 32 ltac:(lia)). lia. }
  assert (two : grid 2 = 2 * / IZR (2 ^ 48)) by (unfold grid, unit_grid; lra).
  rewrite grid_plus, two. unfold grid, unit_grid.
  assert (((IZR z + 7) * / 9007199254740992) ^ 2 <= / IZR (2 ^ 60)).
  { simpl pow. rewrite Rmult_1_r.
    apply Rle_trans with ((1048583 * / 9007199254740992) * (1048583 * / 9007199254740992)); [|lra].
    apply Rmult_le_compat; lra. }
  lra.
Qed.

Lemma affine_room_ge n : (Z.of_nat n < 1048576)%Z -> affine_growth n - 1 <= grid (affine_room n).
Proof.
  intros H. pose proof (affine_room_ge_more n H).
  pose proof (growth_le double (n + 1) (n + 8) ltac:(lia)). unfold affine_growth. lra.
Qed.

Lemma affine_sound W b s s' : ready s -> step (Affine W b) s = Some s' -> sound (Affine W b) s s'.
Proof.
  intros [E0 L0] H. cbn [step] in H.
  destruct (forallb finite b && _ && _ && _) eqn:C; [|discriminate].
  repeat (apply andb_prop in C; destruct C as [C ?C]).
  apply Nat.eqb_eq in C1, C2. apply Z.ltb_lt in C0. unfold longest_sum in C0. clear C.
  destruct (collect _ (rows W) []) as [l|] eqn:N; [|discriminate].
  set (weight := fold_left (fun m r => Z.max m (unit_weight r)) l 0%Z) in *.
  set (bias := fold_left (fun m r => Z.max m (unit_bias r)) l 0%Z) in *.
  set (inputs := (magnitude (ranges s) + error s)%Z) in *.
  set (size := (mul_up weight inputs + bias)%Z) in *.
  destruct (_ && (bias <=? largest_operand)%Z) eqn:C; [|discriminate].
  repeat (apply andb_prop in C; destruct C as [C ?C]). apply Z.leb_le in C, C3, C4, C5.
  apply grid_le in C, C3, C4, C5. rewrite grid_largest_operand in *.
  destruct (collect_nth _ _ _ _ N) as (Ll & F & _). cbn [length] in Ll. rewrite Nat.add_0_r in Ll.
  clear N. set (out := map (fun r => (unit_low r, unit_high r)) l) in *.
  set (q := mul_up (affine_room (cols W)) size) in *.
  set (e' := (mul_up weight (error s) + q)%Z) in *.
  apply checked_some in H. destruct H as [-> _].
  assert (Lo : length out = rows W) by (unfold out; rewrite map_length; exact Ll).
  assert (W0 : (0 <= weight)%Z) by (apply (fold_max_ge unit_weight l 0)).
  assert (B0 : (0 <= bias)%Z) by (apply (fold_max_ge unit_bias l 0)).
  pose proof (magnitude_nonneg (ranges s)) as M0. pose proof (magnitude_nonneg out) as Mo.
  assert (I0 : (0 <= inputs)%Z) by (unfold inputs; lia).
  assert (S0 : (0 <= size)%Z) by (pose proof (mul_up_nonneg _ _ W0 I0); unfold size; lia).
  assert (A0 : (0 <= affine_room (cols W))%Z).
  { unfold affine_room. pose proof (Z.div_pos (Z.of_nat (cols W) + 1) 32). lia. }
  pose proof (mul_up_nonneg _ _ A0 S0) as Q0. fold q in Q0.
  pose proof (mul_up_nonneg _ _ W0 E0) as WE0.
  assert (E0' : (0 <= e')%Z) by (unfold e'; lia).
  pose proof (rounded_nonneg single_unit (magnitude out + e') ltac:(discriminate) ltac:(lia)) as N.
  assert (unit_sound : forall o, (o < rows W)%nat ->
    (forall x, within (ranges s) x -> in_range (nth o out (0, 0)%Z) (row_value W b o x)) /\
    sum (cols W) (fun j => Rabs (entry W o j)) <= grid weight /\
    Rabs (entry_of b o) <= grid bias).
  { intros o Ho. specialize (F o (AffineUnit 0 0 0 0) Ho).
    destruct (affine_unit_sound (ranges s) W b o _ C1 F) as (U1 & U2 & U3).
    set (r := nth o l (AffineUnit 0 0 0 0)) in *.
    assert (Ir : In r l) by (apply nth_In; lia).
    split; [|split].
    - intros x Wx. unfold out. rewrite (map_nth_lt _ l (AffineUnit 0 0 0 0)) by lia.
      apply U1, Wx.
    - eapply Rle_trans; [exact U2|]. apply grid_le, (fold_max_ge unit_weight l 0), Ir.
    - eapply Rle_trans; [exact U3|]. apply grid_le, (fold_max_ge unit_bias l 0), Ir. }
  destruct L0 as [Lm Mn].
  assert (Rm : forall o, (o < rows W)%nat ->
            nth o (map (fun o => row_moves (moves s) (row W o)) (seq 0 (rows W))) 0%Z =
            row_moves (moves s) (row W o)).
  { intros o Ho. rewrite (map_nth_lt _ _ 0%nat) by (rewrite seq_length; exact Ho).
    rewrite seq_nth by exact Ho. reflexivity. }
  constructor; unfold units in *; cbn [ranges error moves].
  - exact Lo.
  - split; [cbn [error]; lia|]. unfold units. cbn [ranges moves]. rewrite Lo.
    split; [rewrite map_length, seq_length; reflexivity|]. intros o.
    destruct (Nat.lt_ge_cases o (rows W)) as [Ho|Ho].
    + rewrite Rm by exact Ho. apply row_moves_sound; [|exact Mn]. rewrite Lm.
      exact (affine_unit_length _ _ _ _ (F o (AffineUnit 0 0 0 0) Ho)).
    + rewrite nth_overflow by (rewrite map_length, seq_length; exact Ho). lia.
  - intros x Wx o Ho. rewrite Lo in Ho. apply unit_sound; assumption.
  - intros x X y Wx Hx Hy o Ho. rewrite Lo in Ho. specialize (Hy o Ho).
    generalize dependent (y o). intros v Hv. inversion Hv; subst.
    destruct (unit_sound o Ho) as (U1 & U2 & U3). cbn [apply_op]. specialize (U1 x Wx).
    fold (row_value W b o x).
    assert (V : Rabs (row_value W b o x) <= grid (magnitude out)).
    { eapply Rle_trans; [apply reach_bound, U1|]. apply grid_le, (fold_max_ge reach out 0), nth_In.
      lia. }
    set (S := sum (cols W) (fun j => Rabs (entry W o j))) in *.
    assert (S0' : 0 <= S) by (apply sum_nonneg; intros; apply Rabs_pos).
    pose proof (grid_nonneg _ E0) as E0r. pose proof (grid_nonneg _ I0) as I0r.
    assert (HA : S * grid inputs + Rabs (entry_of b o) <= grid size).
    { unfold size. rewrite grid_plus. apply Rplus_le_compat; [|exact U3].
      eapply Rle_trans; [|apply mul_up_ge]. apply Rmult_le_compat_r; assumption. }
    pose proof (affine_error (cols W) (entry W o) x X (entry_of b o) (grid (error s)) (grid inputs)
      (grid size) v E0r) as E. fold S in E. fold (row_value W b o x) in E.
    assert (E' := E ltac:(intros j Hj; apply Hx; lia)
      ltac:(intros j Hj; unfold inputs; rewrite grid_plus; apply Rplus_le_compat_r;
            apply magnitude_bound; [exact Wx|lia])
      HA C5 C ltac:(lra) ltac:(lra) ltac:(lia) ltac:(assumption)). clear E.
    pose proof (affine_room_ge (cols W) ltac:(lia)) as G.
    assert (G0 : 0 <= affine_growth (cols W) - 1).
    { unfold affine_growth. pose proof (growth_pos double (cols W + 1)). lra. }
    assert (T1 : (affine_growth (cols W) - 1) * grid size <= grid q).
    { eapply Rle_trans; [|apply mul_up_ge].
      apply Rmult_le_compat_r; [apply grid_nonneg, S0|exact G]. }
    assert (T2 : S * grid (error s) <= grid (mul_up weight (error s))).
    { eapply Rle_trans; [|apply mul_up_ge]. apply Rmult_le_compat_r; assumption. }
    pose proof (rounded_ge single_unit (magnitude out + e')) as R.
    rewrite grid_single_unit, grid_plus in R. rewrite grid_plus.
    unfold e' in *. rewrite (grid_plus (mul_up weight (error s))) in *.
    assert (u * (Rabs (row_value W b o x) + S * grid (error s) +
                 (affine_growth (cols W) - 1) * grid size) <=
            u * (grid (magnitude out) + (grid (mul_up weight (error s)) + grid q))).
    { apply Rmult_le_compat_l; [apply Rlt_le, unit_pos|lra]. }
    lra.
  - intros x z d Hd Hx o Ho. rewrite Lo in Ho. cbn [apply_op].
    replace (sum (cols W) (fun j => entry W o j * x j) + entry_of b o -
             (sum (cols W) (fun j => entry W o j * z j) + entry_of b o))
      with (sum (cols W) (fun j => entry W o j * x j) - sum (cols W) (fun j => entry W o j * z j))
      by ring.
    rewrite Rm by exact Ho. specialize (F o (AffineUnit 0 0 0 0) Ho).
    pose proof (affine_unit_length _ _ _ _ F) as Lr. rewrite <- Lm in Lr.
    destruct (row_moves_sound (moves s) (row W o) Lr Mn) as [_ G].
    eapply Rle_trans; [|apply Rmult_le_compat_r; [exact Hd|exact G]].
    rewrite <- sum_minus, <- sum_scale_r, Lm, C1.
    eapply Rle_trans; [apply sum_abs|]. apply sum_le. intros j Hj.
    rewrite <- Rmult_minus_distr_l, Rabs_mult, Rmult_assoc.
    apply Rmult_le_compat_l; [apply Rabs_pos|]. apply Hx. lia.
Qed.
