"""Random crops and flips of whole batches of bytes, one draw per image."""

from __future__ import annotations

import torch
from torch import Tensor


def crop(images: Tensor, shift: Tensor, pad: int, mode: str = "edge") -> Tensor:
    """Pad each image by `pad` pixels and cut a window of the old size at `shift`.

    Args:
        images: uint8 [N, C, H, W].
        shift: int64 [2, N], row and column of each window's corner in 0..2 pad; pad is the middle.
        pad: pixels added on each side, >= 0.
        mode: "edge" repeats the border, "zero" pads with black.

    Returns:
        uint8 [N, C, H, W].

    Raises:
        ValueError: unknown mode.
    """
    if mode not in ("edge", "zero"):
        raise ValueError(f"crop mode must be 'edge' or 'zero', got {mode!r}")
    n, _, height, width = images.shape
    rows = shift[0][:, None] + torch.arange(height) - pad
    cols = shift[1][:, None] + torch.arange(width) - pad
    inside_rows, inside_cols = rows.clamp(0, height - 1), cols.clamp(0, width - 1)
    sample = torch.arange(n)[:, None, None]
    # Advanced indices around a slice put the channel last.
    cut = images[sample, :, inside_rows[:, :, None], inside_cols[:, None, :]].permute(0, 3, 1, 2)
    if mode == "zero":
        black = (rows != inside_rows)[:, :, None] | (cols != inside_cols)[:, None, :]
        cut = cut.masked_fill(black[:, None], 0)
    return cut.contiguous()


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen images left to right. images [N, C, H, W], chosen bool [N]."""
    return torch.where(chosen[:, None, None, None], images.flip(3), images)
