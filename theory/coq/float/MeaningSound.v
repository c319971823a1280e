(** * MeaningSound: the nodes of an accepted file compute the logits of its network *)

From Coq Require Import Reals ZArith List Bool String Lia Arith.
From SortNet Require Import Definitions Sums.
From SortNet.float Require Import Network Graph Wire Forms Margin Bounds Denotes Meaning.
Import ListNotations.
Local Open Scope string_scope.
Local Open Scope list_scope.
Local Open Scope nat_scope.

Arguments look : simpl never.
Arguments constant : simpl never.
Arguments is_constant : simpl never.
Arguments integer_constant : simpl never.
Arguments broadcast : simpl never.
Arguments Nat.div : simpl never.
Arguments Nat.modulo : simpl never.

(** ** Only the entries that exist matter *)

Lemma order_stat_ext n x y k : (forall i, i < n -> x i = y i) ->
  order_stat n x k = order_stat n y k.
Proof.
  intros H. unfold order_stat, entries. do 2 f_equal. apply map_ext_in.
  intros i Hi. apply in_seq in Hi. apply H. lia.
Qed.

Lemma neuron_ext n w w' rho k x x' :
  (forall i, i < n -> w i = w' i) -> (forall i, i < n -> x i = x' i) ->
  neuron n w rho k x = neuron n w' rho k x'.
Proof.
  intros H H'. apply sum_ext. intros j _. f_equal. apply order_stat_ext.
  intros i Hi. rewrite H, H'; auto.
Qed.

(** ** Indices *)

Lemma index_mod b n i : i < n -> (b * n + i) mod n = i.
Proof.
  intros H. rewrite Nat.add_comm, Nat.mod_add by lia. apply Nat.mod_small, H.
Qed.

Lemma index_div b n i : i < n -> (b * n + i) / n = b.
Proof. intros H. rewrite Nat.div_add_l by lia. rewrite Nat.div_small by lia. lia. Qed.

(** ** Constants *)

Lemma entries_before_is {A} (at_ : Z -> A) n : forall stop after,
  entries_before at_ n stop after =
  map (fun j => at_ (stop - Z.of_nat n + Z.of_nat j)%Z) (seq 0 n) ++ after.
Proof.
  induction n as [|n IH]; intros stop after; [reflexivity|].
  simpl entries_before. rewrite IH, seq_S, map_app, <- app_assoc. simpl. f_equal.
  - apply map_ext. intros j. f_equal. lia.
  - do 2 f_equal. lia.
Qed.

Lemma entries_before_length {A} (at_ : Z -> A) n stop :
  List.length (entries_before at_ n stop []) = n.
Proof. rewrite entries_before_is, app_nil_r, map_length, seq_length. reflexivity. Qed.

Lemma entries_before_nth {A} (at_ : Z -> A) n stop j (d : A) : j < n ->
  nth j (entries_before at_ n stop []) d = at_ (stop - Z.of_nat n + Z.of_nat j)%Z.
Proof.
  intros H. rewrite entries_before_is, app_nil_r.
  rewrite (nth_indep _ d (at_ (stop - Z.of_nat n + Z.of_nat 0)%Z))
    by (rewrite map_length, seq_length; exact H).
  rewrite (map_nth (fun j => at_ (stop - Z.of_nat n + Z.of_nat j)%Z)), seq_nth by exact H.
  reflexivity.
Qed.

Section In.
Variable g : graph.
Notation look := (look g).
Notation evaluate := (evaluate g).
Notation node_value := (node_value g).

Lemma scalar_look c s : scalar g c = Some s ->
  exists a, (forall env, look env c = Some a) /\ shape_of a = [] /\ entry_at a 0 = value s.
Proof.
  unfold scalar, Meaning.look, float_constant.
  destruct (constant g c) as [[[] [|] at_]|]; try discriminate.
  intros [= <-]. eexists. split; [intros env; reflexivity|]. split; reflexivity.
Qed.

Lemma vector_look c v : vector g c = Some v ->
  exists a, (forall env, look env c = Some a) /\ shape_of a = [List.length v] /\
    forall i, i < List.length v -> entry_at a i = entry_of v i.
