"""Many prompts at once: a file of them, repeated, becomes one run whose table says who won how often, and how sure that
is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyxlab.errors import InputRefused
from nyxlab.lab.lab import Lab
from nyxlab.lab.views import rows as tables
from nyxlab.lab.views.report import render_run
from nyxlab.lab.views.tables import standings_lines
from nyxlab.lab.workflows.comparison import read_prompts
from nyxlab.settings import load_settings

BOTH = "script:s.yaml#a,script:s.yaml#b"
pytestmark = pytest.mark.anyio
SCRIPT = """\
# scripted replies, written by hand: no model produced this text
a: [{match: tea, text: tea from a}, {match: milk, error: broken}, {text: from a}]
b: [{text: from b}]
judge: [{match: ["FIRST ANSWER\\ntea from a"], json: {rationale: shorter, verdict: first}}, {json: {rationale: shorter, verdict: second}}]
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "p.jsonl").write_text('{"prompt": "tea?"}\n\n{"id": "m", "prompt": "milk?"}\n')
    (tmp_path / "nyxlab.toml").write_text("")
    return Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path))


async def test_each_prompt_is_compared_as_often_as_asked(lab: Lab) -> None:
    """Two prompts three times are six comparisons; a failed answer is no comparison, and wins carry their interval."""
    async with lab:
        run = await lab.compare(Path("p.jsonl"), providers=BOTH, repeat=3, judge="script:s.yaml#judge")
    checkpoint = run.checkpoint()
    assert len(checkpoint["steps"][0]["items"]) == 6
    told = {row["provider"]: row for row in tables.standings(checkpoint)}
    a, b = told["script:s.yaml#a"], told["script:s.yaml#b"]
    assert (a["compared"], a["wins"], b["compared"], b["wins"]) == (3, 3, 3, 0)
    assert a["low"] < a["win_rate"] == 1.0 == a["high"]
    assert b["failed"] == 0
    assert a["failed"] == 3
    page = render_run(checkpoint)
    assert "Who won" in page
    assert "tea from a" in page
    assert "from b" in page


async def test_without_a_judge_nobody_wins(lab: Lab) -> None:
    """What only a policy picked has no wins, no share, no interval; terminal and page say so before any number."""
    async with lab:
        run = await lab.compare("tea?", providers=BOTH, repeat=4, policy="first")
    told = tables.standings(run)
    assert [(row["compared"], row["wins"], row["win_rate"], row["low"]) for row in told] == [(0, None, None, None)] * 2
    first, table = standings_lines(told)
    assert first.startswith("No winner: neither a judge")
    assert [str(column.header) for column in table.columns][:3] == ["provider", "as", "calls"]
    page = render_run(run)
    assert page.index("No winner: neither a judge") < page.index("Providers</h2>")
    assert "Who won" not in page
    assert "chosen</span>" not in page


async def test_repeats_of_one_prompt_are_separate_calls(lab: Lab) -> None:
    """One prompt asked four times is four calls of each provider, none of them a replay of another."""
    async with lab:
        run = await lab.compare("tea?", providers="script:s.yaml#a,script:s.yaml#b", repeat=4)
    assert len(run.calls) == 8
    assert not any(call.reply.cached for call in run.calls)
    assert len({call.key for call in run.calls}) == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no prompt"),
        ('{"prompt": "x"}\nnonsense\n', r"p.jsonl:2: say what the providers are asked, as a JSON object"),
        ('{"prompt": " "}\n', "p.jsonl:1"),
        ('{"question": "x"}\n', "p.jsonl:1"),
        ("[1]\n", "p.jsonl:1"),
        ('{"prompt": "x", "expect": "["}\n', r"p.jsonl:1: expect '\[' is not a regular expression"),
    ],
)
def test_a_bad_file_of_prompts_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    """What is no file of prompts is refused with its line and what to write."""
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(InputRefused, match=said):
        read_prompts(tmp_path / "p.jsonl", Path)


@pytest.mark.parametrize(
    ("expect", "winner", "by"),
    [("FROM B", "b", "only"), ("from [a-z]", "a", "policy"), ("nowhere", "a", "policy"), ("", "a", "policy")],
    ids=["one holds it", "both hold it", "neither holds it", "nothing is expected"],
)
async def test_what_is_expected_decides_where_answers_differ_in_it(lab: Lab, expect: str, winner: str, by: str) -> None:
    """The answer that holds what is expected, in capitals or not, wins without a judge; where none differs, none does."""
    async with lab:
        asked = [{"prompt": "tea?", "expect": expect}]
        run = await lab.compare(asked, providers="script:s.yaml#a,script:s.yaml#b")
        assert "tea from a" in await lab.report(run.run_id)  # the run's workflow is read again from what it recorded
    (item,) = run.checkpoint()["steps"][0]["items"]
    assert (item["selectedProvider"], item["selectedBy"]) == (f"script:s.yaml#{winner}", by)
    problems = [check["problem"] for check in (item.get("caelReview") or {}).get("checks", ())]
    assert problems == (["does not hold 'FROM B'"] if by == "only" else [])


async def test_too_many_or_none_at_all(lab: Lab) -> None:
    """Repeats outside of what can be asked are refused before anything is written."""
    async with lab:
        for repeat in (0, -1, 10**6):
            with pytest.raises(InputRefused, match="comparisons"):
                await lab.compare("tea?", providers="script:s.yaml#a,script:s.yaml#b", repeat=repeat)
        assert await lab.runs() == []
