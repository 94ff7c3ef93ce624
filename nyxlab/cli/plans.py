"""Commands about plans: Cael's review, his rules, and the prompt that mends and builds a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nyxlab.cli.base import CARRIES_ON, AsJson, Forecast, Judge, Lenses, Store, app, open_lab, watch_lab
from nyxlab.errors import InputRefused, did_you_mean
from nyxlab.lab.project import project_root
from nyxlab.lab.views.console import out, print_json, write
from nyxlab.lab.views.wording import FORMATS

if TYPE_CHECKING:
    from nyxlab.lab.lab import Lab
    from nyxlab.lab.reviews.measuring import Measurement
    from nyxlab.lab.views.progress import RunProgress


@app.command(epilog="Example: nyxlab review plan.md spec.md --repo . --format html --output review.html")
def review(
    target: Annotated[
        list[str],
        typer.Argument(metavar="FILE…|RUN|-", help="Files that form one set, folders, one run, or - (piped in)."),
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
    from nyxlab.cli import reviewing  # what a review needs is loaded for it, not for --help

    asked = None if rules_alone else reviewing.asked_of(providers, judge, lens or (), budget)
    if not asked and (judge or lens or budget or forecast):
        raise InputRefused(
            "--judge, --lens, --budget and --forecast are about models: name them with --providers A[,B]"
        )
    code = reviewing.review(
        target, asked, each=each, form=form, output=output, fail_on=fail_on, repo=repo, baseline=baseline,
        forecast=forecast, store=store,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command(epilog="Example: nyxlab watch plan.md")
def watch(
    target: Annotated[list[str], typer.Argument(metavar="FILE…", help="Files that form one set, or a folder.")],
    repo: Annotated[Path | None, typer.Option(metavar="DIR", help="Check new and modified files against it.")] = None,
    providers: Annotated[
        str | None, typer.Option(metavar="A[,B]", help="Have these read it too, on each save; else the rules alone.")
    ] = None,
    budget: Annotated[str | None, typer.Option(metavar="USD", help="For each of these readings.")] = None,
    store: Store = None,
) -> None:
    """Review a plan again on each save, and show what that changed: findings that are new, and those that are fixed."""
    from nyxlab.cli import watching  # with the reviewer
    from nyxlab.lab.reviews.terms import Asked

    if missing := [name for name in target if not Path(name).exists()]:
        raise InputRefused(f"{missing[0]}: there is no such file to watch")
    watching.watch(target, Asked(providers, budget=budget) if providers else None, repo, store)


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
    from nyxlab.lab.views.tables import say_who_reads, scores_table  # as above

    async def work(lab: Lab, progress: RunProgress) -> Measurement:
        return await lab.measure(
            plans, providers=providers, judge=judge, lenses=lens or (), seed=seed, budget=budget, base=Path.cwd(),
            on_costs=lambda costs: say_who_reads(costs, "the plans"), on_event=progress,
        )  # fmt: skip

    found = watch_lab(open_lab(store), work, lambda _: CARRIES_ON)
    if as_json:
        return print_json(found.to_json())
    out(CAUTION, "")
    out(f"{found.planted} faults planted in {found.copies} copies of {', '.join(found.plans)}")
    out(f"{found.clean_findings} findings on the plan as it is: they count nowhere below", "")
    missing = [f"{told.name}: {told.status}: {told.reason}" for told in found.passes_missing]
    return out(scores_table(found.scores), "", *missing)


@app.command(epilog="Example: nyxlab rules broken-link")
def rules(
    rule_id: Annotated[str | None, typer.Argument(metavar="[RULE]", help="This one alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """List every rule and lesson of Cael's: what it claims, the severities it can give, an example."""
    from nyxlab.lab.own import project_rules  # with the reviewer

    listed = [rule.to_json() for rule in project_rules(project_root(Path.cwd())) if rule_id in (None, rule.id)]
    if not listed:
        known = [rule.id for rule in project_rules(project_root(Path.cwd()))]
        raise InputRefused(
            f"no rule '{str(rule_id)[:80]}'{did_you_mean(str(rule_id), known) or '; nyxlab rules lists them'}"
        )
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
