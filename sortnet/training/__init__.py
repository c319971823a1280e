"""Recipes, presets, schedules, losses, the trainer and its run folders.

Everything public is importable from here; each name loads its module on first use.
"""

from importlib import import_module

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

__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
