(** * Networks that reach the bounds: tournaments and distance nets *)

From Coq Require Import Reals Lra Lia Arith Bool List.
From SortNet Require Import Definitions Statements Sums OrderStatistics Mass Lipschitz Boolean.
Open Scope R_scope.

(** ** The tournament: the maximum with s GroupSort(G) layers, for every d <= G^s *)

Definition is_max (n : nat) (u : vec) (M : R) : Prop :=
  (exists i, (i < n)%nat /\ M = u i) /\ forall i, (i < n)%nat -> u i <= M.

Lemma order_stat_is_max n u : (0 < n)%nat -> is_max n u (order_stat n u 1).
Proof.
  intros Hn. split; [apply order_stat_attained; lia|].
  intros i Hi. apply order_stat_first, Hi.
Qed.

Lemma is_max_unique n u M M' : is_max n u M -> is_max n u M' -> M = M'.
Proof.
  intros [(i & Hi & ->) H] [(j & Hj & ->) H']. apply Rle_antisym; [apply H', Hi|apply H, Hj].
Qed.

(** A row with a single 1 selects one entry. *)
Definition select (k : nat) : vec := fun j => if (j =? k)%nat then 1 else 0.

Lemma sum_select n k u : (k < n)%nat -> sum n (fun j => select k j * u j) = u k.
Proof.
  unfold select. induction n as [|n IH]; intros Hk; [lia|]. cbn [sum].
  destruct (Nat.eq_dec k n) as [->|Hne].
  - rewrite Nat.eqb_refl, (sum_ext n _ (fun _ => 0)).
    + rewrite sum_const. ring.
    + intros j Hj. destruct (Nat.eqb_spec j n); [lia|ring].
  - rewrite IH by lia. destruct (Nat.eqb_spec n k); [lia|ring].
Qed.

Lemma select_row n k : (k < n)%nat -> sum n (fun j => Rabs (select k j)) <= 1.
Proof.
  intros Hk. rewrite <- (sum_select n k (fun _ => 1) Hk). right. apply sum_ext. intros j _.
  unfold select. destruct (j =? k)%nat; rewrite ?Rabs_R0, ?Rabs_R1; ring.
Qed.

(** One round: n <= q G players in q groups of G (the last player fills the groups up);
    the first of each sorted group goes on. *)
Definition round (G q : nat) {d n : nat} (N : network d n) : network d q :=
  after (after (after N
    (affine n (q * G) (fun i => select (Nat.min i (n - 1))) (fun _ => 0)))
    (groupsort G q))
    (affine (q * G) q (fun i => select (i * G)) (fun _ => 0)).

Lemma round_max G q d n (N : network d n) x M :
  (0 < n)%nat -> (n <= q * G)%nat ->
  is_max q (eval (round G q N) x) M -> is_max n (eval N x) M.
