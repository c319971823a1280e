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

let refuse reason =
  print_endline ("refused: " ^ reason);
  exit 1

let () =
  match Sys.argv with
  | [| _; path |] -> (
      match Extracted.read_file (bytes_of (contents path)) with
      | Some _ -> print_endline "accepted"
      | None -> refuse "not a file that this checker knows"
      | exception Stack_overflow -> refuse "it asks for too deep a recursion"
      | exception Out_of_memory -> refuse "it asks for too much memory"
      | exception Z.Overflow -> refuse "a number in it is out of range"
      | exception Invalid_argument reason -> refuse reason
      | exception Failure reason -> refuse reason
      | exception Sys_error reason -> refuse reason
      | exception Unix.Unix_error (error, _, _) -> refuse (Unix.error_message error))
  | _ ->
      prerr_endline "usage: sortnet-checker FILE";
      exit 2
