(** * Finite sums and the l-infinity norm *)

From Coq Require Import Reals Lra Lia Arith.
From SortNet Require Import Definitions Statements.
Open Scope R_scope.

(** ** Sums *)

Lemma sum_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> sum n f = sum n g.
Proof.
  induction n as [|n IH]; intros H; simpl; [reflexivity|].
  rewrite IH by (intros; apply H; lia). rewrite H by lia. reflexivity.
Qed.

Lemma sum_le n f g : (forall i, (i < n)%nat -> f i <= g i) -> sum n f <= sum n g.
Proof.
  induction n as [|n IH]; intros H; simpl; [lra|].
  apply Rplus_le_compat; [apply IH; intros; apply H|apply H]; lia.
Qed.

Lemma sum_plus n f g : sum n (fun i => f i + g i) = sum n f + sum n g.
Proof. induction n as [|n IH]; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_minus n f g : sum n (fun i => f i - g i) = sum n f - sum n g.
Proof. induction n as [|n IH]; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_scale n a f : sum n (fun i => a * f i) = a * sum n f.
Proof. induction n as [|n IH]; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_scale_r n a f : sum n (fun i => f i * a) = sum n f * a.
Proof. induction n as [|n IH]; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_const n a : sum n (fun _ => a) = INR n * a.
Proof. induction n as [|n IH]; [simpl; ring|]. rewrite S_INR. simpl. rewrite IH. ring. Qed.

Lemma sum_nonneg n f : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= sum n f.
Proof.
  intros H. apply Rle_trans with (sum n (fun _ => 0)).
  - rewrite sum_const. lra.
  - apply sum_le. exact H.
Qed.

Lemma sum_abs n f : Rabs (sum n f) <= sum n (fun i => Rabs (f i)).
Proof.
  induction n as [|n IH]; simpl; [rewrite Rabs_R0; lra|].
  eapply Rle_trans; [apply Rabs_triang|lra].
Qed.

Lemma sum_swap n m f :
  sum n (fun i => sum m (fun j => f i j)) = sum m (fun j => sum n (fun i => f i j)).
Proof.
  induction n as [|n IH]; simpl.
  - symmetry. rewrite sum_const. ring.
  - rewrite IH. symmetry. apply sum_plus.
Qed.

(** A term is at most the sum of nonnegative terms. *)
Lemma sum_term n f i :
  (forall j, (j < n)%nat -> 0 <= f j) -> (i < n)%nat -> f i <= sum n f.
Proof.
  induction n as [|n IH]; intros H Hi; [lia|]. simpl.
  assert (0 <= f n) by (apply H; lia).
  destruct (Nat.eq_dec i n) as [->|Hne].
  - assert (0 <= sum n f) by (apply sum_nonneg; intros; apply H; lia). lra.
  - assert (f i <= sum n f) by (apply IH; [intros; apply H|]; lia). lra.
Qed.

(** Terms at most 1 of which at most one is not 0. *)
Lemma sum_single n f :
  (forall i, (i < n)%nat -> f i <= 1) ->
  (forall i i', (i < n)%nat -> (i' < n)%nat -> f i <> 0 -> f i' <> 0 -> i = i') ->
  sum n f <= 1.
Proof.
  induction n as [|n IH]; intros H1 Hone; simpl; [lra|].
  destruct (Req_dec (f n) 0) as [E|E].
  - rewrite E, Rplus_0_r. apply IH; intros; [apply H1|apply Hone]; auto.
  - rewrite (sum_ext n f (fun _ => 0)).
    + rewrite sum_const. specialize (H1 n). assert (f n <= 1) by (apply H1; lia). lra.
    + intros i Hi. destruct (Req_dec (f i) 0) as [Ei|Ei]; [exact Ei|].
      assert (i = n) by (apply Hone; auto). lia.
Qed.

(** Some term is at most the average. *)
Lemma sum_average n f M :
  (0 < n)%nat -> sum n f <= M -> exists i, (i < n)%nat /\ f i <= M / INR n.
Proof.
  intros Hn HM. assert (Hpos : 0 < INR n) by (apply lt_0_INR; exact Hn).
  assert (D : forall a k, (exists i, (i < k)%nat /\ f i <= a) \/
                          (forall i, (i < k)%nat -> a < f i)).
  { intros a. induction k as [|k IH]; [right; lia|].
    destruct IH as [[i [Hi Hf]]|IH]; [left; exists i; auto|].
    destruct (Rle_lt_dec (f k) a) as [Hk|Hk]; [left; exists k; auto|].
    right. intros i Hi. destruct (Nat.eq_dec i k) as [->|]; [exact Hk|apply IH; lia]. }
  destruct (D (M / INR n) n) as [H|H]; [exact H|exfalso].
  assert (L : forall k, (0 < k)%nat -> (forall i, (i < k)%nat -> M / INR n < f i) ->
              INR k * (M / INR n) < sum k f).
  { clear. induction k as [|k IH]; intros Hk H; [lia|]. rewrite S_INR. simpl.
    assert (M / INR n < f k) by (apply H; lia).
    destruct k as [|k]; [simpl; lra|].
    assert (INR (S k) * (M / INR n) < sum (S k) f) by (apply IH; [lia|intros; apply H; lia]).
    lra. }
  specialize (L n Hn H). assert (INR n * (M / INR n) = M) by (field; lra). lra.
