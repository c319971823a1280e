(** * Theorems 3.5 and 3.6 and the G^s bounds *)

From Coq Require Import Reals Lra Lia Arith List Permutation Bool.
From SortNet Require Import Definitions Statements Sums OrderStatistics Mass Lipschitz.
Import ListNotations.
Open Scope R_scope.

(** ** Counting ones *)

Lemma ones_ext d x y : (forall i, (i < d)%nat -> x i = y i) -> ones d x = ones d y.
Proof.
  induction d as [|d IH]; intros H; simpl; [reflexivity|].
  rewrite IH by (intros; apply H; lia). rewrite H by lia. reflexivity.
Qed.

Lemma ones_le d x : (ones d x <= d)%nat.
Proof. induction d; simpl; [lia|]. destruct (x d); lia. Qed.

Lemma ones_shift d x :
  (ones d (fun i => x (S i)) + (if x 0%nat then 1 else 0) = ones (S d) x)%nat.
Proof. induction d as [|d IH]; simpl in *; lia. Qed.

(** Rotation keeps the number of ones. *)
Lemma ones_rotate d x c : (0 < d)%nat ->
  ones d (fun i => x ((i + c) mod d)%nat) = ones d x.
Proof.
  intros Hd. induction c as [|c IH].
  - apply ones_ext. intros i Hi. rewrite Nat.add_0_r, Nat.mod_small by exact Hi. reflexivity.
  - rewrite <- IH.
    pose proof (ones_shift d (fun i => x ((i + c) mod d)%nat)) as E. simpl in E.
    rewrite (ones_ext d _ (fun i => x (S (i + c) mod d)%nat))
      by (intros i _; rewrite <- Nat.add_succ_comm; reflexivity).
    replace ((d + c) mod d)%nat with (c mod d)%nat in E; [lia|].
    replace (d + c)%nat with (c + 1 * d)%nat by lia. symmetry. apply Nat.mod_add. lia.
Qed.

Lemma ones_prefix d k : (k <= d)%nat -> ones d (fun i => i <? k)%nat = k.
Proof.
  intros H. assert (G : ones d (fun i => i <? k)%nat = Nat.min d k); [|lia]. clear H.
  induction d as [|d IH]; [reflexivity|]. cbn [ones]. rewrite IH.
  destruct (Nat.ltb_spec d k); lia.
Qed.

Theorem cyclic_ones : cyclic_ones_statement.
Proof.
  intros d s k Hs Hk. unfold cyclic.
  rewrite (ones_rotate d (fun i => i <? k)%nat) by lia. apply ones_prefix, Hk.
Qed.

(** A non-constant function of the number of ones has a jump. *)
Lemma jump_exists d g : symmetric d g -> nonconstant g ->
  exists k, (1 <= k <= d)%nat /\ jump d g k.
Proof.
  intros Hg (a & b & Hab).
  set (h := fun k => g (fun i => i <? k)%nat).
  assert (E : forall z, g z = h (ones d z)).
  { intros z. apply Hg. symmetry. apply ones_prefix, ones_le. }
  assert (D : forall n, (exists k, (1 <= k <= n)%nat /\ h (k - 1)%nat <> h k) \/
                        (forall k, (k <= n)%nat -> h k = h 0%nat)).
  { induction n as [|n IH].
    - right. intros k Hk. replace k with 0%nat by lia. reflexivity.
    - destruct IH as [(k & Hk & N)|IH]; [left; exists k; split; [lia|exact N]|].
      destruct (bool_dec (h n) (h (S n))) as [Q|Q].
      + right. intros k Hk. destruct (Nat.eq_dec k (S n)) as [->|]; [|apply IH; lia].
        rewrite <- Q. apply IH. lia.
      + left. exists (S n). split; [lia|]. simpl. rewrite Nat.sub_0_r. exact Q. }
  destruct (D d) as [(k & Hk & N)|C].
  - exists k. split; [exact Hk|]. intros x y Hx Hy. rewrite (E x), (E y), Hx, Hy. exact N.
  - destruct Hab. rewrite (E a), (E b), (C _ (ones_le d a)), (C _ (ones_le d b)). reflexivity.
