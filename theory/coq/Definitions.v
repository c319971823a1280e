(** * Definitions: everything that the statements speak about

    To believe the results it is enough to read this file and [Statements.v];
    the other files are proofs, and [Main.v] prints the axioms they rest on.

    Everything is over Coq's real numbers.  A vector of R^n is a function from
    indices to reals of which the entries 0, ..., n-1 are read; the dimension n is
    an argument of every definition below.  Norms are l-infinity norms. *)

From Coq Require Import Reals List Arith Bool.
Import ListNotations.
Open Scope R_scope.

Definition vec := nat -> R.

(** ** Sums, norm and distance *)

(** f 0 + ... + f (n-1) *)
Fixpoint sum (n : nat) (f : nat -> R) : R :=
  match n with
  | O => 0
  | S p => sum p f + f p
  end.

(** The largest of |x 0|, ..., |x (n-1)| (0 when n = 0). *)
Fixpoint norm (n : nat) (x : vec) : R :=
  match n with
  | O => 0
  | S p => Rmax (norm p x) (Rabs (x p))
  end.

Definition dist (n : nat) (x y : vec) : R := norm n (fun i => x i - y i).

(** The cube [0,1]^d. *)
Definition in_cube (d : nat) (x : vec) : Prop :=
  forall i, (i < d)%nat -> 0 <= x i <= 1.

(** f is 1-Lipschitz on the cube. *)
Definition lipschitz_on_cube (d : nat) (f : vec -> R) : Prop :=
  forall x y, in_cube d x -> in_cube d y -> Rabs (f x - f y) <= dist d x y.

(** The point x moved by t along axis k. *)
Definition along (x : vec) (k : nat) (t : R) : vec :=
  fun j => if (j =? k)%nat then x j + t else x j.

(** The points c 0, ..., c (n-1) of the cube are an eta-net of it. *)
Definition cube_net (d n : nat) (c : nat -> vec) (eta : R) : Prop :=
  (forall i, (i < n)%nat -> in_cube d (c i)) /\
  forall x, in_cube d x -> exists i, (i < n)%nat /\ dist d x (c i) <= eta.

(** ** Order statistics, by sorting from largest to smallest *)

Fixpoint insert (a : R) (l : list R) : list R :=
  match l with
  | [] => [a]
  | b :: l' => if Rle_dec b a then a :: b :: l' else b :: insert a l'
  end.

Fixpoint sort (l : list R) : list R :=
  match l with
  | [] => []
  | a :: l' => insert a (sort l')
  end.

(** The list x 0, ..., x (n-1). *)
Definition entries (n : nat) (x : vec) : list R := map x (seq 0 n).

(** x_(k), the k-th largest of x 0, ..., x (n-1), for k = 1, ..., n:
    k = 1 is the maximum and k = n the minimum. *)
Definition order_stat (n : nat) (x : vec) (k : nat) : R :=
  nth (k - 1) (sort (entries n x)) 0.

(** ** Layers *)

(** [layer n m]: a layer from R^n to R^m.
    - [affine W b]: x |-> W x + b;
    - [activation sigma]: a scalar function per unit, each unit may have its own;
    - [shift c]: x |-> x - c (mean shift with its running means);
    - [groupsort G q]: q groups of G consecutive units, each sorted;
    - [distance W b]: units ||x - W_i|| + b_i;
    - [sortnet w b]: units w_i^T sort(|x + b_i|), the general SortNet neuron. *)
Inductive layer : nat -> nat -> Type :=
  | affine (n m : nat) (W : nat -> vec) (b : vec) : layer n m
  | activation (n : nat) (sigma : nat -> R -> R) : layer n n
  | shift (n : nat) (c : vec) : layer n n
  | groupsort (G q : nat) : layer (q * G) (q * G)
  | distance (n m : nat) (W : nat -> vec) (b : vec) : layer n m
  | sortnet (n m : nat) (w b : nat -> vec) : layer n m.

