(** * IntervalCertificate: where bounds are apart, every host says the same label in the ball *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Ranges CheckerSound LayersSound AffineSound ErrorBound IntervalSemantics
  IntervalChecker MonotoneSound NeuronBounds RadiusSound IntervalSound AffineBounds AffineStep.
From SortNet.float Require BitPatterns.
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
    pose proof (mul_up_nonneg _ _ (lipschitz_nonneg a) G0).
    pose proof (mul_up_nonneg _ _ (lipschitz_nonneg a) S0).
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
  - unfold interval_step in H. destruct (step _ _); discriminate H.
  - unfold interval_step in H. destruct (step _ _); discriminate H.
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
  - apply (step_small (Affine W b) (inner m)); [left; rewrite Im; exact Sm|exact S1].
  - apply (sound_units _ _ _ (step_sound _ _ _ (proj1 (proj1 Fm)) S1)).
Qed.

(** Values are small; or the inputs are not, but are normalized first. *)
Definition settled_by (ops : list op) (s : state) : Prop :=
  small s \/ exists mean std l, ops = Normalize mean std :: l.

Lemma settled_first o l s : settled_by (o :: l) s ->
  small s \/ exists mean std, o = Normalize mean std.
Proof.
  intros [H|(mean & std & l' & H)]; [left; exact H|right]. exists mean, std. congruence.
Qed.

Lemma interval_ops_between ops : forall ds s s' rest x X l h Y rest' l' h', interval_fit s ->
  settled_by ops (inner s) -> between s x X l h -> interval_ops ops ds s = Some (s', rest) ->
  computes_ops ops (units (inner s)) X Y ->
  bounds_ops ops ds (units (inner s)) l h rest' l' h' ->
  rest' = rest /\
  exists z, between s' z Y l' h' /\ interval_fit s' /\ small (inner s') /\
  units (inner s') = size_after ops (units (inner s)).
Proof.
  induction ops as [|o ops IH]; intros ds s s' rest x X l h Y rest' l' h' F Sm B H CY CB.
  - cbn [interval_ops] in H. apply some_same in H. injection H as <- <-.
    inversion CY; subst. inversion CB; subst. split; [reflexivity|].
    destruct Sm as [Sm|(? & ? & ? & Sm)]; [|discriminate Sm].
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
          (or_introl (step_small o _ _ (settled_first o ops _ Sm) (interval_step_inner o s s1 S1)))
          B1 H1 C2 D2)
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
    destruct o as [| | | | | | |W b| | | | | | |]; try (apply other; [discriminate|exact H]).
    clear plain other. destruct ds as [|d ds]; [discriminate|].
    assert (Sm' : small (inner s))
      by (destruct Sm as [Sm|(? & ? & ? & Sm)]; [exact Sm|discriminate Sm]).
    destruct (affine_step W b d s) as [s1|] eqn:S1; [|discriminate].
    inversion CY; subst. inversion CB; subst.
    { match goal with N : forall W0 b0, Affine W b <> Affine W0 b0 |- _ =>
        exfalso; eapply N; reflexivity end. }
    match goal with C1 : computes_op _ _ X ?Z, C2 : computes_ops ops _ ?Z Y,
      D0 : apart _ _ l h ?lw ?hw, D2 : bounds_ops ops _ _ ?l1 ?h1 _ l' h' |- _ =>
      destruct (affine_step_both W b d s s1 x X l h lw hw Z l1 h1 F Sm' B S1 C1 D0 ltac:(assumption))
        as (F1 & Sm1 & U1 & B1); apply or_introl with (B := exists mean std l, ops = Normalize mean std :: l) in Sm1;
      cbn [out_size] in C2; rewrite <- U1 in C2, D2;
      destruct (IH ds s1 s' rest _ Z l1 h1 Y rest' l' h' F1 Sm1 B1 H C2 D2)
        as (E & q & Bz & Fz & Sz & Uz) end.
    split; [exact E|]. exists q. split; [exact Bz|]. split; [exact Fz|]. split; [exact Sz|].
    rewrite Uz, U1. reflexivity.
Qed.

(** ** The ball *)

Lemma finite_single b : finite b = true -> single_number (value b).
Proof.
  intros H. rewrite (BitPatterns.value_is_binary32 b H).
  apply (Binary.generic_format_B2R 24 128).
Qed.

(** A host's result is no further than any float, but for what is flushed. *)
Lemma rounds_beside a y f : Rabs a <= safe single -> single_number f -> rounds single a y ->
  Rabs (y - a) <= Rabs (f - a) + t.
Proof.
  intros S F [H|H|y' H].
  - pose proof (tiny_pos single). unfold nearest. cbn [least digits single].
    enough (Rabs (round radix2 (FLT_exp (-149) 24) ZnearestE a - a) <= Rabs (f - a)) by lra.
    assert (Prec_gt_0 24) by reflexivity.
    apply (round_N_pt radix2 (FLT_exp (-149) 24) (fun z => negb (Z.even z)) a); exact F.
  - replace (0 - a) with (- a) by ring. rewrite Rabs_Ropp. pose proof (Rabs_pos (f - a)).
    unfold tiny. lra.
  - pose proof (nearest_safe single a valid_single S). lra.
Qed.

Lemma largest_of_two a b : Rabs a <= Rmax (Rabs a) (Rabs b) /\ Rabs b <= Rmax (Rabs a) (Rabs b).
Proof. split; [apply Rmax_l|apply Rmax_r]. Qed.

(** The ends of the ball are beyond the points of the ball, but for tiny numbers. *)
Lemma ball_holds low high es reach x x' lo hi :
  single_number low -> single_number high ->
  - IZR (2 ^ 80) <= low -> high <= IZR (2 ^ 80) -> reach <= IZR (2 ^ 80) ->
  low <= x <= high -> low <= x' <= high -> Rabs (x' - x) <= es -> 0 <= es ->
  (es + u * Rmax (Rabs low) (Rabs high) <= reach \/
    es = 0 /\ reach = 0 /\ single_number x) ->
  ball low high reach x lo hi ->
  lo - 9 * t <= x' <= hi + 9 * t /\ low - t <= lo /\ hi <= high + t.
Proof.
  intros Fl Fh Hl Hh Hr Hx Hx' Hd He Hc [b a b' a' l' h' Db Da Ob Oa Ol Oh].
  pose proof tiny_small as Ht. pose proof unit_single as Hu.
  destruct (largest_of_two low high) as [Ml Mh]. set (M := Rmax (Rabs low) (Rabs high)) in *.
  assert (Hm : M <= IZR (2 ^ 80)) by (apply Rmax_lub; apply Rabs_le; lra).
  apply Rabs_le_inv in Ml, Mh, Hd.
  assert (Hr0 : 0 <= reach) by (destruct Hc as [Hc|Hc]; [rewrite Hu in Hc|]; lra).
  destruct Db as [x1 r1 b X1 R1 Rb]. destruct Da as [x2 r2 a X2 R2 Ra].
  apply operand_error, Rabs_le_inv in Ob, Oa, Ol, Oh, X1, X2, R1, R2.
  set (d := x1 - r1) in *. set (s := x2 + r2) in *.
  assert (Sd : Rabs d <= safe single) by (rewrite safe_single; apply Rabs_le; unfold d; lra).
  assert (Ss : Rabs s <= safe single) by (rewrite safe_single; apply Rabs_le; unfold s; lra).
  assert (B : b <= x' + 5 * t \/ b <= low + 5 * t).
  { destruct Hc as [Hc|(E0 & Er & Fx)].
    - destruct (Rle_dec d low) as [C|C].
      + right. pose proof (Rabs_le_inv _ _ (rounds_beside d b low Sd Fl Rb)) as N.
        rewrite (Rabs_pos_eq (low - d)) in N by lra. lra.
      + left. pose proof (rounds_error single d b valid_single Sd Rb) as N.
        assert (Rabs d <= M + 2 * t) by (apply Rabs_le; unfold d in *; lra).
        assert (u * Rabs d <= u * (M + 2 * t)) by (apply Rmult_le_compat_l; rewrite ?Hu; lra).
        apply Rabs_le_inv in N. rewrite Hu in *. unfold d in *. lra.
    - left. pose proof (rounds_beside d b x Sd Fx Rb) as N.
      assert (Rabs (x - d) <= 2 * t) by (apply Rabs_le; unfold d; lra).
      apply Rabs_le_inv in N. unfold d in *. lra. }
  assert (A : x' - 5 * t <= a \/ high - 5 * t <= a).
  { destruct Hc as [Hc|(E0 & Er & Fx)].
    - destruct (Rle_dec high s) as [C|C].
      + right. pose proof (Rabs_le_inv _ _ (rounds_beside s a high Ss Fh Ra)) as N.
        rewrite (Rabs_left1 (high - s)) in N by lra. lra.
      + left. pose proof (rounds_error single s a valid_single Ss Ra) as N.
        assert (Rabs s <= M + 2 * t) by (apply Rabs_le; unfold s in *; lra).
        assert (u * Rabs s <= u * (M + 2 * t)) by (apply Rmult_le_compat_l; rewrite ?Hu; lra).
        apply Rabs_le_inv in N. rewrite Hu in *. unfold s in *. lra.
    - left. pose proof (rounds_beside s a x Ss Fx Ra) as N.
      assert (Rabs (x - s) <= 2 * t) by (apply Rabs_le; unfold s; lra).
      apply Rabs_le_inv in N. unfold s in *. lra. }
  split; [split|split].
  - enough (Rmax b' l' <= x' + 9 * t) by lra. apply Rmax_lub; lra.
  - enough (x' - 9 * t <= Rmin a' h') by lra. apply Rmin_glb; lra.
  - eapply Rle_trans; [|apply Rmax_r]. lra.
  - eapply Rle_trans; [apply Rmin_r|]. lra.
Qed.

(** *** What the checker compares exactly *)

Lemma reach_checked_true eps low high s reach :
  0 <= value eps -> (0 <= mantissa s)%Z -> reach_checked eps low high s reach = true ->
  (value reach <= IZR (2 ^ 80) /\ - IZR (2 ^ 80) <= value low /\ value high <= IZR (2 ^ 80)) /\
  (value eps * value s + u * Rmax (Rabs (value low)) (Rabs (value high)) <= value reach \/
   value s = 0 /\ value reach = 0).
Proof.
  intros E0 S0 C. unfold reach_checked in C.
  repeat (apply andb_prop in C; destruct C as [C ?C]).
  apply Z.leb_le, grid_le in C1, C2, C3. pose proof (above_value reach) as A.
  pose proof (below_value low) as Al. pose proof (above_value high) as Ah. rewrite grid_opp in C2.
  assert (L : grid largest_reach = IZR (2 ^ 80)).
  { unfold grid, largest_reach, unit_grid. lra. }
  split; [lra|]. destruct (mantissa s =? 0)%Z eqn:Z0.
  - right. apply Z.eqb_eq in Z0, C0. unfold value. rewrite Z0, C0. split; ring.
  - left. apply Z.leb_le, IZR_le in C0.
    rewrite plus_IZR, mult_IZR, !Z.shiftl_mul_pow2, !mult_IZR in C0 by lia.
    set (p := bpow radix2 (-149)).
    assert (P : 0 < p) by apply bpow_gt_0.
    assert (P1 : IZR (2 ^ 149) * p = 1).
    { unfold p. change 2%Z with (radix_val radix2). rewrite IZR_Zpower, <- bpow_plus by lia.
      reflexivity. }
    assert (P2 : IZR (2 ^ 125) * p = u).
    { unfold p, unit. change 2%Z with (radix_val radix2). rewrite IZR_Zpower, <- bpow_plus by lia.
      reflexivity. }
    assert (Mx : Rmax (Rabs (value low)) (Rabs (value high)) =
                 IZR (Z.max (Z.abs (multiple low)) (Z.abs (multiple high))) * p).
    { rewrite !multiple_value. fold p. rewrite !Rabs_mult, (Rabs_pos_eq p) by lra.
      rewrite !Rabs_Zabs.
      destruct (Z.max_spec (Z.abs (multiple low)) (Z.abs (multiple high))) as [[H ->]|[H ->]].
      - apply Rmax_right, Rmult_le_compat_r; [lra|]. apply IZR_le. lia.
      - apply Rmax_left, Rmult_le_compat_r; [lra|]. apply IZR_le. lia. }
    rewrite Mx, !multiple_value. fold p. rewrite <- P2.
    set (m := IZR (Z.max _ _)) in *.
    apply (Rmult_le_compat_r (p * p)) in C0; [|apply Rmult_le_pos; lra].
    replace (IZR (multiple reach) * p) with (IZR (multiple reach) * (IZR (2 ^ 149) * p) * p)
      by (rewrite P1; ring).
    eapply Rle_trans; [|eapply Rle_trans; [exact C0|]]; right; ring.
Qed.

Lemma reaches_checked_true eps : 0 <= value eps ->
  forall ls hs ss rs, (forall i, (0 <= mantissa (nth i ss 0))%Z) ->
  reaches_checked eps ls hs ss rs = true ->
  forall i, (i < length ls)%nat ->
  reach_checked eps (nth i ls 0%Z) (nth i hs 0%Z) (nth i ss 0%Z) (nth i rs 0%Z) = true.
Proof.
  intros E0. induction ls as [|l ls IH]; intros [|h hs] [|s ss] [|r rs] N H i Hi;
    try discriminate H; try (simpl in Hi; lia).
  cbn [reaches_checked] in H. apply andb_prop in H. destruct H as [H H'].
  destruct i as [|i]; [exact H|]. cbn [nth]. apply (IH hs ss rs (fun i => N (S i)) H'). 
  simpl in Hi. lia.
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

(** The start: inputs between the ends of the ball. *)
Lemma ball_between D eps reaches s x x' l0 h0 :
  ball_state D = Some s -> ball_checked D eps reaches = true ->
  in_box D x -> in_box D x' -> held D x -> in_ball D (value eps) x x' ->
  (forall i, (i < length (lows D))%nat ->
    ball (entry_of (lows D) i) (entry_of (highs D) i) (entry_of reaches i) (x i)
      (l0 i) (h0 i)) ->
  interval_fit s /\ units (inner s) = length (lows D) /\ between s x' x' l0 h0.
Proof.
  unfold ball_state. intros Hs Hc Hx Hx' Hf Hd Hb.
  destruct (region_checked D) eqn:C; [|discriminate].
  apply some_same in Hs. subst s.
  pose proof (start_units D C) as U0. pose proof (start_ready D C) as R0.
  destruct (region_checked_true D C) as (Lh & Ls & Ms). cbn [inner].
  pose proof tiny_small as Ht.
  split; [|split; [exact U0|]].
  - split; [split; [exact R0|cbn; lia]|].
    cbn [gap spill]. unfold grid, unit_grid. lra.
  - assert (Fin : forall i, (i < length (lows D))%nat ->
      single_number (entry_of (lows D) i) /\ single_number (entry_of (highs D) i)).
    { intros i Hi. unfold region_checked in C.
      repeat (apply andb_prop in C; destruct C as [C ?C]). rewrite forallb_forall in C, C6.
      split; apply finite_single; [apply C|apply C6]; apply nth_In; lia. }
    unfold ball_checked in Hc. repeat (apply andb_prop in Hc; destruct Hc as [Hc ?C]).
    apply Z.ltb_lt in C2.
    assert (E0 : 0 <= value eps) by (apply mantissa_value; lia).
    assert (ends : forall i, (i < length (lows D))%nat ->
      l0 i - 9 * t <= x' i <= h0 i + 9 * t /\
      entry_of (lows D) i - t <= l0 i /\ h0 i <= entry_of (highs D) i + t).
    { intros i Hi.
      pose proof (reaches_checked_true eps E0 _ _ _ _ Ms C0 i Hi) as Rc.
      destruct (reach_checked_true _ _ _ _ _ E0 (Ms i) Rc) as [(Rl & Rlo & Rhi) Rc'].
      fold (entry_of (lows D) i) (entry_of (highs D) i) (entry_of (units_of D) i)
        (entry_of reaches i) in Rl, Rlo, Rhi, Rc'.
      pose proof (mantissa_value _ (Ms i)) as S0. fold (entry_of (units_of D) i) in S0.
      destruct (Fin i Hi) as [F1 F2].
      apply (ball_holds (entry_of (lows D) i) (entry_of (highs D) i)
               (value eps * entry_of (units_of D) i) (entry_of reaches i) (x i)); auto.
      - apply Rmult_le_pos; assumption.
      - destruct Rc' as [Rc'|[Rs Rr]]; [left; exact Rc'|right].
        split; [rewrite Rs; ring|]. split; [exact Rr|]. apply (Hf i Hi Rs). }
    constructor; cbn [inner gap spill]; rewrite ?U0.
    + apply start_within; assumption.
    + intros i _. cbn [start error]. rewrite grid_0, Rminus_eq_0, Rabs_R0. lra.
    + intros i Hi. rewrite grid_step. destruct (ends i Hi). lra.
    + intros i Hi. rewrite grid_step. destruct (ends i Hi) as (_ & E1 & E2).
      unfold start. cbn [ranges]. rewrite (map2_nth _ _ _ 0%Z 0%Z) by auto. cbn [fst snd].
      pose proof (below_value (nth i (lows D) 0%Z)). pose proof (above_value (nth i (highs D) 0%Z)).
      unfold entry_of in E1, E2. lra.
Qed.

Lemma start_checked_true D l : region_checked D = true -> start_checked D l = true ->
  settled_by l (start D).
Proof.
  intros C H. unfold start_checked in H.
  assert (S : (magnitude (ranges (start D)) <=? largest_value)%Z = true -> small (start D)).
  { intros S. apply Z.leb_le, grid_le in S. rewrite grid_largest_value in S.
    unfold small. cbn [start error]. rewrite grid_0. lra. }
  destruct l as [|[] l]; try (left; apply S, H). right. eauto.
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
    outside m)%Z)) (ranges (inner m))) 0 (repeat unit_grid (units (inner m))))
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
Theorem interval_certificate N eps reaches slack ds needed :
  interval_needed N ds = Some needed -> slack_checked needed slack = true ->
  ball_checked (input N) eps reaches = true ->
  forall x x' label y' label',
  in_box (input N) x -> in_box (input N) x' -> held (input N) x ->
  interval_radius N reaches (value slack) ds x label -> (label < classes N)%nat ->
  computes N x' y' -> labels (classes N) y' label' ->
  in_ball (input N) (value eps) x x' ->
  label' = label.
Proof.
  intros A C Bc x x' label y' label' Hx Hx' Hf Hr Kl Hy' Hl' Hd.
  unfold interval_needed in A.
  destruct (ball_state (input N)) as [s0|] eqn:S0; [|discriminate].
  destruct (start_checked (input N) (ops N)) eqn:St; [|discriminate].
  assert (Sm0 : settled_by (ops N) (inner s0)).
  { unfold ball_state in S0. destruct (region_checked (input N)) eqn:Rg; [|discriminate].
    apply some_same in S0. subst s0. apply start_checked_true; assumption. }
  destruct Hr as [rest l h Hno Hb Hc|front W b d rest l h lw hw Hops
    Hb Ap Hp].
  - destruct (split_last (ops N)) as [[[f W] b]|] eqn:Sp.
    { exfalso. apply (Hno W b f), split_last_some, Sp. }
    destruct (interval_ops (ops N) ds s0) as [[s rest']|] eqn:I;
        [|discriminate].
    destruct rest' as [|? ?]; [|discriminate]. destruct (2 <=? _)%nat; [|discriminate].
    apply some_same in A. subst needed. destruct Hb as [l0 h0 rest l h Hball Hbo].
    destruct (ball_between _ _ _ _ x x' l0 h0 S0 Bc Hx Hx' Hf Hd Hball) as (F0 & U0 & B0).
    unfold computes, input_size in Hy'. rewrite <- U0 in Hy', Hbo.
    destruct (interval_ops_between _ _ _ _ _ _ _ _ _ _ _ _ _ F0 Sm0 B0 I Hy' Hbo)
      as (_ & z & Bz & Fz & Sz & Uz).
    rewrite U0 in Uz.
    apply (apart_label s z y' l h (classes N) (2 *
      gap s) slack label label' Fz Sz Bz Uz eq_refl C Hc
      Kl Hl').
  - assert (Sm1 : settled_by front (inner s0)).
    { destruct Sm0 as [Sm0|(mean & std & l1 & Sm0)]; [left; exact Sm0|].
      rewrite Hops in Sm0. destruct front as [|o front]; [discriminate Sm0|].
      injection Sm0 as -> _. right. eauto. }
    unfold input_size in Ap. rewrite Hops, split_last_app in A.
    inversion Hb as [l0 h0 rest0 l1 h1 Hball Hbo]; subst rest0 l1 h1.
    destruct (interval_ops front ds s0) as [[s rest']|] eqn:I;
        [|discriminate].
    destruct rest' as [|d' [|? ?]]; try discriminate. destruct (2 <=? _)%nat; [|discriminate].
    destruct (ball_between _ _ _ _ x x' l0 h0 S0 Bc Hx Hx' Hf Hd Hball) as (F0 & U0 & B0).
    unfold computes, input_size in Hy'. rewrite Hops in Hy'.
    destruct (computes_ops_app front [Affine W b] _ _ _ Hy') as (X & HX & HY).
    rewrite <- U0 in HX, Hbo.
    destruct (interval_ops_between _ _ _ _ _ _ _ _ _ _ _ _ _ F0 Sm1 B0 I HX Hbo)
      as (Er & z & Bz & Fz & Sz & Uz).
    injection Er as -> ->. rewrite U0 in Uz.
    destruct (computes_single _ _ _ _ HY) as (Y & CY & EY). cbn [out_size] in EY.
    assert (K : classes N = rows W).
    { unfold classes, size_after. rewrite Hops, fold_left_app. reflexivity. }
    rewrite K in *. rewrite <- Uz in CY, Ap.
    apply (pairs_label s z X l h lw hw W b d' needed slack label label' Y Fz Sz Bz A C Ap Hp CY Kl).
    apply (labels_ext _ y' Y label' EY Hl').
Qed.
