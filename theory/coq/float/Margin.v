(** * Margin: label, box and margin radius *)

From Coq Require Import ZArith List Bool String.
From SortNet.float Require Import Network Graph Wire Forms.
Import ListNotations.
Local Open Scope string_scope.
Local Open Scope list_scope.

Definition label : node :=
  Node "ArgMax" "" [("axis", Int 1); ("keepdims", Int 0); ("select_last_index", Int 0)]
    ["logits"] ["label"].

(** *** Inputs *)

(** Images in [0, 1]; or features, with a box and a constant of their units, which is an output
    of the file. *)
Inductive input_kind := Pixels | Features (unit : string).

Definition unit_form (k : input_kind) : list node :=
  match k with
  | Pixels => []
  | Features c => [plain "Identity" [c] "unit"]
  end.

(** 1 for the samples whose features are all in the box. *)
Record box := Box { box_low : string; box_high : string; axes : string; zero : string;
  above : string; below : string; both : string; number : string; least : string;
  inside : string }.

Definition box_form (n : box) : list node :=
  [plain "GreaterOrEqual" ["input"; box_low n] (above n);
   plain "LessOrEqual" ["input"; box_high n] (below n);
   plain "And" [above n; below n] (both n);
   cast 1 (both n) (number n);
   Node "ReduceMin" "" [("keepdims", Int 0)] [number n; axes n] [least n];
   plain "Greater" [least n; zero n] (inside n)].

(** All axes but that of the samples. *)
Definition box_constants (g : graph) (start : shape) (n : box) : bool :=
  let rank := List.length (dims_in start) in
  (is_constant g (zero n) Float [] [0] &&
   is_constant g (axes n) Int64 [Z.of_nat rank] (map Z.of_nat (seq 1 rank)))%Z.

(** The box and the units that the constants of a file are. *)
Definition region_of (g : graph) (start : shape) (k : input_kind) (n : box) : option region :=
  match k with
  | Pixels =>
      check (List.length (dims_in start) =? 3)%nat in
      check is_constant g (box_low n) Float [] [0%Z] &&
            is_constant g (box_high n) Float [] [one_pattern] in
      Some (pixels (Z.to_nat (units start)))
  | Features unit =>
      let* lows := array_at g start (box_low n) in
      let* highs := array_at g start (box_high n) in
      let* units := array_at g start unit in
      Some (Region lows highs units)
  end.

(** radius = max(0, (top1 - top2 - slack) scale) inside the box, else 0. *)
Record margin := Margins { two : string; first : string; second : string;
  slack : string; scale : string;
  top : string; places : string; best : string; next : string; difference : string;
  sure : string; scaled : string; positive : string; margin_box : box }.

Definition margin_form (n : margin) : list node :=
  [Node "TopK" "" [("axis", Int 1); ("largest", Int 1); ("sorted", Int 1)]
     ["logits"; two n] [top n; places n];
   Node "Gather" "" [("axis", Int 1)] [top n; first n] [best n];
   Node "Gather" "" [("axis", Int 1)] [top n; second n] [next n];
   plain "Sub" [best n; next n] (difference n);
   plain "Sub" [difference n; slack n] (sure n);
   plain "Mul" [sure n; scale n] (scaled n);
   plain "Max" [scaled n; zero (margin_box n)] (positive n)] ++
  box_form (margin_box n) ++
  [plain "Where" [inside (margin_box n); positive n; zero (margin_box n)] "radius"].

Definition margin_constants (g : graph) (start : shape) (n : margin) : bool :=
  (is_constant g (two n) Int64 [1] [2] && is_constant g (first n) Int64 [] [0] &&
   is_constant g (second n) Int64 [] [1] && box_constants g start (margin_box n))%Z.
