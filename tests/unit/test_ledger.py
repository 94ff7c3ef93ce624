"""Laws of the ledger: pay once, record first, and never call past the budget."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import anyio
import pytest

from nyxlab.engine.ledger import Book, Budget, Ledger
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import CallRecord
from nyxlab.engine.run import start_run
from nyxlab.engine.store import Store, open_store
from nyxlab.errors import BudgetExhausted, ProviderBroken, ProviderBusy
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Message, Reply, Request, Usage
from nyxlab.providers.scripted import ScriptedProvider

FLOW = parse_workflow("name: w\nsteps: [{id: a, prompt: x}]\n", "w")
PRICE = {"input": "1000", "output": "1000"}  # a cent for ten tokens: sums that can be read
pytestmark = pytest.mark.anyio


def ask(text: str = "hi", *, deadline: float = 10) -> Request:
    return Request(messages=(Message("user", text),), max_tokens=10, deadline=deadline)


class Counting(Provider):
    """Passes on to a scripted provider and counts what really arrives there."""

    def __init__(self, replies: list, *, estimate: Cost | None = None) -> None:
        self.inner = ScriptedProvider(replies, id="script:counted")
        self.id = self.identity = self.inner.id
        self.vendor = "script"
        self.asked: list[str] = []
        self.price = estimate

    def estimate(self, request: Request) -> Cost:
        return self.price or self.inner.estimate(request)

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request.text)
        return await self.inner.ask(request)


@pytest.fixture
async def store(store_url):
    store = open_store(store_url)
    yield store
    await store.aclose()


async def recorded(store: Store, run_id: str) -> list[CallRecord]:
    """Return the calls of a run as the disk has them, once what was noted is there."""
    await store.flush()
    everything = await store.calls_since(datetime.min.replace(tzinfo=UTC))
    return [call for owner, call in everything if owner == run_id]


async def ledger(store: Store, *, run_id: str = "", budget: Budget | None = None, step: str = "a", **how) -> Ledger:
    run_id = run_id or await start_run(store, FLOW, {})
    return Ledger(Book(store, run_id, budget=budget, calls=await recorded(store, run_id)), step, **how)


async def test_a_recorded_reply_is_not_bought_again(store):
    """A second session gets the first one's reply, marked cached, with the cost that it had, and nothing is sent."""
    provider = Counting([{"text": "yes", "usage": {"input_tokens": 5, "output_tokens": 5}, "price": PRICE}])
    first = await ledger(store)
    bought = await first.wrap(provider).ask(ask())
    again = await (await ledger(store, run_id=first.book.run_id)).wrap(provider).ask(ask(deadline=99))
    assert provider.asked == ["hi"]
    assert again == bought.model_copy(update={"cached": True})
    assert [(call.status, call.cost.usd) for call in await recorded(store, first.book.run_id)] == [
        ("ok", Decimal("0.01"))
    ]


async def test_what_makes_a_call_another_one(store):
    """Another request, another step, another run and a second sample are each paid for by themselves."""
    provider = Counting(["yes"])
    first = await ledger(store)
    wrapped = first.wrap(provider)
    for request in (ask(), ask(), ask("ho")):
        await wrapped.ask(request)
    await (await ledger(store, run_id=first.book.run_id, step="b")).wrap(provider).ask(ask())
    await (await ledger(store)).wrap(provider).ask(ask())
    assert len(provider.asked) == 5
    assert [call.sample for call in await recorded(store, first.book.run_id)] == [0, 1, 0, 0]


async def test_the_intent_comes_first(store):
    """While the provider is at work, the call is on disk as sent; afterwards the reply is."""
    steps = await ledger(store)
    seen: list[CallRecord] = []

    class Looking(Counting):
        async def ask(self, request: Request) -> Reply:
            seen.extend((await store.load(steps.book.run_id)).calls)
            return await super().ask(request)

    await steps.wrap(Looking(["yes"]), role="judge").ask(ask())
    assert [(call.status, call.role, call.number) for call in seen] == [("sent", "judge", 1)]
    assert (await recorded(store, steps.book.run_id))[0].reply is not None


async def test_an_error_is_no_reply(store):
    """An error is recorded with its status, asked again, and the later reply takes the same place."""
    steps = await ledger(store)
    provider = Counting([{"error": "busy"}, {"text": "yes"}])
    with pytest.raises(ProviderBusy):
        await steps.wrap(provider).ask(ask())
    assert (await steps.wrap(provider).ask(ask())).text == "yes"
    resumed = await ledger(store, run_id=steps.book.run_id)
    assert (await resumed.wrap(provider).ask(ask())).cached
    calls = await recorded(store, steps.book.run_id)
    assert [(call.status, call.sample, call.possibly_billed) for call in calls] == [
        ("error", 0, False),
        ("ok", 0, False),
    ]
    assert "busy" in (calls[0].error or "")


async def test_a_broken_call_may_have_been_billed(store):
    """A call that broke or was cancelled half-way costs an unknown amount, unless the provider is free."""
    paid = {"price": PRICE, "latency": 30}
    steps = await ledger(store)
    with pytest.raises(ProviderBroken):
        await steps.wrap(Counting([{"error": "broken", "price": PRICE}])).ask(ask())
    with anyio.move_on_after(0.1):
        await steps.wrap(Counting([{"text": "late", **paid}])).ask(ask())
    with anyio.move_on_after(0.1):
        await steps.wrap(Counting([{"text": "late", "latency": 30}])).ask(ask())
    calls = await recorded(store, steps.book.run_id)
    assert [(call.status, call.possibly_billed, call.cost.certainty) for call in calls] == [
        ("error", True, "unknown"),
        ("cancelled", True, "unknown"),
        ("cancelled", False, "exact"),
    ]


