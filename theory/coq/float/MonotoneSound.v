(** * MonotoneSound: bounds pass through monotone operations

    One step of the interval analysis: if a value X is between bounds but for the gap, and
    those are in the intervals of exact values but for the spill, then so it is afterwards. *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Ranges CheckerSound LayersSound AffineSound ErrorBound IntervalSemantics
  IntervalChecker.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** ** What is kept along the chain *)

(** x is exact, X what one host computes for it, l and h the bounds of another host. *)
Record between (s : interval_state) (x X l h : vec) : Prop := Between {
  between_range : within (ranges (inner s)) x;
  between_error : forall i, (i < units (inner s))%nat -> Rabs (X i - x i) <= grid (error (inner s));
  between_gap : forall i, (i < units (inner s))%nat ->
    l i - grid (gap s) <= X i <= h i + grid (gap s);
  between_spill : forall i, (i < units (inner s))%nat ->
    grid (fst (nth i (ranges (inner s)) (0, 0)%Z)) - grid (spill s) <= l i /\
    h i <= grid (snd (nth i (ranges (inner s)) (0, 0)%Z)) + grid (spill s) }.

Definition interval_ready (s : interval_state) : Prop :=
  ready (inner s) /\ (0 <= gap s)%Z /\ (0 <= spill s)%Z.

(** ** Monotone operations *)

Lemma apply_op_monotone o n x z : each_bound o = true ->
  (forall mean std, o = Normalize mean std -> forall i, (i < n)%nat -> 0 < entry_of std i) ->
  (forall g, o = GroupSort g -> (1 <= g)%nat /\ (n mod g = 0)%nat) ->
  (forall patches k, o = Rank patches k -> forall p, (p < length patches)%nat ->
    (1 <= k <= length (nth p patches []))%nat) ->
  (forall i, (i < n)%nat -> x i <= z i) ->
  forall i, (i < out_size o n)%nat -> apply_op o n x i <= apply_op o n z i.
Proof.
  intros E Hs Hg Hk H i Hi. destruct o; try discriminate E; cbn [apply_op out_size] in *.
  - specialize (Hs mean std eq_refl i Hi). unfold Rdiv. apply Rmult_le_compat_r.
    + apply Rlt_le, Rinv_0_lt_compat, Hs.
    + specialize (H i Hi). lra.
  - apply H, Hi.
  - specialize (H i Hi). lra.
  - specialize (H i Hi). lra.
  - destruct (Hg size eq_refl) as [G1 G2].
    assert (M : (i mod size < size)%nat) by (apply Nat.mod_upper_bound; lia).
    apply order_stat_monotone; [lia|]. intros j Hj. apply H.
    assert (n = (n / size * size)%nat) by (pose proof (Nat.div_mod n size ltac:(lia)); lia).
    assert (i / size < n / size)%nat by (apply Nat.div_lt_upper_bound; lia). nia.
  - apply Rle_max_compat_r, H, Hi.
  - apply tanh_monotone, H, Hi.
  - apply order_stat_monotone; [apply (Hk patches k eq_refl i Hi)|]. intros j Hj.
    rewrite !patch_entry by exact Hj. unfold padded.
    destruct (Nat.ltb_spec (nth j (nth i patches []) 0%nat) n) as [B|B]; [apply H, B|lra].
Qed.

(** What [step] has checked. *)
Lemma step_conditions o s s' : step o s = Some s' ->
  (forall mean std, o = Normalize mean std -> forall i, (i < units s)%nat -> 0 < entry_of std i) /\
  (forall g, o = GroupSort g -> (1 <= g)%nat /\ (units s mod g = 0)%nat) /\
  (forall patches k, o = Rank patches k -> forall p, (p < length patches)%nat ->
    (1 <= k <= length (nth p patches []))%nat).
