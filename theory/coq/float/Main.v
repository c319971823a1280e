(** * Main: every statement about files has a proof, and these are the axioms it uses *)

From SortNet.float Require Import Statements Theorems.

Check (message_unique : message_unique_statement).
Check (fields_sound : fields_sound_statement).
Check (read_file_sound : read_file_sound_statement).
Check (graph_computes_network : graph_computes_network_statement).
Check (margin_file_computes : margin_file_computes_statement).
Check (value_is_binary32 : value_is_binary32_statement).
Check (a_host_exists : a_host_exists_statement).
Check (file_certificate : file_certificate_statement).

Definition all_theorems :=
  (message_unique,
   fields_sound,
   read_file_sound,
   graph_computes_network,
   margin_file_computes,
   value_is_binary32,
   a_host_exists,
   file_certificate).

Print Assumptions all_theorems.
