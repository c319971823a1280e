(** * Extract: the checker as an OCaml program

    Integers become those of zarith, by way of [checker/numbers.ml], and natural numbers
    (sizes, counters; never above 2^31) native integers.  The mappings below, that file and
    the driver are what has to be believed beside the compiler. *)

From Coq Require Import Extraction ExtrOcamlBasic ZArith NArith.
From SortNet.float Require Import ReadFile CheckBytes.

Extract Inductive comparison => "int" [ "0" "(-1)" "1" ]
  "(fun e l g c -> if c = 0 then e () else if c < 0 then l () else g ())".

Extract Inductive nat => "int" [ "0" "Numbers.nat_succ" ] "Numbers.nat_case".
Extract Inductive positive => "Numbers.t"
  [ "Numbers.twice_plus_one" "Numbers.twice" "Numbers.one" ] "Numbers.positive_case".
Extract Inductive N => "Numbers.t" [ "Numbers.zero" "" ] "Numbers.n_case".
Extract Inductive Z => "Numbers.t" [ "Numbers.zero" "" "Numbers.opp" ] "Numbers.z_case".

Extract Inlined Constant Nat.add => "(+)".
Extract Inlined Constant Nat.mul => "( * )".
Extract Inlined Constant Nat.sub => "Numbers.nat_sub".
Extract Inlined Constant Nat.eqb => "Numbers.nat_eqb".
Extract Inlined Constant Nat.leb => "Numbers.nat_leb".
Extract Inlined Constant Nat.ltb => "Numbers.nat_ltb".
Extract Inlined Constant Nat.div => "Numbers.nat_div".
Extract Inlined Constant Nat.modulo => "Numbers.nat_modulo".
Extract Inlined Constant List.length => "Stdlib.List.length".

Extract Inlined Constant Z.add => "Numbers.add".
Extract Inlined Constant Z.sub => "Numbers.sub".
Extract Inlined Constant Z.mul => "Numbers.mul".
Extract Inlined Constant Z.opp => "Numbers.opp".
Extract Inlined Constant Z.abs => "Numbers.abs".
Extract Inlined Constant Z.min => "Numbers.min".
Extract Inlined Constant Z.max => "Numbers.max".
Extract Inlined Constant Z.succ => "Numbers.succ".
Extract Inlined Constant Z.pred => "Numbers.pred".
Extract Inlined Constant Z.compare => "Numbers.compare".
Extract Inlined Constant Z.eqb => "Numbers.eqb".
Extract Inlined Constant Z.eq_dec => "Numbers.eqb".
Extract Inlined Constant Z.leb => "Numbers.leb".
Extract Inlined Constant Z.ltb => "Numbers.ltb".
Extract Inlined Constant Z.geb => "Numbers.geb".
Extract Inlined Constant Z.gtb => "Numbers.gtb".
Extract Inlined Constant Z.div => "Numbers.div".
Extract Inlined Constant Z.modulo => "Numbers.modulo".
Extract Inlined Constant Z.div_eucl => "Numbers.div_eucl".
Extract Inlined Constant Z.shiftl => "Numbers.shiftl".
Extract Inlined Constant Z.shiftr => "Numbers.shiftr".
Extract Inlined Constant Z.pow => "Numbers.pow".
Extract Inlined Constant Z.log2 => "Numbers.log2".
Extract Inlined Constant Z.to_nat => "Numbers.to_nat".
Extract Inlined Constant Z.of_nat => "Numbers.of_nat".
Extract Inlined Constant Z.to_N => "Numbers.to_n".
Extract Inlined Constant Z.of_N => "Numbers.of_n".
Extract Inlined Constant Pos.add => "Numbers.add".
Extract Inlined Constant Pos.mul => "Numbers.mul".
Extract Inlined Constant Pos.succ => "Numbers.succ".
Extract Inlined Constant Pos.compare => "Numbers.compare".
Extract Inlined Constant Pos.eqb => "Numbers.eqb".

Extraction "extracted.ml" read_file report_of.
