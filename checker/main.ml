(* Reads one file and says whether the checker accepts it.  Nothing here is proved: it hands the
   file's bytes to the extracted program and prints what comes back. *)

let largest = 0x7fffffff

(* The whole file as a string: the checker reads it in place. *)
let contents path =
  if (Unix.stat path).st_kind <> Unix.S_REG then failwith "not a regular file";
  let channel = open_in_bin path in
  Fun.protect
    ~finally:(fun () -> close_in_noerr channel)
    (fun () ->
      let length = in_channel_length channel in
      if length > largest then failwith "larger than 2 GiB, more than any exported file";
      really_input_string channel length)

let bytes_of data : Extracted.bytes =
  { size = Z.of_int (String.length data);
    byte_at = (fun i -> Z.of_int (Char.code data.[Z.to_int i])) }

(* A multiple of 2^-48 with twelve decimals, not rounded down. *)
let decimal x =
  let trillion = Z.of_string "1000000000000" in
  let units = Z.cdiv (Z.mul x trillion) (Z.shift_left Z.one 48) in
  let whole, rest = Z.div_rem units trillion in
  Printf.sprintf "%s.%012d" (Z.to_string whole) (Z.to_int rest)

let accept_margin (r : Extracted.report) =
  Printf.printf "Lipschitz constant at most %s\n" (decimal r.report_lipschitz);
  Printf.printf "error of a logit at most %s\n" (decimal r.report_error);
  Printf.printf "radius = max(0, (margin - slack) * scale): slack %s, at least %s is needed; scale %s\n"
    (decimal r.report_given_slack) (decimal r.report_slack) (decimal r.report_given_scale)

let accept finding =
  print_endline "accepted";
  match finding with
  | Extracted.Safe_margin report -> accept_margin report
  | Extracted.Safe_interval (eps, needed, given) ->
      Printf.printf "radius = %s where bounds are %s apart: at least %s is needed\n" (decimal eps)
        (decimal given) (decimal needed)

let refuse reason =
  print_endline ("refused: " ^ reason);
  exit 1

(* The verdict is that of [report_of]; what follows only says more about a refusal. *)
let check path =
  let bytes = bytes_of (contents path) in
  match Extracted.report_of bytes with
  | Some finding -> accept finding
  | None ->
      refuse
        (match Extracted.read_file bytes with
        | None -> "its bytes are not a network and radius of the format"
        | Some _ -> "its radius does not follow from its weights")

let () =
  match Sys.argv with
  | [| _; path |] -> (
      try check path with
      | Stack_overflow -> refuse "it asks for too deep a recursion"
      | Out_of_memory -> refuse "it asks for too much memory"
      | Z.Overflow -> refuse "a number in it is out of range"
      | Invalid_argument reason | Failure reason | Sys_error reason -> refuse reason
      | End_of_file -> refuse "it changes while it is read"
      | Unix.Unix_error (error, _, _) -> refuse (Unix.error_message error))
  | _ ->
      prerr_endline "usage: sortnet-checker FILE";
      exit 2
