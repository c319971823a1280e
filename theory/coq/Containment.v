(** * SortNet contains GroupSort on a box *)

From Coq Require Import Reals Lra Lia Arith List Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics Mass Lipschitz.
Import ListNotations.
Open Scope R_scope.

(** ** A global sort of separated groups sorts each group *)

Lemma descending_unique l : descending l -> forall l', descending l' -> Permutation l l' -> l = l'.
Proof.
  induction 1 as [|a l Ha Hl IH]; intros l' D' P.
  - symmetry. apply Permutation_nil, P.
  - destruct D' as [|b l' Hb D'].
    { apply Permutation_sym, Permutation_nil_cons in P. destruct P. }
    assert (E : a = b).
    { apply Rle_antisym.
      - assert (I : In a (b :: l')) by (apply (Permutation_in _ P); left; reflexivity).
        destruct I as [->|I]; [lra|apply Hb, I].
      - assert (I : In b (a :: l)).
        { apply (Permutation_in _ (Permutation_sym P)). left. reflexivity. }
        destruct I as [->|I]; [lra|apply Ha, I]. }
    subst b. f_equal. apply IH; [exact D'|]. apply (Permutation_cons_inv P).
Qed.

Lemma descending_app l l' : descending l -> descending l' ->
  (forall a b, In a l -> In b l' -> b <= a) -> descending (l ++ l').
Proof.
  induction 1 as [|a l Ha Hl IH]; intros D' H; simpl; [exact D'|].
  constructor; [|apply IH; [exact D'|intros; apply H; [right|]; assumption]].
  intros b Hb. apply in_app_or in Hb. destruct Hb as [Hb|Hb]; [apply Ha, Hb|].
  apply H; [left; reflexivity|exact Hb].
Qed.

Lemma in_sort a l : In a (sort l) -> In a l.
Proof. apply Permutation_in, Permutation_sym, sort_permutation. Qed.

Lemma sort_app l l' : (forall a b, In a l -> In b l' -> b <= a) ->
  sort (l ++ l') = sort l ++ sort l'.
Proof.
  intros H. apply descending_unique; [apply sort_descending| |].
  - apply descending_app; try apply sort_descending.
    intros a b Ha Hb. apply H; apply in_sort; assumption.
  - rewrite <- sort_permutation. apply Permutation_app; apply sort_permutation.
Qed.

Lemma entries_app n m y : entries (n + m) y = entries n y ++ entries m (fun j => y (n + j)%nat).
Proof.
  unfold entries. rewrite seq_app, map_app. f_equal. simpl.
  rewrite <- (map_map (fun j => (n + j)%nat) y). f_equal.
  clear. induction m as [|m IH]; [reflexivity|].
  rewrite !seq_S, IH, map_app. reflexivity.
Qed.

Lemma in_entries a n y : In a (entries n y) -> exists i, (i < n)%nat /\ a = y i.
Proof.
  intros H. apply in_map_iff in H. destruct H as (i & <- & Hi). exists i.
  apply in_seq in Hi. split; [lia|reflexivity].
Qed.

Lemma order_stat_groups G q y : (0 < G)%nat ->
  (forall i j, (i < q * G)%nat -> (j < q * G)%nat -> (i / G < j / G)%nat -> y j <= y i) ->
  forall k, (k < q * G)%nat ->
  order_stat (q * G) y (k + 1) = order_stat G (fun j => y (k / G * G + j)%nat) (k mod G + 1).
Proof.
  intros HG. induction q as [|q IH]; intros H k Hk; [lia|].
  assert (E : sort (entries (S q * G) y) =
    sort (entries (q * G) y) ++ sort (entries G (fun j => y (q * G + j)%nat))).
  { replace (S q * G)%nat with (q * G + G)%nat by lia. rewrite entries_app. apply sort_app.
    intros a b Ha Hb. apply in_entries in Ha, Hb.
    destruct Ha as (i & Hi & ->), Hb as (j & Hj & ->). apply H; try lia.
    rewrite Nat.div_add_l, (Nat.div_small j), Nat.add_0_r by lia.
    apply Nat.div_lt_upper_bound; lia. }
  unfold order_stat at 1. rewrite E. replace (k + 1 - 1)%nat with k by lia.
  destruct (Nat.lt_ge_cases k (q * G)) as [L|L].
  - rewrite app_nth1 by (rewrite sort_length, entries_length; exact L).
    rewrite <- IH; [|intros i j Hi Hj; apply H; lia|exact L].
    unfold order_stat. f_equal. lia.
  - rewrite app_nth2 by (rewrite sort_length, entries_length; exact L).
    rewrite sort_length, entries_length.
    assert (Hq : (k / G = q)%nat) by (symmetry; apply (Nat.div_unique _ _ _ (k - q * G)); lia).
    assert (Hm : (k mod G = k - q * G)%nat)
      by (symmetry; apply (Nat.mod_unique _ _ q); lia).
    rewrite Hq, Hm. unfold order_stat. f_equal. lia.
Qed.

Lemma sort_plus a l : sort (map (fun t => t + a) l) = map (fun t => t + a) (sort l).
Proof.
  induction l as [|b l IH]; simpl; [reflexivity|]. rewrite IH. generalize (sort l).
  induction l0 as [|c l' IH']; simpl; [reflexivity|].
  destruct (Rle_dec (c + a) (b + a)), (Rle_dec c b); try lra; simpl; [reflexivity|].
  rewrite IH'. reflexivity.
Qed.

Lemma order_stat_plus n y a k : (1 <= k <= n)%nat ->
  order_stat n (fun j => y j + a) k = order_stat n y k + a.
Proof.
  intros Hk. unfold order_stat, entries.
  rewrite <- (map_map y (fun t => t + a)), sort_plus.
  rewrite (nth_indep _ 0 (0 + a)), (map_nth (fun t => t + a)); [reflexivity|].
  rewrite map_length, sort_length, map_length, seq_length. lia.
Qed.

Lemma order_stat_ext n x y k : (forall i, (i < n)%nat -> x i = y i) ->
  order_stat n x k = order_stat n y k.
Proof.
  intros H. unfold order_stat, entries. do 2 f_equal. apply map_ext_in. intros i Hi.
  apply in_seq in Hi. apply H. lia.
Qed.

(** ** One layer *)

(** Group g of q is moved to [2 r (q-1-g), 2 r (q-g)]. *)
Definition place (r : R) (G q j : nat) : R := r + 2 * r * INR (q - 1 - j / G).

Lemma sort_reads_groups G q r u k :
  (forall j, (j < q * G)%nat -> Rabs (u j) <= r) -> (k < q * G)%nat ->
  order_stat (q * G) (fun j => Rabs (u j + place r G q j)) (k + 1) =
  order_stat G (fun j => u (k / G * G + j)%nat) (k mod G + 1) + place r G q k.
Proof.
  intros Hu Hk. assert (HG : (0 < G)%nat) by (destruct G; lia).
  assert (Hr : 0 <= r) by (eapply Rle_trans; [apply Rabs_pos|apply (Hu k Hk)]).
  assert (A : forall j, (j < q * G)%nat ->
              Rabs (u j + place r G q j) = u j + place r G q j).
  { intros j Hj. apply Rabs_right. pose proof (abs_bounds _ _ (Hu j Hj)). unfold place.
    pose proof (pos_INR (q - 1 - j / G)). nra. }
  assert (Hm : (k mod G < G)%nat) by (apply Nat.mod_upper_bound; lia).
  assert (Hd : (k / G < q)%nat) by (apply Nat.div_lt_upper_bound; lia).
  rewrite (order_stat_ext _ _ (fun j => u j + place r G q j) _ A).
  rewrite order_stat_groups; [|exact HG| |exact Hk].
  - rewrite <- (order_stat_plus G (fun j => u (k / G * G + j)%nat) (place r G q k)) by lia.
    apply order_stat_ext. intros j Hj. unfold place. do 5 f_equal.
    rewrite Nat.div_add_l, (Nat.div_small j), Nat.add_0_r by lia. reflexivity.
  - intros i j Hi Hj Hij.
    pose proof (abs_bounds _ _ (Hu i Hi)). pose proof (abs_bounds _ _ (Hu j Hj)).
    assert (Hj' : (j / G < q)%nat) by (apply Nat.div_lt_upper_bound; lia).
    assert (B : (q - 1 - j / G + 1 <= q - 1 - i / G)%nat) by lia.
    apply le_INR in B. rewrite plus_INR in B. simpl in B. unfold place. nra.
Qed.

(** The affine layer that reads the sorted groups, from inputs that have been moved by s. *)
Lemma layer_is_sortnet G q r s (u v W : vec) b :
  (forall j, (j < q * G)%nat -> Rabs (u j) <= r) ->
  (forall j, (j < q * G)%nat -> u j = v j - s j) ->
  sum (q * G) (fun k => W k * order_stat G (fun j => u (k / G * G + j)%nat) (k mod G + 1)) + b =
  sum (q * G) (fun k => W k *
    order_stat (q * G) (fun j => Rabs (v j + (place r G q j - s j))) (k + 1)) -
  (sum (q * G) (fun k => W k * place r G q k) - b).
Proof.
  intros Hu Hv.
  rewrite (sum_ext (q * G) (fun k => W k *
    order_stat (q * G) (fun j => Rabs (v j + (place r G q j - s j))) (k + 1))
    (fun k => W k * order_stat G (fun j => u (k / G * G + j)%nat) (k mod G + 1) +
              W k * place r G q k)).
  - rewrite sum_plus. ring.
  - intros k Hk. rewrite <- Rmult_plus_distr_l, <- sort_reads_groups by assumption.
    f_equal. apply order_stat_ext. intros j Hj. rewrite (Hv j Hj). f_equal. ring.
Qed.

(** ** Whole chains *)

Lemma affine_bounded n m (W : nat -> vec) b r : exists r', forall u,
  (forall j, (j < n)%nat -> Rabs (u j) <= r) ->
  forall i, (i < m)%nat -> Rabs (sum n (fun j => W i j * u j) + b i) <= r'.
Proof.
  exists (sum m (fun i => sum n (fun j => Rabs (W i j) * Rabs r) + Rabs (b i))).
  intros u Hu i Hi.
  eapply Rle_trans; [|apply (sum_term m (fun i =>
    sum n (fun j => Rabs (W i j) * Rabs r) + Rabs (b i))); [|exact Hi]].
  - eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat_r.
    eapply Rle_trans; [apply sum_abs|]. apply sum_le. intros j Hj. rewrite Rabs_mult.
    apply Rmult_le_compat_l; [apply Rabs_pos|].
    eapply Rle_trans; [apply (Hu j Hj)|apply Rle_abs].
  - intros k _. apply Rplus_le_le_0_compat; [|apply Rabs_pos]. apply sum_nonneg.
    intros j _. apply Rmult_le_pos; apply Rabs_pos.
Qed.

Lemma groupsort_bounded G q r u : (forall j, (j < q * G)%nat -> Rabs (u j) <= r) ->
  forall k, (k < q * G)%nat ->
  Rabs (order_stat G (fun j => u (k / G * G + j)%nat) (k mod G + 1)) <= r.
Proof.
  intros Hu k Hk. assert (HG : (0 < G)%nat) by (destruct G; lia).
  assert (Hm : (k mod G < G)%nat) by (apply Nat.mod_upper_bound; lia).
  assert (Hd : (k / G < q)%nat) by (apply Nat.div_lt_upper_bound; lia).
  destruct (order_stat_attained G (fun j => u (k / G * G + j)%nat) (k mod G + 1))
    as (j & Hj & ->); [lia|]. apply Hu. nia.
Qed.

Lemma chain_is_sortnet G d r m (N : network d m) : groupsort_chain G N ->
  exists (N' : network d m) s r', sortnet_of G N N' /\
  forall x, (forall j, (j < d)%nat -> Rabs (x j) <= r) ->
  forall i, (i < m)%nat -> Rabs (eval N x i) <= r' /\ eval N x i = eval N' x i - s i.
Proof.
  induction 1 as [m W b|q m N W b HN (N' & s & r0 & HS & IH)].
  - destruct (affine_bounded d m W b r) as (r' & Hr).
    exists (after input (sortnet d m W (fun _ j => place r 1 d j - 0))),
      (fun i => sum (d * 1) (fun k => W i k * place r 1 d k) - b i), r'.
    split; [constructor|]. intros x Hx i Hi. split; [apply Hr; assumption|].
    cbn [eval apply].
    pose proof (layer_is_sortnet 1 d r (fun _ => 0) x x (W i) (b i)) as L.
    rewrite Nat.mul_1_r in L |- *. rewrite <- L; [|exact Hx|intros; ring].
    f_equal. apply sum_ext. intros k _.
    rewrite Nat.div_1_r, Nat.mod_1_r, Nat.mul_1_r. unfold order_stat. simpl.
    rewrite Nat.add_0_r. reflexivity.
  - destruct (affine_bounded (q * G) m W b r0) as (r' & Hr).
    exists (after N' (sortnet (q * G) m W (fun _ j => place r0 G q j - s j))),
      (fun i => sum (q * G) (fun k => W i k * place r0 G q k) - b i), r'.
    split; [constructor; exact HS|]. intros x Hx i Hi. specialize (IH x Hx). split.
    + apply (Hr (apply (groupsort G q) (eval N x))); [|exact Hi].
      apply groupsort_bounded. intros j Hj. apply IH, Hj.
    + apply (layer_is_sortnet G q r0 s (eval N x) (eval N' x)); intros j Hj; apply IH, Hj.
Qed.

Lemma sortnet_of_lipschitz G d m (N N' : network d m) : sortnet_of G N N' ->
  lipschitz_net N -> lipschitz_net N'.
Proof. induction 1; simpl; tauto. Qed.

Theorem sortnet_contains_groupsort : sortnet_contains_groupsort_statement.
Proof.
  intros G d m N r HN. destruct (chain_is_sortnet G d r m N HN) as (N' & s & r' & HS & E).
  exists N', s. split; [exact HS|]. split; [apply (sortnet_of_lipschitz G d m N N' HS)|].
  intros x Hx i Hi. simpl. apply (E x Hx i Hi).
Qed.