(** What unit i of the layer computes. *)
Definition apply {n m : nat} (l : layer n m) (x : vec) : vec :=
  match l with
  | affine n _ W b => fun i => sum n (fun j => W i j * x j) + b i
  | activation _ sigma => fun i => sigma i (x i)
  | shift _ c => fun i => x i - c i
  | groupsort G _ => fun i =>
      order_stat G (fun j => x (i / G * G + j)%nat) (i mod G + 1)
  | distance n _ W b => fun i => dist n x (W i) + b i
  | sortnet n _ w b => fun i =>
      sum n (fun k => w i k * order_stat n (fun j => Rabs (x j + b i j)) (k + 1))
  end.

(** K bounds the norm of the layer: rows and SortNet weights have absolute sum at
    most K, activations are K-Lipschitz.  The other layers have norm 1 by nature. *)
Definition layer_norm {n m : nat} (l : layer n m) (K : R) : Prop :=
  match l with
  | affine n m W _ =>
      forall i, (i < m)%nat -> sum n (fun j => Rabs (W i j)) <= K
  | activation n sigma =>
      forall i, (i < n)%nat ->
      forall s t, Rabs (sigma i s - sigma i t) <= K * Rabs (s - t)
  | sortnet n m w _ =>
      forall i, (i < m)%nat -> sum n (fun k => Rabs (w i k)) <= K
  | shift _ _ | groupsort _ _ | distance _ _ _ _ => 1 <= K
  end.

(** ** Networks: any number of layers of any width, in any order *)

Inductive network (d : nat) : nat -> Type :=
  | input : network d d
  | after (n m : nat) (N : network d n) (l : layer n m) : network d m.
Arguments input {d}.
Arguments after {d n m} N l.

Fixpoint eval {d m : nat} (N : network d m) (x : vec) : vec :=
  match N with
  | input => x
  | after N' l => apply l (eval N' x)
  end.

(** Lipschitz network: every layer has norm at most 1, that is, absolute row sums
    at most 1 and 1-Lipschitz activations. *)
Fixpoint lipschitz_net {d m : nat} (N : network d m) : Prop :=
  match N with
  | input => True
  | after N' l => lipschitz_net N' /\ layer_norm l 1
  end.

(** L is at least a product of norms of the layers (1 for a Lipschitz network; weights
    that were rounded or never constrained have another). *)
Fixpoint net_norm {d m : nat} (N : network d m) (L : R) : Prop :=
  match N with
  | input => 1 <= L
  | after N' l =>
      exists L' K, net_norm N' L' /\ layer_norm l K /\ 0 <= K /\ K * L' <= L
  end.

(** The layers of a GroupSort(G) network: affine, activations, shifts, and sorting in
    groups of at most G. *)
Fixpoint groupsort_net (G : nat) {d m : nat} (N : network d m) : Prop :=
  match N with
  | input => True
  | after N' l =>
      groupsort_net G N' /\
      match l with
      | affine _ _ _ _ | activation _ _ | shift _ _ => True
      | groupsort H _ => (H <= G)%nat
      | distance _ _ _ _ | sortnet _ _ _ _ => False
      end
  end.

