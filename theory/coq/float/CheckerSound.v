(** * CheckerSound: one operation of the checker is sound

    If the exact inputs are in their intervals and the computed ones within the error, then
    so are the outputs; and what two exact inputs are apart grows by the Lipschitz constant
    at most. *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Selection Ranges.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).

(** ** Constants *)

Lemma grid_single_unit : grid single_unit = u.
Proof. rewrite unit_single. unfold grid, single_unit, unit_grid. lra. Qed.

Lemma grid_coefficient_room : grid coefficient_room = coefficient_error.
Proof. rewrite coefficient_error_value. change coefficient_room with 67109888%Z.
  unfold grid, unit_grid. lra. Qed.

Lemma grid_tanh_room : grid tanh_room = tanh_error.
Proof. rewrite tanh_error_value. unfold grid, tanh_room, unit_grid. lra. Qed.

Lemma grid_normalize_room : grid normalize_room = normalize_growth - 1.
Proof.
  unfold normalize_growth. rewrite unit_single. unfold grid, normalize_room, unit_grid. lra.
Qed.

Lemma grid_largest_value : grid largest_value = IZR (2 ^ 30).
Proof. unfold grid, largest_value, unit_grid. lra. Qed.

Lemma grid_largest_operand : grid largest_operand = IZR (2 ^ 40).
Proof. unfold grid, largest_operand, unit_grid. lra. Qed.

Lemma grid_step : grid 1 = / IZR (2 ^ 48).
Proof. unfold grid, unit_grid. lra. Qed.

Arguments largest_value : simpl never.
Arguments largest_operand : simpl never.

Lemma rounded_ge room m : grid room * grid m + / IZR (2 ^ 48) <= grid (rounded room m).
Proof. unfold rounded. rewrite grid_plus, grid_step. pose proof (mul_up_ge room m). lra. Qed.

Lemma mul_up_nonneg a b : (0 <= a)%Z -> (0 <= b)%Z -> (0 <= mul_up a b)%Z.
Proof.
  intros A B. apply grid_le_inv. rewrite grid_0. eapply Rle_trans; [|apply mul_up_ge].
  apply Rmult_le_pos; apply grid_nonneg; assumption.
Qed.

Lemma rounded_nonneg room m : (0 <= room)%Z -> (0 <= m)%Z -> (0 <= rounded room m)%Z.
Proof. intros A B. unfold rounded. pose proof (mul_up_nonneg room m A B). lia. Qed.

Lemma checked_some s s' : checked s = Some s' ->
  s' = s /\ grid (magnitude (ranges s)) + grid (error s) <= IZR (2 ^ 30).
Proof.
  unfold checked. destruct (_ <=? _)%Z eqn:E; [|discriminate]. intros H. injection H as <-.
  split; [reflexivity|]. apply Z.leb_le, grid_le in E.
  rewrite grid_plus, grid_largest_value in E. exact E.
Qed.

(** ** What one operation has to satisfy *)

(** One move for each unit, none negative. *)
Definition moving (n : nat) (m : list Z) : Prop :=
  length m = n /\ forall i, (0 <= nth i m 0)%Z.

Definition ready (s : state) : Prop := (0 <= error s)%Z /\ moving (units s) (moves s).

Lemma moving_map n m (f : Z -> Z) : (forall a, (0 <= a)%Z -> (0 <= f a)%Z) -> moving n m ->
  moving n (map f m).
Proof.
  intros F [L M]. split; [rewrite map_length; exact L|]. intros i.
  destruct (Nat.lt_ge_cases i (length m)) as [H|H].
  - rewrite (map_nth_lt f m 0%Z) by exact H. apply F, M.
  - rewrite nth_overflow by (rewrite map_length; exact H). lia.
Qed.

Lemma moving_repeat n m : (0 <= m)%Z -> moving n (repeat m n).
Proof.
  intros H. split; [apply repeat_length|]. intros i. destruct (Nat.lt_ge_cases i n) as [L|L].
  - rewrite (nth_indep _ _ m) by (rewrite repeat_length; exact L). rewrite nth_repeat. exact H.
  - rewrite nth_overflow by (rewrite repeat_length; exact L). lia.
Qed.

Lemma largest_of_nonneg l : (0 <= largest_of l)%Z.
Proof. exact (proj1 (fold_max_ge (fun a => a) l 0%Z)). Qed.

Lemma largest_of_ge l i : (nth i l 0 <= largest_of l)%Z.
Proof.
  destruct (Nat.lt_ge_cases i (length l)) as [H|H].
  - apply (proj2 (fold_max_ge (fun a => a) l 0%Z)), nth_In, H.
  - rewrite nth_overflow by exact H. apply largest_of_nonneg.
Qed.

Lemma lipschitz_nonneg s : (0 <= lipschitz s)%Z.
Proof. apply largest_of_nonneg. Qed.

Lemma moves_lipschitz s i : (nth i (moves s) 0 <= lipschitz s)%Z.
Proof. apply largest_of_ge. Qed.

