"""Every check of the registry passes, and the constructions are what they are said to be."""

import importlib
from fractions import Fraction
from functools import partial
from math import ceil, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sortnet.theory import (
    boolean_impossibility,
    circuits,
    dropout_identity,
    lattice,
    linf_dist,
    margin,
    mass,
    maxmin_depth,
    mcshane,
    order_statistics,
    piecewise_linear,
    sampling,
    sortnet_expressivity,
)
from sortnet.theory import strategies as draw
from sortnet.theory.boolean import (
    BooleanFunction,
    SymmetricFunction,
    cyclic_pairs,
    disjunction,
    parity,
)
from sortnet.theory.exact import order_statistic, vertices
from sortnet.theory.networks import (
    Affine,
    Distance,
    DistanceNetwork,
    GroupSort,
    GroupSortNetwork,
    Sort,
    SortNetwork,
)
from sortnet.theory.registry import results, select

F = Fraction
FAST = settings(max_examples=25, deadline=None)
CHECKS = {
    f"{result.number}: {check.name}": check
    for result in results()
    for check in result.checks
    if not check.run.__name__.startswith("_trained")  # searches: test_search.py
}


@pytest.fixture
def few_examples(monkeypatch):
    few = partial(_sample_few, sampling.sample)
    for result in results():
        for check in result.checks:
            module = importlib.import_module(check.run.__module__)
            if hasattr(module, "sample"):
                monkeypatch.setattr(module, "sample", few)


def _sample_few(sample, check, *strategies, examples):
    sample(check, *strategies, examples=min(examples, 20))


@pytest.mark.parametrize("name", CHECKS)
def test_check_passes(name, few_examples):
    check = CHECKS[name]
    evidence = check.run(False)
    assert evidence.kind == check.kind
    assert evidence.range
    assert (evidence.networks > 0) == (evidence.kind == "exact")


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_thorough_check_passes(name):
    assert CHECKS[name].run(True).range


def test_results_are_found_by_their_number():
    assert [r.number for r in select("3.5")] == ["3.5"]
    assert select() == results()
    with pytest.raises(ValueError, match=r"no result is called '3\.7'"):
        select("3.7")


# --- lattice polynomials ------------------------------------------------------------------------


@FAST
@given(st.integers(1, 5).flatmap(lambda d: st.tuples(draw.points(d=d), st.integers(1, d))))
def test_order_statistic_polynomials_are_order_statistics_everywhere(case):
    x, k = case
    assert lattice.order_statistic_polynomial(len(x), k)(x) == order_statistic(x, k)


@FAST
@given(st.integers(1, 5).flatmap(lambda d: st.tuples(draw.points(d=d), st.integers(1, d))))
def test_networks_on_the_cube_are_their_lattice_form(case):
    x, k = case
    d = len(x)
    for network in (
        linf_dist.order_statistic_network(d, k),
        maxmin_depth.order_statistic_network(d, k),
    ):
        term = lattice.on_cube(network)[0]
        assert network(x) == (term.offset + term.sign * term.polynomial(x),)
        assert network(x) == (order_statistic(x, k),)


def test_a_network_without_a_lattice_form_is_refused():
    for network, message in (
        (GroupSortNetwork((Affine(((F(1, 2), F(1, 2)),)),)), "single entry"),
        (DistanceNetwork((Distance(((F(1, 2),),)),)), "changes branch"),
        (GroupSortNetwork((Affine(((1,), (-1,)), (0, 1)), GroupSort(2, 2))), "not a lattice"),
        (SortNetwork((Sort(((1,),), ((0,),)),)), "no lattice form"),
    ):
        with pytest.raises(ValueError, match=message):
            lattice.on_cube(network)
    with pytest.raises(ValueError, match="no lattice polynomial"):
        lattice.LatticePolynomial(1, 0)((F(1),))


# --- constructions ------------------------------------------------------------------------------


def test_mass_of_a_mean_and_of_a_distance():
    pairs = cyclic_pairs(4, 2)
    assert mass.masses(order_statistics.tight_example(4, 2), pairs) == [(1,)]
    assert mass.masses(mass.escape(4), cyclic_pairs(4, 1)) == [(4,)]
    assert mass.escape(4).mass_bounds(4) == [4]


