(** * ErrorBound: for every chain that the checker analyses, computed logits are within E of
    exact ones, which are L-Lipschitz and in their intervals *)

From Coq Require Import Reals ZArith Lra Lia List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums.
From SortNet.float Require Import Network Rounding HostSemantics Grid Checker Ranges CheckerSound
  LayersSound AffineSound SignedSound PiecesSound.
Import ListNotations.
Open Scope R_scope.

Theorem step_sound o s s' : ready s -> step o s = Some s' -> sound o s s'.
Proof.
  destruct o; [apply normalize_sound|apply flatten_sound|apply sort_neuron_sound|
    apply sort_conv_sound|apply shift_sound|apply bias_sound|apply negate_sound|
    apply affine_sound|apply group_sort_sound|apply relu_sound|apply abs_sound|apply tanh_sound|
    apply rank_sound|apply signed_sound|apply pieces_sound].
Qed.

Lemma analyse_ops_sound l : forall s s', ready s -> analyse_ops l s = Some s' ->
  units s' = size_after l (units s) /\ ready s' /\
  (forall x, within (ranges s) x -> within (ranges s') (eval_ops l (units s) x)) /\
  (forall x X y, within (ranges s) x ->
    (forall i, (i < units s)%nat -> Rabs (X i - x i) <= grid (error s)) ->
    computes_ops l (units s) X y ->
    forall i, (i < units s')%nat -> Rabs (y i - eval_ops l (units s) x i) <= grid (error s')) /\
  (forall x z d, 0 <= d ->
    (forall i, (i < units s)%nat -> Rabs (x i - z i) <= grid (nth i (moves s) 0%Z) * d) ->
    forall i, (i < units s')%nat ->
    Rabs (eval_ops l (units s) x i - eval_ops l (units s) z i) <=
    grid (nth i (moves s') 0%Z) * d).
Proof.
  induction l as [|o l IH]; intros s s' R H; cbn [analyse_ops] in H.
  - injection H as <-. split; [reflexivity|]. split; [exact R|]. split; [auto|].
    split; [|auto]. intros x X y W Hx Hy i Hi. inversion Hy; subst.
    match goal with E : forall i, _ -> y i = X i |- _ => rewrite E by exact Hi end.
    apply Hx, Hi.
  - destruct (step o s) as [s1|] eqn:E; [|discriminate].
    destruct (step_sound o s s1 R E) as [U N P C M].
    destruct (IH s1 s' N H) as (U' & R' & P' & C' & M').
    cbn [eval_ops]. rewrite U in *. split; [exact U'|]. split; [exact R'|].
    split; [intros x W; apply P', P, W|]. split.
    + intros x X y W Hx Hy. inversion Hy; subst.
      match goal with A : computes_op o _ X ?z, B : computes_ops l _ ?z y |- _ =>
        apply (C' (apply_op o (units s) x) z y); [apply P, W| |exact B];
        apply (C x X z W Hx A) end.
    + intros x z d Hd Hx. apply M'; [exact Hd|]. apply M; assumption.
Qed.

(** ** The start *)

Lemma region_checked_true D : region_checked D = true ->
  length (highs D) = length (lows D) /\ length (units_of D) = length (lows D) /\
  forall i, (0 <= mantissa (nth i (units_of D) 0))%Z.
Proof.
  unfold region_checked. intros C. repeat (apply andb_prop in C; destruct C as [C ?C]).
  apply Nat.eqb_eq in C3, C4. split; [exact C4|]. split; [exact C3|]. intros i.
  destruct (Nat.lt_ge_cases i (length (units_of D))) as [H|H].
  - rewrite forallb_forall in C1. apply Z.leb_le, C1, nth_In, H.
  - rewrite nth_overflow by exact H. reflexivity.
Qed.

Lemma start_units D : region_checked D = true -> units (start D) = length (lows D).
Proof.
  intros C. destruct (region_checked_true D C) as (L & _).
  unfold units, start. cbn [ranges]. apply map2_length. auto.
Qed.

Lemma mantissa_value b : (0 <= mantissa b)%Z -> 0 <= value b.
Proof.
  intros H. unfold value. apply Rmult_le_pos; [apply IZR_le, H|]. apply Rlt_le, bpow_gt_0.
Qed.

Lemma start_ready D : region_checked D = true -> ready (start D).
Proof.
  intros C. pose proof (start_units D C) as U. destruct (region_checked_true D C) as (_ & L & P).
  split; [cbn; lia|]. rewrite U. unfold start. cbn [moves]. split; [rewrite map_length; exact L|].
  intros i. destruct (Nat.lt_ge_cases i (length (units_of D))) as [H|H].
  - rewrite (map_nth_lt above _ 0%Z) by exact H. apply grid_le_inv. rewrite grid_0.
    eapply Rle_trans; [|apply above_value]. apply mantissa_value, P.
  - rewrite nth_overflow by (rewrite map_length; exact H). lia.
Qed.

Lemma start_within D x : region_checked D = true -> in_box D x -> within (ranges (start D)) x.
Proof.
  intros C H i Hi. fold (units (start D)) in Hi. rewrite start_units in Hi by exact C.
  destruct (region_checked_true D C) as (L & _). unfold start. cbn [ranges].
  rewrite (map2_nth _ _ _ 0%Z 0%Z) by auto. unfold in_range. cbn [fst snd].
  destruct (H i Hi) as [H1 H2]. unfold entry_of in H1, H2.
  pose proof (below_value (nth i (lows D) 0%Z)). pose proof (above_value (nth i (highs D) 0%Z)).
  lra.
Qed.

Lemma start_moves D x x' r : region_checked D = true -> 0 <= r -> in_ball D r x x' ->
  forall i, (i < units (start D))%nat ->
  Rabs (x' i - x i) <= grid (nth i (moves (start D)) 0%Z) * r.
Proof.
  intros C R H i Hi. rewrite start_units in Hi by exact C.
  destruct (region_checked_true D C) as (_ & L & _). unfold start. cbn [moves].
  rewrite (map_nth_lt above _ 0%Z) by lia. eapply Rle_trans; [apply H, Hi|].
  rewrite Rmult_comm. apply Rmult_le_compat_r; [exact R|]. apply above_value.
Qed.

(** What an analysis proves of a network. *)
Theorem analyse_sound N s : analyse N = Some s ->
  units s = classes N /\
  0 <= grid (error s) /\ 0 <= grid (lipschitz s) /\
  (forall x j, in_box (input N) x -> (j < classes N)%nat ->
    Rabs (logits N x j) <= grid (magnitude (ranges s))) /\
  (forall x y j, in_box (input N) x -> computes N x y -> (j < classes N)%nat ->
    Rabs (y j - logits N x j) <= grid (error s)) /\
  (forall x x' d j, 0 <= d -> in_ball (input N) d x x' ->
    (j < classes N)%nat -> Rabs (logits N x' j - logits N x j) <= grid (lipschitz s) * d).
Proof.
  intros H. unfold analyse in H. destruct (region_checked (input N)) eqn:D; [|discriminate].
  destruct (analyse_ops_sound _ _ _ (start_ready _ D) H) as (U & [E0 L0] & P & C & M).
  rewrite start_units in * by exact D. fold (input_size N) in *.
  fold (classes N) in U. rewrite U in *. fold (logits N) in *.
  split; [reflexivity|]. split; [apply grid_nonneg, E0|].
  split; [apply grid_nonneg, lipschitz_nonneg|]. split; [|split].
  - intros x j Hx Hj. apply (magnitude_bound (ranges s) (logits N x)); [|unfold units in U; lia].
    apply P, start_within; assumption.
  - intros x y j Hx Hy Hj. apply (C x x y (start_within _ x D Hx)); [|exact Hy|exact Hj].
    intros i _. cbn [start error]. rewrite grid_0, Rminus_eq_0, Rabs_R0. lra.
  - intros x x' d j Hd Hx Hj. eapply Rle_trans; [apply (M x' x d Hd); [|exact Hj]|].
    + intros i Hi. apply start_moves; [exact D|exact Hd|exact Hx|].
      rewrite start_units by exact D. exact Hi.
    + apply Rmult_le_compat_r; [exact Hd|]. apply grid_le, moves_lipschitz.
Qed.
