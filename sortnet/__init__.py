"""sortnet: networks that carry their own l-infinity robustness certificate.

`import sortnet` is light: everything below is loaded on first use, torch only where it is used.
What is listed here, in docs/api.md and in `__all__` of the modules listed here is public; all else
is internal and may change without notice.
"""

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING

from . import _moved

if TYPE_CHECKING:
    from sortnet import data, estimators, evaluation, export, models, nn, theory, training
    from sortnet.data import DataSet, Split
    from sortnet.data import load as load_data
    from sortnet.estimators import SortNetClassifier, SortNetRegressor
    from sortnet.evaluation import (
        Certifier,
        NaiveCertifier,
        certificates,
        certified_accuracy,
        evaluate,
        interval_certified,
        lipschitz_constant,
        margin_radius,
        pgd,
    )
    from sortnet.export import BatchCertifier, CertifiedSession, export_model, verify
    from sortnet.models import CertifiedNet, ModelConfig, StemConfig, build_model, network_of
    from sortnet.training import (
        Preset,
        Recipe,
        RunConfig,
        Trainer,
        get_preset,
        load_run,
        model_config,
    )

# Running `python -m pytest` in the repository root puts ./sortnet first; the installed parts
# (sortnet.theory, sortnet.export, sortnet/lib) are then found through the extended path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

_moved.install()

# Where each public name lives; "module:name" where its name there is another.
_HOMES = {
    "BatchCertifier": "sortnet.export",
    "CertifiedNet": "sortnet.models",
    "CertifiedSession": "sortnet.export",
    "Certifier": "sortnet.evaluation",
    "DataSet": "sortnet.data",
    "ModelConfig": "sortnet.models",
    "NaiveCertifier": "sortnet.evaluation",
    "Preset": "sortnet.training",
    "Recipe": "sortnet.training",
    "RunConfig": "sortnet.training",
    "SortNetClassifier": "sortnet.estimators",
    "SortNetRegressor": "sortnet.estimators",
    "Split": "sortnet.data",
    "StemConfig": "sortnet.models",
    "Trainer": "sortnet.training",
    "build_model": "sortnet.models",
    "certificates": "sortnet.evaluation",
    "certified_accuracy": "sortnet.evaluation",
    "evaluate": "sortnet.evaluation",
    "export_model": "sortnet.export",
    "get_preset": "sortnet.training",
    "interval_certified": "sortnet.evaluation",
    "lipschitz_constant": "sortnet.evaluation",
    "load_data": "sortnet.data:load",
    "load_run": "sortnet.training",
    "margin_radius": "sortnet.evaluation",
    "model_config": "sortnet.training",
    "network_of": "sortnet.models",
    "pgd": "sortnet.evaluation",
    "verify": "sortnet.export",
}
_MODULES = ("data", "estimators", "evaluation", "export", "models", "nn", "theory", "training")

__all__ = [
    "BatchCertifier",
    "CertifiedNet",
    "CertifiedSession",
    "Certifier",
    "DataSet",
    "ModelConfig",
    "NaiveCertifier",
    "Preset",
    "Recipe",
    "RunConfig",
    "SortNetClassifier",
    "SortNetRegressor",
    "Split",
    "StemConfig",
    "Trainer",
    "__version__",
    "build_model",
    "certificates",
    "certified_accuracy",
    "data",
    "estimators",
    "evaluate",
    "evaluation",
    "export",
    "export_model",
    "get_preset",
    "interval_certified",
    "lipschitz_constant",
    "load_data",
    "load_run",
    "margin_radius",
    "model_config",
    "models",
    "network_of",
    "nn",
    "pgd",
    "theory",
    "training",
    "verify",
]


if not TYPE_CHECKING:  # else every misspelt name would pass a type checker

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            module, _, there = _HOMES[name].partition(":")
            return getattr(import_module(module), there or name)
        if name in _MODULES:
            return import_module(f"sortnet.{name}")
        meant = ""
        if not name.startswith("_"):  # what interpreters and tools probe for on every module
            meant = import_module("sortnet.base.names").did_you_mean(name, __all__)
        raise AttributeError(f"module 'sortnet' has no attribute {name!r}{meant}", name=name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
