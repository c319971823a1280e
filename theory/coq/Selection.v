(** * Theorem 3.10: a MaxMin network for g can have a single +-1 in each row *)

From Coq Require Import Reals Lra Lia Arith Bool.
From SortNet Require Import Definitions Statements Sums OrderStatistics Mass Lipschitz Boolean
  Tight Constructions Circuits MaxMin.
Open Scope R_scope.

Section Follow.
  (** Points are numbers below V; a unit is its values there. *)
  Variable V : nat.

  Definition narrow (u : nat -> R) : Prop :=
    forall v w, (v < V)%nat -> (w < V)%nat -> u v - u w <= 1.

  (** u' is t + 1 and t wherever u is at the two ends of an interval of length 1. *)
  Definition follows (u u' : nat -> R) (t : R) : Prop :=
    forall v w, (v < V)%nat -> (w < V)%nat -> u v - u w = 1 -> u' v = t + 1 /\ u' w = t.

  Definition full (u : nat -> R) : Prop :=
    exists v w, (v < V)%nat /\ (w < V)%nat /\ u v - u w = 1.

  Lemma full_dec u : full u \/ ~ full u.
  Proof.
    destruct (search V (fun v => exists w, (w < V)%nat /\ u v - u w = 1)
      (fun v => forall w, (w < V)%nat -> u v - u w <> 1)) as [(v & Hv & w & Hw & E)|H].
    - intros v. apply search. intros w. apply Req_dec.
    - left. exists v, w. auto.
    - right. intros (v & w & Hv & Hw & E). apply (H v Hv w Hw E).
  Qed.

  Lemma follows_empty u u' t : ~ full u -> follows u u' t.
  Proof. intros N v w Hv Hw E. destruct N. exists v, w. auto. Qed.

  (** ** Through an affine row *)

  (** A full row reads an input that goes from end to end whenever the row does. *)
  Lemma full_input n (w : vec) b (z : nat -> vec) :
    sum n (fun j => Rabs (w j)) <= 1 ->
    (forall j, (j < n)%nat -> narrow (fun v => z v j)) ->
    full (fun v => sum n (fun j => w j * z v j) + b) ->
    exists j s, (j < n)%nat /\ (s = 1 \/ s = -1) /\
    forall p q, (p < V)%nat -> (q < V)%nat ->
    sum n (fun j => w j * z p j) + b - (sum n (fun j => w j * z q j) + b) = 1 ->
    s * (z p j - z q j) = 1.
  Proof.
    intros Hw Hz (v0 & w0 & Hv0 & Hw0 & E0).
    set (u := fun v => sum n (fun j => w j * z v j) + b) in *.
    assert (M : forall p q, (p < V)%nat -> (q < V)%nat ->
      sum n (fun j => w j * (z p j - z q j)) = u p - u q).
    { intros p q _ _. unfold u.
      rewrite (sum_ext n _ (fun j => w j * z p j - w j * z q j)) by (intros; ring).
      rewrite sum_minus. ring. }
    set (D := fun r j =>
      if (r <? V * V)%nat then z (r / V)%nat j - z (r mod V)%nat j else 0).
    destruct (common_input (V * V) n w D
      (fun r => if Req_EM_T (u (r / V)%nat - u (r mod V)%nat) 1 then true else false) 0)
      as (j & s & Hj & Hs & H).
    - lra.
    - exact Hw.
    - intros r j Hj. unfold D. destruct (Nat.ltb_spec r (V * V)) as [Hr|Hr].
      + destruct (pair_decode V r Hr) as [Hp Hq]. specialize (Hz j Hj). apply Rabs_le.
        pose proof (Hz _ _ Hp Hq). pose proof (Hz _ _ Hq Hp). cbv beta in *. lra.
      + rewrite Rabs_R0. lra.
    - intros r Hr Hchi. destruct (Req_EM_T _ 1) as [E|E]; [|discriminate].
      destruct (pair_decode V r Hr) as [Hp Hq]. unfold D. apply Nat.ltb_lt in Hr. rewrite Hr.
      rewrite M, E by assumption. lra.
    - destruct (pair_code V v0 w0 Hv0 Hw0) as (L & Ep & Eq). exists (v0 * V + w0)%nat.
      split; [exact L|]. rewrite Ep, Eq. destruct (Req_EM_T _ 1); [reflexivity|contradiction].
    - exists j, s. split; [exact Hj|]. split; [exact Hs|]. intros p q Hp Hq E.
      destruct (pair_code V p q Hp Hq) as (L & Ep & Eq). specialize (H _ L). rewrite Ep, Eq in H.
      unfold D in H. pose proof L as L'. apply Nat.ltb_lt in L'. rewrite L', Ep, Eq in H.
      specialize (Hz j Hj). pose proof (Hz p q Hp Hq). pose proof (Hz q p Hq Hp).
      cbv beta in *.
      destruct (Req_EM_T (u p - u q) 1) as [_|F]; [|contradiction].
      specialize (H eq_refl). destruct Hs as [-> | ->]; lra.
  Qed.

  Definition signed (j : nat) (s : R) : vec := fun k => if (k =? j)%nat then s else 0.

  Lemma sum_signed n j s u : (j < n)%nat -> sum n (fun k => signed j s k * u k) = s * u j.
  Proof.
    intros Hj. rewrite <- (sum_select n j u Hj), <- sum_scale. apply sum_ext. intros k _.
    unfold signed, select. destruct (k =? j)%nat; ring.
  Qed.

  (** One row that follows the given one, at any level. *)
  Lemma follow_row n (w : vec) b (z z' : nat -> vec) (t : vec) level :
    (0 < n)%nat -> sum n (fun j => Rabs (w j)) <= 1 ->
    (forall j, (j < n)%nat -> narrow (fun v => z v j)) ->
    (forall j, (j < n)%nat -> follows (fun v => z v j) (fun v => z' v j) (t j)) ->
    exists p : vec * R, single_weight n (fst p) /\
    follows (fun v => sum n (fun j => w j * z v j) + b)
            (fun v => sum n (fun j => fst p j * z' v j) + snd p) level.
  Proof.
    intros Hn Hw Hz Hf.
    destruct (full_dec (fun v => sum n (fun j => w j * z v j) + b)) as [F|F].
    - destruct (full_input n w b z Hw Hz F) as (j & s & Hj & Hs & H).
      assert (S1 : single_weight n (signed j s)) by (exists j, s; auto).
      destruct Hs as [-> | ->]; [exists (signed j 1, level - t j)
        |exists (signed j (-1), level + 1 + t j)];
        (split; [exact S1|]); intros p q Hp Hq E; specialize (H p q Hp Hq E);
        cbn [fst snd]; rewrite !sum_signed by exact Hj.
      + destruct (Hf j Hj p q Hp Hq) as [-> ->]; lra.
      + destruct (Hf j Hj q p Hq Hp) as [-> ->]; lra.
    - exists (signed 0 1, 0). split; [exists 0%nat, 1; auto|]. apply follows_empty, F.
  Qed.

  (** ** Through a sorted pair *)

  Lemma max_pair a b v w : narrow a -> narrow b -> (v < V)%nat -> (w < V)%nat ->
    Rmax (a v) (b v) - Rmax (a w) (b w) = 1 ->
    a v - a w = 1 /\ b v <= a v /\ b w <= a w \/ b v - b w = 1 /\ a v <= b v /\ a w <= b w.
  Proof.
    intros Ha Hb Hv Hw. specialize (Ha v w Hv Hw). specialize (Hb v w Hv Hw). unfold Rmax.
    destruct (Rle_dec (a v) (b v)), (Rle_dec (a w) (b w)); intros E; lra.
  Qed.

  Lemma min_pair a b v w : narrow a -> narrow b -> (v < V)%nat -> (w < V)%nat ->
    Rmin (a v) (b v) - Rmin (a w) (b w) = 1 ->
    a v - a w = 1 /\ a v <= b v /\ a w <= b w \/ b v - b w = 1 /\ b v <= a v /\ b w <= a w.
  Proof.
    intros Ha Hb Hv Hw. specialize (Ha v w Hv Hw). specialize (Hb v w Hv Hw). unfold Rmin.
    destruct (Rle_dec (a v) (b v)), (Rle_dec (a w) (b w)); intros E; lra.
  Qed.

  (** Units a' and b' that make max and min follow, whatever else they do. *)
  Definition pair_followed (a b a' b' : nat -> R) : Prop :=
    exists t t', follows (fun v => Rmax (a v) (b v)) (fun v => Rmax (a' v) (b' v)) t /\
                 follows (fun v => Rmin (a v) (b v)) (fun v => Rmin (a' v) (b' v)) t'.

  Lemma pair_followed_swap a b a' b' : pair_followed b a b' a' -> pair_followed a b a' b'.
  Proof.
    intros (t & t' & H & H'). exists t, t'. split; intros v w Hv Hw E.
    - rewrite !(Rmax_comm (a' _)). apply (H v w Hv Hw). rewrite !(Rmax_comm (b _)). exact E.
    - rewrite !(Rmin_comm (a' _)). apply (H' v w Hv Hw). rewrite !(Rmin_comm (b _)). exact E.
  Qed.

  (** Both full, at the same level. *)
  Lemma pair_same_level a b a' b' p q p' q' : narrow a -> narrow b -> narrow a' -> narrow b' ->
    (p < V)%nat -> (q < V)%nat -> a p - a q = 1 ->
    (p' < V)%nat -> (q' < V)%nat -> b p' - b q' = 1 -> a q = b q' ->
    follows a a' 0 -> follows b b' 0 -> pair_followed a b a' b'.
  Proof.
    intros Na Nb Na' Nb' Hp Hq Ea Hp' Hq' Eb E Fa Fb. exists 0, 0.
    split; intros v w Hv Hw H.
    - destruct (max_pair a b v w Na Nb Hv Hw H) as [(G & L1 & L2)|(G & L1 & L2)].
      + destruct (Fa v w Hv Hw G) as [A1 A2].
        destruct (Fb p' w Hp' Hw) as [_ B].
        { pose proof (Nb p' w Hp' Hw). pose proof (Na p w Hp Hw). pose proof (Na v q Hv Hq). lra. }
        pose proof (Nb' v w Hv Hw). rewrite A1, A2, B, !Rmax_left; lra.
      + destruct (Fb v w Hv Hw G) as [A1 A2].
        destruct (Fa p w Hp Hw) as [_ B].
        { pose proof (Na p w Hp Hw). pose proof (Nb p' w Hp' Hw). pose proof (Nb v q' Hv Hq').
          lra. }
        pose proof (Na' v w Hv Hw). rewrite A1, A2, B, !Rmax_right; lra.
    - destruct (min_pair a b v w Na Nb Hv Hw H) as [(G & L1 & L2)|(G & L1 & L2)].
      + destruct (Fa v w Hv Hw G) as [A1 A2].
        destruct (Fb v q' Hv Hq') as [B _].
        { pose proof (Nb v q' Hv Hq'). pose proof (Na p w Hp Hw). pose proof (Na v q Hv Hq). lra. }
        pose proof (Nb' v w Hv Hw). rewrite A1, A2, B, !Rmin_left; lra.
      + destruct (Fb v w Hv Hw G) as [A1 A2].
        destruct (Fa v q Hv Hq) as [B _].
        { pose proof (Na v q Hv Hq). pose proof (Nb p' w Hp' Hw). pose proof (Nb v q' Hv Hq').
          lra. }
        pose proof (Na' v w Hv Hw). rewrite A1, A2, B, !Rmin_right; lra.
  Qed.

  (** Both full, a at the higher level: b is moved out of its way. *)
  Lemma pair_higher a b a' b' p q p' q' : narrow a -> narrow b -> narrow a' -> narrow b' ->
    (p < V)%nat -> (q < V)%nat -> a p - a q = 1 ->
    (p' < V)%nat -> (q' < V)%nat -> b p' - b q' = 1 -> b q' < a q ->
    follows a a' 0 -> follows b b' (-1) -> pair_followed a b a' b'.
  Proof.
    intros Na Nb Na' Nb' Hp Hq Ea Hp' Hq' Eb E Fa Fb. exists 0, (-1).
    destruct (Fa p q Hp Hq Ea) as [Ap Aq]. destruct (Fb p' q' Hp' Hq' Eb) as [Bp Bq].
    assert (U : forall v, (v < V)%nat -> b' v <= 0 <= a' v).
    { intros v Hv. pose proof (Na' p v Hp Hv). pose proof (Nb' v q' Hv Hq'). lra. }
    split; intros v w Hv Hw H.
    - destruct (max_pair a b v w Na Nb Hv Hw H) as [(G & L1 & L2)|(G & L1 & L2)].
      + destruct (Fa v w Hv Hw G) as [A1 A2]. pose proof (U v Hv). pose proof (U w Hw).
        rewrite !Rmax_left; lra.
      + pose proof (Na p w Hp Hw). pose proof (Nb v q' Hv Hq'). lra.
    - destruct (min_pair a b v w Na Nb Hv Hw H) as [(G & L1 & L2)|(G & L1 & L2)].
      + pose proof (Na p w Hp Hw). pose proof (Nb v q' Hv Hq'). lra.
      + destruct (Fb v w Hv Hw G) as [A1 A2]. pose proof (U v Hv). pose proof (U w Hw).
        rewrite !Rmin_right; lra.
  Qed.

  (** Only a is full: both follow it. *)
  Lemma pair_copy a b a' b' : narrow a -> narrow b -> ~ full b ->
    follows a a' 0 -> follows a b' 0 -> pair_followed a b a' b'.
  Proof.
    intros Na Nb F Fa Fb. exists 0, 0. split; intros v w Hv Hw H.
    - destruct (max_pair a b v w Na Nb Hv Hw H) as [(G & _)|(G & _)];
        [|destruct F; exists v, w; auto].
      destruct (Fa v w Hv Hw G) as [-> ->]. destruct (Fb v w Hv Hw G) as [-> ->].
      rewrite !Rmax_left; lra.
    - destruct (min_pair a b v w Na Nb Hv Hw H) as [(G & _)|(G & _)];
        [|destruct F; exists v, w; auto].
      destruct (Fa v w Hv Hw G) as [-> ->]. destruct (Fb v w Hv Hw G) as [-> ->].
      rewrite !Rmin_left; lra.
  Qed.

  (** What a and b each have to follow, and at which level. *)
  Lemma pair_requests a b : narrow a -> narrow b ->
    exists r : (bool * R) * (bool * R), forall a' b', narrow a' -> narrow b' ->
    follows (if fst (fst r) then b else a) a' (snd (fst r)) ->
    follows (if fst (snd r) then b else a) b' (snd (snd r)) ->
    pair_followed a b a' b'.
  Proof.
    intros Na Nb.
    destruct (full_dec a) as [Fa|Fa]; destruct (full_dec b) as [Fb|Fb].
    - destruct Fa as (p & q & Hp & Hq & Ea), Fb as (p' & q' & Hp' & Hq' & Eb).
      destruct (Rtotal_order (a q) (b q')) as [L|[E|L]].
      + exists ((false, -1), (true, 0)). intros a' b' Na' Nb' H H'. apply pair_followed_swap.
        apply (pair_higher b a b' a' p' q' p q); assumption.
      + exists ((false, 0), (true, 0)). intros a' b' Na' Nb' H H'.
        apply (pair_same_level a b a' b' p q p' q'); assumption.
      + exists ((false, 0), (true, -1)). intros a' b' Na' Nb' H H'.
        apply (pair_higher a b a' b' p q p' q'); assumption.
    - exists ((false, 0), (false, 0)). intros a' b' _ _ H H'. apply pair_copy; assumption.
    - exists ((true, 0), (true, 0)). intros a' b' _ _ H H'.
      apply pair_followed_swap, pair_copy; assumption.
    - exists ((false, 0), (false, 0)). intros a' b' _ _ H H'. apply pair_copy; try assumption.
  Qed.
End Follow.

(** ** Through the network *)

Lemma single_weight_sum n w : single_weight n w -> sum n (fun k => Rabs (w k)) <= 1.
Proof.
  intros (j & s & Hj & Hs & H).
  rewrite (sum_ext n _ (fun k => Rabs (select j k))).
  - apply select_row, Hj.
  - intros k Hk. rewrite (H k Hk). unfold select.
    destruct (k =? j)%nat; [|reflexivity].
    destruct Hs as [-> | ->]; [reflexivity|]. rewrite Rabs_left, Rabs_right; lra.
Qed.

Lemma selection_lipschitz d m (N N' : network d m) : selection_of N N' -> lipschitz_net N'.
Proof.
  induction 1 as [|n m N N' W b W' b' H IH HW|G q N N' H IH]; simpl.
  - exact I.
  - split; [exact IH|]. intros i Hi. apply single_weight_sum, HW, Hi.
  - split; [exact IH|lra].
Qed.

(** The values of the units on the vertices. *)
Definition table {d m : nat} (N : network d m) (v : nat) : vec :=
  eval N (to_vec (Nat.testbit v)).

Lemma table_narrow d m (N : network d m) i : lipschitz_net N -> (i < m)%nat ->
  narrow (2 ^ d) (fun v => table N v i).
Proof.
  intros HN Hi v w _ _. pose proof (vertex_move d m N (Nat.testbit v) (Nat.testbit w) i HN Hi) as B.
  apply abs_bounds in B. apply B.
Qed.

Definition some_full {d m : nat} (N : network d m) : Prop :=
  exists i, (i < m)%nat /\ full (2 ^ d) (fun v => table N v i).

(** Affine layers may follow whichever unit is asked for, at any level. *)
Lemma follow_affine d n m (N N' : network d n) W b (t : vec) src (level : vec) :
  selection_of N N' -> lipschitz_net N -> layer_norm (affine n m W b) 1 -> (0 < n)%nat ->
  (forall j, (j < n)%nat -> follows (2 ^ d) (fun v => table N v j) (fun v => table N' v j) (t j)) ->
  (forall i, (i < m)%nat -> (src i < m)%nat) ->
  exists W' b', selection_of (after N (affine n m W b)) (after N' (affine n m W' b')) /\
  forall i, (i < m)%nat ->
  follows (2 ^ d) (fun v => table (after N (affine n m W b)) v (src i))
    (fun v => table (after N' (affine n m W' b')) v i) (level i).
Proof.
  intros HS HL HW Hn Hf Hsrc.
  destruct (finite_choice ((fun _ => 0) : vec, 0) m (fun i p => single_weight n (fst p) /\
    follows (2 ^ d) (fun v => sum n (fun j => W (src i) j * table N v j) + b (src i))
      (fun v => sum n (fun j => fst p j * table N' v j) + snd p) (level i))) as (f & H).
  - intros i Hi. apply (follow_row (2 ^ d) n (W (src i)) (b (src i)) (table N) (table N') t);
      auto. intros j Hj. apply table_narrow; assumption.
  - exists (fun i => fst (f i)), (fun i => snd (f i)). split.
    + constructor; [exact HS|]. intros i Hi. apply H, Hi.
    + intros i Hi. apply (proj2 (H i Hi)).
Qed.

Lemma full_through_affine d n m (N : network d n) W b : lipschitz_net N ->
  layer_norm (affine n m W b) 1 -> some_full (after N (affine n m W b)) -> some_full N.
Proof.
  intros HL HW (i & Hi & F).
  destruct (full_input (2 ^ d) n (W i) (b i) (table N) (HW i Hi)) as (j & s & Hj & Hs & H);
    [intros; apply table_narrow; assumption|exact F|].
  destruct F as (v & w & Hv & Hw & E). specialize (H v w Hv Hw E).
  exists j. split; [exact Hj|]. destruct Hs as [-> | ->]; [exists v, w|exists w, v];
    repeat split; try assumption; lra.
Qed.

Lemma table_sort d q (N : network d (q * 2)) v j : table (after N (groupsort 2 q)) v j =
  let a := table N v (j / 2 * 2)%nat in let b := table N v (j / 2 * 2 + 1)%nat in
  if (j mod 2 =? 0)%nat then Rmax a b else Rmin a b.
Proof. apply (maxmin_unit q (table N v) j). Qed.

Lemma full_through_sort d q (N : network d (q * 2)) : lipschitz_net N ->
  some_full (after N (groupsort 2 q)) -> some_full N.
Proof.
  intros HL (j & Hj & v & w & Hv & Hw & E). rewrite !table_sort in E. cbv zeta in E.
  destruct (pair_in_range q j Hj) as [Ha Hb].
  pose proof (table_narrow d _ N _ HL Ha) as Na. pose proof (table_narrow d _ N _ HL Hb) as Nb.
  assert (C : table N v (j / 2 * 2)%nat - table N w (j / 2 * 2)%nat = 1 \/
              table N v (j / 2 * 2 + 1)%nat - table N w (j / 2 * 2 + 1)%nat = 1).
  { destruct (j mod 2 =? 0)%nat.
    - destruct (max_pair _ _ _ v w Na Nb Hv Hw E) as [(G & _)|(G & _)]; auto.
    - destruct (min_pair _ _ _ v w Na Nb Hv Hw E) as [(G & _)|(G & _)]; auto. }
  destruct C; eexists; (split; [|exists v, w; eauto]); assumption.
Qed.

Lemma select_units d m (N : network d m) : groupsort_chain 2 N -> lipschitz_net N ->
  some_full N -> forall src level, (forall i, (i < m)%nat -> (src i < m)%nat) ->
  exists N', selection_of N N' /\ forall i, (i < m)%nat ->
  follows (2 ^ d) (fun v => table N v (src i)) (fun v => table N' v i) (level i).
Proof.
  induction 1 as [m W b|q m N W b HN IH]; intros HL HF src level Hsrc.
  - destruct HL as [_ HW].
    destruct (full_through_affine d d m input W b I HW HF) as (j0 & Hj0 & _).
    destruct (follow_affine d d m input input W b (fun _ => 0) src level) as (W' & b' & HS & H);
      auto using selection_input; [exact I|lia| |exists (after input (affine d m W' b')); auto].
    intros j _ v w _ _. unfold table. simpl. unfold to_vec.
    destruct (Nat.testbit v j), (Nat.testbit w j); lra.
  - destruct HL as ((HL & H1) & HW).
    assert (HLs : lipschitz_net (after N (groupsort 2 q))) by (split; assumption).
    pose proof (full_through_affine d _ m _ W b HLs HW HF) as FS.
    pose proof (full_through_sort d q N HL FS) as FN.
    (* what each pair asks of its two units *)
    destruct (finite_choice ((false, 0), (false, 0)) q (fun g r =>
      forall a' b', narrow (2 ^ d) a' -> narrow (2 ^ d) b' ->
      follows (2 ^ d) (fun v => table N v (if fst (fst r) then g * 2 + 1 else g * 2)%nat)
        a' (snd (fst r)) ->
      follows (2 ^ d) (fun v => table N v (if fst (snd r) then g * 2 + 1 else g * 2)%nat)
        b' (snd (snd r)) ->
      pair_followed (2 ^ d) (fun v => table N v (g * 2)%nat) (fun v => table N v (g * 2 + 1)%nat)
        a' b')) as (r & Hr).
    { intros g Hg.
      destruct (pair_requests (2 ^ d) (fun v => table N v (g * 2)%nat)
        (fun v => table N v (g * 2 + 1)%nat)) as (r & Hr);
        try (apply table_narrow; [exact HL|lia]).
      exists r. intros a' b' Na Nb Fa Fb. apply Hr; try assumption.
      - destruct (fst (fst r)); exact Fa.
      - destruct (fst (snd r)); exact Fb. }
    set (ask := fun i => if (i mod 2 =? 0)%nat then fst (r (i / 2)%nat) else snd (r (i / 2)%nat)).
    destruct (IH HL FN (fun i => if fst (ask i) then i / 2 * 2 + 1 else i / 2 * 2)%nat
      (fun i => snd (ask i))) as (N' & HS & H).
    { intros i Hi. destruct (pair_in_range q i Hi). destruct (fst (ask i)); assumption. }
    pose proof (selection_lipschitz d _ N N' HS) as HL'.
    (* so the sorted units are followed *)
    destruct (finite_choice 0 (q * 2) (fun j t => follows (2 ^ d)
      (fun v => table (after N (groupsort 2 q)) v j)
      (fun v => table (after N' (groupsort 2 q)) v j) t)) as (t & Ht).
    { intros j Hj. destruct (pair_in_range q j Hj) as [Ha Hb].
      assert (Hg : (j / 2 < q)%nat) by (apply Nat.div_lt_upper_bound; lia).
      pose proof (H _ Ha) as Fa. pose proof (H _ Hb) as Fb. cbv beta in Fa, Fb.
      unfold ask in Fa, Fb.
      rewrite Nat.mod_mul, Nat.div_mul in Fa by lia.
      assert (D : ((j / 2 * 2 + 1) / 2 = j / 2)%nat)
        by (symmetry; apply (Nat.div_unique _ _ _ 1); lia).
      assert (M : ((j / 2 * 2 + 1) mod 2 = 1)%nat)
        by (symmetry; apply (Nat.mod_unique _ _ (j / 2)); lia).
      rewrite D, M in Fb. cbn [Nat.eqb] in Fa, Fb.
      destruct (Hr (j / 2)%nat Hg (fun v => table N' v (j / 2 * 2)%nat)
        (fun v => table N' v (j / 2 * 2 + 1)%nat)) as (t & t' & Hmax & Hmin).
      - apply table_narrow; assumption.
      - apply table_narrow; assumption.
      - exact Fa.
      - exact Fb.
      - destruct (j mod 2 =? 0)%nat eqn:P; [exists t|exists t']; intros v w Hv Hw E;
          rewrite !table_sort, P in *; [apply Hmax|apply Hmin]; assumption. }
    destruct FS as (j0 & Hj0 & _).
    destruct (follow_affine d (q * 2) m (after N (groupsort 2 q)) (after N' (groupsort 2 q)) W b
      t src level) as (W' & b' & HS' & H'); auto; [constructor; exact HS|lia|].
    exists (after (after N' (groupsort 2 q)) (affine (q * 2) m W' b')). auto.
Qed.

Theorem theorem_3_10_selection : theorem_3_10_selection_statement.
Proof.
  intros d N g HN HL Hg (x & y & Hxy).
  pose proof (represents_boolean d N g HL Hg) as Hb.
  assert (T : forall v, table N v 0%nat = if g (Nat.testbit v) then 1 else 0) by (intros; apply Hg).
  assert (Ends : exists p q, (p < 2 ^ d)%nat /\ (q < 2 ^ d)%nat /\
    g (Nat.testbit p) = true /\ g (Nat.testbit q) = false).
  { destruct (vertex_code d x) as (v & Hv & Ev), (vertex_code d y) as (w & Hw & Ew).
    rewrite <- (Hb _ _ Ev), <- (Hb _ _ Ew) in Hxy.
    destruct (g (Nat.testbit v)) eqn:A, (g (Nat.testbit w)) eqn:B; try congruence;
      [exists v, w|exists w, v]; auto. }
  destruct Ends as (p & q & Hp & Hq & Gp & Gq).
  destruct (select_units d 1 N HN HL) with (src := fun _ : nat => 0%nat) (level := fun _ : nat => 0)
    as (N' & HS & H); [|lia|].
  { exists 0%nat. split; [lia|]. exists p, q. rewrite !T, Gp, Gq. repeat split; auto. lra. }
  exists N'. split; [exact HS|]. intros z.
  destruct (vertex_code d z) as (v & Hv & Ev). specialize (H 0%nat ltac:(lia)).
  assert (E : eval N' (to_vec z) 0%nat = table N' v 0%nat).
  { assert (B : Rabs (eval N' (to_vec z) 0%nat - table N' v 0%nat) <= 0).
    { eapply Rle_trans;
        [apply (network_lipschitz d 1%nat N' (selection_lipschitz d 1 N N' HS)); lia|].
      rewrite (vertex_distance_0 d z (Nat.testbit v)); [lra|].
      intros i Hi. symmetry. apply Ev, Hi. }
    apply abs_bounds in B. lra. }
  rewrite E, <- (Hb _ _ Ev). destruct (g (Nat.testbit v)) eqn:G.
  - destruct (H v q Hv Hq) as [F _]; [rewrite !T, G, Gq|rewrite F]; lra.
  - destruct (H p v Hp Hv) as [_ F]; [rewrite !T, G, Gp|rewrite F]; lra.
Qed.
