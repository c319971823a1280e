(** * Selection: [add_top] keeps the k largest of what it saw, which are the order statistics *)

From Coq Require Import Reals ZArith Lra Lia List Permutation Sorted.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Grid Checker.
Import ListNotations.
Open Scope Z_scope.

Inductive ascending : list Z -> Prop :=
  | ascending_nil : ascending []
  | ascending_cons a l : (forall b, In b l -> a <= b) -> ascending l -> ascending (a :: l).

Lemma insert_up_permutation a l : Permutation (a :: l) (insert_up a l).
Proof.
  induction l as [|b l IH]; simpl; [reflexivity|]. destruct (a <=? b); [reflexivity|].
  rewrite perm_swap. apply perm_skip, IH.
Qed.

Lemma insert_up_ascending a l : ascending l -> ascending (insert_up a l).
Proof.
  induction 1 as [|b l Hb Hl IH]; simpl.
  - constructor; [intros ? []|constructor].
  - destruct (Z.leb_spec a b) as [H|H].
    + constructor; [|constructor; assumption]. intros c [<-|I]; [exact H|].
      specialize (Hb c I). lia.
    + constructor; [|exact IH]. intros c I.
      apply (Permutation_in _ (Permutation_sym (insert_up_permutation a l))) in I.
      destruct I as [<-|I]; [lia|apply Hb, I].
Qed.

Lemma insert_up_length a l : length (insert_up a l) = S (length l).
Proof. symmetry. apply (Permutation_length (insert_up_permutation a l)). Qed.

(** [holds k l s]: s keeps the k largest of l, or all of them while there is room. *)
Definition holds (k : nat) (l : list Z) (s : top) : Prop :=
  exists rest, Permutation l (kept s ++ rest) /\ ascending (kept s) /\
  (forall a b, In a (kept s) -> In b rest -> b <= a) /\
  (length (kept s) + room s = k)%nat /\ (room s <> O -> rest = []).

Lemma holds_nothing k : holds k [] (Top k []).
Proof.
  exists []. simpl. split; [constructor|]. split; [constructor|]. split; [intros ? ? []|].
  split; [lia|]. reflexivity.
Qed.

Lemma holds_permutation k l l' s : Permutation l l' -> holds k l s -> holds k l' s.
Proof. intros P (rest & Q & H). exists rest. split; [rewrite <- P; exact Q|exact H]. Qed.

Lemma add_top_holds k l s a : holds k l s -> holds k (a :: l) (add_top a s).
Proof.
  intros (rest & P & A & C & L & E). unfold add_top. destruct s as [r l0]. simpl in *.
  destruct r as [|r].
  - destruct l0 as [|b l0].
    + exists (a :: rest). simpl in *. split; [apply perm_skip, P|]. split; [exact A|].
      split; [intros ? ? []|]. split; [exact L|intros H; destruct H; reflexivity].
    + inversion A as [|? ? B A0]; subst. destruct (Z.leb_spec a b) as [H|H].
      * exists (a :: rest). simpl. split.
        { rewrite P. simpl. rewrite perm_swap. apply perm_skip. apply Permutation_middle. }
        split; [exact A|]. split; [|split; [reflexivity|intros N; destruct N; reflexivity]].
        intros c d Ic [<-|Id].
        -- destruct Ic as [<-|Ic]; [exact H|]. specialize (B c Ic). lia.
        -- apply C; [exact Ic|exact Id].
      * exists (b :: rest). cbn [kept room]. split.
        { rewrite <- (insert_up_permutation a l0), P. simpl. apply perm_skip, Permutation_middle. }
        split; [apply insert_up_ascending, A0|].
        split; [|split; [rewrite insert_up_length; simpl; lia|intros N; destruct N; reflexivity]].
        intros c d Ic Id.
        apply (Permutation_in _ (Permutation_sym (insert_up_permutation a l0))) in Ic.
        assert (b <= c) by (destruct Ic as [<-|Ic]; [lia|apply B, Ic]).
        destruct Id as [<-|Id]; [assumption|].
        specialize (C b d (or_introl eq_refl) Id). lia.
  - specialize (E ltac:(discriminate)). subst rest. exists []. cbn [kept room].
    rewrite app_nil_r in *. split; [rewrite P; apply insert_up_permutation|].
    split; [apply insert_up_ascending, A|]. split; [intros ? ? _ []|].
    split; [rewrite insert_up_length; lia|]. reflexivity.
Qed.

(** ** Order statistics of lists *)

Open Scope R_scope.

Lemma descending_same l m : descending l -> descending m -> Permutation l m ->
  forall j, (j < length l)%nat -> nth j l 0 = nth j m 0.
Proof.
  intros Dl Dm P j Hj. pose proof (Permutation_length P) as L.
  apply Rle_antisym.
  - apply (descending_tally _ m Dm); [lia|]. rewrite <- (tally_permutation _ _ _ P).
    apply (descending_tally _ l Dl); [exact Hj|]. lra.
  - apply (descending_tally _ l Dl); [exact Hj|]. rewrite (tally_permutation _ _ _ P).
    apply (descending_tally _ m Dm); [lia|]. lra.
