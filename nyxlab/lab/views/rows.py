"""Plain rows of runs and reviews: what the command line, the reports and the data frames all show.

A run is a ``Run`` or its checkpoint, a review a ``Review`` or its JSON, so that a saved file tells as much as the
ledger.

No pandas here, so that the core install has the same tables. Durations are seconds, money is ``Decimal`` USD
(None where nobody knows it), tokens are counts; a missing number is None, never 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nyxlab.gate.policy import interval
from nyxlab.lab.views.decided import is_compared, is_won, routed
from nyxlab.providers.messages import Cost

if TYPE_CHECKING:
    from nyxlab.engine.records import Run
    from nyxlab.reviewer.review import Review

Row = dict[str, Any]
Json = Mapping[str, Any]
RunLike: TypeAlias = "Run | Json"
ReviewLike: TypeAlias = "Review | Json"

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO")
ROLES = ("candidate", "judge", "digest")
TOKENS = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens")


def checkpoint_of(run: RunLike) -> Json:
    """Return a run as the JSON document ``nyxlab.run/1``."""
    return run.checkpoint() if hasattr(run, "checkpoint") else run


def review_json(review: ReviewLike) -> Json:
    """Return a review as the JSON document ``nyxlab.review/1``."""
    return review.to_json() if hasattr(review, "to_json") else review


def call_rows(run: RunLike) -> list[Row]:
    """Return one row an alternative, in the order of the steps."""
    checkpoint = checkpoint_of(run)
    return [row for step in checkpoint["steps"] for row in _candidate_rows(checkpoint, step)]


def decisions(step: Json) -> list[Json]:
    """Return what was put to a gate in a step: the step itself, or each item of a map step."""
    items = step.get("items")
    return [step] if items is None else [{**item, "id": step["id"]} for item in items]


def _candidate_rows(checkpoint: Json, step: Json) -> list[Row]:
    return [_call(checkpoint, one, told) for one in decisions(step) for told in one.get("alternatives") or ()]


def paid_rows(run: RunLike) -> list[Row]:
    """Return one row a call, with its ``role``: what was sent and paid, those of an earlier go of a step included.

    A record without its calls tells those of its alternatives and of its judge.
    """
    checkpoint = checkpoint_of(run)
    return [row for step in checkpoint["steps"] for row in _paid(checkpoint, step)]


def _paid(checkpoint: Json, step: Json) -> list[Row]:
    if (calls := step.get("calls")) is None:
        judged = [told for one in decisions(step) for told in (one.get("caelReview") or {}).get("calls") or ()]
        answered = [told for one in decisions(step) for told in one.get("alternatives") or ()]
        calls = [*answered, *({**told, "role": "judge"} for told in judged)]
    return [_call(checkpoint, step, told) | {"role": told.get("role", "candidate")} for told in calls]


def _call(checkpoint: Json, step: Json, told: Json) -> Row:
    usage, cost = told.get("usage"), _cost(told)
    counts = {name: (usage or {}).get(name) for name in (*TOKENS, "reasoningTokens")}
    return {
        "run_id": checkpoint.get("runId"),
        "step": step["id"],
        "provider": told["provider"],
        "status": told["status"],
        "selected": told["status"] == "ok" and told["provider"] == step.get("selectedProvider"),
        "truncated": bool(told.get("truncated")),
        "cached": bool(told.get("cached")),
        "input_tokens": counts["inputTokens"],
        "output_tokens": counts["outputTokens"],
        "cache_read_tokens": counts["cacheReadTokens"],
        "cache_write_tokens": counts["cacheWriteTokens"],
        "reasoning_tokens": counts["reasoningTokens"],
        "tokens": sum(counts[name] or 0 for name in TOKENS) if usage else None,
        "usd": cost.usd if cost else None,
        "certainty": cost.certainty if cost else None,
        "latency_s": told.get("latencySeconds") if told["status"] == "ok" else None,
        "first_token_s": told.get("timeToFirstTokenSeconds"),
        "wait_s": told.get("waitSeconds"),
        "attempts": told.get("attempts"),
    }


def step_rows(run: RunLike) -> list[Row]:
    """Return one row a step.

    ``start_s`` counts from the first step's start, without the time in which no step ran (a pause, until it was carried
    on); ``usd`` and ``tokens`` include the judge's.
    """
    checkpoint = checkpoint_of(run)
    starts = _starts(checkpoint["steps"])
    rows = []
    for step in checkpoint["steps"]:
        calls, asked = _candidate_rows(checkpoint, step), _paid(checkpoint, step)
        total = Cost.total(Cost(usd=row["usd"], certainty=row["certainty"]) for row in asked if row["certainty"])
        rows.append(
            {
                "run_id": checkpoint.get("runId"),
                "step": step["id"],
                "kind": step.get("kind"),
                "status": step["status"],
                "selected_provider": step.get("selectedProvider"),
                "selected_by": step.get("selectedBy"),
                "alternatives": len(calls),
                "start_s": starts.get(step["id"]),
                "duration_s": step.get("durationSeconds"),
                "tokens": sum(call["tokens"] or 0 for call in asked),
                "usd": total.usd,
                "certainty": total.certainty,
                "error": step.get("error"),
            }
        )
    return rows


def provider_rows(recorded: Iterable[RunLike]) -> list[Row]:
    """Return one row a provider, then one a judge and one a writer of digests (``role``), over any number of runs.

    They count the calls of the ledger, each once, so that they add up to the totals of the runs. A reply that was
    replayed from another run counts, but not among the ``n`` calls whose latency percentiles are shown.
    """
    paid = [row for run in recorded for row in paid_rows(run)]
    found: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(paid, key=lambda row: (ROLES.index(row["role"]), row["provider"])):
        found.setdefault((row["provider"], row["role"]), []).append(row)
    return [_provider(name, role, rows) for (name, role), rows in found.items()]


def _provider(name: str, role: str, rows: Sequence[Row]) -> Row:
    fresh = [row for row in rows if not row["cached"]]
    took = [row["latency_s"] for row in fresh if row["latency_s"] is not None]
    first = [row["first_token_s"] for row in fresh if row["first_token_s"] is not None]
    total = Cost.total(Cost(usd=row["usd"], certainty=row["certainty"]) for row in rows if row["certainty"])
    return {
        "provider": name,
        "role": role,
        "calls": len(rows),
        "cached": len(rows) - len(fresh),
        "failed": sum(row["status"] != "ok" for row in rows),
        "input_tokens": sum(row["input_tokens"] or 0 for row in rows),
        "output_tokens": sum(row["output_tokens"] or 0 for row in rows),
        "cache_read_tokens": sum(row["cache_read_tokens"] or 0 for row in rows),
        "cache_write_tokens": sum(row["cache_write_tokens"] or 0 for row in rows),
        "tokens": sum(row["tokens"] or 0 for row in rows),
        "usd": total.usd,
        "certainty": total.certainty,
        "latency_p50_s": percentile(took, 50),
        "latency_p95_s": percentile(took, 95),
        "n": len(took),
        "first_token_p50_s": percentile(first, 50),
        "wait_s": sum(row["wait_s"] or 0.0 for row in rows),
    }


def standings(run: RunLike) -> list[Row]:
    """Return one row a provider over the comparisons of a run's map steps, best first, or none where it has none.

    A row has wins, their share (``win_rate``) with a 95 % interval (``low``, ``high``), cost and latency; of answers
    that neither a judge, a differing check nor a person compared there are no wins, no share and no interval.

    ``compared`` counts where it and another one gave a usable answer; ``p50``, ``p95`` are seconds over ``n`` calls.
    """
    checkpoint = checkpoint_of(run)
    listed = [one for step in checkpoint["steps"] if step.get("items") for one in decisions(step)]
    rows: list[Row] = []
    if not any(len(one.get("alternatives") or ()) > 1 for one in listed):
        return rows
    decided = list(filter(is_compared, listed))
    for row in provider_rows([checkpoint]):
        if row["role"] != "candidate":
            continue
        usable = [
            {told["provider"] for told in one.get("alternatives") or () if told["status"] == "ok"} for one in decided
        ]
        both = [one for one, able in zip(decided, usable, strict=True) if row["provider"] in able and len(able) > 1]
        wins = sum(is_won(one) and one.get("selectedProvider") == row["provider"] for one in both) if both else None
        share = None if wins is None else wins / len(both)
        low, high = interval(share, len(both)) if share is not None else (None, None)
        rows.append(row | {"compared": len(both), "wins": wins, "win_rate": share, "low": low, "high": high})
    return sorted(rows, key=lambda row: (-(row["win_rate"] or 0), row["provider"]))


def verdict_rows(run: RunLike) -> list[Row]:
    """Return one row a decision of a gate: a step, or an item of a map step with what it asked."""
    found, checkpoint = [], checkpoint_of(run)
    for step in checkpoint["steps"]:
        prompts = asked(run, step["id"])
        for decided in decisions(step):
            if decided.get("gate"):
                cael, item = decided.get("caelReview") or {}, decided.get("index")
                pairs = [pair["winner"] or "none" for pair in cael.get("verdicts") or ()]
                found.append({
                    "run_id": checkpoint["runId"], "step": step["id"], "item": item,
                    "prompt": prompts[item] if item is not None and item < len(prompts) else None,
                    "selected_provider": decided.get("selectedProvider"), "selected_by": decided.get("selectedBy"),
                    "failed": "; ".join(f"{c['provider']}: {c['problem']}" for c in cael.get("checks") or ()) or None,
                    "judged": " / ".join(pairs) or None, "consistent": cael.get("swapConsistent"),
                    "reason": routed(decided),
                })  # fmt: skip
    return found


def asked(run: RunLike, step_id: str) -> list[str]:
    """Return what each item of a comparison's map step asks; nothing where the run, or its items, do not tell."""
    if isinstance(run, Mapping):
        return []
    from nyxlab.engine.reading import parse_workflow  # where there is a run, it is loaded

    items = parse_workflow(run.source, run.workflow).step(step_id).over
    if not isinstance(items, tuple):
        return []
    return [str(item["prompt"] if isinstance(item, dict) and "prompt" in item else item) for item in items]


