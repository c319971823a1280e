"""Certified networks beside tree methods, on the same splits: one row of a CSV for each fold.

    python benchmarks/trees/run.py --data breast-cancer --methods sortnet "groot tree"
    python benchmarks/trees/run.py --table

Rows that the file has are not computed again; README.md says what each figure means.
"""

from __future__ import annotations

import argparse
import csv
import platform
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from sortnet.base.percent import certified_percent

sys.path.insert(0, str(Path(__file__).parent))
import data

RESULTS = Path(__file__).parents[1] / "results" / "trees.csv"
KEY = ["data", "eps", "method", "fold"]
FIGURES = ["clean", "attacked", "certified", "fit_seconds", "judge_seconds"]
FIELDS = [*KEY, "chosen", *FIGURES, "date", "machine"]
NETWORKS = ("sortnet", "constant")
TREES = ("groot tree", "groot forest", "robust boosting", "plain boosting", "plain forest")


def make(method: str, eps: str) -> Any:
    """A classifier with fit(x, y, fixed), judge(x, y) and `depth`, what it chose."""
    if method in NETWORKS:
        from networks import Constant, Network

        return Network(eps) if method == "sortnet" else Constant()
    from trees import METHODS, Trees

    return Trees(*METHODS[method], eps)


def measure(name: str, eps: str, method: str, fold: data.Fold) -> dict[str, Any]:
    model = make(method, eps)
    start = time.process_time()
    model.fit(fold.x, fold.y, fold.fixed)
    fitted = time.process_time()
    right, certified, standing = model.judge(fold.x_test, fold.y_test)
    judged = time.process_time()
    return {
        "data": name,
        "eps": eps,
        "method": method,
        "fold": fold.number,
        "chosen": model.depth,
        "clean": f"{100 * right.mean():.2f}",
        "attacked": f"{100 * standing.mean():.2f}",
        "certified": certified_percent(certified.mean()).removesuffix("%"),
        "fit_seconds": f"{fitted - start:.2f}",
        "judge_seconds": f"{judged - fitted:.2f}",
        "date": time.strftime("%Y-%m-%d"),
        "machine": _machine(),
    }


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(rows: list[dict[str, str]]) -> str:
    """Markdown: mean ± standard deviation over the folds; seconds of a fit."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["data"], row["eps"], row["method"]].append(row)
    lines = [
        "| data | ε | method | folds | clean | attacked | certified | fit, s | chosen |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, eps, method), group in sorted(groups.items()):
        figures = []
        for field in FIGURES[:3]:
            values = np.array([float(row[field]) for row in group])
            mean = f"{values.mean():.1f}"
            if field == "certified":  # never shown above what was reached
                mean = certified_percent(values.mean() / 100, 1).removesuffix("%")
            figures.append(f"{mean} ± {values.std():.1f}")
        seconds = np.mean([float(row["fit_seconds"]) for row in group])
        chosen = ", ".join(sorted({row["chosen"] for row in group}))
        cells = (name, eps, method, str(len(group)), *figures, f"{seconds:.1f}", chosen)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=list(data.RADII), choices=list(data.RADII))
    parser.add_argument("--eps", nargs="+", help="only these radii of the data's")
    parser.add_argument("--methods", nargs="+", default=[*NETWORKS, *TREES])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print the results as Markdown")
    options = parser.parse_args()
    if unknown := set(options.methods) - {*NETWORKS, *TREES}:
        parser.error(f"unknown methods {sorted(unknown)}; there are {[*NETWORKS, *TREES]}")
    if options.table:
        print(table(read(options.out)))
        return
    for name in options.data:
        for eps in options.eps or data.RADII[name]:
            for fold in data.folds(name, options.folds):
                for method in options.methods:
                    key = (name, eps, method, str(fold.number))
                    known = read(options.out)
                    if key in {tuple(r[f] for f in KEY) for r in known}:
                        continue
                    row = measure(name, eps, method, fold)
                    with options.out.open("a", encoding="utf-8", newline="") as file:
                        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                        if not known:
                            writer.writeheader()
                        writer.writerow(row)
                    print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