Proof.
  intros H. split; [|split].
  - intros mean std -> i Hi. cbn [step] in H.
    destruct (forallb finite mean && _ && _ && _) eqn:C; [|discriminate].
    repeat (apply andb_prop in C; destruct C as [C ?C]). rewrite forallb_forall in C2.
    apply Nat.eqb_eq in C0. unfold entry_of.
    assert (K : std_checked (nth i std 0%Z) = true) by (apply C2, nth_In; lia).
    destruct (std_checked_true _ K) as (_ & S & _). lra.
  - intros g ->. cbn [step] in H. destruct (negb _); [discriminate|].
    destruct ((1 <=? g)%nat && _) eqn:C; [|discriminate].
    apply andb_prop in C. destruct C as [C1 C2].
    split; [apply Nat.leb_le, C1|apply Nat.eqb_eq, C2].
  - intros patches k -> p Hp. cbn [step] in H.
    destruct (forallb _ patches && _ && _) eqn:C; [|discriminate].
    apply andb_prop in C. destruct C as [C _]. apply andb_prop in C. destruct C as [C K].
    apply Nat.leb_le in K. rewrite forallb_forall in C.
    specialize (C _ (nth_In patches [] Hp)). apply andb_prop in C. destruct C as [C _].
    apply Nat.leb_le in C. lia.
Qed.

Lemma widened_units s w : units (widened s w) = units s.
Proof. apply map_length. Qed.

Lemma widened_ready s w : ready (widened s w).
Proof.
  split; [cbn; lia|]. rewrite widened_units. cbn [widened moves].
  apply moving_repeat. unfold unit_grid. lia.
Qed.

Lemma widened_within s w x : (forall i, (i < units s)%nat ->
    grid (fst (nth i (ranges s) (0, 0)%Z)) - grid w <= x i <=
    grid (snd (nth i (ranges s) (0, 0)%Z)) + grid w) ->
  within (ranges (widened s w)) x.
Proof.
  intros H i Hi. unfold widened in *. cbn [ranges] in *. rewrite map_length in Hi.
  rewrite (map_nth_lt _ (ranges s) (0, 0)%Z) by exact Hi.
  unfold in_range. cbn [fst snd]. rewrite grid_minus, grid_plus. apply H, Hi.
Qed.

(** Exactly known inputs: what the operation itself rounds. *)
Lemma widened_close o s w a X Y : step o (widened s w) = Some a ->
  (forall i, (i < units s)%nat ->
    grid (fst (nth i (ranges s) (0, 0)%Z)) - grid w <= X i <=
    grid (snd (nth i (ranges s) (0, 0)%Z)) + grid w) ->
  computes_op o (units s) X Y ->
  forall i, (i < out_size o (units s))%nat ->
  Rabs (Y i - apply_op o (units s) X i) <= grid (error a).
Proof.
  intros H W C i Hi. pose proof (step_sound o _ _ (widened_ready s w) H) as S.
  pose proof (sound_units _ _ _ S) as U. rewrite widened_units in U.
  pose proof (sound_close _ _ _ S X X Y (widened_within s w X W)) as K.
  rewrite widened_units in K. apply K; [|exact C|rewrite U; exact Hi].
  intros j _. cbn [widened error]. rewrite grid_0, Rminus_eq_0, Rabs_R0. lra.
Qed.

Lemma widened_moves o s w a x z g : step o (widened s w) = Some a -> 0 <= g ->
  (forall i, (i < units s)%nat -> Rabs (x i - z i) <= g) ->
  forall i, (i < out_size o (units s))%nat ->
  Rabs (apply_op o (units s) x i - apply_op o (units s) z i) <= grid (lipschitz a) * g.
Proof.
  intros H G W i Hi. pose proof (step_sound o _ _ (widened_ready s w) H) as S.
  pose proof (sound_units _ _ _ S) as U. rewrite widened_units in U.
  pose proof (sound_moves _ _ _ S x z g G) as K. rewrite widened_units in K.
  eapply Rle_trans; [apply K; [|rewrite U; exact Hi]|].
  - intros j Hj. cbn [widened moves].
    rewrite (nth_indep _ _ unit_grid) by (rewrite repeat_length; exact Hj).
    rewrite nth_repeat, grid_1, Rmult_1_l. apply W, Hj.
  - apply Rmult_le_compat_r; [exact G|]. apply grid_le, moves_lipschitz.
