"""Named recipes: what `sortnet train PRESET` runs. Knows numbers only, imports no torch."""

from __future__ import annotations

from typing import Any

from sortnet.base.names import did_you_mean

from .recipe import Preset, Recipe


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: unknown name; says the nearest one, or lists the known ones.
    """
    if name not in PRESETS:
        meant = did_you_mean(name, PRESETS) or f"; known: {', '.join(PRESETS)}"
        raise ValueError(f"unknown preset {name!r}{meant}")
    return PRESETS[name]


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


def _fashion(name: str, about: str, keep: float, more: dict[str, Any], **recipe: Any) -> Preset:
    return Preset(
        name=name,
        about=about,
        data="fashion-mnist",
        # A mean of 0 makes the padding of the windows black.
        model=_sortnet(4, 512, keep, keep_pixels=keep, mean=0.0, **more),
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
            "Fashion-MNIST at 0.1 in some ten minutes on two CPU cores",
            keep=0.90,
            more={
                "morphology": (3, 5, (1, 9), (9, 1)),
                "morphology_stride": 2,
                "first_std": 0.05,
            },
            epochs=24,
            p_ramp=(2, 21.6),
            keep_ramp=(2.4, 12),
            prototypes=True,
        ),
        _fashion(
            "fashion-mnist-0.1-fast",
            "Fashion-MNIST at 0.1 in eight minutes on two CPU cores",
            keep=0.93,
            more={"morphology": (3, 5)},
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
