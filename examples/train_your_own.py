"""Train a SortNet on your own arrays, certify a batch, export it, and read the certificate back.

python examples/train_your_own.py OUTPUT_FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch

from sortnet import (
    CertifiedSession,
    DataSet,
    Preset,
    Recipe,
    RunConfig,
    Split,
    Trainer,
    evaluate,
    export_model,
    margin_radius,
    model_config,
)


def stripes(count: int, seed: int) -> Split:
    """Noisy 8 x 8 images whose bright column pair tells the class. Put your own bytes here."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    images = generator.integers(0, 100, (count, 1, 8, 8)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, :, 2 * label : 2 * label + 2] += 120
    return Split(images, labels)


def main(folder: Path) -> None:
    data = DataSet("stripes", train=stripes(2000, 0), test=stripes(200, 1), classes=4)
    preset = Preset(
        name="stripes",
        about="an example",
        data="stripes",
        model={"family": "sortnet", "depth": 3, "width": 64, "keep": 0.75},
        recipe=Recipe(eps_train="0.2", eps_test=("0.1",), epochs=20, batch_size=128,
                      p_ramp=(2, 18), p_cheap=True),
    )  # fmt: skip
    config = RunConfig(preset=preset, model=model_config(preset, data), seed=0)
    model = Trainer(config, data, folder).run()
    result = evaluate(model, data.test, ["0.1"], attack_steps=20)
    print("clean", result.clean, "PGD", result.pgd, "certified", result.certified)

    x = data.test.floats()
    export_model(model, folder / "model.onnx")
    answer = CertifiedSession(folder / "model.onnx").predict(x)  # no torch from here on
    in_torch = margin_radius(model, torch.from_numpy(x)).numpy()
    # All digits: a radius is never rounded up.
    print(f"smallest radius in ONNX Runtime {answer.radius.min()}, torch {in_torch.min()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
