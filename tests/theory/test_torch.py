"""Trained layers as exact networks, the search, and models under the mass lemma."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sortnet import nn as sn
from sortnet.certificate.operations import Affine as SpecAffine
from sortnet.cli.theory import theory_command
from sortnet.export import export_model
from sortnet.models import Abs, ModelConfig, build_model
from sortnet.theory.objects import strategies as draw
from sortnet.theory.objects.boolean import cyclic_pairs
from sortnet.theory.objects.convert import exact_network
from sortnet.theory.objects.networks import Affine, Network, Scale, Sort
from sortnet.theory.objects.results import Refuted
from sortnet.theory.report import model_check
from sortnet.theory.search import trained as search
from sortnet.theory.theorems import boolean_impossibility
from sortnet.theory.theorems.boolean_impossibility import best_radius, bound
from sortnet.theory.theorems.mass import masses
from sortnet.theory.theorems.order_statistics import best_error
from sortnet.training.presets import get_preset
from sortnet.training.runs import RunConfig, write_config, write_model

FAST = settings(max_examples=15, deadline=None)


def layer_chain(kind: str, d: int, width: int) -> nn.Sequential:
    wide = 2 * width
    return {
        "sort": lambda: nn.Sequential(
            sn.Normalize(0.25, 0.5),
            sn.SortLinear(d, wide, keep=0.75, top_k=3),
            sn.MeanShift(wide),
            sn.SortLinear(wide, 2, keep=0.75, bias=True),
            sn.Negate(),
        ),
        "distance": lambda: nn.Sequential(sn.LInfDistLinear(d, wide), sn.LInfDistLinear(wide, 2)),
        "order": lambda: nn.Sequential(
            sn.OrderStatisticLinear(d, wide, min(d, 2), bias=True),
            sn.OrderStatisticLinear(wide, 2),
        ),
        "maxmin": lambda: nn.Sequential(
            nn.Flatten(), sn.LipschitzLinear(d, wide), sn.MaxMin(), sn.LipschitzLinear(wide, 2)
        ),
        "standard": lambda: nn.Sequential(
            sn.LipschitzLinear(d, wide),
            sn.PiecewiseLinear(wide),
            sn.LipschitzLinear(wide, wide, bias=False),
            nn.ReLU(),
            nn.Identity(),
            sn.LipschitzLinear(wide, wide),
            Abs(),
            nn.Linear(wide, 2),
        ),
    }[kind]()


@FAST
@given(
    st.sampled_from(["sort", "distance", "order", "maxmin", "standard"]),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_exact_networks_are_what_the_layers_compute(kind, d, width, seed):
    torch.manual_seed(seed)
    model = layer_chain(kind, d, width).double().eval()
    for module in model:
        if isinstance(module, sn.MeanShift):
            module.running_mean.normal_()
        if isinstance(module, sn.PiecewiseLinear):
            module.slope.data.uniform_(-1.5, 1.5)
    exact = exact_network(model)
    x = torch.rand(3, d, dtype=torch.float64) * 4 - 2
    with torch.no_grad():
        expected = model(x)
    for point, row in zip(x.tolist(), expected.tolist(), strict=True):
        assert [float(v) for v in exact(point)] == pytest.approx(row, abs=1e-12)


def test_projected_layers_have_norm_one_and_plain_ones_their_true_norm():
    torch.manual_seed(0)
    strict = exact_network(nn.Sequential(sn.LipschitzLinear(7, 5), sn.OrderStatisticLinear(5, 3)))
    assert [layer.norm for layer in strict.layers] == [1, 1]
    linear = nn.Linear(2, 1)
    linear.weight.data = torch.tensor([[1.5, -0.25]])
    loose = exact_network(linear)
    assert isinstance(loose.layers[0], Affine) and loose.norm == Fraction(7, 4)
    sort = exact_network(sn.SortLinear(20, 3)).layers[0]
    assert isinstance(sort, Sort) and sum(sort.weights[0]) <= 1


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh()), "Tanh layer has no exact form"),
        (nn.Sequential(nn.ReLU()), "at least one layer with weights"),
        (sn.SortConv2d(1, 2, 2), "SortConv2d layer has no exact form"),
    ],
)
def test_layers_without_an_exact_form_are_refused(module, message):
    with pytest.raises(ValueError, match=message):
        exact_network(module)


def test_a_weight_that_is_not_finite_is_refused():
    linear = nn.Linear(1, 1)
    linear.weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="finite"):
        exact_network(linear)


# --- search -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [
        search.Shape("standard", 2, 4, "piecewise linear"),
        search.Shape("standard", 2, 4, "relu"),
        search.Shape("MaxMin", 2, 0),
        search.Shape("l-inf distance", 1, 0),
        search.Shape("SortNet", 2, 4),
    ],
    ids=lambda shape: f"{shape.family}-{shape.activation}",
)
def test_search_finds_separating_networks_within_their_bounds(shape):
    d = 3
    found = search.search_radius(shape, d, 1, steps=60)
    limit = bound(d, shape.mass) if shape.mass else Fraction(1, 2)
    # A distance network may end in a saddle; the others always separate these points.
    assert (0 if shape.family == "l-inf distance" else 0.05) <= found.value <= limit
    again = search.search_radius(shape, d, 1, steps=60)
    assert again.value == found.value
    measured = max(masses(found.network, cyclic_pairs(d, 1))[-1])
    assert measured <= found.network.mass_bounds(d)[-1]
    error = search.search_error(shape, d, 2, steps=20)
    assert error.value >= (Fraction(1, 2) - shape.mass / (2 * d) if shape.mass else 0)


def test_the_search_leaves_torch_as_it_was():
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    expected = torch.rand(1)
    torch.manual_seed(5)
    search.search_radius(search.Shape("standard", 1, 0), 2, 1, steps=2)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    "arguments",
    [("other", 1, 0), ("standard", 0, 4), ("MaxMin", 2, 3), ("standard", 2, 4, "tanh")],
)
def test_bad_shapes_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        search.Shape(*arguments)


@FAST
@given(
    st.integers(1, 5).flatmap(
        lambda d: st.tuples(draw.networks(d=d, outputs=2), st.just(d), st.integers(1, d))
    )
)
def test_the_jump_d_mirrors_the_jump_1(case):
    """Why the search leaves k = d out: x -> 1 - x maps one set of points onto the other."""
    network, d, k = case
    mirrored = Network((Scale(d, Fraction(-1), Fraction(1)), *network.layers))
    mirror = best_radius(mirrored, cyclic_pairs(d, d + 1 - k))
    assert mirror == best_radius(network, cyclic_pairs(d, k))
    assert d not in search._ranks(d, True) or d <= 2
    assert best_error(Network((*mirrored.layers, Scale(2, Fraction(-1)))), d + 1 - k) == best_error(
        network, k
    )


def test_percentages_are_rounded_away_from_the_bound(monkeypatch):
    """A network that comes to 99.999 % of the bound is not shown at 100 %."""
    shape, near = search.Shape("standard", 1, 0), Fraction(99_999, 100_000)
    network = boolean_impossibility.threshold_example(4, 1)
    for name, ratio in (("radii", near), ("errors", 1 / near)):
        limit = bound(4) if name == "radii" else Fraction(1, 2) - Fraction(1, 8)
        found = search.Found(shape, 4, 1, network, ratio * limit)
        monkeypatch.setattr(search, name, lambda family, thorough, found=found: (found,))
    assert "up to 99.99% of" in search.within_radius_bound("standard", False).range
    assert "down to 100.01% of" in search.within_error_bound("standard", False).range


def test_a_crossing_would_be_reported(monkeypatch):
    lucky = search.search_radius(search.Shape("SortNet", 2, 4), 4, 1, steps=150)
    fake = search.Found(search.Shape("standard", 1, 0), 4, 1, lucky.network, lucky.value)
    monkeypatch.setattr(search, "radii", lambda family, thorough: (fake,))
    with pytest.raises(Refuted, match="certified radius"):
        search.within_radius_bound("standard", False)


# --- models under the mass lemma ----------------------------------------------------------------


def config(family: str, **options) -> ModelConfig:
    return ModelConfig(
        family=family, input_shape=(1, 3, 3), classes=3, depth=2, width=8, std=0.5, **options
    )


FAMILIES = {
    "sortnet": config("sortnet"),
    "mlp": config("sortnet", hidden=4),
    "linf-dist": config("linf-dist", keep=1.0),
    "maxmin": config("maxmin"),
    "standard": config("standard", activation="abs"),
    "learned": config("standard", activation="piecewise-linear"),
}


@pytest.fixture
def run_folder(tmp_path):
    def make(name: str):
        torch.manual_seed(0)
        model = build_model(FAMILIES[name]).eval()
        folder = tmp_path / name
        folder.mkdir()
        write_config(folder, RunConfig(preset=get_preset("digits"), model=FAMILIES[name]))
        write_model(folder, model)
        return folder, model

    return make


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("base", ["cyclic", "random"])
def test_models_obey_the_mass_lemma(run_folder, name, base):
    folder, _ = run_folder(name)
    found = model_check.check_model(folder, k=2, base=base)
    assert found.within
    if name in ("standard", "learned"):
        assert found.family == "standard Lipschitz"
        assert all(row.measured <= 1.001 * row.if_standard for row in found.layers)
    if name != "mlp":
        exact = model_check.check_model(folder, k=2, base=base, exact=True)
        assert exact.within and exact.arithmetic == "exact"
        assert [row.measured for row in exact.layers] == pytest.approx(
            [row.measured for row in found.layers], rel=1e-4
        )


def test_a_distance_model_does_what_a_standard_one_cannot(run_folder):
    folder, _ = run_folder("linf-dist")
    rows = model_check.check_model(folder).layers
    assert any(row.measured > 1.5 * row.if_standard for row in rows)


def test_an_onnx_file_and_its_run_agree(run_folder, tmp_path):
    folder, model = run_folder("sortnet")
    path = tmp_path / "model.onnx"
    export_model(model, path)
    assert model_check.check_model(path) == model_check.check_model(folder)


def test_weights_that_break_the_constraint_are_seen(run_folder, monkeypatch):
    folder, _ = run_folder("standard")
    monkeypatch.setattr(SpecAffine, "moves", lambda op, moves: np.full(len(op.W), 0.01))
    assert not model_check.check_model(folder).within
    result = CliRunner().invoke(theory_command, ["check", str(folder)])
    assert result.exit_code == 1
    assert "exceeds its bound" in result.output


def test_learned_activations_are_measured_from_a_run_and_take_their_norm(run_folder):
    folder, model = run_folder("learned")
    found = model_check.check_model(folder, exact=True)
    assert len(found.layers) == len(model.layers)
    assert "PiecewiseLinear" in {row.layer.split(": ")[1] for row in found.layers}
    network = exact_network(model)
    largest = [max(layer) for layer in masses(network, cyclic_pairs(9, 1))]
    reshapes = len(found.layers) - len(largest)
    assert [row.measured for row in found.layers][-len(largest) :] == largest and reshapes <= 1
    assert [row.bound for row in found.layers] == [row.if_standard for row in found.layers]
    assert found.layers[-1].bound <= network.norm
    floats = model_check.check_model(folder)
    for field in ("measured", "bound", "if_standard"):
        assert [getattr(row, field) for row in floats.layers] == pytest.approx(
            [float(getattr(row, field)) for row in found.layers], rel=1e-5
        )


def test_a_layer_without_a_known_bound_is_named(run_folder, monkeypatch):
    folder, model = run_folder("learned")
    model.layers.append(nn.GELU())
    monkeypatch.setattr("sortnet.training.runs.load_run", lambda path: (model, None))
    with pytest.raises(ValueError, match="no mass bound is known: GELU at layers"):
        model_check.check_model(folder)
    with pytest.raises(ValueError, match=r"GELU at layers\.\d+ is not a layer that is known"):
        model_check.check_model(folder, exact=True)


def test_a_network_that_attains_its_bound_exactly_passes(run_folder):
    """Over the cyclic points a row of one sign has all its absolute sum as mass: its bound. A sum
    of floats loses the small entries, and would be smaller than the mass."""
    folder, model = run_folder("standard")
    first = next(module for module in model.layers if isinstance(module, sn.LipschitzLinear))
    with torch.no_grad():
        first.weight[:] = torch.tensor([0.5, *[2.0**-54] * 8])
        assert torch.equal(first.projected_weight(), first.weight)
    write_model(folder, model)
    found = model_check.check_model(folder, exact=True)
    row = next(row for row in found.layers if row.layer.endswith("Affine"))
    assert row.measured == row.bound == 1 + Fraction(1, 2**50)  # std 1/2 doubles it
    assert found.within
    assert json.loads(json.dumps(found.document()))["arithmetic"] == "exact"


def test_exact_masses_are_not_rounded_before_they_are_compared():
    """A unit 2^-80 above its bound is above it, though both are the same float."""
    third, more = Fraction(1, 3), Fraction(1, 3) + Fraction(1, 2**80)
    assert float(third) == float(more)
    for measured, within in ((third, True), (more, False)):
        rows = (model_check.LayerMass("0: Affine", 1, measured, third, third),)
        assert model_check.ModelMass("standard", "", "exact", rows).within == within
    above = (model_check.LayerMass("0: Affine", 1, 1.0009, 1.0, 1.0),)
    assert model_check.ModelMass("standard", "", "float32", above).within


def test_check_command(run_folder, tmp_path):
    folder, _ = run_folder("maxmin")
    target = tmp_path / "mass.json"
    result = CliRunner().invoke(theory_command, ["check", str(folder), "--json", str(target)])
    assert result.exit_code == 0, result.output
    assert "GroupSort" in result.output
    document = json.loads(target.read_text())
    assert document["pairs"] == "9 pairs (cyclic, k = 1)"
    assert {"layer", "units", "measured", "bound", "if_standard"} == set(document["layers"][0])


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing"],
        ["."],
        ["damaged.onnx"],
        ["run", "--k", "10"],
        ["mlp", "--exact"],
    ],
)
def test_check_refuses_in_one_line(arguments, run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.onnx").write_bytes(np.random.default_rng(0).bytes(200))
    if arguments[0] in ("run", "mlp"):
        folder, _ = run_folder("mlp" if arguments[0] == "mlp" else "maxmin")
        arguments = [str(folder), *arguments[1:]]
    result = CliRunner().invoke(theory_command, ["check", *arguments])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(result.output.strip().splitlines()) == 1
