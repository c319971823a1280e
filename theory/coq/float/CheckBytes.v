(** * CheckBytes: the checker *)

From SortNet.float Require Import Bytes Network Wire ReadFile Checker.

(** What the weights in the bytes imply, if the radius of the file is safe for them. *)
Definition report_of (b : bytes) : option report :=
  let* f := read_file b in analyse_file f.

Definition check_bytes (b : bytes) : bool :=
  match report_of b with Some _ => true | None => false end.
