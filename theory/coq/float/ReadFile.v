(** * ReadFile: from bytes to the network and radius that they are *)

From Coq Require Import ZArith.
From SortNet.float Require Import Network Bytes Graph Wire Forms Denotes Recognise.
Local Open Scope Z_scope.

(** Work in proportion to the file, so that a small one cannot ask for much: 64 steps a byte
    are more than 200 for each weight. *)
Definition spare : Z := 268435456.
Definition room (b : bytes) : Z := 64 * size b + spare.

Definition read_file (b : bytes) : option file :=
  let* g := read_graph b in recognise (room b) g.

(** What the bytes say: they encode a graph, and it denotes this network and this radius. *)
Definition means (b : bytes) (f : file) : Prop :=
  exists g, encodes b g /\ denotes g (room b) f.

Theorem read_file_sound b f : read_file b = Some f -> means b f.
Proof.
  unfold read_file. destruct (read_graph b) as [g|] eqn:E; [|discriminate].
  intros H. exists g. split; [exact E|]. apply recognise_sound, H.
Qed.
