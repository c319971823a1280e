"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click


class Eps(click.ParamType):
    """A radius kept as it was typed, checked to be one (of pixels it is at most 1, see there)."""

    name = "eps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, if it is a radius in some unit."""
        from sortnet.base.units import (  # needs numpy, which --help does not
            MAX_UNITS_OF_RADIUS,
            parse_eps,
        )

        try:
            parse_eps(value, MAX_UNITS_OF_RADIUS)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class OutFile(click.ParamType):
    """A file to write, of one of the kinds given as suffix -> modules that write it (or None)."""

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
        for module in (self.kinds[path.suffix] or "").split():
            if find_spec(module) is None:
                self.fail(f"a {path.suffix} file needs {module}: pip install {module}", param, ctx)
        return path


class Duration(click.ParamType):
    """A time such as 90s, 20m, 1.5h, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds, > 0."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", str(value).strip())
        if not match or float(match[1]) <= 0:
            self.fail(f"expected a duration such as 90s, 20m or 1.5h, got {value!r}", param, ctx)
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


class Command(click.Command):
    """A command some of whose options had other names, which work for one release with a notice.

    Args:
        renamed: old spelling -> new spelling.
    """

    def __init__(self, *args: Any, renamed: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.renamed = renamed or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments, old spellings replaced."""
        return super().parse_args(ctx, _modern(args, self.renamed))


class Group(click.Group):
    """The same for a group that is itself a command."""

    def __init__(self, *args: Any, renamed: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.renamed = renamed or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments, old spellings replaced."""
        return super().parse_args(ctx, _modern(args, self.renamed))


def _modern(args: list[str], renamed: dict[str, str]) -> list[str]:
    modern = list(args)
    end = modern.index("--") if "--" in modern else len(modern)
    for place, argument in enumerate(modern[:end]):
        name, equals, value = argument.partition("=")
        if name in renamed:
            new = renamed[name]
            text = f"{name} is now {new}; the old name goes with the next release"
            click.echo(f"sortnet: notice: {text}", err=True)
            modern[place] = f"{new}{equals}{value}"
    return modern


ONNX_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
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


root_option = click.option(
    "--root",
    "data_root",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the data set's files.",
)
target_option = click.option(
    "--target", metavar="COLUMN", help="The column of a table that names the class."
)
drop_option = click.option(
    "--drop",
    multiple=True,
    metavar="COLUMN",
    help="Leave this column of a table out; several allowed.",
)
limit_option = click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Take the first N samples only."
)
plot_option = click.option(
    "--plot",
    "plot_file",
    type=OutFile(dict.fromkeys((".png", ".pdf", ".svg"), "matplotlib")),
    metavar="FILE",
    help="Draw accuracy against eps into a .png, .pdf or .svg file.",
)


def pgd_steps_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--pgd-steps`."""
    return click.option(
        "--pgd-steps",
        type=click.IntRange(0),
        default=default,
        show_default=True,
        help="Steps of a PGD attack beside it (needs torch); 0 for none.",
    )


def eps_option(**more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--eps`, several times."""
    return click.option(
        "--eps",
        type=Eps(),
        multiple=True,
        metavar="EPS",
        help="Radius such as 8/255, in pixels or in units of each feature; several allowed.",
        **more,
    )


def own_data(preset: str, data: str | None) -> tuple[str | None, str | None]:
    """What PRESET and --data mean together.

    Returns:
        A title for data of one's own, whose network is to be chosen, else None; and the data.

    Raises:
        click.UsageError: the data is said twice.
    """
    if preset == "own":
        return "own", data
    suffix = Path(preset).suffix.lower()
    if ":" not in preset and suffix not in (".npz", ".csv", ".tsv", ".parquet"):
        return None, data
    if data is not None:
        raise click.UsageError(f"{preset} is data already; leave --data out, or train `own`")
    return Path(preset.partition(":")[2] or preset).stem or "own", preset


def data_option(help: str, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--data DATA`: in every command the data itself; where its files lie is `--root`."""
    return click.option("--data", metavar="DATA", help=help, **more)


def folder_option(help: str, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`-o`, `--out`: the folder that the command makes and fills."""
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option("-o", "--out", type=kind, metavar="DIR", help=help, **more)