Record sound (o : op) (s s' : state) : Prop := Sound {
  sound_units : units s' = out_size o (units s);
  sound_nonneg : ready s';
  sound_range : forall x, within (ranges s) x -> within (ranges s') (apply_op o (units s) x);
  sound_close : forall x X y, within (ranges s) x ->
    (forall i, (i < units s)%nat -> Rabs (X i - x i) <= grid (error s)) ->
    computes_op o (units s) X y ->
    forall i, (i < units s')%nat -> Rabs (y i - apply_op o (units s) x i) <= grid (error s');
  sound_moves : forall x z d, 0 <= d ->
    (forall i, (i < units s)%nat -> Rabs (x i - z i) <= grid (nth i (moves s) 0%Z) * d) ->
    forall i, (i < units s')%nat ->
    Rabs (apply_op o (units s) x i - apply_op o (units s) z i) <= grid (nth i (moves s') 0%Z) * d }.

(** ** Operations of one unit *)

Lemma within_map (f : Z * Z -> Z * Z) (g : R -> R) l (x : vec) :
  (forall r a, in_range r a -> in_range (f r) (g a)) -> within l x ->
  within (map f l) (fun i => g (x i)).
Proof.
  intros H W i Hi. rewrite map_length in Hi. rewrite (map_nth_lt f l (0, 0)%Z) by exact Hi.
  apply H, W, Hi.
Qed.

Lemma within_map2 (f : Z * Z -> Z -> Z * Z) (g : R -> R -> R) l c (x : vec) :
  (forall r b a, in_range r a -> in_range (f r b) (g a (value b))) ->
  length c = length l -> within l x ->
  within (map2 f l c) (fun i => g (x i) (entry_of c i)).
Proof.
  intros H L W i Hi. rewrite map2_length in Hi by auto.
  rewrite (map2_nth f l c (0, 0)%Z 0%Z) by auto. apply H, W, Hi.
Qed.

(** The common shape: an operation that adds [room] of its output. *)
Lemma sound_after o s l room m :
  ready s -> (0 <= room)%Z -> length l = out_size o (units s) ->
  moving (out_size o (units s)) m ->
  (forall x, within (ranges s) x -> within l (apply_op o (units s) x)) ->
  (forall x X y i, within (ranges s) x ->
    (forall i, (i < units s)%nat -> Rabs (X i - x i) <= grid (error s)) ->
    (i < out_size o (units s))%nat ->
    Rabs (apply_op o (units s) x i) <= grid (magnitude l) ->
    grid (magnitude l) + grid (error s) <= IZR (2 ^ 30) ->
    computes_unit (units s) X i o y ->
    Rabs (y - apply_op o (units s) x i) <=
    grid (error s) + grid room * (grid (magnitude l) + grid (error s)) + / IZR (2 ^ 48)) ->
  (forall x z d, 0 <= d ->
    (forall i, (i < units s)%nat -> Rabs (x i - z i) <= grid (nth i (moves s) 0%Z) * d) ->
    forall i, (i < out_size o (units s))%nat ->
    Rabs (apply_op o (units s) x i - apply_op o (units s) z i) <= grid (nth i m 0%Z) * d) ->
  forall s',
  checked (State l (error s + rounded room (magnitude l + error s)) m) = Some s' ->
  sound o s s'.
Proof.
  intros [E0 L0] R0 Len Hv Hr Hc Hm s' C. apply checked_some in C.
  cbn [ranges error] in C. destruct C as [-> C].
  pose proof (magnitude_nonneg l) as M0. set (mg := magnitude l) in *.
  pose proof (rounded_nonneg room (mg + error s) R0 ltac:(lia)) as N.
  pose proof (rounded_ge room (mg + error s)) as G. rewrite grid_plus in C, G.
  assert (G0 : 0 <= grid room * (grid mg + grid (error s))).
  { rewrite <- grid_plus. apply Rmult_le_pos; apply grid_nonneg; lia. }
  constructor; unfold units in *; cbn [ranges error moves] in *.
  - exact Len.
  - split; [cbn [error]; lia|]. cbn [moves]. unfold units. cbn [ranges]. rewrite Len. exact Hv.
  - exact Hr.
  - intros x X y W Hx Hy i Hi. rewrite Len in Hi. rewrite grid_plus.
    eapply Rle_trans; [apply (Hc x X (y i) i W Hx Hi)|].
    + apply magnitude_bound; [apply Hr, W|rewrite Len; exact Hi].
    + lra.
    + apply Hy, Hi.
    + fold mg. lra.
  - intros x z d Hd Hx i Hi. rewrite Len in Hi. apply Hm; assumption.
Qed.

(** Operations of one unit that move no further than it. *)
Lemma moves_kept o s :
  (forall x z i, Rabs (apply_op o (units s) x i - apply_op o (units s) z i) <= Rabs (x i - z i)) ->
  out_size o (units s) = units s ->
  forall x z d, 0 <= d ->
  (forall i, (i < units s)%nat -> Rabs (x i - z i) <= grid (nth i (moves s) 0%Z) * d) ->
  forall i, (i < out_size o (units s))%nat ->
  Rabs (apply_op o (units s) x i - apply_op o (units s) z i) <= grid (nth i (moves s) 0%Z) * d.
Proof.
  intros K U x z d _ H i Hi. rewrite U in Hi. eapply Rle_trans; [apply K|apply H, Hi].
Qed.

Lemma grid_zero_room m : grid 0 * m = 0.
Proof. rewrite grid_0. ring. Qed.

Lemma negate_sound s s' : ready s -> step Negate s = Some s' -> sound Negate s s'.
Proof.
  intros R H. cbn [step] in H. revert H.
  apply sound_after; [exact R|lia|apply map_length|apply R| | |].
  - intros x W. apply (within_map _ Ropp); [|exact W]. intros r a [H1 H2].
    unfold in_range. cbn [fst snd]. rewrite !grid_opp. lra.
  - intros x X y i W Hx Hi _ _ C. inversion C; subst. rewrite grid_zero_room.
    match goal with O : operand single (X i) ?v |- _ =>
      pose proof (negate_error (x i) (X i) _ v (Hx i Hi) O) end.
    cbn [apply_op]. lra.
  - apply moves_kept; [|reflexivity]. intros x z i. cbn [apply_op].
    replace (- x i - - z i) with (- (x i - z i)) by ring. rewrite Rabs_Ropp. lra.
Qed.

Lemma relu_sound s s' : ready s -> step Relu s = Some s' -> sound Relu s s'.
Proof.
  intros R H. cbn [step] in H. revert H.
  apply sound_after; [exact R|lia|apply map_length|apply R| | |].
  - intros x W. apply (within_map _ (fun a => Rmax a 0)); [|exact W]. intros r a [H1 H2].
    unfold in_range. cbn [fst snd]. rewrite !grid_max, grid_0.
    split; apply Rle_max_compat_r; assumption.
  - intros x X y i W Hx Hi _ _ C. inversion C; subst. rewrite grid_zero_room.
    match goal with O : operand single (X i) ?v |- _ =>
      pose proof (relu_error (x i) (X i) _ v (Hx i Hi) O) end.
    cbn [apply_op]. lra.
  - apply moves_kept; [|reflexivity]. intros x z i. cbn [apply_op].
    pose proof (Rle_abs (x i - z i)) as A. pose proof (Rle_abs (- (x i - z i))) as B.
    rewrite Rabs_Ropp in B. unfold Rmax.
    destruct (Rle_dec (x i) 0), (Rle_dec (z i) 0); apply Rabs_le; lra.
Qed.

Lemma abs_sound s s' : ready s -> step Abs s = Some s' -> sound Abs s s'.
Proof.
  intros R H. cbn [step] in H. revert H.
  apply sound_after; [exact R|lia|apply map_length|apply R| | |].
  - intros x W. apply (within_map _ Rabs); [|exact W]. intros r a [H1 H2].
    unfold in_range. cbn [fst snd]. rewrite !grid_max, !grid_opp, grid_0.
    pose proof (Rle_abs a). pose proof (Rle_abs (- a)) as N. rewrite Rabs_Ropp in N. split.
    + apply Rmax_lub; [apply Rabs_pos|]. apply Rmax_lub; lra.
    + pose proof (Rmax_l (- grid (fst r)) (grid (snd r))).
      pose proof (Rmax_r (- grid (fst r)) (grid (snd r))). apply Rabs_le. lra.
  - intros x X y i W Hx Hi _ _ C. inversion C; subst. rewrite grid_zero_room.
    match goal with O : operand single (X i) ?v |- _ =>
      pose proof (abs_error (x i) (X i) _ v (Hx i Hi) O) end.
    cbn [apply_op]. lra.
  - apply moves_kept; [|reflexivity]. intros x z i. apply Rabs_triang_inv2.
Qed.

Lemma shift_sound c s s' : ready s -> step (Shift c) s = Some s' -> sound (Shift c) s s'.
Proof.
  intros R H. cbn [step] in H. destruct (forallb finite c && _) eqn:C; [|discriminate].
  apply andb_prop in C. destruct C as [_ C]. apply Nat.eqb_eq in C. revert H.
  apply sound_after; [exact R|discriminate|apply map2_length; auto|apply R| | |].
  - intros x W. apply (within_map2 _ Rminus); [|exact C|exact W]. intros r b a [H1 H2].
    pose proof (below_value b). pose proof (above_value b).
    unfold in_range. cbn [fst snd]. rewrite !grid_minus. lra.
  - intros x X y i W Hx Hi M L D. inversion D; subst. rewrite grid_single_unit.
    cbn [apply_op] in *. destruct R as [R _]. apply grid_nonneg in R.
    pose proof (shift_error (x i) (X i) (entry_of c i) _ y R (Hx i Hi) ltac:(lra)
      ltac:(eassumption)) as E.
    assert (u * (Rabs (x i - entry_of c i) + grid (error s)) <=
            u * (grid (magnitude (map2 (fun r b => (fst r - above b, snd r -
              below b)%Z) (ranges s) c))
                 + grid (error s))).
    { apply Rmult_le_compat_l; [pose proof (unit_pos single); lra|lra]. }
    lra.
  - apply moves_kept; [|reflexivity]. intros x z i. cbn [apply_op].
    replace (x i - entry_of c i - (z i - entry_of c i)) with (x i - z i) by ring. lra.
Qed.

Lemma bias_sound c s s' : ready s -> step (Bias c) s = Some s' -> sound (Bias c) s s'.
Proof.
  intros R H. cbn [step] in H. destruct (forallb finite c && _) eqn:C; [|discriminate].
  apply andb_prop in C. destruct C as [_ C]. apply Nat.eqb_eq in C. revert H.
  apply sound_after; [exact R|discriminate|apply map2_length; auto|apply R| | |].
  - intros x W. apply (within_map2 _ Rplus); [|exact C|exact W]. intros r b a [H1 H2].
    pose proof (below_value b). pose proof (above_value b).
    unfold in_range. cbn [fst snd]. rewrite !grid_plus. lra.
  - intros x X y i W Hx Hi M L D. inversion D; subst. rewrite grid_single_unit.
    cbn [apply_op] in *. destruct R as [R _]. apply grid_nonneg in R.
    pose proof (bias_error (x i) (X i) (entry_of c i) _ y R (Hx i Hi) ltac:(lra)
      ltac:(eassumption)) as E.
    assert (u * (Rabs (x i + entry_of c i) + grid (error s)) <=
            u * (grid (magnitude (map2 (fun r b => (fst r + below b, snd r +
              above b)%Z) (ranges s) c))
                 + grid (error s))).
    { apply Rmult_le_compat_l; [pose proof (unit_pos single); lra|lra]. }
    lra.
  - apply moves_kept; [|reflexivity]. intros x z i. cbn [apply_op].
    replace (x i + entry_of c i - (z i + entry_of c i)) with (x i - z i) by ring. lra.
Qed.

Lemma flatten_sound s s' : ready s -> step Flatten s = Some s' -> sound Flatten s s'.
Proof.
  intros R H. cbn [step] in H. injection H as <-. constructor; cbn [apply_op out_size].
  - reflexivity.
  - exact R.
  - auto.
  - intros x X y W Hx Hy i Hi. specialize (Hy i Hi). generalize dependent (y i). intros v Hv.
    inversion Hv; subst. apply Hx, Hi.
  - auto.
Qed.

(** ** Tanh *)

Lemma tanh_0 : tanh 0 = 0.
Proof. unfold tanh. rewrite sinh_0. unfold Rdiv. ring. Qed.

Lemma squares_down_le n : forall z a, (0 <= z)%Z -> grid z <= a ->
  (0 <= squares_down n z)%Z /\ grid (squares_down n z) <= a ^ (2 ^ n).
Proof.
  induction n as [|n IH]; intros z a Z0 H; cbn [squares_down].
  - split; [exact Z0|]. change (2 ^ 0)%nat with 1%nat. lra.
  - pose proof (grid_nonneg z Z0) as G0.
    replace (a ^ (2 ^ S n)) with ((a * a) ^ (2 ^ n)).
    + apply IH; [apply mul_down_nonneg; assumption|].
      eapply Rle_trans; [apply mul_down_le|]. apply Rmult_le_compat; assumption.
    + replace (2 ^ S n)%nat with (2 * 2 ^ n)%nat by reflexivity. rewrite pow_mult. f_equal. ring.
Qed.

Lemma exp_pow x n : exp (x * INR n) = exp x ^ n.
Proof.
  induction n as [|n IH]; [rewrite Rmult_0_r; apply exp_0|].
  rewrite S_INR, Rmult_plus_distr_l, Rmult_1_r, exp_plus, IH. simpl. ring.
Qed.

Lemma exp_ge_1_plus x : 1 + x <= exp x.
Proof.
  destruct (Req_dec x 0) as [->|H]; [rewrite exp_0; lra|]. apply Rlt_le, exp_ineq1, H.
Qed.

Lemma parts_value : INR (2 ^ exp_steps) = 65536.
Proof. unfold exp_steps. rewrite pow_INR. simpl. lra. Qed.

Lemma exp_minus_down_le y : (0 <= y)%Z ->
  (0 <= exp_minus_down y)%Z /\ grid (exp_minus_down y) <= exp (- grid y).
Proof.
  intros Y. unfold exp_minus_down.
  set (z := Z.max 0 (unit_grid - ceil_div y exp_parts)).
  assert (Z0 : (0 <= z)%Z) by (unfold z; lia).
  assert (H : grid z <= exp (- grid y / 65536)).
  { unfold z. rewrite grid_max, grid_0, grid_minus, grid_1. apply Rmax_lub.
    - apply Rlt_le, exp_pos.
    - eapply Rle_trans; [|apply exp_ge_1_plus].
      pose proof (ceil_div_ge y exp_parts ltac:(reflexivity)) as C.
      apply (Rmult_le_compat_r (/ IZR unit_grid)) in C;
        [|apply Rlt_le, Rinv_0_lt_compat, unit_grid_pos].
      fold (IZR (ceil_div y exp_parts) / IZR unit_grid) in C.
        fold (grid (ceil_div y exp_parts)) in C.
      replace (IZR y / IZR exp_parts * / IZR unit_grid) with (grid y / 65536) in C
        by (unfold grid, exp_parts; field; pose proof unit_grid_pos; lra). lra. }
  destruct (squares_down_le exp_steps z _ Z0 H) as [S1 S2]. split; [exact S1|].
  eapply Rle_trans; [exact S2|]. rewrite <- exp_pow, parts_value. right. f_equal. field.
Qed.

Lemma exp_minus_up_ge y : (0 <= y)%Z -> exp (- grid y) <= grid (exp_minus_up y).
Proof.
  intros Y. unfold exp_minus_up. set (z := (unit_grid + floor_div y exp_parts)%Z).
  assert (F0 : (0 <= floor_div y exp_parts)%Z)
    by (apply Z.div_pos; [exact Y|reflexivity]).
  assert (Z0 : (0 <= z)%Z) by (unfold z, unit_grid; lia).
  assert (Z1 : 1 <= grid z).
  { unfold z. rewrite grid_plus, grid_1. pose proof (grid_nonneg _ F0). lra. }
  assert (H : grid z <= exp (grid y / 65536)).
  { eapply Rle_trans; [|apply exp_ge_1_plus]. unfold z. rewrite grid_plus, grid_1.
    pose proof (IZR_div_le y exp_parts ltac:(reflexivity)) as C.
    apply (Rmult_le_compat_r (/ IZR unit_grid)) in C;
      [|apply Rlt_le, Rinv_0_lt_compat, unit_grid_pos].
    fold (floor_div y exp_parts) in C.
    fold (IZR (floor_div y exp_parts) / IZR unit_grid) in C.
      fold (grid (floor_div y exp_parts)) in C.
    replace (IZR y / IZR exp_parts * / IZR unit_grid) with (grid y / 65536) in C
      by (unfold grid, exp_parts; field; pose proof unit_grid_pos; lra). lra. }
  destruct (squares_down_le exp_steps z _ Z0 H) as [S1 S2].
  rewrite <- exp_pow, parts_value in S2. replace (grid y / 65536 * 65536) with (grid y) in S2
    by field.
  assert (one : forall n z, (unit_grid <= z)%Z -> (unit_grid <= squares_down n z)%Z).
  { induction n as [|n IH]; intros v V; [exact V|]. cbn [squares_down]. apply IH.
    unfold mul_down. rewrite shiftr_grid. apply Z.div_le_lower_bound; [reflexivity|].
    unfold unit_grid in *. nia. }
  assert (P : (unit_grid <= squares_down exp_steps z)%Z) by (apply one; unfold z; lia).
  eapply Rle_trans; [|apply quotient_up_ge; unfold unit_grid in P; lia]. rewrite grid_1, exp_Ropp.
  unfold Rdiv. rewrite Rmult_1_l. apply Rinv_le_contravar; [|exact S2].
  apply grid_le in P. rewrite grid_1 in P. lra.
Qed.

Lemma tanh_by_exp x : tanh x = (1 - exp (- (2 * x))) / (1 + exp (- (2 * x))).
Proof.
  unfold tanh, sinh, cosh.
  replace (- (2 * x)) with (- x + - x) by ring. rewrite exp_plus.
  pose proof (exp_pos x) as P. pose proof (exp_pos (- x)) as Q.
  assert (E : exp x * exp (- x) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
  assert (D : 0 < 1 + exp (- x) * exp (- x)) by nra.
  apply (Rmult_eq_reg_r ((exp x + exp (- x)) * (1 + exp (- x) * exp (- x)))); [|nra].
  field_simplify; [|lra|lra]. nra.
Qed.

Lemma share_decreases a b : 0 <= a -> a <= b -> (1 - b) / (1 + b) <= (1 - a) / (1 + a).
Proof.
  intros A B. apply (Rmult_le_reg_r ((1 + a) * (1 + b))); [nra|].
  replace ((1 - b) / (1 + b) * ((1 + a) * (1 + b))) with ((1 - b) * (1 + a)) by (field; lra).
  replace ((1 - a) / (1 + a) * ((1 + a) * (1 + b))) with ((1 - a) * (1 + b)) by (field; lra). nra.
Qed.

Lemma tanh_moderate_bounds x : (0 <= x)%Z ->
  0 <= grid (tanh_down_moderate x) <= tanh (grid x) /\
  tanh (grid x) <= grid (tanh_up_positive x).
Proof.
  intros X. unfold tanh_down_moderate, tanh_up_positive.
  destruct (exp_minus_down_le (2 * x) ltac:(lia)) as [D0 D1].
  pose proof (exp_minus_up_ge (2 * x) ltac:(lia)) as U1. rewrite grid_mul in D1, U1.
  pose proof (grid_nonneg _ D0) as D0r. pose proof (exp_pos (- (2 * grid x))) as E0.
  pose proof (grid_nonneg _ X) as X0.
  assert (U0 : (0 <= exp_minus_up (2 * x))%Z) by (apply grid_le_inv; rewrite grid_0; lra).
  rewrite tanh_by_exp. rewrite grid_max, grid_min, grid_0, grid_1.
  assert (E1 : exp (- (2 * grid x)) <= 1).
  { rewrite <- exp_0. destruct X0 as [X0|X0].
    - apply Rlt_le, exp_increasing. lra.
    - rewrite <- X0, Rmult_0_r, Ropp_0. lra. }
  assert (S : 0 <= (1 - exp (- (2 * grid x))) / (1 + exp (- (2 * grid x))) <= 1).
  { split.
    - apply Rmult_le_pos; [lra|]. apply Rlt_le, Rinv_0_lt_compat. lra.
    - apply (Rmult_le_reg_r (1 + exp (- (2 * grid x)))); [lra|]. field_simplify; lra. }
  split; [split; [apply Rmax_l|]|].
  - apply Rmax_lub; [lra|]. eapply Rle_trans; [apply quotient_down_le; unfold unit_grid; lia|].
    rewrite grid_minus, grid_plus, grid_1. apply share_decreases; lra.
  - apply Rmin_glb; [lra|]. eapply Rle_trans; [|apply quotient_up_ge; unfold unit_grid; lia].
    rewrite grid_minus, grid_plus, grid_1. apply share_decreases; lra.
Qed.

Lemma tanh_positive_bounds x : (0 <= x)%Z ->
  0 <= grid (tanh_down_positive x) <= tanh (grid x) /\
  tanh (grid x) <= grid (tanh_up_positive x).
Proof.
  intros X. split; [|apply tanh_moderate_bounds, X]. unfold tanh_down_positive.
  destruct (tanh_moderate_bounds (Z.min x tanh_cap)) as [[B1 B2] _]; [unfold tanh_cap; lia|].
  split; [exact B1|]. eapply Rle_trans; [exact B2|]. apply tanh_monotone, grid_le. lia.
Qed.

Lemma tanh_opp x : tanh (- x) = - tanh x.
Proof.
  unfold tanh, sinh, cosh. rewrite Ropp_involutive.
  pose proof (exp_pos x). pose proof (exp_pos (- x)). field. lra.
Qed.

Lemma tanh_range r a : in_range r a -> in_range (tanh_down (fst r), tanh_up (snd r)) (tanh a).
Proof.
  intros [H1 H2]. unfold in_range, tanh_down, tanh_up. cbn [fst snd].
  apply tanh_monotone in H1, H2. split.
  - eapply Rle_trans; [|exact H1]. destruct (Z.leb_spec 0 (fst r)) as [P|P].
    + apply (tanh_positive_bounds _ P).
    + destruct (tanh_positive_bounds (- fst r) ltac:(lia)) as [_ B].
      rewrite grid_opp in *. rewrite tanh_opp in B. lra.
  - eapply Rle_trans; [exact H2|]. destruct (Z.leb_spec 0 (snd r)) as [P|P].
    + apply (tanh_positive_bounds _ P).
    + destruct (tanh_positive_bounds (- snd r) ltac:(lia)) as [B _].
      rewrite grid_opp in *. rewrite tanh_opp in B. lra.
Qed.

Lemma tanh_sound s s' : ready s -> step Tanh s = Some s' -> sound Tanh s s'.
Proof.
  intros [E0 L0] H. cbn [step] in H. apply checked_some in H.
  destruct H as [-> _]. constructor; unfold units; cbn [ranges error moves apply_op].
  - apply map_length.
  - split; [cbn [error]; unfold tanh_room; lia|]. unfold units. cbn [ranges moves].
    rewrite map_length. exact L0.
  - intros x W. apply (within_map _ tanh); [exact tanh_range|exact W].
  - intros x X y W Hx Hy i Hi. rewrite map_length in Hi. specialize (Hy i Hi).
    generalize dependent (y i). intros v Hv. inversion Hv; subst.
    rewrite !grid_plus, grid_tanh_room, grid_step.
    match goal with O : operand single (X i) ?w, T : Rabs (v - tanh ?w) <= _ |- _ =>
      pose proof (tanh_computed_error (x i) (X i) w _ v (Hx i Hi) O T) end. lra.
  - intros x z d Hd Hx i Hi. rewrite map_length in Hi.
    eapply Rle_trans; [apply tanh_moves|apply Hx, Hi].
Qed.

(** ** Normalization *)

Lemma grid_div_down d b a x : (0 < d)%Z -> grid d <= b <= grid a -> 
  grid (if 0 <=? x then quotient_down x a else quotient_down x d)%Z <= grid x / b.
Proof.
  intros D [B1 B2]. assert (D' : 0 < grid d).
  { apply IZR_lt in D. unfold grid. pose proof unit_grid_pos. apply Rdiv_lt_0_compat; lra. }
  assert (A' : (0 < a)%Z).
  { apply lt_IZR. apply (Rmult_lt_reg_r (/ IZR unit_grid));
      [apply Rinv_0_lt_compat, unit_grid_pos|]. fold (IZR a / IZR unit_grid) (grid a). lra. }
  destruct (Z.leb_spec 0 x) as [X|X].
  - eapply Rle_trans; [apply quotient_down_le, A'|]. apply grid_nonneg in X.
    unfold Rdiv. apply Rmult_le_compat_l; [exact X|]. apply Rinv_le_contravar; lra.
  - eapply Rle_trans; [apply quotient_down_le, D|].
    assert (grid x <= 0) by (rewrite <- grid_0; apply grid_le; lia).
    unfold Rdiv. assert (/ b <= / grid d) by (apply Rinv_le_contravar; lra). nra.
Qed.

Lemma normalized_range r mean std a : std_checked std = true -> in_range r a ->
  in_range (normalized r (mean, std)) ((a - value mean) / value std).
Proof.
  intros C [H1 H2]. unfold std_checked in C.
  repeat (apply andb_prop in C; destruct C as [C ?C]). apply Z.leb_le in C1.
  assert (D : (0 < below std)%Z) by (unfold least_std in C1; lia).
  pose proof (below_value std) as S1. pose proof (above_value std) as S2.
  pose proof (below_value mean). pose proof (above_value mean).
  assert (D' : 0 < grid (below std)).
  { apply IZR_lt in D. unfold grid. pose proof unit_grid_pos. apply Rdiv_lt_0_compat; lra. }
  assert (I0 : 0 < / value std) by (apply Rinv_0_lt_compat; lra).
  unfold in_range, normalized. cbn [fst snd]. split.
  - eapply Rle_trans; [apply (grid_div_down _ (value std)); [exact D|split; assumption]|].
    rewrite grid_minus. unfold Rdiv. apply Rmult_le_compat_r; lra.
  - rewrite grid_opp. apply Ropp_le_cancel. rewrite Ropp_involutive.
    eapply Rle_trans; [apply (grid_div_down _ (value std)); [exact D|split; assumption]|].
    rewrite grid_minus. unfold Rdiv. rewrite Ropp_mult_distr_l.
    apply Rmult_le_compat_r; lra.
Qed.

(** What [std_checked] says. *)
Lemma std_checked_true std : std_checked std = true ->
  (0 < below std)%Z /\ / IZR (2 ^ 28) <= value std <= IZR (2 ^ 40) /\ 0 < / value std /\
  / value std <= grid (quotient_up unit_grid (below std)).
Proof.
  intros C. unfold std_checked in C.
  repeat (apply andb_prop in C; destruct C as [C ?C]). apply Z.leb_le in C0, C1.
  assert (D : (0 < below std)%Z) by (unfold least_std in C1; lia).
  pose proof (below_value std) as S1. pose proof (above_value std) as S2.
  assert (Sr : / IZR (2 ^ 28) <= value std <= IZR (2 ^ 40)).
  { apply grid_le in C0, C1. unfold grid at 1, least_std, unit_grid in C1.
    unfold grid at 2, largest_std, unit_grid in C0. lra. }
  split; [exact D|]. split; [exact Sr|]. split; [apply Rinv_0_lt_compat; lra|].
  eapply Rle_trans; [|apply quotient_up_ge, D]. rewrite grid_1.
  unfold Rdiv. rewrite Rmult_1_l. apply Rinv_le_contravar; [|exact S1].
  apply IZR_lt in D. unfold grid. pose proof unit_grid_pos. apply Rdiv_lt_0_compat; lra.
Qed.

Lemma quotient_up_nonneg a d : (0 <= a)%Z -> (0 < d)%Z -> (0 <= quotient_up a d)%Z.
Proof.
  intros A D. apply grid_le_inv. rewrite grid_0. eapply Rle_trans; [|apply quotient_up_ge, D].
  apply IZR_lt in D as D'. unfold Rdiv. apply Rmult_le_pos; [apply grid_nonneg, A|].
  apply Rlt_le, Rinv_0_lt_compat. unfold grid. pose proof unit_grid_pos.
  apply Rdiv_lt_0_compat; lra.
Qed.

Lemma normalize_sound mean std s s' : ready s -> step (Normalize mean std) s = Some s' ->
  sound (Normalize mean std) s s'.
Proof.
  intros [E0 [L0 M0']] H. cbn [step] in H.
  destruct (forallb finite mean && _ && _ && _) eqn:C; [|discriminate].
  repeat (apply andb_prop in C; destruct C as [C ?C]). clear C.
  apply Nat.eqb_eq in C0, C1. rewrite forallb_forall in C2.
  apply checked_some in H. destruct H as [-> B].
  set (factor := largest_of _) in *.
  assert (Cs : forall i, (i < units s)%nat -> std_checked (nth i std 0%Z) = true)
    by (intros i Hi; apply C2, nth_In; lia).
  assert (F : forall i, (i < units s)%nat -> / entry_of std i <= grid factor).
  { intros i Hi. eapply Rle_trans; [apply (std_checked_true _ (Cs i Hi))|]. apply grid_le.
    unfold factor. eapply Z.le_trans; [|apply (largest_of_ge _ i)].
    rewrite (map_nth_lt _ std 0%Z) by lia. lia. }
  assert (F0 : (0 <= factor)%Z) by apply largest_of_nonneg.
  cbn [ranges error moves] in B.
  set (l := map2 normalized _ _) in *.
  set (e' := mul_up factor (error s)) in *.
  assert (E0' : (0 <= e')%Z) by (apply mul_up_nonneg; assumption).
  assert (Ee : forall i, (i < units s)%nat -> grid (error s) / entry_of std i <= grid e').
  { intros i Hi. eapply Rle_trans; [|apply mul_up_ge]. rewrite Rmult_comm. unfold Rdiv.
    apply Rmult_le_compat_l; [apply grid_nonneg, E0|apply F, Hi]. }
  pose proof (magnitude_nonneg l) as M0.
  pose proof (rounded_nonneg normalize_room (magnitude l + e') ltac:(discriminate) ltac:(lia)) as N.
  pose proof (rounded_ge normalize_room (magnitude l + e')) as G.
  rewrite grid_normalize_room, grid_plus in G. rewrite !grid_plus in B.
  assert (Lc : length (ranges s) = length (combine mean std))
    by (rewrite combine_length; unfold units in *; lia).
  assert (Ll : length l = units s) by (unfold l; rewrite map2_length; [reflexivity|exact Lc]).
  assert (W' : forall x, within (ranges s) x ->
            within l (fun i => (x i - entry_of mean i) / entry_of std i)).
  { intros x W i Hi. rewrite Ll in Hi. unfold l.
    rewrite (map2_nth normalized _ _ (0, 0)%Z (0, 0)%Z) by assumption.
    rewrite combine_nth by lia. apply normalized_range; [apply Cs, Hi|apply W, Hi]. }
  assert (NG : 0 <= normalize_growth - 1).
  { unfold normalize_growth. rewrite unit_single. lra. }
  constructor; cbn [ranges error moves apply_op].
  - exact Ll.
  - split; [cbn [error]; lia|]. unfold units. cbn [ranges moves]. rewrite Ll.
    split; [rewrite map2_length; lia|]. intros i.
    destruct (Nat.lt_ge_cases i (units s)) as [Hi|Hi].
    + rewrite (map2_nth _ _ _ 0%Z 0%Z) by lia.
      apply quotient_up_nonneg; [apply M0'|apply (std_checked_true _ (Cs i Hi))].
    + rewrite nth_overflow by (rewrite map2_length; lia). lia.
  - exact W'.
  - intros x X y W Hx Hy i Hi. unfold units in Hi. cbn [ranges] in Hi. rewrite Ll in Hi.
    specialize (Hy i Hi).
    generalize dependent (y i). intros v Hv. inversion Hv; subst.
    rewrite grid_plus. destruct (std_checked_true _ (Cs i Hi)) as (D & Sr & I0 & _).
    fold (entry_of std i) in Sr, I0.
    assert (Mi : Rabs ((x i - entry_of mean i) / entry_of std i) <= grid (magnitude l)).
    { apply (magnitude_bound l (fun i => (x i - entry_of mean i) / entry_of std i));
        [apply W', W|lia]. }
    specialize (Ee i Hi).
    assert (Y : (Rabs (x i - entry_of mean i) + grid (error s)) / entry_of std i <=
                grid (magnitude l) + grid e').
    { unfold Rdiv in *. rewrite Rabs_mult, (Rabs_pos_eq (/ entry_of std i)) in Mi by lra. lra. }
    pose proof (Rmult_le_pos _ _ NG (grid_nonneg (magnitude l + e') ltac:(lia))) as P.
    rewrite grid_plus in P.
    assert (NO : normalizes (entry_of mean i) (entry_of std i) (X i) v) by assumption.
    pose proof (normalize_error (entry_of mean i) (entry_of std i) (x i) (X i) (grid (error s)) v Sr
      (grid_nonneg _ E0) (Hx i Hi) ltac:(lra) NO) as E.
    assert ((normalize_growth - 1) *
              ((Rabs (x i - entry_of mean i) + grid (error s)) / entry_of std i) <=
            (normalize_growth - 1) * (grid (magnitude l) + grid e'))
      by (apply Rmult_le_compat_l; assumption).
    lra.
  - intros x z d Hd Hx i Hi. unfold units in Hi. cbn [ranges] in Hi. rewrite Ll in Hi.
    specialize (Hx i Hi). destruct (std_checked_true _ (Cs i Hi)) as (D & Sr & I0 & _).
    fold (entry_of std i) in Sr, I0.
    replace ((x i - entry_of mean i) / entry_of std i - (z i - entry_of mean i) / entry_of std i)
      with ((x i - z i) * / entry_of std i) by (field; lra).
    rewrite Rabs_mult, (Rabs_pos_eq (/ entry_of std i)) by lra.
    rewrite (map2_nth _ _ _ 0%Z 0%Z) by lia.
    apply Rle_trans with (grid (nth i (moves s) 0%Z) / grid (below (nth i std 0%Z)) * d).
    + unfold Rdiv. rewrite (Rmult_assoc _ _ d), (Rmult_comm _ d), <- Rmult_assoc.
      apply Rmult_le_compat; [apply Rabs_pos|lra|exact Hx|].
      apply Rinv_le_contravar; [|apply below_value].
      apply IZR_lt in D. unfold grid. pose proof unit_grid_pos. apply Rdiv_lt_0_compat; lra.
    + apply Rmult_le_compat_r; [exact Hd|]. apply quotient_up_ge, D.
Qed.