Qed.

Section Step.

Variables (s : interval_state) (x X l h : vec).
Hypothesis R : interval_ready s.
Hypothesis B : between s x X l h.

Local Notation n := (units (inner s)).
Local Notation lo i := (grid (fst (nth i (ranges (inner s)) (0, 0)%Z))).
Local Notation hi i := (grid (snd (nth i (ranges (inner s)) (0, 0)%Z))).

Lemma value_near i : (i < n)%nat ->
  lo i - grid (error (inner s)) <= X i <= hi i + grid (error (inner s)).
Proof.
  intros Hi. pose proof (between_range _ _ _ _ _ B i Hi) as [W1 W2].
  pose proof (Rabs_le_inv _ _ (between_error _ _ _ _ _ B i Hi)). lra.
Qed.

Lemma range_ordered i : (i < n)%nat -> lo i <= hi i.
Proof. intros Hi. pose proof (between_range _ _ _ _ _ B i Hi) as [W1 W2]. lra. Qed.

Lemma outside_ge : grid (spill s) <= grid (outside s) /\
  grid (error (inner s)) + grid (gap s) <= grid (outside s).
Proof.
  unfold outside. rewrite grid_max, grid_plus. split; [apply Rmax_l|apply Rmax_r].
Qed.

Lemma bounds_near i : (i < n)%nat ->
  lo i - grid (outside s) <= l i <= hi i + grid (outside s) /\
  lo i - grid (outside s) <= h i <= hi i + grid (outside s).
Proof.
  intros Hi. pose proof (value_near i Hi). pose proof (between_gap _ _ _ _ _ B i Hi).
  pose proof (between_spill _ _ _ _ _ B i Hi). pose proof outside_ge. lra.
Qed.

(** The step for operations that act on either bound. *)
Lemma each_bound_step o s' (Y l' h' : vec) : each_bound o = true ->
  interval_step o s = Some s' -> computes_op o n X Y ->
  (forall i, (i < out_size o n)%nat -> bounds_unit n l h i o (l' i) (h' i)) ->
  between s' (apply_op o n x) Y l' h'.
