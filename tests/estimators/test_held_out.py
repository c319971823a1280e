"""What classifiers are judged by: rare classes and weights of 0 take no comparison away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortnet.estimators import SortNetClassifier, SortNetRegressor
from sortnet.estimators.held_out import ENOUGH, NothingHeldOutWarning, folds, hold_out, judged

QUICK = {"epochs": 30, "width": 16, "depth": 2, "random_state": 0}


@st.composite
def labels(draw):
    """Classes of very different sizes, some of none, in any order."""
    sizes = draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 9, 40, 300]), min_size=1, max_size=6))
    codes = np.repeat(np.arange(len(sizes)), sizes)
    return draw(st.randoms(use_true_random=False)).sample(codes.tolist(), len(codes)), sizes


@given(labels(), st.floats(0, 0.6), st.integers(0, 5))
def test_each_class_with_enough_samples_is_held_out_and_no_other(drawn, fraction, seed):
    codes, sizes = np.array(drawn[0], int), np.array(drawn[1])
    if not len(codes):
        return
    enough = np.flatnonzero(sizes >= ENOUGH)
    told = len(enough) > 1
    assert set(np.unique(codes[judged(codes)])) == (set(enough) if told else set())
    ways = folds(codes, seed)
    assert len(ways) == 3 * told
    for learn, held in ways:
        assert sorted([*learn, *held]) == list(range(len(codes)))
        assert set(codes[held]) == set(enough) and set(codes[learn]) == set(codes)
    if ways:
        assert sorted(np.concatenate([held for _, held in ways])) == judged(codes).tolist()
    learn, held = hold_out(codes, fraction, seed)
    assert sorted([*learn, *held]) == list(range(len(codes)))
    assert set(codes[held]) <= set(enough) and set(codes[learn]) == set(codes)
    possible = round(fraction * sizes[enough].sum()) >= 2 * len(enough)
    assert (len(held) > 0) is (told and possible)


def checkerboard(count=240, rare=0):
    """Two classes that no linear classifier tells apart, and some samples of a third one."""
    draw = np.random.default_rng(0)
    X = draw.uniform(-1, 1, (count, 2))
    X += np.sign(X) * 0.5
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    X[:rare], y[:rare] = draw.normal((1.5, -1.5), 0.01, (rare, 2)), 2
    return X, y


@pytest.mark.parametrize("rare, weight", [(1, 1.0), (3, 1.0), (9, 0.0)])
def test_a_rare_class_takes_no_comparison_away(rare, weight):
    """Always naming one class is right for half of the samples, as is a linear classifier."""
    X, y = checkerboard(rare=rare)
    options = {**QUICK, "epochs": 60}
    model = SortNetClassifier(0.05, **options).fit(X, y, np.where(y == 2, weight, 1.0))
    assert model.validation_score_ > 0.8 and (model.family_, model.depth_) != ("relu", 1)
    common = y < 2
    assert model.robust_score(X[common], y[common]) > 0.9
    assert list(model.classes_) == [0, 1, 2]


@pytest.mark.parametrize("family, depth", [("sortnet", 2), ("relu", 2)])
def test_a_family_by_name_keeps_its_validation(family, depth):
    X, y = checkerboard(rare=3)
    model = SortNetClassifier(0.05, family=family, **QUICK | {"depth": depth}).fit(X, y)
    assert model.validation_score_ is not None


def test_many_small_classes_are_compared():
    """15 % of 60 samples are fewer than two of each of five classes."""
    draw = np.random.default_rng(0)
    y = np.arange(60) % 5
    X = np.stack([y % 3, y // 3], axis=1) + draw.normal(0, 0.05, (60, 2))
    assert SortNetClassifier(0.02, **QUICK).fit(X, y).validation_score_ > 0.5


@pytest.mark.parametrize("family", ["auto", "sortnet"])
def test_where_nothing_can_be_held_out_it_is_said(family):
    X, y = checkerboard(40)
    y = np.arange(40) < 3
    with pytest.warns(NothingHeldOutWarning, match="too few samples to hold any out"):
        model = SortNetClassifier(0.05, family=family, **QUICK).fit(X, y)
    assert model.validation_score_ is None
    if family == "sortnet":  # nobody asked for any
        SortNetClassifier(0.05, family=family, validation_fraction=0, **QUICK).fit(X, y)


def test_a_regressor_says_it_too():
    X = np.linspace(0, 1, 12)[:, None]
    quick = {"epochs": 3, "width": 8, "depth": 2, "random_state": 0}
    with pytest.warns(NothingHeldOutWarning):
        assert SortNetRegressor(0.1, **quick).fit(X, X[:, 0]).validation_score_ is None
    SortNetRegressor(0.1, validation_fraction=0, **quick).fit(X, X[:, 0])
