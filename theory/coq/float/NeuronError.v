(** * NeuronError: what rounding adds in a sorted neuron

    Selection adds nothing ([Order.v]); the sum is one of non-negative terms, where relative
    errors do not grow. *)

From Coq Require Import Reals ZArith Lra Lia Psatz List.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** ** Coefficients *)

Lemma geometric_sum_pos rho k : 0 <= rho -> (1 <= k)%nat -> 1 <= sum k (fun i => rho ^ i).
Proof.
  intros H Hk. apply (sum_term k (fun i => rho ^ i) 0); [|lia].
  intros j _. apply pow_le, H.
Qed.

Lemma coefficient_nonneg rho k j : 0 <= rho -> (1 <= k)%nat -> 0 <= coefficient rho k j.
Proof.
  intros H Hk. pose proof (geometric_sum_pos rho k H Hk). unfold coefficient, Rdiv.
  apply Rmult_le_pos; [apply pow_le, H|]. apply Rlt_le, Rinv_0_lt_compat. lra.
Qed.

Lemma coefficient_sum rho k : 0 <= rho -> (1 <= k)%nat -> sum k (coefficient rho k) = 1.
Proof.
  intros H Hk. pose proof (geometric_sum_pos rho k H Hk). unfold coefficient, Rdiv.
  rewrite sum_scale_r. apply Rinv_r. lra.
Qed.

Lemma coefficient_le_1 rho k j : 0 <= rho -> (j < k)%nat -> coefficient rho k j <= 1.
Proof.
  intros H Hj. rewrite <- (coefficient_sum rho k) by (lia || exact H).
  apply sum_term; [|exact Hj]. intros i _. apply coefficient_nonneg; [exact H|lia].
Qed.

(** The first coefficient is at least 1/k. *)
Lemma coefficient_first rho k : 0 <= rho <= 1 -> (1 <= k)%nat -> 1 <= INR k * coefficient rho k 0.
Proof.
  intros H Hk. pose proof (geometric_sum_pos rho k (proj1 H) Hk) as P.
  unfold coefficient. simpl (rho ^ 0).
  assert (S : sum k (fun i => rho ^ i) <= INR k).
  { replace (INR k) with (sum k (fun _ => 1)) by (rewrite sum_const; ring).
    apply sum_le. intros i _. rewrite <- (pow1 i). apply pow_incr, H. }
  apply (Rmult_le_reg_r (sum k (fun i => rho ^ i))); [lra|]. field_simplify; lra.
Qed.

(** ** A sorted neuron *)

Lemma neuron_bounds n w rho k x lo hi : 0 <= rho -> (1 <= k <= n)%nat ->
  (forall i, (i < n)%nat -> lo <= Rabs (x i - w i) <= hi) -> lo <= neuron n w rho k x <= hi.
Proof.
  intros Hr Hk H. unfold neuron.
  replace lo with (sum k (fun j => coefficient rho k j * lo))
    by (rewrite sum_scale_r, coefficient_sum by (lia || exact Hr); ring).
  replace hi with (sum k (fun j => coefficient rho k j * hi))
    by (rewrite sum_scale_r, coefficient_sum by (lia || exact Hr); ring).
  split; apply sum_le; intros j Hj;
    (apply Rmult_le_compat_l; [apply coefficient_nonneg; [exact Hr|lia]|]);
    apply (order_stat_bounds n (j + 1) _ lo hi); try lia; exact H.
Qed.

Lemma order_stat_nonneg n k (x : vec) : (1 <= k <= n)%nat ->
  (forall i, (i < n)%nat -> 0 <= x i) -> 0 <= order_stat n x k.
Proof.
  intros Hk H. destruct (order_stat_attained n x k Hk) as [i [Hi ->]]. apply H, Hi.
Qed.

