"""Networks, files and verdicts whose bytes are kept: what a refactoring must not change.

    python tests/export/golden_cases.py write      # after a change that is meant and reviewed
    python tests/export/golden_cases.py exact      # also compares the last bits, on one machine
    python tests/export/golden_cases.py functions  # hashes of the attached functions

``golden/bytes.json`` holds a hash of every exported file, ``golden/verdicts.json`` the verifier's
answer to every file of the tampering suite, ``golden/format1-*.onnx`` files that later versions
must read, verify and run. Weights are written down by a rule, for random streams differ between
versions of NumPy.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import (
    Abs,
    Affine,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Normalize,
    Operation,
    OrderStatistic,
    PiecewiseLinear,
    RankFilter,
    ReLU,
    Shift,
    SortConv,
    SortNeuron,
    Tanh,
)
from sortnet.certificate.rounding import Array
from sortnet.export.functions import functions
from sortnet.export.verifier import Proof, verify_model
from sortnet.export.writer import build_interval_model, build_model

FOLDER = Path(__file__).with_name("golden")
F32 = np.float32


def numbers(seed: int, *shape: int, scale: float = 1.0) -> Array:
    """Float32 in [-scale, scale), the same everywhere: a linear congruential sequence."""
    state, values = seed * 2654435761 % 2**32, []
    for _ in range(int(np.prod(shape))):
        state = (1664525 * state + 1013904223) % 2**32
        values.append((state >> 8) / 2.0**23 - 1)
    return (np.array(values).reshape(shape) * scale).astype(F32)


def neuron(seed: int, outputs: int, inputs: int, k: int, rho: float) -> SortNeuron:
    return SortNeuron(numbers(seed, outputs, inputs), float(F32(rho)), k)


def affine(seed: int, outputs: int, inputs: int) -> Affine:
    W = numbers(seed, outputs, inputs, scale=2 / inputs)
    return Affine(W, numbers(seed + 1, outputs))


def windows(channels: int, height: int, width: int, side: int, stride: int, pad: int) -> Array:
    """Patches of a convolution, written out pixel by pixel."""
    size = channels * height * width
    rows = []
    for top in range(-pad, height + pad - side + 1, stride):
        for left in range(-pad, width + pad - side + 1, stride):
            rows.append(
                [
                    (c * height + i) * width + j if 0 <= i < height and 0 <= j < width else size
                    for c in range(channels)
                    for i in range(top, top + side)
                    for j in range(left, left + side)
                ]
            )
    return np.array(rows, np.int64)


def _ends(seed: int, inputs: int) -> list[Operation]:
    return [neuron(seed, 3, inputs, 2, 0.5), Bias(numbers(seed + 1, 3)), Negate()]


def networks() -> dict[str, Network]:
    """Small networks that hold every operation, alone and together."""
    normal = Normalize(float(F32(0.1307)), float(F32(0.3081)))
    conv = SortConv(windows(2, 4, 3, 2, 1, 1), neuron(1, 2, 8, 3, 0.3))
    wide = SortConv(windows(1, 5, 5, 3, 2, 0), neuron(2, 4, 9, 1, 0.0))
    chains: dict[str, tuple[tuple[int, int, int], list[Operation]]] = {
        "neuron": ((1, 2, 3), [Flatten(), *_ends(3, 6)]),
        "normalised": ((1, 2, 3), [normal, Flatten(), *_ends(4, 6)]),
        "two layers": (
            (1, 3, 3),
            [normal, Flatten(), neuron(5, 6, 9, 4, 0.75), Shift(numbers(6, 6)), *_ends(7, 6)],
        ),
        "maximum": (
            (1, 3, 3),
            [Flatten(), neuron(8, 6, 9, 1, 0.0), Shift(numbers(9, 6)), neuron(10, 2, 6, 6, 0.0)],
        ),
        "all terms": ((1, 3, 4), [Flatten(), neuron(11, 4, 12, 12, 0.9), *_ends(12, 4)]),
        "convolution": ((2, 4, 3), [Flatten(), conv, *_ends(13, 40)]),
        "two convolutions": (
            (1, 5, 5),
            [
                normal,
                Flatten(),
                wide,
                Shift(numbers(14, 16)),
                SortConv(windows(4, 2, 2, 1, 1, 0), neuron(15, 3, 4, 2, 0.4)),
                *_ends(16, 12),
            ],
        ),
        "tanh head": (
            (1, 3, 3),
            [
                normal,
                Flatten(),
                neuron(17, 8, 9, 3, 0.5),
                Shift(numbers(18, 8)),
                affine(19, 5, 8),
                Tanh(),
                affine(20, 4, 5),
            ],
        ),
        "convolution and head": (
            (2, 4, 3),
            [Flatten(), conv, affine(21, 4, 40), Tanh(), affine(22, 3, 4)],
        ),
        "affine": ((1, 2, 2), [Flatten(), affine(23, 3, 4)]),
        "relu": ((1, 2, 2), [Flatten(), affine(24, 6, 4), ReLU(), affine(25, 3, 6)]),
        "abs": ((1, 2, 2), [Flatten(), affine(26, 6, 4), Abs(), affine(27, 3, 6)]),
        "tanh": ((1, 2, 2), [Flatten(), affine(28, 6, 4), Tanh(), affine(29, 3, 6)]),
        "maxmin": ((1, 2, 2), [Flatten(), affine(30, 6, 4), GroupSort(2), affine(31, 3, 6)]),
        "groups of three": (
            (1, 2, 2),
            [Flatten(), affine(32, 6, 4), GroupSort(3), affine(33, 3, 6)],
        ),
        "negated twice": ((1, 2, 2), [Negate(), Flatten(), Flatten(), Negate(), *_ends(34, 4)]),
        "abs of distances": (
            (1, 2, 2),
            [
                Flatten(),
                neuron(35, 5, 4, 2, 0.5),
                Shift(numbers(36, 5)),
                Abs(),
                *_ends(37, 5),
            ],
        ),
        "relu at the end": ((1, 2, 2), [Flatten(), *_ends(38, 4), ReLU()]),
        "bias and shift": (
            (3, 1, 1),
            [normal, Flatten(), Bias(numbers(39, 3)), Shift(numbers(40, 3)), *_ends(41, 3)],
        ),
        "far weights": (
            (1, 2, 2),
            [Flatten(), SortNeuron(numbers(42, 3, 4) + F32(1000), 0.5, 3), *_ends(43, 3)],
        ),
        "activation of pixels": ((1, 2, 2), [normal, Tanh(), Flatten(), *_ends(44, 4)]),
        "everything": (
            (1, 3, 4),
            [
                normal,
                Flatten(),
                SortConv(windows(1, 3, 4, 2, 1, 0), neuron(45, 2, 4, 2, 0.5)),
                Shift(numbers(46, 12)),
                Abs(),
                affine(47, 6, 12),
                GroupSort(3),
                neuron(48, 5, 6, 3, 0.5),
                ReLU(),
                Bias(numbers(49, 5)),
                Negate(),
                affine(50, 6, 5),
                Tanh(),
                affine(51, 3, 6),
            ],
        ),
    }
    return {name: Network(shape, tuple(ops)) for name, (shape, ops) in chains.items()}


def feature_networks() -> dict[str, Network]:
    """The same for format 2."""
    unit = numbers(60, 6) ** 2
    unit[2] = 0
    table = InputSpec((6,), F32([0, 0, -1, 100, 0, 2]), F32([1, 2, 1, 5000, 0.125, 2]), unit)
    scaled = Normalize((table.low + table.high) / 2, np.maximum(table.high - table.low, F32(0.25)))
    signal = InputSpec((2, 5), -1.5, 2.0, numbers(61, 2, 5) ** 2)
    image = InputSpec((1, 3, 3))
    median_of_four = RankFilter(np.array([[0, 1, 2], [1, 2, 3], [3, 0, 4]]), 2)
    learned = PiecewiseLinear(F32([-1, 0, 0.5]), numbers(82, 5, 4))
    learned_last = PiecewiseLinear(F32([0.25]), numbers(86, 3, 2))
    signed = OrderStatistic(numbers(84, 3, 6), numbers(87, 3, 4))
    colour = InputSpec((3, 2, 2), 0.0, 1.0, 1.0)
    mean, std = (np.repeat(F32(v), 4).reshape(3, 2, 2) for v in ([0.5, 0.25, 0.75], [1, 2, 0.5]))
    line = SortConv(windows(2, 1, 5, 1, 1, 0), neuron(62, 3, 2, 2, 0.25))
    head = [affine(66, 4, 8), Tanh()]
    median = RankFilter(windows(2, 1, 5, 1, 1, 0)[:, [0, 1, 0]], 2)
    opening = [RankFilter(windows(1, 3, 3, 2, 1, 1), k) for k in (4, 1)]
    chains: dict[str, tuple[InputSpec, list[Operation]]] = {
        "table": (table, [scaled, *_ends(63, 6)]),
        "table with a head": (table, [scaled, neuron(64, 8, 6, 2, 0.5), *head, affine(67, 3, 4)]),
        "signal": (signal, [Flatten(), line, *_ends(68, 15)]),
        "colours": (colour, [Normalize(mean, std), Flatten(), *_ends(70, 12)]),
        "regression": (table, [scaled, neuron(72, 8, 6, 2, 0.5), *head, affine(74, 1, 4)]),
        "medians": (signal, [Flatten(), median, *_ends(78, 5)]),
        "opening": (image, [Flatten(), opening[0], *_ends(79, 16)]),
        "dilation last": (image, [Flatten(), opening[1], affine(80, 4, 16), median_of_four]),
        "learned": (table, [scaled, affine(81, 5, 6), learned, affine(83, 3, 5)]),
        "signed ranks": (table, [scaled, signed, Bias(numbers(85, 3)), learned_last]),
        "one distance": (signal, [Flatten(), neuron(76, 1, 10, 4, 0.5), Bias(numbers(77, 1))]),
    }
    return {name: Network(spec, tuple(ops)) for name, (spec, ops) in chains.items()}


KINDS: dict[str, Callable[[Network], onnx.ModelProto]] = {
    "margin": build_model,
    "interval": lambda network: build_model(network, Fraction(1, 50), "golden"),
    "any radius": lambda network: build_interval_model(network, _analyse(network)),
}


def _analyse(network: Network) -> Any:
    from sortnet.certificate.analysis import analyse

    return analyse(network)


def files() -> dict[str, onnx.ModelProto]:
    """What is exported: every network with every kind of radius."""
    return {
        f"{name}, {kind}": build(network)
        for name, network in (networks() | feature_networks()).items()
        for kind, build in KINDS.items()
        if not (network.regression and kind == "margin")
    }


def digest(model: onnx.ModelProto, exact: bool = False) -> str:
    """SHA-256 of the bytes; but for ``exact``, the two constants that the metadata repeats in
    float64 count to nine digits, for the sums behind them depend on the machine."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for prop in copy.metadata_props:
        if prop.key in ("sortnet.lipschitz", "sortnet.error_bound") and not exact:
            prop.value = f"{float(prop.value):.9g}"
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()


