"""The application: its subcommands, and how one of them is run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from mpi4py import MPI

from cyclopts import App, CycloptsError, Parameter
from docstring_parser import parse
from rich.console import Console

from hmm.commands.checking import check_command
from hmm.commands.creating import new_command
from hmm.commands.homogenizing import homogenize_command
from hmm.commands.information import info_command
from hmm.commands.laminating import laminate_command
from hmm.commands.replaying import replay_command
from hmm.commands.reporting import report_command
from hmm.commands.schemas import schema_command
from hmm.commands.serving import serve_command
from hmm.commands.simulating import run_command
from hmm.commands.sweeping import sweep_command
from hmm.commands.talking import Talk
from hmm.commands.testing import test_command
from hmm.foundation.console import Paper, say
from hmm.foundation.errors import InputError
from hmm.foundation.version import VERSION

COMMANDS: tuple[Callable[..., Any], ...] = (
    new_command,
    check_command,
    run_command,
    homogenize_command,
    test_command,
    laminate_command,
    sweep_command,
    serve_command,
    report_command,
    schema_command,
    replay_command,
    info_command,
)
"""The functions of the subcommands, whose names end with ``_command``, in the order of the help."""


def application(console: Console | None = None) -> App:
    """The command ``hmm`` with its subcommands.

    Parameters
    ----------
    console
        Where help and version are printed.
    """
    app = App(
        "hmm",
        help="FE2 and computational homogenization on FEniCSx.",
        help_epilogue="See 'hmm COMMAND --help' for the arguments of a command and an example.",
        help_format="plaintext",
        version=f"hmm {VERSION}",
        console=console,
        default_parameter=Parameter(negative="", show_default=False),
    )
    for command in COMMANDS:
        _add(app, command)

    def completion_command(shell: Literal["bash", "zsh", "fish"], /) -> None:
        """Print a script that completes the command in a shell.

        Parameters
        ----------
        shell
            bash, zsh or fish.

        Examples
        --------
        hmm completion bash > ~/.local/share/bash-completion/completions/hmm
        """
        say(MPI.COMM_WORLD, app.generate_completion(shell=shell).rstrip())

    _add(app, completion_command)
    return app


def _add(app: App, command: Callable[..., Any]) -> None:
    app.command(command, name=command_name(command), help_epilogue=epilogue(command))


def command_name(command: Callable[..., Any]) -> str:
    """The name of a subcommand in the shell."""
    return command.__name__.removesuffix("_command").replace("_", "-")


def epilogue(command: Callable[..., Any]) -> str:
    """The examples of a subcommand, from the section in its docstring."""
    lines = [line for example in parse(inspect.getdoc(command) or "").examples for line in _lines(example.description)]
    return "\n".join(["Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])


def _lines(text: str | None) -> Iterable[str]:
    return (line.strip() for line in (text or "").splitlines() if line.strip())


def dispatch(argv: Sequence[str] | None = None) -> None:
    """Run a subcommand with the given arguments, by default those of the process (collective).

    Rank 0 prints. What the function of the subcommand returns is the result that ``--json`` prints.

    Raises
    ------
    InputError
        If an argument is unknown, missing or wrong.
    """
    app = application(Console(quiet=True) if MPI.COMM_WORLD.rank else Paper())
    try:
        command, bound, _ = app.parse_args(argv, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        where = " ".join(["hmm", *(error.command_chain or ())])
        raise InputError(f"{' '.join(str(error).split()).rstrip('.')}: see '{where} --help'") from None
    if isinstance(getattr(command, "__self__", None), App):
        _print_about(command, bound)
        return
    talk = bound.kwargs.get("talk") or Talk()
    with talk.applied():
        result = command(*bound.args, **bound.kwargs)
    talk.tell(result)


def _print_about(command: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """Print the help or the version."""
    command(*bound.args, **bound.kwargs)
    if command.__name__ == App.version_print.__name__:
        raise SystemExit(0)
