"""What is said of a decision of a gate: whose answer was taken, by whom, and whether anybody compared the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
CHOSEN = {
    "judge": "chosen by Cael",
    "policy": "taken by the policy",
    "only": "the only usable answer",
    "fallback": "as a fallback",
    "person": "chosen by a person",
}
NO_WINNER = "no winner: neither a judge, a differing check nor a person compared the answers"


def is_won(decided: Json) -> bool:
    """Whether an answer won: a judge or a person preferred it, or a check that the others failed left it alone."""
    by = decided.get("selectedBy")
    return by in ("judge", "person") or (by == "only" and bool(decided.get("caelReview")))


def is_compared(decided: Json) -> bool:
    """Whether anybody compared the answers, be it without a winner: a policy that picks one compares nothing."""
    return is_won(decided) or (decided.get("caelReview") or {}).get("swapConsistent") is not None


def how(decided: Json) -> str:
    """Return by whom an answer was selected in a step or an item: ``chosen by Cael``.

    Where a policy took one of several answers that nobody compared, it says that there is no winner.
    """
    by, answered = decided["selectedBy"], [told for told in decided.get("alternatives") or () if told["status"] == "ok"]
    if by == "only" and decided.get("caelReview"):
        return "passed more checks than any other"
    picked = by == "policy" and len(answered) > 1 and not is_compared(decided)
    return f"{CHOSEN[by]}; {NO_WINNER}" if picked else CHOSEN[by]


def chosen(decided: Json) -> str:
    """Return who was selected in a step or an item, and by whom: ``b, chosen by Cael``."""
    return f"{decided['selectedProvider']}, {how(decided)}"
