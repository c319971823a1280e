(** * PiecesError: piecewise-linear functions of one unit

    The parts of two inputs differ by no more than these do, all together; so the largest slope
    counts once, and not for every piece. *)

From Coq Require Import Reals ZArith Lra Lia Psatz List.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError SignedError.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** ** Parts *)

Lemma clamp_monotone a b x z : x <= z -> clamp a b x <= clamp a b z.
Proof. intros H. unfold clamp. apply Rle_min_compat_r, Rle_max_compat_r, H. Qed.

Lemma clamp_inside a b x : a <= x <= b -> clamp a b x = x.
Proof. intros H. unfold clamp. rewrite Rmax_left, Rmin_left by lra. reflexivity. Qed.

Lemma clamp_below a b x : a <= b -> x <= a -> clamp a b x = a.
Proof. intros H H'. unfold clamp. rewrite Rmax_right, Rmin_left by lra. reflexivity. Qed.

Lemma clamp_above a b x : a <= b -> b <= x -> clamp a b x = b.
Proof. intros H H'. unfold clamp. rewrite Rmax_left, Rmin_right by lra. reflexivity. Qed.

Lemma clamp_split a b c x : a <= b -> b <= c ->
  (clamp a b x - a) + (clamp b c x - b) = clamp a c x - a.
Proof.
  intros H H'. destruct (Rle_dec x b) as [X|X].
  - rewrite (clamp_below b c) by lra. destruct (Rle_dec x a) as [Y|Y].
    + rewrite !clamp_below by lra. ring.
    + rewrite !clamp_inside by lra. ring.
  - rewrite (clamp_above a b) by lra. destruct (Rle_dec c x) as [Y|Y].
    + rewrite !clamp_above by lra. ring.
    + rewrite !clamp_inside by lra. ring.
Qed.

Section Parts.

(** The ends E_0 <= ... <= E_m of m pieces. *)
Variables (E : nat -> R) (m : nat).
Hypothesis Up : forall j, (j < m)%nat -> E j <= E (S j).

Lemma ends_up : forall k j, (j <= k)%nat -> (k <= m)%nat -> E j <= E k.
Proof.
  induction k as [|k IH]; intros j H H'; [replace j with 0%nat by lia; lra|].
  destruct (Nat.eq_dec j (S k)) as [->|]; [lra|].
  specialize (IH j ltac:(lia) ltac:(lia)). pose proof (Up k ltac:(lia)). lra.
Qed.

Lemma parts_telescope x : forall k, (S k <= m)%nat ->
  sum (S k) (fun j => clamp (E j) (E (S j)) x - E j) = clamp (E 0%nat) (E (S k)) x - E 0%nat.
Proof.
  induction k as [|k IH]; intros H; [simpl; ring|].
  change (sum (S (S k)) (fun j => clamp (E j) (E (S j)) x - E j)) with
    (sum (S k) (fun j => clamp (E j) (E (S j)) x - E j) +
     (clamp (E (S k)) (E (S (S k))) x - E (S k))).
  rewrite IH by lia. apply clamp_split; [apply ends_up; lia|apply Up; lia].
Qed.

Lemma parts_move x z : (1 <= m)%nat ->
  sum m (fun j => Rabs (clamp (E j) (E (S j)) x - clamp (E j) (E (S j)) z)) <= Rabs (x - z).
Proof.
  intros M. assert (Ek : exists k, m = S k) by (exists (m - 1)%nat; lia).
  destruct Ek as [k Em]. rewrite Em.
  assert (G : forall x z, z <= x ->
    sum (S k) (fun j => Rabs (clamp (E j) (E (S j)) x - clamp (E j) (E (S j)) z)) <= x - z).
  { clear x z. intros x z H.
    rewrite (sum_ext (S k) _ (fun j => (clamp (E j) (E (S j)) x - E j) -
      (clamp (E j) (E (S j)) z - E j))).
    - rewrite sum_minus, !parts_telescope by lia.
      assert (L : E 0%nat <= E (S k)) by (apply ends_up; lia).
      destruct (Rle_dec x (E 0%nat)) as [A|A].
      { rewrite !clamp_below by lra. lra. }
      destruct (Rle_dec (E (S k)) z) as [B|B].
      { rewrite !clamp_above by lra. lra. }
      unfold clamp, Rmin, Rmax. repeat destruct (Rle_dec _ _); lra.
    - intros j Hj. pose proof (clamp_monotone (E j) (E (S j)) z x H).
      rewrite Rabs_pos_eq by lra. ring. }
  destruct (Rle_dec z x) as [H|H].
  - rewrite Rabs_pos_eq by lra. apply G, H.
  - rewrite (Rabs_left1 (x - z)) by lra. replace (- (x - z)) with (z - x) by ring.
    eapply Rle_trans; [|apply (G z x); lra]. apply sum_le. intros j _.
    rewrite Rabs_minus_sym. lra.
