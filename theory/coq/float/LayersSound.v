(** * LayersSound: the checker is sound for sorted neurons, group sorts and affine operations *)

From Coq Require Import Reals ZArith Lra Lia Psatz List Bool Permutation.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError NeuronError
  LayerError Grid Checker Selection Ranges CheckerSound.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** ** Sorted neurons *)

Lemma neuron_room_ge k : (Z.of_nat k <= 1048576)%Z -> neuron_growth k - 1 <= grid (neuron_room k).
Proof.
  intros H. unfold neuron_room. rewrite grid_minus, grid_1.
  enough (neuron_growth k <= grid (unit_grid + (Z.of_nat k + 1) * single_unit +
            (Z.of_nat k + 1) * (Z.of_nat k + 1)) * grid (unit_grid + coefficient_room)).
  { pose proof (mul_up_ge (unit_grid + (Z.of_nat k + 1) * single_unit +
      (Z.of_nat k + 1) * (Z.of_nat k + 1)) (unit_grid + coefficient_room)). lra. }
  unfold neuron_growth. rewrite (grid_plus unit_grid coefficient_room), grid_1,
    grid_coefficient_room.
  apply Rmult_le_compat_r; [rewrite coefficient_error_value; lra|].
  rewrite !grid_plus, grid_1, grid_mul, grid_single_unit.
  assert (K : INR (k + 1) = IZR (Z.of_nat k + 1)).
  { rewrite INR_IZR_INZ. f_equal. lia. }
  assert (P : 0 <= IZR (Z.of_nat k + 1) <= 1048577) by (split; apply IZR_le; lia).
  pose proof (growth_bound single (k + 1)) as G. rewrite K, unit_single in G.
  rewrite unit_single. specialize (G ltac:(lra)).
  eapply Rle_trans; [exact G|]. right. unfold grid, unit_grid. rewrite mult_IZR. lra.
Qed.

Lemma neurons_some inputs W rho k l : neurons inputs W rho k = Some l ->
  (0 <= below rho)%Z /\ (above rho <= unit_grid)%Z /\ (1 <= k <= cols W)%nat /\
  (Z.of_nat k <= 1048576)%Z /\ length inputs = cols W /\ length l = rows W /\
  forall x o, within inputs x -> (o < rows W)%nat ->
  in_range (nth o l (0, 0)%Z) (neuron (cols W) (entry W o) (value rho) k x).
Proof.
  unfold neurons. destruct (_ && (length inputs =? cols W)%nat) eqn:C; [|discriminate]. intros H.
  repeat (apply andb_prop in C; destruct C as [C ?C]).
  apply Z.leb_le in C1, C4, C5. apply Nat.leb_le in C2, C3. apply Nat.eqb_eq in C0.
  unfold longest_selection in C1.
  destruct (collect_nth _ _ _ _ H) as (L & F & _). cbn [length] in L. rewrite Nat.add_0_r in L.
  split; [exact C5|]. split; [exact C4|]. split; [lia|]. split; [lia|]. split; [exact C0|].
  split; [exact L|]. intros x o Hx Ho. specialize (F o (0, 0)%Z Ho).
  destruct (nth o l (0, 0)%Z) as [lo hi]. rewrite <- C0.
  apply (neuron_range_sound inputs rho k (row W o) lo hi x);
      [exact C5|exact C4|lia|exact Hx|exact F].
Qed.

Lemma neurons_close inputs W rho k l o x X e m y : neurons inputs W rho k = Some l ->
  within inputs x -> (o < rows W)%nat ->
  0 <= e -> (forall i, (i < cols W)%nat -> Rabs (X i - x i) <= e) ->
  Rabs (neuron (cols W) (entry W o) (value rho) k x) <= m -> m + e <= IZR (2 ^ 30) ->
  sorts (cols W) (entry W o) (value rho) k X y ->
  Rabs (y - neuron (cols W) (entry W o) (value rho) k x) <=
  e + grid (neuron_room k) * (m + e) + / IZR (2 ^ 48).
