(** * MarginSound: the nodes of a margin file compute its label and radius *)

From Coq Require Import Reals ZArith List Bool String Lia Arith Lra.
From Flocq Require Import Core.
From SortNet Require Import Definitions.
From SortNet.float Require Import Network Graph Wire Forms Margin Denotes Meaning MeaningSound.
Import ListNotations.
Local Open Scope string_scope.
Local Open Scope list_scope.
Local Open Scope nat_scope.

Section In.
Variable g : graph.
Notation look := (look g).
Notation evaluate := (evaluate g).
Notation node_value := (node_value g).

(** ** Values stay *)

Lemma evaluate_keeps l : forall env env' a, evaluate env l = Some env' ->
  ~ In a (flat_map outputs l) -> env' a = env a.
Proof.
  induction l as [|n l IH]; simpl; intros env env' a E I; [congruence|].
  destruct (outputs n) as [|y ys] eqn:O; [discriminate|].
  destruct (node_value env n) as [x|]; [|discriminate].
  rewrite (IH _ _ _ E).
  - unfold bind. destruct (String.eqb_spec a y) as [->|_]; [|reflexivity].
    destruct I. left. reflexivity.
  - intros H. apply I. apply in_or_app. right. exact H.
Qed.

(** ** Least and largest entries *)

Lemma least_of_ext n f f' : (forall i, i < n -> f i = f' i) -> 1 <= n ->
  least_of n f = least_of n f'.
Proof.
  induction n as [|[|n] IH]; intros H Hn; [lia|apply H; lia|].
  change (Rmin (least_of (S n) f) (f (S n)) = Rmin (least_of (S n) f') (f' (S n))).
  rewrite IH, H by (auto; lia). reflexivity.
Qed.

Lemma least_of_positive n f : 1 <= n ->
  (forall i, i < n -> f i = 0%R \/ f i = 1%R) ->
  (least_of n f = 1%R /\ (forall i, i < n -> f i = 1%R)) \/
  (least_of n f = 0%R /\ (exists i, i < n /\ f i = 0%R)).
Proof.
  induction n as [|[|n] IH]; intros Hn H; [lia| |].
  - destruct (H 0) as [E|E]; [lia| |].
    + right. split; [exact E|]. exists 0. split; [lia|exact E].
    + left. split; [exact E|]. intros i Hi. replace i with 0 by lia. exact E.
  - change (least_of (S (S n)) f) with (Rmin (least_of (S n) f) (f (S n))).
    assert (Q : forall i, i < S n -> f i = 0%R \/ f i = 1%R) by (intros; apply H; lia).
    destruct (IH ltac:(lia) Q) as [[L A]|[L (i & Hi & A)]]; rewrite L.
    + destruct (H (S n)) as [E|E]; [lia| |]; rewrite E.
      * right. split; [apply Rmin_right; lra|]. exists (S n). split; [lia|exact E].
      * left. split; [apply Rmin_left; lra|]. intros i Hi.
        destruct (Nat.eq_dec i (S n)) as [->|]; [exact E|apply A; lia].
    + right. split; [|exists i; split; [lia|exact A]].
      destruct (H (S n)) as [E|E]; [lia| |]; rewrite E; apply Rmin_left; lra.
Qed.

Lemma first_largest_ext n f f' : (forall i, i < n -> f i = f' i) ->
  first_largest n f = first_largest n f'.
