"""Certificates of torch models (sound and naive), attacks, and accuracy.

Everything is loaded on first use: the modules read layers, which read torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .accuracy import CertificateViolationError, Evaluation, evaluate, reestimate_means
    from .attack import pgd
    from .certifier import (
        Certifier,
        Prediction,
        certificates,
        certified_accuracy,
        interval_certified,
        margin_radius,
    )
    from .intervals import margin_bounds
    from .naive import (
        NaiveCertifier,
        lipschitz_constant,
        naive_interval_certified,
        naive_margin_radius,
    )

_HOME = {
    "CertificateViolationError": "accuracy",
    "Certifier": "certifier",
    "Evaluation": "accuracy",
    "NaiveCertifier": "naive",
    "Prediction": "certifier",
    "certificates": "certifier",
    "certified_accuracy": "certifier",
    "evaluate": "accuracy",
    "interval_certified": "certifier",
    "lipschitz_constant": "naive",
    "margin_bounds": "intervals",
    "margin_radius": "certifier",
    "naive_interval_certified": "naive",
    "naive_margin_radius": "naive",
    "pgd": "attack",
    "reestimate_means": "accuracy",
}

__all__ = [
    "CertificateViolationError",
    "Certifier",
    "Evaluation",
    "NaiveCertifier",
    "Prediction",
    "certificates",
    "certified_accuracy",
    "evaluate",
    "interval_certified",
    "lipschitz_constant",
    "margin_bounds",
    "margin_radius",
    "naive_interval_certified",
    "naive_margin_radius",
    "pgd",
    "reestimate_means",
]


if not TYPE_CHECKING:  # else every misspelt name would pass a type checker

    def __getattr__(name: str) -> object:
        if name in _HOME:
            return getattr(import_module(f".{_HOME[name]}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
