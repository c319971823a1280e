"""The `sortnet` command: the one place that knows all folders, each loaded only when asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from sortnet import __version__

# name -> (module:attribute, one line for --help)
COMMANDS = {
    "quickstart": (
        "sortnet.cli.quickstart:quickstart_command",
        "Train, export and certify on digits.",
    ),
    "presets": ("sortnet.cli.commands:presets_command", "List the presets."),
    "train": ("sortnet.cli.commands:train_command", "Train a preset, leaving a run folder."),
    "evaluate": (
        "sortnet.cli.commands:evaluate_command",
        "Clean, PGD and certified accuracy of RUN.",
    ),
    "reproduce": (
        "sortnet.cli.reproduce:reproduce_command",
        "Train and compare all network families.",
    ),
    "export": ("sortnet.cli.onnx:export_command", "Write a run as one certified ONNX file."),
    "certify": (
        "sortnet.cli.onnx:certify_command",
        "Certify data with an ONNX file; no torch.",
    ),
    "verify": ("sortnet.cli.onnx:verify_command", "Prove a file's certificates from its graph."),
    "checker": (
        "sortnet.cli.checker:checker_group",
        "Build the checker that is extracted from the proofs.",
    ),
    "theory": (
        "sortnet.cli.theory:theory_command",
        "Run the theorems; report how each is known.",
    ),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return getattr(import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Networks that carry their own l-infinity robustness certificate.

    \b
    Try:
      sortnet quickstart                    everything once, on digits, in about a minute
      sortnet train fashion-mnist-0.1       train a preset
      sortnet COMMAND --help                explains each command
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 0 only on success, one line instead of a traceback."""
    try:
        code = cli.main(arguments, prog_name="sortnet", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        _fail(error.format_message() + hint, error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        # click wraps the interrupt, which may say where it stopped.
        _fail(str(error.__cause__ or error) or "interrupted", 130)
    except ModuleNotFoundError as error:
        _fail(f"{error}; install it with: pip install 'sortnet[{_extra(error)}]'", 1)
    except (ValueError, OSError, RuntimeError) as error:
        _fail(str(error), 1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    click.echo(f"sortnet: error: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _extra(error: ModuleNotFoundError) -> str:
    name: Any = error.name or ""
    if name == "onnxruntime":
        return "onnxruntime"
    return "theory" if name in ("sympy", "hypothesis") else "train"
