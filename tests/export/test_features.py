"""Inputs of any rank with a box and a unit for each feature, and regressions (format 2)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import F32, Array, images, networks, neuron, normalization, specs, start

from sortnet.base.units import float32_up
from sortnet.certificate.analysis import BoundError, analyse
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import (
    Affine,
    Bias,
    Flatten,
    Negate,
    Normalize,
    Operation,
    OrderStatistic,
    PiecewiseLinear,
    SpecError,
)
from sortnet.export import CertifiedSession, InputError
from sortnet.export.report import into_ball
from sortnet.export.verifier import verify_model
from sortnet.export.writer import build_interval_model, build_model

FEW = settings(max_examples=25, deadline=None)


@given(specs(), st.floats(2.0**-20, 2.0**20, width=32), st.integers(0, 2**32 - 1))
def test_the_reach_holds_every_ball(spec: InputSpec, eps: float, seed: int) -> None:
    """Exactly: after rounding and clipping, both ends are outside of the ball in the box."""
    rng = np.random.default_rng(seed)
    x = np.clip(spec.low + rng.choice([0, 0.3, 1]) * (spec.high - spec.low), spec.low, spec.high)
    x = x.astype(F32)
    reach = spec.reach(eps)
    assert (np.broadcast_to(reach, spec.shape)[spec.unit == 0] == 0).all() or spec.images
    with np.errstate(over="ignore"):
        low, high = np.maximum(x - reach, spec.low), np.minimum(x + reach, spec.high)
    for a, u, lo, hi, least, most in zip(
        *(v.reshape(-1).tolist() for v in (x, spec.unit, low, high, spec.low, spec.high)),
        strict=True,
    ):
        step = Fraction(eps) * Fraction(u)
        assert Fraction(lo) <= max(Fraction(a) - step, Fraction(least))
        assert Fraction(hi) >= min(Fraction(a) + step, Fraction(most))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "input shape"),
        (((3, 0),), "input shape"),
        (((2**13, 2**13),), "more than"),
        (((2,), np.array([0, np.nan], F32)), "low must be finite"),
        (((2,), 0.0, np.inf), "high must be finite"),
        (((2,), 0.0, 0.1), "high must be finite float32"),
        (((2,), [0.0, 2.0], 1.0), "low is above high"),
        (((2,), 0.0, 1.0, -1.0), "units must be at least 0"),
        (((2,), 0.0, 1.0, [0.0, 0.0]), "above 0 for some"),
        (((2,), 0.0, 1.0, [1.0, 1.0, 1.0]), "unit must have shape"),
    ],
)
def test_bad_specifications_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        InputSpec(*arguments)  # type: ignore[arg-type]


@FEW
@given(
    networks(features=True, classes=1), st.integers(0, 2**32 - 1), st.floats(2.0**-10, 2, width=32)
)
def test_no_value_leaves_its_bounds(network: Network, seed: int, eps: float) -> None:
    """Computed on either host, at corners and inside of the ball."""
    rng = np.random.default_rng(seed)
    x = images(rng, network, 4)
    spec = network.input
    data = build_model(network, Fraction(eps)).SerializeToString()
    proof = verify_model(onnx.load_from_string(data))
    assert proof.proved and not proof.notes, (proof.reasons, proof.notes)
    hosts = [start(data, library) for library in (True, False)]
    names = ["value", "lower", "upper", "eps"]
    value, lower, upper, radius = hosts[0].run(names, {"input": x})
    assert radius == F32(eps) and (lower <= value).all() and (value <= upper).all()
    assert value == pytest.approx(network.value(x)[:, 0], abs=analyse(network).error)
    for step in range(8):
        signs = rng.choice([-1, 1], size=x.shape) * (1 if step % 2 else rng.random(x.shape))
        near = into_ball(x + signs * eps * spec.unit, x, eps, spec)
        (moved,) = hosts[step % 2].run(["value"], {"input": near})
        assert (lower <= moved).all() and (moved <= upper).all()
    outside = x.copy()
    outside[:, ...] = spec.high
    outside.reshape(len(x), -1)[:, 0] = np.nextafter(spec.high.reshape(-1)[0], F32(np.inf))
    _, lower, upper, _ = hosts[1].run(names, {"input": outside})
    assert (lower == -np.inf).all() and (upper == np.inf).all()


def table(outputs: int = 3) -> Network:
    """Five features of very different size; nobody can change the second."""
    rng = np.random.default_rng(0)
    low, high = F32([0, 0, -1, 100, 0]), F32([1, 1, 1, 5000, 1e-3])
    spec = InputSpec((5,), low, high, F32([0.5, 0, 1, 1000, 1e-4]))
    tail = [Bias(np.zeros(outputs, F32)), Negate()]
    body = [neuron(rng, 5, 8, 3, 0.3), neuron(rng, 8, outputs, 2, 0.3)]
    return Network(spec, (normalization(spec), *body, *tail))


@pytest.fixture
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    outputs, eps = request.param
    onnx.save(build_model(table(outputs), eps), tmp_path / "table.onnx")
    return tmp_path / "table.onnx"


@pytest.mark.parametrize("path", [(3, None), (3, Fraction(1, 10))], indirect=True)
def test_a_table_in_a_session(path: Path) -> None:
    session = CertifiedSession(path)
    x = images(np.random.default_rng(1), session.network, 40)
    prediction = session.predict(x)
    assert (prediction.label == session.network.value(x).argmax(1)).all()
    assert session.certify(x, "1/1000").any()
    assert session.certify(x, 3).shape == (40,)  # three units of every feature
    with pytest.raises(ValueError, match="a radius must be above 0 and at most"):
        session.certify(x, 2**21)
    with pytest.raises(ValueError, match="use predict or certify"):
        session.predict_interval(x)
    for feature, value in ((3, 99), (0, 1.5), (4, np.nan), (2, -np.inf)):
        bad = x.copy()
        bad[7, feature] = value
        with pytest.raises(InputError, match="sample 7 has"):
            session.predict(bad)
    with pytest.raises(InputError, match=r"expected float32 \[N, 5\]"):
        session.predict(x[:, :4])


@pytest.mark.parametrize("path", [(1, Fraction(1, 10))], indirect=True)
def test_a_regression_in_a_session(path: Path) -> None:
    session = CertifiedSession(path)
    x = images(np.random.default_rng(1), session.network, 40)
    own = session.predict_interval(x)
    again = session.predict_interval(x, "1/10")
    for a, b in zip(own, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)  # the file keeps a little room
    tighter, wider = session.predict_interval(x, "1/1000"), session.predict_interval(x, 2)
    assert (wider.lower < own.lower).all() and (own.lower < tighter.lower).all()
    assert (wider.upper > own.upper).all() and (own.upper > tighter.upper).all()
    assert (tighter.upper - tighter.lower < 0.01).all()
    for call in (session.predict, lambda x: session.certify(x, 0.1)):
        with pytest.raises(ValueError, match="use predict_interval"):
            call(x)
    assert session.predict_interval(x[:0]).value.shape == (0,)


def test_a_regression_needs_a_radius() -> None:
    with pytest.raises(ValueError, match="give its eps"):
        build_model(table(1))


@pytest.mark.parametrize(
    "first",
    [
        Normalize(np.full(2, 3e38, F32), np.full(2, 2.0**60, F32)),
        Normalize(float(F32(3e38)), 2.0**60),
        PiecewiseLinear(F32([0, 1]), np.full((2, 3), 2.0**80, F32)),
        OrderStatistic(np.full((2, 2), 2.0**90, F32), np.full((2, 1), 2.0**-80, F32)),
        Negate(),
    ],
)
def test_boxes_that_float32_may_leave_are_refused(first: Operation) -> None:
    """Whatever a later operation would bring it back to."""
    spec = InputSpec((2,), float(F32(-3e38)), float(F32(2.0**60)))
    calm = [] if isinstance(first, Normalize) else [Affine(np.eye(2, dtype=F32), F32([0, 0]))]
    with pytest.raises(BoundError):
        analyse(Network(spec, (first, *calm)))
    small = InputSpec((2,), 0.0, 2.0**-140)
    shrunk = analyse(Network(small, (Affine(np.full((2, 2), 2.0**60, F32), F32([0, 0])),)))
    assert shrunk.error >= 2.0**60 * 2.0**-126  # both inputs may be taken for 0


def test_what_nobody_can_change_costs_nothing() -> None:
    """The label hangs on such a feature alone: it is certified however large the radius."""
    spec = InputSpec((2,), F32([-1, -1]), F32([1, 1]), F32([0, 1]))
    steep = Affine(F32([[1000, 0.001], [-1000, 0]]), F32([0, 0]))
    network = Network(spec, (steep,))
    x = F32([[0.5, -0.3], [-0.25, 1], [0, 0]])
    session = start(build_model(network).SerializeToString(), True)
    label, radius = session.run(["label", "radius"], {"input": x})
    assert label[:2].tolist() == [0, 1] and (radius[:2] > 1000).all() and radius[2] == 0
    interval = start(build_interval_model(network, analyse(network)).SerializeToString(), True)
    feed = {"input": x, "label": label, "reach": spec.reach(2.0**20)}
    assert interval.run(["certified"], feed)[0].tolist() == [True, True, False]


@FEW
@given(networks(features=True), st.integers(0, 2**32 - 1))
def test_units_scale_the_radius(network: Network, seed: int) -> None:
    """Half the units, twice the radius: up to the roundings."""
    spec = network.input
    half = Network(InputSpec(spec.shape, spec.low, spec.high, spec.unit / 2), network.ops)
    x = images(np.random.default_rng(seed), network, 6)
    radii = [
        start(build_model(net).SerializeToString(), True).run(["radius"], {"input": x})[0]
        for net in (network, half)
    ]
    assume(analyse(half).lipschitz > 2.0**-20)  # scales stop at 2^24
    np.testing.assert_allclose(2 * radii[0], radii[1], rtol=1e-6)


def test_rank_one_needs_no_flatten_and_rank_four_works() -> None:
    rng = np.random.default_rng(0)
    for shape in ((6,), (2, 3), (1, 2, 3), (1, 2, 1, 3)):
        spec = InputSpec(shape, -1.0, 1.0, 0.5)
        flat = Network(InputSpec((6,), -1.0, 1.0, 0.5), (neuron(rng, 6, 3, 2, 0.5),))
        network = Network(spec, (Flatten(), *flat.ops))
        x = images(rng, network, 5)
        model = build_model(network)
        proof = verify_model(model)
        assert proof.proved, proof.reasons
        a, b = (
            start(m.SerializeToString(), True).run(["radius"], {"input": v})[0]
            for m, v in ((model, x), (build_model(flat), x.reshape(5, 6)))
        )
        assert (a == b).all()


def test_points_are_pulled_into_the_ball_exactly() -> None:
    rng = np.random.default_rng(2)
    spec = InputSpec((4,), F32([-1e3, 0, -1e-3, 5]), F32([1e3, 1, 1e-3, 5]), F32([1e-3, 1, 0, 2]))
    x = np.clip(rng.normal(size=(50, 4)).astype(F32), spec.low, spec.high)
    for radius in (2.0**-30, 0.3, 7.0):
        radius = float32_up(radius)
        point: Array = into_ball(x + rng.normal(size=x.shape), x, radius, spec)
        assert ((point >= spec.low) & (point <= spec.high)).all()
        for a, b, u in zip(point.reshape(-1), x.reshape(-1), np.tile(spec.unit, 50), strict=True):
            distance = abs(Fraction(float(a)) - Fraction(float(b)))
            assert distance <= Fraction(radius) * Fraction(float(u))


def test_pgd_moves_every_feature_by_its_unit() -> None:
    from sortnet.export.attack import pgd_attack

    network = table()
    spec = network.input
    rng = np.random.default_rng(0)
    x = np.clip(rng.normal(size=(40, *spec.shape)).astype(F32), spec.low, spec.high)
    y = network.value(x).argmax(1)
    point = pgd_attack(network, 8)(x, y, 0.25)
    assert point.dtype == F32 and (point != x).any()
    assert ((point >= spec.low) & (point <= spec.high)).all()
    assert (np.abs(point.astype(float) - x) <= 0.25 * spec.unit.astype(float)).all()
