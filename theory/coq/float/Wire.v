(** * Wire: from bytes to a graph

    The message types of ONNX that an exported file is made of, and nothing else: a field
    that is not listed below, one given twice, one of another kind and one in a form that
    two readers might take differently are all refused. *)

From Coq Require Import ZArith List Bool String Ascii Strings.Byte Lia.
From SortNet.float Require Import Bytes Graph Bodies.
Import ListNotations.
Local Open Scope Z_scope.

Notation "'let*' x ':=' a 'in' c" :=
  (match a with Some x => c | None => None end)
  (at level 200, x pattern, a at level 100, c at level 200).
Notation "'check' a 'in' c" := (if a then c else None) (at level 200, a at level 100, c at level 200).

(** ** Limits: a file may be large only by its weights *)

(** Nodes and constants; then fields of any inner message, and the bytes of a name.  (A network
    of ours has some hundreds of nodes, an operation of the format up to three inputs.) *)
Definition many : nat := Z.to_nat 2048.
Definition few : nat := Z.to_nat 64.
Definition longest_text : Z := 128.

(** ** Fields by their number *)

Fixpoint traverse {A B} (f : A -> option B) (l : list A) : option (list B) :=
  match l with
  | [] => Some []
  | a :: l' => let* b := f a in let* bs := traverse f l' in Some (b :: bs)
  end.

Definition all (number : Z) (fs : list field) : list payload :=
  map snd (filter (fun f => fst f =? number) fs).

Definition only (known : list Z) (fs : list field) : bool :=
  forallb (fun f => existsb (Z.eqb (fst f)) known) fs.

(** Documentation and names that nothing depends on. *)
Definition ignored (number : Z) (fs : list field) : bool :=
  match all number fs with [] | [Chunk _ _] => true | _ => false end.

Definition number_of (number : Z) (fs : list field) : option Z :=
  match all number fs with [Varint v] => Some v | _ => None end.

Definition numbers (number : Z) (fs : list field) : option (list Z) :=
  traverse (fun x => match x with Varint v => Some v | _ => None end) (all number fs).

(** One message inside, which [read] reads; or any number of them. *)
Definition part {A} (read : Z -> Z -> option A) (number : Z) (fs : list field) : option A :=
  match all number fs with [Chunk p q] => read p q | _ => None end.

Definition parts {A} (read : Z -> Z -> option A) (number : Z) (fs : list field)
    : option (list A) :=
  traverse (fun x => match x with Chunk p q => read p q | _ => None end) (all number fs).

Section File.
Variable b : bytes.

(** ** Texts *)

Fixpoint text_of (n : nat) (p : Z) : string :=
  match n with
  | O => EmptyString
  | S n' => String (ascii_of_N (Z.to_N (byte_at b p))) (text_of n' (p + 1))
  end.

Definition text (p q : Z) : option string :=
  check q - p <=? longest_text in Some (text_of (Z.to_nat (q - p)) p).

(** Absent is empty. *)
Definition text_field (number : Z) (fs : list field) : option string :=
  match all number fs with [] => Some EmptyString | [Chunk p q] => text p q | _ => None end.

(** ** Constants *)

Definition product (dims : list Z) : Z := fold_left Z.mul dims 1.

Definition tensor_at (p q : Z) : option (string * tensor) :=
  let* fs := fields b few p q in
  check only [1; 2; 8; 9; 12] fs && ignored 12 fs in
  let* dims := numbers 1 fs in
  let* code := number_of 2 fs in
  let* name := text_field 8 fs in
  let* (from, till) := part (fun p q => Some (p, q)) 9 fs in
  check forallb (fun d => d <? 2147483648) dims in
  if (code =? 1) && (4 * product dims =? till - from) then
    Some (name, Tensor Float dims (fun i => word32 b (from + 4 * i)))
  else if (code =? 11) && (8 * product dims =? till - from) then
    Some (name, Tensor Double dims (fun i => word64 b (from + 8 * i)))
  else if (code =? 7) && (8 * product dims =? till - from) then
    Some (name, Tensor Int64 dims (fun i => signed64 (word64 b (from + 8 * i))))
  else None.

(** ** Nodes *)

Definition attribute_at (p q : Z) : option (string * attribute) :=
  let* fs := fields b few p q in
  check ignored 13 fs in
  let* name := text_field 1 fs in
  let* type := number_of 20 fs in
  if (type =? 1) && only [1; 13; 20; 2] fs then
    match all 2 fs with [Word v] => Some (name, Real v) | _ => None end
  else if (type =? 2) && only [1; 13; 20; 3] fs then
    let* v := number_of 3 fs in Some (name, Int (signed64 v))
  else if (type =? 7) && only [1; 13; 20; 8] fs then
    let* l := numbers 8 fs in Some (name, Ints (map signed64 l))
  else None.

