(** * MaxMin networks as circuits

    The step that carries 3.10 and 3.11: where a unit of a MaxMin network is higher on P
    than on Q by nearly 1, a circuit of the depth of the network is true on P and false on
    Q. *)

From Coq Require Import Reals Lra Lia Arith Bool.
From SortNet Require Import Definitions Statements Sums OrderStatistics Mass Lipschitz Boolean
  Tight Constructions Circuits.
Open Scope R_scope.

Lemma search n (A B : nat -> Prop) : (forall i, A i \/ B i) ->
  (exists i, (i < n)%nat /\ A i) \/ (forall i, (i < n)%nat -> B i).
Proof.
  intros D. induction n as [|n [(i & Hi & H)|H]]; [right; lia|left; exists i; auto|].
  destruct (D n) as [E|E]; [left; exists n; auto|right].
  intros i Hi. destruct (Nat.eq_dec i n) as [->|]; [exact E|apply H; lia].
Qed.

Lemma finite_choice {A : Type} (default : A) n (T : nat -> A -> Prop) :
  (forall i, (i < n)%nat -> exists a, T i a) -> exists f, forall i, (i < n)%nat -> T i (f i).
Proof.
  induction n as [|n IH]; intros H; [exists (fun _ => default); lia|].
  destruct IH as (f & Hf); [intros; apply H; lia|]. destruct (H n) as (a & Ha); [lia|].
  exists (fun i => if (i =? n)%nat then a else f i). intros i Hi.
  destruct (Nat.eqb_spec i n) as [->|]; [exact Ha|apply Hf; lia].
Qed.

(** A pair of numbers below V as one number below V^2. *)
Lemma pair_code V p q : (p < V)%nat -> (q < V)%nat ->
  (p * V + q < V * V)%nat /\ ((p * V + q) / V = p)%nat /\ ((p * V + q) mod V = q)%nat.
Proof.
  intros Hp Hq. split; [nia|]. split; symmetry.
  - apply (Nat.div_unique _ _ _ q); lia.
  - apply (Nat.mod_unique _ _ p); lia.
Qed.

Lemma pair_decode V r : (r < V * V)%nat -> (r / V < V)%nat /\ (r mod V < V)%nat.
Proof.
  intros Hr. assert (V <> 0)%nat by lia.
  split; [apply Nat.div_lt_upper_bound; lia|apply Nat.mod_upper_bound; lia].
Qed.

(** ** An affine row that moves by nearly 1 reads an input that does *)

(** D r j is the move of input j over the pair r of points; the pairs in question are
    those in chi. *)
Lemma common_input K n (w : vec) (D : nat -> vec) (chi : nat -> bool) delta :
  0 <= delta < 1 -> sum n (fun j => Rabs (w j)) <= 1 ->
  (forall r j, (j < n)%nat -> Rabs (D r j) <= 1) ->
  (forall r, (r < K)%nat -> chi r = true -> 1 - delta <= sum n (fun j => w j * D r j)) ->
  (exists r, (r < K)%nat /\ chi r = true) ->
  exists j s, (j < n)%nat /\ (s = 1 \/ s = -1) /\
  forall r, (r < K)%nat -> chi r = true -> 1 - INR K * delta <= s * D r j.
