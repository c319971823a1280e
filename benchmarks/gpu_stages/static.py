"""Without a GPU: the instructions of the compiled inner loops."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import click
from rich.table import Table

from .setup import ROOT

DEVICE = ROOT / "kernels" / "cuda" / "device"

# (program, parameter, kernel, triples per pass of the inner loop)
_LOOPS = [
    (0, 0, "sn_max_forward", 128),
    (0, 0, "sn_max_select", 128),
    (1, 8, "sn_power_forward", 128),
    (1, 8, "sn_power_backward", 64),
    (1, 12, "sn_power_forward", 128),
    (1, 12, "sn_power_backward", 64),
    (1, 0, "sn_power_forward", 128),
    (1, 0, "sn_power_backward", 64),
    (2, 10, "sn_sort_forward", 32),
]


def _tool(name: str) -> str:
    found = shutil.which(name)
    triton = find_spec("triton")
    if found is None and triton is not None and triton.origin is not None:
        bundled = Path(triton.origin).parent / "backends" / "nvidia" / "bin" / name
        found = str(bundled) if bundled.exists() else None
    if found is None:
        raise click.ClickException(f"{name} is needed: install the CUDA toolkit or triton")
    return found


def inner_loop(disassembly: str, kernel: str) -> Counter[str]:
    """Instructions of the largest loop body without a barrier in it."""
    lines: list[tuple[int, str]] = []
    inside = False
    for line in disassembly.splitlines():
        if "Function : " in line:
            inside = line.split("Function : ")[1].strip() == kernel
        match = re.match(r"\s+/\*([0-9a-f]+)\*/\s+(.*?);", line)
        if inside and match:
            lines.append((int(match[1], 16), match[2]))
    best: Counter[str] = Counter()
    for address, text in lines:
        jump = re.search(r"\bBRA\b\S*\s+(?:.*,\s*)?0x([0-9a-f]+)", text)
        if not jump or int(jump[1], 16) > address:
            continue
        body = [t for a, t in lines if int(jump[1], 16) <= a <= address]
        names = Counter(re.sub(r"^@!?U?PT?\d*\s+", "", t).split()[0].split(".")[0] for t in body)
        if (
            "BAR" not in names
            and "DFMA" not in names
            and "STG" not in names
            and names.total() > best.total()
        ):
            best = names
    return best


def count_instructions(arch: int) -> Table:
    """One row for each inner loop, compiled for an architecture such as 90."""
    nvcc, cuobjdump = _tool("nvcc"), _tool("cuobjdump")
    table = Table("kernel", "triples", "instructions", "per triple", "which")
    dumps: dict[tuple[int, int], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for program, parameter, kernel, triples in _LOOPS:
            if (program, parameter) not in dumps:
                cubin = Path(folder, f"{program}-{parameter}.cubin")
                options = [f"-arch=sm_{arch}", "-std=c++17", "-cubin", "--fmad=false"]
                options += [f"-DSN_PROGRAM={program}"]
                options += [f"-DSN_P={parameter}"] if program == 1 else []
                options += [f"-DSN_TOPK={parameter}"] if program == 2 else []
                source = str(DEVICE / "program.cu")
                subprocess.run([nvcc, *options, source, "-o", str(cubin)], check=True)
                dump = subprocess.run(
                    [cuobjdump, "-sass", str(cubin)], capture_output=True, encoding="utf-8"
                )
                dumps[program, parameter] = dump.stdout
            names = inner_loop(dumps[program, parameter], kernel)
            which = ", ".join(f"{n} {c}" for n, c in names.most_common(7))
            label = f"{kernel} ({parameter})" if program else kernel
            per = f"{names.total() / triples:.2f}"
            table.add_row(label, str(triples), str(names.total()), per, which)
    return table
