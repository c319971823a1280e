(** * Graph: what the bytes of an ONNX file say, before anything is understood

    Names are strings, constants are read from the file when they are asked for. *)

From Coq Require Import ZArith List Bool String.
Import ListNotations.
Local Open Scope string_scope.

Inductive element := Float | Double | Int64.

(** [at_ i] is entry i in row-major order: the bit pattern of a Float or Double, the value of
    an Int64. *)
Record tensor := Tensor { type_of : element; dims : list Z; at_ : Z -> Z }.

(** [Real] holds the bit pattern of a binary32 number. *)
Inductive attribute := Int (v : Z) | Real (bits : Z) | Ints (l : list Z).

Record node := Node {
  operator : string;
  domain : string;
  attributes : list (string * attribute);
  inputs : list string;
  outputs : list string }.

(** A declared input or output: its name, the code of its element type, and its dimensions,
    [None] where one is free. *)
Record declaration := Declared {
  declared_name : string;
  declared_type : Z;
  declared_dims : list (option Z) }.

(** [functions]: the operations whose bodies are attached, all of them ours byte by byte. *)
Record graph := Graph {
  ir_version : Z;
  opsets : list (string * Z);
  functions : list string;
  metadata_keys : list string;
  graph_inputs : list declaration;
  graph_outputs : list declaration;
  constants : list (string * tensor);
  node_names : list string;
  nodes : list node }.

(** ** Equality of nodes *)

Definition attribute_eqb (a b : attribute) : bool :=
  match a, b with
  | Int v, Int w | Real v, Real w => Z.eqb v w
  | Ints l, Ints m => if list_eq_dec Z.eq_dec l m then true else false
  | _, _ => false
  end.

Fixpoint list_eqb {A} (eqb : A -> A -> bool) (l m : list A) : bool :=
  match l, m with
  | [], [] => true
  | a :: l', b :: m' => eqb a b && list_eqb eqb l' m'
  | _, _ => false
  end.

Definition named_eqb (a b : string * attribute) : bool :=
  String.eqb (fst a) (fst b) && attribute_eqb (snd a) (snd b).

Definition node_eqb (a b : node) : bool :=
  String.eqb (operator a) (operator b) && String.eqb (domain a) (domain b) &&
  list_eqb named_eqb (attributes a) (attributes b) &&
  list_eqb String.eqb (inputs a) (inputs b) && list_eqb String.eqb (outputs a) (outputs b).

Definition dim_eqb (a b : option Z) : bool :=
  match a, b with
  | Some v, Some w => Z.eqb v w
  | None, None => true
  | _, _ => false
  end.

Definition declaration_eqb (a b : declaration) : bool :=
  String.eqb (declared_name a) (declared_name b) && Z.eqb (declared_type a) (declared_type b) &&
  list_eqb dim_eqb (declared_dims a) (declared_dims b).

Lemma list_eqb_sound {A} (eqb : A -> A -> bool) :
  (forall a b, eqb a b = true -> a = b) -> forall l m, list_eqb eqb l m = true -> l = m.
Proof.
  intros E. induction l as [|a l IH]; intros [|b m]; simpl; try discriminate; [reflexivity|].
  rewrite andb_true_iff. intros [H H']. f_equal; auto.
Qed.

Lemma attribute_eqb_sound a b : attribute_eqb a b = true -> a = b.
Proof.
  destruct a, b; simpl; try discriminate.
  - rewrite Z.eqb_eq. congruence.
  - rewrite Z.eqb_eq. congruence.
  - destruct list_eq_dec; [congruence|discriminate].
Qed.

Lemma named_eqb_sound a b : named_eqb a b = true -> a = b.
Proof.
  destruct a, b. unfold named_eqb. simpl. rewrite andb_true_iff, String.eqb_eq.
  intros [-> H]. apply attribute_eqb_sound in H as ->. reflexivity.
Qed.

Lemma node_eqb_sound a b : node_eqb a b = true -> a = b.
Proof.
  destruct a as [o d a i u], b as [o' d' a' i' u']. unfold node_eqb. simpl.
  rewrite !andb_true_iff, !String.eqb_eq. intros [[[[-> ->] A] I] O].
  assert (S : forall x y, String.eqb x y = true -> x = y) by (intros; apply String.eqb_eq; auto).
  f_equal.
  - exact (list_eqb_sound _ named_eqb_sound _ _ A).
  - exact (list_eqb_sound _ S _ _ I).
  - exact (list_eqb_sound _ S _ _ O).
Qed.
