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
  destruct (list_eq_dec Nat.eq_dec [n] [n]); [reflexivity|contradiction].
Qed.

Lemma broadcast_images f x c n d h w : shape_of x = [n; d; h; w] -> shape_of c = [n; d; h; w] ->
  broadcast f x c = Some (Array [n; d; h; w] (fun i => f (entry_at x i) (entry_at c i))).
Proof.
  intros X C. unfold broadcast. rewrite X, C.
  destruct (list_eq_dec Nat.eq_dec _ _); [reflexivity|contradiction].
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

Lemma value_one : value 1065353216 = 1%R.
Proof.
  unfold value. replace (mantissa 1065353216) with 8388608%Z by reflexivity.
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

Lemma tail_sound m s t env v y n c h w K :
  NoDup (tail_names m) -> (forall a, In a (tail_names m) -> constant g a = None) ->
  margin_constants g m = true -> scalar g (slack m) = Some s -> scalar g (scale m) = Some t ->
  env "input" = Some v -> shape_of v = [n; c; h; w] -> 1 <= c * h * w ->
  env "logits" = Some y -> shape_of y = [n; K] -> 2 <= K ->
  exists env' l r, evaluate env ([label] ++ margin_form m) = Some env' /\
    env' "logits" = Some y /\
    env' "label" = Some l /\ shape_of l = [n] /\
    (forall b, b < n -> entry_at l b = INR (first_largest K (fun j => entry_at y (b * K + j)))) /\
    env' "radius" = Some r /\ shape_of r = [n] /\
    (forall b, b < n ->
       let x j := entry_at v (b * (c * h * w) + j) in
       (in_cube (c * h * w) x ->
        entry_at r b = exact_radius K s t (fun j => entry_at y (b * K + j))) /\
       (~ in_cube (c * h * w) x -> entry_at r b = 0%R)).
Proof.
  intros N C MC Ss St Ei Sv Hv El Sy HK.
  unfold margin_constants in MC. apply andb_prop in MC as [MC BC].
  apply andb_prop in MC as [MC M3]. apply andb_prop in MC as [M1 M2].
  unfold box_constants in BC. apply andb_prop in BC as [BC B3]. apply andb_prop in BC as [B1 B2].
  apply is_constant_integer in M1 as (i1 & T1 & I1). change (map Z.to_nat [1]%Z) with [1] in T1.
  apply is_constant_integer in M2 as (i2 & T2 & I2). change (map Z.to_nat []) with (@nil nat) in T2.
  apply is_constant_integer in M3 as (i3 & T3 & I3). change (map Z.to_nat []) with (@nil nat) in T3.
  specialize (I1 0 ltac:(simpl; lia)). specialize (I2 0 ltac:(simpl; lia)).
  specialize (I3 0 ltac:(simpl; lia)). simpl in I1, I2, I3.
  apply is_constant_float in B1 as (z & Lz & Sz & Ez). rewrite value_zero in Ez.
  apply is_constant_float in B2 as (o & Lo & So & Eo). rewrite value_one in Eo.
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
         rewrite Li, Lz. apply broadcast_scalar, Sz. }
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
         rewrite Li, Lo. apply broadcast_scalar, So. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl.
         rewrite look_other by (differ N 11 12). rewrite look_bound by (apply (Cn 11); reflexivity).
         rewrite look_bound by (apply (Cn 12); reflexivity).
         apply broadcast_images; simpl; exact Sv. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 13); reflexivity).
         reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by (apply (Cn 14); reflexivity).
         rewrite B3. unfold least_of_sample. cbn [shape_of entry_at].
         destruct (Nat.leb_spec 1 (c * h * w)); [reflexivity|lia]. }
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
  - intros b Hb x. cbn [entry_at]. rewrite Ez, Eo, Esl, Esc.
    set (f := fun j => Rmin (truth (Rle_dec 0 (entry_at v (b * (c * h * w) + j))))
                          (truth (Rle_dec (entry_at v (b * (c * h * w) + j)) 1))).
    assert (F : forall j, j < c * h * w -> f j = 0%R \/ f j = 1%R).
    { intros j _. unfold f.
      destruct (Rle_dec 0 _), (Rle_dec _ 1); simpl; unfold Rmin;
        destruct (Rle_dec _ _); auto. }
    assert (G : forall j, f j = 1%R <-> (0 <= x j <= 1)%R).
    { intros j. unfold f, x.
      destruct (Rle_dec 0 (entry_at v (b * (c * h * w) + j))),
        (Rle_dec (entry_at v (b * (c * h * w) + j)) 1); simpl; unfold Rmin;
        destruct (Rle_dec _ _); split; intros; try lra. }
    destruct (least_of_positive (c * h * w) f Hv F) as [[L A]|[L (i & Hi & A)]].
    + fold f. rewrite L.
      destruct (Rlt_dec 0 1) as [Hlt|H]; [|lra]. cbn [truth].
      destruct (Req_EM_T 1 0) as [H|_]; [lra|].
      split; [|intros H; exfalso; apply H; intros j Hj; apply G, A, Hj].
      intros _. unfold exact_radius. change (Pos.to_nat 1) with 1.
      replace ((b * 2 + 0) / 2) with b by (rewrite index_div; lia).
      replace ((b * 2 + 1) / 2) with b by (rewrite index_div; lia).
      replace ((b * 2 + 0) mod 2) with 0 by (rewrite index_mod; lia).
      replace ((b * 2 + 1) mod 2) with 1 by (rewrite index_mod; lia).
      reflexivity.
    + fold f. rewrite L. destruct (Rlt_dec 0 0) as [H|Hlt]; [lra|]. cbn [truth].
      destruct (Req_EM_T 0 0) as [_|H]; [|lra].
      split; [|reflexivity]. intros H. specialize (H i Hi). apply G in H. lra.
