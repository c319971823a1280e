(** * Theorems 3.10 and 3.11: what MaxMin networks of a given depth can and cannot do *)

From Coq Require Import Reals Lra Lia Arith Bool List.
From SortNet Require Import Definitions Statements Sums OrderStatistics Mass Lipschitz Boolean
  Tight Constructions Circuits MaxMin.
Import ListNotations.
Open Scope R_scope.

(** ** 3.10 *)

Theorem theorem_3_10_counting : theorem_3_10_counting_statement.
Proof.
  intros d M. exists (functions d M). split; [apply functions_length|].
  intros N g. apply represented_is_circuit.
Qed.

(** Any m functions of depth M are the units of one network with M sorting layers. *)
Lemma circuits_in_chain d M : forall m (h : nat -> bits -> bool),
  (forall i, (i < m)%nat -> of_depth d M (h i)) ->
  exists N : network d m, groupsort_chain 2 N /\ lipschitz_net N /\ sorting_layers N = M /\
  forall x i, (i < m)%nat -> eval N (to_vec x) i = if h i x then 1 else 0.
Proof.
  induction M as [|M IH]; intros m h Hh.
  - destruct (finite_choice ((fun _ => 0) : vec, 0) m (fun i p =>
      sum d (fun j => Rabs (fst p j)) <= 1 /\
      forall x, sum d (fun j => fst p j * to_vec x j) + snd p = if h i x then 1 else 0))
      as (f & Hf).
    + intros i Hi. destruct (of_depth_circuit d 0 (h i) (Hh i Hi)) as (c & R & D & E).
      destruct c as [b|negated j|a b|a b]; simpl in *; try lia.
      * exists ((fun _ => 0) : vec, if b then 1 else 0). split; simpl.
        -- rewrite (sum_ext d _ (fun _ => 0)), sum_const; [lra|]. intros; apply Rabs_R0.
        -- intros x. rewrite <- (E x), (sum_ext d _ (fun _ => 0)), sum_const; [ring|].
           intros; ring.
      * set (s := if negated then -1 else 1).
        exists (fun k => s * select j k, if negated then 1 else 0). split; cbn [fst snd].
        -- rewrite (sum_ext d _ (fun k => Rabs (select j k))); [apply select_row, R|].
           intros k _. rewrite Rabs_mult. unfold s.
           destruct negated; [rewrite (Rabs_left (-1))|rewrite Rabs_R1]; lra.
        -- intros x. rewrite <- (E x).
           rewrite (sum_ext d _ (fun k => s * (select j k * to_vec x k))) by (intros; ring).
           rewrite sum_scale, sum_select by exact R. unfold s, to_vec.
           destruct negated, (x j); simpl; lra.
    + exists (after input (affine d m (fun i => fst (f i)) (fun i => snd (f i)))).
      split; [constructor|]. split; [split; [exact I|intros i Hi; apply Hf, Hi]|].
      split; [reflexivity|]. intros x i Hi. apply (proj2 (Hf i Hi)).
  - (* the two inputs of gate i are units 2i and 2i + 1 *)
    destruct (finite_choice (fun _ : bits => true, fun _ : bits => true, true) m (fun i p =>
      of_depth d M (fst (fst p)) /\ of_depth d M (snd (fst p)) /\
      forall x, h i x = if snd p then fst (fst p) x && snd (fst p) x
                        else fst (fst p) x || snd (fst p) x)) as (f & Hf).
    { intros i Hi. destruct (Hh i Hi) as (g & Hg & E). simpl in Hg. apply in_app_or in Hg.
      destruct Hg as [Hg|Hg]; apply in_map_iff in Hg; destruct Hg as ([a b] & <- & Hab);
        apply in_prod_iff in Hab; destruct Hab as [Ha Hb];
        [exists (a, b, true)|exists (a, b, false)];
        (split; [exists a; auto|split; [exists b; auto|]]); intros x; rewrite <- E; reflexivity. }
    destruct (IH (m * 2)%nat (fun i => if (i mod 2 =? 0)%nat then fst (fst (f (i / 2)%nat))
                                       else snd (fst (f (i / 2)%nat)))) as (N & HN & HL & Hs & E).
    { intros i Hi. assert (H : (i / 2 < m)%nat) by (apply Nat.div_lt_upper_bound; lia).
      destruct (i mod 2 =? 0)%nat; apply (Hf _ H). }
    exists (after (after N (groupsort 2 m)) (affine (m * 2) m
      (fun i => select (i * 2 + if snd (f i) then 1 else 0)) (fun _ => 0))).
    split; [constructor; exact HN|]. split.
    { split; [split; [exact HL|simpl; lra]|]. intros i Hi. apply select_row.
      destruct (snd (f i)); lia. }
    split; [simpl; lia|]. intros x i Hi.
    destruct (Hf i Hi) as (_ & _ & G). rewrite G.
    change (sum (m * 2) (fun j => select (i * 2 + if snd (f i) then 1 else 0) j *
      apply (groupsort 2 m) (eval N (to_vec x)) j) + 0 =
      if (if snd (f i) then fst (fst (f i)) x && snd (fst (f i)) x
          else fst (fst (f i)) x || snd (fst (f i)) x) then 1 else 0).
    rewrite sum_select by (destruct (snd (f i)); lia).
    rewrite maxmin_unit. cbv zeta.
    assert (D1 : forall e, (e < 2)%nat -> ((i * 2 + e) / 2 = i)%nat)
      by (intros; symmetry; apply (Nat.div_unique _ _ _ e); lia).
    assert (M1 : forall e, (e < 2)%nat -> ((i * 2 + e) mod 2 = e)%nat)
      by (intros; symmetry; apply (Nat.mod_unique _ _ i); lia).
    rewrite D1, M1 by (destruct (snd (f i)); lia).
    pose proof (E x (i * 2 + 0)%nat ltac:(lia)) as E0.
    pose proof (E x (i * 2 + 1)%nat ltac:(lia)) as E1.
    rewrite D1, M1 in E0, E1 by lia. rewrite Nat.add_0_r in E0. cbn [Nat.eqb] in E0, E1.
    rewrite E0, E1.
    destruct (snd (f i)), (fst (fst (f i)) x), (snd (fst (f i)) x); simpl;
      unfold Rmax, Rmin; destruct (Rle_dec _ _); lra.
