"""What the commands share: the application, the options that several of them take, and how one asks a Lab."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import anyio
import typer

from nyxlab.errors import InputRefused
from nyxlab.lab.views.console import say

if TYPE_CHECKING:
    from nyxlab.lab.lab import Lab
    from nyxlab.lab.views.progress import RunProgress

T = TypeVar("T")
TEXTS = (".txt", ".md", ".prompt")
FAILED, REFUSED, PAUSED, FAILED_VERDICT, INTERRUPTED = 1, 2, 3, 4, 130
CARRIES_ON = "the same command carries on: what is recorded is not bought again"

app = typer.Typer(
    name="nyxlab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which provider should do this step, at what cost and how fast; and is this plan consistent enough to build?",
)

Store = Annotated[str | None, typer.Option("--store", metavar="URL", help="The ledger, instead of nyxlab.toml's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Providers = Annotated[str | None, typer.Option(metavar="A[,B]", help="Replace every step's providers by these.")]
Judge = Annotated[str | None, typer.Option(metavar="J", help="The provider that judges for Cael.")]
Budget = Annotated[str | None, typer.Option(metavar="USD", help="Pause rather than spend more than this.")]
Forecast = Annotated[bool, typer.Option("--forecast", help="Say what it may cost at most, and stop.")]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="A run: its id, any beginning of it that is enough, or `last`.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="PATH", help="Write to this file.")]
Lenses = Annotated[
    list[str] | None, typer.Option("--lens", metavar="NAME", help="This question, not the reader's; may be repeated.")
]


def open_lab(store: str | None = None) -> Lab:
    """Return the lab of the project that the working folder lies in."""
    from nyxlab.lab.lab import Lab  # it brings the engine, its database and the providers: a review of files needs none

    return Lab(store)


def ask_lab(lab: Lab, work: Callable[[Lab], Awaitable[T]]) -> T:
    """Run one verb in an event loop of its own."""

    async def inside() -> T:
        async with lab:
            return await work(lab)

    return anyio.run(inside)


def watch_lab(
    lab: Lab, work: Callable[[Lab, RunProgress], Awaitable[T]], interrupted: Callable[[str | None], str]
) -> T:
    """Run long work with its progress on a terminal; ``interrupted`` says, given the run's id, how to carry on."""
    from nyxlab.lab.views.progress import RunProgress  # its bars load slowly

    with RunProgress() as progress:
        try:
            return ask_lab(lab, lambda lab: work(lab, progress))
        except KeyboardInterrupt:
            say(f"interrupted; {interrupted(progress.run_id)}")
            raise typer.Exit(INTERRUPTED) from None


def prompt_of(given: str) -> str | Path:
    """Return the prompt that an argument means: its words, standard input for ``-``, a file's text, or many (.jsonl).

    A name of a file is never sent as the prompt itself.
    """
    path = Path(given)
    if given == "-":
        return sys.stdin.read()
    if path.suffix == ".jsonl":
        return path.absolute()
    if any(c.isspace() for c in given) or not (path.suffix in TEXTS or os.path.isfile(given)):  # noqa: PTH113 - no error for what cannot be a name
        return given
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputRefused(f"{given}: no such file, or not UTF-8 text; a prompt has more than one word") from None
    say(f"{given} is a file: its {len(text):,} characters are the prompt")
    return text


def is_run(text: str) -> bool:
    """Whether an argument can only be a run's id: no file, no folder, no ending."""
    return not Path(text).exists() and "/" not in text and not Path(text).suffix
