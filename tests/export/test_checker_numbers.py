"""The numbers of the extracted checker (checker/numbers.ml) against Coq's, which they replace."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
from test_checker import needs_coq

from sortnet.export.checker import HOME

# Coq's operation, OCaml's; both of two integers.
BINARY = {
    **{
        f"Z.{coq} x y": f"{ocaml} x y"
        for coq, ocaml in {
            "add": "add",
            "sub": "sub",
            "mul": "mul",
            "min": "min",
            "max": "max",
            "div": "div",
            "modulo": "modulo",
        }.items()
    },
    "fst (Z.div_eucl x y)": "fst (div_eucl x y)",
    "snd (Z.div_eucl x y)": "snd (div_eucl x y)",
    "Z.opp x": "opp x",
    "Z.abs x": "abs x",
    "Z.succ x": "succ x",
    "Z.pred x": "pred x",
    "Z.log2 x": "log2 x",
    "Z.shiftl x (y mod 80)": "shiftl x (modulo y (Z.of_int 80))",
    "Z.shiftr x (y mod 80)": "shiftr x (modulo y (Z.of_int 80))",
    "Z.shiftl x (- (y mod 80))": "shiftl x (opp (modulo y (Z.of_int 80)))",
    "Z.shiftr x (- (y mod 80))": "shiftr x (opp (modulo y (Z.of_int 80)))",
    "Z.pow x (y mod 5)": "pow x (modulo y (Z.of_int 5))",
    "Z.pow x (- (y mod 5))": "pow x (opp (modulo y (Z.of_int 5)))",
    "match x ?= y with Lt => -1 | Eq => 0 | Gt => 1 end": "Z.of_int (compare x y)",
    **{
        f"if Z.{name} x y then 1 else 0": f"if {name} x y then one else zero"
        for name in ("eqb", "leb", "ltb", "geb", "gtb")
    },
    "Z.of_N (Z.to_N x)": "of_n (to_n x)",
    "match x with 0 => 0 | Zpos p => Z.succ (Zpos p) | Zneg p => Z.pred (Zneg p) end": (
        "z_case (fun () -> zero) (fun p -> succ p) (fun p -> pred (opp p)) x"
    ),
    "match Z.abs x with Zpos p~1 => Zpos p | Zpos p~0 => Zneg p | Zpos xH => 7 | _ => 0 end": (
        "n_case (fun () -> zero) (positive_case (fun p -> p) (fun p -> opp p) "
        "(fun () -> Z.of_int 7)) (abs x)"
    ),
    "Z.double x": "twice x",
    "Z.succ_double x": "twice_plus_one x",
    # Natural numbers, small ones.
    "Z.of_nat (Z.to_nat (x mod 1000) - Z.to_nat (y mod 1000))": (
        "of_nat (nat_sub (to_nat (modulo x (Z.of_int 1000))) (to_nat (modulo y (Z.of_int 1000))))"
    ),
    "Z.of_nat (Z.to_nat (x mod 1000) / Z.to_nat (y mod 7))": (
        "of_nat (nat_div (to_nat (modulo x (Z.of_int 1000))) (to_nat (modulo y (Z.of_int 7))))"
    ),
    "Z.of_nat (Z.to_nat (x mod 1000) mod Z.to_nat (y mod 7))": (
        "of_nat (nat_modulo (to_nat (modulo x (Z.of_int 1000))) (to_nat (modulo y (Z.of_int 7))))"
    ),
    "Z.of_nat (Z.to_nat (- (x mod 5)))": "of_nat (to_nat (opp (modulo x (Z.of_int 5))))",
    **{
        f"if Nat.{name} (Z.to_nat (x mod 9)) (Z.to_nat (y mod 9)) then 1 else 0": (
            f"if nat_{name} (to_nat (modulo x (Z.of_int 9))) (to_nat (modulo y (Z.of_int 9))) "
            "then one else zero"
        )
        for name in ("eqb", "leb", "ltb")
    },
}


def pairs() -> list[tuple[int, int]]:
    """Small, huge, of either sign, and next to where a native integer ends."""
    rng = np.random.default_rng(0)
    special = [0, 1, -1, 2, -2, 2**62 - 1, 2**62, -(2**62), -(2**62) - 1, 2**63, 2**100]
    some = [int(v) for v in rng.integers(-1000, 1000, 6)]
    some += [int(v) << int(s) for v, s in rng.integers(1, 60, (4, 2))]
    values = special + some
    return [(x, y) for x in values for y in values]


@needs_coq
def test_numbers_are_those_of_coq(tmp_path: Path) -> None:
    coq = [
        "From Coq Require Import ZArith List. Import ListNotations.",
        "Open Scope positive_scope. Open Scope Z_scope.",
        f"Definition all x y := [{'; '.join(f'({text})' for text in BINARY)}]".replace(
            "Z.to_nat (x mod 1000) - Z.to_nat (y mod 1000)",
            "(Z.to_nat (x mod 1000) - Z.to_nat (y mod 1000))%nat",
        )
        .replace(
            "Z.to_nat (x mod 1000) / Z.to_nat (y mod 7)",
            "(Nat.div (Z.to_nat (x mod 1000)) (Z.to_nat (y mod 7)))",
        )
        .replace(
            "Z.to_nat (x mod 1000) mod Z.to_nat (y mod 7)",
            "(Nat.modulo (Z.to_nat (x mod 1000)) (Z.to_nat (y mod 7)))",
        )
        + ".",
        "Set Printing Width 1000000. Set Printing Depth 1000000.",
    ]
    listed = "; ".join(f"({x}, {y})" for x, y in pairs())
    coq.append(f"Eval vm_compute in map (fun p => all (fst p) (snd p)) [{listed}].")
    (tmp_path / "numbers_of_coq.v").write_text("\n".join(coq))
    done = subprocess.run(
        ["coqc", "-q", "numbers_of_coq.v"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    expected = re.findall(r"\[([^\[\]]+)\]", done.stdout)
    ocaml = ["open Numbers", "let all x y = ["]
    ocaml += [f"  ({text});" for text in BINARY.values()]
    ocaml += ["]", "let show x y ="]
    ocaml += ['  print_endline (String.concat "; " (List.map Z.to_string (all x y)))', "let () ="]
    ocaml += [f'  show (Z.of_string "{x}") (Z.of_string "{y}");' for x, y in pairs()]
    (tmp_path / "main.ml").write_text("\n".join(ocaml)[:-1])
    (tmp_path / "numbers.ml").write_text((HOME / "numbers.ml").read_text())
    subprocess.run(
        ["ocamlfind", "ocamlopt", "-package", "zarith", "-linkpkg", "numbers.ml", "main.ml"],
        cwd=tmp_path,
        check=True,
    )
    found = subprocess.run([tmp_path / "a.out"], check=True, capture_output=True, text=True)
    rows = found.stdout.splitlines()
    assert len(rows) == len(expected) == len(pairs())
    for row, line, pair in zip(rows, expected, pairs(), strict=True):
        assert row.split("; ") == re.findall(r"-?\d+", line), pair


def test_every_mapped_operation_is_compared() -> None:
    text = (HOME.parent / "theory" / "coq" / "float" / "Extract.v").read_text()
    mapped = set(re.findall(r"Constant (Z\.\w+) =>", text))
    compared = set(re.findall(r"Z\.\w+", " ".join(BINARY)))
    # Decided by equality, and by the tests of the others.
    assert mapped - compared <= {"Z.eq_dec", "Z.compare"}
