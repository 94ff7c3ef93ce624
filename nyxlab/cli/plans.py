"""Commands about plans: Cael's review, his rules, and the prompt that mends and builds a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nyxlab.cli.base import (
    FAILED,
    FAILED_VERDICT,
    INTERRUPTED,
    PAUSED,
    REFUSED,
    AsJson,
    Forecast,
    Judge,
    Store,
    app,
    ask_lab,
    is_run,
    open_lab,
)
from nyxlab.errors import InputRefused
from nyxlab.lab.console import out, print_json, say, say_forecast, say_who_reads, scores_table, write
from nyxlab.lab.project import SETTINGS, project_root
from nyxlab.lab.reviews import (
    FORMATS,
    Asked,
    Reviewed,
    Terms,
    project_rules,
    review_files,
    written,
    written_all,
)

if TYPE_CHECKING:
    from nyxlab.lab.lab import Lab
    from nyxlab.reviewer.text.document import Document


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
    lens: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This question, not the reader's; may be repeated.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="USD", help="Ask no more than this holds, all plans together.")
    ] = None,
    forecast: Forecast = False,
    store: Store = None,
) -> None:
    """Review a plan, several files as one set, or what a run wrote. The exit code is 4 when the verdict is FAIL, 1 when no model that was asked has answered."""
    ending = (output or "").rpartition(".")[2]
    form = form or (ending if ending in FORMATS else "text")
    if form not in FORMATS:
        raise InputRefused(f"unknown format '{form}': use {', '.join(FORMATS)}")
    if each and form in ("html", "md") and not output:
        raise InputRefused(f"--each writes a page for each plan: name their folder with --output DIR/ for {form}")
    if rules_alone and providers:
        raise InputRefused("--rules leaves models out, and --providers names some: give one of the two")
    here = Path.cwd()
    asked = None if rules_alone else _asked(project_root(here), providers, judge, lens or (), budget)
    if not asked and (judge or lens or budget or forecast):
        raise InputRefused(
            "--judge, --lens, --budget and --forecast are about models: name them with --providers A[,B]"
        )
    terms = Terms.of(project_root(here), here, fail_on=fail_on, repo=repo, baseline=baseline)
    sets = [[one] for one in target] if each else [target]
    if asked:
        reviewed = _read_by_models(open_lab(store), sets, terms, asked, form if forecast else None)
    elif each:
        reviewed = _each(target, terms, store)
    else:
        reviewed = [_reviewed(target, terms, store)]
    if each:
        raise typer.Exit(_write_each(reviewed, terms, form, output))
    write(written(reviewed[0], form, terms.rules), Path(output) if output else None)
    for reason in reviewed[0].unread:
        say(f"not read: {reason}")
    raise typer.Exit(_code(reviewed))


def _asked(
    root: Path, providers: str | None, judge: str | None, lenses: Sequence[str], budget: str | None
) -> Asked | None:
    """Return what is asked of models: of those that the command names, else of those in ``[review]``; None of nobody."""
    if not providers and not (root / SETTINGS).is_file():
        return None
    from nyxlab.settings import reviewing  # the rules alone need no settings

    named = reviewing(root)
    who = providers or named.providers
    return Asked(who, judge or named.judge, lenses, budget if budget is not None else named.budget) if who else None


def _code(found: Sequence[Reviewed]) -> int:
    """Return the exit code that speaks for the worst of some reviews."""
    silent = [one.review.unheard for one in found if one.review and one.review.unheard]
    for reason in dict.fromkeys(silent):
        say(f"no model has read the plan: {reason}")
    if any(one.verdict is None or one.unread for one in found):
        return REFUSED
    if waiting := dict.fromkeys(one.review.waits for one in found if one.review and one.review.waits):
        say(f"paused: {'; '.join(waiting)}; put the answers there, and the same command carries on")
        return PAUSED
    return FAILED if silent else FAILED_VERDICT if any(one.verdict == "FAIL" for one in found) else 0


def _read_by_models(
    lab: Lab, sets: list[list[str]], terms: Terms, asked: Asked, forecast: str | None
) -> list[Reviewed]:
    """Review sets of files with models too, after saying who reads them and what it may cost; ``forecast`` says no more than that."""
    from nyxlab.lab.plans import share_out  # with what it brings, not with every review
    from nyxlab.lab.progress import RunProgress  # its bars load slowly

    async def work(lab: Lab) -> list[Reviewed]:
        here = Path.cwd()
        read: list[tuple[str, Document | Reviewed]] = []
        for one in sets:
            name = " ".join(one)
            try:
                read.append((name, await lab.read(one[0] if len(one) == 1 and is_run(one[0]) else one, base=here)))
            except InputRefused as error:
                if len(sets) == 1:
                    raise
                read.append((name, Reviewed(name, refused=str(error))))
        documents = [each for _, each in read if not isinstance(each, Reviewed)]
        share = share_out(asked, max(1, len(documents)))
        costs = lab.forecast_review(documents, share, terms)
        for name, reason in lab.not_asked(asked).items():
            say(f"{name} is not asked: {reason}")
        if forecast:
            say_forecast(costs, as_json=forecast == "json")
            raise typer.Exit
        say_who_reads(costs, "the plan")
        with RunProgress() as progress:
            return [
                each
                if isinstance(each, Reviewed)
                else Reviewed.of(name, each, terms, await lab.review_document(each, terms, share, progress))
                for name, each in read
            ]

    try:
        return ask_lab(lab, work)
    except KeyboardInterrupt:
        say("interrupted; the same command carries on: what is recorded is not bought again")
        raise typer.Exit(INTERRUPTED) from None


def _reviewed(target: list[str], terms: Terms, store: str | None) -> Reviewed:
    """Review one set of files, or what one run wrote."""
    if len(target) > 1 or not is_run(target[0]):
        return review_files(target, terms, Path.cwd())
    return Reviewed.of(target[0], ask_lab(open_lab(store), lambda lab: lab.read(target[0])), terms)


def _each(targets: list[str], terms: Terms, store: str | None) -> list[Reviewed]:
    """Review each target by itself, telling how each one ends; one that cannot be read does not stop the others."""
    from nyxlab.lab.progress import counted  # its bars load slowly

    found = []
    with counted(len(targets)) as tell:
        for target in targets:
            try:
                found.append(_reviewed([target], terms, store))
            except InputRefused as error:
                found.append(Reviewed(target, refused=str(error)))
            tell(f"{target}: {found[-1].told}")
    return found


def _write_each(found: list[Reviewed], terms: Terms, form: str, output: str | None) -> int:
    """Write many reviews; return the exit code that speaks for the worst of them."""
    pages = written_all(found, form, terms.rules)
    index = next(iter(pages))
    if output and form not in ("json", "sarif"):
        for name, text in pages.items():
            write(text, Path(output) / name, quiet=name != index)
    else:
        write("\n".join([*list(pages.values())[1:], pages[index]]), Path(output) if output else None)
    return _code(found)


CAUTION = (
    "The rules are measured on the kinds of fault that they were written for: read their rows as a check that they can read"
    " your plan's form, and a model's row as what it finds of such faults."
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
    lens: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This question, not the reader's; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Other faults at other places.")] = 0,
    budget: Annotated[
        str | None, typer.Option(metavar="USD", help="For all the reviews that it takes together.")
    ] = None,
    as_json: AsJson = False,
    store: Store = None,
) -> None:
    """Plant labelled faults in copies of clean plans and show who finds them: recall, precision, cost per rule, lens, provider."""
    from nyxlab.lab.progress import RunProgress  # its bars load slowly

    lab = open_lab(store)
    with RunProgress() as progress:
        try:
            found = ask_lab(
                lab,
                lambda lab: lab.measure(
                    plans, providers=providers, judge=judge, lenses=lens or (), seed=seed, budget=budget, base=Path.cwd(),
                    on_costs=lambda costs: say_who_reads(costs, "the plans"), on_event=progress,
                ),
            )  # fmt: skip
        except KeyboardInterrupt:
            say("interrupted; the same command carries on: what is recorded is not bought again")
            raise typer.Exit(INTERRUPTED) from None
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

    It is the plan itself, cut into its own phases: every line stands in exactly one of header, phases and appendix, with the
    findings beside it. The plan is read again from where it was reviewed.
    """
    compiled = open_lab().prompt(review_file.absolute(), budget_tokens=budget_tokens)
    if output is None or not output.endswith("/"):
        return write(compiled.to_markdown(), Path(output) if output else None)
    for name, text in compiled.files().items():
        write(text, Path(output) / name)
    return None
