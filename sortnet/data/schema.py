"""What a network must remember of its data, so that other files mean the same to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .box import Box


@dataclass(frozen=True, eq=False)
class Schema:
    """Shape, box and names of the samples and labels that a network learned from.

    Attributes:
        input_shape: of a sample, (C, H, W), (C, T) or (D,).
        classes: number of classes; 0 for a regression.
        levels: the integer that means 1, where samples are integers; 1 for floats.
        class_names: in the order of the labels; None where labels are 0..classes-1 without names.
        feature_names: of the D features of a table, in order; None elsewhere.
        box: of a sample; None is [0, 1] in every feature.
    """

    input_shape: tuple[int, ...]
    classes: int
    levels: int = 255
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    box: Box | None = None

    @property
    def regression(self) -> bool:
        """Whether labels are numbers to be predicted."""
        return self.classes == 0

    @property
    def labels(self) -> tuple[str, ...]:
        """A text for each label: its name, or its number."""
        return self.class_names or tuple(map(str, range(self.classes)))

    def to_json(self) -> dict[str, Any]:
        """For JSON; floats are exact (a float32 is its shortest float64 text)."""
        box = self.box and {"low": self.box.low.tolist(), "high": self.box.high.tolist()}
        return {
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "levels": self.levels,
            "class_names": self.class_names and list(self.class_names),
            "feature_names": self.feature_names and list(self.feature_names),
            "box": box,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Schema:
        """The inverse of `to_json`.

        Raises:
            ValueError: keys missing or of other kinds.
        """
        try:
            box = document["box"]
            names = {
                key: None if document[key] is None else tuple(map(str, document[key]))
                for key in ("class_names", "feature_names")
            }
            return cls(
                tuple(map(int, document["input_shape"])),
                int(document["classes"]),
                int(document["levels"]),
                names["class_names"],
                names["feature_names"],
                None if box is None else Box(np.array(box["low"]), np.array(box["high"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the schema of the data is damaged ({error!r})") from None
