(** * HostSemantics: what a host may compute for a file

    A relation and not a function: a host may add in any order, fuse multiplications into
    additions, take numbers below 2^-126 for 0, fold constants, use coefficients that are not
    the nominal ones, and drop a cast between float64 layers.  Each freedom is a constructor,
    here or in [Rounding.v].  Nothing asks that a host does the same thing twice.

    Values are real numbers.  An overflow would be an infinity, which the relation shows as
    "any number" ([rounds_overflow]). *)

From Coq Require Import Reals ZArith List.
From Flocq Require Import Core.
From SortNet Require Import Definitions.
From SortNet.float Require Import Network Rounding.
Import ListNotations.
Open Scope R_scope.

(** ** One float32 operation *)

Inductive difference (a b : R) : R -> Prop :=
  | difference_rounded a' b' y :
      operand single a a' -> operand single b b' -> rounds single (a' - b') y ->
      difference a b y.

Inductive addition (a b : R) : R -> Prop :=
  | addition_rounded a' b' y :
      operand single a a' -> operand single b b' -> rounds single (a' + b') y ->
      addition a b y.

Inductive product (a b : R) : R -> Prop :=
  | product_rounded a' b' y :
      operand single a a' -> operand single b b' -> rounds single (a' * b') y ->
      product a b y.

Inductive quotient (a b : R) : R -> Prop :=
  | quotient_rounded a' b' y :
      operand single a a' -> operand single b b' -> rounds single (a' / b') y ->
      quotient a b y.

(** [selected a y]: a host that compares with small numbers taken for 0 picks y where it
    should pick a; it may copy y as it is. *)
Definition selected (a y : R) : Prop := operand single y a.

(** ** Operations *)

(** A division, or a product with the rounded reciprocal. *)
Inductive normalizes (mean std x : R) : R -> Prop :=
  | normalizes_divided c y : difference x mean c -> quotient c std y -> normalizes mean std x y
  | normalizes_multiplied c r y :
      difference x mean c -> quotient 1 std r -> product c r y -> normalizes mean std x y.

