(** * Order statistics commute with monotone maps: selection adds no rounding

    If every computed entry is at least a x_i - b, then so is every order statistic: what
    rounding does to the entries before a sort it does to the sorted entries, in whatever
    order a host puts ties.  The proofs count entries ([order_stat_counts]). *)

From Coq Require Import Reals Lra Lia Arith List.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
Open Scope R_scope.

Lemma ones_le n (f g : bits) :
  (forall i, (i < n)%nat -> f i = true -> g i = true) -> (ones n f <= ones n g)%nat.
Proof.
  induction n as [|n IH]; intros H; simpl; [lia|].
  pose proof (IH (fun i Hi => H i (Nat.lt_lt_succ_r _ _ Hi))) as L.
  pose proof (H n (Nat.lt_succ_diag_r n)). destruct (f n), (g n); auto; try lia.
Qed.

(** A monotone lower bound of the entries bounds the order statistics. *)
Lemma order_stat_monotone_map n k (g : R -> R) (x y : vec) : (1 <= k <= n)%nat ->
  (forall s t, s <= t -> g s <= g t) ->
  (forall i, (i < n)%nat -> g (x i) <= y i) ->
  g (order_stat n x k) <= order_stat n y k.
Proof.
  intros Hk Hg H. apply order_stat_counts; [exact Hk|].
  pose proof (proj1 (order_stat_counts n x k (order_stat n x k) Hk) (Rle_refl _)) as C.
  eapply Nat.le_trans; [exact C|]. apply ones_le. intros i Hi.
  destruct (Rle_dec (order_stat n x k) (x i)) as [L|]; [|discriminate]. intros _.
  destruct (Rle_dec (g (order_stat n x k)) (y i)) as [|N]; [reflexivity|].
  destruct N. eapply Rle_trans; [apply Hg, L|apply H, Hi].
Qed.

Lemma order_stat_monotone n k (x y : vec) : (1 <= k <= n)%nat ->
  (forall i, (i < n)%nat -> x i <= y i) -> order_stat n x k <= order_stat n y k.
Proof.
  intros Hk H. apply (order_stat_monotone_map n k (fun t => t)); auto.
Qed.

(** Entries within a relative error u and an absolute error b: so are the order statistics. *)
Lemma order_stat_relative n k u b (x y : vec) : (1 <= k <= n)%nat -> 0 <= u < 1 ->
  (forall i, (i < n)%nat -> Rabs (y i - x i) <= u * x i + b) ->
  Rabs (order_stat n y k - order_stat n x k) <= u * order_stat n x k + b.
Proof.
  intros Hk Hu H.
  assert (L : (1 - u) * order_stat n x k - b <= order_stat n y k).
  { apply (order_stat_monotone_map n k (fun t => (1 - u) * t - b)); [exact Hk| |].
    - intros s t Hst. nra.
    - intros i Hi. pose proof (abs_bounds _ _ (H i Hi)). lra. }
  assert (U : (order_stat n y k - b) / (1 + u) <= order_stat n x k).
  { apply (order_stat_monotone_map n k (fun t => (t - b) / (1 + u))); [exact Hk| |].
    - intros s t Hst. unfold Rdiv. apply Rmult_le_compat_r; [|lra].
      apply Rlt_le, Rinv_0_lt_compat. lra.
    - intros i Hi. pose proof (abs_bounds _ _ (H i Hi)).
      apply (Rmult_le_reg_r (1 + u)); [lra|]. field_simplify; lra. }
  apply Rabs_le.
  assert (order_stat n y k - b <= (1 + u) * order_stat n x k).
  { apply (Rmult_le_compat_r (1 + u)) in U; [|lra].
    unfold Rdiv in U. rewrite Rmult_assoc, Rinv_l in U; lra. }
  lra.
Qed.

(** Order statistics are between the bounds of the entries. *)
Lemma order_stat_bounds n k (x : vec) lo hi : (1 <= k <= n)%nat ->
  (forall i, (i < n)%nat -> lo <= x i <= hi) -> lo <= order_stat n x k <= hi.
Proof.
  intros Hk H. destruct (order_stat_attained n x k Hk) as [i [Hi ->]]. apply H, Hi.
Qed.

Lemma order_stat_descends n k j (x : vec) : (1 <= k <= j)%nat -> (j <= n)%nat ->
  order_stat n x j <= order_stat n x k.
Proof.
  intros Hk Hj. unfold order_stat. apply descending_nth; [apply sort_descending|lia|].
  rewrite sort_length, entries_length. lia.
Qed.
