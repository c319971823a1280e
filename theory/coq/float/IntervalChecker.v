(** * IntervalChecker: how far apart interval bounds must be, computed on the grid

    Beside the state of [Checker.v] two numbers: [gap], how far any host's value at a point of
    the ball may be outside the bounds that a host computed, and [spill], how far those may be
    outside the intervals of the exact values over the whole box. *)

From Coq Require Import ZArith List Bool.
From SortNet.float Require Import Network Grid Checker.
Import ListNotations.
Open Scope Z_scope.

Record interval_state := IntervalState { inner : state; gap : Z; spill : Z }.

(** Intervals moved apart by w, a value known exactly. *)
Definition widened (s : state) (w : Z) : state :=
  State (map (fun r => (fst r - w, snd r + w)) (ranges s)) 0 unit_grid.

(** How far bounds may be from the intervals, on either side. *)
Definition outside (s : interval_state) : Z :=
  Z.max (spill s) (error (inner s) + gap s).

(** (k + 17) 2^-22: a kernel's bounds, and its coefficients. *)
Definition loose_unit : Z := 67108864.
Definition loose_room (k : nat) : Z := (Z.of_nat k + 17) * loose_unit.

Definition settled (s : interval_state) : option interval_state :=
  if (gap s <=? largest_value) && (spill s <=? largest_value) then Some s else None.

Definition interval_step (o : op) (s : interval_state) : option interval_state :=
  match step o (inner s) with
  | None => None
  | Some t =>
    match o with
    | Negate | Abs => settled (IntervalState t (gap s + 1) (spill s + 1))
    | SortNeuron _ _ k | SortConv _ _ _ k =>
      let m := magnitude (ranges t) in
      settled (IntervalState t (gap s + rounded (neuron_room k) (m + error (inner s)) + 1)
                 (spill s + rounded (loose_room k) (m + spill s) + 1))
    | Affine _ _ => None
    | _ =>
      match step o (widened (inner s) (error (inner s))),
            step o (widened (inner s) (outside s)) with
      | Some a, Some b =>
        settled (IntervalState t (mul_up (lipschitz a) (gap s) + error a + error b)
                   (mul_up (lipschitz a) (spill s) + error b))
      | _, _ => None
      end
    end
  end.

(** Bounds moved apart by d: they hold the value then, without a gap. *)
Definition moved (s : interval_state) (d : Z) : option interval_state :=
  let size := magnitude (ranges (inner s)) + outside s in
  let rounding := mul_up single_unit (size + above d) + 1 in
  if finite d && (0 <=? below d) && (above d <=? largest_value) &&
     (gap s + rounding <=? below d)
  then settled (IntervalState (inner s) 0 (spill s + above d + rounding))
  else None.

Definition affine_step (W : matrix) (b : list Z) (d : Z) (s : interval_state) :
    option interval_state :=
  match moved s d with
  | None => None
  | Some m =>
    match step (Affine W b) (inner m),
          step (Affine W b) (widened (inner m) (error (inner m))),
          step (Affine W b) (widened (inner m) (outside m)) with
    | Some t, Some x, Some y =>
      settled (IntervalState t (error x + error y) (mul_up (lipschitz x) (spill m) + error y))
    | _, _, _ => None
    end
  end.

(** The state at the end, and the widenings that are left. *)
Fixpoint interval_ops (l : list op) (ds : list Z) (s : interval_state) :
    option (interval_state * list Z) :=
  match l with
  | [] => Some (s, ds)
  | Affine W b :: l' =>
    match ds with
    | d :: ds' =>
      match affine_step W b d s with Some s' => interval_ops l' ds' s' | None => None end
    | [] => None
    end
  | o :: l' => match interval_step o s with Some s' => interval_ops l' ds s' | None => None end
  end.

(** The ball is inside the box; rounding of its ends is less than two steps of the grid. *)
Definition ball_state (n : nat) : interval_state := IntervalState (box n) 2 0.

(** eps + 2^-24 <= reach, and 2 gap < slack with room for the last subtraction. *)
Definition needed_interval_slack (s : interval_state) (slack : Z) : Z :=
  2 * gap s + mul_up single_unit slack + 2.

Definition interval_checked (s : interval_state) (eps reach slack : Z) : bool :=
  finite eps && finite reach && finite slack && (2 <=? units (inner s))%nat &&
  (0 <=? below eps) && (above eps + single_unit <=? below reach) &&
  (above reach <=? unit_grid) &&
  (above slack <=? largest_value) &&
  (needed_interval_slack s (above slack) <=? below slack).
