(** * Recognise: the file that a graph denotes

    Names are taken from where they stand in the graph, without any check, and the nodes that
    these names ask for are compared with those of the graph word for word: what the guess
    is wrong about cannot be accepted. *)

From Coq Require Import ZArith List Bool String.
From SortNet.float Require Import Network Graph Wire Forms Margin Bounds Denotes.
Import ListNotations.
Local Open Scope string_scope.
Local Open Scope list_scope.

(** ** The guess *)

Definition no_node : node := Node "" "" [] [] [].

(** Input j, output j and attributes of the i-th of some nodes. *)
Definition input_name (l : list node) (i j : nat) : string := nth j (inputs (nth i l no_node)) "".
Definition output_name (l : list node) (i j : nat) : string := nth j (outputs (nth i l no_node)) "".
Definition int_of (l : list node) (i : nat) : Z :=
  match attributes (nth i l no_node) with (_, Int k) :: _ => k | _ => 0%Z end.
Definition real_of (l : list node) (i : nat) : Z :=
  match attributes (nth i l no_node) with [_; (_, Real rho)] => rho | _ => 0%Z end.

Definition guess (l : list node) : step :=
  let is i name := String.eqb (operator (nth i l no_node)) name in
  let i := input_name l in
  let o := output_name l in
  if is 0%nat "SortNeuron" then Sorted (i 0 1) (real_of l 0) (int_of l 0) (o 0 0)
  else if is 0%nat "Sub" then
    if is 1%nat "Div" then Normalized (i 0 1) (i 1 1) (o 0 0) (o 1 0)
    else Shifted (i 0 1) (o 0 0)
  else if is 0%nat "Add" then Biased (i 0 1) (o 0 0)
  else if is 0%nat "Neg" then Negated (o 0 0)
  else if is 0%nat "Flatten" then Flattened (o 0 0)
  else if is 0%nat "Cast" then
    Mapped (i 0 0) (i 1 0) (o 0 0) (o 1 0) (o 2 0) (o 3 0) (o 4 0)
  else if is 0%nat "Reshape" then Grouped (i 0 1) (i 1 1) (o 0 0) (o 1 0) (o 1 1) (o 2 0)
  else if is 0%nat "Unsqueeze" && is 1%nat "Max" then
    Pieced (i 0 1) (i 1 1) (i 2 1) (i 3 1) (i 4 1) (o 0 0) (o 1 0) (o 2 0) (o 3 0) (o 4 0) (o 5 0)
  else if is 0%nat "Unsqueeze" then
    Weighted (i 1 1) (i 4 1) (i 0 1) (i 5 1) (i 3 1) (o 0 0) (o 1 0) (o 2 0) (o 3 0) (o 3 1)
      (o 4 0) (o 5 0)
  else if is 0%nat "Pad" && is 2%nat "TopK" then
    Ranked (i 0 1) (i 1 1) (i 2 1) (i 3 1) (o 0 0) (o 1 0) (o 2 0) (o 2 1) (o 3 0)
  else if is 0%nat "Pad" then
    Convolved (i 0 1) (i 1 1) (i 2 1) (i 3 1) (i 4 1) (real_of l 3) (int_of l 3)
      (o 0 0) (o 1 0) (o 2 0) (o 3 0) (o 4 0) (o 5 0) (o 6 0)
  else Activated (operator (nth 0 l no_node)) (o 0 0).
Arguments guess : simpl never.

Definition guess_box (l : list node) : box :=
  let i := input_name l in
  let o := output_name l in
  Box (i 0 1) (i 1 1) (i 4 1) (i 5 1) (o 0 0) (o 1 0) (o 2 0) (o 3 0) (o 4 0) (o 5 0).

Definition guess_margin (l : list node) : margin :=
  let i := input_name l in
  let o := output_name l in
  Margins (i 0 1) (i 1 1) (i 2 1) (i 4 1) (i 5 1)
    (o 0 0) (o 0 1) (o 1 0) (o 2 0) (o 3 0) (o 4 0) (o 5 0) (o 6 0) (guess_box (skipn 7 l)).

(** A file of features ends with their units. *)
Definition guess_kind (l : list node) : input_kind :=
  match rev l with
  | n :: _ => if String.eqb (operator n) "Identity" then Features (input_name [n] 0 0) else Pixels
  | [] => Pixels
  end.
Arguments guess_kind : simpl never.

(** Names of the bounds of some steps, and the nodes after them. *)
Fixpoint guess_bounds (steps : list step) (l : list node) : list (step * bound_names) * list node :=
  match steps with
  | [] => ([], l)
  | s :: steps' =>
      let none := Names "" [] in
      let '(expected, _, _) := bound_form (Zeros "" "") s none "" "" in
      let count := List.length expected in
      let names := Names (input_name l 0 1) (flat_map outputs (firstn count l)) in
      let (more, rest) := guess_bounds steps' (skipn count l) in
      ((s, names) :: more, rest)
  end.

