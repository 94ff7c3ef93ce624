"""What a terminal shows of runs, costs and scores: tables, a step's lines, and what is said before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from nyxlab.errors import InputRefused, nearest_or_all
from nyxlab.lab.views.console import add_row, new_table, out, plain_table, print_json, say
from nyxlab.lab.views.decided import NO_WINNER, chosen, outcome, routed
from nyxlab.lab.views.rows import Row, RunLike, checkpoint_of, decisions, standings, step_rows
from nyxlab.lab.views.wording import money, seconds
from nyxlab.providers.messages import Cost, Json

if TYPE_CHECKING:
    from nyxlab.engine.records import RunSummary
    from nyxlab.lab.reviews.measuring import Score
    from nyxlab.lab.workflows.prepared import Prepared

LINES = 12  # of an answer, where several steps are shown
NOTHING: Json = {"gate": None, "caelReview": None, "alternatives": [], "output": None, "error": None}


def show(run: RunLike, *, whole: bool) -> None:
    """Print a run: its steps as a table, with ``whole`` each step's answers, and the totals."""
    checkpoint = checkpoint_of(run)
    out(f"run {checkpoint['runId']} · {checkpoint['workflow']} · {checkpoint['status']}")
    if whole and (rows := standings(checkpoint)):
        out(*standings_lines(rows), "")
    out(run_table(checkpoint))
    for step in checkpoint["steps"] if whole else ():
        out(*step_lines(step))
    out(totals_line(checkpoint))


def show_step(run: RunLike, step_id: str, *, as_json: bool) -> None:
    """Print one step of a run, whole; ``InputRefused`` names the steps that there are."""
    steps = {step["id"]: step for step in checkpoint_of(run)["steps"]}
    if step_id not in steps:
        near = nearest_or_all(step_id, steps)
        raise InputRefused(f"the run has no step '{step_id[:80]}'{near}")
    print_json(steps[step_id]) if as_json else out(*step_lines(steps[step_id], whole=True))


def run_table(run: RunLike) -> Table:
    """Return one row a step: status, whose answer was taken, what came of it, time, tokens, cost."""
    table = new_table("step", "status", "provider", "outcome", "took>", "tokens>", "cost>")
    for step, row in zip(checkpoint_of(run)["steps"], step_rows(run), strict=True):
        add_row(table, row["step"], row["status"], row["selected_provider"], outcome(step), seconds(row["duration_s"]),
                row["tokens"] or "", money(row["usd"], row["certainty"]))  # fmt: skip
    return table


def costs_table(rows: Iterable[Row]) -> Table:
    """Return the per-provider table: calls, tokens, cost, latency p50/p95 with n, time to first token."""
    numbers = ("calls>", "tokens>", "from cache>", "cost>", "p50>", "p95>", "n>", "first token>", "waited>")
    table = new_table("provider", "as", *numbers)
    for row in rows:
        invented = " invented" if row.get("invented") and row["usd"] else ""
        cost = money(row["usd"], row["certainty"]) + invented
        add_row(table, row["provider"], row["role"], row["calls"], row["tokens"], row["cache_read_tokens"] or "", cost,
                seconds(row["latency_p50_s"]), seconds(row["latency_p95_s"]), row["n"],
                seconds(row["first_token_p50_s"]), seconds(row["wait_s"]))  # fmt: skip
    return table


def runs_table(runs: Iterable[RunSummary]) -> Table:
    """Return a list of runs; one that nobody carries on any more is interrupted, and nobody knows how long it took."""
    rows = (
        (run.run_id, run.workflow, "interrupted" if run.interrupted else run.status,
         f"{run.created_at:%Y-%m-%d %H:%M} UTC", seconds(None if run.interrupted else run.duration_seconds))
        for run in runs
    )  # fmt: skip
    return plain_table(["run", "workflow", "status", "started", "took>"], rows)


def standings_lines(rows: Sequence[Row]) -> list[str | Table]:
    """Return who won how many of many comparisons, with the interval of the share; or, first, that nobody did."""
    if not any(row["compared"] for row in rows):
        return [f"{NO_WINNER[0].upper()}{NO_WINNER[1:]}.", costs_table(rows)]
    table = new_table("provider", "won>", "of>", "share>", "95 % interval>", "cost>", "p50>", "p95>", "n>")
    for row in rows:
        share = "" if row["win_rate"] is None else f"{row['win_rate']:.0%}"
        span = "" if row["low"] is None else f"{row['low']:.0%}–{row['high']:.0%}"
        add_row(table, row["provider"], row["wins"], row["compared"], share, span, money(row["usd"], row["certainty"]),
                seconds(row["latency_p50_s"]), seconds(row["latency_p95_s"]), row["n"])  # fmt: skip
    return [table]


