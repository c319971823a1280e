(** * Forms: the nodes that each operation of the format is made of

    What `sortnet.export.graph` writes, as a function from operations with the names of their
    values to lists of nodes.  A graph that is such a list, word for word, means the chain of
    operations it was made from; [denotes] says this, and it is what an accepted file is
    believed to mean.  [Meaning.v] confirms it against the definitions of the operators. *)

From Coq Require Import ZArith List Bool String.
From SortNet.float Require Import Network Graph Wire.
Import ListNotations.
Local Open Scope string_scope.
Local Open Scope list_scope.

Definition plain (operator : string) (inputs : list string) (output : string) : node :=
  Node operator "" [] inputs [output].

(** ** Steps: an operation with the names of its constants and values *)

(** Names of constants come first, then those of the values that the nodes compute, in order;
    the last one is the result. *)
Inductive step :=
  | Normalized (mean std centered y : string)
  | Flattened (y : string)
  | Sorted (W : string) (rho k : Z) (y : string)
  | Convolved (pads places to_rows W to_split : string) (rho k : Z)
      (padded flat rows neurons split turned y : string)
  | Shifted (c y : string)
  | Biased (c y : string)
  | Negated (y : string)
  | Mapped (W b : string) (W_wide b_wide x_wide y_wide y : string)
  | Grouped (to_groups count groups sorted places y : string)
  | Activated (operator y : string)
  | Ranked (pads places count last padded windows largest indices y : string)
  | Pieced (axis begins stops origins slopes column raised clipped parts terms y : string)
  | Weighted (W C axis_one axis_two count row differences distances largest indices terms
      y : string).

Definition result (s : step) : string :=
  match s with
  | Normalized _ _ _ y | Flattened y | Sorted _ _ _ y | Convolved _ _ _ _ _ _ _ _ _ _ _ _ _ y
  | Shifted _ y | Biased _ y | Negated y | Mapped _ _ _ _ _ _ y | Grouped _ _ _ _ _ y
  | Activated _ y | Ranked _ _ _ _ _ _ _ _ y
  | Weighted _ _ _ _ _ _ _ _ _ _ _ y | Pieced _ _ _ _ _ _ _ _ _ _ y => y
  end.

Definition flatten (x y : string) : node := Node "Flatten" "" [("axis", Int 1)] [x] [y].

Definition sort_neuron (x W : string) (rho k : Z) (y : string) : node :=
  Node "SortNeuron" "ai.sortnet" [("k", Int k); ("rho", Real rho)] [x; W] [y].

(** [N, D] to one row for each patch, with a zero as entry D; and one row for each patch to
    units, output by output. *)
Definition to_patches (pads places to_rows x padded flat rows : string) : list node :=
  [plain "Pad" [x; pads] padded;
   Node "Gather" "" [("axis", Int 1)] [padded; places] [flat];
   plain "Reshape" [flat; to_rows] rows].

Definition from_patches (to_split x split turned y : string) : list node :=
  [plain "Reshape" [x; to_split] split;
   Node "Transpose" "" [("perm", Ints [0; 2; 1]%Z)] [split] [turned];
   flatten turned y].

(** 1 is float32, 11 float64. *)
Definition cast (to : Z) (x y : string) : node := Node "Cast" "" [("to", Int to)] [x] [y].

