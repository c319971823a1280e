(** * Boolean circuits of fan-in 2, and how many functions they have

    [functions d M] lists the functions of the circuits of depth M, literals and constants
    being those of depth 0. *)

From Coq Require Import Reals Lia Arith Bool List.
From SortNet Require Import Definitions Statements.
Import ListNotations.

(** ** The functions of each depth *)

Fixpoint functions (d M : nat) : list (bits -> bool) :=
  match M with
  | O => (fun _ => true) :: (fun _ => false) ::
         map (fun j x => x j) (seq 0 d) ++ map (fun j x => negb (x j)) (seq 0 d)
  | S M' =>
      let pairs := list_prod (functions d M') (functions d M') in
      map (fun p x => fst p x && snd p x) pairs ++ map (fun p x => fst p x || snd p x) pairs
  end.

Lemma functions_length d M :
  length (functions d M) = ((2 * d + 2) ^ 2 ^ M * 2 ^ (2 ^ M - 1))%nat.
Proof.
  induction M as [|M IH].
  - simpl. rewrite app_length, !map_length, seq_length. lia.
  - cbn [functions]. rewrite app_length, !map_length, prod_length, IH.
    rewrite Nat.pow_succ_r'. set (k := (2 ^ M)%nat).
    assert (0 < k)%nat by (unfold k; pose proof (Nat.pow_nonzero 2 M); lia).
    replace (2 * k - 1)%nat with (1 + ((k - 1) + (k - 1)))%nat by lia.
    replace (2 * k)%nat with (k + k)%nat by lia.
    rewrite !Nat.pow_add_r. simpl (2 ^ 1)%nat. lia.
Qed.

(** Circuits read the first d bits only. *)
Lemma functions_boolean d M g : In g (functions d M) -> boolean_function d g.
Proof.
  revert g. induction M as [|M IH]; intros g H x y E.
  - simpl in H. destruct H as [<-|[<-|H]]; [reflexivity|reflexivity|].
    apply in_app_or in H.
    destruct H as [H|H]; apply in_map_iff in H; destruct H as (j & <- & Hj);
      apply in_seq in Hj; rewrite (E j) by lia; reflexivity.
  - simpl in H. apply in_app_or in H.
    destruct H as [H|H]; apply in_map_iff in H; destruct H as ([a b] & <- & Hab);
      apply in_prod_iff in Hab; simpl; rewrite (IH a (proj1 Hab) x y E);
      rewrite (IH b (proj2 Hab) x y E); reflexivity.
Qed.

(** g is one of the functions of depth M. *)
Definition of_depth (d M : nat) (g : bits -> bool) : Prop :=
  exists g', In g' (functions d M) /\ forall x, g' x = g x.

Lemma of_depth_and d M a b : of_depth d M a -> of_depth d M b ->
  of_depth d (S M) (fun x => a x && b x).
Proof.
  intros (a' & Ha & Ea) (b' & Hb & Eb). exists (fun x => a' x && b' x). split.
  - cbn [functions]. apply in_or_app. left. apply in_map_iff. exists (a', b').
    split; [reflexivity|]. apply in_prod; assumption.
  - intros x. rewrite Ea, Eb. reflexivity.
Qed.

Lemma of_depth_or d M a b : of_depth d M a -> of_depth d M b ->
  of_depth d (S M) (fun x => a x || b x).
Proof.
  intros (a' & Ha & Ea) (b' & Hb & Eb). exists (fun x => a' x || b' x). split.
  - cbn [functions]. apply in_or_app. right. apply in_map_iff. exists (a', b').
    split; [reflexivity|]. apply in_prod; assumption.
  - intros x. rewrite Ea, Eb. reflexivity.
Qed.

