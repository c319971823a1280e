(** * Bytes: a file as a length and an accessor

    Nothing here is a list of the file's bytes: a file of hundreds of megabytes is read where
    it lies.  The driver of the extracted program supplies [byte_at]; the theorems hold for
    every function in its place.

    The second half reads the wire format of protocol buffers: a message is a sequence of
    fields, a field a number and a payload.  Each rule is stated as a relation, and the
    function that decides it is proved to be right; a message has one reading only. *)

From Coq Require Import ZArith List Bool Lia.
Import ListNotations.
Local Open Scope Z_scope.

Record bytes := Bytes { size : Z; byte_at : Z -> Z }.

(** Little-endian words.  (Numbers have names where the extracted program would build them
    anew for every weight.) *)
Definition two8 : Z := 256.
Definition two16 : Z := 65536.
Definition two32 : Z := 4294967296.
Definition two63 : Z := 9223372036854775808.
Definition two64 : Z := 18446744073709551616.

Definition word16 (b : bytes) (p : Z) : Z := byte_at b p + two8 * byte_at b (p + 1).
Definition word32 (b : bytes) (p : Z) : Z := word16 b p + two16 * word16 b (p + 2).
Definition word64 (b : bytes) (p : Z) : Z := word32 b p + two32 * word32 b (p + 4).