def phase_rows(review: ReviewLike) -> list[Row]:
    """Return one row a phase of a reviewed plan, in the plan's own order."""
    return [
        {
            "phase": phase["number"],
            "title": phase["title"],
            "needs": ", ".join(map(str, phase["needs"])),
            "lines": sum(block["endLine"] - block["startLine"] + 1 for block in phase["blocks"]),
            "new_files": sum(file["action"] == "new" for file in phase["files"]),
            "modified_files": sum(file["action"] == "modify" for file in phase["files"]),
            "findings": ", ".join(phase["findings"]),
            "blocked_by": ", ".join(phase["blockedBy"]),
        }
        for phase in review_json(review)["phases"]
    ]


def finding_rows(review: ReviewLike) -> list[Row]:
    """Return one row a finding, worst first; ``path`` and the lines are those of its first piece of evidence."""
    rows = []
    for finding in worst_first(review_json(review)["findings"]):
        seen: Json = next(iter(finding.get("evidence") or ()), {})
        rows.append(
            {key: finding.get(key) for key in ("id", "severity", "category", "rule", "title", "status", "confidence")}
            | {"path": seen.get("path"), "start_line": seen.get("startLine"), "end_line": seen.get("endLine")}
            | {"verified": all(piece.get("verified") for piece in finding.get("evidence") or ())}
            | {"suppressed": finding.get("suppressed") is not None}
        )
    return rows


