(** * RadiusSound: from the analysis and the last operations of the graph to the certificate

    Where the computed radius is positive, the margin of the computed logits is more than
    4 E + 2 L radius, so no host can find another label within the radius. *)

From Coq Require Import Reals ZArith Lra Lia List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions Statements Sums OrderStatistics Lipschitz.
From SortNet.float Require Import Network Rounding Order HostSemantics OperationError Grid Checker
  Ranges CheckerSound ErrorBound.
Import ListNotations.
Open Scope R_scope.

Local Notation u := (unit single).
Local Notation t := (tiny single).

(** ** The two largest logits *)

Lemma ones_one n (f : bits) i : (i < n)%nat -> f i = true -> (1 <= ones n f)%nat.
Proof.
  induction n as [|n IH]; intros Hi H; [lia|]. simpl.
  destruct (Nat.eq_dec i n) as [->|Hne]; [rewrite H; lia|]. specialize (IH ltac:(lia) H). lia.
Qed.

Lemma ones_two n (f : bits) i j : (i < n)%nat -> (j < n)%nat -> i <> j ->
  f i = true -> f j = true -> (2 <= ones n f)%nat.
Proof.
  induction n as [|n IH]; intros Hi Hj Hne H1 H2; [lia|]. simpl.
  destruct (Nat.eq_dec i n) as [->|Ni]; [|destruct (Nat.eq_dec j n) as [->|Nj]].
  - rewrite H1. pose proof (ones_one n f j ltac:(lia) H2). lia.
  - rewrite H2. pose proof (ones_one n f i ltac:(lia) H1). lia.
  - specialize (IH ltac:(lia) ltac:(lia) Hne H1 H2). lia.
Qed.

Lemma order_stat_second n (x : vec) i j v : (i < n)%nat -> (j < n)%nat -> i <> j ->
  v <= x i -> v <= x j -> v <= order_stat n x 2.
Proof.
  intros Hi Hj Hne Vi Vj. apply order_stat_counts; [lia|]. apply (ones_two n _ i j); auto.
  - destruct (Rle_dec v (x i)); [reflexivity|contradiction].
  - destruct (Rle_dec v (x j)); [reflexivity|contradiction].
Qed.

