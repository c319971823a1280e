(** * Statements: what is proved about files

    To believe the certificate of a file it is enough to read this file and the definitions
    that it names; the other files are proofs, and [Main.v] prints the axioms they rest on. *)

From Coq Require Import Reals ZArith List String.
From Flocq Require IEEE754.Binary IEEE754.Bits.
From SortNet Require Import Definitions.
From SortNet.float Require Import Network Bytes Graph Wire Forms Denotes ReadFile Meaning
  HostSemantics Checker CheckBytes FileCertificate.
Import ListNotations.
Open Scope Z_scope.

(** ** Bytes *)

(** The wire format gives a message one reading at most. *)
Definition message_unique_statement : Prop :=
  forall b p q fs, message b p q fs -> forall fs', message b p q fs' -> fs' = fs.

(** What [fields] finds is that reading. *)
Definition fields_sound_statement : Prop :=
  forall b n p stop fs, fields b n p stop = Some fs -> message b p stop fs.

(** A file that is read encodes a graph, and the graph is the forms of the network and radius
    that were read, word for word. *)
Definition read_file_sound_statement : Prop :=
  forall b f, read_file b = Some f -> means b f.

(** ** Graphs *)

(** The nodes that a file begins with compute, over the reals, the logits of its network: for
    any number of samples at once. *)
Definition graph_computes_network_statement : Prop :=
  forall g room f, denotes g room f ->
  exists start classes l rest,
    sample g = Some start /\ nodes g = l ++ rest /\
    forall (X : nat -> vec) n v env, env "input"%string = Some v -> holds start X n v ->
      exists env' y, evaluate g env l = Some env' /\ env' "logits"%string = Some y /\
        holds (Flat classes) (fun b => logits (file_network f) (X b)) n y.

(** The nodes of a margin file compute, over the reals and for any number of samples at once,
    the index of the first largest logit, and a radius that is 0 outside the box of the input
    and max(0, (top1 - top2 - slack) scale) inside.  If the file declares an output "unit", that
    is the unit of each feature. *)
Definition margin_file_computes_statement : Prop :=
  forall g room f, denotes g room f ->
  forall s t, file_radius f = Margin s t ->
  exists start K, sample g = Some start /\
    forall (X : nat -> vec) n v env, env "input"%string = Some v -> holds start X n v ->
    exists env' label radius, evaluate g env (nodes g) = Some env' /\
      env' "label"%string = Some label /\ shape_of label = [n] /\
      env' "radius"%string = Some radius /\ shape_of radius = [n] /\
      (In "unit"%string (map declared_name (graph_outputs g)) ->
        exists u, env' "unit"%string = Some u /\ shape_of u = dims_of start /\
          forall i, (i < count start)%nat ->
            entry_at u i = entry_of (units_of (input (file_network f))) i) /\
      forall b, (b < n)%nat ->
        let y := logits (file_network f) (X b) in
        entry_at label b = INR (first_largest K y) /\
        (in_box (input (file_network f)) (X b) -> entry_at radius b = exact_radius K s t y) /\
        (~ in_box (input (file_network f)) (X b) -> entry_at radius b = 0%R).

(** ** Hosts *)

(** The number that a bit pattern is, is Flocq's. *)
Definition value_is_binary32_statement : Prop :=
  forall b, finite b = true ->
  value b = IEEE754.Binary.B2R 24 128 (IEEE754.Bits.b32_of_bits b).

(** What is said of all hosts is not said of none: there is a host for every network that the
    checker can analyse, and for all inputs. *)
Definition a_host_exists_statement : Prop :=
  forall N s x, analyse N = Some s -> exists y, computes N x y.

(** ** The certificate *)

(** What an accepted file promises: its bytes mean a network and a radius, and the claim of
    this radius.  For a margin file: any two runs of any hosts, at inputs x and x' in the box,
    where the first finds the label l and the radius r > 0 and no feature differs by more than r
    times its unit, have the same label.  For an interval file the same with its eps, where the
    first run finds its bounds far enough apart (and x is float32 where the unit is 0).  For
    images the box is [0, 1] and the unit 1.  That nothing overflows is part of the proof. *)
Definition file_certificate_statement : Prop :=
  forall b, check_bytes b = true -> exists f, means b f /\ claim f.