Lemma of_depth_ext d M a b : of_depth d M a -> (forall x, a x = b x) -> of_depth d M b.
Proof. intros (a' & Ha & Ea) E. exists a'. split; [exact Ha|]. intros x. rewrite Ea. apply E. Qed.

Lemma of_depth_mono d M M' g : (M <= M')%nat -> of_depth d M g -> of_depth d M' g.
Proof.
  induction 1 as [|M' _ IH]; intros H; [exact H|].
  apply (of_depth_ext d _ (fun x => g x && g x)); [apply of_depth_and; auto|].
  intros x. apply andb_diag.
Qed.

Lemma of_depth_const d M b : of_depth d M (fun _ => b).
Proof.
  apply (of_depth_mono d 0); [lia|]. exists (fun _ => b). split; [|reflexivity].
  destruct b; simpl; auto.
Qed.

Lemma of_depth_literal d j b : (j < d)%nat -> of_depth d 0 (fun x => xorb b (x j)).
Proof.
  intros Hj. destruct b; [exists (fun x => negb (x j))|exists (fun x => x j)];
    (split; [|intros x; destruct (x j); reflexivity]);
    simpl; do 2 right; apply in_or_app; [right|left]; apply in_map_iff; exists j;
    (split; [reflexivity|apply in_seq; lia]).
Qed.

Lemma of_depth_not d M g : of_depth d M g -> of_depth d M (fun x => negb (g x)).
Proof.
  intros (g' & Hg & E).
  apply (of_depth_ext d M (fun x => negb (g' x))); [|intros; rewrite E; reflexivity].
  clear g E. revert g' Hg. induction M as [|M IH]; intros g H.
  - simpl in H. destruct H as [<-|[<-|H]]; try apply (of_depth_const d 0).
    apply in_app_or in H.
    destruct H as [H|H]; apply in_map_iff in H; destruct H as (j & <- & Hj); apply in_seq in Hj.
    + apply (of_depth_literal d j true). lia.
    + apply (of_depth_ext d 0 _ _ (of_depth_literal d j false ltac:(lia))).
      intros x. destruct (x j); reflexivity.
  - simpl in H. apply in_app_or in H.
    destruct H as [H|H]; apply in_map_iff in H; destruct H as ([a b] & <- & Hab);
      apply in_prod_iff in Hab; destruct Hab as [Ha Hb]; apply IH in Ha, Hb.
    + apply (of_depth_ext d _ _ _ (of_depth_or d M _ _ Ha Hb)).
      intros x. symmetry. apply negb_andb.
    + apply (of_depth_ext d _ _ _ (of_depth_and d M _ _ Ha Hb)).
      intros x. symmetry. apply negb_orb.
Qed.

(** ** They are those of the circuits *)

Lemma of_depth_circuit d M g : of_depth d M g ->
  exists c, circuit_of d c /\ (circuit_depth c <= M)%nat /\ forall x, circuit_value c x = g x.
Proof.
  intros (g' & Hg & E).
  assert (H : exists c, circuit_of d c /\ (circuit_depth c <= M)%nat /\
              forall x, circuit_value c x = g' x).
  { clear g E. revert g' Hg. induction M as [|M IH]; intros g H.
    - simpl in H. destruct H as [<-|[<-|H]]; [exists (constant true)|exists (constant false)|];
        try (split; [exact I|split; [apply le_n|reflexivity]]).
      apply in_app_or in H.
      destruct H as [H|H]; apply in_map_iff in H; destruct H as (j & <- & Hj);
        apply in_seq in Hj; [exists (literal false j)|exists (literal true j)];
        (split; [simpl; lia|split; [apply le_n|]]); intros x; simpl; destruct (x j); reflexivity.
    - simpl in H. apply in_app_or in H.
      destruct H as [H|H]; apply in_map_iff in H; destruct H as ([a b] & <- & Hab);
        apply in_prod_iff in Hab; destruct Hab as [Ha Hb];
        destruct (IH a Ha) as (ca & Ra & Da & Ea), (IH b Hb) as (cb & Rb & Db & Eb);
        [exists (conjunction ca cb)|exists (disjunction ca cb)];
        (split; [split; assumption|split; [simpl; lia|]]);
        intros x; simpl; rewrite Ea, Eb; reflexivity. }
  destruct H as (c & R & D & Ec). exists c. split; [exact R|]. split; [exact D|].
  intros x. rewrite Ec. apply E.
Qed.

Lemma circuit_of_depth d M c : circuit_of d c -> (circuit_depth c <= M)%nat ->
  of_depth d M (circuit_value c).
Proof.
  revert M. induction c as [b|negated j|a IHa b IHb|a IHa b IHb]; intros M R D; simpl in *.
  - apply of_depth_const.
  - apply (of_depth_mono d 0); [lia|]. apply of_depth_literal, R.
  - destruct M as [|M]; [lia|]. apply of_depth_and; [apply IHa|apply IHb]; tauto || lia.
  - destruct M as [|M]; [lia|]. apply of_depth_or; [apply IHa|apply IHb]; tauto || lia.
Qed.

(** ** The numbers of the vertices *)

(** The number of a vertex. *)
Fixpoint code (d : nat) (x : bits) : nat :=
  match d with
  | O => O
  | S p => (2 * code p (fun i => x (S i)) + Nat.b2n (x 0%nat))%nat
  end.

Lemma code_ext d : forall x y : bits, (forall i, (i < d)%nat -> x i = y i) -> code d x = code d y.
Proof.
  induction d as [|d IH]; intros x y H; [reflexivity|]. cbn [code].
  rewrite (H 0%nat) by lia. rewrite (IH (fun i => x (S i)) (fun i => y (S i))); [reflexivity|].
  intros i Hi. apply H. lia.
Qed.

Lemma code_testbit d : forall v, (v < 2 ^ d)%nat -> code d (Nat.testbit v) = v.
Proof.
  induction d as [|d IH]; intros v Hv; cbn [code]; [simpl in Hv; lia|].
  rewrite (code_ext d (fun i => Nat.testbit v (S i)) (Nat.testbit (Nat.div2 v)))
    by (intros; reflexivity).
  rewrite Nat.bit0_odd. pose proof (Nat.div2_odd v). rewrite IH; [lia|].
  simpl in Hv. destruct (Nat.odd v); simpl in H; lia.
Qed.

(** ** A function outside of a short list, vertex by vertex in the minority *)

Lemma filter_halves (n : nat) (L : list (nat -> bool)) :
  (length (filter (fun h => Bool.eqb (h n) true) L) +
   length (filter (fun h => Bool.eqb (h n) false) L) = length L)%nat.
Proof. induction L as [|h L IH]; [reflexivity|]. simpl. destruct (h n); simpl; lia. Qed.

Lemma avoid n : forall L : list (nat -> bool), (length L < 2 ^ n)%nat ->
  exists t : nat -> bool, forall h, In h L -> exists v, (v < n)%nat /\ h v <> t v.
Proof.
  induction n as [|n IH]; intros L HL.
  - destruct L; [exists (fun _ => true); intros h []|simpl in HL; lia].
  - assert (E : exists b, (length (filter (fun h => Bool.eqb (h n) b) L) < 2 ^ n)%nat).
    { pose proof (filter_halves n L). simpl in HL.
      destruct (Nat.lt_ge_cases
        (length (filter (fun h : nat -> bool => Bool.eqb (h n) true) L)) (2 ^ n)).
      - exists true. assumption.
      - exists false. lia. }
    destruct E as (b & Hb). destruct (IH _ Hb) as (t & Ht).
    exists (fun v => if (v =? n)%nat then b else t v). intros h Hh.
    destruct (Bool.eqb (h n) b) eqn:Eb.
    + destruct (Ht h) as (v & Hv & Hne); [apply filter_In; auto|].
      exists v. split; [lia|]. destruct (Nat.eqb_spec v n); [lia|exact Hne].
    + exists n. split; [lia|]. rewrite Nat.eqb_refl. intros F. rewrite F in Eb.
      rewrite Bool.eqb_reflx in Eb. discriminate.
Qed.

Lemma uncounted d M : ((2 * d + 2) ^ 2 ^ M * 2 ^ (2 ^ M - 1) < 2 ^ 2 ^ d)%nat ->
  exists g, boolean_function d g /\ ~ of_depth d M g.
Proof.
  intros H. rewrite <- functions_length in H.
  destruct (avoid (2 ^ d) (map (fun g v => g (Nat.testbit v)) (functions d M))) as (t & Ht).
  { rewrite map_length. exact H. }
  exists (fun x => t (code d x)). split.
  - intros x y E. rewrite (code_ext d x y E). reflexivity.
  - intros (g & Hg & E). destruct (Ht (fun v => g (Nat.testbit v))) as (v & Hv & Hne).
    { apply in_map_iff. exists g. auto. }
    rewrite E, (code_testbit d v Hv) in Hne. auto.
Qed.
