(** * IntervalSemantics: what a host may compute for the radius of an interval file

    A host carries two numbers for each unit, bounds of the network's value over a ball. *)

From Coq Require Import Reals ZArith List.
From Flocq Require Import Core.
From SortNet Require Import Definitions.
From SortNet.float Require Import Network Rounding HostSemantics.
Import ListNotations.
Open Scope R_scope.

(** ** The ball *)

(** max(0, x - reach) and min(1, x + reach). *)
Inductive ball (reach x : R) : R -> R -> Prop :=
  | ball_computed below above below' above' :
      difference x reach below -> addition x reach above ->
      operand single below below' -> operand single above above' ->
      ball reach x (Rmax below' 0) (Rmin above' 1).

(** ** Bounds of a sorted neuron *)

(** The nominal coefficients, which the library's kernel uses. *)
Definition nominal_coefficient (c c' : R) : Prop :=
  c - bpow radix2 (-23) * c - bpow radix2 (-38) * c - coefficient_underflow <= c' <= c.

Definition weighted_neuron (n k : nat) (w c x : vec) : R :=
  sum k (fun j => c j * order_stat n (fun i => Rabs (x i - w i)) (j + 1)).

(** How far outside the exact bounds computed ones may be: relatively, and at all. *)
Definition looseness (k : nat) : R := INR (k + 16) * bpow radix2 (-22).
Definition bound_underflow : R := bpow radix2 (-90).

(** What kernels/include/sortnet.h says of sn_sort_bounds, for ordered inputs: the bounds
    enclose every value of the neuron with the nominal coefficients, and exceed what it
    attains by a few units in the last place only.  A host that finds l_i > h_i somewhere
    returns infinities, with which no comparison succeeds; the relation has no value then. *)
Inductive neuron_bounds_of (n : nat) (w : vec) (rho : R) (k : nat) (l h : vec) : R -> R -> Prop :=
  | enclosed_by_kernel (c xl xh : vec) lo hi :
      (forall i, (i < n)%nat -> l i <= h i) ->
      (forall j, (j < k)%nat -> nominal_coefficient (coefficient rho k j) (c j)) ->
      (forall x, (forall i, (i < n)%nat -> l i <= x i <= h i) ->
        lo <= weighted_neuron n k w c x <= hi) ->
      (forall i, (i < n)%nat -> l i <= xl i <= h i) ->
      (forall i, (i < n)%nat -> l i <= xh i <= h i) ->
      (1 - looseness k) * weighted_neuron n k w c xl - bound_underflow <= lo ->
      hi <= (1 + looseness k) * weighted_neuron n k w c xh + bound_underflow ->
      neuron_bounds_of n w rho k l h lo hi.

(** ** Operations on bounds *)

(** Operations that act on either bound as on a value. *)
Definition each_bound (o : op) : bool :=
  match o with
  | Normalize _ _ | Flatten | Shift _ | Bias _ | GroupSort _ | Relu | Tanh => true
  | _ => false
  end.

Inductive bounds_unit (n : nat) (l h : vec) (i : nat) : op -> R -> R -> Prop :=
  | bounds_each o lo hi :
      each_bound o = true -> computes_unit n l i o lo -> computes_unit n h i o hi ->
      bounds_unit n l h i o lo hi
  | bounds_negate lo hi :
      operand single (h i) lo -> operand single (l i) hi -> bounds_unit n l h i Negate (- lo) (- hi)
  | bounds_abs l1 h1 l2 h2 :
      operand single (l i) l1 -> operand single (h i) h1 ->
      operand single (l i) l2 -> operand single (h i) h2 ->
      bounds_unit n l h i Abs (Rmax (Rmax l1 (- h1)) 0) (Rmax h2 (- l2))
  | bounds_sort_neuron W rho k lo hi :
      neuron_bounds_of (cols W) (entry W i) (value rho) k l h lo hi ->
      bounds_unit n l h i (SortNeuron W rho k) lo hi
  | bounds_sort_conv patches W rho k lo hi :
      (let P := length patches in
       neuron_bounds_of (cols W) (entry W (i / P)) (value rho) k
         (patch patches n (i mod P) l) (patch patches n (i mod P) h) lo hi) ->
      bounds_unit n l h i (SortConv patches W rho k) lo hi.

Inductive bounds_ops : list op -> nat -> vec -> vec -> vec -> vec -> Prop :=
  | bounds_nil n l h l' h' :
      (forall i, (i < n)%nat -> l' i = l i) -> (forall i, (i < n)%nat -> h' i = h i) ->
      bounds_ops [] n l h l' h'
  | bounds_cons o ops n l h l1 h1 l' h' :
      (forall i, (i < out_size o n)%nat -> bounds_unit n l h i o (l1 i) (h1 i)) ->
      bounds_ops ops (out_size o n) l1 h1 l' h' -> bounds_ops (o :: ops) n l h l' h'.

(** [bounds N reach x l h]: bounds of the logits over the ball around x. *)
Inductive bounds (N : network) (reach : R) (x : vec) : vec -> vec -> Prop :=
  | bounds_computed l0 h0 l h :
      (forall i, (i < input_size N)%nat -> ball reach (x i) (l0 i) (h0 i)) ->
      bounds_ops (ops N) (input_size N) l0 h0 l h -> bounds N reach x l h.

(** ** The radius *)

(** The lower bound of the label's logit less the largest upper bound of another is more than
    the slack.  Then the radius is eps, else 0. *)
Inductive certifies (K : nat) (slack : R) (label : nat) (l h : vec) : Prop :=
  | certifies_apart best rival worst worst' slack' :
      operand single (l label) best ->
      (forall j, (j < K)%nat -> j <> label -> exists h', operand single (h j) h' /\ h' <= rival) ->
      (exists j, (j < K)%nat /\ j <> label /\ operand single (h j) rival) ->
      difference best rival worst ->
      operand single worst worst' -> operand single slack slack' -> slack' < worst' ->
      certifies K slack label l h.
