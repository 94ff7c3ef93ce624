"""The command line: every command is one call of a Lab verb, and says its outcome to a person or a program."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

# Else pydantic would read the metadata of every installed package in search of plug-ins, a tenth of a second long.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from nyxlab import __version__

# Importing them registers their commands, in the order of --help.
from nyxlab.cli import runs, plans, amend, bench, ops  # isort: skip
from nyxlab.cli.base import FAILED, INTERRUPTED, app
from nyxlab.errors import NyxlabError
from nyxlab.lab.views.console import out, say

__all__ = ["amend", "app", "bench", "main", "ops", "plans", "runs"]


def main() -> None:
    """Run the command line; every error of ours is one sentence and an exit code."""
    try:
        app()
    except NyxlabError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has seen enough
        sys.exit(FAILED)


def _version(wanted: bool) -> None:
    if wanted:
        out(f"nyxlab {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    # No docstring: typer would show it instead of the application's help.
    if context.invoked_subcommand is None:
        from nyxlab.cli.standing import show_standing  # with the ledger, which a command may not need

        show_standing()
