(** * Sorting and order statistics *)

From Coq Require Import Reals Lra Lia Arith List Permutation.
From SortNet Require Import Definitions Statements Sums.
Import ListNotations.
Open Scope R_scope.

(** ** [sort] sorts *)

Inductive descending : list R -> Prop :=
  | descending_nil : descending []
  | descending_cons a l : (forall b, In b l -> b <= a) -> descending l -> descending (a :: l).

Lemma insert_permutation a l : Permutation (a :: l) (insert a l).
Proof.
  induction l as [|b l IH]; simpl; [reflexivity|].
  destruct (Rle_dec b a); [reflexivity|].
  rewrite perm_swap. apply perm_skip, IH.
Qed.

Lemma sort_permutation l : Permutation l (sort l).
Proof.
  induction l as [|a l IH]; simpl; [reflexivity|].
  rewrite <- insert_permutation. apply perm_skip, IH.
Qed.

Lemma insert_descending a l : descending l -> descending (insert a l).
Proof.
  induction 1 as [|b l Hb Hl IH]; simpl.
  - constructor; [intros ? []|constructor].
  - destruct (Rle_dec b a) as [Hba|Hba].
    + constructor; [|constructor; assumption].
      intros c [<-|Hc]; [exact Hba|]. specialize (Hb c Hc). lra.
    + constructor; [|exact IH].
      intros c Hc. apply (Permutation_in _ (Permutation_sym (insert_permutation a l))) in Hc.
      destruct Hc as [<-|Hc]; [lra|apply Hb, Hc].
Qed.

Lemma sort_descending l : descending (sort l).
Proof. induction l; simpl; [constructor|apply insert_descending; assumption]. Qed.

Lemma sort_length l : length (sort l) = length l.
Proof. symmetry. apply Permutation_length, sort_permutation. Qed.

Lemma descending_nth l : descending l ->
  forall i j, (i <= j)%nat -> (j < length l)%nat -> nth j l 0 <= nth i l 0.
Proof.
  induction 1 as [|a l Ha Hl IH]; simpl; intros i j Hij Hj; [lia|].
  destruct j as [|j]; destruct i as [|i]; try lia; try lra.
  - apply Ha, nth_In. lia.
  - apply IH; lia.
Qed.

Theorem sort_sorts : sort_sorts_statement.
Proof.
  intros l. split; [apply sort_permutation|].
  intros i j Hij Hj. apply descending_nth; [apply sort_descending|exact Hij|].
  rewrite sort_length. exact Hj.
Qed.

Lemma entries_length n x : length (entries n x) = n.
Proof. unfold entries. rewrite map_length, seq_length. reflexivity. Qed.

(** ** Sorting moves no output by more than the largest move *)

Definition close (r a b : R) : Prop := Rabs (a - b) <= r.

Lemma close_iff r a b : close r a b <-> a <= b + r /\ b <= a + r.
Proof.
  unfold close. split.
  - intros H.
    unfold Rabs in H. destruct (Rcase_abs (a - b)); lra.
  - intros [? ?]. apply Rabs_le. lra.
Qed.

Lemma insert_head a l : (forall b, In b l -> b <= a) -> insert a l = a :: l.
Proof.
  destruct l as [|b l]; intros H; simpl; [reflexivity|].
  destruct (Rle_dec b a) as [_|N]; [reflexivity|]. destruct N. apply H. left. reflexivity.
Qed.

