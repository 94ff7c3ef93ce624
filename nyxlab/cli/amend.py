"""The command that mends a plan: decisions and edits that close findings, checked, in a copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nyxlab.cli.base import CARRIES_ON, PAUSED, REFUSED, Store, app, open_lab, watch_lab
from nyxlab.errors import InputRefused
from nyxlab.lab.views.console import out, say
from nyxlab.lab.views.wording import money

if TYPE_CHECKING:
    from nyxlab.lab.lab import Lab
    from nyxlab.lab.reviews.mending import Amendment
    from nyxlab.lab.views.progress import RunProgress


@app.command(epilog="Example: nyxlab amend review.json --provider anthropic:claude-sonnet-5-5 --finding F-001")
def amend(
    review_file: Annotated[Path, typer.Argument(metavar="REVIEW.json", help="From `nyxlab review … --format json`.")],
    provider: Annotated[
        str | None, typer.Option(metavar="P", help="Who decides each finding and gives the edits.")
    ] = None,
    finding: Annotated[
        list[str] | None, typer.Option(metavar="F-001", help="This finding, not all that are open; may be repeated.")
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Decisions that are made already, such as a filled in decisions.yaml."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where to write, instead of REVIEW-amended/.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="USD", help="Ask nothing if it may cost more than this.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Change the plan itself too; only in git, with all committed.")
    ] = False,
    store: Store = None,
) -> None:
    """Decide findings and mend the plan in a copy: decisions, a patch for git, the amended plan and its review.

    Without a provider and without decisions, a file of decisions is written to fill in. Every edit is checked: its old
    words stand there once, or it is refused by name. The exit code is 3 while answers by hand are missing, 2 when an
    edit was refused.
    """
    from nyxlab.lab.reviews.documents import read_review  # with the reviewer, which --help needs not
    from nyxlab.lab.reviews.mending import (  # with YAML and git, which no other command needs
        DECISIONS,
        is_form,
        refuse_over_plan,
    )

    folder = output or review_file.with_name(f"{review_file.stem}-amended")
    if provider and decisions:
        raise InputRefused("--provider asks for decisions, and --decisions has them: give one of the two")
    if not provider and not decisions:
        if apply:
            raise InputRefused("--apply needs decisions: name a file with --decisions, or a --provider")
        return _form(review_file, finding or [], folder / DECISIONS)
    refuse_over_plan(folder, Path.cwd(), [each.path for each in read_review(review_file).documents])
    if provider and is_form(folder / DECISIONS):
        raise InputRefused(f"{folder / DECISIONS} is a person's: give it with --decisions, or name another --output")
    from nyxlab.lab.views.tables import say_who_reads

    async def work(lab: Lab, progress: RunProgress) -> Amendment:
        return await lab.amend(
            review_file, provider=provider, findings=finding or (), decisions=decisions, budget=budget,
            base=Path.cwd(), on_costs=lambda costs: say_who_reads(costs, "the plan"), on_event=progress,
        )  # fmt: skip

    found = watch_lab(open_lab(store), work, lambda _: CARRIES_ON)
    if found.waiting:
        say(f"paused: {found.waiting}; put the answers there, and the same command carries on")
        raise typer.Exit(PAUSED)
    try:
        if apply:
            found.apply()
    finally:  # what was decided is there, applied or not
        found.write(folder)
    _tell(found, folder, applied=apply)
    if found.review.waits:
        say(f"not read again yet: {found.review.waits}; put the answers there, and the same command carries on")
    raise typer.Exit(REFUSED if found.refused else PAUSED if found.review.waits else 0)


def _form(review_file: Path, wanted: list[str], file: Path) -> None:
    from nyxlab.lab.reviews.documents import read_review  # as above
    from nyxlab.lab.reviews.mending import chosen_findings, decisions_form

    review = read_review(review_file)
    chosen = chosen_findings(review, wanted)
    if file.exists():
        raise InputRefused(f"{file} exists already: fill it in and give it with --decisions, or name another --output")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(decisions_form(review, chosen, review_file, file), encoding="utf-8")
    many = f"{len(chosen)} findings wait" if len(chosen) > 1 else "1 finding waits"
    out(f"{file}: {many} for a decision; fill it in, then: nyxlab amend {review_file} --decisions {file}")


def _tell(found: Amendment, folder: Path, *, applied: bool) -> None:
    """Say what was decided, what that closed, and where it all is."""
    for decision in found.decisions:
        what = f"a person must decide: {' / '.join(decision.options)}" if decision.person else decision.reading
        edits = sum(e.old != e.new for e in decision.edits)
        out(
            f"{decision.finding}: {what or 'nothing decided yet'}"
            + (f" ({edits} edit{'s' * (edits != 1)})" if edits else "")
        )
    for refusal in found.refused:
        say(str(refusal))
    out("")
    for name, findings in found.outcome.items():
        shown = [(f.severity, found.names.get(f.fingerprint, ""), " ".join(f.title.split())[:100]) for f in findings]
        out(f"{len(findings)} {name}", *("  " + " ".join(filter(None, each)) for each in shown))
    left = " · ".join(f"{n} {level}" for level, n in found.review.counts.items() if n) or "no findings"
    out("", f"the amended plan has {left}; cost {money(found.cost.usd, found.cost.certainty)}")
    out(f"{folder}/: decisions.yaml, plan.patch, review.json, {', '.join(found.after)}")
    if applied:
        out(f"applied to {', '.join(found.changed) or 'nothing: no edit changes the plan'}")
    elif found.changed:
        out(f"to apply: git apply {folder}/plan.patch, or the same command with --apply")
