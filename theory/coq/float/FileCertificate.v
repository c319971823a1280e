(** * FileCertificate: what the checker's yes is worth *)

From Coq Require Import Reals ZArith Bool.
From SortNet Require Import Definitions.
From SortNet.float Require Import Bytes Network Wire ReadFile HostSemantics Checker RadiusSound
  IntervalSemantics IntervalChecker IntervalCertificate CheckBytes.
Local Open Scope R_scope.

(** A host may say the label l at the input x; with the radius r of a margin file, or with
    the yes of an interval file. *)
Definition says (N : network) (x : vec) (l : nat) : Prop :=
  exists y, computes N x y /\ labels (classes N) y l.

Definition says_margin (N : network) (slack scale : Z) (x : vec) (l : nat) (r : R) : Prop :=
  exists y, computes N x y /\ labels (classes N) y l /\
    margin_radius (classes N) (value slack) (value scale) y r.

Definition says_interval (N : network) (reaches : list Z) (slack : Z) (widenings : list Z)
    (x : vec) (l : nat) : Prop :=
  says N x l /\ interval_radius N reaches (value slack) widenings x l.

(** Hosts at inputs within a ball of radius r, where the first has found r, agree. *)
Definition margin_claim (N : network) (slack scale : Z) : Prop :=
  forall x x' l l' r, in_box (input N) x -> in_box (input N) x' ->
    says_margin N slack scale x l r -> 0 < r -> says N x' l' ->
    in_ball (input N) r x x' ->
    l' = l.

Definition interval_claim (N : network) (eps : Z) (reaches : list Z) (slack : Z)
    (widenings : list Z) : Prop :=
  forall x x' l l', in_box (input N) x -> in_box (input N) x' -> held (input N) x ->
    says_interval N reaches slack widenings x l -> says N x' l' ->
    in_ball (input N) (value eps) x x' ->
    l' = l.

Definition claim (f : file) : Prop :=
  match file_radius f with
  | Margin slack scale => margin_claim (file_network f) slack scale
  | Interval eps reaches slack widenings =>
      interval_claim (file_network f) eps reaches slack widenings
  end.

Lemma analyse_radius_sound f found : analyse_radius f = Some found -> claim f.
Proof.
  unfold analyse_radius, claim. intros A.
  destruct (file_radius f) as [slack scale|eps reaches slack widenings] eqn:F.
  - intros x x' l l' r Hx Hx' (y & Y & L & M) P (y' & Y' & L') D.
    assert (C : check_file f = true).
    { unfold check_file. destruct (analyse_file f); [reflexivity|discriminate]. }
    exact (check_file_sound f slack scale C F x x' y y' r l l' Hx Hx' Y L M Y' L' P D).
  - destruct (interval_needed (file_network f) widenings) as [needed|] eqn:I; [|discriminate].
    destruct (slack_checked needed slack) eqn:S; [|discriminate].
    destruct (ball_checked (input (file_network f)) eps reaches) eqn:B; [|discriminate].
    intros x x' l l' Hx Hx' Hf [(y & Y & L) R] (y' & Y' & L') D.
    assert (K : (l < classes (file_network f))%nat) by (destruct L; assumption).
    exact (interval_certificate (file_network f) eps reaches slack widenings needed I S B
      x x' l y' l' Hx Hx' Hf R K Y' L' D).
Qed.

Theorem check_bytes_sound b : check_bytes b = true -> exists f, means b f /\ claim f.
Proof.
  unfold check_bytes, report_of. intros C.
  destruct (read_file b) as [f|] eqn:F; [|discriminate].
  destruct (analyse_radius f) as [found|] eqn:A; [|discriminate].
  exists f. split; [exact (read_file_sound b f F)|exact (analyse_radius_sound f found A)].
Qed.
