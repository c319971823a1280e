"""What is fixed about an exported file, whatever it computes."""

from __future__ import annotations

READABLE = (1, 2)
"""Format versions that are read. A change of what a file may hold gets a new number; a file is
written in the lowest that can hold it. A reader refuses numbers that it does not know, and reads
every earlier one for ever (tests/export/golden).

1: images [N, C, H, W] in [0, 1], radii in pixels, classification.
2: inputs of any rank, a box and a unit for each feature, regression; RankFilter,
   OrderStatistic, PiecewiseLinear.
"""

CLASSIFIER = ("logits", "label", "radius")
REGRESSION = ("value", "lower", "upper", "eps")
"""Outputs. In format 2 a last one, "unit", repeats the unit of each feature."""

DOMAIN = "ai.sortnet"
"""Of our operations."""

OPSET = 18
"""Oldest opset with axes as input of every reduction; every ONNX Runtime since 1.14 has it."""

IR_VERSION = 8

MAX_BYTES = 2**31 - 2**20
"""Protocol buffers hold less than 2 GiB."""
