(** * Every constrained network is 1-Lipschitz *)

From Coq Require Import Reals Lra Lia Arith List Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics Mass.
Import ListNotations.
Open Scope R_scope.

(** |x + b| moves no more than x. *)
Lemma abs_shift_moves s t b : Rabs (Rabs (s + b) - Rabs (t + b)) <= Rabs (s - t).
Proof.
  eapply Rle_trans; [apply Rabs_triang_inv2|]. right. f_equal. ring.
Qed.

Lemma sortnet_neuron_moves n (w b x y : vec) K r : 0 <= r ->
  sum n (fun k => Rabs (w k)) <= K ->
  (forall i, (i < n)%nat -> Rabs (x i - y i) <= r) ->
  Rabs (sum n (fun k => w k * order_stat n (fun j => Rabs (x j + b j)) (k + 1)) -
        sum n (fun k => w k * order_stat n (fun j => Rabs (y j + b j)) (k + 1))) <= K * r.
Proof.
  intros Hr Hw H. apply sum_moves; [exact Hr|exact Hw|]. intros k _.
  apply order_stat_moves; [exact Hr|]. intros i Hi.
  eapply Rle_trans; [apply abs_shift_moves|apply H, Hi].
Qed.

Theorem sortnet_neuron_lipschitz : sortnet_neuron_lipschitz_statement.
Proof.
  intros n w b Hw u x y. rewrite <- (Rmult_1_l (dist n x y)).
  apply sortnet_neuron_moves; [apply dist_nonneg|exact Hw|apply dist_entry].
Qed.

(** No output of a layer of norm K moves more than K times its largest moving input. *)
Lemma layer_moves n m (l : layer n m) K x y r : layer_norm l K -> 0 <= K -> 0 <= r ->
  (forall j, (j < n)%nat -> Rabs (x j - y j) <= r) ->
  forall i, (i < m)%nat -> Rabs (apply l x i - apply l y i) <= K * r.
Proof.
  intros Hl HK Hr H i Hi.
  assert (one : 1 <= K -> r <= K * r) by (intros; nra).
  destruct l as [n m W b|n sigma|n c|G q|n m W b|n m w b]; simpl in *.
  - replace (_ - _) with (sum n (fun j => W i j * x j) - sum n (fun j => W i j * y j)) by ring.
    apply sum_moves; [exact Hr|apply Hl, Hi|exact H].
  - eapply Rle_trans; [apply Hl, Hi|]. apply Rmult_le_compat_l; [exact HK|apply H, Hi].
  - eapply Rle_trans; [|apply one, Hl].
    replace (_ - _) with (x i - y i) by ring. apply H, Hi.
  - eapply Rle_trans; [|apply one, Hl]. assert (0 < G)%nat by (destruct G; lia).
    apply order_stat_moves; [exact Hr|]. intros j Hj. apply H.
    assert (i / G < q)%nat by (apply Nat.div_lt_upper_bound; lia). nia.
  - eapply Rle_trans; [|apply one, Hl].
    replace (_ - _) with (dist n x (W i) - dist n y (W i)) by ring.
    eapply Rle_trans; [apply dist_lipschitz|]. apply dist_least; assumption.
  - apply sortnet_neuron_moves; [exact Hr|apply Hl, Hi|exact H].
Qed.

Theorem network_norm : network_norm_statement.
Proof.
  intros d m N L HL x y. revert L HL. induction N as [|n m N IH l]; simpl; intros L HL i Hi.
  - pose proof (dist_entry d x y i Hi). pose proof (dist_nonneg d x y). nra.
  - destruct HL as (L' & K & HN & HK & Kpos & Hle).
    apply Rle_trans with (K * (L' * dist d x y)).
    + apply layer_moves; [exact HK|exact Kpos| |exact (IH L' HN)|exact Hi].
      apply Rmult_le_pos; [apply (net_norm_nonneg _ _ N), HN|apply dist_nonneg].
    + rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [apply dist_nonneg|exact Hle].
Qed.

Theorem network_lipschitz : network_lipschitz_statement.
Proof. intros d m N HN. apply network_norm, (proj2 families), HN. Qed.

(** ** SortNet contains the distance net *)

Lemma sum_first n (u : nat -> R) : (0 < n)%nat ->
  sum n (fun k => (if (k =? 0)%nat then 1 else 0) * u k) = u 0%nat.
Proof.
  induction n as [|n IH]; intros Hn; [lia|]. simpl.
  destruct n as [|n]; [simpl; ring|]. rewrite IH by lia. simpl. ring.
Qed.

(** The first order statistic is the largest entry. *)
Lemma order_stat_first n x i : (i < n)%nat -> x i <= order_stat n x 1.
Proof.
  intros Hi. unfold order_stat. simpl.
  assert (Hin : In (x i) (sort (entries n x))).
  { apply (Permutation_in _ (sort_permutation _)). apply in_map, in_seq. lia. }
  destruct (In_nth _ _ 0 Hin) as [k [Hk <-]].
  apply descending_nth; [apply sort_descending|lia|exact Hk].
Qed.

Lemma order_stat_attained n x k : (1 <= k <= n)%nat ->
  exists i, (i < n)%nat /\ order_stat n x k = x i.
Proof.
  intros Hk. unfold order_stat.
  assert (Hin : In (nth (k - 1) (sort (entries n x)) 0) (entries n x)).
  { apply (Permutation_in _ (Permutation_sym (sort_permutation _))). apply nth_In.
    rewrite sort_length, entries_length. lia. }
  apply in_map_iff in Hin. destruct Hin as [i [<- Hi]].
  exists i. apply in_seq in Hi. split; [lia|reflexivity].
Qed.

Theorem sortnet_contains_distance : sortnet_contains_distance_statement.
Proof.
  intros n c x Hn. rewrite sum_first by exact Hn. simpl. apply Rle_antisym.
  - destruct (order_stat_attained n (fun j => Rabs (x j + - c j)) 1) as [i [Hi ->]]; [lia|].
    apply (dist_entry n x c i Hi).
  - apply dist_least.
    + eapply Rle_trans; [|apply (order_stat_first n _ 0%nat Hn)]. apply Rabs_pos.
    + intros i Hi. apply (order_stat_first n (fun j => Rabs (x j + - c j)) i Hi).
Qed.
