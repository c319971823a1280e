(** * SignedError: what rounding adds in a sum of order statistics with coefficients of any sign

    Terms may cancel, so that the sum of their absolute values counts. *)

From Coq Require Import Reals ZArith Lra Lia Psatz List.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** A difference, and the k roundings of a sum of k products. *)
Definition signed_growth (k : nat) : R := growth single (k + 1).

Section Signed.

(** A bounds the sum of the absolute coefficients, D the distances with the error e. *)
Variables (n k : nat) (w c x X : vec) (e A D y : R).
Hypothesis Hk : (1 <= k <= n)%nat.
Hypothesis He : forall i, (i < n)%nat -> Rabs (X i - x i) <= e.
Hypothesis He0 : 0 <= e.
Hypothesis HD : forall i, (i < n)%nat -> Rabs (x i - w i) + e <= D.
Hypothesis HA : sum k (fun j => Rabs (c j)) <= A.
Hypothesis Dlarge : D <= IZR (2 ^ 40).
Hypothesis Alarge : A <= IZR (2 ^ 40).
Hypothesis Hlong : INR k <= 4096.
Hypothesis Hy : signed n w c k X y.

Let s (j : nat) : R := order_stat n (fun i => Rabs (x i - w i)) (j + 1).

Lemma signed_error :
  Rabs (y - sum k (fun j => c j * s j)) <=
  A * e + (signed_growth k - 1) * (A * D) + / IZR (2 ^ 50).
