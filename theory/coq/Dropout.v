(** * The dropout identity *)

From Coq Require Import Reals Lra Lia Arith List Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics.
Import ListNotations.
Open Scope R_scope.

Lemma norm_ext n x y : (forall i, (i < n)%nat -> Rabs (x i) = Rabs (y i)) -> norm n x = norm n y.
Proof.
  induction n as [|n IH]; intros H; simpl; [reflexivity|].
  rewrite IH by (intros; apply H; lia). rewrite H by lia. reflexivity.
Qed.

Lemma expect_ext rho n F F' : (forall s, F s = F' s) -> expect rho n F = expect rho n F'.
Proof.
  revert F F'. induction n as [|n IH]; intros F F' H; simpl; [apply H|].
  f_equal; f_equal; apply IH; intros; apply H.
Qed.

(** The expected maximum of m and of the kept entries of a list. *)
Fixpoint expected_max (rho : R) (l : list R) (m : R) : R :=
  match l with
  | [] => m
  | a :: l' => rho * expected_max rho l' m + (1 - rho) * expected_max rho l' (Rmax a m)
  end.

Fixpoint backward_entries (n : nat) (x : vec) : list R :=
  match n with
  | O => []
  | S p => x p :: backward_entries p x
  end.

Lemma backward_entries_permutation n x : Permutation (backward_entries n x) (entries n x).
Proof.
  unfold entries. induction n as [|n IH]; [constructor|].
  rewrite seq_S, map_app. simpl. rewrite IH. apply Permutation_cons_append.
Qed.

Lemma expect_as_list rho n x : forall m,
  expect rho n (fun s => Rmax (norm n (fun i => if s i then x i else 0)) m) =
  expected_max rho (backward_entries n (fun i => Rabs (x i))) (Rmax 0 m).
Proof.
  induction n as [|n IH]; intros m; [reflexivity|]. cbn [expect backward_entries expected_max].
  f_equal; f_equal.
  - rewrite <- (IH m). apply expect_ext. intros s. cbn [norm].
    unfold update at 2. rewrite Nat.eqb_refl, Rabs_R0.
    rewrite (Rmax_left _ 0) by apply norm_nonneg. f_equal. apply norm_ext. intros i Hi.
    unfold update. destruct (Nat.eqb_spec i n); [lia|reflexivity].
  - replace (Rmax (Rabs (x n)) (Rmax 0 m)) with (Rmax 0 (Rmax (Rabs (x n)) m)).
    2: { rewrite !Rmax_assoc, (Rmax_comm 0). reflexivity. }
    rewrite <- IH. apply expect_ext. intros s. cbn [norm].
    unfold update at 2. rewrite Nat.eqb_refl, Rmax_assoc. f_equal. f_equal.
    apply norm_ext. intros i Hi. unfold update. destruct (Nat.eqb_spec i n); [lia|reflexivity].
Qed.

(** The order of the entries does not matter, so they may be sorted. *)
Lemma expected_max_permutation rho l l' : Permutation l l' ->
  forall m, expected_max rho l m = expected_max rho l' m.
Proof.
  induction 1 as [|a l l' _ IH|a b l|l l' l'' _ IH _ IH']; intros m; simpl.
  - reflexivity.
  - rewrite !IH. reflexivity.
  - rewrite (Rmax_assoc a b m), (Rmax_comm a b), <- (Rmax_assoc b a m). ring.
  - rewrite IH. apply IH'.
Qed.

(** Nothing below m changes the maximum. *)
Lemma expected_max_above rho l m : (forall a, In a l -> a <= m) -> expected_max rho l m = m.
Proof.
  induction l as [|a l IH]; intros H; simpl; [reflexivity|].
  rewrite (Rmax_right a m) by (apply H; left; reflexivity).
  rewrite !IH by (intros; apply H; right; assumption). ring.
Qed.

Lemma expected_max_descending rho l : descending l -> (forall a, In a l -> 0 <= a) ->
  expected_max rho l 0 = sum (length l) (fun k => (1 - rho) * rho ^ k * nth k l 0).
Proof.
  induction 1 as [|a l Ha Hl IH]; intros Hpos; [reflexivity|]. cbn [expected_max length].
  rewrite Rmax_left by (apply Hpos; left; reflexivity).
  rewrite (expected_max_above rho l a Ha).
  rewrite IH by (intros; apply Hpos; right; assumption).
  assert (F : forall n u, sum (S n) u = u 0%nat + sum n (fun k => u (S k))).
  { clear. intros n u. induction n as [|n IH]; [simpl; ring|].
    cbn [sum] in IH |- *. rewrite IH. ring. }
  rewrite F. cbn [nth pow].
  rewrite (sum_ext _ (fun k => (1 - rho) * (rho * rho ^ k) * nth k l 0)
                     (fun k => rho * ((1 - rho) * rho ^ k * nth k l 0))) by (intros; ring).
  rewrite sum_scale. ring.
Qed.

Theorem dropout_identity : dropout_identity_statement.
Proof.
  intros rho n x. set (y := fun i => Rabs (x i)).
  rewrite (expect_ext rho n _ (fun s => Rmax (norm n (fun i => if s i then x i else 0)) 0)).
  2: { intros s. symmetry. apply Rmax_left, norm_nonneg. }
  rewrite expect_as_list, Rmax_left by lra. fold y.
  rewrite (expected_max_permutation rho _ (sort (entries n y))).
  2: { rewrite backward_entries_permutation. apply sort_permutation. }
  rewrite expected_max_descending; [|apply sort_descending|].
  - rewrite sort_length, entries_length. apply sum_ext. intros k _.
    unfold order_stat. rewrite Nat.add_sub. reflexivity.
  - intros a Ha. apply (Permutation_in _ (Permutation_sym (sort_permutation _))) in Ha.
    apply in_map_iff in Ha. destruct Ha as (i & <- & _). apply Rabs_pos.
Qed.
