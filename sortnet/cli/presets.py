"""`sortnet presets`: the table of what `sortnet train` knows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from sortnet.base.files import check_outputs, write_json

from .console import print_pairs
from .options import json_option


@click.command()
@click.option("--fields", is_flag=True, help="List the fields of a recipe instead, in Markdown.")
@json_option
def presets_command(fields: bool, json_file: Path | None) -> None:
    """List the presets that `sortnet train` and `sortnet reproduce` know.

    \b
    Examples:
      sortnet presets
      sortnet presets --fields       what --set recipe.FIELD=VALUE can change
    """
    from sortnet.training.presets import PRESETS
    from sortnet.training.recipe import Recipe, recipe_table

    check_outputs({"--json": json_file})
    if fields:
        click.echo(recipe_table(), nl=False)
        write_json(
            json_file,
            {
                field.name: {"default": field.default, "about": field.metadata["about"]}
                for field in dataclasses.fields(Recipe)
            },
        )
        return
    print_pairs([(name, preset.about) for name, preset in PRESETS.items()])
    write_json(json_file, {n: dataclasses.asdict(preset) for n, preset in PRESETS.items()})
