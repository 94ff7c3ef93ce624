"""Training a router from the ledger: what Cael judged is what it learns, and nothing else."""

from __future__ import annotations

import json

import pytest

from nyxlab.errors import InputRefused
from nyxlab.gate.router import load_router
from nyxlab.lab.lab import Lab
from nyxlab.lab.routing.training import ledger_table
from nyxlab.settings import load_settings

SCRIPT = """\
# scripted replies, written by hand: no model produced this text
poet: [{match: rhyme, text: GOOD}, {text: bad}]
clerk: [{match: rhyme, text: bad}, {text: GOOD}]
judge:
  - {match: "FIRST ANSWER\\nGOOD", text: '{"rationale": "", "verdict": "first"}'}
  - {text: '{"rationale": "", "verdict": "second"}'}
"""
NAMES = ("script:s.yaml#clerk", "script:s.yaml#poet")


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text("")
    things = ("apple", "pear", "plum", "fig", "lemon", "grape", "melon", "peach", "cherry", "berry", "kiwi", "date")
    asked = [f"Write a rhyme about the {thing}." for thing in things]
    asked += [f"Add up the bill for each {thing}." for thing in things]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in asked))
    return Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path))


async def recorded(lab: Lab):
    return [await lab.show(summary.run_id) for summary in await lab.runs()]


@pytest.mark.anyio
async def test_router_learns_from_recorded_verdicts(lab, tmp_path):
    """Each prompt of a judged comparison is a row, however often it was asked.

    The router tells who wins on which kind.
    """
    async with lab:
        for _ in range(2):
            await lab.compare(tmp_path / "p.jsonl", providers=list(NAMES), judge="script:s.yaml#judge")
        table = ledger_table(await recorded(lab), lab.settings)
        assert (len(table.prompts), table.models) == (24, NAMES)
        assert table.quality.sum(axis=0).tolist() == [12.0, 12.0]
        told = await lab.route(None, "router.npz")
    assert "24 prompts of the ledger" in told
    (clerk, poet), (clerk_adds, poet_adds) = load_router(tmp_path / "router.npz").predict(
        ["Write a rhyme about the nut.", "Add up the bill for each nut."]
    )
    assert poet > clerk
    assert clerk_adds > poet_adds


@pytest.mark.anyio
async def test_what_nobody_judged_teaches_nothing(lab, tmp_path):
    """A policy's own picks are no evidence: training says that a judge is needed."""
    async with lab:
        await lab.compare(tmp_path / "p.jsonl", providers=list(NAMES), policy="first")
        with pytest.raises(InputRefused, match="with a judge"):
            await lab.route(None, "router.npz")
