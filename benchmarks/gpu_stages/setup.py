"""What a stage is told, and where its rows go."""

from __future__ import annotations

import datetime
import json
import platform
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sortnet.base.files import atomic_write

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Setup:
    """What a stage is told. `dry`: small sizes on the CPU, to find mistakes where no GPU is."""

    output: Path
    batch: int = 512
    inputs: int = 5120
    outputs: int = 5120
    reference: Path | None = None
    data: Path | None = None
    epochs: float = 300
    seconds: float = 1e9
    dry: bool = False

    @property
    def device(self) -> str:
        return "cpu" if self.dry else "cuda"


class Record:
    """The rows of one stage, on disk after every one."""

    def __init__(self, stage: str, setup: Setup) -> None:
        self.path = setup.output / f"{stage}.json"
        self.document: dict[str, Any] = {
            "stage": stage,
            "device": f"dry run on {platform.machine()}"
            if setup.dry
            else torch.cuda.get_device_name(),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "torch": torch.__version__,
            "shape": [setup.batch, setup.inputs, setup.outputs],
            "done": False,
            "rows": [],
        }
        if self.path.exists():
            before = json.loads(self.path.read_text(encoding="utf-8"))
            if before["device"] == self.document["device"]:
                self.document["rows"] = [r for r in before["rows"] if "failure" not in r]
        self.write()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.document["rows"]

    def add(self, name: str, **values: Any) -> None:
        """A row; one of the same name, of an earlier try, is replaced."""
        self.document["rows"] = [r for r in self.rows if r["name"] != name]
        self.rows.append({"name": name, **values})
        print(f"{name}: {values}", flush=True)
        self.write()

    def attempt(self, name: str, body: Callable[[], object]) -> None:
        """Run one part of a stage; what it raises becomes a row."""
        try:
            body()
        except Exception as error:
            traceback.print_exc()
            self.add(name, failure=f"{type(error).__name__}: {str(error)[:500]}")

    def finish(self) -> None:
        self.document["done"] = not any("failure" in row for row in self.rows)
        self.write()

    def write(self) -> None:
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")