Proof.
  intros E H CY CB. unfold interval_step in H.
  destruct (step o (inner s)) as [s1|] eqn:S1; [|discriminate].
  pose proof (step_sound o _ _ (proj1 R) S1) as Sd.
  destruct (step_conditions o _ _ S1) as (Q1 & Q2 & Q3).
  assert (H' : match step o (widened (inner s) (error (inner s))),
            step o (widened (inner s) (outside s)) with
      | Some a, Some b =>
        settled (IntervalState s1 (mul_up (lipschitz a) (gap s) + error a + error b)
                   (mul_up (lipschitz a) (spill s) + error b))
      | _, _ => None
      end = Some s') by (destruct o; try discriminate E; exact H).
  clear H. destruct (step o (widened (inner s) (error (inner s)))) as [a|] eqn:A; [|discriminate].
  destruct (step o (widened (inner s) (outside s))) as [b|] eqn:Bs; [|discriminate].
  unfold settled in H'. cbn [gap spill] in H'.
  destruct ((_ <=? largest_value)%Z && _); [|discriminate]. apply some_same in H'. subst s'.
  assert (CL : computes_op o n l l').
  { intros i Hi. specialize (CB i Hi). inversion CB; subst; try discriminate E. assumption. }
  assert (CH : computes_op o n h h').
  { intros i Hi. specialize (CB i Hi). inversion CB; subst; try discriminate E. assumption. }
  pose proof (widened_close o _ _ a X Y A value_near CY) as DX.
  pose proof (widened_close o _ _ b l l' Bs (fun i Hi => proj1 (bounds_near i Hi)) CL) as DL.
  pose proof (widened_close o _ _ b h h' Bs (fun i Hi => proj2 (bounds_near i Hi)) CH) as DH.
  destruct R as (R1 & G0 & S0). apply grid_nonneg in G0 as G0r. apply grid_nonneg in S0 as S0r.
  assert (mono : forall p q, (forall i, (i < n)%nat -> p i <= q i) ->
            forall i, (i < out_size o n)%nat -> apply_op o n p i <= apply_op o n q i)
    by (intros p q; apply apply_op_monotone; assumption).
  assert (shifted : forall (p : vec) g, 0 <= g -> forall i, (i < out_size o n)%nat ->
            Rabs (apply_op o n p i - apply_op o n (fun i => p i - g) i) <= grid (lipschitz a) * g /\
            Rabs (apply_op o n p i - apply_op o n (fun i => p i + g) i) <= grid (lipschitz a) * g).
  { intros p g Hg i Hi. split; apply (widened_moves o _ _ a _ _ g A Hg); [| exact Hi| | exact Hi];
      intros j _; apply Rabs_le; lra. }
  pose proof (sound_units _ _ _ Sd) as U.
  pose proof (mul_up_ge (lipschitz a) (gap s)) as Mg.
  pose proof (mul_up_ge (lipschitz a) (spill s)) as Ms.
  constructor; cbn [inner gap spill]; rewrite ?U.
  - apply (sound_range _ _ _ Sd), (between_range _ _ _ _ _ B).
  - rewrite <- U. apply (sound_close _ _ _ Sd x X Y); [apply (between_range _ _ _ _ _ B)|
      apply (between_error _ _ _ _ _ B)|exact CY].
  - intros i Hi. rewrite !grid_plus.
    pose proof (Rabs_le_inv _ _ (DX i Hi)). pose proof (Rabs_le_inv _ _ (DL i Hi)).
    pose proof (Rabs_le_inv _ _ (DH i Hi)).
    pose proof (mono (fun i => l i - grid (gap s)) X
      (fun i Hi => proj1 (between_gap _ _ _ _ _ B i Hi)) i Hi).
    pose proof (mono X (fun i => h i + grid (gap s))
      (fun i Hi => proj2 (between_gap _ _ _ _ _ B i Hi)) i Hi).
    pose proof (Rabs_le_inv _ _ (proj1 (shifted l (grid (gap s)) G0r i Hi))).
    pose proof (Rabs_le_inv _ _ (proj2 (shifted h (grid (gap s)) G0r i Hi))). lra.
  - intros i Hi. rewrite !grid_plus.
    pose proof (Rabs_le_inv _ _ (DL i Hi)). pose proof (Rabs_le_inv _ _ (DH i Hi)).
    set (pl := fun i => lo i). set (ph := fun i => hi i).
    assert (Wl : within (ranges (inner s)) pl)
      by (intros j Hj; split; [apply Rle_refl|apply range_ordered, Hj]).
    assert (Wh : within (ranges (inner s)) ph)
      by (intros j Hj; split; [apply range_ordered, Hj|apply Rle_refl]).
    pose proof (sound_range _ _ _ Sd pl Wl i) as Rl.
    pose proof (sound_range _ _ _ Sd ph Wh i) as Rh.
    fold (units s1) in Rl, Rh. rewrite U in Rl, Rh. specialize (Rl Hi). specialize (Rh Hi).
    destruct Rl as [Rl _]. destruct Rh as [_ Rh].
    pose proof (mono (fun i => pl i - grid (spill s)) l
      (fun i Hi => proj1 (between_spill _ _ _ _ _ B i Hi)) i Hi).
    pose proof (mono h (fun i => ph i + grid (spill s))
      (fun i Hi => proj2 (between_spill _ _ _ _ _ B i Hi)) i Hi).
    pose proof (Rabs_le_inv _ _ (proj1 (shifted pl (grid (spill s)) S0r i Hi))).
    pose proof (Rabs_le_inv _ _ (proj2 (shifted ph (grid (spill s)) S0r i Hi))). lra.
Qed.

End Step.
