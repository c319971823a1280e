"""What a training is told: recipes, and presets that join one to a data set and a network."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import field
from typing import Any, Literal, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from sortnet.base.names import did_you_mean
from sortnet.base.units import MAX_UNITS_OF_RADIUS, eps_to_float, parse_eps

_STRICT = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


def _field(default: Any, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """How a network is trained. Epochs may be fractions; radii are in pixels, e.g. "8/255".

    docs/recipe.md lists the fields (`sortnet presets --fields` prints it).
    """

    objective: Literal["margin", "worst-case", "ibp"] = _field(
        "margin",
        "`margin`: clipped hinge on the logit gap (networks 1-Lipschitz as a whole); `worst-case`: "
        "hinge on interval bounds (networks with an MLP head); `ibp`: cross entropy on interval "
        "bounds (ordinary networks)",
    )
    eps_train: str = _field("0.1", "radius trained for")
    eps_test: tuple[str, ...] = _field(("0.1",), "radii reported")
    epochs: float = _field(100, "length of training")
    batch_size: int = _field(512, "images of a step, over all processes")
    lr: float = _field(0.02, "learning rate, AdamW's; a half cosine takes it to 0")
    betas: tuple[float, float] = _field((0.9, 0.99), "decay of AdamW's two moments")
    adam_eps: float = _field(1e-10, "added to the root of AdamW's second moment")
    weight_decay: float = _field(0.02, "AdamW's")
    warmup: float = _field(0, "epochs over which the learning rate grows from 0")
    p_first: float = _field(8, "exponent of the distances at the start")
    p_last: float = _field(1000, "the last finite exponent")
    p_ramp: tuple[float, float] = _field(
        (0, 0), "epochs between which p grows from `p_first` to `p_last`; then p is infinite"
    )
    p_cheap: bool = _field(
        False, "round p down to 2^k or 3 * 2^k, for which the kernels need no logarithm"
    )
    keep_ramp: tuple[float, float] = _field(
        (0, 0),
        "epochs between which the probability of keeping an input falls from 1 to the network's",
    )
    prototypes: bool = _field(
        False,
        "start each neuron of the first distance layer at a training sample, its random weight "
        "(`model.first_std`) added, instead of at that weight alone",
    )
    ce_weight: tuple[float, float] = _field(
        (0.1, 0.001),
        "weight of the cross entropy before and after the ramp of p (exponential between)",
    )
    eps_ramp: float = _field(
        0, "epochs over which the training radius grows smoothly from 0 (`worst-case`, `ibp`)"
    )
    crop: int = _field(0, "pixels added around an image before a window of its size is cut")
    crop_mode: Literal["edge", "zero"] = _field("edge", "what they are: the border repeated, or 0")
    flip: bool = _field(False, "mirror half of the images left to right")
    ema: float = _field(
        0, "decay of the moving average of the weights that is evaluated; 0 evaluates the last"
    )

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr", "adam_eps"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be finite and > 0, got {getattr(self, name)}")
        for name in ("weight_decay", "warmup", "eps_ramp", "crop"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be finite and >= 0, got {getattr(self, name)}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be in [0, 1), got {self.betas}")
        if not 1 <= self.p_first <= self.p_last < float("inf"):
            raise ValueError(
                f"need 1 <= p_first <= p_last < inf, got {self.p_first}, {self.p_last}"
            )
        for name in ("p_ramp", "keep_ramp"):
            ramp = getattr(self, name)
            if not 0 <= ramp[0] <= ramp[1] <= self.epochs:
                raise ValueError(
                    f"need 0 <= start <= end <= epochs = {self.epochs:g}, got {name} {ramp}; "
                    "`--epochs N` stretches them all"
                )
        if self.objective == "margin" and self.eps_ramp:
            raise ValueError(
                f"eps_ramp has no meaning for objective 'margin', whose hinge needs a radius > 0; "
                f"got {self.eps_ramp:g}"
            )
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be in [0, 1), got {self.ema}")
        if min(self.ce_weight) <= 0:
            raise ValueError(f"ce_weight must be > 0, got {self.ce_weight}")
        parse_eps(self.eps_train, MAX_UNITS_OF_RADIUS)  # of pixels: see `model_config`
        if not self.eps_test:
            raise ValueError("eps_test must name at least one radius")
        for eps in self.eps_test:
            parse_eps(eps, MAX_UNITS_OF_RADIUS)

    @property
    def eps_train_float(self) -> float:
        """`eps_train` as the smallest float32 not below it."""
        return eps_to_float(self.eps_train, MAX_UNITS_OF_RADIUS)

    def scaled(self, epochs: float) -> Recipe:
        """The same recipe stretched or squeezed to another number of epochs."""
        factor = epochs / self.epochs
        return dataclasses.replace(
            self,
            epochs=epochs,
            warmup=self.warmup * factor,
            p_ramp=_scaled(self.p_ramp, factor, epochs),
            keep_ramp=_scaled(self.keep_ramp, factor, epochs),
            eps_ramp=self.eps_ramp * factor,
        )


def _scaled(ramp: tuple[float, float], factor: float, epochs: float) -> tuple[float, float]:
    """Both ends times `factor`, at most `epochs`, past which rounding might carry them."""
    return min(ramp[0] * factor, epochs), min(ramp[1] * factor, epochs)


@dataclass(frozen=True, config=_STRICT)
class Preset:
    """A data set, a network and a recipe under one name.

    Attributes:
        model: fields of `sortnet.models.ModelConfig`. Those that are missing among input_shape,
            classes, mean and std come from the data.
    """

    name: str
    about: str
    data: str
    recipe: Recipe
    model: dict[str, Any] = field(default_factory=dict)

    def override(self, settings: Sequence[str]) -> Preset:
        """Apply settings such as "recipe.lr=0.01", "model.width=512", "data=folder:PATH".

        Values are JSON where that parses, else text.

        Raises:
            ValueError: unknown field or a value of the wrong kind.
        """
        document: dict[str, Any] = dataclasses.asdict(self)
        for setting in settings:
            key, equals, text = setting.partition("=")
            part, dot, name = key.partition(".")
            try:
                value = json.loads(text)
            except ValueError:
                value = text
            if (
                not equals
                or part not in ("recipe", "model", "data")
                or bool(dot) == (part == "data")
            ):
                raise ValueError(
                    f"a setting looks like recipe.lr=0.01, model.width=512 or data=mnist, "
                    f"got {setting!r}{_meant(key)}"
                )
            if part == "data":
                document["data"] = value
            elif part == "model" and name not in _model_fields():
                meant = did_you_mean(name, _model_fields()) or (
                    f"; there are: {', '.join(_model_fields())}"
                )
                raise ValueError(f"{key}: no such field of a model{meant}")
            else:
                document[part][name] = value
        return preset_from_dict(document)

    def scaled(self, epochs: float) -> Preset:
        """The same preset with its recipe squeezed or stretched to `epochs`."""
        return dataclasses.replace(self, recipe=self.recipe.scaled(epochs))


def _model_fields() -> list[str]:
    from sortnet.models.config import ModelConfig  # its package imports torch, a recipe does not

    return [f.name for f in dataclasses.fields(ModelConfig)]


def _meant(key: str) -> str:
    """What a setting that is none may have meant."""
    fields = [f"recipe.{f.name}" for f in dataclasses.fields(Recipe)]
    fields += [f"model.{name}" for name in _model_fields()]
    for part in ("recipe", "model"):
        if f"{part}.{key}" in fields:
            return f"; did you mean '{part}.{key}'?"
    return did_you_mean(key, ["recipe", "model", "data", *fields])


def preset_from_dict(document: object) -> Preset:
    """Check and convert what `dataclasses.asdict(preset)` made.

    Raises:
        ValueError: in one line, which field is wrong.
    """
    try:
        return TypeAdapter(Preset).validate_python(document)
    except ValidationError as error:
        raise ValueError(f"invalid preset: {first_problem(error, Preset)}") from None


def first_problem(error: ValidationError, kind: type) -> str:
    """The first thing that pydantic found wrong with a `kind`, in one line.

    A field that does not exist gets the nearest one that does.
    """
    found = error.errors(include_url=False, include_context=False)
    # A misspelt field goes first: that another is missing follows from it.
    first = min(found, key=lambda problem: problem["type"] != "unexpected_keyword_argument")
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] != "unexpected_keyword_argument":
        return f"{place}: {first['msg']}" if place else first["msg"]
    *path, name = first["loc"]
    for part in path:
        hint = get_type_hints(kind).get(str(part))
        for inner in (hint, *get_args(hint)):
            if isinstance(inner, type) and dataclasses.is_dataclass(inner):
                kind = inner
    known = list(get_type_hints(kind))
    meant = did_you_mean(str(name), known) or f"; there are: {', '.join(known)}"
    return f"{place}: no such field{meant}"


def recipe_table() -> str:
    """Every field of `Recipe` as a Markdown table: docs/recipe.md is made from it."""
    lines = ["| field | default | meaning |", "|---|---|---|"]
    for entry in dataclasses.fields(Recipe):
        default = json.dumps(entry.default)
        lines.append(f"| `{entry.name}` | `{default}` | {entry.metadata['about']} |")
    return "\n".join(lines) + "\n"
