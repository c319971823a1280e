"""Named recipes: what `sortnet train PRESET` runs. Knows numbers only, imports no torch."""

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


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: unknown name; lists the known ones.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


ROWS = (
    "sortnet",
    "linf-dist",
    "groupsort",
    "maxmin",
    "standard-relu",
    "standard-pwl",
    "ibp-relu",
)
"""Rows of the comparison table that `sortnet reproduce` trains."""


def comparison_row(preset: Preset, row: str) -> Preset:
    """`preset` with another network family in place of its own, on the same data and radii.

    The Lipschitz baselines keep the loss with a smaller learning rate and half the training
    radius; the IBP row takes interval cross entropy at the test radius.

    Raises:
        ValueError: unknown row; lists the known ones.
    """
    if row not in ROWS:
        raise ValueError(f"unknown row {row!r}; known: {', '.join(ROWS)}")
    name = f"{preset.name}:{row}"
    recipe = dataclasses.replace(preset.recipe, keep_ramp=(0, 0))
    width, depth = preset.model["width"], preset.model["depth"]
    if row == "sortnet":
        return dataclasses.replace(preset, name=name)
    if row == "linf-dist":
        model = {**preset.model, "family": "linf-dist", "keep": 1.0, "keep_pixels": 1.0}
        return dataclasses.replace(
            preset, name=name, about="l-inf-distance net", model=model, recipe=recipe
        )
    affine = {"width": width, "depth": depth}
    # Chosen on a part held out from digits' training split.
    recipe = dataclasses.replace(
        recipe,
        eps_train=str(parse_eps(preset.recipe.eps_train) / 2),
        lr=0.0005,
        weight_decay=0.0,
        adam_eps=1e-8,
        p_ramp=(0, 0),
        ema=0,
    )
    # Without p's ramp the cross entropy weight would drop at once; a long ramp is what helps it.
    recipe = dataclasses.replace(recipe, p_ramp=(0, 0.9 * recipe.epochs))
    if row == "groupsort":
        affine = {**affine, "family": "groupsort", "group": 5, "width": width - width % 5}
        return dataclasses.replace(
            preset, name=name, about="GroupSort(5) net", model=affine, recipe=recipe
        )
    if row == "maxmin":
        affine = {**affine, "family": "maxmin", "width": width - width % 2}
        return dataclasses.replace(preset, name=name, about="MaxMin", model=affine, recipe=recipe)
    if row == "ibp-relu":
        recipe = dataclasses.replace(
            recipe,
            objective="ibp",
            lr=0.001,
            eps_ramp=0.5 * recipe.epochs,
            eps_train=preset.recipe.eps_test[0],
        )
        return dataclasses.replace(
            preset,
            name=name,
            about="ReLU network trained with interval bounds",
            model={**affine, "family": "relu"},
            recipe=recipe,
        )
    activation = "relu" if row == "standard-relu" else "piecewise-linear"
    return dataclasses.replace(
        preset,
        name=name,
        about=f"standard Lipschitz net, {activation} activation",
        model={**affine, "family": "standard", "activation": activation},
        recipe=recipe,
    )


def _sortnet(depth: int, width: int, keep: float, **more: Any) -> dict[str, Any]:
    return {"family": "sortnet", "depth": depth, "width": width, "keep": keep, **more}


def _mnist(name: str, keep: float, eps: tuple[str, str], weight: tuple[float, float]) -> Preset:
    return Preset(
        name=name,
        about=f"reference recipe, MNIST at {eps[1]}",
        data="mnist",
        model=_sortnet(5, 5120, keep, identity=10.0, std=0.3081),
        recipe=Recipe(
            eps_train=eps[0],
            eps_test=(eps[1],),
            epochs=1500,
            p_ramp=(100, 1450),
            ce_weight=weight,
            crop=1,
        ),
    )


def _cifar(
    name: str,
    depth: int,
    keep: float,
    eps: tuple[str, str],
    weight: tuple[float, float],
    hidden: int | None = None,
) -> Preset:
    recipe = Recipe(
        objective="margin" if hidden is None else "worst-case",
        eps_train=eps[0],
        eps_test=(eps[1],),
        epochs=3000,
        p_ramp=(200, 2950),
        ce_weight=weight,
        eps_ramp=0 if hidden is None else 500,
        crop=3,
        flip=True,
    )
    head = {} if hidden is None else {"hidden": hidden}
    about = f"reference recipe, CIFAR-10 at {eps[1]}" + (", MLP head" if hidden else "")
    model = _sortnet(depth, 5120, keep, std=0.2009, **head)
    return Preset(name, about, "cifar10", recipe, model)


