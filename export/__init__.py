"""sortnet.export: networks as ONNX files that certify, and the runtime that needs no torch.

`export_model` turns a trained model into a file (needs torch); `CertifiedSession` runs and
certifies a file, `verify` proves what it promises (numpy, onnx and onnxruntime only).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sortnet.certificate.inputs import InputError

    from .from_torch import ExportError, export_model, network_from_torch
    from .lake.certifier import BatchCertifier
    from .session import CertifiedSession, NotProvedError, Prediction, ValueBounds
    from .verifier import Proof, verify

_HOME = {
    "BatchCertifier": "lake.certifier",
    "CertifiedSession": "session",
    "ExportError": "from_torch",
    "InputError": "session",
    "NotProvedError": "session",
    "Prediction": "session",
    "Proof": "verifier",
    "ValueBounds": "session",
    "export_model": "from_torch",
    "network_from_torch": "from_torch",
    "verify": "verifier",
}

__all__ = [
    "BatchCertifier",
    "CertifiedSession",
    "ExportError",
    "InputError",
    "NotProvedError",
    "Prediction",
    "Proof",
    "ValueBounds",
    "export_model",
    "network_from_torch",
    "verify",
]


if not TYPE_CHECKING:  # else every misspelt name would pass a type checker

    def __getattr__(name: str) -> object:
        if name in _HOME:
            return getattr(import_module(f".{_HOME[name]}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
