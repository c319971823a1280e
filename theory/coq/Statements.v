(** * Statements: every result, as a proposition

    Read together with [Definitions.v].  Each [X_statement] is proved as the
    theorem [X]; [Main.v] checks that and prints the axioms used.
    Numbers such as 3.5 are those of the paper (Zhang, Jiang, He, Wang 2022). *)

From Coq Require Import Reals List Arith Permutation.
From SortNet Require Import Definitions.
Open Scope R_scope.

(** ** The definitions mean what they should *)

(** norm is the largest absolute entry: the least upper bound of them all. *)
Definition norm_is_max_statement : Prop :=
  forall n x r, 0 <= r ->
  (norm n x <= r <-> forall i, (i < n)%nat -> Rabs (x i) <= r).

(** sort returns the same numbers, from largest to smallest. *)
Definition sort_sorts_statement : Prop :=
  forall l,
  Permutation l (sort l) /\
  forall i j, (i <= j)%nat -> (j < length l)%nat -> nth j (sort l) 0 <= nth i (sort l) 0.

(** x_(k) is at least t exactly when at least k entries are. *)
Definition order_stat_counts_statement : Prop :=
  forall n x k t, (1 <= k <= n)%nat ->
  (t <= order_stat n x k <->
   (k <= ones n (fun i => if Rle_dec t (x i) then true else false))%nat).

(** The point of k cyclically consecutive ones has k ones. *)
Definition cyclic_ones_statement : Prop :=
  forall d s k, (s < d)%nat -> (k <= d)%nat -> ones d (cyclic d s k) = k.

(** Standard networks are the GroupSort networks with no sorting layer, and Lipschitz
    networks are those with norm 1 by construction. *)
Definition families_statement : Prop :=
  (forall d m (N : network d m),
     standard_net N <-> groupsort_net 0 N /\ sorting_layers N = 0%nat) /\
  (forall d m (N : network d m), lipschitz_net N -> net_norm N 1).

(** ** Mass lemma *)

(** Every unit of a standard Lipschitz network has mass at most 1. *)
Definition mass_lemma_statement : Prop :=
  forall d m x y p, single_coordinate_pairs d m x y p ->
  forall n (N : network d n), standard_net N -> lipschitz_net N ->
  forall i, (i < n)%nat -> mass m x y (fun z => eval N z i) <= 1.

(** Every unit of a Lipschitz network with s layers that sort in groups of at most G
    has mass at most G^s. *)
Definition mass_lemma_groupsort_statement : Prop :=
  forall d m x y p, single_coordinate_pairs d m x y p ->
  forall G n (N : network d n), groupsort_net G N -> lipschitz_net N ->
  forall i, (i < n)%nat ->
  mass m x y (fun z => eval N z i) <= INR G ^ sorting_layers N.

(** With layers whose norms multiply to L, mass is at most L G^s. *)
Definition mass_lemma_norm_statement : Prop :=
  forall d m x y p, single_coordinate_pairs d m x y p ->
  forall G n (N : network d n) L, groupsort_net G N -> net_norm N L ->
  forall i, (i < n)%nat ->
  mass m x y (fun z => eval N z i) <= L * INR G ^ sorting_layers N.

(** ** Lipschitz continuity *)

(** Every order statistic is 1-Lipschitz. *)
Definition order_stat_lipschitz_statement : Prop :=
  forall n x y k, Rabs (order_stat n x k - order_stat n y k) <= dist n x y.

(** Every composition of affine layers and SortNet layers with absolute row sums at
    most 1, 1-Lipschitz activations, shifts, GroupSort and distance layers, of any depth
    and width, is 1-Lipschitz. *)
Definition network_lipschitz_statement : Prop :=
  forall d m (N : network d m), lipschitz_net N -> lipschitz_logits d m (eval N) 1.

(** A network with layers whose norms multiply to L is L-Lipschitz. *)
Definition network_norm_statement : Prop :=
  forall d m (N : network d m) L, net_norm N L -> lipschitz_logits d m (eval N) L.

(** A general SortNet neuron, w^T sort(|x + b|) with |w_1| + ... + |w_n| <= 1, is
    1-Lipschitz. *)
