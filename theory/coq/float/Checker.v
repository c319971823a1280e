(** * Checker: what the weights imply, computed on the grid of 2^-48

    [analyse] walks the chain once and keeps, for the value so far: an interval of each unit's
    exact value over the box of the input, a bound on |computed - exact|, and how far each unit
    moves at most where every feature of the input moves by its unit.
    Nothing is believed that is not in the weights.  [CheckerSound.v] proves it. *)

From Coq Require Import ZArith List Bool.
From SortNet.float Require Import Network Grid.
Import ListNotations.
Open Scope Z_scope.

(** ** Constants, on the grid *)

(** 2^-24 and its multiples. *)
Definition single_unit : Z := 16777216.
(** 2^-22 + 2^-38, what a host's coefficient may be off. *)
Definition coefficient_room : Z := 67108864 + 1024.
(** 2^-19, the error of Tanh. *)
Definition tanh_room : Z := 536870912.
(** 3 * 2^-24 + 9 * 2^-48. *)
Definition normalize_room : Z := 50331657.
(** Values and errors together stay below 2^30. *)
Definition largest_value : Z := 302231454903657293676544. (* 2^78 *)
Definition least_std : Z := 1048576. (* 2^-28 *)
Definition largest_std : Z := 309485009821345068724781056. (* 2^40 *)
Definition longest_sum : Z := 1048575.
(** Selection and sorting insert into lists: longer ones would take too long. *)
Definition longest_selection : Z := 4096.
Definition longest_group : Z := 4096.
Definition largest_operand : Z := 309485009821345068724781056. (* 2^40 *)

(** ** The k largest of a stream *)

(** The largest so far, smallest first, and how many more are wanted before it is full. *)
Record top := Top { room : nat; kept : list Z }.

Fixpoint insert_up (a : Z) (l : list Z) : list Z :=
  match l with
  | [] => [a]
  | b :: l' => if a <=? b then a :: l else b :: insert_up a l'
  end.

Definition add_top (a : Z) (s : top) : top :=
  match room s with
  | S r => Top r (insert_up a (kept s))
  | O =>
    match kept s with
    | [] => s
    | b :: l => if a <=? b then s else Top O (insert_up a l)
    end
  end.

(** ** Sorted neurons *)

(** Distances of a unit in [l, h] to a weight in [w, v]: at least, at most. *)
Definition nearest_distance (l h w v : Z) : Z := Z.max 0 (Z.max (l - v) (w - h)).
Definition farthest_distance (l h w v : Z) : Z := Z.max (h - w) (v - l).

Fixpoint scan (ranges : list (Z * Z)) (row : list Z) (near far : top) : option (top * top) :=
  match ranges, row with
  | (l, h) :: ranges', b :: row' =>
    if finite b then
      let (w, v) := enclose b in
      scan ranges' row' (add_top (nearest_distance l h w v) near)
        (add_top (farthest_distance l h w v) far)
    else None
  | [], [] => Some (near, far)
  | _, _ => None
  end.

(** Bounds of rho^j, j < n, and of their sum. *)
Fixpoint powers_down (rho p : Z) (n : nat) : list Z :=
  match n with O => [] | S n' => p :: powers_down rho (mul_down p rho) n' end.

Fixpoint powers_up (rho p : Z) (n : nat) : list Z :=
  match n with O => [] | S n' => p :: powers_up rho (mul_up p rho) n' end.

Definition total (l : list Z) : Z := fold_right Z.add 0 l.

(** Bounds of the coefficients. *)
Definition coefficients_down (rho : Z) (k : nat) : list Z :=
  let s := total (powers_up (above rho) unit_grid k) in
  map (fun p => quotient_down p s) (powers_down (below rho) unit_grid k).

Definition coefficients_up (rho : Z) (k : nat) : list Z :=
  let s := total (powers_down (below rho) unit_grid k) in
  map (fun p => quotient_up p s) (powers_up (above rho) unit_grid k).

Fixpoint dot_down (c s : list Z) : Z :=
  match c, s with a :: c', b :: s' => mul_down a b + dot_down c' s' | _, _ => 0 end.

Fixpoint dot_up (c s : list Z) : Z :=
  match c, s with a :: c', b :: s' => mul_up a b + dot_up c' s' | _, _ => 0 end.

Definition neuron_range (ranges : list (Z * Z)) (lower upper : list Z) (k : nat) (row : list Z) :
    option (Z * Z) :=
  match scan ranges row (Top k []) (Top k []) with
  | Some (near, far) => Some (dot_down lower (rev (kept near)), dot_up upper (rev (kept far)))
  | None => None
  end.

(** All rows, or none; last row first. *)
Fixpoint collect {A : Type} (f : nat -> option A) (n : nat) (done : list A) : option (list A) :=
  match n with
  | O => Some done
  | S n' => match f n' with Some a => collect f n' (a :: done) | None => None end
  end.

(** ** Affine rows *)

(** Bounds of w x for w in [w, v] and x in [l, h]. *)
Definition term_down (l h w v : Z) : Z := Z.min (Z.min (w * l) (w * h)) (Z.min (v * l) (v * h)).
Definition term_up (l h w v : Z) : Z := Z.max (Z.max (w * l) (w * h)) (Z.max (v * l) (v * h)).

(** Sums at scale 2^-96, and the sum of the absolute weights at 2^-48. *)
Fixpoint affine_scan (ranges : list (Z * Z)) (row : list Z) (low high weight : Z) :
    option (Z * Z * Z) :=
  match ranges, row with
  | (l, h) :: ranges', b :: row' =>
    if finite b then
      let (w, v) := enclose b in
      affine_scan ranges' row' (low + term_down l h w v) (high + term_up l h w v)
        (weight + Z.max (Z.abs w) (Z.abs v))
    else None
  | [], [] => Some (low, high, weight)
  | _, _ => None
  end.

Record affine_unit := AffineUnit { unit_low : Z; unit_high : Z; unit_weight : Z; unit_bias : Z }.

Definition affine_unit_of (ranges : list (Z * Z)) (row : list Z) (b : Z) : option affine_unit :=
  match affine_scan ranges row 0 0 0 with
  | Some (low, high, weight) =>
    Some (AffineUnit (Z.shiftr low grid_bits + below b) (above b - Z.shiftr (- high) grid_bits)
            weight (Z.max (Z.abs (below b)) (Z.abs (above b))))
  | None => None
  end.

(** ** One operation *)

Record state := State { ranges : list (Z * Z); error : Z; moves : list Z }.

Definition largest_of (l : list Z) : Z := fold_left (fun m a => Z.max m a) l 0.

(** Of all units, per unit of the features. *)
Definition lipschitz (s : state) : Z := largest_of (moves s).

(** The largest |value| of an interval, and of all units. *)
Definition reach (r : Z * Z) : Z := Z.max (- fst r) (snd r).
Definition magnitude (l : list (Z * Z)) : Z := fold_left (fun m r => Z.max m (reach r)) l 0.

(** A relative error of [room] on the magnitude m, and one step of the grid for underflow. *)
Definition rounded (room m : Z) : Z := mul_up room m + 1.

(** Groups of s. *)
Fixpoint groups {A : Type} (fuel s : nat) (l : list A) : list (list A) :=
  match fuel, l with
  | S fuel', _ :: _ => firstn s l :: groups fuel' s (skipn s l)
  | _, _ => []
  end.

(** Units are looked up in groups of groups of 64, or each would be a long walk. *)
Definition lookup_group : nat := 64.

Definition shelves {A : Type} (l : list A) : list (list (list A)) :=
  let rows := groups (length l) lookup_group l in groups (length rows) lookup_group rows.

Definition look_up {A : Type} (d : A) (table : list (list (list A))) (i : nat) : A :=
  let r := (i / lookup_group)%nat in
  nth (i mod lookup_group) (nth (r mod lookup_group) (nth (r / lookup_group) table []) []) d.

Definition join (a b : Z * Z) : Z * Z := (Z.min (fst a) (fst b), Z.max (snd a) (snd b)).

Definition map2 {A B C : Type} (f : A -> B -> C) : list A -> list B -> list C :=
  fix go a b := match a, b with x :: a', y :: b' => f x y :: go a' b' | _, _ => [] end.

(** For each entry of a patch an interval that holds in every patch; entries past the last
    unit are 0. *)
Definition hulls (patches : list (list nat)) (l : list (Z * Z)) : list (Z * Z) :=
  let table := shelves l in
  match patches with
  | [] => []
  | p :: ps =>
    fold_left (fun h q => map2 (fun r i => join r (look_up (0, 0) table i)) h q) ps
      (map (look_up (0, 0) table) p)
  end.

(** The largest move in each patch; the zero after the last unit does not move. *)
Definition patch_moves (patches : list (list nat)) (l : list Z) : list Z :=
  let table := shelves l in
  map (fun p => largest_of (map (look_up 0 table) p)) patches.

(** A group from the largest to the smallest. *)
Definition sort_down (l : list Z) : list Z := rev (fold_left (fun s a => insert_up a s) l []).

Definition neuron_room (k : nat) : Z :=
  let n := Z.of_nat k + 1 in
  mul_up (unit_grid + n * single_unit + n * n) (unit_grid + coefficient_room) - unit_grid.

Definition affine_room (n : nat) : Z := (Z.of_nat n + 1) / 32 + 2.

Definition checked (s : state) : option state :=
  if (magnitude (ranges s) + error s <=? largest_value) then Some s else None.

Definition units (s : state) : nat := length (ranges s).

(** Rows of sorted neurons over the given ranges. *)
Definition neurons (inputs : list (Z * Z)) (W : matrix) (rho : Z) (k : nat) :
    option (list (Z * Z)) :=
  if finite rho && (0 <=? below rho) && (above rho <=? unit_grid) &&
     (1 <=? k)%nat && (k <=? cols W)%nat && (Z.of_nat k <=? longest_selection) &&
     (length inputs =? cols W)%nat
  then
    let lower := coefficients_down rho k in
    let upper := coefficients_up rho k in
    collect (fun o => neuron_range inputs lower upper k (row W o)) (rows W) []
  else None.

Definition repeat_each (p : nat) (l : list (Z * Z)) : list (Z * Z) :=
  concat (map (fun r => repeat r p) l).

(** The whole list n times. *)
Definition repeat_all (n : nat) (l : list Z) : list Z := concat (repeat l n).

(** Each of a group moves as its largest does. *)
Definition group_moves (g : nat) (l : list Z) : list Z :=
  concat (map (fun m => repeat (largest_of m) (length m)) (groups (length l) g l)).

(** A sum of |w_j| moves_j, at scale 2^-96. *)
Fixpoint weighted (l row : list Z) (sum : Z) : Z :=
  match l, row with
  | m :: l', b :: row' =>
    let (w, v) := enclose b in weighted l' row' (sum + Z.max (Z.abs w) (Z.abs v) * m)
  | _, _ => sum
  end.

Definition row_moves (l row : list Z) : Z := - Z.shiftr (- weighted l row 0) grid_bits.

(** Bounds of (x - mean) / std, and whether that is well away from overflow. *)
Definition std_checked (std : Z) : bool :=
  finite std && (least_std <=? below std) && (above std <=? largest_std).

Definition normalized (r : Z * Z) (c : Z * Z) : Z * Z :=
  let (mean, std) := c in
  let down a := if 0 <=? a then quotient_down a (above std) else quotient_down a (below std) in
  (down (fst r - above mean), - down (below mean - snd r)).

(** Bounds of e^(-y) for y >= 0, from 1 - y/m <= e^(-y/m) and 1 + y/m <= e^(y/m) with
    m = 2^16, by 16 squarings. *)
Definition exp_steps : nat := 16.
Definition exp_parts : Z := 65536.

Fixpoint squares_down (n : nat) (z : Z) : Z :=
  match n with O => z | S n' => squares_down n' (mul_down z z) end.

Definition exp_minus_down (y : Z) : Z :=
  squares_down exp_steps (Z.max 0 (unit_grid - ceil_div y exp_parts)).

Definition exp_minus_up (y : Z) : Z :=
  quotient_up unit_grid (squares_down exp_steps (unit_grid + floor_div y exp_parts)).

(** tanh x = (1 - e^(-2x)) / (1 + e^(-2x)), for x >= 0. *)
Definition tanh_up_positive (x : Z) : Z :=
  let e := exp_minus_down (2 * x) in Z.min unit_grid (quotient_up (unit_grid - e) (unit_grid + e)).

Definition tanh_down_moderate (x : Z) : Z :=
  let e := exp_minus_up (2 * x) in Z.max 0 (quotient_down (unit_grid - e) (unit_grid + e)).

(** Beyond 32 nothing is gained, and powers would be long. *)
Definition tanh_cap : Z := 9007199254740992. (* 32 *)
Definition tanh_down_positive (x : Z) : Z := tanh_down_moderate (Z.min x tanh_cap).

Definition tanh_up (x : Z) : Z := if 0 <=? x then tanh_up_positive x
  else - tanh_down_positive (- x).
Definition tanh_down (x : Z) : Z := if 0 <=? x then tanh_down_positive x
  else - tanh_up_positive (- x).

(** The k-th largest of a list of k numbers or more. *)
Definition kth (k : nat) (l : list Z) : Z :=
  nth (k - 1) (rev (kept (fold_left (fun s a => add_top a s) l (Top k [])))) 0.

Definition rank_ranges (patches : list (list nat)) (k : nat) (l : list (Z * Z)) : list (Z * Z) :=
  let table := shelves l in
  map (fun p => let r := map (look_up (0, 0) table) p in (kth k (map fst r), kth k (map snd r)))
    patches.

(** *** Order statistics with coefficients of any sign *)

(** Bounds, the sum of the absolute coefficients, and the largest distance. *)
Record signed_unit := SignedUnit { signed_low : Z; signed_high : Z; signed_weight : Z;
  signed_far : Z }.

Definition signed_unit_of (ranges : list (Z * Z)) (row coefficients : list Z) (k : nat) :
    option signed_unit :=
  match scan ranges row (Top k []) (Top k []) with
  | Some (near, far) =>
    let distances := combine (rev (kept near)) (rev (kept far)) in
    match affine_scan distances coefficients 0 0 0 with
    | Some (low, high, weight) =>
      Some (SignedUnit (Z.shiftr low grid_bits) (- Z.shiftr (- high) grid_bits) weight
              (snd (nth 0 distances (0, 0))))
    | None => None
    end
  | None => None
  end.

(** *** Piecewise-linear functions *)

(** Bounds of a part for values in an interval. *)
Definition part_bounds (low high origin : Z) (r : Z * Z) : Z * Z :=
  (Z.min (Z.max (fst r) (below low)) (below high) - above origin,
   Z.min (Z.max (snd r) (above low)) (above high) - below origin).

Fixpoint parts_bounds (ends : list Z) (r : Z * Z) : list (Z * Z) :=
  match ends with
  | low :: (high :: _) as rest => part_bounds low high low r :: parts_bounds rest r
  | _ => []
  end.

(** The first piece counts from its upper end. *)
Definition all_parts (knots : list Z) (r : Z * Z) : list (Z * Z) :=
  match knots with
  | [] => []
  | t :: _ => part_bounds minus_infinite t t r :: parts_bounds (knots ++ [infinite]) r
  end.

Definition join_option (a b : option (Z * Z)) : option (Z * Z) :=
  match a, b with Some a, Some b => Some (join a b) | _, _ => None end.

Definition pieces_at (knots row : list Z) (r : Z * Z) : option (Z * Z) :=
  match affine_scan (all_parts knots r) row 0 0 0 with
  | Some (low, high, _) => Some (Z.shiftr low grid_bits, - Z.shiftr (- high) grid_bits)
  | None => None
  end.

(** The extremes are at the ends of the interval or at knots inside. *)
Definition clip (l h z : Z) : Z := Z.max l (Z.min z h).

Definition pieces_range (knots row : list Z) (r : Z * Z) : option (Z * Z) :=
  let (l, h) := r in
  fold_left (fun a k => join_option a (pieces_at knots row (clip l h (below k), clip l h (above k))))
    knots (join_option (pieces_at knots row (l, l)) (pieces_at knots row (h, h))).

(** The largest slope. *)
Definition steepest (row : list Z) : Z :=
  largest_of (map (fun b => Z.max (Z.abs (below b)) (Z.abs (above b))) row).

Fixpoint ascending_by (l : list Z) : bool :=
  match l with
  | a :: (b :: _) as rest => (multiple a <? multiple b) && ascending_by rest
  | _ => true
  end.

Definition signed_room (k : nat) : Z := let n := Z.of_nat k + 1 in n * single_unit + n * n.

Definition step (o : op) (s : state) : option state :=
  let e := error s in
  let after l room m := State l (e + rounded room (magnitude l + e)) m in
  match o with
  | Normalize mean std =>
    if forallb finite mean && forallb std_checked std && (length mean =? units s)%nat &&
       (length std =? units s)%nat
    then
      let factor := largest_of (map (fun d => quotient_up unit_grid (below d)) std) in
      let l := map2 normalized (ranges s) (combine mean std) in
      let e' := mul_up factor e in
      checked (State l (e' + rounded normalize_room (magnitude l + e'))
                 (map2 (fun m d => quotient_up m (below d)) (moves s) std))
    else None
  | Flatten => Some s
  | SortNeuron W rho k =>
    match neurons (ranges s) W rho k with
    | Some l => checked (after l (neuron_room k) (repeat (lipschitz s) (rows W)))
    | None => None
    end
  | SortConv patches W rho k =>
    let n := units s in (* counted once *)
    if forallb (fun p => (length p =? cols W)%nat && forallb (fun i => (i <=? n)%nat) p)
      patches
    then
      match neurons (hulls patches (ranges s)) W rho k with
      | Some l =>
        checked (after (repeat_each (length patches) l) (neuron_room k)
                   (repeat_all (rows W) (patch_moves patches (moves s))))
      | None => None
      end
    else None
  | Shift c =>
    if forallb finite c && (length c =? units s)%nat then
      checked (after (map2 (fun r b => (fst r - above b, snd r -
        below b)) (ranges s) c) single_unit (moves s))
    else None
  | Bias c =>
    if forallb finite c && (length c =? units s)%nat then
      checked (after (map2 (fun r b => (fst r + below b, snd r +
        above b)) (ranges s) c) single_unit (moves s))
    else None
  | Negate => checked (after (map (fun r => (- snd r, - fst r)) (ranges s)) 0 (moves s))
  | Affine W b =>
    if forallb finite b && (length b =? rows W)%nat && (units s =? cols W)%nat &&
       (Z.of_nat (cols W) <? longest_sum) then
      match collect (fun o => affine_unit_of (ranges s) (row W o) (nth o b 0)) (rows W) [] with
      | Some l =>
        let weight := fold_left (fun m r => Z.max m (unit_weight r)) l 0 in
        let bias := fold_left (fun m r => Z.max m (unit_bias r)) l 0 in
        let inputs := magnitude (ranges s) + e in
        let size := mul_up weight inputs + bias in
        if (inputs <=? largest_operand) && (size <=? largest_operand) && (weight <=?
          largest_operand) && (bias <=? largest_operand)
        then
          let out := map (fun r => (unit_low r, unit_high r)) l in
          let e' := mul_up weight e + mul_up (affine_room (cols W)) size in
          checked (State out (e' + rounded single_unit (magnitude out + e'))
                     (map (fun o => row_moves (moves s) (row W o)) (seq 0 (rows W))))
        else None
      | None => None
      end
    else None
  | GroupSort g =>
    if negb (Z.of_nat g <=? longest_group) then None else
    if (1 <=? g)%nat && (units s mod g =? 0)%nat then
      let sorted l := concat (map sort_down (groups (units s) g l)) in
      checked (after (combine (sorted (map fst (ranges s))) (sorted (map snd (ranges s)))) 0
                 (group_moves g (moves s)))
    else None
  | Relu => checked (after (map (fun r => (Z.max (fst r) 0, Z.max (snd r) 0)) (ranges s)) 0 (moves s))
  | Abs =>
    checked (after (map (fun r => (Z.max 0 (Z.max (fst r) (- snd r)), Z.max (- fst r) (snd r)))
                      (ranges s)) 0 (moves s))
  | Tanh =>
    let l := map (fun r => (tanh_down (fst r), tanh_up (snd r))) (ranges s) in
    checked (State l (e + tanh_room + 1) (moves s))
  | Rank patches k =>
    let n := units s in (* counted once *)
    if forallb (fun p => (k <=? length p)%nat && forallb (fun i => (i <=? n)%nat) p)
         patches && (1 <=? k)%nat && (Z.of_nat k <=? longest_selection)
    then checked (after (rank_ranges patches k (ranges s)) 0 (patch_moves patches (moves s)))
    else None
  | Signed W C =>
    let k := cols C in
    if (1 <=? k)%nat && (k <=? cols W)%nat && (Z.of_nat k <=? longest_selection) &&
       (rows C =? rows W)%nat && (units s =? cols W)%nat
    then
      match collect (fun o => signed_unit_of (ranges s) (row W o) (row C o) k) (rows W) [] with
      | Some l =>
        let weight := fold_left (fun m r => Z.max m (signed_weight r)) l 0 in
        let far := fold_left (fun m r => Z.max m (signed_far r)) l 0 + e in
        if (weight <=? largest_operand) && (far <=? largest_operand) then
          checked (State (map (fun r => (signed_low r, signed_high r)) l)
                     (mul_up weight e + rounded (signed_room k) (mul_up weight far))
                     (map (fun r => mul_up (signed_weight r) (lipschitz s)) l))
        else None
      | None => None
      end
    else None
  | Pieces knots slopes =>
    let k := length knots in
    let table := shelves (ranges s) in
    if (1 <=? k)%nat && (Z.of_nat k <=? longest_selection) && ascending_by (piece_ends knots) &&
       (cols slopes =? k + 1)%nat && (rows slopes =? units s)%nat &&
       forallb (fun o => (length (row slopes o) =? k + 1)%nat) (seq 0 (rows slopes)) &&
       (magnitude (ranges s) <=? largest_value)
    then
      match collect (fun o => pieces_range knots (row slopes o) (look_up (0, 0) table o))
              (rows slopes) [] with
      | Some l =>
        let slope := map (fun o => steepest (row slopes o)) (seq 0 (rows slopes)) in
        let weight := largest_of slope in
        let first := nth 0 knots 0 in
        let far := magnitude (ranges s) + Z.max (Z.abs (below first)) (Z.abs (above first)) + e in
        if (weight <=? largest_operand) && (far <=? largest_operand) then
          checked (State l (mul_up weight e + rounded (signed_room (k + 1)) (mul_up weight far))
                     (map2 mul_up slope (moves s)))
        else None
      | None => None
      end
    else None
  end.