(** The label's logit is ahead of the others by the difference of the two largest. *)
Lemma label_ahead K (y : vec) l (z : vec) j : labels K y l ->
  (forall j, (j < K)%nat -> operand single (y j) (z j)) ->
  (j < K)%nat -> j <> l ->
  order_stat K z 1 - order_stat K z 2 - 10 * t <= y l - y j.
Proof.
  intros [y' Hl Hy Hmax] Hz Hj Hne.
  assert (near : forall i, (i < K)%nat -> - t <= y' i - y i <= t /\ - t <= z i - y i <= t).
  { intros i Hi. split; apply Rabs_le_inv, operand_error; auto. }
  assert (M : forall i, (i < K)%nat -> z i <= z l + 4 * t).
  { intros i Hi. pose proof (near i Hi). pose proof (near l Hl). pose proof (Hmax i Hi). lra. }
  destruct (order_stat_attained K z 1 ltac:(lia)) as [i [Hi E1]].
  pose proof (M i Hi) as M1. pose proof (tiny_pos single) as T.
  assert (E2 : z j - 4 * t <= order_stat K z 2).
  { apply (order_stat_second K z j l); auto; [lra|]. pose proof (M j Hj). lra. }
  pose proof (near l Hl). pose proof (near j Hj). lra.
Qed.

Lemma label_not_behind K (y : vec) l j : labels K y l -> (j < K)%nat -> y j <= y l + 2 * t.
Proof.
  intros [y' Hl Hy Hmax] Hj. pose proof (Hmax j Hj).
  pose proof (Rabs_le_inv _ _ (operand_error _ _ _ (Hy j Hj))).
  pose proof (Rabs_le_inv _ _ (operand_error _ _ _ (Hy l Hl))). lra.
Qed.

Lemma label_class K (y : vec) l : labels K y l -> (l < K)%nat.
Proof. intros [? H _ _]. exact H. Qed.

(** ** The radius *)

Lemma operand_positive x x' : operand single x x' -> 0 < x' -> x' = x.
Proof. intros [|H] P; [reflexivity|lra]. Qed.

(** A positive radius is below (margin - C) S with room for all roundings. *)
Lemma margin_radius_bound K C S L m0 y r :
  0 <= C <= IZR (2 ^ 30) -> 0 <= S <= IZR (2 ^ 24) -> 0 <= L <= IZR (2 ^ 30) ->
  2 * L * S <= 1 - / IZR (2 ^ 22) ->
  (forall j, (j < K)%nat -> Rabs (y j) <= m0) -> m0 <= IZR (2 ^ 60) -> (2 <= K)%nat ->
  margin_radius K C S y r -> 0 < r ->
  exists z, (forall j, (j < K)%nat -> operand single (y j) (z j)) /\
  2 * L * r <= (1 + u) * (order_stat K z 1 - order_stat K z 2) - C + / IZR (2 ^ 60).
Proof.
  intros HC HS HL HLS Hm M60 HK
    [z best next margin sure scaled scaled' Hz Hb Hn Dm Ds Ps Os] Hr.
  pose proof tiny_small as Ht. pose proof unit_single as Hu.
  exists z. split; [exact Hz|].
  assert (zb : forall k, (1 <= k <= K)%nat -> - m0 <= order_stat K z k <= m0).
  { intros k Hk. apply order_stat_bounds; [exact Hk|]. intros i Hi. apply Rabs_le_inv.
    eapply Rle_trans; [apply (operand_smaller _ _ _ (Hz i Hi))|apply Hm, Hi]. }
  pose proof (zb 1%nat ltac:(lia)) as z1. pose proof (zb 2%nat ltac:(lia)) as z2.
  pose proof (order_stat_descends K 1 2 z ltac:(lia) ltac:(lia)) as z12.
  set (m := order_stat K z 1 - order_stat K z 2) in *.
  apply operand_error in Hb, Hn. apply Rabs_le_inv in Hb, Hn.
  (* the margin *)
  assert (B1 : Rabs (best - next) <= m + 2 * t) by (apply Rabs_le; unfold m; lra).
  pose proof (difference_error best next margin ltac:(unfold m in B1; lra) Dm) as E1.
  apply Rabs_le_inv in E1. pose proof (Rle_abs (best - next)) as A1.
  assert (U1 : u * Rabs (best - next) <= u * (m + 2 * t))
    by (apply Rmult_le_compat_l; [rewrite Hu|]; lra).
  assert (G1 : margin <= (1 + u) * m + 8 * t) by (rewrite Hu in *; lra).
  assert (G1' : - IZR (2 ^ 62) <= margin).
  { pose proof (Rle_abs (- (best - next))) as A2. rewrite Rabs_Ropp in A2.
    rewrite Hu in U1, E1. unfold m in *. lra. }
  (* the radius is positive, so everything before it is *)
  unfold Rmax in *. destruct (Rle_dec scaled' 0) as [N|N]; [lra|].
  pose proof (operand_positive _ _ Os Hr) as ->.
  destruct Ps as [sure' S' scaled Osu OS Rs]. destruct Ds as [margin' C' sure Om OC Rd].
  pose proof (operand_smaller _ _ _ OS) as S1. rewrite (Rabs_pos_eq S) in S1 by lra.
  assert (S0 : 0 <= S' <= S) by (destruct OS; lra).
  apply operand_error in Om, OC. apply Rabs_le_inv in Om, OC.
  set (P := margin' - C') in *.
  assert (PU : P <= (1 + u) * m - C + 10 * t) by (unfold P; lra).
  assert (mU : m <= IZR (2 ^ 62)) by (unfold m; lra).
  assert (Pb : Rabs P <= IZR (2 ^ 64)).
  { apply Rabs_le. split; [unfold P; lra|]. rewrite Hu in PU. lra. }
  assert (Psafe : Rabs P <= safe single) by (rewrite safe_single; lra).
  pose proof (rounds_error single P sure valid_single Psafe Rd) as E2.
  assert (E2' := E2). apply Rabs_le_inv in E2'.
  assert (sb : Rabs sure <= IZR (2 ^ 65)).
  { replace sure with ((sure - P) + P) by ring. eapply Rle_trans; [apply Rabs_triang|].
    rewrite Hu in E2. lra. }
  pose proof (operand_smaller _ _ _ Osu) as sb'.
  assert (pb : Rabs (sure' * S') <= safe single).
  { rewrite safe_single, Rabs_mult, (Rabs_pos_eq S') by lra.
    apply Rle_trans with (IZR (2 ^ 65) * IZR (2 ^ 24)); [|lra].
    apply Rmult_le_compat; try apply Rabs_pos; lra. }
  pose proof (rounds_positive single _ scaled valid_single pb Rs Hr) as Pp.
  assert (sp : 0 < sure').
  { destruct (Rlt_le_dec 0 sure') as [|Q]; [assumption|].
    assert (sure' * S' <= 0 * S') by (apply Rmult_le_compat_r; lra). lra. }
  pose proof (operand_positive _ _ Osu sp) as ->.
  pose proof (rounds_positive single _ sure valid_single Psafe Rd sp) as P0.
  rewrite (Rabs_pos_eq P) in E2' by lra.
  pose proof (rounds_error single _ scaled valid_single pb Rs) as E3. apply Rabs_le_inv in E3.
  rewrite (Rabs_pos_eq (sure * S')) in E3 by lra.
  (* the product with 2 L *)
  assert (sS : sure * S' <= ((1 + u) * P + t) * S) by (apply Rmult_le_compat; lra).
  assert (R1 : scaled <= (1 + u) * (((1 + u) * P + t) * S) + t).
  { assert (u * (sure * S') <= u * (((1 + u) * P + t) * S))
      by (apply Rmult_le_compat_l; [rewrite Hu|]; lra). lra. }
  assert (Q0 : 0 <= (1 + u) * ((1 + u) * P + t)).
  { apply Rmult_le_pos; [rewrite Hu; lra|]. assert (0 <= (1 + u) * P) by (apply Rmult_le_pos;
      [rewrite Hu|]; lra). lra. }
  assert (R2 : 2 * L * scaled <= (2 * L * S) * ((1 + u) * ((1 + u) * P + t)) + 2 * L * t).
  { replace ((2 * L * S) * ((1 + u) * ((1 + u) * P + t)) + 2 * L * t)
      with (2 * L * ((1 + u) * (((1 + u) * P + t) * S) + t)) by ring.
    apply Rmult_le_compat_l; lra. }
  assert (R3 : (2 * L * S) * ((1 + u) * ((1 + u) * P + t)) <=
               (1 - / IZR (2 ^ 22)) * ((1 + u) * ((1 + u) * P + t)))
    by (apply Rmult_le_compat_r; assumption).
  assert (R4 : (1 - / IZR (2 ^ 22)) * ((1 + u) * ((1 + u) * P + t)) <= P + t) by (rewrite Hu; lra).
  assert (R5 : 2 * L * t <= / IZR (2 ^ 90)).
  { apply Rle_trans with (2 * IZR (2 ^ 30) * / IZR (2 ^ 126)); [|lra].
    apply Rmult_le_compat; lra. }
  lra.
Qed.

(** ** The certificate of a margin file *)

Lemma margin_checked_true s slack scale : margin_checked s slack scale = true ->
  (2 <= units s)%nat /\
  grid (needed_slack s) <= value slack <= IZR (2 ^ 30) /\
  0 <= value scale <= IZR (2 ^ 24) /\
  grid (lipschitz s) <= IZR (2 ^ 30) /\
  (0 <= grid (lipschitz s) -> 2 * grid (lipschitz s) * value scale <= 1 - / IZR (2 ^ 22)).
Proof.
  unfold margin_checked. intros C. repeat (apply andb_prop in C; destruct C as [C ?C]).
  apply Z.leb_le in C0, C1, C2, C3, C4, C5. apply Nat.leb_le in C6.
  apply grid_le in C0, C1, C2, C3, C4, C5.
  pose proof (below_value slack). pose proof (above_value slack).
  pose proof (below_value scale). pose proof (above_value scale).
  rewrite grid_largest_value, grid_0 in *.
  assert (Hs : grid largest_scale = IZR (2 ^ 24)) by (unfold grid, largest_scale, unit_grid; lra).
  assert (Hl : grid scale_limit = 1 - / IZR (2 ^ 22)).
  { change scale_limit with (281474976710656 - 67108864)%Z. unfold grid, unit_grid.
    rewrite minus_IZR. lra. }
  rewrite Hs in *. rewrite Hl in *.
  split; [exact C6|]. split; [lra|]. split; [lra|]. split; [lra|]. intros L0.
  pose proof (mul_up_ge (2 * lipschitz s) (above scale)) as M. rewrite grid_mul in M.
  assert (2 * grid (lipschitz s) * value scale <= 2 * grid (lipschitz s) * grid (above scale))
    by (apply Rmult_le_compat_l; lra).
  lra.
Qed.

(** Two hosts, two inputs in the box: where the first computes a positive radius and the
    second input is within it, both say the same label. *)
Theorem margin_certificate N s slack scale :
  analyse N = Some s -> margin_checked s slack scale = true ->
  forall x x' y y' r l l',
  in_box (input N) x -> in_box (input N) x' ->
  computes N x y -> labels (classes N) y l ->
  margin_radius (classes N) (value slack) (value scale) y r ->
  computes N x' y' -> labels (classes N) y' l' ->
  0 < r -> in_ball (input N) r x x' ->
  l' = l.
Proof.
  intros A C x x' y y' r l l' Hx Hx' Hy Hl Hr Hy' Hl' Pr Hd.
  destruct (analyse_sound N s A) as (U & E0 & L0 & M & Cl & Lp).
  destruct (margin_checked_true s slack scale C) as (K2 & HC & HS & HL & HLS).
  rewrite U in K2. specialize (HLS L0).
  set (E := grid (error s)) in *. set (L := grid (lipschitz s)) in *.
  set (m := grid (magnitude (ranges s))) in *. set (K := classes N) in *.
  pose proof tiny_small as Ht. pose proof unit_single as Hu.
  assert (m0 : 0 <= m) by apply grid_nonneg, magnitude_nonneg.
  assert (Sl : 4 * E + u * (4 * (m + E)) + 2 * / IZR (2 ^ 48) <= value slack).
  { eapply Rle_trans; [|apply HC]. unfold needed_slack.
    assert (two : grid 2 = 2 * / IZR (2 ^ 48)) by (unfold grid, unit_grid; lra).
    rewrite !grid_plus, two, grid_mul.
    pose proof (mul_up_ge single_unit (4 * (magnitude (ranges s) + error s))) as G.
    rewrite grid_single_unit, grid_mul, grid_plus in G. fold E m in G |- *. lra. }
  assert (big : m + E <= IZR (2 ^ 60)) by (rewrite Hu in Sl; lra).
  assert (Hm : forall j, (j < K)%nat -> Rabs (y j) <= m + E).
  { intros j Hj. replace (y j) with (logits N x j + (y j - logits N x j)) by ring.
    eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat; [apply M|apply Cl]; assumption. }
  destruct (margin_radius_bound K (value slack) (value scale) L (m + E) y r) as (z & Hz & B);
    try assumption; try lra.
  { split; [|apply HC]. rewrite Hu in Sl. lra. }
  destruct (Nat.eq_dec l' l) as [|Hne]; [assumption|exfalso].
  pose proof (label_class _ _ _ Hl) as Kl. pose proof (label_class _ _ _ Hl') as Kl'.
  pose proof (label_ahead K y l z l' Hl Hz Kl' Hne) as Ah.
  pose proof (label_not_behind K y' l' l Hl' Kl) as Be.
  pose proof (Rabs_le_inv _ _ (Cl x y l Hx Hy Kl)).
  pose proof (Rabs_le_inv _ _ (Cl x y l' Hx Hy Kl')).
  pose proof (Rabs_le_inv _ _ (Cl x' y' l Hx' Hy' Kl)).
  pose proof (Rabs_le_inv _ _ (Cl x' y' l' Hx' Hy' Kl')).
  pose proof (Rabs_le_inv _ _ (Lp x x' r l ltac:(lra) Hd Kl)).
  pose proof (Rabs_le_inv _ _ (Lp x x' r l' ltac:(lra) Hd Kl')).
  assert (zm : order_stat K z 1 - order_stat K z 2 <= 2 * (m + E)).
  { assert (zb : forall k, (1 <= k <= K)%nat -> - (m + E) <= order_stat K z k <= m + E).
    { intros k Hk. apply order_stat_bounds; [exact Hk|]. intros i Hi. apply Rabs_le_inv.
      eapply Rle_trans; [apply (operand_smaller _ _ _ (Hz i Hi))|apply Hm, Hi]. }
    pose proof (zb 1%nat ltac:(lia)). pose proof (zb 2%nat ltac:(lia)). lra. }
  rewrite Hu in *. lra.
Qed.

(** [check_file] accepts only files whose certificates hold. *)
Theorem check_file_sound f slack scale :
  check_file f = true -> file_radius f = Margin slack scale ->
  let N := file_network f in
  forall x x' y y' r l l',
  in_box (input N) x -> in_box (input N) x' ->
  computes N x y -> labels (classes N) y l ->
  margin_radius (classes N) (value slack) (value scale) y r ->
  computes N x' y' -> labels (classes N) y' l' ->
  0 < r -> in_ball (input N) r x x' ->
  l' = l.
Proof.
  unfold check_file, analyse_file. intros C F. rewrite F in C.
  destruct (analyse (file_network f)) as [s|] eqn:A; [|discriminate].
  destruct (margin_checked s slack scale) eqn:M; [|discriminate].
  exact (margin_certificate _ s slack scale A M).
Qed.