Qed.

(** ** The cyclic pairs differ in one coordinate each *)

Lemma mod_shift_back d s c : (s < d)%nat -> (c < d)%nat ->
  (((s + c) mod d + (d - c)) mod d = s)%nat.
Proof.
  intros Hs Hc. rewrite Nat.add_mod_idemp_l by lia.
  replace (s + c + (d - c))%nat with (s + 1 * d)%nat by lia.
  rewrite Nat.mod_add by lia. apply Nat.mod_small, Hs.
Qed.

Lemma cyclic_pairs d k : (1 <= k <= d)%nat ->
  single_coordinate_pairs d d
    (fun s => to_vec (cyclic d s (k - 1))) (fun s => to_vec (cyclic d s k))
    (fun s => (s + (k - 1)) mod d)%nat.
Proof.
  intros Hk. split; [|split].
  - intros s i Hs Hi Hne. unfold to_vec, cyclic.
    assert (N : ((i + (d - s)) mod d <> k - 1)%nat).
    { intros E. apply Hne. rewrite <- E, Nat.add_mod_idemp_r by lia.
      replace (s + (i + (d - s)))%nat with (i + 1 * d)%nat by lia.
      rewrite Nat.mod_add by lia. symmetry. apply Nat.mod_small, Hi. }
    destruct (Nat.ltb_spec ((i + (d - s)) mod d) k);
      destruct (Nat.ltb_spec ((i + (d - s)) mod d) (k - 1)); (reflexivity || lia).
  - intros s _. unfold to_vec.
    destruct (cyclic d s k _); destruct (cyclic d s (k - 1) _); apply Rabs_le; lra.
  - intros s s' Hs Hs' E.
    rewrite <- (mod_shift_back d s (k - 1)), <- (mod_shift_back d s' (k - 1)) by lia.
    rewrite E. reflexivity.
Qed.

Lemma to_vec_in_cube d x : in_cube d (to_vec x).
Proof. intros i _. unfold to_vec. destruct (x i); lra. Qed.

(** ** Bounds for any function of given mass on the cyclic pairs *)

Notation cyclic_mass d k :=
  (mass d (fun s => to_vec (cyclic d s (k - 1))) (fun s => to_vec (cyclic d s k))).

(** At a pair with opposite labels the difference of the two logits moves by 4r. *)
Lemma opposite_labels C f x y (a b : bool) r : (2 <= C)%nat -> a <> b ->
  certified C f x (class_of a) r -> certified C f y (class_of b) r ->
  4 * r <= Rabs (f y 0%nat - f x 0%nat) + Rabs (f y 1%nat - f x 1%nat).
Proof.
  intros HC Hab Hx Hy.
  pose proof (Rle_abs (f y 0%nat - f x 0%nat)). pose proof (Rle_abs (f y 1%nat - f x 1%nat)).
  pose proof (Rle_abs (f x 0%nat - f y 0%nat)) as A.
  pose proof (Rle_abs (f x 1%nat - f y 1%nat)) as B.
  rewrite Rabs_minus_sym in A, B.
  destruct a, b; try congruence; simpl in Hx, Hy.
  - specialize (Hx 0%nat ltac:(lia) ltac:(lia)). specialize (Hy 1%nat ltac:(lia) ltac:(lia)). lra.
  - specialize (Hx 1%nat ltac:(lia) ltac:(lia)). specialize (Hy 0%nat ltac:(lia) ltac:(lia)). lra.
Qed.

Lemma data_pair d g k C f r s : (1 <= k <= d)%nat -> jump d g k -> (2 <= C)%nat ->
  certified_on (cyclic_data d k) g C f r -> (s < d)%nat ->
  let x := to_vec (cyclic d s (k - 1)) in
  let y := to_vec (cyclic d s k) in
  4 * r <= Rabs (f y 0%nat - f x 0%nat) + Rabs (f y 1%nat - f x 1%nat).
Proof.
  intros Hk Hj HC Hf Hs x y.
  apply (opposite_labels C f x y (g (cyclic d s (k - 1))) (g (cyclic d s k))); [exact HC| | |].
  - apply Hj; apply cyclic_ones; lia.
  - apply Hf. exists s. auto.
  - apply Hf. exists s. auto.
Qed.

Lemma radius_from_mass d g k C f r M : (1 <= k <= d)%nat -> jump d g k -> (2 <= C)%nat ->
  (forall i, (i < C)%nat -> cyclic_mass d k (fun z => f z i) <= M) ->
  certified_on (cyclic_data d k) g C f r -> r <= M / (2 * INR d).
Proof.
  intros Hk Hj HC HM Hf.
  assert (Hd : 0 < INR d) by (apply lt_0_INR; lia).
  assert (T : INR d * (4 * r) <= M + M).
  { rewrite <- sum_const.
    eapply Rle_trans;
      [apply sum_le; intros s Hs; apply (data_pair d g k C f r s Hk Hj HC Hf Hs)|].
    rewrite sum_plus. apply Rplus_le_compat; apply HM; lia. }
  apply (Rmult_le_reg_l (4 * INR d)); [lra|].
  replace (4 * INR d * (M / (2 * INR d))) with (2 * M) by (field; lra). lra.
Qed.

Lemma error_from_mass d k (f : vec -> R) M : (1 <= k <= d)%nat -> cyclic_mass d k f <= M ->
  exists x, in_cube d x /\
  1 / 2 - M / (2 * INR d) <= Rabs (f x - order_stat d x k).
Proof.
  intros Hk HM. assert (Hd : 0 < INR d) by (apply lt_0_INR; lia).
  destruct (sum_average d _ M ltac:(lia) HM) as (s & Hs & A). simpl in A.
  set (x := to_vec (cyclic d s (k - 1))) in A. set (y := to_vec (cyclic d s k)) in A.
  assert (Ex : order_stat d x k = 0).
  { unfold x. rewrite order_stat_vertex, cyclic_ones by lia.
    destruct (Nat.leb_spec k (k - 1)); [lia|reflexivity]. }
  assert (Ey : order_stat d y k = 1).
  { unfold y. rewrite order_stat_vertex, cyclic_ones by lia.
    destruct (Nat.leb_spec k k); [reflexivity|lia]. }
  replace (M / (2 * INR d)) with (M / INR d / 2) by (field; lra).
  pose proof (abs_bounds _ _ A).
  destruct (Rle_dec (1 / 2 - M / INR d / 2) (Rabs (f x - order_stat d x k))) as [Hx|Hx].
  - exists x. split; [apply to_vec_in_cube|exact Hx].
  - exists y. split; [apply to_vec_in_cube|]. rewrite Ex in Hx. rewrite Ey.
    pose proof (Rle_abs (f x - 0)). pose proof (Rle_abs (1 - f y)) as B.
    rewrite Rabs_minus_sym in B. lra.
Qed.

(** ** The impossibility theorems *)

Theorem theorem_3_5 : theorem_3_5_statement.
Proof.
  intros d g Hg Hn. split; [apply jump_exists; assumption|].
  intros k Hk Hj C N r HC HS HN. apply (radius_from_mass d g k C (eval N) r 1 Hk Hj HC).
  intros i Hi. apply (mass_lemma d d _ _ _ (cyclic_pairs d k Hk) C N HS HN i Hi).
Qed.

Theorem theorem_3_6 : theorem_3_6_statement.
Proof.
  intros d k Hk n N i Hi HS HN. apply (error_from_mass d k (fun z => eval N z i) 1 Hk).
  apply (mass_lemma d d _ _ _ (cyclic_pairs d k Hk) n N HS HN i Hi).
Qed.

Lemma vertex_step d s k : dist d (to_vec (cyclic d s k)) (to_vec (cyclic d s (k - 1))) <= 1.
Proof.
  apply dist_least; [lra|]. intros i _. unfold to_vec.
  destruct (cyclic d s k i); destruct (cyclic d s (k - 1) i); apply Rabs_le; lra.
Qed.

Theorem lipschitz_radius : lipschitz_radius_statement.
Proof.
  intros d g Hg k Hk Hj C f L r HC Lpos HL Hf.
  assert (Hd : (0 < d)%nat) by lia.
  pose proof (data_pair d g k C f r 0 Hk Hj HC Hf Hd) as P. simpl in P.
  pose proof (Rmult_le_compat_l L _ _ Lpos (vertex_step d 0 k)).
  pose proof (HL (to_vec (cyclic d 0 k)) (to_vec (cyclic d 0 (k - 1))) 0%nat ltac:(lia)).
  pose proof (HL (to_vec (cyclic d 0 k)) (to_vec (cyclic d 0 (k - 1))) 1%nat ltac:(lia)).
  lra.
Qed.

Theorem groupsort_radius_norm : groupsort_radius_norm_statement.
Proof.
  intros d g Hg k Hk Hj G C N L r HC HG HL Hf.
  pose proof (net_norm_nonneg _ _ N L HL) as Lpos.
  assert (A : r <= L / 2).
  { apply (lipschitz_radius d g Hg k Hk Hj C (eval N) L r HC Lpos); [|exact Hf].
    apply network_norm, HL. }
  assert (B : r <= L * INR G ^ sorting_layers N / (2 * INR d)).
  { apply (radius_from_mass d g k C (eval N) r _ Hk Hj HC); [|exact Hf].
    intros i Hi. apply (mass_lemma_norm d d _ _ _ (cyclic_pairs d k Hk) G C N L HG HL i Hi). }
  unfold Rmin, Rdiv in *. destruct (Rle_dec _ _); lra.
Qed.

Theorem groupsort_radius : groupsort_radius_statement.
Proof.
  intros d g Hg k Hk Hj G C N r HC HG HN Hf. rewrite <- (Rmult_1_l (Rmin _ _)).
  apply (groupsort_radius_norm d g Hg k Hk Hj G C N 1 r HC HG); [|exact Hf].
  apply (proj2 families), HN.
Qed.

Theorem groupsort_error : groupsort_error_statement.
Proof.
  intros d k Hk G n N i Hi HG HN. apply (error_from_mass d k (fun z => eval N z i) _ Hk).
  apply (mass_lemma_groupsort d d _ _ _ (cyclic_pairs d k Hk) G n N HG HN i Hi).
Qed.

Theorem groupsort_error_norm : groupsort_error_norm_statement.
Proof.
  intros d k Hk G n N L i Hi HG HL. apply (error_from_mass d k (fun z => eval N z i) _ Hk).
  apply (mass_lemma_norm d d _ _ _ (cyclic_pairs d k Hk) G n N L HG HL i Hi).
Qed.

Theorem groupsort_depth : groupsort_depth_statement.
Proof.
  intros d k Hk G n N i Hi HG HN Heq.
  destruct (groupsort_error d k Hk G n N i Hi HG HN) as (x & Hx & B).
  rewrite (Heq x Hx), Rminus_eq_0, Rabs_R0 in B.
  assert (Hd : 0 < INR d) by (apply lt_0_INR; lia).
  apply INR_le. rewrite pow_INR.
  apply (Rmult_le_reg_r (/ (2 * INR d))); [apply Rinv_0_lt_compat; lra|].
  replace (INR d * / (2 * INR d)) with (1 / 2) by (field; lra).
  unfold Rdiv in B |- *. lra.
Qed.