Qed.

Theorem theorem_3_10_circuits : theorem_3_10_circuits_statement.
Proof.
  intros d M g. split.
  - intros (N & HN & HL & HM & Hg).
    apply of_depth_circuit, (represented_is_circuit d M N g HN HL HM Hg).
  - intros (c & R & D & E).
    destruct (circuits_in_chain d M 1 (fun _ => g)) as (N & HN & HL & Hs & EN).
    { intros i _. apply (of_depth_ext d M _ g (circuit_of_depth d M c R D) E). }
    exists N. repeat split; auto; [lia|]. intros x. apply EN. lia.
Qed.

Theorem theorem_3_10_depth : theorem_3_10_depth_statement.
Proof.
  intros d M H.
  assert (C : (2 ^ 2 ^ d <= (2 * d + 2) ^ 2 ^ M * 2 ^ (2 ^ M - 1))%nat).
  { apply Nat.nlt_ge. intros C. destruct (uncounted d M C) as (g & Hg & Hn).
    destruct (H g Hg) as (N & HN & HL & HM & Hr).
    apply Hn, (represented_is_circuit d M N g HN HL HM Hr). }
  assert (C' : (2 ^ 2 ^ d <= (2 * (2 * d + 2)) ^ 2 ^ M)%nat).
  { rewrite Nat.pow_mul_l, Nat.mul_comm. eapply Nat.le_trans; [exact C|].
    apply Nat.mul_le_mono_l, Nat.pow_le_mono_r; lia. }
  split; [exact C'|].
  set (l := Nat.log2_up (2 * d + 2)).
  assert (Hl : (2 * d + 2 <= 2 ^ l)%nat) by (apply Nat.log2_up_spec; lia).
  assert (Hll : (l + 1 <= 2 ^ Nat.log2_up (l + 1))%nat).
  { destruct (Nat.eq_dec l 0) as [->|]; [simpl; lia|apply Nat.log2_up_spec; lia]. }
  apply (Nat.pow_le_mono_r_iff 2); [lia|].
  apply (Nat.pow_le_mono_r_iff 2); [lia|].
  apply (Nat.le_trans _ _ _ C').
  apply (Nat.le_trans _ ((2 ^ (l + 1)) ^ 2 ^ M)).
  - apply Nat.pow_le_mono_l. rewrite Nat.add_1_r, Nat.pow_succ_r'. lia.
  - rewrite <- Nat.pow_mul_r. apply Nat.pow_le_mono_r; [lia|].
    rewrite Nat.pow_add_r, (Nat.mul_comm (2 ^ M)). apply Nat.mul_le_mono_r, Hll.
Qed.

(** ** 3.11 *)

Lemma norm_less n x r : 0 < r -> (forall i, (i < n)%nat -> Rabs (x i) < r) -> norm n x < r.
Proof.
  intros Hr. induction n as [|n IH]; intros H; simpl; [exact Hr|].
  apply Rmax_lub_lt; [apply IH; intros|]; apply H; lia.
Qed.

Lemma error_below d M eps :
  eps < 1 / (2 * 4 ^ (d * (M + 1))) -> 4 ^ (d * (M + 1)) * (2 * eps) < 1.
Proof.
  intros B. assert (H : 0 < 4 ^ (d * (M + 1))) by (apply pow_lt; lra).
  apply (Rmult_lt_compat_l (2 * 4 ^ (d * (M + 1)))) in B; [|lra].
  replace (2 * 4 ^ (d * (M + 1)) * (1 / (2 * 4 ^ (d * (M + 1))))) with 1 in B by (field; lra).
  lra.
Qed.

Theorem theorem_3_11_circuit : theorem_3_11_circuit_statement.
Proof.
  intros d M N g eps Hg HN HL HM Heps Hclose.
  apply of_depth_circuit, (close_is_circuit d M N g eps Hg HN HL HM).
  - eapply Rle_trans; [apply Rabs_pos|apply (Hclose (fun _ => false))].
  - apply error_below, Heps.
  - intros v _. apply Hclose.
Qed.

Theorem theorem_3_11_finite : theorem_3_11_finite_statement.
Proof.
  intros d M HC.
  assert (Hd : (0 < d)%nat).
  { destruct d as [|d]; [exfalso|lia]. pose proof (Nat.pow_nonzero 2 M).
    assert (2 ^ 1 <= 2 ^ 2 ^ M)%nat by (apply Nat.pow_le_mono_r; lia).
    pose proof (Nat.pow_nonzero 2 (2 ^ M - 1)). simpl in HC, H0. nia. }
  destruct (uncounted d M HC) as (g & Hg & Hn).
  destruct (theorem_3_8_boolean d g Hd Hg) as (n & W & b & W' & b' & E).
  set (F := after (after input (distance d n W b)) (distance n 1 W' b')) in *.
  exists (fun x => eval F x 0%nat). split.
  { intros x y. rewrite <- (Rmult_1_l (dist d x y)).
    apply (network_lipschitz d 1%nat F); [simpl; repeat split; lra|lia]. }
  intros N HN HL HM. set (eps := 1 / (2 * 4 ^ (d * (M + 1)))).
  assert (H4 : 0 < 4 ^ (d * (M + 1))) by (apply pow_lt; lra).
  assert (Heps : 0 < eps) by (apply Rdiv_lt_0_compat; lra).
  set (error := fun v => eval N (to_vec (Nat.testbit v)) 0%nat -
                         eval F (to_vec (Nat.testbit v)) 0%nat).
  destruct (search (2 ^ d) (fun v => eps <= Rabs (error v)) (fun v => Rabs (error v) < eps))
    as [(v & Hv & Hle)|Hlt].
  { intros v. destruct (Rle_or_lt eps (Rabs (error v))); auto. }
  - exists (to_vec (Nat.testbit v)). split; [|exact Hle].
    intros i _. unfold to_vec. destruct (Nat.testbit v i); lra.
  - exfalso. apply Hn, (close_is_circuit d M N g (norm (2 ^ d) error) Hg HN HL HM).
    + apply norm_nonneg.
    + apply error_below, (norm_less _ error eps Heps Hlt).
    + intros v Hv. rewrite <- E. apply (norm_entry _ error v Hv).
Qed.

Lemma count_of_small_depth d M : (8 <= d)%nat -> (2 * M <= d)%nat ->
  ((2 * d + 2) ^ 2 ^ M * 2 ^ (2 ^ M - 1) < 2 ^ 2 ^ d)%nat.
Proof.
  intros Hd HM.
  assert (G : forall e, (4 <= e)%nat -> (2 * e + 2 <= 2 ^ e)%nat).
  { induction 1 as [|e _ IH]; [simpl; lia|]. simpl. lia. }
  specialize (G (d - M)%nat ltac:(lia)).
  assert (E : (2 ^ d = 2 ^ (d - M) * 2 ^ M)%nat) by (rewrite <- Nat.pow_add_r; f_equal; lia).
  pose proof (Nat.pow_nonzero 2 M ltac:(lia)) as HK.
  assert (X : (2 * d + 2 <= 2 ^ (d + 1))%nat).
  { pose proof (Nat.pow_gt_lin_r 2 d ltac:(lia)). rewrite Nat.add_1_r. simpl. lia. }
  apply (Nat.le_lt_trans _ (2 ^ ((d + 1) * 2 ^ M + (2 ^ M - 1)))).
  - rewrite Nat.pow_add_r, Nat.pow_mul_r. apply Nat.mul_le_mono_r, Nat.pow_le_mono_l, X.
  - apply Nat.pow_lt_mono_r; [lia|]. rewrite E. nia.
Qed.

Theorem theorem_3_11 : theorem_3_11_statement.
Proof.
  intros M HM. destruct (HM (1 / 2)) as (d0 & H); [lra|].
  exists (Nat.max d0 8). intros d Hd. specialize (H d ltac:(lia)).
  assert (H' : (2 * M d <= d)%nat).
  { apply INR_le. rewrite mult_INR. change (INR 2) with 2. lra. }
  destruct (theorem_3_11_finite d (M d)) as (f & Hf & HN).
  { apply count_of_small_depth; [lia|exact H']. }
  exists f, (1 / (2 * 4 ^ (d * (M d + 1)))). split; [exact Hf|]. split; [|exact HN].
  apply Rdiv_lt_0_compat; [lra|]. pose proof (pow_lt 4 (d * (M d + 1)) ltac:(lra)). lra.
Qed.
