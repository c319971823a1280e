"""What is fixed about an exported file, whatever it computes."""

from __future__ import annotations

FORMAT_VERSION = "1"
"""What is written. A change of what a file may hold gets a new number; a reader refuses numbers
that it does not know, and reads every earlier one for ever (tests/export/golden)."""

READABLE = ("1",)
"""Format versions that are read."""

DOMAIN = "ai.sortnet"
"""Of our operations."""

OPSET = 18
"""Oldest opset with axes as input of every reduction; every ONNX Runtime since 1.14 has it."""

IR_VERSION = 8

MAX_BYTES = 2**31 - 2**20
"""Protocol buffers hold less than 2 GiB."""
