"""What the engine remembers of a run: frozen records of runs, steps, calls, pauses and events, and their JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple

from pydantic import AwareDatetime, Field, SkipValidation

from nyxlab.providers.messages import Cost, Json, Record, Reply, Seconds

RunStatus = Literal["running", "completed", "failed", "paused"]
StepStatus = Literal["pending", "running", "completed", "failed", "paused", "skipped"]
# sent: the intent is on disk and no reply yet; lost: sent by a process that died before the reply reached the disk
CallStatus = Literal["sent", "ok", "error", "cancelled", "lost"]
Role = Literal["candidate", "judge", "digest"]
FREE = Cost(usd=Decimal(0), certainty="exact")


class Pause(Record):
    """What a paused run waits for: a larger ``budget`` (USD, ``needed`` and ``left``), a ``choice``, ``answers``."""

    kind: Literal["budget", "choice", "answers"]
    step: str
    reason: str
    choices: tuple[str, ...] = ()
    needed: Decimal | None = None
    left: Decimal | None = None


class Done(Record):
    """A step's outcome: its ``output`` for later steps, and a ``payload`` that the engine stores unread."""

    output: Json
    payload: dict[str, Json] = Field(default_factory=dict)


class Paused(Record):
    """A step's outcome: it waits, and is run again by ``resume``; recorded replies are kept."""

    pause: Pause
    payload: dict[str, Json] = Field(default_factory=dict)


class Failed(Record):
    """A step's outcome: one sentence that says what went wrong and what to do."""

    error: str
    payload: dict[str, Json] = Field(default_factory=dict)


class Skipped(Record):
    """A step's outcome: its ``when`` does not hold; later steps see an output of null."""


Outcome = Done | Paused | Failed | Skipped


class CallRecord(Record):
    """One request that was sent (or was about to be) and what came of it; ``number`` counts from 1 within the run.

    ``asked`` is the digest of the request. ``reply`` beside a status other than ok is what came without being usable,
    whole or in part. ``possibly_billed`` marks a call of which nobody knows whether it costs.
    """

    number: int
    step: str
    key: str
    asked: str = ""
    provider: str
    role: Role
    sample: int
    estimate: Cost
    started_at: AwareDatetime
    status: CallStatus = "sent"
    possibly_billed: bool = False
    reply: Reply | None = None
    error: str | None = None
    error_status: int | None = None

    @property
    def cost(self) -> Cost:
        """What it cost: the reply's cost; nothing where a provider is free or declined; else unknown."""
        if self.reply is not None:
            return self.reply.cost
        if self.estimate == FREE or (self.status in {"error", "cancelled"} and not self.possibly_billed):
            return FREE
        return Cost.unknown()

    def lost(self) -> CallRecord:
        """Return it as the process that sent it leaves it when it dies: nobody knows whether it was answered."""
        return self.model_copy(update={"status": "lost", "possibly_billed": self.estimate != FREE})

    def brief(self) -> dict[str, Json]:
        """Return the call as a checkpoint lists it, without its text."""
        reply = self.reply
        return {
            "provider": self.provider,
            "role": self.role,
            "status": self.status,
            "usage": reply.usage.to_json() if reply and reply.usage else None,
            "cost": self.cost.to_json(),
            "latencySeconds": reply.latency_seconds if reply else None,
            "timeToFirstTokenSeconds": reply.time_to_first_token_seconds if reply else None,
            "waitSeconds": reply.wait_seconds if reply else 0.0,
            "attempts": reply.attempts if reply else 1,
            "cached": bool(reply and reply.cached),
            "error": self.error,
        }

    @property
    def charge(self) -> Decimal:
        """What a budget counts for it: the cost where known, else the estimate, which is the most it can be."""
        return (self.estimate.usd or Decimal(0)) if self.cost.usd is None else self.cost.usd


class Item(NamedTuple):
    """What one item of a map step came to (``outcome``, which the engine stores unread), and its calls' numbers."""

    number: int
    outcome: dict[str, Json]
    calls: list[int]


