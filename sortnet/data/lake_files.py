"""Which files a lake has: those of a folder, its subfolders, and what links lead to."""

from __future__ import annotations

import os
from pathlib import Path

from .folder import is_hidden


def files(path: str | Path) -> list[Path]:
    """The Parquet files of a folder and its subfolders, in order; or the one file.

    Links are followed, those to nowhere named by whoever opens them.

    Raises:
        FileNotFoundError: no `.parquet` file in the folder.
        ValueError, OSError: as `folders`.
    """
    root = Path(path)
    if not root.is_dir():
        return [root]
    chosen = sorted(
        place
        for folder in folders(root).values()
        for place in folder.iterdir()
        if place.suffix.lower() == ".parquet"
        and not _is_skipped(place.name)
        and (place.is_file() or (place.is_symlink() and not place.exists()))
    )
    if not chosen:
        raise FileNotFoundError(f"{root}: no .parquet files in this folder")
    return chosen


def folders(root: Path) -> dict[str, Path]:
    """A folder and its subfolders, by the paths that remain when links are resolved.

    Each is there once: under its own name where it lies in `root`, else under a link's.

    Raises:
        ValueError: a link leads to a folder that holds `root`. OSError: one cannot be listed.
    """
    top = os.path.realpath(root)
    out: dict[str, Path] = {}
    todo, links = [root], list[Path]()
    while todo or links:
        if not todo:
            link = links.pop()
            real = os.path.realpath(link)
            if Path(top).is_relative_to(real) and real != top:
                raise ValueError(f"{link} is a link to {real}, which holds the lake itself")
            todo = [link]
        folder = todo.pop()
        real = os.path.realpath(folder)
        if real in out:
            continue
        out[real] = folder
        inside = sorted(p for p in folder.iterdir() if p.is_dir() and not _is_skipped(p.name))
        todo += [place for place in reversed(inside) if not place.is_symlink()]
        links = [*(place for place in reversed(inside) if place.is_symlink()), *links]
    return out


def _is_skipped(name: str) -> bool:
    return is_hidden(name) or name.startswith("_")
