"""Takes a run apart again: what an edit of its inputs touches, and a new run that keeps what came before a step."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from nyxlab.engine.records import FREE, Run, StepRecord
from nyxlab.engine.workflow import Step, Workflow
from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json

ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no letter that reads like a digit


def new_id(now: datetime) -> str:
    """Return an id for a run that begins now."""
    return f"{now:%Y%m%d-%H%M%S}-{''.join(secrets.choice(ALPHABET) for _ in range(6))}"


def downstream(workflow: Workflow, ids: Collection[str]) -> frozenset[str]:
    """Return these steps and all that wait for them, directly or not."""
    found = set(ids)
    for _ in workflow.steps:
        more = {step.id for step in workflow.steps if found.intersection(step.needs)} - found
        if not more:
            break
        found |= more
    return frozenset(found)


def touched(workflow: Workflow, names: Collection[str]) -> frozenset[str]:
    """Return the steps whose texts name one of these inputs, and all that wait for them."""
    wanted = {("inputs", name) for name in names}
    found = [step.id for step in workflow.steps if any((use.root, use.name) in wanted for use in step.uses)]
    return downstream(workflow, found)


def edited(run: Run, old: Workflow, new: Workflow) -> tuple[Run, frozenset[str]]:
    """Return a run with the steps of an edited workflow, and which run again: changed ones and what waits for them.

    ``InputRefused`` where the edit removes a step that has recorded calls: what they cost must not vanish.
    """
    before = {step.id: step for step in old.steps}
    names = {step.id for step in new.steps}
    if lost := [name for name, step in run.steps.items() if name not in names and step.calls]:
        raise InputRefused(
            f"the edited workflow lacks the step '{lost[0]}', for which run {run.run_id} has recorded calls:"
            " put it back, or start a new run"
        )
    changed = {step.id for step in new.steps if step.id not in before or _told(before[step.id]) != _told(step)}
    if old.goal != new.goal:
        changed |= {step.id for step in new.steps if step.asks}
    steps = {
        step.id: run.steps.get(step.id) or StepRecord(id=step.id, kind=step.kind, status="pending")
        for step in new.steps
    }
    kinds = {name: record.model_copy(update={"kind": new.step(name).kind}) for name, record in steps.items()}
    return run.model_copy(update={"source": new.source, "steps": kinds}), downstream(new, changed)


def _told(step: Step) -> tuple[str, str, tuple[str, ...]]:
    return step.definition, step.when, step.needs


def forked(run: Run, workflow: Workflow, step_id: str, inputs: Mapping[str, Json]) -> Run:
    """Return a new run that keeps all that does not follow from a step or from inputs that changed.

    Recorded replies come along, marked as replayed and free of charge: the run that bought them has paid for them.
    ``InputRefused`` for a step that the workflow does not have.
    """
    changed = [name for name, value in inputs.items() if run.inputs.get(name) != value]
    again = downstream(workflow, [workflow.step(step_id).id]) | touched(workflow, changed)
    now = datetime.now(UTC)
    return run.model_copy(
        update={
            "run_id": new_id(now),
            "status": "running",
            "pause": None,
            "inputs": dict(inputs),
            "created_at": now,
            "duration_seconds": 0.0,
            "steps": {
                name: _taken_over(step, done=step.status == "completed" and name not in again)
                for name, step in run.steps.items()
            },
        }
    )


def _taken_over(step: StepRecord, *, done: bool) -> StepRecord:
    calls = tuple(
        call.model_copy(
            update={"estimate": FREE, "reply": call.reply.model_copy(update={"cost": FREE, "cached": True})}
        )
        for call in step.calls
        if call.status == "ok" and call.reply
    )
    if done:
        return step.model_copy(update={"calls": calls, "payload": _free(step.payload)})
    return StepRecord(id=step.id, kind=step.kind, status="pending", calls=calls)


def _free(value: Json) -> Json:
    """Return a step's payload with every cost at nothing and every reply marked as replayed.

    What a model wrote stands under ``output``, and is left alone whatever its keys are.
    """
    if isinstance(value, list):
        return [_free(part) for part in value]
    if not isinstance(value, dict):
        return value
    told = {key: part if key == "output" else _free(part) for key, part in value.items()}
    if isinstance(told.get("cost"), dict):
        told |= {"cost": FREE.to_json()} | ({"cached": True} if "cached" in told else {})
    return told