Definition node_at (p q : Z) : option node :=
  let* fs := fields b few p q in
  check only [1; 2; 3; 4; 5; 6; 7] fs && ignored 6 fs in
  let* inputs := parts text 1 fs in
  let* outputs := parts text 2 fs in
  let* operator := text_field 4 fs in
  let* domain := text_field 7 fs in
  let* attributes := parts attribute_at 5 fs in
  check (List.length inputs <=? 3)%nat && (List.length outputs <=? 2)%nat in
  Some (Node operator domain attributes inputs outputs).

(** What a node is called; only that two are not called the same matters. *)
Definition node_name_at (p q : Z) : option string :=
  let* fs := fields b few p q in text_field 3 fs.

(** ** Declarations *)

Definition dim_at (p q : Z) : option (option Z) :=
  let* fs := fields b few p q in
  match fs with
  | [(1, Varint v)] => Some (Some (signed64 v))
  | [(2, Chunk _ _)] => Some None
  | _ => None
  end.

Definition shape_at (p q : Z) : option (list (option Z)) :=
  let* fs := fields b few p q in
  check only [1] fs in parts dim_at 1 fs.

Definition tensor_type_at (p q : Z) : option (Z * list (option Z)) :=
  let* fs := fields b few p q in
  check only [1; 2] fs in
  let* code := number_of 1 fs in
  let* dims := part shape_at 2 fs in
  Some (code, dims).

Definition type_at (p q : Z) : option (Z * list (option Z)) :=
  let* fs := fields b few p q in
  check only [1] fs in part tensor_type_at 1 fs.

Definition declaration_at (p q : Z) : option declaration :=
  let* fs := fields b few p q in
  check only [1; 2; 3] fs && ignored 3 fs in
  let* name := text_field 1 fs in
  let* (code, dims) := part type_at 2 fs in
  Some (Declared name code dims).

(** ** Model *)

Definition opset_at (p q : Z) : option (string * Z) :=
  let* fs := fields b few p q in
  check only [1; 2] fs in
  let* domain := text_field 1 fs in
  let* version := number_of 2 fs in
  Some (domain, version).

(** The key of an entry of the metadata; its value is for people. *)
Definition metadata_at (p q : Z) : option string :=
  let* fs := fields b few p q in
  check only [1; 2] fs && ignored 2 fs in text_field 1 fs.

(** Whether the bytes from p on are those of a list. *)
Definition code (x : Byte.byte) : Z := Z.of_N (Byte.to_N x).

Fixpoint same_bytes (l : list Byte.byte) (p : Z) : bool :=
  match l with
  | [] => true
  | x :: l' => (byte_at b p =? code x) && same_bytes l' (p + 1)
  end.

Definition is_body (l : list Byte.byte) (p q : Z) : bool :=
  (q - p =? Z.of_nat (List.length l)) && same_bytes l p.

Definition function_at (p q : Z) : option string :=
  if is_body sort_neuron_body p q then Some "SortNeuron"%string
  else if is_body sort_neuron_bounds_body p q then Some "SortNeuronBounds"%string
  else None.

(** What the graph message adds to a model. *)
Definition graph_at (version : Z) (opsets : list (string * Z)) (functions keys : list string)
    (p q : Z) : option graph :=
  let* fs := fields b many p q in
  check only [1; 2; 5; 10; 11; 12] fs && ignored 2 fs && ignored 10 fs in
  let* inputs := parts declaration_at 11 fs in
  let* outputs := parts declaration_at 12 fs in
  let* constants := parts tensor_at 5 fs in
  let* names := parts node_name_at 1 fs in
  let* nodes := parts node_at 1 fs in
  Some (Graph version opsets functions keys inputs outputs constants names nodes).

Definition read_graph : option graph :=
  let* fs := fields b few 0 (size b) in
  check only [1; 2; 3; 4; 5; 6; 7; 8; 14; 25] fs in
  check ignored 2 fs && ignored 3 fs && ignored 4 fs && ignored 6 fs in
  check match all 5 fs with [] | [Varint _] => true | _ => false end in
  let* version := number_of 1 fs in
  let* opsets := parts opset_at 8 fs in
  let* functions := parts function_at 25 fs in
  let* keys := parts metadata_at 14 fs in
  part (graph_at version opsets functions keys) 7 fs.

(** ** The body of a function is ours, byte by byte *)

Lemma same_bytes_sound l : forall p, same_bytes l p = true ->
  forall i, (i < List.length l)%nat -> byte_at b (p + Z.of_nat i) = code (nth i l Byte.x00).
Proof.
  induction l as [|x l IH]; simpl; intros p H i Hi; [lia|].
  apply andb_true_iff in H as [H H']. apply Z.eqb_eq in H.
  destruct i as [|i]; [rewrite Z.add_0_r; exact H|].
  rewrite <- (IH _ H' i) by lia. f_equal. lia.
Qed.

End File.

(** The graph of a file, if it is one: [read_graph], in the order of the definitions above.
    Every message in it is read by [fields], of which [fields_sound] and [message_unique] say
    that it finds the one reading that the wire format has. *)
Definition encodes (b : bytes) (g : graph) : Prop := read_graph b = Some g.
