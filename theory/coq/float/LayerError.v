(** * LayerError: tanh, group sort and affine rows *)

From Coq Require Import Reals ZArith Lra Lia Psatz List.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** ** Tanh is 1-Lipschitz *)

Lemma cosh_pos x : 0 < cosh x.
Proof. unfold cosh. pose proof (exp_pos x). pose proof (exp_pos (- x)). lra. Qed.

Lemma cosh_sinh x : Rsqr (cosh x) - Rsqr (sinh x) = 1.
Proof.
  unfold cosh, sinh, Rsqr.
  assert (E : exp x * exp (- x) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
  nra.
Qed.

Lemma tanh_derivative x : derivable_pt_lim tanh x (/ Rsqr (cosh x)).
Proof.
  pose proof (cosh_pos x) as C.
  replace (/ Rsqr (cosh x)) with ((cosh x * cosh x - sinh x * sinh x) / Rsqr (cosh x)).
  - apply (derivable_pt_lim_div sinh cosh); [apply derivable_pt_lim_sinh|
      apply derivable_pt_lim_cosh|lra].
  - pose proof (cosh_sinh x) as S. unfold Rsqr in S. rewrite S. unfold Rdiv. ring.
Qed.

Lemma tanh_grows x y : x < y -> 0 <= tanh y - tanh x <= y - x.
Proof.
  intros H. destruct (MVT_cor2 tanh (fun c => / Rsqr (cosh c)) x y H) as [c [E _]].
  - intros c _. apply tanh_derivative.
  - rewrite E. pose proof (cosh_pos c) as C. pose proof (cosh_sinh c) as S.
    assert (1 <= Rsqr (cosh c)) by (pose proof (Rle_0_sqr (sinh c)); lra).
    assert (0 < / Rsqr (cosh c) <= 1).
    { split; [apply Rinv_0_lt_compat; lra|]. rewrite <- Rinv_1. apply Rinv_le_contravar; lra. }
    nra.
Qed.

Lemma tanh_monotone x y : x <= y -> tanh x <= tanh y.
Proof. intros [H| ->]; [|lra]. pose proof (tanh_grows x y H). lra. Qed.

Lemma tanh_moves x y : Rabs (tanh x - tanh y) <= Rabs (x - y).
Proof.
  destruct (Rtotal_order x y) as [H|[->|H]].
  - pose proof (tanh_grows x y H). rewrite 2!Rabs_left1; lra.
  - rewrite !Rminus_eq_0, Rabs_R0. lra.
  - pose proof (tanh_grows y x H). rewrite 2!Rabs_pos_eq; lra.
Qed.

Lemma tanh_bounds x : -1 <= tanh x <= 1.
Proof.
  pose proof (cosh_pos x) as C. unfold tanh.
  assert (- cosh x <= sinh x <= cosh x).
  { unfold cosh, sinh. pose proof (exp_pos x). pose proof (exp_pos (- x)). lra. }
  split; apply (Rmult_le_reg_r (cosh x)); try exact C; field_simplify; lra.
Qed.

Lemma tanh_computed_error x X X' e y : Rabs (X - x) <= e -> operand single X X' ->
  Rabs (y - tanh X') <= tanh_error -> Rabs (y - tanh x) <= e + tanh_error + / IZR (2 ^ 60).
Proof.
  intros He O H. pose proof tiny_small. pose proof (operand_near _ _ _ _ He O) as N.
  pose proof (tanh_moves X' x).
  replace (y - tanh x) with ((y - tanh X') + (tanh X' - tanh x)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

(** ** Sorting in groups *)

Lemma group_sort_error s k (x X X' : vec) e y : 0 <= e ->
  (forall j, (j < s)%nat -> Rabs (X j - x j) <= e) ->
  (forall j, (j < s)%nat -> operand single (X j) (X' j)) ->
  selected (order_stat s X' k) y ->
  Rabs (y - order_stat s x k) <= e + / IZR (2 ^ 60).
Proof.
  intros E0 He O Y. pose proof tiny_small.
  assert (M : Rabs (order_stat s X' k - order_stat s x k) <= e + t).
  { apply order_stat_moves; [lra|]. intros j Hj. apply (operand_near _ (X j)); auto. }
  pose proof (selected_near _ _ _ _ M Y). lra.
Qed.

(** ** A row of an affine operation *)

(** Relative error of a float64 sum of n products and a constant. *)
Definition affine_growth (n : nat) : R := growth double (n + 1).

Lemma affine_error n (w x X : vec) b e B A y :
  0 <= e -> (forall j, (j < n)%nat -> Rabs (X j - x j) <= e) ->
  (forall j, (j < n)%nat -> Rabs (x j) + e <= B) ->
  sum n (fun j => Rabs (w j)) * B + Rabs b <= A ->
  A <= IZR (2 ^ 40) -> B <= IZR (2 ^ 40) -> sum n (fun j => Rabs (w j)) <= IZR (2 ^ 40) ->
  Rabs b <= IZR (2 ^ 40) -> (Z.of_nat n < 1048576)%Z ->
  affine_row n w b X y ->
  Rabs (y - (sum n (fun j => w j * x j) + b)) <=
  sum n (fun j => Rabs (w j)) * e + (affine_growth n - 1) * A +
  u * (Rabs (sum n (fun j => w j * x j) + b) + sum n (fun j => Rabs (w j)) * e +
       (affine_growth n - 1) * A) + / IZR (2 ^ 50).
Proof.
  intros He0 He HB HA A40 B40 W40 b40 n20 [w' x' b' z y' Ow Ox Ob Hdot Hcast].
  pose proof tiny_small as Ht. pose proof unit_single as Hu. pose proof unit_double as Hd.
  set (S := sum n (fun j => Rabs (w j))) in *.
  set (v := sum n (fun j => w j * x j) + b) in *.
  assert (n20' : INR n + 1 <= IZR (2 ^ 20)).
  { rewrite INR_IZR_INZ, <- plus_IZR. apply IZR_le. lia. }
  pose proof (pos_INR n) as N0.
  assert (S0 : 0 <= S) by (apply sum_nonneg; intros; apply Rabs_pos).
  assert (wS : forall j, (j < n)%nat -> Rabs (w j) <= S).
  { intros j Hj. apply (sum_term n (fun j => Rabs (w j))); [intros; apply Rabs_pos|exact Hj]. }
  assert (XB : forall j, (j < n)%nat -> Rabs (X j) <= B).
  { intros j Hj. specialize (He j Hj). specialize (HB j Hj).
    replace (X j) with ((X j - x j) + x j) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra. }
  assert (B0 : 0 <= B \/ n = 0%nat).
  { destruct n as [|m]; [right; reflexivity|left].
    pose proof (XB 0%nat ltac:(lia)). pose proof (Rabs_pos (X 0%nat)). lra. }
  set (l := (b', 1) :: map (fun j => (w' j, x' j)) (seq 0 n)) in *.
  (* the size of the terms *)
  assert (Sz : size l <= A).
  { unfold l. simpl. fold (size (map (fun j => (w' j, x' j)) (seq 0 n))).
    rewrite size_map, Rmult_1_r.
    apply Rle_trans with (Rabs b + S * B); [|lra]. apply Rplus_le_compat.
    - apply (operand_smaller single), Ob.
    - unfold S. rewrite <- sum_scale_r. apply sum_le. intros j Hj. rewrite Rabs_mult.
      apply Rmult_le_compat; try apply Rabs_pos.
      + apply (operand_smaller single), Ow, Hj.
      + eapply Rle_trans; [apply (operand_smaller single), Ox, Hj|apply XB, Hj]. }
  (* what was lost before the sum *)
  assert (Tm : Rabs (terms l - v) <= S * e + (t + INR n * (t * (S + B)))).
  { unfold l. simpl. fold (terms (map (fun j => (w' j, x' j)) (seq 0 n))). rewrite terms_map.
    unfold v. apply operand_error in Ob.
    replace (b' * 1 + sum n (fun j => w' j * x' j) - (sum n (fun j => w j * x j) + b))
      with ((b' - b) + (sum n (fun j => w' j * x' j) - sum n (fun j => w j * x j))) by ring.
    eapply Rle_trans; [apply Rabs_triang|].
    apply Rle_trans with (t + (S * e + INR n * (t * (S + B)))); [|lra].
    apply Rplus_le_compat; [exact Ob|]. rewrite <- sum_minus.
    eapply Rle_trans; [apply sum_abs|]. unfold S at 1.
    rewrite <- sum_scale_r, <- sum_const, <- sum_plus.
    apply sum_le. intros j Hj.
    destruct (product_operands single (w j) (X j) (w' j) (x' j) (Ow j Hj) (Ox j Hj)) as [P _].
    replace (w' j * x' j - w j * x j) with ((w' j * x' j - w j * X j) + w j * (X j - x j)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite (Rabs_mult (w j)).
    assert (Rabs (w j) * Rabs (X j - x j) <= Rabs (w j) * e)
      by (apply Rmult_le_compat_l; [apply Rabs_pos|apply He, Hj]).
    assert (t * (Rabs (w j) + Rabs (X j)) <= t * (S + B)).
    { apply Rmult_le_compat_l; [lra|]. specialize (wS j Hj). specialize (XB j Hj). lra. }
    lra. }
  assert (lost : INR n * (t * (S + B)) <= / IZR (2 ^ 60)).
  { destruct B0 as [B0| ->]; [|simpl; lra].
    apply Rle_trans with (IZR (2 ^ 20) * (/ IZR (2 ^ 126) * IZR (2 ^ 42))); [|lra].
    apply Rmult_le_compat; try lra; [apply Rmult_le_pos; lra|].
    apply Rmult_le_compat; lra. }
  (* the sum *)
  assert (Len : length l = (n + 1)%nat) by (unfold l; simpl; rewrite map_length, seq_length; lia).
  pose proof tiny_double_le as Hdt. pose proof (tiny_pos double) as Hd0.
  set (t' := tiny double) in *. set (K := IZR (2 ^ 42)).
  assert (tK : 0 <= t' * K <= / IZR (2 ^ 84)).
  { split; [apply Rmult_le_pos; unfold K; lra|].
    apply Rle_trans with (/ IZR (2 ^ 126) * K);
        [apply Rmult_le_compat_r; unfold K; lra|unfold K; lra]. }
  pose proof (growth_bound double (n + 1)) as G. pose proof (growth_pos double (n + 1)) as G1.
  rewrite plus_INR in G. simpl (INR 1) in G.
  assert (nu : 0 <= (INR n + 1) * unit double <= / IZR (2 ^ 30)).
  { rewrite Hd. split; lra. }
  assert (G2 : growth double (n + 1) <= 1 + / IZR (2 ^ 29)).
  { specialize (G ltac:(lra)). set (q := (INR n + 1) * unit double) in *.
    assert (q ^ 2 <= / IZR (2 ^ 30)) by (simpl; nra). lra. }
  pose proof (dot_error double valid_double K ltac:(unfold K; lra) l z Hdot) as E.
  rewrite Len in E. pose proof (size_nonneg l) as Sz0.
  assert (nK : 0 <= 2 * INR (n + 1) * (t' * K) <= / IZR (2 ^ 62)).
  { rewrite plus_INR. simpl (INR 1). split; [repeat apply Rmult_le_pos; lra|].
    apply Rle_trans with (2 * IZR (2 ^ 20) * / IZR (2 ^ 84)); [|lra].
    apply Rmult_le_compat; lra. }
  assert (E' : Rabs (z - terms l) <= (growth double (n + 1) - 1) * size l + loss double K (n + 1)).
  { apply E.
    - intros a c I. unfold l, K in *. destruct I as [J|I].
      + injection J as <- <-. apply operand_smaller in Ob. rewrite Rabs_R1. lra.
      + apply in_map_iff in I. destruct I as [j [J Ij]]. injection J as <- <-.
        apply in_seq in Ij. specialize (wS j ltac:(lia)). specialize (XB j ltac:(lia)).
        pose proof (operand_smaller _ _ _ (Ow j ltac:(lia))).
        pose proof (operand_smaller _ _ _ (Ox j ltac:(lia))). lra.
    - fold t'. apply Rle_trans with (IZR (2 ^ 127)); [|apply safe_double].
      apply Rle_trans with (2 * (A + 1)); [|lra]. apply Rmult_le_compat; lra. }
  clear E.
  assert (Ls : loss double K (n + 1) <= / IZR (2 ^ 61)).
  { unfold loss. fold t'. rewrite plus_INR in *. simpl (INR 1) in *.
    replace ((2 * (INR n + 1) - 1) * (growth double (n + 1) * (t' * K)))
      with (growth double (n + 1) * ((2 * (INR n + 1) - 1) * (t' * K))) by ring.
    apply Rle_trans with (2 * / IZR (2 ^ 62)); [|lra]. apply Rmult_le_compat; try lra.
    apply Rmult_le_pos; lra. }
  unfold affine_growth. set (g := growth double (n + 1)) in *.
  assert (gs : (g - 1) * size l <= (g - 1) * A) by (apply Rmult_le_compat_l; lra).
  assert (Z : Rabs (z - v) <= S * e + (g - 1) * A + 3 * / IZR (2 ^ 60)).
  { replace (z - v) with ((z - terms l) + (terms l - v)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. lra. }
  assert (Zv : Rabs z <= Rabs v + (S * e + (g - 1) * A + 3 * / IZR (2 ^ 60))).
  { replace z with ((z - v) + v) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra. }
  pose proof (Rabs_pos v) as v0.
  assert (Se : 0 <= S * e) by (apply Rmult_le_pos; lra).
  assert (gA : 0 <= (g - 1) * A).
  { apply Rmult_le_pos; lra. }
  assert (Zs : Rabs z <= IZR (2 ^ 126)).
  { replace z with ((z - terms l) + terms l) by ring. eapply Rle_trans; [apply Rabs_triang|].
    pose proof (terms_size l).
    assert ((g - 1) * A <= 1 * IZR (2 ^ 40)) by (apply Rmult_le_compat; lra). lra. }
  destruct Hcast as [y' R|].
  - pose proof (rounds_error single z y' valid_single ltac:(rewrite safe_single; lra) R) as E.
    replace (y' - v) with ((y' - z) + (z - v)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Hu in *. lra.
  - rewrite Hu. lra.
Qed.
