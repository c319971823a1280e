(** * Margin: label, box and margin radius *)

From Coq Require Import ZArith List Bool String.
From SortNet.float Require Import Graph Wire Forms.
Import ListNotations.
Local Open Scope string_scope.
Local Open Scope list_scope.

Definition label : node :=
  Node "ArgMax" "" [("axis", Int 1); ("keepdims", Int 0); ("select_last_index", Int 0)]
    ["logits"] ["label"].

(** 1 for the samples whose pixels are all in [0, 1]. *)
Record box := Box { zero : string; one : string; axes : string;
  above : string; below : string; both : string; number : string; least : string;
  inside : string }.

Definition box_form (n : box) : list node :=
  [plain "GreaterOrEqual" ["input"; zero n] (above n);
   plain "LessOrEqual" ["input"; one n] (below n);
   plain "And" [above n; below n] (both n);
   cast 1 (both n) (number n);
   Node "ReduceMin" "" [("keepdims", Int 0)] [number n; axes n] [least n];
   plain "Greater" [least n; zero n] (inside n)].

(** 1065353216 is the bit pattern of 1. *)
Definition box_constants (g : graph) (n : box) : bool :=
  (is_constant g (zero n) Float [] [0] && is_constant g (one n) Float [] [1065353216] &&
   is_constant g (axes n) Int64 [3] [1; 2; 3])%Z.

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

Definition margin_constants (g : graph) (n : margin) : bool :=
  (is_constant g (two n) Int64 [1] [2] && is_constant g (first n) Int64 [] [0] &&
   is_constant g (second n) Int64 [] [1] && box_constants g (margin_box n))%Z.
