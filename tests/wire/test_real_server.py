"""The same calls against a real server of other people: llama.cpp's own, on loopback, and in this process."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from types import SimpleNamespace

import anyio
import pytest
from rosetta import rosetta_before

from nyxlab.errors import InputRefused, ProviderBroken, ProviderMisused
from nyxlab.providers import local
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.registry import open_provider
from nyxlab.settings import load_settings

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(local._missing() is not None, reason=f"no real server here: {local._missing()}"),
]

SCHEMA = {
    "type": "object",
    "properties": {"fruits": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}},
    "required": ["fruits"],
    "additionalProperties": False,
}
KEY = "loopback-key-0123456789"
KINDS = ("openai", "anthropic", "google")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(local._weights())
    params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 1024, 1, False, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.api_keys, params.hostnames, params.port = [KEY], ["127.0.0.1"], 0
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


def ask(text: str, **options: object) -> Request:
    return Request(
        messages=[Message("user", text)], **{"max_tokens": 24, "temperature": 0.0, "deadline": 60, **options}
    )


@pytest.fixture(scope="module")
def addresses(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return where each format is spoken: two by the server itself, Google's by llm-rosetta in front of it."""
    with rosetta_before(f"{url}/v1", KEY, tmp_path_factory.mktemp("rosetta")) as google:
        yield {"openai": f"{url}/v1", "anthropic": f"{url}/v1", "google": google}


def over_http(kind: str, address: str, key: str = KEY) -> Provider:
    return open_provider(f"{kind}:m", settings=load_settings(), base_url=address, api_key=key)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_real_server_answers(addresses: dict[str, str], kind: str) -> None:
    """A server we did not write understands our body and we its reply, with counts that the two formats agree on."""
    async with over_http(kind, addresses[kind]) as provider:
        reply = await provider.ask(ask("Say hello.", system="You are brief."))
        cut = await provider.ask(ask("Count from one to a hundred.", max_tokens=4))
    assert reply.text.strip()
    assert reply.usage.input_tokens + reply.usage.cache_read_tokens > 10
    assert 0 < reply.usage.output_tokens <= 24
    assert cut.truncated
    assert cut.usage.output_tokens == 4


@pytest.mark.parametrize("kind", KINDS)
async def test_a_real_stream_is_the_same_reply(addresses: dict[str, str], kind: str) -> None:
    """Streamed or not, a real server's greedy reply has the same text, stop and counts, and a first token's time."""
    async with over_http(kind, addresses[kind]) as provider:
        whole, streamed = [await provider.ask(ask("Name a colour.", stream=stream)) for stream in (False, True)]
    assert (whole.text, whole.stop, whole.usage.output_tokens) == (
        streamed.text,
        streamed.stop,
        streamed.usage.output_tokens,
    )
    assert whole.time_to_first_token_seconds is None
    assert 0 < streamed.time_to_first_token_seconds < streamed.latency_seconds


async def test_all_formats_give_one_answer(addresses: dict[str, str]) -> None:
    """The same greedy question gives the same text and the same number of tokens through each format."""
    replies = []
    for kind, address in addresses.items():
        async with over_http(kind, address) as provider:
            replies.append(await provider.ask(ask("Name a colour.")))
    assert len({(reply.text, reply.usage.tokens) for reply in replies}) == 1


async def test_a_schema_is_enforced(url: str) -> None:
    """A schema sent in OpenAI's way constrains what a real server generates."""
    async with over_http("openai", f"{url}/v1") as provider:
        reply = await provider.ask(ask("Two fruits as JSON.", max_tokens=120, output_schema=SCHEMA))
    assert len(json.loads(reply.text)["fruits"]) == 2


@pytest.mark.parametrize("kind", ["anthropic", "google"])
async def test_a_server_that_ignores_the_schema_is_caught(addresses: dict[str, str], kind: str) -> None:
    """llama.cpp takes no schema in Anthropic's format and llm-rosetta drops Google's: one repair, then a named
    failure."""
    async with over_http(kind, addresses[kind]) as provider:
        with pytest.raises(ProviderBroken, match="two replies running were not the JSON") as raised:
            await provider.ask(ask("Say hello in one word.", max_tokens=200, output_schema=SCHEMA))
    assert raised.value.attempts == 2
    assert raised.value.received is not None


async def test_a_wrong_key_and_a_long_prompt(url: str) -> None:
    """A real server's 401 and 400 are the caller's to mend, and its words do not repeat the prompt."""
    async with over_http("openai", f"{url}/v1", key="wrong-key-000") as provider:
        with pytest.raises(ProviderMisused, match="key was not accepted"):
            await provider.ask(ask("hi"))
    async with over_http("openai", f"{url}/v1") as provider:
        with pytest.raises(ProviderMisused, match="context size") as raised:
            await provider.ask(ask("pineapple " * 2_000))
    assert "pineapple" not in str(raised.value)


