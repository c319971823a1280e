"""The `sortnet` command: the one place that knows all folders, each loaded only when asked for."""

from __future__ import annotations

import io
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from sortnet import __version__
from sortnet.base.names import did_you_mean

# name -> one line for --help; the command is NAME_command in sortnet/cli/NAME.py
COMMANDS = {
    "quickstart": "Train, export and certify on digits.",
    "presets": "List the presets.",
    "train": "Train a preset, leaving a run folder.",
    "evaluate": "Clean, PGD and certified accuracy of RUN.",
    "reproduce": "Train and compare all network families.",
    "export": "Write a run as one certified ONNX file.",
    "certify": "Certify data with an ONNX file; no torch.",
    "verify": "Prove a file's certificates from its graph.",
    "checker": "Build the checker that is extracted from the proofs.",
    "theory": "Run the theorems; report how each is known.",
}


class TerminatedError(KeyboardInterrupt):
    """SIGTERM, outside of training."""

    signal = signal.SIGTERM


class SortnetGroup(click.Group):
    """A group whose commands are imported when they run, and whose failures are one line."""

    debug = False
    leaving = False  # whether the process ends with the command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"sortnet.cli.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        _add_debug(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"no such command {args[0]!r}{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:  # before click adds an empty line and forgets the signal
            self._stopped(stop)

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run the command line: exit code 0 only on success, one line instead of a traceback.

        Ctrl-C exits with 130, SIGTERM with 143. Signals are handled afterwards as before.
        """
        self.debug = False
        _write_any_text()
        try:
            with _terminated_by_signal():
                code = super().main(args, prog_name="sortnet", standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            hint = f" (see {context.command_path} --help)" if context is not None else ""
            self._fail(error.format_message() + hint, error.exit_code)
        except (KeyboardInterrupt, click.Abort) as error:
            self._stopped(error)
        except ModuleNotFoundError as error:
            self._fail(f"{error}; install it with: pip install 'sortnet[{_extra(error)}]'", 1)
        except (ValueError, OSError, RuntimeError, ImportError) as error:
            self._fail(str(error), 1)
        sys.exit(code if isinstance(code, int) else 0)

    def _stopped(self, error: BaseException) -> NoReturn:
        # torchrun ends the others when one process of a run has left; this one is leaving already.
        # One that goes on must not ignore it: its children would too, and pools could not end them.
        if self.leaving:
            _ignore(signal.SIGTERM)
        number = getattr(error, "signal", signal.SIGINT)
        default = "terminated" if number == signal.SIGTERM else "interrupted"
        self._fail(str(error) or default, 128 + number)

    def _fail(self, message: str, code: int) -> NoReturn:
        if self.debug:
            traceback.print_exc()
        click.echo(f"sortnet: error: {' '.join(message.split())}", err=True)
        sys.exit(code)


def _debug_option() -> click.Option:
    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        group = ctx.find_root().command
        if value and isinstance(group, SortnetGroup):
            group.debug = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=remember,
        help="Show where an error comes from.",
    )


def _add_debug(command: click.Command) -> None:
    """`--debug` is understood wherever it stands."""
    if not any("--debug" in parameter.opts for parameter in command.params):
        command.params.append(_debug_option())
    for sub in command.commands.values() if isinstance(command, click.Group) else ():
        _add_debug(sub)


def _write_any_text() -> None:
    """A character that the output's encoding lacks is written escaped, and fails no command.

    Pipes are not UTF-8 on Windows, and file names may be anything.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def _terminated_by_signal() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that no temporary file stays. Training has its own way."""

    def handler(number: int, frame: FrameType | None) -> NoReturn:
        raise TerminatedError

    try:
        previous = signal.signal(signal.SIGTERM, handler)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is handler:
            signal.signal(signal.SIGTERM, previous)


def _ignore(signum: signal.Signals) -> None:
    try:
        signal.signal(signum, signal.SIG_IGN)
    except ValueError:  # not the main thread
        return


def _extra(error: ModuleNotFoundError) -> str:
    name = error.name or ""
    if name == "onnxruntime":
        return "onnxruntime"
    return "theory" if name in ("sympy", "hypothesis") else "train"


cli = SortnetGroup(
    name="sortnet",
    params=[_debug_option()],
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Networks that carry their own l-infinity robustness certificate.

    \b
    Try:
      sortnet quickstart                    everything once, on digits, in about a minute
      sortnet train fashion-mnist-0.1       train a preset
      sortnet COMMAND --help                explains each command
    """,
)
cli = click.version_option(__version__)(cli)
main = cli.main


def command() -> NoReturn:
    """The process `sortnet`, which ends with its command."""
    cli.leaving = True
    main()