Proof.
  intros Hdelta Hw HD Hsep (r0 & Hr0 & Hchi0).
  set (sgn := fun j => if Rle_dec 0 (w j) then 1 else -1).
  set (loss := fun r j => if chi r then 1 - sgn j * D r j else 0).
  assert (Hs : forall j, sgn j = 1 \/ sgn j = -1).
  { intros j. unfold sgn. destruct (Rle_dec 0 (w j)); auto. }
  assert (Habs : forall j, Rabs (w j) * sgn j = w j).
  { intros j. unfold sgn. destruct (Rle_dec 0 (w j)).
    - rewrite Rabs_right by lra. ring.
    - rewrite Rabs_left by lra. ring. }
  assert (Hloss : forall r j, (j < n)%nat -> 0 <= loss r j).
  { intros r j Hj. unfold loss. destruct (chi r); [|lra].
    pose proof (abs_bounds _ _ (HD r j Hj)). destruct (Hs j) as [-> | ->]; lra. }
  destruct (search n (fun j => sum K (fun r => loss r j) <= INR K * delta)
                     (fun j => INR K * delta < sum K (fun r => loss r j))) as [(j & Hj & Hle)|Hgt].
  { intros j. apply Rle_or_lt. }
  - exists j, (sgn j). split; [exact Hj|]. split; [apply Hs|]. intros r Hr Hchi.
    assert (L : loss r j <= sum K (fun r => loss r j)).
    { apply (sum_term K (fun r => loss r j)); [intros; apply Hloss, Hj|exact Hr]. }
    unfold loss at 1 in L. rewrite Hchi in L. lra.
  - exfalso. set (A := sum n (fun j => Rabs (w j))) in *.
    assert (T : forall r, sum n (fun j => Rabs (w j) * (1 - sgn j * D r j)) =
                          A - sum n (fun j => w j * D r j)).
    { intros r. unfold A. rewrite <- sum_minus. apply sum_ext. intros j _.
      rewrite <- (Habs j) at 3. ring. }
    assert (B : 0 <= A - 1 + delta).
    { apply Rle_trans with (sum n (fun j => Rabs (w j) * (1 - sgn j * D r0 j))).
      - apply sum_nonneg. intros j Hj. apply Rmult_le_pos; [apply Rabs_pos|].
        specialize (Hloss r0 j Hj). unfold loss in Hloss. rewrite Hchi0 in Hloss. exact Hloss.
      - rewrite T. specialize (Hsep r0 Hr0 Hchi0). lra. }
    assert (S : sum n (fun j => Rabs (w j) * (sum K (fun r => loss r j) - INR K * delta))
                <= INR K * ((A - 1) * (1 - delta))).
    { rewrite (sum_ext n _ (fun j => sum K (fun r => Rabs (w j) * loss r j) -
                                     Rabs (w j) * (INR K * delta)))
        by (intros; rewrite sum_scale; ring).
      rewrite sum_minus, sum_scale_r, sum_swap. fold A.
      assert (sum K (fun r => sum n (fun j => Rabs (w j) * loss r j))
              <= sum K (fun _ => A - 1 + delta)).
      { apply sum_le. intros r Hr. unfold loss. destruct (chi r) eqn:E.
        - rewrite T. specialize (Hsep r Hr E). lra.
        - rewrite sum_scale_r. lra. }
      rewrite sum_const in H. lra. }
    assert (Z : INR K * ((A - 1) * (1 - delta)) <= 0).
    { pose proof (pos_INR K). assert (0 <= (1 - A) * (1 - delta)) by (apply Rmult_le_pos; lra).
      nra. }
    assert (W0 : forall j, (j < n)%nat -> w j = 0).
    { intros j Hj.
      assert (L : Rabs (w j) * (sum K (fun r => loss r j) - INR K * delta) <= 0).
      { eapply Rle_trans; [|apply Rle_trans with (1 := S), Z].
        apply (sum_term n (fun j => Rabs (w j) * (sum K (fun r => loss r j) - INR K * delta)));
          [|exact Hj].
        intros k Hk. specialize (Hgt k Hk). apply Rmult_le_pos; [apply Rabs_pos|lra]. }
      specialize (Hgt j Hj). pose proof (Rabs_pos (w j)).
      destruct (Req_dec (w j) 0) as [E|E]; [exact E|]. apply Rabs_pos_lt in E. nra. }
    specialize (Hsep r0 Hr0 Hchi0).
    rewrite (sum_ext n _ (fun _ => 0)), sum_const in Hsep; [lra|].
    intros j Hj. rewrite (W0 j Hj). ring.
Qed.

(** u is higher on P than on Q by at least 1 - delta; points are numbers below V. *)
Definition separates (V : nat) (delta : R) (u : nat -> R) (P Q : nat -> bool) : Prop :=
  forall v v', (v < V)%nat -> (v' < V)%nat -> P v = true -> Q v' = true ->
  1 - delta <= u v - u v'.

Lemma common_input_pairs V n (w : vec) b (z : nat -> vec) P Q delta :
  0 <= delta < 1 -> sum n (fun j => Rabs (w j)) <= 1 ->
  (forall v v' j, (j < n)%nat -> Rabs (z v j - z v' j) <= 1) ->
  separates V delta (fun v => sum n (fun j => w j * z v j) + b) P Q ->
  (exists v, (v < V)%nat /\ P v = true) -> (exists v, (v < V)%nat /\ Q v = true) ->
  exists j, (j < n)%nat /\
  (separates V (INR (V * V) * delta) (fun v => z v j) P Q \/
   separates V (INR (V * V) * delta) (fun v => - z v j) P Q).