Proof.
  intros Hn Hq HM. assert (HG : (0 < G)%nat) by (destruct G; lia).
  set (u := eval N x).
  assert (E : forall i, (i < q)%nat -> eval (round G q N) x i =
              order_stat G (fun j => u (Nat.min (i * G + j) (n - 1))) 1).
  { intros i Hi. cbn [round eval apply]. rewrite sum_select by nia.
    rewrite Nat.div_mul, Nat.mod_mul by lia. rewrite Rplus_0_r.
    unfold order_stat. do 2 f_equal. apply map_ext_in. intros j _.
    rewrite sum_select by lia. fold u. ring. }
  destruct HM as [(i & Hi & HMi) Hle]. split.
  - rewrite (E i Hi) in HMi. destruct (order_stat_attained G
      (fun j => u (Nat.min (i * G + j) (n - 1))) 1) as (j & Hj & Ej); [lia|].
    exists (Nat.min (i * G + j) (n - 1)). split; [lia|]. rewrite HMi, Ej. reflexivity.
  - intros t Ht. assert (Hi' : (t / G < q)%nat) by (apply Nat.div_lt_upper_bound; lia).
    eapply Rle_trans; [|apply (Hle _ Hi')]. rewrite (E _ Hi').
    assert (Hm : (t mod G < G)%nat) by (apply Nat.mod_upper_bound; lia).
    pose proof (order_stat_first G (fun j => u (Nat.min (t / G * G + j) (n - 1))) _ Hm) as B.
    cbv beta in B. pose proof (Nat.div_mod t G ltac:(lia)).
    replace (Nat.min (t / G * G + t mod G) (n - 1)) with t in B by lia. exact B.
Qed.

Lemma tournament G s : forall d n (N : network d n), (1 <= n <= G ^ s)%nat ->
  groupsort_net G N -> lipschitz_net N ->
  exists N' : network d 1, groupsort_net G N' /\ lipschitz_net N' /\
  sorting_layers N' = (sorting_layers N + s)%nat /\
  forall x, is_max n (eval N x) (eval N' x 0%nat).
Proof.
  induction s as [|s IH]; intros d n N Hn HG HN.
  - assert (n = 1)%nat by (simpl in Hn; lia). subst n. exists N.
    split; [exact HG|]. split; [exact HN|]. split; [lia|]. intros x. split.
    + exists 0%nat. split; [lia|reflexivity].
    + intros i Hi. replace i with 0%nat by lia. lra.
  - rewrite Nat.pow_succ_r', Nat.mul_comm in Hn.
    assert (Gpos : (0 < G)%nat) by (destruct G; lia).
    destruct (IH d (G ^ s)%nat (round G (G ^ s) N)) as (N' & HG' & HN' & Hs & HM).
    + split; [|lia]. destruct (G ^ s)%nat; lia.
    + simpl. auto.
    + simpl. repeat split; try exact HN; try lra; intros i Hi; apply select_row; nia.
    + exists N'. split; [exact HG'|]. split; [exact HN'|]. split; [simpl in Hs; lia|].
      intros x. apply (round_max G (G ^ s)); [lia|lia|apply HM].
Qed.

Theorem theorem_3_9_tight : theorem_3_9_tight_statement.
Proof.
  intros G d s Hd. destruct (tournament G s d d input Hd I I) as (N & HG & HN & Hs & HM).
  exists N. split; [exact HG|]. split; [exact HN|]. split; [exact Hs|].
  intros x. apply (is_max_unique d x); [apply HM|apply order_stat_is_max; lia].
Qed.

(** ** Distance nets represent every Boolean function *)

Lemma agree_dec d (x y : bits) :
  (forall i, (i < d)%nat -> x i = y i) \/ (exists i, (i < d)%nat /\ x i <> y i).
Proof.
  induction d as [|d [IH|(i & Hi & N)]]; [left; lia| |right; exists i; split; [lia|exact N]].
  destruct (bool_dec (x d) (y d)) as [E|N]; [left|right; exists d; auto].
  intros i Hi. destruct (Nat.eq_dec i d) as [->|]; [exact E|apply IH; lia].
Qed.

Lemma vertex_distance_0 d x y : (forall i, (i < d)%nat -> x i = y i) ->
  dist d (to_vec x) (to_vec y) = 0.
Proof.
  intros H. apply Rle_antisym; [|apply dist_nonneg]. apply dist_least; [lra|].
  intros i Hi. unfold to_vec. rewrite (H i Hi), Rminus_eq_0, Rabs_R0. lra.
Qed.

Lemma vertex_distance_1 d x y i : (i < d)%nat -> x i <> y i ->
  dist d (to_vec x) (to_vec y) = 1.
Proof.
  intros Hi N. apply Rle_antisym.
  - apply dist_least; [lra|]. intros j _. unfold to_vec.
    destruct (x j), (y j); apply Rabs_le; lra.
  - pose proof (dist_entry d (to_vec x) (to_vec y) i Hi) as B. unfold to_vec in B at 1 2.
    apply Rle_trans with (2 := B). destruct (x i), (y i); try congruence.
    + rewrite Rabs_right; lra.
    + rewrite Rabs_left; lra.
Qed.

(** Every vertex is the binary expansion of a number below 2^d. *)
Lemma vertex_code d : forall x : bits,
  exists v, (v < 2 ^ d)%nat /\ forall i, (i < d)%nat -> Nat.testbit v i = x i.
Proof.
  induction d as [|d IH]; intros x; [exists 0%nat; simpl; split; [lia|lia]|].
  destruct (IH (fun i => x (S i))) as (v & Hv & E).
  exists (2 * v + if x 0%nat then 1 else 0)%nat. split.
  - simpl. destruct (x 0%nat); lia.
  - intros i Hi. destruct (x 0%nat) eqn:X; destruct i as [|i].
    + rewrite Nat.testbit_odd_0. auto.
    + rewrite Nat.testbit_odd_succ by lia. apply E. lia.
    + rewrite Nat.add_0_r, Nat.testbit_even_0. auto.
    + rewrite Nat.add_0_r, Nat.testbit_even_succ by lia. apply E. lia.
Qed.

Section Distance.
  Variables (d : nat) (g : bits -> bool).
  Hypothesis (Hd : (0 < d)%nat) (Hg : boolean_function d g).

  (** First layer: the distance to every vertex.  Second layer: the neuron of class c
      has a centre far from 0 at the vertices of its class. *)
  Definition vertex (v : nat) : vec := to_vec (Nat.testbit v).
  Definition centre (c : bool) : vec :=
    fun v => if Bool.eqb (g (Nat.testbit v)) c then 2 else 0.
  Definition to_vertices (x : bits) : vec := fun v => dist d (to_vec x) (vertex v) + 0.

  Lemma class_neuron (c : bool) x :
    dist (2 ^ d) (to_vertices x) (centre c) = if Bool.eqb (g x) c then 2 else 1.
  Proof.
    assert (U : forall v, (to_vertices x v = 0 /\ g (Nat.testbit v) = g x) \/
                          to_vertices x v = 1).
    { intros v. unfold to_vertices. rewrite Rplus_0_r.
      destruct (agree_dec d x (Nat.testbit v)) as [A|(i & Hi & N)].
      - left. split; [apply vertex_distance_0, A|]. symmetry. apply Hg, A.
      - right. apply (vertex_distance_1 d x _ i Hi N). }
    apply Rle_antisym.
    - apply dist_least; [destruct (Bool.eqb _ _); lra|]. intros v _. unfold centre.
      destruct (U v) as [[-> ->]| ->]; [|destruct (Bool.eqb (g (Nat.testbit v)) c)];
        destruct (Bool.eqb (g x) c); apply Rabs_le; lra.
    - destruct (Bool.eqb (g x) c) eqn:E.
      + destruct (vertex_code d x) as (v & Hv & A).
        eapply Rle_trans; [|apply (dist_entry _ _ _ v Hv)].
        unfold centre, to_vertices. rewrite (Hg (Nat.testbit v) x A), E.
        unfold vertex. rewrite vertex_distance_0 by (intros; symmetry; auto).
        rewrite Rabs_left; lra.
      + destruct (vertex_code d (fun i => if (i =? 0)%nat then negb (x i) else x i))
          as (v & Hv & A).
        eapply Rle_trans; [|apply (dist_entry _ _ _ v Hv)].
        unfold centre, to_vertices, vertex.
        rewrite (vertex_distance_1 d x _ 0 Hd).
        * destruct (Bool.eqb (g (Nat.testbit v)) c); [rewrite Rabs_left|rewrite Rabs_right]; lra.
        * rewrite (A 0%nat Hd). simpl. destruct (x 0%nat); discriminate.
  Qed.
End Distance.

Theorem theorem_3_8_boolean : theorem_3_8_boolean_statement.
Proof.
  intros d g Hd Hg.
  exists (2 ^ d)%nat, vertex, (fun _ => 0), (fun _ => centre g true), (fun _ => -1).
  intros N x. simpl. fold (to_vertices d x). rewrite (class_neuron d g Hd Hg).
  destruct (g x); simpl; ring.
Qed.

Theorem theorem_3_8_radius : theorem_3_8_radius_statement.
Proof.
  intros d g Hd Hg.
  exists (2 ^ d)%nat, vertex, (fun _ => 0), (fun i => centre g (i =? 1)%nat), (fun _ => 0).
  intros N. split; [simpl; repeat split; lra|]. intros x _ j Hj Hne. simpl.
  fold (to_vertices d x). rewrite !(class_neuron d g Hd Hg).
  destruct (g x); simpl in *; destruct j as [|[|j]]; simpl; try lia; lra.
Qed.

(** ** Distance nets represent order statistics on the cube *)

Section OrderStatistic.
  Variables (d k : nat) (x : vec).
  Hypothesis (Hk : (1 <= k <= d)%nat) (Hx : in_cube d x).

  (** First layer: for the set S coded by v, the distance to 2 on S and 0 elsewhere,
      2 - min over S.  Second layer: the largest of these minima for |S| >= k. *)
  Definition corner (v : nat) : vec := fun i => if Nat.testbit v i then 2 else 0.
  Definition large_sets : vec :=
    fun v => if (k <=? ones d (Nat.testbit v))%nat then 4 else 2.
  Definition to_sets : vec := fun v => dist d x (corner v) + 0.

  Lemma to_sets_range v : 0 <= to_sets v <= 2.
  Proof.
    unfold to_sets. rewrite Rplus_0_r. split; [apply dist_nonneg|]. apply dist_least; [lra|].
    intros i Hi. pose proof (Hx i Hi). unfold corner.
    destruct (Nat.testbit v i); apply Rabs_le; lra.
  Qed.

  (** Every set of at least k positions has an entry that is at most x_(k). *)
  Lemma low_entry v : (k <= ones d (Nat.testbit v))%nat ->
    exists i, (i < d)%nat /\ Nat.testbit v i = true /\ x i <= order_stat d x k.
  Proof.
    intros Hv. set (t := order_stat d x k).
    assert (D : forall n, (n <= d)%nat ->
      (exists i, (i < n)%nat /\ Nat.testbit v i = true /\ x i <= t) \/
      (forall i, (i < n)%nat -> Nat.testbit v i = true -> t < x i)).
    { induction n as [|n IH]; intros Hn; [right; lia|].
      destruct (IH ltac:(lia)) as [(i & Hi & B)|A]; [left; exists i; split; [lia|exact B]|].
      destruct (Nat.testbit v n) eqn:Bn.
      - destruct (Rle_lt_dec (x n) t) as [L|L]; [left; exists n; auto|right].
        intros i Hi Bi. destruct (Nat.eq_dec i n) as [->|]; [exact L|apply A; [lia|exact Bi]].
      - right. intros i Hi Bi. destruct (Nat.eq_dec i n) as [->|]; [congruence|].
        apply A; [lia|exact Bi]. }
    destruct (D d (le_n d)) as [E|A]; [exact E|exfalso].
    (* the least of the entries in the set would be above t and yet at most x_(k) *)
    assert (M : forall n, (n <= d)%nat ->
      exists t', t < t' /\ forall i, (i < n)%nat -> Nat.testbit v i = true -> t' <= x i).
    { induction n as [|n IH]; intros Hn; [exists (t + 1); split; [lra|lia]|].
      destruct (IH ltac:(lia)) as (t' & Ht & B).
      destruct (Nat.testbit v n) eqn:Bn.
      - exists (Rmin t' (x n)). split; [apply Rmin_glb_lt; [exact Ht|apply A; [lia|exact Bn]]|].
        intros i Hi Bi. destruct (Nat.eq_dec i n) as [->|]; [apply Rmin_r|].
        eapply Rle_trans; [apply Rmin_l|apply B; [lia|exact Bi]].
      - exists t'. split; [exact Ht|]. intros i Hi Bi.
        destruct (Nat.eq_dec i n) as [->|]; [congruence|apply B; [lia|exact Bi]]. }
    destruct (M d (le_n d)) as (t' & Ht & B).
    assert (C : t' <= t); [|lra].
    apply order_stat_counts; [exact Hk|]. apply (Nat.le_trans _ _ _ Hv). clear - B.
    induction d as [|n IH]; [apply le_n|]. cbn [ones].
    assert (ones n (Nat.testbit v) <=
            ones n (fun i => if Rle_dec t' (x i) then true else false))%nat.
    { apply IH. intros i Hi. apply B. lia. }
    destruct (Nat.testbit v n) eqn:Bn; [|lia].
    destruct (Rle_dec t' (x n)) as [_|N]; [lia|]. destruct N. apply B; [lia|exact Bn].
  Qed.

  (** The entries that are at least x_(k) form such a set. *)
  Lemma high_set : exists v, (v < 2 ^ d)%nat /\ (k <= ones d (Nat.testbit v))%nat /\
    forall i, (i < d)%nat -> Nat.testbit v i = true -> order_stat d x k <= x i.
  Proof.
    set (t := order_stat d x k).
    destruct (vertex_code d (fun i => if Rle_dec t (x i) then true else false))
      as (v & Hv & A).
    exists v. split; [exact Hv|]. split.
    - rewrite (ones_ext d _ _ A). apply (order_stat_counts d x k t Hk). unfold t. lra.
    - intros i Hi Bi. rewrite (A i Hi) in Bi. destruct (Rle_dec t (x i)); [assumption|discriminate].
  Qed.

  Lemma set_neuron : dist (2 ^ d) to_sets large_sets = 2 + order_stat d x k.
  Proof.
    set (t := order_stat d x k).
    assert (Ht : 0 <= t <= 1).
    { unfold t. destruct (order_stat_attained d x k Hk) as (i & Hi & ->). apply Hx, Hi. }
    apply Rle_antisym.
    - apply dist_least; [lra|]. intros v _. pose proof (to_sets_range v) as U.
      unfold large_sets. destruct (Nat.leb_spec k (ones d (Nat.testbit v))) as [L|L].
      + destruct (low_entry v L) as (i & Hi & Bi & Li). fold t in Li.
        assert (2 - t <= to_sets v).
        { unfold to_sets. rewrite Rplus_0_r.
          eapply Rle_trans; [|apply (dist_entry d x (corner v) i Hi)].
          unfold corner. rewrite Bi. pose proof (Hx i Hi). rewrite Rabs_left; lra. }
        apply Rabs_le. lra.
      + apply Rabs_le. lra.
    - destruct high_set as (v & Hv & L & A). fold t in A.
      eapply Rle_trans; [|apply (dist_entry _ _ _ v Hv)].
      assert (to_sets v <= 2 - t).
      { unfold to_sets. rewrite Rplus_0_r. apply dist_least; [lra|]. intros i Hi.
        pose proof (Hx i Hi). unfold corner. destruct (Nat.testbit v i) eqn:Bi.
        - specialize (A i Hi Bi). apply Rabs_le. lra.
        - apply Rabs_le. lra. }
      unfold large_sets. destruct (Nat.leb_spec k (ones d (Nat.testbit v))); [|lia].
      rewrite Rabs_left; lra.
  Qed.
End OrderStatistic.

Theorem theorem_3_8_order_statistic : theorem_3_8_order_statistic_statement.
Proof.
  intros d k Hk.
  exists (2 ^ d)%nat, corner, (fun _ => 0), (fun _ => large_sets d k), (fun _ => -2).
  intros N x Hx. simpl. fold (to_sets d x). rewrite (set_neuron d k x Hk Hx). ring.
Qed.
