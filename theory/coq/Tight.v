(** * Theorems 3.5 and 3.6 are tight: the mean is the best standard network *)

From Coq Require Import Reals Lra Lia Arith List Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics Boolean.
Import ListNotations.
Open Scope R_scope.

Lemma sum_to_vec d x : sum d (to_vec x) = INR (ones d x).
Proof.
  induction d as [|d IH]; [reflexivity|]. cbn [sum ones]. rewrite plus_INR, IH.
  unfold to_vec. destruct (x d); simpl; ring.
Qed.

Theorem theorem_3_5_tight : theorem_3_5_tight_statement.
Proof.
  intros d k Hk. assert (Hd : 0 < INR d) by (apply lt_0_INR; lia).
  assert (Hinv : 0 < 1 / INR d) by (apply Rdiv_lt_0_compat; lra).
  exists (fun i _ => match i with O => - (1 / INR d) | _ => 1 / INR d end).
  exists (fun i => match i with
                   | O => (INR k - 1 / 2) / INR d
                   | _ => - ((INR k - 1 / 2) / INR d)
                   end).
  assert (A : forall i : nat,
    Rabs (match i with O => - (1 / INR d) | _ => 1 / INR d end) = 1 / INR d).
  { intros [|i]; [rewrite Rabs_Ropp|]; apply Rabs_right; lra. }
  simpl. split; [split; exact I|split; [split; [exact I|]|split]].
  - intros i Hi. rewrite A, sum_const. right. field. lra.
  - intros i j Hi Hj. apply A.
  - intros x _ j Hj Hne. simpl. rewrite !sum_scale, sum_to_vec. unfold threshold in *.
    (* both margins are an affine function of the number of ones *)
    assert (E : 1 / INR d * INR (ones d x) - (INR k - 1 / 2) / INR d
                = (INR (ones d x) - INR k + 1 / 2) * (1 / INR d)) by (field; lra).
    assert (E' : - (1 / INR d) * INR (ones d x) + (INR k - 1 / 2) / INR d
                 = - ((INR (ones d x) - INR k + 1 / 2) * (1 / INR d))) by (field; lra).
    replace (1 / (2 * INR d)) with (1 / 2 * (1 / INR d)) by (field; lra).
    destruct (Nat.leb_spec k (ones d x)) as [H|H]; simpl in *;
      destruct j as [|[|j]]; try lia;
      [apply le_INR in H|apply Nat.le_succ_l, le_INR in H; rewrite S_INR in H]; nra.
Qed.

(** ** The mean of sorted numbers *)

Fixpoint total (l : list R) : R :=
  match l with
  | [] => 0
  | a :: l' => a + total l'
  end.

Lemma total_permutation l l' : Permutation l l' -> total l = total l'.
Proof. induction 1; simpl; lra. Qed.

Lemma total_app l l' : total (l ++ l') = total l + total l'.
Proof. induction l; simpl; lra. Qed.

Lemma total_entries n x : total (entries n x) = sum n x.
Proof.
  unfold entries. induction n as [|n IH]; [reflexivity|].
  rewrite seq_S, map_app, total_app, IH. simpl. ring.
Qed.

Lemma total_nth l : total l = sum (length l) (fun i => nth i l 0).
Proof.
  induction l as [|a l IH] using rev_ind; [reflexivity|].
  rewrite total_app, app_length, Nat.add_1_r. cbn [sum total].
  rewrite app_nth2, Nat.sub_diag by lia. cbn [nth]. rewrite IH.
  f_equal; [|ring]. apply sum_ext. intros i Hi. rewrite app_nth1 by exact Hi. reflexivity.
Qed.

(** The sum of the entries is the sum of the order statistics. *)
Lemma sum_order_stats n x : sum n x = sum n (fun i => order_stat n x (i + 1)).
Proof.
  rewrite <- total_entries, (total_permutation _ _ (sort_permutation _)), total_nth.
  rewrite sort_length, entries_length. apply sum_ext. intros i _. unfold order_stat.
  rewrite Nat.add_sub. reflexivity.
Qed.

Lemma sum_split n k a b : (k <= n)%nat ->
  sum n (fun i => if (i <? k)%nat then a else b) = INR k * a + (INR n - INR k) * b.
Proof.
  intros H. induction n as [|n IH].
  - replace k with 0%nat by lia. simpl. ring.
  - cbn [sum]. destruct (Nat.ltb_spec n k) as [L|L].
    + assert (k = S n) by lia. subst k.
      rewrite (sum_ext n _ (fun _ => a)).
      * rewrite sum_const, S_INR. ring.
      * intros i Hi. destruct (Nat.ltb_spec i (S n)); [reflexivity|lia].
    + rewrite IH by lia. rewrite S_INR. ring.