(** The number of sorting layers. *)
Fixpoint sorting_layers {d m : nat} (N : network d m) : nat :=
  match N with
  | input => 0
  | after N' l =>
      match l with
      | groupsort _ _ => S (sorting_layers N')
      | _ => sorting_layers N'
      end
  end.

(** The layers of a standard network: affine, per-unit activations (and shifts),
    nothing else.  A standard Lipschitz network is both [standard_net] and
    [lipschitz_net]. *)
Fixpoint standard_net {d m : nat} (N : network d m) : Prop :=
  match N with
  | input => True
  | after N' l =>
      standard_net N' /\
      match l with
      | affine _ _ _ _ | activation _ _ | shift _ _ => True
      | groupsort _ _ | distance _ _ _ _ | sortnet _ _ _ _ => False
      end
  end.

(** The layers of an l-infinity-distance net: distance layers and shifts. *)
Fixpoint distance_net {d m : nat} (N : network d m) : Prop :=
  match N with
  | input => True
  | after N' l =>
      distance_net N' /\
      match l with
      | distance _ _ _ _ | shift _ _ => True
      | affine _ _ _ _ | activation _ _ | groupsort _ _ | sortnet _ _ _ _ => False
      end
  end.

(** A GroupSort(G) chain: affine, GroupSort(G), affine, ..., GroupSort(G), affine, of any
    depth and widths.  MaxMin networks are the chains with G = 2. *)
Inductive groupsort_chain (G : nat) {d : nat} : forall {m : nat}, network d m -> Prop :=
  | chain_first m W b : groupsort_chain G (after input (affine d m W b))
  | chain_next q m (N : network d (q * G)) W b : groupsort_chain G N ->
      groupsort_chain G (after (after N (groupsort G q)) (affine (q * G) m W b)).

(** N' has a SortNet layer for each affine layer of the chain N, with the same weights;
    the units of such a layer share their offsets. *)
Inductive sortnet_of (G : nat) {d : nat} :
    forall {m : nat}, network d m -> network d m -> Prop :=
  | sortnet_of_first m W b c :
      sortnet_of G (after input (affine d m W b))
        (after input (sortnet d m W (fun _ => c)))
  | sortnet_of_next q m (N N' : network d (q * G)) W b c : sortnet_of G N N' ->
      sortnet_of G (after (after N (groupsort G q)) (affine (q * G) m W b))
        (after N' (sortnet (q * G) m W (fun _ => c))).

(** A row that holds a single +-1. *)
Definition single_weight (n : nat) (w : vec) : Prop :=
  exists j s, (j < n)%nat /\ (s = 1 \/ s = -1) /\
  forall k, (k < n)%nat -> w k = if (k =? j)%nat then s else 0.

(** N' has the layers and widths of N, and every row of its affine layers holds a
    single +-1. *)
Inductive selection_of {d : nat} : forall {m : nat}, network d m -> network d m -> Prop :=
  | selection_input : selection_of input input
  | selection_affine n m (N N' : network d n) W b W' b' : selection_of N N' ->
      (forall i, (i < m)%nat -> single_weight n (W' i)) ->
      selection_of (after N (affine n m W b)) (after N' (affine n m W' b'))
  | selection_sort G q (N N' : network d (q * G)) : selection_of N N' ->
      selection_of (after N (groupsort G q)) (after N' (groupsort G q)).

(** ** Mass *)

(** Pairs (x i, y i), i < m, of points of R^d: y i differs from x i in the
    coordinate [p i] only, by at most 1, and no coordinate is used twice. *)
Definition single_coordinate_pairs
    (d m : nat) (x y : nat -> vec) (p : nat -> nat) : Prop :=
  (forall i j, (i < m)%nat -> (j < d)%nat -> j <> p i -> y i j = x i j) /\
  (forall i, (i < m)%nat -> Rabs (y i (p i) - x i (p i)) <= 1) /\
  (forall i i', (i < m)%nat -> (i' < m)%nat -> p i = p i' -> i = i').

(** The summed change of a scalar function u over the pairs. *)
Definition mass (m : nat) (x y : nat -> vec) (u : vec -> R) : R :=
  sum m (fun i => Rabs (u (y i) - u (x i))).

(** ** Classifiers and the margin certificate *)

(** The margin certificate of class c at x is at least r:
    r <= (f_c(x) - max_{j <> c} f_j(x)) / 2, for a classifier f with C logits. *)
Definition certified (C : nat) (f : vec -> vec) (x : vec) (c : nat) (r : R) : Prop :=
  forall j, (j < C)%nat -> j <> c -> r <= (f x c - f x j) / 2.

(** Every logit is L-Lipschitz. *)
Definition lipschitz_logits (d C : nat) (f : vec -> vec) (L : R) : Prop :=
  forall x y j, (j < C)%nat -> Rabs (f x j - f y j) <= L * dist d x y.

(** The classifier f says class c at x (its logit is strictly the largest). *)
Definition predicts (C : nat) (f : vec -> vec) (x : vec) (c : nat) : Prop :=
  forall j, (j < C)%nat -> j <> c -> f x j < f x c.

(** ** Boolean functions *)

(** A point of {0,1}^d: the bits 0, ..., d-1 are read. *)
Definition bits := nat -> bool.

Definition to_vec (x : bits) : vec := fun i => if x i then 1 else 0.

(** |x|, the number of ones. *)
Fixpoint ones (d : nat) (x : bits) : nat :=
  match d with
  | O => O
  | S p => (ones p x + if x p then 1 else 0)%nat
  end.

(** g reads the first d bits only: a function {0,1}^d -> {0,1}. *)
Definition boolean_function (d : nat) (g : bits -> bool) : Prop :=
  forall x y, (forall i, (i < d)%nat -> x i = y i) -> g x = g y.

(** The first output of N is g on {0,1}^d. *)
Definition represents {d : nat} (N : network d 1) (g : bits -> bool) : Prop :=
  forall x, eval N (to_vec x) 0%nat = if g x then 1 else 0.

(** Circuits of AND and OR with fan-in 2; NOT stands at the variables and is free. *)
Inductive circuit : Type :=
  | constant (b : bool)
  | literal (negated : bool) (j : nat)
  | conjunction (a b : circuit)
  | disjunction (a b : circuit).

Fixpoint circuit_value (c : circuit) (x : bits) : bool :=
  match c with
  | constant b => b
  | literal negated j => xorb negated (x j)
  | conjunction a b => circuit_value a x && circuit_value b x
  | disjunction a b => circuit_value a x || circuit_value b x
  end.

Fixpoint circuit_depth (c : circuit) : nat :=
  match c with
  | constant _ | literal _ _ => 0
  | conjunction a b | disjunction a b => S (Nat.max (circuit_depth a) (circuit_depth b))
  end.

(** The circuit reads the variables 0, ..., d-1 only. *)
Fixpoint circuit_of (d : nat) (c : circuit) : Prop :=
  match c with
  | constant _ => True
  | literal _ j => (j < d)%nat
  | conjunction a b | disjunction a b => circuit_of d a /\ circuit_of d b
  end.

(** g(x) depends only on the number of ones. *)
Definition symmetric (d : nat) (g : bits -> bool) : Prop :=
  forall x y, ones d x = ones d y -> g x = g y.

Definition nonconstant (g : bits -> bool) : Prop := exists x y, g x <> g y.

(** g(k-1) <> g(k), for g a function of the number of ones. *)
Definition jump (d : nat) (g : bits -> bool) (k : nat) : Prop :=
  forall x y, ones d x = (k - 1)%nat -> ones d y = k -> g x <> g y.

(** The threshold function: at least k ones. *)
Definition threshold (d k : nat) (x : bits) : bool := (k <=? ones d x)%nat.

(** k consecutive ones, cyclically, starting at position s:
    positions s, s+1, ..., s+k-1 modulo d (for s < d). *)
Definition cyclic (d s k : nat) : bits := fun i => ((i + (d - s)) mod d <? k)%nat.

(** The 2d points of the data set for g(k-1) <> g(k). *)
Definition cyclic_data (d k : nat) (x : bits) : Prop :=
  exists s, (s < d)%nat /\ (x = cyclic d s (k - 1) \/ x = cyclic d s k).

(** Labels are classes 0 and 1. *)
Definition class_of (b : bool) : nat := if b then 1%nat else 0%nat.

(** The classifier labels a set of Boolean points as g does, each with a
    certified radius of at least r. *)
Definition certified_on
    (points : bits -> Prop) (g : bits -> bool) (C : nat) (f : vec -> vec) (r : R) : Prop :=
  forall x, points x -> certified C f (to_vec x) (class_of (g x)) r.

(** ** Random masks *)

(** The bits s with bit i set to b. *)
Definition update (s : bits) (i : nat) (b : bool) : bits :=
  fun j => if (j =? i)%nat then b else s j.

(** The expectation of F(s) when the bits s_0, ..., s_(n-1) are independent, each 0 with
    probability rho and 1 with probability 1 - rho. *)
Fixpoint expect (rho : R) (n : nat) (F : bits -> R) : R :=
  match n with
  | O => F (fun _ => false)
  | S p =>
      rho * expect rho p (fun s => F (update s p false)) +
      (1 - rho) * expect rho p (fun s => F (update s p true))
  end.
