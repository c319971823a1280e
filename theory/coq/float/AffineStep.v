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
    sum (cols W) (fun j => Rabs (entry W o j)) * grid (lipschitz s) <= grid (lipschitz s')) /\
  0 <= growth double (cols W + 8) - 1 /\
  (growth double (cols W + 8) - 1) * A +
    u * (grid (magnitude (ranges s')) + (growth double (cols W + 8) - 1) * A) + / IZR (2 ^ 48) <=
  grid (error s').
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
  set (out := map (fun r => (unit_low r, unit_high r)) l) in *.
  set (q := mul_up (affine_room (cols W)) size) in *.
  set (e' := (mul_up weight (error s) + q)%Z) in *.
  apply checked_some in H. destruct H as [-> _]. cbn [ranges error lipschitz].
  assert (W0 : (0 <= weight)%Z) by (apply (fold_max_ge unit_weight l 0)).
  assert (B0 : (0 <= bias)%Z) by (apply (fold_max_ge unit_bias l 0)).
  pose proof (magnitude_nonneg (ranges s)) as M0.
  assert (I0 : (0 <= inputs)%Z) by (unfold inputs; lia).
  assert (S0 : (0 <= size)%Z) by (pose proof (mul_up_nonneg _ _ W0 I0); unfold size; lia).
  pose proof (grid_nonneg _ I0) as I0r. pose proof (grid_nonneg _ L0) as L0r.
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
    + eapply Rle_trans; [|apply mul_up_ge]. apply Rmult_le_compat_r; assumption.
  - assert (T1 : (growth double (cols W + 8) - 1) * grid size <= grid q).
    { eapply Rle_trans; [|apply mul_up_ge]. apply Rmult_le_compat_r; [apply grid_nonneg, S0|exact G]. }
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
  enough (sum n (fun j => Rmax (w j) 0 * l j + Rmin (w j) 0 * h j) - sum n (fun j => Rabs (w j)) * s <=
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
          sum n (fun j => Rmax (w j) 0 * h j + Rmin (w j) 0 * l j) + sum n (fun j => Rabs (w j)) * s) by lra.
  rewrite <- sum_scale_r, <- sum_plus. apply sum_le. intros j Hj. specialize (H j Hj).
  unfold Rmax, Rmin. destruct (Rle_dec (w j) 0).
  - rewrite Rabs_left1 by assumption. nra.
  - rewrite Rabs_pos_eq by lra. nra.
Qed.

(** ** Moving the bounds apart *)

Lemma bounds_size s x X l h i : interval_ready s -> between s x X l h -> (i < units (inner s))%nat ->
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
    pose proof (mul_up_ge single_unit (sz + above d)) as Mu. rewrite grid_single_unit, grid_plus in Mu.
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
    { unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, (Rabs_pos_eq (value d)); lra. }
    assert (H1 : Rabs (h i + value d) <= grid sz + value d).
    { eapply Rle_trans; [apply Rabs_triang|]. rewrite (Rabs_pos_eq (value d)); lra. }
    pose proof (difference_error (l i) (value d) _ ltac:(lra) Dl) as E1.
    pose proof (addition_error (h i) (value d) _ ltac:(lra) Dh) as E2.
    assert (u * Rabs (l i - value d) <= u * (grid sz + value d)) by (apply Rmult_le_compat_l; lra).
    assert (u * Rabs (h i + value d) <= u * (grid sz + value d)) by (apply Rmult_le_compat_l; lra).
    apply Rabs_le_inv in E1, E2. lra. }
  split; [|split; [reflexivity|split; [reflexivity|]]].
  - split; [split; [exact Rd|split; cbn; lia]|]. cbn [gap spill]. split; [rewrite grid_0; lra|exact S1].
  - constructor; cbn [inner gap spill].
    + apply (between_range _ _ _ _ _ B).
    + apply (between_error _ _ _ _ _ B).
    + intros i Hi. rewrite grid_0. pose proof (near i Hi).
      pose proof (between_gap _ _ _ _ _ B i Hi). lra.
    + intros i Hi. rewrite !grid_plus. pose proof (near i Hi).
      pose proof (between_spill _ _ _ _ _ B i Hi). lra.
Qed.