def plain(reason: str) -> str:
    """Without what depends on versions or on the last bits of a sum."""
    reason = reason.split("checker refuses the file")[0]
    return re.sub(r"\d+\.\d+(e[+-]?\d+)?", lambda m: f"{float(m[0]):.6g}", reason)


def verdicts() -> dict[str, list[str]]:
    """Of every changed file of the tampering suite: "proved", or the reasons why not."""
    import test_tampering as suite

    result = {}
    for kind, name, edit in suite.ALL_CASES:
        model = suite.copy(kind)
        edit(model)
        result[f"{kind}, {name}"] = verdict(verify_model(model))
    return result


def verdict(proof: Proof) -> list[str]:
    """ "proved", or the reasons why not."""
    return ["proved"] if proof.proved else list(map(plain, proof.reasons))


def function_digests() -> dict[str, str]:
    """SHA-256 of the attached functions, which the verifier compares byte by byte."""
    return {
        name: hashlib.sha256(function.SerializeToString(deterministic=True)).hexdigest()
        for name, function in functions().items()
    }


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text())


def kept_files() -> list[Path]:
    return sorted(FOLDER.glob("*.onnx"))


KEPT = {
    "format1-margin": ("two convolutions", "margin"),
    "format1-interval": ("everything", "interval"),
    "format2-margin": ("table", "margin"),
    "format2-interval": ("table with a head", "interval"),
    "format2-regression": ("regression", "interval"),
}
"""Name of a kept file: network and kind of radius."""


def write() -> None:
    """Everything anew, but the kept files: what an earlier version wrote stays as it was."""
    FOLDER.mkdir(exist_ok=True)
    bytes_now = {name: [digest(m), digest(m, exact=True)] for name, m in files().items()}
    (FOLDER / "bytes.json").write_text(json.dumps(bytes_now, indent=1) + "\n")
    lines = (f"{json.dumps(name)}: {json.dumps(v)}" for name, v in sorted(verdicts().items()))
    (FOLDER / "verdicts.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    (FOLDER / "functions.json").write_text(json.dumps(function_digests(), indent=1) + "\n")
    for name, (network, kind) in KEPT.items():
        path = FOLDER / f"{name}.onnx"
        if not path.exists():
            path.write_bytes(
                KINDS[kind]((networks() | feature_networks())[network]).SerializeToString()
            )


def compare_exactly() -> list[str]:
    before = load("bytes.json")
    return [name for name, m in files().items() if before[name][1] != digest(m, exact=True)]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write"]:
            write()
        case ["exact"]:
            different = compare_exactly()
            print("all bytes are the same" if not different else f"other bytes: {different}")
            sys.exit(bool(different))
        case ["functions"]:
            print(json.dumps(function_digests()))
        case _:
            sys.exit(__doc__)
