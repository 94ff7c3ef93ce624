"""Digests of long outputs: what code promises of them, and what happens where a model does not keep to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Noted
from nyxlab.errors import InputRefused
from nyxlab.lab.lab import Lab
from nyxlab.lab.workflows.digests import checked, facts, serving
from nyxlab.settings import load_settings

LINES = [
    "The service keeps `quota_ledger` rows for 90 days in src/quota/ledger.py.",
    "Clients MUST send the header X-Team on every call.",
    "We talked about this for a long while, and there are many reasons that nobody will need again later on.",
]
LONG = "\n".join(LINES * 20)
SCRIPT = """\
# scripted replies, written by hand: no model produced this text
a:
  - {match: [Shorten, KEEP], text: "Rows of `quota_ledger` stay 90 days (src/quota/ledger.py) for X-Team."}
  - {match: [Shorten, DROP], text: "Rows stay for a while."}
  - {match: [Shorten, FAIL], error: broken}
  - {match: write all, text: '%s'}
  - {text: done}
"""
FLOW = """\
name: digest
goal: %s
defaults: {provider: "script:s.yaml#a"}
steps:
  - {id: first, prompt: write all}
  - {id: then, prompt: "%s {{ steps.first.digest }}"}
"""


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "nyxlab.toml").write_text("")
    return Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path))


async def told(lab: Lab, word: str, prompt: str = "go on:"):
    (lab.settings.root / "s.yaml").write_text(SCRIPT % f"{word} {LONG}".replace("\n", "\n\n    "))
    events: list = []
    flow = parse_workflow(FLOW % ("Be brief.", prompt), "digest")
    async with lab:
        run = await lab.run(flow, on_event=events.append)
    return run, [event.text for event in events if isinstance(event, Noted)]


@pytest.mark.anyio
async def test_a_good_digest_serves(lab):
    """A digest is written once, has what the text must not lose, and its call is in the totals and in the table."""
    run, notes = await told(lab, "KEEP")
    made = run.steps["first"].payload["digest"]
    assert "Clients MUST send the header X-Team" in made["text"]
    assert made["lost"] == []
    assert not notes
    assert [call.role for call in run.calls] == ["candidate", "digest", "candidate"]
    assert "fullOutputs" not in run.steps["then"].payload


@pytest.mark.anyio
async def test_what_was_dropped_and_is_needed_brings_the_full_text_back(lab):
    """A digest that lost an identifier serves a step that does not name it, and not one that does."""
    run, notes = await told(lab, "DROP")
    assert "quota_ledger" in run.steps["first"].payload["digest"]["lost"]
    assert not notes
    other, notes = await told(lab, "DROP", "what is quota_ledger:")
    assert "lost quota_ledger" in other.steps["then"].payload["fullOutputs"]["first"]
    assert "the full output serves" in notes[0]


@pytest.mark.anyio
async def test_a_failed_digest_is_said_and_stops_nothing(lab):
    """Where the digest's call fails the run goes on with the full output, and an event and the checkpoint say so."""
    run, notes = await told(lab, "FAIL")
    assert run.status == "completed"
    assert run.steps["first"].payload["digest"]["text"] is None
    assert len(notes) == 2
    assert "no digest of first" in notes[0]


@given(
    st.lists(st.sampled_from([*LINES, "Pay $5.20 by 12:30.", "NEVER call POST /v1/x twice."]), min_size=1), st.text()
)
def test_nothing_is_lost_in_silence(lines, short):
    """Whatever a model writes: each fact is in the digest or in what it lost, and each line with MUST is in it."""
    original = "\n".join(lines)
    found = checked(original, short)
    if found.text is None:
        assert found.error
        return
    assert all(fact in found.text or fact in found.lost for fact in facts(original))
    folded = " ".join(found.text.split())
    assert all(line in folded for line in lines if "MUST" in line or "NEVER" in line)


def test_a_digest_that_does_not_exist_is_the_output():
    """A short output, and one without a digest, stand for themselves."""
    assert serving(None, "short", []) == ("short", None)


def test_what_a_digest_is_called():
    """Only an output and its digest can be named, and lessons are a variable."""
    with pytest.raises(InputRefused, match=r"steps\.ID\.digest"):
        parse_workflow("name: w\nsteps: [{id: a, prompt: x}, {id: b, prompt: '{{ steps.a.summary }}'}]\n", "w")
    flow = parse_workflow("name: w\nsteps: [{id: a, prompt: 'mind {{ lessons }}'}]\n", "w")
    assert flow.digested == frozenset()


@pytest.mark.anyio
async def test_lessons_stand_in_a_prompt(lab):
    """`lessons` lists the pains that the project knows, its own among them."""
    (lab.settings.root / "s.yaml").write_text("# scripted replies\na: [{match: the old code still runs, text: read}]\n")
    async with lab:
        run = await lab.run(
            parse_workflow("name: w\nsteps: [{id: a, prompt: '{{ lessons }}', provider: 'script:s.yaml#a'}]\n", "w")
        )
    assert run.steps["a"].output == "read"