def test_margin_radius():
    assert margin.radius((F(1), F(4), F(2))) == 1
    assert margin.radius((F(1), F(4)), label=0) == F(-3, 2)
    assert margin.prediction((F(2), F(2))) == 0
    for logits, label in (((F(1),), None), ((F(1), F(2)), 2)):
        with pytest.raises(ValueError, match="expected"):
            margin.radius(logits, label)


def test_parity_is_tight_on_the_whole_cube():
    g = parity(5)
    assert boolean_impossibility.certified_radius(boolean_impossibility.tight_example(g), g) == (
        boolean_impossibility.bound(5)
    )
    with pytest.raises(ValueError, match="non-constant"):
        boolean_impossibility.tight_example(SymmetricFunction((0, 0)))


def test_a_standard_network_may_be_robust_beyond_its_certificate():
    d, delta = 3, F(1, 100)
    network = boolean_impossibility.robust_example(d, delta)
    r = F(1, 2) - d * delta - F(1, 1000)
    for v in vertices(d):
        # The second logit rises with every entry, so the worst point of the ball is a corner.
        worst = tuple(b - r if any(v) else b + r for b in v)
        assert margin.prediction(network(v)) == margin.prediction(network(worst)) == int(any(v))
    g = disjunction(d)
    assert boolean_impossibility.certified_radius(network, g) <= boolean_impossibility.bound(d) < r
    with pytest.raises(ValueError, match="delta"):
        boolean_impossibility.robust_example(3, F(1, 6))


def test_symmetric_error_wants_equal_weights():
    network = order_statistics.StandardNetwork((Affine(((1, 0),)),))
    with pytest.raises(ValueError, match="equal weights"):
        order_statistics.symmetric_error(network, 1)


@pytest.mark.parametrize("group", [2, 3, 4])
def test_needed_depth_is_a_logarithm(group):
    for d in range(1, 40):
        assert maxmin_depth.needed_depth(d, group) == ceil(round(log(d, group), 9))


@FAST
@given(st.integers(1, 9).flatmap(lambda d: draw.points(d=d, low=-3, high=3)))
def test_compiled_sorting_networks_sort(x):
    d = len(x)
    layers = maxmin_depth.odd_even_merge_sort(d)
    assert maxmin_depth.compile_sorting_network(d, layers)(x) == tuple(sorted(x, reverse=True))