async def test_the_embedded_model() -> None:
    """Without key or network: real tokens, exactly free, first token timed, and greedy text that repeats itself."""
    provider = open_provider("local:smollm2-135m")
    first, second = await provider.ask(ask("Name a fruit.")), await provider.ask(ask("Name a fruit."))
    assert first.text == second.text != ""
    assert (first.cost.usd, first.cost.certainty, provider.estimate(ask("x")).usd) == (0, "exact", 0)
    assert 0 < second.time_to_first_token_seconds < second.latency_seconds
    assert second.usage.output_tokens > 1
    drawn = open_provider("local:smollm2-135m?temperature=0.8&seed=7")
    assert (await drawn.ask(ask("Name a fruit.", temperature=None))).text != ""
    assert drawn.identity != provider.identity == open_provider("local:smollm2-135m?temperature=0").identity


async def test_the_embedded_model_takes_turns_and_leaves_the_loop_free() -> None:
    """Calls at once wait for their turn, which is measured apart, while the event loop goes on."""
    provider = open_provider("local:smollm2-135m")
    replies, ticks = [], 0

    async def tick() -> None:
        nonlocal ticks
        while len(replies) < 2:
            await anyio.sleep(0.01)
            ticks += 1

    async def one() -> None:
        replies.append(await provider.ask(ask("Tell me a story.")))

    async with anyio.create_task_group() as group:
        for task in (tick, one, one):
            group.start_soon(task)
    assert replies[1].wait_seconds >= replies[0].latency_seconds * 0.5
    assert ticks > 5


async def test_the_embedded_model_stops_when_nobody_waits() -> None:
    """Past its deadline a call ends, the model stops, and the next call has it for itself."""
    provider = open_provider("local:smollm2-135m")
    await provider.ask(ask("hi", max_tokens=1))
    with pytest.raises(ProviderBroken, match=r"no reply within 0\.5 s"):
        await provider.ask(ask("Write a very long story.", max_tokens=2_000, deadline=0.5))
    assert (await provider.ask(ask("hi", max_tokens=1))).wait_seconds < 2


async def test_the_embedded_model_refuses_what_it_cannot_hold() -> None:
    """A prompt longer than the window is the caller's to mend."""
    with pytest.raises(ProviderMisused, match="exceed_context_size_error"):
        await open_provider("local:smollm2-135m").ask(ask("word " * 6_000))


async def test_the_embedded_model_is_asked_as_any_other() -> None:
    """A schema that is none is refused before the call; half a character is replaced; a list without end is bounded."""
    async with open_provider("local:smollm2-135m") as provider:
        with pytest.raises(InputRefused, match="not a JSON Schema"):
            await provider.ask(ask("hi", output_schema={"type": "nonsense"}))
        assert (await provider.ask(ask("hi", system="half a \ud800 pair"))).text
        endless = {
            "type": "object",
            "properties": {"a": {"type": "array", "items": {"type": "string"}}},
            "required": ["a"],
        }
        reply = await provider.ask(ask("Fruits as JSON.", max_tokens=900, output_schema=endless))
    assert (reply.stop, len(json.loads(reply.text)["a"]) <= local.LONGEST_LIST) == ("end", True)


def test_the_embedded_models_own_port_is_shut() -> None:
    """The HTTP port that comes with the model answers nobody without a key, and no foreign page at all."""
    import httpx

    address = local._server().listening_address
    assert address.startswith("http://127.0.0.1:")
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    reply = httpx.post(f"{address}/v1/chat/completions", json=body, headers={"origin": "https://evil.example"})
    assert reply.status_code == 401
    assert reply.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")


async def test_the_embedded_model_is_asked_over_a_new_connection_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server says "keep-alive" and closes all the same, as this one does: no call may meet a closing door."""
    event = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
    body = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()
    head = "HTTP/1.1 200 OK\r\nkeep-alive: timeout=5\r\ncontent-type: text/event-stream\r\ncontent-length: "

    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", question.lower())[1]))
        writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
        await reader.read(1)  # a second question, or the end of the connection
        writer.close()

    listener = await asyncio.start_server(answer_one, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    monkeypatch.setattr(local, "_loaded", lambda: SimpleNamespace(listening_address=f"http://127.0.0.1:{port}"))
    async with listener, open_provider("local:smollm2-135m") as provider:
        for _ in range(3):
            assert (await provider.ask(ask("hi"))).text == "hi"
