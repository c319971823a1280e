(** * Meaning: the forms compute the operations they stand for

    What the operators of ONNX compute over the real numbers, as far as an exported file uses
    them, on arrays with any number of samples; and the theorem that the nodes of a file that
    [denotes] a network compute the logits of that network for every sample.  Rounding is left
    to [HostSemantics.v]; here it is shapes, axes, broadcasting and layout that are checked. *)

From Coq Require Import Reals ZArith List Bool String Lia Arith.
From SortNet Require Import Definitions.
From SortNet.float Require Import Network Graph Wire Forms Margin Bounds Denotes.
Import ListNotations.
Local Open Scope string_scope.
Local Open Scope list_scope.
Local Open Scope nat_scope.

(** ** Arrays *)

(** Entries in row-major order. *)
Record array := Array { shape_of : list nat; entry_at : nat -> R }.

Definition volume (shape : list nat) : nat := fold_right Nat.mul 1 shape.

Definition map_array (f : R -> R) (x : array) : array :=
  Array (shape_of x) (fun i => f (entry_at x i)).

(** Broadcasting of a vector for each sample with the rows of a matrix. *)
Definition broadcast_rows (f : R -> R -> R) (x c : array) : option array :=
  match shape_of x, shape_of c with
  | [n; 1; i], [o; i'] =>
      if i =? i' then
        Some (Array [n; o; i] (fun e =>
          f (entry_at x (e / (o * i) * i + e mod i)) (entry_at c (e mod (o * i)))))
      else None
  | _, _ => None
  end.

(** Broadcasting of a vector along the last axis of three, which may have one entry. *)
Definition broadcast_last (f : R -> R -> R) (x c : array) : option array :=
  match shape_of x, shape_of c with
  | [n; m; q], [p] =>
      if q =? p then
        Some (Array [n; m; p] (fun e => f (entry_at x e) (entry_at c (e mod p))))
      else if q =? 1 then
        Some (Array [n; m; p] (fun e => f (entry_at x (e / p)) (entry_at c (e mod p))))
      else None
  | _, _ => None
  end.

(** Broadcasting of a scalar, and of one sample over all of a batch; or arrays of one shape. *)
Definition broadcast (f : R -> R -> R) (x c : array) : option array :=
  match shape_of c, shape_of x with
  | [], s => Some (Array s (fun i => f (entry_at x i) (entry_at c 0)))
  | d, n :: s =>
      if list_eq_dec Nat.eq_dec d s then
        Some (Array (n :: s) (fun i => f (entry_at x i) (entry_at c (i mod volume s))))
      else if list_eq_dec Nat.eq_dec d (n :: s) then
        Some (Array (n :: s) (fun i => f (entry_at x i) (entry_at c i)))
      else match broadcast_rows f x c with Some y => Some y | None => broadcast_last f x c end
  | _, [] => None
  end.

(** Truth is 1, falsity 0. *)
Definition truth {P Q : Prop} (a : {P} + {Q}) : R := if a then 1%R else 0%R.

(** The least of n >= 1 entries, and the first index of a largest one. *)
Fixpoint least_of (n : nat) (f : vec) : R :=
  match n with
  | O | 1 => f 0
  | S p => Rmin (least_of p f) (f p)
  end.

Fixpoint first_largest (n : nat) (f : vec) : nat :=
  match n with
  | O | 1 => 0
  | S p => let l := first_largest p f in if Rlt_dec (f l) (f p) then p else l
  end.

(** ** Operators *)

Section In.
Variable g : graph.

(** A constant of float32 numbers, and one of integers. *)
Definition float_constant (name : string) : option array :=
  match constant g name with
  | Some (Tensor Float d at_) => Some (Array (map Z.to_nat d) (fun i => value (at_ (Z.of_nat i))))
  | _ => None
  end.

Definition integer_constant (name : string) : option (list nat * (nat -> Z)) :=
  match constant g name with
  | Some (Tensor Int64 d at_) => Some (map Z.to_nat d, fun i => at_ (Z.of_nat i))
  | _ => None
  end.

(** The values that are known so far. *)
Definition environment := string -> option array.

Definition look (env : environment) (name : string) : option array :=
  match constant g name with Some _ => float_constant name | None => env name end.

Definition flattened (x : array) : option array :=
  match shape_of x with
  | n :: s => Some (Array [n; volume s] (entry_at x))
  | [] => None
  end.

(** A zero after each row. *)
Definition pad_one (x : array) : option array :=
  match shape_of x with
  | [n; d] =>
      Some (Array [n; S d] (fun i =>
        if i mod S d <? d then entry_at x (i / S d * d + i mod S d) else 0%R))
  | _ => None
  end.

Definition gather_columns (x : array) (m : nat) (index : nat -> Z) : option array :=
  match shape_of x with
  | [n; d] =>
      if forallb (fun i => (0 <=? index i)%Z && (index i <? Z.of_nat d)%Z) (seq 0 m) then
        Some (Array [n; m] (fun i => entry_at x (i / m * d + Z.to_nat (index (i mod m)))))
      else None
  | _ => None
  end.

(** For each sample one row for each row of indices. *)
Definition gather_windows (x : array) (p f : nat) (index : nat -> Z) : option array :=
  match gather_columns x (p * f) index, shape_of x with
  | Some y, n :: _ => Some (Array [n; p; f] (entry_at y))
  | _, _ => None
  end.

(** One row for each sample. *)
Definition one_row (x : array) : option array :=
  match shape_of x with
  | [n; d] => Some (Array [n; 1; d] (entry_at x))
  | _ => None
  end.

Definition one_column (x : array) : option array :=
  match shape_of x with
  | [n; d] => Some (Array [n; d; 1] (entry_at x))
  | _ => None
  end.

(** Sums along the last axis. *)
Definition sum_last (x : array) : option array :=
  match shape_of x with
  | [n; m; s] => Some (Array [n; m] (fun i => sum s (fun j => entry_at x (i * s + j))))
  | _ => None
  end.

(** One dimension is -1: as large as it must be. *)
Definition reshape (x : array) (rest : list nat) : option array :=
  let v := volume rest in
  if (1 <=? v) && (volume (shape_of x) / v * v =? volume (shape_of x)) then
    Some (Array (volume (shape_of x) / v :: rest) (entry_at x))
  else None.

Definition swap_last (x : array) : option array :=
  match shape_of x with
  | [n; p; o] =>
      Some (Array [n; o; p] (fun i =>
        entry_at x (i / (o * p) * (p * o) + (i mod (o * p)) mod p * o + (i mod (o * p)) / p)))
  | _ => None
  end.

(** The k largest along the last axis. *)
Definition largest_last (x : array) (k : nat) : option array :=
  match shape_of x with
  | [n; m; s] =>
      if k <=? s then
        Some (Array [n; m; k] (fun i =>
          order_stat s (fun j => entry_at x (i / k * s + j)) (i mod k + 1)))
      else None
  | _ => None
  end.

(** Entry c along the last axis. *)
Definition last_entry (x : array) (c : nat) : option array :=
  match shape_of x with
  | [n; m; s] => if c <? s then Some (Array [n; m] (fun i => entry_at x (i * s + c))) else None
  | _ => None
  end.

(** The k largest of each row, one column, the index of the first largest entry of each row,
    and the least entry of each sample. *)
Definition largest_columns (x : array) (k : nat) : option array :=
  match shape_of x with
  | [n; m] =>
      if k <=? m then
        Some (Array [n; k] (fun i =>
          order_stat m (fun j => entry_at x (i / k * m + j)) (i mod k + 1)))
      else None
  | _ => None
  end.

Definition column (x : array) (c : nat) : option array :=
  match shape_of x with
  | [n; m] => if c <? m then Some (Array [n] (fun i => entry_at x (i * m + c))) else None
  | _ => None
  end.

Definition largest_index (x : array) : option array :=
  match shape_of x with
  | [n; m] =>
      if 1 <=? m then
        Some (Array [n] (fun i => INR (first_largest m (fun j => entry_at x (i * m + j)))))
      else None
  | _ => None
  end.

Definition least_of_sample (x : array) : option array :=
  match shape_of x with
  | n :: s =>
      let m := volume s in
      if 1 <=? m then Some (Array [n] (fun i => least_of m (fun j => entry_at x (i * m + j))))
      else None
  | [] => None
  end.

(** a where c is true, else the scalar b. *)
Definition choose (c a b : array) : option array :=
  match shape_of b with
  | [] =>
      if list_eq_dec Nat.eq_dec (shape_of c) (shape_of a) then
        Some (Array (shape_of a) (fun i =>
          if Req_EM_T (entry_at c i) 0 then entry_at b 0 else entry_at a i))
      else None
  | _ => None
  end.

(** x W^T + b. *)
Definition gemm_transposed (x w b : array) : option array :=
  match shape_of x, shape_of w, shape_of b with
  | [n; i], [o; i'], [o'] =>
      if (i =? i') && (o =? o') then
        Some (Array [n; o] (fun e =>
          (sum i (fun j => entry_at w (e mod o * i + j) * entry_at x (e / o * i + j)) +
           entry_at b (e mod o))%R))
      else None
  | _, _, _ => None
  end.

(** A sorted neuron for each row of x and row of w. *)
Definition sorted_neurons (x w : array) (rho : R) (k : nat) : option array :=
  match shape_of x, shape_of w with
  | [n; i], [o; i'] =>
      if i =? i' then
        Some (Array [n; o] (fun e =>
          neuron i (fun j => entry_at w (e mod o * i + j)) rho k
            (fun j => entry_at x (e / o * i + j))))
      else None
  | _, _ => None
  end.

(** The first output of a node. *)
Definition node_value (env : environment) (n : node) : option array :=
  let plain_ name := String.eqb (operator n) name && list_eqb named_eqb (attributes n) [] in
  let with_ name a := String.eqb (operator n) name && list_eqb named_eqb (attributes n) a in
  match inputs n with
  | [a] =>
      let* x := look env a in
      if plain_ "Neg" then Some (map_array Ropp x)
      else if plain_ "Relu" then Some (map_array (fun v => Rmax v 0) x)
      else if plain_ "Abs" then Some (map_array Rabs x)
      else if plain_ "Tanh" then Some (map_array Rtrigo_def.tanh x)
      else if plain_ "Identity" then Some x
      else if with_ "Flatten" [("axis", Int 1)] then flattened x
      else if with_ "Cast" [("to", Int 1)] then Some x
      else if with_ "Cast" [("to", Int 11)] then Some x
      else if with_ "Transpose" [("perm", Ints [0; 2; 1]%Z)] then swap_last x
      else if
        with_ "ArgMax" [("axis", Int 1); ("keepdims", Int 0); ("select_last_index", Int 0)]
      then largest_index x
      else None
  | [a; b] =>
      let* x := look env a in
      if plain_ "Sub" then let* c := look env b in broadcast Rminus x c
      else if plain_ "Add" then let* c := look env b in broadcast Rplus x c
      else if plain_ "Div" then let* c := look env b in broadcast Rdiv x c
      else if plain_ "Unsqueeze" then
        if is_constant g b Int64 [1]%Z [1]%Z then one_row x
        else check is_constant g b Int64 [1]%Z [2]%Z in one_column x
      else if with_ "ReduceSum" [("keepdims", Int 0)] then
        check is_constant g b Int64 [1]%Z [2]%Z in sum_last x
      else if plain_ "Pad" then
        check is_constant g b Int64 [4]%Z [0; 0; 0; 1]%Z in pad_one x
      else if with_ "Gather" [("axis", Int 1)] then
        match integer_constant b with
        | Some ([], index) => check (0 <=? index 0%nat)%Z in column x (Z.to_nat (index 0))
        | Some ([m], index) => gather_columns x m index
        | Some ([p; f], index) => gather_windows x p f index
        | _ => None
        end
      else if with_ "Gather" [("axis", Int 2)] then
        match integer_constant b with
        | Some ([], index) => check (0 <=? index 0%nat)%Z in last_entry x (Z.to_nat (index 0))
        | _ => None
        end
      else if plain_ "Reshape" then
        match integer_constant b with
        | Some ([m], to) =>
            check (to 0%nat =? -1)%Z && forallb (fun i => (0 <? to i)%Z) (seq 1 (m - 1)) in
            reshape x (map (fun i => Z.to_nat (to i)) (seq 1 (m - 1)))
        | _ => None
        end
      else if with_ "TopK" [("axis", Int (-1)); ("largest", Int 1); ("sorted", Int 1)] then
        match integer_constant b with
        | Some ([1], k) => largest_last x (Z.to_nat (k 0))
        | _ => None
        end
      else if String.eqb (operator n) "SortNeuron" then
        match attributes n with
        | [(_, Int k); (_, Real rho)] =>
            let* w := look env b in sorted_neurons x w (value rho) (Z.to_nat k)
        | _ => None
        end
      else if with_ "TopK" [("axis", Int 1); ("largest", Int 1); ("sorted", Int 1)] then
        match integer_constant b with
        | Some ([1], k) => largest_columns x (Z.to_nat (k 0))
        | _ => None
        end
      else if with_ "ReduceMin" [("keepdims", Int 0)] then
        let rank := Nat.pred (List.length (shape_of x)) in
        check is_constant g b Int64 [Z.of_nat rank] (map Z.of_nat (seq 1 rank)) in
        least_of_sample x
      else
        let* c := look env b in
        if plain_ "Mul" then broadcast Rmult x c
        else if plain_ "Max" then broadcast Rmax x c
        else if plain_ "And" then broadcast Rmin x c
        else if plain_ "Min" then broadcast Rmin x c
        else if plain_ "GreaterOrEqual" then broadcast (fun a b => truth (Rle_dec b a)) x c
        else if plain_ "LessOrEqual" then broadcast (fun a b => truth (Rle_dec a b)) x c
        else if plain_ "Greater" then broadcast (fun a b => truth (Rlt_dec b a)) x c
        else None
  | [a; b; c] =>
      if with_ "Gemm" [("transB", Int 1)] then
        let* x := look env a in
        let* w := look env b in
        let* v := look env c in
        gemm_transposed x w v
      else if plain_ "Where" then
        let* x := look env a in
        let* y := look env b in
        let* z := look env c in
        choose x y z
      else None
  | _ => None
  end.

Definition bind (env : environment) (name : string) (x : array) : environment :=
  fun a => if String.eqb a name then Some x else env a.

(** The values after some nodes, in order. *)
Fixpoint evaluate (env : environment) (l : list node) : option environment :=
  match l with
  | [] => Some env
  | n :: l' =>
      match outputs n with
      | y :: _ => let* x := node_value env n in evaluate (bind env y x) l'
      | [] => None
      end
  end.

(** ** Samples *)

Definition dims_of (s : shape) : list nat := map Z.to_nat (dims_in s).

Definition count (s : shape) : nat := Z.to_nat (units s).

(** [holds s X n v]: the array v is n samples of the given shape, sample b being X b. *)
Definition holds (s : shape) (X : nat -> vec) (n : nat) (v : array) : Prop :=
  shape_of v = n :: dims_of s /\
  forall b i, b < n -> i < count s -> entry_at v (b * count s + i) = X b i.

(** ** Label and radius *)

(** The radius of a margin file, exactly: 0 outside the box. *)
Definition exact_radius (K : nat) (s t : Z) (y : vec) : R :=
  Rmax ((order_stat K y 1 - order_stat K y 2 - value s) * value t) 0.

End In.
