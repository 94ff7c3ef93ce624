"""Not waiting for one slow provider, and one answer written out of several."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest
from gate_players import ASK, Player, gate_of

from nyxlab.engine.reading import parse_workflow
from nyxlab.errors import GateFailed, ProviderBroken
from nyxlab.lab.lab import Lab
from nyxlab.lab.views import rows as tables
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
BROKEN = ProviderBroken("gone", provider="a:x")


async def test_the_next_one_is_asked_when_the_first_is_slow() -> None:
    """After the hedge's seconds the fallback is called too.

    Its answer wins and the slow call is shown as possibly billed.
    """
    slow, quick = Player("a:x", seconds=30), Player("b:y", "quick")
    began = time.perf_counter()
    found = await gate_of([slow], fallback=[quick], hedge=0.05).decide(ASK)
    assert time.perf_counter() - began < 5
    assert (found.selected_provider, found.selected_by, found.reply.text) == ("b:y", "fallback", "quick")
    assert [(a.provider, a.status) for a in found.alternatives] == [("a:x", "cancelled"), ("b:y", "ok")]
    assert "possibly billed" in found.alternatives[0].error


async def test_a_quick_first_answer_costs_one_call() -> None:
    """Who answers within the hedge is the only one asked."""
    quick, spare = Player("a:x", "42"), Player("b:y")
    found = await gate_of([quick], fallback=[spare], hedge=5).decide(ASK)
    assert (found.selected_provider, found.selected_by) == ("a:x", "only")
    assert spare.asked == []


async def test_a_failure_is_not_waited_for() -> None:
    """One that fails hands on at once; when all fail the error names each of them, once."""
    began = time.perf_counter()
    found = await gate_of([Player("a:x", BROKEN)], fallback=[Player("b:y")], hedge=20).decide(ASK)
    assert found.selected_provider == "b:y"
    with pytest.raises(GateFailed, match=r"a:x.*b:y") as caught:
        await gate_of([Player("a:x", BROKEN)], fallback=[Player("b:y", BROKEN)], hedge=20).decide(ASK)
    assert str(caught.value).count("gone") == 2
    assert time.perf_counter() - began < 5


async def test_one_answer_out_of_several() -> None:
    """The judge sees every answer blind, in an order that does not follow the listing, and what it writes is
    selected."""
    asked = []
    for order in ((("a:x", "forty"), ("b:y", "two")), (("b:y", "two"), ("a:x", "forty"))):
        judge = Player("j:j", "forty-two", usd="0.01")
        gate = gate_of([Player(*one) for one in order], compare=True, judge=judge, select="synthesise", seed=b"s")
        found = await gate.decide(ASK)
        assert (found.selected_provider, found.selected_by, found.reply.text) == ("j:j", "judge", "forty-two")
        assert [a.provider for a in found.alternatives] == [order[0][0], order[1][0], "j:j"]
        asked += [request.text for request in judge.asked]
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert "a:x" not in asked[0]
    assert "b:y" not in asked[0]


@pytest.mark.parametrize("judge", [Player("j:j", BROKEN), Player("j:j", ""), Player("j:j", missing="no key"), None])
async def test_without_a_written_answer_one_is_chosen(judge: Player | None) -> None:
    """Where nothing usable is written, the answers are compared as usual and the reason says so."""
    gate = gate_of([Player("a:x", "41"), Player("b:y", "42")], compare=True, judge=judge, select="synthesise")
    with anyio.fail_after(5):
        found = await gate.decide(ASK)
    assert found.selected_provider in {"a:x", "b:y"}
    assert "j:j" in found.gate.reason or "no judge is named" in found.gate.reason


async def test_one_usable_answer_is_not_rewritten() -> None:
    """With one usable answer there is nothing to write it out of: nobody is asked."""
    judge = Player("j:j", "x")
    found = await gate_of(
        [Player("a:x", BROKEN), Player("b:y")], compare=True, judge=judge, select="synthesise"
    ).decide(ASK)
    assert (found.selected_provider, judge.asked) == ("b:y", [])


async def test_in_a_workflow(tmp_path: Path) -> None:
    """select: synthesise and hedge are read from the file; the written answer is the output, and tables add up."""
    (tmp_path / "s.yaml").write_text(
        "# scripted replies, written by hand: no model produced this text\n"
        "a: [{text: forty}]\nb: [{text: two}]\nslow: [{text: late, latency: 30}]\n"
        'j: [{text: forty-two, usage: {input_tokens: 5, output_tokens: 5}, price: {input: "1000", output: "1000"}}]\n'
    )
    (tmp_path / "nyxlab.toml").write_text("")
    text = (
        "name: w\nsteps:\n"
        "  - {id: one, prompt: x, compare: ['script:s.yaml#a', 'script:s.yaml#b'], judge: 'script:s.yaml#j', select: synthesise}\n"
        "  - {id: two, prompt: y, provider: 'script:s.yaml#slow', fallback: ['script:s.yaml#a'], hedge: 0.05}\n"
    )
    async with Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path)) as lab:
        run = await lab.run(parse_workflow(text, "w.yaml"))
    assert (run.steps["one"].output, run.steps["two"].output) == ("forty-two", "forty")
    assert [call.status for call in run.steps["two"].calls] == ["cancelled", "ok"]
    assert sum(row["usd"] for row in tables.step_rows(run.checkpoint())) == run.cost.usd
