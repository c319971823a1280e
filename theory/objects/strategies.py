"""Hypothesis strategies for the objects of the theorems.

Everything drawn is exact and small: weights and points are fractions with small denominators,
rows mostly use up their whole budget (that is where bounds are tight), and shrinking goes to
few layers, few units, zeros and ones.

``norm`` is the absolute row sum allowed, and the slope allowed for activations is ``slope``:
1 in the theorems. Larger ones draw networks *outside* their hypotheses, to show that a
statement without them is false.

All arguments are keyword-only; a wrong one is a ValueError, when the strategy is made or at the
first draw. Strategies are made once for the same arguments: making them costs more than drawing.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import ceil, floor

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from .boolean import BooleanFunction, Pairs, SymmetricFunction, cyclic_pairs
from .circuits import Circuit, Gate, Literal, compile_circuit, truth_table
from .exact import (
    HALF,
    ONE,
    ZERO,
    Number,
    Vector,
    check_dimension,
    check_integer,
    dot,
    fraction,
    not_negative,
    vertices,
)
from .lattice_form import LatticeForm
from .networks import (
    ABSOLUTE_VALUE,
    IDENTITY,
    RELU,
    Activation,
    Affine,
    Distance,
    DistanceNetwork,
    GroupSort,
    GroupSortNetwork,
    Layer,
    Network,
    PiecewiseLinear,
    PracticalSortNetwork,
    Shift,
    Sort,
    SortNetwork,
    StandardNetwork,
    practical_sort,
)

# Typed: True and 2.0 are to be refused even where 1 and 2 were made before.
_cache = lru_cache(maxsize=None, typed=True)


def _positive(**sizes: int) -> None:
    for name, size in sizes.items():
        check_integer(name, size, 1)


@_cache
def scalars(
    *, low: Number = -2, high: Number = 2, denominator: int = 4
) -> SearchStrategy[Fraction]:
    """Multiples of 1/denominator in [low, high], integers first when shrinking.

    Raises:
        ValueError: denominator < 1 or the interval holds no such multiple.
    """
    _positive(denominator=denominator)
    first, last = ceil(fraction(low) * denominator), floor(fraction(high) * denominator)
    if first > last:
        raise ValueError(f"expected a multiple of 1/{denominator} in [{low}, {high}]")
    return st.integers(first, last).map(lambda n: Fraction(n, denominator))


@_cache
def points(*, d: int, low: Number = 0, high: Number = 1) -> SearchStrategy[Vector]:
    """Points of the box [low, high]^d; vertices are drawn often."""
    check_dimension(d)
    entry = st.one_of(
        st.sampled_from((fraction(low), fraction(high))),
        scalars(low=low, high=high, denominator=12),
    )
    return st.tuples(*(entry,) * d)


@_cache
def directions(*, d: int) -> SearchStrategy[Vector]:
    """Vectors of l-inf norm at most 1, mostly with entries +-1."""
    check_dimension(d)
    entry = st.one_of(st.sampled_from((ONE, -ONE)), st.sampled_from((ONE, -ONE, ZERO, HALF)))
    return st.tuples(*(entry,) * d)


@_cache
def boolean_functions(*, d: int) -> SearchStrategy[BooleanFunction]:
    """Any function {0,1}^d -> {0,1}."""
    check_dimension(d)
    return st.integers(0, (1 << (1 << d)) - 1).map(lambda table: BooleanFunction(d, table))


@_cache
def symmetric_functions(*, d: int, constant: bool = False) -> SearchStrategy[SymmetricFunction]:
    """Symmetric functions of d variables, the two constants only on demand."""
    check_dimension(d)
    functions = st.tuples(*(st.integers(0, 1),) * (d + 1)).map(SymmetricFunction)
    return functions if constant else functions.filter(lambda g: len(set(g.values)) == 2)


@_cache
@st.composite
def _pairing(draw: DrawFn, d: int, injective: bool) -> tuple[tuple[Vector, Vector], ...]:
    indices = st.lists(st.integers(0, d - 1), min_size=1, max_size=d, unique=injective)
    result = []
    for j in draw(indices):
        x = draw(points(d=d))
        y = (*x[:j], ONE - x[j], *x[j + 1 :])
        result.append((x, y) if abs(x[j] - y[j]) <= 1 else (x, x))
    return tuple(result)


@_cache
def single_coordinate_pairs(*, d: int) -> SearchStrategy[Pairs]:
    """Pairs in the cube that the mass lemma speaks about."""
    check_dimension(d)
    return _pairing(d, True).map(Pairs)


@_cache
def pairings(*, d: int) -> SearchStrategy[tuple[tuple[Vector, Vector], ...]]:
    """The same without the rule that no coordinate moves in two pairs: the lemma fails there."""
    check_dimension(d)
    return _pairing(d, False)


@_cache
@st.composite
def cyclic_data(draw: DrawFn, *, d: int) -> tuple[SymmetricFunction, int, Pairs]:
    """The data set of Theorem 3.5: a non-constant symmetric function, a jump k, the d pairs."""
    g = draw(symmetric_functions(d=d))
    k = draw(st.sampled_from(g.jumps()))
    return g, k, cyclic_pairs(d, k)


@_cache
def rows(*, width: int, norm: Number = 1) -> SearchStrategy[Vector]:
    """Rows of absolute sum <= norm, most of them equal to it."""
    _positive(width=width)
    bound = not_negative("norm", norm)

    def scale(drawn: tuple[tuple[int, ...], int]) -> Vector:
        integers, slack = drawn
        total = sum(abs(n) for n in integers) + slack
        return tuple(bound * n / total if total else ZERO for n in integers)

    general = st.tuples(
        st.tuples(*(st.integers(-2, 2),) * width), st.sampled_from((0, 0, 0, 1))
    ).map(scale)
    uniform = st.just((bound / width,) * width)
    single = st.tuples(st.integers(0, width - 1), st.sampled_from((bound, -bound))).map(
        lambda drawn: tuple(drawn[1] if i == drawn[0] else ZERO for i in range(width))
    )
    return st.one_of(single, uniform, general)


@_cache
def affine_layers(*, width_in: int, width_out: int, norm: Number = 1) -> SearchStrategy[Affine]:
    """Affine layers with rows of absolute sum <= norm; some carry the inputs on one by one."""
    _positive(width_in=width_in, width_out=width_out)
    bound = not_negative("norm", norm)

    def carried(first: int) -> tuple[Vector, ...]:
        picks = ((first + i) % width_in for i in range(width_out))
        return tuple(tuple(bound if j == p else ZERO for j in range(width_in)) for p in picks)

    return st.builds(
        Affine,
        st.one_of(
            st.tuples(*(rows(width=width_in, norm=norm),) * width_out),
            st.integers(0, width_in - 1).map(carried),
        ),
        st.one_of(st.just(()), st.tuples(*(scalars(),) * width_out)),
        st.just(bound),
    )


@_cache
@st.composite
def piecewise_linear(draw: DrawFn, *, slope: Number = 1) -> PiecewiseLinear:
    """Piecewise-linear functions with slopes in [-slope, slope], the usual activations first."""
    bound = not_negative("slope", slope)
    if draw(st.booleans()):
        usual = draw(st.sampled_from((IDENTITY, ABSOLUTE_VALUE, RELU)))
        return PiecewiseLinear(usual.knots, bound * usual.left, bound * usual.right, bound)
    slopes = st.sampled_from((bound, -bound, ZERO, bound / 2))
    t, value = draw(scalars()), draw(scalars())
    knots = [(t, value)]
    for _ in range(draw(st.integers(0, 2))):
        step = draw(scalars(low=Fraction(1, 4), high=1))
        value += step * draw(slopes)
        t += step
        knots.append((t, value))
    return PiecewiseLinear(tuple(knots), draw(slopes), draw(slopes), bound)


@_cache
def activation_layers(*, width: int, slope: Number = 1) -> SearchStrategy[Activation]:
    """A function per unit, each with slopes in [-slope, slope]."""
    _positive(width=width)
    return st.builds(Activation, st.tuples(*(piecewise_linear(slope=slope),) * width))


@_cache
@st.composite
def standard_networks(
    draw: DrawFn,
    *,
    d: int,
    outputs: int = 1,
    norm: Number = 1,
    slope: Number = 1,
    max_depth: int = 3,
    max_width: int = 3,
) -> StandardNetwork:
    """Standard Lipschitz networks of up to ``max_depth`` affine layers; the last is affine."""
    check_dimension(d)
    _positive(outputs=outputs, max_depth=max_depth, max_width=max_width)
    layers: list[Layer] = []
    width = d
    for _ in range(draw(st.integers(1, max_depth)) - 1):
        wide = draw(st.integers(1, max_width))
        layers.append(draw(affine_layers(width_in=width, width_out=wide, norm=norm)))
        layers.append(draw(activation_layers(width=wide, slope=slope)))
        width = wide
    layers.append(draw(affine_layers(width_in=width, width_out=outputs, norm=norm)))
    if draw(st.booleans()):
        layers.append(draw(activation_layers(width=outputs, slope=slope)))
    return StandardNetwork(tuple(layers))


@_cache
@st.composite
def group_sort_networks(
    draw: DrawFn,
    *,
    d: int,
    group: int = 2,
    outputs: int = 1,
    norm: Number = 1,
    max_sorts: int = 2,
    max_groups: int = 2,
) -> GroupSortNetwork:
    """GroupSort(group) networks of 0..``max_sorts`` sorting layers; the last layer is affine."""
    check_dimension(d)
    _positive(group=group, outputs=outputs, max_groups=max_groups)
    check_integer("max_sorts", max_sorts, 0)
    layers: list[Layer] = []
    width = d
    for _ in range(draw(st.integers(0, max_sorts))):
        wide = group * draw(st.integers(1, max_groups))
        layers.append(draw(affine_layers(width_in=width, width_out=wide, norm=norm)))
        layers.append(GroupSort(wide, group))
        width = wide
    layers.append(draw(affine_layers(width_in=width, width_out=outputs, norm=norm)))
    return GroupSortNetwork(tuple(layers))


@_cache
def circuits(*, d: int, max_depth: int = 3) -> SearchStrategy[Circuit]:
    """Circuits of AND and OR over literals of d variables, of depth 0..``max_depth``."""
    check_dimension(d)
    check_integer("max_depth", max_depth, 0)
    circuit: SearchStrategy[Circuit] = st.builds(Literal, st.integers(0, d - 1), st.booleans())
    for _ in range(max_depth):
        circuit = st.one_of(circuit, st.builds(Gate, st.booleans(), circuit, circuit))
    return circuit


@_cache
@st.composite
def boolean_maxmin_networks(draw: DrawFn, *, d: int, max_depth: int = 3) -> GroupSortNetwork:
    """MaxMin networks equal to a non-constant Boolean function on {0,1}^d, with mixed rows.

    A circuit's network with the units of two more circuits beside it, every layer twice. Rows
    read both copies, and are blended with other units as long as the function stays the same.
    """
    _positive(max_depth=max_depth)
    part = circuits(d=d, max_depth=max_depth - 1)
    gates = st.builds(Gate, st.booleans(), part, part)
    circuit = draw(gates.filter(lambda gate: not truth_table(gate, d).constant))
    spare = circuits(d=d, max_depth=circuit.depth)
    network = _doubled(compile_circuit(circuit, d, draw(spare), draw(spare)))
    wanted = [network(x) for x in vertices(d)]
    for _ in range(draw(st.integers(0, 4))):
        t = 2 * draw(st.integers(1, network.sorting_layers))
        layer = network.layers[t]
        assert isinstance(layer, Affine)
        unit = draw(st.integers(0, layer.width_out - 1))
        before = [(x, *network.units(x))[t] for x in vertices(d)]
        top = max(layer(z)[unit] for z in before)
        spread = top - min(layer(z)[unit] for z in before)
        first = draw(st.integers(0, 2 * layer.width_in - 1))
        for candidate in range(2 * layer.width_in):
            place, odd = divmod((first + candidate) % (2 * layer.width_in), 2)
            row = [w / 2 for w in layer.rows[unit]]
            if row[place]:
                continue
            row[place] = -HALF if odd else HALF
            values = [dot(tuple(row), z) for z in before]
            if max(values) - min(values) < spread:  # a unit that mattered would be lost
                continue
            blended = Affine(
                (*layer.rows[:unit], tuple(row), *layer.rows[unit + 1 :]),
                (*layer.bias[:unit], top - max(values), *layer.bias[unit + 1 :]),
            )
            rest = Network((blended, *network.layers[t + 1 :]))
            if [rest(z) for z in before] == wanted:
                network = GroupSortNetwork((*network.layers[:t], *rest.layers))
                break
    return network


def _doubled(network: GroupSortNetwork) -> GroupSortNetwork:
    """The first output, with every hidden layer twice side by side; rows read both copies."""
    layers: list[Layer] = []
    for t, layer in enumerate(network.layers):
        if isinstance(layer, GroupSort):
            layers.append(GroupSort(2 * layer.width, layer.group))
        elif isinstance(layer, Affine):
            wide, bias = layer.rows, layer.bias
            if t > 0:
                wide = tuple(tuple(w / 2 for w in row) * 2 for row in wide)
            last = t == len(network.layers) - 1
            layers.append(Affine(wide[:1], bias[:1]) if last else Affine(wide * 2, bias * 2))
    return GroupSortNetwork(tuple(layers))


@_cache
@st.composite
def distance_networks(
    draw: DrawFn, *, d: int, outputs: int = 1, max_depth: int = 2, max_width: int = 3
) -> DistanceNetwork:
    """l-inf distance networks of up to ``max_depth`` layers."""
    check_dimension(d)
    _positive(outputs=outputs, max_depth=max_depth, max_width=max_width)
    depth = draw(st.integers(1, max_depth))
    widths = [d, *(draw(st.integers(1, max_width)) for _ in range(depth - 1)), outputs]
    layers = []
    for a, b in pairwise(widths):
        centres = draw(st.tuples(*(st.tuples(*(scalars(),) * a),) * b))
        layers.append(Distance(centres, draw(st.tuples(*(scalars(),) * b))))
    return DistanceNetwork(tuple(layers))


@_cache
@st.composite
def sort_networks(
    draw: DrawFn,
    *,
    d: int,
    outputs: int = 1,
    norm: Number = 1,
    max_depth: int = 2,
    max_width: int = 3,
) -> SortNetwork:
    """General SortNets of up to ``max_depth`` layers, a mean shift between some of them."""
    check_dimension(d)
    _positive(outputs=outputs, max_depth=max_depth, max_width=max_width)
    depth = draw(st.integers(1, max_depth))
    widths = [d, *(draw(st.integers(1, max_width)) for _ in range(depth - 1)), outputs]
    layers: list[Layer] = []
    for a, b in pairwise(widths):
        weights = draw(st.tuples(*(rows(width=a, norm=norm),) * b))
        offsets = draw(st.tuples(*(st.tuples(*(scalars(),) * a),) * b))
        layers.append(Sort(weights, offsets, (), fraction(norm)))
        if draw(st.booleans()):
            layers.append(Shift(draw(st.tuples(*(scalars(),) * b))))
    return SortNetwork(tuple(layers))


@_cache
@st.composite
def practical_sort_networks(
    draw: DrawFn, *, d: int, outputs: int = 1, max_depth: int = 2, max_width: int = 3
) -> PracticalSortNetwork:
    """Practical SortNets: geometric weights, rho in {0, 1/4, 1/2}, mean shifts between layers."""
    check_dimension(d)
    _positive(outputs=outputs, max_depth=max_depth, max_width=max_width)
    depth = draw(st.integers(1, max_depth))
    widths = [d, *(draw(st.integers(1, max_width)) for _ in range(depth - 1)), outputs]
    rho = draw(st.sampled_from((ZERO, Fraction(1, 4), HALF)))
    layers: list[Layer] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        if i:
            layers.append(Shift(draw(st.tuples(*(scalars(),) * a))))
        centres = draw(st.tuples(*(st.tuples(*(scalars(),) * a),) * b))
        bias = draw(st.tuples(*(scalars(),) * b)) if i == depth - 1 else ()
        layers.append(practical_sort(centres, rho=rho, k=draw(st.integers(1, 3)), bias=bias))
    return PracticalSortNetwork(tuple(layers))


@_cache
def networks(*, d: int, outputs: int = 1) -> SearchStrategy[Network]:
    """A network of any of the five families."""
    return st.one_of(
        standard_networks(d=d, outputs=outputs),
        group_sort_networks(d=d, outputs=outputs, group=2),
        group_sort_networks(d=d, outputs=outputs, group=3),
        distance_networks(d=d, outputs=outputs),
        sort_networks(d=d, outputs=outputs),
        practical_sort_networks(d=d, outputs=outputs),
    )


@_cache
@st.composite
def classifiers(draw: DrawFn, scalar_networks: SearchStrategy[Network]) -> Network:
    """Two logits: a scalar network and its negative, the pair with the largest margins."""
    network = draw(scalar_networks)
    if network.width_out != 1:
        raise ValueError(f"expected networks with one output, got {network.width_out}")
    return Network((*network.layers, Affine(((-ONE,), (ONE,)))))


@_cache
@st.composite
def lattice_forms(
    draw: DrawFn, *, d: int, norm: Number = 1, max_pieces: int = 3, max_terms: int = 3
) -> LatticeForm:
    """Piecewise-linear functions max_i min_(j in S_i) a_j(x), the a_j with gradients of l1 norm
    <= norm: every 1-Lipschitz piecewise-linear function is of this form."""
    check_dimension(d)
    _positive(max_pieces=max_pieces, max_terms=max_terms)
    count = draw(st.integers(1, max_pieces))
    pieces = draw(affine_layers(width_in=d, width_out=count, norm=norm))
    subset = st.lists(st.integers(0, count - 1), min_size=1, unique=True).map(sorted).map(tuple)
    return LatticeForm(pieces, tuple(draw(st.lists(subset, min_size=1, max_size=max_terms))))
