"""How many calls an endpoint is given at once, and when it is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest
from gate_players import gate_of
from wire_peer import http, serve

import nyxlab.providers.pace as pacing
from nyxlab.engine.reading import parse_workflow
from nyxlab.errors import GateFailed, NoCandidate, ProviderBroken, ProviderBusy, ProviderError, ProviderMisused
from nyxlab.lab.lab import Lab
from nyxlab.providers.base import Provider, Receipt, receipt
from nyxlab.providers.messages import Cost, Message, Request
from nyxlab.providers.pace import Pace, pace_of
from nyxlab.providers.registry import open_provider
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
BODY = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}
OK, BUSY, DOWN = http(200, BODY), http(429, {}, retry_after="0"), http(500, {}, retry_after="0")
ASKED = Request(messages=[Message("user", "hi")], max_tokens=8, deadline=10)


def provider(url: str, model: str = "m") -> Provider:
    return open_provider(f"openai:{model}", settings=load_settings(), base_url=url, api_key="k")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(pacing.time, "monotonic", lambda: Clock.now)
    return Clock


def given_back(pace: Pace, news: Callable[[], None] | None = None) -> None:
    if news:
        news()
    pace.leave()


async def fill(pace: Pace, calls: int) -> None:
    for _ in range(calls):
        await pace.enter()


async def test_more_until_refused_then_a_fifth_less(clock) -> None:
    """Each full round that goes well doubles what is in flight; a storm of refusals takes one fifth, once in 15 s."""
    pace = Pace()
    for _ in range(100):
        await fill(pace, 1)
        given_back(pace, pace.accepted)
    assert pace.limit == 64, "a limit that nobody comes near is not raised"
    await fill(pace, 64)
    for _ in range(64):
        given_back(pace, pace.accepted)
        await fill(pace, 1)
    assert pace.limit == 128
    await fill(pace, 36)
    for _ in range(45):
        given_back(pace, pace.refused)
    assert pace.limit == pytest.approx(80)
    clock.now += 15
    given_back(pace, pace.refused)
    assert pace.limit == pytest.approx(55 * 0.8)


async def test_one_more_after_each_round_once_refused(clock) -> None:
    """After the first refusal the limit grows by one a full round, not by doubling."""
    pace = Pace()
    await fill(pace, 10)
    given_back(pace, pace.refused)
    limit = pace.limit
    assert limit == 8
    pace.leave()
    for _ in range(8):
        await fill(pace, int(pace.limit) - pace.busy)
        given_back(pace, pace.accepted)
    assert limit + 0.9 < pace.limit < limit + 1.1


async def test_turns_are_taken_in_order_and_given_back_by_those_who_leave() -> None:
    """Who waits is served first come, first served; who is cancelled while waiting takes no turn along."""
    pace, told = Pace(), []
    pace.limit = 1.0

    async def caller(name: str) -> None:
        waited = await pace.enter()
        told.append((name, waited > 0))
        await anyio.sleep(0.01)
        pace.leave()

    async with anyio.create_task_group() as group:
        group.start_soon(caller, "a")
        await anyio.lowlevel.checkpoint()
        leaving = asyncio.ensure_future(caller("b"))
        await anyio.lowlevel.checkpoint()
        group.start_soon(caller, "c")
        leaving.cancel()
    assert told == [("a", False), ("c", True)]
    assert pace.busy == 0


async def test_waiting_for_a_turn_is_not_service() -> None:
    """A call that waits for a turn reports the wait apart from the time that the endpoint took."""

    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(OK)

    async with serve(slow) as peer, provider(peer.url) as asked:
        pace_of(peer.url).limit = 1.0
        replies = await asyncio.gather(*(asked.ask(ASKED) for _ in range(3)))
    assert all(0.15 < reply.latency_seconds < 0.35 for reply in replies)
    assert [reply.wait_seconds > 0.15 for reply in replies] == [False, True, True]


async def test_a_storm_of_429_is_weathered() -> None:
    """Where an endpoint refuses what is above its limit, all calls come through, with fewer at once than at first."""
    inside = most = 0

    async def limited(writer: asyncio.StreamWriter) -> None:
        nonlocal inside, most
        inside, most = inside + 1, max(most, inside + 1)
        await asyncio.sleep(0.05)
        writer.write(http(429, {}) if inside > 40 else OK)
        inside -= 1

    async with serve(limited) as peer, provider(peer.url) as asked:
        replies = await asyncio.gather(*(asked.ask(ASKED) for _ in range(80)))
        assert pace_of(peer.url).limit < 64
    assert {reply.text for reply in replies} == {"hello"}
    assert max(reply.wait_seconds for reply in replies) > 0.3


async def test_an_endpoint_that_fails_is_left_alone_then_probed_once(clock) -> None:
    """After three failed calls no call is made for 15 s, for any model; then one finds out.

    Then all may, or none for 30 s.
    """
    async with serve(*[DOWN] * 16, OK) as peer, provider(peer.url) as asked, provider(peer.url, "other") as sibling:
        for _ in range(3):
            with pytest.raises(ProviderBroken):
                await asked.ask(ASKED)
        sent = len(peer.heads)
        assert asked.unusable() == "cooling down after 3 failures in a row: asked again in 15 s"
        assert asked.unusable() == sibling.unusable()
        with pytest.raises(ProviderBusy, match="cooling down") as raised:
            await sibling.ask(ASKED)
        assert (len(peer.heads), raised.value.attempts) == (sent, 0)

        clock.now += 15
        assert asked.unusable() is None
        with pytest.raises(ProviderBroken):
            await asked.ask(ASKED)
        assert "30 s" in asked.unusable()

        clock.now += 30
        probe = asyncio.ensure_future(asked.ask(ASKED))
        await asyncio.sleep(0)
        assert "one call is finding out" in sibling.unusable()
        assert (await probe).text == "hello"
        assert (await sibling.ask(ASKED)).text == "hello"


async def test_a_storm_is_one_rest(clock) -> None:
    """Eight calls that fail at once rest the endpoint as long as three do; a late loser does not end the probe's turn."""
    async with serve(DOWN) as peer, provider(peer.url) as asked:
        storm = await asyncio.gather(*(asked.ask(ASKED) for _ in range(8)), return_exceptions=True)
        assert {type(each) for each in storm} == {ProviderBroken}
        assert asked.unusable() == "cooling down after 3 failures in a row: asked again in 15 s"

    pace = Pace()
    tickets = [pace.begin() for _ in range(8)]
    for ticket in tickets[:4]:
        pace.failed(ticket)
        pace.end(ticket)
    clock.now += 15
    probe = pace.begin()
    for ticket in tickets[4:]:
        pace.failed(ticket)
        pace.end(ticket)
    assert "one call is finding out" in pace.resting()
    pace.failed(probe)
    pace.end(probe)
    assert "30 s" in pace.resting()


