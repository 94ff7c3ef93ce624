"""Tidy pandas frames from contract JSON, one observation a row.

Units: columns ending in ``_s`` are seconds, ``usd`` is US dollars as float (NaN where unknown: ``certainty`` says how
sure), ``*tokens`` are counts (missing where a provider reported none), ``confidence`` is 0 to 1, lines count from 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from nyxlab.errors import InputRefused
from nyxlab.lab import tables
from nyxlab.lab.policies import replay
from nyxlab.lab.tables import Json, Row
from nyxlab.providers.messages import Usage
from nyxlab.providers.registry import tariff_of
from nyxlab.settings import Settings

FORMULA = ("=", "+", "-", "@", "\t", "\r")

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
REPRICED = {
    "run_id": "string", "step": "string", "provider": "string", "priced_as": "string", "usd": "float64",
    "certainty": "string",
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

SCORES = {
    "finder": "string", "name": "string", "planted": "Int64", "found": "Int64", "recall": "float64",
    "recall_low": "float64", "recall_high": "float64", "alarms": "Int64", "precision": "float64", "usd": "float64",
    "certainty": "string",
}  # fmt: skip


def calls(checkpoint: Json) -> pd.DataFrame:
    """Return one row an alternative of the run's steps (columns: ``CALLS``)."""
    return _frame(tables.call_rows(checkpoint), CALLS)


def steps(checkpoint: Json) -> pd.DataFrame:
    """Return one row a step; ``start_s`` counts from the first step's start (columns: ``STEPS``)."""
    return _frame(tables.step_rows(checkpoint), STEPS)


def providers(checkpoints: Json | Iterable[Json]) -> pd.DataFrame:
    """Return one row a provider and one a judge, over one checkpoint or several (columns: ``PROVIDERS``).

    Replayed replies are in ``cached`` only; p50 and p95 are over ``n`` answered calls; a judge's cost is its own row.
    """
    given = [checkpoints] if isinstance(checkpoints, dict) else checkpoints
    return _frame(tables.provider_rows(given), PROVIDERS)  # type: ignore[arg-type]  # a dict is one checkpoint


def reprice(calls: pd.DataFrame, *refs: str, settings: Settings | None = None) -> pd.DataFrame:
    """Return one row a call and ``vendor:model`` of ``refs``: what its tokens would have cost there (columns: ``REPRICED``).

    Never more than ``estimated``: another model would have counted, and written, other tokens. ``unknown`` where the
    call has no counts or nobody knows the price.
    """
    rows: list[Row] = []
    for ref in refs:
        tariff = tariff_of(ref, settings)
        for row in calls.to_dict("records"):
            counts = {name: row[name] for name in Usage.model_fields}
            known = not any(pd.isna(count) for count in counts.values())
            cost = tariff.cost(Usage(**{name: int(count) for name, count in counts.items()}) if known else None)
            certainty = "unknown" if cost.usd is None else "estimated"
            rows.append({**{name: row[name] for name in ("run_id", "step", "provider")}, "priced_as": ref,
                         "usd": cost.usd, "certainty": certainty})  # fmt: skip
    return _frame(rows, REPRICED)


def policies(checkpoints: Iterable[Json]) -> pd.DataFrame:
    """Return one row a policy replayed over recorded comparisons, cheapest first (columns: ``POLICIES``).

    ``cael`` and ``people`` are shares of their comparisons in which it picks as they did, ``regret`` the worth (0 to 1)
    that it loses to the best answer on average.
    """
    return _frame(replay(checkpoints), POLICIES)


def findings(review: Json) -> pd.DataFrame:
    """Return one row a finding, worst first (columns: ``FINDINGS``)."""
    return _frame(tables.finding_rows(review), FINDINGS)


def scores(measurement: Json) -> pd.DataFrame:
    """Return one row a finder of a measurement (columns: ``SCORES``; shares are 0 to 1, intervals 95 %)."""
    rows = []
    for told in measurement["scores"]:
        cost = told["cost"] or {"usd": None, "certainty": None}
        names = {"recall_low": "recallLow", "recall_high": "recallHigh"}
        rows.append({**{name: told.get(names.get(name, name)) for name in SCORES}, **cost})
    return _frame(rows, SCORES)


def to_csv(frame: pd.DataFrame) -> str:
    """Return the frame as CSV that a spreadsheet cannot take for formulas: such text cells begin with ``'``."""

    def quoted(cell: object) -> object:
        return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell

    return frame.map(quoted).rename(columns=quoted).to_csv(index=False, lineterminator="\n")


def save(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a frame as ``.csv`` (safe for spreadsheets) or ``.parquet`` (typed; ``pip install pyarrow``); return the path.

    ``InputRefused`` for another ending, and for Parquet without pyarrow.
    """
    place = Path(path)
    if place.suffix not in {".csv", ".parquet"}:
        raise InputRefused(f"{place.name}: name a file that ends in .csv or .parquet")
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.suffix == ".csv":
        place.write_text(to_csv(frame), encoding="utf-8")
        return place
    try:
        frame.to_parquet(place, index=False)
    except ImportError:
        raise InputRefused("Parquet needs pyarrow: pip install pyarrow, or save as .csv") from None
    return place


def _frame(rows: list[Row], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) if kind != "float64"
                         else pd.Series([_float(row[name]) for row in rows], dtype=kind)
                         for name, kind in columns.items()})  # fmt: skip


def _float(value: object) -> float:
    return float("nan") if value is None else float(str(value))
