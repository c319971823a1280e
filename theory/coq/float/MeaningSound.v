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

Lemma array_look sh c l : array_at g sh c = Some l ->
  exists a, (forall env, look env c = Some a) /\ shape_of a = dims_of sh /\
    List.length l = Z.to_nat (units sh) /\
    forall i, i < Z.to_nat (units sh) -> entry_at a i = entry_of l i.
Proof.
  unfold array_at, Meaning.look, float_constant.
  destruct (constant g c) as [[[] d at_]|]; try discriminate.
  destruct (list_eqb Z.eqb d (dims_in sh)) eqn:E; [|discriminate].
  apply list_eqb_sound in E; [|intros a b; apply Z.eqb_eq]. subst d.
  intros [= <-]. eexists. split; [intros env; reflexivity|]. split; [reflexivity|].
  split; [apply entries_before_length|].
  intros i Hi. unfold entry_of. rewrite entries_before_nth by exact Hi. simpl. do 2 f_equal. lia.
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

Lemma broadcast_sample f x c n s : s <> [] -> shape_of c = s -> shape_of x = n :: s ->
  broadcast f x c = Some (Array (n :: s) (fun i => f (entry_at x i) (entry_at c (i mod volume s)))).
Proof.
  unfold broadcast. intros H -> ->. destruct s as [|d s]; [contradiction|].
  destruct (list_eq_dec Nat.eq_dec (d :: s) (d :: s)); [reflexivity|contradiction].
Qed.

Lemma broadcast_vector f x c n d : shape_of c = [d] -> shape_of x = [n; d] ->
  broadcast f x c = Some (Array [n; d] (fun i => f (entry_at x i) (entry_at c (i mod d)))).
Proof.
  intros C X. rewrite (broadcast_sample f x c n [d]) by (discriminate || assumption).
  simpl. rewrite Nat.mul_1_r. reflexivity.
Qed.

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

Definition positive_shape (sh : shape) : Prop :=
  dims_in sh <> [] /\ Forall (fun d => (1 <= d)%Z) (dims_in sh).

Lemma volume_dims sh : positive_shape sh -> volume (dims_of sh) = count sh /\ 1 <= count sh.
Proof.
  unfold count, units, dims_of. intros [_ P].
  assert (G : forall l, Forall (fun d => (1 <= d)%Z) l -> (1 <= fold_right Z.mul 1 l)%Z /\
            volume (map Z.to_nat l) = Z.to_nat (fold_right Z.mul 1%Z l)).
  { induction 1 as [|d l D L [I1 I2]]; [split; [reflexivity|reflexivity]|].
    cbn [fold_right map volume]. split; [nia|].
    fold (volume (map Z.to_nat l)). rewrite I2, Z2Nat.inj_mul by lia. reflexivity. }
  destruct (G _ P) as [G1 G2]. split; [exact G2|lia].
Qed.

Lemma dims_of_some sh : positive_shape sh -> dims_of sh <> [].
Proof.
  intros [P _]. unfold dims_of. destruct (dims_in sh); [contradiction|discriminate].
Qed.

(** A scalar or an array of numbers for the units of each sample. *)
Lemma each_unit_look sh c l : positive_shape sh -> each_unit g sh c = Some l ->
  exists a, (forall env, look env c = Some a) /\ List.length l = count sh /\
    forall f v n, shape_of v = n :: dims_of sh ->
      exists y, broadcast f v a = Some y /\ shape_of y = n :: dims_of sh /\
        forall b i, b < n -> i < count sh ->
          entry_at y (b * count sh + i) = f (entry_at v (b * count sh + i)) (entry_of l i).
Proof.
  intros P H. destruct (volume_dims sh P) as [V C].
  unfold each_unit in H. destruct (scalar g c) as [s|] eqn:S.
  - injection H as <-. destruct (scalar_look _ _ S) as (a & La & Sa & Ea).
    exists a. split; [exact La|]. split; [apply repeat_length|]. intros f v n Sv.
    eexists. split; [apply broadcast_scalar, Sa|]. split; [exact Sv|].
    intros b i Hb Hi. cbn [entry_at]. rewrite Ea. unfold entry_of.
    rewrite (nth_indep _ _ s) by (rewrite repeat_length; exact Hi). rewrite nth_repeat. reflexivity.
  - destruct (array_look _ _ _ H) as (a & La & Sa & Ll & Ea).
    exists a. split; [exact La|]. split; [exact Ll|]. intros f v n Sv.
    eexists. split; [apply (broadcast_sample f v a n (dims_of sh) (dims_of_some sh P) Sa Sv)|].
    split; [reflexivity|]. intros b i Hb Hi. cbn [entry_at].
    rewrite V, index_mod, Ea by exact Hi. reflexivity.
Qed.

Lemma means_normalized sh mean std centered y m s : positive_shape sh ->
  each_unit g sh mean = Some m -> each_unit g sh std = Some s ->
  step_means sh (Normalized mean std centered y) (Normalize m s) sh.