(** Two's complement. *)
Definition signed64 (v : Z) : Z := if v <? two63 then v else v - two64.

(** ** Varints: seven bits a byte, the least significant first, no longer than needed *)

Inductive varint_at (b : bytes) : Z -> Z -> Z -> Prop :=
  | varint_last p :
      0 <= byte_at b p < 128 -> varint_at b p (p + 1) (byte_at b p)
  | varint_more p q v :
      128 <= byte_at b p < 256 -> varint_at b (p + 1) q v -> 0 < v ->
      varint_at b p q (byte_at b p - 128 + 128 * v).

(** At most [n] bytes, all before [stop]. *)
Fixpoint varint_within (b : bytes) (n : nat) (p stop : Z) : option (Z * Z) :=
  match n with
  | O => None
  | S n' =>
      if p <? stop then
        let x := byte_at b p in
        if x <? 0 then None
        else if x <? 128 then Some (x, p + 1)
        else if x <? 256 then
          match varint_within b n' (p + 1) stop with
          | Some (v, q) => if 0 <? v then Some (x - 128 + 128 * v, q) else None
          | None => None
          end
        else None
      else None
  end.

(** The number and the position after it; numbers have 64 bits. *)
Definition varint (b : bytes) (p stop : Z) : option (Z * Z) :=
  match varint_within b 10 p stop with
  | Some (v, q) => if v <? two64 then Some (v, q) else None
  | None => None
  end.

(** ** Fields and messages *)

Inductive payload :=
  | Varint (v : Z)
  | Word (v : Z) (** four bytes, little-endian *)
  | Chunk (from till : Z). (** the bytes from [from] on, before [till] *)

Definition field : Type := Z * payload.

(** [field_at b p q f]: the bytes from p to before q are the field f. *)
Inductive field_at (b : bytes) : Z -> Z -> field -> Prop :=
  | field_varint p m q number v :
      varint_at b p m (8 * number) -> varint_at b m q v -> v < two64 ->
      field_at b p q (number, Varint v)
  | field_word p m number :
      varint_at b p m (8 * number + 5) ->
      field_at b p (m + 4) (number, Word (word32 b m))
  | field_chunk p m from till number :
      varint_at b p m (8 * number + 2) -> varint_at b m from (till - from) ->
      field_at b p till (number, Chunk from till).

Inductive message (b : bytes) : Z -> Z -> list field -> Prop :=
  | message_nil p : message b p p []
  | message_cons p q stop f fs :
      field_at b p q f -> message b q stop fs -> message b p stop (f :: fs).

Definition read_field (b : bytes) (p stop : Z) : option (field * Z) :=
  match varint b p stop with
  | None => None
  | Some (tag, m) =>
      let number := Z.shiftr tag 3 in
      let kind := tag - 8 * number in
      if kind =? 0 then
        match varint b m stop with
        | Some (v, q) => Some ((number, Varint v), q)
        | None => None
        end
      else if kind =? 2 then
        match varint b m stop with
        | Some (length, from) =>
            if from + length <=? stop then Some ((number, Chunk from (from + length)), from + length)
            else None
        | None => None
        end
      else if kind =? 5 then
        if m + 4 <=? stop then Some ((number, Word (word32 b m)), m + 4) else None
      else None
  end.

(** At most [n] fields, the first at p, the last ending at stop; newest first in [before]. *)
Fixpoint read_fields (b : bytes) (n : nat) (p stop : Z) (before : list field)
    : option (list field) :=
  if p =? stop then Some (rev before)
  else
    match n with
    | O => None
    | S n' =>
        match read_field b p stop with
        | Some (f, q) => read_fields b n' q stop (f :: before)
        | None => None
        end
    end.

Definition fields (b : bytes) (n : nat) (p stop : Z) : option (list field) :=
  read_fields b n p stop [].

(** ** The functions decide the relations *)

Lemma varint_within_sound b n : forall p stop v q,
  varint_within b n p stop = Some (v, q) -> varint_at b p q v /\ p < q <= stop.
Proof.
  induction n as [|n IH]; simpl; intros p stop v q H; [discriminate|].
  destruct (Z.ltb_spec p stop) as [Hp|]; [|discriminate].
  destruct (Z.ltb_spec (byte_at b p) 0); [discriminate|].
  destruct (Z.ltb_spec (byte_at b p) 128) as [Hx|Hx].
  - injection H as <- <-. split; [constructor|]; lia.
  - destruct (Z.ltb_spec (byte_at b p) 256) as [Hy|]; [|discriminate].
    destruct (varint_within b n (p + 1) stop) as [[w r]|] eqn:E; [|discriminate].
    destruct (Z.ltb_spec 0 w); [|discriminate].
    injection H as <- <-. destruct (IH _ _ _ _ E) as [A B]. split; [|lia].
    apply varint_more; [lia|exact A|assumption].
Qed.

Lemma varint_sound b p stop v q : varint b p stop = Some (v, q) ->
  varint_at b p q v /\ p < q <= stop /\ v < two64.
Proof.
  unfold varint. destruct (varint_within b 10 p stop) as [[w r]|] eqn:E; [|discriminate].
  destruct (Z.ltb_spec w two64); [|discriminate].
  intros H'. injection H' as <- <-. apply varint_within_sound in E. intuition.
Qed.

Lemma varint_at_nonneg b p q v : varint_at b p q v -> 0 <= v.
Proof. induction 1; lia. Qed.

Lemma read_field_sound b p stop f q :
  read_field b p stop = Some (f, q) -> field_at b p q f /\ p < q <= stop.
Proof.
  unfold read_field.
  destruct (varint b p stop) as [[tag m]|] eqn:E; [|discriminate].
  apply varint_sound in E as (A & B & _).
  set (number := Z.shiftr tag 3).
  assert (T : forall kind, tag - 8 * number = kind -> varint_at b p m (8 * number + kind)).
  { intros kind <-. replace (8 * number + (tag - 8 * number)) with tag by lia. exact A. }
  destruct (Z.eqb_spec (tag - 8 * number) 0) as [K|_].
  - destruct (varint b m stop) as [[v r]|] eqn:F; [|discriminate].
    apply varint_sound in F as (C & D & G). intros H. injection H as <- <-.
    split; [|lia]. apply T in K. rewrite Z.add_0_r in K.
    eapply field_varint; eassumption.
  - destruct (Z.eqb_spec (tag - 8 * number) 2) as [K|_].
    + destruct (varint b m stop) as [[v r]|] eqn:F; [|discriminate].
      apply varint_sound in F as (C & D & G).
      destruct (Z.leb_spec (r + v) stop); [|discriminate].
      intros H'. injection H' as <- <-. split.
      * apply field_chunk with m; [exact (T _ K)|].
        replace (r + v - r) with v by lia. exact C.
      * pose proof (varint_at_nonneg _ _ _ _ C). lia.
    + destruct (Z.eqb_spec (tag - 8 * number) 5) as [K|_]; [|discriminate].
      destruct (Z.leb_spec (m + 4) stop); [|discriminate].
      intros H'. injection H' as <- <-. split; [|lia]. apply field_word, T, K.
Qed.

Lemma read_fields_sound b n : forall p stop before fs,
  read_fields b n p stop before = Some fs ->
  exists rest, fs = rev before ++ rest /\ message b p stop rest.
Proof.
  induction n as [|n IH]; simpl; intros p stop before fs;
    destruct (Z.eqb_spec p stop) as [->|_].
  - intros [= <-]. exists []. rewrite app_nil_r. split; [reflexivity|constructor].
  - discriminate.
  - intros [= <-]. exists []. rewrite app_nil_r. split; [reflexivity|constructor].
  - destruct (read_field b p stop) as [[f q]|] eqn:E; [|discriminate].
    intros H. apply IH in H as (rest & -> & M). exists (f :: rest). simpl.
    rewrite <- app_assoc. split; [reflexivity|].
    apply read_field_sound in E as [E _]. econstructor; eassumption.
Qed.

Theorem fields_sound b n p stop fs : fields b n p stop = Some fs -> message b p stop fs.
Proof. intros H. apply read_fields_sound in H as (rest & -> & M). exact M. Qed.

(** ** A message has one reading *)

Lemma varint_at_unique b p q v : varint_at b p q v ->
  forall q' v', varint_at b p q' v' -> q' = q /\ v' = v.
Proof.
  induction 1 as [p Hp|p q v Hp H IH Hv]; intros q' v' H'.
  - inversion H'; subst; [split; reflexivity|lia].
  - inversion H' as [|? ? w ? W]; subst; [lia|]. destruct (IH _ _ W) as [-> ->].
    split; reflexivity.
Qed.

Lemma varint_at_after b p q v : varint_at b p q v -> p < q.
Proof. induction 1; lia. Qed.

Lemma field_at_unique b p q f : field_at b p q f ->
  forall q' f', field_at b p q' f' -> q' = q /\ f' = f.
Proof.
  destruct 1 as [p m q number v T V _|p m number T|p m from till number T V];
    intros q' f' H';
    destruct H' as [p m' q' number' v' T' V' _|p m' number' T'|p m' from' till' number' T' V'];
    destruct (varint_at_unique _ _ _ _ T _ _ T') as [-> E]; try lia;
    assert (number' = number) as -> by lia.
  - destruct (varint_at_unique _ _ _ _ V _ _ V') as [-> ->]. split; reflexivity.
  - split; reflexivity.
  - destruct (varint_at_unique _ _ _ _ V _ _ V') as [-> E'].
    assert (till' = till) as -> by lia. split; reflexivity.
Qed.

Lemma field_at_after b p q f : field_at b p q f -> p < q.
Proof.
  destruct 1 as [p m q number v T V _|p m number T|p m from till number T V];
    apply varint_at_after in T; try apply varint_at_after in V as A; try lia.
  apply varint_at_nonneg in V. lia.
Qed.

Lemma message_after b p q fs : message b p q fs -> p <= q.
Proof. induction 1 as [|p q stop f fs F]; [lia|]. apply field_at_after in F. lia. Qed.

Theorem message_unique b p q fs : message b p q fs ->
  forall fs', message b p q fs' -> fs' = fs.
Proof.
  induction 1 as [p|p q stop f fs F M IH]; intros fs' M'.
  - inversion M' as [|? ? ? ? ? F' M'']; subst; [reflexivity|].
    apply field_at_after in F'. apply message_after in M''. lia.
  - inversion M' as [|? ? ? ? ? F' M'']; subst.
    + apply field_at_after in F. apply message_after in M. lia.
    + destruct (field_at_unique _ _ _ _ F _ _ F') as [-> ->]. f_equal. apply IH, M''.
Qed.
