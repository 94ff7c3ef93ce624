"""How a record is a row, and a row a record: the only file that knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from nyxlab.engine import schema
from nyxlab.engine.database import OddRow, Transaction
from nyxlab.engine.records import CallRecord, Item, Run, RunSummary, StepRecord
from nyxlab.engine.texts import apart, text, value_of
from nyxlab.providers.messages import Cost, Record

R = TypeVar("R", bound=Record)
Row = dict[str, Any]
JSON_COLUMNS = {"pause", "inputs", "options", "output", "payload", "reply", "error"}


def run_row(run: Run) -> Row:
    """Return a run's row, without its steps."""
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "status": run.status,
        "pause": text(run.pause.model_dump(mode="json") if run.pause else None),
        "inputs": text(run.inputs),
        "options": text(run.options),
        "source": run.source,
        "seed": run.seed,
        "created_at": run.created_at.isoformat(),
        "duration_seconds": run.duration_seconds,
    }


def step_row(run_id: str, step: StepRecord, shelf: dict[str, str]) -> Row:
    """Return a step's row, without its calls and its position; ``shelf`` takes its long texts."""
    return {
        "run_id": run_id,
        "id": step.id,
        "kind": step.kind,
        "status": step.status,
        "output": text(apart(step.output, shelf)),
        "payload": text(apart(step.payload, shelf)),
        "error": text(step.error),
        "started_at": step.started_at.isoformat() if step.started_at else None,
        "duration_seconds": step.duration_seconds,
    }


def call_row(run_id: str, call: CallRecord, shelf: dict[str, str]) -> Row:
    """Return a call's row; ``shelf`` takes its long texts."""
    return ended_row(run_id, call, shelf) | {
        "step": call.step,
        "key": call.key,
        "asked": call.asked,
        "provider": call.provider,
        "role": call.role,
        "sample": call.sample,
        "estimate": call.estimate.model_dump_json(),
        "started_at": call.started_at.isoformat(),
    }


def ended_row(run_id: str, call: CallRecord, shelf: dict[str, str]) -> Row:
    """Return what the end of a call changes, with the columns that name it."""
    reply = call.reply.model_dump(mode="json", exclude_defaults=True) if call.reply else None
    return {
        "run_id": run_id,
        "number": call.number,
        "status": call.status,
        "possibly_billed": call.possibly_billed,
        "reply": text(apart(reply, shelf)),
        "error": text(call.error),
        "error_status": call.error_status,
    }


def item_row(run_id: str, step_id: str, item: Item, shelf: dict[str, str]) -> Row:
    """Return the row of an item of a map step; ``shelf`` takes its long texts."""
    outcome, calls = text(apart(item.outcome, shelf)), text(item.calls)
    return {"run_id": run_id, "step": step_id, "number": item.number, "outcome": outcome, "calls": calls}


def text_rows(run_id: str, shelf: Mapping[str, str]) -> list[Row]:
    """Return the rows of long texts, given with their names."""
    return [{"run_id": run_id, "hash": name, "body": text(body)} for body, name in shelf.items()]


@contextmanager
def _ours() -> Iterator[None]:
    """Take a row that does not fit for one that nyxlab did not write."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OddRow from error


def _record(kind: type[R], row: Mapping[str, Any], shelf: Mapping[str, str] | None = None, **more: object) -> R:
    """Read a row as a record; columns that it does not have are ours alone."""
    fields = kind.model_fields
    found = {
        name: value_of(row[name], shelf) if name in JSON_COLUMNS else row[name]
        for name in row.keys()  # noqa: SIM118 - a row of SQLite's is no mapping
        if name in fields
    }
    return kind.model_validate({**found, **more})


@lru_cache(maxsize=256)
def _estimate(said: str) -> Cost:
    """Read an estimate: calls of one kind have the same, and a large run has thousands."""
    return Cost.model_validate_json(said)


def _call(row: Mapping[str, Any], shelf: Mapping[str, str]) -> CallRecord:
    return _record(CallRecord, row, shelf, estimate=_estimate(row["estimate"]))


@_ours()
def read_texts(transaction: Transaction, run_id: str) -> dict[str, str]:
    """Return a run's long texts by their names, one object each: a reply stands in many places."""
    return {row["hash"]: value_of(row["body"]) for row in transaction.rows(schema.TEXTS, run_id=run_id)}


@_ours()
def read_run(transaction: Transaction, run_id: str, shelf: Mapping[str, str]) -> Run | None:
    """Return a run with its steps and calls; None where there is none of that id. ``shelf`` has its long texts."""
    found = next(transaction.rows(schema.RUN, run_id=run_id), None)
    if found is None:
        return None
    calls: dict[str, list[CallRecord]] = {}
    for row in transaction.rows(schema.CALLS, run_id=run_id):
        calls.setdefault(row["step"], []).append(_call(row, shelf))
    items: dict[str, list[Item]] = {}
    for row in transaction.rows(schema.ITEMS, run_id=run_id):
        item = Item(row["number"], value_of(row["outcome"], shelf), value_of(row["calls"]))
        items.setdefault(row["step"], []).append(item)
    steps = [
        _record(StepRecord, row, shelf, calls=calls.get(row["id"], ()), items=items.get(row["id"], ()))
        for row in transaction.rows(schema.STEPS, run_id=run_id)
    ]
    return _record(Run, found, steps={step.id: step for step in steps})


@_ours()
def read_summaries(
    transaction: Transaction, statement: str, alive: Callable[[str], bool], **values: object
) -> list[RunSummary]:
    """Return the runs that a statement finds; ``alive`` says of a holder of a lease whether it still carries on."""
    return [
        _record(
            RunSummary, row, interrupted=row["status"] == "running" and not (row["holder"] and alive(row["holder"]))
        )
        for row in transaction.rows(statement, **values)
    ]


@_ours()
def read_calls_since(transaction: Transaction, begun: str) -> list[tuple[str, CallRecord]]:
    """Return the calls of the runs that began at a moment (ISO 8601) or later, each with its run's id."""
    shelf = {row["hash"]: value_of(row["body"]) for row in transaction.rows(schema.TEXTS_SINCE, begun=begun)}
    rows = transaction.rows(schema.CALLS_SINCE, begun=begun)
    return [(row["run_id"], _call(row, shelf)) for row in rows]
