"""What the commands share: the application, the options that several of them take, and how one asks a Lab."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import anyio
import typer
from typer.core import TyperCommand, TyperGroup

from nyxlab.errors import InputRefused
from nyxlab.lab.views import console
from nyxlab.lab.views.console import say

if TYPE_CHECKING:
    from nyxlab.lab.lab import Lab
    from nyxlab.lab.views.progress import RunProgress

T = TypeVar("T")
TEXTS = (".txt", ".md", ".prompt")
FAILED, REFUSED, PAUSED, FAILED_VERDICT, INTERRUPTED = 1, 2, 3, 4, 130
CARRIES_ON = "the same command carries on: what is recorded is not bought again"

Loudness = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")]
Details = Annotated[bool, typer.Option("--verbose", "-v", help="Say more: each call, each finding.")]


class _FlagsByName:
    """Of a command or a group: a flag takes no value, so it stands in ``--help`` without ``<bool>``."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # of the command that it is mixed into
        for each in params:
            if getattr(each, "is_flag", False) and each.metavar is None:
                each.metavar = ""
        return params


class _Command(_FlagsByName, TyperCommand):
    pass


class _Group(_FlagsByName, TyperGroup):
    pass


class Commands(typer.Typer):
    """An application whose commands all take ``--quiet`` and ``--verbose``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=_Group, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[T], T]:
        """Register a command, as `typer.Typer.command` does."""
        register = super().command(name, cls=_Command, **options)

        def keep(function: T) -> T:
            register(_with_loudness(cast("Callable[..., Any]", function)))
            return function

        return keep


def _with_loudness(command: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def loud(*, quiet: bool, verbose: bool, **given: Any) -> Any:
        console.set_loudness(quiet=quiet, verbose=verbose)
        return command(**given)

    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Loudness), ("verbose", Details))
    ]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in signature.parameters.values()]
    loud.__signature__ = inspect.Signature([*parameters, *more])  # type: ignore[attr-defined]  # typer reads it
    loud.__annotations__ = {each.name: each.annotation for each in (*parameters, *more)}
    return loud


app = Commands(
    name="nyxlab",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Review a plan (is it consistent enough to build?), and compare providers of models (who should do this step,"
        " at what cost and how fast?).\n\nCael is the name of nyxlab's reviewer: his rules read plans without"
        " any model; where you name providers, they read too, and one that you name as judge compares answers for him."
        "\n\nA provider is VENDOR:MODEL, optionally with sampling: openai:gpt-5.5?temperature=0.8&seed=7."
        " Without a key: local:smollm2-135m, hand:NAME (you answer), script:FILE#CHANNEL."
        " A run is named by any beginning of its id, or `last`."
        " Tab completion: nyxlab --install-completion."
    ),
    epilog="Example: nyxlab review plan.md",
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
    is_file = os.path.isfile(given)  # noqa: PTH113 - no error for what cannot be a name
    if any(c.isspace() for c in given) or not (is_file or path.suffix in TEXTS):
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


def from_here(path: Path) -> Path:
    """Return a path as people read it: from the working folder, where it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
