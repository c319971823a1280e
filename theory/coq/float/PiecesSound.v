(** * PiecesSound: the checker is sound for piecewise-linear functions *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  SignedError PiecesError LayerError Grid Checker Selection Ranges CheckerSound LayersSound
  AffineSound SignedSound.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).

(** ** The ends *)

Lemma ascending_by_nth l : ascending_by l = true -> forall j, (S j < length l)%nat ->
  value (nth j l 0%Z) < value (nth (S j) l 0%Z).
Proof.
  induction l as [|a [|b l] IH]; intros H j Hj; [simpl in Hj; lia|simpl in Hj; lia|].
  cbn [ascending_by] in H. apply andb_prop in H. destruct H as [H H'].
  destruct j as [|j].
  - cbn [nth]. apply Z.ltb_lt, IZR_lt in H. rewrite !multiple_value.
    apply Rmult_lt_compat_r; [apply bpow_gt_0|exact H].
  - change (nth (S j) (a :: b :: l) 0%Z) with (nth j (b :: l) 0%Z).
    change (nth (S (S j)) (a :: b :: l) 0%Z) with (nth (S j) (b :: l) 0%Z).
    apply IH; [exact H'|]. cbn [length] in *. lia.
Qed.

Lemma piece_ends_length knots : length (piece_ends knots) = S (S (length knots)).
Proof. unfold piece_ends. cbn [length]. rewrite app_length. cbn [length]. lia. Qed.

Lemma piece_ends_up knots : ascending_by (piece_ends knots) = true ->
  forall j, (j < S (length knots))%nat ->
  entry_of (piece_ends knots) j < entry_of (piece_ends knots) (S j).
Proof. intros H j Hj. apply (ascending_by_nth _ H). rewrite piece_ends_length. lia. Qed.

Lemma infinite_value : value infinite = IZR (2 ^ 128) /\ value minus_infinite = - IZR (2 ^ 128).
Proof.
  unfold value. change (mantissa infinite) with 8388608%Z. change (exponent infinite) with 105%Z.
  change (mantissa minus_infinite) with (-8388608)%Z.
  change (exponent minus_infinite) with 105%Z.
  assert (B : bpow radix2 105 = IZR (2 ^ 105)) by reflexivity. rewrite B. split; lra.
Qed.

(** ** Values at a point *)

Lemma parts_bounds_nth ends r : forall j, (S j < length ends)%nat ->
  nth j (parts_bounds ends r) (0, 0)%Z =
  part_bounds (nth j ends 0%Z) (nth (S j) ends 0%Z) (nth j ends 0%Z) r.
Proof.
  induction ends as [|a [|b l] IH]; intros j Hj; [simpl in Hj; lia|simpl in Hj; lia|].
  destruct j as [|j]; [reflexivity|].
  change (parts_bounds (a :: b :: l) r) with (part_bounds a b a r :: parts_bounds (b :: l) r).
  cbn [nth]. apply (IH j). cbn [length] in *. lia.
Qed.

Lemma parts_bounds_length ends r : length (parts_bounds ends r) = (length ends - 1)%nat.
Proof.
  induction ends as [|a [|b l] IH]; [reflexivity|reflexivity|].
  change (parts_bounds (a :: b :: l) r) with (part_bounds a b a r :: parts_bounds (b :: l) r).
  cbn [length] in *. rewrite IH. lia.
Qed.

Lemma all_parts_spec knots r : (1 <= length knots)%nat ->
  length (all_parts knots r) = S (length knots) /\
  forall j, (j < S (length knots))%nat ->
  nth j (all_parts knots r) (0, 0)%Z =
  part_bounds (nth j (piece_ends knots) 0%Z) (nth (S j) (piece_ends knots) 0%Z)
    (nth (Nat.max j 1) (piece_ends knots) 0%Z) r.
Proof.
  intros H. destruct knots as [|t l]; [simpl in H; lia|]. unfold all_parts.
  cbn [length]. rewrite parts_bounds_length, app_length. cbn [length]. split; [lia|].
  intros [|j] Hj; [reflexivity|].
  replace (Nat.max (S j) 1) with (S j) by lia. cbn [nth piece_ends]. unfold piece_ends.
  apply (parts_bounds_nth ((t :: l) ++ [infinite]) r j).
  rewrite app_length. cbn [length] in *. lia.
Qed.

Lemma part_bounds_range low high origin r x : in_range r x ->
  in_range (part_bounds low high origin r) (clamp (value low) (value high) x - value origin).
Proof.
  intros [H1 H2]. unfold in_range, part_bounds. cbn [fst snd].
  rewrite !grid_minus, !grid_min, !grid_max.
  pose proof (below_value low). pose proof (above_value low). pose proof (below_value high).
  pose proof (above_value high). pose proof (below_value origin). pose proof (above_value origin).
  unfold clamp. split; apply Rplus_le_compat; try lra.
  - apply Rmin_glb.
    + eapply Rle_trans; [apply Rmin_l|]. apply Rmax_lub.
      * eapply Rle_trans; [exact H1|apply Rmax_l].
      * eapply Rle_trans; [eassumption|apply Rmax_r].
    + eapply Rle_trans; [apply Rmin_r|lra].
  - apply Rmin_glb.
    + eapply Rle_trans; [apply Rmin_l|]. apply Rmax_lub.
      * eapply Rle_trans; [exact H2|apply Rmax_l].
      * eapply Rle_trans; [eassumption|apply Rmax_r].
    + eapply Rle_trans; [apply Rmin_r|lra].
Qed.

Lemma pieces_at_sound knots row r lo hi x : (1 <= length knots)%nat -> in_range r x ->
  pieces_at knots row r = Some (lo, hi) ->
  in_range (lo, hi) (pieces knots (fun j => value (nth j row 0%Z)) x).
Proof.
  intros H Hx E. unfold pieces_at in E.
  destruct (affine_scan (all_parts knots r) row 0 0 0) as [[[low high] w]|] eqn:A; [|discriminate].
  apply some_same in E. pose proof (f_equal fst E) as E1. pose proof (f_equal snd E) as E2.
  cbn [fst snd] in E1, E2. clear E. subst lo hi.
  destruct (all_parts_spec knots r H) as [L N].
  assert (W : within (all_parts knots r) (fun j => part knots j x)).
  { intros j Hj. rewrite L in Hj. rewrite N by exact Hj. apply part_bounds_range, Hx. }
  destruct (affine_scan_sound _ _ _ _ _ _ _ _ _ A W) as (_ & H1 & H2).
  rewrite L, fine_0 in H1, H2. unfold in_range, pieces. cbn [fst snd]. rewrite grid_opp.
  pose proof (shiftr_fine low). pose proof (shiftr_fine (- high)) as Sh. rewrite fine_opp in Sh.
  lra.
Qed.

(** ** Extremes *)

Lemma locate (E : nat -> R) x : forall k, (1 <= k)%nat -> E 0%nat <= x -> x <= E k ->
  exists j, (j < k)%nat /\ E j <= x <= E (S j).
Proof.
  induction k as [|k IH]; intros H H0 Hk; [lia|].
  destruct (Rle_dec (E k) x) as [C|C]; [exists k; split; [lia|lra]|].
  destruct k as [|k]; [lra|]. destruct (IH ltac:(lia) H0 ltac:(lra)) as (j & J1 & J2).
  exists j. split; [lia|exact J2].
Qed.

Section Unit.

Variables (knots : list Z) (s : vec).
Local Notation E j := (entry_of (piece_ends knots) j).
Local Notation m := (S (length knots)).
Hypothesis Some_ : (1 <= length knots)%nat.
Hypothesis Up : forall j, (j < m)%nat -> E j < E (S j).

Lemma ends_le k j : (j <= k)%nat -> (k <= m)%nat -> E j <= E k.
Proof.
  intros H H'. apply (ends_up (fun j => E j) m); [|exact H|exact H'].
  intros i Hi. specialize (Up i Hi). cbv beta. lra.
Qed.

(** Inside a piece the function is affine. *)
Lemma pieces_affine j x a : (j < m)%nat -> E j <= x <= E (S j) -> E j <= a <= E (S j) ->
  pieces knots s x - pieces knots s a = s j * (x - a).
Proof.
  intros Hj Hx Ha. unfold pieces. rewrite <- sum_minus.
  assert (G : forall k, (k <= m)%nat ->
    sum k (fun i => s i * part knots i x - s i * part knots i a) =
    if (j <? k)%nat then s j * (x - a) else 0).
  { induction k as [|k IH]; intros Hk; [reflexivity|]. cbn [sum]. rewrite IH by lia.
    assert (P : part knots k x - part knots k a = if (k =? j)%nat then x - a else 0).
    { unfold part. pose proof (Up k ltac:(lia)).
      destruct (Nat.eqb_spec k j) as [->|Hne].
      - rewrite !clamp_inside by assumption. ring.
      - destruct (Nat.lt_ge_cases k j) as [L|L].
        + pose proof (ends_le j (S k) ltac:(lia) ltac:(lia)).
          rewrite !clamp_above by lra. ring.
        + pose proof (ends_le k (S j) ltac:(lia) ltac:(lia)).
          rewrite !clamp_below by lra. ring. }
    rewrite <- Rmult_minus_distr_l, P.
    destruct (Nat.ltb_spec j k), (Nat.ltb_spec j (S k)), (Nat.eqb_spec k j); try lia; subst;
      ring. }
  rewrite G by lia. destruct (Nat.ltb_spec j m); [reflexivity|lia].
Qed.

Lemma pieces_between l h x : E 0%nat < l -> h < E m -> l <= x <= h ->
  exists a b,
  (a = l \/ exists j, (j < length knots)%nat /\ a = value (nth j knots 0%Z) /\ l <= a <= h) /\
  (b = h \/ exists j, (j < length knots)%nat /\ b = value (nth j knots 0%Z) /\ l <= b <= h) /\
  (pieces knots s a <= pieces knots s x <= pieces knots s b \/
   pieces knots s b <= pieces knots s x <= pieces knots s a).
Proof.
  intros Hl Hh Hx.
  destruct (locate (fun j => E j) x m ltac:(lia) ltac:(lra) ltac:(lra)) as (j & J1 & J2).
  cbv beta in J2.
  assert (knot : forall i, (1 <= i)%nat -> (i <= length knots)%nat ->
            E i = value (nth (i - 1) knots 0%Z)).
  { intros [|i] I1 I2; [lia|]. unfold entry_of, piece_ends. cbn [nth].
    rewrite app_nth1 by lia. replace (S i - 1)%nat with i by lia. reflexivity. }
  exists (Rmax l (E j)), (Rmin h (E (S j))). split; [|split].
  - unfold Rmax. destruct (Rle_dec l (E j)) as [C|C]; [right|left; reflexivity].
    destruct j as [|j]; [lra|]. exists j. split; [lia|].
    pose proof (knot (S j) ltac:(lia) ltac:(lia)) as K. replace (S j - 1)%nat with j in K by lia.
    split; [exact K|lra].
  - unfold Rmin. destruct (Rle_dec h (E (S j))) as [C|C]; [left; reflexivity|right].
    destruct (Nat.eq_dec j (length knots)) as [->|Hne]; [lra|].
    exists j. split; [lia|].
    pose proof (knot (S j) ltac:(lia) ltac:(lia)) as K. replace (S j - 1)%nat with j in K by lia.
    split; [exact K|lra].
  - assert (Ha : E j <= Rmax l (E j) <= x).
    { split; [apply Rmax_r|]. apply Rmax_lub; lra. }
    assert (Hb : x <= Rmin h (E (S j)) <= E (S j)).
    { split; [|apply Rmin_r]. apply Rmin_glb; lra. }
    pose proof (pieces_affine j x (Rmax l (E j)) J1 J2 ltac:(lra)) as A.
    pose proof (pieces_affine j (Rmin h (E (S j))) x J1 ltac:(lra) J2) as B.
    destruct (Rle_dec 0 (s j)) as [S|S]; [left|right]; nra.
Qed.

End Unit.

Lemma fold_join {A} (f : A -> option (Z * Z)) ks : forall start R,
  fold_left (fun a k => join_option a (f k)) ks start = Some R ->
  (exists i, start = Some i /\ (fst R <= fst i /\ snd i <= snd R)%Z) /\
  forall k, In k ks -> exists a, f k = Some a /\ (fst R <= fst a /\ snd a <= snd R)%Z.
Proof.
  induction ks as [|k ks IH]; intros start R H; cbn [fold_left] in H.
  - split; [exists R; split; [exact H|lia]|intros ? []].
  - destruct (IH _ _ H) as [(i & Hi & Ci) Hk]. unfold join_option in Hi.
    destruct start as [a|]; [|discriminate]. destruct (f k) as [b|] eqn:F; [|discriminate].
    apply some_same in Hi. subst i. unfold join in Ci. cbn [fst snd] in Ci. split.
    + exists a. split; [reflexivity|lia].
    + intros k' [<-|I]; [exists b; split; [exact F|lia]|apply Hk, I].
Qed.

Lemma pieces_range_sound knots row r lo hi x : (1 <= length knots)%nat ->
  ascending_by (piece_ends knots) = true -> (reach r <= largest_value)%Z -> in_range r x ->
  pieces_range knots row r = Some (lo, hi) ->
  in_range (lo, hi) (pieces knots (fun j => value (nth j row 0%Z)) x).
Proof.
  intros H As M Hx R. destruct r as [l h]. unfold pieces_range in R.
  destruct (fold_join _ _ _ _ R) as [(i & Hi & Ci) Hk]. unfold join_option in Hi.
  destruct (pieces_at knots row (l, l)) as [[l1 l2]|] eqn:L; [|discriminate].
  destruct (pieces_at knots row (h, h)) as [[h1 h2]|] eqn:Hh; [|discriminate].
  apply some_same in Hi. subst i. unfold join in Ci. cbn [fst snd] in Ci.
  destruct Hx as [Hx1 Hx2]. cbn [fst snd] in Hx1, Hx2.
  set (f := pieces knots (fun j => value (nth j row 0%Z))) in *.
  destruct (pieces_at_sound knots row (l, l) l1 l2 (grid l) H ltac:(split; apply Rle_refl) L)
    as [L1 L2].
  destruct (pieces_at_sound knots row (h, h) h1 h2 (grid h) H ltac:(split; apply Rle_refl) Hh)
    as [H1 H2].
  fold f in L1, L2, H1, H2. cbn [fst snd] in L1, L2, H1, H2.
  assert (cover : forall a b, (lo <= a)%Z -> (b <= hi)%Z -> forall v, grid a <= v <= grid b ->
            grid lo <= v <= grid hi).
  { intros a b A B v V. apply grid_le in A, B. lra. }
  assert (at_l : grid lo <= f (grid l) <= grid hi) by (apply (cover l1 l2); [lia|lia|split; assumption]).
  assert (at_h : grid lo <= f (grid h) <= grid hi) by (apply (cover h1 h2); [lia|lia|split; assumption]).
  assert (at_knot : forall j, (j < length knots)%nat ->
            grid l <= value (nth j knots 0%Z) <= grid h ->
            grid lo <= f (value (nth j knots 0%Z)) <= grid hi).
  { intros j Hj Hv. destruct (Hk (nth j knots 0%Z) (nth_In knots 0%Z Hj)) as ([a1 a2] & Fa & Ca).
    cbn [fst snd] in Ca. apply (cover a1 a2); [lia|lia|].
    apply (pieces_at_sound knots row _ a1 a2 (value (nth j knots 0%Z)) H) in Fa; [exact Fa|].
    set (k := nth j knots 0%Z) in *. pose proof (below_value k). pose proof (above_value k).
    unfold in_range, clip. cbn [fst snd]. rewrite !grid_max, !grid_min. split.
    - apply Rmax_lub; [lra|]. eapply Rle_trans; [apply Rmin_l|lra].
    - eapply Rle_trans; [|apply Rmax_r]. apply Rmin_glb; lra. }
  assert (B : - IZR (2 ^ 128) < grid l /\ grid h < IZR (2 ^ 128)).
  { unfold reach in M. cbn [fst snd] in M.
    assert (M1 : (- l <= largest_value)%Z) by lia. assert (M2 : (h <= largest_value)%Z) by lia.
    apply grid_le in M1, M2. rewrite grid_opp, grid_largest_value in *. lra. }
  destruct infinite_value as [I1 I2].
  assert (E0 : entry_of (piece_ends knots) 0 = value minus_infinite) by reflexivity.
  assert (Em : entry_of (piece_ends knots) (S (length knots)) = value infinite).
  { unfold entry_of, piece_ends. cbn [nth]. rewrite app_nth2, Nat.sub_diag by lia. reflexivity. }
  destruct (pieces_between knots (fun j => value (nth j row 0%Z)) H (piece_ends_up knots As)
    (grid l) (grid h) x ltac:(lra) ltac:(lra) ltac:(lra)) as (a & b & Ha & Hb & Ab).
  fold f in Ab.
  assert (Va : grid lo <= f a <= grid hi).
  { destruct Ha as [->|(j & J1 & -> & J2)]; [exact at_l|apply at_knot; assumption]. }
  assert (Vb : grid lo <= f b <= grid hi).
  { destruct Hb as [->|(j & J1 & -> & J2)]; [exact at_h|apply at_knot; assumption]. }
  unfold in_range. cbn [fst snd]. destruct Ab as [Ab|Ab]; lra.
Qed.

(** ** The operation *)

Lemma steepest_ge row j : (j < length row)%nat -> Rabs (value (nth j row 0%Z)) <= grid (steepest row).
Proof.
  intros Hj. eapply Rle_trans; [apply weight_bound|]. apply grid_le. unfold steepest.
  eapply Z.le_trans; [|apply (largest_of_ge _ j)].
  rewrite (map_nth_lt _ row 0%Z) by exact Hj. lia.
Qed.

Lemma pieces_sound knots S0 s s' : ready s -> step (Pieces knots S0) s = Some s' ->
  sound (Pieces knots S0) s s'.
Proof.
  intros [E0 [Lm Mn]] H. cbn [step] in H.
  destruct ((1 <=? length knots)%nat && _ && _ && _ && _ && _ && _) eqn:K; [|discriminate].
  repeat (apply andb_prop in K; destruct K as [K ?K]).
  apply Nat.leb_le in K. apply Z.leb_le in K0, K5. apply Nat.eqb_eq in K2, K3.
  rewrite forallb_forall in K1. unfold longest_selection in K5.
  destruct (collect _ (rows S0) []) as [l|] eqn:N; [|discriminate].
  set (k := length knots) in *.
  set (slope := map (fun o => steepest (row S0 o)) (seq 0 (rows S0))) in *.
  set (weight := largest_of slope) in *. set (first := nth 0 knots 0%Z) in *.
  set (far := (magnitude (ranges s) + Z.max (Z.abs (below first)) (Z.abs (above first)))%Z) in *.
  destruct ((weight <=? largest_operand)%Z && _) eqn:B; [|discriminate].
  apply andb_prop in B. destruct B as [B1 B2]. apply Z.leb_le, grid_le in B1, B2.
  rewrite grid_largest_operand in B1, B2. rewrite grid_plus in B2.
  destruct (collect_nth _ _ _ _ N) as (Ll & F & _). cbn [length] in Ll. rewrite Nat.add_0_r in Ll.
  apply checked_some in H. destruct H as [-> _].
  assert (Ls : length slope = rows S0) by (unfold slope; rewrite map_length; apply seq_length).
  assert (Sn : forall o, (o < rows S0)%nat -> nth o slope 0%Z = steepest (row S0 o)).
  { intros o Ho. unfold slope. rewrite (map_nth_lt _ _ 0%nat) by (rewrite seq_length; exact Ho).
    rewrite seq_nth by exact Ho. reflexivity. }
  pose proof (magnitude_nonneg (ranges s)) as M0.
  assert (W0 : (0 <= weight)%Z) by apply largest_of_nonneg.
  assert (F0 : (0 <= far)%Z) by (unfold far; lia).
  pose proof (mul_up_nonneg _ _ W0 E0) as WE0.
  pose proof (mul_up_nonneg weight (far + error s) W0 ltac:(lia)) as WF0.
  assert (R0 : (0 <= signed_room (k + 1))%Z) by (unfold signed_room, single_unit; nia).
  pose proof (rounded_nonneg _ _ R0 WF0) as RN.
  assert (Len : forall o, (o < rows S0)%nat -> length (row S0 o) = (k + 1)%nat).
  { intros o Ho. apply Nat.eqb_eq, K1, in_seq. lia. }
  assert (sl : forall o j, (o < rows S0)%nat -> (j < S k)%nat ->
            Rabs (entry S0 o j) <= grid (nth o slope 0%Z) /\
            grid (nth o slope 0%Z) <= grid weight).
  { intros o j Ho Hj. split.
    - rewrite Sn by exact Ho. apply steepest_ge. rewrite Len by exact Ho. lia.
    - apply grid_le, largest_of_ge. }
  pose proof (piece_ends_up knots K4) as Up.
  assert (Up' : forall j, (j < S (length knots))%nat ->
            entry_of (piece_ends knots) j <= entry_of (piece_ends knots) (S j))
    by (intros j Hj; specialize (Up j Hj); lra).
  constructor; cbn [ranges error moves out_size].
  - unfold units at 1. cbn [ranges]. lia.
  - split; [cbn [error]; lia|]. unfold units. cbn [ranges moves]. rewrite Ll.
    split; [rewrite map2_length; lia|]. intros o.
    destruct (Nat.lt_ge_cases o (rows S0)) as [Ho|Ho].
    + rewrite (map2_nth _ _ _ 0%Z 0%Z) by lia. apply mul_up_nonneg; [|apply Mn].
      rewrite Sn by exact Ho. apply largest_of_nonneg.
    + rewrite nth_overflow by (rewrite map2_length; lia). lia.
  - intros x Wx o Ho. rewrite Ll in Ho. cbn [apply_op]. specialize (F o (0, 0)%Z Ho).
    rewrite look_up_nth in F. destruct (nth o l (0, 0)%Z) as [lo hi].
    apply (pieces_range_sound knots (row S0 o) (nth o (ranges s) (0, 0)%Z)); try assumption.
    + eapply Z.le_trans; [|exact K0]. apply (fold_max_ge reach (ranges s) 0), nth_In.
      unfold units in K2. lia.
    + apply Wx. unfold units in K2. lia.
  - intros x X y Wx Hx Hy o Ho. unfold units in Ho. cbn [ranges] in Ho. rewrite Ll in Ho.
    cbn [out_size] in Hy. rewrite K2 in Ho. specialize (Hy o Ho). specialize (Hx o Ho).
    generalize dependent (y o). intros v Hv. inversion Hv; subst. cbn [apply_op].
    assert (Ho' : (o < rows S0)%nat) by lia.
    assert (Kr : INR (S (length knots)) <= 4097).
    { rewrite INR_IZR_INZ. apply IZR_le. fold k. lia. }
    assert (Xo : Rabs (x o) <= grid (magnitude (ranges s)))
      by (apply magnitude_bound; [exact Wx|exact Ho]).
    assert (Fo : entry_of (piece_ends knots) 1 = value first).
    { unfold first, entry_of, piece_ends. cbn [nth]. rewrite app_nth1 by exact K. reflexivity. }
    pose proof (weight_bound first) as Fw.
    pose proof (pieces_error knots (entry S0 o) ltac:(exact K) Up' (x o) (X o) (grid (error s))
      (grid weight) (grid far + grid (error s)) v p Hx) as E.
    specialize (E ltac:(intros j Hj; destruct (sl o j Ho' Hj); lra)
      ltac:(rewrite Fo; apply Rplus_le_compat_r; unfold far; rewrite grid_plus;
            eapply Rle_trans; [apply Rabs_triang|]; rewrite Rabs_Ropp; lra)
      B2 B1 Kr ltac:(intros j Hj; match goal with P : forall j, (j <= _)%nat -> part_of _ _ _ _ _ |- _ =>
        apply P; lia end) ltac:(assumption)).
    rewrite grid_plus. replace (S (length knots)) with (k + 1)%nat in E by (unfold k; lia).
    pose proof (mul_up_ge weight (error s)) as M1.
    pose proof (rounded_ge (signed_room (k + 1)) (mul_up weight (far + error s))) as R1.
    pose proof (mul_up_ge weight (far + error s)) as M2. rewrite grid_plus in M2.
    pose proof (signed_room_ge (k + 1) ltac:(lia)) as G.
    assert (G0 : 0 <= signed_growth (k + 1) - 1)
      by (unfold signed_growth; pose proof (growth_pos single (k + 1 + 1)); lra).
    assert (P0 : 0 <= grid weight * (grid far + grid (error s))).
    { rewrite <- grid_plus. apply Rmult_le_pos; apply grid_nonneg; lia. }
    assert ((signed_growth (k + 1) - 1) * (grid weight * (grid far + grid (error s))) <=
            grid (signed_room (k + 1)) * grid (mul_up weight (far + error s)))
      by (apply Rmult_le_compat; assumption).
    lra.
  - intros x z d Hd Hx o Ho. unfold units in Ho. cbn [ranges] in Ho. rewrite Ll in Ho.
    cbn [apply_op]. rewrite (map2_nth _ _ _ 0%Z 0%Z) by lia.
    eapply Rle_trans; [apply (pieces_move knots (entry S0 o) K Up' (grid (nth o slope 0%Z)))|].
    + intros j Hj. apply (sl o j Ho Hj).
    + rewrite Sn by exact Ho. apply grid_nonneg, largest_of_nonneg.
    + apply Rle_trans with (grid (nth o slope 0%Z) * (grid (nth o (moves s) 0%Z) * d)).
      * apply Rmult_le_compat_l; [rewrite Sn by exact Ho; apply grid_nonneg, largest_of_nonneg|].
        apply Hx. lia.
      * rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [exact Hd|]. apply mul_up_ge.
Qed.
