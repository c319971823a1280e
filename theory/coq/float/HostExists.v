(** * HostExists: the relation is not empty

    For every network that the checker analyses and every input there are logits that a host
    may compute: the theorems do not hold for want of hosts.  And the nominal coefficient of
    the library, or a float beside it, is a host's coefficient. *)

From Coq Require Import Reals ZArith Lra Lia List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding HostSemantics OperationError NeuronError Grid
  Checker Ranges CheckerSound LayersSound ErrorBound.
Import ListNotations.
Open Scope R_scope.

(** ** Every operation has a result *)

Lemma rounds_some p x : exists y, rounds p x y.
Proof.
  destruct (Rlt_le_dec (Rabs (nearest p x)) (bpow radix2 (largest p))) as [H|H].
  - exists (nearest p x). apply rounds_nearest, H.
  - exists 0. apply rounds_overflow, H.
Qed.

Lemma difference_some a b : exists y, difference a b y.
Proof.
  destruct (rounds_some single (a - b)) as [y H]. exists y.
  apply (difference_rounded a b a b y); [apply operand_kept|apply operand_kept|exact H].
Qed.

Lemma addition_some a b : exists y, addition a b y.
Proof.
  destruct (rounds_some single (a + b)) as [y H]. exists y.
  apply (addition_rounded a b a b y); [apply operand_kept|apply operand_kept|exact H].
Qed.

Lemma quotient_some a b : exists y, quotient a b y.
Proof.
  destruct (rounds_some single (a / b)) as [y H]. exists y.
  apply (quotient_rounded a b a b y); [apply operand_kept|apply operand_kept|exact H].
Qed.

Lemma dot_some p l : l <> [] -> exists s, dot p l s.
Proof.
  induction l as [|[a b] l IH]; intros H; [destruct H; reflexivity|].
  destruct (rounds_some p (a * b)) as [q Hq].
  assert (D : dot p [(a, b)] q)
    by (apply (dot_product p a b a b q); [apply operand_kept|apply operand_kept|exact Hq]).
  destruct l as [|c l]; [exists q; exact D|].
  destruct (IH ltac:(discriminate)) as [s Hs]. destruct (rounds_some p (q + s)) as [r Hr].
  exists r. apply (dot_add p [(a, b)] (c :: l) q s q s r D Hs);
    [apply operand_kept|apply operand_kept|exact Hr].
Qed.

Lemma finite_choice n (P : nat -> R -> Prop) :
  (forall i, (i < n)%nat -> exists y, P i y) -> exists f : vec, forall i, (i < n)%nat -> P i (f i).
Proof.
  induction n as [|n IH]; intros H; [exists (fun _ => 0); lia|].
  destruct (IH (fun i Hi => H i (Nat.lt_lt_succ_r _ _ Hi))) as [f Hf].
  destruct (H n (Nat.lt_succ_diag_r n)) as [y Hy].
  exists (fun i => if (i =? n)%nat then y else f i). intros i Hi.
  destruct (Nat.eqb_spec i n) as [->|Hne]; [exact Hy|]. apply Hf. lia.
Qed.

Lemma sorts_some n w rho k x : 0 <= rho -> (1 <= k)%nat -> exists y, sorts n w rho k x y.
Proof.
  intros Hr Hk.
  destruct (finite_choice n (fun i y => difference (x i) (w i) y)) as [d Hd];
    [intros i _; apply difference_some|].
  set (T := fun j => order_stat n (fun i => Rabs (d i)) (j + 1)).
  destruct (dot_some single (map (fun j => (coefficient rho k j, T j)) (seq 0 k))) as [y Hy].
  { destruct k; [lia|discriminate]. }
  exists y. apply (sorts_in_any_order n w rho k x d T (coefficient rho k) y Hd); [| |exact Hy].
  - intros j _. apply operand_kept.
  - intros j Hj. unfold host_coefficient. pose proof (coefficient_nonneg rho k j Hr Hk).
    rewrite coefficient_error_value, coefficient_above_value, coefficient_underflow_value.
    pose proof tiny_small. lra.
Qed.

Lemma unit_some o s s' x i : step o s = Some s' -> exists y, computes_unit (units s) x i o y.
Proof.
  intros H. destruct o; cbn [step] in H.
  - destruct (difference_some (x i) (entry_of mean i)) as [c Hc].
    destruct (quotient_some c (entry_of std i)) as [y Hy].
    exists y. apply computes_normalize, (normalizes_divided _ _ _ c y Hc Hy).
  - exists (x i). apply computes_flatten.
  - destruct (neurons _ W rho k) as [l|] eqn:N; [|discriminate].
    destruct (neurons_some _ _ _ _ _ N) as (R0 & R1 & Hk & _).
    destruct (sorts_some (cols W) (entry W i) (value rho) k x) as [y Hy];
      [apply (rho_range rho R0 R1)|lia|]. exists y. apply computes_sort_neuron, Hy.
  - destruct (forallb _ patches); [|discriminate].
    destruct (neurons _ W rho k) as [l|] eqn:N; [|discriminate].
    destruct (neurons_some _ _ _ _ _ N) as (R0 & R1 & Hk & _).
    destruct (sorts_some (cols W) (entry W (i / length patches)) (value rho) k
      (patch patches (units s) (i mod length patches) x)) as [y Hy];
      [apply (rho_range rho R0 R1)|lia|]. exists y. apply computes_sort_conv, Hy.
  - destruct (difference_some (x i) (entry_of values i)) as [y Hy]. exists y.
    apply computes_shift, Hy.
  - destruct (addition_some (x i) (entry_of values i)) as [y Hy]. exists y. apply computes_bias, Hy.
  - exists (- x i). apply computes_negate, operand_kept.
  - destruct (dot_some double ((entry_of b i, 1) :: map (fun j => (entry W i j, x j)) (seq 0 (cols
      W))))
      as [z Hz]; [discriminate|].
    exists z. apply computes_affine.
    apply (affine_row_in_any_order _ _ _ _ (entry W i) x (entry_of b i) z z);
      try (intros; apply operand_kept); [exact Hz|apply cast_dropped].
  - exists (order_stat size (fun j => x (i / size * size + j)%nat) (i mod size + 1)).
    apply (computes_group_sort _ _ _ _ x); [intros; apply operand_kept|apply operand_kept].
  - exists (Rmax (x i) 0). apply computes_relu, operand_kept.
  - exists (Rabs (x i)). apply computes_abs, operand_kept.
  - exists (tanh (x i)). apply (computes_tanh _ _ _ (x i)); [apply operand_kept|].
    rewrite Rminus_eq_0, Rabs_R0, tanh_error_value. lra.
  - exists (order_stat (length (nth i patches [])) (patch patches (units s) i x) k).
    apply (computes_rank _ _ _ _ _ x); [intros; apply operand_kept|apply operand_kept].
  - destruct (_ && _) eqn:K in H; [|discriminate].
    repeat (apply andb_prop in K; destruct K as [K ?K]). apply Nat.leb_le in K.
    destruct (finite_choice (cols W) (fun j y => difference (x j) (entry W i j) y)) as [d Hd];
      [intros j _; apply difference_some|].
    set (T := fun j => order_stat (cols W) (fun i => Rabs (d i)) (j + 1)).
    destruct (dot_some single (map (fun j => (entry C i j, T j)) (seq 0 (cols C)))) as [y Hy].
    { destruct (cols C); [lia|discriminate]. }
    exists y. apply computes_signed, (signed_in_any_order _ _ _ _ _ d T y Hd); [|exact Hy].
    intros j _. apply operand_kept.
  - set (ends := piece_ends knots).
    destruct (finite_choice (S (length knots)) (fun j y =>
      part_of (entry_of ends j) (entry_of ends (S j)) (piece_origin knots j) (x i) y)) as [p Hp].
    { intros j _. destruct (difference_some (Rmin (Rmax (x i) (entry_of ends j))
        (entry_of ends (S j))) (piece_origin knots j)) as [y Hy].
      exists y. apply (part_rounded _ _ _ _ (x i) (entry_of ends j)
        (Rmax (x i) (entry_of ends j)) (entry_of ends (S j)) y);
        try apply operand_kept. exact Hy. }
    destruct (dot_some single (map (fun j => (entry slopes i j, p j)) (seq 0 (S (length knots)))))
      as [y Hy]; [discriminate|].
    exists y. apply (computes_pieces _ _ _ knots slopes p y); [|exact Hy].
    intros j Hj. apply Hp. lia.
Qed.

(** Some host computes some logits. *)
Theorem a_host_exists N s x : analyse N = Some s -> exists y, computes N x y.
Proof.
  unfold analyse, computes. intros H.
  destruct (region_checked (input N)) eqn:D; [|discriminate]. unfold input_size.
  rewrite <- (start_units _ D). pose proof (start_ready _ D) as R. clear D.
  revert x H R. generalize (start (input N)). induction (ops N) as [|o l IH]; intros s0 x H R.
  - exists x. apply computes_nil. reflexivity.
  - cbn [analyse_ops] in H. destruct (step o s0) as [s1|] eqn:S1; [|discriminate].
    destruct (finite_choice (out_size o (units s0)) (fun i y => computes_unit (units s0) x i o y))
      as [z Hz]; [intros i _; apply (unit_some o s0 s1 x i S1)|].
    pose proof (step_sound o s0 s1 R S1) as Sd.
    destruct (IH s1 z H (sound_nonneg _ _ _ Sd)) as [y Hy].
    rewrite (sound_units _ _ _ Sd) in Hy. exists y. apply (computes_cons o l _ x z y Hz Hy).
Qed.

(** ** Coefficients *)

Local Notation float := (generic_format radix2 (FLT_exp (-149) 24)).
Local Notation step_of := (ulp radix2 (FLT_exp (-149) 24)).

Lemma float_step x : 0 <= x -> 0 <= step_of x <= bpow radix2 (-23) * x + bpow radix2 (-149).
Proof.
  intros H. split; [apply ulp_ge_0|].
  pose proof (bpow_gt_0 radix2 (-149)) as B. pose proof (bpow_gt_0 radix2 (-23)) as B'.
  destruct (Rlt_le_dec x (bpow radix2 (-125))) as [S|S].
  - rewrite ulp_FLT_small; [|reflexivity|rewrite Rabs_pos_eq by exact H; exact S].
    assert (0 <= bpow radix2 (-23) * x) by (apply Rmult_le_pos; lra). lra.
  - eapply Rle_trans; [apply ulp_FLT_le; rewrite Rabs_pos_eq by exact H|].
    + eapply Rle_trans; [|exact S]. apply bpow_le. lia.
    + rewrite Rabs_pos_eq by exact H. change (1 - 24)%Z with (-23)%Z. lra.
Qed.

(** The library's coefficient is the largest float below c, or at most 2^-39 c less; a float
    next to it is one step away. *)
Lemma coefficient_beside c x y : 0 <= c <= 1 -> 0 <= x -> x <= c ->
  c - bpow radix2 (-39) * c <= x + step_of x ->
  x - step_of x <= y <= x + step_of x -> host_coefficient c y.
Proof.
  intros Hc Hx Hxc Hn Hy. pose proof (float_step x Hx) as S.
  pose proof tiny_small as Ht. unfold host_coefficient.
  rewrite coefficient_error_value, coefficient_above_value, coefficient_underflow_value.
  assert (tv : bpow radix2 (-149) <= tiny single / 8388608).
  { unfold tiny. simpl normal. change (-149)%Z with (-126 + - (23))%Z.
    rewrite bpow_plus, bpow_inverse by lia. change (IZR (2 ^ 23)) with 8388608. lra. }
  change (bpow radix2 (-39)) with (bpow radix2 (- (39))) in Hn.
  change (bpow radix2 (-23)) with (bpow radix2 (- (23))) in S.
  rewrite bpow_inverse in Hn, S by lia.
  change (IZR (2 ^ 39)) with 549755813888 in Hn. change (IZR (2 ^ 23)) with 8388608 in S. lra.
Qed.
