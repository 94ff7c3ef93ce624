"""`nyxlab` without a command: where one stands, and the three likeliest next commands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nyxlab import __version__
from nyxlab.cli.base import ask_lab, from_here, open_lab
from nyxlab.lab.views.console import out
from nyxlab.lab.views.wording import money

if TYPE_CHECKING:
    from nyxlab.engine.records import RunSummary
    from nyxlab.lab.lab import Lab

SHOWN = 5  # runs, waiting ones, reviews


def show_standing() -> None:
    """Print the last runs, what waits, what this month has cost, open findings, and what to do next."""
    ask_lab(open_lab(), _show)


async def _show(lab: Lab) -> None:
    from nyxlab.lab.drafting import carry_on, open_findings, reviews_since
    from nyxlab.lab.views.tables import runs_table
    from nyxlab.providers.messages import Cost

    root, now = lab.settings.root, datetime.now(UTC)
    out(f"nyxlab {__version__} in {root}")
    runs = await lab.runs()
    if runs:
        out("", "Last runs", runs_table(runs[:SHOWN]))
        calls = await lab.desk.store.calls_since(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
        paid = [call for _, call in calls if lab.desk.vendor(call.provider) != "script"]  # a script's price is invented
        spent = Cost.total(call.cost for call in paid)
        out("", f"Spent this month: {money(spent.usd, spent.certainty)} in {len(paid)} calls")
    halted = [await lab.show(each.run_id) for each in runs if each.status != "completed"][:SHOWN]
    waiting = [carry_on(run) for run in halted]
    found = list(open_findings(dict(reviews_since(root, datetime.min.replace(tzinfo=UTC)))))[:SHOWN]
    for title, steps in (("Waits", waiting), ("Open findings", found)):
        if steps:
            out("", title, *(f"  {step.title}" for step in steps))
    likely = dict.fromkeys([*(str(step.command) for step in (*waiting[:2], *found)), *_usual(root, runs)])
    out("", "Next", *(f"  {command}" for command in list(likely)[:3]), "", "All commands: nyxlab --help")


def _usual(root: Path, runs: list[RunSummary]) -> Iterator[str]:
    """Yield what people do next where nothing waits."""
    if not (root / "nyxlab.toml").is_file():
        yield "nyxlab init"
    if runs:
        yield "nyxlab report last"
    for kind, command in (("plans/*.md", "review"), ("workflows/*.yaml", "run")):
        for path in sorted((root / "data").glob(kind))[:1]:
            yield f"nyxlab {command} {from_here(path)}"
    yield "nyxlab review PLAN.md"
    yield 'nyxlab compare "PROMPT" --providers A,B'