async def slow(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.5)
    writer.write(OK)


async def test_waiting_in_our_own_queue_is_nobodys_fault() -> None:
    """Calls that get no turn are told to come later: nothing was sent, and the endpoint is not blamed for it."""

    async def hasty(asked: Provider) -> tuple[Receipt, ProviderError]:
        with receipt() as slip, pytest.raises(ProviderError) as raised:
            await asked.ask(ASKED.model_copy(update={"deadline": 0.2}))
        return slip, raised.value

    async with serve(slow) as peer, provider(peer.url) as asked:
        pace_of(peer.url).limit = 1.0
        first = asyncio.ensure_future(asked.ask(ASKED))
        await asyncio.sleep(0.05)
        for slip, error in await asyncio.gather(*(hasty(asked) for _ in range(4))):
            assert (slip.sent, type(error), error.attempts) == (False, ProviderBusy, 0)
            assert "no turn within 0.2 s" in str(error)
        assert (await first).text == "hello"
        assert (asked.unusable(), len(peer.heads)) == (None, 1)
        slip, error = await hasty(asked)
        assert (slip.sent, type(error)) == (True, ProviderBroken)
    async with provider(peer.url) as gone:
        slip, error = await hasty(gone)
        assert (slip.sent, "could not be reached" in str(error)) == (False, True)


async def test_what_was_never_sent_is_not_billed(tmp_path) -> None:
    """Of a run whose calls get no turn before their deadline the ledger says that it cost nothing, and means it."""
    async with serve(OK) as peer:
        (tmp_path / "nyxlab.toml").write_text(
            f'[endpoints.mine]\nkind = "openai"\nbase_url = "{peer.url}"\nallow_private = true\n'
            'models.m = {price = {input = "1", output = "1"}}\n'
        )
        text = (
            "name: w\nsteps: [{id: a, kind: map, over: [1, 2, 3, 4], prompt: x, provider: 'mine:m', deadline: 0.2}]\n"
        )
        async with Lab(f"sqlite:///{tmp_path}/l.db", settings=load_settings(tmp_path)) as lab:
            lab.open("mine:m")
            pace_of(peer.url).limit = 1.0
            await pace_of(peer.url).enter()
            run = await lab.run(parse_workflow(text, "w"))
    assert (run.status, peer.heads) == ("failed", [])
    assert [call.possibly_billed for call in run.calls] == [False] * 4
    assert run.cost == Cost.free()


async def test_a_gate_says_what_was_never_sent() -> None:
    """A call that its gate gives up in our own queue is shown as cancelled before anything was sent."""
    async with serve(slow) as peer, provider(peer.url) as asked:
        pace_of(peer.url).limit = 1.0
        first = asyncio.ensure_future(asked.ask(ASKED))
        await asyncio.sleep(0.05)
        with pytest.raises(GateFailed, match=r"no answer within 0\.1 s: cancelled, before anything was sent"):
            await gate_of([asked], deadline=0.1).ask(ASKED)
        await first
        with pytest.raises(GateFailed, match=r"no answer within 0\.1 s: cancelled, possibly billed"):
            await gate_of([asked], deadline=0.1).ask(ASKED)


async def test_what_is_the_callers_fault_cools_nothing_down() -> None:
    """A wrong key or model, asked ten times, leaves the endpoint usable: it answers, after all."""
    async with serve(http(401, {})) as peer, provider(peer.url) as asked:
        for _ in range(10):
            with pytest.raises(ProviderMisused):
                await asked.ask(ASKED)
        assert asked.unusable() is None


async def test_the_gate_sees_an_endpoint_cooling_down(clock) -> None:
    """A gate leaves out who is cooling down, with the reason, instead of calling them."""
    async with serve(BUSY) as peer, provider(peer.url) as asked:
        for _ in range(3):
            with pytest.raises(ProviderBusy):
                await asked.ask(ASKED)
        with pytest.raises(NoCandidate, match="cooling down after 3 failures"):
            await gate_of([asked]).ask(ASKED)
