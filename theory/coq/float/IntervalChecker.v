(** * IntervalChecker: how far apart interval bounds must be, computed on the grid

    Beside the state of [Checker.v] two numbers: [gap], how far any host's value at a point of
    the ball may be outside the bounds that a host computed, and [spill], how far those may be
    outside the intervals of the exact values over the whole box. *)

From Coq Require Import ZArith List Bool.
From SortNet.float Require Import Network Grid Wire Checker.
Import ListNotations.
Open Scope Z_scope.

Definition largest_reach : Z := 340282366920938463463374607431768211456. (* 2^80 *)
Definition largest_eps : Z := Z.shiftl 1 169. (* 2^20, a multiple of 2^-149 *)

Record interval_state := IntervalState { inner : state; gap : Z; spill : Z }.

(** Intervals moved apart by w, a value known exactly. *)
Definition widened (s : state) (w : Z) : state :=
  State (map (fun r => (fst r - w, snd r + w)) (ranges s)) 0 (repeat unit_grid (units s)).

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
    | Affine _ _ | Signed _ _ | Pieces _ _ => None
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

(** The ball is inside the box; what small numbers that are taken for 0 move its ends is less
    than a step of the grid. *)
Definition ball_state (D : region) : option interval_state :=
  check region_checked D in Some (IntervalState (start D) 1 1).

(** Inputs may be large where they are normalized first. *)
Definition start_checked (D : region) (l : list op) : bool :=
  match l with
  | Normalize _ _ :: _ => true
  | _ => magnitude (ranges (start D)) <=? largest_value
  end.

(** eps s + 2^-24 max(|low|, |high|) <= reach, exactly; 0 where the unit is 0.  Numbers are
    multiples of 2^-298. *)
Definition reach_checked (eps low high s reach : Z) : bool :=
  finite reach && (0 <=? mantissa reach) && (above reach <=? largest_reach) &&
  (- largest_reach <=? below low) && (above high <=? largest_reach) &&
  if mantissa s =? 0 then mantissa reach =? 0
  else
    multiple eps * multiple s +
      Z.shiftl (Z.max (Z.abs (multiple low)) (Z.abs (multiple high))) 125 <=?
    Z.shiftl (multiple reach) 149.

Fixpoint reaches_checked (eps : Z) (lows highs units reaches : list Z) : bool :=
  match lows, highs, units, reaches with
  | l :: lows', h :: highs', s :: units', r :: reaches' =>
      reach_checked eps l h s r && reaches_checked eps lows' highs' units' reaches'
  | [], [], [], [] => true
  | _, _, _, _ => false
  end.

(** 0 < eps <= 2^20. *)
Definition ball_checked (D : region) (eps : Z) (reaches : list Z) : bool :=
  finite eps && (0 <? mantissa eps) && (multiple eps <=? largest_eps) &&
  reaches_checked eps (lows D) (highs D) (units_of D) reaches.

(** Room for the last subtraction or cast, and for underflow. *)
Definition with_room (needed slack : Z) : Z := needed + mul_up single_unit (above slack) + 2.

Definition slack_checked (needed slack : Z) : bool :=
  finite slack && (above slack <=? largest_value) && (with_room needed slack <=? below slack).

(** The largest sum of absolute terms of a row, for inputs within the ranges. *)
Definition half_operand : Z := 154742504910672534362390528. (* 2^39 *)

Definition affine_size (W : matrix) (b : list Z) (s : state) : option Z :=
  match collect (fun o => affine_unit_of (ranges s) (row W o) (nth o b 0)) (rows W) [] with
  | Some l =>
    let weight := fold_left (fun m r => Z.max m (unit_weight r)) l 0 in
    let bias := fold_left (fun m r => Z.max m (unit_bias r)) l 0 in
    let size := mul_up weight (magnitude (ranges s)) + bias in
    if (weight <=? half_operand) && (size <=? largest_operand) then Some size else None
  | None => None
  end.

(** How far apart the rows of a last affine operation must be: its own rounding at two points,
    and that of the differences. *)
Definition pairs_needed (W : matrix) (b : list Z) (d : Z) (s : interval_state) : option Z :=
  match moved s d with
  | None => None
  | Some m =>
    match step (Affine W b) (widened (inner m) (error (inner m))),
          step (Affine W b) (widened (inner m) (outside m)),
          affine_size W b (widened (inner m) (outside m)) with
    | Some x, Some _, Some size => Some (2 * error x + 2 * mul_up (affine_room (cols W)) size)
    | _, _, _ => None
    end
  end.

(** The chain without a last affine operation. *)
Fixpoint split_last (l : list op) : option (list op * matrix * list Z) :=
  match l with
  | [] => None
  | o :: l' =>
    match split_last l' with
    | Some (front, W, b) => Some (o :: front, W, b)
    | None => match o, l' with Affine W b, [] => Some ([], W, b) | _, _ => None end
    end
  end.

(** How far apart bounds must be: by this the verdict is sound. *)
Definition interval_needed (N : network) (ds : list Z) : option Z :=
  let* start := ball_state (input N) in
  check start_checked (input N) (ops N) in
  match split_last (ops N) with
  | None =>
    match interval_ops (ops N) ds start with
    | Some (s, []) => if (2 <=? units (inner s))%nat then Some (2 * gap s) else None
    | _ => None
    end
  | Some (front, W, b) =>
    match interval_ops front ds start with
    | Some (s, [d]) => if (2 <=? rows W)%nat then pairs_needed W b d s else None
    | _ => None
    end
  end.
