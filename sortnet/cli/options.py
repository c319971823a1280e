"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from sortnet.base.units import parse_eps


class Eps(click.ParamType):
    """A radius kept as it was typed, checked to be one."""

    name = "eps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if it is a radius in (0, 1]."""
        try:
            parse_eps(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class OutFile(click.ParamType):
    """A file to write, of one of the kinds given as suffix -> module that writes it (or None)."""

    name = "file"

    def __init__(self, kinds: dict[str, str | None]) -> None:
        self.kinds = kinds

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, if its suffix is known and what writes it is installed."""
        path = Path(value)
        if path.suffix not in self.kinds:
            *others, last = self.kinds
            known = f"{', '.join(others)} or {last}" if others else last
            self.fail(f"expected a {known} file, got {path.name!r}", param, ctx)
        module = self.kinds[path.suffix]
        if module is not None and find_spec(module) is None:
            self.fail(f"a {path.suffix} file needs {module}: pip install {module}", param, ctx)
        return path


json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Also write JSON."
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Fixes everything random.",
)


def root_option(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--root DIR`, under further `names` too."""
    return click.option(
        "--root",
        *names,
        "data_root",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Folder of the data set's files.",
    )
