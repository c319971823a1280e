"""Certified estimators: what they promise, in torch and after export; and what they refuse."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_wine, make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sortnet.certificate.inputs import InputError
from sortnet.estimators import SortNetClassifier, SortNetRegressor
from sortnet.estimators.base import OutsideBoxWarning
from sortnet.estimators.classifier import answer_always
from sortnet.estimators.held_out import NothingHeldOutWarning, hold_out
from sortnet.evaluation.certifier import Certifier
from sortnet.export import CertifiedSession, verify

QUICK = {"epochs": 30, "width": 16, "random_state": 0}


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_classification(160, 6, n_informative=4, class_sep=2.0, random_state=1)
    return X * [1, 10, 100, 1, 1, 1e-3], np.array(["ok", "fraud"])[y]


@pytest.fixture(scope="module")
def fitted(table) -> SortNetClassifier:
    return SortNetClassifier(0.05, immutable=[2], family="sortnet", **QUICK).fit(*table)


def moved(model, X: np.ndarray, radius: np.ndarray, seed: int) -> np.ndarray:
    """Float32 points of the balls of the given radii, in the box, mostly at corners."""
    draw = np.random.default_rng(seed)
    step = draw.choice([-1.0, 1.0, 0.3], X.shape) * radius[:, None] * model.unit_.astype(float)
    point = np.clip(X.astype(np.float32) + step, model.box_low_, model.box_high_).astype(np.float32)
    reach = radius[:, None].astype(float) * model.unit_
    apart = np.abs(point.astype(float) - X.astype(np.float32))
    return np.where(apart <= reach, point, X.astype(np.float32))


def test_no_point_of_a_certified_ball_has_another_label(table, fitted) -> None:
    X, _ = table
    radius = fitted.certified_radius(X)
    assert (radius > 0).mean() > 0.5
    label = fitted.predict(X)
    for seed in range(20):
        point = moved(fitted, X, radius, seed)
        assert (fitted.predict(point)[radius > 0] == label[radius > 0]).all()


def test_an_immutable_feature_does_not_count(table, fitted) -> None:
    X, _ = table
    assert fitted.unit_[2] == 0 and (np.delete(fitted.unit_, 2) > 0).all()
    point = moved(fitted, X, np.full(len(X), 0.5, np.float32), 0)
    assert (point[:, 2] == X[:, 2].astype(np.float32)).all()


@pytest.mark.parametrize("immutable", [[2], np.array([False, False, True] + 3 * [False])])
def test_ways_to_name_immutable_features(table, immutable) -> None:
    model = SortNetClassifier(0.05, immutable=immutable, **(QUICK | {"epochs": 1})).fit(*table)
    assert (model.unit_ == 0).tolist() == [False, False, True, False, False, False]


def test_frames_keep_their_names(table) -> None:
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    X, y = table
    columns = list("abcdef")
    options = QUICK | {"epochs": 1}
    frame = pandas.DataFrame(X, columns=columns)
    model = SortNetClassifier(0.05, immutable=["c"], **options).fit(frame, pandas.Series(y))
    assert model.unit_[2] == 0 and model.feature_names_in_.tolist() == columns
    other = polars.DataFrame({c: X[:, i] for i, c in enumerate(columns)})
    assert (model.predict(other) == model.predict(frame)).all()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("bacdef")])
    with pytest.raises(ValueError, match="no column 'z'"):
        SortNetClassifier(immutable=["z"], **options).fit(frame, y)


def test_never_below_what_a_constant_gives() -> None:
    """Noise: nothing can be learned, but the majority can be certified at any radius."""
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(120, 4)), (draw.random(120) < 0.25).astype(int)
    model = SortNetClassifier(0.5, **QUICK).fit(X, y)
    assert model.robust_score(X, y) >= (y == 0).mean() - 0.03


@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize(
    "family, depth", [("sortnet", 2), ("linf-dist", 2), ("relu", 1), ("relu", 2)]
)
def test_the_constant_answer_is_the_class_that_was_asked_for(
    family: str, depth: int, label: int
) -> None:
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(90, 3)), np.arange(90) % 3
    model = SortNetClassifier(0.2, family=family, depth=depth, **QUICK).fit(X, y)
    answer_always(model.network_, label, 0.2)
    model._certifier = Certifier(model.network_)
    assert (model.predict(X) == label).all() and model.certify(X).all()
    assert (model.certified_radius(X) > 0.2).all()


@pytest.mark.parametrize("family", ["sortnet", "linf-dist", "relu"])
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.2, 0.35, 0.65, 0.8]))
@settings(max_examples=4, deadline=None)
def test_noise_is_certified_as_the_majority(family: str, seed: int, share: float) -> None:
    """At a radius that no margin reaches, whichever class is the larger one."""
    draw = np.random.default_rng(seed)
    X, y = draw.random((40, 2)), (draw.random(40) < share).astype(int)
    y[:8] = np.arange(8) % 2
    options = {**QUICK, "epochs": 5, "validation_fraction": 0.0}
    model = SortNetClassifier(0.7, family=family, depth=2, **options).fit(X, y)
    assert model.robust_score(X, y) >= max(y.mean(), 1 - y.mean()) - 1e-9


@pytest.mark.parametrize("family", ["sortnet", "relu"])
def test_the_validation_score_is_a_share_of_what_was_held_out(family: str) -> None:
    X = np.linspace(0, 1, 200)[:, None]
    y = (X[:, 0] > 0.5).astype(int)
    model = SortNetClassifier(0.001, family=family, depth=1, **QUICK).fit(X, y)
    _, held = hold_out(y, model.validation_fraction, model._seed())
    expected = model.robust_score(X[held], y[held])
    assert model.validation_score_ == pytest.approx(expected, abs=1e-6)
    assert model.validation_score_ <= 1


@pytest.mark.parametrize("family, depth", [("sortnet", 2), ("relu", 1)])
def test_what_the_exported_file_says(table, tmp_path: Path, family: str, depth: int) -> None:
    X, _ = table
    fitted = SortNetClassifier(0.05, family=family, depth=depth, **QUICK).fit(*table)
    path = tmp_path / "table.onnx"
    fitted.export(path)
    assert verify(path).proved
    answer = CertifiedSession(path, threads=1).predict(X.astype(np.float32))
    assert (fitted.classes_[answer.label] == fitted.predict(X)).all()
    # By bounds a radius is found on a grid of eps / 32, and balls are clipped to the box.
    radius = fitted.certified_radius(X)
    assert (answer.radius > 0).mean() > 0.5 and (radius >= answer.radius - 1e-4).all()
    if family == "sortnet":
        assert np.abs(answer.radius - radius).max() < 1e-4


def test_a_network_trained_on_bounds_says_in_its_file_whether_they_hold(
    table, tmp_path: Path
) -> None:
    X = table[0].astype(np.float32)
    fitted = SortNetClassifier(0.05, family="relu", depth=2, **QUICK).fit(*table)
    path = tmp_path / "bounds.onnx"
    fitted.export(path)
    radius = CertifiedSession(path, threads=1).predict(X).radius
    assert set(np.unique(radius)) <= {0, np.float32(0.05)} and (radius > 0).mean() > 0.5
    assert ((radius > 0) == fitted.certify(X)).mean() > 0.98
    found = fitted.certified_radius(X)
    for seed in range(10):
        point = moved(fitted, X, found, seed)
        assert (fitted.predict(point)[found > 0] == fitted.predict(X)[found > 0]).all()


def test_the_radius_of_a_linear_classifier_is_nearly_exact(table) -> None:
    """The nearest point of another label, in exact arithmetic: margin over the l1 norm."""
    X = table[0]
    span = 20 * np.ptp(X, axis=0)  # so wide that no ball is clipped
    box = (X.min(0) - span, X.max(0) + span)
    fitted = SortNetClassifier(0.05, family="relu", depth=1, box=box, **QUICK).fit(*table)
    last, first = fitted.network_.layers[-1], fitted.network_.layers[0]
    weight = (last.weight[1] - last.weight[0]).detach().double().numpy()
    norm = np.abs(weight * fitted.unit_ / np.ravel(first.std)).sum()
    exact = np.abs(fitted.decision_function(X)) / norm
    radius = fitted.certified_radius(X)
    assert (radius <= exact + 1e-6).all() and np.abs(radius - exact).max() < 1e-3


def test_the_file_of_a_linear_classifier_says_no_more_than_is_true(tmp_path: Path) -> None:
    """The nearest point of another label in the box; where that cuts balls, the file says less."""
    X = np.random.default_rng(0).integers(0, 2, (200, 5)).astype(np.float32)
    options = {"box": (0, 1), "family": "relu", "depth": 1, **QUICK}
    fitted = SortNetClassifier(0.05, **options).fit(X, X.sum(1) > 2)
    fitted.export(tmp_path / "linear.onnx")
    said = CertifiedSession(tmp_path / "linear.onnx", threads=1).predict(X).radius
    last, first = fitted.network_.layers[-1], fitted.network_.layers[0]
    weight = (last.weight[1] - last.weight[0]).detach().double().numpy() / np.ravel(first.std)
    score = fitted.decision_function(X)
    towards = -np.sign(score)[:, None] * np.sign(weight)
    room = np.where(towards > 0, fitted.box_high_ - X.astype(float), X - fitted.box_low_)

    def reached(radius: np.ndarray) -> np.ndarray:
        steps = np.minimum(radius[:, None] * fitted.unit_.astype(float), room)
        return np.asarray((np.abs(weight) * steps).sum(1))

    low, high = np.zeros(len(X)), np.full(len(X), 2.0)
    for _ in range(60):
        middle = (low + high) / 2
        kept = reached(middle) < np.abs(score)
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    assert (said <= high + 1e-6).all() and (said < 0.99 * low).any()
    found = fitted.certified_radius(X)
    assert (found <= high + 1e-6).all() and (found >= said - 1e-6).all()
    assert (found > said + 1e-3).any()


def test_what_is_chosen_is_reported_and_used(table) -> None:
    X, y = table
    model = SortNetClassifier(0.05, **QUICK).fit(X, y)
    assert (model.family_, model.depth_) in {("relu", 1), ("relu", 2), ("sortnet", 3)}
    assert model.network_.config.family == model.family_
    assert 0.5 < model.validation_score_ <= 1
    with pytest.warns(NothingHeldOutWarning, match="linear classifier was taken"):
        few = SortNetClassifier(0.05, **QUICK).fit([[0.0], [1], [0.1], [0.9]], [0, 1, 0, 1])
    assert few.validation_score_ is None and (few.family_, few.depth_) == ("relu", 1)


def test_a_linear_classifier_leaves_out_what_tells_nothing() -> None:
    """Every weight costs eps: two features of twelve tell the class."""
    draw = np.random.default_rng(0)
    X = draw.uniform(size=(300, 12))
    y = (X[:, 0] + X[:, 1] > 1).astype(int)
    options = QUICK | {"epochs": 100}
    linear = SortNetClassifier(0.05, family="relu", depth=1, **options).fit(X[:200], y[:200])
    assert linear.robust_score(X[200:], y[200:]) > 0.7  # 0.81 can be certified


@pytest.mark.parametrize("family, depth", [("relu", 1), ("relu", 2), ("sortnet", 2)])
def test_no_family_falls_below_a_constant(family: str, depth: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    X, y = draw.normal(size=(150, 3)), (draw.random(150) < 0.2).astype(int)
    model = SortNetClassifier(0.6, family=family, depth=depth, **QUICK).fit(X, y)
    assert model.robust_score(X, y) >= (y == 0).mean() - 0.03
    model.export(tmp_path / "constant.onnx")
    assert verify(tmp_path / "constant.onnx").proved


def test_outside_the_box_there_is_a_label_and_no_radius(table, fitted) -> None:
    X = table[0][:3].copy()
    X[1, 0] = 1e6
    with pytest.warns(OutsideBoxWarning, match="1 of 3 samples"):
        radius = fitted.certified_radius(X)
    assert radius[1] == 0 and fitted.predict(X).shape == (3,)
    with pytest.warns(OutsideBoxWarning):
        assert not fitted.certify(X, 1e-6)[1]


def test_pipelines_grids_clones_and_pickles(table, fitted) -> None:
    X, y = table
    grid = GridSearchCV(
        make_pipeline(FunctionTransformer(), SortNetClassifier(0.05, **(QUICK | {"epochs": 2}))),
        {"sortnetclassifier__depth": [1, 2]},
        cv=2,
    ).fit(X, y)
    assert grid.best_score_ > 0.4
    assert clone(fitted).get_params()["immutable"] == [2]
    copied = pickle.loads(pickle.dumps(fitted))
    assert (copied.certified_radius(X) == fitted.certified_radius(X)).all()


def test_the_same_seed_gives_the_same_network(table) -> None:
    X, y = table
    first, second = (SortNetClassifier(0.05, **(QUICK | {"epochs": 3})).fit(X, y) for _ in "ab")
    assert (first.decision_function(X) == second.decision_function(X)).all()


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"eps": 0}, "radius"),
        ({"eps": "x"}, "radius"),
        ({"eps": True}, "radius"),
        ({"depth": 0}, "depth"),
        ({"width": 2.5}, "width"),
        ({"keep": 1.5}, "keep"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"validation_fraction": 0.51}, "validation_fraction"),
        ({"family": "mlp"}, "family"),
        ({"unit": "iqr"}, "'range', 'std' or an array"),
        ({"unit": [1, 2]}, "6 numbers"),
        ({"unit": np.zeros(6)}, "unit is 0 for every feature"),
        ({"unit": -np.ones(6)}, "at least 0"),
        ({"unit": [1, 1, 1, 1, 1, 1e-50]}, "float32"),
        ({"immutable": [0, 0, 1]}, "twice"),
        ({"immutable": [9]}, "immutable"),
        ({"immutable": ["a"]}, "no column names"),
        ({"box": (0, 1)}, "outside the box"),
        ({"box": 3}, r"\(low, high\)"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_wrong_parameters_are_named(table, parameters, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SortNetClassifier(**{**QUICK, "epochs": 1, **parameters}).fit(*table)


def test_wrong_data_are_named(table) -> None:
    X, y = table
    model = SortNetClassifier(0.05, **(QUICK | {"epochs": 1}))
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.fit(bad, y)
    bad[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        model.fit(bad, y)
    with pytest.raises(ValueError, match="one class only"):
        model.fit(X, ["a"] * len(X))
    with pytest.raises(ValueError, match="every feature is constant"):
        model.fit(np.ones_like(X), y)
    with pytest.raises(InputError, match="too large for float32"):
        model.fit(X * 1e300, y)
    with pytest.raises(ValueError, match="6 features"):
        model.fit(X, y).predict(X[:, :5])


def test_weights_of_classes_and_samples(table) -> None:
    X, y = table
    options = QUICK | {"epochs": 5}
    with pytest.raises(ValueError, match="one class only"):
        SortNetClassifier(0.05, **options).fit(X, y, sample_weight=(y == "ok").astype(float))
    heavy = SortNetClassifier(0.3, class_weight={"ok": 100, "fraud": 1e-3}, **options).fit(X, y)
    assert (heavy.predict(X) == "ok").mean() > 0.9


@pytest.fixture(scope="module")
def line() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    X = draw.uniform(-2, 3, (200, 3))
    return X, 10 * np.maximum(X[:, 0], X[:, 1]) + 5


def test_no_value_of_a_ball_leaves_its_interval(line, tmp_path: Path) -> None:
    X, y = line
    model = SortNetRegressor(0.1, immutable=[2], **(QUICK | {"epochs": 60})).fit(X, y)
    assert model.score(X, y) > 0.8
    lower, upper = model.predict_interval(X, 0.05)
    value = model.predict(X)
    assert ((lower <= value) & (value <= upper)).all()
    assert (upper - lower).max() <= 2 * model.lipschitz_ * 0.05 * 1.01 + 1e-3
    for seed in range(20):
        point = moved(model, X, np.full(len(X), np.float32(0.05)), seed)
        there = model.predict(point)
        assert ((lower <= there) & (there <= upper)).all()
    path = tmp_path / "value.onnx"
    model.export(path, 0.05)
    bounds = CertifiedSession(path, threads=1).predict_interval(X.astype(np.float32))
    assert np.allclose(bounds.value, value, atol=1e-3)
    assert np.allclose(bounds.lower, lower, atol=1e-2)


def test_a_given_constant_is_the_steepness(line) -> None:
    X, y = line
    model = SortNetRegressor(lipschitz=0.5, **(QUICK | {"epochs": 3})).fit(X, y)
    span = model.predict(X)
    apart = np.abs(X[:, None] - X[None]) / model.unit_
    assert (np.abs(span[:, None] - span[None]) <= 0.5 * apart.max(axis=2) + 1e-5).all()
    with pytest.raises(ValueError, match="lipschitz"):
        SortNetRegressor(lipschitz=0, **QUICK).fit(X, y)


def test_three_classes_of_wine() -> None:
    X, y = load_wine(return_X_y=True)
    model = SortNetClassifier(0.05, **QUICK).fit(X, y)
    assert model.score(X, y) > 0.9 and model.predict_proba(X).shape == (178, 3)
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)


def test_rounding_float64_inputs_is_taken_off() -> None:
    """Features so large that float32 steps matter: both ends of a ball are rounded."""
    draw = np.random.default_rng(0)
    X = 1e6 + draw.uniform(-500, 500, (200, 1))
    y = (X[:, 0] > 1e6).astype(int)
    model = SortNetClassifier(0.05, unit=[100.0], **QUICK).fit(X, y)
    assert model.rounding_ > 0
    Q = np.sort(np.concatenate([X[:, 0], 1e6 + draw.uniform(-5, 5, 400)]))[:, None]
    Q = Q[(Q[:, 0] > model.box_low_[0]) & (Q[:, 0] < model.box_high_[0])]
    label, radius = model.predict(Q), model.certified_radius(Q)
    for i, j in zip(range(len(Q) - 1), range(1, len(Q)), strict=True):
        apart = abs(Q[i, 0] - Q[j, 0]) / 100.0
        assert label[i] == label[j] or max(radius[i], radius[j]) < apart
    with pytest.raises(ValueError, match="subtract a constant"):
        SortNetClassifier(0.05, **QUICK).fit(1.7e9 + X - 1e6, y)


def test_object_masks_and_wrong_labels(table, fitted) -> None:
    X, y = table
    mask = np.array([False, False, True, False, False, False], object)
    model = SortNetClassifier(0.05, immutable=mask, **(QUICK | {"epochs": 1})).fit(X, y)
    assert (model.unit_ == 0).tolist() == mask.tolist()
    with pytest.raises(ValueError, match="inconsistent"):
        fitted.robust_score(X, y[:1])


@pytest.mark.parametrize("scale", [1.0, 5000.0])
def test_the_steepness_of_numbers_that_are_mostly_equal(scale: float) -> None:
    """Nine pairs of ten have no slope: those that have one say how steep, in units of y."""
    X = np.linspace(0, 1, 200)[:, None]
    y = np.where(np.arange(200) % 40 == 0, scale, 0.0)
    quick = {"epochs": 3, "width": 8, "depth": 2, "random_state": 0}
    model = SortNetRegressor(0.1, **quick).fit(X, y)
    assert 1 * scale <= model.lipschitz_ <= 200 * scale
    assert SortNetRegressor(0.1, **quick).fit(X, np.full(200, scale)).lipschitz_ == 1


@pytest.mark.parametrize("name", ["epochs", "patience", "depth", "width", "batch_size"])
def test_truth_values_are_no_numbers(table, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        SortNetClassifier(0.05, **(QUICK | {name: True})).fit(*table)
