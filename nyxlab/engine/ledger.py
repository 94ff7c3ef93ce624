"""Wraps a provider so that no recorded reply is bought twice and no call is made that the budget does not hold.

The intent of a call is on disk before the call is made, and the reply before anything else sees it. A reply that is on
disk is handed out again, marked ``cached``; an intent without a reply is asked again at the next resume.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import anyio

from nyxlab.engine import crash
from nyxlab.engine.records import FREE, CallRecord, CallStatus, Role
from nyxlab.engine.store import Store
from nyxlab.errors import BudgetExhausted, ProviderBusy, ProviderError, ProviderMisused
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Reply, Request

OnCall = Callable[[CallRecord, bool], None]


class Budget:
    """What a run may still spend (USD). A call reserves its estimate first, so that calls at once cannot overdraw it."""

    def __init__(self, limit: Decimal | None, calls: Iterable[CallRecord] = ()) -> None:
        self.limit = limit
        self._taken = sum((call.charge for call in calls), Decimal(0))

    def left(self) -> Decimal | None:
        """Return what is neither spent nor reserved; None where there is no limit."""
        return None if self.limit is None else self.limit - self._taken

    def reserve(self, estimate: Cost, who: str) -> None:
        """Take the estimate out of the budget; raise ``BudgetExhausted`` where it does not fit or nobody knows it."""
        left = self.left()
        if left is not None and estimate.usd is None:
            raise BudgetExhausted(
                f"the price of {who} is unknown, so no budget can hold it; state its price in nyxlab.toml,"
                " or run without a budget",
                needed=None,
                left=left,
            )
        if left is not None and estimate.usd is not None and estimate.usd > left:
            raise BudgetExhausted(
                f"a call to {who} may cost ${estimate.usd} and ${max(left, Decimal(0))} of the budget is left;"
                " resume with a larger --budget",
                needed=estimate.usd,
                left=left,
            )
        self._taken += estimate.usd or 0

    def settle(self, estimate: Cost, charge: Decimal) -> None:
        """Replace a reservation by what the call did cost."""
        self._taken += charge - (estimate.usd or 0)


class Ledger:
    """The calls of one step. ``definition`` is the step's hash, so that an edited step does not take old replies.

    ``calls`` are those made for the step so far: what has a reply among them is replayed. ``numbers`` are those of the
    run's next calls, shared by all of its steps.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        step_id: str,
        definition: str,
        budget: Budget | None = None,
        on_call: OnCall | None = None,
        calls: Iterable[CallRecord] = (),
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.store = store
        self.run_id = run_id
        self.step_id = step_id
        self.definition = definition
        self.budget = budget or Budget(None)
        self.on_call = on_call
        made = list(calls)
        self.recorded = {call.key: call for call in made if call.status == "ok"}
        self.numbers = numbers or count(1 + max((call.number for call in made), default=0))
        self._samples: dict[str, set[int]] = {}

    def wrap(self, provider: Provider, role: Role = "candidate") -> Provider:
        """Return the provider with its calls recorded under this step."""
        return _Recorded(self, provider, role)

    def for_item(self, index: int) -> Ledger:
        """Return the ledger of one item of a map step: two items that ask the same question are two questions."""
        item = copy.copy(self)
        item.definition = _sha(self.definition, str(index))
        return item

    def left(self) -> Decimal | None:
        """Return the USD that this step may count on: what is left, and what its recorded replies have cost already.

        So a resumed step sees the money that it saw at first and takes the same decisions; new calls are held to
        what is really left all the same.
        """
        left = self.budget.left()
        return None if left is None else left + sum((call.charge for call in self.recorded.values()), Decimal(0))

    def take_sample(self, question: str) -> int:
        """Return the lowest number under which this question has no answer in this session yet.

        Numbers follow the order of asking, which is the same at every resume; one whose call failed is free again.
        """
        taken = self._samples.setdefault(question, set())
        sample = next(number for number in range(len(taken) + 1) if number not in taken)
        taken.add(sample)
        return sample

    def free_sample(self, question: str, sample: int) -> None:
        """Give back the number of a call that brought no reply."""
        self._samples[question].discard(sample)


