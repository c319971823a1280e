"""Recipes, presets, schedules, losses, the trainer and its run folders.

Everything public is importable from here; each name loads its module on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .comparison import ROWS, comparison_row
    from .distributed import processes
    from .log import Progress
    from .presets import PRESETS, get_preset
    from .recipe import Preset, Recipe, preset_from_dict
    from .runs import RunConfig, RunError, load_run, model_config, read_config, read_metrics
    from .schedule import Settings, settings_at
    from .trainer import InterruptedTrainingError, Trainer, TrainingDivergedError

_HOMES = {
    "InterruptedTrainingError": "trainer",
    "PRESETS": "presets",
    "Preset": "recipe",
    "Progress": "log",
    "ROWS": "comparison",
    "Recipe": "recipe",
    "RunConfig": "runs",
    "RunError": "runs",
    "Settings": "schedule",
    "Trainer": "trainer",
    "TrainingDivergedError": "trainer",
    "comparison_row": "comparison",
    "get_preset": "presets",
    "load_run": "runs",
    "model_config": "runs",
    "preset_from_dict": "recipe",
    "processes": "distributed",
    "read_config": "runs",
    "read_metrics": "runs",
    "settings_at": "schedule",
}

__all__ = [
    "PRESETS",
    "ROWS",
    "InterruptedTrainingError",
    "Preset",
    "Progress",
    "Recipe",
    "RunConfig",
    "RunError",
    "Settings",
    "Trainer",
    "TrainingDivergedError",
    "comparison_row",
    "get_preset",
    "load_run",
    "model_config",
    "preset_from_dict",
    "processes",
    "read_config",
    "read_metrics",
    "settings_at",
]


if not TYPE_CHECKING:  # else every misspelt name would pass a type checker

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return getattr(import_module(f".{_HOMES[name]}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