Qed.

(** ** The theorem *)

Lemma image_is start : image g = Some start ->
  exists c h w, start = Image c h w /\ (1 <= c /\ 1 <= h /\ 1 <= w)%Z.
Proof.
  intros H. pose proof (image_positive g _ H) as P. destruct start as [c h w|n].
  - exists c, h, w. split; [reflexivity|exact P].
  - exfalso. unfold image in H.
    repeat match type of H with
    | match ?a with _ => _ end = _ => destruct a; try discriminate
    | (if ?a then _ else _) = _ => destruct a; try discriminate
    end.
Qed.

Lemma well_formed_names : well_formed g = true ->
  NoDup ("input" :: node_outputs g) /\
  forall a, In a ("input" :: node_outputs g) -> constant g a = None.
Proof.
  intros W. apply (well_formed_fresh g (nodes g) [] W). symmetry. apply app_nil_r.
Qed.

Theorem margin_file_computes room f : denotes g room f ->
  forall s t, file_radius f = Network.Margin s t ->
  exists start K, image g = Some start /\
    forall (X : nat -> vec) n v env, env "input" = Some v -> holds start X n v ->
    exists env' label radius, evaluate env (nodes g) = Some env' /\
      env' "label" = Some label /\ shape_of label = [n] /\
      env' "radius" = Some radius /\ shape_of radius = [n] /\
      forall b, b < n ->
        let y := logits (file_network f) (X b) in
        entry_at label b = INR (first_largest K y) /\
        (in_cube (count start) (X b) -> entry_at radius b = exact_radius K s t y) /\
        (~ in_cube (count start) (X b) -> entry_at radius b = 0%R).
