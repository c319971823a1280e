"""Networks from typed configurations."""

from sortnet.nn import Abs
from sortnet.nn.known import layer_bounds

from .config import ModelConfig, StemConfig
from .net import (
    CertifiedNet,
    build_model,
    estimate_means,
    set_dropping,
    set_p,
)
from .network import chain_of, network_of

__all__ = [
    "Abs",
    "CertifiedNet",
    "ModelConfig",
    "StemConfig",
    "build_model",
    "chain_of",
    "estimate_means",
    "layer_bounds",
    "network_of",
    "set_dropping",
    "set_p",
]
