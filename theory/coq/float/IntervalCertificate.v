(** * IntervalCertificate: where bounds are apart, every host says the same label in the ball *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Ranges CheckerSound LayersSound AffineSound ErrorBound IntervalSemantics
  IntervalChecker MonotoneSound NeuronBounds RadiusSound IntervalSound.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

Lemma interval_step_inner o s s' : interval_step o s = Some s' -> step o (inner s) = Some (inner s').
Proof.
  intros H. unfold interval_step in H. destruct (step o (inner s)) as [s1|]; [|discriminate].
  f_equal. symmetry.
  assert (fin : forall g p, settled (IntervalState s1 g p) = Some s' -> inner s' = s1).
  { intros g p Hr. destruct (settled_some _ _ Hr) as [-> _]. reflexivity. }
  destruct o; try discriminate H; try (apply (fin _ _ H));
    destruct (step _ (widened (inner s) (error (inner s)))); try discriminate H;
    destruct (step _ (widened (inner s) (outside s))); try discriminate H; apply (fin _ _ H).
Qed.

Lemma interval_step_fit o s s' : interval_fit s -> interval_step o s = Some s' ->
  interval_fit s' /\ units (inner s') = out_size o (units (inner s)).
Proof.
  intros ((Rd & G0 & S0) & Gl & Sl) H. unfold interval_step in H.
  destruct (step o (inner s)) as [s1|] eqn:S1; [|discriminate].
  pose proof (step_sound o _ _ Rd S1) as Sd.
  pose proof (sound_nonneg _ _ _ Sd) as N1. pose proof (sound_units _ _ _ Sd) as U.
  assert (fin : forall s2 r, settled s2 = Some r -> inner s2 = s1 -> (0 <= gap s2)%Z ->
            (0 <= spill s2)%Z -> interval_fit r /\ units (inner r) = out_size o (units (inner s))).
  { intros s2 r Hr I2 P1 P2. destruct (settled_some _ _ Hr) as (-> & B1 & B2).
    split; [|rewrite I2; exact U]. split; [|auto]. split; [rewrite I2; exact N1|auto]. }
  assert (neuron : forall k W rho inputs lst, neurons inputs W rho k = Some lst ->
    settled (IntervalState s1 (gap s + rounded (neuron_room k) (magnitude (ranges s1) + error (inner s)) + 1)
                 (spill s + rounded (loose_room k) (magnitude (ranges s1) + spill s) + 1)) = Some s' ->
    interval_fit s' /\ units (inner s') = out_size o (units (inner s))).
  { intros k W rho inputs lst N Hs. destruct (neurons_some _ _ _ _ _ N) as (_ & _ & _ & Kl & _).
    pose proof (magnitude_nonneg (ranges s1)).
    pose proof (rounded_nonneg (neuron_room k) (magnitude (ranges s1) + error (inner s))
      (neuron_room_nonneg k Kl) ltac:(destruct Rd; lia)).
    pose proof (rounded_nonneg (loose_room k) (magnitude (ranges s1) + spill s)
      ltac:(unfold loose_room, loose_unit; lia) ltac:(lia)).
    apply (fin _ _ Hs); [reflexivity| |]; cbn [gap spill]; lia. }
  assert (each : match step o (widened (inner s) (error (inner s))),
            step o (widened (inner s) (outside s)) with
      | Some a, Some b =>
        settled (IntervalState s1 (mul_up (lipschitz a) (gap s) + error a + error b)
                   (mul_up (lipschitz a) (spill s) + error b))
      | _, _ => None
      end = Some s' -> interval_fit s' /\ units (inner s') = out_size o (units (inner s))).
  { destruct (step o (widened (inner s) (error (inner s)))) as [a|] eqn:A; [|discriminate].
    destruct (step o (widened (inner s) (outside s))) as [b|] eqn:B; [|discriminate]. intros Hs.
    pose proof (sound_nonneg _ _ _ (step_sound o _ _ (widened_ready _ _) A)) as [A1 A2].
    pose proof (sound_nonneg _ _ _ (step_sound o _ _ (widened_ready _ _) B)) as [B1 B2].
    pose proof (mul_up_nonneg _ _ A2 G0). pose proof (mul_up_nonneg _ _ A2 S0).
    apply (fin _ _ Hs); [reflexivity| |]; cbn [gap spill]; lia. }
  destruct o; try (apply each; exact H); try discriminate H;
    try (apply (fin _ _ H); [reflexivity| |]; cbn [gap spill]; lia).
  - cbn [step] in S1. destruct (neurons _ W rho k) as [lst|] eqn:N; [|discriminate].
    apply (neuron k W rho _ lst N H).
  - cbn [step] in S1. destruct (forallb _ patches); [|discriminate].
    destruct (neurons _ W rho k) as [lst|] eqn:N; [|discriminate].
    apply (neuron k W rho _ lst N H).
Qed.

Lemma interval_step_between o s s' x X l h (Y l' h' : vec) : interval_fit s ->
  between s x X l h -> interval_step o s = Some s' ->
  computes_op o (units (inner s)) X Y ->
  (forall i, (i < out_size o (units (inner s)))%nat ->
    bounds_unit (units (inner s)) l h i o (l' i) (h' i)) ->
  between s' (apply_op o (units (inner s)) x) Y l' h'.
Proof.
  intros F B H CY CB.
  destruct o; try solve [eapply each_bound_step; [exact (proj1 F)|exact B|reflexivity|exact H|exact CY|exact CB]].
  - apply (sort_neuron_step s x X l h F B); assumption.
  - apply (sort_conv_step s x X l h F B); assumption.
  - apply (negate_step s x X l h F B); assumption.
  - unfold interval_step in H. destruct (step _ _); discriminate H.
  - apply (abs_step s x X l h F B); assumption.
Qed.

Lemma interval_ops_between ops : forall s s' x X l h Y l' h', interval_fit s ->
  between s x X l h -> interval_ops ops s = Some s' ->
  computes_ops ops (units (inner s)) X Y ->
  bounds_ops ops (units (inner s)) l h l' h' ->
  small (inner s) ->
  exists z, between s' z Y l' h' /\ interval_fit s' /\ small (inner s') /\
  units (inner s') = size_after ops (units (inner s)).
Proof.
  induction ops as [|o ops IH]; intros s s' x X l h Y l' h' F B H CY CB Sm; cbn [interval_ops] in H.
  - apply some_same in H. subst s'. inversion CY; subst. inversion CB; subst.
    exists x. split; [|split; [exact F|split; [exact Sm|reflexivity]]]. destruct B as [B1 B2 B3 B4].
    constructor; [exact B1| | |]; intros i Hi;
      repeat match goal with E : forall i, _ -> _ i = _ i |- _ => rewrite (E i Hi); clear E end; auto.
  - destruct (interval_step o s) as [s1|] eqn:S1; [|discriminate].
    inversion CY; subst. inversion CB; subst.
    destruct (interval_step_fit o s s1 F S1) as [F1 U1].
    match goal with C2 : computes_ops ops _ ?Z Y, D2 : bounds_ops ops _ ?l1 ?h1 l' h' |- _ =>
      assert (B1 : between s1 (apply_op o (units (inner s)) x) Z l1 h1)
        by (apply (interval_step_between o s s1 x X l h); assumption);
      rewrite <- U1 in C2, D2;
      destruct (IH s1 s' _ Z l1 h1 Y l' h' F1 B1 H C2 D2
        (step_small o _ _ Sm (interval_step_inner o s s1 S1))) as (q & Bz & Fz & Sz & Uz) end.
    exists q. split; [exact Bz|]. split; [exact Fz|]. split; [exact Sz|]. rewrite Uz, U1. reflexivity.
Qed.

(** The ends of the ball are beyond the points of the ball, but for two steps of the grid. *)
Lemma ball_holds eps reach x x' lo hi : 0 <= x <= 1 -> 0 <= x' <= 1 -> Rabs (x' - x) <= eps ->
  0 <= eps -> eps + u <= reach <= 1 -> ball reach x lo hi ->
  lo - grid 2 <= x' <= hi + grid 2 /\ 0 <= lo /\ hi <= 1.
Proof.
  intros Hx Hx' Hd He Hr [b a b' a' Db Da Ob Oa].
  pose proof tiny_small as Ht. pose proof unit_single as Hu.
  apply Rabs_le_inv in Hd.
  assert (two : grid 2 = 2 * / IZR (2 ^ 48)) by (unfold grid, unit_grid; lra). rewrite two.
  assert (xr : Rabs (x - reach) <= 1) by (apply Rabs_le; lra).
  pose proof (difference_error x reach b ltac:(lra) Db) as E1.
  assert (sr : Rabs (x + reach) <= 2) by (apply Rabs_le; lra).
  pose proof (addition_error x reach a ltac:(lra) Da) as E2.
  rewrite (Rabs_pos_eq (x + reach)) in E2 by lra.
  apply Rabs_le_inv in E1, E2. apply operand_error, Rabs_le_inv in Ob, Oa.
  rewrite Hu in *. split; [split|split].
  - enough (Rmax b' 0 <= x' + 2 * / IZR (2 ^ 48)) by lra. apply Rmax_lub; lra.
  - enough (x' - 2 * / IZR (2 ^ 48) <= Rmin a' 1) by lra. apply Rmin_glb; [|lra].
    destruct (Rle_dec (x + reach) 1) as [C|C]; [lra|].
    destruct (Rle_dec (x + reach) (1 + 3 * / IZR (2 ^ 25))) as [C'|C']; lra.
  - apply Rmax_r.
  - apply Rmin_r.
Qed.

Lemma interval_checked_true s eps reach slack : interval_checked s eps reach slack = true ->
  (2 <= units (inner s))%nat /\ 0 <= value eps /\ value eps + u <= value reach <= 1 /\
  value slack <= IZR (2 ^ 30) /\
  2 * grid (gap s) + u * value slack + 2 * / IZR (2 ^ 48) <= value slack.
Proof.
  unfold interval_checked. intros C. repeat (apply andb_prop in C; destruct C as [C ?C]).
  apply Z.leb_le in C0, C1, C2, C3, C4. apply Nat.leb_le in C5.
  apply grid_le in C0, C1, C2, C3, C4.
  pose proof (below_value eps). pose proof (above_value eps). pose proof (below_value reach).
  pose proof (above_value reach). pose proof (below_value slack). pose proof (above_value slack).
  unfold needed_interval_slack in C0.
  assert (two : grid 2 = 2 * / IZR (2 ^ 48)) by (unfold grid, unit_grid; lra).
  rewrite !grid_plus, grid_mul, two in C0. rewrite grid_plus, grid_single_unit in C3.
  rewrite grid_largest_value, grid_0, grid_1 in *.
  pose proof (mul_up_ge single_unit (above slack)) as M. rewrite grid_single_unit in M.
  pose proof (unit_pos single) as U.
  assert (u * value slack <= u * grid (above slack)) by (apply Rmult_le_compat_l; lra).
  split; [exact C5|]. split; [lra|]. split; [lra|]. split; [lra|]. lra.
Qed.

(** A host certifies the label at x; then any host says that label at any point of the ball. *)
Theorem interval_certificate N s eps reach slack :
  interval_analyse N = Some s -> interval_checked s eps reach slack = true ->
  forall x x' l h label y' label',
  in_cube (input_size N) x -> in_cube (input_size N) x' ->
  bounds N (value reach) x l h -> certifies (classes N) (value slack) label l h ->
  (label < classes N)%nat ->
  computes N x' y' -> labels (classes N) y' label' ->
  (forall i, (i < input_size N)%nat -> Rabs (x' i - x i) <= value eps) ->
  label' = label.
Proof.
  intros A C x x' l h label y' label' Hx Hx' [l0 h0 l1 h1 Hb Hops] Hc Kl Hy' Hl' Hd.
  destruct (interval_checked_true s eps reach slack C) as (K2 & E0 & HR & S30 & HS).
  unfold interval_analyse in A. set (s0 := IntervalState (box (input_size N)) 2 0) in *.
  pose proof tiny_small as Ht. pose proof unit_single as Hu.
  assert (F0 : interval_fit s0).
  { split; [split; [split; cbn; unfold unit_grid; lia|cbn; lia]|].
    cbn [gap spill s0]. unfold grid, unit_grid. lra. }
  assert (U0 : units (inner s0) = input_size N) by apply box_units.
  assert (B0 : between s0 x' x' l0 h0).
  { assert (ends : forall i, (i < input_size N)%nat ->
      l0 i - grid 2 <= x' i <= h0 i + grid 2 /\ 0 <= l0 i /\ h0 i <= 1).
    { intros i Hi. apply (ball_holds (value eps) (value reach) (x i)); auto. }
    constructor; rewrite ?U0.
    - apply box_within, Hx'.
    - intros i _. cbn [inner s0 box error]. rewrite grid_0, Rminus_eq_0, Rabs_R0. lra.
    - intros i Hi. apply ends, Hi.
    - intros i Hi. cbn [inner s0 box ranges spill].
      rewrite (nth_indep _ _ (0, unit_grid)%Z) by (rewrite repeat_length; exact Hi).
      rewrite nth_repeat. cbn [fst snd]. rewrite grid_0, grid_1. destruct (ends i Hi). lra. }
  rewrite <- U0 in Hops. unfold computes in Hy'. rewrite <- U0 in Hy'.
  assert (Sm0 : small (inner s0)).
  { unfold small. cbn [inner s0 box ranges error]. rewrite grid_0.
    assert (M : (magnitude (repeat (0, unit_grid) (input_size N)) <= unit_grid)%Z).
    { assert (G : forall k m, (m <= unit_grid)%Z ->
        (fold_left (fun m r => Z.max m (Checker.reach r)) (repeat (0, unit_grid)%Z k) m <= unit_grid)%Z).
      { induction k as [|k IH]; intros m Hm; [exact Hm|]. cbn [repeat fold_left]. apply IH.
        unfold Checker.reach. cbn [fst snd]. unfold unit_grid in *. lia. }
      apply G. unfold unit_grid. lia. }
    apply grid_le in M. rewrite grid_1 in M. lra. }
  destruct (interval_ops_between (ops N) s0 s x' x' l0 h0 y' l1 h1 F0 B0 A Hy' Hops Sm0)
    as (z & Bz & Fz & Sz & Uz).
  rewrite U0 in Uz. fold (classes N) in Uz. set (K := classes N) in *.
  destruct (Nat.eq_dec label' label) as [|Hne]; [assumption|exfalso].
  pose proof (label_class _ _ _ Hl') as Kl'.
  pose proof (label_not_behind K y' label' label Hl' Kl) as Be.
  pose proof (between_gap _ _ _ _ _ Bz) as Bg. rewrite Uz in Bg.
  pose proof (Bg label Kl) as G1. pose proof (Bg label' Kl') as G2.
  destruct Hc as [best rival worst worst' slack' Hbest Hrival [j0 (Kj & Nj & Hj0)] Hworst Ow Os Hgt].
  destruct (Hrival label' Kl' Hne) as [hr [Or Hr]].
  (* nothing is near overflow *)
  assert (large : forall i, (i < K)%nat -> Rabs (l1 i) <= IZR (2 ^ 60) /\ Rabs (h1 i) <= IZR (2 ^ 60)).
  { intros i Hi. rewrite <- Uz in Hi.
    pose proof (bounds_near s z y' l1 h1 Bz i Hi) as Nr.
    pose proof (between_range _ _ _ _ _ Bz i Hi) as [W1 W2].
    pose proof (Rabs_le_inv _ _ (reach_bound _ _ (between_range _ _ _ _ _ Bz i Hi))).
    destruct Fz as ((Rd & P1 & P2) & P3 & P4). unfold small in Sz.
    pose proof (grid_nonneg _ (magnitude_nonneg (ranges (inner s)))) as M0.
    pose proof (grid_nonneg _ (proj1 Rd)) as E0'.
    assert (Rr : grid (Checker.reach (nth i (ranges (inner s)) (0, 0)%Z)) <= IZR (2 ^ 30)).
    { apply Rle_trans with (grid (magnitude (ranges (inner s)))); [|lra].
      apply grid_le, (fold_max_ge Checker.reach (ranges (inner s)) 0), nth_In. exact Hi. }
    assert (lohi : - IZR (2 ^ 30) <= grid (fst (nth i (ranges (inner s)) (0, 0)%Z)) /\
                   grid (snd (nth i (ranges (inner s)) (0, 0)%Z)) <= IZR (2 ^ 30)).
    { unfold Checker.reach in Rr. rewrite grid_max, grid_opp in Rr.
      pose proof (Rmax_l (- grid (fst (nth i (ranges (inner s)) (0, 0)%Z)))
        (grid (snd (nth i (ranges (inner s)) (0, 0)%Z)))).
      pose proof (Rmax_r (- grid (fst (nth i (ranges (inner s)) (0, 0)%Z)))
        (grid (snd (nth i (ranges (inner s)) (0, 0)%Z)))). lra. }
    assert (out : grid (outside s) <= IZR (2 ^ 31)).
    { unfold outside. rewrite grid_max, grid_plus. apply Rmax_lub; lra. }
    split; apply Rabs_le; lra. }
  pose proof (large label Kl) as Ll. pose proof (large j0 Kj) as Lj.
  pose proof (operand_smaller _ _ _ Hbest) as Sb. pose proof (operand_smaller _ _ _ Hj0) as Sr.
  assert (db : Rabs (best - rival) <= IZR (2 ^ 120)).
  { unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
  pose proof (difference_error best rival worst db Hworst) as E1. apply Rabs_le_inv in E1.
  apply operand_error, Rabs_le_inv in Hbest, Or, Ow, Os.
  pose proof (grid_nonneg _ (proj1 (proj2 (proj1 Fz)))) as g0.
  destruct (Rle_dec 0 (best - rival)) as [P|P].
  - rewrite (Rabs_pos_eq (best - rival)) in E1 by exact P.
    assert (d : best - rival <= 2 * grid (gap s) + 4 * t) by lra.
    assert (u * (best - rival) <= u * (2 * grid (gap s) + 4 * t))
      by (apply Rmult_le_compat_l; [rewrite Hu; lra|exact d]).
    assert (u * (2 * grid (gap s)) <= u * value slack)
      by (apply Rmult_le_compat_l; [rewrite Hu; lra|]; rewrite Hu in HS; lra).
    rewrite Hu in *. lra.
  - rewrite (Rabs_left1 (best - rival)) in E1 by lra. rewrite Hu in *. lra.
Qed.
