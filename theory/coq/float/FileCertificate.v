(** * FileCertificate: what the checker's yes is worth *)

From Coq Require Import Reals ZArith.
From SortNet Require Import Definitions.
From SortNet.float Require Import Bytes Network ReadFile HostSemantics Checker RadiusSound
  CheckBytes.

(** A host that runs a margin file may say the label l and the radius r at the pixels x. *)
Inductive runs (N : network) (slack scale : Z) (x : vec) (l : nat) (r : R) : Prop :=
  | runs_margin y :
      computes N x y -> labels (classes N) y l ->
      margin_radius (classes N) (value slack) (value scale) y r ->
      runs N slack scale x l r.

Theorem check_bytes_sound b : check_bytes b = true ->
  exists f slack scale, means b f /\ file_radius f = Margin slack scale /\
    let N := file_network f in
    forall x x' l l' r r', in_cube (input_size N) x -> in_cube (input_size N) x' ->
      runs N slack scale x l r -> runs N slack scale x' l' r' ->
      (0 < r)%R -> (forall i, (i < input_size N)%nat -> (Rabs (x' i - x i) <= r)%R) ->
      l' = l.
Proof.
  unfold check_bytes, report_of. intros C.
  destruct (read_file b) as [f|] eqn:F; [|discriminate].
  assert (K : check_file f = true) by exact C.
  destruct (file_radius f) as [slack scale|] eqn:R.
  - exists f, slack, scale. split; [exact (read_file_sound b f F)|]. split; [exact R|].
    intros x x' l l' r r' Hx Hx' H H' P D.
    destruct H as [y Y L Rr], H' as [y' Y' L' _].
    exact (check_file_sound f slack scale K R x x' y y' r l l' Hx Hx' Y L Rr Y' L' P D).
  - unfold check_file, analyse_file in K. rewrite R in K. discriminate.
Qed.
