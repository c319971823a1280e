"""A checker that leaves out one of its checks is noticed by the files that it should refuse."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from test_checker import CHANGES, NOISE, needs_coq
from test_tampering import copy

from sortnet.export.checker import HOME, NAME, run_checker

pytestmark = [needs_coq, pytest.mark.slow, pytest.mark.timeout(900)]

# file, the check, what is left of it
MUTATIONS = {
    "unknown fields of weights": ("Wire.v", "only [1; 2; 8; 9; 12] fs &&", ""),
    "unknown fields of a node": ("Wire.v", "only [1; 2; 3; 4; 5; 6; 7] fs &&", ""),
    "unknown fields of the model": ("Wire.v", "only [1; 2; 3; 4; 5; 6; 7; 8; 14; 25] fs", "true"),
    "unknown fields of the graph": ("Wire.v", "only [1; 2; 5; 10; 11; 12] fs &&", ""),
    "fields of an attribute": ("Wire.v", "(type =? 2) && only [1; 13; 20; 3] fs", "(type =? 2)"),
    "bytes of weights": (
        "Wire.v",
        "(code =? 1) && (4 * product dims =? till - from)",
        "(code =? 1)",
    ),
    "bodies of functions": ("Wire.v", "&& same_bytes l p", ""),
    "the version": ("Denotes.v", "((8 <=? ir_version g) && (ir_version g <=? 10))%Z", "true"),
    "opsets": ("Denotes.v", '[("", 18%Z); ("ai.sortnet", 1%Z)]', "(opsets g)"),
    "missing functions": (
        "Denotes.v",
        "(functions g) used_functions",
        "(functions g) (functions g)",
    ),
    "repeated metadata": ("Denotes.v", "distinct (metadata_keys g) &&", ""),
    "options of the runtime": (
        "Denotes.v",
        'negb (existsb (String.eqb "ort_config") (metadata_keys g)) &&',
        "",
    ),
    "names of nodes": (
        "Denotes.v",
        'distinct (filter (fun a => negb (String.eqb a "")) (node_names g)) &&',
        "",
    ),
    "names that shadow": (
        "Denotes.v",
        'distinct ("input" :: constant_names ++ node_outputs) &&',
        "",
    ),
    "reserved names": ("Denotes.v", 'negb (String.prefix "_inlfunc_" a)', "true"),
    "unused constants": (
        "Denotes.v",
        "existsb (String.eqb c) (flat_map inputs (nodes g))",
        "true",
    ),
    "declared outputs": (
        "Denotes.v",
        "list_eqb declaration_eqb (graph_outputs g)",
        "true || list_eqb declaration_eqb (graph_outputs g)",
    ),
    "the operator": ("Graph.v", "String.eqb (operator a) (operator b) &&", ""),
    "the domain": ("Graph.v", "String.eqb (domain a) (domain b) &&", ""),
    "attributes": ("Graph.v", "list_eqb named_eqb (attributes a) (attributes b) &&", ""),
    "inputs of a node": ("Graph.v", "list_eqb String.eqb (inputs a) (inputs b) &&", ""),
    "nodes left over": (
        "Recognise.v",
        "| Some [] =>\n      check margin_constants",
        "| Some _ =>\n      check margin_constants",
    ),
    "constants of the radius": ("Recognise.v", "check margin_constants g start n in", ""),
    "negative patches": ("Forms.v", "(0 <=? i)%Z && (i <=? n)%Z)", "(i <=? n)%Z)"),
    "padding": ("Forms.v", "check is_constant pads Int64 [4]%Z [0; 0; 0; 1]%Z in", ""),
    "groups": ("Forms.v", "check is_constant to_groups Int64 [3]%Z [-1; n / s; s]%Z in", ""),
    "constants of the bounds": ("Recognise.v", "&& interval_constants g start classes n in", "in"),
    "the ball": ("CheckBytes.v", "&& ball_checked (input (file_network f)) eps reach in", "in"),
    "how far bounds are apart": ("CheckBytes.v", "check slack_checked needed slack &&", "check"),
    "the slack": ("Checker.v", "(needed_slack s <=? below slack) &&", ""),
    "the box": (
        "Checker.v",
        "forallb (fun c => multiple (fst c) <=? multiple (snd c)) (combine (lows D) (highs D)) &&",
        "",
    ),
    "units below 0": ("Checker.v", "forallb (fun b => 0 <=? mantissa b) (units_of D) &&", ""),
    "units of 0": ("Checker.v", "existsb (fun b => 0 <? mantissa b) (units_of D)", "true"),
    "the shape of the box": (
        "Forms.v",
        "check list_eqb Z.eqb d (dims_in at_) in\n      Some (entries_before numbers",
        "Some (entries_before numbers",
    ),
    "features that cannot move": ("IntervalChecker.v", "then mantissa reach =? 0", "then true"),
    "how far the ball reaches": (
        "IntervalChecker.v",
        "Z.shiftl (Z.max (Z.abs (multiple low)) (Z.abs (multiple high))) 125 <=?",
        "0 <=?",
    ),
    "the place of the rank": ("Forms.v", "check is_constant last Int64 [] [k - 1]%Z in", ""),
    "windows that point before": (
        "Forms.v",
        "(entries_before at_ (Z.to_nat (P * F)) (P * F) []) in",
        "[] in",
    ),
    "the scale": ("Checker.v", "(mul_up (2 * lipschitz s) (above scale) <=? scale_limit)", "true"),
    "the standard deviation": ("Checker.v", "(least_std <=? below std) &&", ""),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_missing_check_is_noticed(tmp_path: Path, name: str) -> None:
    file, check, rest = MUTATIONS[name]
    theory = tmp_path / "theory" / "coq"
    shutil.copytree(HOME.parent / "theory" / "coq", theory)
    shutil.copytree(HOME, tmp_path / "checker")
    source = theory / "float" / file
    text = source.read_text()
    assert check in text
    source.write_text(text.replace(check, rest, 1))
    program = tmp_path / NAME
    subprocess.run(
        ["sh", tmp_path / "checker" / "build.sh", program, "--without-proofs"], check=True
    )
    wrong = []
    for kind, case, edit in CHANGES:
        model = copy(kind)
        edit(model)
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        if run_checker(tmp_path / "model.onnx", program, timeout=60).accepted:
            wrong.append((kind, case))
    for case, data in NOISE.items():
        (tmp_path / "model.onnx").write_bytes(data)
        if run_checker(tmp_path / "model.onnx", program, timeout=60).accepted:
            wrong.append(("noise", case))
    assert wrong
