"""Reads tables of prompts and outcomes, and writes a router's predictions. Needs NumPy alone."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from nyxlab.errors import InputRefused
from nyxlab.gate.router import Floats, Router

LABELS = ("subject", "task", "dataset")  # the finest of these that is there is the prompt's task
csv.field_size_limit(10_000_000)


@dataclass(frozen=True)
class Table:
    """Prompts, their tasks (None where unknown) and, for training, models with their quality (prompts × models)."""

    ids: tuple[str, ...]
    prompts: tuple[str, ...]
    labels: tuple[str | None, ...]
    models: tuple[str, ...]
    quality: Floats
    name: str
    sha256: str


def read_table(path: Path, *, outcomes: bool) -> Table:
    """Read a CSV (``.gz`` too) with ``prompt``, ``prompt_id``; with ``outcomes`` ``weak``/``strong`` or ``q:MODEL``."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except FileNotFoundError:
        raise InputRefused(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError, csv.Error):
        raise InputRefused(f"{path}: cannot be read as CSV in UTF-8") from None
    columns = list(rows[0]) if rows else []
    qualities = [c for c in columns if c.startswith("q:")] or [c for c in ("weak", "strong") if c in columns]
    if not rows or "prompt" not in columns or "prompt_id" not in columns:
        raise InputRefused(f"{path}: expected rows with the columns prompt_id and prompt")
    if outcomes and len(qualities) < 2:
        raise InputRefused(f"{path}: no outcomes: give the columns weak and strong, or one q:MODEL a model (0 to 1)")
    ids = tuple(row["prompt_id"] for row in rows)
    if len(set(ids)) < len(ids):
        raise InputRefused(f"{path}: a prompt_id occurs twice")
    return Table(
        ids=ids,
        prompts=tuple(row["prompt"] or "" for row in rows),
        labels=tuple(next((row[c] for c in LABELS if row.get(c)), None) for row in rows),
        models=tuple(name.removeprefix("q:") for name in qualities),
        quality=_numbers(path, rows, qualities) if outcomes else np.zeros((len(rows), 0)),
        name=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _numbers(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> Floats:
    values = np.empty((len(rows), len(columns)))
    for line, row in enumerate(rows):
        for place, column in enumerate(columns):
            try:
                values[line, place] = float(row[column])
            except (TypeError, ValueError):
                values[line, place] = float("nan")
            if not isfinite(values[line, place]) or not 0 <= values[line, place] <= 1:
                raise InputRefused(f"{path}: row {line + 1}: {column} is {row[column]!r}, not a quality from 0 to 1")
    return values


def score(router: Router, table: Table) -> str:
    """Return predictions as CSV: ``score`` (strong over weak) for a pair, else one quality a model."""
    found = router.predict(table.prompts, table.labels)
    pair = router.origin.models == ("weak", "strong")
    values = found[:, 1:] - found[:, :1] if pair else found
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(["prompt_id", *(["score"] if pair else router.origin.models)])
    rows.writerows([name, *(f"{value:.6f}" for value in row)] for name, row in zip(table.ids, values, strict=True))
    return written.getvalue()
