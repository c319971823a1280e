"""Networks from typed configurations."""

from .net import (
    Abs,
    CertifiedNet,
    ModelConfig,
    StemConfig,
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