class StepRecord(Record):
    """One step of a run: where it stands, what it gave, and every call made for it.

    ``items`` are those of a map step that ended while the step did not: they are not asked again.
    """

    id: str
    kind: str
    status: StepStatus
    output: Json = None
    payload: dict[str, Json] = Field(default_factory=dict)
    error: str | None = None
    started_at: AwareDatetime | None = None
    duration_seconds: Seconds | None = None
    calls: tuple[CallRecord, ...] = ()
    items: SkipValidation[Sequence[Item]] = ()

    @property
    def cost(self) -> Cost:
        """What the step's calls cost together, judge calls included."""
        return Cost.total(call.cost for call in self.calls)

    def pending(self) -> StepRecord:
        """Return it as a step that is to run again."""
        return self.model_copy(update={"status": "pending", "output": None, "payload": {}, "error": None})

    def with_calls(self, calls: Iterable[CallRecord]) -> StepRecord:
        """Return it with these calls."""
        return self.model_copy(update={"calls": tuple(calls)})

    def checkpoint(self) -> dict[str, Json]:
        """Return the step as ``nyxlab.run/1`` lists it: the runner's payload between what the engine knows.

        ``calls`` are all of its calls, those of an earlier go and of the judge too: what they cost is what it cost.
        An answer that came too late for its comparison, or not at all, is listed with what it cost after all.
        """
        gate: dict[str, Json] = {
            "selectedProvider": None,
            "selectedBy": None,
            "gate": None,
            "alternatives": [],
            "caelReview": None,
        }
        known = {"id": self.id, "kind": self.kind, "status": self.status}
        ended = {
            "output": self.output,
            "error": self.error,
            "startedAt": _iso(self.started_at),
            "durationSeconds": self.duration_seconds,
        }
        told = {**known, **gate, **self.payload, **known, **ended, "calls": [call.brief() for call in self.calls]}
        return told | {"alternatives": [self._as_paid(each) for each in told["alternatives"]]}

    def _as_paid(self, alternative: dict[str, Json]) -> dict[str, Json]:
        """Return an alternative that gave no answer in time with what its last call took and cost after all."""
        mine = [c for c in self.calls if c.role == "candidate" and c.provider == alternative["provider"]]
        if alternative.get("status") == "ok" or not mine:
            return alternative
        told = mine[-1].brief()
        if alternative["status"] != "cancelled" or mine[-1].status != "ok":
            return alternative | {"cost": told["cost"]}
        numbers = ("usage", "cost", "latencySeconds", "timeToFirstTokenSeconds", "waitSeconds", "attempts")
        return alternative | {name: told[name] for name in numbers}


class Run(Record):
    """One run of a workflow, as the store has it. ``steps`` are in the workflow's order.

    ``source`` is the workflow's text, ``options`` what the caller wants to find again at a resume (stored unread),
    ``seed`` 64 random hex digits that stay the same at every resume,
    ``duration_seconds`` the time spent by all sessions that ended by themselves.
    """

    run_id: str
    workflow: str
    status: RunStatus
    pause: Pause | None
    inputs: dict[str, Json]
    options: dict[str, Json]
    source: str
    seed: str = Field(repr=False)
    created_at: AwareDatetime
    duration_seconds: Seconds
    steps: Mapping[str, StepRecord]

    @property
    def calls(self) -> tuple[CallRecord, ...]:
        """Every call of the run in the order in which they were sent."""
        return tuple(sorted((c for step in self.steps.values() for c in step.calls), key=lambda call: call.number))

    @property
    def cost(self) -> Cost:
        """What all calls cost together; ``unknown`` with the known part where one of them is unknown."""
        return Cost.total(call.cost for call in self.calls)

    def checkpoint(self) -> dict[str, Json]:
        """Return the run as the JSON document ``nyxlab.run/1``; totals are computed from the calls."""
        usages = [call.reply.usage for call in self.calls if call.reply and call.reply.usage]
        return {
            "schema": "nyxlab.run/1",
            "runId": self.run_id,
            "workflow": self.workflow,
            "status": self.status,
            "pause": self.pause.to_json() if self.pause else None,
            "steps": [step.checkpoint() for step in self.steps.values()],
            "totals": {
                **self.cost.to_json(),
                "tokens": sum(usage.tokens for usage in usages),
                "durationSeconds": self.duration_seconds,
                "calls": len(self.calls),
            },
        }


class RunSummary(Record):
    """One line of the list of runs; ``interrupted``: it is not finished, and no living process carries it on."""

    run_id: str
    workflow: str
    status: RunStatus
    created_at: AwareDatetime
    duration_seconds: Seconds
    interrupted: bool = False


class RunStarted(Record):
    """A run begins, or carries on with ``done`` of its ``steps`` finished before."""

    type: Literal["run-started"] = "run-started"
    run_id: str
    workflow: str
    steps: int
    done: int


class StepStarted(Record):
    """A step begins."""

    type: Literal["step-started"] = "step-started"
    run_id: str
    step: str


class CallDone(Record):
    """A call ended, well or not; ``replayed`` says that the ledger had the reply and nothing was sent."""

    type: Literal["call-done"] = "call-done"
    run_id: str
    call: CallRecord
    replayed: bool


class Noted(Record):
    """Something that a person should know of a step, though it goes on: a digest that could not be made."""

    type: Literal["noted"] = "noted"
    run_id: str
    step: str
    text: str


class StepDone(Record):
    """A step ended as ``record`` says."""

    type: Literal["step-done"] = "step-done"
    run_id: str
    record: StepRecord


class RunDone(Record):
    """This session of the run ended: completed, failed or paused."""

    type: Literal["run-done"] = "run-done"
    run_id: str
    status: RunStatus
    pause: Pause | None


Event = Annotated[RunStarted | StepStarted | CallDone | Noted | StepDone | RunDone, Field(discriminator="type")]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
