"""What operations say about themselves against exact arithmetic, and that nobody else says it."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import F32, any_networks, apply_exact, evaluate_exact, images

import sortnet.certificate
import sortnet.export
from sortnet.certificate.network import Network
from sortnet.certificate.operations import OPERATIONS, Abs, Flatten, Operation, SortNeuron
from sortnet.certificate.operations.elementwise import Elementwise
from sortnet.export.forms import FORM_OF, FORMS
from sortnet.export.forms.base import Form

FEW = settings(max_examples=40, deadline=None)
Chain = any_networks(head=False)


def rational(values: np.ndarray) -> list[Fraction]:
    return [Fraction(float(v)) for v in values.reshape(-1)]


@FEW
@given(Chain, st.integers(0, 2**32 - 1))
def test_reference_values_are_exact_ones(network: Network, seed: int) -> None:
    x = images(np.random.default_rng(seed), network, 2)
    for image, row in zip(x, network.value(x), strict=True):
        exact = evaluate_exact(network, rational(image))
        assert row == pytest.approx([float(e) for e in exact], rel=1e-9, abs=1e-9)


@FEW
@given(Chain, st.integers(0, 2**32 - 1))
def test_nothing_moves_farther_than_it_says(network: Network, seed: int) -> None:
    """For every operation alone, with its own reach for every input, 0 for some."""
    rng = np.random.default_rng(seed)
    for op, shape in zip(network.ops, network.shapes, strict=False):
        reach = rng.random(shape) * rng.integers(0, 2, shape)
        x = rng.normal(size=shape)
        for _ in range(4):
            step = reach * rng.choice([-1.0, 1.0, rng.random()], size=shape)
            here = apply_exact(op, rational(x))
            there = apply_exact(
                op, [a + b for a, b in zip(rational(x), rational(step), strict=True)]
            )
            for a, b, most in zip(here, there, op.moves(reach).reshape(-1), strict=True):
                assert abs(b - a) <= Fraction(float(most)) * (1 + Fraction(2) ** -50)


@FEW
@given(Chain, st.integers(0, 2**32 - 1))
def test_ranges_hold_every_value(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for op, shape in zip(network.ops, network.shapes, strict=False):
        low = rng.normal(size=shape)
        high = low + rng.random(shape) * rng.integers(0, 2, shape)
        least, most = op.range(low, high)
        assert least.shape == most.shape == op.out_shape(shape)
        for _ in range(4):
            x = np.clip(low + rng.choice([0, 1, 0.5], size=shape) * (high - low), low, high)
            for value, a, b in zip(
                apply_exact(op, rational(x)), least.reshape(-1), most.reshape(-1), strict=True
            ):
                assert Fraction(float(a)) <= value <= Fraction(float(b))


def test_what_an_operation_or_a_form_leaves_out_is_noticed() -> None:
    class Silent(Elementwise):
        def value(self, x: np.ndarray) -> np.ndarray:
            return x

    with pytest.raises(TypeError, match=r"moves.*range.*rounding"):
        Silent()  # type: ignore[abstract]

    class Unwritten(Form[Abs]):
        operation = Abs
        tail = ("Abs",)

    with pytest.raises(TypeError, match=r"recognise.*recognise_bounds.*write"):
        Unwritten()  # type: ignore[abstract]


def test_every_operation_has_one_form_and_every_form_its_own_tail() -> None:
    assert FORM_OF.keys() == set(OPERATIONS) and len(FORMS) == len(OPERATIONS)
    assert len({form.tail for form in FORMS}) == len(FORMS)


def test_a_stranger_is_no_operation() -> None:
    """A subclass may compute something else."""

    class Doubled(Flatten):
        def value(self, x: np.ndarray) -> np.ndarray:
            return 2 * super().value(x)

    neuron = SortNeuron(np.zeros((2, 4), F32), 0.0, 1)
    with pytest.raises(TypeError, match="Doubled is not an operation"):
        Network((1, 2, 2), (Doubled(), neuron))


ENGINES = ("writer", "reader", "builder", "matcher", "wire", "functions", "verifier", "session")


def test_engines_know_no_operation_by_name() -> None:
    names = "|".join(op.__name__ for op in OPERATIONS)
    folder = Path(sortnet.export.__file__).parent
    engines = [
        folder / f"{n}.py" for n in ["writer", "reader", "builder", "matcher", "wire", "functions"]
    ]
    engines += [folder / f"{n}.py" for n in ["verifier", "session"]]
    engines.append(Path(sortnet.certificate.__file__).parent / "analysis.py")
    for engine in engines:
        code = re.sub(r'""".*?"""|#[^\n]*|"[^"\n]*"', "", engine.read_text(), flags=re.DOTALL)
        assert not re.findall(rf"\b(?:{names})\b", code), engine


def test_units_of_a_network_fit_together() -> None:
    for op in OPERATIONS:
        assert issubclass(op, Operation) and not op.__abstractmethods__
    assert math.prod(Flatten().out_shape((2, 3, 4))) == 24


@pytest.mark.parametrize("name", ["SortNeuron", "Affine", "Op", "Activation"])
def test_names_of_version_0_1_are_served_with_a_warning(name: str) -> None:
    from sortnet.certificate import network, operations

    with pytest.warns(DeprecationWarning, match=r"sortnet\.certificate\.operations"):
        found = getattr(network, name)
    assert found is getattr(operations, {"Op": "Operation"}.get(name, name), found)
    assert name != "Activation" or isinstance(found("tanh"), operations.Tanh)
    with pytest.raises(AttributeError, match="no attribute"):
        network.Gelu  # noqa: B018
