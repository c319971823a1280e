"""The inner loops of the ARM libraries run on vectors of 16 bytes: read from their machine code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import machines
import pytest

capstone = pytest.importorskip("capstone", reason="capstone disassembles; see nox -s wheels")
lief = pytest.importorskip("lief", reason="lief reads the libraries; see nox -s wheels")

pytestmark = pytest.mark.slow
LANES = 4


class Loop(NamedTuple):
    """A loop without a loop inside.

    Attributes:
        vector, scalar: floating-point instructions by name: on four lanes, on one.
        length: instructions of one round.
    """

    vector: Counter[str]
    scalar: Counter[str]
    length: int

    @property
    def triples(self) -> int:
        """(sample, input, output) triples of one round: a difference each."""
        return LANES * (self.vector["fabd"] + self.vector["fsub"])


def innermost_loops(path: Path) -> list[Loop]:
    binary = lief.parse(str(path))
    (text,) = (s for s in binary.sections if s.name in (".text", "__text"))
    decoder = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    decoder.skipdata = True
    code = [
        (i.address, i.mnemonic, i.op_str)
        for i in decoder.disasm(bytes(text.content), text.virtual_address)
    ]
    place = {address: k for k, (address, _, _) in enumerate(code)}
    spans = []
    for k, (address, mnemonic, operands) in enumerate(code):
        if mnemonic in ("b", "cbz", "cbnz", "tbz", "tbnz") or mnemonic.startswith("b."):
            target = int(re.split("[ #]", operands)[-1], 16)
            if target < address and target in place:
                spans.append((place[target], k))
    spans.sort()
    loops = []
    for n, (first, last) in enumerate(spans):
        inside = (s for s in spans[n + 1 : n + 200] if first <= s[0] and s[1] <= last)
        if last - first > 400 or any(s != (first, last) for s in inside):
            continue
        vector, scalar = Counter[str](), Counter[str]()
        for _, mnemonic, operands in code[first : last + 1]:
            if mnemonic.startswith("f"):
                (vector if ".4s" in operands else scalar)[mnemonic] += 1
        loops.append(Loop(vector, scalar, last + 1 - first))
    return loops


@pytest.mark.parametrize("name", ["manylinux-aarch64", "macos-arm64"])
def test_inner_loops_are_vectors(name: str, unpacked: Callable[[str], Path]) -> None:
    path = unpacked(name) / "sortnet/lib" / machines.library_file(name, "sortnet_kernels")
    # A register tile: 8 samples x 8 neurons or more at a time.
    tiles = [loop for loop in innermost_loops(path) if loop.triples >= 64]
    assert len(tiles) >= 10
    for loop in tiles:
        moves = loop.scalar["fmov"]
        assert loop.scalar.total() == moves, loop
    maxima = [loop for loop in tiles if set(loop.vector) == {"fabd", "fmax"}]
    sums = [loop for loop in tiles if set(loop.vector) == {"fabd", "fadd"}]
    eighth = [loop for loop in tiles if loop.vector["fmul"] == 3 * loop.triples // LANES]
    for kind, loops, most in (("max", maxima, 0.9), ("p = 1", sums, 0.9), ("p = 8", eighth, 1.7)):
        assert loops, kind
        each = min(loop.length / loop.triples for loop in loops)
        print(f"{name}, {kind}: {each:.2f} instructions per triple")
        assert each <= most, kind