(** The steps without a last affine operation, and whether there is one. *)
Definition split_last (steps : list step) : list step * option step :=
  match rev steps with
  | s :: before => if is_mapped s then (rev before, Some s) else (steps, None)
  | [] => (steps, None)
  end.

Definition guess_interval (steps : list step) (l : list node) : interval :=
  let ball := flat_map outputs (firstn 4 l) in
  let double_zero :=
    match rev (filter (fun n => String.eqb (operator n) "Min") l) with
    | n :: _ => input_name [n] 0 1
    | [] => ""
    end in
  let (first, last) := split_last steps in
  let (bounded, rest) := guess_bounds first (skipn 4 l) in
  let '(affine, c, count, rest) :=
    match last with
    | Some s =>
        let names := Names (input_name rest 0 1) (flat_map outputs (firstn 4 rest)) in
        let r := skipn 4 rest in
        (Some (s, names),
         Apart (input_name r 0 1) (input_name r 6 1) (input_name r 1 1) (input_name r 16 1), 18, r)
    | None =>
        (None, Apart (input_name rest 0 1) "" (input_name rest 1 1) (input_name rest 2 2), 7, rest)
    end in
  let tail := skipn count rest in
  Intervals (input_name tail 8 1) (input_name l 0 1) (input_name tail 0 1) ball double_zero bounded
    affine c (flat_map outputs (firstn count rest)) (output_name tail 0 0) (output_name tail 7 0)
    (guess_box (skipn 1 tail)).

(** ** The comparison *)

(** What follows some nodes, if they are the first. *)
Fixpoint strip (expected l : list node) : option (list node) :=
  match expected, l with
  | [], _ => Some l
  | a :: expected', b :: l' => check node_eqb a b in strip expected' l'
  | _ :: _, [] => None
  end.

(** The steps from the value x to the logits, at most n, and what follows them. *)
Fixpoint chain (n : nat) (x : string) (l : list node) : option (list step * list node) :=
  if String.eqb x "logits" then Some ([], l)
  else
    match n with
    | O => None
    | S n' =>
        let s := guess l in
        let* rest := strip (form x s) l in
        let* (steps, tail) := chain n' (result s) rest in
        Some (s :: steps, tail)
    end.

Definition step_eq_dec (s t : step) : {s = t} + {s <> t}.
Proof. decide equality; (apply string_dec || apply Z.eq_dec). Defined.

Definition same_steps (l m : list step) : bool :=
  if list_eq_dec step_eq_dec l m then true else false.

(** The radius of the nodes after the label, and the box and the units of the input. *)
Definition recognise_margin (g : graph) (start : shape) (k : input_kind) (l : list node)
    : option (region * radius_kind) :=
  let n := guess_margin l in
  match strip (margin_form n ++ unit_form k) l with
  | Some [] =>
      check margin_constants g start n in
      let* D := region_of g start k (margin_box n) in
      let* s := scalar g (slack n) in
      let* t := scalar g (scale n) in
      Some (D, Margin s t)
  | _ => None
  end.

Definition recognise_interval (g : graph) (start : shape) (k : input_kind) (steps : list step)
    (classes : Z) (l : list node) : option (region * radius_kind) :=
  let n := guess_interval steps l in
  match strip (interval_form n ++ unit_form k) l with
  | Some [] =>
      check same_steps (bounds_steps n) steps && ends_well n && interval_constants g start classes n in
      let* D := region_of g start k (interval_box n) in
      let* e := scalar g (eps n) in
      let* r := reaches_of g start k n in
      let* s := scalar g (apart_slack n) in
      let* ws := widenings g n in
      Some (D, Interval e r s ws)
  | _ => None
  end.

Definition recognise (room : Z) (g : graph) : option file :=
  check well_formed g in
  let* start := sample g in
  let* (steps, tail) := chain (List.length (nodes g)) "input" (nodes g) in
  let* (os, last) := operations g room start steps in
  let* tail := strip [label] tail in
  match last with
  | Image _ => None
  | Flat classes =>
      let k := guess_kind tail in
      check declares g start k classes in
      let* (D, radius) :=
        if String.eqb (operator (nth 0 tail no_node)) "TopK" then recognise_margin g start k tail
        else recognise_interval g start k steps classes tail in
      Some (File (Network D os) radius)
  end.

(** ** It is right *)

Lemma strip_sound expected : forall l rest, strip expected l = Some rest -> l = expected ++ rest.
Proof.
  induction expected as [|a e IH]; simpl; intros l rest H; [congruence|].
  destruct l as [|b l]; [discriminate|].
  destruct (node_eqb a b) eqn:E; [|discriminate].
  apply node_eqb_sound in E as ->. f_equal. apply IH, H.
Qed.

Lemma chain_sound n : forall x l steps tail, chain n x l = Some (steps, tail) ->
  l = forms x steps ++ tail /\ result_of x steps = "logits".
