(** * The mass lemma *)

From Coq Require Import Reals Lra Lia Arith.
From SortNet Require Import Definitions Statements Sums OrderStatistics.
Open Scope R_scope.

Theorem families : families_statement.
Proof.
  split.
  - intros d m N. induction N as [|n m N [IH1 IH2] l]; simpl; [tauto|].
    destruct l; simpl; intuition (discriminate || lia).
  - intros d m N. induction N as [|n m N IH l]; simpl; [lra|].
    intros [HN Hl]. exists 1, 1. repeat split; [exact (IH HN)|exact Hl|lra|lra].
Qed.

Lemma net_norm_nonneg d m (N : network d m) L : net_norm N L -> 0 <= L.
Proof.
  revert L. induction N as [|n m N IH l]; simpl; intros L; [lra|].
  intros (L' & K & HN & _ & HK & Hle). specialize (IH L' HN).
  apply Rle_trans with (K * L'); [apply Rmult_le_pos|]; assumption.
Qed.

Section Mass.
  Variables (d m : nat) (x y : nat -> vec) (p : nat -> nat).
  Hypothesis pairs : single_coordinate_pairs d m x y p.

  (** Only the pair with p i = j moves input j. *)
  Lemma mass_input j : (j < d)%nat -> mass m x y (fun z => z j) <= 1.
  Proof.
    destruct pairs as (Hsame & Hstep & Hinj). intros Hj.
    assert (Z : forall i, (i < m)%nat -> j <> p i -> Rabs (y i j - x i j) = 0).
    { intros i Hi Hne. rewrite (Hsame i j Hi Hj Hne), Rminus_eq_0. apply Rabs_R0. }
    apply sum_single.
    - intros i Hi. destruct (Nat.eq_dec j (p i)) as [->|Hne]; [apply Hstep, Hi|].
      rewrite (Z i Hi Hne). lra.
    - intros i i' Hi Hi' E E'. apply Hinj; [exact Hi|exact Hi'|].
      destruct (Nat.eq_dec j (p i)) as [<-|Hne]; [|destruct (E (Z i Hi Hne))].
      destruct (Nat.eq_dec j (p i')) as [<-|Hne]; [reflexivity|destruct (E' (Z i' Hi' Hne))].
  Qed.

  (** A row of absolute sum at most K of units of mass at most M has mass at most K M. *)
  Lemma mass_row n (w : vec) (b K M : R) (u : vec -> vec) :
    0 <= M -> sum n (fun j => Rabs (w j)) <= K ->
    (forall j, (j < n)%nat -> mass m x y (fun z => u z j) <= M) ->
    mass m x y (fun z => sum n (fun j => w j * u z j) + b) <= K * M.
  Proof.
    intros HM Hw Hu. unfold mass in *.
    apply Rle_trans with
      (sum m (fun i => sum n (fun j => Rabs (w j) * Rabs (u (y i) j - u (x i) j)))).
    - apply sum_le. intros i _.
      replace (_ - _) with (sum n (fun j => w j * (u (y i) j - u (x i) j))).
      + eapply Rle_trans; [apply sum_abs|]. apply sum_le. intros j _.
        rewrite Rabs_mult. lra.
      + rewrite (sum_ext n _ (fun j => w j * u (y i) j - w j * u (x i) j)) by (intros; ring).
        rewrite sum_minus. ring.
    - rewrite sum_swap. apply Rle_trans with (sum n (fun j => Rabs (w j) * M)).
      + apply sum_le. intros j Hj. rewrite sum_scale.
        apply Rmult_le_compat_l; [apply Rabs_pos|apply Hu, Hj].
      + rewrite sum_scale_r. apply Rmult_le_compat_r; assumption.
  Qed.

  (** A function that moves at most K times as far as u has at most K times its mass. *)
  Lemma mass_moves K (u v : vec -> R) :
    (forall a b, Rabs (v a - v b) <= K * Rabs (u a - u b)) ->
    mass m x y v <= K * mass m x y u.
  Proof. intros H. unfold mass. rewrite <- sum_scale. apply sum_le. intros i _. apply H. Qed.

  (** Sorting a group of G units multiplies mass by at most G: each output moves by
      at most the largest, hence by at most the total, move in the group. *)
  Lemma mass_sort (G k : nat) (u : vec -> vec) M :
    (forall j, (j < G)%nat -> mass m x y (fun z => u z j) <= M) ->
    mass m x y (fun z => order_stat G (u z) k) <= INR G * M.
  Proof.
    intros Hu.
    apply Rle_trans with (sum m (fun i => sum G (fun j => Rabs (u (y i) j - u (x i) j)))).
    - apply sum_le. intros i _. apply order_stat_moves.
      + apply sum_nonneg. intros; apply Rabs_pos.
      + intros j Hj.
        apply (sum_term G (fun j => Rabs (u (y i) j - u (x i) j)) j); [|exact Hj].
        intros; apply Rabs_pos.
    - rewrite sum_swap, <- sum_const. apply sum_le. exact Hu.
  Qed.

  Lemma mass_net G n (N : network d n) L : groupsort_net G N -> net_norm N L ->
    forall i, (i < n)%nat -> mass m x y (fun z => eval N z i) <= L * INR G ^ sorting_layers N.
  Proof.
    revert L. induction N as [|n k N IH l]; intros L HG HL i Hi.
    - simpl in *. pose proof (mass_input i Hi). lra.
    - destruct HG as [HG Hl]. destruct HL as (L' & K & HN & HK & Kpos & Hle).
      specialize (IH L' HG HN).
      pose proof (net_norm_nonneg _ _ N L' HN) as Lpos.
      set (s := INR G ^ sorting_layers N) in *.
      assert (spos : 0 <= s) by apply pow_le, pos_INR.
      assert (P : 0 <= L' * s) by (apply Rmult_le_pos; assumption).
      (* it is enough to bound the mass by K times the bound on the layer's inputs *)
      assert (Q : K * (L' * s) <= L * s).
      { rewrite <- Rmult_assoc. apply Rmult_le_compat_r; assumption. }
      destruct l as [n k W b|n sigma|n c|H q|n k W b|n k w b]; simpl in *; try contradiction;
        fold s.
      + eapply Rle_trans; [|exact Q].
        apply (mass_row n (W i) (b i) K _ (eval N)); [exact P|apply HK, Hi|exact IH].
      + eapply Rle_trans; [|exact Q].
        eapply Rle_trans; [|apply Rmult_le_compat_l; [exact Kpos|apply (IH i Hi)]].
        apply mass_moves. intros a a'. apply HK, Hi.
      + eapply Rle_trans; [|exact Q].
        eapply Rle_trans; [|apply Rmult_le_compat_l; [exact Kpos|apply (IH i Hi)]].
        apply mass_moves. intros a a'.
        replace (_ - _ - _) with (eval N a i - eval N a' i) by ring.
        pose proof (Rabs_pos (eval N a i - eval N a' i)). nra.
      + assert (0 < H)%nat by (destruct H; lia).
        apply Rle_trans with (INR H * (L' * s)).
        * apply (mass_sort H _ (fun z j => eval N z (i / H * H + j)%nat)).
          intros j Hj. apply IH.
          assert (i / H < q)%nat by (apply Nat.div_lt_upper_bound; lia). nia.
        * apply le_INR in Hl. pose proof (pos_INR H).
          apply Rle_trans with (INR G * (L' * s)); [apply Rmult_le_compat_r; assumption|].
          replace (L * (INR G * s)) with (INR G * (L * s)) by ring.
          apply Rmult_le_compat_l; [lra|]. nra.
  Qed.
End Mass.

Theorem mass_lemma_norm : mass_lemma_norm_statement.
Proof. intros d m x y p H G n N L HG HL i Hi. apply (mass_net d m x y p); assumption. Qed.

Theorem mass_lemma_groupsort : mass_lemma_groupsort_statement.
Proof.
  intros d m x y p H G n N HG HN i Hi. rewrite <- (Rmult_1_l (INR G ^ _)).
  apply (mass_lemma_norm d m x y p H G n N 1); [exact HG|apply (proj2 families), HN|exact Hi].
Qed.

Theorem mass_lemma : mass_lemma_statement.
Proof.
  intros d m x y p H n N HS HN i Hi.
  apply (proj1 families) in HS. destruct HS as [HG Hs].
  pose proof (mass_lemma_groupsort d m x y p H 0%nat n N HG HN i Hi) as B.
  rewrite Hs in B. exact B.
Qed.