async def test_a_lost_call_is_asked_again(store):
    """An intent that a dead process left behind is lost, possibly billed, and the question is asked again."""
    steps = await ledger(store)
    provider = Counting([{"text": "yes", "price": PRICE}])
    estimate = provider.estimate(ask())
    orphan = (await ledger(store, run_id=steps.book.run_id)).wrap(provider)
    await store.open_call(steps.book.run_id, orphan._intent("asked", "k", 0, estimate).model_copy(update={"number": 1}))
    await store.begin(steps.book.run_id)
    await store.release(steps.book.run_id)
    await (await ledger(store, run_id=steps.book.run_id)).wrap(provider).ask(ask())
    await store.flush()
    run = await store.load(steps.book.run_id)
    assert [(call.status, call.possibly_billed) for call in run.calls] == [("lost", True), ("ok", False)]
    assert run.checkpoint()["totals"]["certainty"] == "unknown"


async def test_a_fault_leaves_no_secret(store):
    """What a stranger's exception says is not stored: it might hold a key."""

    class Leaking(Counting):
        async def ask(self, request: Request) -> Reply:
            raise RuntimeError("header x-api-key: sk-secret")

    steps = await ledger(store)
    with pytest.raises(RuntimeError):
        await steps.wrap(Leaking(["x"])).ask(ask())
    assert [call.error for call in await recorded(store, steps.book.run_id)] == ["RuntimeError"]


async def test_calls_at_once_reserve_first(store):
    """Of five calls at once a budget for two lets two through; what is settled lower lets later ones through."""
    reply = {"text": "yes", "latency": 0.05, "usage": Usage(input_tokens=1, output_tokens=0), "price": PRICE}
    provider = Counting([reply], estimate=Cost(usd=Decimal("0.01"), certainty="estimated"))
    budget = Budget(Decimal("0.025"))
    wrapped = (await ledger(store, budget=budget)).wrap(provider)
    refused: list[BudgetExhausted] = []

    async def one(text: str) -> None:
        try:
            await wrapped.ask(ask(text))
        except BudgetExhausted as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(one, str(number))
    assert (len(provider.asked), len(refused)) == (2, 3)
    assert (refused[0].needed, refused[0].left) == (Decimal("0.01"), Decimal("0.005"))
    assert budget.left() == Decimal("0.023")
    await one("later")
    assert len(provider.asked) == 3


async def test_the_unknown_never_passes_a_budget(store):
    """A provider without a price is not called under a budget, however large; without a budget it is."""
    provider = Counting(["yes"], estimate=Cost.unknown())
    steps = await ledger(store, budget=Budget(Decimal(1_000_000)))
    with pytest.raises(BudgetExhausted, match="price of script:counted is unknown"):
        await steps.wrap(provider).ask(ask())
    assert provider.asked == []
    assert await recorded(store, steps.book.run_id) == []
    await (await ledger(store)).wrap(provider).ask(ask())
    assert provider.asked == ["hi"]


async def test_a_replay_costs_no_budget(store):
    """What is on disk is handed out even when nothing is left to spend, and nothing else is sent."""
    provider = Counting([{"text": "yes", "usage": {"input_tokens": 10}, "price": PRICE}])
    steps = await ledger(store, budget=Budget(Decimal("0.03")))
    await steps.wrap(provider).ask(ask())
    spent = Budget(Decimal("0.01"), await recorded(store, steps.book.run_id))
    assert spent.left() == 0
    resumed = await ledger(store, run_id=steps.book.run_id, budget=spent)
    assert resumed.left() == Decimal("0.01")  # as much as it saw before it asked
    assert (await resumed.wrap(provider).ask(ask())).cached
    assert resumed.left() == 0
    with pytest.raises(BudgetExhausted):
        await resumed.wrap(provider).ask(ask("ho"))


async def test_no_two_runs_send_the_same_idempotency_key(store):
    """Two runs that ask the same question send different keys, and one that asks again sends its own again."""
    keys: list[str | None] = []

    class Listening(Counting):
        async def ask(self, request: Request) -> Reply:
            keys.append(request.idempotency_key)
            raise ProviderBusy("later", provider=self.id)

    one, two = [await start_run(store, FLOW, {}) for _ in range(2)]
    for run_id, secret in ((one, "a"), (one, "a"), (two, "a"), (one, "b")):
        with pytest.raises(ProviderBusy):
            await Ledger(Book(store, run_id, secret=secret), "a").wrap(Listening(["x"])).ask(ask())
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


async def test_a_native_timeout_leaves_no_call_that_was_never_sent(store):
    """Cancelled by asyncio's own timeout while the intent is written, a call is not sent and costs nothing."""
    book = Book(store, await start_run(store, FLOW, {}))
    provider = Counting([{"text": "yes", "price": PRICE}])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await Ledger(book, "a").wrap(provider).ask(ask())
    assert provider.asked == []
    assert [(call.status, call.cost.usd) for call in await recorded(store, book.run_id)] == [("cancelled", 0)]
    assert book.budget.left() is None
