(** * Recognise: the file that a graph denotes

    Names are taken from where they stand in the graph, without any check, and the nodes that
    these names ask for are compared with those of the graph word for word: what the guess
    is wrong about cannot be accepted. *)

From Coq Require Import ZArith List Bool String.
From SortNet.float Require Import Network Graph Wire Forms.
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
  else if is 0%nat "Pad" then
    Convolved (i 0 1) (i 1 1) (i 2 1) (i 3 1) (i 4 1) (real_of l 3) (int_of l 3)
      (o 0 0) (o 1 0) (o 2 0) (o 3 0) (o 4 0) (o 5 0) (o 6 0)
  else Activated (operator (nth 0 l no_node)) (o 0 0).
Arguments guess : simpl never.

Definition guess_box (l : list node) : box :=
  let i := input_name l in
  let o := output_name l in
  Box (i 0 1) (i 1 1) (i 4 1) (o 0 0) (o 1 0) (o 2 0) (o 3 0) (o 4 0) (o 5 0).

Definition guess_margin (l : list node) : margin :=
  let i := input_name l in
  let o := output_name l in
  Margins (i 0 1) (i 1 1) (i 2 1) (i 4 1) (i 5 1)
    (o 0 0) (o 0 1) (o 1 0) (o 2 0) (o 3 0) (o 4 0) (o 5 0) (o 6 0) (guess_box (skipn 7 l)).

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

Definition recognise (room : Z) (g : graph) : option file :=
  check well_formed g in
  let* start := image g in
  let* (steps, tail) := chain (List.length (nodes g)) "input" (nodes g) in
  let* (os, last) := operations g room start steps in
  let* tail := strip [label] tail in
  match last with
  | Image _ _ _ => None
  | Flat classes =>
      check declares g classes in
      let n := guess_margin tail in
      let* tail := strip (margin_form n) tail in
      match tail with
      | [] =>
          check margin_constants g n in
          let* s := scalar g (slack n) in
          let* t := scalar g (scale n) in
          Some (File (Network (Z.to_nat (units start)) os) (Margin s t))
      | _ => None
      end
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

Theorem recognise_sound room g f : recognise room g = Some f -> denotes g room f.
Proof.
  unfold recognise.
  destruct (well_formed g) eqn:W; [|discriminate].
  destruct (image g) as [start|] eqn:I; [|discriminate].
  destruct (chain (List.length (nodes g)) "input" (nodes g)) as [[steps tail]|] eqn:C; [|discriminate].
  destruct (operations g room start steps) as [[os last]|] eqn:O; [|discriminate].
  destruct (strip [label] tail) as [tail'|] eqn:L; [|discriminate].
  destruct last as [|classes]; [discriminate|].
  destruct (declares g classes) eqn:D; [|discriminate].
  destruct (strip (margin_form (guess_margin tail')) tail') as [[|]|] eqn:M; try discriminate.
  destruct (margin_constants g (guess_margin tail')) eqn:K; [|discriminate].
  destruct (scalar g (slack (guess_margin tail'))) as [s|] eqn:S; [|discriminate].
  destruct (scalar g (scale (guess_margin tail'))) as [t|] eqn:T; [|discriminate].
  intros [= <-].
  apply chain_sound in C as [C R]. apply strip_sound in L, M. rewrite app_nil_r in M.
  eapply denotes_margin with (steps := steps) (n := guess_margin tail'); try eassumption.
  rewrite C, L. simpl. do 2 f_equal. exact M.
Qed.
