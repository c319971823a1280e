(** * Grid: numbers of the checker, multiples of 2^-48, rounded to the safe side *)

From Coq Require Import Reals ZArith Lra Lia.
From Flocq Require Import Core.
From SortNet.float Require Import Network.
Open Scope Z_scope.

Definition grid_bits : Z := 48.
Definition unit_grid : Z := 281474976710656. (* 2^48: the number 1 *)

Definition grid (z : Z) : R := (IZR z / IZR unit_grid)%R.

Lemma unit_grid_pos : (0 < IZR unit_grid)%R.
Proof. unfold unit_grid. lra. Qed.

Lemma grid_scaled z : (grid z * IZR unit_grid = IZR z)%R.
Proof. unfold grid. field. pose proof unit_grid_pos. lra. Qed.

Lemma grid_le a b : a <= b -> (grid a <= grid b)%R.
Proof.
  intros H. unfold grid, Rdiv. apply Rmult_le_compat_r; [|apply IZR_le, H].
  pose proof (Rinv_0_lt_compat _ unit_grid_pos). lra.
Qed.

Lemma grid_le_inv a b : (grid a <= grid b)%R -> a <= b.
Proof.
  intros H. apply le_IZR. rewrite <- (grid_scaled a), <- (grid_scaled b).
  apply Rmult_le_compat_r; [pose proof unit_grid_pos; lra|exact H].
Qed.

Lemma grid_plus a b : grid (a + b) = (grid a + grid b)%R.
Proof. unfold grid. rewrite plus_IZR. field. pose proof unit_grid_pos. lra. Qed.

Lemma grid_minus a b : grid (a - b) = (grid a - grid b)%R.
Proof. unfold grid. rewrite minus_IZR. field. pose proof unit_grid_pos. lra. Qed.

Lemma grid_opp a : grid (- a) = (- grid a)%R.
Proof. unfold grid. rewrite opp_IZR. field. pose proof unit_grid_pos. lra. Qed.

Lemma grid_0 : grid 0 = 0%R.
Proof. unfold grid. field. pose proof unit_grid_pos. lra. Qed.

Lemma grid_1 : grid unit_grid = 1%R.
Proof. unfold grid. field. pose proof unit_grid_pos. lra. Qed.

Lemma grid_mul a k : grid (k * a) = (IZR k * grid a)%R.
Proof. unfold grid. rewrite mult_IZR. field. pose proof unit_grid_pos. lra. Qed.

Lemma grid_max a b : grid (Z.max a b) = Rmax (grid a) (grid b).
Proof.
  destruct (Z.max_spec a b) as [[H ->]|[H ->]].
  - rewrite Rmax_right; [reflexivity|]. apply grid_le. lia.
  - rewrite Rmax_left; [reflexivity|]. apply grid_le. lia.
Qed.

Lemma grid_min a b : grid (Z.min a b) = Rmin (grid a) (grid b).
Proof.
  destruct (Z.min_spec a b) as [[H ->]|[H ->]].
  - rewrite Rmin_left; [reflexivity|]. apply grid_le. lia.
  - rewrite Rmin_right; [reflexivity|]. apply grid_le. lia.
Qed.

Lemma grid_nonneg a : 0 <= a -> (0 <= grid a)%R.
Proof. intros H. rewrite <- grid_0. apply grid_le, H. Qed.

(** ** Quotients and products *)

Lemma IZR_div_le a d : 0 < d -> (IZR (a / d) <= IZR a / IZR d)%R.
Proof.
  intros H. apply IZR_lt in H as D. apply (Rmult_le_reg_r (IZR d)); [exact D|].
  unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r, <- mult_IZR by lra.
  apply IZR_le. rewrite Z.mul_comm. apply Z.mul_div_le, H.
Qed.

Definition floor_div (a d : Z) : Z := a / d.
Definition ceil_div (a d : Z) : Z := - ((- a) / d).