Definition form (x : string) (s : step) : list node :=
  match s with
  | Normalized mean std centered y =>
      [plain "Sub" [x; mean] centered; plain "Div" [centered; std] y]
  | Flattened y => [flatten x y]
  | Sorted W rho k y => [sort_neuron x W rho k y]
  | Convolved pads places to_rows W to_split rho k padded flat rows neurons split turned y =>
      to_patches pads places to_rows x padded flat rows ++
      [sort_neuron rows W rho k neurons] ++
      from_patches to_split neurons split turned y
  | Shifted c y => [plain "Sub" [x; c] y]
  | Biased c y => [plain "Add" [x; c] y]
  | Negated y => [plain "Neg" [x] y]
  | Mapped W b W_wide b_wide x_wide y_wide y =>
      [cast 11 W W_wide; cast 11 b b_wide; cast 11 x x_wide;
       Node "Gemm" "" [("transB", Int 1)] [x_wide; W_wide; b_wide] [y_wide];
       cast 1 y_wide y]
  | Grouped to_groups count groups sorted places y =>
      [plain "Reshape" [x; to_groups] groups;
       Node "TopK" "" [("axis", Int (-1)); ("largest", Int 1); ("sorted", Int 1)]
         [groups; count] [sorted; places];
       flatten sorted y]
  | Activated operator y => [plain operator [x] y]
  | Ranked pads places count last padded windows largest indices y =>
      [plain "Pad" [x; pads] padded;
       Node "Gather" "" [("axis", Int 1)] [padded; places] [windows];
       Node "TopK" "" [("axis", Int (-1)); ("largest", Int 1); ("sorted", Int 1)]
         [windows; count] [largest; indices];
       Node "Gather" "" [("axis", Int 2)] [largest; last] [y]]
  | Pieced axis begins stops origins slopes column raised clipped parts terms y =>
      [plain "Unsqueeze" [x; axis] column;
       plain "Max" [column; begins] raised;
       plain "Min" [raised; stops] clipped;
       plain "Sub" [clipped; origins] parts;
       plain "Mul" [parts; slopes] terms;
       Node "ReduceSum" "" [("keepdims", Int 0)] [terms; axis] [y]]
  | Weighted W C axis_one axis_two count row differences distances largest indices terms y =>
      [plain "Unsqueeze" [x; axis_one] row;
       plain "Sub" [row; W] differences;
       plain "Abs" [differences] distances;
       Node "TopK" "" [("axis", Int (-1)); ("largest", Int 1); ("sorted", Int 1)]
         [distances; count] [largest; indices];
       plain "Mul" [largest; C] terms;
       Node "ReduceSum" "" [("keepdims", Int 0)] [terms; axis_two] [y]]
  end.

(** The nodes of a chain that starts at the value x, and the name of its result. *)
Fixpoint forms (x : string) (l : list step) : list node :=
  match l with
  | [] => []
  | s :: l' => form x s ++ forms (result s) l'
  end.

Fixpoint result_of (x : string) (l : list step) : string :=
  match l with
  | [] => x
  | s :: l' => result_of (result s) l'
  end.

(** ** Constants *)

Section In.
Variable g : graph.

Definition constant (name : string) : option tensor :=
  match find (fun c => String.eqb name (fst c)) (constants g) with
  | Some (_, t) => Some t
  | None => None
  end.

(** n entries that end before [stop], in front of [after]. *)
Fixpoint entries_before {A} (at_ : Z -> A) (n : nat) (stop : Z) (after : list A) : list A :=
  match n with
  | O => after
  | S n' => entries_before at_ n' (stop - 1) (at_ (stop - 1)%Z :: after)
  end.

Definition largest_vector : Z := 1048576.
Definition largest_patches : Z := 1048576.

(** A scalar, vector or matrix of float32 numbers, or a vector of integers. *)
Definition scalar (name : string) : option Z :=
  match constant name with
  | Some (Tensor Float [] at_) => Some (at_ 0%Z)
  | _ => None
  end.

Definition vector (name : string) : option (list Z) :=
  match constant name with
  | Some (Tensor Float [n] at_) =>
      check (n <=? largest_vector)%Z in Some (entries_before at_ (Z.to_nat n) n [])
  | _ => None
  end.

Definition matrix_of (o i : Z) (at_ : Z -> Z) : matrix :=
  Matrix (Z.to_nat o) (Z.to_nat i)
    (fun r => entries_before at_ (Z.to_nat i) ((Z.of_nat r + 1) * i) []).

Definition matrix_at (name : string) : option matrix :=
  match constant name with
  | Some (Tensor Float [o; i] at_) =>
      check (o <=? largest_vector)%Z && (i <=? largest_vector)%Z in Some (matrix_of o i at_)
  | _ => None
  end.

(** The number of integers, and each of them. *)
Definition integer_array (name : string) : option (Z * (Z -> Z)) :=
  match constant name with
  | Some (Tensor Int64 [n] at_) => check (n <=? largest_patches)%Z in Some (n, at_)
  | _ => None
  end.

(** Rows of integers: how many, how long, and each of them. *)
Definition integer_rows (name : string) : option (Z * Z * (Z -> Z)) :=
  match constant name with
  | Some (Tensor Int64 [p; f] at_) => check (p * f <=? largest_patches)%Z in Some (p, f, at_)
  | _ => None
  end.

(** ** Shapes *)

(** Of one sample: flat, or of any other rank. *)
Inductive shape := Image (dims : list Z) | Flat (n : Z).

