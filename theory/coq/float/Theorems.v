(** * Theorems: a proof of each statement *)

From SortNet.float Require Bytes ReadFile MeaningSound MarginSound FileCertificate BitPatterns HostExists.
From SortNet.float Require Import Statements.

Theorem message_unique : message_unique_statement.
Proof. exact Bytes.message_unique. Qed.

Theorem fields_sound : fields_sound_statement.
Proof. exact Bytes.fields_sound. Qed.

Theorem read_file_sound : read_file_sound_statement.
Proof. exact ReadFile.read_file_sound. Qed.

Theorem graph_computes_network : graph_computes_network_statement.
Proof. exact MeaningSound.graph_computes_network. Qed.

Theorem margin_file_computes : margin_file_computes_statement.
Proof. exact MarginSound.margin_file_computes. Qed.

Theorem value_is_binary32 : value_is_binary32_statement.
Proof. exact BitPatterns.value_is_binary32. Qed.

Theorem a_host_exists : a_host_exists_statement.
Proof. exact HostExists.a_host_exists. Qed.

Theorem file_certificate : file_certificate_statement.
Proof. exact FileCertificate.check_bytes_sound. Qed.
