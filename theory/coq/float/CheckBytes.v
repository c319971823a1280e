(** * CheckBytes: the checker *)

From Coq Require Import ZArith Bool.
From SortNet.float Require Import Bytes Network Grid Wire ReadFile Checker IntervalChecker.

(** What the weights imply, where the radius of the file is safe for them; numbers are
    multiples of 2^-48.  For an interval file: its eps, how far apart bounds must be, and how
    far the file wants them. *)
Inductive finding :=
  | Safe_margin (r : report)
  | Safe_interval (eps needed given : Z).

Definition analyse_radius (f : file) : option finding :=
  match file_radius f with
  | Margin _ _ => let* r := analyse_file f in Some (Safe_margin r)
  | Interval eps reach slack widenings =>
      let* needed := interval_needed (file_network f) widenings in
      check slack_checked needed slack && ball_checked (input (file_network f)) eps reach in
      Some (Safe_interval (above eps) (with_room needed slack) (below slack))
  end.

Definition report_of (b : bytes) : option finding :=
  let* f := read_file b in analyse_radius f.

Definition check_bytes (b : bytes) : bool :=
  match report_of b with Some _ => true | None => false end.
