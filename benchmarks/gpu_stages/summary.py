"""One table and one CSV of what all stages have written."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sortnet.base.files import atomic_write

from .stages import STAGES


def summarize(output: Path, console: Console) -> None:
    """One table and one CSV of all rows that there are."""
    rows: list[dict[str, Any]] = []
    for stage in STAGES:
        path = output / f"{stage}.json"
        if path.exists():
            document = json.loads(path.read_text(encoding="utf-8"))
            head = {k: document[k] for k in ("device", "date", "torch", "stage")}
            rows += [{**head, **row} for row in document["rows"]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (
        atomic_write(output / "rows.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    shown = ("p50", "instruction_floor", "byte_floor", "of_floor", "reference_p50", "times_faster")
    table = Table("stage", "row", *shown, "wanted", "failure")
    for row in rows:
        wanted = row.get("of_floor_wanted", row.get("times_faster_wanted", ""))
        cells = [f"{row[key]:.3f}" if key in row else "" for key in shown]
        failure = row.get("failure", row.get("skipped", ""))
        table.add_row(row["stage"], escape(row["name"]), *cells, str(wanted), escape(failure))
    console.print(table)
    console.print(f"written to {output}")