Proof.
  assert (B : forall n f, 1 <= n -> first_largest n f < n).
  { clear. induction n as [|[|n] IH]; intros f H; [lia|simpl; lia|].
    change (first_largest (S (S n)) f) with
      (if Rlt_dec (f (first_largest (S n) f)) (f (S n)) then S n else first_largest (S n) f).
    destruct (Rlt_dec _ _); [lia|]. specialize (IH f ltac:(lia)). lia. }
  induction n as [|[|n] IH]; intros H; [reflexivity|reflexivity|].
  change (first_largest (S (S n)) f) with
    (if Rlt_dec (f (first_largest (S n) f)) (f (S n)) then S n else first_largest (S n) f).
  change (first_largest (S (S n)) f') with
    (if Rlt_dec (f' (first_largest (S n) f')) (f' (S n)) then S n else first_largest (S n) f').
  rewrite <- IH by (intros; apply H; lia).
  rewrite <- !H by (try lia; specialize (B (S n) f ltac:(lia)); lia). reflexivity.
Qed.

(** ** The theorem *)

Lemma nodup_differ (l : list string) i j a b : NoDup l -> i < j ->
  nth_error l i = Some a -> nth_error l j = Some b -> a <> b.
Proof.
  intros N H A B E. subst b. rewrite NoDup_nth_error in N.
  assert (i = j); [|lia]. apply N; [apply nth_error_Some; congruence|congruence].
Qed.

Lemma broadcast_same f x c n : shape_of x = [n] -> shape_of c = [n] ->
  broadcast f x c = Some (Array [n] (fun i => f (entry_at x i) (entry_at c i))).
Proof.
  intros X C. unfold broadcast. rewrite X, C.
  destruct (list_eq_dec Nat.eq_dec [n] []) as [E|_]; [discriminate|].
  destruct (list_eq_dec Nat.eq_dec [n] [n]); [reflexivity|contradiction].
Qed.

Lemma cons_other {A} (a : A) l : l <> a :: l.
Proof. intros H. apply (f_equal (@List.length A)) in H. simpl in H. lia. Qed.

Lemma broadcast_batch f x c n s : shape_of x = n :: s -> shape_of c = n :: s ->
  broadcast f x c = Some (Array (n :: s) (fun i => f (entry_at x i) (entry_at c i))).
Proof.
  intros X C. unfold broadcast. rewrite X, C.
  destruct (list_eq_dec Nat.eq_dec (n :: s) s) as [E|_].
  { exfalso. apply (cons_other n s). symmetry. exact E. }
  destruct (list_eq_dec Nat.eq_dec (n :: s) (n :: s)); [reflexivity|contradiction].
Qed.

Lemma is_constant_float c v : is_constant g c Float [] [v] = true ->
  exists a, (forall env, look env c = Some a) /\ shape_of a = [] /\ entry_at a 0 = value v.
Proof.
  unfold is_constant, Meaning.look, float_constant.
  destruct (constant g c) as [[[] d at_]|]; try discriminate.
  simpl. intros H. apply andb_prop in H as [D V].
  destruct d; [|discriminate]. apply andb_prop in V as [V _]. apply Z.eqb_eq in V.
  eexists. split; [intros env; reflexivity|]. split; [reflexivity|]. simpl. f_equal. exact V.
Qed.

Lemma value_zero : value 0 = 0%R.
Proof. unfold value. replace (mantissa 0) with 0%Z by reflexivity. ring. Qed.

Lemma value_one : value one_pattern = 1%R.
Proof.
  unfold one_pattern, value. replace (mantissa 1065353216) with 8388608%Z by reflexivity.
  replace (exponent 1065353216) with (-23)%Z by reflexivity.
  change (8388608 * / IZR (Z.pow_pos 2 23) = 1)%R.
  replace (Z.pow_pos 2 23) with 8388608%Z by reflexivity. field.
Qed.

Definition tail_names (m : margin) : list string :=
  let x := margin_box m in
  ["input"; "logits"; "label"; top m; places m; best m; next m; difference m; sure m; scaled m;
   positive m; above x; below x; both x; number x; least x; inside x; "radius"].

Ltac differ N i j := apply (nodup_differ _ i j _ _ N); [lia|reflexivity|reflexivity].

Lemma truth_cases {P Q : Prop} (a : {P} + {Q}) : truth a = 0%R \/ truth a = 1%R.
Proof. destruct a; auto. Qed.

(** ** The ends of the box *)

Lemma entry_of_repeat b n i : i < n -> entry_of (repeat b n) i = value b.
Proof.
  intros H. unfold entry_of. rewrite (nth_indep _ _ b) by (rewrite repeat_length; exact H).
  rewrite nth_repeat. reflexivity.
Qed.

(** Comparing a batch with an end of the box compares each feature with its own. *)
Definition limits (sh : shape) (c : string) (l : list Z) : Prop :=
  exists a, (forall env, look env c = Some a) /\
  forall f v n, shape_of v = n :: dims_of sh ->
    exists y, broadcast f v a = Some y /\ shape_of y = n :: dims_of sh /\
      forall b i, b < n -> i < count sh ->
        entry_at y (b * count sh + i) = f (entry_at v (b * count sh + i)) (entry_of l i).

Lemma scalar_limits sh c b : is_constant g c Float [] [b] = true ->
  limits sh c (repeat b (count sh)).
Proof.
  intros H. apply is_constant_float in H as (a & La & Sa & Ea). exists a. split; [exact La|].
  intros f v n Sv. eexists. split; [apply broadcast_scalar, Sa|]. split; [exact Sv|].
  intros k i Hk Hi. cbn [entry_at]. rewrite Ea, entry_of_repeat by exact Hi. reflexivity.
Qed.

Lemma array_limits sh c l : positive_shape sh -> array_at g sh c = Some l -> limits sh c l.
Proof.
  intros P H. destruct (array_look _ _ _ _ H) as (a & La & Sa & _ & Ea).
  destruct (volume_dims sh P) as [V _]. exists a. split; [exact La|]. intros f v n Sv.
  eexists. split; [apply (broadcast_sample f v a n (dims_of sh) (dims_of_some sh P) Sa Sv)|].
  split; [reflexivity|]. intros b i Hb Hi. cbn [entry_at].
  rewrite V, index_mod, Ea by exact Hi. reflexivity.
Qed.

Lemma region_limits sh k b D : positive_shape sh -> region_of g sh k b = Some D ->
  limits sh (box_low b) (lows D) /\ limits sh (box_high b) (highs D).
Proof.
  intros P H. unfold region_of in H. destruct k as [|unit].
  - destruct (_ =? 3); [|discriminate]. destruct (_ && _) eqn:C; [|discriminate].
    injection H as <-. apply andb_prop in C as [C1 C2].
    split; apply scalar_limits; assumption.
  - destruct (array_at g sh (box_low b)) eqn:L; [|discriminate].
    destruct (array_at g sh (box_high b)) eqn:H'; [|discriminate].
    destruct (array_at g sh unit); [|discriminate]. injection H as <-.
    split; apply array_limits; assumption.
Qed.

Lemma tail_sound m s t env v y n sh k D K : positive_shape sh ->
  region_of g sh k (margin_box m) = Some D ->
  NoDup (tail_names m) -> (forall a, In a (tail_names m) -> constant g a = None) ->
  margin_constants g sh m = true -> scalar g (slack m) = Some s -> scalar g (scale m) = Some t ->
  env "input" = Some v -> shape_of v = n :: dims_of sh ->
  env "logits" = Some y -> shape_of y = [n; K] -> 2 <= K ->
  exists env' l r, evaluate env ([label] ++ margin_form m) = Some env' /\
    env' "logits" = Some y /\
    env' "label" = Some l /\ shape_of l = [n] /\
    (forall b, b < n -> entry_at l b = INR (first_largest K (fun j => entry_at y (b * K + j)))) /\
    env' "radius" = Some r /\ shape_of r = [n] /\
    (forall b, b < n ->
       let x j := entry_at v (b * count sh + j) in
       (in_box D x ->
        entry_at r b = exact_radius K s t (fun j => entry_at y (b * K + j))) /\
       (~ in_box D x -> entry_at r b = 0%R)).