class Folded(NamedTuple):
    """What people are shown of the findings: open, folded away, and only counted (by category)."""

    shown: list[Json]
    folded: list[Json]
    overflow: dict[str, int]


def fold(findings: Iterable[Json], *, medium: int = 5, most: int = 50, unfold: bool = False) -> Folded:
    """Return CRITICAL, HIGH, the first ``medium`` MEDIUM and decided ones as shown, the rest folded, at ``most``.

    With ``unfold`` all are shown.
    """
    ordered = worst_first(findings)
    if unfold:
        return Folded(ordered, [], {})
    mediums = [f for f in ordered if f["severity"] == "MEDIUM" and stands(f)][:medium]
    loud = [f for f in ordered if f["severity"] in SEVERITIES[:2] and stands(f)] + mediums
    loud += [f for f in ordered if f.get("decision") and not any(f is other for other in loud)]
    quiet = [f for f in ordered if not any(f is other for other in loud)]
    shown, folded = loud[:most], quiet[: max(0, most - len(loud))]
    rest = loud[len(shown) :] + quiet[len(folded) :]
    return Folded(shown, folded, dict(sorted(Counter(f["category"] for f in rest).items())))


def stands(finding: Json) -> bool:
    """Return whether a finding still speaks: not suppressed, nor closed since the baseline."""
    by_model = any(who.get("kind") == "lens" for who in finding.get("foundBy") or ())
    closed = ("fixed",) if by_model else ("fixed", "not-found-again")
    return finding.get("suppressed") is None and finding.get("status") not in closed


def worst_first(findings: Iterable[Json]) -> list[Json]:
    """Return the findings by severity, otherwise in the review's order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding["severity"]))


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the percentile by linear interpolation between the closest ranks; None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    low, high = math.floor(at), math.ceil(at)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _cost(part: Json | None) -> Cost | None:
    told = (part or {}).get("cost")
    if not told:
        return None
    usd = told.get("usd")
    return Cost(usd=None if usd is None else Decimal(str(usd)), certainty=told.get("certainty") or "unknown")


def _starts(steps: Sequence[Json]) -> dict[str, float]:
    """Return when each step began, in seconds of the time in which any step ran."""
    begun = {step["id"]: datetime.fromisoformat(step["startedAt"]) for step in steps if step.get("startedAt")}
    took = {step["id"]: timedelta(seconds=step.get("durationSeconds") or 0.0) for step in steps}
    found: dict[str, float] = {}
    if not begun:
        return {}
    zero = end = min(begun.values())
    idle = timedelta()
    for name, start in sorted(begun.items(), key=lambda each: each[1]):
        idle += max(timedelta(), start - end)
        found[name] = (start - zero - idle).total_seconds()
        end = max(end, start + took[name])
    return found
