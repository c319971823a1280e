"""Networks from typed configurations."""

from sortnet.nn import Abs
from sortnet.nn.known import layer_bounds, layer_lipschitz, layer_smoothed

from .config import BoxConfig, ModelConfig, StemConfig
from .net import (
    CertifiedNet,
    build_model,
    estimate_means,
    set_dropping,
    set_p,
)
from .network import chain_of, declared, network_of

__all__ = [
    "Abs",
    "BoxConfig",
    "CertifiedNet",
    "ModelConfig",
    "StemConfig",
    "build_model",
    "chain_of",
    "declared",
    "estimate_means",
    "layer_bounds",
    "layer_lipschitz",
    "layer_smoothed",
    "network_of",
    "set_dropping",
    "set_p",
]
