"""`sortnet checker`: build the program that is extracted from the proofs."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("checker")
def checker_command() -> None:
    """The checker that is extracted from the Coq proofs; `sortnet verify --checker` runs it."""


@checker_command.command("build")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to put the program [default: beside the package].",
)
def build_command(out: Path | None) -> None:
    """Compile the proofs, extract the checker from them and compile it.

    Needs Coq 8.16 with Flocq, make and OCaml with zarith
    (Debian/Ubuntu: apt install coq libcoq-flocq make ocaml-findlib libzarith-ocaml-dev).
    """
    from sortnet.export.checker import build_checker

    click.echo(f"{build_checker(out)}: built")
