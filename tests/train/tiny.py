"""Small data, presets and runs for the tests of training."""

import numpy as np

from sortnet.data.sets import DataSet, Split
from sortnet.training import Preset, Recipe, model_config, runs

FAMILIES = {
    "sortnet": ({"family": "sortnet", "keep": 0.75}, {}),
    "sortnet-mlp": (
        {"family": "sortnet", "keep": 0.75, "hidden": 8},
        {"objective": "worst-case", "eps_ramp": 2.0},
    ),
    "sortnet-conv": (
        {"family": "sortnet", "stem": {"channels": 6, "kernel_size": 3, "stride": 2}},
        {},
    ),
    "sortnet-morphology": ({"family": "sortnet", "keep": 0.75, "morphology": (3,)}, {}),
    "linf-dist": ({"family": "linf-dist", "keep": 1.0}, {}),
    "groupsort": ({"family": "groupsort", "group": 5}, {"lr": 0.002}),
    "maxmin": ({"family": "maxmin"}, {"lr": 0.002}),
    "standard-relu": ({"family": "standard"}, {"lr": 0.002}),
    "standard-pwl": ({"family": "standard", "activation": "piecewise-linear"}, {"lr": 0.002}),
    "ibp-relu": ({"family": "relu"}, {"objective": "ibp", "eps_ramp": 2.0, "lr": 0.002}),
}


def dataset(train: int = 256, test: int = 40, classes: int = 3) -> DataSet:
    """Noisy 6 x 6 bars whose position tells the class."""
    generator = np.random.default_rng(0)

    def split(n: int) -> Split:
        labels = generator.integers(0, classes, n)
        images = generator.integers(0, 90, (n, 1, 6, 6)).astype(np.uint8)
        for row, label in enumerate(labels):
            images[row, 0, 2 * label : 2 * label + 2] += 140
        return Split(images, labels.astype(np.int64))

    return DataSet("bars", split(train), split(test), classes)


def preset(family: str = "sortnet", **recipe: object) -> Preset:
    model, more = FAMILIES[family]
    settings = {
        "eps_train": "0.15",
        "eps_test": ("0.05", "0.1"),
        "epochs": 4.0,
        "batch_size": 64,
        "p_ramp": (0.5, 3.0),
        **more,
        **recipe,
    }
    fields = {"depth": 3, "width": 20, **model}
    return Preset(family, "for tests", "bars", Recipe(**settings), fields)


def config(chosen: Preset | None = None, seed: int = 0, **more: object) -> runs.RunConfig:
    chosen = chosen or preset()
    return runs.RunConfig(preset=chosen, model=model_config(chosen, dataset()), seed=seed, **more)


def one_line_error(result: tuple[int, str, str], *words: str) -> None:
    """A command failed in one line that has all the words."""
    code, _, err = result
    assert code != 0
    assert err.startswith("sortnet: error: ") and len(err.splitlines()) == 1, err
    assert all(word in err for word in words), err