Qed.

End Parts.

(** ** Pieces of an operation *)

Section Pieces.

Variables (knots : list Z) (s : vec).
Local Notation ends := (fun j => entry_of (piece_ends knots) j).
Local Notation m := (S (length knots)).

(** The knots ascend between the infinities; there is one at least. *)
Hypothesis Some_ : (1 <= length knots)%nat.
Hypothesis Up : forall j, (j < m)%nat -> entry_of (piece_ends knots) j <= entry_of (piece_ends knots) (S j).

Local Notation first := (entry_of (piece_ends knots) 1).

Lemma part_at_first j : (j < m)%nat -> part knots j first = 0.
Proof.
  intros Hj. unfold part, piece_origin. destruct j as [|j].
  - change (Nat.max 0 1) with 1%nat. pose proof (Up 0%nat ltac:(lia)).
    rewrite clamp_inside by lra. ring.
  - replace (Nat.max (S j) 1) with (S j) by lia.
    pose proof (ends_up ends m Up (S j) 1%nat ltac:(lia) ltac:(lia)) as H. cbv beta in H.
    rewrite clamp_below; [ring|apply Up; lia|exact H].
Qed.

Lemma pieces_parts_move x z :
  sum m (fun j => Rabs (part knots j x - part knots j z)) <= Rabs (x - z).
Proof.
  eapply Rle_trans; [|apply (parts_move ends m Up x z); lia].
  right. apply sum_ext. intros j _. unfold part. f_equal. ring.
Qed.

Lemma parts_size x : sum m (fun j => Rabs (part knots j x)) <= Rabs (x - first).
Proof.
  eapply Rle_trans; [|apply (pieces_parts_move x first)]. right. apply sum_ext. intros j Hj.
  rewrite (part_at_first j Hj), Rminus_0_r. reflexivity.
Qed.

Lemma pieces_move A x z : (forall j, (j < m)%nat -> Rabs (s j) <= A) -> 0 <= A ->
  Rabs (pieces knots s x - pieces knots s z) <= A * Rabs (x - z).
Proof.
  intros HA A0. unfold pieces. rewrite <- sum_minus.
  eapply Rle_trans; [apply sum_abs|].
  eapply Rle_trans; [|apply Rmult_le_compat_l; [exact A0|apply pieces_parts_move]].
  rewrite <- sum_scale. apply sum_le. intros j Hj.
  rewrite <- Rmult_minus_distr_l, Rabs_mult. apply Rmult_le_compat_r; [apply Rabs_pos|apply HA, Hj].
Qed.

(** A computed part. *)
Lemma part_error j x p : (j < m)%nat -> Rabs (x - first) <= IZR (2 ^ 50) ->
  part_of (entry_of (piece_ends knots) j) (entry_of (piece_ends knots) (S j))
    (piece_origin knots j) x p ->
  Rabs (p - part knots j x) <= u * Rabs (part knots j x) + 12 * t.