Fixpoint analyse_ops (l : list op) (s : state) : option state :=
  match l with
  | [] => Some s
  | o :: l' => match step o s with Some s' => analyse_ops l' s' | None => None end
  end.

(** A finite box that is not empty; units at least 0, and above 0 for some feature. *)
Definition region_checked (D : region) : bool :=
  forallb finite (lows D) && forallb finite (highs D) && forallb finite (units_of D) &&
  (length (highs D) =? length (lows D))%nat && (length (units_of D) =? length (lows D))%nat &&
  forallb (fun c => multiple (fst c) <=? multiple (snd c)) (combine (lows D) (highs D)) &&
  forallb (fun b => 0 <=? mantissa b) (units_of D) &&
  existsb (fun b => 0 <? mantissa b) (units_of D).

Definition start (D : region) : state :=
  State (map2 (fun l h => (below l, above h)) (lows D) (highs D)) 0 (map above (units_of D)).

Definition analyse (N : network) : option state :=
  if region_checked (input N) then analyse_ops (ops N) (start (input N)) else None.

(** ** The margin *)

(** What must be taken off a margin: 4 E, and the roundings of the last operations. *)
Definition needed_slack (s : state) : Z :=
  let m := magnitude (ranges s) + error s in
  4 * error s + mul_up single_unit (4 * m) + 2.

(** 2 L scale must be at most 1 - 2^-22. *)
Definition scale_limit : Z := unit_grid - 67108864.
Definition largest_scale : Z := 4722366482869645213696. (* 2^24 *)

Definition margin_checked (s : state) (slack scale : Z) : bool :=
  finite slack && finite scale &&
  (2 <=? units s)%nat &&
  (needed_slack s <=? below slack) && (above slack <=? largest_value) &&
  (0 <=? below scale) && (above scale <=? largest_scale) &&
  (lipschitz s <=? largest_value) &&
  (mul_up (2 * lipschitz s) (above scale) <=? scale_limit).

(** What the driver shows; on the grid. *)
Record report := Report {
  report_lipschitz : Z; report_error : Z; report_slack : Z; report_given_slack : Z;
  report_given_scale : Z }.

Definition analyse_file (f : file) : option report :=
  match file_radius f with
  | Margin slack scale =>
    match analyse (file_network f) with
    | Some s =>
      if margin_checked s slack scale then
        Some (Report (lipschitz s) (error s) (needed_slack s) (below slack) (above scale))
      else None
    | None => None
    end
  | Interval _ _ _ _ => None
  end.

Definition check_file (f : file) : bool :=
  match analyse_file f with Some _ => true | None => false end.
