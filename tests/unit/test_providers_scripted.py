"""Scripted replies: by match or in order, the same under any concurrency, and never mistaken for a model's."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from nyxlab.errors import InputRefused, ProviderBroken, ProviderBusy, ProviderMisused, ProviderRefused
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.scripted import ScriptedProvider

pytestmark = pytest.mark.anyio


def ask(text: str, **options: object) -> Request:
    return Request(messages=[Message("user", text)], **options)


async def test_ordered_replies_are_served_once_and_the_last_one_stays() -> None:
    """Entries without match come in their order; the last one goes on for ever."""
    provider = ScriptedProvider(["one", "two"])
    assert [(await provider.ask(ask("x"))).text for _ in range(4)] == ["one", "two", "two", "two"]


async def test_match_wins_whatever_the_order_of_calls() -> None:
    """A reply by match depends on the request alone: any order and any concurrency give the same."""
    provider = ScriptedProvider(
        [{"text": "plain"}, {"match": "lim", "text": "L"}, {"match": "limits", "text": "never"}]
    )
    served: dict[str, str] = {}

    async def one(text: str) -> None:
        served[text] = (await provider.ask(ask(text))).text

    async with anyio.create_task_group() as group:
        for text in ("the limits", "nothing", "limits again", "else"):
            group.start_soon(one, text)
    assert served == {"the limits": "L", "nothing": "plain", "limits again": "L", "else": "plain"}


async def test_repeat_false_serves_a_match_once() -> None:
    """A match entry with repeat: false gives way to the next one that fits."""
    provider = ScriptedProvider([{"match": "a", "repeat": False, "text": "1"}, {"match": "a", "text": "2"}])
    assert [(await provider.ask(ask("a"))).text for _ in range(3)] == ["1", "2", "2"]


async def test_errors_are_those_of_real_providers() -> None:
    """Each named error is raised as its class, with the provider's id."""
    for name, kind in {
        "busy": ProviderBusy,
        "refused": ProviderRefused,
        "broken": ProviderBroken,
        "misused": ProviderMisused,
    }.items():
        with pytest.raises(kind, match="script:"):
            await ScriptedProvider([{"error": name}]).ask(ask("x"))
    with pytest.raises(ProviderMisused, match="no entry of the script fits"):
        await ScriptedProvider([{"match": "never", "text": "x"}]).ask(ask("hello"))


async def test_pretended_prices_are_estimates_and_no_price_is_free() -> None:
    """A pretended price never makes an exact cost; a script without one costs exactly nothing."""
    priced = {
        "text": "x",
        "usage": {"input_tokens": 812, "outputTokens": 240},
        "price": {"input": "3.00", "output": "15.00"},
    }
    reply = await ScriptedProvider([priced]).ask(ask("x"))
    assert (reply.cost.usd, reply.cost.certainty, reply.price.sheet) == (Decimal("0.006036"), "estimated", "script")
    assert ScriptedProvider([priced]).estimate(ask("x", max_tokens=1_000)).usd > Decimal("0.015")
    free = ScriptedProvider(["x"])
    assert (await free.ask(ask("x"))).cost == free.estimate(ask("x"))
    assert (await free.ask(ask("x"))).cost.usd == 0


async def test_latency_is_slept_and_the_deadline_holds() -> None:
    """Latency really passes, and a deadline shorter than it ends the call as it would with a real provider."""
    provider = ScriptedProvider([{"text": "x", "latency": 0.05}])
    assert (await provider.ask(ask("x"))).latency_seconds >= 0.05
    with pytest.raises(ProviderBroken, match=r"no reply within 0\.01 s"):
        await provider.ask(ask("x", deadline=0.01))


async def test_files_with_channels(tmp_path: Path) -> None:
    """A file's channel gives text, JSON and cut replies; two providers on it do not share their place in it."""
    path = tmp_path / "s.yaml"
    path.write_text("# by hand\na:\n  - json: {n: 1}\n  - {text: cut, stop: length}\nb: [{text: from b}]\n")
    first, second = ScriptedProvider(f"{path}#a"), ScriptedProvider(f"{path}#a")
    assert (await first.ask(ask("x"))).text == '{"n": 1}'
    assert (await first.ask(ask("x"))).truncated
    assert (await second.ask(ask("x"))).text == '{"n": 1}'
    assert first.identity == second.identity != ScriptedProvider(f"{path}#b").identity


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("a:\n  - tex: x\n", "s.yaml:2: unknown key 'tex'; did you mean 'text'?"),
        ("a:\n  - text: x\n  - text: y\n    usage: {input_tokens: -1}\n", "s.yaml:4: usage.input_tokens"),
        ("a:\n  - text: x\n    usage: {input_tokens: '7'}\n", "s.yaml:3: usage.input_tokens"),
        ("a:\n  - match: x\n", "s.yaml:2: give exactly one of text, json and error"),
        ("a:\n  - text: x\n    latency: .nan\n", "s.yaml:3: latency"),
        ("a: [x]\n", "s.yaml:1"),
        ("a: {}\n", "maps each channel"),
        ("[]\n", "maps each channel"),
        ("b: [{text: x}]\n", "no channel 'a'"),
        ("a: &x [{text: x}]\nb: *x\n", "s.yaml:2: aliases"),
        ("a: []\na: []\n", "s.yaml:2: 'a' stands twice"),
        ("a: [\n", "not valid YAML"),
        ("a: []\n", "needs at least one reply"),
        ("a: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        ("a: " + "[" * 60 + "]" * 60, "nested deeper than 40"),
        ("a: [{text: '" + "x" * 1_000_000 + "'}]", "may hold 1,000,000"),
    ],
)
async def test_refusals_name_file_and_line(tmp_path: Path, script: str, said: str) -> None:
    """A script that cannot be used is refused in one sentence with file, line and the nearest key."""
    (tmp_path / "s.yaml").write_text(script)
    with pytest.raises(InputRefused) as refused:
        ScriptedProvider(f"{tmp_path / 's.yaml'}#a")
    assert said in str(refused.value)