Proof.
  intros Hj Hx [x' l' r h' y X L R H D]. pose proof tiny_small as Ht. pose proof unit_single as Hu.
  apply operand_error, Rabs_le_inv in X, L, R, H.
  set (E := entry_of (piece_ends knots) j) in *. set (F := entry_of (piece_ends knots) (S j)) in *.
  assert (N : Rabs (Rmin r h' - clamp E F x) <= 3 * t).
  { assert (M1 : Rabs (Rmax x' l' - Rmax x E) <= t).
    { unfold Rmax. repeat destruct (Rle_dec _ _); apply Rabs_le; lra. }
    apply Rabs_le_inv in M1. unfold clamp.
    unfold Rmin. repeat destruct (Rle_dec _ _); apply Rabs_le; lra. }
  assert (P : Rabs (part knots j x) <= IZR (2 ^ 50)).
  { eapply Rle_trans; [|exact Hx]. eapply Rle_trans; [|apply parts_size].
    apply (sum_term m (fun j => Rabs (part knots j x))); [intros; apply Rabs_pos|exact Hj]. }
  unfold part in *. fold E F in P |- *.
  pose proof (difference_from_near (clamp E F x) (Rmin r h') (piece_origin knots j) y (3 * t)
    N ltac:(lra) D). rewrite Hu in *. lra.
Qed.

Variables (x X e A D y : R) (p : vec).
Hypothesis He : Rabs (X - x) <= e.
Hypothesis HA : forall j, (j < m)%nat -> Rabs (s j) <= A.
Hypothesis HD : Rabs (x - first) + e <= D.
Hypothesis Dlarge : D <= IZR (2 ^ 40).
Hypothesis Alarge : A <= IZR (2 ^ 40).
Hypothesis Hlong : INR m <= 4097.
Hypothesis Hp : forall j, (j < m)%nat ->
  part_of (entry_of (piece_ends knots) j) (entry_of (piece_ends knots) (S j))
    (piece_origin knots j) X (p j).
Hypothesis Hdot : dot single (map (fun j => (s j, p j)) (seq 0 m)) y.

Lemma pieces_error :
  Rabs (y - pieces knots s x) <= A * e + (signed_growth m - 1) * (A * D) + / IZR (2 ^ 50).
Proof.
  pose proof tiny_small as Ht. pose proof unit_single as Hu.
  assert (A0 : 0 <= A) by (pose proof (HA 0%nat ltac:(lia)); pose proof (Rabs_pos (s 0%nat)); lra).
  assert (XD : Rabs (X - first) <= D).
  { replace (X - first) with ((X - x) + (x - first)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. lra. }
  assert (D0 : 0 <= D) by (pose proof (Rabs_pos (X - first)); lra).
  assert (PE : forall j, (j < m)%nat ->
            Rabs (p j - part knots j X) <= u * Rabs (part knots j X) + 12 * t).
  { intros j Hj. apply part_error; [exact Hj|lra|apply Hp, Hj]. }
  pose proof (parts_size X) as PS.
  set (kk := INR m) in *.
  assert (K1 : 1 <= kk) by (apply (le_INR 1); lia).
  assert (sized : forall c f, 0 <= c -> (forall j, (j < m)%nat ->
            f j <= A * (c * Rabs (part knots j X) + 12 * t)) ->
            sum m f <= A * (c * D + kk * (12 * t))).
  { intros c f C0 H. eapply Rle_trans; [apply (sum_le _ _ _ H)|].
    rewrite sum_scale, sum_plus, sum_scale, sum_const. fold kk.
    apply Rmult_le_compat_l; [exact A0|]. apply Rplus_le_compat_r, Rmult_le_compat_l; lra. }
  set (l := map (fun j => (s j, p j)) (seq 0 m)) in *.
  assert (Sz : size l <= A * ((1 + u) * D + kk * (12 * t))).
  { unfold l. rewrite size_map. apply sized; [rewrite Hu; lra|]. intros j Hj. rewrite Rabs_mult.
    apply Rmult_le_compat; try apply Rabs_pos; [apply HA, Hj|].
    specialize (PE j Hj). replace (p j) with ((p j - part knots j X) + part knots j X) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. lra. }
  assert (Tm : Rabs (terms l - pieces knots s X) <= A * (u * D + kk * (12 * t))).
  { unfold l, pieces. rewrite terms_map, <- sum_minus. eapply Rle_trans; [apply sum_abs|].
    apply sized; [rewrite Hu; lra|]. intros j Hj. rewrite <- Rmult_minus_distr_l, Rabs_mult.
    apply Rmult_le_compat; try apply Rabs_pos; [apply HA, Hj|apply PE, Hj]. }
  assert (Len : length l = m) by (unfold l; rewrite map_length, seq_length; reflexivity).
  pose proof (growth_bound single m) as G. fold kk in G.
  assert (ku : 0 <= kk * u <= / 4000) by (rewrite Hu; lra).
  specialize (G ltac:(lra)).
  assert (G2 : growth single m <= 2) by nra.
  pose proof (growth_pos single m) as G1.
  set (K := IZR (2 ^ 43)).
  assert (kt : 0 <= kk * (12 * t) <= / IZR (2 ^ 100)).
  { split; [repeat apply Rmult_le_pos; lra|].
    apply Rle_trans with (4097 * (12 * / IZR (2 ^ 126))); [apply Rmult_le_compat; lra|lra]. }
  assert (AB : A * ((1 + u) * D + kk * (12 * t)) <= IZR (2 ^ 82)).
  { apply Rle_trans with (IZR (2 ^ 40) * IZR (2 ^ 41)); [|lra].
    apply Rmult_le_compat; try lra; [|rewrite Hu; lra].
    apply Rplus_le_le_0_compat; [apply Rmult_le_pos; rewrite ?Hu; lra|lra]. }
  assert (tK : 0 <= t * K <= / IZR (2 ^ 83)).
  { unfold K. split; [apply Rmult_le_pos; lra|].
    apply Rle_trans with (/ IZR (2 ^ 126) * IZR (2 ^ 43)); [apply Rmult_le_compat_r; lra|lra]. }
  assert (E : Rabs (y - terms l) <= (growth single m - 1) * size l + loss single K m).
  { pose proof (dot_error single valid_single K ltac:(unfold K; lra) l y Hdot) as E.
    rewrite Len in E. fold kk in E. apply E.
    - intros a a' I. unfold l in I. apply in_map_iff in I. destruct I as [j [J Ij]].
      injection J as <- <-. apply in_seq in Ij. specialize (PE j ltac:(lia)).
      pose proof (HA j ltac:(lia)).
      assert (P : Rabs (part knots j X) <= D).
      { eapply Rle_trans; [|exact XD]. eapply Rle_trans; [|exact PS].
        apply (sum_term m (fun j => Rabs (part knots j X))); [intros; apply Rabs_pos|lia]. }
      assert (Rabs (p j) <= IZR (2 ^ 41)).
      { replace (p j) with ((p j - part knots j X) + part knots j X) by ring.
        eapply Rle_trans; [apply Rabs_triang|]. rewrite Hu in PE. lra. }
      unfold K. lra.
    - rewrite safe_single. pose proof (size_nonneg l).
      apply Rle_trans with (2 * (IZR (2 ^ 82) + 2 * 4097 * / IZR (2 ^ 83))); [|lra].
      apply Rmult_le_compat; try lra.
      + apply Rplus_le_le_0_compat; [assumption|]. repeat apply Rmult_le_pos; lra.
      + apply Rplus_le_compat; [lra|]. apply Rmult_le_compat; try lra. }
  assert (Ls : loss single K m <= / IZR (2 ^ 60)).
  { unfold loss. fold kk. apply Rle_trans with (8194 * (2 * / IZR (2 ^ 83))); [|lra].
    apply Rmult_le_compat; try lra.
    - apply Rmult_le_pos; lra.
    - apply Rmult_le_compat; lra. }
  pose proof (pieces_move A X x HA A0) as Mv.
  assert (A * Rabs (X - x) <= A * e) by (apply Rmult_le_compat_l; assumption).
  unfold signed_growth. rewrite Nat.add_1_r, growth_S.
  replace (y - pieces knots s x) with ((y - terms l) + (terms l - pieces knots s X) +
    (pieces knots s X - pieces knots s x)) by ring.
  eapply Rle_trans; [apply Rabs_triang|].
  apply Rle_trans with (Rabs (y - terms l) + Rabs (terms l - pieces knots s X) + A * e).
  { apply Rplus_le_compat; [apply Rabs_triang|lra]. }
  set (g := growth single m) in *.
  assert (X1 : (g - 1) * size l <= (g - 1) * (A * ((1 + u) * D + kk * (12 * t))))
    by (apply Rmult_le_compat_l; lra).
  assert (X2 : (g - 1) * (A * ((1 + u) * D + kk * (12 * t))) + A * (u * D + kk * (12 * t)) =
               ((1 + u) * g - 1) * (A * D) + g * (A * (kk * (12 * t)))) by ring.
  assert (X3 : A * (kk * (12 * t)) <= / IZR (2 ^ 60)).
  { apply Rle_trans with (IZR (2 ^ 40) * / IZR (2 ^ 100)); [apply Rmult_le_compat; lra|lra]. }
  assert (X4 : g * (A * (kk * (12 * t))) <= 2 * / IZR (2 ^ 60)).
  { apply Rmult_le_compat; try lra. apply Rmult_le_pos; lra. }
  lra.
Qed.

End Pieces.
