(** * Rounding: what one operation in floating point may do to a number, and sums in any order

    [rounds p x y]: y is what a host may return for the exact result x.  The standard model
    (a relative error of [unit p] and an absolute one of [tiny p]) follows from Flocq. *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Permutation.
From Flocq Require Import Core Relative.
Import ListNotations.
Open Scope R_scope.

(** ** Formats *)

(** p digits, multiples of 2^least, normal numbers from 2^normal, below 2^largest. *)
Record precision := Precision { digits : Z; least : Z; normal : Z; largest : Z }.

Definition single : precision := Precision 24 (-149) (-126) 128.
Definition double : precision := Precision 53 (-1074) (-1022) 1024.

Definition valid (p : precision) : Prop :=
  (0 < digits p /\ least p <= normal p /\ digits p + least p < largest p)%Z.

Lemma valid_single : valid single.
Proof. unfold valid; simpl; lia. Qed.

Lemma valid_double : valid double.
Proof. unfold valid; simpl; lia. Qed.

(** x to the nearest number of the format, ties to even, with no bound above. *)
Definition nearest (p : precision) (x : R) : R :=
  round radix2 (FLT_exp (least p) (digits p)) ZnearestE x.

(** ** What a host may return *)

(** The nearest number; or 0, if the result is below the normal numbers and the host flushes
    those.  Where the result overflows the host may return anything: every proof has to
    exclude that case. *)
Inductive rounds (p : precision) (x : R) : R -> Prop :=
  | rounds_nearest : Rabs (nearest p x) < bpow radix2 (largest p) -> rounds p x (nearest p x)
  | rounds_flushed : Rabs x < bpow radix2 (normal p) -> rounds p x 0
  | rounds_overflow y : bpow radix2 (largest p) <= Rabs (nearest p x) -> rounds p x y.

(** An operand below the normal numbers may be taken for 0. *)
Inductive operand (p : precision) (x : R) : R -> Prop :=
  | operand_kept : operand p x x
  | operand_flushed : Rabs x < bpow radix2 (normal p) -> operand p x 0.

(** A sum of products: any order, any tree, products rounded or fused into an addition. *)
Inductive dot (p : precision) : list (R * R) -> R -> Prop :=
  | dot_product a b a' b' s :
      operand p a a' -> operand p b b' -> rounds p (a' * b') s -> dot p [(a, b)] s
  | dot_add l1 l2 s1 s2 s1' s2' s :
      dot p l1 s1 -> dot p l2 s2 -> operand p s1 s1' -> operand p s2 s2' ->
      rounds p (s1' + s2') s -> dot p (l1 ++ l2) s
  | dot_fused a b l a' b' t t' s :
      dot p l t -> operand p t t' -> operand p a a' -> operand p b b' ->
      rounds p (a' * b' + t') s -> dot p ((a, b) :: l) s
  | dot_permuted l l' s : Permutation l l' -> dot p l s -> dot p l' s.

(** ** The standard model *)

Definition unit (p : precision) : R := bpow radix2 (- digits p).
Definition tiny (p : precision) : R := bpow radix2 (normal p).

(** Exact results up to here cannot overflow. *)
Definition safe (p : precision) : R := bpow radix2 (largest p - 1).

Lemma unit_pos p : 0 < unit p.
Proof. apply bpow_gt_0. Qed.

Lemma tiny_pos p : 0 < tiny p.
Proof. apply bpow_gt_0. Qed.

Lemma nearest_0 p : nearest p 0 = 0.
Proof. apply round_0, valid_rnd_N. Qed.

Lemma nearest_le p x y : valid p -> x <= y -> nearest p x <= nearest p y.
Proof.
  intros (V & _) H. unfold nearest.
  assert (Prec_gt_0 (digits p)) by exact V.
  apply round_le; [apply FLT_exp_valid; assumption|apply valid_rnd_N|exact H].
Qed.

Lemma nearest_safe p x : valid p -> Rabs x <= safe p ->
  Rabs (nearest p x) < bpow radix2 (largest p).
Proof.
  intros V H. apply Rle_lt_trans with (safe p).
  - destruct V as (V & V1 & V2). assert (Prec_gt_0 (digits p)) by exact V.
    unfold nearest, safe. apply abs_round_le_generic.
    + apply FLT_exp_valid. assumption.
    + apply valid_rnd_N.
    + apply generic_format_bpow. unfold FLT_exp. lia.
    + exact H.
  - apply bpow_lt. lia.
Qed.

Lemma nearest_error p x : valid p ->
  Rabs (nearest p x - x) <= unit p * Rabs x + tiny p.
Proof.
  intros (V & V1 & _).
  destruct (error_N_FLT radix2 (least p) (digits p) V (fun x => negb (Z.even x)) x)
    as (d & e & Hd & He & _ & E).
  unfold nearest. rewrite E. replace (x * (1 + d) + e - x) with (x * d + e) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat.
  - rewrite Rabs_mult, Rmult_comm. apply Rmult_le_compat_r; [apply Rabs_pos|].
    eapply Rle_trans; [exact Hd|]. unfold unit. rewrite bpow_plus, bpow_1. simpl. lra.
  - eapply Rle_trans; [exact He|]. pose proof (bpow_gt_0 radix2 (least p)).
    apply Rle_trans with (bpow radix2 (least p)); [lra|]. apply bpow_le, V1.
Qed.

(** One rounding moves a number by a relative error of [unit] and an absolute one of [tiny]. *)
Lemma rounds_error p x y : valid p -> Rabs x <= safe p -> rounds p x y ->
  Rabs (y - x) <= unit p * Rabs x + tiny p.
Proof.
  intros V S [H|H|y' H].
  - apply nearest_error, V.
  - replace (0 - x) with (- x) by ring. rewrite Rabs_Ropp.
    pose proof (unit_pos p). pose proof (Rabs_pos x). unfold tiny. nra.
  - pose proof (nearest_safe p x V S). lra.
Qed.

(** A positive number is the rounding of a positive number only. *)
Lemma rounds_positive p x y : valid p -> Rabs x <= safe p -> rounds p x y -> 0 < y -> 0 < x.
Proof.
  intros V S [H|H|y' H] Y; [|lra|].
  - destruct (Rlt_le_dec 0 x) as [|N]; [assumption|].
    pose proof (nearest_le p x 0 V N) as M. rewrite nearest_0 in M. lra.
  - pose proof (nearest_safe p x V S). lra.
Qed.

Lemma operand_error p x x' : operand p x x' -> Rabs (x' - x) <= tiny p.
Proof.
  intros [|H].
  - rewrite Rminus_eq_0, Rabs_R0. pose proof (tiny_pos p). lra.
  - replace (0 - x) with (- x) by ring. rewrite Rabs_Ropp. unfold tiny. lra.
Qed.

Lemma operand_smaller p x x' : operand p x x' -> Rabs x' <= Rabs x.
Proof. intros [|H]; [lra|]. rewrite Rabs_R0. apply Rabs_pos. Qed.

(** Adding a zero that pads a vector lane is no more than taking an operand for 0: the
    relation needs no constructor for it. *)
Lemma rounds_zero_added p s s' : valid p -> Rabs s < bpow radix2 (largest p) ->
  generic_format radix2 (FLT_exp (least p) (digits p)) s -> rounds p (s + 0) s' ->
  operand p s s'.
Proof.
  intros V S F R. rewrite Rplus_0_r in R.
  assert (E : nearest p s = s) by (apply round_generic; [apply valid_rnd_N|exact F]).
  destruct R as [H|H|y H]; rewrite ?E in *; [apply operand_kept|apply operand_flushed, H|lra].
Qed.

(** ** Sums of products in any order *)

Definition terms (l : list (R * R)) : R :=
  fold_right (fun ab r => fst ab * snd ab + r) 0 l.

Definition size (l : list (R * R)) : R :=
  fold_right (fun ab r => Rabs (fst ab * snd ab) + r) 0 l.

Lemma terms_app l l' : terms (l ++ l') = terms l + terms l'.
Proof. induction l as [|x l IH]; simpl; [ring|]. rewrite IH. ring. Qed.

Lemma size_app l l' : size (l ++ l') = size l + size l'.
Proof. induction l as [|x l IH]; simpl; [ring|]. rewrite IH. ring. Qed.

Lemma terms_permutation l l' : Permutation l l' -> terms l = terms l'.
Proof. induction 1; simpl; lra. Qed.

Lemma size_permutation l l' : Permutation l l' -> size l = size l'.
Proof. induction 1; simpl; lra. Qed.

Lemma size_nonneg l : 0 <= size l.
Proof. induction l as [|x l IH]; simpl; [lra|]. pose proof (Rabs_pos (fst x * snd x)). lra. Qed.

Lemma terms_size l : Rabs (terms l) <= size l.
Proof.
  induction l as [|x l IH]; simpl; [rewrite Rabs_R0; lra|].
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

Lemma dot_nonempty p l s : dot p l s -> (1 <= length l)%nat.
Proof.
  induction 1 as [| l1 l2 s1 s2 s1' s2' s _ IH1 _ IH2 | |l l' s P _ IH]; simpl; try lia.
  - rewrite app_length. lia.
  - rewrite <- (Permutation_length P). exact IH.
Qed.

(** Losing operands below the normal numbers costs a product little. *)
Lemma product_operands p a b a' b' : operand p a a' -> operand p b b' ->
  Rabs (a' * b' - a * b) <= tiny p * (Rabs a + Rabs b) /\ Rabs (a' * b') <= Rabs (a * b).
Proof.
  intros A B. pose proof (tiny_pos p). pose proof (Rabs_pos a). pose proof (Rabs_pos b).
  split; [|rewrite !Rabs_mult; apply Rmult_le_compat;
    auto using Rabs_pos, (operand_smaller p)].
  destruct A as [|A]; destruct B as [|B];
    (replace (a * b - a * b) with 0 by ring) ||
    (replace (_ * _ - a * b) with (- (a * b)) by ring; rewrite Rabs_Ropp, Rabs_mult) ||
    idtac.
  - rewrite Rabs_R0. nra.
  - change (Rabs b < tiny p) in B. nra.
  - change (Rabs a < tiny p) in A. nra.
  - change (Rabs a < tiny p) in A. nra.
Qed.

Section Dot.

Variable p : precision.
Hypothesis V : valid p.
Variable K : R.
Hypothesis K3 : 3 <= K.

Local Notation u := (unit p).
Local Notation t := (tiny p).

Definition growth (n : nat) : R := (1 + unit p) ^ n.

Lemma growth_pos n : 1 <= growth n.
Proof. apply pow_R1_Rle. pose proof (unit_pos p). lra. Qed.

Lemma growth_S n : growth (S n) = (1 + u) * growth n.
Proof. reflexivity. Qed.

Lemma growth_le n m : (n <= m)%nat -> growth n <= growth m.
Proof. intros H. apply Rle_pow; [pose proof (unit_pos p); lra|exact H]. Qed.

(** What the absolute errors of n products and n - 1 additions come to. *)
Definition loss (n : nat) : R := (2 * INR n - 1) * (growth n * (tiny p * K)).

(** With n products: n roundings of relative error u, whatever the order. *)
Lemma dot_error l s : dot p l s ->
  (forall a b, In (a, b) l -> Rabs a + Rabs b + 2 <= K) ->
  growth (length l) * (size l + 2 * INR (length l) * (tiny p * K)) <= safe p ->
  Rabs (s - terms l) <= (growth (length l) - 1) * size l + loss (length l).
Proof.
  pose proof (unit_pos p) as Hu. pose proof (tiny_pos p) as Ht.
  assert (tK : 0 < t * K) by (apply Rmult_lt_0_compat; lra).
  induction 1 as [a b a' b' s A B R
                 |l1 l2 s1 s2 s1' s2' s D1 IH1 D2 IH2 O1 O2 R
                 |a b l a' b' r r' s D IH O A B R
                 |l l' s P D IH]; intros HK Hs.
  - specialize (HK a b (or_introl eq_refl)).
    destruct (product_operands p a b a' b' A B) as [P1 P2].
    unfold loss. simpl in *. unfold growth in *. simpl in *.
    pose proof (Rabs_pos (a * b)). pose proof (Rabs_pos a). pose proof (Rabs_pos b).
    assert (S : Rabs (a' * b') <= safe p) by nra.
    pose proof (rounds_error p _ s V S R) as E.
    replace (s - (a * b + 0)) with ((s - a' * b') + (a' * b' - a * b)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. nra.
  - pose proof (dot_nonempty p _ _ D1) as N1. pose proof (dot_nonempty p _ _ D2) as N2.
    rewrite app_length, size_app, terms_app in *.
    apply le_INR in N1 as M1. apply le_INR in N2 as M2. simpl in M1, M2.
    pose proof (size_nonneg l1) as Z1. pose proof (size_nonneg l2) as Z2.
    pose proof (growth_le (length l1) (length l1 + length l2) ltac:(lia)) as G1.
    pose proof (growth_le (length l2) (length l1 + length l2) ltac:(lia)) as G2.
    pose proof (growth_le (S (length l1)) (length l1 + length l2) ltac:(lia)) as G3.
    pose proof (growth_le (S (length l2)) (length l1 + length l2) ltac:(lia)) as G4.
    pose proof (growth_pos (length l1)) as P1. pose proof (growth_pos (length l2)) as P2.
    rewrite growth_S in G3, G4. unfold loss in *. rewrite plus_INR in *.
    specialize (IH1 (fun a b I => HK a b (in_or_app _ _ _ (or_introl I)))).
    specialize (IH2 (fun a b I => HK a b (in_or_app _ _ _ (or_intror I)))).
    pose proof (terms_size l1) as T1. pose proof (terms_size l2) as T2.
    revert T1 T2 Z1 Z2 M1 M2 G1 G2 G3 G4 P1 P2 IH1 IH2 Hs.
    generalize (growth (length l1 + length l2)) (growth (length l1)) (growth (length l2))
      (INR (length l1)) (INR (length l2)) (size l1) (size l2).
    intros g g1 g2 m1 m2 z1 z2 T1 T2 Z1 Z2 M1 M2 G1 G2 G3 G4 P1 P2 X1 X2 Hs.
    pose proof (operand_smaller p _ _ O1) as S1. pose proof (operand_smaller p _ _ O2) as S2.
    pose proof (operand_error p _ _ O1) as E1. pose proof (operand_error p _ _ O2) as E2.
    assert (Q : 3 * t <= t * K) by nra.
    set (q := t * K) in *.
    assert (B1 : 0 <= m1 * q) by (apply Rmult_le_pos; lra).
    assert (B2 : 0 <= m2 * q) by (apply Rmult_le_pos; lra).
    assert (H1 : g1 * (z1 + 2 * m1 * q) <= safe p).
    { eapply Rle_trans; [|exact Hs]. apply Rmult_le_compat; lra. }
    pose proof (X1 H1) as X1'.
    assert (H2 : g2 * (z2 + 2 * m2 * q) <= safe p).
    { eapply Rle_trans; [|exact Hs]. apply Rmult_le_compat; lra. }
    pose proof (X2 H2) as X2'.
    assert (Y1 : Rabs s1 <= g1 * z1 + (2 * m1 - 1) * (g1 * q)).
    { replace s1 with ((s1 - terms l1) + terms l1) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. lra. }
    assert (Y2 : Rabs s2 <= g2 * z2 + (2 * m2 - 1) * (g2 * q)).
    { replace s2 with ((s2 - terms l2) + terms l2) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. lra. }
    assert (W1 : (1 + u) * (g1 * z1) <= g * z1)
      by (rewrite <- Rmult_assoc; apply Rmult_le_compat_r; assumption).
    assert (W2 : (1 + u) * (g2 * z2) <= g * z2)
      by (rewrite <- Rmult_assoc; apply Rmult_le_compat_r; assumption).
    assert (W3 : (1 + u) * ((2 * m1 - 1) * (g1 * q)) <= (2 * m1 - 1) * (g * q)).
    { replace ((1 + u) * ((2 * m1 - 1) * (g1 * q)))
        with ((2 * m1 - 1) * (((1 + u) * g1) * q)) by ring.
      apply Rmult_le_compat_l; [lra|]. apply Rmult_le_compat_r; lra. }
    assert (W4 : (1 + u) * ((2 * m2 - 1) * (g2 * q)) <= (2 * m2 - 1) * (g * q)).
    { replace ((1 + u) * ((2 * m2 - 1) * (g2 * q)))
        with ((2 * m2 - 1) * (((1 + u) * g2) * q)) by ring.
      apply Rmult_le_compat_l; [lra|]. apply Rmult_le_compat_r; lra. }
    assert (Qg : q <= g * q) by nra.
    assert (U1 : 0 <= u * (g1 * z1)) by (repeat apply Rmult_le_pos; lra).
    assert (U2 : 0 <= u * (g2 * z2)) by (repeat apply Rmult_le_pos; lra).
    assert (U3 : 0 <= u * ((2 * m1 - 1) * (g1 * q))) by (repeat apply Rmult_le_pos; lra).
    assert (U4 : 0 <= u * ((2 * m2 - 1) * (g2 * q))) by (repeat apply Rmult_le_pos; lra).
    assert (T : Rabs (s1' + s2') <= Rabs s1 + Rabs s2)
      by (eapply Rle_trans; [apply Rabs_triang|lra]).
    assert (S : Rabs (s1' + s2') <= safe p) by lra.
    pose proof (rounds_error p _ s V S R) as E.
    assert (Hu' : u * Rabs (s1' + s2') <=
                 u * (g1 * z1 + (2 * m1 - 1) * (g1 * q) + g2 * z2 + (2 * m2 - 1) * (g2 * q)))
      by (apply Rmult_le_compat_l; lra).
    apply Rabs_le_inv in E, E1, E2, X1', X2'. apply Rabs_le. lra.
  - pose proof (dot_nonempty p _ _ D) as N. cbn [length size terms fold_right fst snd] in *.
    fold (size l) (terms l) in *.
    apply le_INR in N as M. simpl in M.
    pose proof (size_nonneg l) as Z. pose proof (growth_pos (length l)) as P.
    destruct (product_operands p a b a' b' A B) as [P1 P2].
    pose proof (HK a b (or_introl eq_refl)) as Kab.
    specialize (IH (fun a b I => HK a b (or_intror I))).
    unfold loss in *. rewrite growth_S, S_INR in *.
    pose proof (terms_size l) as T1.
    revert T1 Z M P IH Hs. generalize (growth (length l)) (INR (length l)) (size l).
    intros g m z T1 Z M P X Hs.
    pose proof (operand_smaller p _ _ O) as S1. pose proof (operand_error p _ _ O) as E1.
    pose proof (Rabs_pos (a * b)) as Hab.
    assert (L : t * (Rabs a + Rabs b) <= t * K - 2 * t) by nra.
    assert (Q : 3 * t <= t * K) by nra.
    set (q := t * K) in *.
    assert (B1 : 0 <= m * q) by (apply Rmult_le_pos; lra).
    assert (Ug : 0 <= u * g) by (apply Rmult_le_pos; lra).
    assert (H0 : g * (z + 2 * m * q) <= safe p).
    { eapply Rle_trans; [|exact Hs]. apply Rmult_le_compat; lra. }
    pose proof (X H0) as X'.
    assert (Y : Rabs r <= g * z + (2 * m - 1) * (g * q)).
    { replace r with ((r - terms l) + terms l) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. lra. }
    assert (T : Rabs (a' * b' + r') <= Rabs (a * b) + Rabs r)
      by (eapply Rle_trans; [apply Rabs_triang|lra]).
    assert (Qg : q <= g * q) by nra.
    assert (U1 : 0 <= u * (g * z)) by (repeat apply Rmult_le_pos; lra).
    assert (U2 : 0 <= u * (g * q)) by (repeat apply Rmult_le_pos; lra).
    assert (U3 : 0 <= u * ((2 * m - 1) * (g * q))) by (repeat apply Rmult_le_pos; lra).
    assert (U4 : 0 <= u * Rabs (a * b)) by (apply Rmult_le_pos; lra).
    assert (U5 : Rabs (a * b) <= g * Rabs (a * b)) by nra.
    assert (U6 : u * Rabs (a * b) <= u * (g * Rabs (a * b))) by (apply Rmult_le_compat_l; lra).
    assert (S : Rabs (a' * b' + r') <= safe p) by lra.
    pose proof (rounds_error p _ s V S R) as E.
    assert (Hu' : u * Rabs (a' * b' + r') <=
                 u * (Rabs (a * b) + (g * z + (2 * m - 1) * (g * q))))
      by (apply Rmult_le_compat_l; lra).
    apply Rabs_le_inv in E, E1, X', P1. apply Rabs_le. lra.
  - rewrite <- (Permutation_length P), <- (terms_permutation _ _ P), <- (size_permutation _ _ P)
      in *.
    apply IH; [|exact Hs]. intros a b I. apply HK, (Permutation_in _ P I).
Qed.

End Dot.

(** A compounded relative error in closed form. *)
Lemma growth_bound p n : INR n * unit p <= 1 ->
  growth p n <= 1 + INR n * unit p + (INR n * unit p) ^ 2.
Proof.
  pose proof (unit_pos p) as U. induction n as [|n IH]; intros H.
  - unfold growth. simpl. lra.
  - rewrite growth_S, S_INR in *. pose proof (pos_INR n) as N.
    assert (IH' := IH ltac:(nra)). set (u := unit p) in *. set (m := INR n) in *.
    assert (G : (1 + u) * growth p n <= (1 + u) * (1 + m * u + (m * u) ^ 2))
      by (apply Rmult_le_compat_l; lra).
    assert (u * (m * u) * (m * u) <= u * (m * u)).
    { rewrite <- (Rmult_1_r (u * (m * u))) at 2. apply Rmult_le_compat_l; nra. }
    nra.
Qed.
