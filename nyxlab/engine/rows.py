"""How a record is a row, and a row a record: the only file that knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from nyxlab.engine import schema
from nyxlab.engine.database import OddRow, Transaction
from nyxlab.engine.records import CallRecord, Run, StepRecord
from nyxlab.engine.texts import apart, text, value_of, whole
from nyxlab.providers.messages import Record

R = TypeVar("R", bound=Record)
Row = dict[str, Any]
JSON_COLUMNS = {"pause", "inputs", "options", "output", "payload", "estimate", "reply", "error"}


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


def text_rows(run_id: str, shelf: Mapping[str, str]) -> list[Row]:
    """Return the rows of a shelf of long texts."""
    return [{"run_id": run_id, "hash": name, "body": body} for name, body in shelf.items()]


def record(kind: type[R], row: Mapping[str, Any], shelf: Mapping[str, str] | None = None, **more: object) -> R:
    """Read a row as a record; columns that it does not have are ours alone."""
    try:
        found = {
            name: whole(value_of(row[name]), shelf or {}) if name in JSON_COLUMNS else row[name]
            for name in kind.model_fields
            if name in row
        }
        return kind.model_validate({**found, **more})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OddRow from error


def _shelf(transaction: Transaction, run_id: str | None) -> dict[str, str]:
    rows = transaction.rows(schema.TEXTS, run_id=run_id) if run_id else transaction.rows(schema.ALL_TEXTS)
    return {row["hash"]: row["body"] for row in rows}


def read_run(transaction: Transaction, run_id: str) -> Run | None:
    """Return a run with its steps and calls; None where there is none of that id."""
    rows = transaction.rows(schema.RUN, run_id=run_id)
    if not rows:
        return None
    shelf = _shelf(transaction, run_id)
    calls: dict[str, list[CallRecord]] = {}
    for call in read_calls(transaction, run_id, shelf):
        calls.setdefault(call.step, []).append(call)
    steps = [
        record(StepRecord, row, shelf, calls=calls.get(row["id"], ()))
        for row in transaction.rows(schema.STEPS, run_id=run_id)
    ]
    return record(Run, rows[0], steps={step.id: step for step in steps})


def read_calls(
    transaction: Transaction, run_id: str | None, shelf: Mapping[str, str] | None = None
) -> list[CallRecord]:
    """Return the calls of one run, or of all; ``shelf`` holds their long texts where it has been read already."""
    shelf = _shelf(transaction, run_id) if shelf is None else shelf
    rows = transaction.rows(schema.CALLS, run_id=run_id) if run_id else transaction.rows(schema.ALL_CALLS)
    return [record(CallRecord, row, shelf) for row in rows]


def read_calls_since(transaction: Transaction, begun: str) -> list[tuple[str, CallRecord]]:
    """Return the calls of the runs that began at a moment (ISO 8601) or later, each with its run's id."""
    shelf = {row["hash"]: row["body"] for row in transaction.rows(schema.TEXTS_SINCE, begun=begun)}
    rows = transaction.rows(schema.CALLS_SINCE, begun=begun)
    return [(row["run_id"], record(CallRecord, row, shelf)) for row in rows]
