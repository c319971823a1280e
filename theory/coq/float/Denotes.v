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

(** A batch of images, and what is computed of it. *)
Definition image : option shape :=
  match graph_inputs g with
  | [Declared name type [None; Some c; Some h; Some w]] =>
      check String.eqb name "input" && (type =? 1)%Z in
      check ((1 <=? c) && (1 <=? h) && (1 <=? w) && (c <=? largest_vector) &&
             (h <=? largest_vector) && (w <=? largest_vector) &&
             (c * h * w <=? largest_vector))%Z in
      Some (Image c h w)
  | _ => None
  end.

Definition declares (classes : Z) : bool :=
  (2 <=? classes)%Z &&
  list_eqb declaration_eqb (graph_outputs g)
    [Declared "logits" 1 [None; Some classes]; Declared "label" 7 [None];
     Declared "radius" 1 [None]].

(** The file that the graph is, with so much work at most. *)
Inductive denotes (room : Z) : file -> Prop :=
  | denotes_margin start steps os classes n s t :
      well_formed = true ->
      image = Some start ->
      nodes g = forms "input" steps ++ [label] ++ margin_form n ->
      result_of "input" steps = "logits" ->
      operations g room start steps = Some (os, Flat classes) ->
      declares classes = true ->
      margin_constants g n = true ->
      scalar g (slack n) = Some s ->
      scalar g (scale n) = Some t ->
      denotes room (File (Network (Z.to_nat (units start)) os) (Margin s t))
  | denotes_interval start steps os classes n e r s ws :
      well_formed = true ->
      image = Some start ->
      nodes g = forms "input" steps ++ [label] ++ interval_form n ->
      result_of "input" steps = "logits" ->
      operations g room start steps = Some (os, Flat classes) ->
      declares classes = true ->
      bounds_steps n = steps ->
      ends_well n = true ->
      interval_constants g classes n = true ->
      scalar g (eps n) = Some e ->
      scalar g (reach n) = Some r ->
      scalar g (apart_slack n) = Some s ->
      widenings g n = Some ws ->
      denotes room (File (Network (Z.to_nat (units start)) os) (Interval e r s ws)).

End In.