Definition dims_in (s : shape) : list Z := match s with Image d => d | Flat n => [n] end.

Definition units (s : shape) : Z := fold_right Z.mul 1%Z (dims_in s).

(** One number for each unit, in a constant of the shape of a sample. *)
Definition array_at (at_ : shape) (name : string) : option (list Z) :=
  match constant name with
  | Some (Tensor Float d numbers) =>
      check list_eqb Z.eqb d (dims_in at_) in
      Some (entries_before numbers (Z.to_nat (units at_)) (units at_) [])
  | _ => None
  end.

(** The same, or one number for all of them. *)
Definition each_unit (at_ : shape) (name : string) : option (list Z) :=
  match scalar name with
  | Some b => Some (repeat b (Z.to_nat (units at_)))
  | None => array_at at_ name
  end.

Definition is_scalar (name : string) : bool :=
  match scalar name with Some _ => true | None => false end.

(** Whether a constant is this one. *)
Definition same_type (a b : element) : bool :=
  match a, b with
  | Float, Float | Double, Double | Int64, Int64 => true
  | _, _ => false
  end.

Definition is_constant (name : string) (type : element) (shape values : list Z) : bool :=
  match constant name with
  | Some (Tensor t d at_) =>
      same_type t type && list_eqb Z.eqb d shape &&
      list_eqb Z.eqb (entries_before at_ (List.length values) (Z.of_nat (List.length values)) [])
        values
  | None => false
  end.

(** ** The operation of a step *)

(** The patches of n entries each, from an array of all of them. *)
Fixpoint patches_before (at_ : Z -> Z) (n P : nat) (after : list (list nat)) : list (list nat) :=
  match P with
  | O => after
  | S P' =>
      let patch := entries_before (fun i => Z.to_nat (at_ i)) n (Z.of_nat P * Z.of_nat n) [] in
      patches_before at_ n P' (patch :: after)
  end.

