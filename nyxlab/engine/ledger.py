"""Wraps a provider so that no recorded reply is bought twice and no call is made that the budget does not hold.

The intent of a call is on disk before the call is made, and the reply before anything leaves this process again. What
is on disk is handed out again, marked ``cached``; an intent without a reply is asked again at the next resume,
unless another answer had been taken instead.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

from nyxlab.engine import crash
from nyxlab.engine.records import FREE, CallRecord, CallStatus, Item, Role
from nyxlab.engine.store import Store
from nyxlab.errors import (
    BudgetExhausted,
    NyxlabError,
    ProviderBroken,
    ProviderBusy,
    ProviderError,
    ProviderMisused,
    ProviderPassed,
)
from nyxlab.providers.base import Provider, Receipt, receipt
from nyxlab.providers.messages import Cost, Json, Reply, Request

OnCall = Callable[[CallRecord, bool], None]


class Budget:
    """What a run may still spend (USD). A call reserves its estimate first, so that several cannot overdraw it."""

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


class Book:
    """The calls of one go at a run: those that were made before, and those that its steps make now.

    ``secret`` is the run's own, so that two runs never send the same idempotency key. ``fault`` is what went wrong with
    the store, if anything did: whoever asks must hear of it, whatever a gate made of it.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        *,
        secret: str = "",
        budget: Budget | None = None,
        calls: Iterable[CallRecord] = (),
        on_call: OnCall | None = None,
    ) -> None:
        self.store = store
        self.run_id = run_id
        self.secret = secret
        self.budget = budget or Budget(None)
        self.calls = {call.number: call for call in calls}
        self.on_call = on_call
        self.fault: NyxlabError | None = None
        self.numbers = count(max(self.calls, default=0) + 1)  # of the calls to come

    def of(self, step_id: str) -> list[CallRecord]:
        """Return the calls of one step in the order in which they were sent."""
        return [call for _, call in sorted(self.calls.items()) if call.step == step_id]

    async def open(self, call: CallRecord, patience: float) -> None:
        """Write the intent to make a call; once that has failed, no other call is made either."""
        if self.fault is not None:
            raise self.fault
        try:
            await self.store.open_call(self.run_id, call, patience=patience)
        except NyxlabError as error:
            self.fault = error
            raise
        except BaseException:  # cancelled: the intent may be on disk, and the call is not made
            self.close(call, patience, status="cancelled", error="cancelled before it was sent")
            raise
        self.calls[call.number] = call

    def close(self, call: CallRecord, patience: float, **outcome: object) -> CallRecord:
        """Note what became of a call: it is on disk before whatever leaves this process next."""
        closed = call.model_copy(update=outcome)
        self.store.close_call(self.run_id, closed, patience=patience)
        self.calls[call.number] = closed
        self.tell(closed, replayed=False)
        return closed

    def tell(self, call: CallRecord, *, replayed: bool) -> None:
        """Pass a call on to whoever watches."""
        if self.on_call:
            self.on_call(call, replayed)


