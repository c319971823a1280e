(** * AffineBounds: what rounding adds in float64 bounds of affine operations *)

From Coq Require Import Reals ZArith Lra Lia Psatz List.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError IntervalSemantics.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation U := (unit double).
Local Notation t := (tiny single).

(** A float64 sum of products of moderate numbers. *)
Lemma double_dot l s : dot double l s -> (Z.of_nat (length l) <= 1048577)%Z ->
  (forall a b, In (a, b) l -> Rabs a <= IZR (2 ^ 41) /\ Rabs b <= IZR (2 ^ 41)) ->
  size l <= IZR (2 ^ 60) ->
  Rabs (s - terms l) <= (growth double (length l) - 1) * size l + / IZR (2 ^ 60).
Proof.
  intros D L HK S. pose proof tiny_small as Ht. pose proof tiny_double_le as Hdt.
  pose proof (tiny_pos double) as Hd0. pose proof unit_double as Hd.
  set (t' := tiny double) in *. set (K := IZR (2 ^ 43)). set (n := length l) in *.
  assert (Kn : 0 <= INR n <= 1048577).
  { split; [apply pos_INR|]. rewrite INR_IZR_INZ. apply IZR_le, L. }
  assert (tK : 0 <= t' * K <= / IZR (2 ^ 83)).
  { split; [apply Rmult_le_pos; unfold K; lra|].
    apply Rle_trans with (/ IZR (2 ^ 126) * K);
        [apply Rmult_le_compat_r; unfold K; lra|unfold K; lra]. }
  pose proof (growth_bound double n) as G. pose proof (growth_pos double n) as G1.
  assert (nu : 0 <= INR n * U <= / IZR (2 ^ 30)) by (rewrite Hd; split; lra).
  assert (G2 : growth double n <= 2).
  { specialize (G ltac:(lra)). set (q := INR n * U) in *.
    assert (q * q <= / 4 * / 4) by (apply Rmult_le_compat; lra). simpl pow in G. lra. }
  pose proof (size_nonneg l) as Sz0.
  assert (nK : 0 <= 2 * INR n * (t' * K) <= / IZR (2 ^ 61)).
  { split; [repeat apply Rmult_le_pos; lra|].
    apply Rle_trans with (2 * 1048577 * / IZR (2 ^ 83)); [|lra]. apply Rmult_le_compat; lra. }
  assert (E : Rabs (s - terms l) <= (growth double n - 1) * size l + loss double K n).
  { apply (dot_error double valid_double K ltac:(unfold K; lra) l s D).
    - intros a b I. destruct (HK a b I). unfold K. lra.
    - fold t' n. apply Rle_trans with (IZR (2 ^ 127)); [|apply safe_double].
      apply Rle_trans with (2 * (IZR (2 ^ 60) + 1)); [|lra]. apply Rmult_le_compat; lra. }
  assert (Ls : loss double K n <= / IZR (2 ^ 60)).
  { unfold loss. fold t'.
    replace ((2 * INR n - 1) * (growth double n * (t' * K)))
      with (growth double n * ((2 * INR n - 1) * (t' * K))) by ring.
    pose proof (dot_nonempty _ _ _ D) as Ne. apply le_INR in Ne. simpl in Ne. fold n in Ne.
    apply Rle_trans with (2 * / IZR (2 ^ 61)); [|lra]. apply Rmult_le_compat; try lra.
    apply Rmult_le_pos; lra. }
  lra.
Qed.

Lemma rounds_double x y : Rabs x <= IZR (2 ^ 120) -> rounds double x y ->
  Rabs (y - x) <= U * Rabs x + t.
Proof.
  intros H R. pose proof tiny_double_le.
  assert (S : Rabs x <= safe double) by (pose proof safe_double; lra).
  pose proof (rounds_error double x y valid_double S R). lra.
Qed.

Lemma operand_double x y : operand double x y -> Rabs (y - x) <= t /\ Rabs y <= Rabs x.
Proof.
  intros O. pose proof tiny_double_le. pose proof (operand_error _ _ _ O).
  pose proof (operand_smaller _ _ _ O). lra.
Qed.

(** Products of a row with two vectors of bounds: what the two sums may be off. *)
Section Row.

Variables (n : nat) (a c p q low high low' high' : vec) (up down d B M : R).
Hypothesis n20 : (Z.of_nat n < 1048576)%Z.
Hypothesis B0 : 0 <= B <= IZR (2 ^ 40).
Hypothesis M40 : forall j, (j < n)%nat -> Rabs (a j) <= IZR (2 ^ 40) /\ Rabs (c j) <= IZR (2 ^ 40).
Hypothesis d0 : 0 <= d <= 1.
Hypothesis Hp : forall j, (j < n)%nat -> Rabs (p j - a j) <= U * d * Rabs (a j) + 5 * t.
Hypothesis Hq : forall j, (j < n)%nat -> Rabs (q j - c j) <= U * d * Rabs (c j) + 5 * t.
Hypothesis Hl : forall j, (j < n)%nat -> Rabs (low j) <= B /\ operand single (low j) (low' j).
Hypothesis Hh : forall j, (j < n)%nat -> Rabs (high j) <= B /\ operand single (high j) (high' j).
Hypothesis HM : sum n (fun j => Rabs (a j) + Rabs (c j)) * B <= M.
Hypothesis M60 : 0 <= M <= IZR (2 ^ 50).

Lemma product_near x y z y' e : Rabs x <= IZR (2 ^ 40) -> Rabs y <= B ->
  Rabs (z - x) <= U * d * Rabs x + 5 * t -> operand single y y' -> e = U * d ->
  Rabs (z * y' - x * y) <= e * (Rabs x * B) + 10 * (t * IZR (2 ^ 40)) /\
  Rabs (z * y') <= (1 + e) * (Rabs x * B) + 10 * (t * IZR (2 ^ 40)) /\
  Rabs z <= IZR (2 ^ 41) /\ Rabs y' <= IZR (2 ^ 41).
Proof.
  intros X Y Z O ->. pose proof tiny_small as Ht. pose proof unit_double as Hd.
  pose proof (operand_error _ _ _ O) as Oe. pose proof (operand_smaller _ _ _ O) as Os.
  assert (Ud : 0 <= U * d <= / IZR (2 ^ 53)).
  { split; [apply Rmult_le_pos; [rewrite Hd|]; lra|].
    apply Rle_trans with (U * 1); [apply Rmult_le_compat_l; [rewrite Hd|]; lra|rewrite Hd; lra]. }
  set (e := U * d) in *. pose proof (Rabs_pos x) as X0. pose proof (Rabs_pos y') as Y0.
  assert (tB : 0 <= t * B <= t * IZR (2 ^ 40)).
  { split; [apply Rmult_le_pos; lra|apply Rmult_le_compat_l; lra]. }
  assert (tX : 0 <= t * Rabs x <= t * IZR (2 ^ 40)).
  { split; [apply Rmult_le_pos; lra|apply Rmult_le_compat_l; lra]. }
  assert (D1 : Rabs (z * y' - x * y) <= e * (Rabs x * B) + 10 * (t * IZR (2 ^ 40))).
  { replace (z * y' - x * y) with ((z - x) * y' + x * (y' - y)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
    apply Rle_trans with ((e * Rabs x + 5 * t) * B + Rabs x * t).
    - apply Rplus_le_compat; [apply Rmult_le_compat; try apply Rabs_pos; lra|
        apply Rmult_le_compat_l; lra].
    - lra. }
  assert (XB : Rabs (x * y) <= Rabs x * B)
    by (rewrite Rabs_mult; apply Rmult_le_compat_l; lra).
  assert (ex : e * Rabs x <= 1 * Rabs x) by (apply Rmult_le_compat_r; lra).
  split; [exact D1|]. split; [|split].
  - replace (z * y') with ((z * y' - x * y) + x * y) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. lra.
  - replace z with ((z - x) + x) by ring. eapply Rle_trans; [apply Rabs_triang|].
    assert (e * Rabs x <= / IZR (2 ^ 53) * IZR (2 ^ 40)) by (apply Rmult_le_compat; lra). lra.
  - lra.
Qed.

Lemma row_sums extra :
  dot double (extra ++ map (fun j => (p j, low' j)) (seq 0 n)) up ->
  dot double (map (fun j => (q j, high' j)) (seq 0 n)) down ->
  (extra = [] \/ exists b, extra = [(b, 1)] /\ Rabs b <= IZR (2 ^ 40)) ->
  let A := (1 + U * d) * M + size extra in
  Rabs (up + down - (terms extra + sum n (fun j => a j * low j + c j * high j))) <=
    (growth double (n + 1) - 1) * A + U * d * M + / IZR (2 ^ 56) /\
  Rabs up + Rabs down <= growth double (n + 1) * A + / IZR (2 ^ 56).
Proof.
  intros Du Dd Hx A. pose proof tiny_small as Ht. pose proof unit_double as Hd.
  assert (Kn : 0 <= INR n <= 1048576).
  { split; [apply pos_INR|]. rewrite INR_IZR_INZ. apply IZR_le. lia. }
  set (w := 10 * (t * IZR (2 ^ 40))).
  assert (w0 : 0 <= w <= / IZR (2 ^ 82)).
  { unfold w. split; [lra|]. lra. }
  assert (nw : 0 <= INR n * w <= / IZR (2 ^ 62)).
  { split; [apply Rmult_le_pos; lra|].
    apply Rle_trans with (1048576 * / IZR (2 ^ 82)); [apply Rmult_le_compat; lra|lra]. }
  assert (Ud : 0 <= U * d <= / IZR (2 ^ 53)).
  { split; [apply Rmult_le_pos; [rewrite Hd|]; lra|].
    apply Rle_trans with (U * 1); [apply Rmult_le_compat_l; [rewrite Hd|]; lra|rewrite Hd; lra]. }
  set (e := U * d) in *.
  assert (P1 : forall j, (j < n)%nat ->
    Rabs (p j * low' j - a j * low j) <= e * (Rabs (a j) * B) + w /\
    Rabs (p j * low' j) <= (1 + e) * (Rabs (a j) * B) + w /\
    Rabs (p j) <= IZR (2 ^ 41) /\ Rabs (low' j) <= IZR (2 ^ 41)).
  { intros j Hj. apply (product_near (a j) (low j) (p j) (low' j) e); auto;
      [apply M40, Hj|apply Hl, Hj|apply Hl, Hj]. }
  assert (P2 : forall j, (j < n)%nat ->
    Rabs (q j * high' j - c j * high j) <= e * (Rabs (c j) * B) + w /\
    Rabs (q j * high' j) <= (1 + e) * (Rabs (c j) * B) + w /\
    Rabs (q j) <= IZR (2 ^ 41) /\ Rabs (high' j) <= IZR (2 ^ 41)).
  { intros j Hj. apply (product_near (c j) (high j) (q j) (high' j) e); auto;
      [apply M40, Hj|apply Hh, Hj|apply Hh, Hj]. }
  set (lu := map (fun j => (p j, low' j)) (seq 0 n)) in *.
  set (ld := map (fun j => (q j, high' j)) (seq 0 n)) in *.
  set (Ma := sum n (fun j => Rabs (a j)) * B). set (Mc := sum n (fun j => Rabs (c j)) * B).
  assert (MM : Ma + Mc <= M).
  { unfold Ma, Mc. rewrite <- Rmult_plus_distr_r, <- sum_plus. exact HM. }
  assert (Ma0 : 0 <= Ma) by (apply Rmult_le_pos; [apply sum_nonneg; intros; apply Rabs_pos|lra]).
  assert (Mc0 : 0 <= Mc) by (apply Rmult_le_pos; [apply sum_nonneg; intros; apply Rabs_pos|lra]).
  assert (Su : size lu <= (1 + e) * Ma + INR n * w).
  { unfold lu. rewrite size_map. unfold Ma.
    rewrite <- sum_scale_r, <- sum_scale, <- sum_const, <- sum_plus. apply sum_le.
    intros j Hj. apply P1, Hj. }
  assert (Sd : size ld <= (1 + e) * Mc + INR n * w).
  { unfold ld. rewrite size_map. unfold Mc.
    rewrite <- sum_scale_r, <- sum_scale, <- sum_const, <- sum_plus. apply sum_le.
    intros j Hj. apply P2, Hj. }
  assert (Tu : Rabs (terms lu - sum n (fun j => a j * low j)) <= e * Ma + INR n * w).
  { unfold lu. rewrite terms_map, <- sum_minus. eapply Rle_trans; [apply sum_abs|]. unfold Ma.
    rewrite <- sum_scale_r, <- sum_scale, <- sum_const, <- sum_plus. apply sum_le.
    intros j Hj. apply P1, Hj. }
  assert (Td : Rabs (terms ld - sum n (fun j => c j * high j)) <= e * Mc + INR n * w).
  { unfold ld. rewrite terms_map, <- sum_minus. eapply Rle_trans; [apply sum_abs|]. unfold Mc.
    rewrite <- sum_scale_r, <- sum_scale, <- sum_const, <- sum_plus. apply sum_le.
    intros j Hj. apply P2, Hj. }
  assert (Xs : (length extra <= 1)%nat /\ size extra <= IZR (2 ^ 40) /\
            forall a b, In (a, b) extra -> Rabs a <= IZR (2 ^ 41) /\ Rabs b <= IZR (2 ^ 41)).
  { destruct Hx as [->|[b [-> Hb]]]; cbn [length size fold_right fst snd].
    - split; [lia|]. split; [lra|]. intros ? ? [].
    - rewrite Rmult_1_r. split; [lia|]. split; [lra|].
      intros a' b' [J|[]]. injection J as <- <-. rewrite Rabs_R1. lra. }
  destruct Xs as (X1 & X2 & X3). pose proof (size_nonneg extra) as X0.
  assert (Ll : length lu = n /\ length ld = n).
  { unfold lu, ld. rewrite !map_length, seq_length. auto. }
  destruct Ll as [L1 L2].
  assert (eM : e * M <= / IZR (2 ^ 53) * IZR (2 ^ 50)) by (apply Rmult_le_compat; lra).
  assert (eMa : e * Ma <= e * M) by (apply Rmult_le_compat_l; lra).
  assert (eMc : e * Mc <= e * M) by (apply Rmult_le_compat_l; lra).
  pose proof (size_nonneg lu) as Su0. pose proof (size_nonneg ld) as Sd0.
  assert (Eu : Rabs (up - terms (extra ++ lu)) <=
    (growth double (n + 1) - 1) * size (extra ++ lu) + / IZR (2 ^ 60)).
  { eapply Rle_trans; [apply (double_dot _ _ Du)|].
    - rewrite app_length, L1. lia.
    - intros a' b' I. apply in_app_or in I. destruct I as [I|I]; [apply X3, I|].
      unfold lu in I. apply in_map_iff in I. destruct I as [j [J Ij]]. injection J as <- <-.
      apply in_seq in Ij. apply P1. lia.
    - rewrite size_app. lra.
    - apply Rplus_le_compat_r, Rmult_le_compat_r; [apply size_nonneg|].
      rewrite app_length, L1. pose proof (growth_le double (length extra + n) (n + 1) ltac:(lia)).
      lra. }
  assert (Ed : Rabs (down - terms ld) <=
    (growth double (n + 1) - 1) * size ld + / IZR (2 ^ 60)).
  { eapply Rle_trans; [apply (double_dot _ _ Dd)|].
    - rewrite L2. lia.
    - intros a' b' I. unfold ld in I. apply in_map_iff in I. destruct I as [j [J Ij]].
      injection J as <- <-. apply in_seq in Ij. apply P2. lia.
    - lra.
    - apply Rplus_le_compat_r, Rmult_le_compat_r; [apply size_nonneg|].
      rewrite L2. pose proof (growth_le double n (n + 1) ltac:(lia)). lra. }
  rewrite terms_app, size_app in Eu. set (g := growth double (n + 1)) in *.
  assert (g1 : 1 <= g <= 2).
  { split; [apply growth_pos|]. pose proof (growth_bound double (n + 1)) as G.
    rewrite plus_INR in G. simpl (INR 1) in G. rewrite Hd in G. specialize (G ltac:(lra)).
    fold g in G. set (y := (INR n + 1) * / 9007199254740992) in *.
    assert (0 <= y <= / 4) by (unfold y; lra).
    assert (y * y <= / 4 * / 4) by (apply Rmult_le_compat; lra). simpl pow in G. lra. }
  assert (St : size extra + size lu + size ld <= A + / IZR (2 ^ 61)).
  { unfold A. assert ((1 + e) * Ma + (1 + e) * Mc <= (1 + e) * M).
    { rewrite <- Rmult_plus_distr_l. apply Rmult_le_compat_l; lra. } lra. }
  assert (gS : (g - 1) * (size extra + size lu + size ld) <= (g - 1) * (A + / IZR (2 ^ 61)))
    by (apply Rmult_le_compat_l; lra).
  assert (gw : (g - 1) * / IZR (2 ^ 61) <= / IZR (2 ^ 61)) by lra.
  rewrite sum_plus. split.
  - apply Rabs_le_inv in Eu, Ed, Tu, Td. 
    assert (e * Ma + e * Mc <= e * M)
      by (rewrite <- Rmult_plus_distr_l; apply Rmult_le_compat_l; lra).
    apply Rabs_le. lra.
  - assert (Rabs up <= size extra + size lu + ((g - 1) * (size extra + size lu) + / IZR (2 ^ 60))).
    { replace up with ((up - (terms extra + terms lu)) + (terms extra + terms lu)) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. rewrite <- terms_app in Eu |- *.
      pose proof (terms_size (extra ++ lu)) as Q. rewrite size_app in Q. lra. }
    assert (Rabs down <= size ld + ((g - 1) * size ld + / IZR (2 ^ 60))).
    { replace down with ((down - terms ld) + terms ld) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. pose proof (terms_size ld). lra. }
    lra.
Qed.

End Row.

(** ** Growth, once more *)

Lemma growth_facts n : (Z.of_nat n < 1048576)%Z ->
  1 <= growth double (n + 1) <= 1 + / IZR (2 ^ 20) /\
  growth double (n + 1) - 1 + 7 * U <= growth double (n + 8) - 1 /\
  growth double (n + 8) <= 1 + / IZR (2 ^ 20).
Proof.
  intros H. pose proof unit_double as Hd.
  assert (Kn : 0 <= INR n <= 1048576).
  { split; [apply pos_INR|]. rewrite INR_IZR_INZ. apply IZR_le. lia. }
  assert (B : growth double (n + 8) <= 1 + / IZR (2 ^ 20)).
  { pose proof (growth_bound double (n + 8)) as G. rewrite plus_INR in G.
    replace (INR 8) with 8 in G by (simpl; lra). rewrite Hd in G. specialize (G ltac:(lra)).
    set (y := (INR n + 8) * / 9007199254740992) in *.
    assert (Y : 0 <= y <= / IZR (2 ^ 30)) by (unfold y; lra).
    assert (y * y <= / IZR (2 ^ 30) * / IZR (2 ^ 30)) by (apply Rmult_le_compat; lra).
    simpl pow in G. lra. }
  pose proof (growth_pos double (n + 1)) as P.
  pose proof (growth_le double (n + 1) (n + 8) ltac:(lia)) as L.
  split; [lra|]. split; [|exact B].
  assert (E : growth double (n + 8) = (1 + U) ^ 7 * growth double (n + 1)).
  { unfold growth. rewrite <- pow_add. f_equal. lia. }
  rewrite E. set (g := growth double (n + 1)) in *.
  assert (1 + 7 * U <= (1 + U) ^ 7).
  { rewrite Hd. simpl. lra. }
  assert ((1 + 7 * U) * g <= (1 + U) ^ 7 * g) by (apply Rmult_le_compat_r; lra).
  assert (7 * U * 1 <= 7 * U * g) by (apply Rmult_le_compat_l; rewrite ?Hd; lra). lra.
Qed.

Lemma max_min_abs x : Rabs (Rmax x 0) + Rabs (Rmin x 0) = Rabs x.
Proof.
  unfold Rmax, Rmin. destruct (Rle_dec x 0); rewrite Rabs_R0; lra.
Qed.

(** What a bound of an affine row should be. *)
Definition row_low (n : nat) (w : vec) (b : R) (low high : vec) : R :=
  sum n (fun j => Rmax (w j) 0 * low j + Rmin (w j) 0 * high j) + b.

Lemma affine_bound_error n w b low high B A y :
  (Z.of_nat n < 1048576)%Z -> 0 <= B <= IZR (2 ^ 40) ->
  (forall j, (j < n)%nat -> Rabs (w j) <= IZR (2 ^ 40)) -> Rabs b <= IZR (2 ^ 40) ->
  (forall j, (j < n)%nat -> Rabs (low j) <= B /\ Rabs (high j) <= B) ->
  sum n (fun j => Rabs (w j)) * B + Rabs b <= A -> A <= IZR (2 ^ 45) ->
  affine_bound n w b low high y ->
  Rabs (y - row_low n w b low high) <=
  (growth double (n + 8) - 1) * A +
  u * (Rabs (row_low n w b low high) + (growth double (n + 8) - 1) * A) + / IZR (2 ^ 52).
Proof.
  intros Hn HB Hw Hb Hlh HA A45 [p q low' high' b' up down up' down' z y' Op Oq Ol Oh Ob Du Dd
    Oup Odown Rz Hc].
  pose proof tiny_small as Ht. pose proof unit_single as Hu. pose proof unit_double as Hd.
  destruct (growth_facts n Hn) as (G1 & G2 & G3).
  set (M := sum n (fun j => Rabs (w j)) * B) in *.
  assert (M0 : 0 <= M) by (apply Rmult_le_pos; [apply sum_nonneg; intros; apply Rabs_pos|lra]).
  pose proof (Rabs_pos b) as b0.
  pose proof (operand_smaller _ _ _ Ob) as Sb. apply operand_error, Rabs_le_inv in Ob.
  destruct (row_sums n (fun j => Rmax (w j) 0) (fun j => Rmin (w j) 0) p q low high low' high'
    up down 0 B M Hn HB) with (extra := [(b', 1)]) as [E1 E2].
  { intros j Hj. specialize (Hw j Hj). pose proof (max_min_abs (w j)).
    pose proof (Rabs_pos (Rmax (w j) 0)). pose proof (Rabs_pos (Rmin (w j) 0)). lra. }
  { lra. }
  { intros j Hj. pose proof (operand_error _ _ _ (Op j Hj)). lra. }
  { intros j Hj. pose proof (operand_error _ _ _ (Oq j Hj)). lra. }
  { intros j Hj. split; [apply Hlh, Hj|apply Ol, Hj]. }
  { intros j Hj. split; [apply Hlh, Hj|apply Oh, Hj]. }
  { right. unfold M. f_equal. apply sum_ext. intros j _. apply max_min_abs. }
  { lra. }
  { exact Du. }
  { exact Dd. }
  { right. exists b'. split; [reflexivity|lra]. }
  cbv zeta in E1, E2.
  assert (Tx : terms [(b', 1)] = b') by (cbn [terms fold_right fst snd]; ring).
  assert (Sx : size [(b', 1)] = Rabs b')
    by (cbn [size fold_right fst snd]; rewrite Rmult_1_r; ring).
  rewrite Tx, Sx in E1. rewrite Sx in E2. clear Tx Sx.
  replace ((1 + U * 0) * M + Rabs b') with (M + Rabs b') in E1, E2 by ring.
  replace (U * 0 * M) with 0 in E1 by ring.
  set (g := growth double (n + 1)) in *. set (g8 := growth double (n + 8)) in *.
  set (S := sum n (fun j => Rmax (w j) 0 * low j + Rmin (w j) 0 * high j)) in *.
  unfold row_low. fold S.
  assert (Ab : M + Rabs b' <= A) by lra.
  assert (gA : (g - 1) * (M + Rabs b') <= (g - 1) * A) by (apply Rmult_le_compat_l; lra).
  assert (gA' : g * (M + Rabs b') <= g * A) by (apply Rmult_le_compat_l; lra).
  assert (A0 : 0 <= A) by lra.
  assert (gA2 : g * A <= 2 * A) by (apply Rmult_le_compat_r; lra).
  destruct (operand_double _ _ Oup) as [U1 U2]. destruct (operand_double _ _ Odown) as [D1 D2].
  assert (s : Rabs (up' + down') <= 2 * A + / IZR (2 ^ 56))
    by (eapply Rle_trans; [apply Rabs_triang|lra]).
  pose proof (rounds_double (up' + down') z ltac:(lra) Rz) as E3.
  assert (U3 : U * Rabs (up' + down') <= U * (2 * A + / IZR (2 ^ 56)))
    by (apply Rmult_le_compat_l; [rewrite Hd; lra|exact s]).
  assert (G8 : (g - 1) * A + 7 * U * A <= (g8 - 1) * A).
  { rewrite <- Rmult_plus_distr_r. apply Rmult_le_compat_r; lra. }
  assert (UA : 0 <= U * A) by (apply Rmult_le_pos; [rewrite Hd|]; lra).
  assert (Z : Rabs (z - (S + b)) <= (g8 - 1) * A + / IZR (2 ^ 54)).
  { apply Rabs_le_inv in E1, E3, U1, D1. apply Rabs_le. rewrite Hd in *. lra. }
  assert (G8b : (g8 - 1) * A <= / IZR (2 ^ 20) * A) by (apply Rmult_le_compat_r; lra).
  assert (G80 : 0 <= (g8 - 1) * A) by (apply Rmult_le_pos; lra).
  assert (Zv : Rabs z <= Rabs (S + b) + ((g8 - 1) * A + / IZR (2 ^ 54))).
  { replace z with ((z - (S + b)) + (S + b)) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra. }
  pose proof (Rabs_pos (S + b)) as Sb0.
  assert (zl : Rabs z <= IZR (2 ^ 120)).
  { replace z with ((z - (up' + down')) + (up' + down')) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Hd in *. lra. }
  destruct Hc as [y' R|].
  - pose proof (rounds_error single z y' valid_single ltac:(rewrite safe_single; lra) R) as E4.
    replace (y' - (S + b)) with ((y' - z) + (z - (S + b))) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Hu in *. lra.
  - assert (0 <= u * (Rabs (S + b) + (g8 - 1) * A)) by (apply Rmult_le_pos; [rewrite Hu|]; lra).
    lra.
Qed.

Lemma pair_bound_error n w v b c l h B A y :
  (Z.of_nat n < 1048576)%Z -> 0 <= B <= IZR (2 ^ 40) ->
  (forall j, (j < n)%nat -> Rabs (w j) <= IZR (2 ^ 39) /\ Rabs (v j) <= IZR (2 ^ 39)) ->
  (forall j, (j < n)%nat -> Rabs (l j) <= B /\ Rabs (h j) <= B) ->
  sum n (fun j => Rabs (w j)) * B + Rabs b <= A ->
  sum n (fun j => Rabs (v j)) * B + Rabs c <= A -> A <= IZR (2 ^ 45) ->
  pair_bound n w v b c l h y ->
  exists z, cast z y /\ Rabs z <= IZR (2 ^ 60) /\
  Rabs (z - row_low n (fun j => w j - v j) (b - c) l h) <=
  2 * ((growth double (n + 8) - 1) * A) + / IZR (2 ^ 52).
Proof.
  intros Hn HB Hw Hlh HA1 HA2 A45 [w' v' r p q l' h' b' c' up down up' down' both both' bias bias'
    z y'
    Ow Ov Rr Op Oq Ol Oh Ob Oc Du Dd Oup Odown Rboth Oboth Rbias Obias Rz Hc].
  exists z. split; [exact Hc|].
  pose proof tiny_small as Ht. pose proof unit_double as Hd. pose proof tiny_double_le as Htd.
  destruct (growth_facts n Hn) as (G1 & G2 & G3).
  set (M := sum n (fun j => Rabs (w j - v j)) * B) in *.
  assert (M0 : 0 <= M) by (apply Rmult_le_pos; [apply sum_nonneg; intros; apply Rabs_pos|lra]).
  pose proof (Rabs_pos b) as b0. pose proof (Rabs_pos c) as c0.
  assert (MA : M + Rabs b + Rabs c <= 2 * A).
  { assert (M <= sum n (fun j => Rabs (w j)) * B + sum n (fun j => Rabs (v j)) * B); [|lra].
    unfold M. rewrite <- Rmult_plus_distr_r, <- sum_plus. apply Rmult_le_compat_r; [lra|].
    apply sum_le. intros j _. unfold Rminus. eapply Rle_trans; [apply Rabs_triang|].
    rewrite Rabs_Ropp. lra. }
  assert (rows : forall j, (j < n)%nat ->
    Rabs (p j - Rmax (w j - v j) 0) <= U * 1 * Rabs (Rmax (w j - v j) 0) + 5 * t /\
    Rabs (q j - Rmin (w j - v j) 0) <= U * 1 * Rabs (Rmin (w j - v j) 0) + 5 * t).
  { intros j Hj. specialize (Hw j Hj).
    destruct (operand_double _ _ (Op j Hj)) as [P1 _].
    destruct (operand_double _ _ (Oq j Hj)) as [Q1 _].
    pose proof (Rabs_le_inv _ _ (operand_error _ _ _ (Ow j Hj))) as W1.
    pose proof (Rabs_le_inv _ _ (operand_error _ _ _ (Ov j Hj))) as V1.
    assert (d2 : Rabs ((w' j - v' j) - (w j - v j)) <= 2 * t) by (apply Rabs_le; lra).
    assert (d3 : Rabs (w' j - v' j) <= Rabs (w j - v j) + 2 * t).
    { replace (w' j - v' j) with (((w' j - v' j) - (w j - v j)) + (w j - v j)) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. lra. }
    assert (d4 : Rabs (w j - v j) <= IZR (2 ^ 40)).
    { unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
    pose proof (rounds_double (w' j - v' j) (r j) ltac:(lra) (Rr j Hj)) as E.
    assert (E' : Rabs (r j - (w j - v j)) <= U * Rabs (w j - v j) + 7 / 2 * t).
    { assert (U * Rabs (w' j - v' j) <= U * (Rabs (w j - v j) + 2 * t))
        by (apply Rmult_le_compat_l; [rewrite Hd; lra|exact d3]).
      replace (r j - (w j - v j)) with ((r j - (w' j - v' j)) +
        ((w' j - v' j) - (w j - v j))) by ring.
      eapply Rle_trans; [apply Rabs_triang|]. rewrite Hd in *. lra. }
    rewrite Rmult_1_r. apply Rabs_le_inv in E', P1, Q1.
    unfold Rmax, Rmin. unfold Rmax in P1. unfold Rmin in Q1.
    destruct (Rle_dec (w j - v j) 0) as [N|N].
    - rewrite Rabs_R0. rewrite (Rabs_left1 (w j - v j)) in * by exact N.
      destruct (Rle_dec (r j) 0); split; apply Rabs_le; rewrite Hd in *; lra.
    - rewrite Rabs_R0. rewrite (Rabs_pos_eq (w j - v j)) in * by lra.
      destruct (Rle_dec (r j) 0); split; apply Rabs_le; rewrite Hd in *; lra. }
  destruct (row_sums n (fun j => Rmax (w j - v j) 0) (fun j => Rmin (w j - v j) 0) p q l h l' h'
    up down 1 B M Hn HB) with (extra := @nil (R * R)) as [E1 E2].
  { intros j Hj. specialize (Hw j Hj). pose proof (max_min_abs (w j - v j)).
    assert (Rabs (w j - v j) <= IZR (2 ^ 40)).
    { unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
    pose proof (Rabs_pos (Rmax (w j - v j) 0)). pose proof (Rabs_pos (Rmin (w j - v j) 0)). lra. }
  { lra. }
  { intros j Hj. apply rows, Hj. }
  { intros j Hj. apply rows, Hj. }
  { intros j Hj. split; [apply Hlh, Hj|apply Ol, Hj]. }
  { intros j Hj. split; [apply Hlh, Hj|apply Oh, Hj]. }
  { right. unfold M. f_equal. apply sum_ext. intros j _. apply max_min_abs. }
  { lra. }
  { exact Du. }
  { exact Dd. }
  { left. reflexivity. }
  cbv zeta in E1, E2. change (terms []) with 0 in E1. change (size []) with 0 in E1, E2.
  rewrite Rplus_0_l in E1.
  set (g := growth double (n + 1)) in *. set (g8 := growth double (n + 8)) in *.
  set (S := sum n (fun j => Rmax (w j - v j) 0 * l j + Rmin (w j - v j) 0 * h j)) in *.
  unfold row_low. fold S. set (C := Rabs b + Rabs c).
  assert (C0 : 0 <= C) by (unfold C; lra).
  assert (CA : M + C <= 2 * A) by (unfold C; lra).
  assert (A0 : 0 <= A) by lra.
  assert (UM : 0 <= U * M) by (apply Rmult_le_pos; [rewrite Hd|]; lra).
  assert (UC : 0 <= U * C) by (apply Rmult_le_pos; [rewrite Hd|]; lra).
  set (f := g - 1). assert (F : 0 <= f <= / IZR (2 ^ 20)) by (unfold f; lra).
  assert (fM : 0 <= f * M <= / IZR (2 ^ 20) * M)
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  assert (fUM : 0 <= f * (U * M) <= / IZR (2 ^ 20) * (U * M))
    by (split; [apply Rmult_le_pos|apply Rmult_le_compat_r]; lra).
  assert (E1' : Rabs (up + down - S) <= f * M + f * (U * M) + U * M + / IZR (2 ^ 56))
    by (unfold f; lra).
  assert (E2' : Rabs up + Rabs down <= (1 + f) * M + (1 + f) * (U * M) + / IZR (2 ^ 56))
    by (unfold f; lra).
  clear E1 E2.
  destruct (operand_double _ _ Oup) as [U1 U2]. destruct (operand_double _ _ Odown) as [D1 D2].
  assert (s1 : Rabs (up' + down') <= (1 + f) * M + (1 + f) * (U * M) + / IZR (2 ^ 56))
    by (eapply Rle_trans; [apply Rabs_triang|lra]).
  assert (s1' : (1 + f) * M + (1 + f) * (U * M) + / IZR (2 ^ 56) <= (1 + / IZR (2 ^ 18)) * M +
    / IZR (2 ^ 56))
    by (rewrite Hd in *; lra).
  pose proof (rounds_double (up' + down') both ltac:(lra) Rboth) as E3.
  assert (U3 : U * Rabs (up' + down') <= U * ((1 + / IZR (2 ^ 18)) * M + / IZR (2 ^ 56)))
    by (apply Rmult_le_compat_l; [rewrite Hd; lra|lra]).
  destruct (operand_double _ _ Oboth) as [B1 B2]. destruct (operand_double _ _ Obias) as [I1 I2].
  assert (s2 : Rabs both <= (1 + / IZR (2 ^ 17)) * M + / IZR (2 ^ 55)).
  { replace both with ((both - (up' + down')) + (up' + down')) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Hd in *. lra. }
  pose proof (operand_smaller _ _ _ Ob) as Sb. pose proof (operand_smaller _ _ _ Oc) as Sc.
  apply operand_error, Rabs_le_inv in Ob, Oc.
  assert (s3 : Rabs (b' - c') <= C).
  { unfold Rminus, C. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. lra. }
  pose proof (rounds_double (b' - c') bias ltac:(lra) Rbias) as E4.
  assert (U4 : U * Rabs (b' - c') <= U * C)
    by (apply Rmult_le_compat_l; [rewrite Hd; lra|exact s3]).
  assert (s4 : Rabs bias <= (1 + / IZR (2 ^ 17)) * C + / IZR (2 ^ 55)).
  { replace bias with ((bias - (b' - c')) + (b' - c')) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. rewrite Hd in *. lra. }
  assert (s5 : Rabs (both' + bias') <= (1 + / IZR (2 ^ 17)) * (M + C) + / IZR (2 ^ 54))
    by (eapply Rle_trans; [apply Rabs_triang|lra]).
  pose proof (rounds_double (both' + bias') z ltac:(lra) Rz) as E5.
  assert (U5 : U * Rabs (both' + bias') <= U * ((1 + / IZR (2 ^ 17)) * (M + C) + / IZR (2 ^ 54)))
    by (apply Rmult_le_compat_l; [rewrite Hd; lra|lra]).
  assert (G8 : f * (M + C) + 7 * U * (M + C) <= (g8 - 1) * (M + C)).
  { rewrite <- Rmult_plus_distr_r. apply Rmult_le_compat_r; [|unfold f]; lra. }
  assert (G8' : (g8 - 1) * (M + C) <= (g8 - 1) * (2 * A))
    by (apply Rmult_le_compat_l; [|unfold C]; lra).
  assert (fC : 0 <= f * C) by (apply Rmult_le_pos; lra).
  split.
  - replace z with ((z - (both' + bias')) + (both' + bias')) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. unfold C in *. rewrite Hd in *. lra.
  - apply Rabs_le_inv in E1', E3, E4, E5, U1, D1, B1, I1. apply Rabs_le.
    unfold C in *. rewrite Hd in *. lra.
Qed.
