(** * ErrorBound: for every chain that the checker analyses, computed logits are within E of
    exact ones, which are L-Lipschitz and in their intervals *)

From Coq Require Import Reals ZArith Lra Lia List.
From SortNet Require Import Definitions Statements Sums.
From SortNet.float Require Import Network Rounding HostSemantics Grid Checker Ranges CheckerSound
  LayersSound AffineSound.
Import ListNotations.
Open Scope R_scope.

Theorem step_sound o s s' : ready s -> step o s = Some s' -> sound o s s'.
Proof.
  destruct o; [apply normalize_sound|apply flatten_sound|apply sort_neuron_sound|
    apply sort_conv_sound|apply shift_sound|apply bias_sound|apply negate_sound|
    apply affine_sound|apply group_sort_sound|apply relu_sound|apply abs_sound|apply tanh_sound].
Qed.

Lemma analyse_ops_sound l : forall s s', ready s -> analyse_ops l s = Some s' ->
  units s' = size_after l (units s) /\ ready s' /\
  (forall x, within (ranges s) x -> within (ranges s') (eval_ops l (units s) x)) /\
  (forall x X y, within (ranges s) x ->
    (forall i, (i < units s)%nat -> Rabs (X i - x i) <= grid (error s)) ->
    computes_ops l (units s) X y ->
    forall i, (i < units s')%nat -> Rabs (y i - eval_ops l (units s) x i) <= grid (error s')) /\
  (forall x z d, 0 <= d ->
    (forall i, (i < units s)%nat -> Rabs (x i - z i) <= grid (lipschitz s) * d) ->
    forall i, (i < units s')%nat ->
    Rabs (eval_ops l (units s) x i - eval_ops l (units s) z i) <= grid (lipschitz s') * d).
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

Lemma box_within n x : in_cube n x -> within (ranges (box n)) x.
Proof.
  intros H. apply within_repeat. intros i Hi. unfold in_range. cbn [fst snd].
  rewrite grid_0, grid_1. apply H, Hi.
Qed.

Lemma box_units n : units (box n) = n.
Proof. apply repeat_length. Qed.

(** What an analysis proves of a network. *)
Theorem analyse_sound N s : analyse N = Some s ->
  units s = classes N /\
  0 <= grid (error s) /\ 0 <= grid (lipschitz s) /\
  (forall x j, in_cube (input_size N) x -> (j < classes N)%nat ->
    Rabs (logits N x j) <= grid (magnitude (ranges s))) /\
  (forall x y j, in_cube (input_size N) x -> computes N x y -> (j < classes N)%nat ->
    Rabs (y j - logits N x j) <= grid (error s)) /\
  (forall x x' d j, 0 <= d -> (forall i, (i < input_size N)%nat -> Rabs (x' i - x i) <= d) ->
    (j < classes N)%nat -> Rabs (logits N x' j - logits N x j) <= grid (lipschitz s) * d).
Proof.
  intros H. unfold analyse in H.
  assert (R : ready (box (input_size N))) by (split; cbn; [lia|unfold unit_grid; lia]).
  destruct (analyse_ops_sound _ _ _ R H) as (U & [E0 L0] & P & C & M).
  rewrite box_units in *. fold (classes N) in U. rewrite U in *. fold (logits N) in *.
  split; [reflexivity|]. split; [apply grid_nonneg, E0|]. split; [apply grid_nonneg, L0|].
  split; [|split].
  - intros x j Hx Hj. apply (magnitude_bound (ranges s) (logits N x)); [|unfold units in U; lia].
    apply P, box_within, Hx.
  - intros x y j Hx Hy Hj. apply (C x x y (box_within _ x Hx)); [|exact Hy|exact Hj].
    intros i _. cbn [box error]. rewrite grid_0, Rminus_eq_0, Rabs_R0. lra.
  - intros x x' d j Hd Hx Hj. apply M; [exact Hd| |exact Hj].
    intros i Hi. cbn [box lipschitz]. rewrite grid_1, Rmult_1_l. apply Hx, Hi.
Qed.
