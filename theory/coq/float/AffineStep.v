(** * AffineStep: interval bounds through an affine operation *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Ranges CheckerSound LayersSound AffineSound ErrorBound IntervalSemantics
  IntervalChecker MonotoneSound NeuronBounds IntervalSound AffineBounds.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** What the checker computed on the way: the largest sum of absolute terms. *)
Lemma affine_facts W b s s' : ready s -> step (Affine W b) s = Some s' ->
  exists A, units s = cols W /\ (Z.of_nat (cols W) < 1048576)%Z /\
  0 <= grid (magnitude (ranges s) + error s) <= IZR (2 ^ 40) /\ A <= IZR (2 ^ 40) /\
  (forall o, (o < rows W)%nat ->
    sum (cols W) (fun j => Rabs (entry W o j)) * grid (magnitude (ranges s) + error s) +
      Rabs (entry_of b o) <= A /\
    sum (cols W) (fun j => Rabs (entry W o j)) <= IZR (2 ^ 40) /\
    Rabs (entry_of b o) <= IZR (2 ^ 40) /\
    (moves s = repeat unit_grid (units s) ->
      sum (cols W) (fun j => Rabs (entry W o j)) <= grid (lipschitz s'))) /\
  0 <= growth double (cols W + 8) - 1 /\
  (growth double (cols W + 8) - 1) * A +
    u * (grid (magnitude (ranges s')) + (growth double (cols W + 8) - 1) * A) + / IZR (2 ^ 48) <=
  grid (error s').
Proof.
  intros [E0 [Lm Mn]] H. cbn [step] in H.
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
  set (out := map (fun r => (unit_low r, unit_high r)) l) in *.
  set (q := mul_up (affine_room (cols W)) size) in *.
  set (e' := (mul_up weight (error s) + q)%Z) in *.
  apply checked_some in H. destruct H as [-> _]. cbn [ranges error].
  assert (W0 : (0 <= weight)%Z) by (apply (fold_max_ge unit_weight l 0)).
  assert (B0 : (0 <= bias)%Z) by (apply (fold_max_ge unit_bias l 0)).
  pose proof (magnitude_nonneg (ranges s)) as M0.
  assert (I0 : (0 <= inputs)%Z) by (unfold inputs; lia).
  assert (S0 : (0 <= size)%Z) by (pose proof (mul_up_nonneg _ _ W0 I0); unfold size; lia).
  pose proof (grid_nonneg _ I0) as I0r.
  exists (grid size). split; [exact C1|]. split; [lia|]. split; [split; assumption|].
  split; [exact C5|].
  pose proof (affine_room_ge_more (cols W) ltac:(lia)) as G.
  assert (G0 : 0 <= growth double (cols W + 8) - 1)
    by (pose proof (growth_pos double (cols W + 8)); lra).
  split; [|split; [exact G0|]].
  - intros o Ho. specialize (F o (AffineUnit 0 0 0 0) Ho).
    destruct (affine_unit_sound (ranges s) W b o _ C1 F) as (_ & U2 & U3).
    set (r := nth o l (AffineUnit 0 0 0 0)) in *.
    assert (Ir : In r l) by (apply nth_In; lia).
    assert (V2 : sum (cols W) (fun j => Rabs (entry W o j)) <= grid weight).
    { eapply Rle_trans; [exact U2|]. apply grid_le, (fold_max_ge unit_weight l 0), Ir. }
    assert (V3 : Rabs (entry_of b o) <= grid bias).
    { eapply Rle_trans; [exact U3|]. apply grid_le, (fold_max_ge unit_bias l 0), Ir. }
    split; [|split; [lra|split; [lra|]]].
    + unfold size. rewrite grid_plus. apply Rplus_le_compat; [|exact V3].
      eapply Rle_trans; [|apply mul_up_ge]. apply Rmult_le_compat_r; assumption.
    + intros Mu. pose proof (affine_unit_length _ _ _ _ F) as Lr. fold (units s) in Lr.
      rewrite <- Lm in Lr. destruct (row_moves_sound (moves s) (row W o) Lr Mn) as [_ G1].
      unfold lipschitz. cbn [moves].
      eapply Rle_trans; [|apply grid_le, (largest_of_ge _ o)].
      rewrite (map_nth_lt _ _ 0%nat) by (rewrite seq_length; exact Ho).
      rewrite seq_nth by exact Ho. rewrite Nat.add_0_l. eapply Rle_trans; [|exact G1].
      rewrite Lm, C1. right. apply sum_ext. intros j Hj. rewrite Mu.
      rewrite (nth_indep (repeat unit_grid (units s)) _ unit_grid) by (rewrite repeat_length; lia).
      rewrite nth_repeat, grid_1, Rmult_1_r. reflexivity.
  - assert (T1 : (growth double (cols W + 8) - 1) * grid size <= grid q).
    { eapply Rle_trans; [|apply mul_up_ge].
      apply Rmult_le_compat_r; [apply grid_nonneg, S0|exact G]. }
    pose proof (grid_nonneg _ (mul_up_nonneg _ _ W0 E0)) as T2.
    pose proof (rounded_ge single_unit (magnitude out + e')) as R.
    rewrite grid_single_unit, grid_plus in R. rewrite grid_plus.
    unfold e' in *. rewrite (grid_plus (mul_up weight (error s))) in *.
    assert (u * (grid (magnitude out) + (growth double (cols W + 8) - 1) * grid size) <=
            u * (grid (magnitude out) + (grid (mul_up weight (error s)) + grid q))).
    { apply Rmult_le_compat_l; [apply Rlt_le, unit_pos|lra]. }
    lra.
Qed.

(** ** Exact bounds of a row *)

Lemma row_low_le n w b l h x : (forall j, (j < n)%nat -> l j <= x j <= h j) ->
  row_low n w b l h <= sum n (fun j => w j * x j) + b <= row_low n w b h l.
Proof.
  intros H. unfold row_low. split; apply Rplus_le_compat_r, sum_le; intros j Hj;
    specialize (H j Hj); unfold Rmax, Rmin; destruct (Rle_dec (w j) 0); nra.
Qed.

Definition corner (w l h : vec) : vec := fun j => if Rle_dec (w j) 0 then h j else l j.

Lemma row_low_corner n w b l h :
  row_low n w b l h = sum n (fun j => w j * corner w l h j) + b.
Proof.
  unfold row_low. f_equal. apply sum_ext. intros j _. unfold corner, Rmax, Rmin.
  destruct (Rle_dec (w j) 0); ring.
Qed.

(** Moving the ends by s moves the bound by s times the absolute weights. *)
Lemma row_low_moves n w b l h l' h' s : 0 <= s ->
  (forall j, (j < n)%nat -> l j - s <= l' j /\ h' j <= h j + s) ->
  row_low n w b l h - sum n (fun j => Rabs (w j)) * s <= row_low n w b l' h'.
Proof.
  intros S H. unfold row_low.
  enough (sum n (fun j => Rmax (w j) 0 * l j +
    Rmin (w j) 0 * h j) - sum n (fun j => Rabs (w j)) * s <=
          sum n (fun j => Rmax (w j) 0 * l' j + Rmin (w j) 0 * h' j)) by lra.
  rewrite <- sum_scale_r, <- sum_minus. apply sum_le. intros j Hj. specialize (H j Hj).
  unfold Rmax, Rmin. destruct (Rle_dec (w j) 0).
  - rewrite Rabs_left1 by assumption. nra.
  - rewrite Rabs_pos_eq by lra. nra.
Qed.

Lemma row_high_moves n w b l h l' h' s : 0 <= s ->
  (forall j, (j < n)%nat -> l j - s <= l' j /\ h' j <= h j + s) ->
  row_low n w b h' l' <= row_low n w b h l + sum n (fun j => Rabs (w j)) * s.
Proof.
  intros S H. unfold row_low.
  enough (sum n (fun j => Rmax (w j) 0 * h' j + Rmin (w j) 0 * l' j) <=
          sum n (fun j => Rmax (w j) 0 * h j + Rmin (w j) 0 * l j) +
            sum n (fun j => Rabs (w j)) * s) by lra.
  rewrite <- sum_scale_r, <- sum_plus. apply sum_le. intros j Hj. specialize (H j Hj).
  unfold Rmax, Rmin. destruct (Rle_dec (w j) 0).
  - rewrite Rabs_left1 by assumption. nra.
  - rewrite Rabs_pos_eq by lra. nra.
Qed.

(** ** Moving the bounds apart *)

Lemma bounds_size s x X l h i : interval_ready s -> between s x X l h ->
(i < units (inner s))%nat ->
  Rabs (l i) <= grid (magnitude (ranges (inner s)) + outside s) /\
  Rabs (h i) <= grid (magnitude (ranges (inner s)) + outside s).
Proof.
  intros R B Hi. destruct (bounds_near s x X l h B i Hi) as [N1 N2]. rewrite grid_plus.
  pose proof (between_range _ _ _ _ _ B i Hi) as [W1 W2].
  assert (Rr : grid (Checker.reach (nth i (ranges (inner s)) (0, 0)%Z)) <=
               grid (magnitude (ranges (inner s)))).
  { apply grid_le, (fold_max_ge Checker.reach (ranges (inner s)) 0), nth_In, Hi. }
  unfold Checker.reach in Rr. rewrite grid_max, grid_opp in Rr.
  pose proof (Rmax_l (- grid (fst (nth i (ranges (inner s)) (0, 0)%Z)))
    (grid (snd (nth i (ranges (inner s)) (0, 0)%Z)))).
  pose proof (Rmax_r (- grid (fst (nth i (ranges (inner s)) (0, 0)%Z)))
    (grid (snd (nth i (ranges (inner s)) (0, 0)%Z)))).
  split; apply Rabs_le; lra.
Qed.

Lemma moved_between s d m x X l h lw hw : interval_fit s -> small (inner s) ->
  between s x X l h -> moved s d = Some m -> apart (units (inner s)) (value d) l h lw hw ->
  interval_fit m /\ inner m = inner s /\ gap m = 0%Z /\ between m x X lw hw.
Proof.
  intros ((Rd & G0 & S0) & Gl & Sl) Sm B H Ap. unfold moved in H.
  set (sz := (magnitude (ranges (inner s)) + outside s)%Z) in *.
  set (rnd := (mul_up single_unit (sz + above d) + 1)%Z) in *.
  destruct (finite d && _ && _ && _) eqn:C; [|discriminate].
  repeat (apply andb_prop in C; destruct C as [C ?C]). apply Z.leb_le in C0, C1, C2. clear C.
  destruct (settled_some _ _ H) as (-> & G1 & S1). cbn [gap spill inner] in *.
  pose proof (below_value d) as D1. pose proof (above_value d) as D2.
  assert (d0 : 0 <= value d) by (apply grid_nonneg in C2; lra).
  apply grid_le in C0 as C0r. rewrite grid_plus in C0r.
  apply grid_le in C1 as C1r. rewrite grid_largest_value in C1r.
  pose proof tiny_small as Ht. pose proof (unit_pos single) as Up.
  assert (Out : (0 <= outside s)%Z) by (unfold outside; destruct Rd; lia).
  pose proof (magnitude_nonneg (ranges (inner s))) as M0.
  assert (A0 : (0 <= above d)%Z).
  { apply grid_le_inv. rewrite grid_0. lra. }
  assert (R0 : (0 <= rnd)%Z).
  { unfold rnd. pose proof (mul_up_nonneg single_unit (sz + above d) ltac:(discriminate)
      ltac:(unfold sz; lia)). lia. }
  assert (Rg : u * (grid sz + value d) + 5 * t <= grid rnd).
  { unfold rnd. rewrite grid_plus, grid_step.
    pose proof (mul_up_ge single_unit (sz + above d)) as Mu.
    rewrite grid_single_unit, grid_plus in Mu.
    assert (u * (grid sz + value d) <= u * (grid sz + grid (above d)))
      by (apply Rmult_le_compat_l; lra). lra. }
  assert (szl : grid sz <= IZR (2 ^ 33)).
  { unfold sz. rewrite grid_plus. unfold small in Sm. unfold outside. rewrite grid_max, grid_plus.
    pose proof (grid_nonneg _ M0). pose proof (grid_nonneg _ (proj1 Rd)).
    assert (Rmax (grid (spill s)) (grid (error (inner s)) + grid (gap s)) <= IZR (2 ^ 31))
      by (apply Rmax_lub; lra). lra. }
  assert (near : forall i, (i < units (inner s))%nat ->
    l i - value d - grid rnd <= lw i <= l i - value d + grid rnd /\
    h i + value d - grid rnd <= hw i <= h i + value d + grid rnd).
  { intros i Hi. destruct (Ap i Hi) as [Dl Dh].
    destruct (bounds_size s x X l h i (conj Rd (conj G0 S0)) B Hi) as [N1 N2]. fold sz in N1, N2.
    assert (L1 : Rabs (l i - value d) <= grid sz + value d).
    { unfold Rminus. eapply Rle_trans; [apply Rabs_triang|].
      rewrite Rabs_Ropp, (Rabs_pos_eq (value d)); lra. }
    assert (H1 : Rabs (h i + value d) <= grid sz + value d).
    { eapply Rle_trans; [apply Rabs_triang|]. rewrite (Rabs_pos_eq (value d)); lra. }
    pose proof (difference_error (l i) (value d) _ ltac:(lra) Dl) as E1.
    pose proof (addition_error (h i) (value d) _ ltac:(lra) Dh) as E2.
    assert (u * Rabs (l i - value d) <= u * (grid sz + value d)) by (apply Rmult_le_compat_l; lra).
    assert (u * Rabs (h i + value d) <= u * (grid sz + value d)) by (apply Rmult_le_compat_l; lra).
    apply Rabs_le_inv in E1, E2. lra. }
  split; [|split; [reflexivity|split; [reflexivity|]]].
  - split; [split; [exact Rd|split; cbn; lia]|]. cbn [gap spill].
    split; [rewrite grid_0; lra|exact S1].
  - constructor; cbn [inner gap spill].
    + apply (between_range _ _ _ _ _ B).
    + apply (between_error _ _ _ _ _ B).
    + intros i Hi. rewrite grid_0. pose proof (near i Hi).
      pose proof (between_gap _ _ _ _ _ B i Hi). lra.
    + intros i Hi. rewrite !grid_plus. pose proof (near i Hi).
      pose proof (between_spill _ _ _ _ _ B i Hi). lra.
Qed.

(** ** The step *)

Section AffineStep.

Variables (W : matrix) (b : list Z) (m : interval_state) (x X lw hw : vec).
Hypothesis F : interval_fit m.
Hypothesis B : between m x X lw hw.
Hypothesis G0 : gap m = 0%Z.

Local Notation n := (units (inner m)).
Local Notation row_of o z := (sum (cols W) (fun j => entry W o j * z j) + entry_of b o).

Lemma value_inside j : (j < n)%nat -> lw j <= X j <= hw j.
Proof.
  intros Hj. pose proof (between_gap _ _ _ _ _ B j Hj) as P. rewrite G0, grid_0 in P. lra.
Qed.

Lemma affine_bounds_error y : step (Affine W b) (widened (inner m) (outside m)) = Some y ->
  forall o lo hi, (o < rows W)%nat ->
  affine_bound (cols W) (entry W o) (entry_of b o) lw hw lo ->
  affine_bound (cols W) (entry W o) (entry_of b o) hw lw hi ->
  Rabs (lo - row_low (cols W) (entry W o) (entry_of b o) lw hw) <= grid (error y) /\
  Rabs (hi - row_low (cols W) (entry W o) (entry_of b o) hw lw) <= grid (error y).
Proof.
  intros Hy o lo hi Ho Hlo Hhi.
  pose proof (step_sound _ _ _ (widened_ready _ _) Hy) as Sy.
  destruct (affine_facts W b _ y (widened_ready _ _) Hy) as (A & C1 & C2 & C3 & C4 & C5 & C6 & C7).
  destruct (C5 o Ho) as (D1 & D2 & D3 & D4). clear C5.
  rewrite widened_units in C1.
  set (inp := (magnitude (ranges (widened (inner m) (outside m))) +
    error (widened (inner m) (outside m)))%Z) in *.
  assert (bnd : forall j, (j < cols W)%nat -> Rabs (lw j) <= grid inp /\ Rabs (hw j) <= grid inp).
  { intros j Hj. rewrite <- C1 in Hj. destruct (bounds_near m x X lw hw B j Hj) as [N1 N2].
    unfold inp. cbn [widened error]. rewrite Z.add_0_r.
    split; apply (magnitude_bound (ranges (widened (inner m) (outside m))));
      try (apply widened_within; intros i Hi; apply (bounds_near m x X lw hw B i Hi));
      cbn [widened ranges]; rewrite map_length; exact Hj. }
  assert (ent : forall j, (j < cols W)%nat -> Rabs (entry W o j) <= IZR (2 ^ 40)).
  { intros j Hj. eapply Rle_trans; [|exact D2].
    apply (sum_term (cols W) (fun j => Rabs (entry W o j))); [intros; apply Rabs_pos|exact Hj]. }
  pose proof (sound_units _ _ _ Sy) as Uy. cbn [out_size] in Uy.
  assert (corners : forall p q, (forall j, (j < n)%nat ->
      (grid (fst (nth j (ranges (inner m)) (0, 0)%Z)) - grid (outside m) <= p j <=
       grid (snd (nth j (ranges (inner m)) (0, 0)%Z)) + grid (outside m)) /\
      (grid (fst (nth j (ranges (inner m)) (0, 0)%Z)) - grid (outside m) <= q j <=
       grid (snd (nth j (ranges (inner m)) (0, 0)%Z)) + grid (outside m))) ->
    Rabs (row_low (cols W) (entry W o) (entry_of b o) p q) <= grid (magnitude (ranges y))).
  { intros p q Hpq. rewrite row_low_corner.
    assert (Wc : within (ranges (widened (inner m) (outside m))) (corner (entry W o) p q)).
    { apply widened_within. intros j Hj. unfold corner.
      destruct (Rle_dec (entry W o j) 0); apply (Hpq j Hj). }
    pose proof (sound_range _ _ _ Sy _ Wc) as Wr.
    apply (magnitude_bound _ _ o Wr). unfold units in Uy. rewrite Uy. exact Ho. }
  pose proof (corners lw hw (fun j Hj => bounds_near m x X lw hw B j Hj)) as K1.
  pose proof (corners hw lw (fun j Hj => conj (proj2 (bounds_near m x X lw hw B j Hj))
    (proj1 (bounds_near m x X lw hw B j Hj)))) as K2.
  pose proof (unit_pos single) as Up.
  split.
  - pose proof (affine_bound_error (cols W) (entry W o) (entry_of b o) lw hw (grid inp) A lo
      C2 C3 ent D3 bnd D1 ltac:(lra) Hlo) as E.
    assert (u * (Rabs (row_low (cols W) (entry W o) (entry_of b o) lw hw) +
      (growth double (cols W + 8) - 1) * A) <=
            u * (grid (magnitude (ranges y)) + (growth double (cols W + 8) - 1) * A))
      by (apply Rmult_le_compat_l; lra).
    lra.
  - pose proof (affine_bound_error (cols W) (entry W o) (entry_of b o) hw lw (grid inp) A hi
      C2 C3 ent D3 (fun j Hj => conj (proj2 (bnd j Hj)) (proj1 (bnd j Hj))) D1 ltac:(lra) Hhi) as E.
    assert (u * (Rabs (row_low (cols W) (entry W o) (entry_of b o) hw lw) +
      (growth double (cols W + 8) - 1) * A) <=
            u * (grid (magnitude (ranges y)) + (growth double (cols W + 8) - 1) * A))
      by (apply Rmult_le_compat_l; lra).
    lra.
Qed.

Lemma affine_step_between s1 a y s' (Y l' h' : vec) :
  step (Affine W b) (inner m) = Some s1 ->
  step (Affine W b) (widened (inner m) (error (inner m))) = Some a ->
  step (Affine W b) (widened (inner m) (outside m)) = Some y ->
  settled (IntervalState s1 (error a + error y) (mul_up (lipschitz a) (spill m) +
    error y)) = Some s' ->
  computes_op (Affine W b) n X Y ->
  (forall o, (o < rows W)%nat ->
    affine_bound (cols W) (entry W o) (entry_of b o) lw hw (l' o) /\
    affine_bound (cols W) (entry W o) (entry_of b o) hw lw (h' o)) ->
  interval_fit s' /\ between s' (apply_op (Affine W b) n x) Y l' h'.
Proof.
  intros H1 Ha Hy Hs CY CB. destruct F as ((Rd & _ & S0) & _ & Sl).
  pose proof (step_sound _ _ _ Rd H1) as Sd. pose proof (sound_units _ _ _ Sd) as U1.
  cbn [out_size] in U1.
  pose proof (sound_nonneg _ _ _ (step_sound _ _ _ (widened_ready _ _) Ha)) as [Ea _].
  pose proof (lipschitz_nonneg a) as La.
  pose proof (sound_nonneg _ _ _ (step_sound _ _ _ (widened_ready _ _) Hy)) as [Ey _].
  destruct (settled_some _ _ Hs) as (-> & P1 & P2). cbn [gap spill] in P1, P2.
  pose proof (mul_up_nonneg _ _ La S0) as Ms0.
  destruct (affine_facts W b _ a (widened_ready _ _) Ha) as (A & C1 & C2 & C3 & C4 & C5 & C6 & C7).
  rewrite widened_units in C1.
  pose proof (widened_close (Affine W b) _ _ a X Y Ha (value_near m x X lw hw B) CY) as DX.
  cbn [out_size apply_op] in DX.
  split.
  { split; [split; [exact (sound_nonneg _ _ _ Sd)|cbn [gap spill]; split; lia]|].
    cbn [gap spill]. split; assumption. }
  constructor; cbn [inner gap spill]; rewrite ?U1.
  - apply (sound_range _ _ _ Sd), (between_range _ _ _ _ _ B).
  - intros o Ho. apply (sound_close _ _ _ Sd x X Y); [apply (between_range _ _ _ _ _ B)|
      apply (between_error _ _ _ _ _ B)|exact CY|rewrite U1; exact Ho].
  - intros o Ho. destruct (CB o Ho) as [L H].
    destruct (affine_bounds_error y Hy o _ _ Ho L H) as [E1 E2].
    pose proof (Rabs_le_inv _ _ (DX o Ho)) as E3. apply Rabs_le_inv in E1, E2.
    pose proof (row_low_le (cols W) (entry W o) (entry_of b o) lw hw X
      ltac:(intros j Hj; apply value_inside; lia)) as R. rewrite grid_plus. lra.
  - intros o Ho. destruct (CB o Ho) as [L H].
    destruct (affine_bounds_error y Hy o _ _ Ho L H) as [E1 E2]. apply Rabs_le_inv in E1, E2.
    destruct (C5 o Ho) as (_ & _ & _ & D4). specialize (D4 ltac:(rewrite widened_units; reflexivity)).
    set (pl := fun j => grid (fst (nth j (ranges (inner m)) (0, 0)%Z))).
    set (ph := fun j => grid (snd (nth j (ranges (inner m)) (0, 0)%Z))).
    assert (ord : forall j, (j < n)%nat -> pl j <= ph j)
      by (intros j Hj; apply (range_ordered m x X lw hw B j Hj)).
    assert (sp : forall j, (j < cols W)%nat ->
    pl j - grid (spill m) <= lw j /\ hw j <= ph j + grid (spill m)).
    { intros j Hj. apply (between_spill _ _ _ _ _ B). lia. }
    pose proof (grid_nonneg _ S0) as S0r.
    pose proof (row_low_moves (cols W) (entry W o) (entry_of b o) pl ph lw hw _ S0r sp) as V1.
    pose proof (row_high_moves (cols W) (entry W o) (entry_of b o) pl ph lw hw _ S0r sp) as V2.
    assert (cn : forall p q, (forall j, (j < n)%nat ->
    (pl j <= p j <= ph j) /\ (pl j <= q j <= ph j)) ->
              in_range (nth o (ranges s1) (0, 0)%Z) (row_low (cols W) (entry W o) (entry_of b o) p
                q)).
    { intros p q Hpq. rewrite row_low_corner.
      assert (Wc : within (ranges (inner m)) (corner (entry W o) p q)).
      { intros j Hj. unfold corner, in_range. fold (pl j) (ph j).
        destruct (Rle_dec (entry W o j) 0); apply (Hpq j Hj). }
      apply (sound_range _ _ _ Sd _ Wc o). unfold units in U1. rewrite U1. exact Ho. }
    destruct (cn pl ph ltac:(intros j Hj; pose proof (ord j Hj); lra)) as [I1 _].
    destruct (cn ph pl ltac:(intros j Hj; pose proof (ord j Hj); lra)) as [_ I2].
    rewrite grid_plus. pose proof (mul_up_ge (lipschitz a) (spill m)) as Mu.
    assert (sum (cols W) (fun j => Rabs (entry W o j)) * grid (spill m) <=
            grid (lipschitz a) * grid (spill m)) by (apply Rmult_le_compat_r; assumption).
    lra.
Qed.

End AffineStep.
