"""Compiler options and processor modes that change arithmetic: refused, or without effect."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from abi import Array, Kernels, Masks
from hypothesis import given, settings
from hypothesis import strategies as st

KERNELS = Path(__file__).parents[2] / "kernels"
SOURCES = sorted(
    str(path.relative_to(KERNELS))
    for path in KERNELS.rglob("*.cpp")
    if "tests" not in path.relative_to(KERNELS).parts
)
UNSAFE = [
    "-ffast-math",
    "-Ofast",
    "-ffinite-math-only",
    "-funsafe-math-optimizations",
    "-freciprocal-math",
    "-fno-signed-zeros",
]


def _preprocess(source: str, *options: str) -> subprocess.CompletedProcess[str]:
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    command = [compiler, "-std=c++17", f"-I{KERNELS / 'include'}", *options, "-E"]
    return subprocess.run([*command, str(KERNELS / source)], capture_output=True, text=True)


@pytest.mark.parametrize("source", SOURCES)
def test_unsafe_arithmetic_does_not_compile(source: str) -> None:
    """Every source of the libraries, those that are added later too."""
    refusal = "sortnet needs IEEE arithmetic"
    assert refusal not in _preprocess(source).stderr
    refused = {option for option in UNSAFE if refusal in _preprocess(source, option).stderr}
    assert refused >= {"-ffast-math", "-Ofast", "-ffinite-math-only"}
    macros = _preprocess("include/sortnet.h", "-x", "c++", "-dM").stdout
    gcc = re.search(r"#define __GNUC__ (\d+)", macros)
    if gcc is not None and int(gcc[1]) >= 12:  # Clang says 4
        assert refused == set(UNSAFE)


# Of glibc's fenv_t: the word that holds the mode, its bits that make denormals 0, and rounding up.
MODES = {"x86_64": (7, 0x8040, 0x800), "aarch64": (0, 0x1000000, 0x400000)}


def _machine() -> tuple[ctypes.CDLL, int, int, int]:
    """libm, and the row of MODES: by C alone, as wheels are tested where there is no torch."""
    if sys.platform != "linux" or os.uname().machine not in MODES:
        pytest.skip("the numbers of the processor's modes are not known")
    try:
        return ctypes.CDLL("libm.so.6"), *MODES[os.uname().machine]
    except OSError:
        pytest.skip("needs glibc")


@contextmanager
def flushed() -> Iterator[None]:
    """Denormals are 0 on this thread."""
    libm, word, bits, _ = _machine()
    before, changed = (ctypes.c_uint32 * 8)(), (ctypes.c_uint32 * 8)()
    assert libm.fegetenv(before) == 0
    changed[:] = before
    changed[word] |= bits
    assert libm.fesetenv(changed) == 0
    try:
        assert np.float32(1e-40) * np.float32(1) == 0, "the mode was not set"
        yield
        assert np.float32(1e-40) * np.float32(1) == 0, "the caller's mode was changed"
    finally:
        libm.fesetenv(before)


@contextmanager
def rounded_up() -> Iterator[None]:
    libm, _, _, upward = _machine()
    before = libm.fegetround()
    libm.fesetround(upward)
    try:
        yield
        assert libm.fegetround() == upward, "the caller's mode was changed"
    finally:
        libm.fesetround(before)


@dataclass(frozen=True)
class Operands:
    """Made before the mode changes."""

    x: Array
    w: Array
    lower: Array
    upper: Array
    dy: Array
    coef: Array
    masks: Masks

    @staticmethod
    def draw(batch: int, scale: float) -> "Operands":
        rng = np.random.default_rng(0)
        x, w = (rng.normal(size=(n, 200)) * scale for n in (batch, 37))
        half = np.abs(x) * 0.1
        dy, coef = rng.normal(size=(batch, 37)), rng.normal(size=20)
        kept = (rng.random((-(-batch // 8), 200)) < 0.7).astype(np.uint8)
        floats = (v.astype(np.float32) for v in (x, w, x - half, x + half, dy, coef))
        return Operands(*floats, Masks(kept, None, 8))


Call = Callable[[Kernels, Operands, int], tuple[Array, ...]]


def _lp(p: float, masked: bool) -> Call:
    def call(kernels: Kernels, a: Operands, threads: int) -> tuple[Array, ...]:
        masks = a.masks if masked else None
        y = kernels.lp_forward(a.x, a.w, p, masks, threads=threads)
        return y, *kernels.lp_backward(a.x, a.w, p, y, a.dy, masks, threads)

    return call


def _sort(count: int) -> Call:
    def call(kernels: Kernels, a: Operands, threads: int) -> tuple[Array, ...]:
        coef = a.coef[:count]
        y = kernels.sort_forward(a.x, a.w, coef, kernels.pack(a.w), threads)
        return y, *kernels.sort_backward(a.x, a.w, coef, a.dy, threads)

    return call


def _bounds(kind: float | int) -> Call:
    def call(kernels: Kernels, a: Operands, threads: int) -> tuple[Array, ...]:
        what = a.coef[:kind] if isinstance(kind, int) else kind
        return kernels.bounds(a.lower, a.upper, a.w, what, threads=threads)

    return call


CALLS = {
    "geometric": lambda kernels, a, threads: (kernels.geometric(0.75, 20),),
    **{f"l{p:g}": _lp(p, False) for p in (1.0, 1.5, 8.0, 17.25, 64.0, 300.0, float("inf"))},
    **{f"l{p:g} masked": _lp(p, True) for p in (2.0, 48.0, float("inf"))},
    **{f"sort {count}": _sort(count) for count in (1, 10, 20)},
    **{f"bounds {kind}": _bounds(kind) for kind in (1.5, 8.0, 40.0, float("inf"), 4, 20)},
}


@pytest.mark.parametrize("mode", [flushed, rounded_up])
@pytest.mark.parametrize("name", sorted(CALLS))
@settings(max_examples=4)
@given(
    scale=st.sampled_from([-149, -140, -126, -100, 0]),
    batch=st.sampled_from([1, 16, 40]),
    threads=st.integers(0, 3),
)
def test_the_mode_of_the_caller_does_not_matter(
    kernels: Kernels, mode: Callable, name: str, scale: int, batch: int, threads: int
) -> None:
    """On new threads, which take it over, and on the caller's."""
    operands = Operands.draw(batch, 2.0**scale)
    want = CALLS[name](kernels, operands, 0)
    with mode():
        got = CALLS[name](kernels, operands, threads)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a.view(np.int32), b.view(np.int32))


@pytest.mark.parametrize("p", [1.0, 8.0, 300.0, float("inf")])
def test_a_mode_of_some_threads_does_not_matter(p: float) -> None:
    """Threads of a pool that lived before the mode of one of them changed."""
    torch = pytest.importorskip("torch", reason="the pool is that of the torch operators")
    from sortnet.backend import ops

    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(n, 784, generator=generator) * 2.0**-126 for n in (256, 64))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = ops.lp_distance(x, w, p, None, None, 1)
        torch.set_num_threads(3)
        ops.lp_distance(x, w, p, None, None, 1)
        with flushed():
            got = ops.lp_distance(x, w, p, None, None, 1)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(got.numpy().view(np.int32), want.numpy().view(np.int32))
