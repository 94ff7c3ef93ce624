"""How the policies rank, and that they say what their scores rest on."""

from __future__ import annotations

import pytest
from gate_players import ASK, Past, Player

from nyxlab.gate.candidates import resolve
from nyxlab.gate.policy import interval, rank

LISTED = [
    Player("a:dear", usd="0.05"),
    Player("b:cheap", usd="0.001"),
    Player("c:quick", usd="0.02"),
    Player("d:new", usd=None),
]
PAST = Past(
    latency={"a:dear": (9.0, 20), "b:cheap": (6.0, 20), "c:quick": (0.5, 20), "d:new": (0.1, 2)},
    wins={"a:dear": (0.9, 40), "b:cheap": (0.2, 40), "c:quick": (0.6, 40)},
)


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        ("first", ["a:dear", "b:cheap", "c:quick", "d:new"]),
        ("cheapest", ["b:cheap", "c:quick", "a:dear", "d:new"]),
        ("fastest", ["c:quick", "d:new", "b:cheap", "a:dear"]),
        ("best", ["a:dear", "c:quick", "d:new", "b:cheap"]),
        ("balanced", ["c:quick", "a:dear", "b:cheap", "d:new"]),
    ],
)
def test_each_policy_ranks_by_what_it_is_named_after(policy, order):
    """Price, measured speed, win rate, or all three; what is unknown never wins on price and is middling elsewhere."""
    live = resolve(LISTED, ASK, None, False).live
    assert list(rank(policy, live, PAST)) == order


def test_equal_scores_fall_to_the_name():
    """Among equals the name decides, so that the same call is routed alike every time."""
    live = resolve([Player("b:x"), Player("a:x")], ASK, None, False).live
    assert list(rank("balanced", live, None)) == ["a:x", "b:x"]


def test_few_comparisons_say_little():
    """Two wins of two do not beat ninety of a hundred: a share counts by the centre of its interval."""
    past = Past(wins={"a:x": (1.0, 2), "b:x": (0.9, 100)})
    live = resolve([Player("a:x"), Player("b:x")], ASK, None, False).live
    assert next(iter(rank("best", live, past))) == "b:x"


def test_interval_is_wilsons():
    """The interval of 8 in 10 is the one in the textbooks."""
    assert interval(0.8, 10) == pytest.approx((0.490, 0.943), abs=0.001)
