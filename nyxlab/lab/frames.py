"""Tidy pandas frames of runs and reviews, one observation a row.

Units: columns ending in ``_s`` are seconds, ``usd`` is US dollars as float (NaN where unknown: ``certainty`` says how
sure), ``*tokens`` are counts (missing where a provider reported none), ``confidence`` is 0 to 1, lines count from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from nyxlab.engine.records import Run
from nyxlab.errors import InputRefused
from nyxlab.lab.routing.policies import replay
from nyxlab.lab.views import rows
from nyxlab.lab.views.rows import Json, ReviewLike, Row, RunLike
from nyxlab.lab.views.wording import csv_text

CALLS = {
    "run_id": "string", "step": "string", "provider": "string", "status": "string", "selected": "bool",
    "truncated": "bool", "cached": "bool", "input_tokens": "Int64", "output_tokens": "Int64",
    "cache_read_tokens": "Int64", "cache_write_tokens": "Int64", "reasoning_tokens": "Int64", "tokens": "Int64",
    "usd": "float64", "certainty": "string", "latency_s": "float64", "first_token_s": "float64", "wait_s": "float64",
    "attempts": "Int64",
}  # fmt: skip
STEPS = {
    "run_id": "string", "step": "string", "kind": "string", "status": "string", "selected_provider": "string",
    "selected_by": "string", "alternatives": "Int64", "start_s": "float64", "duration_s": "float64", "tokens": "Int64",
    "usd": "float64", "certainty": "string", "error": "string",
}  # fmt: skip
PROVIDERS = {
    "provider": "string", "role": "string", "calls": "Int64", "cached": "Int64", "failed": "Int64",
    "input_tokens": "Int64", "output_tokens": "Int64", "cache_read_tokens": "Int64", "cache_write_tokens": "Int64",
    "tokens": "Int64", "usd": "float64", "certainty": "string", "latency_p50_s": "float64", "latency_p95_s": "float64",
    "n": "Int64", "first_token_p50_s": "float64", "wait_s": "float64",
}  # fmt: skip
POLICIES = {
    "policy": "string", "comparisons": "Int64", "usd": "float64", "latency_p50_s": "float64", "cael": "float64",
    "people": "float64", "regret": "float64",
}  # fmt: skip
FINDINGS = {
    "id": "string", "severity": "string", "category": "string", "rule": "string", "title": "string",
    "status": "string", "confidence": "float64", "path": "string", "start_line": "Int64", "end_line": "Int64",
    "verified": "bool", "suppressed": "bool",
}  # fmt: skip

VERDICTS = {
    "run_id": "string", "step": "string", "item": "Int64", "prompt": "string", "selected_provider": "string",
    "selected_by": "string", "failed": "string", "judged": "string", "consistent": "boolean", "reason": "string",
}  # fmt: skip
STANDINGS = {
    "provider": "string", "compared": "Int64", "wins": "Int64", "win_rate": "float64", "low": "float64",
    "high": "float64",
}  # fmt: skip
PHASES = {
    "phase": "Int64", "title": "string", "needs": "string", "lines": "Int64", "new_files": "Int64",
    "modified_files": "Int64", "findings": "string", "blocked_by": "string",
}  # fmt: skip
SCORES = {
    "finder": "string", "name": "string", "planted": "Int64", "found": "Int64", "recall": "float64",
    "recall_low": "float64", "recall_high": "float64", "alarms": "Int64", "precision": "float64", "usd": "float64",
    "certainty": "string",
}  # fmt: skip


def calls(run: RunLike) -> pd.DataFrame:
    """Return one row an alternative of the run's steps (columns: ``CALLS``)."""
    return _frame(rows.call_rows(run), CALLS)


def steps(run: RunLike) -> pd.DataFrame:
    """Return one row a step; ``start_s`` counts from the first step's start (columns: ``STEPS``)."""
    return _frame(rows.step_rows(run), STEPS)


def providers(runs: RunLike | Iterable[RunLike]) -> pd.DataFrame:
    """Return one row a provider and one a judge, over one run or several (columns: ``PROVIDERS``).

    Replayed replies are in ``cached`` only; p50 and p95 are over ``n`` answered calls; a judge's cost is its own row.
    """
    return _frame(rows.provider_rows(_listed(runs)), PROVIDERS)


def policies(runs: Iterable[RunLike]) -> pd.DataFrame:
    """Return one row a policy replayed over recorded comparisons, cheapest first (columns: ``POLICIES``).

    ``cael`` and ``people`` are shares of their comparisons in which it picks as they did, ``regret`` the worth (0 to 1)
    that it loses to the best answer on average.
    """
    return _frame(replay(runs), POLICIES)


def verdicts(runs: RunLike | Iterable[RunLike]) -> pd.DataFrame:
    """Return one row a decision of a gate, a step or an item of a map step (columns: ``VERDICTS``).

    ``prompt`` is what an item of a comparison asked; ``failed`` the checks that answers failed; ``judged`` who won each
    pair in either order, and ``consistent`` whether the two orders agree, both empty where nobody judged.
    """
    return _frame([row for run in _listed(runs) for row in rows.verdict_rows(run)], VERDICTS)


def standings(run: RunLike) -> pd.DataFrame:
    """Return one row a provider over the comparisons of a run's map steps (columns: ``STANDINGS``), best first.

    ``compared`` counts those that a judge, a differing check or a person compared: without any there are no wins.
    """
    return _frame(rows.standings(run), STANDINGS)


def phases(review: ReviewLike) -> pd.DataFrame:
    """Return one row a phase of a reviewed plan (columns: ``PHASES``), in the plan's own order."""
    return _frame(rows.phase_rows(review), PHASES)


def findings(review: ReviewLike) -> pd.DataFrame:
    """Return one row a finding, worst first (columns: ``FINDINGS``)."""
    return _frame(rows.finding_rows(review), FINDINGS)


def scores(measurement: Json) -> pd.DataFrame:
    """Return one row a finder of a measurement (columns: ``SCORES``; shares are 0 to 1, intervals 95 %)."""
    names = {"recall_low": "recallLow", "recall_high": "recallHigh"}
    scored = [
        {
            **{name: score.get(names.get(name, name)) for name in SCORES},
            **(score["cost"] or {"usd": None, "certainty": None}),
        }
        for score in measurement["scores"]
    ]
    return _frame(scored, SCORES)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame as people read it: nothing where a value is missing, instead of NaN."""
    return frame.astype(object).where(frame.notna(), "")


def to_csv(frame: pd.DataFrame) -> str:
    """Return the frame as CSV that a spreadsheet cannot take for formulas: such text cells begin with ``'``."""
    return csv_text([str(name) for name in frame.columns], readable(frame).to_numpy())


def save(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a frame as CSV that is safe for spreadsheets, and return the path; ``InputRefused`` for another ending."""
    place = Path(path)
    if place.suffix != ".csv":
        raise InputRefused(f"{place.name}: name a file that ends in .csv")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(to_csv(frame), encoding="utf-8")
    return place


def _listed(runs: RunLike | Iterable[RunLike]) -> list[RunLike]:
    return [runs] if isinstance(runs, Run | Mapping) else list(runs)


def _frame(values: list[Row], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([row[name] for row in values], dtype=kind) if kind != "float64"
                         else pd.Series([_float(row[name]) for row in values], dtype=kind)
                         for name, kind in columns.items()})  # fmt: skip


def _float(value: object) -> float:
    return float("nan") if value is None else float(str(value))
