(** * IntervalCertificate: where bounds are apart, every host says the same label in the ball *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Ranges CheckerSound LayersSound AffineSound ErrorBound IntervalSemantics
  IntervalChecker MonotoneSound NeuronBounds RadiusSound IntervalSound AffineBounds AffineStep.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

Lemma interval_step_inner o s s' : interval_step o s = Some s' ->
step o (inner s) = Some (inner s').
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
    settled (IntervalState s1 (gap s + rounded (neuron_room k) (magnitude (ranges s1) +
      error (inner s)) + 1)
                 (spill s + rounded (loose_room k) (magnitude (ranges s1) + spill s) +
                   1)) = Some s' ->
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
  destruct o; try solve [eapply each_bound_step;
      [exact (proj1 F)|exact B|reflexivity|exact H|exact CY|exact CB]].
  - apply (sort_neuron_step s x X l h F B); assumption.
  - apply (sort_conv_step s x X l h F B); assumption.
  - apply (negate_step s x X l h F B); assumption.
  - unfold interval_step in H. destruct (step _ _); discriminate H.
  - apply (abs_step s x X l h F B); assumption.
Qed.

Lemma affine_step_both W b d s s' x X l h lw hw (Y l' h' : vec) : interval_fit s ->
  small (inner s) -> between s x X l h -> affine_step W b d s = Some s' ->
  computes_op (Affine W b) (units (inner s)) X Y ->
  apart (units (inner s)) (value d) l h lw hw ->
  (forall o, (o < rows W)%nat ->
    affine_bound (cols W) (entry W o) (entry_of b o) lw hw (l' o) /\
    affine_bound (cols W) (entry W o) (entry_of b o) hw lw (h' o)) ->
  interval_fit s' /\ small (inner s') /\ units (inner s') = rows W /\
  between s' (apply_op (Affine W b) (units (inner s)) x) Y l' h'.
Proof.
  intros F Sm B H CY Ap CB. unfold affine_step in H.
  destruct (moved s d) as [m|] eqn:M; [|discriminate].
  destruct (moved_between s d m x X l h lw hw F Sm B M Ap) as (Fm & Im & Gm & Bm).
  destruct (step (Affine W b) (inner m)) as [s1|] eqn:S1; [|discriminate].
  destruct (step (Affine W b) (widened (inner m) (error (inner m)))) as [a|] eqn:Sa;
      [|discriminate].
  destruct (step (Affine W b) (widened (inner m) (outside m))) as [y|] eqn:Sy; [|discriminate].
  rewrite <- Im in CY |- *.
  destruct (affine_step_between W b m x X lw hw Fm Bm Gm s1 a y s' Y l' h' S1 Sa Sy H CY CB)
    as [F' B'].
  split; [exact F'|].
  destruct (settled_some _ _ H) as (-> & _). cbn [inner] in *.
  split; [|split; [|exact B']].
  - apply (step_small (Affine W b) (inner m)); [rewrite Im; exact Sm|exact S1].
  - apply (sound_units _ _ _ (step_sound _ _ _ (proj1 (proj1 Fm)) S1)).
Qed.

Lemma interval_ops_between ops : forall ds s s' rest x X l h Y rest' l' h', interval_fit s ->
  small (inner s) -> between s x X l h -> interval_ops ops ds s = Some (s', rest) ->
  computes_ops ops (units (inner s)) X Y ->
  bounds_ops ops ds (units (inner s)) l h rest' l' h' ->
  rest' = rest /\
  exists z, between s' z Y l' h' /\ interval_fit s' /\ small (inner s') /\
  units (inner s') = size_after ops (units (inner s)).
Proof.
  induction ops as [|o ops IH]; intros ds s s' rest x X l h Y rest' l' h' F Sm B H CY CB.
  - cbn [interval_ops] in H. apply some_same in H. injection H as <- <-.
    inversion CY; subst. inversion CB; subst. split; [reflexivity|].
    exists x. split; [|split; [exact F|split; [exact Sm|reflexivity]]]. destruct B as [B1 B2 B3 B4].
    constructor; [exact B1| | |]; intros i Hi;
      repeat match goal with E : forall i, _ ->
      _ i = _ i |- _ => rewrite (E i Hi); clear E end; auto.
  - assert (plain : forall s1, (forall W b, o <> Affine W b) -> interval_step o s = Some s1 ->
      interval_ops ops ds s1 = Some (s', rest) ->
      rest' = rest /\ exists z, between s' z Y l' h' /\ interval_fit s' /\ small (inner s') /\
      units (inner s') = size_after (o :: ops) (units (inner s))).
    { intros s1 NA S1 H1. inversion CY; subst.
      inversion CB; subst; [|exfalso; eapply NA; reflexivity].
      destruct (interval_step_fit o s s1 F S1) as [F1 U1].
      match goal with C2 : computes_ops ops _ ?Z Y, D2 : bounds_ops ops _ _ ?l1 ?h1 _ l' h' |- _ =>
        assert (B1 : between s1 (apply_op o (units (inner s)) x) Z l1 h1)
          by (apply (interval_step_between o s s1 x X l h); assumption);
        rewrite <- U1 in C2, D2;
        destruct (IH ds s1 s' rest _ Z l1 h1 Y rest' l' h' F1
          (step_small o _ _ Sm (interval_step_inner o s s1 S1)) B1 H1 C2 D2)
          as (E & q & Bz & Fz & Sz & Uz) end.
      split; [exact E|]. exists q. split; [exact Bz|]. split; [exact Fz|]. split; [exact Sz|].
      rewrite Uz, U1. reflexivity. }
    assert (other : (forall W b, o <> Affine W b) ->
      match interval_step o s with Some s1 => interval_ops ops ds s1 | None => None end = Some
        (s', rest) ->
      rest' = rest /\ exists z, between s' z Y l' h' /\ interval_fit s' /\ small (inner s') /\
      units (inner s') = size_after (o :: ops) (units (inner s))).
    { intros NA H1. destruct (interval_step o s) as [s1|] eqn:S1; [|discriminate].
      apply (plain s1 NA eq_refl H1). }
    cbn [interval_ops] in H.
    destruct o as [| | | | | | |W b| | | |]; try (apply other; [discriminate|exact H]).
    clear plain other. destruct ds as [|d ds]; [discriminate|].
    destruct (affine_step W b d s) as [s1|] eqn:S1; [|discriminate].
    inversion CY; subst. inversion CB; subst.
    { match goal with N : forall W0 b0, Affine W b <> Affine W0 b0 |- _ =>
        exfalso; eapply N; reflexivity end. }
    match goal with C1 : computes_op _ _ X ?Z, C2 : computes_ops ops _ ?Z Y,
      D0 : apart _ _ l h ?lw ?hw, D2 : bounds_ops ops _ _ ?l1 ?h1 _ l' h' |- _ =>
      destruct (affine_step_both W b d s s1 x X l h lw hw Z l1 h1 F Sm B S1 C1 D0 ltac:(assumption))
        as (F1 & Sm1 & U1 & B1);
      cbn [out_size] in C2; rewrite <- U1 in C2, D2;
      destruct (IH ds s1 s' rest _ Z l1 h1 Y rest' l' h' F1 Sm1 B1 H C2 D2)
        as (E & q & Bz & Fz & Sz & Uz) end.
    split; [exact E|]. exists q. split; [exact Bz|]. split; [exact Fz|]. split; [exact Sz|].
    rewrite Uz, U1. reflexivity.
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

Lemma ball_checked_true eps reach : ball_checked eps reach = true ->
  0 <= value eps /\ value eps + u <= value reach <= 1.
Proof.
  unfold ball_checked. intros C. repeat (apply andb_prop in C; destruct C as [C ?C]).
  apply Z.leb_le in C0, C1, C2. apply grid_le in C0, C1, C2.
  pose proof (below_value eps). pose proof (above_value eps). pose proof (below_value reach).
  pose proof (above_value reach). rewrite grid_plus, grid_single_unit in C1.
  rewrite grid_0, grid_1 in *. lra.
Qed.

Lemma slack_checked_true needed slack : slack_checked needed slack = true ->
  value slack <= IZR (2 ^ 30) /\
  grid needed + u * value slack + 2 * / IZR (2 ^ 48) <= value slack.
Proof.
  unfold slack_checked, with_room. intros C. repeat (apply andb_prop in C; destruct C as [C ?C]).
  apply Z.leb_le in C0, C1. apply grid_le in C0, C1.
  pose proof (below_value slack). pose proof (above_value slack).
  assert (two : grid 2 = 2 * / IZR (2 ^ 48)) by (unfold grid, unit_grid; lra).
  rewrite !grid_plus, two in C0. rewrite grid_largest_value in C1.
  pose proof (mul_up_ge single_unit (above slack)) as M. rewrite grid_single_unit in M.
  assert (u * value slack <= u * grid (above slack))
    by (apply Rmult_le_compat_l; [apply Rlt_le, unit_pos|lra]).
  lra.
Qed.

(** The start: pixels between the ends of the ball. *)
Lemma ball_between n eps reach x x' l0 h0 :
  0 <= eps -> eps + u <= reach <= 1 -> in_cube n x -> in_cube n x' ->
  (forall i, (i < n)%nat -> Rabs (x' i - x i) <= eps) ->
  (forall i, (i < n)%nat -> ball reach (x i) (l0 i) (h0 i)) ->
  interval_fit (ball_state n) /\ small (inner (ball_state n)) /\
  units (inner (ball_state n)) = n /\ between (ball_state n) x' x' l0 h0.
Proof.
  intros E0 HR Hx Hx' Hd Hb.
  assert (U0 : units (inner (ball_state n)) = n) by apply box_units.
  split; [|split; [|split; [exact U0|]]].
  - split; [split; [split; cbn; unfold unit_grid; lia|cbn; lia]|].
    cbn [gap spill ball_state]. unfold grid, unit_grid. lra.
  - unfold small. cbn [inner ball_state box ranges error]. rewrite grid_0.
    assert (M : (magnitude (repeat (0, unit_grid) n) <= unit_grid)%Z).
    { assert (G : forall k m, (m <= unit_grid)%Z ->
        (fold_left (fun m r => Z.max m (Checker.reach r)) (repeat (0, unit_grid)%Z k) m <=
          unit_grid)%Z).
      { induction k as [|k IH]; intros m Hm; [exact Hm|]. cbn [repeat fold_left]. apply IH.
        unfold Checker.reach. cbn [fst snd]. unfold unit_grid in *. lia. }
      apply G. unfold unit_grid. lia. }
    apply grid_le in M. rewrite grid_1 in M. lra.
  - assert (ends : forall i, (i < n)%nat ->
      l0 i - grid 2 <= x' i <= h0 i + grid 2 /\ 0 <= l0 i /\ h0 i <= 1).
    { intros i Hi. apply (ball_holds eps reach (x i)); auto. }
    constructor; rewrite ?U0.
    + apply box_within, Hx'.
    + intros i _. cbn [inner ball_state box error]. rewrite grid_0, Rminus_eq_0, Rabs_R0. lra.
    + intros i Hi. apply ends, Hi.
    + intros i Hi. cbn [inner ball_state box ranges spill].
      rewrite (nth_indep _ _ (0, unit_grid)%Z) by (rewrite repeat_length; exact Hi).
      rewrite nth_repeat. cbn [fst snd]. rewrite grid_0, grid_1. destruct (ends i Hi). lra.
Qed.

(** Nothing is near overflow. *)
Lemma bounds_moderate s x X l h i : interval_fit s -> small (inner s) -> between s x X l h ->
  (i < units (inner s))%nat -> Rabs (l i) <= IZR (2 ^ 33) /\ Rabs (h i) <= IZR (2 ^ 33).
Proof.
  intros ((Rd & P1 & P2) & P3 & P4) Sm B Hi.
  destruct (bounds_size s x X l h i (conj Rd (conj P1 P2)) B Hi) as [N1 N2].
  rewrite grid_plus in N1, N2. unfold small in Sm.
  pose proof (grid_nonneg _ (magnitude_nonneg (ranges (inner s)))).
  pose proof (grid_nonneg _ (proj1 Rd)).
  assert (grid (outside s) <= IZR (2 ^ 31)).
  { unfold outside. rewrite grid_max, grid_plus. apply Rmax_lub; lra. }
  lra.
Qed.

(** ** Logits between bounds that are apart *)

Lemma apart_label s z y' l h K needed slack label label' :
  interval_fit s -> small (inner s) -> between s z y' l h -> units (inner s) = K ->
  needed = (2 * gap s)%Z -> slack_checked needed slack = true ->
  certifies K (value slack) label l h -> (label < K)%nat -> labels K y' label' -> label' = label.
Proof.
  intros Fz Sz Bz Uz -> C Hc Kl Hl'. destruct (slack_checked_true _ _ C) as [S30 HS].
  rewrite grid_mul in HS.
  pose proof tiny_small as Ht. pose proof unit_single as Hu.
  destruct (Nat.eq_dec label' label) as [|Hne]; [assumption|exfalso].
  pose proof (label_class _ _ _ Hl') as Kl'.
  pose proof (label_not_behind K y' label' label Hl' Kl) as Be.
  pose proof (between_gap _ _ _ _ _ Bz) as Bg. rewrite Uz in Bg.
  pose proof (Bg label Kl) as G1. pose proof (Bg label' Kl') as G2.
  destruct Hc as [best rival worst worst' slack' Hbest Hrival [j0 (Kj & Nj & Hj0)] Hworst Ow Os
    Hgt].
  destruct (Hrival label' Kl' Hne) as [hr [Or Hr]].
  destruct (bounds_moderate s z y' l h label Fz Sz Bz ltac:(lia)) as [Ll _].
  destruct (bounds_moderate s z y' l h j0 Fz Sz Bz ltac:(lia)) as [_ Lj].
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

(** ** A last affine operation, on differences of its rows *)

Lemma affine_size_bound W b s size : affine_size W b s = Some size -> units s = cols W ->
  forall o, (o < rows W)%nat ->
  sum (cols W) (fun j => Rabs (entry W o j)) * grid (magnitude (ranges s)) + Rabs (entry_of b o) <=
    grid size /\
  sum (cols W) (fun j => Rabs (entry W o j)) <= IZR (2 ^ 39) /\ grid size <= IZR (2 ^ 40).
Proof.
  intros H U o Ho. unfold affine_size in H.
  destruct (collect _ (rows W) []) as [l|] eqn:N; [|discriminate].
  set (weight := fold_left (fun m r => Z.max m (unit_weight r)) l 0%Z) in *.
  set (bias := fold_left (fun m r => Z.max m (unit_bias r)) l 0%Z) in *.
  destruct (_ && _) eqn:C; [|discriminate]. apply some_same in H. subst size.
  apply andb_prop in C. destruct C as [C C']. apply Z.leb_le, grid_le in C, C'.
  rewrite grid_largest_operand in C'.
  assert (Hh : grid half_operand = IZR (2 ^ 39)) by (unfold grid, half_operand, unit_grid; lra).
  destruct (collect_nth _ _ _ _ N) as (Ll & F & _). cbn [length] in Ll. rewrite Nat.add_0_r in Ll.
  specialize (F o (AffineUnit 0 0 0 0) Ho).
  destruct (affine_unit_sound (ranges s) W b o _ U F) as (_ & U2 & U3).
  set (r := nth o l (AffineUnit 0 0 0 0)) in *.
  assert (Ir : In r l) by (apply nth_In; lia).
  assert (V2 : sum (cols W) (fun j => Rabs (entry W o j)) <= grid weight).
  { eapply Rle_trans; [exact U2|]. apply grid_le, (fold_max_ge unit_weight l 0), Ir. }
  assert (V3 : Rabs (entry_of b o) <= grid bias).
  { eapply Rle_trans; [exact U3|]. apply grid_le, (fold_max_ge unit_bias l 0), Ir. }
  split; [|split; [lra|exact C']]. rewrite grid_plus. apply Rplus_le_compat; [|exact V3].
  eapply Rle_trans; [|apply mul_up_ge]. apply Rmult_le_compat_r; [|exact V2].
  apply grid_nonneg, magnitude_nonneg.
Qed.

Lemma pairs_label s x X l h lw hw W b d needed slack label label' (Y : vec) :
  interval_fit s -> small (inner s) -> between s x X l h ->
  pairs_needed W b d s = Some needed -> slack_checked needed slack = true ->
  apart (units (inner s)) (value d) l h lw hw ->
  pairs_certify W b (value slack) label lw hw ->
  computes_op (Affine W b) (units (inner s)) X Y ->
  (label < rows W)%nat -> labels (rows W) Y label' -> label' = label.
Proof.
  intros F Sm B H C Ap [worst worst' slack' Hw Ow Os Hgt] CY Kl Hl'.
  destruct (slack_checked_true _ _ C) as [S30 HS]. clear C.
  unfold pairs_needed in H. destruct (moved s d) as [m|] eqn:M; [|discriminate].
  destruct (moved_between s d m x X l h lw hw F Sm B M Ap) as (Fm & Im & Gm & Bm).
  destruct (step (Affine W b) (widened (inner m) (error (inner m)))) as [a|] eqn:Sa;
      [|discriminate].
  destruct (step (Affine W b) (widened (inner m) (outside m))) as [y|] eqn:Sy; [|discriminate].
  destruct (affine_size W b (widened (inner m) (outside m))) as [size|] eqn:Sz; [|discriminate].
  apply some_same in H. subst needed.
  destruct (Nat.eq_dec label' label) as [|Hne]; [assumption|exfalso].
  pose proof (label_class _ _ _ Hl') as Kl'.
  pose proof (label_not_behind _ Y label' label Hl' Kl) as Be.
  rewrite <- Im in CY.
  pose proof (widened_close (Affine W b) _ _ a X Y Sa (value_near m x X lw hw Bm) CY) as DX.
  cbn [out_size apply_op] in DX.
  destruct (affine_facts W b _ y (widened_ready _ _) Sy) as (A & C1 & C2 & C3 & C4 & C5 & C6 & C7).
  rewrite widened_units in C1.
  cbn [widened error] in C3. rewrite Z.add_0_r in C3. fold (widened (inner m) (outside m)) in C3.
  change (State (map (fun r => ((fst r - outside m)%Z, (snd r +
    outside m)%Z)) (ranges (inner m))) 0 unit_grid)
    with (widened (inner m) (outside m)) in C3.
  set (B0 := grid (magnitude (ranges (widened (inner m) (outside m))))) in *.
  assert (Us : units (widened (inner m) (outside m)) = cols W) by (rewrite widened_units; exact C1).
  pose proof (affine_size_bound W b _ size Sz Us) as As. fold B0 in As.
  destruct (As label Kl) as (A1 & A2 & A5). destruct (As label' Kl') as (A3 & A4 & _).
  assert (bnd : forall j, (j < cols W)%nat -> Rabs (lw j) <= B0 /\ Rabs (hw j) <= B0).
  { intros j Hj. rewrite <- C1 in Hj.
    split; apply (magnitude_bound (ranges (widened (inner m) (outside m))));
      try (apply widened_within; intros i Hi; apply (bounds_near m x X lw hw Bm i Hi));
      cbn [widened ranges]; rewrite map_length; exact Hj. }
  assert (ent : forall o, sum (cols W) (fun j => Rabs (entry W o j)) <= IZR (2 ^ 39) ->
            forall j, (j < cols W)%nat -> Rabs (entry W o j) <= IZR (2 ^ 39)).
  { intros o Ho j Hj. eapply Rle_trans; [|exact Ho].
    apply (sum_term (cols W) (fun j => Rabs (entry W o j))); [intros; apply Rabs_pos|exact Hj]. }
  destruct (Hw label' Kl' Hne) as (p & p' & Pb & Op & Wp).
  destruct (pair_bound_error (cols W) (entry W label) (entry W label') (entry_of b label)
    (entry_of b label') lw hw B0 (grid size) p C2 C3) as (q & Cq & Ql & Qe).
  { intros j Hj. split; apply ent; assumption. }
  { exact bnd. }
  { exact A1. }
  { exact A3. }
  { lra. }
  { exact Pb. }
  pose proof tiny_small as Ht. pose proof unit_single as Hu.
  (* the exact difference of the rows *)
  pose proof (row_low_le (cols W) (fun j => entry W label j - entry W label' j)
    (entry_of b label - entry_of b label') lw hw X
    ltac:(intros j Hj; apply (value_inside m x X lw hw Bm Gm); lia)) as [Rl _].
  assert (Rd : sum (cols W) (fun j => (entry W label j - entry W label' j) * X j) =
               sum (cols W) (fun j => entry W label j * X j) -
               sum (cols W) (fun j => entry W label' j * X j)).
  { rewrite <- sum_minus. apply sum_ext. intros. ring. }
  rewrite Rd in Rl.
  pose proof (Rabs_le_inv _ _ (DX label Kl)) as D1.
  pose proof (Rabs_le_inv _ _ (DX label' Kl')) as D2.
  pose proof (affine_room_ge_more (cols W) C2) as G.
  assert (S0 : 0 <= grid size).
  { eapply Rle_trans; [|exact A1]. pose proof (Rabs_pos (entry_of b label)).
    assert (0 <= sum (cols W) (fun j => Rabs (entry W label j)) * B0); [|lra].
    apply Rmult_le_pos; [apply sum_nonneg; intros; apply Rabs_pos|apply C3]. }
  assert (T1 : (growth double (cols W +
    8) - 1) * grid size <= grid (mul_up (affine_room (cols W)) size)).
  { eapply Rle_trans; [|apply mul_up_ge]. apply Rmult_le_compat_r; assumption. }
  rewrite grid_plus, !grid_mul in HS. apply Rabs_le_inv in Qe.
  set (P := grid (mul_up (affine_room (cols W)) size)) in *. set (Ea := grid (error a)) in *.
  assert (zle : q <= 2 * Ea + 2 * P + 2 * t + / IZR (2 ^ 52)) by lra.
  apply operand_error, Rabs_le_inv in Op, Ow, Os.
  assert (pq : p <= q + u * Rabs q + t).
  { destruct Cq as [p R|].
    - pose proof (rounds_error single q p valid_single ltac:(rewrite safe_single; lra) R) as E.
      apply Rabs_le_inv in E. lra.
    - assert (0 <= u * Rabs q) by (apply Rmult_le_pos; [rewrite Hu; lra|apply Rabs_pos]). lra. }
  assert (chain : value slack < q + u * Rabs q + 4 * t) by lra.
  destruct (Rle_dec 0 q) as [Q|Q].
  - rewrite (Rabs_pos_eq q) in chain by exact Q.
    assert (q <= value slack) by (rewrite Hu in HS; lra).
    assert (u * q <= u * value slack) by (apply Rmult_le_compat_l; [rewrite Hu|]; lra).
    lra.
  - rewrite (Rabs_left1 q) in chain by lra. 
    assert (0 <= Ea).
    { apply grid_nonneg. apply (sound_nonneg _ _ _ (step_sound _ _ _ (widened_ready _ _) Sa)). }
    assert (0 <= P) by (unfold P; eapply Rle_trans; [|exact T1]; apply Rmult_le_pos; lra).
    rewrite Hu in *. lra.
Qed.

(** ** The certificate *)

Lemma split_last_some l : forall front W b, split_last l = Some (front, W, b) ->
  l = front ++ [Affine W b].
Proof.
  induction l as [|o l IH]; intros front W b H; [discriminate|]. cbn [split_last] in H.
  destruct (split_last l) as [[[f V] c]|].
  - apply some_same in H. injection H as <- <- <-. cbn [app]. f_equal. apply IH. reflexivity.
  - destruct o; try discriminate H. destruct l; [|discriminate H].
    apply some_same in H. injection H as <- <- <-. reflexivity.
Qed.

Lemma split_last_app front W b : split_last (front ++ [Affine W b]) = Some (front, W, b).
Proof.
  induction front as [|o f IH]; [reflexivity|]. cbn [app split_last]. rewrite IH. reflexivity.
Qed.

Lemma computes_ops_app l1 : forall l2 n x y, computes_ops (l1 ++ l2) n x y ->
  exists z, computes_ops l1 n x z /\ computes_ops l2 (size_after l1 n) z y.
Proof.
  induction l1 as [|o l1 IH]; intros l2 n x y H.
  - exists x. split; [constructor; reflexivity|exact H].
  - cbn [app] in H. inversion H; subst.
    match goal with A : computes_op o n x ?z, C : computes_ops (l1 ++ l2) _ ?z y |- _ =>
      destruct (IH l2 _ z y C) as (w & W1 & W2); exists w; split; [|exact W2];
      apply (computes_cons o l1 n x z w A W1) end.
Qed.

Lemma computes_single o n x y : computes_ops [o] n x y ->
  exists z, computes_op o n x z /\ forall i, (i < out_size o n)%nat -> y i = z i.
Proof.
  intros H. inversion H; subst.
  match goal with A : computes_op o n x ?z, C : computes_ops [] _ ?z y |- _ =>
    exists z; split; [exact A|]; inversion C; subst; assumption end.
Qed.

(** Labels depend on the logits alone. *)
Lemma labels_ext K (y z : vec) l : (forall i, (i < K)%nat -> y i = z i) -> labels K y l ->
  labels K z l.
Proof.
  intros E [y' H1 H2 H3]. apply (labels_largest K z l y'); [exact H1| |exact H3].
  intros j Hj. rewrite <- (E j Hj). apply H2, Hj.
Qed.

(** A host finds the radius eps at x, where its label is [label]; then any host says that
    label at any point of the ball. *)
Theorem interval_certificate N eps reach slack ds needed :
  interval_needed N ds = Some needed -> slack_checked needed slack = true ->
  ball_checked eps reach = true ->
  forall x x' label y' label',
  in_cube (input_size N) x -> in_cube (input_size N) x' ->
  interval_radius N (value reach) (value slack) ds x label -> (label < classes N)%nat ->
  computes N x' y' -> labels (classes N) y' label' ->
  (forall i, (i < input_size N)%nat -> Rabs (x' i - x i) <= value eps) ->
  label' = label.
Proof.
  intros A C Bc x x' label y' label' Hx Hx' Hr Kl Hy' Hl' Hd.
  destruct (ball_checked_true eps reach Bc) as [E0 HR].
  unfold interval_needed in A. destruct Hr as [rest l h Hno Hb Hc|front W b d rest l h lw hw Hops
    Hb Ap Hp].
  - destruct (split_last (ops N)) as [[[f W] b]|] eqn:Sp.
    { exfalso. apply (Hno W b f), split_last_some, Sp. }
    destruct (interval_ops (ops N) ds (ball_state (input_size N))) as [[s rest']|] eqn:I;
        [|discriminate].
    destruct rest' as [|? ?]; [|discriminate]. destruct (2 <=? _)%nat; [|discriminate].
    apply some_same in A. subst needed. destruct Hb as [l0 h0 rest l h Hball Hbo].
    destruct (ball_between _ _ _ x x' l0 h0 E0 HR Hx Hx' Hd Hball) as (F0 & Sm0 & U0 & B0).
    unfold computes in Hy'. rewrite <- U0 in Hy', Hbo.
    destruct (interval_ops_between _ _ _ _ _ _ _ _ _ _ _ _ _ F0 Sm0 B0 I Hy' Hbo)
      as (_ & z & Bz & Fz & Sz & Uz).
    rewrite U0 in Uz.
    apply (apart_label s z y' l h (classes N) (2 *
      gap s) slack label label' Fz Sz Bz Uz eq_refl C Hc
      Kl Hl').
  - rewrite Hops, split_last_app in A.
    inversion Hb as [l0 h0 rest0 l1 h1 Hball Hbo]; subst rest0 l1 h1.
    destruct (interval_ops front ds (ball_state (input_size N))) as [[s rest']|] eqn:I;
        [|discriminate].
    destruct rest' as [|d' [|? ?]]; try discriminate. destruct (2 <=? _)%nat; [|discriminate].
    destruct (ball_between _ _ _ x x' l0 h0 E0 HR Hx Hx' Hd Hball) as (F0 & Sm0 & U0 & B0).
    unfold computes in Hy'. rewrite Hops in Hy'.
    destruct (computes_ops_app front [Affine W b] _ _ _ Hy') as (X & HX & HY).
    rewrite <- U0 in HX, Hbo.
    destruct (interval_ops_between _ _ _ _ _ _ _ _ _ _ _ _ _ F0 Sm0 B0 I HX Hbo)
      as (Er & z & Bz & Fz & Sz & Uz).
    injection Er as -> ->. rewrite U0 in Uz.
    destruct (computes_single _ _ _ _ HY) as (Y & CY & EY). cbn [out_size] in EY.
    assert (K : classes N = rows W).
    { unfold classes, size_after. rewrite Hops, fold_left_app. reflexivity. }
    rewrite K in *. rewrite <- Uz in CY, Ap.
    apply (pairs_label s z X l h lw hw W b d' needed slack label label' Y Fz Sz Bz A C Ap Hp CY Kl).
    apply (labels_ext _ y' Y label' EY Hl').
Qed.