class _Recorded(Provider):
    """A provider behind the ledger: the same one to whoever asks, but it pays once."""

    def __init__(self, ledger: Ledger, provider: Provider, role: Role) -> None:
        self._ledger = ledger
        self._provider = provider
        self._role = role
        self.id = provider.id
        self.identity = provider.identity
        self.vendor = provider.vendor
        self.capabilities = provider.capabilities

    def unusable(self) -> str | None:
        """Return what the provider itself says."""
        return self._provider.unusable()

    def estimate(self, request: Request) -> Cost:
        """Return what the provider itself says."""
        return self._provider.estimate(request)

    async def prepare(self, request: Request) -> None:
        """Let the provider prepare the call."""
        await self._provider.prepare(request)

    async def aclose(self) -> None:
        """Close the provider."""
        await self._provider.aclose()

    async def ask(self, request: Request) -> Reply:
        """Return the recorded reply, or ask and record. Raises like the provider, and ``BudgetExhausted``."""
        ledger = self._ledger
        asked = request.digest()
        question = _sha(asked, self.identity, self.id, ledger.definition)
        sample = ledger.take_sample(question)
        try:
            return await self._answer(request, asked, _sha(question, str(sample)), sample)
        except BaseException:
            ledger.free_sample(question, sample)
            raise

    async def _answer(self, request: Request, asked: str, key: str, sample: int) -> Reply:
        ledger = self._ledger
        if (known := ledger.recorded.pop(key, None)) and known.reply:
            self._tell(known, replayed=True)
            return known.reply.model_copy(update={"cached": True})
        await self._provider.prepare(request)  # what waits for a person is no call yet
        estimate = self._provider.estimate(request)
        ledger.budget.reserve(estimate, self.id)
        try:
            with anyio.CancelScope(shield=True):  # an intent that is on disk always gets an end, if the process lives
                call = self._intent(asked, key, sample, estimate)
                await ledger.store.open_call(ledger.run_id, call)
        except BaseException:
            ledger.budget.settle(estimate, Decimal(0))
            raise
        try:
            crash.here("intent.after")
            reply = await self._provider.ask(request.model_copy(update={"idempotency_key": key}))
        except BaseException as error:
            self._close(call, **_trouble(error, estimate))
            raise
        crash.here("call.after")
        self._close(call, status="ok", reply=reply)
        crash.here("reply.after")
        return reply

    def _intent(self, asked: str, key: str, sample: int, estimate: Cost) -> CallRecord:
        return CallRecord(
            number=next(self._ledger.numbers),
            step=self._ledger.step_id,
            key=key,
            asked=asked,
            provider=self.id,
            role=self._role,
            sample=sample,
            estimate=estimate,
            started_at=datetime.now(UTC),
        )

    def _close(self, call: CallRecord, **outcome: object) -> None:
        """Note what became of the call: it is on disk before whatever leaves this process next."""
        closed = call.model_copy(update=outcome)
        self._ledger.store.close_call(self._ledger.run_id, closed)
        self._ledger.budget.settle(call.estimate, closed.charge)
        self._tell(closed, replayed=False)

    def _tell(self, call: CallRecord, *, replayed: bool) -> None:
        if self._ledger.on_call:
            self._ledger.on_call(call, replayed)


def _trouble(error: BaseException, estimate: Cost) -> dict[str, object]:
    """Say what a call without a usable reply may have cost: vendors do not bill what they did not take on.

    What came all the same (a part of a stream, a whole reply that breaks its schema) is kept, with its cost if known.
    """
    received = getattr(error, "received", None)
    reply = received if isinstance(received, Reply) else None
    declined = isinstance(error, ProviderBusy | ProviderMisused) and reply is None
    priced = reply is not None and reply.cost.usd is not None
    status: CallStatus = "error" if isinstance(error, Exception) else "cancelled"
    return {
        "status": status,
        "possibly_billed": not declined and not priced and estimate != FREE,
        "reply": reply,
        # our own errors hold no key; a stranger's text might
        "error": str(error) if isinstance(error, ProviderError) else type(error).__name__,
        "error_status": error.status if isinstance(error, ProviderError) else None,
    }


def _sha(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