def scores_table(scores: Iterable[Score]) -> Table:
    """Return how well reviewers did on known faults: recall with its interval, false alarms, precision, cost.

    A kind of fault is told where models were asked: by rules alone it says what its rule's own row says.
    """
    listed = list(scores)
    if not any(each.finder == "provider" for each in listed):
        listed = [each for each in listed if each.finder != "kind"]
    table = new_table("finder", "name", "found>", "of>", "recall>", "95 % interval>", "alarms>", "precision>", "cost>")
    for each in listed:
        span = "" if each.recall_low is None else f"{each.recall_low:.0%}–{each.recall_high:.0%}"
        told = [f"{share:.0%}" if share is not None else "" for share in (each.recall, each.precision)]
        alarms = "" if each.finder == "kind" else each.alarms
        cost = money(each.cost.usd, each.cost.certainty) if each.cost else ""
        add_row(table, each.finder, each.name, each.found, each.planted, told[0], span, alarms, told[1], cost)
    return table


def totals_line(checkpoint: Json) -> str:
    """Return the cost line: tokens, money, calls, seconds."""
    total = checkpoint["totals"]
    return (
        f"{total['tokens']:,} tokens · {money(total['usd'], total['certainty'])} · "
        f"{total['calls']} calls · {seconds(total['durationSeconds'])}"
    )


def step_lines(step: Json, *, whole: bool = False) -> list[str]:
    """Return what people read of one step: why who was chosen, Cael's words, each answer or error, the output.

    A long text is cut, unless ``whole``; then each item of a map step is told as well.
    """
    lines = ["", f"── {step['id']} " + "─" * 40]
    if step["gate"]:
        lines += [*([f"answer of {chosen(step)}"] if step["selectedProvider"] else []), routed(step)]
        lines += [f"  left out: {each['provider']}: {each['reason']}" for each in step["gate"]["excluded"]]
    if step["caelReview"]:
        lines.append(f"Cael: {step['caelReview']['rationale']}")
        lines += [f"  warning: {warning}" for warning in step["caelReview"]["warnings"]]
    for told in step["alternatives"] if len(step["alternatives"]) > 1 else ():
        usage = told["usage"] or {}
        took = f"{seconds(told['latencySeconds'])}, {usage.get('outputTokens', '?')} tokens out"
        lines += [
            "",
            f"{told['provider']} ({told['status']}, {took}, {money(told['cost']['usd'], told['cost']['certainty'])})",
        ]
        lines += _quoted(told["output"] or told["error"] or "", step, whole=whole)
    if step.get("items") and whole:
        lines += [line for item in decisions(step) for line in step_lines(NOTHING | item | {"items": None}, whole=True)]
    elif step.get("items"):
        lines.append(f"{len(step['items'])} items; --step {step['id']} tells each, `nyxlab report` side by side")
    elif len(step["alternatives"]) < 2 and step["output"] is not None:
        shown = step["output"] if isinstance(step["output"], str) else json.dumps(step["output"], indent=1)
        lines += _quoted(shown, step, whole=whole)
    if step["error"]:
        lines.append(f"error: {step['error']}")
    return lines


def _quoted(text: str, step: Json, *, whole: bool) -> list[str]:
    lines = text.splitlines()
    left = 0 if whole else max(0, len(lines) - LINES)
    shown = [f"  | {line}" for line in lines[: len(lines) - left]]
    return [*shown, f"  … {left} more lines: --step {step['id']}"] if left else shown


def say_who_reads(readers: Mapping[str, Cost], what: str = "the prompts") -> None:
    """Before text leaves the machine: who gets it, and what it may cost at most."""
    for name, amount in readers.items():
        say(f"{name} reads {what}; at most {money(amount.usd, amount.certainty)}")


def say_prepared(prepared: Prepared) -> None:
    """Before a run: which steps of a run that goes on, for how much at most, and who reads its prompts."""
    left, steps = len(prepared.steps), len(prepared.workflow.steps)
    if prepared.goes_on:
        why = f" (edited, or after what was: {', '.join(prepared.changed)})" if prepared.changed else ""
        say(f"will run {left} of {steps} steps{why}, at most {money(prepared.cost.usd, prepared.cost.certainty)}")
    say_who_reads(prepared.readers)


def say_forecast(costs: dict[str, Cost], *, as_json: bool) -> None:
    """Print the most that each provider may cost, and the total."""
    total = Cost.total(costs.values())
    if as_json:
        return print_json(
            {"providers": {name: each.to_json() for name, each in costs.items()}, "total": total.to_json()}
        )
    rows = [(name, money(each.usd, each.certainty)) for name, each in costs.items()]
    rows.append(("total, at most", money(total.usd, total.certainty)))
    return out(plain_table(["provider", "cost>"], rows))
