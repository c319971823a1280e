(** * Universality: McShane's extension from an eta-net *)

From Coq Require Import Reals Lra Lia Arith.
From SortNet Require Import Definitions Statements Sums OrderStatistics Mass Lipschitz.
Open Scope R_scope.

Section McShane.
  Variables (d n : nat) (f : vec -> R) (c : nat -> vec) (eta : R).
  Hypothesis (Hf : lipschitz_on_cube d f) (Hc : cube_net d n c eta).

  Definition extension (x : vec) : R :=
    order_stat n (fun i => f (c i) - dist d x (c i)) 1.

  Lemma net_not_empty : (0 < n)%nat.
  Proof.
    destruct (proj2 Hc (fun _ => 0)) as (i & Hi & _); [intros j _; lra|lia].
  Qed.

  Lemma extension_bounds x : in_cube d x -> f x - 2 * eta <= extension x <= f x.
  Proof.
    intros Hx. split.
    - destruct (proj2 Hc x Hx) as (i & Hi & Hd).
      eapply Rle_trans; [|apply (order_stat_first n _ i Hi)].
      pose proof (abs_bounds _ _ (Hf x (c i) Hx (proj1 Hc i Hi))). cbv beta. lra.
    - unfold extension. pose proof net_not_empty.
      destruct (order_stat_attained n (fun i => f (c i) - dist d x (c i)) 1) as (i & Hi & ->);
        [lia|].
      pose proof (abs_bounds _ _ (Hf x (c i) Hx (proj1 Hc i Hi))). lra.
  Qed.

  (** The centre of the second layer is beyond all values of the first. *)
  Definition beyond : R := 1 + sum n (fun i => Rabs (f (c i))).

  Lemma extension_is_distance x : in_cube d x ->
    dist n (fun i => dist d x (c i) + - f (c i)) (fun _ => beyond) + - beyond = extension x.
  Proof.
    intros Hx.
    assert (U : forall i, (i < n)%nat -> dist d x (c i) + - f (c i) <= beyond).
    { intros i Hi. unfold beyond.
      assert (dist d x (c i) <= 1).
      { apply dist_least; [lra|]. intros j Hj. pose proof (Hx j Hj).
        pose proof (proj1 Hc i Hi j Hj). apply Rabs_le. lra. }
      assert (Rabs (f (c i)) <= sum n (fun i => Rabs (f (c i)))).
      { apply (sum_term n (fun i => Rabs (f (c i)))); [intros; apply Rabs_pos|exact Hi]. }
      pose proof (abs_bounds (f (c i)) _ (Rle_refl _)). lra. }
    assert (A : forall i, (i < n)%nat ->
      Rabs (dist d x (c i) + - f (c i) - beyond) = beyond + (f (c i) - dist d x (c i))).
    { intros i Hi. specialize (U i Hi). rewrite Rabs_minus_sym, Rabs_right; lra. }
    pose proof net_not_empty as Hn. unfold extension.
    destruct (order_stat_attained n (fun i => f (c i) - dist d x (c i)) 1) as (k & Hk & E);
      [lia|].
    assert (D : dist n (fun i => dist d x (c i) + - f (c i)) (fun _ => beyond) =
                beyond + order_stat n (fun i => f (c i) - dist d x (c i)) 1); [|lra].
    apply Rle_antisym.
    - apply dist_least.
      + rewrite E. specialize (U k Hk). lra.
      + intros i Hi. rewrite (A i Hi). apply Rplus_le_compat_l.
        apply (order_stat_first n (fun i => f (c i) - dist d x (c i)) i Hi).
    - rewrite E, <- (A k Hk).
      apply (dist_entry n (fun i => dist d x (c i) + - f (c i)) (fun _ => beyond) k Hk).
  Qed.
End McShane.

Theorem mcshane : mcshane_statement.
Proof.
  intros d f n c eta Hf Hc.
  exists c, (fun i => - f (c i)), (fun _ _ => beyond n f c), (fun _ => - beyond n f c).
  intros N x Hx. cbn [N eval apply].
  rewrite (extension_is_distance d n f c eta Hc x Hx).
  split; [reflexivity|]. apply (extension_bounds d n f c eta Hf Hc x Hx).
Qed.

Lemma dist_sym d x y : dist d x y = dist d y x.
Proof.
  assert (H : forall a b, dist d a b <= dist d b a).
  { intros a b. apply dist_least; [apply dist_nonneg|]. intros i Hi. rewrite Rabs_minus_sym.
    apply dist_entry, Hi. }
  apply Rle_antisym; apply H.
Qed.

Theorem mcshane_tight : mcshane_tight_statement.
Proof.
  intros d n c x0 eta (k & Hk & Ek) H f. split.
  - intros x y. unfold f. replace (- dist d x x0 - - dist d y x0)
      with (- (dist d x x0 - dist d y x0)) by ring.
    rewrite Rabs_Ropp. apply dist_lipschitz.
  - set (u := fun i => f (c i) - dist d x0 (c i)).
    assert (E : forall i, u i = - 2 * dist d x0 (c i)).
    { intros i. unfold u, f. rewrite (dist_sym d (c i)). ring. }
    unfold f. rewrite dist_self. apply Rle_antisym.
    + destruct (order_stat_attained n u 1) as (i & Hi & ->); [lia|].
      rewrite E. specialize (H i Hi). lra.
    + eapply Rle_trans; [|apply (order_stat_first n u k Hk)]. rewrite E, Ek. lra.
Qed.

(** ** The grid *)

(** Every y in [0, k] lies in a cell [a, a + 1]. *)
Lemma cell k y : (0 < k)%nat -> 0 <= y <= INR k ->
  exists a, (a < k)%nat /\ INR a <= y <= INR a + 1.
Proof.
  induction k as [|k IH]; intros Hk Hy; [lia|].
  destruct (Rle_lt_dec (INR k) y) as [L|L].
  - exists k. rewrite S_INR in Hy. split; [lia|lra].
  - destruct k as [|k]; [simpl in L; lra|].
    destruct IH as (a & Ha & B); [lia|lra|]. exists a. split; [lia|exact B].
Qed.

(** d digits below k are the digits of a number below k^d. *)
Lemma digits k d : (0 < k)%nat -> forall (P : nat -> nat -> Prop),
  (forall i, (i < d)%nat -> exists a, (a < k)%nat /\ P i a) ->
  exists v, (v < k ^ d)%nat /\ forall i, (i < d)%nat -> P i (v / k ^ i mod k)%nat.
Proof.
  intros Hk. induction d as [|d IH]; intros P H; [exists 0%nat; simpl; split; lia|].
  destruct (H 0%nat) as (a & Ha & Pa); [lia|].
  destruct (IH (fun i => P (S i))) as (v & Hv & Pv); [intros; apply H; lia|].
  exists (a + k * v)%nat. split; [simpl; nia|].
  intros [|i] Hi.
  - rewrite Nat.pow_0_r, Nat.div_1_r, (Nat.mul_comm k), Nat.mod_add, Nat.mod_small by lia.
    exact Pa.
  - rewrite Nat.pow_succ_r', <- Nat.div_div by (try apply Nat.pow_nonzero; lia).
    rewrite (Nat.mul_comm k), Nat.div_add, (Nat.div_small a) by lia.
    apply Pv. lia.
Qed.

Definition grid (k v : nat) : vec :=
  fun i => (2 * INR (v / k ^ i mod k) + 1) / (2 * INR k).

Theorem grid_net : grid_net_statement.
Proof.
  intros d k Hk. assert (P : 0 < INR k) by (apply lt_0_INR, Hk). exists (grid k). split.
  - intros v _ i _. unfold grid.
    assert (Hm : (v / k ^ i mod k < k)%nat) by (apply Nat.mod_upper_bound; lia).
    apply le_INR in Hm. rewrite S_INR in Hm. pose proof (pos_INR (v / k ^ i mod k)).
    split.
    + apply Rmult_le_pos; [lra|]. left. apply Rinv_0_lt_compat. lra.
    + apply (Rmult_le_reg_r (2 * INR k)); [lra|]. unfold Rdiv.
      rewrite Rmult_assoc, Rinv_l by lra. lra.
  - intros x Hx.
    destruct (digits k d Hk (fun i a => INR a <= INR k * x i <= INR a + 1)) as (v & Hv & B).
    { intros i Hi. apply cell; [exact Hk|]. specialize (Hx i Hi). nra. }
    exists v. split; [exact Hv|].
    assert (Q : 0 < 1 / (2 * INR k)) by (apply Rdiv_lt_0_compat; lra).
    apply dist_least; [lra|]. intros i Hi. specialize (B i Hi). unfold grid.
    set (a := INR (v / k ^ i mod k)) in *.
    replace (x i - (2 * a + 1) / (2 * INR k))
      with ((2 * (INR k * x i) - (2 * a + 1)) * (1 / (2 * INR k))) by (field; lra).
    rewrite Rabs_mult, (Rabs_right (1 / _)) by lra.
    rewrite <- (Rmult_1_l (1 / (2 * INR k))) at 2.
    apply Rmult_le_compat_r; [lra|]. apply Rabs_le. lra.
Qed.

(** The error has one sign, so adding eta halves it. *)
Theorem distance_universal : distance_universal_statement.
Proof.
  intros d f k Hk Hf. destruct (grid_net d k Hk) as (c & Hc).
  set (n := (k ^ d)%nat) in *. set (eta := 1 / (2 * INR k)) in *.
  exists c, (fun i => - f (c i)), (fun _ _ => beyond n f c), (fun _ => - beyond n f c + eta).
  intros N. split; [simpl; repeat split; lra|].
  intros x Hx. cbn [N eval apply]. rewrite <- Rplus_assoc.
  rewrite (extension_is_distance d n f c eta Hc x Hx).
  pose proof (extension_bounds d n f c eta Hf Hc x Hx). apply Rabs_le. lra.
Qed.