Definition sortnet_neuron_lipschitz_statement : Prop :=
  forall n (w b : vec), sum n (fun k => Rabs (w k)) <= 1 ->
  let u x := sum n (fun k => w k * order_stat n (fun j => Rabs (x j + b j)) (k + 1)) in
  forall x y, Rabs (u x - u y) <= dist n x y.

(** A SortNet neuron with w = (1, 0, ..., 0) and b = - c is the distance ||x - c||. *)
Definition sortnet_contains_distance_statement : Prop :=
  forall n (c x : vec), (0 < n)%nat ->
  sum n (fun k => (if (k =? 0)%nat then 1 else 0) *
                  order_stat n (fun j => Rabs (x j + - c j)) (k + 1)) = dist n x c.

(** On a box every GroupSort(G) chain is a SortNet, layer for layer and with the same
    weights, up to a constant for each output. *)
Definition sortnet_contains_groupsort_statement : Prop :=
  forall G d m (N : network d m) r, groupsort_chain G N ->
  exists (N' : network d m) s, sortnet_of G N N' /\ (lipschitz_net N -> lipschitz_net N') /\
  forall x, (forall j, (j < d)%nat -> Rabs (x j) <= r) ->
  forall i, (i < m)%nat -> eval N x i = eval (after N' (shift m s)) x i.

(** ** Theorem 3.5: Boolean functions *)

(** Every non-constant symmetric Boolean function has a jump k; and at every jump, a
    standard Lipschitz classifier that labels the 2d cyclic points right, each with a
    certified radius of at least r, has r <= 1/(2d). *)
Definition theorem_3_5_statement : Prop :=
  forall d g, symmetric d g -> nonconstant g ->
  (exists k, (1 <= k <= d)%nat /\ jump d g k) /\
  forall k, (1 <= k <= d)%nat -> jump d g k ->
  forall C (N : network d C) r, (2 <= C)%nat -> standard_net N -> lipschitz_net N ->
  certified_on (cyclic_data d k) g C (eval N) r -> r <= 1 / (2 * INR d).

(** 3.5 is tight for every threshold function: one affine layer with weights +-1/d
    reaches 1/(2d), and on all vertices of the cube. *)
Definition theorem_3_5_tight_statement : Prop :=
  forall d k, (1 <= k <= d)%nat ->
  exists W b, let N := after input (affine d 2 W b) in
  standard_net N /\ lipschitz_net N /\
  (forall i j, (i < 2)%nat -> (j < d)%nat -> Rabs (W i j) = 1 / INR d) /\
  certified_on (fun _ => True) (threshold d k) 2 (eval N) (1 / (2 * INR d)).

(** 3.5 is tight for every symmetric function: one affine layer with weights 1/d and
    one 1-Lipschitz activation per logit reach 1/(2d) on all vertices of the cube. *)
Definition theorem_3_5_tight_symmetric_statement : Prop :=
  forall d g, (0 < d)%nat -> symmetric d g ->
  exists W b sigma,
  let N := after (after input (affine d 2 W b)) (activation 2 sigma) in
  standard_net N /\ lipschitz_net N /\
  certified_on (fun _ => True) g 2 (eval N) (1 / (2 * INR d)).

(** ** Theorem 3.6: order statistics *)

(** Every unit of a standard Lipschitz network is, somewhere on the cube, at least
    1/2 - 1/(2d) away from the k-th largest entry, for every k. *)
Definition theorem_3_6_statement : Prop :=
  forall d k, (1 <= k <= d)%nat ->
  forall n (N : network d n) i, (i < n)%nat -> standard_net N -> lipschitz_net N ->
  exists x, in_cube d x /\
  1 / 2 - 1 / (2 * INR d) <= Rabs (eval N x i - order_stat d x k).

(** 3.6 is tight for every k: the mean of the entries plus a constant stays within
    1/2 - 1/(2d) of the k-th largest on the whole cube. *)
Definition theorem_3_6_tight_statement : Prop :=
  forall d k, (1 <= k <= d)%nat ->
  exists c, let N := after input (affine d 1 (fun _ _ => 1 / INR d) (fun _ => c)) in
  standard_net N /\ lipschitz_net N /\
  forall x, in_cube d x ->
  Rabs (eval N x 0%nat - order_stat d x k) <= 1 / 2 - 1 / (2 * INR d).

(** ** The G^s bounds behind Theorem 3.9 *)

(** With s layers that sort in groups of at most G, the certified radius in 3.5 is at
    most min(1/2, G^s / (2d)). *)
Definition groupsort_radius_statement : Prop :=
  forall d g, symmetric d g ->
  forall k, (1 <= k <= d)%nat -> jump d g k ->
  forall G C (N : network d C) r, (2 <= C)%nat -> groupsort_net G N -> lipschitz_net N ->
  certified_on (cyclic_data d k) g C (eval N) r ->
  r <= Rmin (1 / 2) (INR G ^ sorting_layers N / (2 * INR d)).

(** With layers whose norms multiply to L, that radius is at most
    L min(1/2, G^s / (2d)). *)
Definition groupsort_radius_norm_statement : Prop :=
  forall d g, symmetric d g ->
  forall k, (1 <= k <= d)%nat -> jump d g k ->
  forall G C (N : network d C) L r, (2 <= C)%nat -> groupsort_net G N -> net_norm N L ->
  certified_on (cyclic_data d k) g C (eval N) r ->
  r <= L * Rmin (1 / 2) (INR G ^ sorting_layers N / (2 * INR d)).

(** With s layers that sort in groups of at most G, the error in 3.6 is at least
    1/2 - G^s / (2d). *)
Definition groupsort_error_statement : Prop :=
  forall d k, (1 <= k <= d)%nat ->
  forall G n (N : network d n) i, (i < n)%nat -> groupsort_net G N -> lipschitz_net N ->
  exists x, in_cube d x /\
  1 / 2 - INR G ^ sorting_layers N / (2 * INR d) <= Rabs (eval N x i - order_stat d x k).

(** With layers whose norms multiply to L, that error is at least 1/2 - L G^s / (2d). *)
Definition groupsort_error_norm_statement : Prop :=
  forall d k, (1 <= k <= d)%nat ->
  forall G n (N : network d n) L i, (i < n)%nat -> groupsort_net G N -> net_norm N L ->
  exists x, in_cube d x /\
  1 / 2 - L * INR G ^ sorting_layers N / (2 * INR d) <= Rabs (eval N x i - order_stat d x k).

(** A GroupSort(G) network equal to an order statistic on the cube (k = 1: the
    maximum) has s sorting layers with G^s >= d: at least log_G d of them. *)
Definition groupsort_depth_statement : Prop :=
  forall d k, (1 <= k <= d)%nat ->
  forall G n (N : network d n) i, (i < n)%nat -> groupsort_net G N -> lipschitz_net N ->
  (forall x, in_cube d x -> eval N x i = order_stat d x k) ->
  (d <= G ^ sorting_layers N)%nat.

(** The depth bound is attained: for every d <= G^s, a tournament with s layers of
    GroupSort(G) equals the maximum of d entries. *)
Definition theorem_3_9_tight_statement : Prop :=
  forall G d s, (1 <= d <= G ^ s)%nat ->
  exists N : network d 1,
  groupsort_net G N /\ lipschitz_net N /\ sorting_layers N = s /\
  forall x, eval N x 0%nat = order_stat d x 1.

(** A classifier with L-Lipschitz logits, of whatever family, has certified radius at
    most L/2 on the cyclic points. *)
Definition lipschitz_radius_statement : Prop :=
  forall d g, symmetric d g ->
  forall k, (1 <= k <= d)%nat -> jump d g k ->
  forall C f L r, (2 <= C)%nat -> 0 <= L -> lipschitz_logits d C f L ->
  certified_on (cyclic_data d k) g C f r -> r <= L / 2.

(** ** Theorem 3.8: distance nets represent Boolean functions and order statistics *)

(** Every Boolean function is equal on {0,1}^d to an l-infinity-distance net with two
    layers. *)
Definition theorem_3_8_boolean_statement : Prop :=
  forall d g, (0 < d)%nat -> boolean_function d g ->
  exists m W b W' b', let N := after (after input (distance d m W b)) (distance m 1 W' b') in
  forall x, eval N (to_vec x) 0%nat = if g x then 1 else 0.

(** Every Boolean function has an l-infinity-distance net with two layers that labels
    all of {0,1}^d right with certified radius 1/2. *)
Definition theorem_3_8_radius_statement : Prop :=
  forall d g, (0 < d)%nat -> boolean_function d g ->
  exists m W b W' b', let N := after (after input (distance d m W b)) (distance m 2 W' b') in
  lipschitz_net N /\ certified_on (fun _ => True) g 2 (eval N) (1 / 2).

(** Every order statistic is equal on [0,1]^d to an l-infinity-distance net with two
    layers. *)
Definition theorem_3_8_order_statistic_statement : Prop :=
  forall d k, (1 <= k <= d)%nat ->
  exists m W b W' b', let N := after (after input (distance d m W b)) (distance m 1 W' b') in
  forall x, in_cube d x -> eval N x 0%nat = order_stat d x k.

(** On every segment parallel to an axis there is a shorter one on which each unit of a
    distance net, of any depth and width, is affine with slope -1, 0 or 1. *)
Definition distance_slopes_statement : Prop :=
  forall d m (N : network d m), distance_net N ->
  forall x k a b, a < b ->
  exists a' b', a <= a' /\ a' < b' /\ b' <= b /\
  forall i, (i < m)%nat -> exists c v, (c = -1 \/ c = 0 \/ c = 1) /\
  forall t, a' <= t <= b' -> eval N (along x k t) i = c * t + v.

(** So no distance net is the mean of two entries on the cube, which is one affine layer. *)
Definition distance_not_mean_statement : Prop :=
  forall d (N : network d 1), (2 <= d)%nat -> distance_net N ->
  exists x, in_cube d x /\ eval N x 0%nat <> (x 0%nat + x 1%nat) / 2.

(** ** Theorems 3.10 and 3.11: MaxMin networks *)

(** 3.10, reduction: if a MaxMin network represents a non-constant g on {0,1}^d, so does
    one of the same shape in which every row holds a single +-1. *)
Definition theorem_3_10_selection_statement : Prop :=
  forall d (N : network d 1) g, groupsort_chain 2 N -> lipschitz_net N ->
  represents N g -> nonconstant g ->
  exists N', selection_of N N' /\ represents N' g.

(** 3.10, circuits: MaxMin networks with at most M sorting layers represent exactly the
    functions of the circuits of depth at most M. *)
Definition theorem_3_10_circuits_statement : Prop :=
  forall d M g,
  (exists N : network d 1, groupsort_chain 2 N /\ lipschitz_net N /\
     (sorting_layers N <= M)%nat /\ represents N g) <->
  (exists c, circuit_of d c /\ (circuit_depth c <= M)%nat /\
     forall x, circuit_value c x = g x).

(** 3.10, counting: MaxMin networks with at most M sorting layers, of any width,
    represent at most (2d+2)^(2^M) 2^(2^M - 1) functions on {0,1}^d. *)
Definition theorem_3_10_counting_statement : Prop :=
  forall d M, exists L : list (bits -> bool),
  (length L = (2 * d + 2) ^ 2 ^ M * 2 ^ (2 ^ M - 1))%nat /\
  forall (N : network d 1) g, groupsort_chain 2 N -> lipschitz_net N ->
  (sorting_layers N <= M)%nat -> represents N g ->
  exists g', In g' L /\ forall x, g' x = g x.

(** If MaxMin networks with at most M sorting layers represent every Boolean function of
    d variables, then M >= d - log2 (log2 (2d+2) + 1): first without logarithms, then with
    both of them rounded up. *)
Definition theorem_3_10_depth_statement : Prop :=
  forall d M,
  (forall g, boolean_function d g ->
     exists N : network d 1, groupsort_chain 2 N /\ lipschitz_net N /\
     (sorting_layers N <= M)%nat /\ represents N g) ->
  (2 ^ 2 ^ d <= (2 * (2 * d + 2)) ^ 2 ^ M)%nat /\
  (d <= M + Nat.log2_up (Nat.log2_up (2 * d + 2) + 1))%nat.

(** 3.11, in one step: a MaxMin network with at most M sorting layers, of any width, that
    is closer than 1 / (2 4^(d (M+1))) to g on {0,1}^d makes g a circuit of depth at most
    M. *)
Definition theorem_3_11_circuit_statement : Prop :=
  forall d M (N : network d 1) g eps, boolean_function d g ->
  groupsort_chain 2 N -> lipschitz_net N -> (sorting_layers N <= M)%nat ->
  eps < 1 / (2 * 4 ^ (d * (M + 1))) ->
  (forall x, Rabs (eval N (to_vec x) 0%nat - if g x then 1 else 0) <= eps) ->
  exists c, circuit_of d c /\ (circuit_depth c <= M)%nat /\
  forall x, circuit_value c x = g x.

(** 3.11, finite form: where the count of 3.10 is less than the number of all functions,
    some 1-Lipschitz f is missed by every MaxMin network with at most M sorting layers,
    of any width, by at least 1 / (2 4^(d (M+1))) somewhere on the cube. *)
Definition theorem_3_11_finite_statement : Prop :=
  forall d M, ((2 * d + 2) ^ 2 ^ M * 2 ^ (2 ^ M - 1) < 2 ^ 2 ^ d)%nat ->
  exists f, (forall x y, Rabs (f x - f y) <= dist d x y) /\
  forall N : network d 1, groupsort_chain 2 N -> lipschitz_net N ->
  (sorting_layers N <= M)%nat ->
  exists x, in_cube d x /\
  1 / (2 * 4 ^ (d * (M + 1))) <= Rabs (eval N x 0%nat - f x).

(** 3.11: MaxMin networks of depth M(d) = o(d) are not universal approximators: for every
    large d some 1-Lipschitz f is missed by all of them, of any width, by an eps > 0. *)
Definition theorem_3_11_statement : Prop :=
  forall M : nat -> nat,
  (forall a, 0 < a -> exists d0, forall d, (d0 <= d)%nat -> INR (M d) <= a * INR d) ->
  exists d0, forall d, (d0 <= d)%nat ->
  exists f eps, (forall x y, Rabs (f x - f y) <= dist d x y) /\ 0 < eps /\
  forall N : network d 1, groupsort_chain 2 N -> lipschitz_net N ->
  (sorting_layers N <= M d)%nat ->
  exists x, in_cube d x /\ eps <= Rabs (eval N x 0%nat - f x).

(** ** Universality (McShane) *)

(** From an eta-net, a two-layer l-infinity-distance net is max_i (f(c_i) - ||x - c_i||)
    on the cube, at most f and at least f - 2 eta. *)
Definition mcshane_statement : Prop :=
  forall d f n c eta, lipschitz_on_cube d f -> cube_net d n c eta ->
  exists W b W' b', let N := after (after input (distance d n W b)) (distance n 1 W' b') in
  forall x, in_cube d x ->
  eval N x 0%nat = order_stat n (fun i => f (c i) - dist d x (c i)) 1 /\
  f x - 2 * eta <= eval N x 0%nat <= f x.

(** 2 eta is attained, by f = - ||x - x0|| at a point x0 that is at distance eta from the
    nearest centre. *)
Definition mcshane_tight_statement : Prop :=
  forall d n c x0 eta,
  (exists i, (i < n)%nat /\ dist d x0 (c i) = eta) ->
  (forall i, (i < n)%nat -> eta <= dist d x0 (c i)) ->
  let f x := - dist d x x0 in
  (forall x y, Rabs (f x - f y) <= dist d x y) /\
  order_stat n (fun i => f (c i) - dist d x0 (c i)) 1 = f x0 - 2 * eta.

(** The centres of k^d equal cubes are a 1/(2k)-net. *)
Definition grid_net_statement : Prop :=
  forall d k, (0 < k)%nat -> exists c, cube_net d (k ^ d) c (1 / (2 * INR k)).

(** Two-layer l-infinity-distance nets are universal: k^d hidden units approximate every
    1-Lipschitz function on the cube within 1/(2k). *)
Definition distance_universal_statement : Prop :=
  forall d f k, (0 < k)%nat -> lipschitz_on_cube d f ->
  exists W b W' b',
  let N := after (after input (distance d (k ^ d) W b)) (distance (k ^ d) 1 W' b') in
  lipschitz_net N /\
  forall x, in_cube d x -> Rabs (eval N x 0%nat - f x) <= 1 / (2 * INR k).

(** ** The dropout identity *)

(** When every input is dropped with probability rho, the expected largest of the kept
    |x_i| is the sorted sum with weights (1 - rho) rho^(k-1). *)
Definition dropout_identity_statement : Prop :=
  forall rho n x,
  expect rho n (fun s => norm n (fun i => if s i then x i else 0)) =
  sum n (fun k => (1 - rho) * rho ^ k * order_stat n (fun i => Rabs (x i)) (k + 1)).

(** ** The certificate *)

(** Margin certificate: where logits with Lipschitz constant L have a margin, the
    prediction is constant within radius margin / (2L). *)
Definition margin_certificate_statement : Prop :=
  forall d C f L x c margin, 0 < L -> (c < C)%nat -> lipschitz_logits d C f L ->
  (forall j, (j < C)%nat -> j <> c -> margin <= f x c - f x j) ->
  forall x', dist d x x' < margin / (2 * L) -> predicts C f x' c.

(** At distance exactly margin / (2L) the class still has a largest logit, though
    perhaps not the only one. *)
Definition margin_certificate_closed_statement : Prop :=
  forall d C f L x c margin, 0 < L -> (c < C)%nat -> lipschitz_logits d C f L ->
  (forall j, (j < C)%nat -> j <> c -> margin <= f x c - f x j) ->
  forall x', dist d x x' <= margin / (2 * L) ->
  forall j, (j < C)%nat -> f x' j <= f x' c.

(** From weights to radius: in a Lipschitz network the prediction is constant within
    half the margin. *)
Definition weights_to_radius_statement : Prop :=
  forall d C (N : network d C), lipschitz_net N ->
  forall x c r, (c < C)%nat -> certified C (eval N) x c r ->
  forall x', dist d x x' < r -> predicts C (eval N) x' c.

(** From weights to radius, for layers whose norms multiply to L: the certified radius
    is divided by L. *)
Definition weights_to_radius_norm_statement : Prop :=
  forall d C (N : network d C) L, 0 < L -> net_norm N L ->
  forall x c r, (c < C)%nat -> certified C (eval N) x c r ->
  forall x', dist d x x' < r / L -> predicts C (eval N) x' c.

(** With rounding, seen from the exact network: logits [computed] at x alone, each
    within E of the exact ones, give the exact network the radius
    (computed margin - 2E) / (2L). *)
Definition computed_margin_statement : Prop :=
  forall d C f L x c margin E computed, 0 < L -> lipschitz_logits d C f L ->
  (c < C)%nat ->
  (forall j, (j < C)%nat -> Rabs (computed j - f x j) <= E) ->
  (forall j, (j < C)%nat -> j <> c -> margin <= computed c - computed j) ->
  forall x', dist d x x' < (margin - 2 * E) / (2 * L) -> predicts C f x' c.

(** With rounding, seen from the program: if its outputs [computed] are within E of
    the exact logits on the ball of radius r = (computed margin - 4E) / (2L) around
    x, then the program itself says the same class on that ball. *)
Definition rounded_certificate_statement : Prop :=
  forall d C f L x c margin E computed, 0 < L -> lipschitz_logits d C f L ->
  (c < C)%nat ->
  let r := (margin - 4 * E) / (2 * L) in
  (forall x' j, (j < C)%nat -> dist d x x' <= r -> Rabs (computed x' j - f x' j) <= E) ->
  (forall j, (j < C)%nat -> j <> c -> margin <= computed x c - computed x j) ->
  forall x', dist d x x' < r -> predicts C computed x' c.