Proof.
  intros P Rg N C MC Ss St Ei Sv El Sy HK.
  unfold margin_constants in MC. apply andb_prop in MC as [MC BC].
  apply andb_prop in MC as [MC M3]. apply andb_prop in MC as [M1 M2].
  unfold box_constants in BC. apply andb_prop in BC as [B1 B3].
  destruct (volume_dims sh P) as [Vd Hv].
  assert (Ld : List.length (dims_of sh) = List.length (dims_in sh)) by apply map_length.
  destruct (region_limits _ _ _ _ P Rg) as [(lo & Llo & Blo) (hi & Lhi & Bhi)].
  destruct (Blo (fun a b => truth (Rle_dec b a)) v n Sv) as (ya & Ya & Sya & Eya).
  destruct (Bhi (fun a b => truth (Rle_dec a b)) v n Sv) as (yb & Yb & Syb & Eyb).
  apply is_constant_integer in M1 as (i1 & T1 & I1). change (map Z.to_nat [1]%Z) with [1] in T1.
  apply is_constant_integer in M2 as (i2 & T2 & I2). change (map Z.to_nat []) with (@nil nat) in T2.
  apply is_constant_integer in M3 as (i3 & T3 & I3).
  change (map Z.to_nat []) with (@nil nat) in T3.
  specialize (I1 0 ltac:(simpl; lia)). specialize (I2 0 ltac:(simpl; lia)).
  specialize (I3 0 ltac:(simpl; lia)). simpl in I1, I2, I3.
  apply is_constant_float in B1 as (z & Lz & Sz & Ez). rewrite value_zero in Ez.
  destruct (scalar_look g _ _ Ss) as (sl & Lsl & Ssl & Esl).
  destruct (scalar_look g _ _ St) as (sc & Lsc & Ssc & Esc).
  assert (Li : look env "input" = Some v)
    by (apply look_value; [apply C; simpl; tauto|exact Ei]).
  assert (Ll : look env "logits" = Some y)
    by (apply look_value; [apply C; simpl; tauto|exact El]).
  assert (Cn : forall i a, nth_error (tail_names m) i = Some a -> constant g a = None)
    by (intros i a H; apply C; apply nth_error_In with (1 := H)).
  do 3 eexists. split; [|split; [|split; [|split; [|split; [|split; [|split]]]]]].
  - cbn [app margin_form box_form].
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite Ll. unfold largest_index. rewrite Sy.
         destruct (Nat.leb_spec 1 K); [reflexivity|lia]. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_other by discriminate. rewrite Ll, T1, I1.
         change (Z.to_nat 2) with 2. unfold largest_columns. rewrite Sy.
         destruct (Nat.leb_spec 2 K); [reflexivity|lia]. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 3); reflexivity).
         rewrite T2, I2. unfold column. cbn [shape_of entry_at Z.leb Z.compare]. reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl.
         rewrite look_other by (differ N 3 5). rewrite look_bound by (apply (Cn 3); reflexivity).
         rewrite T3, I3. unfold column. cbn [shape_of entry_at]. reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl.
         rewrite look_other by (differ N 5 6). rewrite look_bound by (apply (Cn 5); reflexivity).
         rewrite look_bound by (apply (Cn 6); reflexivity).
         apply broadcast_same; reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 7); reflexivity).
         rewrite Lsl. apply broadcast_scalar, Ssl. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 8); reflexivity).
         rewrite Lsc. apply broadcast_scalar, Ssc. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 9); reflexivity).
         rewrite Lz. apply broadcast_scalar, Sz. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl.
         rewrite (look_other _ _ "input" (positive m)) by (differ N 0 10).
         rewrite (look_other _ _ "input" (scaled m)) by (differ N 0 9).
         rewrite (look_other _ _ "input" (sure m)) by (differ N 0 8).
         rewrite (look_other _ _ "input" (difference m)) by (differ N 0 7).
         rewrite (look_other _ _ "input" (next m)) by (differ N 0 6).
         rewrite (look_other _ _ "input" (best m)) by (differ N 0 5).
         rewrite (look_other _ _ "input" (top m)) by (differ N 0 3).
         rewrite look_other by discriminate.
         rewrite Li, Llo. exact Ya. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl.
         rewrite (look_other _ _ "input" (above (margin_box m))) by (differ N 0 11).
         rewrite (look_other _ _ "input" (positive m)) by (differ N 0 10).
         rewrite (look_other _ _ "input" (scaled m)) by (differ N 0 9).
         rewrite (look_other _ _ "input" (sure m)) by (differ N 0 8).
         rewrite (look_other _ _ "input" (difference m)) by (differ N 0 7).
         rewrite (look_other _ _ "input" (next m)) by (differ N 0 6).
         rewrite (look_other _ _ "input" (best m)) by (differ N 0 5).
         rewrite (look_other _ _ "input" (top m)) by (differ N 0 3).
         rewrite look_other by discriminate.
         rewrite Li, Lhi. exact Yb. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl.
         rewrite look_other by (differ N 11 12). rewrite look_bound by (apply (Cn 11); reflexivity).
         rewrite look_bound by (apply (Cn 12); reflexivity).
         apply (broadcast_batch _ _ _ n (dims_of sh)); [exact Sya|exact Syb]. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 13); reflexivity).
         reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 14); reflexivity).
         cbn [shape_of List.length Nat.pred]. rewrite Ld, B3.
         unfold least_of_sample. cbn [shape_of entry_at]. rewrite Vd.
         destruct (Nat.leb_spec 1 (count sh)); [reflexivity|lia]. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 15); reflexivity).
         rewrite Lz. apply broadcast_scalar, Sz. }
    erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 16); reflexivity).
    rewrite (look_other _ _ (positive m) (inside (margin_box m))) by (differ N 10 16).
    rewrite (look_other _ _ (positive m) (least (margin_box m))) by (differ N 10 15).
    rewrite (look_other _ _ (positive m) (number (margin_box m))) by (differ N 10 14).
    rewrite (look_other _ _ (positive m) (both (margin_box m))) by (differ N 10 13).
    rewrite (look_other _ _ (positive m) (below (margin_box m))) by (differ N 10 12).
    rewrite (look_other _ _ (positive m) (above (margin_box m))) by (differ N 10 11).
    rewrite look_bound by (apply (Cn 10); reflexivity).
    rewrite Lz. unfold choose. rewrite Sz. cbn [shape_of entry_at].
    destruct (list_eq_dec Nat.eq_dec [n] [n]); [reflexivity|contradiction].
  - unfold bind.
    repeat match goal with
    | |- (if String.eqb ?a ?b then _ else _) = _ =>
        destruct (String.eqb_spec a b) as [Heq|_]; [exfalso|]
    end; [..|exact El].
    all: revert Heq.
    + discriminate.
    + differ N 1 16.
    + differ N 1 15.
    + differ N 1 14.
    + differ N 1 13.
    + differ N 1 12.
    + differ N 1 11.
    + differ N 1 10.
    + differ N 1 9.
    + differ N 1 8.
    + differ N 1 7.
    + differ N 1 6.
    + differ N 1 5.
    + differ N 1 3.
    + discriminate.
  - unfold bind.
    repeat match goal with
    | |- (if String.eqb ?a ?a then _ else _) = _ => rewrite String.eqb_refl
    | |- (if String.eqb ?a ?b then _ else _) = _ =>
        destruct (String.eqb_spec a b) as [Heq|_]; [exfalso|]
    end; [..|reflexivity].
    all: revert Heq.
    + discriminate.
    + differ N 2 16.
    + differ N 2 15.
    + differ N 2 14.
    + differ N 2 13.
    + differ N 2 12.
    + differ N 2 11.
    + differ N 2 10.
    + differ N 2 9.
    + differ N 2 8.
    + differ N 2 7.
    + differ N 2 6.
    + differ N 2 5.
    + differ N 2 3.
  - reflexivity.
  - intros b Hb. reflexivity.
  - apply bound_result.
  - reflexivity.
  - intros b Hb x. cbn [entry_at]. rewrite Ez, Esl, Esc.
    set (f := fun j => Rmin (entry_at ya (b * count sh + j)) (entry_at yb (b * count sh + j))).
    assert (Fv : forall j, j < count sh -> f j =
              Rmin (truth (Rle_dec (entry_of (lows D) j) (x j)))
                (truth (Rle_dec (x j) (entry_of (highs D) j)))).
    { intros j Hj. unfold f. rewrite Eya, Eyb by assumption. reflexivity. }
    assert (F : forall j, j < count sh -> f j = 0%R \/ f j = 1%R).
    { intros j Hj. rewrite Fv by exact Hj.
      destruct (Rle_dec (entry_of (lows D) j) (x j)), (Rle_dec (x j) (entry_of (highs D) j));
        simpl; unfold Rmin; destruct (Rle_dec _ _); auto. }
    assert (G : forall j, j < count sh ->
              f j = 1%R <-> (entry_of (lows D) j <= x j <= entry_of (highs D) j)%R).
    { intros j Hj. rewrite Fv by exact Hj.
      destruct (Rle_dec (entry_of (lows D) j) (x j)), (Rle_dec (x j) (entry_of (highs D) j));
        simpl; unfold Rmin; destruct (Rle_dec _ _); split; intros; try lra. }
    unfold in_box. rewrite (region_size _ _ _ _ _ Rg).
    destruct (least_of_positive (count sh) f Hv F) as [[L A]|[L (i & Hi & A)]].
    + fold f. rewrite L.
      destruct (Rlt_dec 0 1) as [Hlt|H]; [|lra]. cbn [truth].
      destruct (Req_EM_T 1 0) as [H|_]; [lra|].
      split; [|intros H; exfalso; apply H; intros j Hj; apply G; [exact Hj|apply A, Hj]].
      intros _. unfold exact_radius. change (Pos.to_nat 1) with 1.
      replace ((b * 2 + 0) / 2) with b by (rewrite index_div; lia).
      replace ((b * 2 + 1) / 2) with b by (rewrite index_div; lia).
      replace ((b * 2 + 0) mod 2) with 0 by (rewrite index_mod; lia).
      replace ((b * 2 + 1) mod 2) with 1 by (rewrite index_mod; lia).
      reflexivity.
    + fold f. rewrite L. destruct (Rlt_dec 0 0) as [H|Hlt]; [lra|]. cbn [truth].
      destruct (Req_EM_T 0 0) as [_|H]; [|lra].
      split; [|reflexivity]. intros H. specialize (H i Hi). apply G in H; [lra|exact Hi].
