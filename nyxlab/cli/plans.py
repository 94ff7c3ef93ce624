"""Commands about plans: Cael's review, his rules, and the prompt that mends and builds a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nyxlab.cli.base import (
    CARRIES_ON,
    FAILED,
    FAILED_VERDICT,
    PAUSED,
    REFUSED,
    AsJson,
    Forecast,
    Judge,
    Lenses,
    Store,
    app,
    ask_lab,
    is_run,
    open_lab,
    watch_lab,
)
from nyxlab.errors import InputRefused
from nyxlab.lab.own import TEMPLATES, project_rules
from nyxlab.lab.project import SETTINGS, project_root
from nyxlab.lab.reviews.terms import Asked, Reviewed, Target, Terms, named, review_files
from nyxlab.lab.views.console import out, print_json, say, say_forecast, say_who_reads, scores_table, write
from nyxlab.lab.views.written import FORMATS, write_each, written

if TYPE_CHECKING:
    from nyxlab.lab.lab import Lab
    from nyxlab.lab.reviews.measuring import Measurement
    from nyxlab.lab.views.progress import RunProgress


@app.command(epilog="Example: nyxlab review plan.md spec.md --repo . --format html --output review.html")
def review(
    target: Annotated[
        list[str], typer.Argument(metavar="FILE…|RUN", help="Files that form one set, folders, or one run.")
    ],
    rules_alone: Annotated[
        bool, typer.Option("--rules", help="The rules alone: no model is asked, whatever the settings name.")
    ] = False,
    each: Annotated[bool, typer.Option("--each", help="Review each file and each folder by itself.")] = False,
    repo: Annotated[Path | None, typer.Option(metavar="DIR", help="Check new and modified files against it.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="REVIEW.json", help="An earlier review: only what is new can fail.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="|".join(FORMATS), help="How to write it; else by --output's ending."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="A file; with --each a folder for html and md.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(metavar="LEVEL", help="FAIL from critical, high, medium or low on.")
    ] = "critical",
    providers: Annotated[
        str | None,
        typer.Option(
            metavar="A[,B]", help="Have these read it too, each by itself; else those that nyxlab.toml names."
        ),
    ] = None,
    judge: Annotated[str | None, typer.Option(metavar="J", help="Who tries to refute what they find.")] = None,
    lens: Lenses = None,
    budget: Annotated[
        str | None, typer.Option(metavar="USD", help="Ask no more than this holds, all plans together.")
    ] = None,
    forecast: Forecast = False,
    store: Store = None,
) -> None:
    """Review a plan, several files as one set, or what a run wrote.

    The exit code is 4 when the verdict is FAIL, 1 when no model that was asked has answered.
    """
    ending = (output or "").rpartition(".")[2]
    form = form or (ending if ending in FORMATS else "text")
    if form not in FORMATS:
        raise InputRefused(f"unknown format '{form}': use {', '.join(FORMATS)}")
    if each and form in ("html", "md") and not output:
        raise InputRefused(f"--each writes a page for each plan: name their folder with --output DIR/ for {form}")
    if rules_alone and providers:
        raise InputRefused("--rules leaves models out, and --providers names some: give one of the two")
    root = project_root(Path.cwd())
    asked = None if rules_alone else _asked(root, providers, judge, lens or (), budget)
    if not asked and (judge or lens or budget or forecast):
        raise InputRefused(
            "--judge, --lens, --budget and --forecast are about models: name them with --providers A[,B]"
        )
    terms = Terms.of(root, Path.cwd(), fail_on=fail_on, repo=repo, baseline=baseline)
    sets: list[str | list[str]] = [one if is_run(one) else [one] for one in target]
    if not each and (len(target) > 1 or isinstance(sets[0], list)):
        sets = [list(target)]
    if asked:
        reviewed = _read_by_models(sets, terms, asked, store, form if forecast else None)
    else:
        reviewed = _held_to_rules(sets, terms, store)
    if each:
        write_each(reviewed, form, terms.rules, output, root / TEMPLATES)
    else:
        write(written(reviewed[0], form, terms.rules, root / TEMPLATES), Path(output) if output else None)
        for reason in reviewed[0].unread:
            say(f"not read: {reason}")
    raise typer.Exit(_code(reviewed))


def _asked(
    root: Path, providers: str | None, judge: str | None, lenses: Sequence[str], budget: str | None
) -> Asked | None:
    """Return what is asked of models: of those that the command names, else of those in ``[review]``.

    None of nobody.
    """
    if not providers and not (root / SETTINGS).is_file():
        return None
    from nyxlab.settings import reviewing  # the rules alone need no settings

    named = reviewing(root)
    who = providers or named.providers
    return Asked(who, judge or named.judge, lenses, budget if budget is not None else named.budget) if who else None


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
        costs = prepared.costs
        for name, reason in prepared.not_asked.items():
            say(f"{name} is not asked: {reason}")
        if forecast:
            say_forecast(costs, as_json=forecast == "json")
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


CAUTION = (
    "The rules are measured on the kinds of fault that they were written for: read their rows as a check that they can"
    " read your plan's form, and a model's row as what it finds of such faults."
)


@app.command(
    epilog="Example: nyxlab measure docs/plan.md --providers anthropic:claude-sonnet-5-5,openai:gpt-5.5 --budget 2"
)
def measure(
    plans: Annotated[
        list[str], typer.Argument(metavar="PLAN…", help="Clean plans of your own; each is measured by itself.")
    ],
    providers: Annotated[str | None, typer.Option(metavar="A[,B]", help="Measure these too, each by itself.")] = None,
    judge: Judge = None,
    lens: Lenses = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Other faults at other places.")] = 0,
    budget: Annotated[
        str | None, typer.Option(metavar="USD", help="For all the reviews that it takes together.")
    ] = None,
    as_json: AsJson = False,
    store: Store = None,
) -> None:
    """Plant labelled faults in copies of clean plans and show who finds them: recall, precision and cost of each."""

    async def work(lab: Lab, progress: RunProgress) -> Measurement:
        return await lab.measure(
            plans, providers=providers, judge=judge, lenses=lens or (), seed=seed, budget=budget, base=Path.cwd(),
            on_costs=lambda costs: say_who_reads(costs, "the plans"), on_event=progress,
        )  # fmt: skip

    found = watch_lab(open_lab(store), work, lambda _: CARRIES_ON)
    if as_json:
        return print_json(found.to_json())
    out(f"{found.planted} faults planted in {found.copies} copies of {', '.join(found.plans)}")
    out(f"{found.clean_findings} findings on the plan as it is: they count nowhere below", "")
    missing = [f"{told.name}: {told.status}: {told.reason}" for told in found.passes_missing]
    return out(scores_table(found.scores), "", *missing, CAUTION)


@app.command(epilog="Example: nyxlab rules --json")
def rules(as_json: AsJson = False) -> None:
    """List every rule and lesson of Cael's: what it claims, the severities it can give, an example."""
    listed = [rule.to_json() for rule in project_rules(project_root(Path.cwd()))]
    if as_json:
        return print_json(listed)
    for rule in listed:
        out(f"{rule['id']} ({rule['kind']}): {rule['claim']}")
        out(*(f"  {level}: {reason}" for level, reason in rule["severities"].items()))
        shown = rule["example"] if isinstance(rule["example"], str) else "\n".join(rule["example"].values())
        out(*(f"  | {line}" for line in shown.strip().splitlines()), "")
    return None


@app.command(epilog="Example: nyxlab prompt review.json --output phases/")
def prompt(
    review_file: Annotated[Path, typer.Argument(metavar="REVIEW.json", help="From `nyxlab review … --format json`.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="A file, or a folder ending in /.")
    ] = None,
    budget_tokens: Annotated[
        int, typer.Option(min=200, metavar="N", help="Split a phase over this many tokens between its tasks.")
    ] = 8_000,
) -> None:
    """Write the phased implementation prompt: one file, or (a path that ends in /) one per phase and the JSON twin.

    It is the plan itself, cut into its own phases: every line stands in exactly one of header, phases and appendix,
    with the findings beside it. The plan is read again from where it was reviewed.
    """
    compiled = open_lab().prompt(review_file.absolute(), budget_tokens=budget_tokens)
    if output is None or not output.endswith("/"):
        return write(compiled.to_markdown(), Path(output) if output else None)
    for name, text in compiled.files().items():
        write(text, Path(output) / name)
    return None
