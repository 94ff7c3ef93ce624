"""What a terminal is told: lines and tables without markup, JSON, files, and what is said beside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nyxlab.errors import InputRefused
from nyxlab.lab.views.wording import plain

STDERR = Console(stderr=True, highlight=False, markup=False, emoji=False)


class _Loudness:
    quiet = False
    verbose = False


LOUDNESS = _Loudness()  # of this process, as the command's --quiet and --verbose say


def set_loudness(*, quiet: bool, verbose: bool) -> None:
    """Take what a command was told: ``note`` and progress are for neither scripts nor whoever wants quiet."""
    LOUDNESS.quiet, LOUDNESS.verbose = quiet, verbose


def out(*lines: str | Table) -> None:
    """Print lines and tables to standard output; no escape sequence of a model's reaches the terminal."""
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 160)
    for line in lines:
        console.print(line if isinstance(line, Table) else Text(plain(line)), soft_wrap=isinstance(line, str))


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table of what is given, its columns as in ``new_table``."""
    table = new_table(*columns)
    for row in rows:
        add_row(table, *row)
    return table


def new_table(*columns: str) -> Table:
    """Return an empty table; a column whose name ends in ``>`` is set to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:  # on a narrow terminal a run's id stays whole, to be copied
        title, whole = name.rstrip(">"), name == "run"
        table.add_column(title, justify="right" if title != name else "left", overflow="fold", no_wrap=whole)
    return table


def add_row(table: Table, *cells: object) -> None:
    """Add a row of plain text; nothing stands for None."""
    table.add_row(*(Text(plain("" if cell is None else str(cell))) for cell in cells))


def say(text: str) -> None:
    """Say something beside the output: standard error, one line, no markup."""
    STDERR.print(f"nyxlab: {plain(text)}", soft_wrap=True)


def note(text: str) -> None:
    """Say what is good to know and not needed: nothing with ``--quiet``."""
    if not LOUDNESS.quiet:
        say(text)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1, default=_number) + "\n")


def _number(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)  # money is text in JSON, so that no reader rounds it
    raise TypeError(f"{type(value).__name__} is not JSON")


def write(text: str, path: Path | None, *, quiet: bool = False) -> None:
    """Write to a file and, unless ``quiet``, say so; or to standard output."""
    if path is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputRefused(f"{path}: cannot be written ({error.strerror}); name another place with --output") from None
    if not quiet:
        note(f"wrote {path}")