Lemma insert_close r l l' : descending l -> descending l' -> Forall2 (close r) l l' ->
  forall a b, close r a b -> Forall2 (close r) (insert a l) (insert b l').
Proof.
  intros D D' F. induction F as [|x y l l' Hxy F IH]; intros a b Hab; simpl.
  - constructor; [exact Hab|constructor].
  - inversion D as [|? ? Hx Dl]; subst. inversion D' as [|? ? Hy Dl']; subst.
    specialize (IH Dl Dl').
    rewrite close_iff in Hab, Hxy.
    destruct (Rle_dec x a) as [Hxa|Hxa]; destruct (Rle_dec y b) as [Hyb|Hyb].
    + constructor; [apply close_iff; lra|]. constructor; [apply close_iff; lra|exact F].
    + constructor; [apply close_iff; lra|].
      rewrite <- (insert_head x l Hx). apply IH. apply close_iff. lra.
    + constructor; [apply close_iff; lra|].
      rewrite <- (insert_head y l' Hy). apply IH. apply close_iff. lra.
    + constructor; [apply close_iff; lra|]. apply IH. apply close_iff. lra.
Qed.

Lemma sort_close r l l' : Forall2 (close r) l l' -> Forall2 (close r) (sort l) (sort l').
Proof.
  induction 1 as [|a b l l' Hab F IH]; simpl; [constructor|].
  apply insert_close; auto using sort_descending.
Qed.

Lemma nth_close r l l' k : 0 <= r -> Forall2 (close r) l l' -> close r (nth k l 0) (nth k l' 0).
Proof.
  intros Hr F. revert k. induction F as [|a b l l' Hab F IH]; intros [|k]; simpl; auto.
  - apply close_iff. lra.
  - apply close_iff. lra.
Qed.

Lemma entries_close r n x y :
  (forall i, (i < n)%nat -> Rabs (x i - y i) <= r) ->
  Forall2 (close r) (entries n x) (entries n y).
Proof.
  intros H. unfold entries.
  assert (G : forall s, (forall i, In i s -> (i < n)%nat) ->
              Forall2 (close r) (map x s) (map y s)).
  { induction s as [|i s IH]; intros Hs; simpl; constructor.
    - apply H, Hs. left. reflexivity.
    - apply IH. intros j Hj. apply Hs. right. exact Hj. }
  apply G. intros i Hi. apply in_seq in Hi. lia.
Qed.

(** Each order statistic moves by at most the largest move of an entry. *)
Lemma order_stat_moves n x y k r : 0 <= r ->
  (forall i, (i < n)%nat -> Rabs (x i - y i) <= r) ->
  Rabs (order_stat n x k - order_stat n y k) <= r.
Proof.
  intros Hr H. apply (nth_close r); [exact Hr|]. apply sort_close, entries_close, H.
Qed.

Theorem order_stat_lipschitz : order_stat_lipschitz_statement.
Proof.
  intros n x y k. apply order_stat_moves; [apply dist_nonneg|apply dist_entry].
Qed.

(** ** The order statistics of a vertex of the cube *)

Lemma insert_one a b : insert 1 (repeat 1 a ++ repeat 0 b) = repeat 1 (S a) ++ repeat 0 b.
Proof.
  destruct a as [|a]; [destruct b as [|b]|]; simpl; [reflexivity| |];
    match goal with |- context [Rle_dec ?u ?v] => destruct (Rle_dec u v); [reflexivity|lra] end.
Qed.

Lemma insert_zero a b : insert 0 (repeat 1 a ++ repeat 0 b) = repeat 1 a ++ repeat 0 (S b).
Proof.
  induction a as [|a IH]; simpl.
  - destruct b as [|b]; simpl; [reflexivity|]. destruct (Rle_dec 0 0); [reflexivity|lra].
  - destruct (Rle_dec 1 0); [lra|]. rewrite IH. reflexivity.
Qed.


(** The number of ones among the positions in a list. *)
Fixpoint count (x : bits) (s : list nat) : nat :=
  match s with
  | [] => O
  | i :: s' => ((if x i then 1 else 0) + count x s')%nat
  end.

Lemma count_app x s t : count x (s ++ t) = (count x s + count x t)%nat.
Proof. induction s; simpl; lia. Qed.

Lemma count_seq x d : count x (seq 0 d) = ones d x.
Proof.
  induction d as [|d IH]; [reflexivity|].
  rewrite seq_S, count_app, IH. simpl. lia.
Qed.

Lemma sort_vertex x s :
  exists z, sort (map (to_vec x) s) = repeat 1 (count x s) ++ repeat 0 z.
Proof.
  induction s as [|i s [z IH]]; simpl; [exists 0%nat; reflexivity|].
  rewrite IH. unfold to_vec at 1. destruct (x i).
  - exists z. apply insert_one.
  - exists (S z). apply insert_zero.
Qed.

Lemma nth_repeat_one n i : (i < n)%nat -> nth i (repeat 1 n) 0 = 1.
Proof. revert i. induction n; intros [|i] H; simpl; try lia; [reflexivity|apply IHn; lia]. Qed.

Lemma order_stat_vertex d x k : (1 <= k)%nat ->
  order_stat d (to_vec x) k = if (k <=? ones d x)%nat then 1 else 0.
Proof.
  intros Hk. unfold order_stat, entries.
  destruct (sort_vertex x (seq 0 d)) as [z ->]. rewrite count_seq.
  destruct (Nat.leb_spec k (ones d x)) as [H|H].
  - rewrite app_nth1 by (rewrite repeat_length; lia). apply nth_repeat_one. lia.
  - rewrite app_nth2 by (rewrite repeat_length; lia).
    apply nth_repeat.
Qed.

(** ** Order statistics by counting *)

(** How many entries of a list pass a test. *)
Fixpoint tally (f : R -> bool) (l : list R) : nat :=
  match l with
  | [] => O
  | a :: l' => ((if f a then 1 else 0) + tally f l')%nat
  end.

Lemma tally_permutation f l l' : Permutation l l' -> tally f l = tally f l'.
Proof. induction 1; simpl; lia. Qed.

Lemma tally_entries f n x : tally f (entries n x) = ones n (fun i => f (x i)).
Proof.
  unfold entries. rewrite <- count_seq.
  induction (seq 0 n) as [|i s IH]; simpl; [reflexivity|lia].
Qed.

Lemma tally_all_false f l : (forall a, In a l -> f a = false) -> tally f l = 0%nat.
Proof.
  induction l as [|a l IH]; intros H; simpl; [reflexivity|].
  rewrite (H a) by (left; reflexivity). apply IH. intros b Hb. apply H. right. exact Hb.
Qed.

Definition at_least (t a : R) : bool := if Rle_dec t a then true else false.

(** In a descending list the entries that are at least t come first. *)
Lemma descending_tally t l : descending l ->
  forall k, (k < length l)%nat -> (t <= nth k l 0 <-> (k < tally (at_least t) l)%nat).
Proof.
  induction 1 as [|a l Ha Hl IH]; simpl; intros k Hk; [lia|].
  unfold at_least at 1. destruct (Rle_dec t a) as [Hta|Hta].
  - destruct k as [|k]; [split; [lia|intros _; exact Hta]|].
    rewrite IH by lia. lia.
  - rewrite tally_all_false.
    + split; [|lia]. intros H. destruct Hta. destruct k as [|k]; [exact H|].
      apply Rle_trans with (1 := H). apply Ha, nth_In. lia.
    + intros b Hb. specialize (Ha b Hb). unfold at_least. destruct (Rle_dec t b); [lra|reflexivity].
Qed.

Theorem order_stat_counts : order_stat_counts_statement.
Proof.
  intros n x k t Hk. unfold order_stat.
  rewrite (descending_tally t _ (sort_descending _))
    by (rewrite sort_length, entries_length; lia).
  rewrite <- (tally_permutation _ _ _ (sort_permutation _)), tally_entries.
  unfold at_least. lia.
Qed.