Proof.
  destruct Hy as [d T y' Hd HT Hdot]. rename y' into y. pose proof tiny_small as Ht.
  pose proof unit_single as Hu.
  assert (S : forall j, (j < k)%nat -> 0 <= s j /\ s j + e <= D).
  { intros j Hj. unfold s. split.
    - apply order_stat_nonneg; [lia|]. intros. apply Rabs_pos.
    - destruct (order_stat_attained n (fun i => Rabs (x i - w i)) (j + 1) ltac:(lia))
        as [i [Hi ->]]. apply HD, Hi. }
  assert (D0 : 0 <= D) by (destruct (S 0%nat ltac:(lia)); lra).
  set (b := u * D + e + 7 * t).
  assert (TS : forall j, (j < k)%nat -> Rabs (T j - s j) <= b).
  { intros j Hj.
    assert (Q : Rabs (order_stat n (fun i => Rabs (d i)) (j + 1) - s j) <=
                u * s j + ((1 + u) * e + 5 * t)).
    { apply order_stat_relative; [lia|lra|]. intros i Hi.
      eapply Rle_trans; [apply Rabs_triang_inv2|].
      pose proof (difference_from_near (x i) (X i) (w i) (d i) e (He i Hi)) as E.
      specialize (HD i Hi). specialize (E ltac:(lra) (Hd i Hi)). lra. }
    apply (selected_near _ (T j)) in Q; [|apply HT, Hj].
    destruct (S j Hj) as [S0 S1].
    assert (u * (s j + e) <= u * D) by (apply Rmult_le_compat_l; rewrite ?Hu; lra).
    unfold b. lra. }
  set (M := (1 + u) * D + 7 * t).
  assert (TM : forall j, (j < k)%nat -> Rabs (T j) <= M).
  { intros j Hj. destruct (S j Hj) as [S0 S1]. specialize (TS j Hj).
    replace (T j) with ((T j - s j) + s j) by ring. eapply Rle_trans; [apply Rabs_triang|].
    rewrite (Rabs_pos_eq (s j)) by exact S0. unfold M, b in *. lra. }
  assert (A0 : 0 <= A).
  { eapply Rle_trans; [|exact HA]. apply sum_nonneg. intros. apply Rabs_pos. }
  set (l := map (fun j => (c j, T j)) (seq 0 k)) in *.
  assert (b0 : 0 <= b) by (unfold b; assert (0 <= u * D) by (apply Rmult_le_pos; rewrite ?Hu; lra); lra).
  assert (M0 : 0 <= M) by (unfold M; assert (0 <= u * D) by (apply Rmult_le_pos; rewrite ?Hu; lra); lra).
  assert (weighted : forall f B, 0 <= B -> (forall j, (j < k)%nat -> Rabs (f j) <= Rabs (c j) * B) ->
            sum k (fun j => Rabs (f j)) <= A * B).
  { intros f B B0 H. eapply Rle_trans; [apply (sum_le _ _ _ H)|]. rewrite sum_scale_r.
    apply Rmult_le_compat_r; assumption. }
  assert (Sz : size l <= A * M).
  { unfold l. rewrite size_map. apply weighted; [exact M0|]. intros j Hj. rewrite Rabs_mult.
    apply Rmult_le_compat_l; [apply Rabs_pos|apply TM, Hj]. }
  assert (Tm : Rabs (terms l - sum k (fun j => c j * s j)) <= A * b).
  { unfold l. rewrite terms_map, <- sum_minus. eapply Rle_trans; [apply sum_abs|].
    apply weighted; [exact b0|]. intros j Hj. rewrite <- Rmult_minus_distr_l, Rabs_mult.
    apply Rmult_le_compat_l; [apply Rabs_pos|apply TS, Hj]. }
  assert (Len : length l = k) by (unfold l; rewrite map_length, seq_length; reflexivity).
  assert (K1 : 1 <= INR k) by (apply (le_INR 1); lia).
  pose proof (growth_bound single k) as G.
  assert (ku : INR k * u <= / 4096) by (rewrite Hu; lra).
  specialize (G ltac:(lra)).
  assert (G2 : growth single k <= 2).
  { assert (0 <= INR k * u) by (apply Rmult_le_pos; rewrite ?Hu; lra). nra. }
  pose proof (growth_pos single k) as G1.
  set (K := IZR (2 ^ 43)).
  assert (MK : M <= IZR (2 ^ 41)) by (unfold M; rewrite Hu; lra).
  assert (AM : A * M <= IZR (2 ^ 81)).
  { apply Rle_trans with (IZR (2 ^ 40) * IZR (2 ^ 41)); [apply Rmult_le_compat; lra|lra]. }
  assert (tK : 0 <= t * K <= / IZR (2 ^ 83)).
  { unfold K. split; [apply Rmult_le_pos; lra|].
    apply Rle_trans with (/ IZR (2 ^ 126) * IZR (2 ^ 43)); [apply Rmult_le_compat_r; lra|lra]. }
  assert (E : Rabs (y - terms l) <= (growth single k - 1) * size l + loss single K k).
  { pose proof (dot_error single valid_single K ltac:(unfold K; lra) l y Hdot) as E.
    rewrite Len in E. apply E.
    - intros a a' I. unfold l in I. apply in_map_iff in I. destruct I as [j [J Ij]].
      injection J as <- <-. apply in_seq in Ij. specialize (TM j ltac:(lia)).
      assert (Rabs (c j) <= A).
      { eapply Rle_trans; [|exact HA]. apply (sum_term k (fun j => Rabs (c j)));
          [intros; apply Rabs_pos|lia]. }
      unfold K. lra.
    - rewrite safe_single. pose proof (size_nonneg l).
      apply Rle_trans with (2 * (IZR (2 ^ 81) + 2 * 4096 * / IZR (2 ^ 83))); [|lra].
      apply Rmult_le_compat; try lra.
      + apply Rplus_le_le_0_compat; [assumption|]. repeat apply Rmult_le_pos; lra.
      + apply Rplus_le_compat; [lra|]. apply Rmult_le_compat; try lra. }
  assert (Ls : loss single K k <= / IZR (2 ^ 60)).
  { unfold loss. apply Rle_trans with (8192 * (2 * / IZR (2 ^ 83))); [|lra].
    apply Rmult_le_compat; try lra.
    - apply Rmult_le_pos; lra.
    - apply Rmult_le_compat; lra. }
  unfold signed_growth. rewrite Nat.add_1_r, growth_S.
  replace (y - sum k (fun j => c j * s j))
    with ((y - terms l) + (terms l - sum k (fun j => c j * s j))) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. set (g := growth single k) in *.
  assert (X1 : (g - 1) * size l <= (g - 1) * (A * M)) by (apply Rmult_le_compat_l; lra).
  assert (At : 0 <= A * t <= / IZR (2 ^ 86)).
  { split; [apply Rmult_le_pos; lra|].
    apply Rle_trans with (IZR (2 ^ 40) * / IZR (2 ^ 126)); [apply Rmult_le_compat; lra|lra]. }
  assert (X2 : (g - 1) * (A * M) + A * b =
               A * e + ((1 + u) * g - 1) * (A * D) + 7 * (g * (A * t))) by (unfold M, b; ring).
  assert (X3 : g * (A * t) <= 2 * / IZR (2 ^ 86)) by (apply Rmult_le_compat; lra).
  lra.
Qed.

End Signed.