Proof.
  intros P M S x env v X n F E [SV EV].
  assert (L : look env x = Some v) by (apply look_value; [apply F; left; reflexivity|exact E]).
  assert (C : constant g centered = None) by (apply F; right; left; reflexivity).
  destruct (each_unit_look _ _ _ P M) as (a & La & _ & Ba).
  destruct (each_unit_look _ _ _ P S) as (a' & La' & _ & Ba').
  destruct (Ba Rminus v n SV) as (z & Bz & Sz & Ez).
  destruct (Ba' Rdiv z n Sz) as (w & Bw & Sw & Ew).
  do 2 eexists. split; [|split].
  - cbn [form]. erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite L, La. exact Bz. }
    erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value. simpl. rewrite look_bound by exact C. rewrite La'. exact Bw.
  - apply bound_result.
  - split; [exact Sw|]. intros b i Hb Hi. rewrite Ew, Ez, EV by assumption. reflexivity.
Qed.

Lemma count_flat n : count (Flat n) = Z.to_nat n.
Proof. unfold count, units. cbn [dims_in fold_right]. rewrite Z.mul_1_r. reflexivity. Qed.

Lemma holds_flat n X k v : holds (Flat n) X k v <->
  shape_of v = [k; Z.to_nat n] /\
  forall b i, b < k -> i < Z.to_nat n -> entry_at v (b * Z.to_nat n + i) = X b i.
Proof. unfold holds. rewrite count_flat. reflexivity. Qed.

Lemma means_flattened sh y : positive_shape sh ->
  step_means sh (Flattened y) Flatten (Flat (units sh)).
Proof.
  intros P x env v X n F E [SV EV].
  assert (L : look env x = Some v) by (apply look_value; [apply F; left; reflexivity|exact E]).
  do 2 eexists. split; [|split].
  - cbn [form]. erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value, flatten. simpl. rewrite L. unfold flattened. rewrite SV. reflexivity.
  - apply bound_result.
  - apply holds_flat. cbn [shape_of entry_at]. rewrite (proj1 (volume_dims sh P)).
    split; [reflexivity|exact EV].
Qed.

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
  - apply holds_flat. rewrite ?count_flat, ?Nat2Z.id. simpl. rewrite ?Nat2Z.id.
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
  - apply holds_flat. rewrite ?count_flat, ?Nat2Z.id. simpl. rewrite ?Nat2Z.id.
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
  - apply holds_flat. rewrite ?count_flat, ?Nat2Z.id. simpl. rewrite ?Nat2Z.id.
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
  - apply holds_flat. rewrite ?count_flat, ?Nat2Z.id. simpl. rewrite ?Nat2Z.id.
    split; [reflexivity|]. intros s i Hs Hi. rewrite index_mod, index_div by exact Hi.
    rewrite Ec by lia. f_equal. apply sum_ext. intros j Hj. rewrite Ew, EV by assumption.
    reflexivity.
Qed.

(** ** Groups *)

Lemma reshape_value env x to y v rest index : look env x = Some v ->
  integer_constant g to = Some ([S (List.length rest)], index) ->
  index 0 = (-1)%Z -> (forall i, i < List.length rest -> index (S i) = Z.of_nat (nth i rest 0)) ->
  Forall (fun d => 1 <= d) rest ->
  node_value env (plain "Reshape" [x; to] y) = reshape v rest.
Proof.
  intros L I M R P. unfold Meaning.node_value. simpl. rewrite L, I, M. simpl.
  rewrite Nat.sub_0_r.
  assert (E : map (fun i => Z.to_nat (index i)) (seq 1 (List.length rest)) = rest).
  { clear - R. rewrite <- seq_shift, map_map.
    rewrite (map_ext_in _ (fun i => nth i rest 0)).
    - clear R. induction rest as [|d rest IH]; [reflexivity|]. simpl.
      f_equal. rewrite <- seq_shift, map_map. exact IH.
    - intros i Hi. apply in_seq in Hi. rewrite R by lia. apply Nat2Z.id. }
  assert (Q : forallb (fun i => (0 <? index i)%Z) (seq 1 (List.length rest)) = true).
  { apply forallb_forall. intros i Hi. apply in_seq in Hi. destruct i as [|i]; [lia|].
    rewrite R by lia. rewrite Forall_forall in P.
    assert (1 <= nth i rest 0) by (apply P, nth_In; lia). apply Z.ltb_lt. lia. }
  rewrite Q, E. reflexivity.
Qed.

Lemma means_grouped n to_groups count groups sorted places y one sizes :
  integer_array g count = Some (one, sizes) -> one = 1%Z ->
  (2 <= sizes 0 <= n)%Z -> (n / sizes 0 * sizes 0 = n)%Z ->
  is_constant g to_groups Int64 [3]%Z [-1; n / sizes 0; sizes 0]%Z = true ->
  step_means (Flat n) (Grouped to_groups count groups sorted places y)
    (GroupSort (Z.to_nat (sizes 0%Z))) (Flat n).
Proof.
  intros I -> R Q T x env v X k F E H. apply holds_flat in H as [SV EV].
  assert (L : look env x = Some v) by (apply look_value; [apply F; left; reflexivity|exact E]).
  apply integer_look in I. change (Z.to_nat 1) with 1 in I.
  apply is_constant_integer in T as (index & T & TI).
  change (map Z.to_nat [3]%Z) with [3] in T.
  set (s := Z.to_nat (sizes 0%Z)) in *. set (G := Z.to_nat (n / sizes 0)%Z).
  set (D := Z.to_nat n) in *.
  assert (HG : (0 < n / sizes 0)%Z) by (apply Z.div_str_pos; lia).
  assert (HD : D = G * s) by (unfold D, G, s; rewrite <- Z2Nat.inj_mul by lia; f_equal; lia).
  assert (Hs : 2 <= s) by (unfold s; lia).
  assert (HG' : 1 <= G) by (unfold G; lia).
  destruct F as [_ C]. cbn [form flat_map outputs flatten plain app] in C.
  assert (Cg : constant g groups = None) by (apply C; simpl; tauto).
  assert (Cs : constant g sorted = None) by (apply C; simpl; tauto).
  do 2 eexists. split; [|split].
  - cbn [form].
    erewrite evaluate_cons; [|reflexivity|].
    2: { erewrite (reshape_value _ _ _ _ _ [G; s]); [|exact L|exact T|apply (TI 0); simpl; lia| |].
         - unfold reshape. rewrite SV. cbn [volume fold_right dims_of].
           fold D. replace (k * (D * 1)) with (k * (G * (s * 1))) by (rewrite HD; ring).
           rewrite Nat.div_mul by nia. rewrite Nat.eqb_refl.
           destruct (Nat.leb_spec 1 (G * (s * 1))); [reflexivity|nia].
         - intros [|[|i]] Hi; simpl in Hi; [| |lia]; rewrite TI by (simpl; lia); simpl;
             unfold G, s; lia.
         - repeat constructor; lia. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact Cg. rewrite I.
         change (Z.of_nat 0) with 0%Z. fold s.
         unfold largest_last. cbn [shape_of entry_at]. rewrite Nat.leb_refl. reflexivity. }
    erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value, flatten. simpl. rewrite look_bound by exact Cs. reflexivity.
  - apply bound_result.
  - apply holds_flat. rewrite count_flat. fold D.
    cbn [shape_of entry_at volume fold_right apply_op].
    split; [do 2 f_equal; rewrite HD; ring|].
    intros b i Hb Hi.
    assert (A : (b * D + i) / s = b * G + i / s).
    { rewrite HD. replace (b * (G * s) + i) with ((b * G) * s + i) by ring.
      apply Nat.div_add_l. lia. }
    assert (A' : (b * D + i) mod s = i mod s).
    { rewrite HD. replace (b * (G * s) + i) with (i + (b * G) * s) by ring.
      apply Nat.mod_add. lia. }
    rewrite A, A'. apply order_stat_ext. intros j Hj.
    replace ((b * G + i / s) * s + j) with (b * D + (i / s * s + j)) by (rewrite HD; ring).
    apply EV; [exact Hb|]. fold D.
    assert (i / s < G) by (apply Nat.div_lt_upper_bound; lia). nia.
Qed.

(** ** Convolutions *)

Lemma patches_before_is at_ F P : forall after,
  patches_before at_ F P after =
  map (fun p => entries_before (fun i => Z.to_nat (at_ i)) F (Z.of_nat (S p) * Z.of_nat F) [])
    (seq 0 P) ++ after.
Proof.
  induction P as [|P IH]; intros after; [reflexivity|].
  cbn [patches_before]. rewrite IH, seq_S, map_app, <- app_assoc. reflexivity.
Qed.

Lemma patches_before_length at_ F P : List.length (patches_before at_ F P []) = P.
Proof. rewrite patches_before_is, app_nil_r, map_length, seq_length. reflexivity. Qed.

Lemma patches_before_nth at_ F P p j d : p < P -> j < F ->
  nth j (nth p (patches_before at_ F P []) []) d = Z.to_nat (at_ (Z.of_nat (p * F + j))).
Proof.
  intros Hp Hj. rewrite patches_before_is, app_nil_r.
  set (f := fun p => entries_before (fun i => Z.to_nat (at_ i)) F (Z.of_nat (S p) * Z.of_nat F) []).
  rewrite (nth_indep _ [] (f 0)) by (rewrite map_length, seq_length; exact Hp).
  rewrite map_nth, seq_nth by exact Hp. unfold f. rewrite entries_before_nth by exact Hj.
  do 2 f_equal. lia.
Qed.

Lemma means_convolved n pads places to_rows W to_split rho k padded flat rows_ neurons split_
    turned y M count at_ :
  (0 <= n)%Z ->
  matrix_at g W = Some M -> integer_array g places = Some (count, at_) ->
  let F := Z.of_nat (cols M) in
  let O := Z.of_nat (rows M) in
  let P := (count / F)%Z in
  (1 <= F)%Z -> (P * F = count)%Z -> (1 <= P)%Z -> (1 <= O * P)%Z ->
  forallb (fun i => (0 <=? i)%Z && (i <=? n)%Z) (entries_before at_ (Z.to_nat count) count []) = true ->
  is_constant g pads Int64 [4]%Z [0; 0; 0; 1]%Z = true ->
  is_constant g to_rows Int64 [2]%Z [-1; F]%Z = true ->
  is_constant g to_split Int64 [3]%Z [-1; P; O]%Z = true ->
  step_means (Flat n)
    (Convolved pads places to_rows W to_split rho k padded flat rows_ neurons split_ turned y)
    (SortConv (patches_before at_ (cols M) (Z.to_nat P) []) M rho (Z.to_nat k)) (Flat (O * P)).
Proof.
  intros Hn V I F O P HF HP HP1 HO A Cp Cr Cs x env v X m Fr E H.
  apply holds_flat in H as [SV EV].
  assert (L : look env x = Some v) by (apply look_value; [apply Fr; left; reflexivity|exact E]).
  destruct (matrix_look _ _ V) as (w & Lw & Sw & Ew).
  apply integer_look in I.
  apply is_constant_integer in Cr as (ir & Tr & Ir). change (map Z.to_nat [2]%Z) with [2] in Tr.
  apply is_constant_integer in Cs as (is_ & Ts & Is). change (map Z.to_nat [3]%Z) with [3] in Ts.
  set (D := Z.to_nat n) in *. set (f := cols M) in *. set (o := rows M) in *.
  set (p := Z.to_nat P) in *. set (c := Z.to_nat count) in *.
  assert (Hf : 1 <= f) by (unfold F in HF; lia).
  assert (Hp : 1 <= p) by (unfold p; lia).
  assert (Hc : c = p * f).
  { unfold c, p, f. rewrite <- HP. unfold F. rewrite Z2Nat.inj_mul, Nat2Z.id by lia. reflexivity. }
  assert (Ho : 1 <= o) by (unfold O in HO; nia).
  assert (Bounds : forall i, i < c -> (0 <= at_ (Z.of_nat i) <= n)%Z).
  { intros i Hi. rewrite forallb_forall in A.
    assert (B : In (at_ (Z.of_nat i)) (entries_before at_ c count [])).
    { rewrite entries_before_is, app_nil_r. apply in_map_iff. exists i.
      split; [f_equal; unfold c; lia|apply in_seq; lia]. }
    apply A in B. apply andb_prop in B as [B B']. lia. }
  destruct Fr as [_ C]. cbn [form to_patches from_patches flat_map outputs flatten plain app sort_neuron] in C.
  assert (C1 : constant g padded = None) by (apply C; simpl; tauto).
  assert (C2 : constant g flat = None) by (apply C; simpl; tauto).
  assert (C3 : constant g rows_ = None) by (apply C; simpl; tauto).
  assert (C4 : constant g neurons = None) by (apply C; simpl; tauto).
  assert (C5 : constant g split_ = None) by (apply C; simpl; tauto).
  assert (C6 : constant g turned = None) by (apply C; simpl; tauto).
  do 2 eexists. split; [|split].
  - cbn [form to_patches from_patches app].
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite L, Cp. unfold pad_one. rewrite SV. reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C1. rewrite I.
         unfold gather_columns. cbn [shape_of dims_of]. fold c.
         replace (forallb _ _) with true; [reflexivity|]. symmetry. apply forallb_forall.
         intros i Hi. apply in_seq in Hi. specialize (Bounds i). fold D.
         apply andb_true_intro. split; [apply Z.leb_le|apply Z.ltb_lt]; unfold D; lia. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { erewrite (reshape_value _ _ _ _ _ [f]); [|apply look_bound, C2|exact Tr|apply (Ir 0); simpl; lia| |].
         - unfold reshape. cbn [shape_of volume fold_right].
           replace (m * (c * 1)) with (m * p * (f * 1)) by (rewrite Hc; ring).
           rewrite Nat.div_mul by lia. rewrite Nat.eqb_refl.
           destruct (Nat.leb_spec 1 (f * 1)); [reflexivity|lia].
         - intros [|i] Hi; simpl in Hi; [|lia]. rewrite Ir by (simpl; lia). reflexivity.
         - repeat constructor; lia. }
    unfold from_patches. erewrite evaluate_cons; [|reflexivity|].
    2: { eapply sorted_node_value; [apply look_bound, C3|apply Lw|reflexivity|exact Sw]. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { erewrite (reshape_value _ _ _ _ _ [p; o]); [|apply look_bound, C4|exact Ts|apply (Is 0); simpl; lia| |].
         - unfold reshape. cbn [shape_of volume fold_right].
           replace (m * p * (o * 1)) with (m * (p * (o * 1))) by ring.
           rewrite Nat.div_mul by nia. rewrite Nat.eqb_refl.
           destruct (Nat.leb_spec 1 (p * (o * 1))); [reflexivity|nia].
         - intros [|[|i]] Hi; simpl in Hi; [| |lia]; rewrite Is by (simpl; lia); simpl;
             unfold p, O; lia.
         - repeat constructor; lia. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C5.
         unfold swap_last. cbn [shape_of entry_at]. reflexivity. }
    erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value, flatten. simpl. rewrite look_bound by exact C6. reflexivity.
  - apply bound_result.
  - assert (U : Meaning.count (Flat (O * P)) = o * p).
    { rewrite count_flat. unfold O, o, p. rewrite Z2Nat.inj_mul, Nat2Z.id by lia. reflexivity. }
    rewrite count_flat in U. apply holds_flat. rewrite U, count_flat. fold D.
    cbn [shape_of entry_at volume fold_right apply_op].
    split; [do 2 f_equal; ring|].
    intros b i Hb Hi. rewrite patches_before_length.
    rewrite index_div, index_mod by exact Hi.
    assert (H1 : i mod p < p) by (apply Nat.mod_upper_bound; lia).
    assert (H2 : i / p < o) by (apply Nat.div_lt_upper_bound; [lia|]; lia).
    replace (b * (p * o) + i mod p * o + i / p) with ((b * p + i mod p) * o + i / p) by ring.
    rewrite index_mod, index_div by exact H2.
    apply neuron_ext; intros j Hj; [apply Ew, Hj|].
    replace ((b * p + i mod p) * f + j) with (b * c + (i mod p * f + j)) by (rewrite Hc; ring).
    assert (H3 : i mod p * f + j < c) by (rewrite Hc; nia).
    rewrite (index_mod b c _ H3), (index_div b c _ H3).
    unfold patch. rewrite patches_before_nth by assumption.
    pose proof (Bounds _ H3) as H4. set (q := Z.to_nat (at_ (Z.of_nat (i mod p * f + j)))).
    assert (H5 : q < S D) by (unfold q, D; lia).
    rewrite index_mod, index_div by exact H5.
    unfold Network.padded. destruct (Nat.ltb_spec q D); [|reflexivity].
    apply EV; assumption.
Qed.

(** ** Rank filters *)

Lemma integer_rows_look c p f at_ : integer_rows g c = Some (p, f, at_) ->
  integer_constant g c = Some ([Z.to_nat p; Z.to_nat f], fun i => at_ (Z.of_nat i)).
Proof.
  unfold integer_rows, integer_constant.
  destruct (constant g c) as [[[] [|a [|b [|]]] at']|]; try discriminate.
  destruct (_ <=? _)%Z; [|discriminate]. intros [= <- <- <-]. reflexivity.
Qed.

Lemma means_ranked n pads places count last padded windows largest indices y P F at_ one ranks :
  (0 <= n)%Z -> integer_rows g places = Some (P, F, at_) ->
  integer_array g count = Some (one, ranks) -> one = 1%Z ->
  (1 <= ranks 0 <= F)%Z -> (1 <= P)%Z ->
  forallb (fun i => (0 <=? i)%Z && (i <=? n)%Z)
    (entries_before at_ (Z.to_nat (P * F)) (P * F) []) = true ->
  is_constant g pads Int64 [4]%Z [0; 0; 0; 1]%Z = true ->
  is_constant g last Int64 [] [ranks 0 - 1]%Z = true ->
  step_means (Flat n) (Ranked pads places count last padded windows largest indices y)
    (Rank (patches_before at_ (Z.to_nat F) (Z.to_nat P) []) (Z.to_nat (ranks 0%Z))) (Flat P).
Proof.
  intros N I Q -> K P1 Bd Cp Cl x env v X m Fr E H. apply holds_flat in H as [SV EV].
  assert (L : look env x = Some v) by (apply look_value; [apply Fr; left; reflexivity|exact E]).
  apply integer_rows_look in I. apply integer_look in Q. change (Z.to_nat 1) with 1 in Q.
  apply is_constant_integer in Cl as (il & Tl & Il). change (map Z.to_nat []) with (@nil nat) in Tl.
  specialize (Il 0 ltac:(simpl; lia)). cbn [nth] in Il.
  set (k := Z.to_nat (ranks 0%Z)). set (p := Z.to_nat P) in *. set (f := Z.to_nat F) in *.
  set (D := Z.to_nat n) in *.
  assert (Hk : 1 <= k <= f) by (unfold k, f; lia). assert (Hp : 1 <= p) by (unfold p; lia).
  assert (Kl : Z.to_nat (ranks 0%Z - 1) = k - 1) by (unfold k; lia).
  assert (Bounds : forall i, i < p * f ->
            (0 <= at_ (Z.of_nat i))%Z /\ (at_ (Z.of_nat i) <= n)%Z).
  { intros i Hi. rewrite forallb_forall in Bd.
    assert (U : Z.to_nat (P * F) = p * f) by (apply Z2Nat.inj_mul; lia).
    specialize (Bd (at_ (Z.of_nat i))). rewrite entries_before_is, app_nil_r, U in Bd.
    assert (In (at_ (Z.of_nat i))
      (map (fun j => at_ (P * F - Z.of_nat (p * f) + Z.of_nat j)%Z) (seq 0 (p * f)))).
    { apply in_map_iff. exists i. split; [f_equal; lia|apply in_seq; lia]. }
    apply Bd, andb_prop in H as [B1 B2]. apply Z.leb_le in B1, B2. auto. }
  destruct Fr as [_ C]. cbn [form flat_map outputs plain app] in C.
  assert (C1 : constant g padded = None) by (apply C; simpl; tauto).
  assert (C2 : constant g windows = None) by (apply C; simpl; tauto).
  assert (C3 : constant g largest = None) by (apply C; simpl; tauto).
  do 2 eexists. split; [|split].
  - cbn [form].
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite L, Cp. unfold pad_one. rewrite SV. reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C1. rewrite I.
         unfold gather_windows, gather_columns. cbn [shape_of].
         replace (forallb _ _) with true; [reflexivity|]. symmetry. apply forallb_forall.
         intros i Hi. apply in_seq in Hi. specialize (Bounds i). fold D.
         apply andb_true_intro. split; [apply Z.leb_le|apply Z.ltb_lt]; unfold D; lia. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C2. rewrite Q.
         change (Z.of_nat 0) with 0%Z. fold k.
         unfold largest_last. cbn [shape_of entry_at].
         destruct (Nat.leb_spec k f); [reflexivity|lia]. }
    erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value. simpl. rewrite look_bound by exact C3. rewrite Tl, Il.
    destruct (Z.leb_spec 0 (ranks 0%Z - 1)); [|lia]. rewrite Kl.
    unfold last_entry. cbn [shape_of entry_at].
    destruct (Nat.ltb_spec (k - 1) k); [reflexivity|lia].
  - apply bound_result.
  - apply holds_flat. rewrite count_flat. fold D. fold p.
    cbn [shape_of entry_at apply_op]. split; [reflexivity|].
    intros b i Hb Hi.
    assert (Len : List.length (nth i (patches_before at_ f p []) []) = f).
    { rewrite patches_before_is, app_nil_r.
      set (h := fun p => entries_before (fun i => Z.to_nat (at_ i)) f (Z.of_nat (S p) * Z.of_nat f) []).
      rewrite (nth_indep _ [] (h 0)) by (rewrite map_length, seq_length; exact Hi).
      rewrite map_nth. apply entries_before_length. }
    rewrite Len.
    replace (((b * p + i) * k + (k - 1)) / k) with (b * p + i) by (rewrite index_div; lia).
    replace (((b * p + i) * k + (k - 1)) mod k) with (k - 1) by (rewrite index_mod; lia).
    replace (k - 1 + 1) with k by lia.
    apply order_stat_ext. intros j Hj.
    replace ((b * p + i) * f + j) with (b * (p * f) + (i * f + j)) by ring.
    assert (H3 : i * f + j < p * f) by nia.
    rewrite (index_mod b (p * f) _ H3), (index_div b (p * f) _ H3).
    unfold patch. rewrite patches_before_nth by assumption.
    pose proof (Bounds _ H3) as H4. set (q := Z.to_nat (at_ (Z.of_nat (i * f + j)))).
    assert (H5 : q < S D) by (unfold q, D; lia).
    rewrite index_mod, index_div by exact H5.
    unfold Network.padded. destruct (Nat.ltb_spec q D); [|reflexivity].
    apply EV; assumption.
Qed.

(** ** Order statistics with coefficients of any sign *)

Lemma broadcast_rows_value f x c n o i : shape_of x = [n; 1; i] -> shape_of c = [o; i] -> 1 <= o ->
  exists y, broadcast f x c = Some y /\ shape_of y = [n; o; i] /\
    forall b r j, b < n -> r < o -> j < i ->
      entry_at y ((b * o + r) * i + j) = f (entry_at x (b * i + j)) (entry_at c (r * i + j)).
Proof.
  intros Sx Sc Ho. unfold broadcast. rewrite Sc, Sx.
  destruct (list_eq_dec Nat.eq_dec [o; i] [1; i]) as [E|_].
  - injection E as ->. eexists. split; [reflexivity|]. split; [reflexivity|].
    intros b r j Hb Hr Hj. cbn [entry_at volume fold_right]. replace r with 0 by lia.
    replace ((b * 1 + 0) * i + j) with (b * i + j) by ring.
    replace (1 * (i * 1)) with i by ring. rewrite index_mod by exact Hj. reflexivity.
  - destruct (list_eq_dec Nat.eq_dec [o; i] [n; 1; i]) as [E|_]; [discriminate|].
    unfold broadcast_rows. rewrite Sx, Sc, Nat.eqb_refl.
    eexists. split; [reflexivity|]. split; [reflexivity|].
    intros b r j Hb Hr Hj. cbn [entry_at].
    assert (H : r * i + j < o * i) by nia.
    replace ((b * o + r) * i + j) with (b * (o * i) + (r * i + j)) by ring.
    rewrite index_div, index_mod by exact H.
    replace (b * (o * i) + (r * i + j)) with ((b * o + r) * i + j) by ring.
    rewrite index_mod by exact Hj. reflexivity.
Qed.

Lemma means_weighted n W C axis_one axis_two count row differences distances largest indices
    terms y M K :
  matrix_at g W = Some M -> matrix_at g C = Some K -> Z.of_nat (cols M) = n ->
  rows K = rows M -> 1 <= cols K <= cols M -> 1 <= rows M ->
  is_constant g axis_one Int64 [1]%Z [1]%Z = true ->
  is_constant g axis_two Int64 [1]%Z [2]%Z = true ->
  is_constant g count Int64 [1]%Z [Z.of_nat (cols K)] = true ->
  step_means (Flat n)
    (Weighted W C axis_one axis_two count row differences distances largest indices terms y)
    (Signed M K) (Flat (Z.of_nat (rows M))).
Proof.
  intros V V' <- Rk Hk Hr A1 A2 Ac x env a X m F E H. apply holds_flat in H as [SV EV].
  rewrite Nat2Z.id in SV, EV.
  assert (L : look env x = Some a) by (apply look_value; [apply F; left; reflexivity|exact E]).
  destruct (matrix_look _ _ V) as (w & Lw & Sw & Ew).
  destruct (matrix_look _ _ V') as (c & Lc & Sc & Ec). rewrite Rk in Sc.
  apply is_constant_integer in Ac as (ic & Tc & Ic). change (map Z.to_nat [1]%Z) with [1] in Tc.
  specialize (Ic 0 ltac:(simpl; lia)). cbn [nth] in Ic.
  destruct F as [_ Cn]. cbn [form flat_map outputs plain app] in Cn.
  assert (C1 : constant g row = None) by (apply Cn; simpl; tauto).
  assert (C2 : constant g differences = None) by (apply Cn; simpl; tauto).
  assert (C3 : constant g distances = None) by (apply Cn; simpl; tauto).
  assert (C4 : constant g largest = None) by (apply Cn; simpl; tauto).
  assert (C5 : constant g terms = None) by (apply Cn; simpl; tauto).
  set (i := cols M) in *. set (o := rows M) in *. set (k := cols K) in *.
  destruct (broadcast_rows_value Rminus (Array [m; 1; i] (entry_at a)) w m o i eq_refl Sw Hr)
    as (d & Bd & Sd & Ed). cbn [entry_at] in Ed.
  set (q := fun e => order_stat i (fun j => Rabs (entry_at d (e / k * i + j))) (e mod k + 1)).
  assert (Bc : broadcast Rmult (Array [m; o; k] q) c =
               Some (Array [m; o; k] (fun e => (q e * entry_at c (e mod (o * k)))%R))).
  { rewrite (broadcast_sample Rmult (Array [m; o; k] q) c m [o; k]);
      [|discriminate|exact Sc|reflexivity].
    cbn [volume fold_right entry_at]. replace (o * (k * 1)) with (o * k) by ring. reflexivity. }
  do 2 eexists. split; [|split].
  - cbn [form].
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite L, A1. unfold one_row. rewrite SV. reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C1. rewrite Lw. exact Bd. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C2. reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C3. rewrite Tc, Ic.
         rewrite Nat2Z.id. unfold largest_last, map_array. cbn [shape_of entry_at]. rewrite Sd.
         destruct (Nat.leb_spec k i); [reflexivity|lia]. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C4. rewrite Lc. exact Bc. }
    erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value. simpl. rewrite look_bound by exact C5. rewrite A2. reflexivity.
  - apply bound_result.
  - apply holds_flat. rewrite Nat2Z.id. cbn [shape_of entry_at].
    split; [reflexivity|]. intros b r Hb Hq. cbn [apply_op]. fold k i.
    apply sum_ext. intros j Hj. unfold q.
    rewrite index_div, index_mod by exact Hj.
    assert (H3 : r * k + j < o * k) by nia.
    replace ((b * o + r) * k + j) with (b * (o * k) + (r * k + j)) by ring.
    rewrite index_mod by exact H3. rewrite Ec by exact Hj.
    rewrite Rmult_comm. f_equal. apply order_stat_ext. intros l Hl. f_equal.
    rewrite Ed by assumption. rewrite EV by assumption. rewrite Ew by exact Hl. reflexivity.
Qed.

(** ** Piecewise-linear functions *)

Lemma same_list l m : list_eqb Z.eqb l m = true -> l = m.
Proof. apply list_eqb_sound. intros a b. apply Z.eqb_eq. Qed.

Lemma broadcast_last_value f x c n m q p : shape_of x = [n; m; q] -> shape_of c = [p] ->
  q = p \/ q = 1 -> 1 <= p ->
  exists y, broadcast f x c = Some y /\ shape_of y = [n; m; p] /\
    forall i j, j < p ->
      entry_at y (i * p + j) = f (entry_at x (if q =? p then i * p + j else i)) (entry_at c j).
Proof.
  intros Sx Sc Q P. unfold broadcast. rewrite Sc, Sx.
  destruct (list_eq_dec Nat.eq_dec [p] [m; q]) as [E|_]; [discriminate|].
  destruct (list_eq_dec Nat.eq_dec [p] [n; m; q]) as [E|_]; [discriminate|].
  unfold broadcast_rows. rewrite Sc, Sx.
  assert (R : match m with 1 => @None array | _ => None end = None) by (destruct m as [|[|]]; reflexivity).
  replace (match m with 1 => None | _ => None end) with (@None array).
  unfold broadcast_last. rewrite Sx, Sc. destruct (Nat.eqb_spec q p) as [->|N].
  - eexists. split; [reflexivity|]. split; [reflexivity|]. intros i j Hj. cbn [entry_at].
    rewrite index_mod by exact Hj. reflexivity.
  - destruct Q as [Q| ->]; [contradiction|]. cbn [Nat.eqb].
    eexists. split; [reflexivity|]. split; [reflexivity|]. intros i j Hj. cbn [entry_at].
    rewrite index_mod, index_div by exact Hj. reflexivity.
Qed.

Lemma means_pieced n axis begins stops origins slopes column raised clipped parts terms y M b e o
    knots :
  matrix_at g slopes = Some M -> vector g begins = Some b -> vector g stops = Some e ->
  vector g origins = Some o -> Z.of_nat (rows M) = n -> 1 <= List.length knots ->
  cols M = S (List.length knots) -> b = minus_infinite :: knots -> e = knots ++ [infinite] ->
  o = hd 0%Z knots :: knots -> is_constant g axis Int64 [1]%Z [2]%Z = true ->
  step_means (Flat n)
    (Pieced axis begins stops origins slopes column raised clipped parts terms y)
    (Pieces knots M) (Flat n).
Proof.
  intros V Vb Ve Vo <- Hk Hc -> -> -> Ax x env a X k F E H. apply holds_flat in H as [SV EV].
  rewrite Nat2Z.id in SV, EV.
  assert (L : look env x = Some a) by (apply look_value; [apply F; left; reflexivity|exact E]).
  destruct (matrix_look _ _ V) as (w & Lw & Sw & Ew). rewrite Hc in Sw, Ew.
  destruct (vector_look _ _ Vb) as (vb & Lb & Sb & Eb).
  destruct (vector_look _ _ Ve) as (ve & Le & Se & Ee).
  destruct (vector_look _ _ Vo) as (vo & Lo & So & Eo).
  rewrite app_length in Se, Ee. cbn [List.length] in Sb, Eb, Se, Ee, So, Eo.
  set (d := rows M) in *. set (p := S (List.length knots)) in *.
  replace (List.length knots + 1) with p in Se, Ee by (unfold p; lia).
  assert (A1 : is_constant g axis Int64 [1]%Z [1]%Z = false).
  { unfold is_constant in Ax |- *. destruct (constant g axis) as [[ty dm at_]|]; [|discriminate].
    apply andb_prop in Ax as [_ Ax]. apply andb_false_intro2. simpl in Ax |- *.
    apply andb_prop in Ax as [Ax _]. apply Z.eqb_eq in Ax. rewrite Ax. reflexivity. }
  destruct F as [_ Cn]. cbn [form flat_map outputs plain app] in Cn.
  assert (C1 : constant g column = None) by (apply Cn; simpl; tauto).
  assert (C2 : constant g raised = None) by (apply Cn; simpl; tauto).
  assert (C3 : constant g clipped = None) by (apply Cn; simpl; tauto).
  assert (C4 : constant g parts = None) by (apply Cn; simpl; tauto).
  assert (C5 : constant g terms = None) by (apply Cn; simpl; tauto).
  assert (P1 : 1 <= p) by (unfold p; lia).
  destruct (broadcast_last_value Rmax (Array [k; d; 1] (entry_at a)) vb k d 1 p eq_refl Sb
    (or_intror eq_refl) P1) as (r & Br & Sr & Er).
  destruct (broadcast_last_value Rmin r ve k d p p Sr Se (or_introl eq_refl) P1)
    as (c & Bc & Sc & Ec).
  destruct (broadcast_last_value Rminus c vo k d p p Sc So (or_introl eq_refl) P1)
    as (q & Bq & Sq & Eq).
  rewrite Nat.eqb_refl in Ec, Eq.
  assert (Bt : broadcast Rmult q w =
               Some (Array [k; d; p] (fun i => (entry_at q i * entry_at w (i mod (d * p)))%R))).
  { rewrite (broadcast_sample Rmult q w k [d; p]); [|discriminate|exact Sw|exact Sq].
    cbn [volume fold_right]. replace (d * (p * 1)) with (d * p) by ring. reflexivity. }
  do 2 eexists. split; [|split].
  - cbn [form].
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite L, A1, Ax. unfold one_column. rewrite SV.
         reflexivity. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C1. rewrite Lb. exact Br. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C2. rewrite Le. exact Bc. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C3. rewrite Lo. exact Bq. }
    erewrite evaluate_cons; [|reflexivity|].
    2: { unfold Meaning.node_value. simpl. rewrite look_bound by exact C4. rewrite Lw. exact Bt. }
    erewrite evaluate_cons; [reflexivity|reflexivity|].
    unfold Meaning.node_value. simpl. rewrite look_bound by exact C5. rewrite Ax. reflexivity.
  - apply bound_result.
  - apply holds_flat. rewrite Nat2Z.id. cbn [shape_of entry_at].
    split; [reflexivity|]. intros i s Hi Hs. cbn [apply_op]. unfold pieces. fold p.
    apply sum_ext. intros j Hj.
    assert (H3 : s * p + j < d * p) by nia.
    replace ((i * d + s) * p + j) with (i * (d * p) + (s * p + j)) at 2 by ring.
    rewrite index_mod by exact H3. rewrite Ew by exact Hj.
    rewrite Rmult_comm. f_equal. rewrite Eq, Ec, Er by exact Hj. cbn [entry_at].
    rewrite Eb, Ee, Eo by (unfold p in Hj; lia).
    assert (Xa : entry_at a (if 1 =? p then (i * d + s) * p + j else i * d + s) = X i s).
    { destruct (Nat.eqb_spec 1 p) as [P|_]; [unfold p in P; lia|]. apply EV; assumption. }
    rewrite Xa. unfold part, clamp, piece_origin.
    assert (Q1 : entry_of (minus_infinite :: knots) j = entry_of (piece_ends knots) j).
    { unfold entry_of, piece_ends. f_equal. destruct j as [|j]; [reflexivity|]. cbn [nth].
      rewrite app_nth1 by (unfold p in Hj; lia). reflexivity. }
    assert (Q2 : entry_of (hd 0%Z knots :: knots) j = entry_of (piece_ends knots) (Nat.max j 1)).
    { unfold entry_of, piece_ends. f_equal. destruct j as [|j].
      - cbn [Nat.max nth]. destruct knots; [simpl in Hk; lia|reflexivity].
      - replace (Nat.max (S j) 1) with (S j) by lia. cbn [nth].
        rewrite app_nth1 by (unfold p in Hj; lia). reflexivity. }
    rewrite Q1, Q2. reflexivity.
Qed.

(** ** The chain *)

Lemma flat_positive n : (1 <= n)%Z -> positive_shape (Flat n).
Proof. intros H. split; [discriminate|]. repeat constructor. exact H. Qed.

Lemma operation_positive sh s o to : positive_shape sh -> operation g sh s = Some (o, to) ->
  (1 <= units to)%Z -> positive_shape to.
Proof.
  intros Pos E U.
  assert (H : to = sh \/ exists n, to = Flat n).
  { destruct s; cbn [operation] in E;
      repeat match type of E with
      | (if ?a then _ else _) = _ => destruct a; try discriminate
      | match ?a with _ => _ end = _ => destruct a; try discriminate
      end; injection E as <- <-; eauto. }
  destruct H as [->|[n ->]]; [assumption|]. apply flat_positive.
  unfold units in U. cbn [dims_in fold_right] in U. lia.
Qed.

Lemma step_sound sh s o to : positive_shape sh -> operation g sh s = Some (o, to) ->
  (1 <= units to)%Z -> step_means sh s o to /\ count to = out_size o (count sh).
Proof.
  intros Pos E U.
  assert (Flat_ : forall n, sh = Flat n -> (1 <= n)%Z).
  { intros n ->. destruct Pos as [_ P]. apply Forall_inv in P. exact P. }
  destruct s; cbn [operation] in E.
  - destruct (each_unit g sh mean) eqn:?; [|discriminate].
    destruct (each_unit g sh std) eqn:?; [|discriminate].
    destruct (Bool.eqb _ _); [|discriminate].
    injection E as <- <-. split; [apply means_normalized; assumption|reflexivity].
  - injection E as <- <-. split; [apply means_flattened, Pos|]. rewrite count_flat. reflexivity.
  - destruct sh as [|n]; [discriminate|]. destruct (matrix_at g W) eqn:V; [|discriminate].
    destruct ((Z.of_nat (cols m) =? n)%Z && (1 <=? k)%Z && (k <=? n)%Z) eqn:B; [|discriminate].
    injection E as <- <-. apply andb_prop in B as [B _]. apply andb_prop in B as [B _].
    apply Z.eqb_eq in B. split; [apply means_sorted; assumption|].
    rewrite count_flat. apply Nat2Z.id.
  - destruct sh as [|n]; [discriminate|]. destruct (matrix_at g W) eqn:V; [|discriminate].
    destruct (integer_array g places) as [[c at_]|] eqn:I; [|discriminate].
    destruct ((1 <=? k)%Z && (k <=? Z.of_nat (cols m))%Z) eqn:B1; [|discriminate].
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B2; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B3; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B4; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B5; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B6; [|discriminate] end.
    injection E as <- <-. unfold units in U. cbn [dims_in fold_right] in U.
    pose proof (Flat_ n eq_refl) as Fn.
    apply andb_prop in B1 as [K1 K2]. apply andb_prop in B2 as [B2 _].
    apply andb_prop in B2 as [Q1 Q2].
    apply Z.leb_le in K1, K2, Q2. apply Z.eqb_eq in Q1.
    split; [apply means_convolved; try assumption; lia|].
    rewrite count_flat. cbn [out_size].
    rewrite patches_before_length, Z2Nat.inj_mul, Nat2Z.id by lia. reflexivity.
  - destruct sh as [|n]; [discriminate|]. destruct (vector g c) eqn:V; [|discriminate].
    destruct (Z.eqb_spec (Z.of_nat (List.length l)) n) as [B|]; [|discriminate].
    injection E as <- <-. split; [apply means_shifted; assumption|reflexivity].
  - destruct sh as [|n]; [discriminate|]. destruct (vector g c) eqn:V; [|discriminate].
    destruct (Z.eqb_spec (Z.of_nat (List.length l)) n) as [B|]; [|discriminate].
    injection E as <- <-. split; [apply means_biased; assumption|reflexivity].
  - injection E as <- <-. split; [apply means_negated|reflexivity].
  - destruct sh as [|n]; [discriminate|]. destruct (matrix_at g W) eqn:V; [|discriminate].
    destruct (vector g b) eqn:V'; [|discriminate].
    destruct (Z.eqb_spec (Z.of_nat (cols m)) n) as [B|]; [|discriminate].
    destruct (Nat.eqb_spec (List.length l) (rows m)) as [B'|]; [|discriminate].
    injection E as <- <-. split; [apply means_mapped; assumption|].
    rewrite count_flat. apply Nat2Z.id.
  - destruct sh as [|n]; [discriminate|].
    match type of E with match ?a with _ => _ end = _ => destruct a as [[one sizes]|] eqn:I; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:T; [|discriminate] end.
    injection E as <- <-.
    apply andb_prop in B as [B B4]. apply andb_prop in B as [B B3]. apply andb_prop in B as [B1 B2].
    apply Z.eqb_eq in B1, B4. apply Z.leb_le in B2, B3.
    split; [eapply means_grouped; try eassumption; lia|reflexivity].
  - split; [eapply means_activated; exact E|].
    destruct (String.eqb operator "Relu"); [injection E as <- <-; reflexivity|].
    destruct (String.eqb operator "Abs"); [injection E as <- <-; reflexivity|].
    destruct (String.eqb operator "Tanh"); [injection E as <- <-; reflexivity|discriminate].
  - destruct sh as [|n]; [discriminate|].
    destruct (integer_rows g places) as [[[P F] at_]|] eqn:I; [|discriminate].
    match type of E with match ?a with _ => _ end = _ => destruct a as [[one ranks]|] eqn:Q; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B1; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B2; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B3; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B4; [|discriminate] end.
    injection E as <- <-. pose proof (Flat_ n eq_refl) as Fn.
    apply andb_prop in B1 as [B1 Q4]. apply andb_prop in B1 as [B1 Q3].
    apply andb_prop in B1 as [Q1 Q2]. apply Z.eqb_eq in Q1. apply Z.leb_le in Q2, Q3, Q4.
    split; [eapply means_ranked; try eassumption; lia|].
    rewrite count_flat. cbn [out_size]. rewrite patches_before_length. reflexivity.
  - destruct sh as [|n]; [discriminate|]. destruct (matrix_at g slopes) eqn:V; [|discriminate].
    destruct (vector g begins) eqn:V1; [|discriminate].
    destruct (vector g stops) eqn:V2; [|discriminate].
    destruct (vector g origins) eqn:V3; [|discriminate].
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B1; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B2; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B3; [|discriminate] end.
    injection E as <- <-.
    apply andb_prop in B1 as [B1 Q3]. apply andb_prop in B1 as [Q1 Q2].
    apply andb_prop in B2 as [B2 R3]. apply andb_prop in B2 as [R1 R2].
    apply Z.eqb_eq in Q1. apply Nat.leb_le in Q2. apply Nat.eqb_eq in Q3.
    split; [eapply means_pieced; try eassumption; apply same_list; assumption|reflexivity].
  - destruct sh as [|n]; [discriminate|]. destruct (matrix_at g W) eqn:V; [|discriminate].
    destruct (matrix_at g C) eqn:V'; [|discriminate].
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B1; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B2; [|discriminate] end.
    match type of E with (if ?a then _ else _) = _ => destruct a eqn:B3; [|discriminate] end.
    injection E as <- <-. unfold units in U. cbn [dims_in fold_right] in U.
    apply andb_prop in B1 as [B1 Q4]. apply andb_prop in B1 as [B1 Q3].
    apply andb_prop in B1 as [Q1 Q2]. apply andb_prop in B2 as [A1 A2].
    apply Z.eqb_eq in Q1. apply Nat.eqb_eq in Q2. apply Nat.leb_le in Q3, Q4.
    split; [apply means_weighted; try assumption; lia|].
    rewrite count_flat. apply Nat2Z.id.
Qed.

Lemma result_in_form x s : In (result s) (flat_map outputs (form x s)).
Proof. destruct s; simpl; tauto. Qed.

Lemma NoDup_after {A} (x : A) l m : NoDup (l ++ m) -> In x l -> NoDup (x :: m).
Proof.
  intros N I. induction l as [|a l IH]; [destruct I|].
  apply NoDup_cons_iff in N as [N N']. destruct I as [->|I]; [|apply IH; assumption].
  constructor.
  - intros H. apply N, in_or_app. right. exact H.
  - clear - N'. induction l as [|a l IH]; [exact N'|].
    apply NoDup_cons_iff in N' as [_ N']. apply IH, N'.
Qed.

Lemma chain_sound l : forall room sh os last x env v X n,
  positive_shape sh -> operations g room sh l = Some (os, last) ->
  fresh x (forms x l) -> env x = Some v -> holds sh X n v ->
  exists env' v', evaluate env (forms x l) = Some env' /\ env' (result_of x l) = Some v' /\
    holds last (fun b => eval_ops os (count sh) (X b)) n v'.
Proof.
  induction l as [|s l IH]; intros room sh os last x env v X n Pos O F E H.
  - injection O as <- <-. exists env, v. auto.
  - cbn [operations] in O.
    destruct (operation g sh s) as [[o to]|] eqn:Os; [|discriminate].
    match type of O with (if ?a then _ else _) = _ => destruct a eqn:B; [|discriminate] end.
    destruct (operations g (room - work o sh to) to l) as [[os' last']|] eqn:Ol; [|discriminate].
    injection O as <- <-.
    apply andb_prop in B as [B _]. apply andb_prop in B as [_ B]. apply Z.leb_le in B.
    destruct (step_sound _ _ _ _ Pos Os B) as [S C].
    pose proof (operation_positive _ _ _ _ Pos Os B) as Pos'.
    destruct F as [N K]. cbn [forms] in N, K. rewrite flat_map_app in N, K.
    assert (F1 : fresh x (form x s)).
    { split.
      - change (NoDup ((x :: flat_map outputs (form x s)) ++ flat_map outputs (forms (result s) l))) in N.
        clear - N. set (m := flat_map outputs (forms (result s) l)) in N. clearbody m.
        induction (x :: flat_map outputs (form x s)) as [|a q IH]; [constructor|].
        apply NoDup_cons_iff in N as [N N']. constructor; [|apply IH, N'].
        intros I. apply N, in_or_app. left. exact I.
      - intros a I. apply K. destruct I as [I|I]; [left; exact I|]. right. apply in_or_app. left. exact I. }
    destruct (S x env v X n F1 E H) as (env1 & v1 & E1 & R1 & H1).
    assert (F2 : fresh (result s) (forms (result s) l)).
    { apply NoDup_cons_iff in N as [_ N]. split.
      - apply NoDup_after with (1 := N), result_in_form.
      - intros a I. apply K. right. apply in_or_app.
        destruct I as [<-|I]; [left; apply result_in_form|right; exact I]. }
    destruct (IH _ _ _ _ _ _ _ _ _ Pos' Ol F2 R1 H1) as (env2 & v2 & E2 & R2 & H2).
    exists env2, v2. cbn [forms result_of]. rewrite evaluate_app, E1.
    split; [exact E2|]. split; [exact R2|].
    destruct H2 as [Sh En]. split; [exact Sh|]. intros b i Hb Hi. rewrite En by assumption.
    cbn [eval_ops]. rewrite C. reflexivity.
Qed.

(** ** Names *)

Lemma distinct_nodup l : distinct l = true -> NoDup l.
Proof.
  induction l as [|a l IH]; intros H; [constructor|]. simpl in H.
  apply andb_prop in H as [H H']. constructor; [|apply IH, H'].
  intros I. apply negb_true_iff in H. rewrite <- not_true_iff_false in H. apply H.
  apply existsb_exists. exists a. split; [exact I|apply String.eqb_refl].
Qed.

Lemma constant_none a : ~ In a (constant_names g) -> constant g a = None.
Proof.
  intros H. unfold constant. destruct (find _ _) as [[c t]|] eqn:F; [|reflexivity].
  apply find_some in F as [F E]. apply String.eqb_eq in E. simpl in E. subst c.
  destruct H. apply in_map_iff. exists (a, t). auto.
Qed.

Lemma well_formed_fresh l rest : well_formed g = true -> nodes g = l ++ rest ->
  fresh "input" l.
Proof.
  unfold well_formed. intros W N. rewrite !andb_true_iff in W.
  destruct W as [[[_ D] _] _]. apply distinct_nodup in D.
  assert (O : node_outputs g = flat_map outputs l ++ flat_map outputs rest).
  { unfold node_outputs. rewrite N. apply flat_map_app. }
  rewrite O in D. apply NoDup_cons_iff in D as [I D].
  assert (H : forall a, In a ("input" :: flat_map outputs l) -> ~ In a (constant_names g)).
  { intros a [<-|Ha] Hc.
    - apply I, in_or_app. left. exact Hc.
    - clear - D Ha Hc. induction (constant_names g) as [|c cs IH]; [destruct Hc|].
      apply NoDup_cons_iff in D as [D D']. destruct Hc as [->|Hc]; [|apply IH; assumption].
      apply D. apply in_or_app. right. apply in_or_app. left. exact Ha. }
  split; [|intros a Ha; apply constant_none, H, Ha].
  constructor.
  - intros Ha. apply I. apply in_or_app. right. apply in_or_app. left. exact Ha.
  - clear - D. induction (constant_names g) as [|c cs IH].
    + simpl in D. induction (flat_map outputs l) as [|a q IH]; [constructor|].
      apply NoDup_cons_iff in D as [D D']. constructor; [|apply IH, D'].
      intros Ia. apply D, in_or_app. left. exact Ia.
    + apply NoDup_cons_iff in D as [_ D]. apply IH, D.
Qed.

(** ** The theorem *)

Lemma traverse_some {A} (l : list (option A)) m : traverse (fun d => d) l = Some m -> l = map Some m.
Proof.
  revert m. induction l as [|a l IH]; intros m H; cbn [traverse] in H.
  - injection H as <-. reflexivity.
  - destruct a as [a|]; [|discriminate]. destruct (traverse _ l) as [m'|] eqn:E; [|discriminate].
    injection H as <-. cbn [map]. rewrite (IH m' eq_refl). reflexivity.
Qed.

Lemma sample_positive start : sample g = Some start -> positive_shape start.
Proof.
  unfold sample. intros H.
  destruct (graph_inputs g) as [|[name type [|[|] free]] [|]]; try discriminate H.
  destruct (_ && _); [|discriminate H].
  destruct (traverse _ free) as [dims|]; [|discriminate H].
  destruct (forallb _ dims) eqn:B; [|discriminate H].
  assert (P : Forall (fun d => (1 <= d)%Z) dims).
  { apply Forall_forall. intros d Hd. rewrite forallb_forall in B. specialize (B d Hd).
    apply andb_prop in B as [B _]. apply Z.leb_le, B. }
  destruct dims as [|a [|b dims]]; [discriminate H| |].
  - injection H as <-. split; [discriminate|exact P].
  - destruct (_ <=? _)%Z; [|discriminate H]. injection H as <-. split; [discriminate|exact P].
Qed.

(** The region has the size of a sample. *)
Lemma region_size start k b D : region_of g start k b = Some D ->
  List.length (lows D) = count start.
Proof.
  unfold region_of. destruct k as [|unit].
  - destruct (_ =? 3); [|discriminate]. destruct (_ && _); [|discriminate]. intros [= <-].
    apply repeat_length.
  - destruct (array_at g start (box_low b)) as [l|] eqn:L; [|discriminate].
    destruct (array_at g start (box_high b)); [|discriminate].
    destruct (array_at g start unit); [|discriminate]. intros [= <-].
    destruct (array_look _ _ _ L) as (a & _ & _ & E & _). exact E.
Qed.

(** The part of a file's nodes that computes the logits, on an array of n samples. *)
Theorem graph_computes_network room f : denotes g room f ->
  exists start classes l rest,
    sample g = Some start /\ nodes g = l ++ rest /\
    forall (X : nat -> vec) n v env, env "input" = Some v -> holds start X n v ->
      exists env' y, evaluate env l = Some env' /\ env' "logits" = Some y /\
        holds (Flat classes) (fun b => logits (file_network f) (X b)) n y.
Proof.
  intros H.
  assert (G : exists start steps os classes rest,
    well_formed g = true /\ sample g = Some start /\ nodes g = forms "input" steps ++ rest /\
    result_of "input" steps = "logits" /\
    operations g room start steps = Some (os, Flat classes) /\
    ops (file_network f) = os /\ input_size (file_network f) = count start).
  { destruct H; do 5 eexists; repeat (split; [eassumption|]); split; [reflexivity| |reflexivity|];
      unfold input_size; cbn [file_network input]; eapply region_size; eassumption. }
  destruct G as (start & steps & os & classes & rest & W & I & N & R & O & Os & Is).
  exists start, classes, (forms "input" steps), rest.
  split; [exact I|]. split; [exact N|]. intros X n v env E V.
  destruct (chain_sound steps room start os (Flat classes) "input" env v X n
    (sample_positive _ I) O (well_formed_fresh _ _ W N) E V) as (env' & y & E' & Y & L).
  exists env', y. rewrite R in Y. split; [exact E'|]. split; [exact Y|].
  unfold logits. rewrite Os, Is. exact L.
Qed.

End In.