Proof.
  intros H Hx Ho He0 He M B S.
  destruct (neurons_some _ _ _ _ _ H) as (R0 & R1 & Hk & Kl & L1 & L2 & Hr).
  pose proof (rho_range rho R0 R1) as R.
  set (v := neuron (cols W) (entry W o) (value rho) k x).
  assert (V : 0 <= v <= m).
  { split.
    - apply (Rle_trans _ (neuron (cols W) (entry W o) (value rho) k x)); [|apply Rle_refl].
      unfold neuron. apply sum_nonneg. intros j Hj. apply Rmult_le_pos;
        [apply coefficient_nonneg; [apply R|lia]|].
      apply order_stat_nonneg; [lia|]. intros. apply Rabs_pos.
    - eapply Rle_trans; [apply Rle_abs|exact M]. }
  assert (Kr : 1 <= INR k <= 1048576).
  { split; [apply (le_INR 1); lia|]. rewrite INR_IZR_INZ. apply IZR_le, Kl. }
  set (D := INR k * m + e).
  assert (Dl : D <= IZR (2 ^ 51)).
  { unfold D. assert (INR k * m <= 1048576 * IZR (2 ^ 30)) by (apply Rmult_le_compat; lra). lra. }
  assert (HD : forall i, (i < cols W)%nat -> Rabs (x i - entry W o i) + e <= D).
  { intros i Hi. unfold D.
    pose proof (neuron_distance (cols W) (entry W o) (value rho) k x i R Hk Hi) as N. fold v in N.
    assert (INR k * v <= INR k * m) by (apply Rmult_le_compat_l; lra). lra. }
  pose proof (neuron_error (cols W) k (entry W o) x X (value rho) e D y Hk (proj1 R) He He0 HD)
    as E. fold v in E.
  assert (E' : Rabs (y - v) <= e + (neuron_growth k - 1) * (v + e) + neuron_underflow k D).
  { refine (proj1 (E _ _ S)); [lra|]. rewrite unit_single. lra. }
  pose proof (neuron_room_ge k Kl) as G.
  assert (G0 : 0 <= neuron_growth k - 1).
  { unfold neuron_growth. pose proof (growth_pos single (k + 1)).
    assert (0 <= coefficient_error) by (rewrite coefficient_error_value; lra). nra. }
  assert ((neuron_growth k - 1) * (v + e) <= grid (neuron_room k) * (m + e))
    by (apply Rmult_le_compat; lra).
  assert (neuron_underflow k D <= / IZR (2 ^ 48)).
  { unfold neuron_underflow. pose proof tiny_small.
    assert (D0 : 0 <= D) by (unfold D; nra).
    apply Rle_trans with (100 * 1048576 * / IZR (2 ^ 126) * (1 + IZR (2 ^ 50) + IZR (2 ^ 30)));
      [|lra].
    apply Rmult_le_compat; [|lra| |].
    - repeat apply Rmult_le_pos; lra.
    - apply Rmult_le_compat; lra.
    - unfold D. assert (INR k * m <= 1048576 * IZR (2 ^ 30)) by (apply Rmult_le_compat; lra). lra. }
  lra.
Qed.

Lemma neuron_moves n w rho k x z r : 0 <= rho -> (1 <= k <= n)%nat -> 0 <= r ->
  (forall i, (i < n)%nat -> Rabs (x i - z i) <= r) ->
  Rabs (neuron n w rho k x - neuron n w rho k z) <= r.
Proof.
  intros Hr Hk R0 H. unfold neuron. rewrite <- (Rmult_1_l r).
  apply (sum_moves k (coefficient rho k) (fun j => order_stat n (fun i => Rabs (x i - w i)) (j + 1))
           (fun j => order_stat n (fun i => Rabs (z i - w i)) (j + 1))); [exact R0| |].
  - right. rewrite <- (coefficient_sum rho k Hr ltac:(lia)). apply sum_ext. intros j Hj.
    apply Rabs_pos_eq, coefficient_nonneg; [exact Hr|lia].
  - intros j Hj. apply order_stat_moves; [exact R0|]. intros i Hi.
    eapply Rle_trans; [apply Rabs_triang_inv2|].
    replace (x i - w i - (z i - w i)) with (x i - z i) by ring. apply H, Hi.
Qed.

Lemma neuron_room_nonneg k : (Z.of_nat k <= 1048576)%Z -> (0 <= neuron_room k)%Z.
Proof.
  intros H. apply grid_le_inv. rewrite grid_0. eapply Rle_trans; [|apply neuron_room_ge, H].
  unfold neuron_growth. pose proof (growth_pos single (k + 1)).
  assert (0 <= coefficient_error) by (rewrite coefficient_error_value; lra). nra.
Qed.

Lemma sort_neuron_sound W rho k s s' : ready s -> step (SortNeuron W rho k) s = Some s' ->
  sound (SortNeuron W rho k) s s'.
Proof.
  intros R H. cbn [step] in H. destruct (neurons (ranges s) W rho k) as [l|] eqn:N; [|discriminate].
  destruct (neurons_some _ _ _ _ _ N) as (R0 & R1 & Hk & Kl & L1 & L2 & Hr).
  revert H. apply sound_after; [exact R|apply neuron_room_nonneg, Kl|exact L2|
    apply moving_repeat, lipschitz_nonneg| | |].
  - intros x Wx i Hi. rewrite L2 in Hi. apply Hr; assumption.
  - intros x X y i Wx Hx Hi M B C. inversion C; subst. cbn [apply_op].
    apply (neurons_close (ranges s) W rho k l i x X _ _ y N Wx Hi); try assumption.
    + apply grid_nonneg, R.
    + intros j Hj. apply Hx. unfold units. lia.
  - intros x z d Hd Hx i Hi. cbn [apply_op out_size] in *.
    rewrite (nth_indep _ _ (lipschitz s)) by (rewrite repeat_length; exact Hi). rewrite nth_repeat.
    apply neuron_moves; [apply (rho_range rho R0 R1)|lia| |].
    + apply Rmult_le_pos; [apply grid_nonneg, lipschitz_nonneg|exact Hd].
    + intros j Hj. eapply Rle_trans; [apply Hx; unfold units; lia|].
      apply Rmult_le_compat_r; [exact Hd|]. apply grid_le, moves_lipschitz.
Qed.

(** ** Groups *)

Lemma firstn_nth {A} (d : A) g : forall l i, (i < g)%nat -> nth i (firstn g l) d = nth i l d.
Proof.
  induction g as [|g IH]; intros [|a l] [|i] H; simpl; try reflexivity; try lia. apply IH. lia.
Qed.

Lemma skipn_nth {A} (d : A) g : forall l i, nth i (skipn g l) d = nth (i + g) l d.
Proof.
  induction g as [|g IH]; intros l i; [rewrite Nat.add_0_r; reflexivity|].
  destruct l as [|a l]; [simpl; destruct i; reflexivity|].
  rewrite <- plus_n_Sm. cbn [skipn nth]. apply IH.
Qed.

Lemma groups_nth {A} (d : A) g : (1 <= g)%nat -> forall fuel l i, (length l <= fuel)%nat ->
  nth (i mod g) (nth (i / g) (groups fuel g l) []) d = nth i l d.
Proof.
  intros Hg. induction fuel as [|fuel IH]; intros l i Hl.
  - destruct l; [|simpl in Hl; lia]. simpl. destruct (i / g)%nat, (i mod g)%nat, i; reflexivity.
  - destruct l as [|a l].
    + simpl. destruct (i / g)%nat, (i mod g)%nat, i; reflexivity.
    + cbn [groups]. set (m := a :: l) in *.
      destruct (Nat.lt_ge_cases i g) as [L|L].
      * rewrite Nat.div_small, Nat.mod_small by exact L. cbn [nth].
        apply firstn_nth, L.
      * assert (E : exists j, i = (j + 1 * g)%nat) by (exists (i - g)%nat; lia).
        destruct E as [j ->]. rewrite Nat.mod_add, Nat.div_add by lia.
        rewrite Nat.add_1_r. cbn [nth]. rewrite IH.
        -- rewrite skipn_nth. f_equal. lia.
        -- rewrite skipn_length. lia.
Qed.

Lemma groups_lengths {A} g q : (1 <= g)%nat -> forall fuel (l : list A),
  length l = (q * g)%nat -> (length l <= fuel)%nat ->
  length (groups fuel g l) = q /\ forall m, In m (groups fuel g l) -> length m = g.
Proof.
  intros Hg. induction q as [|q IH]; intros fuel l Hl Hf.
  - destruct l; [|discriminate Hl]. destruct fuel; simpl; split; auto; intros ? [].
  - destruct l as [|a l]; [simpl in Hl; lia|]. destruct fuel as [|fuel]; [simpl in Hf; lia|].
    cbn [groups]. set (m := a :: l) in *.
    destruct (IH fuel (skipn g m)) as [I1 I2].
    + rewrite skipn_length, Hl. simpl. lia.
    + rewrite skipn_length. lia.
    + cbn [length]. split; [lia|]. intros n [<-|In]; [|apply I2, In].
      rewrite firstn_length, Hl. simpl. lia.
Qed.

Lemma concat_nth {A} (d : A) g : (1 <= g)%nat -> forall l : list (list A),
  (forall m, In m l -> length m = g) ->
  length (concat l) = (length l * g)%nat /\
  forall i, nth i (concat l) d = nth (i mod g) (nth (i / g) l []) d.
Proof.
  intros Hg. induction l as [|m l IH]; intros H.
  - split; [reflexivity|]. intros i. simpl. destruct (i / g)%nat, (i mod g)%nat, i; reflexivity.
  - destruct (IH (fun n I => H n (or_intror I))) as [L N].
    pose proof (H m (or_introl eq_refl)) as Hm. cbn [concat length].
    split; [rewrite app_length, L, Hm; reflexivity|]. intros i.
    destruct (Nat.lt_ge_cases i g) as [F|F].
    + rewrite Nat.div_small, Nat.mod_small by exact F. rewrite app_nth1 by lia. reflexivity.
    + assert (E : exists j, i = (j + 1 * g)%nat) by (exists (i - g)%nat; lia).
      destruct E as [j ->]. rewrite Nat.mod_add, Nat.div_add by lia.
      rewrite app_nth2 by lia. rewrite Nat.add_1_r. cbn [nth].
      replace (j + 1 * g - length m)%nat with j by lia. apply N.
Qed.

(** Each entry of a group becomes the largest of it. *)
Lemma group_moves_spec g q l : (1 <= g)%nat -> length l = (q * g)%nat ->
  (forall i, (0 <= nth i l 0)%Z) ->
  moving (length l) (group_moves g l) /\
  forall i j, (i < length l)%nat -> (j < g)%nat ->
  (nth (i / g * g + j) l 0 <= nth i (group_moves g l) 0)%Z.
Proof.
  intros Hg Hl Hn. unfold group_moves.
  destruct (groups_lengths g q Hg (length l) l Hl ltac:(lia)) as [G1 G2].
  set (gs := groups (length l) g l) in *.
  set (f := fun m => repeat (largest_of m) (length m)).
  assert (len : forall m, In m (map f gs) -> length m = g).
  { intros m I. apply in_map_iff in I. destruct I as [m' [<- I]]. unfold f.
    rewrite repeat_length. apply G2, I. }
  destruct (concat_nth 0%Z g Hg _ len) as [C1 C2].
  rewrite map_length, G1, <- Hl in C1.
  assert (at_ : forall i, (i < length l)%nat ->
            nth i (concat (map f gs)) 0%Z = largest_of (nth (i / g) gs [])).
  { intros i Hi. assert (Q : (i / g < q)%nat) by (apply Nat.div_lt_upper_bound; lia).
    rewrite C2, (map_nth_lt f gs []) by lia. unfold f.
    assert (Lm : length (nth (i / g) gs []) = g) by (apply G2, nth_In; lia).
    rewrite (nth_indep _ _ (largest_of (nth (i / g) gs []))); [apply nth_repeat|].
    rewrite repeat_length, Lm. apply Nat.mod_upper_bound. lia. }
  split; [split; [exact C1|]|].
  - intros i. destruct (Nat.lt_ge_cases i (length l)) as [H|H].
    + rewrite at_ by exact H. apply largest_of_nonneg.
    + rewrite nth_overflow by lia. lia.
  - intros i j Hi Hj. rewrite at_ by exact Hi.
    rewrite <- (groups_nth 0%Z g Hg (length l) l) by lia. fold gs.
    replace (i / g * g + j)%nat with (j + i / g * g)%nat by lia.
    rewrite Nat.mod_add, Nat.div_add by lia.
    rewrite (Nat.mod_small j), (Nat.div_small j) by exact Hj. apply largest_of_ge.
Qed.

(** ** Group sort *)

Definition sorted_groups (g : nat) (l : list Z) : list Z :=
  concat (map sort_down (groups (length l) g l)).

Lemma sorted_groups_spec g q l (x : vec) : (1 <= g)%nat -> length l = (q * g)%nat ->
  (forall i, (i < length l)%nat -> x i = grid (nth i l 0%Z)) ->
  length (sorted_groups g l) = length l /\
  forall i, (i < length l)%nat ->
  order_stat g (fun j => x (i / g * g + j)%nat) (i mod g + 1) =
  grid (nth i (sorted_groups g l) 0%Z).
Proof.
  intros Hg Hl Hx. unfold sorted_groups.
  destruct (groups_lengths g q Hg (length l) l Hl ltac:(lia)) as [G1 G2].
  set (gs := groups (length l) g l) in *.
  assert (len : forall m, In m (map sort_down gs) -> length m = g).
  { intros m I. apply in_map_iff in I. destruct I as [m' [<- I]].
    destruct (sort_down_order_stat m' (fun i => grid (nth i m' 0%Z)) (fun i _ => eq_refl)) as [L _].
    rewrite L. apply G2, I. }
  destruct (concat_nth 0%Z g Hg _ len) as [C1 C2].
  split; [rewrite C1, map_length, G1; lia|]. intros i Hi.
  assert (Q : (i / g < q)%nat) by (apply Nat.div_lt_upper_bound; lia).
  assert (M : (i mod g < g)%nat) by (apply Nat.mod_upper_bound; lia).
  rewrite C2, (map_nth_lt sort_down gs []) by lia.
  set (m := nth (i / g) gs []).
  assert (Lm : length m = g) by (apply G2, nth_In; lia).
  destruct (sort_down_order_stat m (fun j => x (i / g * g + j)%nat)) as [_ S].
  - intros j Hj. rewrite Lm in Hj.
    assert (B : (i / g * g + j < length l)%nat) by (rewrite Hl; nia).
    rewrite Hx by exact B. f_equal.
    rewrite <- (groups_nth 0%Z g Hg (length l) l) by lia. fold gs.
    replace (i / g * g + j)%nat with (j + i / g * g)%nat by lia.
    rewrite Nat.mod_add, Nat.div_add by lia.
    rewrite (Nat.mod_small j), (Nat.div_small j) by exact Hj. reflexivity.
  - rewrite Lm in S. apply S, M.
Qed.

Lemma combine_nth_lt (a b : list Z) i : length a = length b ->
  nth i (combine a b) (0, 0)%Z = (nth i a 0%Z, nth i b 0%Z).
Proof. intros H. apply combine_nth, H. Qed.

Lemma group_sort_sound g s s' : ready s -> step (GroupSort g) s = Some s' ->
  sound (GroupSort g) s s'.
Proof.
  intros R H. cbn [step] in H. destruct (negb _); [discriminate|].
  destruct ((1 <=? g)%nat && _) eqn:C; [|discriminate].
  apply andb_prop in C. destruct C as [C1 C2]. apply Nat.leb_le in C1. apply Nat.eqb_eq in C2.
  assert (Q : units s = (units s / g * g)%nat).
  { pose proof (Nat.div_mod (units s) g ltac:(lia)). lia. }
  set (q := (units s / g)%nat) in *.
  set (lows := map fst (ranges s)) in *. set (highs := map snd (ranges s)) in *.
  assert (Ll : length lows = units s) by apply map_length.
  assert (Lh : length highs = units s) by apply map_length.
  assert (El : concat (map sort_down (groups (units s) g lows)) = sorted_groups g lows)
    by (unfold sorted_groups; rewrite Ll; reflexivity).
  assert (Eh : concat (map sort_down (groups (units s) g highs)) = sorted_groups g highs)
    by (unfold sorted_groups; rewrite Lh; reflexivity).
  rewrite El, Eh in H.
  destruct (sorted_groups_spec g q lows (fun i => grid (nth i lows 0%Z)) C1 ltac:(lia)
    (fun i _ => eq_refl)) as [Sl Vl].
  destruct (sorted_groups_spec g q highs (fun i => grid (nth i highs 0%Z)) C1 ltac:(lia)
    (fun i _ => eq_refl)) as [Sh Vh].
  assert (inside : forall i j, (i < units s)%nat -> (j < g)%nat -> (i / g * g + j < units s)%nat).
  { intros i j Hi Hj. assert (i / g < q)%nat by (apply Nat.div_lt_upper_bound; lia). nia. }
  assert (place : forall i, (i mod g < g)%nat) by (intros; apply Nat.mod_upper_bound; lia).
  destruct R as [R0 [Lm Mn]]. assert (R : ready s) by (split; [exact R0|split; assumption]).
  destruct (group_moves_spec g q (moves s) C1 ltac:(lia) Mn) as [Gm Gl].
  revert H. apply sound_after; [exact R|lia| | | | |].
  - rewrite combine_length, Sl, Sh. cbn [out_size]. lia.
  - cbn [out_size]. rewrite <- Lm. exact Gm.
  - intros x W i Hi. rewrite combine_length, Sl, Sh, Ll, Lh, Nat.min_id in Hi.
    rewrite combine_nth_lt by lia. unfold in_range. cbn [fst snd apply_op].
    rewrite <- Vl, <- Vh by lia. specialize (place i).
    split; (apply order_stat_monotone; [lia|]); intros j Hj;
      specialize (W _ (inside i j Hi Hj)); unfold lows, highs.
    + rewrite (map_nth_lt fst (ranges s) (0, 0)%Z) by (apply inside; assumption). apply W.
    + rewrite (map_nth_lt snd (ranges s) (0, 0)%Z) by (apply inside; assumption). apply W.
  - intros x X y i W Hx Hi _ _ C. inversion C; subst. rewrite grid_zero_room.
    cbn [apply_op out_size] in *.
    match goal with S : selected (order_stat g (fun j => ?X' _) _) y |- _ =>
      pose proof (group_sort_error g (i mod g + 1) (fun j => x (i / g * g + j)%nat)
        (fun j => X (i / g * g + j)%nat) (fun j => X' (i / g * g +
          j)%nat) (grid (error s)) y) as E end.
    assert (E' := E (grid_nonneg _ (proj1 R)) (fun j Hj => Hx _ (inside i j Hi Hj))
      ltac:(intros j Hj; match goal with O : forall j, _ -> operand single (X j) _ |- _ =>
        apply O, inside; assumption end) ltac:(assumption)).
    lra.
  - intros x z d Hd Hx i Hi. cbn [apply_op out_size] in *. apply order_stat_moves.
    { apply Rmult_le_pos; [apply grid_nonneg, Gm|exact Hd]. }
    intros j Hj. eapply Rle_trans; [apply Hx, inside; assumption|].
    apply Rmult_le_compat_r; [exact Hd|]. apply grid_le, Gl; [lia|exact Hj].
Qed.

(** ** Windows *)

Lemma kth_order_stat k l (x : vec) : (1 <= k <= length l)%nat ->
  (forall i, (i < length l)%nat -> x i = grid (nth i l 0%Z)) ->
  order_stat (length l) x k = grid (kth k l).
Proof.
  intros Hk H. unfold kth.
  assert (G : forall m done s, holds k done s ->
            exists all, Permutation all (done ++ m) /\
              holds k all (fold_left (fun s a => add_top a s) m s)).
  { induction m as [|a m IH]; intros done s Hs; cbn [fold_left].
    - exists done. rewrite app_nil_r. split; [reflexivity|exact Hs].
    - destruct (IH (a :: done) (add_top a s) (add_top_holds _ _ _ _ Hs)) as (all & P & F).
      exists all. split; [|exact F]. rewrite P. apply Permutation_middle. }
  destruct (G l [] _ (holds_nothing k)) as (all & P & F). cbn [app] in P.
  apply (holds_permutation k all l _ P) in F.
  destruct (holds_order_stat k l _ x F ltac:(lia) H) as [_ S].
  specialize (S (k - 1)%nat ltac:(lia)). replace (k - 1 + 1)%nat with k in S by lia. exact S.
Qed.

(** ** Convolutions of sorted neurons *)

Lemma look_up_nth {A} (d : A) l i : look_up d (shelves l) i = nth i l d.
Proof.
  unfold look_up, shelves. rewrite groups_nth by (unfold lookup_group; lia).
  apply groups_nth; unfold lookup_group; lia.
Qed.

Lemma join_in_range a b v : in_range a v \/ in_range b v -> in_range (join a b) v.
Proof.
  unfold in_range, join. cbn [fst snd]. rewrite grid_min, grid_max.
  pose proof (Rmin_l (grid (fst a)) (grid (fst b))).
  pose proof (Rmin_r (grid (fst a)) (grid (fst b))).
  pose proof (Rmax_l (grid (snd a)) (grid (snd b))).
  pose proof (Rmax_r (grid (snd a)) (grid (snd b))).
  intros [[? ?]|[? ?]]; lra.
Qed.

Lemma hulls_spec patches l F : patches <> [] -> (forall p, In p patches -> length p = F) ->
  length (hulls patches l) = F /\
  forall p j v, In p patches -> (j < F)%nat -> in_range (nth (nth j p 0%nat) l (0, 0)%Z) v ->
  in_range (nth j (hulls patches l) (0, 0)%Z) v.
Proof.
  intros Hne HF. destruct patches as [|p0 ps]; [destruct Hne; reflexivity|]. unfold hulls.
  clear Hne.
  set (f := fun (h : list (Z * Z)) (q : list nat) =>
    map2 (fun r i => join r (look_up (0, 0)%Z (shelves l) i)) h q).
  assert (G : forall ps h, length h = F -> (forall p, In p ps -> length p = F) ->
            length (fold_left f ps h) = F /\
            forall j v, (j < F)%nat ->
            (in_range (nth j h (0, 0)%Z) v \/
             exists p, In p ps /\ in_range (nth (nth j p 0%nat) l (0, 0)%Z) v) ->
            in_range (nth j (fold_left f ps h) (0, 0)%Z) v).
  { clear p0 ps HF. induction ps as [|p ps IH]; intros h Hh HF; cbn [fold_left].
    - split; [exact Hh|]. intros j v _ [H|[p [[] _]]]. exact H.
    - pose proof (HF p (or_introl eq_refl)) as Hp.
      assert (Hf : length (f h p) = F) by (unfold f; rewrite map2_length; lia).
      destruct (IH (f h p) Hf (fun q I => HF q (or_intror I))) as [I1 I2].
      split; [exact I1|]. intros j v Hj H. apply I2; [exact Hj|].
      assert (N : nth j (f h p) (0, 0)%Z = join (nth j h (0, 0)%Z) (nth (nth j p 0%nat) l (0,
        0)%Z)).
      { unfold f. rewrite (map2_nth _ h p (0, 0)%Z 0%nat) by lia.
        rewrite look_up_nth. reflexivity. }
      destruct H as [H|[q [[<-|I] H]]].
      + left. rewrite N. apply join_in_range. left. exact H.
      + left. rewrite N. apply join_in_range. right. exact H.
      + right. exists q. auto. }
  pose proof (HF p0 (or_introl eq_refl)) as H0.
  destruct (G ps (map (look_up (0, 0)%Z (shelves l)) p0)) as [G1 G2].
  - rewrite map_length. exact H0.
  - intros p I. apply HF. right. exact I.
  - split; [exact G1|]. intros p j v I Hj H. apply G2; [exact Hj|].
    destruct I as [<-|I]; [left|right; exists p; auto].
    rewrite (map_nth_lt _ p0 0%nat) by lia. rewrite look_up_nth. exact H.
Qed.

Lemma repeat_each_spec P l : (1 <= P)%nat ->
  length (repeat_each P l) = (length l * P)%nat /\
  forall i, (i < length l * P)%nat -> nth i (repeat_each P l) (0, 0)%Z = nth (i / P) l (0, 0)%Z.
Proof.
  intros HP. unfold repeat_each.
  destruct (concat_nth (0, 0)%Z P HP (map (fun r => repeat r P) l)) as [C1 C2].
  - intros m I. apply in_map_iff in I. destruct I as [r [<- _]]. apply repeat_length.
  - rewrite map_length in C1. split; [exact C1|]. intros i Hi. rewrite C2.
    assert (i / P < length l)%nat by (apply Nat.div_lt_upper_bound; lia).
    rewrite (map_nth_lt _ l (0, 0)%Z) by assumption.
    rewrite (nth_indep _ _ (nth (i / P) l (0, 0)%Z));
      [apply nth_repeat|rewrite repeat_length; apply Nat.mod_upper_bound; lia].
Qed.

Lemma repeat_all_spec n l :
  length (repeat_all n l) = (n * length l)%nat /\
  forall i d, (i < n * length l)%nat -> nth i (repeat_all n l) d = nth (i mod length l) l d.
Proof.
  unfold repeat_all. induction n as [|n [IH1 IH2]]; [split; [reflexivity|simpl; lia]|].
  cbn [repeat concat]. rewrite app_length, IH1. split; [lia|]. intros i d Hi.
  destruct (Nat.lt_ge_cases i (length l)) as [H|H].
  - rewrite app_nth1, Nat.mod_small by exact H. reflexivity.
  - rewrite app_nth2 by exact H. rewrite IH2 by lia. f_equal.
    replace i with ((i - length l) + 1 * length l)%nat at 2 by lia.
    rewrite Nat.mod_add by lia. reflexivity.
Qed.

Lemma patch_moves_spec patches l :
  length (patch_moves patches l) = length patches /\
  (forall p, (0 <= nth p (patch_moves patches l) 0)%Z) /\
  forall p j, (p < length patches)%nat -> (j < length (nth p patches []))%nat ->
  (nth (nth j (nth p patches []) 0%nat) l 0 <= nth p (patch_moves patches l) 0)%Z.
Proof.
  unfold patch_moves. set (f := fun p => largest_of (map _ p)).
  split; [apply map_length|]. split.
  - intros p. destruct (Nat.lt_ge_cases p (length patches)) as [H|H].
    + rewrite (map_nth_lt f patches []) by exact H. apply largest_of_nonneg.
    + rewrite nth_overflow by (rewrite map_length; exact H). lia.
  - intros p j Hp Hj. rewrite (map_nth_lt f patches []) by exact Hp. unfold f.
    set (q := nth p patches []) in *.
    eapply Z.le_trans; [|apply (largest_of_ge _ j)].
    rewrite (map_nth_lt _ q 0%nat) by exact Hj. rewrite look_up_nth. lia.
Qed.

(** An entry of a patch moves no more than the patch. *)
Lemma patch_entry_moves patches l n x z d p j F :
  (forall p, In p patches -> length p = F) -> (p < length patches)%nat -> (j < F)%nat ->
  0 <= d -> length l = n ->
  (forall i, (i < n)%nat -> Rabs (x i - z i) <= grid (nth i l 0%Z) * d) ->
  Rabs (patch patches n p x j - patch patches n p z j) <=
  grid (nth p (patch_moves patches l) 0%Z) * d.
Proof.
  intros HF Hp Hj Hd Ll H. destruct (patch_moves_spec patches l) as (_ & M0 & M).
  assert (L : length (nth p patches []) = F) by (apply HF, nth_In, Hp).
  unfold patch, padded. rewrite (nth_indep _ n 0%nat) by lia.
  destruct (Nat.ltb_spec (nth j (nth p patches []) 0%nat) n) as [B|B].
  - eapply Rle_trans; [apply H, B|]. apply Rmult_le_compat_r; [exact Hd|].
    apply grid_le, M; lia.
  - rewrite Rminus_eq_0, Rabs_R0. apply Rmult_le_pos; [apply grid_nonneg, M0|exact Hd].
Qed.

Lemma sort_conv_sound patches W rho k s s' : ready s ->
  step (SortConv patches W rho k) s = Some s' -> sound (SortConv patches W rho k) s s'.
Proof.
  intros R H. cbn [step] in H. destruct (forallb _ patches) eqn:C; [|discriminate].
  rewrite forallb_forall in C.
  assert (HF : forall p, In p patches -> length p = cols W).
  { intros p I. specialize (C p I). apply andb_prop in C. apply Nat.eqb_eq, C. }
  assert (HI : forall p i, In p patches -> In i p -> (i <= units s)%nat).
  { intros p i I J. specialize (C p I). apply andb_prop in C. destruct C as [_ C].
    rewrite forallb_forall in C. apply Nat.leb_le, C, J. }
  clear C.
  destruct (neurons (hulls patches (ranges s)) W rho k) as [l|] eqn:N; [|discriminate].
  destruct (neurons_some _ _ _ _ _ N) as (R0 & R1 & Hk & Kl & L1 & L2 & Hr).
  set (P := length patches) in *.
  assert (some : forall i, (i < rows W * P)%nat -> (1 <= P)%nat /\ (i / P < rows W)%nat /\
            (i mod P < P)%nat).
  { intros i Hi. destruct (Nat.eq_dec P 0) as [E|E]; [rewrite E, Nat.mul_0_r in Hi; lia|].
    split; [lia|]. split; [apply Nat.div_lt_upper_bound; lia|apply Nat.mod_upper_bound, E]. }
  assert (inner : forall x p, (p < P)%nat -> within (ranges s) x ->
            within (hulls patches (ranges s)) (patch patches (units s) p x)).
  { intros x p Hp Wx j Hj. rewrite L1 in Hj.
    assert (Ip : In (nth p patches []) patches) by (apply nth_In, Hp).
    destruct (hulls_spec patches (ranges s) (cols W)) as [_ S].
    { intros E. unfold P in Hp. rewrite E in Hp. simpl in Hp. lia. }
    { exact HF. }
    apply (S (nth p patches [])); [exact Ip|exact Hj|]. unfold patch, padded.
    rewrite (nth_indep _ (units s) 0%nat) by (rewrite HF; assumption).
    destruct (Nat.ltb_spec (nth j (nth p patches []) 0%nat) (units s)) as [B|B].
    - apply Wx, B.
    - rewrite nth_overflow by exact B. unfold in_range. cbn [fst snd]. rewrite grid_0. lra. }
  assert (moved : forall x X r, 0 <= r -> (forall i, (i < units s)%nat -> Rabs (X i - x i) <= r) ->
            forall p j, Rabs (patch patches (units s) p X j - patch patches (units s) p x j) <= r).
  { intros x X r Hr0 Hx p j. unfold patch, padded.
    destruct (Nat.ltb_spec (nth j (nth p patches []) (units s)) (units s)) as [B|B];
      [apply Hx, B|]. rewrite Rminus_eq_0, Rabs_R0. exact Hr0. }
  assert (Len : length (repeat_each P l) = (rows W * P)%nat).
  { destruct (Nat.eq_dec P 0) as [E|E].
    - rewrite E, Nat.mul_0_r. unfold repeat_each. cbn [repeat].
      clear. induction l as [|a l IH]; [reflexivity|exact IH].
    - rewrite <- L2. apply repeat_each_spec. lia. }
  destruct (patch_moves_spec patches (moves s)) as (Pl & P0 & _). fold P in Pl.
  destruct (repeat_all_spec (rows W) (patch_moves patches (moves s))) as [Rl Rn].
  rewrite Pl in Rl, Rn.
  revert H. apply sound_after; [exact R|apply neuron_room_nonneg, Kl|exact Len| | | |].
  - cbn [out_size]. fold P. split; [exact Rl|]. intros i.
    destruct (Nat.lt_ge_cases i (rows W * P)) as [Hi|Hi].
    + rewrite Rn by exact Hi. apply P0.
    + rewrite nth_overflow by lia. lia.
  - intros x Wx i Hi. rewrite Len in Hi. destruct (some i Hi) as (P1 & O1 & O2).
    rewrite (proj2 (repeat_each_spec P l P1)) by (rewrite L2; exact Hi).
    cbn [apply_op]. fold P. apply Hr; [apply inner; assumption|exact O1].
  - intros x X y i Wx Hx Hi M B C. cbn [out_size] in Hi. fold P in Hi.
    destruct (some i Hi) as (P1 & O1 & O2). inversion C; subst. cbn [apply_op] in *.
    fold P in M |- *.
    assert (S : sorts (cols W) (entry W (i / P)) (value rho) k
      (patch patches (units s) (i mod P) X) y) by assumption.
    apply (neurons_close (hulls patches (ranges s)) W rho k l (i / P) _
             (patch patches (units s) (i mod P) X) _ _ y N); try assumption.
    + apply inner; assumption.
    + apply grid_nonneg, R.
    + intros j _. apply moved; [apply grid_nonneg, R|exact Hx].
  - intros x z d Hd Hx i Hi. cbn [apply_op out_size] in *. fold P in Hi |- *.
    destruct (some i Hi) as (P1 & O1 & O2). rewrite Rn by exact Hi.
    apply neuron_moves; [apply (rho_range rho R0 R1)|exact Hk| |].
    + apply Rmult_le_pos; [apply grid_nonneg, P0|exact Hd].
    + intros j Hj. apply (patch_entry_moves patches _ _ _ _ _ _ _ (cols W) HF O2 Hj Hd);
        [apply R|exact Hx].
Qed.

(** ** Rank filters *)

Lemma patch_entry patches n p x j : (j < length (nth p patches []))%nat ->
  patch patches n p x j = padded n x (nth j (nth p patches []) 0%nat).
Proof. intros H. unfold patch. rewrite (nth_indep _ n 0%nat) by exact H. reflexivity. Qed.

Lemma rank_sound patches k s s' : ready s -> step (Rank patches k) s = Some s' ->
  sound (Rank patches k) s s'.
Proof.
  intros R H. cbn [step] in H. destruct (forallb _ patches && _ && _) eqn:C; [|discriminate].
  apply andb_prop in C. destruct C as [C _]. apply andb_prop in C. destruct C as [C K].
  apply Nat.leb_le in K. rewrite forallb_forall in C.
  assert (HK : forall p, (p < length patches)%nat -> (k <= length (nth p patches []))%nat).
  { intros p Hp. specialize (C _ (nth_In patches [] Hp)). apply andb_prop in C.
    apply Nat.leb_le, C. }
  assert (HI : forall p j, (p < length patches)%nat -> (j < length (nth p patches []))%nat ->
            (nth j (nth p patches []) 0 <= units s)%nat).
  { intros p j Hp Hj. specialize (C _ (nth_In patches [] Hp)). apply andb_prop in C.
    destruct C as [_ C]. rewrite forallb_forall in C. apply Nat.leb_le, C, nth_In, Hj. }
  clear C. destruct (patch_moves_spec patches (moves s)) as (Pl & P0 & Pm).
  set (P := length patches) in *.
  assert (Len : length (rank_ranges patches k (ranges s)) = P) by apply map_length.
  assert (near : forall x X r p, 0 <= r -> (p < P)%nat ->
            (forall i, (i < units s)%nat -> Rabs (X i - x i) <= r) ->
            forall j, (j < length (nth p patches []))%nat ->
            Rabs (patch patches (units s) p X j - patch patches (units s) p x j) <= r).
  { intros x X r p Hr Hp Hx j Hj. rewrite !patch_entry by exact Hj. unfold padded.
    destruct (Nat.ltb_spec (nth j (nth p patches []) 0%nat) (units s)) as [B|B]; [apply Hx, B|].
    rewrite Rminus_eq_0, Rabs_R0. exact Hr. }
  revert H. apply sound_after; [exact R|lia|exact Len| | | |].
  - cbn [out_size]. split; [exact Pl|exact P0].
  - intros x Wx p Hp. rewrite Len in Hp. unfold rank_ranges.
    rewrite (map_nth_lt _ patches []) by exact Hp. set (q := nth p patches []) in *.
    set (r := map (look_up (0, 0)%Z (shelves (ranges s))) q).
    assert (Lr : length r = length q) by apply map_length.
    assert (Er : forall j, (j < length q)%nat ->
              nth j r (0, 0)%Z = nth (nth j q 0%nat) (ranges s) (0, 0)%Z).
    { intros j Hj. unfold r. rewrite (map_nth_lt _ q 0%nat) by exact Hj. apply look_up_nth. }
    assert (Wr : forall j, (j < length q)%nat ->
              in_range (nth j r (0, 0)%Z) (patch patches (units s) p x j)).
    { intros j Hj. rewrite patch_entry by exact Hj. fold q. rewrite Er by exact Hj. unfold padded.
      destruct (Nat.ltb_spec (nth j q 0%nat) (units s)) as [B|B]; [apply Wx, B|].
      rewrite nth_overflow by exact B. unfold in_range. cbn [fst snd]. rewrite grid_0. lra. }
    specialize (HK p Hp). fold q in HK. unfold in_range. cbn [fst snd apply_op]. fold q.
    rewrite <- (kth_order_stat k (map fst r) (fun i => grid (fst (nth i r (0, 0)%Z))))
      by (try (rewrite map_length; lia); intros i Hi; rewrite map_length in Hi;
          rewrite (map_nth_lt fst r (0, 0)%Z) by exact Hi; reflexivity).
    rewrite <- (kth_order_stat k (map snd r) (fun i => grid (snd (nth i r (0, 0)%Z))))
      by (try (rewrite map_length; lia); intros i Hi; rewrite map_length in Hi;
          rewrite (map_nth_lt snd r (0, 0)%Z) by exact Hi; reflexivity).
    rewrite !map_length, Lr. split; (apply order_stat_monotone; [lia|]); intros j Hj;
      apply Wr, Hj.
  - intros x X y p Wx Hx Hp _ _ D. cbn [out_size] in Hp. fold P in Hp. inversion D; subst.
    rewrite grid_zero_room. cbn [apply_op].
    match goal with S : selected (order_stat _ (patch patches _ p ?X') k) y |- _ =>
      pose proof (group_sort_error (length (nth p patches [])) k (patch patches (units s) p x)
        (patch patches (units s) p X) (patch patches (units s) p X') (grid (error s)) y
        (grid_nonneg _ (proj1 R))) as E end.
    assert (E' := E ltac:(apply near; [apply grid_nonneg, R|exact Hp|exact Hx])
      ltac:(intros j Hj; rewrite !patch_entry by exact Hj; unfold padded;
            destruct (Nat.ltb_spec (nth j (nth p patches []) 0%nat) (units s)) as [B|B];
            [match goal with O : forall j, _ -> operand single (X j) _ |- _ => apply O, B end|
             apply operand_kept]) ltac:(assumption)).
    lra.
  - intros x z d Hd Hx p Hp. cbn [apply_op out_size] in *. fold P in Hp.
    apply order_stat_moves; [apply Rmult_le_pos; [apply grid_nonneg, P0|exact Hd]|].
    intros j Hj. rewrite !patch_entry by exact Hj. unfold padded.
    destruct (Nat.ltb_spec (nth j (nth p patches []) 0%nat) (units s)) as [B|B].
    + eapply Rle_trans; [apply Hx, B|]. apply Rmult_le_compat_r; [exact Hd|].
      apply grid_le, Pm; assumption.
    + rewrite Rminus_eq_0, Rabs_R0. apply Rmult_le_pos; [apply grid_nonneg, P0|exact Hd].
Qed.