Proof.
  intros Hdelta Hw Hz Hsep (p & Hp & Pp) (q & Hq & Qq).
  destruct (common_input (V * V) n w (fun r j => z (r / V)%nat j - z (r mod V)%nat j)
    (fun r => P (r / V)%nat && Q (r mod V)%nat) delta Hdelta Hw) as (j & s & Hj & Hs & H).
  - intros r j Hj. apply Hz, Hj.
  - intros r Hr Hchi. apply andb_true_iff in Hchi. destruct Hchi as [HP HQ].
    destruct (pair_decode V r Hr) as [D M].
    specialize (Hsep _ _ D M HP HQ). eapply Rle_trans; [exact Hsep|]. right.
    cbv beta. rewrite (sum_ext n (fun j => w j * (z (r / V)%nat j - z (r mod V)%nat j))
      (fun j => w j * z (r / V)%nat j - w j * z (r mod V)%nat j)) by (intros; ring).
    rewrite sum_minus. ring.
  - destruct (pair_code V p q Hp Hq) as (L & D & M). exists (p * V + q)%nat. split; [exact L|].
    rewrite D, M, Pp, Qq. reflexivity.
  - exists j. split; [exact Hj|].
    destruct Hs as [-> | ->]; [left|right]; intros v v' Hv Hv' HP HQ;
      destruct (pair_code V v v' Hv Hv') as (L & D & M); specialize (H _ L); cbv beta in H;
      rewrite D, M, HP, HQ in H; specialize (H eq_refl); lra.
Qed.

(** ** Every separation by a unit is one by a circuit *)

Lemma pair_max y : order_stat 2 y 1 = Rmax (y 0%nat) (y 1%nat).
Proof.
  unfold order_stat, entries. simpl. unfold Rmax.
  destruct (Rle_dec (y 1%nat) (y 0%nat)), (Rle_dec (y 0%nat) (y 1%nat)); simpl; lra.
Qed.

Lemma pair_min y : order_stat 2 y 2 = Rmin (y 0%nat) (y 1%nat).
Proof.
  unfold order_stat, entries. simpl. unfold Rmin.
  destruct (Rle_dec (y 1%nat) (y 0%nat)), (Rle_dec (y 0%nat) (y 1%nat)); simpl; lra.
Qed.

(** A MaxMin unit is the larger or the smaller of the two units of its pair. *)
Lemma maxmin_unit q x j : apply (groupsort 2 q) x j =
  let a := x (j / 2 * 2)%nat in let b := x (j / 2 * 2 + 1)%nat in
  if (j mod 2 =? 0)%nat then Rmax a b else Rmin a b.
Proof.
  assert (M : (j mod 2 < 2)%nat) by (apply Nat.mod_upper_bound; lia). cbn [apply].
  destruct (j mod 2) as [|[|]]; [| |lia]; simpl Nat.add; [rewrite pair_max|rewrite pair_min];
    rewrite Nat.add_0_r; reflexivity.
Qed.

Lemma pair_in_range q j : (j < q * 2)%nat ->
  (j / 2 * 2 < q * 2)%nat /\ (j / 2 * 2 + 1 < q * 2)%nat.
Proof.
  intros Hj. assert (j / 2 < q)%nat by (apply Nat.div_lt_upper_bound; lia). lia.
Qed.

(** No unit moves by more than 1 between two vertices. *)
Lemma vertex_move d n (N : network d n) x y i : lipschitz_net N -> (i < n)%nat ->
  Rabs (eval N (to_vec x) i - eval N (to_vec y) i) <= 1.
Proof.
  intros HN Hi. eapply Rle_trans; [apply (network_lipschitz d n N HN _ _ i Hi)|].
  rewrite Rmult_1_l. apply dist_least; [lra|]. intros j _. unfold to_vec.
  destruct (x j), (y j); apply Rabs_le; lra.
Qed.

(** A circuit of depth M that is true on P and false on Q. *)
Definition circuit_between (d M : nat) (P Q : nat -> bool) : Prop :=
  exists g, of_depth d M g /\
  (forall v, (v < 2 ^ d)%nat -> P v = true -> g (Nat.testbit v) = true) /\
  (forall v, (v < 2 ^ d)%nat -> Q v = true -> g (Nat.testbit v) = false).

