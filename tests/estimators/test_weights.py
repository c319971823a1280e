"""Weights of samples and classes: what is none is refused, what is one counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sortnet.estimators import SortNetClassifier
from sortnet.estimators.weights import class_weights, sample_weights, to_the_mean

QUICK = {"epochs": 4, "width": 16, "depth": 2, "random_state": 0}


def two_classes(count=40):
    X = np.random.default_rng(0).normal(0, 1, (count, 2))
    return X, (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize(
    "given_weight, words",
    [
        ({0: 1, 1: -1}, "class_weight of 1 must be a finite number of at least 0, got -1"),
        ({0: float("nan")}, "class_weight of 0"),
        ({1: float("inf")}, "class_weight of 1"),
        ({1: 10**400}, "class_weight of 1"),
        (np.ones(2), "class_weight must be"),
        ({1: "2"}, "class_weight of 1"),
        ({1: True}, "class_weight of 1"),
        ({0: 0, 1: 0}, "class_weight is 0 for every class"),
        ({0: 0}, "leave samples of one class only"),
        ("balance", "None, 'balanced' or a dict"),
        ([{0: 1}], "None, 'balanced' or a dict"),
    ],
)
def test_class_weights_that_are_none(given_weight, words):
    X, y = two_classes(40)
    with pytest.raises(ValueError, match=words):
        SortNetClassifier(0.05, class_weight=given_weight, **QUICK).fit(X, y)


def test_sample_weights_that_are_none():
    X, y = two_classes(40)
    model = SortNetClassifier(0.05, family="relu", **QUICK)
    cases = (
        (np.full(40, -1.0), "[Nn]egative"),
        (np.where(y, np.nan, 1), "NaN"),
        (np.where(y, np.inf, 1), "infinity"),
        (np.inf, "finite"),
        (np.zeros(40), "non-zero|0 for every sample"),
        (np.ones(39), "39"),
    )
    for weight, words in cases:
        with pytest.raises(ValueError, match=words):
            model.fit(X, y, weight)
    model.fit(X, y)
    for weight, words in cases:
        with pytest.raises(ValueError, match=words):
            model.robust_score(X, y, sample_weight=weight)
    zero = SortNetClassifier(0.05, class_weight={0: 0.0}, **QUICK)
    with pytest.raises(ValueError, match="sample_weight times class_weight is 0 for every"):
        zero.fit(X, y, (y == 0).astype(float))


@given(
    st.lists(st.floats(0, 1e308), min_size=1, max_size=30),
    st.lists(st.floats(0, 1e308), min_size=2, max_size=2),
)
def test_weights_of_any_size_stay_finite(numbers, both):
    """Products neither overflow nor vanish as long as one of them is not 0."""
    X, weight = np.zeros((len(numbers), 1)), np.array(numbers)
    classes = np.array([0, 1])
    y = np.resize(classes, len(weight))
    if not weight.max() > 0:
        with pytest.raises(ValueError, match=r"non-zero|0 for every sample"):
            sample_weights(weight, X)
        return
    if not max(both) > 0:
        with pytest.raises(ValueError, match="0 for every class"):
            class_weights(dict(enumerate(both)), classes, y)
        return
    product = sample_weights(weight, X) * class_weights(dict(enumerate(both)), classes, y)[y]
    if not product.max() > 0:
        return
    found = to_the_mean(product)
    kept = found > 0
    assert kept.any() and np.isfinite(found).all() and found.dtype == np.float32
    assert found[kept].mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(found[kept], (product / product[kept].mean())[kept], rtol=1e-6)
    # What a batch of nothing but the smallest of them divides by is no subnormal number.
    assert found[kept].min() > np.finfo(np.float32).tiny


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([1e-300, 1e-40, 1e-20, 1e300]), st.integers(0, 3))
def test_weights_of_very_different_sizes_train(size, seed):
    X, y = two_classes(60)
    weight = np.random.default_rng(seed).permutation(np.repeat([1.0, size], 30))
    options = {**QUICK, "batch_size": 8}
    model = SortNetClassifier(0.05, family="sortnet", validation_fraction=0, **options)
    assert np.isfinite(model.fit(X, y, weight).decision_function(X)).all()
