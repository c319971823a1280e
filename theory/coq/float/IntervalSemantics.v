(** * IntervalSemantics: what a host may compute for the radius of an interval file

    A host carries two numbers for each unit, bounds of the network's value over a ball. *)

From Coq Require Import Reals ZArith List.
From Flocq Require Import Core.
From SortNet Require Import Definitions.
From SortNet.float Require Import Network Rounding HostSemantics.
Import ListNotations.
Open Scope R_scope.

(** ** The ball *)

(** max(low, x - reach) and min(high, x + reach). *)
Inductive ball (low high reach x : R) : R -> R -> Prop :=
  | ball_computed below above below' above' low' high' :
      difference x reach below -> addition x reach above ->
      operand single below below' -> operand single above above' ->
      operand single low low' -> operand single high high' ->
      ball low high reach x (Rmax below' low') (Rmin above' high').

(** ** Bounds of a sorted neuron *)

(** The nominal coefficients, which the library's kernel uses. *)
Definition nominal_coefficient (c c' : R) : Prop :=
  c - bpow radix2 (-23) * c - bpow radix2 (-38) * c - coefficient_underflow <= c' <= c.

Definition weighted_neuron (n k : nat) (w c x : vec) : R :=
  sum k (fun j => c j * order_stat n (fun i => Rabs (x i - w i)) (j + 1)).

(** How far outside the exact bounds computed ones may be: relatively, and at all. *)
Definition looseness (k : nat) : R := INR (k + 16) * bpow radix2 (-22).
Definition bound_underflow : R := bpow radix2 (-90).

(** The function of the file, node by node: sums of the nearest and of the farthest
    distances, moved outward by (k + 8) 2^-23 of themselves and by 2^-100. *)
Definition outward (k : nat) : R := INR (k + 8) * bpow radix2 (-23).
Definition function_tiny : R := bpow radix2 (-100).

Inductive function_bounds (n : nat) (w : vec) (rho : R) (k : nat) (l h : vec) : R -> R -> Prop :=
  | function_computed (under over nearest farthest c d : vec) low part less out out' high more
      sum hi :
      (forall i, (i < n)%nat -> difference (l i) (w i) (under i)) ->
      (forall i, (i < n)%nat -> difference (w i) (h i) (over i)) ->
      (forall j, (j < k)%nat ->
        selected (order_stat n (fun i => Rmax (Rmax (under i) (over i)) 0) (j + 1)) (nearest j)) ->
      (forall j, (j < k)%nat ->
        selected (order_stat n (fun i => - Rmin (under i) (over i)) (j + 1)) (farthest j)) ->
      (forall j, (j < k)%nat -> host_coefficient (coefficient rho k j) (c j)) ->
      (forall j, (j < k)%nat -> host_coefficient (coefficient rho k j) (d j)) ->
      dot single (map (fun j => (c j, nearest j)) (seq 0 k)) low ->
      dot single (map (fun j => (d j, farthest j)) (seq 0 k)) high ->
      product low (outward k) part -> difference low part less ->
      difference less function_tiny out -> operand single out out' ->
      product high (outward k) more -> addition high more sum -> addition sum function_tiny hi ->
      function_bounds n w rho k l h (Rmax out' 0) hi.

(** With the library: what kernels/include/sortnet.h says of sn_sort_bounds, for ordered
    inputs.  Without it: the function.  In the first case the bounds
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
      neuron_bounds_of n w rho k l h lo hi
  | enclosed_by_function lo hi :
      (forall i, (i < n)%nat -> l i <= h i) ->
      function_bounds n w rho k l h lo hi -> neuron_bounds_of n w rho k l h lo hi.

(** ** Operations on bounds *)

(** Operations that act on either bound as on a value. *)
Definition each_bound (o : op) : bool :=
  match o with
  | Normalize _ _ | Flatten | Shift _ | Bias _ | GroupSort _ | Relu | Tanh | Rank _ _ => true
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

(** *** Affine operations: bounds are moved apart by d and multiplied in float64 *)

(** W+ low + W- high + b for a lower bound; with the two swapped, an upper bound. *)
Inductive affine_bound (n : nat) (w : vec) (b : R) (low high : vec) : R -> Prop :=
  | affine_bound_computed (p q low' high' : vec) b' up down up' down' z y :
      (forall j, (j < n)%nat -> operand single (Rmax (w j) 0) (p j)) ->
      (forall j, (j < n)%nat -> operand single (Rmin (w j) 0) (q j)) ->
      (forall j, (j < n)%nat -> operand single (low j) (low' j)) ->
      (forall j, (j < n)%nat -> operand single (high j) (high' j)) ->
      operand single b b' ->
      dot double ((b', 1) :: map (fun j => (p j, low' j)) (seq 0 n)) up ->
      dot double (map (fun j => (q j, high' j)) (seq 0 n)) down ->
      operand double up up' -> operand double down down' ->
      rounds double (up' + down') z -> cast z y ->
      affine_bound n w b low high y.

(** Bounds moved apart. *)
Definition apart (n : nat) (d : R) (l h lw hw : vec) : Prop :=
  forall j, (j < n)%nat -> difference (l j) d (lw j) /\ addition (h j) d (hw j).

(** [bounds_ops ops ds n l h rest l' h']: ds are the widenings that the file gives, as bit
    patterns, rest those that are left. *)
Inductive bounds_ops : list op -> list Z -> nat -> vec -> vec -> list Z -> vec -> vec -> Prop :=
  | bounds_nil ds n l h l' h' :
      (forall i, (i < n)%nat -> l' i = l i) -> (forall i, (i < n)%nat -> h' i = h i) ->
      bounds_ops [] ds n l h ds l' h'
  | bounds_cons o ops ds rest n l h l1 h1 l' h' :
      (forall W b, o <> Affine W b) ->
      (forall i, (i < out_size o n)%nat -> bounds_unit n l h i o (l1 i) (h1 i)) ->
      bounds_ops ops ds (out_size o n) l1 h1 rest l' h' ->
      bounds_ops (o :: ops) ds n l h rest l' h'
  | bounds_cons_affine W b d ops ds rest n l h lw hw l1 h1 l' h' :
      apart n (value d) l h lw hw ->
      (forall i, (i < rows W)%nat ->
        affine_bound (cols W) (entry W i) (entry_of b i) lw hw (l1 i) /\
        affine_bound (cols W) (entry W i) (entry_of b i) hw lw (h1 i)) ->
      bounds_ops ops ds (rows W) l1 h1 rest l' h' ->
      bounds_ops (Affine W b :: ops) (d :: ds) n l h rest l' h'.

(** Bounds of the value after the operations ops, over the ball around x. *)
Inductive bounds (ops : list op) (ds : list Z) (D : region) (reaches : list Z) (x : vec) :
    list Z -> vec -> vec -> Prop :=
  | bounds_computed l0 h0 rest l h :
      (forall i, (i < length (lows D))%nat ->
        ball (entry_of (lows D) i) (entry_of (highs D) i) (entry_of reaches i) (x i)
          (l0 i) (h0 i)) ->
      bounds_ops ops ds (length (lows D)) l0 h0 rest l h -> bounds ops ds D reaches x rest l h.

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

(** A last affine operation is bounded on the differences of its rows, in float64: for each
    class j a lower bound of (W_label - W_j) x + b_label - b_j. *)
Inductive pair_bound (n : nat) (w v : vec) (b c : R) (l h : vec) : R -> Prop :=
  | pair_bound_computed (w' v' r p q l' h' : vec) b' c' up down up' down' both both' bias bias' z
    y :
      (forall j, (j < n)%nat -> operand single (w j) (w' j)) ->
      (forall j, (j < n)%nat -> operand single (v j) (v' j)) ->
      (forall j, (j < n)%nat -> rounds double (w' j - v' j) (r j)) ->
      (forall j, (j < n)%nat -> operand double (Rmax (r j) 0) (p j)) ->
      (forall j, (j < n)%nat -> operand double (Rmin (r j) 0) (q j)) ->
      (forall j, (j < n)%nat -> operand single (l j) (l' j)) ->
      (forall j, (j < n)%nat -> operand single (h j) (h' j)) ->
      operand single b b' -> operand single c c' ->
      dot double (map (fun j => (p j, l' j)) (seq 0 n)) up ->
      dot double (map (fun j => (q j, h' j)) (seq 0 n)) down ->
      operand double up up' -> operand double down down' ->
      rounds double (up' + down') both -> operand double both both' ->
      rounds double (b' - c') bias -> operand double bias bias' ->
      rounds double (both' + bias') z -> cast z y ->
      pair_bound n w v b c l h y.

Inductive pairs_certify (W : matrix) (b : list Z) (slack : R) (label : nat) (l h : vec) : Prop :=
  | pairs_apart worst worst' slack' :
      (forall j, (j < rows W)%nat -> j <> label -> exists y y',
        pair_bound (cols W) (entry W label) (entry W j) (entry_of b label) (entry_of b j) l h y /\
        operand single y y' /\ worst <= y') ->
      operand single worst worst' -> operand single slack slack' -> slack' < worst' ->
      pairs_certify W b slack label l h.

(** A host finds the radius eps, and not 0, at x, where its label is [label]. *)
Inductive interval_radius (N : network) (reaches : list Z) (slack : R) (ds : list Z) (x : vec)
    (label : nat) : Prop :=
  | radius_of_bounds rest l h :
      (forall W b front, ops N <> front ++ [Affine W b]) ->
      bounds (ops N) ds (input N) reaches x rest l h ->
      certifies (classes N) slack label l h -> interval_radius N reaches slack ds x label
  | radius_of_pairs front W b d rest l h lw hw :
      ops N = front ++ [Affine W b] ->
      bounds front ds (input N) reaches x (d :: rest) l h ->
      apart (size_after front (input_size N)) (value d) l h lw hw ->
      pairs_certify W b slack label lw hw -> interval_radius N reaches slack ds x label.