Qed.

(** A weighted sum with absolute weights of total at most K moves by at most K times
    the largest move of its terms. *)
Lemma sum_moves n w u v K r :
  0 <= r -> sum n (fun k => Rabs (w k)) <= K ->
  (forall k, (k < n)%nat -> Rabs (u k - v k) <= r) ->
  Rabs (sum n (fun k => w k * u k) - sum n (fun k => w k * v k)) <= K * r.
Proof.
  intros Hr Hw H. rewrite <- sum_minus.
  eapply Rle_trans; [apply sum_abs|].
  apply Rle_trans with (sum n (fun k => Rabs (w k) * r)).
  - apply sum_le. intros k Hk.
    replace (w k * u k - w k * v k) with (w k * (u k - v k)) by ring.
    rewrite Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|apply H, Hk].
  - rewrite sum_scale_r. apply Rmult_le_compat_r; assumption.
Qed.

(** ** Norm and distance *)

Lemma abs_bounds a r : Rabs a <= r -> - r <= a <= r.
Proof. unfold Rabs. destruct (Rcase_abs a); lra. Qed.

Lemma norm_nonneg n x : 0 <= norm n x.
Proof.
  destruct n; simpl; [lra|]. eapply Rle_trans; [apply Rabs_pos|apply Rmax_r].
Qed.

Lemma norm_entry n x i : (i < n)%nat -> Rabs (x i) <= norm n x.
Proof.
  induction n as [|n IH]; intros Hi; [lia|]. simpl.
  destruct (Nat.eq_dec i n) as [->|Hne]; [apply Rmax_r|].
  eapply Rle_trans; [apply IH; lia|apply Rmax_l].
Qed.

Lemma norm_least n x r :
  0 <= r -> (forall i, (i < n)%nat -> Rabs (x i) <= r) -> norm n x <= r.
Proof.
  intros Hr. induction n as [|n IH]; intros H; simpl; [exact Hr|].
  apply Rmax_lub; [apply IH; intros|]; apply H; lia.
Qed.

Theorem norm_is_max : norm_is_max_statement.
Proof.
  intros n x r Hr. split.
  - intros H i Hi. eapply Rle_trans; [apply norm_entry, Hi|exact H].
  - apply norm_least, Hr.
Qed.

Lemma dist_nonneg n x y : 0 <= dist n x y.
Proof. apply norm_nonneg. Qed.

Lemma dist_entry n x y i : (i < n)%nat -> Rabs (x i - y i) <= dist n x y.
Proof. apply (norm_entry n (fun i => x i - y i)). Qed.

Lemma dist_least n x y r :
  0 <= r -> (forall i, (i < n)%nat -> Rabs (x i - y i) <= r) -> dist n x y <= r.
Proof. apply (norm_least n (fun i => x i - y i)). Qed.

Lemma dist_self n x : dist n x x = 0.
Proof.
  apply Rle_antisym; [|apply dist_nonneg].
  apply dist_least; [lra|]. intros i _. rewrite Rminus_eq_0, Rabs_R0. lra.
Qed.

(** The distance to a fixed point is 1-Lipschitz. *)
Lemma dist_lipschitz n x y c : Rabs (dist n x c - dist n y c) <= dist n x y.
Proof.
  assert (T : forall a b, dist n a c <= dist n b c + dist n a b).
  { intros a b. apply dist_least.
    - pose proof (dist_nonneg n b c). pose proof (dist_nonneg n a b). lra.
    - intros i Hi. pose proof (dist_entry n b c i Hi). pose proof (dist_entry n a b i Hi).
      replace (a i - c i) with ((b i - c i) + (a i - b i)) by ring.
      eapply Rle_trans; [apply Rabs_triang|lra]. }
  assert (S : dist n y x <= dist n x y).
  { apply dist_least; [apply dist_nonneg|]. intros i Hi. rewrite Rabs_minus_sym.
    apply dist_entry, Hi. }
  pose proof (T x y). pose proof (T y x). apply Rabs_le. lra.
Qed.
