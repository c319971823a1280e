"""Layers against slow, obvious formulas; what they refuse."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sortnet.theory.objects import strategies as draw
from sortnet.theory.objects.boolean import (
    BooleanFunction,
    Pairs,
    SymmetricFunction,
    conjunction,
    count_ones,
    cyclic_pairs,
    cyclic_point,
    disjunction,
    majority,
    parity,
    symmetric_functions,
    threshold,
)
from sortnet.theory.objects.exact import distance, fraction, order_statistic, vertices
from sortnet.theory.objects.networks import (
    Activation,
    Affine,
    Distance,
    DistanceNetwork,
    GroupSort,
    GroupSortNetwork,
    Network,
    PiecewiseLinear,
    PracticalSortNetwork,
    Scale,
    Shift,
    Sort,
    SortNetwork,
    StandardNetwork,
    geometric_weights,
    practical_sort,
)

F = Fraction
FAST = settings(max_examples=30, deadline=None)
cases = st.integers(1, 4).flatmap(
    lambda d: st.tuples(draw.networks(d=d, outputs=2), draw.points(d=d, low=-2, high=2))
)


def reference(layer, x):
    """What a layer computes, entry by entry."""
    if isinstance(layer, Affine):
        return tuple(
            sum((w * v for w, v in zip(row, x, strict=True)), b)
            for row, b in zip(layer.rows, layer.bias, strict=True)
        )
    if isinstance(layer, Activation):
        return tuple(f(v) for f, v in zip(layer.functions, x, strict=True))
    if isinstance(layer, Shift):
        return tuple(v - m for v, m in zip(x, layer.means, strict=True))
    if isinstance(layer, GroupSort):
        g = layer.group
        groups = [x[i : i + g] for i in range(0, len(x), g)]
        return tuple(order_statistic(group, k) for group in groups for k in range(1, g + 1))
    if isinstance(layer, Distance):
        return tuple(distance(x, c) + b for c, b in zip(layer.centres, layer.bias, strict=True))
    assert isinstance(layer, Sort)
    result = []
    for w, o, b in zip(layer.weights, layer.offsets, layer.bias, strict=True):
        values = tuple(abs(v + a) for v, a in zip(x, o, strict=True))
        ranks = range(1, len(values) + 1)
        result.append(sum((w[k - 1] * order_statistic(values, k) for k in ranks), b))
    return tuple(result)


@FAST
@given(cases)
def test_layers_compute_their_formulas(case):
    network, x = case
    state = x
    for layer, units in zip(network.layers, network.units(x), strict=True):
        state = reference(layer, state)
        assert units == state


@FAST
@given(st.data())
def test_piecewise_linear_functions_go_through_their_knots(data):
    f = data.draw(draw.piecewise_linear())
    for (s, a), (t, b) in zip(f.knots, f.knots[1:], strict=False):
        assert (f(s), f(t), f((s + t) / 2)) == (a, b, (a + b) / 2)
    first, last = f.knots[0], f.knots[-1]
    assert f(first[0] - 3) == first[1] - 3 * f.left
    assert f(last[0] + 3) == last[1] + 3 * f.right


def test_scale_is_affine_in_every_unit():
    layer = Scale(2, F(-3), F(1, 2))
    assert layer((F(1), F(2))) == (F(-5, 2), F(-11, 2))
    assert layer.norm == 3


def test_order_statistics_and_functions_of_few_variables():
    for x in vertices(3):
        ones = count_ones(x)
        assert [order_statistic(x, k) for k in (1, 2, 3)] == sorted(x, reverse=True)
        assert conjunction(3)(x) == (ones == 3) and disjunction(3)(x) == (ones > 0)
        assert majority(3)(x) == (ones > 1) and parity(3)(x) == ones % 2
        assert threshold(3, 2)(x) == (ones >= 2)
        assert threshold(3, 2).to_boolean()(x) == threshold(3, 2)(x)
    assert len(list(symmetric_functions(3))) == 14
    assert parity(3).jumps() == (1, 2, 3)


@pytest.mark.parametrize(("d", "k"), [(1, 1), (3, 1), (4, 2), (5, 3), (4, 4)])
def test_cyclic_points(d, k):
    pairs = cyclic_pairs(d, k)
    assert len(pairs) == d
    assert all(count_ones(x) == k - 1 and count_ones(y) == k for x, y in pairs)
    moved = [[i for i in range(d) if x[i] != y[i]] for x, y in pairs]
    assert sorted(moved) == [[i] for i in range(d)]
    distinct = len({z for pair in pairs for z in pair})
    assert distinct == (2 * d if 1 < k < d else (d + 1 if d > 1 else 2))


@FAST
@given(st.integers(1, 6).flatmap(lambda d: draw.cyclic_data(d=d)))
def test_drawn_data_sets_have_opposite_labels_in_each_pair(case):
    g, k, pairs = case
    assert all({g(x), g(y)} == {0, 1} for x, y in pairs)
    assert all(count_ones(y) == k for _, y in pairs)


def test_geometric_weights():
    assert geometric_weights(F(1, 2), 4, 2) == (F(2, 3), F(1, 3), 0, 0)
    assert geometric_weights(0, 2) == (1, 0)
    network = PracticalSortNetwork((practical_sort(((0, 1),), rho=F(1, 2), k=2),))
    assert network((F(3), F(0))) == (F(2, 3) * 3 + F(1, 3) * 1,)


x0, e0, e1 = (F(0), F(0)), (F(1), F(0)), (F(0), F(1))
REFUSED = {
    "row sum": (lambda: Affine(((F(1), F(1, 100)),)), "absolute sum <= 1"),
    "weight sum": (lambda: Sort(((F(1), F(-1, 9)),), ((0, 0),)), "absolute sum <= 1"),
    "slope": (lambda: PiecewiseLinear(((0, 0),), left=F(3, 2)), "slopes of at most 1"),
    "knots": (lambda: PiecewiseLinear(((1, 0), (1, 1))), "increasing"),
    "no rows": (lambda: Affine(()), "non-empty rectangle"),
    "ragged": (lambda: Distance(((1, 2), (3,))), "non-empty rectangle"),
    "bias": (lambda: Distance(((1, 2),), (1, 2)), "1 biases"),
    "weights and offsets": (lambda: Sort(((1, 0),), ((0,),)), "same shape"),
    "group": (lambda: GroupSort(4, 3), "divides the width"),
    "group 0": (lambda: GroupSort(4, 0), "group >= 1"),
    "no functions": (lambda: Activation(()), "at least one"),
    "no means": (lambda: Shift(()), "at least one"),
    "NaN": (lambda: Shift((float("nan"),)), "finite"),
    "text": (lambda: fraction("one"), "finite"),  # type: ignore[arg-type]
    "no layers": (lambda: Network(()), "at least one layer"),
    "widths": (lambda: Network((GroupSort(2, 2), GroupSort(3, 3))), "between layers"),
    "input": (lambda: Network((GroupSort(2, 2),))((1,)), "2 inputs"),
    "family": (lambda: StandardNetwork((GroupSort(2, 2),)), "has no GroupSort"),
    "family 2": (lambda: GroupSortNetwork((Distance(((0,),)),)), "has no Distance"),
    "family 3": (lambda: DistanceNetwork((Affine(((1,),)),)), "has no Affine"),
    "family 4": (lambda: SortNetwork((Affine(((1,),)),)), "has no Affine"),
    "not geometric": (
        lambda: PracticalSortNetwork((Sort(((F(1, 4), F(3, 4)),), ((0, 0),)),)),
        "geometric",
    ),
    "rho": (lambda: geometric_weights(1, 3), "rho in"),
    "k of weights": (lambda: geometric_weights(F(1, 2), 3, 0), "integer k >= 1"),
    "d = 0": (lambda: parity(0), "d >= 1"),
    "no variables": (lambda: SymmetricFunction((1,)), "d >= 1"),
    "functions of another kind": (lambda: Activation((abs,)), "PiecewiseLinear"),  # type: ignore[arg-type]
    "input of a layer": (lambda: Affine(((1, 0),))((F(1),)), "2 inputs"),
    "input of a scale": (lambda: Scale(2, F(1))((F(1),)), "2 inputs"),
    "input of a sort": (lambda: GroupSort(2, 2)((F(1),) * 4), "2 inputs"),
    "norm": (lambda: Affine(((0,),), norm=F(-1)), "absolute sum"),
    "pairs": (lambda: Network((GroupSort(2, 2),)).mass_bounds(-1), "pairs >= 0"),
    "widths of pairs": (lambda: Pairs((((F(0),), (F(0), F(1))),)), "one dimension"),
    "points without entries": (lambda: Pairs((((), ()),)), "one dimension"),
    "infinite points": (lambda: Pairs((((float("inf"),), (0,)),)), "finite"),
    "ones": (lambda: count_ones((F(2),)), "0 and 1"),
    "number of ones": (lambda: cyclic_point(3, 0, 4), "in 0..3"),
    "lengths": (lambda: distance((F(0),), (F(0), F(1))), "equal length"),
    "values": (lambda: SymmetricFunction((0, 2)), "0 and 1"),
    "table": (lambda: BooleanFunction(1, 4), "truth table of 2.1 bits in 0..3"),
    "point": (lambda: parity(2)((F(1, 2), F(0))), "point of"),
    "point of a table": (lambda: BooleanFunction(1, 1)((0, 1)), "point of"),
    "constant": (lambda: SymmetricFunction((1, 1, 1)).jumps(), "non-constant"),
    "k = 0": (lambda: threshold(3, 0), "k in 1..3"),
    "k > d": (lambda: cyclic_pairs(3, 4), "k in 1..3"),
    "two coordinates": (lambda: Pairs(((e0, e1),)), "one coordinate"),
    "long move": (lambda: Pairs(((x0, (F(2), F(0))),)), "at most 1"),
    "used twice": (lambda: Pairs(((x0, e0), (e1, (F(1), F(1))))), "in one pair only"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_clear_error(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "2", None])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: GroupSort(n, 1),
        lambda n: GroupSort(2, n),
        lambda n: Scale(n, F(1)),
        lambda n: geometric_weights(F(1, 2), n),
        lambda n: geometric_weights(F(1, 2), 2, n),
        lambda n: practical_sort(((0, 0),), rho=F(1, 2), k=n),
        lambda n: BooleanFunction(n, 0),
        lambda n: BooleanFunction.from_callable(n, any),
        lambda n: threshold(n, 1),
        lambda n: threshold(2, n),
        conjunction,
        disjunction,
        majority,
        parity,
        symmetric_functions,
        vertices,
        lambda n: cyclic_pairs(n, 1),
        lambda n: cyclic_pairs(2, n),
        lambda n: cyclic_point(n, 0, 0),
        lambda n: order_statistic((F(0), F(1)), n),
    ],
)
def test_sizes_are_integers_in_range(make, size):
    if size is True:
        make(1)  # no cache may take True for it
    with pytest.raises(ValueError, match="expected"):
        make(size)


def test_values_may_be_any_zeros_and_ones():
    g = SymmetricFunction([0, True, 1.0])  # type: ignore[arg-type]
    assert g.values == (0, 1, 1) and type(g(g.values[1:])) is int


def test_a_declared_norm_scales_the_bounds():
    network = Network((Affine(((F(3, 2), 0),), norm=F(3, 2)), Scale(1, F(-2))))
    assert network.norm == 3 and network.spread == 1
    assert network.mass_bounds(5) == [F(3, 2), 3]
