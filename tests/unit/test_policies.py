"""Replaying other policies over what is recorded: the sums are those of the answers picked, and nothing is called."""

from __future__ import annotations

from decimal import Decimal

import pytest

from nyxlab.lab.routing.policies import replay


def told(name: str, usd: str | None, seconds: float, status: str = "ok") -> dict:
    cost = {"usd": usd, "certainty": "unknown" if usd is None else "exact"}
    return {"provider": name, "status": status, "cost": cost, "latencySeconds": seconds, "usage": None}


def step(chosen: str, by: str, *answers: dict, winner: str | None = None) -> dict:
    verdicts = [{"first": "a", "second": "b", "winner": winner}, {"first": "b", "second": "a", "winner": winner}]
    return {
        "id": "s", "selectedProvider": chosen, "selectedBy": by, "alternatives": list(answers),
        "caelReview": {"verdicts": verdicts} if by == "judge" else None,
    }  # fmt: skip


RUN = {
    "steps": [
        step("a", "judge", told("a", "0.03", 2.0), told("b", "0.01", 1.0), winner="a"),
        step("b", "judge", told("a", "0.03", 2.0), told("b", "0.01", 3.0), winner="b"),
        step("a", "person", told("a", "0.03", 2.0), told("b", "0.01", 1.0)),
        step("b", "policy", told("a", "0.03", 2.0), told("b", "0.01", 1.0)),
        step("a", "only", told("a", "0.03", 2.0), told("b", None, 0.0, "error")),
    ]
}


def test_each_policy_costs_what_its_picks_cost() -> None:
    """Cost, agreement and regret follow from the recorded answers; a comparison with one usable answer is none."""
    rows = {row["policy"]: row for row in replay([RUN])}
    assert {name: (row["comparisons"], row["usd"]) for name, row in rows.items()} == {
        "as it was": (4, Decimal("0.08")),
        "cheapest": (4, Decimal("0.04")),
        "fastest": (4, Decimal("0.06")),
        "cost-penalised": (4, Decimal("0.04")),
        "always a": (4, Decimal("0.12")),
        "always b": (4, Decimal("0.04")),
    }
    assert (rows["always a"]["cael"], rows["always a"]["people"]) == (0.5, 1.0)
    assert rows["as it was"]["cael"] == rows["as it was"]["people"] == 1.0
    assert rows["as it was"]["regret"] == 0.0
    assert rows["always b"]["regret"] == pytest.approx(2 / 3)
    assert rows["fastest"]["latency_p50_s"] == 1.0


def test_an_unknown_price_is_never_the_cheapest() -> None:
    """A policy that picks an answer of unknown price has an unknown cost, and cheapest avoids it."""
    run = {"steps": [step("a", "policy", told("a", None, 1.0), told("b", "0.5", 2.0))]}
    rows = {row["policy"]: row for row in replay([run])}
    assert rows["cheapest"]["usd"] == Decimal("0.5")
    assert rows["always a"]["usd"] is None
    assert rows["always a"]["cael"] is rows["always a"]["regret"] is None


def test_nothing_recorded_nothing_replayed() -> None:
    """Without a comparison there is no row."""
    assert replay([]) == replay([{"steps": []}]) == []