REFUSED = {
    "overlapping comparators": lambda: maxmin_depth.compile_sorting_network(3, [[(0, 1), (1, 2)]]),
    "rank": lambda: maxmin_depth.compile_sorting_network(3, [], [4]),
    "group of 1": lambda: maxmin_depth.tournament(4, 1),
    "no dimension": lambda: maxmin_depth.tournament(0),
    "group^sorts": lambda: maxmin_depth.tight_example(6, 1, 2, 2),
    "inner jump": lambda: maxmin_depth.tight_example(8, 4, 2, 2),
    "depth": lambda: circuits.count_bound(3, -1),
    "five variables": lambda: circuits.minimal_depths(5),
    "variable": lambda: circuits.compile_circuit(circuits.Literal(2), 2),
    "constant network": lambda: circuits.single_weights(
        circuits.compile_circuit(circuits.Constant(1), 2)
    ),
    "not Boolean": lambda: circuits.single_weights(GroupSortNetwork((Affine(((F(1, 2),),)),))),
    "groups of 3": lambda: circuits.single_weights(
        GroupSortNetwork((Affine(((1,),) * 3), GroupSort(3, 3), Affine(((1, 0, 0),))))
    ),
    "term": lambda: piecewise_linear.LatticeForm(Affine(((1,),)), ((1,),)),
    "axis": lambda: piecewise_linear.knots_along_axis(mass.escape(2), (F(0), F(0)), 2),
    "box": lambda: sortnet_expressivity.affine_to_sort(Affine(((1,),)), (F(1),), (F(0),)),
    "cells": lambda: mcshane.net(2, 0),
    "probability": lambda: dropout_identity.expected_max((F(1),), 2),
    "no entries": lambda: dropout_identity.sorted_sum((), F(1, 2)),
    "strategy": lambda: draw.rows(width=0),
    "scalars": lambda: draw.scalars(low=1, high=0),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_clear_error(case):
    with pytest.raises(ValueError, match=r"expected|wires|term"):
        REFUSED[case]()


def test_the_certified_radius_of_tight_group_sort_networks():
    network = maxmin_depth.mirrored(maxmin_depth.tight_example(8, 5, 4, 1))
    assert boolean_impossibility.best_radius(network, cyclic_pairs(8, 5)) == F(4, 16)


# --- circuits -----------------------------------------------------------------------------------


def test_minimal_depths_agree_with_a_direct_search():
    """Depth by depth from all pairs, ANDs and ORs, for d = 3."""
    everything = (1 << 8) - 1
    literals = [sum(1 << i for i in range(8) if i >> j & 1) for j in range(3)]
    depth_of = dict.fromkeys([0, everything, *literals, *(everything ^ t for t in literals)], 0)
    depth = 0
    while len(depth_of) < 256:
        depth += 1
        known = list(depth_of)
        for a in known:
            for b in known:
                depth_of.setdefault(a & b, depth)
                depth_of.setdefault(a | b, depth)
    assert [depth_of[t] for t in range(256)] == circuits.minimal_depths(3).tolist()


def test_minimal_depths_of_four_variables():
    """The whole distribution: sums to 65,536, no function needs more than 5."""
    counts = [int((circuits.minimal_depths(4) == m).sum()) for m in range(6)]
    assert counts == [10, 48, 684, 17064, 47634, 96]


@FAST
@given(draw.boolean_functions(d=4))
def test_minimal_circuits_of_four_variables(g):
    circuit = circuits.minimal_circuit(g)
    assert circuits.truth_table(circuit, 4) == g
    assert circuit.depth == circuits.minimal_depths(4)[g.table]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3).flatmap(lambda d: st.tuples(draw.circuits(d=d), st.just(d))))
def test_compiled_circuits_are_selections(case):
    circuit, d = case
    network = circuits.compile_circuit(circuit, d)
    assert circuits.is_selection(network)
    table = circuits.truth_table(circuit, d)
    assert [network(x) for x in vertices(d)] == [(table(x),) for x in vertices(d)]


def test_drawn_maxmin_networks_have_mixed_rows():
    """The lemma is tried on rows that it really has to change."""
    mixed = []

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(draw.boolean_maxmin_networks(d=3))
    def collect(network):
        rows = [r for a in network.layers if isinstance(a, Affine) for r in a.rows]
        mixed.append(sum(sum(w != 0 for w in r) > 2 for r in rows))

    collect()
    assert sum(m > 0 for m in mixed) >= 5


def test_single_weights_on_a_network_whose_pair_is_offset():
    """max(x, y - 1/2) never sees its second unit: the partner is moved out of the way."""
    network = GroupSortNetwork(
        (Affine(((1, 0), (0, 1)), (0, F(-1, 2))), GroupSort(2, 2), Affine(((1, 0),)))
    )
    with pytest.raises(ValueError, match="values 0 and 1"):
        circuits.single_weights(network)
    lowered = GroupSortNetwork(
        (Affine(((1, 0), (0, 1)), (0, -1)), GroupSort(2, 2), Affine(((F(1), 0),)))
    )
    result = circuits.single_weights(lowered)
    assert circuits.is_selection(result)
    assert [result(x) for x in vertices(2)] == [(x[0],) for x in vertices(2)]


def test_boolean_networks_of_constants():
    for table in (0, 15):
        g = BooleanFunction(2, table)
        linf_dist.check_boolean(g, linf_dist.boolean_network(g))


@FAST
@given(st.data())
def test_from_group_sort_accepts_any_order_of_layers(data):
    d = 2
    affine = data.draw(draw.affine_layers(width_in=d, width_out=4))
    network = GroupSortNetwork((affine, GroupSort(4, 2), GroupSort(4, 4), GroupSort(4, 2)))
    sortnet_expressivity.check_group_sort(network, data.draw(draw.points(d=d)))
