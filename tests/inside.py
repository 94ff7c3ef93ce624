"""The command line inside this process: as a program would be called, without a start of Python each time."""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path
from subprocess import CompletedProcess

from typer.testing import CliRunner

from nyxlab.cli import app
from nyxlab.errors import NyxlabError


def nyxlab(folder: Path, *words: str, given: str = "", **environment: str) -> CompletedProcess[str]:
    """Call nyxlab in a folder; what it refuses is told as `main` does."""
    clean = {name: None for name in os.environ if name.startswith("AUTH_SECRET")}
    with chdir(folder):
        done = CliRunner().invoke(app, list(words), input=given, env=clean | environment, prog_name="nyxlab")
    if isinstance(done.exception, NyxlabError):
        said = f"{done.stderr}nyxlab: {done.exception}\n"
        return CompletedProcess(words, done.exception.exit_code, done.stdout, said)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return CompletedProcess(words, done.exit_code, done.stdout, done.stderr)
