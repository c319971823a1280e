"""The engines by name."""

from __future__ import annotations

from .engine import Engine
from .local import run_local
from .on_ray import run_ray
from .on_spark import run_spark

ENGINES: dict[str, Engine] = {"local": run_local, "spark": run_spark, "ray": run_ray}
