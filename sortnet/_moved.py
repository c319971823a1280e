"""Module paths of version 0.1, which keep working for one release with a DeprecationWarning."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "sortnet.attack": "sortnet.evaluation.attack",
    "sortnet.augment": "sortnet.data.augment",
    "sortnet.batches": "sortnet.data.batches",
    "sortnet.certify": "sortnet.evaluation",
    "sortnet.coefficients": "sortnet.certificate.coefficients",
    "sortnet.cuda": "sortnet.backend.cuda",
    "sortnet.evaluate": "sortnet.evaluation.accuracy",
    "sortnet.export.error_bound": "sortnet.certificate.analysis",
    "sortnet.export.certify": "sortnet.export.report",
    "sortnet.export.graph": "sortnet.export.writer",
    "sortnet.export.read": "sortnet.export.reader",
    "sortnet.export.runtime": "sortnet.export.session",
    "sortnet.export.spec": "sortnet.certificate.network",
    "sortnet.files": "sortnet.base.files",
    "sortnet.losses": "sortnet.training.losses",
    "sortnet.native": "sortnet.backend.native",
    "sortnet.objective": "sortnet.training.objective",
    "sortnet.ops": "sortnet.backend.ops",
    "sortnet.plots": "sortnet.cli.plots",
    "sortnet.presets": "sortnet.training",
    "sortnet.reference": "sortnet.backend.reference",
    "sortnet.runs": "sortnet.training.runs",
    "sortnet.schedule": "sortnet.training.schedule",
    "sortnet.theory.boolean": "sortnet.theory.objects.boolean",
    "sortnet.theory.boolean_impossibility": "sortnet.theory.theorems.boolean_impossibility",
    "sortnet.theory.circuits": "sortnet.theory.theorems.circuits",
    "sortnet.theory.cli": "sortnet.cli.theory",
    "sortnet.theory.convert": "sortnet.theory.objects.convert",
    "sortnet.theory.coq_check": "sortnet.theory.report.coq_check",
    "sortnet.theory.dropout_identity": "sortnet.theory.theorems.dropout_identity",
    "sortnet.theory.exact": "sortnet.theory.objects.exact",
    "sortnet.theory.lattice": "sortnet.theory.objects.lattice",
    "sortnet.theory.linf_dist": "sortnet.theory.theorems.linf_dist",
    "sortnet.theory.margin": "sortnet.theory.theorems.margin",
    "sortnet.theory.mass": "sortnet.theory.theorems.mass",
    "sortnet.theory.maxmin_depth": "sortnet.theory.theorems.maxmin_depth",
    "sortnet.theory.mcshane": "sortnet.theory.theorems.mcshane",
    "sortnet.theory.model_check": "sortnet.theory.report.model_check",
    "sortnet.theory.networks": "sortnet.theory.objects.networks",
    "sortnet.theory.order_statistics": "sortnet.theory.theorems.order_statistics",
    "sortnet.theory.piecewise_linear": "sortnet.theory.theorems.piecewise_linear",
    "sortnet.theory.plots": "sortnet.theory.report.plots",
    "sortnet.theory.registry": "sortnet.theory.report.registry",
    "sortnet.theory.results": "sortnet.theory.objects.results",
    "sortnet.theory.sampling": "sortnet.theory.objects.sampling",
    "sortnet.theory.sortnet_expressivity": "sortnet.theory.theorems.sortnet_expressivity",
    "sortnet.theory.strategies": "sortnet.theory.objects.strategies",
    "sortnet.train": "sortnet.training",
    "sortnet.units": "sortnet.base.units",
}


class MovedFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module under its old path and hands out the one at its new path."""

    def __init__(self) -> None:
        self._own: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(
            f"{spec.name} is now {new}; the old path goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        module = importlib.import_module(new)
        # The import system is about to call the module by its old name.
        self._own[module.__name__] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: the module has run under its new path, whose spec it gets back."""
        module.__spec__ = self._own.pop(module.__name__)


def install() -> None:
    """Serve the old paths; called once by `sortnet/__init__.py`."""
    if not any(isinstance(finder, MovedFinder) for finder in sys.meta_path):
        sys.meta_path.append(MovedFinder())