Lemma circuit_not d M P Q : circuit_between d M P Q -> circuit_between d M Q P.
Proof.
  intros (g & Hg & HP & HQ). exists (fun x => negb (g x)). split; [apply of_depth_not, Hg|].
  split; intros v Hv H; [rewrite HQ|rewrite HP]; auto.
Qed.

Lemma some_point (V : nat) (P : nat -> bool) :
  (exists v, (v < V)%nat /\ P v = true) \/ (forall v, (v < V)%nat -> P v = false).
Proof. apply search. intros v. destruct (P v); auto. Qed.

Lemma circuit_trivial d M P Q :
  circuit_between d M P Q \/
  (exists v, (v < 2 ^ d)%nat /\ P v = true) /\ (exists v, (v < 2 ^ d)%nat /\ Q v = true).
Proof.
  destruct (some_point (2 ^ d) P) as [HP|HP].
  - destruct (some_point (2 ^ d) Q) as [HQ|HQ]; [right; auto|left].
    exists (fun _ => true). split; [apply of_depth_const|]. split; [reflexivity|].
    intros v Hv H. rewrite HQ in H by exact Hv. discriminate.
  - left. exists (fun _ => false). split; [apply of_depth_const|]. split; [|reflexivity].
    intros v Hv H. rewrite HP in H by exact Hv. discriminate.
Qed.

Definition at_most (a b : R) : bool := if Rle_dec a b then true else false.

Lemma at_most_true a b : at_most a b = true -> a <= b.
Proof. unfold at_most. destruct (Rle_dec a b); [auto|discriminate]. Qed.

(** If units a and b give circuits of depth M, their maximum and minimum give circuits of
    depth M + 1: the points of P (or Q) are shared out by which of the two decides. *)
Lemma circuit_max d M delta a b P Q :
  (forall P Q, separates (2 ^ d) delta a P Q -> circuit_between d M P Q) ->
  (forall P Q, separates (2 ^ d) delta b P Q -> circuit_between d M P Q) ->
  separates (2 ^ d) delta (fun v => Rmax (a v) (b v)) P Q -> circuit_between d (S M) P Q.
Proof.
  intros Ha Hb H.
  destruct (Ha (fun v => P v && at_most (b v) (a v)) Q) as (ga & Ga & Pa & Qa).
  { intros v v' Hv Hv' HP HQ. apply andb_true_iff in HP. destruct HP as [HP L].
    apply at_most_true in L. specialize (H v v' Hv Hv' HP HQ). cbv beta in H.
    rewrite Rmax_left in H by exact L. pose proof (Rmax_l (a v') (b v')). lra. }
  destruct (Hb (fun v => P v && at_most (a v) (b v)) Q) as (gb & Gb & Pb & Qb).
  { intros v v' Hv Hv' HP HQ. apply andb_true_iff in HP. destruct HP as [HP L].
    apply at_most_true in L. specialize (H v v' Hv Hv' HP HQ). cbv beta in H.
    rewrite Rmax_right in H by exact L. pose proof (Rmax_r (a v') (b v')). lra. }
  exists (fun x => ga x || gb x). split; [apply of_depth_or; assumption|]. split.
  - intros v Hv HP. apply orb_true_iff. destruct (Rle_dec (b v) (a v)) as [L|L].
    + left. apply Pa; [exact Hv|]. rewrite HP. unfold at_most.
      destruct (Rle_dec (b v) (a v)); [reflexivity|contradiction].
    + right. apply Pb; [exact Hv|]. rewrite HP. unfold at_most.
      destruct (Rle_dec (a v) (b v)); [reflexivity|lra].
  - intros v Hv HQ. rewrite Qa, Qb; auto.
Qed.

Lemma separates_opp V delta u P Q :
  separates V delta (fun v => - u v) P Q <-> separates V delta u Q P.
Proof.
  split; intros H v v' Hv Hv' HP HQ; specialize (H v' v Hv' Hv HQ HP); cbv beta in *; lra.
Qed.

Lemma circuit_min d M delta a b P Q :
  (forall P Q, separates (2 ^ d) delta a P Q -> circuit_between d M P Q) ->
  (forall P Q, separates (2 ^ d) delta b P Q -> circuit_between d M P Q) ->
  separates (2 ^ d) delta (fun v => Rmin (a v) (b v)) P Q -> circuit_between d (S M) P Q.