Qed.

(** The mean lies within these bounds when the k-th largest entry is known. *)
Lemma mean_bounds d x k : (1 <= k <= d)%nat -> in_cube d x ->
  let t := order_stat d x k in
  0 <= t <= 1 /\
  INR k * t <= sum d x <= (INR k - 1) + (INR d - INR k + 1) * t.
Proof.
  intros Hk Hx t.
  assert (C : forall i, (i < d)%nat -> 0 <= order_stat d x (i + 1) <= 1).
  { intros i Hi. unfold order_stat. rewrite Nat.add_sub.
    assert (Hin : In (nth i (sort (entries d x)) 0) (entries d x)).
    { apply (Permutation_in _ (Permutation_sym (sort_permutation _))), nth_In.
      rewrite sort_length, entries_length. exact Hi. }
    apply in_map_iff in Hin. destruct Hin as (j & <- & Hj). apply in_seq in Hj.
    apply Hx. lia. }
  assert (D : forall i j, (i <= j)%nat -> (j < d)%nat ->
              order_stat d x (j + 1) <= order_stat d x (i + 1)).
  { intros i j Hij Hj. unfold order_stat. rewrite !Nat.add_sub.
    apply descending_nth; [apply sort_descending|exact Hij|].
    rewrite sort_length, entries_length. exact Hj. }
  assert (T : t = order_stat d x (k - 1 + 1)) by (unfold t; f_equal; lia).
  split; [rewrite T; apply C; lia|].
  rewrite sum_order_stats. split.
  - replace (INR k * t) with (INR k * t + (INR d - INR k) * 0) by ring.
    rewrite <- sum_split by lia. apply sum_le. intros i Hi.
    destruct (Nat.ltb_spec i k); [rewrite T; apply D; lia|apply C, Hi].
  - replace ((INR k - 1) + (INR d - INR k + 1) * t)
      with (INR (k - 1) * 1 + (INR d - INR (k - 1)) * t)
      by (rewrite minus_INR by lia; simpl; ring).
    rewrite <- sum_split by lia. apply sum_le. intros i Hi.
    destruct (Nat.ltb_spec i (k - 1)); [apply C, Hi|rewrite T; apply D; lia].
Qed.

Theorem theorem_3_6_tight : theorem_3_6_tight_statement.
Proof.
  intros d k Hk. assert (Hd : 0 < INR d) by (apply lt_0_INR; lia).
  assert (Hinv : 0 < 1 / INR d) by (apply Rdiv_lt_0_compat; lra).
  exists ((INR d - 2 * INR k + 1) / (2 * INR d)). simpl. split; [split; exact I|split; [split; [exact I|]|]].
  - intros i _. rewrite sum_const, Rabs_right by lra. right. field. lra.
  - intros x Hx. rewrite sum_scale.
    destruct (mean_bounds d x k Hk Hx) as (Ht & Hlo & Hhi).
    set (t := order_stat d x k) in *. set (S := sum d x) in *.
    assert (1 <= INR k) by (apply (le_INR 1); lia).
    assert (INR k <= INR d) by (apply le_INR; lia).
    replace (1 / INR d * S + (INR d - 2 * INR k + 1) / (2 * INR d) - t)
      with ((S - INR d * t + (INR d - 2 * INR k + 1) / 2) * (1 / INR d)) by (field; lra).
    replace (1 / 2 - 1 / (2 * INR d)) with ((INR d - 1) / 2 * (1 / INR d)) by (field; lra).
    rewrite Rabs_mult, (Rabs_right (1 / INR d)) by lra.
    apply Rmult_le_compat_r; [lra|]. apply Rabs_le. nra.
Qed.

Lemma lt_INR_S a b : (a < b)%nat -> INR a + 1 <= INR b.
Proof. intros H. rewrite <- S_INR. apply le_INR. exact H. Qed.

(** ** 3.5 for every symmetric function: one zigzag after the mean *)

(** The least 1-Lipschitz function that is at least v n at n/d, n = 0, ..., m. *)
Fixpoint envelope (d : nat) (v : nat -> R) (m : nat) (t : R) : R :=
  let peak n := v n - Rabs (t - INR n / INR d) in
  match m with
  | O => peak 0%nat
  | S m' => Rmax (envelope d v m' t) (peak m)
  end.

Lemma envelope_lipschitz d v m s t :
  Rabs (envelope d v m s - envelope d v m t) <= Rabs (s - t).
