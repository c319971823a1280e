"""What a training is told: recipes, and presets that join one to a data set and a network."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from sortnet.base.units import eps_to_float, parse_eps

_STRICT = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """How a network is trained. Epochs may be fractions; radii are in pixels, e.g. "8/255".

    Attributes:
        objective: "margin" (clipped hinge on the logit gap; networks 1-Lipschitz as a whole),
            "worst-case" (hinge on interval bounds; networks with an MLP head) or "ibp" (cross
            entropy on interval bounds; ordinary networks).
        eps_train: radius trained for. eps_test: radii reported.
        epochs: length of training.
        p_ramp: epochs between which p grows from `p_first` to `p_last`, then p = inf.
        keep_ramp: epochs between which the probability of keeping an input falls from 1 to the
            network's own.
        p_cheap: round p down to 2^k or 3 * 2^k, for which the kernels need no logarithm.
        ce_weight: weight of the cross entropy before and after the ramp (exponential between).
        eps_ramp: epochs over which eps grows smoothly from 0 ("worst-case" and "ibp").
        crop, crop_mode, flip: random crop padding in pixels ("edge" or "zero"), random mirroring.
        ema: decay of the moving average of the weights that is evaluated; 0 evaluates the last.
    """

    objective: Literal["margin", "worst-case", "ibp"] = "margin"
    eps_train: str = "0.1"
    eps_test: tuple[str, ...] = ("0.1",)
    epochs: float = 100
    batch_size: int = 512
    lr: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    adam_eps: float = 1e-10
    weight_decay: float = 0.02
    warmup: float = 0
    p_first: float = 8
    p_last: float = 1000
    p_ramp: tuple[float, float] = (0, 0)
    p_cheap: bool = False
    keep_ramp: tuple[float, float] = (0, 0)
    ce_weight: tuple[float, float] = (0.1, 0.001)
    eps_ramp: float = 0
    crop: int = 0
    crop_mode: Literal["edge", "zero"] = "edge"
    flip: bool = False
    ema: float = 0

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
                    f"need 0 <= start <= end <= epochs = {self.epochs:g}, got {name} {ramp}"
                )
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be in [0, 1), got {self.ema}")
        if min(self.ce_weight) <= 0:
            raise ValueError(f"ce_weight must be > 0, got {self.ce_weight}")
        parse_eps(self.eps_train)
        if not self.eps_test:
            raise ValueError("eps_test must name at least one radius")
        for eps in self.eps_test:
            parse_eps(eps)

    @property
    def eps_train_float(self) -> float:
        """`eps_train` as the smallest float32 not below it."""
        return eps_to_float(self.eps_train)

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
                    f"got {setting!r}"
                )
            if part == "data":
                document["data"] = value
            else:
                document[part][name] = value
        return preset_from_dict(document)

    def scaled(self, epochs: float) -> Preset:
        """The same preset with its recipe squeezed or stretched to `epochs`."""
        return dataclasses.replace(self, recipe=self.recipe.scaled(epochs))


def preset_from_dict(document: object) -> Preset:
    """Check and convert what `dataclasses.asdict(preset)` made.

    Raises:
        ValueError: in one line, which field is wrong.
    """
    try:
        return TypeAdapter(Preset).validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"invalid preset: {place}: {first['msg']}".replace(": :", ":")) from None