(** No distance is more than k times the neuron's value. *)
Lemma neuron_distance n w rho k x i : 0 <= rho <= 1 -> (1 <= k <= n)%nat -> (i < n)%nat ->
  Rabs (x i - w i) <= INR k * neuron n w rho k x.
Proof.
  intros Hr Hk Hi. set (d := fun i => Rabs (x i - w i)).
  assert (P : forall j, (1 <= j <= n)%nat -> 0 <= order_stat n d j)
    by (intros j Hj; apply order_stat_nonneg; [exact Hj|intros; apply Rabs_pos]).
  assert (F : coefficient rho k 0 * order_stat n d 1 <= neuron n w rho k x).
  { apply (sum_term k (fun j => coefficient rho k j * order_stat n d (j + 1)) 0); [|lia].
    intros j Hj. apply Rmult_le_pos; [apply coefficient_nonneg; [lra|lia]|apply P; lia]. }
  pose proof (order_stat_first n d i Hi) as M. fold (d i).
  pose proof (coefficient_first rho k Hr ltac:(lia)) as C.
  pose proof (P 1%nat ltac:(lia)) as P1. pose proof (pos_INR k) as Pk.
  apply Rle_trans with (1 := M).
  apply Rle_trans with (INR k * coefficient rho k 0 * order_stat n d 1).
  - rewrite <- (Rmult_1_l (order_stat n d 1)) at 1. apply Rmult_le_compat_r; assumption.
  - rewrite Rmult_assoc. apply Rmult_le_compat_l; assumption.
Qed.

(** The relative error of a sorted neuron: a difference, k roundings of a sum of k products,
    and the coefficients. *)
Definition neuron_growth (k : nat) : R := growth single (k + 1) * (1 + coefficient_error).

(** Upward alone: a host's coefficients are not as far above the exact ones as below. *)
Definition neuron_growth_above (k : nat) : R :=
  growth single (k + 1) * (1 + coefficient_above).

(** All that underflow can do to one. *)
Definition neuron_underflow (k : nat) (D : R) : R := 100 * INR k * t * (1 + D).

Section WeightedSum.

(** s are the exact sorted distances, T the selected computed ones, C a host's coefficients. *)
Variables (k : nat) (s T C : nat -> R) (rho e D y : R).
Hypothesis Hk : (1 <= k)%nat.
Hypothesis Hr : 0 <= rho.
Hypothesis He0 : 0 <= e.
Hypothesis S0 : forall j, (j < k)%nat -> 0 <= s j.
Hypothesis SD : forall j, (j < k)%nat -> s j + e <= D.
Hypothesis TS : forall j, (j < k)%nat -> Rabs (T j - s j) <= u * s j + ((1 + u) * e + 7 * t).
Hypothesis T0 : forall j, (j < k)%nat -> - (7 * t) <= T j.
Hypothesis HC : forall j, (j < k)%nat -> host_coefficient (coefficient rho k j) (C j).
Hypothesis Hlarge : D <= IZR (2 ^ 100).
Hypothesis Hlong : INR k * u <= / 16.
Hypothesis Hdot : dot single (map (fun j => (C j, T j)) (seq 0 k)) y.

Local Notation r := coefficient_error.
Local Notation r2 := coefficient_above.
Local Notation c := (coefficient rho k).

Lemma weighted_sum_error :
  Rabs (y - sum k (fun j => c j * s j)) <=
  e + (neuron_growth k - 1) * (sum k (fun j => c j * s j) + e) + neuron_underflow k D /\
  y - sum k (fun j => c j * s j) <=
  e + (neuron_growth_above k - 1) * (sum k (fun j => c j * s j) + e) + neuron_underflow k D.
Proof.
  pose proof tiny_small as Ht. pose proof unit_single as Hu.
  pose proof coefficient_error_value as Hrho. pose proof coefficient_above_value as Hr2.
  assert (D0 : 0 <= D) by (pose proof (SD 0%nat ltac:(lia)); pose proof (S0 0%nat ltac:(lia)); lra).
  set (b := (1 + u) * e + 7 * t).
  assert (TSb : forall j, (j < k)%nat -> Rabs (T j - s j) <= u * s j + b) by exact TS.
  set (M := 2 * D + 1).
  assert (TM : forall j, (j < k)%nat ->
    Rabs (T j) <= (1 + u) * (s j + e) + 7 * t /\ Rabs (T j) <= M).
  { intros j Hj. pose proof (TSb j Hj) as TS1. specialize (SD j Hj). specialize (S0 j Hj).
    assert (Rabs (T j) <= (1 + u) * (s j + e) + 7 * t).
    { replace (T j) with ((T j - s j) + s j) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. rewrite (Rabs_pos_eq (s j)) by exact S0.
      unfold b in TS1. lra. }
    split; [assumption|]. unfold M. rewrite Hu in *. lra. }
  (* the coefficients *)
  assert (C0 : forall j, (j < k)%nat -> 0 <= c j <= 1).
  { intros j Hj. split; [apply coefficient_nonneg; [exact Hr|lia]|
      apply coefficient_le_1; assumption]. }
  assert (CB : forall j, (j < k)%nat ->
            c j - r * c j - 2 * t <= C j <= c j + r2 * c j + 2 * t).
  { intros j Hj. rewrite <- coefficient_underflow_value. apply HC, Hj. }
  assert (CE : forall j, (j < k)%nat -> Rabs (C j - c j) <= r * c j + 2 * t).
  { intros j Hj. specialize (CB j Hj). specialize (C0 j Hj).
    apply Rabs_le. rewrite Hrho, Hr2 in *. lra. }
  assert (CM : forall j, (j < k)%nat -> Rabs (C j) <= (1 + r2) * c j + 2 * t).
  { intros j Hj. specialize (CB j Hj). specialize (C0 j Hj).
    apply Rabs_le. rewrite Hrho, Hr2 in *. lra. }
  pose proof (coefficient_sum rho k Hr ltac:(lia)) as C1.
  set (v := sum k (fun j => c j * s j)).
  assert (Hv : sum k (fun j => c j * s j) = v) by reflexivity.
  assert (V0 : 0 <= v).
  { rewrite <- Hv. apply sum_nonneg. intros j Hj.
    apply Rmult_le_pos; [apply C0|apply S0]; exact Hj. }
  set (kk := INR k) in *.
  assert (K1 : 1 <= kk) by (apply (le_INR 1); lia).
  set (q := kk * (4 * t * M)).
  assert (M0 : 0 <= M) by (unfold M; lra).
  assert (tM0 : 0 <= t * M) by (apply Rmult_le_pos; lra).
  assert (Q0 : 0 <= q) by (unfold q; repeat apply Rmult_le_pos; lra).
  (* sums over j *)
  assert (weighted : forall f A B, (forall j, (j < k)%nat ->
            f j <= A * (c j * s j) + B * c j + 4 * t * M) ->
            sum k f <= A * v + B + q).
  { intros f A B Hf. eapply Rle_trans; [apply (sum_le _ _ _ Hf)|].
    rewrite 2!sum_plus, 2!sum_scale, sum_const, C1, Hv. unfold q, kk. right. ring. }
  set (l := map (fun j => (C j, T j)) (seq 0 k)) in *.
  assert (Sz : size l <= (1 + r2) * (1 + u) * (v + e) + (1 + r2) * (7 * t) + q).
  { unfold l. rewrite size_map.
    apply Rle_trans with ((1 + r2) * (1 + u) * v + ((1 + r2) * (1 + u) * e + (1 + r2) * (7 * t)) +
      q);
      [|right; ring].
    apply weighted. intros j Hj.
    destruct (TM j Hj) as [T1 T2]. specialize (CM j Hj). specialize (C0 j Hj).
    rewrite Rabs_mult.
    apply Rle_trans with (((1 + r2) * c j + 2 * t) * Rabs (T j));
      [apply Rmult_le_compat_r; [apply Rabs_pos|exact CM]|].
    assert ((1 + r2) * c j * Rabs (T j) <= (1 + r2) * c j * ((1 + u) * (s j + e) + 7 * t)).
    { apply Rmult_le_compat_l; [apply Rmult_le_pos; lra|exact T1]. }
    assert (2 * t * Rabs (T j) <= 2 * t * M) by (apply Rmult_le_compat_l; lra).
    lra. }
  assert (Tm : Rabs (terms l - v) <=
               (r * (1 + u) + u) * v + (r * ((1 + u) * e + 7 * t) + b) + q).
  { unfold l. rewrite terms_map, <- Hv, <- sum_minus.
    eapply Rle_trans; [apply sum_abs|]. apply weighted. intros j Hj.
    destruct (TM j Hj) as [T1 T2]. specialize (CE j Hj). specialize (C0 j Hj).
    pose proof (TSb j Hj) as TS1.
    replace (C j * T j - c j * s j) with ((C j - c j) * T j + c j * (T j - s j)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult, (Rabs_pos_eq (c j)) by lra.
    assert (Rabs (C j - c j) * Rabs (T j) <= (r * c j + 2 * t) * Rabs (T j))
      by (apply Rmult_le_compat_r; [apply Rabs_pos|exact CE]).
    assert (r * c j * Rabs (T j) <= r * c j * ((1 + u) * (s j + e) + 7 * t)).
    { apply Rmult_le_compat_l; [apply Rmult_le_pos; lra|exact T1]. }
    assert (2 * t * Rabs (T j) <= 2 * t * M) by (apply Rmult_le_compat_l; lra).
    assert (c j * Rabs (T j - s j) <= c j * (u * s j + b)) by (apply Rmult_le_compat_l; lra).
    lra. }
  assert (Tu : terms l - v <= (r2 * (1 + u) + u) * v + (r2 * ((1 + u) * e + 7 * t) + b) + q).
  { unfold l. rewrite terms_map, <- Hv, <- sum_minus. apply weighted. intros j Hj.
    destruct (TM j Hj) as [T1 T2]. specialize (CE j Hj). specialize (C0 j Hj).
    pose proof (TSb j Hj) as TS1. specialize (T0 j Hj). specialize (CB j Hj).
    replace (C j * T j - c j * s j) with ((C j - c j) * T j + c j * (T j - s j)) by ring.
    assert (A1 : c j * (T j - s j) <= c j * (u * s j + b)).
    { apply Rmult_le_compat_l; [lra|]. eapply Rle_trans; [apply Rle_abs|exact TS1]. }
    destruct (Rle_dec 0 (T j)) as [P|P].
    - rewrite (Rabs_pos_eq (T j)) in T1, T2 by exact P.
      assert ((C j - c j) * T j <= (r2 * c j + 2 * t) * T j) by (apply Rmult_le_compat_r; lra).
      assert (r2 * c j * T j <= r2 * c j * ((1 + u) * (s j + e) + 7 * t)).
      { apply Rmult_le_compat_l; [apply Rmult_le_pos; [rewrite Hr2|]; lra|exact T1]. }
      assert (2 * t * T j <= 2 * t * M) by (apply Rmult_le_compat_l; lra).
      lra.
    - assert ((C j - c j) * T j <= / 7 * (7 * t)).
      { eapply Rle_trans; [apply Rle_abs|]. rewrite Rabs_mult.
        apply Rmult_le_compat; try apply Rabs_pos; [rewrite Hrho in CE; lra|].
        rewrite Rabs_left1; lra. }
      assert (t <= t * M) by (unfold M; assert (0 <= t * D) by (apply Rmult_le_pos; lra); lra).
      assert (0 <= r2 * (1 + u) * (c j * s j)).
      { apply Rmult_le_pos; [apply Rmult_le_pos; [rewrite Hr2; lra|rewrite Hu; lra]|].
        apply Rmult_le_pos; [lra|exact (S0 j Hj)]. }
      assert (0 <= r2 * ((1 + u) * e + 7 * t) * c j).
      { apply Rmult_le_pos; [|lra]. apply Rmult_le_pos; [rewrite Hr2; lra|].
        rewrite Hu. lra. }
      lra. }
  (* the sum *)
  assert (Len : length l = k) by (unfold l; rewrite map_length, seq_length; reflexivity).
  pose proof (growth_bound single k) as G. fold kk in G.
  assert (G2 : growth single k <= 2).
  { specialize (G ltac:(lra)). set (z := kk * u) in *. assert (0 <= z) by (unfold z; nra). nra. }
  pose proof (growth_pos single k) as G1.
  assert (VD : v + e <= D).
  { enough (v <= D - e) by lra.
    replace (D - e) with (sum k (fun j => c j * (D - e))) by (rewrite sum_scale_r, C1; ring).
    apply sum_le. intros j Hj. specialize (SD j Hj). specialize (C0 j Hj).
    apply Rmult_le_compat_l; lra. }
  assert (tM : t * M <= / IZR (2 ^ 20)).
  { apply Rle_trans with (/ IZR (2 ^ 126) * M); [apply Rmult_le_compat_r; lra|].
    unfold M. lra. }
  assert (kl : kk <= IZR (2 ^ 20)) by (rewrite Hu in Hlong; lra).
  assert (qs : q <= 4).
  { unfold q. apply Rle_trans with (IZR (2 ^ 20) * (4 * / IZR (2 ^ 20))); [|lra].
    apply Rmult_le_compat; lra || nra. }
  assert (tK : t * (M + 5) <= / IZR (2 ^ 19)) by lra.
  assert (kt : kk * (t * (M + 5)) <= 2).
  { apply Rle_trans with (IZR (2 ^ 20) * / IZR (2 ^ 19)); [|lra]. apply Rmult_le_compat; nra. }
  assert (sb : size l <= 4 * D + 10) by (rewrite Hu, Hr2 in Sz; lra).
  pose proof (dot_error single valid_single (M + 5) ltac:(lra) l y Hdot) as E.
  rewrite Len in E. fold kk in E.
  assert (E' : Rabs (y - terms l) <= (growth single k - 1) * size l + loss single (M + 5) k).
  { apply E.
    - intros a a' I. unfold l in I. apply in_map_iff in I. destruct I as [j [J Ij]].
      injection J as <- <-. apply in_seq in Ij. destruct (TM j ltac:(lia)) as [_ T2].
      specialize (CM j ltac:(lia)). specialize (C0 j ltac:(lia)). rewrite Hr2 in CM. lra.
    - rewrite safe_single. pose proof (size_nonneg l).
      apply Rle_trans with (2 * (4 * D + 10 + 2 * 2)); [|lra].
      apply Rmult_le_compat; try lra.
      apply Rplus_le_le_0_compat; [assumption|]. repeat apply Rmult_le_pos; lra. }
  clear E.
  assert (Ls : loss single (M + 5) k <= 2 * (2 * (kk * (t * (M + 5))))).
  { unfold loss. fold kk. rewrite <- (Rmult_assoc (2 * kk - 1)).
    assert (0 <= t * (M + 5)) by nra.
    apply Rle_trans with (2 * kk * 2 * (t * (M + 5))); [|right; ring].
    apply Rmult_le_compat_r; [assumption|]. apply Rmult_le_compat; lra. }
  replace (y - v) with ((y - terms l) + (terms l - v)) by ring.
  unfold neuron_growth, neuron_growth_above. rewrite Nat.add_1_r, growth_S.
  set (g := growth single k) in *.
  assert (X1 : (g - 1) * size l <=
               (g - 1) * ((1 + r2) * (1 + u) * (v + e) + (1 + r2) * (7 * t) + q))
    by (apply Rmult_le_compat_l; lra).
  assert (X2 : g * q <= 2 * q) by (apply Rmult_le_compat_r; assumption).
  assert (X3 : g * ((1 + r2) * (7 * t)) <= 2 * ((1 + r2) * (7 * t))).
  { apply Rmult_le_compat_r; [|assumption]. apply Rmult_le_pos; rewrite ?Hr2; lra. }
  assert (X4 : 2 * ((1 + r2) * (7 * t)) <= 15 * t) by (rewrite Hr2; lra).
  assert (X5 : 16 * t + 2 * q + 4 * (kk * (t * (M + 5))) <= 100 * kk * t * (1 + D)).
  { unfold q, M. assert (t <= kk * t)
      by (rewrite <- (Rmult_1_l t) at 1; apply Rmult_le_compat_r; lra).
    assert (0 <= kk * t * D) by (repeat apply Rmult_le_pos; lra). lra. }
  unfold neuron_underflow, b in *. fold kk. split.
  - eapply Rle_trans; [apply Rabs_triang|].
    assert (X6 : (r - r2) * (1 + u) * (v + e) <= g * ((r - r2) * (1 + u) * (v + e))).
    { rewrite <- (Rmult_1_l ((r - r2) * (1 + u) * (v + e))) at 1. apply Rmult_le_compat_r; [|lra].
      repeat apply Rmult_le_pos; rewrite ?Hrho, ?Hr2, ?Hu; lra. }
    assert (X7 : (r - r2) * (7 * t) <= t / 2) by (rewrite Hrho, Hr2; lra).
    lra.
  - apply Rle_trans with ((g - 1) * size l + loss single (M + 5) k + (terms l - v)).
    { apply Rplus_le_compat_r. eapply Rle_trans; [apply Rle_abs|exact E']. }
    lra.
Qed.

End WeightedSum.

Section Neuron.

Variables (n k : nat) (w x X : vec) (rho e D y : R).
Hypothesis Hk : (1 <= k <= n)%nat.
Hypothesis Hr : 0 <= rho.
Hypothesis He : forall i, (i < n)%nat -> Rabs (X i - x i) <= e.
Hypothesis He0 : 0 <= e.
Hypothesis HD : forall i, (i < n)%nat -> Rabs (x i - w i) + e <= D.
Hypothesis Hlarge : D <= IZR (2 ^ 100).
Hypothesis Hlong : INR k * u <= / 16.
Hypothesis Hy : sorts n w rho k X y.

Lemma neuron_error :
  Rabs (y - neuron n w rho k x) <=
  e + (neuron_growth k - 1) * (neuron n w rho k x + e) + neuron_underflow k D /\
  y - neuron n w rho k x <=
  e + (neuron_growth_above k - 1) * (neuron n w rho k x + e) + neuron_underflow k D.
Proof.
  destruct Hy as [d T C y' Hd HT HC Hdot]. clear Hy. pose proof tiny_small as Ht.
  pose proof unit_single as Hu.
  apply (weighted_sum_error k (fun j => order_stat n (fun i => Rabs (x i - w i)) (j + 1)) T C);
    try assumption; try lia.
  - intros j Hj. apply order_stat_nonneg; [lia|]. intros. apply Rabs_pos.
  - intros j Hj. destruct (order_stat_attained n (fun i => Rabs (x i - w i)) (j + 1) ltac:(lia))
      as [i [Hi ->]]. apply HD, Hi.
  - intros j Hj.
    assert (Q : Rabs (order_stat n (fun i => Rabs (d i)) (j + 1) -
                      order_stat n (fun i => Rabs (x i - w i)) (j + 1)) <=
                u * order_stat n (fun i => Rabs (x i - w i)) (j + 1) + ((1 + u) * e + 5 * t)).
    { apply order_stat_relative; [lia|lra|]. intros i Hi.
      eapply Rle_trans; [apply Rabs_triang_inv2|].
      pose proof (difference_from_near (x i) (X i) (w i) (d i) e (He i Hi)) as E.
      specialize (HD i Hi). specialize (E ltac:(lra) (Hd i Hi)). lra. }
    apply (selected_near _ (T j)) in Q; [|apply HT, Hj]. lra.
  - intros j Hj. specialize (HT j Hj). unfold selected in HT.
    assert (Z : 0 <= order_stat n (fun i => Rabs (d i)) (j + 1))
      by (apply order_stat_nonneg; [lia|intros; apply Rabs_pos]).
    apply operand_error in HT. apply Rabs_le_inv in HT. lra.
Qed.

End Neuron.
