(** * The units of distance nets have slopes -1, 0 and 1 along the axes *)

From Coq Require Import Reals Lra Lia Arith.
From SortNet Require Import Definitions Statements Sums.
Open Scope R_scope.

(** u is affine on [a, b], with slope -1, 0 or 1. *)
Definition straight (a b : R) (u : R -> R) : Prop :=
  exists c v, (c = -1 \/ c = 0 \/ c = 1) /\ forall t, a <= t <= b -> u t = c * t + v.

(** P holds on some segment within [a, b]. *)
Definition somewhere (a b : R) (P : R -> R -> Prop) : Prop :=
  exists a' b', a <= a' /\ a' < b' /\ b' <= b /\ P a' b'.

Lemma somewhere_trans a b (P Q : R -> R -> Prop) : somewhere a b P ->
  (forall a' b', a <= a' -> a' < b' -> b' <= b -> P a' b' -> somewhere a' b' Q) ->
  somewhere a b Q.
Proof.
  intros (a1 & b1 & Ha & Hab & Hb & HP) H.
  destruct (H a1 b1 Ha Hab Hb HP) as (a2 & b2 & Ha2 & Hab2 & Hb2 & HQ).
  exists a2, b2. repeat split; try assumption; lra.
Qed.

Lemma straight_within a b a' b' u : straight a b u -> a <= a' -> b' <= b -> straight a' b' u.
Proof.
  intros (c & v & Hc & H) Ha Hb. exists c, v. split; [exact Hc|]. intros t Ht. apply H. lra.
Qed.

Lemma straight_ext a b u w : straight a b u -> (forall t, a <= t <= b -> w t = u t) ->
  straight a b w.
Proof.
  intros (c & v & Hc & H) E. exists c, v. split; [exact Hc|].
  intros t Ht. rewrite (E t Ht). apply H, Ht.
Qed.

Lemma straight_const a b r : straight a b (fun _ => r).
Proof. exists 0, r. split; [auto|]. intros t _. ring. Qed.

Lemma straight_plus a b u r : straight a b u -> straight a b (fun t => u t + r).
Proof.
  intros (c & v & Hc & H). exists c, (v + r). split; [exact Hc|].
  intros t Ht. rewrite (H t Ht). ring.
Qed.

Lemma straight_opp a b u : straight a b u -> straight a b (fun t => - u t).
Proof.
  intros (c & v & Hc & H). exists (- c), (- v). split; [lra|].
  intros t Ht. rewrite (H t Ht). ring.
Qed.

(** One of two straight units is the larger on one of the halves. *)
Lemma straight_max a b u w : a < b -> straight a b u -> straight a b w ->
  somewhere a b (fun a' b' => straight a' b' (fun t => Rmax (u t) (w t))).
