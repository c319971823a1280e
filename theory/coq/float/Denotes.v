(** * Denotes: what an accepted graph means

    A graph that is the forms of a chain of operations, word for word, followed by those of a
    radius, is believed to compute that chain and that radius. *)

From Coq Require Import ZArith List Bool String.
From SortNet.float Require Import Network Graph Wire Forms Margin Bounds.
Import ListNotations.
Local Open Scope string_scope.
Local Open Scope list_scope.

Section In.
Variable g : graph.

Definition node_outputs : list string := flat_map outputs (nodes g).
Definition constant_names : list string := map fst (constants g).

Fixpoint distinct (l : list string) : bool :=
  match l with
  | [] => true
  | a :: l' => negb (existsb (String.eqb a) l') && distinct l'
  end.

(** ONNX Runtime gives such names when it inlines a function. *)
Definition good_name (a : string) : bool :=
  negb (String.eqb a "") && negb (String.prefix "_inlfunc_" a).

Definition used_functions : list string :=
  filter (fun f => existsb (fun n => String.eqb (domain n) "ai.sortnet" &&
                                     String.eqb (operator n) f) (nodes g))
    ["SortNeuron"; "SortNeuronBounds"].

(** Each name is defined once; each constant is used; versions are those that the operators
    are defined by; the functions in the file are those that are used. *)
Definition well_formed : bool :=
  ((8 <=? ir_version g) && (ir_version g <=? 10))%Z &&
  list_eqb (fun a b => String.eqb (fst a) (fst b) && Z.eqb (snd a) (snd b)) (opsets g)
    [("", 18%Z); ("ai.sortnet", 1%Z)] &&
  list_eqb String.eqb (functions g) used_functions &&
  distinct (metadata_keys g) && negb (existsb (String.eqb "ort_config") (metadata_keys g)) &&
  distinct (filter (fun a => negb (String.eqb a "")) (node_names g)) &&
  distinct ("input" :: constant_names ++ node_outputs) &&
  forallb good_name (constant_names ++ node_outputs) &&
  forallb (fun c => existsb (String.eqb c) (flat_map inputs (nodes g))) constant_names.

(** A batch of samples, and what is computed of it. *)
Definition sample : option shape :=
  match graph_inputs g with
  | [Declared name type (None :: free)] =>
      check String.eqb name "input" && (type =? 1)%Z in
      let* dims := traverse (fun d => d) free in
      check forallb (fun d => (1 <=? d) && (d <=? largest_vector))%Z dims in
      match dims with
      | [] => None
      | [n] => Some (Flat n)
      | _ => check (fold_right Z.mul 1 dims <=? largest_vector)%Z in Some (Image dims)
      end
  | _ => None
  end.

Definition declares (start : shape) (k : input_kind) (classes : Z) : bool :=
  (2 <=? classes)%Z &&
  list_eqb declaration_eqb (graph_outputs g)
    ([Declared "logits" 1 [None; Some classes]; Declared "label" 7 [None];
      Declared "radius" 1 [None]] ++
     match k with Pixels => [] | Features _ => [Declared "unit" 1 (map Some (dims_in start))] end).

(** The file that the graph is, with so much work at most. *)
Inductive denotes (room : Z) : file -> Prop :=
  | denotes_margin start k D steps os classes n s t :
      well_formed = true ->
      sample = Some start ->
      nodes g = forms "input" steps ++ [label] ++ margin_form n ++ unit_form k ->
      result_of "input" steps = "logits" ->
      operations g room start steps = Some (os, Flat classes) ->
      declares start k classes = true ->
      margin_constants g start n = true ->
      region_of g start k (margin_box n) = Some D ->
      scalar g (slack n) = Some s ->
      scalar g (scale n) = Some t ->
      denotes room (File (Network D os) (Margin s t))
  | denotes_interval start k D steps os classes n e r s ws :
      well_formed = true ->
      sample = Some start ->
      nodes g = forms "input" steps ++ [label] ++ interval_form n ++ unit_form k ->
      result_of "input" steps = "logits" ->
      operations g room start steps = Some (os, Flat classes) ->
      declares start k classes = true ->
      bounds_steps n = steps ->
      ends_well n = true ->
      interval_constants g start classes n = true ->
      region_of g start k (interval_box n) = Some D ->
      scalar g (eps n) = Some e ->
      reaches_of g start k n = Some r ->
      scalar g (apart_slack n) = Some s ->
      widenings g n = Some ws ->
      denotes room (File (Network D os) (Interval e r s ws)).

End In.
