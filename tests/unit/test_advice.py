"""Advice: when a comparison may stop, said at any time, wrong seldom, and honest where nothing is known."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nyxlab.cli import app
from nyxlab.lab.routing.advice import ERROR, RELIABLY, advise, evidence


def comparison(winner: str, at: str, cost: str = "0.01", by: str = "judge") -> dict[str, object]:
    def call(name: str, usd: str) -> dict[str, object]:
        return {"provider": name, "status": "ok", "cost": {"usd": usd, "certainty": "exact"}}

    step = {
        "id": "draft", "kind": "prompt", "selectedProvider": winner, "selectedBy": by, "startedAt": at,
        "alternatives": [call("a", cost), call("b", cost)], "caelReview": {"calls": [call("j", "0.02")]},
    }  # fmt: skip
    return {"workflow": "w", "steps": [step]}


def test_looking_after_every_comparison_is_seldom_wrong() -> None:
    """Over 2,000 simulated streams of a winner just below the line, looked at after each of 200 comparisons, the advice
    to stop comes in at most 5 %."""
    chance, seen = random.Random(7), cache(evidence)
    wrong = 0
    for _ in range(2_000):
        won, stopped = 0, False
        for of in range(1, 201):
            won += chance.random() < RELIABLY
            stopped = stopped or seen(won, of) >= 1 / ERROR
        wrong += stopped
    assert wrong / 2_000 <= ERROR


@pytest.mark.parametrize(("share", "within"), [(0.95, 60), (0.99, 30)])
def test_a_clear_winner_is_told_soon(share: float, within: int) -> None:
    """A provider that nearly always wins is told within a few dozen comparisons, nine times in ten."""
    chance, seen = random.Random(11), cache(evidence)
    told = 0
    for _ in range(300):
        won = 0
        for of in range(1, within + 1):
            won += chance.random() < share
            if seen(won, of) >= 2 / ERROR:
                told += 1
                break
    assert told >= 270


def test_the_evidence_is_a_likelihood_ratio() -> None:
    """Nothing seen says nothing; each win adds, each loss takes away; many losses never say stop."""
    assert evidence(0, 0) == pytest.approx(1)
    assert evidence(5, 5) < evidence(6, 6)
    assert evidence(20, 21) < evidence(20, 20)
    assert evidence(100, 200) < 1
    assert evidence(5_000, 5_000) > 1e6


def test_a_settled_comparison_says_what_it_costs() -> None:
    """One provider wins thirty of thirty in fifteen days: ask it alone.

    The other's and the judge's cost of sixty a month is saved, an audit left in.
    """
    runs = [comparison("a", f"2026-11-{1 + n // 2:02}T{n % 2 * 12:02}:00:00+00:00") for n in range(30)]
    (told,) = advise(runs)
    assert (told.leader, told.won, told.of, told.settled, told.more) == ("a", 30, 30, True, None)
    assert told.month == pytest.approx(62.1, abs=1)
    assert float(told.saves.usd or 0) == pytest.approx(0.03 * (told.month or 0) * 0.95, rel=0.01)
    assert "w, draft: a won 30 of 30 comparisons, reliably: ask it alone" in str(told)


def test_what_is_not_known_is_said() -> None:
    """Few comparisons: about how many more; an even race: nobody can be left out.

    What the policy chose is no judgement.
    """
    day = "2026-11-01T00:00:00+00:00"
    (few,) = advise([comparison("a", day) for _ in range(4)])
    assert not few.settled
    assert few.more is not None
    assert 1 <= few.more < 40
    (even,) = advise([comparison("ab"[n % 2], day) for n in range(60)])
    assert (even.settled, even.more) == (False, None)
    assert "no one wins often enough" in str(even)
    assert advise([comparison("a", day, by="policy") for _ in range(60)]) == []


def test_the_command_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nyxlab cost --advice` reads the ledger's judged comparisons, as sentences and as JSON."""
    monkeypatch.chdir(tmp_path)
    verdicts = [{"match": "TASK", "json": {"verdict": "tie", "rationale": "", "confidence": 0.9}, "repeat": True}]
    (tmp_path / "s.yaml").write_text(
        json.dumps({"a": [{"text": "one", "repeat": True}], "b": [{"text": "two", "repeat": True}], "j": verdicts})
    )
    result = CliRunner().invoke(app, ["cost", "--advice"])
    assert "No comparison was judged yet" in result.output
    words = ["compare", "hi", "--providers", "script:s.yaml#a,script:s.yaml#b", "--judge", "script:s.yaml#j"]
    assert CliRunner().invoke(app, words).exit_code == 0
    result = CliRunner().invoke(app, ["cost", "--advice", "--json"])
    assert result.exit_code == 0
    assert isinstance(json.loads(result.stdout), list)
