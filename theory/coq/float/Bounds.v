(** * Bounds: the nodes of an interval certificate

    A file of this kind carries the chain once more, on lower and upper bounds over the ball
    around the input.  The nodes follow from the steps of the chain, so that the bounds
    cannot be those of another network: weights, patches and shapes are named by the steps. *)

From Coq Require Import ZArith List Bool String.
From SortNet.float Require Import Network Graph Wire Forms Margin.
Import ListNotations.
Local Open Scope string_scope.
Local Open Scope list_scope.

(** ** Bounds of one operation *)

(** Names that a step of the bounds adds: a constant by which bounds are moved apart (for an
    affine operation, else nothing) and the values that its nodes compute, in order. *)
Record bound_names := Names { widen : string; values : list string }.

(** Constants that all steps share: 0 in float32, and in float64. *)
Record zeros := Zeros { zero32 : string; zero64 : string }.

Definition sort_neuron_bounds (low high W : string) (rho k : Z) (l u : string) : node :=
  Node "SortNeuronBounds" "ai.sortnet" [("k", Int k); ("rho", Real rho)] [low; high; W] [l; u].

(** A product with W, and one with W and b on top. *)
Definition gemm (inputs : list string) (y : string) : node :=
  Node "Gemm" "" [("transB", Int 1)] inputs [y].

(** Bounds moved apart and taken to float64. *)
Definition widened (w low high lower upper l u : string) : list node :=
  [plain "Sub" [low; w] lower; plain "Add" [high; w] upper; cast 11 lower l; cast 11 upper u].

(** The nodes that turn the bounds [low] and [high] into those after a step, and the names of
    the new bounds. *)
Definition bound_form (z : zeros) (s : step) (n : bound_names) (low high : string)
    : list node * string * string :=
  let v i := nth i (values n) "" in
  match s with
  | Normalized mean std _ _ =>
      (form low (Normalized mean std (v 0) (v 1)) ++ form high (Normalized mean std (v 2) (v 3)),
       v 1, v 3)
  | Flattened _ => ([flatten low (v 0); flatten high (v 1)], v 0, v 1)
  | Sorted W rho k _ => ([sort_neuron_bounds low high W rho k (v 0) (v 1)], v 0, v 1)
  | Convolved pads places to_rows W to_split rho k _ _ _ _ _ _ _ =>
      (to_patches pads places to_rows low (v 0) (v 1) (v 2) ++
       to_patches pads places to_rows high (v 3) (v 4) (v 5) ++
       [sort_neuron_bounds (v 2) (v 5) W rho k (v 6) (v 7)] ++
       from_patches to_split (v 6) (v 8) (v 9) (v 10) ++
       from_patches to_split (v 7) (v 11) (v 12) (v 13),
       v 10, v 13)
  | Shifted c _ => ([plain "Sub" [low; c] (v 0); plain "Sub" [high; c] (v 1)], v 0, v 1)
  | Biased c _ => ([plain "Add" [low; c] (v 0); plain "Add" [high; c] (v 1)], v 0, v 1)
  | Negated _ => ([plain "Neg" [high] (v 0); plain "Neg" [low] (v 1)], v 0, v 1)
  | Mapped _ _ W_wide b_wide _ _ _ =>
      (widened (widen n) low high (v 0) (v 1) (v 2) (v 3) ++
       [plain "Max" [W_wide; zero64 z] (v 4); plain "Min" [W_wide; zero64 z] (v 5);
        gemm [v 2; v 4; b_wide] (v 6); gemm [v 3; v 5] (v 7);
        plain "Add" [v 6; v 7] (v 8); cast 1 (v 8) (v 9);
        gemm [v 3; v 4; b_wide] (v 10); gemm [v 2; v 5] (v 11);
        plain "Add" [v 10; v 11] (v 12); cast 1 (v 12) (v 13)],
       v 9, v 13)
  | Grouped to_groups count _ _ _ _ =>
      (form low (Grouped to_groups count (v 0) (v 1) (v 2) (v 3)) ++
       form high (Grouped to_groups count (v 4) (v 5) (v 6) (v 7)),
       v 3, v 7)
  | Weighted _ _ _ _ _ _ _ _ _ _ _ _ | Pieced _ _ _ _ _ _ _ _ _ _ _ => ([], v 0, v 1)
  | Ranked pads places count last _ _ _ _ _ =>
      (form low (Ranked pads places count last (v 0) (v 1) (v 2) (v 3) (v 4)) ++
       form high (Ranked pads places count last (v 5) (v 6) (v 7) (v 8) (v 9)),
       v 4, v 9)
  | Activated operator _ =>
      if String.eqb operator "Abs" then
        ([plain "Neg" [high] (v 0); plain "Neg" [low] (v 1);
          plain "Max" [low; v 0; zero32 z] (v 2); plain "Max" [high; v 1] (v 3)],
         v 2, v 3)
      else ([plain operator [low] (v 0); plain operator [high] (v 1)], v 0, v 1)
  end.

