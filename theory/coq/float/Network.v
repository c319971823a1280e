(** * Network: the chain of operations of an exported file, and what it computes exactly

    The abstract syntax is data that a program can hold: constants are the raw bit patterns
    of binary32 numbers, as they stand in the file.  [eval] gives the chain its meaning over
    the real numbers, without any rounding; what a host computes is in [HostSemantics.v].

    A sample is a vector of which the first [input_size] entries are read, in row-major
    order.  So [Flatten] does nothing here; that every operation is applied to a value of
    the right shape is the business of whoever reads a file. *)

From Coq Require Import Reals ZArith List Bool.
From Flocq Require Import Core.
From SortNet Require Import Definitions.
Import ListNotations.
Open Scope R_scope.

(** ** Constants: bit patterns of binary32 *)

(** Powers of two have names because extraction makes a number once for each name, but a
    literal inside a function every time that it runs. *)
Definition two8 : Z := 256.
Definition two23 : Z := 8388608.
Definition two31 : Z := 2147483648.
Definition two32 : Z := 4294967296.
Definition field_bits : Z := 23.
Definition infinity_field : Z := 255.
Definition exponent_bias : Z := 150.
Definition least_exponent : Z := -149.

(** Sign, exponent field and fraction of a pattern 0 <= b < 2^32. *)
Definition negative (b : Z) : bool := (two31 <=? b)%Z.
Definition exponent_field (b : Z) : Z := (Z.shiftr b field_bits mod two8)%Z.
Definition fraction (b : Z) : Z := (b mod two23)%Z.

(** Neither infinity nor NaN. *)
Definition finite (b : Z) : bool :=
  ((0 <=? b) && (b <? two32) && (exponent_field b <? infinity_field))%Z.

(** A finite pattern is the number [mantissa b * 2^(exponent b)]. *)
Definition mantissa (b : Z) : Z :=
  let m := if (exponent_field b =? 0)%Z then fraction b else (fraction b + two23)%Z in
  if negative b then (- m)%Z else m.

Definition exponent (b : Z) : Z :=
  if (exponent_field b =? 0)%Z then least_exponent else (exponent_field b - exponent_bias)%Z.

Definition value (b : Z) : R := IZR (mantissa b) * bpow radix2 (exponent b).

(** ** Weights *)

(** Rows are made when they are asked for, so that a large matrix need not be held as a
    list: [row W i] is row i, for i < [rows W], and has [cols W] patterns. *)
Record matrix := Matrix { rows : nat; cols : nat; row : nat -> list Z }.

Definition entry (W : matrix) (i j : nat) : R := value (nth j (row W i) 0%Z).

Definition entry_of (v : list Z) (i : nat) : R := value (nth i v 0%Z).

(** ** Inputs *)

(** A box [low_i, high_i] and a unit s_i for each feature: the ball of radius r around x holds
    every x' in the box with |x'_i - x_i| <= r s_i. *)
Record region := Region { lows : list Z; highs : list Z; units_of : list Z }.

(** Images: pixels in [0, 1], and radii in pixels. *)
Definition one_pattern : Z := 1065353216.
Definition pixels (n : nat) : region := Region (repeat 0%Z n) (repeat one_pattern n) (repeat one_pattern n).

Definition in_box (D : region) (x : vec) : Prop :=
  forall i, (i < length (lows D))%nat -> entry_of (lows D) i <= x i <= entry_of (highs D) i.