Proof.
  intros D s t R. destruct D as [start steps os classes m s' t' W I N Re O De MC Ss St|]; [|discriminate].
  cbn [file_radius] in R. injection R as -> ->.
  destruct (image_is _ I) as (c & h & w & -> & Pos).
  exists (Image c h w), (Z.to_nat classes). split; [exact I|].
  intros X n v env E V. cbn [file_network].
  pose proof (well_formed_fresh g _ _ W N) as Fr.
  destruct (chain_sound g steps room (Image c h w) os (Flat classes) "input" env v X n
    Pos O Fr E V) as (env1 & y & E1 & Y & L).
  rewrite Re in Y. destruct L as [Sy Ey]. cbn [dims_of] in Sy.
  destruct (well_formed_names W) as [ND CN].
  unfold node_outputs in ND, CN. rewrite N, flat_map_app in ND, CN.
  assert (Lo : In "logits" (flat_map outputs (forms "input" steps))).
  { destruct steps as [|st steps]; [discriminate|].
    clear - Re. revert Re. generalize "input" as x. revert st.
    induction steps as [|st' steps IH]; intros st x Re; cbn [result_of] in Re.
    - cbn [forms]. rewrite app_nil_r, <- Re. apply result_in_form.
    - cbn [forms]. rewrite flat_map_app. apply in_or_app. right. exact (IH st' (result st) Re). }
  assert (T : NoDup (tail_names m)).
  { apply NoDup_cons_iff in ND as [NI ND]. constructor.
    - intros [H|H]; [discriminate|]. apply NI, in_or_app. right. exact H.
    - apply NoDup_after with (1 := ND), Lo. }
  assert (TC : forall a, In a (tail_names m) -> constant g a = None).
  { intros a Ha. apply CN. destruct Ha as [<-|[<-|Ha]]; [left; reflexivity| |].
    - right. apply in_or_app. left. exact Lo.
    - right. apply in_or_app. right. exact Ha. }
  assert (E1i : env1 "input" = Some v).
  { rewrite (evaluate_keeps _ _ _ _ E1); [exact E|].
    intros H. apply NoDup_cons_iff in ND as [NI _]. apply NI, in_or_app. left. exact H. }
  destruct V as [Sv Ev]. cbn [dims_of] in Sv.
  assert (U : count (Image c h w) = Z.to_nat c * Z.to_nat h * Z.to_nat w).
  { unfold count. cbn [units]. rewrite !Z2Nat.inj_mul by nia. reflexivity. }
  assert (K2 : 2 <= Z.to_nat classes).
  { unfold declares in De. apply andb_prop in De as [De _]. apply Z.leb_le in De. lia. }
  assert (U1 : 1 <= Z.to_nat c * Z.to_nat h * Z.to_nat w).
  { assert (1 <= Z.to_nat c) by lia. assert (1 <= Z.to_nat h) by lia. assert (1 <= Z.to_nat w) by lia.
    nia. }
  destruct (tail_sound m s t env1 v y n _ _ _ (Z.to_nat classes) T TC MC Ss St E1i Sv U1 Y Sy K2)
    as (env' & l & r & E' & _ & El & Sl & Vl & Er & Sr & Vr).
  exists env', l, r. rewrite N, evaluate_app, E1.
  split; [exact E'|]. split; [exact El|]. split; [exact Sl|]. split; [exact Er|].
  split; [exact Sr|].
  intros b Hb. cbv zeta.
  assert (EY : forall j, j < Z.to_nat classes ->
    entry_at y (b * Z.to_nat classes + j) =
    logits (Network (Z.to_nat (units (Image c h w))) os) (X b) j).
  { intros j Hj. apply Ey; assumption. }
  assert (EX : forall j, j < count (Image c h w) -> entry_at v (b * count (Image c h w) + j) = X b j)
    by (intros j Hj; apply Ev; assumption).
  rewrite U in EX |- *. specialize (Vr b Hb). cbv zeta in Vr. destruct Vr as [Vin Vout].
  split; [|split].
  - rewrite Vl by exact Hb. f_equal. apply first_largest_ext, EY.
  - intros H. rewrite Vin.
    + unfold exact_radius. rewrite !(order_stat_ext _ _ _ _ EY). reflexivity.
    + intros j Hj. rewrite EX by exact Hj. apply H, Hj.
  - intros H. apply Vout. intros H'. apply H. intros j Hj. rewrite <- EX by exact Hj. apply H', Hj.
Qed.

End In.
