(** * IntervalSound: the certificate of interval files *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Ranges CheckerSound LayersSound AffineSound ErrorBound IntervalSemantics
  IntervalChecker MonotoneSound FunctionBounds NeuronBounds RadiusSound.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

Lemma settled_some s s' : settled s = Some s' ->
  s' = s /\ grid (gap s) <= IZR (2 ^ 30) /\ grid (spill s) <= IZR (2 ^ 30).
Proof.
  unfold settled. destruct (_ && _) eqn:C; [|discriminate]. intros H.
  apply some_same in H. apply andb_prop in C. destruct C as [C1 C2].
  apply Z.leb_le, grid_le in C1, C2. rewrite grid_largest_value in *. auto.
Qed.

(** Values and errors stay far from overflow. *)
Definition small (s : state) : Prop :=
  grid (magnitude (ranges s)) + grid (error s) <= IZR (2 ^ 30).

Lemma step_small o s s' : (small s \/ exists mean std, o = Normalize mean std) ->
  step o s = Some s' -> small s'.
Proof.
  assert (ch : forall r, checked r = Some s' -> small s').
  { intros r C. apply checked_some in C. destruct C as [-> C]. exact C. }
  intros S H. destruct o; cbn [step] in H;
    repeat match type of H with (if ?c then _ else _) = _ => destruct c; try discriminate H end;
    try (apply (ch _ H)).
  - apply some_same in H. subst s'. destruct S as [S|(? & ? & S)]; [exact S|discriminate S].
  - destruct (neurons _ _ _ _); [apply (ch _ H)|discriminate H].
  - destruct (neurons _ _ _ _); [apply (ch _ H)|discriminate H].
  - destruct (collect _ _ _); [|discriminate H]. cbv zeta in H.
    match type of H with (if ?c then _ else _) = _ => destruct c; [|discriminate H] end.
    apply (ch _ H).
  - destruct (collect _ _ _); [|discriminate H]. cbv zeta in H.
    match type of H with (if ?c then _ else _) = _ => destruct c; [|discriminate H] end.
    apply (ch _ H).
  - destruct (collect _ _ _); [|discriminate H]. cbv zeta in H.
    match type of H with (if ?c then _ else _) = _ => destruct c; [|discriminate H] end.
    apply (ch _ H).
Qed.

(** A step, and that its numbers stay in range. *)
Definition interval_fit (s : interval_state) : Prop :=
  interval_ready s /\ grid (gap s) <= IZR (2 ^ 30) /\ grid (spill s) <= IZR (2 ^ 30).

Section Steps.

Variables (s : interval_state) (x X l h : vec).
Hypothesis F : interval_fit s.
Hypothesis B : between s x X l h.

Local Notation n := (units (inner s)).

Lemma negate_step s' (Y l' h' : vec) : interval_step Negate s = Some s' ->
  computes_op Negate n X Y ->
  (forall i, (i < n)%nat -> bounds_unit n l h i Negate (l' i) (h' i)) ->
  between s' (apply_op Negate n x) Y l' h'.
Proof.
  intros H CY CB. unfold interval_step in H.
  destruct (step Negate (inner s)) as [s1|] eqn:S1; [|discriminate].
  destruct (settled_some _ _ H) as [-> _].
  pose proof (step_sound Negate _ _ (proj1 (proj1 F)) S1) as Sd.
  pose proof (sound_units _ _ _ Sd) as U. cbn [out_size] in U.
  pose proof tiny_small as Ht.
  assert (R1 : ranges s1 = map (fun r => (- snd r, - fst r)%Z) (ranges (inner s))).
  { cbn [step] in S1. apply checked_some in S1. destruct S1 as [-> _]. reflexivity. }
  assert (un : forall i, (i < n)%nat -> Rabs (Y i - - X i) <= t /\
             Rabs (l' i - - h i) <= t /\ Rabs (h' i - - l i) <= t).
  { intros i Hi. specialize (CY i Hi). specialize (CB i Hi).
    assert (neg : forall a b, operand single a b -> Rabs (- b - - a) <= t).
    { intros a b O. apply operand_error in O. apply Rabs_le_inv in O. apply Rabs_le. lra. }
    split; [|split].
    - generalize dependent (Y i). intros y Hy. inversion Hy; subst. apply neg. assumption.
    - generalize dependent (h' i). generalize dependent (l' i). intros a b Hb.
      inversion Hb; subst; [discriminate|]. apply neg. assumption.
    - generalize dependent (l' i). generalize dependent (h' i). intros a b Hb.
      inversion Hb; subst; [discriminate|]. apply neg. assumption. }
  constructor; cbn [inner gap spill]; rewrite ?U.
  - apply (sound_range _ _ _ Sd), (between_range _ _ _ _ _ B).
  - rewrite <- U. apply (sound_close _ _ _ Sd x X Y); [apply (between_range _ _ _ _ _ B)|
      apply (between_error _ _ _ _ _ B)|exact CY].
  - intros i Hi. rewrite grid_plus, grid_step. destruct (un i Hi) as (U1 & U2 & U3).
    apply Rabs_le_inv in U1, U2, U3. pose proof (between_gap _ _ _ _ _ B i Hi). lra.
  - intros i Hi. rewrite grid_plus, grid_step. destruct (un i Hi) as (U1 & U2 & U3).
    apply Rabs_le_inv in U1, U2, U3. pose proof (between_spill _ _ _ _ _ B i Hi).
    rewrite R1, (map_nth_lt _ (ranges (inner s)) (0, 0)%Z) by exact Hi. cbn [fst snd].
    rewrite !grid_opp. lra.
Qed.

Lemma abs_step s' (Y l' h' : vec) : interval_step Abs s = Some s' ->
  computes_op Abs n X Y ->
  (forall i, (i < n)%nat -> bounds_unit n l h i Abs (l' i) (h' i)) ->
  between s' (apply_op Abs n x) Y l' h'.
Proof.
  intros H CY CB. unfold interval_step in H.
  destruct (step Abs (inner s)) as [s1|] eqn:S1; [|discriminate].
  destruct (settled_some _ _ H) as [-> _].
  pose proof (step_sound Abs _ _ (proj1 (proj1 F)) S1) as Sd.
  pose proof (sound_units _ _ _ Sd) as U. cbn [out_size] in U.
  pose proof tiny_small as Ht.
  assert (R1 : ranges s1 = map (fun r => (Z.max 0 (Z.max (fst r) (- snd r)),
                 Z.max (- fst r) (snd r))%Z) (ranges (inner s))).
  { cbn [step] in S1. apply checked_some in S1. destruct S1 as [-> _]. reflexivity. }
  assert (un : forall i, (i < n)%nat -> Rabs (Y i - Rabs (X i)) <= t /\
             Rabs (l' i - Rmax (Rmax (l i) (- h i)) 0) <= t /\
             Rabs (h' i - Rmax (h i) (- l i)) <= t).
  { intros i Hi. specialize (CY i Hi). specialize (CB i Hi). split.
    - generalize dependent (Y i). intros y Hy. inversion Hy; subst.
      eapply Rle_trans; [apply Rabs_triang_inv2|]. apply (operand_error single). assumption.
    - generalize dependent (h' i). generalize dependent (l' i). intros a b Hb.
      inversion Hb; subst; [discriminate|].
      repeat match goal with O : operand single _ _ |- _ =>
        apply operand_error, Rabs_le_inv in O end.
      split; repeat apply max_near; apply Rabs_le; lra. }
  constructor; cbn [inner gap spill]; rewrite ?U.
  - apply (sound_range _ _ _ Sd), (between_range _ _ _ _ _ B).
  - rewrite <- U. apply (sound_close _ _ _ Sd x X Y); [apply (between_range _ _ _ _ _ B)|
      apply (between_error _ _ _ _ _ B)|exact CY].
  - intros i Hi. rewrite grid_plus, grid_step. destruct (un i Hi) as (U1 & U2 & U3).
    apply Rabs_le_inv in U1, U2, U3. pose proof (between_gap _ _ _ _ _ B i Hi) as Gp.
    pose proof (Rle_abs (X i)) as A1. pose proof (Rle_abs (- X i)) as A2. rewrite Rabs_Ropp in A2.
    pose proof (grid_nonneg _ (proj1 (proj2 (proj1 F)))) as G0.
    pose proof (Rabs_pos (X i)) as A0.
    assert (A3 : Rmax (Rmax (l i) (- h i)) 0 <= Rabs (X i) + grid (gap s))
      by (repeat apply Rmax_lub; lra).
    assert (A4 : Rabs (X i) <= Rmax (h i) (- l i) + grid (gap s)).
    { pose proof (Rmax_l (h i) (- l i)). pose proof (Rmax_r (h i) (- l i)). apply Rabs_le. lra. }
    lra.
  - intros i Hi. rewrite grid_plus, grid_step. destruct (un i Hi) as (U1 & U2 & U3).
    apply Rabs_le_inv in U1, U2, U3. pose proof (between_spill _ _ _ _ _ B i Hi) as Sp.
    rewrite R1, (map_nth_lt _ (ranges (inner s)) (0, 0)%Z) by exact Hi. cbn [fst snd].
    rewrite !grid_max, !grid_opp, grid_0.
    set (a := grid (fst _)) in *. set (b := grid (snd _)) in *.
    pose proof (grid_nonneg _ (proj2 (proj2 (proj1 F)))) as S0.
    pose proof (Rmax_l (Rmax (l i) (- h i)) 0). pose proof (Rmax_r (Rmax (l i) (- h i)) 0).
    pose proof (Rmax_l (l i) (- h i)). pose proof (Rmax_r (l i) (- h i)).
    pose proof (Rmax_l (- a) b). pose proof (Rmax_r (- a) b).
    assert (A1 : Rmax 0 (Rmax a (- b)) <= Rmax (Rmax (l i) (- h i)) 0 + grid (spill s))
      by (repeat apply Rmax_lub; lra).
    assert (A2 : Rmax (h i) (- l i) <= Rmax (- a) b + grid (spill s)) by (apply Rmax_lub; lra).
    lra.
Qed.

(** Sorted neurons and their convolutions. *)
Lemma neuron_step_common s1 s' k : (Z.of_nat k <= 1048576)%Z ->
  settled (IntervalState s1 (gap s + rounded (neuron_room k) (magnitude (ranges s1) +
    error (inner s)) + 1)
                 (spill s + rounded (loose_room k) (magnitude (ranges s1) + spill s) +
                   1)) = Some s' ->
  s' = IntervalState s1 (gap s + rounded (neuron_room k) (magnitude (ranges s1) +
    error (inner s)) + 1)
                 (spill s + rounded (loose_room k) (magnitude (ranges s1) + spill s) + 1) /\
  grid (gap s) + grid (neuron_room k) * (grid (magnitude (ranges s1)) + grid (error (inner s))) +
    / IZR (2 ^ 47) <= grid (gap s') /\
  grid (spill s) + grid (loose_room k) * (grid (magnitude (ranges s1)) + grid (spill s)) +
    / IZR (2 ^ 47) <= grid (spill s').
Proof.
  intros Kl H. destruct (settled_some _ _ H) as [-> _]. split; [reflexivity|]. cbn [gap spill].
  rewrite !grid_plus, !grid_step.
  pose proof (rounded_ge (neuron_room k) (magnitude (ranges s1) + error (inner s))) as G1.
  pose proof (rounded_ge (loose_room k) (magnitude (ranges s1) + spill s)) as G2.
  rewrite grid_plus in G1, G2. lra.
Qed.

Lemma sort_neuron_step W rho k s' (Y l' h' : vec) : interval_step (SortNeuron W rho k) s = Some s'
  ->
  computes_op (SortNeuron W rho k) n X Y ->
  (forall i, (i < rows W)%nat -> bounds_unit n l h i (SortNeuron W rho k) (l' i) (h' i)) ->
  between s' (apply_op (SortNeuron W rho k) n x) Y l' h'.
Proof.
  intros H CY CB. unfold interval_step in H.
  destruct (step (SortNeuron W rho k) (inner s)) as [s1|] eqn:S1; [|discriminate].
  pose proof (step_sound _ _ _ (proj1 (proj1 F)) S1) as Sd.
  pose proof (sound_units _ _ _ Sd) as U. cbn [out_size] in U.
  cbn [step] in S1. destruct (neurons (ranges (inner s)) W rho k) as [lst|] eqn:N; [|discriminate].
  apply checked_some in S1. destruct S1 as [E1 Bd]. cbn [ranges error] in Bd.
  destruct (neurons_some _ _ _ _ _ N) as (R0 & R1 & Hk & Kl & L1 & L2 & Hr).
  assert (Rs : ranges s1 = lst) by (rewrite E1; reflexivity).
  destruct (neuron_step_common s1 s' k Kl H) as (E2 & Gg & Gs). rewrite Rs in Gg, Gs.
  destruct F as ((Rd & G0 & S0) & Gl & Sl).
  assert (me : grid (magnitude lst) + grid (error (inner s)) <= IZR (2 ^ 30)).
  { rewrite grid_plus in Bd. pose proof (magnitude_nonneg lst).
    pose proof (grid_nonneg _ (rounded_nonneg (neuron_room k) (magnitude lst + error (inner s))
      (neuron_room_nonneg k Kl) ltac:(destruct Rd; lia))). lra. }
  assert (Cl : forall i, (i < rows W)%nat ->
    l' i - grid (gap s') <= Y i <= h' i + grid (gap s') /\
    grid (fst (nth i lst (0, 0)%Z)) - grid (spill s') <= l' i /\
    h' i <= grid (snd (nth i lst (0, 0)%Z)) + grid (spill s')).
  { intros i Hi. specialize (CB i Hi). specialize (CY i Hi).
    assert (NB : neuron_bounds_of (cols W) (entry W i) (value rho) k l h (l' i) (h' i))
      by (inversion CB; subst; [discriminate|assumption]).
    assert (SY : sorts (cols W) (entry W i) (value rho) k X (Y i))
      by (inversion CY; subst; assumption).
    pose proof (between_error _ _ _ _ _ B) as Be. pose proof (between_gap _ _ _ _ _ B) as Bg.
    pose proof (between_spill _ _ _ _ _ B) as Bs. unfold units in Be, Bg, Bs. rewrite L1 in *.
    pose proof (neuron_bounds_close (ranges (inner s)) W rho k lst i N Hi x X l h
      (grid (error (inner s))) (grid (gap s)) (grid (spill s)) (grid (magnitude lst)) (Y i) (l' i)
        (h' i)
      (between_range _ _ _ _ _ B) Be Bg Bs (grid_nonneg _ (proj1 Rd))
      (conj (grid_nonneg _ G0) Gl) (conj (grid_nonneg _ S0) Sl)) as K.
    assert (K' := K ltac:(intros z Wz; eapply Rle_trans; [apply reach_bound, (Hr z i Wz Hi)|];
      apply grid_le, (fold_max_ge reach lst 0), nth_In; lia) me SY NB). lra. }
  assert (I2 : inner s' = s1) by (rewrite E2; reflexivity). clear E2.
  constructor; rewrite ?I2, ?U, ?Rs.
  - rewrite <- Rs. apply (sound_range _ _ _ Sd), (between_range _ _ _ _ _ B).
  - intros i Hi. apply (sound_close _ _ _ Sd x X Y); [apply (between_range _ _ _ _ _ B)|
      apply (between_error _ _ _ _ _ B)|exact CY|rewrite U; exact Hi].
  - intros i Hi. apply (Cl i Hi).
  - intros i Hi. apply (Cl i Hi).
Qed.

Lemma sort_conv_step patches W rho k s' (Y l' h' : vec) :
  interval_step (SortConv patches W rho k) s = Some s' ->
  computes_op (SortConv patches W rho k) n X Y ->
  (forall i, (i < rows W * length patches)%nat ->
    bounds_unit n l h i (SortConv patches W rho k) (l' i) (h' i)) ->
  between s' (apply_op (SortConv patches W rho k) n x) Y l' h'.
Proof.
  intros H CY CB. unfold interval_step in H.
  destruct (step (SortConv patches W rho k) (inner s)) as [s1|] eqn:S1; [|discriminate].
  pose proof (step_sound _ _ _ (proj1 (proj1 F)) S1) as Sd.
  pose proof (sound_units _ _ _ Sd) as U. cbn [out_size] in U.
  cbn [step] in S1. destruct (forallb _ patches) eqn:C; [|discriminate].
  rewrite forallb_forall in C.
  assert (HF : forall p, In p patches -> length p = cols W).
  { intros p I. specialize (C p I). apply andb_prop in C. apply Nat.eqb_eq, C. }
  clear C.
  destruct (neurons (hulls patches (ranges (inner s))) W rho k) as [lst|] eqn:N; [|discriminate].
  apply checked_some in S1. destruct S1 as [E1 Bd]. cbn [ranges error] in Bd.
  destruct (neurons_some _ _ _ _ _ N) as (R0 & R1 & Hk & Kl & L1 & L2 & Hr).
  set (P := length patches) in *.
  assert (Rs : ranges s1 = repeat_each P lst) by (rewrite E1; reflexivity).
  destruct (neuron_step_common s1 s' k Kl H) as (E2 & Gg & Gs). rewrite Rs in Gg, Gs.
  destruct F as ((Rd & G0 & S0) & Gl & Sl).
  set (m := magnitude (repeat_each P lst)) in *.
  assert (me : grid m + grid (error (inner s)) <= IZR (2 ^ 30)).
  { rewrite grid_plus in Bd. pose proof (magnitude_nonneg (repeat_each P lst)). fold m in H0.
    pose proof (grid_nonneg _ (rounded_nonneg (neuron_room k) (m + error (inner s))
      (neuron_room_nonneg k Kl) ltac:(destruct Rd; lia))). lra. }
  assert (Cl : forall i, (i < rows W * P)%nat ->
    l' i - grid (gap s') <= Y i <= h' i + grid (gap s') /\
    grid (fst (nth (i / P) lst (0, 0)%Z)) - grid (spill s') <= l' i /\
    h' i <= grid (snd (nth (i / P) lst (0, 0)%Z)) + grid (spill s')).
  { intros i Hi. specialize (CB i Hi). specialize (CY i Hi).
    assert (P1 : (1 <= P)%nat) by (destruct (Nat.eq_dec P 0) as [Z0|];
        [rewrite Z0, Nat.mul_0_r in Hi; lia|lia]).
    assert (O1 : (i / P < rows W)%nat) by (apply Nat.div_lt_upper_bound; lia).
    assert (O2 : (i mod P < P)%nat) by (apply Nat.mod_upper_bound; lia).
    assert (NB : neuron_bounds_of (cols W) (entry W (i / P)) (value rho) k
      (patch patches n (i mod P) l) (patch patches n (i mod P) h) (l' i) (h' i))
      by (inversion CB; subst; [discriminate|assumption]).
    assert (SY : sorts (cols W) (entry W (i / P)) (value rho) k (patch patches n (i mod P) X) (Y i))
      by (inversion CY; subst; assumption).
    assert (Ip : In (nth (i mod P) patches []) patches) by (apply nth_In, O2).
    pose proof (grid_nonneg _ G0) as G0r. pose proof (grid_nonneg _ S0) as S0r.
    pose proof (grid_nonneg _ (proj1 Rd)) as E0r.
    destruct (hulls_spec patches (ranges (inner s)) (cols W)) as [_ Hh].
    { intros Z0. unfold P in P1. rewrite Z0 in P1. simpl in P1. lia. }
    { exact HF. }
    (* entries of the patch *)
    assert (idx : forall j, (j < cols W)%nat ->
      nth j (nth (i mod P) patches []) n = nth j (nth (i mod P) patches []) 0%nat).
    { intros j Hj. apply nth_indep. rewrite HF; assumption. }
    assert (inn : forall j v, (j < cols W)%nat ->
      in_range (nth (nth j (nth (i mod P) patches []) n) (ranges (inner s)) (0, 0)%Z) v ->
      in_range (nth j (hulls patches (ranges (inner s))) (0, 0)%Z) v).
    { intros j v Hj I. rewrite idx in I by exact Hj.
      apply (Hh (nth (i mod P) patches [])); assumption. }
    pose proof (neuron_bounds_close (hulls patches (ranges (inner s))) W rho k lst (i / P) N O1
      (patch patches n (i mod P) x) (patch patches n (i mod P) X)
      (patch patches n (i mod P) l) (patch patches n (i mod P) h)
      (grid (error (inner s))) (grid (gap s)) (grid (spill s)) (grid m) (Y i) (l' i) (h' i)) as K.
    assert (K' : (l' i - (grid (gap s) + grid (neuron_room k) * (grid m +
      grid (error (inner s))) + / IZR (2 ^ 47)) <= Y i <=
       h' i + (grid (gap s) + grid (neuron_room k) * (grid m + grid (error (inner s))) +
         / IZR (2 ^ 47))) /\
      grid (fst (nth (i / P) lst (0, 0)%Z)) - (grid (spill s) + grid (loose_room k) * (grid m +
        grid (spill s)) + / IZR (2 ^ 47)) <= l' i /\
      h' i <= grid (snd (nth (i / P) lst (0, 0)%Z)) + (grid (spill s) +
        grid (loose_room k) * (grid m + grid (spill s)) + / IZR (2 ^ 47))).
    { apply K; try assumption; try (split; assumption).
      - intros j Hj. rewrite L1 in Hj. apply inn; [exact Hj|]. unfold patch, padded.
        destruct (Nat.ltb_spec (nth j (nth (i mod P) patches []) n) n) as [Lt|Lt].
        + apply (between_range _ _ _ _ _ B), Lt.
        + rewrite nth_overflow by exact Lt. unfold in_range. cbn [fst snd]. rewrite grid_0. lra.
      - intros j Hj. unfold patch, padded.
        destruct (Nat.ltb_spec (nth j (nth (i mod P) patches []) n) n) as [Lt|Lt].
        + apply (between_error _ _ _ _ _ B), Lt.
        + rewrite Rminus_eq_0, Rabs_R0. exact E0r.
      - intros j Hj. unfold patch, padded.
        destruct (Nat.ltb_spec (nth j (nth (i mod P) patches []) n) n) as [Lt|Lt].
        + apply (between_gap _ _ _ _ _ B), Lt.
        + lra.
      - intros j Hj. unfold patch, padded.
        (* the hull holds the interval of the entry, and so what is near that *)
        assert (hull : grid (fst (nth j (hulls patches (ranges (inner s))) (0, 0)%Z)) <=
                 grid (fst (nth (nth j (nth (i mod P) patches []) n) (ranges (inner s)) (0, 0)%Z))
                   /\
                 grid (snd (nth (nth j (nth (i mod P) patches []) n) (ranges (inner s)) (0, 0)%Z))
                   <=
                 grid (snd (nth j (hulls patches (ranges (inner s))) (0, 0)%Z))).
        { set (q := nth j (nth (i mod P) patches []) n) in *.
          assert (ord : grid (fst (nth q (ranges (inner s)) (0, 0)%Z)) <=
                        grid (snd (nth q (ranges (inner s)) (0, 0)%Z))).
          { destruct (Nat.lt_ge_cases q n) as [Lt|Lt].
            - pose proof (between_range _ _ _ _ _ B q Lt) as [A1 A2]. lra.
            - rewrite nth_overflow by exact Lt. cbn [fst snd]. lra. }
          split.
          - apply (inn j _ Hj). unfold in_range. fold q. lra.
          - apply (inn j _ Hj). unfold in_range. fold q. lra. }
        destruct (Nat.ltb_spec (nth j (nth (i mod P) patches []) n) n) as [Lt|Lt].
        + pose proof (between_spill _ _ _ _ _ B _ Lt). lra.
        + rewrite (nth_overflow (ranges (inner s)) (0, 0)%Z Lt) in hull. cbn [fst snd] in hull.
          rewrite grid_0 in hull. lra.
      - intros z Wz. eapply Rle_trans; [apply reach_bound, (Hr z (i / P)%nat Wz O1)|].
        rewrite <- (proj2 (repeat_each_spec P lst P1) i) by (rewrite L2; exact Hi).
        apply grid_le, (fold_max_ge reach (repeat_each P lst) 0), nth_In.
        rewrite (proj1 (repeat_each_spec P lst P1)), L2. exact Hi. }
    lra. }
  assert (I2 : inner s' = s1) by (rewrite E2; reflexivity). clear E2.
  constructor; rewrite ?I2, ?U.
  - apply (sound_range _ _ _ Sd), (between_range _ _ _ _ _ B).
  - intros i Hi. apply (sound_close _ _ _ Sd x X Y); [apply (between_range _ _ _ _ _ B)|
      apply (between_error _ _ _ _ _ B)|exact CY|rewrite U; exact Hi].
  - intros i Hi. apply (Cl i Hi).
  - intros i Hi. rewrite Rs.
    assert (P1 : (1 <= P)%nat) by (destruct (Nat.eq_dec P 0) as [Z0|];
        [rewrite Z0, Nat.mul_0_r in Hi; lia|lia]).
    rewrite (proj2 (repeat_each_spec P lst P1)) by (rewrite L2; exact Hi). apply (Cl i Hi).
Qed.

End Steps.