Proof.
  assert (P : forall n a b, v n - Rabs (a - INR n / INR d) <=
                            v n - Rabs (b - INR n / INR d) + Rabs (a - b)).
  { intros n a b. pose proof (Rabs_triang (a - INR n / INR d) (b - a)) as T.
    replace (a - INR n / INR d + (b - a)) with (b - INR n / INR d) in T by ring.
    rewrite (Rabs_minus_sym b a) in T. lra. }
  assert (Q : forall a b, envelope d v m a <= envelope d v m b + Rabs (a - b)).
  { intros a b. induction m as [|m IH]; cbn [envelope]; [apply P|].
    pose proof (P (S m) a b).
    pose proof (Rmax_l (envelope d v m b) (v (S m) - Rabs (b - INR (S m) / INR d))).
    pose proof (Rmax_r (envelope d v m b) (v (S m) - Rabs (b - INR (S m) / INR d))).
    apply Rmax_lub; lra. }
  apply Rabs_le. pose proof (Q s t). pose proof (Q t s) as B.
  rewrite (Rabs_minus_sym t s) in B. lra.
Qed.

(** Where neighbouring values differ by no more than the spacing it passes through them. *)
Lemma envelope_interpolates d v m n : (n <= m)%nat ->
  (forall j, v j - Rabs (INR n / INR d - INR j / INR d) <= v n) ->
  envelope d v m (INR n / INR d) = v n.
Proof.
  intros Hn Hv. apply Rle_antisym.
  - clear Hn. induction m as [|m IH]; cbn [envelope]; [apply Hv|].
    apply Rmax_lub; [exact IH|apply Hv].
  - assert (E : v n - Rabs (INR n / INR d - INR n / INR d) = v n)
      by (rewrite Rminus_eq_0, Rabs_R0; ring).
    induction m as [|m IH]; cbn [envelope].
    + replace n with 0%nat in E |- * by lia. lra.
    + destruct (Nat.eq_dec n (S m)) as [->|Hne]; [rewrite E; apply Rmax_r|].
      eapply Rle_trans; [apply IH; lia|apply Rmax_l].
Qed.

Theorem theorem_3_5_tight_symmetric : theorem_3_5_tight_symmetric_statement.
Proof.
  intros d g Hdn Hg. assert (Hd : 0 < INR d) by (apply lt_0_INR; exact Hdn).
  assert (Hinv : 0 < 1 / INR d) by (apply Rdiv_lt_0_compat; lra).
  set (e := 1 / (2 * INR d)). assert (Ee : 2 * e = 1 / INR d) by (unfold e; field; lra).
  set (v := fun n => if g (fun i => i <? n)%nat then e else - e).
  set (z := envelope d v d).
  assert (Z : forall x, z (INR (ones d x) / INR d) = if g x then e else - e).
  { intros x. assert (Hx : (ones d x <= d)%nat) by apply ones_le.
    replace (if g x then e else - e) with (v (ones d x)).
    2: { unfold v. rewrite (Hg (fun i => i <? ones d x)%nat x); [reflexivity|].
         apply ones_prefix, Hx. }
    apply envelope_interpolates; [exact Hx|]. intros j.
    destruct (Nat.eq_dec j (ones d x)) as [->|Hne].
    - rewrite Rminus_eq_0, Rabs_R0. lra.
    - assert (S : 1 / INR d <= Rabs (INR (ones d x) / INR d - INR j / INR d)).
      { replace (_ - _) with ((INR (ones d x) - INR j) * (1 / INR d)) by (field; lra).
        rewrite Rabs_mult, (Rabs_right (1 / INR d)) by lra.
        rewrite <- (Rmult_1_l (1 / INR d)) at 1. apply Rmult_le_compat_r; [lra|].
        destruct (Nat.lt_total j (ones d x)) as [L|[L|L]]; [|lia|];
          apply lt_INR_S in L; unfold Rabs; destruct (Rcase_abs _); lra. }
      unfold v. destruct (g _), (g _); lra. }
  exists (fun _ _ => 1 / INR d), (fun _ => 0).
  exists (fun i t => match i with O => - z t | _ => z t end).
  simpl. repeat split.
  - intros i _. rewrite sum_const, Rabs_right by lra. right. field. lra.
  - intros i _ s t. rewrite Rmult_1_l. destruct i as [|i].
    + replace (- z s - - z t) with (- (z s - z t)) by ring. rewrite Rabs_Ropp.
      apply envelope_lipschitz.
    + apply envelope_lipschitz.
  - intros x _ j Hj Hne. simpl. rewrite sum_scale, sum_to_vec, Rplus_0_r.
    replace (1 / INR d * INR (ones d x)) with (INR (ones d x) / INR d) by (field; lra).
    rewrite Z. fold e. destruct (g x); simpl in Hne |- *; destruct j as [|[|j]]; try lia; lra.
Qed.
