(** * Ranges: the intervals of the checker hold every exact value *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  Grid Checker Selection.
Import ListNotations.
Open Scope R_scope.

(** ** Lists *)

Lemma some_same {A} (a b : A) : Some a = Some b -> a = b.
Proof. intros H. injection H. auto. Qed.

Lemma map2_length {A B C} (f : A -> B -> C) a b : length a = length b ->
  length (map2 f a b) = length a.
Proof.
  revert b. induction a as [|x a IH]; intros [|y b] H; simpl in *; try lia.
  f_equal. apply IH. lia.
Qed.

Lemma map2_nth {A B C} (f : A -> B -> C) a b da db dc i : length a = length b ->
  (i < length a)%nat -> nth i (map2 f a b) dc = f (nth i a da) (nth i b db).
Proof.
  revert b i. induction a as [|x a IH]; intros [|y b] i H Hi; simpl in *; try lia.
  destruct i as [|i]; [reflexivity|]. apply IH; lia.
Qed.

Lemma map_nth_lt {A B} (f : A -> B) l da db i : (i < length l)%nat ->
  nth i (map f l) db = f (nth i l da).
Proof.
  intros H. rewrite (nth_indep _ db (f da)) by (rewrite map_length; exact H). apply map_nth.
Qed.

Lemma sum_shift n f : sum (S n) f = f 0%nat + sum n (fun i => f (S i)).
Proof. induction n as [|n IH]; simpl in *; [ring|]. rewrite IH. ring. Qed.

(** ** Intervals *)

Definition in_range (r : Z * Z) (a : R) : Prop := grid (fst r) <= a <= grid (snd r).

(** Every entry of x is in its interval. *)
Definition within (l : list (Z * Z)) (x : vec) : Prop :=
  forall i, (i < length l)%nat -> in_range (nth i l (0, 0)%Z) (x i).

Lemma reach_bound r a : in_range r a -> Rabs a <= grid (reach r).
Proof.
  intros [H1 H2]. unfold reach. rewrite grid_max, grid_opp. apply Rabs_le.
  pose proof (Rmax_l (- grid (fst r)) (grid (snd r))).
  pose proof (Rmax_r (- grid (fst r)) (grid (snd r))). lra.
Qed.

Lemma fold_max_ge {A} (f : A -> Z) l m :
  (m <= fold_left (fun m r => Z.max m (f r)) l m)%Z /\
  forall r, In r l -> (f r <= fold_left (fun m r => Z.max m (f r)) l m)%Z.
Proof.
  revert m. induction l as [|a l IH]; intros m; simpl; [split; [lia|intros ? []]|].
  destruct (IH (Z.max m (f a))) as [H1 H2]. split; [lia|].
  intros r [<-|I]; [lia|apply H2, I].
Qed.

Lemma magnitude_nonneg l : (0 <= magnitude l)%Z.
Proof. apply (fold_max_ge reach l 0). Qed.

Lemma magnitude_bound l x i : within l x -> (i < length l)%nat -> Rabs (x i) <= grid (magnitude l).
Proof.
  intros H Hi. eapply Rle_trans; [apply reach_bound, H, Hi|].
  apply grid_le. apply (fold_max_ge reach l 0), nth_In, Hi.
Qed.

Lemma within_repeat r n x : (forall i, (i < n)%nat -> in_range r (x i)) -> within (repeat r n) x.
Proof.
  intros H i Hi. rewrite repeat_length in Hi. rewrite (nth_indep _ _ r), nth_repeat.
  - apply H, Hi.
  - rewrite repeat_length. exact Hi.
Qed.

(** ** Distances *)

Definition near_of (r : Z * Z) (b : Z) : Z :=
  nearest_distance (fst r) (snd r) (below b) (above b).
Definition far_of (r : Z * Z) (b : Z) : Z :=
  farthest_distance (fst r) (snd r) (below b) (above b).

Lemma distance_range r b a : in_range r a ->
  0 <= grid (near_of r b) <= Rabs (a - value b) /\ Rabs (a - value b) <= grid (far_of r b).
Proof.
  intros [H1 H2]. pose proof (below_value b). pose proof (above_value b).
  unfold near_of, far_of, nearest_distance, farthest_distance.
  rewrite !grid_max, !grid_minus, grid_0. repeat split.
  - apply Rmax_l.
  - pose proof (Rabs_pos (a - value b)). apply Rmax_lub; [assumption|].
    pose proof (Rle_abs (a - value b)). pose proof (Rle_abs (- (a - value b))) as N.
    rewrite Rabs_Ropp in N. apply Rmax_lub; lra.
  - pose proof (Rmax_l (grid (snd r) - grid (below b)) (grid (above b) - grid (fst r))).
    pose proof (Rmax_r (grid (snd r) - grid (below b)) (grid (above b) - grid (fst r))).
    apply Rabs_le. lra.
Qed.

Lemma scan_holds k rs row near far near' far' ln lf :
  holds k ln near -> holds k lf far -> scan rs row near far = Some (near', far') ->
  length rs = length row /\
  holds k (map2 near_of rs row ++ ln) near' /\ holds k (map2 far_of rs row ++ lf) far'.
Proof.
  revert row near far ln lf. induction rs as [|[l h] rs IH]; intros row near far ln lf Hn Hf H.
  - destruct row as [|b row]; [|discriminate H]. injection H as <- <-. auto.
  - destruct row as [|b row]; [discriminate H|]. cbn [scan] in H.
    destruct (finite b); [|discriminate H]. destruct (enclose b) as [w v] eqn:E.
    apply (IH row _ _ (near_of (l, h) b :: ln) (far_of (l, h) b :: lf)) in H.
    + destruct H as (L & N & F). cbn [length map2 app]. split; [f_equal; exact L|].
      split; [apply (holds_permutation _ _ _ _ (Permutation_sym (Permutation_middle _ _ _))), N|
              apply (holds_permutation _ _ _ _ (Permutation_sym (Permutation_middle _ _ _))), F].
    + unfold near_of, below, above. rewrite E. apply add_top_holds, Hn.
    + unfold far_of, below, above. rewrite E. apply add_top_holds, Hf.
Qed.

(** ** Coefficients *)

Lemma powers_down_length rho p n : length (powers_down rho p n) = n.
Proof. revert p. induction n; intros; simpl; auto. Qed.

Lemma powers_up_length rho p n : length (powers_up rho p n) = n.
Proof. revert p. induction n; intros; simpl; auto. Qed.

Lemma mul_down_nonneg a b : (0 <= a)%Z -> (0 <= b)%Z -> (0 <= mul_down a b)%Z.
Proof. intros. unfold mul_down. apply Z.shiftr_nonneg. nia. Qed.

Lemma powers_down_le rho p n a q : (0 <= rho)%Z -> (0 <= p)%Z -> grid rho <= a -> grid p <= q ->
  forall j, (j < n)%nat ->
  (0 <= nth j (powers_down rho p n) 0)%Z /\ grid (nth j (powers_down rho p n) 0%Z) <= q * a ^ j.
Proof.
  intros R0. revert p q. induction n as [|n IH]; intros p q P0 Ha Hq j Hj; [lia|]. simpl.
  destruct j as [|j]; [split; [exact P0|simpl; lra]|].
  pose proof (grid_nonneg _ R0). pose proof (grid_nonneg _ P0).
  replace (q * a ^ S j) with ((q * a) * a ^ j) by (simpl; ring).
  apply IH; [apply mul_down_nonneg; assumption|exact Ha| |lia].
  eapply Rle_trans; [apply mul_down_le|]. apply Rmult_le_compat; assumption.
Qed.

Lemma powers_up_ge rho p n a q : 0 <= a -> 0 <= q -> a <= grid rho -> q <= grid p ->
  forall j, (j < n)%nat -> q * a ^ j <= grid (nth j (powers_up rho p n) 0%Z).
Proof.
  intros A0. revert p q. induction n as [|n IH]; intros p q Q0 Ha Hq j Hj; [lia|]. simpl.
  destruct j as [|j]; [simpl; lra|].
  replace (q * a ^ S j) with ((q * a) * a ^ j) by (simpl; ring).
  apply IH; [apply Rmult_le_pos; assumption|exact Ha| |lia].
  eapply Rle_trans; [|apply mul_up_ge]. apply Rmult_le_compat; assumption.
Qed.

Lemma total_sum l : grid (total l) = sum (length l) (fun j => grid (nth j l 0%Z)).
Proof.
  induction l as [|a l IH]; [apply grid_0|].
  cbn [length]. rewrite sum_shift. simpl. rewrite grid_plus, <- IH. reflexivity.
Qed.

Section Coefficients.

Variables (rho : Z) (k : nat).
Hypothesis R0 : (0 <= below rho)%Z.
Hypothesis R1 : (above rho <= unit_grid)%Z.
Hypothesis K1 : (1 <= k)%nat.

Lemma rho_range : 0 <= value rho <= 1.
Proof.
  pose proof (below_value rho). pose proof (above_value rho). apply grid_nonneg in R0.
  apply grid_le in R1. rewrite grid_1 in R1. lra.
Qed.

Lemma power_down_le j : (j < k)%nat ->
  (0 <= nth j (powers_down (below rho) unit_grid k) 0)%Z /\
  grid (nth j (powers_down (below rho) unit_grid k) 0%Z) <= value rho ^ j.
Proof.
  intros Hj. rewrite <- (Rmult_1_l (value rho ^ j)).
  apply powers_down_le; [exact R0|discriminate|apply below_value|rewrite grid_1; lra|exact Hj].
Qed.

Lemma power_up_ge j : (j < k)%nat ->
  value rho ^ j <= grid (nth j (powers_up (above rho) unit_grid k) 0%Z).
Proof.
  intros Hj. rewrite <- (Rmult_1_l (value rho ^ j)).
  apply powers_up_ge; [apply rho_range|lra|apply above_value|rewrite grid_1; lra|exact Hj].
Qed.

Lemma total_up_ge : sum k (fun i => value rho ^ i) <=
  grid (total (powers_up (above rho) unit_grid k)).
Proof.
  rewrite total_sum, powers_up_length. apply sum_le. intros j Hj. apply power_up_ge, Hj.
Qed.

Lemma total_down_le : 1 <= grid (total (powers_down (below rho) unit_grid k)) <=
  sum k (fun i => value rho ^ i).
Proof.
  rewrite total_sum, powers_down_length. split.
  - apply Rle_trans with (grid (nth 0 (powers_down (below rho) unit_grid k) 0%Z)).
    + destruct k; [lia|]. simpl. rewrite grid_1. lra.
    + apply (sum_term k (fun j => grid (nth j (powers_down (below rho) unit_grid k) 0%Z)) 0);
        [|lia]. intros j Hj. apply grid_nonneg, power_down_le, Hj.
  - apply sum_le. intros j Hj. apply power_down_le, Hj.
Qed.

Lemma grid_positive z : 1 <= grid z -> (0 < z)%Z.
Proof.
  intros H. rewrite <- grid_1 in H. apply grid_le_inv in H. unfold unit_grid in H. lia.
Qed.

Lemma coefficients_down_length : length (coefficients_down rho k) = k.
Proof. unfold coefficients_down. rewrite map_length. apply powers_down_length. Qed.

Lemma coefficients_up_length : length (coefficients_up rho k) = k.
Proof. unfold coefficients_up. rewrite map_length. apply powers_up_length. Qed.

Lemma coefficients_bound j : (j < k)%nat ->
  grid (nth j (coefficients_down rho k) 0%Z) <= coefficient (value rho) k j <=
  grid (nth j (coefficients_up rho k) 0%Z).
Proof.
  intros Hj. destruct total_down_le as [T1 T2]. pose proof total_up_ge as T3.
  pose proof rho_range as R. pose proof (pow_le (value rho) j (proj1 R)) as P0.
  destruct (power_down_le j Hj) as [D0 D1]. pose proof (power_up_ge j Hj) as U1.
  apply grid_nonneg in D0.
  unfold coefficients_down, coefficients_up, coefficient.
  rewrite 2!(map_nth_lt _ _ 0%Z 0%Z)
    by (rewrite ?powers_down_length, ?powers_up_length; exact Hj).
  split.
  - eapply Rle_trans; [apply quotient_down_le, grid_positive; lra|].
    unfold Rdiv. apply Rmult_le_compat; [exact D0| |exact D1|].
    + apply Rlt_le, Rinv_0_lt_compat. lra.
    + apply Rinv_le_contravar; lra.
  - eapply Rle_trans; [|apply quotient_up_ge, grid_positive; lra].
    unfold Rdiv. apply Rmult_le_compat; [exact P0| |exact U1|].
    + apply Rlt_le, Rinv_0_lt_compat. lra.
    + apply Rinv_le_contravar; lra.
Qed.

End Coefficients.

(** ** A neuron *)

Lemma dot_down_le k (c s : list Z) (C S : nat -> R) : length c = k -> length s = k ->
  (forall j, (j < k)%nat -> grid (nth j c 0%Z) <= C j /\ 0 <= grid (nth j s 0%Z) <= S j /\ 0 <= C
    j) ->
  grid (dot_down c s) <= sum k (fun j => C j * S j).
Proof.
  revert c s C S. induction k as [|k IH]; intros c s C S Lc Ls H;
    destruct c as [|a c]; destruct s as [|b s]; simpl in Lc, Ls; try lia.
  - cbn [dot_down dot_up sum]. rewrite grid_0. lra.
  - rewrite sum_shift. cbn [dot_down dot_up nth]. rewrite grid_plus. apply Rplus_le_compat.
    + specialize (H 0%nat ltac:(lia)). cbn [nth] in H.
      eapply Rle_trans; [apply mul_down_le|].
      apply Rle_trans with (C 0%nat * grid b); [apply Rmult_le_compat_r; lra|
        apply Rmult_le_compat_l; lra].
    + apply IH; [lia|lia|]. intros j Hj. apply (H (Datatypes.S j)). lia.
Qed.

Lemma dot_up_ge k (c s : list Z) (C S : nat -> R) : length c = k -> length s = k ->
  (forall j, (j < k)%nat -> 0 <= C j <= grid (nth j c 0%Z) /\ 0 <= S j <= grid (nth j s 0%Z)) ->
  sum k (fun j => C j * S j) <= grid (dot_up c s).
Proof.
  revert c s C S. induction k as [|k IH]; intros c s C S Lc Ls H;
    destruct c as [|a c]; destruct s as [|b s]; simpl in Lc, Ls; try lia.
  - cbn [dot_down dot_up sum]. rewrite grid_0. lra.
  - rewrite sum_shift. cbn [dot_down dot_up nth]. rewrite grid_plus. apply Rplus_le_compat.
    + specialize (H 0%nat ltac:(lia)). cbn [nth] in H.
      eapply Rle_trans; [|apply mul_up_ge]. apply Rmult_le_compat; lra.
    + apply IH; [lia|lia|]. intros j Hj. apply (H (Datatypes.S j)). lia.
Qed.

(** What [scan] keeps are bounds of the largest distances. *)
Lemma scan_order_stats rs k row near far (x : vec) : (1 <= k <= length rs)%nat -> within rs x ->
  scan rs row (Top k []) (Top k []) = Some (near, far) ->
  length (rev (kept near)) = k /\ length (rev (kept far)) = k /\
  forall j, (j < k)%nat ->
  let d := order_stat (length rs) (fun i => Rabs (x i - value (nth i row 0%Z))) (j + 1) in
  0 <= grid (nth j (rev (kept near)) 0%Z) <= d /\ d <= grid (nth j (rev (kept far)) 0%Z).
Proof.
  intros Hk Hx E.
  destruct (scan_holds k rs row _ _ near far [] [] (holds_nothing k) (holds_nothing k) E)
    as (L & N & F).
  rewrite app_nil_r in N, F. rewrite !rev_length.
  set (n := length rs) in *. set (w := fun i => value (nth i row 0%Z)).
  set (ln := map2 near_of rs row) in *. set (lf := map2 far_of rs row) in *.
  assert (Ln : length ln = n) by (apply map2_length, L).
  assert (Lf : length lf = n) by (apply map2_length, L).
  set (xn := fun i => grid (nth i ln 0%Z)). set (xf := fun i => grid (nth i lf 0%Z)).
  destruct (holds_order_stat k ln near xn N ltac:(lia) (fun i _ => eq_refl)) as [Kn On].
  destruct (holds_order_stat k lf far xf F ltac:(lia) (fun i _ => eq_refl)) as [Kf Of].
  rewrite Ln in On. rewrite Lf in Of. split; [exact Kn|]. split; [exact Kf|].
  assert (D : forall i, (i < n)%nat ->
            0 <= xn i <= Rabs (x i - w i) /\ Rabs (x i - w i) <= xf i).
  { intros i Hi. unfold xn, xf, ln, lf, w.
    rewrite 2!(map2_nth _ rs row (0, 0)%Z 0%Z) by (assumption || exact L).
    apply distance_range, Hx, Hi. }
  intros j Hj. rewrite <- On, <- Of by exact Hj. split; [split|].
  - apply order_stat_nonneg; [lia|]. intros i Hi. apply D, Hi.
  - apply order_stat_monotone; [lia|]. intros i Hi. apply D, Hi.
  - apply order_stat_monotone; [lia|]. intros i Hi. apply D, Hi.
Qed.

Lemma neuron_range_sound rs rho k row lo hi (x : vec) :
  (0 <= below rho)%Z -> (above rho <= unit_grid)%Z -> (1 <= k <= length rs)%nat ->
  within rs x ->
  neuron_range rs (coefficients_down rho k) (coefficients_up rho k) k row = Some (lo, hi) ->
  in_range (lo, hi) (neuron (length rs) (fun i => value (nth i row 0%Z)) (value rho) k x).
Proof.
  intros R0 R1 Hk Hx H. unfold neuron_range in H.
  destruct (scan rs row (Top k []) (Top k [])) as [[near far]|] eqn:E; [|discriminate].
  injection H as <- <-.
  destruct (scan_order_stats rs k row near far x Hk Hx E) as (Kn & Kf & B).
  assert (C0 : forall j, (j < k)%nat -> 0 <= coefficient (value rho) k j).
  { intros j Hj. apply coefficient_nonneg; [apply (rho_range rho R0 R1)|lia]. }
  unfold in_range, neuron. cbn [fst snd]. split.
  - apply dot_down_le; [apply coefficients_down_length|exact Kn|].
    intros j Hj. split; [apply (coefficients_bound rho k R0 R1); lia|].
    split; [|apply C0, Hj]. destruct (B j Hj) as ([N L] & _). split; assumption.
  - apply dot_up_ge; [apply coefficients_up_length|exact Kf|].
    intros j Hj. split.
    + split; [apply C0, Hj|apply (coefficients_bound rho k R0 R1); lia].
    + destruct (B j Hj) as ([N L] & F). split; [eapply Rle_trans; eassumption|exact F].
Qed.

Lemma collect_nth {A : Type} (f : nat -> option A) n done l : collect f n done = Some l ->
  length l = (n + length done)%nat /\
  (forall i d, (i < n)%nat -> f i = Some (nth i l d)) /\
  (forall i d, (i < length done)%nat -> nth (n + i) l d = nth i done d).
Proof.
  revert done. induction n as [|n IH]; intros done H; simpl in H.
  - injection H as ->. split; [reflexivity|]. split; [lia|reflexivity].
  - destruct (f n) as [a|] eqn:E; [|discriminate]. destruct (IH _ H) as (L & F & D).
    simpl in L. split; [lia|]. split.
    + intros i d Hi. destruct (Nat.eq_dec i n) as [->|Hne]; [|apply F; lia].
      rewrite <- (Nat.add_0_r n) at 2. rewrite (D 0%nat d) by (simpl; lia). exact E.
    + intros i d Hi. replace (S n + i)%nat with (n + S i)%nat by lia.
      apply (D (S i) d). simpl. lia.
Qed.
