"""Networks from typed configurations."""

from sortnet.nn import Abs

from .config import ModelConfig, StemConfig
from .net import (
    CertifiedNet,
    build_model,
    estimate_means,
    layer_bounds,
    set_dropping,
    set_p,
)

__all__ = [
    "Abs",
    "CertifiedNet",
    "ModelConfig",
    "StemConfig",
    "build_model",
    "estimate_means",
    "layer_bounds",
    "set_dropping",
    "set_p",
]
