"""The work of `nyxlab review`, apart from its options, so that `--help` does not load it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nyxlab.cli.base import (
    CARRIES_ON,
    FAILED,
    FAILED_VERDICT,
    PAUSED,
    REFUSED,
    ask_lab,
    is_run,
    open_lab,
    watch_lab,
)
from nyxlab.errors import InputRefused
from nyxlab.lab.own import TEMPLATES
from nyxlab.lab.project import SETTINGS, project_root
from nyxlab.lab.reviews.terms import Asked, Reviewed, Target, Terms, named, review_files
from nyxlab.lab.views.console import say, write
from nyxlab.lab.views.tables import say_forecast, say_who_reads
from nyxlab.lab.views.written import write_each, written
from nyxlab.reviewer.review import fault_of
from nyxlab.reviewer.text.document import Document, parse_documents

if TYPE_CHECKING:
    from nyxlab.lab.lab import Lab
    from nyxlab.lab.views.progress import RunProgress


def review(
    targets: Sequence[str],
    asked: Asked | None,
    *,
    each: bool,
    form: str,
    output: str | None,
    fail_on: str,
    repo: Path | None,
    baseline: Path | None,
    forecast: bool,
    store: str | None,
) -> int:
    """Review what is named, write it in a form, and return the exit code; ``asked``: what models are asked, if any."""
    root = project_root(Path.cwd())
    terms = Terms.of(root, Path.cwd(), fail_on=fail_on, repo=repo, baseline=baseline)
    sets: list[Target] = [standard_input() if one == "-" else one if is_run(one) else [one] for one in targets]
    if not each and len(targets) > 1:
        if "-" in targets:
            raise InputRefused("- is a plan by itself: pipe it in alone, or add --each")
        sets = [list(targets)]
    reviewed = reviews_of(sets, terms, asked, store, form if forecast else None)
    if each:
        write_each(reviewed, form, terms.rules, output, root / TEMPLATES)
    else:
        write(written(reviewed[0], form, terms.rules, root / TEMPLATES), Path(output) if output else None)
        for reason in reviewed[0].unread:
            say(f"not read: {reason}")
    return _code(reviewed)


def standard_input() -> Document:
    """Return what is piped in as a document; its review carries the text, so that `nyxlab prompt` can read it again."""
    text = sys.stdin.read()
    if fault := fault_of(text.encode()):
        raise InputRefused(f"standard input{fault}")
    return parse_documents({"standard-input.md": text})


def reviews_of(
    sets: Sequence[Target], terms: Terms, asked: Asked | None, store: str | None, forecast: str | None = None
) -> list[Reviewed]:
    """Review some sets by the rules, and by models where some are asked; ``forecast`` (a form) says their price."""
    return _read_by_models(sets, terms, asked, store, forecast) if asked else _held_to_rules(sets, terms, store)


def asked_of(providers: str | None, judge: str | None, lenses: Sequence[str], budget: str | None) -> Asked | None:
    """Return what is asked of models: of those that the command names, else of those in ``[review]``.

    None of nobody.
    """
    root = project_root(Path.cwd())
    if not providers and not (root / SETTINGS).is_file():
        return None
    from nyxlab.settings import reviewing  # the rules alone need no settings

    settings = reviewing(root)
    who = providers or settings.providers
    limit = budget if budget is not None else settings.budget
    return Asked(who, judge or settings.judge, lenses, limit) if who else None


def _code(reviewed: Sequence[Reviewed]) -> int:
    """Return the exit code that speaks for the worst of some reviews."""
    reviews = [each.review for each in reviewed if each.review]
    silent = dict.fromkeys(review.unheard for review in reviews if review.unheard)
    for reason in silent:
        say(f"no model has read the plan: {reason}")
    if any(each.verdict is None or each.unread for each in reviewed):
        return REFUSED
    if waiting := dict.fromkeys(review.waits for review in reviews if review.waits):
        say(f"paused: {'; '.join(waiting)}; put the answers there, and the same command carries on")
        return PAUSED
    return FAILED if silent else FAILED_VERDICT if any(each.verdict == "FAIL" for each in reviewed) else 0


def _read_by_models(
    sets: Sequence[Target], terms: Terms, asked: Asked, store: str | None, forecast: str | None
) -> list[Reviewed]:
    """Review with models too, after saying who reads and what it may cost.

    ``forecast`` (a form) says no more than that.
    """

    async def work(lab: Lab, progress: RunProgress) -> list[Reviewed]:
        prepared = await lab.prepare_review(sets, terms, asked, base=Path.cwd())
        if forecast:
            say_forecast(prepared.prices, as_json=forecast == "json")
        for name, reason in prepared.not_asked.items():
            say(f"{name} {'would not be' if forecast else 'is not'} asked: {reason}")
        if forecast:
            raise typer.Exit
        say_who_reads(prepared.readers, "the plan")
        return await prepared.run(progress)

    return watch_lab(open_lab(store), work, lambda _: CARRIES_ON)


def _held_to_rules(sets: Sequence[Target], terms: Terms, store: str | None) -> list[Reviewed]:
    """Review by the rules alone; of several sets, one that cannot be read does not stop the others."""
    if len(sets) == 1:
        return [_by_rules(sets[0], terms, store)]
    from nyxlab.lab.views.progress import counted  # its bars load slowly

    reviewed = []
    with counted(len(sets)) as tell:
        for target in sets:
            try:
                reviewed.append(_by_rules(target, terms, store))
            except InputRefused as error:
                reviewed.append(Reviewed(named(target), refused=str(error)))
            tell(f"{reviewed[-1].name}: {reviewed[-1].outcome}")
    return reviewed


def _by_rules(target: Target, terms: Terms, store: str | None) -> Reviewed:
    if not isinstance(target, str):
        return review_files(target, terms, Path.cwd())
    (reviewed,) = ask_lab(open_lab(store), lambda lab: _of_run(lab, target, terms))
    return reviewed


async def _of_run(lab: Lab, target: str, terms: Terms) -> list[Reviewed]:
    return await (await lab.prepare_review([target], terms, Asked())).run()
