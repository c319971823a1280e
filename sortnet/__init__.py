"""sortnet: networks that carry their own l-infinity robustness certificate.

`import sortnet` is light: everything below is loaded on first use, torch only where it is used.
"""

from importlib import import_module
from pkgutil import extend_path

from . import _moved

# Running `python -m pytest` in the repository root puts ./sortnet first; the installed parts
# (sortnet.theory, sortnet.export, sortnet/lib) are then found through the extended path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

_moved.install()

_HOMES = {
    "ModelConfig": "sortnet.models",
    "build_model": "sortnet.models",
    "certified_accuracy": "sortnet.evaluation.certify",
    "interval_certified": "sortnet.evaluation.certify",
    "lipschitz_constant": "sortnet.evaluation.certify",
    "margin_radius": "sortnet.evaluation.certify",
}
_MODULES = ("data", "evaluation", "export", "models", "nn", "theory", "training")

__all__ = ["__version__", *_HOMES, *_MODULES]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"sortnet.{name}")
    raise AttributeError(f"module 'sortnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
