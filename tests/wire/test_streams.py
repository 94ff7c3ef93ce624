"""Replies that are read while they are written: the same answer, the first token's time, and no end that goes
unnamed."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal

import anyio
import pytest
from wire_peer import http, serve

import nyxlab.providers.wire
from nyxlab.engine.ledger import Book, Ledger
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.run import start_run
from nyxlab.engine.store import open_store
from nyxlab.errors import ProviderBroken, ProviderBusy, ProviderError
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Message, Reply, Request, Usage
from nyxlab.providers.registry import open_provider
from nyxlab.providers.sse import Events
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
KEY = "sk-VERY-secret-0123456789"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def events(*data: object, named: bool = False) -> bytes:
    lines = []
    for each in data:
        lines += [f"event: {each['type']}\r\n"] if named else []
        lines += [f"data: {each if isinstance(each, str) else json.dumps(each)}\r\n\r\n"]
    return "".join([": a comment\r\n\r\n", *lines]).encode()


def chunk(text: str | None = None, reason: str | None = None, **more: object) -> dict:
    return {"model": "m-1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}], **more}


OPENAI = events(
    {"model": "m-1", "choices": [{"delta": {"role": "assistant", "content": ""}}]},
    chunk("hel"),
    chunk("lo"),
    chunk(None, "stop"),
    {"choices": [], "usage": {"prompt_tokens": 21, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 20}}},
    "[DONE]",
)  # fmt: skip
ANTHROPIC = events(
    {"type": "message_start", "message": {"model": "m-1", "content": [], "stop_reason": None,
     "usage": {"input_tokens": 1, "cache_read_input_tokens": 20, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "hel"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
    named=True,
)  # fmt: skip
GOOGLE_COUNTS = {"promptTokenCount": 21, "cachedContentTokenCount": 20, "candidatesTokenCount": 9}
GOOGLE = events(
    {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}]}}], "modelVersion": "m-1"},
    {"candidates": [{"content": {"parts": [{"text": "hel"}]}}], "usageMetadata": {"promptTokenCount": 21}},
    {"candidates": [{"content": {"parts": [{"text": "lo"}]}, "finishReason": "STOP"}]},
    {"usageMetadata": GOOGLE_COUNTS, "modelVersion": "m-1"},
)
STREAMS = {"openai": OPENAI, "anthropic": ANTHROPIC, "google": GOOGLE}


def before(data: bytes, said: str) -> bytes:
    """The stream up to the event that holds this, whole events only."""
    return data[: data.rindex(b"\r\n\r\n", 0, data.index(f'"{said}"'.encode())) + 4]


def provider(url: str, vendor: str = "openai") -> Provider:
    return open_provider(f"{vendor}:m", settings=load_settings(), base_url=url, api_key=KEY)


def request(**options: object) -> Request:
    return Request(messages=[Message("user", "hi")], max_tokens=8, **{"deadline": 10, "stream": True, **options})


def writes(*parts: bytes, pause: float = 0.0, hold: bool = False, reset: bool = False):
    """Write the parts one after another, then close; or hold the line; or cut it as a dying machine does."""

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for part in parts:
            await asyncio.sleep(pause)
            writer.write(part)
            await writer.drain()
        if hold:
            await asyncio.sleep(20)
        if reset:
            writer.transport.abort()

    return reply


async def failure(reply: object, **options: object) -> ProviderError:
    async with serve(reply) as peer, provider(peer.url) as asked:
        with pytest.raises(ProviderError) as raised:
            await asked.ask(request(**options))
    assert raised.value.__context__ is None
    assert KEY not in repr(vars(raised.value))
    return raised.value


@pytest.mark.parametrize("vendor", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_stream_in_any_pieces_is_the_same_reply(vendor: str, size: int) -> None:
    """However the bytes are cut, a stream gives the text, stop, model and counts that the whole body would."""
    data = STREAMS[vendor]
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    async with serve(writes(*pieces)) as peer, provider(peer.url, vendor) as asked:
        reply = await asked.ask(request())
    assert (reply.text, reply.stop, reply.model) == ("hello", "end", "m-1")
    assert reply.usage == Usage(input_tokens=1, output_tokens=9, cache_read_tokens=20)
    assert 0 < reply.time_to_first_token_seconds <= reply.latency_seconds


@pytest.mark.parametrize(
    ("vendor", "sent", "path"),
    [
        ("openai", {"stream": True, "stream_options": {"include_usage": True}}, "/chat/completions"),
        ("anthropic", {"stream": True}, "/v1/messages"),
        ("google", {}, "/v1beta/models/m:streamGenerateContent?alt=sse"),
    ],
)
async def test_a_stream_is_asked_for_in_the_vendors_way(vendor: str, sent: dict, path: str) -> None:
    """The body differs from the plain one by what the vendor wants said, and by nothing else."""
    async with serve(writes(STREAMS[vendor])) as peer, provider(peer.url, vendor) as asked:
        await asked.ask(request())
        await asked.ask(request(stream=True))
    assert peer.heads[0].startswith(f"POST {path} ")
    assert {name: peer.bodies[0].get(name) for name in sent} == sent


async def test_the_first_token_is_timed_apart() -> None:
    """The time to the first token is that of the first piece of text, not of the last byte."""
    first, rest = OPENAI[: OPENAI.index(b"hel") + 40], OPENAI[OPENAI.index(b"hel") + 40 :]
    async with serve(writes(first, rest, pause=0.3)) as peer, provider(peer.url) as asked:
        reply = await asked.ask(request())
    assert reply.time_to_first_token_seconds < 0.6 <= reply.latency_seconds


async def test_a_server_that_does_not_stream_is_read_whole() -> None:
    """Asked for a stream, a server may answer with one body: its first token is unknown, the rest is not."""
    body = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}
    async with serve(http(200, body)) as peer, provider(peer.url) as asked:
        reply = await asked.ask(request())
    assert (reply.text, reply.time_to_first_token_seconds) == ("hello", None)


@pytest.mark.parametrize("vendor", STREAMS)
async def test_a_stream_that_ends_early_is_no_reply(vendor: str) -> None:
    """Closed before it said how it ended, a stream is broken, and what it said until then is kept as unpriced."""
    data = STREAMS[vendor]
    async with serve(writes(before(data, "lo"))) as peer, provider(peer.url, vendor) as asked:
        with pytest.raises(ProviderBroken, match="ended before the reply did") as raised:
            await asked.ask(request())
    received = raised.value.received
    assert isinstance(received, Reply)
    assert (received.text, received.cost.certainty, raised.value.attempts) == ("hel", "unknown", 1)


async def test_a_reset_and_a_standstill_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is cut in mid-stream, and one that goes silent in it, each end the call by name, asked once."""
    begun = before(OPENAI, "stop")
    cut = await failure(writes(begun, pause=0.05, reset=True))
    monkeypatch.setattr(nyxlab.providers.wire, "STALL", 0.2)
    began = time.perf_counter()
    still = await failure(writes(begun, hold=True))
    assert "stood still for 0.2 s" in str(still)
    assert time.perf_counter() - began < 5
    assert "the connection broke" in str(cut) or "ended before" in str(cut)
    assert (cut.received.text, still.received.text, cut.attempts, still.attempts) == ("hello", "hello", 1, 1)


