(* The numbers of the extracted checker: Coq's definitions of the operations, by zarith's.
   Where the two differ (division by zero, shifts by negative numbers), Coq's is followed. *)

type t = Z.t

let zero = Z.zero
let one = Z.one
let twice x = Z.shift_left x 1
let twice_plus_one x = Z.succ (Z.shift_left x 1)

(* Case analysis of the binary numbers. *)
let positive_case odd even single x =
  if Z.equal x Z.one then single ()
  else if Z.is_even x then even (Z.shift_right x 1)
  else odd (Z.shift_right x 1)

let n_case zero positive x = if Z.sign x = 0 then zero () else positive x

let z_case zero positive negative x =
  let s = Z.sign x in
  if s = 0 then zero () else if s > 0 then positive x else negative (Z.neg x)

let add = Z.add
let sub = Z.sub
let mul = Z.mul
let opp = Z.neg
let abs = Z.abs
let min = Z.min
let max = Z.max
let succ = Z.succ
let pred = Z.pred
let compare = Z.compare
let eqb = Z.equal
let leb = Z.leq
let ltb = Z.lt
let geb = Z.geq
let gtb = Z.gt

(* Floor division; x / 0 = 0 and x mod 0 = x. *)
let div x y = if Z.sign y = 0 then Z.zero else Z.fdiv x y
let modulo x y = if Z.sign y = 0 then x else Z.sub x (Z.mul y (Z.fdiv x y))
let div_eucl x y = (div x y, modulo x y)

(* Z.to_int raises Overflow, which ends the check. *)
let shift x n = if n >= 0 then Z.shift_left x n else Z.shift_right x (-n)
let shiftl x y = shift x (Z.to_int y)
let shiftr x y = shift x (-Z.to_int y)
let pow x y = if Z.sign y < 0 then Z.zero else Z.pow x (Z.to_int y)
let log2 x = if Z.sign x <= 0 then Z.zero else Z.of_int (Z.log2 x)

(* Natural numbers. *)
let nat_succ n = n + 1
let nat_case zero succ n = if n = 0 then zero () else succ (n - 1)
let nat_sub (x : int) y = if x > y then x - y else 0
let nat_eqb (x : int) y = x = y
let nat_leb (x : int) y = x <= y
let nat_ltb (x : int) y = x < y
let nat_div x y = if y = 0 then 0 else x / y
let nat_modulo x y = if y = 0 then x else x mod y
let to_nat x = if Z.sign x <= 0 then 0 else Z.to_int x
let of_nat = Z.of_int
let to_n x = if Z.sign x <= 0 then Z.zero else x
let of_n (x : t) = x