Proof.
  intros Ha Hb H. apply circuit_not.
  apply (circuit_max d M delta (fun v => - a v) (fun v => - b v)).
  - intros P' Q' HS. apply circuit_not, Ha, separates_opp, HS.
  - intros P' Q' HS. apply circuit_not, Hb, separates_opp, HS.
  - intros v v' Hv Hv' HP HQ. specialize (H v' v Hv' Hv HQ HP). cbv beta in H.
    rewrite <- !Ropp_Rmin. lra.
Qed.

Lemma unit_circuit d m (N : network d m) : groupsort_chain 2 N -> lipschitz_net N ->
  forall i delta P Q, (i < m)%nat -> 0 <= delta ->
  INR (2 ^ d * 2 ^ d) ^ S (sorting_layers N) * delta < 1 ->
  separates (2 ^ d) delta (fun v => eval N (to_vec (Nat.testbit v)) i) P Q ->
  circuit_between d (sorting_layers N) P Q.
Proof.
  set (K := INR (2 ^ d * 2 ^ d)).
  assert (HK : 1 <= K).
  { apply (le_INR 1). pose proof (Nat.pow_nonzero 2 d). nia. }
  assert (Hpow : forall s, 1 <= K ^ s) by (intros; apply pow_R1_Rle, HK).
  induction 1 as [m W b|q m N W b HN IH]; intros HL i delta P Q Hi Hdelta Hsmall Hsep.
  - cbn [sorting_layers] in *. rewrite pow_1 in Hsmall.
    destruct (circuit_trivial d 0 P Q) as [E|[HP HQ]]; [exact E|].
    assert (delta < 1) by nra.
    destruct (common_input_pairs (2 ^ d) d (W i) (b i) (fun v => to_vec (Nat.testbit v)) P Q
      delta) as (j & Hj & [H1|H1]); auto.
    { simpl in HL. apply HL, Hi. }
    { intros v v' j _. unfold to_vec.
      destruct (Nat.testbit v j), (Nat.testbit v' j); apply Rabs_le; lra. }
    all: fold K in H1; destruct HP as (p & Hp & Pp), HQ as (r & Hr & Qr).
    + exists (fun x => xorb false (x j)). split; [apply of_depth_literal, Hj|].
      split; intros v Hv H0; simpl.
      * specialize (H1 v r Hv Hr H0 Qr). unfold to_vec in H1.
        destruct (Nat.testbit v j), (Nat.testbit r j); try reflexivity; lra.
      * specialize (H1 p v Hp Hv Pp H0). unfold to_vec in H1.
        destruct (Nat.testbit v j), (Nat.testbit p j); try reflexivity; lra.
    + exists (fun x => xorb true (x j)). split; [apply of_depth_literal, Hj|].
      split; intros v Hv H0; simpl.
      * specialize (H1 v r Hv Hr H0 Qr). unfold to_vec in H1.
        destruct (Nat.testbit v j), (Nat.testbit r j); try reflexivity; lra.
      * specialize (H1 p v Hp Hv Pp H0). unfold to_vec in H1.
        destruct (Nat.testbit v j), (Nat.testbit p j); try reflexivity; lra.
  - cbn [sorting_layers] in *. destruct HL as ((HLN & _) & HW).
    destruct (circuit_trivial d (S (sorting_layers N)) P Q) as [E|[HP HQ]]; [exact E|].
    pose proof (Hpow (S (S (sorting_layers N)))) as H1K.
    assert (delta < 1) by nra. clear H1K.
    rewrite <- tech_pow_Rmult in Hsmall.
    assert (HLs : lipschitz_net (after N (groupsort 2 q))) by (split; [exact HLN|simpl; lra]).
    set (z := fun v => eval (after N (groupsort 2 q)) (to_vec (Nat.testbit v))).
    assert (U : forall j P Q, (j < q * 2)%nat ->
      separates (2 ^ d) (K * delta) (fun v => z v j) P Q ->
      circuit_between d (S (sorting_layers N)) P Q).
    { intros j P' Q' Hj HS.
      assert (IH' : forall a P Q, (a < q * 2)%nat ->
        separates (2 ^ d) (K * delta) (fun v => eval N (to_vec (Nat.testbit v)) a) P Q ->
        circuit_between d (sorting_layers N) P Q).
      { intros a P1 Q1 Ha. apply (IH HLN a (K * delta) P1 Q1 Ha); [nra|].
        rewrite <- Rmult_assoc, (Rmult_comm (K ^ _)). exact Hsmall. }
      destruct (pair_in_range q j Hj) as [Ha Hc].
      set (a := fun v => eval N (to_vec (Nat.testbit v)) (j / 2 * 2)%nat).
      set (c := fun v => eval N (to_vec (Nat.testbit v)) (j / 2 * 2 + 1)%nat).
      assert (E : forall v, z v j = if (j mod 2 =? 0)%nat then Rmax (a v) (c v)
                                    else Rmin (a v) (c v)) by (intros; apply maxmin_unit).
      destruct (j mod 2 =? 0)%nat;
        [apply (circuit_max d _ (K * delta) a c)|apply (circuit_min d _ (K * delta) a c)];
        try (intros P1 Q1; apply IH'; assumption);
        intros v v' Hv Hv' H0 H1; rewrite <- !E; apply (HS v v' Hv Hv' H0 H1). }
    destruct (common_input_pairs (2 ^ d) (q * 2) (W i) (b i) z P Q delta)
      as (j & Hj & [H1|H1]); auto.
    + intros v v' j Hj. apply (vertex_move d _ _ _ _ j HLs Hj).
    + apply (U j P Q Hj H1).
    + apply circuit_not, (U j Q P Hj), separates_opp, H1.
Qed.

(** ** A network near a function *)

(** A MaxMin network that is close to g on {0,1}^d makes g a circuit of its depth. *)
Lemma close_is_circuit d M (N : network d 1) g eps : boolean_function d g ->
  groupsort_chain 2 N -> lipschitz_net N -> (sorting_layers N <= M)%nat -> 0 <= eps ->
  4 ^ (d * (M + 1)) * (2 * eps) < 1 ->
  (forall v, (v < 2 ^ d)%nat ->
    Rabs (eval N (to_vec (Nat.testbit v)) 0%nat - if g (Nat.testbit v) then 1 else 0) <= eps) ->
  of_depth d M g.
Proof.
  intros Hg HN HL HM Heps Hsmall Hclose.
  destruct (unit_circuit d 1 N HN HL 0 (2 * eps) (fun v => g (Nat.testbit v))
    (fun v => negb (g (Nat.testbit v)))) as (g' & Hd & HP & HQ); [lia|lra| | |].
  - eapply Rle_lt_trans; [|exact Hsmall]. apply Rmult_le_compat_r; [lra|].
    rewrite mult_INR, pow_INR. change (INR 2) with 2.
    rewrite <- Rpow_mult_distr. replace (2 * 2) with 4 by ring. rewrite <- pow_mult.
    apply Rle_pow; [lra|]. nia.
  - intros v v' Hv Hv' H H'. pose proof (abs_bounds _ _ (Hclose v Hv)).
    pose proof (abs_bounds _ _ (Hclose v' Hv')).
    apply negb_true_iff in H'. rewrite H in *. rewrite H' in *. lra.
  - apply (of_depth_mono d (sorting_layers N)); [exact HM|].
    destruct Hd as (g0 & H0 & E0). exists g0. split; [exact H0|].
    intros x. destruct (vertex_code d x) as (v & Hv & Ev).
    rewrite <- (functions_boolean _ _ _ H0 _ x Ev), <- (Hg _ x Ev), E0.
    destruct (g (Nat.testbit v)) eqn:Eg.
    + apply HP; assumption.
    + apply HQ; [exact Hv|]. rewrite Eg. reflexivity.
Qed.

Lemma represents_boolean d (N : network d 1) g : lipschitz_net N -> represents N g ->
  boolean_function d g.
Proof.
  intros HN Hg x y E.
  assert (B : Rabs (eval N (to_vec x) 0%nat - eval N (to_vec y) 0%nat) <= 0).
  { eapply Rle_trans; [apply (network_lipschitz d 1%nat N HN); lia|].
    rewrite (vertex_distance_0 d x y E). lra. }
  apply abs_bounds in B. rewrite !Hg in B. destruct (g x), (g y); auto; lra.
Qed.

Lemma represented_is_circuit d M (N : network d 1) g : groupsort_chain 2 N -> lipschitz_net N ->
  (sorting_layers N <= M)%nat -> represents N g -> of_depth d M g.
Proof.
  intros HN HL HM Hg. apply (close_is_circuit d M N g 0); auto; try lra.
  - apply (represents_boolean d N g HL Hg).
  - intros v _. rewrite Hg, Rminus_eq_0, Rabs_R0. lra.
Qed.
