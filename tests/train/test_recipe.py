"""Recipes and presets: their documentation, settings, and names that are nearly right."""

import dataclasses
from pathlib import Path

import pytest
import tiny

from sortnet.base.names import did_you_mean
from sortnet.training import Recipe, comparison_row, get_preset, model_config, preset_from_dict
from sortnet.training.recipe import recipe_table

PAGE = Path(__file__).parents[2] / "docs" / "recipe.md"


def test_the_page_of_all_fields_is_current():
    """After a change: `sortnet presets --fields`, and put the table into docs/recipe.md."""
    assert recipe_table() in PAGE.read_text()


def test_every_field_says_what_it_is():
    for field in dataclasses.fields(Recipe):
        assert len(field.metadata["about"]) > 3 and f"`{field.name}`" in recipe_table()


@pytest.mark.parametrize(
    ("name", "meant"),
    [("fashion-mnist", "fashion-mnist-0.1"), ("MNIST_0.1", "mnist-0.1"), ("digit", "digits")],
)
def test_misspelt_presets_get_the_nearest(name, meant):
    with pytest.raises(ValueError, match=f"unknown preset '{name}'; did you mean '{meant}'?"):
        get_preset(name)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("recipe.pramp=[1, 2]", "recipe.pramp: no such field; did you mean 'p_ramp'?"),
        ("recipe.weight-decay=0", "did you mean 'weight_decay'?"),
        ("recipe.rate=1", "recipe.rate: no such field; there are: objective, eps_train"),
        ("lr=0.1", "did you mean 'recipe.lr'?"),
        ("recpie.lr=0.1", "did you mean 'recipe.lr'?"),
        ("recipe.objective=margn", "'margin', 'worst-case' or 'ibp'"),
        ("recipe.eps_ramp=3", "eps_ramp has no meaning for objective 'margin'"),
    ],
)
def test_misspelt_settings_get_the_nearest(setting, words):
    with pytest.raises(ValueError) as error:
        tiny.preset().override([setting])
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.widht=3", "did you mean 'width'?"),
        ("model.Keep=1", "did you mean 'keep'?"),
        ('model.stem={"chanels": 3, "kernel_size": 3, "stride": 1}', "did you mean 'channels'?"),
    ],
)
def test_misspelt_fields_of_the_network_get_the_nearest(setting, words):
    with pytest.raises(ValueError) as error:
        model_config(tiny.preset().override([setting]), tiny.dataset())
    assert words in str(error.value) and str(error.value).startswith("model")


def test_misspelt_rows_get_the_nearest():
    with pytest.raises(ValueError, match=r"unknown row 'max-min'; did you mean 'maxmin'\?"):
        comparison_row(tiny.preset(), "max-min")
    with pytest.raises(ValueError, match="unknown row 'x'; known: sortnet, linf-dist"):
        comparison_row(tiny.preset(), "x")


def test_nothing_near_is_nothing_meant():
    assert did_you_mean("zzz", ["width", "depth"]) == ""
    assert did_you_mean("Eps_Test", ["eps-test"]) == "; did you mean 'eps-test'?"


def test_a_preset_survives_json():
    preset = tiny.preset("sortnet-morphology")
    assert preset_from_dict(dataclasses.asdict(preset)) == preset