Proof.
  induction n as [|n IH]; simpl; intros x l steps tail;
    destruct (String.eqb_spec x "logits") as [->|_]; try discriminate.
  - intros [= <- <-]. split; reflexivity.
  - intros [= <- <-]. split; reflexivity.
  - generalize (guess l). intros s.
    destruct (strip (form x s) l) as [rest|] eqn:E; [|discriminate].
    destruct (chain n (result s) rest) as [[steps' tail']|] eqn:F; [|discriminate].
    intros [= <- <-]. apply strip_sound in E as ->. apply IH in F as [-> F]. simpl.
    rewrite app_assoc. split; [reflexivity|exact F].
Qed.

Lemma recognise_margin_sound g start k l r : recognise_margin g start k l = Some r ->
  exists n D s t, l = margin_form n ++ unit_form k /\ margin_constants g start n = true /\
    region_of g start k (margin_box n) = Some D /\
    scalar g (slack n) = Some s /\ scalar g (scale n) = Some t /\ r = (D, Margin s t).
Proof.
  unfold recognise_margin. generalize (guess_margin l). intros n.
  destruct (strip (margin_form n ++ unit_form k) l) as [[|]|] eqn:M; try discriminate.
  destruct (margin_constants g start n) eqn:K; [|discriminate].
  destruct (region_of g start k (margin_box n)) as [D|] eqn:B; [|discriminate].
  destruct (scalar g (slack n)) as [s|] eqn:S; [|discriminate].
  destruct (scalar g (scale n)) as [t|] eqn:T; [|discriminate].
  intros [= <-]. apply strip_sound in M. rewrite app_nil_r in M.
  exists n, D, s, t. auto 10.
Qed.

Lemma recognise_interval_sound g start k steps classes l x :
  recognise_interval g start k steps classes l = Some x ->
  exists n D e r s ws, l = interval_form n ++ unit_form k /\ bounds_steps n = steps /\
    ends_well n = true /\ interval_constants g start classes n = true /\
    region_of g start k (interval_box n) = Some D /\ scalar g (eps n) = Some e /\
    reaches_of g start k n = Some r /\ scalar g (apart_slack n) = Some s /\
    widenings g n = Some ws /\ x = (D, Interval e r s ws).
Proof.
  unfold recognise_interval. generalize (guess_interval steps l). intros n.
  destruct (strip (interval_form n ++ unit_form k) l) as [[|]|] eqn:M; try discriminate.
  destruct (same_steps (bounds_steps n) steps) eqn:Q; [|discriminate].
  destruct (ends_well n) eqn:W; [|discriminate].
  destruct (interval_constants g start classes n) eqn:K; [|discriminate].
  cbn [andb].
  destruct (region_of g start k (interval_box n)) as [D|] eqn:B; [|discriminate].
  destruct (scalar g (eps n)) as [e|] eqn:E; [|discriminate].
  destruct (reaches_of g start k n) as [r|] eqn:R; [|discriminate].
  destruct (scalar g (apart_slack n)) as [s|] eqn:S; [|discriminate].
  destruct (widenings g n) as [ws|] eqn:V; [|discriminate].
  intros [= <-]. apply strip_sound in M. rewrite app_nil_r in M.
  unfold same_steps in Q. destruct list_eq_dec as [Q'|]; [|discriminate].
  exists n, D, e, r, s, ws. auto 12.
Qed.

Theorem recognise_sound room g f : recognise room g = Some f -> denotes g room f.
Proof.
  unfold recognise.
  destruct (well_formed g) eqn:W; [|discriminate].
  destruct (sample g) as [start|] eqn:I; [|discriminate].
  destruct (chain (List.length (nodes g)) "input" (nodes g)) as [[steps tail]|] eqn:C; [|discriminate].
  destruct (operations g room start steps) as [[os last]|] eqn:O; [|discriminate].
  destruct (strip [label] tail) as [tail'|] eqn:L; [|discriminate].
  destruct last as [|classes]; [discriminate|].
  generalize (guess_kind tail'). intros k.
  destruct (declares g start k classes) eqn:D; [|discriminate].
  apply chain_sound in C as [C R]. apply strip_sound in L as ->.
  destruct (String.eqb (operator (nth 0 tail' no_node)) "TopK").
  - destruct (recognise_margin g start k tail') as [x|] eqn:M; [|discriminate].
    apply recognise_margin_sound in M as (n & B & s & t & -> & K & Bx & S & T & ->).
    intros [= <-]. eapply denotes_margin; eassumption.
  - destruct (recognise_interval g start k steps classes tail') as [x|] eqn:M; [|discriminate].
    apply recognise_interval_sound in M as (n & B & e & r & s & ws & -> & Q & E & K & V).
    destruct V as (V1 & V2 & V3 & V4 & V5 & ->). intros [= <-].
    eapply denotes_interval; eassumption.
Qed.