def _imagenet(name: str, data: str, strided: bool) -> Preset:
    tiny = data == "tinyimagenet"
    recipe = Recipe(
        objective="worst-case",
        eps_train="11/2550",
        eps_test=("1/255",),
        epochs=1000 if tiny else 300,
        batch_size=512 if tiny else 1024,
        lr=0.02 if tiny else 0.01,
        p_ramp=(100, 980) if tiny else (50, 290) if strided else (30, 290),
        ce_weight=(1.0, 0.01),
        eps_ramp=500 if tiny else 200,
        crop=5 if tiny else 4,
        flip=True,
    )
    # Depth 7 in the paper's table counts the two affine layers of the head.
    model = _sortnet(5, 5120, 0.70, hidden=512 if tiny else 2048, std=0.2276 if tiny else 0.2128)
    if strided:
        # A kernel of 60 pixels on 64, stride 4: four positions; then the same layers at each.
        model["stem"] = {"channels": 5120, "kernel_size": 60, "stride": 4}
    about = f"reference recipe, {'TinyImageNet' if tiny else 'ImageNet64'} at 1/255, MLP head"
    return Preset(name, about + (", strided first layer" if strided else ""), data, recipe, model)


def _fashion(name: str, about: str, keep: float, **recipe: Any) -> Preset:
    return Preset(
        name=name,
        about=about,
        data="fashion-mnist",
        # A mean of 0 makes the padding of the windows black.
        model=_sortnet(4, 512, keep, keep_pixels=keep, morphology=(3, 5), mean=0.0),
        recipe=Recipe(
            eps_train="0.15",
            eps_test=("0.1",),
            batch_size=256,
            ce_weight=(0.1, 0.001),
            p_cheap=True,
            **recipe,
        ),
    )


_FASHION_REFERENCE = Preset(
    name="fashion-mnist-0.1-reference",
    about="reference recipe of MNIST 0.1 on Fashion-MNIST, full width (GPU)",
    data="fashion-mnist",
    model=_sortnet(5, 5120, 0.70, identity=10.0),
    recipe=Recipe(eps_train="0.3", eps_test=("0.1",), epochs=1500, p_ramp=(100, 1450), crop=1),
)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="digits",
            about="scikit-learn's 8x8 digits, about a minute on two CPU cores",
            data="digits",
            model=_sortnet(4, 256, 0.90),
            recipe=Recipe(
                eps_train="0.2",
                eps_test=("0.05", "0.1", "0.15", "0.2"),
                epochs=150,
                batch_size=128,
                p_ramp=(10, 130),
                ce_weight=(0.1, 0.01),
                p_cheap=True,
            ),
        ),
        _fashion(
            "fashion-mnist-0.1",
            "Fashion-MNIST at 0.1 in under half an hour on two CPU cores",
            keep=0.90,
            epochs=16,
            p_ramp=(4 / 3, 14.4),
        ),
        _fashion(
            "fashion-mnist-0.1-fast",
            "Fashion-MNIST at 0.1 in eight minutes on two CPU cores",
            keep=0.93,
            epochs=12,
            # An epoch at p = inf takes less than half the time of one at a high power.
            p_ramp=(0.8, 4.4),
            p_last=128,
            # Dropping from the first step makes the start slow.
            keep_ramp=(4.4, 8),
        ),
        _FASHION_REFERENCE,
        _mnist("mnist-0.1", 0.70, ("0.3", "0.1"), (0.1, 0.001)),
        _mnist("mnist-0.3", 0.75, ("0.45", "0.3"), (0.02, 0.0002)),
        _cifar("cifar10-2/255", 6, 0.75, ("8/255", "2/255"), (1.0, 0.01)),
        _cifar("cifar10-2/255-mlp", 5, 0.70, ("22/2550", "2/255"), (1.0, 0.01), hidden=512),
        _cifar("cifar10-8/255", 6, 0.85, ("24/255", "8/255"), (0.2, 0.002)),
        _cifar("cifar10-8/255-mlp", 5, 0.60, ("88/2550", "8/255"), (1.0, 0.01), hidden=512),
        _imagenet("tinyimagenet-mlp", "tinyimagenet", strided=False),
        _imagenet("tinyimagenet-2x", "tinyimagenet", strided=True),
        _imagenet("imagenet64-mlp", "imagenet64", strided=False),
        _imagenet("imagenet64-2x", "imagenet64", strided=True),
    )
}
"""Every preset by name, in the order they are listed."""
