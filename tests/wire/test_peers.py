"""The same calls against servers of other people on loopback: llmock in all three formats, llm-rosetta for Google's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rosetta import rosetta_before

import nyxlab.providers.pace as pace
from nyxlab.errors import ProviderBroken, ProviderBusy, ProviderMisused
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.registry import open_provider
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
testing = pytest.importorskip("llmock.testing", reason="llmock is not installed")
from llmock.scenarios import Fail, SlowFirstToken, StreamFault  # noqa: E402 - only where llmock is

PATHS = {"openai": "openai", "anthropic": "anthropic", "google": "gemini"}


@pytest.fixture(scope="module")
def mock() -> Iterator[object]:
    with testing.LLMockServer() as server:
        yield server


@pytest.fixture(params=PATHS)
def vendor(request: pytest.FixtureRequest, mock) -> Iterator[str]:
    mock.state.scenarios.clear()
    pace._paces.clear()  # what one test broke on purpose is no news to the next
    yield request.param
    mock.state.scenarios.clear()


def provider(mock, vendor: str, model: str = "some-model") -> Provider:
    url = mock.base_url(PATHS[vendor])
    return open_provider(f"{vendor}:{model}", settings=load_settings(), base_url=url, api_key="test-key-0123")


def ask(**options: object) -> Request:
    return Request(messages=[Message("user", "Tell me a tale.")], **{"max_tokens": 64, "deadline": 20, **options})


@pytest.mark.parametrize("stream", [False, True])
async def test_llmock_answers(mock, vendor: str, stream: bool) -> None:
    """In each vendor's format, streamed or not: text, a clean end, counts, and a first token where one is timed."""
    async with provider(mock, vendor) as asked:
        reply = await asked.ask(ask(system="Be brief.", stream=stream))
    assert (bool(reply.text.strip()), reply.stop, reply.attempts) == (True, "end", 1)
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0
    assert (reply.time_to_first_token_seconds is not None) == stream


async def test_llmock_refuses_for_a_while(mock, vendor: str) -> None:
    """A 429 with a wish to wait is waited for and counted apart; a 401 is the caller's to mend."""
    mock.state.scenarios.add(Fail(429, retry_after=1))
    async with provider(mock, vendor) as asked:
        reply = await asked.ask(ask())
        assert reply.attempts == 2
        assert reply.wait_seconds >= 1 > reply.latency_seconds
        mock.state.scenarios.add(Fail(401))
        with pytest.raises(ProviderMisused, match="key was not accepted"):
            await asked.ask(ask())
        mock.state.scenarios.add(Fail(503, retry_after=0, times=4))
        with pytest.raises(ProviderBusy):
            await asked.ask(ask(deadline=30))


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
async def test_llmock_breaks_a_stream(mock, vendor: str, kind: str) -> None:
    """A stream that llmock breaks in its middle is ProviderBroken, asked once, with what had come."""
    mock.state.scenarios.add(StreamFault(kind, after_chunks=4))
    async with provider(mock, vendor) as asked:
        with pytest.raises(ProviderBroken) as raised:
            await asked.ask(ask(stream=True))
    assert raised.value.attempts == 1


async def test_llmock_is_slow_to_begin(mock, vendor: str) -> None:
    """A server that thinks for half a second before its first word shows it in the time to the first token."""
    mock.state.scenarios.add(SlowFirstToken(0.5))
    async with provider(mock, vendor) as asked:
        reply = await asked.ask(ask(stream=True))
    assert 0.5 <= reply.time_to_first_token_seconds <= reply.latency_seconds


@pytest.fixture(scope="module")
def rosetta(mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rosetta_before(mock.base_url("openai"), "k", tmp_path_factory.mktemp("rosetta")) as url:
        yield url


@pytest.mark.parametrize("stream", [False, True])
async def test_rosetta_translates_googles_format(rosetta: str, stream: bool) -> None:
    """A translator that others wrote understands our Google requests, and we its replies and their counts."""
    provider = open_provider("google:m", settings=load_settings(), base_url=rosetta, api_key="k")
    async with provider as asked:
        reply = await asked.ask(ask(system="Be brief.", stream=stream))
    assert (bool(reply.text.strip()), reply.stop) == (True, "end")
    assert reply.usage.output_tokens > 0
    assert (reply.time_to_first_token_seconds is not None) == stream