(** The nodes of the bounds of a chain, and the bounds of its result. *)
Fixpoint bound_forms (z : zeros) (l : list (step * bound_names)) (low high : string)
    : list node * string * string :=
  match l with
  | [] => ([], low, high)
  | (s, n) :: l' =>
      let '(nodes, low, high) := bound_form z s n low high in
      let '(more, low, high) := bound_forms z l' low high in
      (nodes ++ more, low, high)
  end.

(** ** How far the bounds of two logits are apart *)

(** Names of constants: one axis, the numbers of the classes, and infinities that masked
    entries become.  For a chain that ends in an affine operation also the second axis. *)
Record apart_constants := Apart { axis_one : string; axis_two : string; numbers : string;
  masked : string }.

Definition own_class (c : apart_constants) (own mine : string) : list node :=
  [plain "Unsqueeze" ["label"; axis_one c] own; plain "Equal" [own; numbers c] mine].

Definition reduce (operator x axis y : string) : node :=
  Node operator "" [("keepdims", Int 0)] [x; axis] [y].

Definition gather (axis : Z) (x index y : string) : node :=
  Node "Gather" "" [("axis", Int axis)] [x; index] [y].

(** The lower bound of the label's logit minus the largest upper bound of another. *)
Definition apart_form (c : apart_constants) (low high : string) (v : nat -> string) : list node :=
  own_class c (v 0) (v 1) ++
  [plain "Where" [v 1; low; masked c] (v 2); plain "Where" [v 1; masked c; high] (v 3);
   reduce "ReduceMax" (v 2) (axis_one c) (v 4); reduce "ReduceMax" (v 3) (axis_one c) (v 5);
   plain "Sub" [v 4; v 5] (v 6)].

(** The least difference of two rows of a last affine operation, on bounds of its input. *)
Definition rows_apart_form (z : zeros) (c : apart_constants) (W_wide b_wide low high : string)
    (v : nat -> string) : list node :=
  own_class c (v 0) (v 1) ++
  [gather 0 W_wide (v 0) (v 2); plain "Sub" [v 2; W_wide] (v 3);
   plain "Max" [v 3; zero64 z] (v 4); plain "Min" [v 3; zero64 z] (v 5);
   plain "Unsqueeze" [low; axis_two c] (v 6); plain "Unsqueeze" [high; axis_two c] (v 7);
   plain "MatMul" [v 4; v 6] (v 8); plain "MatMul" [v 5; v 7] (v 9);
   plain "Add" [v 8; v 9] (v 10); plain "Squeeze" [v 10; axis_two c] (v 11);
   gather 0 b_wide (v 0) (v 12); plain "Sub" [v 12; b_wide] (v 13);
   plain "Add" [v 11; v 13] (v 14); cast 1 (v 14) (v 15);
   plain "Where" [v 1; masked c; v 15] (v 16); reduce "ReduceMin" (v 16) (axis_one c) (v 17)].

(** ** The whole certificate *)

(** The bounds of all steps; with a last affine operation of all others, and the names of the
    widened bounds before it. *)
Record interval := Intervals {
  eps : string; reach : string; apart_slack : string;
  ball : list string;
  double_zero : string;
  bounded : list (step * bound_names);
  last_affine : option (step * bound_names);
  apart_names : apart_constants;
  apart_values : list string;
  is_apart : string; certified : string;
  interval_box : box }.

Definition interval_form (n : interval) : list node :=
  let v i := nth i (ball n) "" in
  let w i := nth i (apart_values n) "" in
  let bx := interval_box n in
  let z := Zeros (zero bx) (double_zero n) in
  let '(nodes, low, high) := bound_forms z (bounded n) (v 2) (v 3) in
  let '(apart, worst) :=
    match last_affine n with
    | Some (Mapped _ _ W_wide b_wide _ _ _, m) =>
        let u i := nth i (values m) "" in
        (widened (widen m) low high (u 0) (u 1) (u 2) (u 3) ++
         rows_apart_form z (apart_names n) W_wide b_wide (u 2) (u 3) w, w 17)
    | _ => (apart_form (apart_names n) low high w, w 6)
    end in
  [plain "Sub" ["input"; reach n] (v 0); plain "Add" ["input"; reach n] (v 1);
   plain "Max" [v 0; box_low bx] (v 2); plain "Min" [v 1; box_high bx] (v 3)] ++
  nodes ++ apart ++
  [plain "Greater" [worst; apart_slack n] (is_apart n)] ++
  box_form bx ++
  [plain "And" [is_apart n; inside bx] (certified n);
   plain "Where" [certified n; eps n; zero bx] "radius"].

(** Whether the steps of the bounds are those of the chain, all of them. *)
Definition bounds_steps (n : interval) : list step :=
  map fst (bounded n) ++ match last_affine n with Some (s, _) => [s] | None => [] end.

(** Whether a last affine operation, and no other last operation, is bounded by its rows. *)
Definition is_mapped (s : step) : bool := match s with Mapped _ _ _ _ _ _ _ => true | _ => false end.

(** Bounds of steps with coefficients or slopes of any sign are not known here. *)
Definition has_bounds (s : step) : bool :=
  match s with
  | Weighted _ _ _ _ _ _ _ _ _ _ _ _ | Pieced _ _ _ _ _ _ _ _ _ _ _ => false
  | _ => true
  end.

Definition ends_well (n : interval) : bool :=
  forallb has_bounds (bounds_steps n) &&
  match last_affine n with
  | Some (s, _) => is_mapped s
  | None => match rev (bounded n) with (s, _) :: _ => negb (is_mapped s) | [] => true end
  end.

Section In.
Variable g : graph.

(** The constants by which bounds are moved apart, in the order of the chain. *)
Definition widenings (n : interval) : option (list Z) :=
  traverse (fun sn => scalar g (widen (snd sn)))
    (filter (fun sn => is_mapped (fst sn))
       (bounded n ++ match last_affine n with Some sn => [sn] | None => [] end)).

(** The numbers 0, ..., K-1. *)
Definition counted (K : Z) : list Z := map Z.of_nat (seq 0 (Z.to_nat K)).

(** How far the ball reaches in each feature; at most 2 for pixels (1 is rounded up). *)
Definition two_pattern : Z := 1073741824.

Definition reaches_of (start : shape) (k : input_kind) (n : interval) : option (list Z) :=
  match k with
  | Pixels =>
      let* r := scalar g (reach n) in
      check (r <=? two_pattern)%Z in Some (repeat r (Z.to_nat (units start)))
  | Features _ => array_at g start (reach n)
  end.

(** Infinity is 2139095040 as a bit pattern, minus infinity 4286578688. *)
Definition interval_constants (start : shape) (classes : Z) (n : interval) : bool :=
  let c := apart_names n in
  (box_constants g start (interval_box n) &&
   is_constant g (axis_one c) Int64 [1] [1] &&
   is_constant g (numbers c) Int64 [classes] (counted classes) &&
   (negb (existsb is_mapped (bounds_steps n)) || is_constant g (double_zero n) Double [] [0]) &&
   match last_affine n with
   | Some _ =>
       is_constant g (axis_two c) Int64 [1] [2] && is_constant g (masked c) Float [] [2139095040]
   | None => is_constant g (masked c) Float [] [4286578688]
   end)%Z.

End In.