Lemma ceil_div_ge a d : 0 < d -> (IZR a / IZR d <= IZR (ceil_div a d))%R.
Proof.
  intros H. unfold ceil_div. rewrite opp_IZR.
  pose proof (IZR_div_le (- a) d H) as E. rewrite opp_IZR in E.
  unfold Rdiv in *. rewrite Ropp_mult_distr_l_reverse in E. lra.
Qed.

Definition mul_down (a b : Z) : Z := Z.shiftr (a * b) grid_bits.
Definition mul_up (a b : Z) : Z := - Z.shiftr (- (a * b)) grid_bits.

Lemma shiftr_grid a : Z.shiftr a grid_bits = a / unit_grid.
Proof. rewrite Z.shiftr_div_pow2 by (unfold grid_bits; lia). reflexivity. Qed.

Lemma mul_down_le a b : (grid (mul_down a b) <= grid a * grid b)%R.
Proof.
  unfold mul_down. rewrite shiftr_grid. pose proof unit_grid_pos as P.
  pose proof (IZR_div_le (a * b) unit_grid ltac:(reflexivity)) as E. rewrite mult_IZR in E.
  unfold grid at 1. apply (Rmult_le_reg_r (IZR unit_grid)); [exact P|].
  unfold grid. field_simplify; [|lra|lra]. field_simplify in E; [|lra]. lra.
Qed.

Lemma mul_up_ge a b : (grid a * grid b <= grid (mul_up a b))%R.
Proof.
  pose proof (mul_down_le (- a) b) as E. unfold mul_down, mul_up in *.
  rewrite Z.mul_opp_l in E. rewrite grid_opp in *. rewrite Ropp_mult_distr_l_reverse in E. lra.
Qed.

(** a / d for grid numbers. *)
Definition quotient_up (a d : Z) : Z := ceil_div (a * unit_grid) d.
Definition quotient_down (a d : Z) : Z := floor_div (a * unit_grid) d.

Lemma quotient_up_ge a d : 0 < d -> (grid a / grid d <= grid (quotient_up a d))%R.
Proof.
  intros H. apply IZR_lt in H as D. pose proof unit_grid_pos as P.
  pose proof (ceil_div_ge (a * unit_grid) d H) as E. rewrite mult_IZR in E.
  unfold quotient_up. unfold grid at 3. apply (Rmult_le_reg_r (IZR unit_grid)); [exact P|].
  unfold grid. replace (IZR a / IZR unit_grid / (IZR d / IZR unit_grid) * IZR unit_grid)%R
    with (IZR a * IZR unit_grid / IZR d)%R by (field; lra).
  eapply Rle_trans; [exact E|]. right. field. lra.
Qed.

Lemma quotient_down_le a d : 0 < d -> (grid (quotient_down a d) <= grid a / grid d)%R.
Proof.
  intros H. apply IZR_lt in H as D. pose proof unit_grid_pos as P.
  pose proof (IZR_div_le (a * unit_grid) d H) as E. rewrite mult_IZR in E.
  unfold quotient_down, floor_div. unfold grid at 1.
  apply (Rmult_le_reg_r (IZR unit_grid)); [exact P|].
  unfold grid. replace (IZR a / IZR unit_grid / (IZR d / IZR unit_grid) * IZR unit_grid)%R
    with (IZR a * IZR unit_grid / IZR d)%R by (field; lra).
  eapply Rle_trans; [|exact E]. right. field. lra.
Qed.

(** ** Floats between two grid numbers *)

(** The grid numbers below and above a float; the same where the float is on the grid. *)
Definition enclose (b : Z) : Z * Z :=
  let m := mantissa b in
  let s := exponent b + grid_bits in
  if 0 <=? s then let z := Z.shiftl m s in (z, z)
  else let z := Z.shiftr m (- s) in (z, z + 1).

