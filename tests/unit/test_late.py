"""A call of a comparison that misses the deadline: it holds nobody up, and its reply is kept while the run lasts."""

from __future__ import annotations

import time

import pytest

from nyxlab.engine.reading import parse_workflow
from nyxlab.lab.lab import Lab
from nyxlab.settings import load_settings

SCRIPT = """\
# scripted replies, written by hand: no model produced this text
quick: [{text: quick}]
late: [{text: late, latency: 0.6, usage: {output_tokens: 1}, price: {input: "0", output: "1000"}}]
never: [{text: never, latency: 600}]
busy: [{text: done, latency: 1.2}]
"""
FLOW = """\
name: late
steps:
  - {id: asked, prompt: "Which?", compare: ["script:s.yaml#quick", "script:s.yaml#%s"], deadline: 0.2, judge: null}
  - {id: next, prompt: "And then? {{ steps.asked.output }}", provider: "script:s.yaml#busy"}
"""


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text("")
    return Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path))


def by_provider(run) -> dict:
    return {call.provider.partition("#")[2]: call for call in run.calls}


@pytest.mark.anyio
async def test_late_reply_is_kept_while_the_run_lasts(lab):
    """The verdict is made at the deadline without the straggler; its reply is recorded when it comes, with its cost."""
    async with lab:
        run = await lab.run(parse_workflow(FLOW % "late", "late"))
    step = run.checkpoint()["steps"][0]
    assert step["selectedProvider"] == "script:s.yaml#quick"
    assert step["durationSeconds"] < 0.6
    assert [told["status"] for told in step["alternatives"]] == ["ok", "cancelled"]
    assert "kept in the ledger" in step["alternatives"][1]["error"]
    late = by_provider(run)["late"]
    assert (late.status, late.reply.text) == ("ok", "late")
    assert step["alternatives"][1]["cost"] == {"usd": "0.001", "certainty": "estimated"}
    assert run.checkpoint()["totals"]["usd"] == "0.001"
    assert run.status == "completed"


@pytest.mark.anyio
async def test_what_never_comes_is_cancelled_with_the_run(lab):
    """When the run ends nobody waits for the straggler: its call is cancelled and says that it may have been billed."""
    began = time.monotonic()
    async with lab:
        run = await lab.run(parse_workflow(FLOW % "never", "late"))
    assert time.monotonic() - began < 60
    never = by_provider(run)["never"]
    assert (run.status, never.status) == ("completed", "cancelled")
