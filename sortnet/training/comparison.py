"""The families a preset is compared with, as a table. Knows numbers only, imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sortnet.base.names import did_you_mean
from sortnet.base.units import MAX_UNITS_OF_RADIUS, parse_eps

from .recipe import Preset, Recipe


@dataclass(frozen=True)
class Row:
    """One family of the comparison.

    Attributes:
        about: the family in words; empty keeps the preset's own.
        model: fields of the network that the family sets.
        affine: affine layers and activations in place of the preset's distance layers: of the
            preset's network only width and depth stay, and the recipe is that of affine nets.
        group: units that are sorted together; the width is cut to a multiple of it.
        interval: trained with interval cross entropy at the test radius.
    """

    about: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    affine: bool = True
    group: int = 1
    interval: bool = False


_ROWS = {
    "sortnet": Row(affine=False),
    "linf-dist": Row(
        "l-inf-distance net",
        {"family": "linf-dist", "keep": 1.0, "keep_pixels": 1.0},
        affine=False,
    ),
    "groupsort": Row("GroupSort(5) net", {"family": "groupsort", "group": 5}, group=5),
    "maxmin": Row("MaxMin", {"family": "maxmin"}, group=2),
    "standard-relu": Row(
        "standard Lipschitz net, relu activation", {"family": "standard", "activation": "relu"}
    ),
    "standard-pwl": Row(
        "standard Lipschitz net, piecewise-linear activation",
        {"family": "standard", "activation": "piecewise-linear"},
    ),
    "ibp-relu": Row("ReLU network trained with interval bounds", {"family": "relu"}, interval=True),
}

ROWS = tuple(_ROWS)
"""Rows of the comparison table that `sortnet reproduce` trains."""


def comparison_row(preset: Preset, row: str) -> Preset:
    """`preset` with another network family in place of its own, on the same data and radii.

    The Lipschitz baselines keep the loss with a smaller learning rate and half the training
    radius; the IBP row takes interval cross entropy at the test radius.

    Raises:
        ValueError: unknown row; lists the known ones.
    """
    if row not in _ROWS:
        meant = did_you_mean(row, ROWS) or f"; known: {', '.join(ROWS)}"
        raise ValueError(f"unknown row {row!r}{meant}")
    family = _ROWS[row]
    model, recipe = dict(preset.model), preset.recipe
    if row != "sortnet":
        recipe = dataclasses.replace(recipe, keep_ramp=(0, 0))
    if family.affine:
        width = max(preset.model["width"], family.group)
        # Where features have a unit each, the normalisation belongs to it.
        units = ("box", "mean", "std") if "box" in preset.model else ()
        kept = ("depth", "input_shape", "classes", *units)
        model = {key: value for key, value in model.items() if key in kept}
        model["width"] = width - width % family.group
        recipe = _affine_recipe(recipe, preset)
    if family.interval:
        recipe = dataclasses.replace(
            recipe,
            objective="ibp",
            lr=0.001,
            eps_ramp=0.5 * recipe.epochs,
            eps_train=preset.recipe.eps_test[0],
        )
    return dataclasses.replace(
        preset,
        name=f"{preset.name}:{row}",
        about=family.about or preset.about,
        model={**model, **family.model},
        recipe=recipe,
    )


def _affine_recipe(recipe: Recipe, preset: Preset) -> Recipe:
    """Numbers chosen on a part held out from digits' training split.

    The radius of a network with an MLP head stays: it is just above the first test radius, and half
    of it would promise less than is tested.
    """
    headed = preset.recipe.objective == "worst-case"
    eps_train = preset.recipe.eps_train
    return dataclasses.replace(
        recipe,
        # Affine rows are 1-Lipschitz as a whole: they have no head.
        objective="margin",
        eps_ramp=0,
        eps_train=eps_train if headed else str(parse_eps(eps_train, MAX_UNITS_OF_RADIUS) / 2),
        lr=0.0005,
        weight_decay=0.0,
        adam_eps=1e-8,
        # Without p's ramp the cross entropy weight would drop at once; a long ramp helps it.
        p_ramp=(0, 0.9 * recipe.epochs),
        prototypes=False,
        ema=0,
    )