Proof.
  unfold vector, Meaning.look, float_constant.
  destruct (constant g c) as [[[] [|n [|]] at_]|]; try discriminate.
  destruct (n <=? largest_vector)%Z; [|discriminate].
  intros [= <-]. rewrite entries_before_length.
  eexists. split; [intros env; reflexivity|]. split; [reflexivity|].
  intros i Hi. unfold entry_of. rewrite entries_before_nth by exact Hi. simpl.
  do 2 f_equal. lia.
Qed.

Lemma matrix_look c M : matrix_at g c = Some M ->
  exists a, (forall env, look env c = Some a) /\ shape_of a = [rows M; cols M] /\
    forall o j, j < cols M -> entry_at a (o * cols M + j) = entry M o j.
Proof.
  unfold matrix_at, Meaning.look, float_constant.
  destruct (constant g c) as [[[] [|o [|i [|]]] at_]|]; try discriminate.
  destruct ((o <=? largest_vector)%Z && (i <=? largest_vector)%Z); [|discriminate].
  intros [= <-]. eexists. split; [intros env; reflexivity|]. split; [reflexivity|].
  intros r j Hj. simpl in Hj. unfold entry. simpl rows. simpl cols. simpl row.
  rewrite entries_before_nth by exact Hj. simpl. do 2 f_equal. nia.
Qed.

Lemma integer_look c n at_ : integer_array g c = Some (n, at_) ->
  integer_constant g c = Some ([Z.to_nat n], fun i => at_ (Z.of_nat i)).
