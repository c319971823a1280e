(** * BitPatterns: [value] is what IEEE 754 says of a binary32 pattern, by Flocq's reading *)

From Coq Require Import Reals ZArith Lra Lia Bool.
From Flocq Require Import Core Binary Bits.
From SortNet.float Require Import Network.
Open Scope R_scope.

Lemma value_is_binary32 b : finite b = true -> value b = B2R 24 128 (b32_of_bits b).
Proof.
  intros H. unfold finite in H. apply andb_prop in H. destruct H as [H H3].
  apply andb_prop in H. destruct H as [H1 H2]. apply Z.ltb_lt in H2, H3. apply Z.leb_le in H1.
  unfold b32_of_bits, binary_float_of_bits. rewrite B2R_FF2B.
  unfold binary_float_of_bits_aux, split_bits.
  change (2 ^ 23)%Z with two23. change (2 ^ 8)%Z with two8.
  assert (E : exponent_field b = ((b / two23) mod two8)%Z).
  { unfold exponent_field. rewrite Z.shiftr_div_pow2 by (unfold field_bits; lia). reflexivity. }
  assert (N : Zle_bool (two23 * two8) b = negative b) by reflexivity.
  rewrite <- E, N. fold (fraction b).
  assert (F : (0 <= fraction b < two23)%Z) by (apply Z.mod_pos_bound; unfold two23; lia).
  unfold value, mantissa, exponent.
  destruct (Zeq_bool (exponent_field b) 0) eqn:Z0.
  - apply Zeq_bool_eq in Z0. rewrite Z0. cbn [Z.eqb].
    destruct (fraction b) as [|m|m] eqn:Fr; [| |lia].
    + cbn [FF2R]. destruct (negative b); simpl; ring.
    + cbn [FF2R]. unfold F2R, cond_Zopp. cbn [Fnum Fexp].
      change least_exponent with (3 - 128 - 24)%Z. destruct (negative b); reflexivity.
  - apply Zeq_bool_neq in Z0. rewrite (proj2 (Z.eqb_neq _ _) Z0).
    unfold infinity_field in H3.
    rewrite Zeq_bool_false by (unfold two8; lia).
    destruct (fraction b + two23)%Z as [|m|m] eqn:Fr;
        [unfold two23 in *; lia| |unfold two23 in *; lia].
    cbn [FF2R]. unfold F2R, cond_Zopp. cbn [Fnum Fexp].
    change (SpecFloat.emin (23 + 1) (2 ^ (8 - 1))) with (-149)%Z.
    replace (exponent_field b + -149 - 1)%Z with (exponent_field b - exponent_bias)%Z
      by (unfold exponent_bias; lia).
    destruct (negative b); reflexivity.
Qed.
