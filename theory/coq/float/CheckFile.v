(** * CheckFile: the checker of a whole file, and its theorem *)

From Coq Require Import Reals ZArith List Bool.
From SortNet Require Import Definitions.
From SortNet.float Require Import Network Rounding HostSemantics IntervalSemantics Grid Checker
  IntervalChecker ErrorBound RadiusSound IntervalCertificate.
Import ListNotations.
Open Scope Z_scope.

(** What the file gives against what is needed, on the grid. *)
Inductive limits :=
  | MarginLimits (needed_slack given_slack given_scale : Z)
  | IntervalLimits (needed_slack given_slack given_eps : Z).

(** L and E on the grid of 2^-48, as derived from the weights. *)
Record report := Report { report_lipschitz : Z; report_error : Z; report_limits : limits }.

Definition analyse_file (f : file) : option report :=
  match analyse (file_network f) with
  | None => None
  | Some s =>
    match file_radius f with
    | Margin slack scale =>
      if margin_checked s slack scale then
        Some (Report (lipschitz s) (error s)
                (MarginLimits (needed_slack s) (below slack) (above scale)))
      else None
    | Interval eps reach slack ds =>
      if ball_checked eps reach then
        match interval_needed (file_network f) ds with
        | Some needed =>
          if slack_checked needed slack then
            Some (Report (lipschitz s) (error s)
                    (IntervalLimits (with_room needed slack) (below slack) (above eps)))
          else None
        | None => None
        end
      else None
    end
  end.

Definition check_file (f : file) : bool :=
  match analyse_file f with Some _ => true | None => false end.

Open Scope R_scope.

(** [finds_radius f x y l r]: a host whose logits at x are y and whose label is l may find the
    radius r.  (Where the radius is 0 nothing is claimed, and nothing is said here of files
    of the other kind.) *)
Inductive finds_radius (f : file) (x y : vec) (l : nat) : R -> Prop :=
  | finds_margin slack scale r :
      file_radius f = Margin slack scale ->
      margin_radius (classes (file_network f)) (value slack) (value scale) y r ->
      finds_radius f x y l r
  | finds_interval eps reach slack ds :
      file_radius f = Interval eps reach slack ds ->
      interval_radius (file_network f) (value reach) (value slack) ds x l ->
      finds_radius f x y l (value eps).

(** The certificate: for an accepted file, two hosts that may differ, and two inputs in the
    box: if the first finds the radius r > 0 at x, and x' is within r of x, then the second
    says at x' what the first said at x. *)
Theorem check_file_sound f : check_file f = true ->
  let N := file_network f in
  forall x x' y y' r l l',
  in_cube (input_size N) x -> in_cube (input_size N) x' ->
  computes N x y -> labels (classes N) y l -> finds_radius f x y l r ->
  computes N x' y' -> labels (classes N) y' l' ->
  0 < r -> (forall i, (i < input_size N)%nat -> Rabs (x' i - x i) <= r) ->
  l' = l.
Proof.
  intros C N x x' y y' r l l' Hx Hx' Hy Hl Hr Hy' Hl' Pr Hd. unfold check_file, analyse_file in C.
  destruct (analyse (file_network f)) as [s|] eqn:A; [|discriminate].
  destruct Hr as [slack scale r F Hm|eps reach slack ds F Hi]; rewrite F in C.
  - destruct (margin_checked s slack scale) eqn:M; [|discriminate].
    exact (margin_certificate N s slack scale A M x x' y y' r l l' Hx Hx' Hy Hl Hm Hy' Hl' Pr Hd).
  - destruct (ball_checked eps reach) eqn:B; [|discriminate].
    destruct (interval_needed (file_network f) ds) as [needed|] eqn:I; [|discriminate].
    destruct (slack_checked needed slack) eqn:S; [|discriminate].
    exact (interval_certificate N eps reach slack ds needed I S B x x' l y' l' Hx Hx' Hi
      (label_class _ _ _ Hl) Hy' Hl' Hd).
Qed.
