"""Network and recipe for data that no preset was made for: what `sortnet train own` runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from sortnet.base.names import did_you_mean
from sortnet.base.units import MAX_UNITS_OF_RADIUS, parse_eps
from sortnet.data.sets import DataSet

from .recipe import Preset, Recipe

NAME = "own"

UNITS = ("range", "std")
"""Units that follow from the training samples."""

_STEPS = 2500


def own_preset(
    data: DataSet,
    spec: str,
    eps: Sequence[str] = (),
    unit: str | float | None = None,
    immutable: Sequence[str] = (),
) -> Preset:
    """A preset for this data, by kind and size of it.

    Images in [0, 1] keep radii in pixels. Everything else gets a unit for each feature of a table,
    and for each channel of signals.

    Args:
        data: with classes.
        spec: what `load` was given.
        eps: radii to report; the largest one is trained for. By default 0.05 and 0.1 of the unit,
            0.1 for grey images, 2/255 and 8/255 for colour.
        unit: "range" (the default) or "std" of the training samples, or a number: the ball of
            radius r is |x'_i - x_i| <= r unit_i.
        immutable: features that nobody can change (unit 0): names of columns, or numbers.

    Raises:
        ValueError: a regression; a unit or immutable features where radii are in pixels; an unknown
            feature; the unit is 0 for every feature; a bad eps.
    """
    if data.regression:
        raise ValueError(regression_text(data.name))
    if len(data.input_shape) == 3 and data.box is None:
        if unit is not None or immutable:
            raise ValueError(
                f"{data.name} holds images in [0, 1], whose radii are in pixels: a unit and "
                "immutable features are for tables and signals"
            )
        model, recipe, about = _for_images(data, eps)
    else:
        model, recipe, about = _for_features(data, eps)
        model |= feature_fields(data, "range" if unit is None else unit, immutable)
    return Preset(NAME, f"chosen for {about}", spec, recipe, model)


def regression_text(name: str) -> str:
    """What is said where a network of classes was asked to predict numbers."""
    return (
        f"{name} has numbers to be predicted, not classes; the commands train classifiers: use "
        "sortnet.SortNetRegressor in Python (docs/start/table.md), or name the classes by text"
    )


def choices(preset: Preset, data: DataSet) -> list[str]:
    """Sentences that say what `own_preset` chose."""
    model, recipe = preset.model, preset.recipe
    shape = " x ".join(map(str, data.input_shape))
    said = [
        f"{len(data.train)} training samples of {shape} in {data.classes} classes",
        f"network: SortNet, {model['depth']} layers of {model['width']}"
        + (f", windows of {model['morphology']}" if model.get("morphology") else ""),
        f"recipe: {recipe.epochs:g} epochs, batches of {recipe.batch_size}, trained for eps "
        f"{recipe.eps_train}, reported at {', '.join(recipe.eps_test)}",
    ]
    if "box" in model:
        unit = np.asarray(model["box"]["unit"])
        names = data.feature_names or tuple(map(str, range(len(unit))))
        fixed = [names[place] for place in np.flatnonzero(unit == 0)]
        shown = ", ".join(fixed[:10]) + (", ..." if len(fixed) > 10 else "")
        said.append(
            "eps is in units of each feature, within its box"
            + (f"; unit 0, as if nobody could change them: {shown}" if fixed else "")
        )
    else:
        said.append("eps is in pixels in [0, 1]")
    return said


def feature_fields(
    data: DataSet, unit: str | float = "range", immutable: Sequence[str] = ()
) -> dict[str, Any]:
    """mean, std and box of a `ModelConfig`, one number for each feature.

    In normalised coordinates the ball of radius r has radius r, for the normalisation divides by
    the unit. Immutable features, which no ball moves along, are divided by their own deviation.

    Args:
        data, unit, immutable: as for `own_preset`.

    Raises:
        ValueError: as `own_preset`.
    """
    x = data.train.floats().astype(np.float64)
    axes = (0, *range(2, x.ndim))  # a table: over samples; signals: over time too
    if unit == "range":
        units = x.max(axis=axes, keepdims=True) - x.min(axis=axes, keepdims=True)
    elif unit == "std":
        units = x.std(axis=axes, keepdims=True)
    else:
        number = float(unit)
        if not 2.0**-60 <= number <= 2.0**60:
            raise ValueError(f"a unit is {', '.join(UNITS)} or a number above 0, got {unit!r}")
        units = np.full(x.shape[:1], number).reshape(-1, *[1] * (x.ndim - 1))[:1]
    single = np.broadcast_to(units[0], data.input_shape).astype(np.float32).ravel()
    single[_fixed(data, immutable)] = 0
    if not (single > 0).any():
        raise ValueError(
            f"{data.name}: the unit is 0 for every feature: nobody can change anything, and there "
            "is nothing to certify"
        )
    own = np.broadcast_to(x.std(axis=axes, keepdims=True)[0], data.input_shape).ravel()
    std = np.where(single > 0, single, np.where(own > 0, own, 1)).clip(2.0**-60, 2.0**60)
    mean = np.broadcast_to(x.mean(axis=axes, keepdims=True)[0], data.input_shape)
    ends = (np.zeros(1), np.ones(1)) if data.box is None else (data.box.low, data.box.high)
    low, high = (np.broadcast_to(end, data.input_shape) for end in ends)
    return {
        "mean": _numbers(mean),
        "std": _numbers(std),
        "box": {"low": _numbers(low), "high": _numbers(high), "unit": _numbers(single)},
    }


def _numbers(values: npt.NDArray[Any]) -> list[float]:
    numbers: list[float] = values.astype(np.float32).astype(np.float64).ravel().tolist()
    return numbers


def _fixed(data: DataSet, immutable: Sequence[str]) -> list[int]:
    """Places of the named features in a flattened sample."""
    size = math.prod(data.input_shape)
    names = data.feature_names or tuple(map(str, range(size)))
    for name in immutable:
        if name not in names:
            known = did_you_mean(name, names) or f"; there are: {', '.join(names[:20])}"
            raise ValueError(f"{data.name}: no feature {name!r} to be immutable{known}")
    return [names.index(name) for name in immutable]


def _for_images(data: DataSet, eps: Sequence[str]) -> tuple[dict[str, Any], Recipe, str]:
    channels, height, width = data.input_shape
    grey = channels == 1
    tests = tuple(eps) or (("0.1",) if grey else ("2/255", "8/255"))
    radius = max(parse_eps(text) for text in tests)
    small = height * width < 256
    batch, epochs = _length(len(data.train), 128 if len(data.train) < 20_000 else 256)
    model: dict[str, Any] = {"family": "sortnet", "depth": 4, "keep": 0.9}
    model["width"] = 256 if small else 512
    if grey and min(height, width) >= 16:
        # As for Fashion-MNIST; the mean of 0 makes the padding of the windows black.
        model |= {"keep_pixels": 0.9, "morphology": [3, 5], "mean": 0.0}
    recipe = Recipe(
        # Half more than is reported: the margin that training loses to the test split.
        eps_train=str(min(Fraction(1), radius * Fraction(3, 2))),
        eps_test=tests,
        epochs=epochs,
        batch_size=batch,
        p_ramp=(0.08 * epochs, 0.87 * epochs),
        ce_weight=(0.1, 0.01) if small else (0.1, 0.001),
        p_cheap=True,
    )
    return model, recipe, f"{'grey' if grey else 'colour'} images {height} x {width}"


def _for_features(data: DataSet, eps: Sequence[str]) -> tuple[dict[str, Any], Recipe, str]:
    tests = tuple(eps) or ("0.05", "0.1")
    radius = max(parse_eps(text, MAX_UNITS_OF_RADIUS) for text in tests)
    large = len(data.train) >= 5000 or math.prod(data.input_shape) > 100
    batch, epochs = _length(len(data.train), 256 if len(data.train) >= 20_000 else 64)
    model = {"family": "sortnet", "depth": 3, "width": 256 if large else 64, "keep": 0.9}
    recipe = Recipe(
        eps_train=str(radius),
        eps_test=tests,
        epochs=epochs,
        batch_size=batch,
        p_last=256,
        p_ramp=(0.1 * epochs, 0.6 * epochs),
        ce_weight=(0.2, 0.02),
        p_cheap=True,
    )
    kind = {1: "a table of {} columns", 2: "signals of {} channels"}.get(len(data.input_shape))
    return model, recipe, (kind or "images of {} channels in a box").format(data.input_shape[0])


def _length(samples: int, batch: int) -> tuple[int, int]:
    """Batch size, and epochs for about as many steps as small data need; at least 10."""
    batch = min(batch, samples)
    return batch, max(10, math.ceil(_STEPS / (samples // batch)))