Proof.
  intros Hab Hu Hw.
  assert (G : forall u w c v c' v', a < b ->
    (forall t, a <= t <= b -> u t = c * t + v) -> (forall t, a <= t <= b -> w t = c' * t + v') ->
    w ((a + b) / 2) <= u ((a + b) / 2) ->
    somewhere a b (fun a' b' => forall t, a' <= t <= b' -> w t <= u t)).
  { clear. intros u w c v c' v' Hab Hu Hw H.
    assert (E : forall t, a <= t <= b -> u t - w t = (c - c') * t + (v - v'))
      by (intros t Ht; rewrite (Hu t Ht), (Hw t Ht); ring).
    pose proof (E ((a + b) / 2) ltac:(lra)) as Em.
    destruct (Rle_or_lt 0 (c - c')) as [L|L].
    - exists ((a + b) / 2), b. repeat split; try lra. intros t Ht.
      pose proof (E t ltac:(lra)). nra.
    - exists a, ((a + b) / 2). repeat split; try lra. intros t Ht.
      pose proof (E t ltac:(lra)). nra. }
  destruct Hu as (c & v & Hc & Eu), Hw as (c' & v' & Hc' & Ew).
  destruct (Rle_or_lt (w ((a + b) / 2)) (u ((a + b) / 2))) as [L|L].
  - destruct (G u w c v c' v' Hab Eu Ew L) as (a' & b' & Ha & Hab' & Hb & H).
    exists a', b'. repeat split; try assumption. exists c, v. split; [exact Hc|].
    intros t Ht. rewrite Rmax_left by (apply H, Ht). apply Eu. lra.
  - destruct (G w u c' v' c v Hab Ew Eu ltac:(lra)) as (a' & b' & Ha & Hab' & Hb & H).
    exists a', b'. repeat split; try assumption. exists c', v'. split; [exact Hc'|].
    intros t Ht. rewrite Rmax_right by (apply H, Ht). apply Ew. lra.
Qed.

Lemma straight_abs a b u : a < b -> straight a b u ->
  somewhere a b (fun a' b' => straight a' b' (fun t => Rabs (u t))).
Proof.
  intros Hab Hu.
  destruct (straight_max a b u (fun t => - u t) Hab Hu (straight_opp a b u Hu))
    as (a' & b' & Ha & Hab' & Hb & H).
  exists a', b'. repeat split; try assumption. apply (straight_ext a' b' _ _ H).
  intros t _. unfold Rmax, Rabs. destruct (Rle_dec (u t) (- u t)), (Rcase_abs (u t)); lra.
Qed.

Lemma straight_norm n a b (u : R -> vec) : a < b ->
  (forall j, (j < n)%nat -> straight a b (fun t => u t j)) ->
  somewhere a b (fun a' b' => straight a' b' (fun t => norm n (u t))).
Proof.
  intros Hab. induction n as [|n IH]; intros H.
  - exists a, b. repeat split; try lra. apply (straight_const a b 0).
  - simpl. apply (somewhere_trans a b _ _ (IH (fun j Hj => H j (Nat.lt_lt_succ_r _ _ Hj)))).
    intros a1 b1 Ha1 Hab1 Hb1 H1.
    assert (Hn : straight a1 b1 (fun t => u t n))
      by (apply (straight_within a b); auto; apply H; lia).
    apply (somewhere_trans a1 b1 _ _ (straight_abs a1 b1 _ Hab1 Hn)).
    intros a2 b2 Ha2 Hab2 Hb2 H2. apply straight_max; [exact Hab2| |exact H2].
    apply (straight_within a1 b1); assumption.
Qed.

Lemma straight_distances n m a b (u : R -> vec) (W : nat -> vec) (s : vec) : a < b ->
  (forall j, (j < n)%nat -> straight a b (fun t => u t j)) ->
  somewhere a b (fun a' b' =>
    forall i, (i < m)%nat -> straight a' b' (fun t => dist n (u t) (W i) + s i)).
Proof.
  intros Hab H. induction m as [|m IH].
  - exists a, b. repeat split; try lra. lia.
  - apply (somewhere_trans a b _ _ IH). intros a1 b1 Ha1 Hab1 Hb1 H1.
    destruct (straight_norm n a1 b1 (fun t j => u t j - W m j) Hab1)
      as (a2 & b2 & Ha2 & Hab2 & Hb2 & H2).
    { intros j Hj. apply straight_plus. apply (straight_within a b); auto. }
    exists a2, b2. repeat split; try assumption. intros i Hi.
    destruct (Nat.eq_dec i m) as [->|Hne].
    + apply straight_plus. exact H2.
    + apply (straight_within a1 b1); auto. apply H1. lia.
Qed.

Lemma net_straight d m (N : network d m) : distance_net N -> forall x k a b, a < b ->
  somewhere a b (fun a' b' =>
    forall i, (i < m)%nat -> straight a' b' (fun t => eval N (along x k t) i)).
Proof.
  intros HN x k a b Hab. induction N as [|n m N IH l].
  - exists a, b. repeat split; try lra. intros i _. simpl. unfold along.
    destruct (i =? k)%nat; [|apply (straight_const a b (x i))].
    exists 1, (x i). split; [auto|]. intros t _. ring.
  - destruct HN as [HN Hl]. apply (somewhere_trans a b _ _ (IH HN)).
    intros a1 b1 Ha1 Hab1 Hb1 H1.
    destruct l as [n m W s|n sigma|n c|G q|n m W s|n m w s]; try contradiction; simpl.
    + exists a1, b1. repeat split; try lra. intros i Hi. apply straight_plus, H1, Hi.
    + apply straight_distances; assumption.
Qed.

Theorem distance_slopes : distance_slopes_statement.
Proof. exact net_straight. Qed.

Theorem distance_not_mean : distance_not_mean_statement.
Proof.
  intros d N Hd HN.
  destruct (net_straight d 1 N HN (fun _ => 0) 0 0 1) as (a & b & Ha & Hab & Hb & H); [lra|].
  destruct (H 0%nat) as (c & v & Hc & E); [lia|].
  assert (cube : forall t, a <= t <= b -> in_cube d (along (fun _ => 0) 0 t)).
  { intros t Ht j _. unfold along. destruct (j =? 0)%nat; lra. }
  pose proof (E a ltac:(lra)) as Ea. pose proof (E b ltac:(lra)) as Eb. cbv beta in Ea, Eb.
  destruct (Req_dec (c * a + v) (a / 2)) as [A|A].
  - exists (along (fun _ => 0) 0 b). split; [apply cube; lra|]. rewrite Eb. unfold along. simpl.
    intros B. destruct Hc as [-> |[-> | ->]]; lra.
  - exists (along (fun _ => 0) 0 a). split; [apply cube; lra|]. rewrite Ea. unfold along. simpl.
    lra.
Qed.