Definition in_ball (D : region) (r : R) (x x' : vec) : Prop :=
  forall i, (i < length (lows D))%nat -> Rabs (x' i - x i) <= r * entry_of (units_of D) i.

(** A binary32 number. *)
Definition single_number (a : R) : Prop := generic_format radix2 (FLT_exp (-149) 24) a.

(** Inputs that are binary32 numbers where nothing can move them. *)
Definition held (D : region) (x : vec) : Prop :=
  forall i, (i < length (lows D))%nat -> entry_of (units_of D) i = 0 -> single_number (x i).

(** ** Operations *)

(** - [Normalize mean std]: (x_i - mean_i) / std_i;
    - [SortNeuron W rho k]: unit o is sum_j c_j |x - W_o|_(j+1), j < k, with the geometric
      coefficients c_j of [coefficient];
    - [SortConv patches W rho k]: that neuron on each of the patches, unit o at position p
      being unit o P + p; patches are lists of input indices, and the index one past the
      last input stands for a zero that padding adds;
    - [Shift c]: x - c; [Bias c]: x + c; [Negate]: - x;
    - [Affine W b]: W x + b; [GroupSort s]: consecutive groups of s units, largest first;
    - [Relu], [Abs], [Tanh]: per unit;
    - [Rank patches k]: the k-th largest entry of each patch;
    - [Pieces knots slopes]: unit i is sum_j slopes_ij (clamp(x_i) to piece j, minus its origin), 0 at
      the first knot;
    - [Signed W C]: unit o is sum_j C_oj |x - W_o|_(j+1), with coefficients of any sign. *)
Inductive op :=
  | Normalize (mean std : list Z)
  | Flatten
  | SortNeuron (W : matrix) (rho : Z) (k : nat)
  | SortConv (patches : list (list nat)) (W : matrix) (rho : Z) (k : nat)
  | Shift (values : list Z)
  | Bias (values : list Z)
  | Negate
  | Affine (W : matrix) (b : list Z)
  | GroupSort (size : nat)
  | Relu
  | Abs
  | Tanh
  | Rank (patches : list (list nat)) (k : nat)
  | Signed (W C : matrix)
  | Pieces (knots : list Z) (slopes : matrix).

Record network := Network { input : region; ops : list op }.

Definition input_size (N : network) : nat := length (lows (input N)).

(** The number of units after an operation on n units. *)
Definition out_size (o : op) (n : nat) : nat :=
  match o with
  | SortNeuron W _ _ | Affine W _ | Signed W _ => rows W
  | SortConv patches W _ _ => (rows W * length patches)%nat
  | Rank patches _ => length patches
  | _ => n
  end.

Definition size_after (l : list op) (n : nat) : nat := fold_left (fun n o => out_size o n) l n.

(** The number of logits. *)
Definition classes (N : network) : nat := size_after (ops N) (input_size N).

(** ** What an operation computes over the reals *)

(** Coefficient j = 0, ..., k-1 of a sorted neuron: rho^j / (rho^0 + ... + rho^(k-1)).
    They sum to 1 exactly; what a host uses for them is a float near by. *)
Definition coefficient (rho : R) (k j : nat) : R := rho ^ j / sum k (fun i => rho ^ i).

Definition neuron (n : nat) (w : vec) (rho : R) (k : nat) (x : vec) : R :=
  sum k (fun j => coefficient rho k j * order_stat n (fun i => Rabs (x i - w i)) (j + 1)).

(** x with a zero as entry n. *)
Definition padded (n : nat) (x : vec) : vec := fun i => if (i <? n)%nat then x i else 0.

(** *** Pieces *)

Definition clamp (a b x : R) : R := Rmin (Rmax x a) b.

(** Bit patterns of the infinities, which [value] takes for 2^128 and -2^128: no float is
    beyond. *)
Definition infinite : Z := 2139095040.
Definition minus_infinite : Z := 4286578688.

(** Piece j of K + 1 is from end j to end j + 1; the ends are those of K knots, and infinities.
    It starts to count from its lower end, the first one from its upper end. *)
Definition piece_ends (knots : list Z) : list Z := minus_infinite :: knots ++ [infinite].
Definition piece_origin (knots : list Z) (j : nat) : R :=
  entry_of (piece_ends knots) (Nat.max j 1).

Definition part (knots : list Z) (j : nat) (x : R) : R :=
  clamp (entry_of (piece_ends knots) j) (entry_of (piece_ends knots) (S j)) x -
  piece_origin knots j.

Definition pieces (knots : list Z) (s : vec) (x : R) : R :=
  sum (S (length knots)) (fun j => s j * part knots j x).

(** The patch of x at position p. *)
Definition patch (patches : list (list nat)) (n p : nat) (x : vec) : vec :=
  fun i => padded n x (nth i (nth p patches []) n).

Definition apply_op (o : op) (n : nat) (x : vec) : vec :=
  match o with
  | Normalize mean std => fun i => (x i - entry_of mean i) / entry_of std i
  | Flatten => x
  | SortNeuron W rho k => fun o => neuron (cols W) (entry W o) (value rho) k x
  | SortConv patches W rho k => fun i =>
      let P := length patches in
      neuron (cols W) (entry W (i / P)) (value rho) k (patch patches n (i mod P) x)
  | Shift c => fun i => x i - entry_of c i
  | Bias c => fun i => x i + entry_of c i
  | Negate => fun i => - x i
  | Affine W b => fun o => sum (cols W) (fun j => entry W o j * x j) + entry_of b o
  | GroupSort s => fun i => order_stat s (fun j => x (i / s * s + j)%nat) (i mod s + 1)
  | Relu => fun i => Rmax (x i) 0
  | Abs => fun i => Rabs (x i)
  | Tanh => fun i => tanh (x i)
  | Rank patches k => fun p => order_stat (length (nth p patches [])) (patch patches n p x) k
  | Pieces knots slopes => fun i => pieces knots (entry slopes i) (x i)
  | Signed W C => fun o => sum (cols C) (fun j =>
      entry C o j * order_stat (cols W) (fun i => Rabs (x i - entry W o i)) (j + 1))
  end.

Fixpoint eval_ops (l : list op) (n : nat) (x : vec) : vec :=
  match l with
  | [] => x
  | o :: l' => eval_ops l' (out_size o n) (apply_op o n x)
  end.

(** The logits of a network at the input x, exactly. *)
Definition logits (N : network) (x : vec) : vec := eval_ops (ops N) (input_size N) x.

(** ** What a file says about its radius *)

(** Bit patterns again.
    - [Margin slack scale]: radius = max(0, (top1 - top2 - slack) * scale) in the box;
    - [Interval eps reach slack widen]: radius = eps where bounds over x_i -+ reach_i are more
      than slack apart; [widen] holds one pattern for each [Affine], in the order of the
      chain, by which the bounds are moved apart before it. *)
Inductive radius_kind :=
  | Margin (slack scale : Z)
  | Interval (eps : Z) (reach : list Z) (slack : Z) (widen : list Z).

Record file := File { file_network : network; file_radius : radius_kind }.