async def test_a_byte_a_second_ends_at_the_deadline() -> None:
    """A drip that never stands still for long is bounded by the deadline, and what came is kept."""
    drip = [OPENAI[i : i + 1] for i in range(len(OPENAI))]
    error = await failure(writes(*drip, pause=0.02), deadline=1.0)
    assert (type(error), "no reply within 1 s" in str(error)) == (ProviderBroken, True)


async def test_an_endless_stream_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events without end are given up at the cap on bytes, whether they say something or not."""
    monkeypatch.setattr(nyxlab.providers.wire, "LARGEST_STREAM", 3_000_000)

    async def forever(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while not writer.is_closing():
            writer.write(b": ping\n\n" * 20_000 + b"data: {}\n\n" * 1_000)
            await writer.drain()

    async def line(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"data: ")
        while not writer.is_closing():
            writer.write(b"x" * 100_000)
            await writer.drain()

    for endless in (forever, line):
        assert "larger than 3,000,000 bytes" in str(await failure(endless))


@pytest.mark.parametrize(
    "data",
    [
        b"data: {broken\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        b'data: {"choices": [], "usage": {"prompt_tokens": NaN}}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"\xff\xfe\n\n",
        b"",
    ],
    ids=["json", "list", "type", "content", "nan", "deep", "bytes", "empty"],
)
async def test_what_is_no_stream_is_one_named_error(data: bytes) -> None:
    """Broken JSON, other shapes, NaN, too deep, nothing at all: ProviderBroken, asked once."""
    error = await failure(writes(data))
    assert (type(error), error.attempts) == (ProviderBroken, 1)


async def test_an_error_within_a_stream() -> None:
    """Overloaded before the first word, the call is made again; after it, it is not, since it may have been billed."""
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    early, late = events(overloaded), before(ANTHROPIC, "lo") + events(overloaded)
    async with serve(writes(early), writes(ANTHROPIC)) as peer, provider(peer.url, "anthropic") as asked:
        reply = await asked.ask(request())
    assert (reply.text, reply.attempts) == ("hello", 2)
    async with serve(writes(late)) as peer, provider(peer.url, "anthropic") as asked:
        with pytest.raises(ProviderBusy, match="in the middle of its reply: overloaded_error") as raised:
            await asked.ask(request())
    assert (raised.value.attempts, raised.value.received.text) == (1, "hel")


async def test_cancelling_closes_the_line_and_keeps_what_came(tmp_path) -> None:
    """Called off in mid-stream, the connection is closed at once and the ledger has the text, cancelled and
    unpriced."""
    closed = anyio.Event()

    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + before(OPENAI, "stop"))
        try:
            while True:
                await asyncio.sleep(0.02)
                writer.write(b": ping\n\n")
                await writer.drain()
        except ConnectionError:
            closed.set()

    store = open_store(f"sqlite:///{tmp_path}/ledger.db")
    workflow = parse_workflow("name: w\nsteps:\n  - {id: a, prompt: hi}\n", "w")
    run_id = await start_run(store, workflow, {})
    async with serve(talk) as peer, provider(peer.url) as asked:
        with anyio.move_on_after(0.5):
            await Ledger(Book(store, run_id), "a").wrap(asked).ask(request())
        with anyio.fail_after(3):
            await closed.wait()
    (call,) = (await store.load(run_id)).calls
    assert (call.status, call.reply.text, call.possibly_billed) == ("cancelled", "hello", True)
    assert call.cost.certainty == "unknown"
    assert call.charge == Decimal(0)
    await store.aclose()


def test_events_are_cut_as_the_standard_says() -> None:
    """CR LF or LF, several data lines in one event, comments and other fields left out, an unfinished event unsaid."""
    parser = Events()
    told = parser.feed(b"event: x\r\ndata: one\r\ndata:two\r\n\r\n: c\n\nid: 7\n\ndata: three\n\nda")
    assert told == [b"one\ntwo", b"three"]
    assert parser.feed(b"ta: four\n") == []
    assert parser.feed(b"\n") == [b"four"]