class Ledger:
    """The calls of one step: what has a reply is replayed, and a decision that was taken is taken again.

    ``deadline`` is the step's, in seconds; ``compares`` says that its candidates are asked at once, so that none waits
    for what became of another. ``ended`` are the items of a map step that ended in an earlier go.
    """

    def __init__(
        self, book: Book, step_id: str, *, deadline: float = 120.0, compares: bool = False, ended: Sequence[Item] = ()
    ) -> None:
        self.book = book
        self.step_id = step_id
        self.deadline = deadline
        self.compares = compares
        self.made = {call.key: call for call in book.of(step_id)}  # the last one of each key
        self.recorded = {key: call for key, call in self.made.items() if call.status == "ok"}  # not replayed yet
        self._ended = ended
        self._item: int | None = None
        self._asked: list[int] = []  # the calls that were made or replayed through this very ledger
        self._candidates: list[Provider] = []
        self._samples: dict[str, set[int]] = {}

    def wrap(self, provider: Provider, role: Role = "candidate") -> Provider:
        """Return the provider with its calls recorded under this step."""
        if role == "candidate":
            self._candidates.append(provider)
        return _Recorded(self, provider, role)

    def for_item(self, index: int) -> Ledger:
        """Return the ledger of one item of a map step: two items that ask the same question are two questions."""
        item = copy.copy(self)
        item._item, item._candidates, item._asked = index, [], []
        return item

    def end_item(self, outcome: dict[str, Json]) -> None:
        """Note what the item of this ledger came to: a resume takes it as it is, and asks nothing of it again."""
        assert self._item is not None  # noqa: S101 - only what `for_item` returns has one
        item = Item(self._item, outcome, self._asked)
        self.book.store.end_item(self.book.run_id, self.step_id, item, patience=self.deadline)

    def ended_items(self) -> dict[int, dict[str, Json]]:
        """Return what the items came to that ended in an earlier go; their calls count as replayed."""
        for number in (number for item in self._ended for number in item.calls):
            call = self.book.calls[number]
            if self.recorded.pop(call.key, None):
                self.book.tell(call, replayed=True)
        return {item.number: item.outcome for item in self._ended}

    def question(self, asked: str, provider: Provider) -> str:
        """Return what names a question to a provider within the run, the request being named by its digest."""
        return _sha(asked, provider.identity, provider.id, self.step_id, "" if self._item is None else str(self._item))

    def passed(self, asked: str, provider: Provider, sample: int) -> ProviderError | None:
        """Return how a call ended that got no reply, where another candidate's was taken instead; None where none was.

        One that broke is not asked again beside a recorded answer. One that was cancelled or lost is not where
        candidates are asked in turn: the one that answered had been asked because of it.
        """
        if not self.made:  # the usual case, at once
            return None
        call = self.made.get(_key(self.question(asked, provider), sample))
        if call is None or call.status == "ok":
            return None
        keys = (_key(self.question(asked, other), sample) for other in self._candidates)
        answered = [self.made[key].number for key in keys if key in self.made and self.made[key].status == "ok"]
        if call.status == "error" and answered:
            said = (call.error or "").removeprefix(f"{provider.id}: ")
            error = ProviderBroken(said, provider=provider.id, status=call.error_status)
            error.received = call.reply
            return error
        if not self.compares and any(number > call.number for number in answered):
            said = "another answer came first: cancelled, possibly billed"
            return ProviderPassed(said, provider=provider.id, attempts=0)
        return None

    def late(self, call: CallRecord) -> ProviderError | None:
        """Return the error that a recorded reply counts as which came too late for its comparison; else None."""
        reply = call.reply
        if not self.compares or call.role != "candidate" or reply is None or reply.cached:
            return None
        if reply.latency_seconds + reply.wait_seconds <= self.deadline:
            return None
        said = f"no answer within {self.deadline:g} s; one that comes while the run lasts is kept in the ledger"
        return ProviderPassed(said, provider=call.provider, attempts=0)

    def left(self) -> Decimal | None:
        """Return the USD that this step may count on: what is left, and what its recorded replies have cost already.

        So a resumed step sees the money that it saw at first and takes the same decisions; new calls are held to
        what is really left all the same.
        """
        left = self.book.budget.left()
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
    """A provider behind the ledger: the same one to whoever asks, but it pays once. Whoever opened it closes it."""

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

    async def ask(self, request: Request) -> Reply:
        """Return the recorded reply, or ask and record. Raises like the provider, and ``BudgetExhausted``."""
        ledger = self._ledger
        asked = request.digest()
        question = ledger.question(asked, self._provider)
        sample = ledger.take_sample(question)
        try:
            return await self._answer(request, asked, _key(question, sample), sample)
        except BaseException:
            ledger.free_sample(question, sample)
            raise

    async def _answer(self, request: Request, asked: str, key: str, sample: int) -> Reply:
        ledger, book = self._ledger, self._ledger.book
        if (known := ledger.recorded.pop(key, None)) and known.reply:
            ledger._asked.append(known.number)
            book.tell(known, replayed=True)
            if late := ledger.late(known):
                raise late
            return known.reply.model_copy(update={"cached": True})
        if self._role == "candidate" and (passed := ledger.passed(asked, self._provider, sample)):
            raise passed
        await self._provider.prepare(request)  # what waits for a person is no call yet
        estimate = self._provider.estimate(request)
        book.budget.reserve(estimate, self.id)
        call = self._intent(asked, key, sample, estimate)
        ledger._asked.append(call.number)
        try:
            await book.open(call, ledger.deadline)
        except BaseException:
            book.budget.settle(estimate, Decimal(0))
            raise
        crash.here("intent.after")
        secret_key = _sha(book.secret, book.run_id, key)
        try:
            with receipt() as slip:
                reply = await self._provider.ask(request.model_copy(update={"idempotency_key": secret_key}))
        except BaseException as error:
            self._close(call, **_trouble(error, slip, estimate))
            raise
        crash.here("call.after")
        self._close(call, status="ok", reply=reply)
        crash.here("reply.after")
        return reply

    def _intent(self, asked: str, key: str, sample: int, estimate: Cost) -> CallRecord:
        return CallRecord(
            number=next(self._ledger.book.numbers),
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
        """Note what became of the call, and take what it did cost out of the budget."""
        closed = self._ledger.book.close(call, self._ledger.deadline, **outcome)
        self._ledger.book.budget.settle(call.estimate, closed.charge)


def _trouble(error: BaseException, slip: Receipt, estimate: Cost) -> dict[str, object]:
    """Say what a call without a usable reply may have cost: vendors do not bill what they did not take on.

    What came all the same (a part of a stream, a whole reply that breaks its schema) is kept, with its cost if known.
    """
    received = error.received if isinstance(error, ProviderError) else slip.received
    reply = received if isinstance(received, Reply) else None
    declined = isinstance(error, ProviderBusy | ProviderMisused) and reply is None
    priced = reply is not None and reply.cost.usd is not None
    status: CallStatus = "error" if isinstance(error, Exception) else "cancelled"
    return {
        "status": status,
        "possibly_billed": slip.sent and not declined and not priced and estimate != FREE,
        "reply": reply,
        # our own errors hold no key; a stranger's text might
        "error": str(error) if isinstance(error, ProviderError) else type(error).__name__,
        "error_status": error.status if isinstance(error, ProviderError) else None,
    }


def _key(question: str, sample: int) -> str:
    """Return the key of a call: what is asked of whom in which step, and for which time."""
    return _sha(question, str(sample))


def _sha(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