Proof.
  unfold integer_array, integer_constant.
  destruct (constant g c) as [[[] [|m [|]] at']|]; try discriminate.
  destruct (m <=? largest_patches)%Z; [|discriminate].
  intros [= <- <-]. reflexivity.
Qed.

Lemma same_values l m : list_eqb Z.eqb l m = true -> l = m.
Proof. apply list_eqb_sound. intros a b. apply Z.eqb_eq. Qed.

Lemma is_constant_integer c d values : is_constant g c Int64 d values = true ->
  exists index, integer_constant g c = Some (map Z.to_nat d, index) /\
    forall i, i < List.length values -> index i = nth i values 0%Z.
Proof.
  unfold is_constant, integer_constant.
  destruct (constant g c) as [[[] d' at_]|]; try discriminate.
  simpl. intros H. apply andb_prop in H as [H V].
  apply same_values in H as ->. apply same_values in V.
  eexists. split; [reflexivity|]. intros i Hi. rewrite <- V.
  rewrite entries_before_nth by exact Hi. f_equal. lia.
Qed.

Lemma look_value env a x : constant g a = None -> env a = Some x -> look env a = Some x.
Proof. intros H. unfold Meaning.look. rewrite H. auto. Qed.

Lemma look_bound env a x : constant g a = None -> look (bind env a x) a = Some x.
Proof. intros H. apply look_value; [exact H|]. unfold bind. rewrite String.eqb_refl. reflexivity. Qed.

Lemma look_other env a b x : a <> b -> look (bind env b x) a = look env a.
Proof.
  intros H. unfold Meaning.look, bind.
  destruct (String.eqb_spec a b); [contradiction|reflexivity].
Qed.

Lemma evaluate_app l m : forall env,
  evaluate env (l ++ m) = match evaluate env l with Some e => evaluate e m | None => None end.
Proof.
  induction l as [|n l IH]; intros env; simpl; [reflexivity|].
  destruct (outputs n); [reflexivity|]. destruct (node_value env n); [apply IH|reflexivity].
Qed.

Lemma evaluate_cons n l env y ys x : outputs n = y :: ys -> node_value env n = Some x ->
  evaluate env (n :: l) = evaluate (bind env y x) l.
Proof. intros O V. simpl. rewrite O, V. reflexivity. Qed.

(** ** Broadcasting *)

Lemma broadcast_scalar f x c : shape_of c = [] ->
  broadcast f x c = Some (Array (shape_of x) (fun i => f (entry_at x i) (entry_at c 0))).
Proof. unfold broadcast. intros ->. reflexivity. Qed.

Lemma broadcast_vector f x c n d : shape_of c = [d] -> shape_of x = [n; d] ->
  broadcast f x c = Some (Array [n; d] (fun i => f (entry_at x i) (entry_at c (i mod d)))).
Proof. unfold broadcast. intros -> ->. rewrite Nat.eqb_refl. reflexivity. Qed.

(** ** One step *)

(** Names are fresh: the value read and those computed are different and no constants. *)
Definition fresh (x : string) (l : list node) : Prop :=
  NoDup (x :: flat_map outputs l) /\
  forall a, In a (x :: flat_map outputs l) -> constant g a = None.

Definition step_means (sh : shape) (s : step) (o : op) (sh' : shape) : Prop :=
  forall x env v X n,
    fresh x (form x s) -> env x = Some v -> holds sh X n v ->
    exists env' v', evaluate env (form x s) = Some env' /\ env' (result s) = Some v' /\
      holds sh' (fun b => apply_op o (count sh) (X b)) n v'.

Lemma bound_result env y v : bind env y v y = Some v.
Proof. unfold bind. rewrite String.eqb_refl. reflexivity. Qed.

Lemma holds_map f sh X n v : holds sh X n v ->
  holds sh (fun b i => f (X b i)) n (map_array f v).
Proof.
  intros [S E]. split; [exact S|]. intros b i Hb Hi. simpl. rewrite E by assumption. reflexivity.
Qed.

Ltac names F :=
  let N := fresh in let C := fresh in
  destruct F as [N C]; simpl in N, C;
  repeat match goal with
  | H : NoDup (_ :: _) |- _ => apply NoDup_cons_iff in H; destruct H
  end.

Lemma means_pointwise sh s o f :
  (forall x, exists op, form x s = [plain op [x] (result s)] /\
    forall env v, look env x = Some v ->
      node_value env (plain op [x] (result s)) = Some (map_array f v)) ->
  (forall n x i, apply_op o n x i = f (x i)) ->
  step_means sh s o sh.
Proof.
  intros H A x env v X n F E V. destruct (H x) as (op & -> & K).
  assert (L : look env x = Some v) by (apply look_value; [apply F; left; reflexivity|exact E]).
  do 2 eexists. split; [|split].
  - erewrite evaluate_cons; [reflexivity|reflexivity|apply K, L].
  - apply bound_result.
  - destruct (holds_map f _ _ _ _ V) as [S G]. split; [exact S|].
    intros b i Hb Hi. rewrite A. apply G; assumption.
Qed.

Lemma means_negated sh y : step_means sh (Negated y) Negate sh.
Proof.
  apply (means_pointwise _ _ _ Ropp); [|reflexivity].
  intros x. exists "Neg". split; [reflexivity|]. intros env v L. unfold Meaning.node_value. simpl.
  rewrite L. reflexivity.
Qed.

Lemma means_activated sh operator y o to :
  operation g sh (Activated operator y) = Some (o, to) ->
  step_means sh (Activated operator y) o to.
Proof.
  simpl. destruct (String.eqb_spec operator "Relu") as [->|_].
  { intros [= <- <-]. apply (means_pointwise _ _ _ (fun v => Rmax v 0)); [|reflexivity].
    intros x. exists "Relu". split; [reflexivity|]. intros env v L. unfold Meaning.node_value. simpl.
    rewrite L. reflexivity. }
  destruct (String.eqb_spec operator "Abs") as [->|_].
  { intros [= <- <-]. apply (means_pointwise _ _ _ Rabs); [|reflexivity].
    intros x. exists "Abs". split; [reflexivity|]. intros env v L. unfold Meaning.node_value. simpl.
    rewrite L. reflexivity. }
  destruct (String.eqb_spec operator "Tanh") as [->|_]; [|discriminate].
  intros [= <- <-]. apply (means_pointwise _ _ _ Rtrigo_def.tanh); [|reflexivity].
  intros x. exists "Tanh". split; [reflexivity|]. intros env v L. unfold Meaning.node_value. simpl.
  rewrite L. reflexivity.
Qed.

Lemma means_normalized sh mean std centered y m s :
  scalar g mean = Some m -> scalar g std = Some s ->
  step_means sh (Normalized mean std centered y) (Normalize m s) sh.
Proof.
  intros M S x env v X n F E [SV EV].
  assert (L : look env x = Some v) by (apply look_value; [apply F; left; reflexivity|exact E]).
  assert (C : constant g centered = None) by (apply F; right; left; reflexivity).
  destruct (scalar_look _ _ M) as (a & La & Sa & Ea).
  destruct (scalar_look _ _ S) as (a' & La' & Sa' & Ea').
  do 2 eexists. split; [|split].
  - cbn [form]. erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite L, La. apply broadcast_scalar, Sa. }
    erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value. simpl. rewrite look_bound by exact C. rewrite La'.
    apply broadcast_scalar, Sa'.
  - apply bound_result.
  - split; [exact SV|]. intros b i Hb Hi. simpl. rewrite EV, Ea, Ea' by assumption. reflexivity.
Qed.

Definition positive_shape (sh : shape) : Prop :=
  match sh with
  | Image c h w => (1 <= c /\ 1 <= h /\ 1 <= w)%Z
  | Flat n => (1 <= n)%Z
  end.

Lemma volume_dims sh : positive_shape sh -> volume (dims_of sh) = count sh.
Proof.
  unfold count. destruct sh as [c h w|n]; cbn [positive_shape units dims_of volume fold_right].
  - intros (C & H & W). rewrite !Z2Nat.inj_mul by nia. ring.
  - intros _. ring.
Qed.

Lemma means_flattened sh y : positive_shape sh ->
  step_means sh (Flattened y) Flatten (Flat (units sh)).
Proof.
  intros P x env v X n F E [SV EV].
  assert (L : look env x = Some v) by (apply look_value; [apply F; left; reflexivity|exact E]).
  do 2 eexists. split; [|split].
  - cbn [form]. erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value, flatten. simpl. rewrite L. unfold flattened. rewrite SV. reflexivity.
  - apply bound_result.
  - split; [simpl; rewrite volume_dims by exact P; reflexivity|]. exact EV.
Qed.

Lemma holds_flat n X k v : holds (Flat n) X k v ->
  shape_of v = [k; Z.to_nat n] /\
  forall b i, b < k -> i < Z.to_nat n -> entry_at v (b * Z.to_nat n + i) = X b i.
Proof. intros H. exact H. Qed.

Lemma means_shifted n c y v : vector g c = Some v -> Z.of_nat (List.length v) = n ->
  step_means (Flat n) (Shifted c y) (Shift v) (Flat n).
Proof.
  intros V <- x env a X k F E H. apply holds_flat in H as [SV EV]. rewrite Nat2Z.id in SV, EV.
  assert (L : look env x = Some a) by (apply look_value; [apply F; left; reflexivity|exact E]).
  destruct (vector_look _ _ V) as (w & Lw & Sw & Ew).
  do 2 eexists. split; [|split].
  - cbn [form]. erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value. simpl. rewrite L, Lw. apply broadcast_vector; eassumption.
  - apply bound_result.
  - unfold holds, count. simpl units. rewrite Nat2Z.id. simpl. rewrite Nat2Z.id.
    split; [reflexivity|]. intros b i Hb Hi.
    rewrite EV, index_mod, Ew by assumption. reflexivity.
Qed.

Lemma means_biased n c y v : vector g c = Some v -> Z.of_nat (List.length v) = n ->
  step_means (Flat n) (Biased c y) (Bias v) (Flat n).
Proof.
  intros V <- x env a X k F E H. apply holds_flat in H as [SV EV]. rewrite Nat2Z.id in SV, EV.
  assert (L : look env x = Some a) by (apply look_value; [apply F; left; reflexivity|exact E]).
  destruct (vector_look _ _ V) as (w & Lw & Sw & Ew).
  do 2 eexists. split; [|split].
  - cbn [form]. erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value. simpl. rewrite L, Lw. apply broadcast_vector; eassumption.
  - apply bound_result.
  - unfold holds, count. simpl units. rewrite Nat2Z.id. simpl. rewrite Nat2Z.id.
    split; [reflexivity|]. intros b i Hb Hi.
    rewrite EV, index_mod, Ew by assumption. reflexivity.
Qed.

(** ** Sorted neurons *)

Lemma sorted_node_value env x W rho k y v w n i o :
  look env x = Some v -> look env W = Some w -> shape_of v = [n; i] -> shape_of w = [o; i] ->
  node_value env (sort_neuron x W rho k y) =
  Some (Array [n; o] (fun e =>
    neuron i (fun j => entry_at w (e mod o * i + j)) (value rho) (Z.to_nat k)
      (fun j => entry_at v (e / o * i + j)))).
Proof.
  intros L Lw S Sw. unfold Meaning.node_value, sort_neuron. simpl. rewrite L, Lw.
  unfold sorted_neurons. rewrite S, Sw, Nat.eqb_refl. reflexivity.
Qed.

Lemma means_sorted n W rho k y M : matrix_at g W = Some M -> Z.of_nat (cols M) = n ->
  step_means (Flat n) (Sorted W rho k y) (SortNeuron M rho (Z.to_nat k))
    (Flat (Z.of_nat (rows M))).
Proof.
  intros V <- x env a X m F E H. apply holds_flat in H as [SV EV]. rewrite Nat2Z.id in SV, EV.
  assert (L : look env x = Some a) by (apply look_value; [apply F; left; reflexivity|exact E]).
  destruct (matrix_look _ _ V) as (w & Lw & Sw & Ew).
  do 2 eexists. split; [|split].
  - cbn [form]. erewrite evaluate_cons; [reflexivity|reflexivity|].
    eapply sorted_node_value; [exact L|apply Lw|exact SV|exact Sw].
  - apply bound_result.
  - unfold holds, count. simpl units. rewrite Nat2Z.id. simpl. rewrite Nat2Z.id.
    split; [reflexivity|]. intros b i Hb Hi. rewrite index_mod, index_div by exact Hi.
    apply neuron_ext; intros j Hj.
    + apply Ew, Hj.
    + apply EV; assumption.
Qed.

(** ** Affine operations *)

Lemma means_mapped n W b Ww bw xw yw y M v :
  matrix_at g W = Some M -> vector g b = Some v -> Z.of_nat (cols M) = n ->
  List.length v = rows M ->
  step_means (Flat n) (Mapped W b Ww bw xw yw y) (Affine M v) (Flat (Z.of_nat (rows M))).
Proof.
  intros V V' <- Lv x env a X m F E H. apply holds_flat in H as [SV EV].
  rewrite Nat2Z.id in SV, EV.
  assert (L : look env x = Some a) by (apply look_value; [apply F; left; reflexivity|exact E]).
  destruct (matrix_look _ _ V) as (w & Lw & Sw & Ew).
  destruct (vector_look _ _ V') as (c & Lc & Sc & Ec).
  destruct F as [N C]. cbn [form flat_map outputs cast plain app] in N, C.
  assert (D : NoDup [x; Ww; bw; xw; yw; y]) by exact N.
  assert (CW : constant g Ww = None) by (apply C; simpl; tauto).
  assert (Cb : constant g bw = None) by (apply C; simpl; tauto).
  assert (Cx : constant g xw = None) by (apply C; simpl; tauto).
  assert (Cy : constant g yw = None) by (apply C; simpl; tauto).
  repeat match goal with
  | H : NoDup (_ :: _) |- _ =>
      apply NoDup_cons_iff in H; let I := fresh in destruct H as [I H]; simpl in I
  end.
  do 2 eexists. split; [|split].
  - cbn [form].
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite Lw. reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite Lc. reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite !look_other by intuition congruence.
         rewrite L. reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl.
         rewrite look_bound by exact Cx.
         rewrite !(look_other _ Ww) by intuition congruence. rewrite look_bound by exact CW.
         rewrite !(look_other _ bw) by intuition congruence. rewrite look_bound by exact Cb.
         unfold gemm_transposed. rewrite SV, Sw, Sc, Lv, !Nat.eqb_refl. reflexivity. }
    erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value. simpl. rewrite look_bound by exact Cy. reflexivity.
  - apply bound_result.
  - unfold holds, count. simpl units. rewrite Nat2Z.id. simpl. rewrite Nat2Z.id.
    split; [reflexivity|]. intros s i Hs Hi. rewrite index_mod, index_div by exact Hi.
    rewrite Ec by lia. f_equal. apply sum_ext. intros j Hj. rewrite Ew, EV by assumption.
    reflexivity.
Qed.

End In.
