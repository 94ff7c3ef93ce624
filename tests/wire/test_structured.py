"""Replies under a schema: checked, asked for once more where they break it, then refused by name."""

from __future__ import annotations

import json

import pytest
from wire_peer import http, serve

from nyxlab.errors import InputRefused, ProviderBroken, ProviderMisused
from nyxlab.gate.gate import Gate
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.registry import open_provider
from nyxlab.settings import Settings, UnitPrice

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}


def says(text: str, reason: str = "stop") -> bytes:
    choice = {"message": {"content": text}, "finish_reason": reason}
    return http(200, {"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})


def provider(url: str, tmp_path) -> Provider:
    settings = Settings(root=tmp_path, store="", prices={"openai:m": UnitPrice(input=1, output=2)})
    return open_provider("openai:m", settings=settings, base_url=url, api_key="k")


ASKED = Request(messages=[Message("user", "hi")], max_tokens=8, output_schema=SCHEMA, deadline=10)


async def test_a_reply_that_holds_is_asked_for_once(tmp_path) -> None:
    """Valid JSON is returned as it came."""
    async with serve(says('{"n": 3}')) as peer, provider(peer.url, tmp_path) as asked:
        assert (await asked.ask(ASKED)).text == '{"n": 3}'
    assert len(peer.heads) == 1


@pytest.mark.parametrize("bad", ['{"n": 1}', "Sure! Here it is", '{"n": 3, "n": 4}', '{"n": NaN}', "{}", " "])
async def test_one_repair(bad: str, tmp_path) -> None:
    """What breaks the schema goes back once with what is wrong; the reply bears the price and the tokens of both."""
    async with serve(says(bad), says('{"n": 3}')) as peer, provider(peer.url, tmp_path) as asked:
        reply = await asked.ask(ASKED)
        assert reply.cost.usd <= asked.estimate(ASKED).usd * 10
    assert (reply.text, reply.attempts, reply.usage.tokens) == ('{"n": 3}', 2, 30)
    assert reply.cost.usd * 1_000_000 == 2 * (10 * 1 + 5 * 2)
    turns = peer.bodies[1]["messages"]
    assert [turn["content"] for turn in turns[:-1]] == ["hi", bad][: 1 + bool(bad.strip())]
    assert "Reply again: only the JSON" in turns[-1]["content"]


async def test_then_a_named_failure_that_keeps_what_was_paid(tmp_path) -> None:
    """Two replies that break the schema are ProviderBroken; the gate shows the last, with the cost of both."""
    async with serve(says('{"n": 1}')) as peer, provider(peer.url, tmp_path) as asked:
        with pytest.raises(ProviderBroken, match="two replies running were not the JSON asked for") as raised:
            await asked.ask(ASKED)
        assert (len(peer.heads), raised.value.received.text) == (2, '{"n": 1}')
        assert raised.value.received.usage.tokens == 30
        with pytest.raises(Exception, match="no usable answer") as failed:
            await Gate([asked]).ask(ASKED)
        (shown,) = failed.value.payload["alternatives"]
        assert (shown["status"], shown["output"], shown["cost"]["certainty"]) == ("invalid", '{"n": 1}', "exact")
        assert asked.unusable() is None, "an endpoint whose model cannot follow a schema is not down"


async def test_cut_off_json_is_not_repaired(tmp_path) -> None:
    """A reply cut at the limit would be cut again, so the caller is told to raise it."""
    async with serve(says('{"n":', "length")) as peer, provider(peer.url, tmp_path) as asked:
        with pytest.raises(ProviderMisused, match=r"cut off at 8 tokens.*raise max_tokens"):
            await asked.ask(ASKED)
    assert len(peer.heads) == 1


async def test_a_schema_that_is_none_costs_nothing(tmp_path) -> None:
    """A schema that is no JSON Schema is refused before anything is sent."""
    async with serve(says("{}")) as peer, provider(peer.url, tmp_path) as asked:
        with pytest.raises(InputRefused, match="not a JSON Schema"):
            await asked.ask(ASKED.model_copy(update={"output_schema": {"type": "nonsense"}}))
    assert peer.heads == []


async def test_an_estimate_covers_the_repair(tmp_path) -> None:
    """Under a schema a call may cost two replies and a longer prompt, and the estimate says so."""
    asked = provider("http://127.0.0.1:9", tmp_path)
    plain = ASKED.model_copy(update={"output_schema": None})
    assert asked.estimate(ASKED).usd > 2 * asked.estimate(plain).usd
    assert json.loads('{"n": 3}')["n"] == 3
