"""`sortnet presets`: the table of what `sortnet train` knows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from sortnet.base.files import check_outputs, write_json

from .console import print_pairs
from .options import json_option


@click.command()
@json_option
def presets_command(json_file: Path | None) -> None:
    """List the presets that `sortnet train` and `sortnet reproduce` know."""
    from sortnet.training.presets import PRESETS

    check_outputs({"--json": json_file})
    print_pairs([(name, preset.about) for name, preset in PRESETS.items()])
    write_json(json_file, {n: dataclasses.asdict(preset) for n, preset in PRESETS.items()})
