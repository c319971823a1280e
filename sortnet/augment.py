"""Random crops and flips of whole batches of bytes, one draw per image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def random_crop(images: Tensor, pad: int, generator: torch.Generator, mode: str = "edge") -> Tensor:
    """Pad each image by `pad` pixels and cut a window of the old size at a random place.

    Args:
        images: uint8 [N, C, H, W].
        pad: pixels added on each side, >= 0; 0 returns the images as they are.
        generator: source of the N shifts.
        mode: "edge" repeats the border, "zero" pads with black.

    Returns:
        uint8 [N, C, H, W].
    """
    if pad == 0:
        return images
    n, _, height, width = images.shape
    if mode == "edge":
        padded = F.pad(images.float(), (pad,) * 4, mode="replicate").to(images.dtype)
    elif mode == "zero":
        padded = F.pad(images, (pad,) * 4)
    else:
        raise ValueError(f"crop mode must be 'edge' or 'zero', got {mode!r}")
    shift = torch.randint(0, 2 * pad + 1, (2, n), generator=generator)
    rows = shift[0][:, None] + torch.arange(height)
    cols = shift[1][:, None] + torch.arange(width)
    sample = torch.arange(n)[:, None, None]
    # Advanced indices around a slice put the channel last.
    return padded[sample, :, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2).contiguous()


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability 1/2. images: [N, C, H, W]."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)
