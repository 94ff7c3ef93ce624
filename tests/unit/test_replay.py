"""What the ledger recorded pays back: replayed without spend, repriced at others' lists, checked with one small
call."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from nyxlab.errors import InputRefused
from nyxlab.lab.lab import Lab
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.registry import open_provider

LONGEST = 256  # the same request as the step's, or the run was never asked it
pytestmark = pytest.mark.anyio

SCRIPT = """\
a:
  - {match: [Draft, teas], text: a draft about teas, latency: 0.01, usage: {input_tokens: 900, output_tokens: 100},
     price: {input: "3.00", output: "15.00"}}
  - {match: Shorten, text: short, usage: {input_tokens: 10, output_tokens: 2}}
b:
  - {text: the answer of b}
"""
WORKFLOW = """\
name: tea
inputs: {topic: {type: string, default: teas}}
steps:
  - {id: draft, prompt: "Draft about {{ inputs.topic }}.", max_tokens: 256, compare: ["script:s.yaml#a", "script:s.yaml#b"], policy: first}
  - {id: short, prompt: "Shorten: {{ steps.draft.output }}", provider: "script:s.yaml#a"}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nyxlab.toml").write_text("")
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "tea.yaml").write_text(WORKFLOW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_a_replay_says_what_the_run_selected_at_no_cost(project: Path) -> None:
    """The same workflow over replay:RUN gives the same outputs, marked cached and exactly free, and calls nobody."""
    async with Lab() as lab:
        first = await lab.run("tea.yaml")
        (project / "s.yaml").unlink()
        again = await lab.run("tea.yaml", providers=f"replay:{first.run_id}")
    assert [s.output for s in again.steps.values()] == [s.output for s in first.steps.values()]
    assert again.steps["short"].output == "short"
    assert (first.cost.usd > 0, again.cost.usd, again.cost.certainty) == (True, Decimal(0), "exact")
    assert all(call.reply.cached for call in again.calls)


async def test_a_replay_can_take_one_providers_side(project: Path) -> None:
    """RUN#PROVIDER answers as that provider did, so a comparison can be decided anew without spend."""
    async with Lab() as lab:
        run = await lab.run("tea.yaml")
        for channel, said in (("a", "a draft about teas"), ("b", "the answer of b")):
            side = lab.open(f"replay:{run.run_id}#script:s.yaml#{channel}")
            request = Request(messages=[Message("user", "Draft about teas.")], max_tokens=LONGEST)
            assert (await side.ask(request)).text == said


async def test_what_was_never_asked_is_not_answered(project: Path) -> None:
    """Another question, or a run that is not there, ends in one sentence that says so."""
    async with Lab() as lab:
        run = await lab.run("tea.yaml")
        asked = await lab.run("tea.yaml", inputs={"topic": "coffee"}, providers=f"replay:{run.run_id}")
        assert asked.status == "failed"
        assert "holds no reply to this request" in asked.steps["draft"].error
        lost = await lab.run("tea.yaml", providers="replay:never")
        assert "never" in lost.steps["draft"].error


def test_replay_without_a_ledger_is_refused(project: Path) -> None:
    """open_provider alone has no ledger, and says who has."""
    with pytest.raises(InputRefused, match="Lab"):
        open_provider("replay:x")


async def test_check_tells_what_came_back(project: Path) -> None:
    """One small call each: the text and its times, or the reason in one sentence; no error is raised."""
    (project / "s.yaml").write_text(SCRIPT + "c:\n  - {error: busy}\n")
    async with Lab() as lab:
        good, bad = await lab.check(["script:s.yaml#b", "script:s.yaml#c"])
    assert (good.text, good.error) == ("the answer of b", None)
    assert (bad.text, bad.error) == (None, "scripted error (busy)")