(** The operation and the shape of its value, on a value of the given shape. *)
Definition operation (at_ : shape) (s : step) : option (op * shape) :=
  match s, at_ with
  | Normalized mean std _ _, _ =>
      let* m := each_unit at_ mean in
      let* s := each_unit at_ std in
      check Bool.eqb (is_scalar mean) (is_scalar std) in
      Some (Normalize m s, at_)
  | Flattened _, _ => Some (Flatten, Flat (units at_))
  | Sorted W rho k _, Flat n =>
      let* M := matrix_at W in
      check (Z.of_nat (cols M) =? n)%Z && (1 <=? k)%Z && (k <=? n)%Z in
      Some (SortNeuron M rho (Z.to_nat k), Flat (Z.of_nat (rows M)))
  | Convolved pads places to_rows W to_split rho k _ _ _ _ _ _ _, Flat n =>
      let* M := matrix_at W in
      let* (count, at_) := integer_array places in
      let F := Z.of_nat (cols M) in
      let O := Z.of_nat (rows M) in
      check (1 <=? k)%Z && (k <=? F)%Z in
      let P := (count / F)%Z in
      check (P * F =? count)%Z && (1 <=? P)%Z && (O * P <=? largest_vector)%Z in
      check forallb (fun i => (0 <=? i)%Z && (i <=? n)%Z)
        (entries_before at_ (Z.to_nat count) count []) in
      check is_constant pads Int64 [4]%Z [0; 0; 0; 1]%Z in
      check is_constant to_rows Int64 [2]%Z [-1; F]%Z in
      check is_constant to_split Int64 [3]%Z [-1; P; O]%Z in
      Some (SortConv (patches_before at_ (cols M) (Z.to_nat P) []) M rho (Z.to_nat k), Flat (O * P))
  | Shifted c _, Flat n =>
      let* v := vector c in
      check (Z.of_nat (List.length v) =? n)%Z in Some (Shift v, at_)
  | Biased c _, Flat n =>
      let* v := vector c in
      check (Z.of_nat (List.length v) =? n)%Z in Some (Bias v, at_)
  | Negated _, _ => Some (Negate, at_)
  | Mapped W b _ _ _ _ _, Flat n =>
      let* M := matrix_at W in
      let* v := vector b in
      check (Z.of_nat (cols M) =? n)%Z in
      check (List.length v =? rows M)%nat in
      Some (Affine M v, Flat (Z.of_nat (rows M)))
  | Grouped to_groups count _ _ _ _, Flat n =>
      let* (one, sizes) := integer_array count in
      let s := sizes 0%Z in
      check (one =? 1)%Z && (2 <=? s)%Z && (s <=? n)%Z && (n / s * s =? n)%Z in
      check is_constant to_groups Int64 [3]%Z [-1; n / s; s]%Z in
      Some (GroupSort (Z.to_nat s), at_)
  | Activated operator _, _ =>
      if String.eqb operator "Relu" then Some (Relu, at_)
      else if String.eqb operator "Abs" then Some (Abs, at_)
      else if String.eqb operator "Tanh" then Some (Tanh, at_)
      else None
  | Ranked pads places count last _ _ _ _ _, Flat n =>
      let* (P, F, at_) := integer_rows places in
      let* (one, ranks) := integer_array count in
      let k := ranks 0%Z in
      check (one =? 1)%Z && (1 <=? k)%Z && (k <=? F)%Z && (1 <=? P)%Z in
      check forallb (fun i => (0 <=? i)%Z && (i <=? n)%Z)
        (entries_before at_ (Z.to_nat (P * F)) (P * F) []) in
      check is_constant pads Int64 [4]%Z [0; 0; 0; 1]%Z in
      check is_constant last Int64 [] [k - 1]%Z in
      Some (Rank (patches_before at_ (Z.to_nat F) (Z.to_nat P) []) (Z.to_nat k), Flat P)
  | Weighted W C axis_one axis_two count _ _ _ _ _ _ _, Flat n =>
      let* M := matrix_at W in
      let* K := matrix_at C in
      check (Z.of_nat (cols M) =? n)%Z && (rows K =? rows M)%nat &&
            (1 <=? cols K)%nat && (cols K <=? cols M)%nat in
      check is_constant axis_one Int64 [1]%Z [1]%Z && is_constant axis_two Int64 [1]%Z [2]%Z in
      check is_constant count Int64 [1]%Z [Z.of_nat (cols K)] in
      Some (Signed M K, Flat (Z.of_nat (rows M)))
  | Pieced axis begins stops origins slopes _ _ _ _ _ _, Flat n =>
      let* M := matrix_at slopes in
      let* b := vector begins in
      let* e := vector stops in
      let* o := vector origins in
      let knots := removelast e in
      check (Z.of_nat (rows M) =? n)%Z && (1 <=? List.length knots)%nat &&
            (cols M =? S (List.length knots))%nat in
      check list_eqb Z.eqb b (minus_infinite :: knots) && list_eqb Z.eqb e (knots ++ [infinite]) &&
            list_eqb Z.eqb o (hd 0%Z knots :: knots) in
      check is_constant axis Int64 [1]%Z [2]%Z in
      Some (Pieces knots M, at_)
  | _, Image _ => None
  end.

(** A bound on the steps that the analysis of an operation takes, for the limit on all of them:
    a weight may be compared with all of the k largest before it, a unit of a window is found by a
    walk along three lists, and a tanh is a dozen steps. *)
Definition work (o : op) (at_ to : shape) : Z :=
  let size n := Z.of_nat n in
  let look_up := (units at_ / 4096 + 128)%Z in
  (units to +
   match o with
   | Affine W _ => size (rows W) * size (cols W)
   | SortNeuron W _ k => size (rows W) * size (cols W) * (size k + 1)
   | SortConv patches W _ k =>
       size (rows W) * size (cols W) * (size k + 1) +
       size (List.length patches) * size (cols W) * look_up
   | GroupSort s => units to * size s
   | Pieces knots W => size (rows W) * (size (cols W) * (size (cols W) + 1) + look_up)
   | Signed W C => size (rows W) * size (cols W) * (size (cols C) + 1)
   | Rank patches k =>
       fold_right Z.add 0 (map (fun p => size (List.length p)) patches) * (size k + look_up)
   | Tanh => units to * 16
   | _ => 0
   end)%Z.

(** All operations of a chain, with so much work at most. *)
Fixpoint operations (room : Z) (at_ : shape) (l : list step) : option (list op * shape) :=
  match l with
  | [] => Some ([], at_)
  | s :: l' =>
      let* (o, to) := operation at_ s in
      let room := (room - work o at_ to)%Z in
      check (0 <=? room)%Z && (1 <=? units to)%Z && (units to <=? largest_vector)%Z in
      let* (os, last) := operations room to l' in
      Some (o :: os, last)
  end.

End In.