(** The nominal coefficient is the largest float32 below c (1 - 2^-40), computed in float64
    with errors of less than another 2^-40: so it is between c (1 - 2^-23 - 2^-39) and c, but
    for underflow.  A host's is at most one float away from it. *)
Definition coefficient_above : R := bpow radix2 (-23).
Definition coefficient_error : R := bpow radix2 (-22) + bpow radix2 (-38).
Definition coefficient_underflow : R := bpow radix2 (-125).

Definition host_coefficient (c c' : R) : Prop :=
  c - coefficient_error * c - coefficient_underflow <= c' <=
  c + coefficient_above * c + coefficient_underflow.

(** A sorted neuron: rounded differences, exact selection, then any sum of products. *)
Inductive sorts (n : nat) (w : vec) (rho : R) (k : nat) (x : vec) : R -> Prop :=
  | sorts_in_any_order (d t c : vec) y :
      (forall i, (i < n)%nat -> difference (x i) (w i) (d i)) ->
      (forall j, (j < k)%nat -> selected (order_stat n (fun i => Rabs (d i)) (j + 1)) (t j)) ->
      (forall j, (j < k)%nat -> host_coefficient (coefficient rho k j) (c j)) ->
      dot single (map (fun j => (c j, t j)) (seq 0 k)) y ->
      sorts n w rho k x y.

(** The same with the coefficients of the file. *)
Inductive signed (n : nat) (w c : vec) (k : nat) (x : vec) : R -> Prop :=
  | signed_in_any_order (d t : vec) y :
      (forall i, (i < n)%nat -> difference (x i) (w i) (d i)) ->
      (forall j, (j < k)%nat -> selected (order_stat n (fun i => Rabs (d i)) (j + 1)) (t j)) ->
      dot single (map (fun j => (c j, t j)) (seq 0 k)) y ->
      signed n w c k x y.

(** A part of a piecewise-linear function: a value clipped to a piece, less its origin. *)
Inductive part_of (low high origin x : R) : R -> Prop :=
  | part_rounded x' low' raised high' y :
      operand single x x' -> operand single low low' ->
      operand single (Rmax x' low') raised -> operand single high high' ->
      difference (Rmin raised high') origin y -> part_of low high origin x y.

(** From float64 to float32; the cast may be missing if the next layer is float64 too. *)
Inductive cast (z : R) : R -> Prop :=
  | cast_rounded y : rounds single z y -> cast z y
  | cast_dropped : cast z z.

(** A row of a float64 Gemm. *)
Inductive affine_row (n : nat) (w : vec) (b : R) (x : vec) : R -> Prop :=
  | affine_row_in_any_order (w' x' : vec) b' z y :
      (forall j, (j < n)%nat -> operand single (w j) (w' j)) ->
      (forall j, (j < n)%nat -> operand single (x j) (x' j)) ->
      operand single b b' ->
      dot double ((b', 1) :: map (fun j => (w' j, x' j)) (seq 0 n)) z ->
      cast z y ->
      affine_row n w b x y.

(** The largest error of a float32 Tanh.  This is an assumption about the host: no standard
    promises it.  A session measures it before it runs such a file. *)
Definition tanh_error : R := bpow radix2 (-19).

(** [computes_unit o n x i y]: for computed inputs x (n units) a host may compute y for
    unit i of the operation o. *)
Inductive computes_unit (n : nat) (x : vec) (i : nat) : op -> R -> Prop :=
  | computes_normalize mean std y :
      normalizes (entry_of mean i) (entry_of std i) (x i) y ->
      computes_unit n x i (Normalize mean std) y
  | computes_flatten : computes_unit n x i Flatten (x i)
  | computes_sort_neuron W rho k y :
      sorts (cols W) (entry W i) (value rho) k x y -> computes_unit n x i (SortNeuron W rho k) y
  | computes_sort_conv patches W rho k y :
      (let P := length patches in
       sorts (cols W) (entry W (i / P)) (value rho) k (patch patches n (i mod P) x) y) ->
      computes_unit n x i (SortConv patches W rho k) y
  | computes_shift c y : difference (x i) (entry_of c i) y -> computes_unit n x i (Shift c) y
  | computes_bias c y : addition (x i) (entry_of c i) y -> computes_unit n x i (Bias c) y
  | computes_negate y : operand single (x i) y -> computes_unit n x i Negate (- y)
  | computes_affine W b y :
      affine_row (cols W) (entry W i) (entry_of b i) x y -> computes_unit n x i (Affine W b) y
  | computes_group_sort s (x' : vec) y :
      (forall j, (j < n)%nat -> operand single (x j) (x' j)) ->
      selected (order_stat s (fun j => x' (i / s * s + j)%nat) (i mod s + 1)) y ->
      computes_unit n x i (GroupSort s) y
  | computes_relu y : operand single (x i) y -> computes_unit n x i Relu (Rmax y 0)
  | computes_abs y : operand single (x i) y -> computes_unit n x i Abs (Rabs y)
  | computes_tanh x' y :
      operand single (x i) x' -> Rabs (y - tanh x') <= tanh_error -> computes_unit n x i Tanh y
  | computes_rank patches k (x' : vec) y :
      (forall j, (j < n)%nat -> operand single (x j) (x' j)) ->
      selected (order_stat (length (nth i patches [])) (patch patches n i x') k) y ->
      computes_unit n x i (Rank patches k) y
  | computes_signed W C y :
      signed (cols W) (entry W i) (entry C i) (cols C) x y -> computes_unit n x i (Signed W C) y
  | computes_pieces knots S' (p : vec) y :
      let ends := piece_ends knots in
      (forall j, (j <= length knots)%nat ->
        part_of (entry_of ends j) (entry_of ends (S j)) (piece_origin knots j) (x i) (p j)) ->
      dot single (map (fun j => (entry S' i j, p j)) (seq 0 (S (length knots)))) y ->
      computes_unit n x i (Pieces knots S') y.

Definition computes_op (o : op) (n : nat) (x y : vec) : Prop :=
  forall i, (i < out_size o n)%nat -> computes_unit n x i o (y i).

(** ** The chain *)

Inductive computes_ops : list op -> nat -> vec -> vec -> Prop :=
  | computes_nil n x y : (forall i, (i < n)%nat -> y i = x i) -> computes_ops [] n x y
  | computes_cons o l n x z y :
      computes_op o n x z -> computes_ops l (out_size o n) z y -> computes_ops (o :: l) n x y.

(** [computes N x y]: y may be the logits that a host computes at the input x. *)
Definition computes (N : network) (x y : vec) : Prop := computes_ops (ops N) (input_size N) x y.

(** ** Label and radius *)

(** The label is the index of a largest logit; any of them where there are several. *)
Inductive labels (K : nat) (y : vec) (l : nat) : Prop :=
  | labels_largest (y' : vec) :
      (l < K)%nat ->
      (forall j, (j < K)%nat -> operand single (y j) (y' j)) ->
      (forall j, (j < K)%nat -> y' j <= y' l) -> labels K y l.

(** radius = max(0, (top1 - top2 - slack) * scale), for inputs in the box. *)
Inductive margin_radius (K : nat) (slack scale : R) (y : vec) : R -> Prop :=
  | margin_radius_computed (y' : vec) best next margin sure scaled scaled' :
      (forall j, (j < K)%nat -> operand single (y j) (y' j)) ->
      selected (order_stat K y' 1) best ->
      selected (order_stat K y' 2) next ->
      difference best next margin ->
      difference margin slack sure ->
      product sure scale scaled ->
      operand single scaled scaled' ->
      margin_radius K slack scale y (Rmax scaled' 0).