Lemma enclose_value b : (grid (fst (enclose b)) <= value b <= grid (snd (enclose b)))%R.
Proof.
  unfold enclose, value. set (m := mantissa b). set (e := exponent b).
  assert (G : forall z, grid z = (IZR z * bpow radix2 (- grid_bits))%R).
  { intros z. unfold grid, Rdiv. rewrite bpow_opp, <- IZR_Zpower by (unfold grid_bits; lia).
    reflexivity. }
  destruct (0 <=? e + grid_bits) eqn:E.
  - apply Z.leb_le in E. cbn [fst snd]. rewrite Z.shiftl_mul_pow2 by exact E.
    assert (V : (grid (m * 2 ^ (e + grid_bits)) = IZR m * bpow radix2 e)%R).
    { rewrite G, mult_IZR. change 2 with (radix_val radix2). rewrite IZR_Zpower by exact E.
      rewrite Rmult_assoc, <- bpow_plus. do 2 f_equal. lia. }
    rewrite V. lra.
  - apply Z.leb_gt in E. cbn [fst snd].
    rewrite Z.shiftr_div_pow2 by lia. set (s := - (e + grid_bits)).
    assert (P : 0 < 2 ^ s) by (apply Z.pow_pos_nonneg; unfold s; lia).
    assert (B : bpow radix2 e = (/ IZR (2 ^ s) * bpow radix2 (- grid_bits))%R).
    { change 2 with (radix_val radix2). rewrite IZR_Zpower by (unfold s; lia).
      rewrite <- bpow_opp, <- bpow_plus. f_equal. unfold s. lia. }
    rewrite B, <- Rmult_assoc, !G. pose proof (bpow_gt_0 radix2 (- grid_bits)).
    split; (apply Rmult_le_compat_r; [lra|]).
    + apply (IZR_div_le m (2 ^ s) P).
    + apply IZR_lt in P as P'. apply (Rmult_le_reg_r (IZR (2 ^ s))); [exact P'|].
      rewrite Rmult_assoc, Rinv_l, Rmult_1_r, <- mult_IZR by lra. apply IZR_le.
      pose proof (Z.mul_succ_div_gt m (2 ^ s) P). lia.
Qed.

Definition below (b : Z) : Z := fst (enclose b).
Definition above (b : Z) : Z := snd (enclose b).

Lemma below_value b : (grid (below b) <= value b)%R.
Proof. apply enclose_value. Qed.

Lemma above_value b : (value b <= grid (above b))%R.
Proof. apply enclose_value. Qed.

(** ** Floats compared exactly *)

(** A float, as a multiple of 2^-149. *)
Definition multiple (b : Z) : Z := Z.shiftl (mantissa b) (exponent b - least_exponent).

Lemma multiple_value b : value b = (IZR (multiple b) * bpow radix2 (-149))%R.
Proof.
  unfold multiple, value. set (e := exponent b).
  assert (E : least_exponent <= e).
  { unfold e, exponent, least_exponent, exponent_bias. destruct (exponent_field b =? 0) eqn:Z0; [lia|].
    apply Z.eqb_neq in Z0. unfold exponent_field in *.
    pose proof (Z.mod_pos_bound (Z.shiftr b field_bits) two8 ltac:(reflexivity)). lia. }
  rewrite Z.shiftl_mul_pow2 by (unfold least_exponent in *; lia).
  rewrite mult_IZR. change 2%Z with (radix_val radix2).
  rewrite IZR_Zpower by (unfold least_exponent in *; lia).
  rewrite Rmult_assoc, <- bpow_plus. do 2 f_equal. unfold least_exponent. lia.
Qed.

(** Nothing is gained by unfolding these. *)
Arguments finite : simpl never.
Arguments value : simpl never.
Arguments enclose : simpl never.
Arguments below : simpl never.
Arguments above : simpl never.
Arguments grid : simpl never.
Arguments mul_up : simpl never.
Arguments mul_down : simpl never.
Arguments quotient_up : simpl never.
Arguments quotient_down : simpl never.
