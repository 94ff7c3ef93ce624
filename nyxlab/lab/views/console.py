"""What a terminal shows of results: tables, lines, JSON, and what is said beside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nyxlab.errors import InputRefused
from nyxlab.lab.views.rows import Row, RunLike, checkpoint_of, standings, step_rows
from nyxlab.lab.views.wording import chosen, money, plain, seconds
from nyxlab.providers.messages import Cost, Json

if TYPE_CHECKING:
    from nyxlab.lab.reviews.measuring import Score
    from nyxlab.lab.workflows.prepared import Prepared

STDERR = Console(stderr=True, highlight=False, markup=False, emoji=False)


def out(*lines: str | Table) -> None:
    """Print lines and tables to standard output; no escape sequence of a model's reaches the terminal."""
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 160)
    for line in lines:
        console.print(line if isinstance(line, Table) else Text(plain(line)), soft_wrap=isinstance(line, str))


def run_table(run: RunLike) -> Table:
    """Return one row a step: status, who was chosen by whom, seconds, tokens, cost."""
    table = _table("step", "status", "provider", "chosen by", "seconds>", "tokens>", "cost>")
    for row in step_rows(run):
        _row(table, row["step"], row["status"], row["selected_provider"], row["selected_by"],
             seconds(row["duration_s"]), row["tokens"] or "", money(row["usd"], row["certainty"]))  # fmt: skip
    return table


def costs_table(rows: Iterable[Row]) -> Table:
    """Return the per-provider table: calls, tokens, cost, latency p50/p95 with n, time to first token."""
    table = _table(
        "provider", "as", "calls>", "tokens>", "from cache>", "cost>", "p50>", "p95>", "n>", "first token>", "waited>"
    )
    for row in rows:
        _row(table, row["provider"], row["role"], row["calls"], row["tokens"], row["cache_read_tokens"] or "",
             money(row["usd"], row["certainty"]), seconds(row["latency_p50_s"]), seconds(row["latency_p95_s"]),
             row["n"], seconds(row["first_token_p50_s"]), seconds(row["wait_s"]))  # fmt: skip
    return table


def standings_table(rows: Iterable[Row]) -> Table:
    """Return who won how many of many comparisons, with the interval of the share."""
    table = _table("provider", "won>", "of>", "share>", "95 % interval>", "cost>", "p50>", "p95>", "n>")
    for row in rows:
        share = "" if row["win_rate"] is None else f"{row['win_rate']:.0%}"
        span = "" if row["low"] is None else f"{row['low']:.0%}–{row['high']:.0%}"
        _row(table, row["provider"], row["wins"], row["compared"], share, span, money(row["usd"], row["certainty"]),
             seconds(row["latency_p50_s"]), seconds(row["latency_p95_s"]), row["n"])  # fmt: skip
    return table


def scores_table(scores: Iterable[Score]) -> Table:
    """Return how well reviewers did on known faults: recall with its interval, false alarms, precision, cost."""
    table = _table("finder", "name", "found>", "of>", "recall>", "95 % interval>", "alarms>", "precision>", "cost>")
    for each in scores:
        span = "" if each.recall_low is None else f"{each.recall_low:.0%}–{each.recall_high:.0%}"
        told = [f"{share:.0%}" if share is not None else "" for share in (each.recall, each.precision)]
        alarms = "" if each.finder == "kind" else each.alarms
        cost = money(each.cost.usd, each.cost.certainty) if each.cost else ""
        _row(table, each.finder, each.name, each.found, each.planted, told[0], span, alarms, told[1], cost)
    return table


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table of what is given; a column whose name ends in ``>`` is set to the right."""
    table = _table(*columns)
    for row in rows:
        _row(table, *row)
    return table


def totals_line(checkpoint: Json) -> str:
    """Return the cost line: tokens, money, calls, seconds."""
    total = checkpoint["totals"]
    return (
        f"{total['tokens']:,} tokens · {money(total['usd'], total['certainty'])} · "
        f"{total['calls']} calls · {seconds(total['durationSeconds'])}"
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
    return table


def _row(table: Table, *cells: object) -> None:
    table.add_row(*(Text(plain("" if cell is None else str(cell))) for cell in cells))


def step_lines(step: Json) -> list[str]:
    """Return what people read of one step: why who was chosen, Cael's words, each answer or error, the output."""
    lines = ["", f"── {step['id']} " + "─" * 40]
    if step["gate"]:
        lines += [step["gate"]["reason"], *([f"answer of {chosen(step)}"] if step["selectedProvider"] else [])]
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
        lines += [f"  | {line}" for line in (told["output"] or told["error"] or "").splitlines()]
    if step.get("items"):
        lines.append(f"{len(step['items'])} items; `nyxlab report` shows them side by side")
    elif len(step["alternatives"]) < 2 and step["output"] is not None:
        shown = step["output"] if isinstance(step["output"], str) else json.dumps(step["output"], indent=1)
        lines += [f"  | {line}" for line in shown.splitlines()]
    if step["error"]:
        lines.append(f"error: {step['error']}")
    return lines


def show(run: RunLike, *, whole: bool) -> None:
    """Print a run: its steps as a table, with ``whole`` each step's answers, and the totals."""
    checkpoint = checkpoint_of(run)
    out(f"run {checkpoint['runId']} · {checkpoint['workflow']} · {checkpoint['status']}")
    out(run_table(checkpoint))
    for step in checkpoint["steps"] if whole else ():
        out(*step_lines(step))
    if whole and (rows := standings(checkpoint)):
        out("", standings_table(rows))
    out(totals_line(checkpoint))


def say(text: str) -> None:
    """Say something beside the output: standard error, one line, no markup."""
    STDERR.print(f"nyxlab: {plain(text)}", soft_wrap=True)


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


def print_json(value: Json) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1, default=_number) + "\n")


def _number(value: object) -> Json:
    if isinstance(value, Decimal):
        return str(value)  # money is text in JSON, so that no reader rounds it
    raise TypeError(f"{type(value).__name__} is not JSON")


def write(text: str, path: Path | None, *, quiet: bool = False) -> None:
    """Write to a file and, unless ``quiet``, say so; or to standard output."""
    if path is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputRefused(f"{path}: cannot be written ({error.strerror}); name another place with --output") from None
    if not quiet:
        say(f"wrote {path}")