Qed.

Lemma descending_app l m : descending l -> descending m ->
  (forall a b, In a l -> In b m -> b <= a) -> descending (l ++ m).
Proof.
  intros Dl Dm. induction Dl as [|a l Ha Dl IH]; intros C; simpl; [exact Dm|].
  constructor.
  - intros b I. apply in_app_or in I. destruct I as [I|I]; [apply Ha, I|].
    apply C; [left; reflexivity|exact I].
  - apply IH. intros b c Ib Ic. apply C; [right; exact Ib|exact Ic].
Qed.

Lemma descending_rev l : ascending l -> descending (map grid (rev l)).
Proof.
  induction 1 as [|a l Ha A IH]; simpl; [constructor|].
  rewrite map_app. apply descending_app; [exact IH| |].
  - constructor; [intros ? []|constructor].
  - intros b c Ib [<-|[]]. apply in_map_iff in Ib. destruct Ib as [z [<- Iz]].
    apply grid_le, Ha, in_rev, Iz.
Qed.

Lemma entries_nth (l : list Z) (x : vec) :
  (forall i, (i < length l)%nat -> x i = grid (nth i l 0%Z)) ->
  entries (length l) x = map grid l.
Proof.
  unfold entries. revert x. induction l as [|a l IH]; intros x H; [reflexivity|].
  simpl. f_equal; [exact (H 0%nat ltac:(simpl; lia))|].
  rewrite <- seq_shift, map_map. apply IH. intros i Hi. apply (H (S i)). simpl. lia.
Qed.

(** The entries kept are the order statistics. *)
Lemma holds_order_stat k l s (x : vec) : holds k l s -> (k <= length l)%nat ->
  (forall i, (i < length l)%nat -> x i = grid (nth i l 0%Z)) ->
  length (kept s) = k /\
  forall j, (j < k)%nat ->
  order_stat (length l) x (j + 1) = grid (nth j (rev (kept s)) 0%Z).
Proof.
  intros (rest & P & A & C & L & E) Hk H.
  assert (K : length (kept s) = k).
  { destruct (room s) as [|r] eqn:R; [lia|]. specialize (E ltac:(discriminate)).
    apply Permutation_length in P. rewrite app_length, E in P. simpl in P. lia. }
  split; [exact K|]. intros j Hj. unfold order_stat. rewrite Nat.add_sub, entries_nth by exact H.
  set (m := map grid (rev (kept s)) ++ sort (map grid rest)).
  rewrite (descending_same _ m).
  - unfold m. rewrite app_nth1 by (rewrite map_length, rev_length; lia).
    rewrite <- grid_0 at 1. apply map_nth.
  - apply sort_descending.
  - apply descending_app; [apply descending_rev, A|apply sort_descending|].
    intros a b Ia Ib. apply in_map_iff in Ia. destruct Ia as [y [<- Iy]].
    apply (Permutation_in _ (Permutation_sym (sort_permutation _))) in Ib.
    apply in_map_iff in Ib. destruct Ib as [z [<- Iz]].
    apply grid_le, C; [apply in_rev, Iy|exact Iz].
  - unfold m. rewrite <- sort_permutation, <- sort_permutation, <- map_app.
    apply Permutation_map. rewrite <- Permutation_rev. exact P.
  - rewrite sort_length, map_length. lia.
Qed.

(** Sorting a whole group is the same. *)
Lemma sort_down_order_stat l (x : vec) :
  (forall i, (i < length l)%nat -> x i = grid (nth i l 0%Z)) ->
  length (sort_down l) = length l /\
  forall j, (j < length l)%nat ->
  order_stat (length l) x (j + 1) = grid (nth j (sort_down l) 0%Z).
Proof.
  intros H.
  assert (G : forall m s r, ascending s -> Permutation r s ->
              let f := fold_left (fun s a => insert_up a s) m s in
              ascending f /\ Permutation (r ++ m) f).
  { induction m as [|a m IH]; intros s r As Ps; simpl.
    - split; [exact As|]. rewrite app_nil_r. exact Ps.
    - destruct (IH (insert_up a s) (r ++ [a])) as [F1 F2].
      + apply insert_up_ascending, As.
      + rewrite <- insert_up_permutation, Ps. symmetry. apply Permutation_cons_append.
      + split; [exact F1|]. rewrite <- F2, <- app_assoc. reflexivity. }
  destruct (G l [] [] ascending_nil (Permutation_refl _)) as [F1 F2]. simpl in F1, F2.
  unfold sort_down. set (f := fold_left _ l []) in *.
  assert (Hf : holds (length l) l (Top 0 f)).
  { exists []. cbn [kept room]. rewrite app_nil_r. split; [exact F2|]. split; [exact F1|].
    split; [intros ? ? _ []|]. split; [|reflexivity]. apply Permutation_length in F2. lia. }
  split; [rewrite rev_length; symmetry; apply Permutation_length, F2|].
  apply (holds_order_stat _ _ _ x Hf); [lia|exact H].
Qed.
