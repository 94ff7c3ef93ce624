"""All runs on one page: a list to filter and search, each call's question and answer, what differs between two runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import CallRecord, Run
from nyxlab.engine.run import variables
from nyxlab.engine.template import render as filled_in
from nyxlab.errors import InputRefused
from nyxlab.lab.views import page
from nyxlab.lab.views.page import pretty
from nyxlab.providers.messages import Cost

MOST = 100  # runs on a page: older ones are only counted
LONG = 6_000  # characters of a question or an answer that a page carries


def render_history(
    runs: Sequence[Run], left_out: int, paid: Callable[[str], bool], *, theme: Path | None = None
) -> str:
    """Return the page of some runs, newest first; ``paid`` says of a provider whether its price is a real one."""
    return page.render(
        "history.html.j2",
        theme=theme,
        more_scripts=("history.js",),
        runs=[_told(run) for run in runs],
        left_out=left_out,
        days=_days(runs, paid),
        workflows=sorted({run.workflow for run in runs}),
        statuses=sorted({run.status for run in runs}),
    )


def _told(run: Run) -> dict[str, Any]:
    asked = _questions(run)
    return {
        "id": run.run_id,
        "workflow": run.workflow,
        "status": run.status,
        "begun": f"{run.created_at:%Y-%m-%d %H:%M}",
        "took": run.duration_seconds,
        "cost": run.cost.to_json(),
        "tokens": sum(call.reply.usage.tokens for call in run.calls if call.reply and call.reply.usage),
        "providers": ", ".join(dict.fromkeys(call.provider for call in run.calls)),
        "calls": [_call(call, asked) for call in run.calls],
        "steps": [(step.id, _cut(pretty(step.output))) for step in run.steps.values() if step.output is not None],
    }


def _call(call: CallRecord, asked: Mapping[str, str]) -> dict[str, Any]:
    return {
        **call.brief(),
        "step": call.step,
        "question": _cut(asked.get(call.step, "")) if call.role == "candidate" else "",
        "answer": _cut(call.reply.text) if call.reply else "",
    }


def _questions(run: Run) -> dict[str, str]:
    """Return what each step asked: its prompt filled in; as it stands in the workflow where an item fills it in."""
    workflow = parse_workflow(run.source, run.workflow)
    known = variables(workflow, run.inputs, {step.id: step.output for step in run.steps.values()})
    found = {}
    for step in workflow.steps:
        try:
            found[step.id] = filled_in(step.prompt or "", known)
        except InputRefused:
            found[step.id] = step.prompt or ""
    return found


def _cut(text: str) -> str:
    return text if len(text) <= LONG else f"{text[:LONG]}\n[… {len(text) - LONG:,} characters more: nyxlab show --step]"


def _days(runs: Sequence[Run], paid: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Return what was paid on each day from the first run to the last, with the share of the dearest day (0 to 1)."""
    costs: dict[Any, list[Cost]] = {}
    for run in runs:
        costs.setdefault(run.created_at.date(), []).extend(call.cost for call in run.calls if paid(call.provider))
    if not costs:
        return []
    first, last = min(costs), max(costs)
    totals = {
        day: Cost.total(costs.get(day, ())) for day in (first + timedelta(n) for n in range((last - first).days + 1))
    }
    most = max((total.usd or 0 for total in totals.values()), default=0)
    return [
        {"day": day.isoformat(), "cost": total.to_json(), "share": float((total.usd or 0) / most) if most else 0.0}
        for day, total in totals.items()
    ]
