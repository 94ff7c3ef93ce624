"""A comparison that a person decides: it pauses, keeps the choice, and carries on with it."""

from __future__ import annotations

import pytest

from nyxlab.engine.reading import parse_workflow
from nyxlab.errors import InputRefused
from nyxlab.lab.lab import Lab
from nyxlab.settings import load_settings

SCRIPT = """\
# scripted replies, written by hand: no model produced this text
a: [{text: the first plan}]
b: [{text: the second plan}]
c: [{error: broken}]
"""
FLOW = """\
name: asks
steps:
  - {id: draft, prompt: Draft it., compare: ["script:s.yaml#a", "script:s.yaml#b"], select: ask, judge: null}
  - {id: after, prompt: "Go on: {{ steps.draft.output }}", provider: "script:s.yaml#a"}
"""


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text("")
    return Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path))


@pytest.mark.anyio
async def test_person_chooses_and_the_run_carries_on(lab):
    """The run pauses with both answers to see; the choice is kept as a label, and nothing is bought twice."""
    async with lab:
        run = await lab.run(parse_workflow(FLOW, "asks"))
        assert (run.status, run.pause.kind, run.pause.choices) == (
            "paused",
            "choice",
            ("script:s.yaml#a", "script:s.yaml#b"),
        )
        assert len(run.checkpoint()["steps"][0]["alternatives"]) == 2
        again = await lab.resume(run.run_id)
        assert (again.status, len(again.calls)) == ("paused", 2)
        await lab.choose(run.run_id, "draft", "script:s.yaml#b")
        done = await lab.resume(run.run_id)
        draft = done.checkpoint()["steps"][0]
        assert (done.status, draft["selectedBy"], draft["selectedProvider"]) == (
            "completed",
            "person",
            "script:s.yaml#b",
        )
        assert (draft["output"], len(done.calls)) == ("the second plan", 3)
        with pytest.raises(InputRefused, match="waits for no choice"):
            await lab.choose(run.run_id, "draft", "script:s.yaml#a")


@pytest.mark.anyio
async def test_only_an_answer_that_can_be_used_can_be_chosen(lab):
    """A provider that was not asked, and a step that does not wait, are refused by name."""
    async with lab:
        run = await lab.run(parse_workflow(FLOW, "asks"))
        with pytest.raises(InputRefused, match="no usable answer: choose script:s"):
            await lab.choose(run.run_id, "draft", "script:s.yaml#c")
        with pytest.raises(InputRefused, match="it waits at 'draft'"):
            await lab.choose(run.run_id, "after", "script:s.yaml#a")


@pytest.mark.anyio
async def test_fewer_than_two_usable_answers_never_wait_for_a_person(lab):
    """With one answer there is nothing to choose: the run goes on."""
    async with lab:
        run = await lab.run(parse_workflow(FLOW, "asks"), providers="script:s.yaml#a,script:s.yaml#c")
        assert (run.status, run.checkpoint()["steps"][0]["selectedBy"]) == ("completed", "only")


@pytest.mark.anyio
async def test_select_can_be_overridden_for_a_run(lab):
    """With select auto nobody is asked, whatever the workflow says."""
    async with lab:
        run = await lab.run(parse_workflow(FLOW, "asks"), select="auto")
        assert (run.status, run.checkpoint()["steps"][0]["selectedBy"]) == ("completed", "policy")


@pytest.mark.anyio
async def test_routing_is_explained_without_a_call(lab):
    """Who would be asked, with scores and what they rest on; a label that a person gave counts as a win."""
    async with lab:
        run = await lab.run(parse_workflow(FLOW, "asks"))
        await lab.choose(run.run_id, "draft", "script:s.yaml#b")
        done = await lab.resume(run.run_id)
        told = await lab.explain("Plan it.", providers="script:s.yaml#a,script:s.yaml#b", policy="best")
        assert told.splitlines()[0] == "2 listed, 2 usable, policy best"
        assert told.splitlines()[1].startswith("1. script:s.yaml#b")
        assert "(at most $0, median 0.00 s (n=1), won 100% (n=1, 95 % interval 21% to 100%))" in told
        limited = await lab.explain("Plan it.", providers="script:s.yaml#a,script:s.yaml#a", policy="cheapest")
        assert limited.splitlines()[2] == "-  script:s.yaml#a: left out, listed twice"
        learned = await lab.explain("Plan it.", providers="script:s.yaml#a,script:s.yaml#b", policy="learned")
        assert "balanced stands in for learned: no router is named" in learned
        assert len((await lab.show(run.run_id)).calls) == len(done.calls)