Qed.

(** ** The theorem *)

Lemma well_formed_names : well_formed g = true ->
  NoDup ("input" :: node_outputs g) /\
  forall a, In a ("input" :: node_outputs g) -> constant g a = None.
Proof.
  intros W. apply (well_formed_fresh g (nodes g) [] W). symmetry. apply app_nil_r.
Qed.

Lemma NoDup_front {A} (l m : list A) : NoDup (l ++ m) -> NoDup l.
Proof.
  induction l as [|a l IH]; intros H; [constructor|].
  apply NoDup_cons_iff in H as [H H']. constructor; [|apply IH, H'].
  intros J. apply H, in_or_app. left. exact J.
Qed.

(** The output that repeats the units. *)
Lemma unit_sound sh k b D env : region_of g sh k b = Some D ->
  exists env', evaluate env (unit_form k) = Some env' /\
    (forall a, a <> "unit" -> env' a = env a) /\
    (k <> Pixels ->
      exists u, env' "unit" = Some u /\ shape_of u = dims_of sh /\
        forall i, i < count sh -> entry_at u i = entry_of (units_of D) i).
Proof.
  intros R. destruct k as [|c]; cbn [unit_form].
  - exists env. split; [reflexivity|]. split; [reflexivity|contradiction].
  - unfold region_of in R. destruct (array_at g sh (box_low b)); [|discriminate].
    destruct (array_at g sh (box_high b)); [|discriminate].
    destruct (array_at g sh c) as [us|] eqn:A; [|discriminate]. injection R as <-.
    destruct (array_look _ _ _ _ A) as (u & Lu & Su & _ & Eu).
    eexists. split; [|split].
    + erewrite evaluate_cons; [reflexivity|reflexivity|].
      unfold Meaning.node_value. simpl. rewrite Lu. reflexivity.
    + intros a H. unfold bind. destruct (String.eqb_spec a "unit"); [contradiction|reflexivity].
    + intros _. exists u. split; [apply bound_result|]. split; [exact Su|exact Eu].
Qed.

Lemma declared_names l m : list_eqb declaration_eqb l m = true ->
  map declared_name l = map declared_name m.
Proof.
  revert m. induction l as [|a l IH]; intros [|b m] H; try discriminate H; [reflexivity|].
  cbn [list_eqb] in H. apply andb_prop in H as [H H']. cbn [map]. f_equal; [|apply IH, H'].
  unfold declaration_eqb in H. apply andb_prop in H as [H _]. apply andb_prop in H as [H _].
  apply String.eqb_eq, H.
Qed.

Theorem margin_file_computes room f : denotes g room f ->
  forall s t, file_radius f = Network.Margin s t ->
  exists start K, sample g = Some start /\
    forall (X : nat -> vec) n v env, env "input" = Some v -> holds start X n v ->
    exists env' label radius, evaluate env (nodes g) = Some env' /\
      env' "label" = Some label /\ shape_of label = [n] /\
      env' "radius" = Some radius /\ shape_of radius = [n] /\
      (In "unit" (map declared_name (graph_outputs g)) ->
        exists u, env' "unit" = Some u /\ shape_of u = dims_of start /\
          forall i, i < count start ->
            entry_at u i = entry_of (units_of (input (file_network f))) i) /\
      forall b, b < n ->
        let y := logits (file_network f) (X b) in
        entry_at label b = INR (first_largest K y) /\
        (in_box (input (file_network f)) (X b) -> entry_at radius b = exact_radius K s t y) /\
        (~ in_box (input (file_network f)) (X b) -> entry_at radius b = 0%R).
Proof.
  intros D s t R.
  destruct D as [start k D steps os classes m s' t' W I N Re O De MC Rg Ss St|]; [|discriminate].
  cbn [file_radius] in R. injection R as -> ->.
  pose proof (sample_positive _ _ I) as Pos.
  exists start, (Z.to_nat classes). split; [exact I|].
  intros X n v env E V. cbn [file_network input].
  pose proof (well_formed_fresh g _ _ W N) as Fr.
  destruct (chain_sound g steps room start os (Flat classes) "input" env v X n
    Pos O Fr E V) as (env1 & y & E1 & Y & L).
  rewrite Re in Y. apply holds_flat in L. destruct L as [Sy Ey].
  destruct (well_formed_names W) as [ND CN].
  unfold node_outputs in ND, CN. rewrite N in ND, CN.
  rewrite (app_assoc [label]), !app_assoc, flat_map_app in ND, CN.
  rewrite <- (app_assoc _ [label]), flat_map_app in ND, CN.
  assert (Lo : In "logits" (flat_map outputs (forms "input" steps))).
  { destruct steps as [|st steps]; [discriminate|].
    clear - Re. revert Re. generalize "input" as x. revert st.
    induction steps as [|st' steps IH]; intros st x Re; cbn [result_of] in Re.
    - cbn [forms]. rewrite app_nil_r, <- Re. apply result_in_form.
    - cbn [forms]. rewrite flat_map_app. apply in_or_app. right. exact (IH st' (result st) Re). }
  assert (NI : ~ In "input" (flat_map outputs (forms "input" steps)) /\
               ~ In "input" (flat_map outputs ([label] ++ margin_form m))).
  { apply NoDup_cons_iff in ND as [NI _]. split; intros H; apply NI, in_or_app; left;
      apply in_or_app; [left|right]; exact H. }
  assert (ND' : NoDup (flat_map outputs (forms "input" steps) ++
                       flat_map outputs ([label] ++ margin_form m))).
  { apply NoDup_cons_iff in ND as [_ ND]. exact (NoDup_front _ _ ND). }
  assert (T : NoDup (tail_names m)).
  { constructor.
    - intros [H|H]; [discriminate|]. apply (proj2 NI). exact H.
    - apply NoDup_after with (1 := ND'), Lo. }
  assert (TC : forall a, In a (tail_names m) -> constant g a = None).
  { intros a Ha. apply CN. destruct Ha as [<-|[<-|Ha]]; [left; reflexivity| |].
    - right. apply in_or_app. left. apply in_or_app. left. exact Lo.
    - right. apply in_or_app. left. apply in_or_app. right. exact Ha. }
  assert (E1i : env1 "input" = Some v).
  { rewrite (evaluate_keeps _ _ _ _ E1); [exact E|]. apply NI. }
  destruct V as [Sv Ev].
  assert (K2 : 2 <= Z.to_nat classes).
  { unfold declares in De. apply andb_prop in De as [De _]. apply Z.leb_le in De. lia. }
  destruct (tail_sound m s t env1 v y n start k D (Z.to_nat classes) Pos Rg T TC MC Ss St E1i Sv Y
    Sy K2) as (env' & l & r & E' & _ & El & Sl & Vl & Er & Sr & Vr).
  destruct (unit_sound start k (margin_box m) D env' Rg) as (env2 & E2 & Keep & Un).
  exists env2, l, r. rewrite N, evaluate_app, E1. rewrite app_assoc, evaluate_app, E'.
  split; [exact E2|]. split; [rewrite Keep by discriminate; exact El|]. split; [exact Sl|].
  split; [rewrite Keep by discriminate; exact Er|]. split; [exact Sr|]. split.
  { intros H. apply Un. intros ->. unfold declares in De. apply andb_prop in De as [_ De].
    rewrite (declared_names _ _ De) in H. simpl in H.
    destruct H as [H|[H|[H|[]]]]; discriminate H. }
  intros b Hb. cbv zeta. unfold logits, input_size. cbn [ops input].
  rewrite (region_size _ _ _ _ _ Rg).
  assert (EY : forall j, j < Z.to_nat classes ->
    entry_at y (b * Z.to_nat classes + j) = eval_ops os (count start) (X b) j).
  { intros j Hj. apply Ey; assumption. }
  assert (EX : forall j, j < count start -> entry_at v (b * count start + j) = X b j)
    by (intros j Hj; apply Ev; assumption).
  specialize (Vr b Hb). cbv zeta in Vr. destruct Vr as [Vin Vout].
  assert (Bx : in_box D (X b) <-> in_box D (fun j => entry_at v (b * count start + j))).
  { unfold in_box. rewrite (region_size _ _ _ _ _ Rg).
    split; intros H j Hj; specialize (H j Hj); rewrite EX in * by exact Hj; exact H. }
  split; [|split].
  - rewrite Vl by exact Hb. f_equal. apply first_largest_ext, EY.
  - intros H. rewrite Vin by (apply Bx, H).
    unfold exact_radius. rewrite !(order_stat_ext _ _ _ _ EY). reflexivity.
  - intros H. apply Vout. intros H'. apply H, Bx, H'.
Qed.

End In.
