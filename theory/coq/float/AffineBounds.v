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
    apply Rle_trans with (/ IZR (2 ^ 126) * K); [apply Rmult_le_compat_r; unfold K; lra|unfold K; lra]. }
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

Lemma tmap (f g : vec) : terms (map (fun j => (f j, g j)) (seq 0 n)) = sum n (fun j => f j * g j).
Proof. apply terms_map. Qed.

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
    assert (e * Ma + e * Mc <= e * M) by (rewrite <- Rmult_plus_distr_l; apply Rmult_le_compat_l; lra).
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
