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


def is_picked(decided: Json) -> bool:
    """Whether a policy took one of several answers that nobody compared: then there is no winner."""
    answered = [told for told in decided.get("alternatives") or () if told["status"] == "ok"]
    return decided.get("selectedBy") == "policy" and len(answered) > 1 and not is_compared(decided)


def how(decided: Json) -> str:
    """Return by whom an answer was selected in a step or an item: ``chosen by Cael``; where nobody won, why."""
    said = _by_whom(decided)
    return f"{said}; {NO_WINNER}" if is_picked(decided) else said


def routed(decided: Json) -> str:
    """Return what the gate did, in people's words: ``2 of 2 providers usable; asked side by side``."""
    gate = decided["gate"]
    said, _, rest = gate["reason"].partition(": ")
    notes = [{"compared": "asked side by side", "single path": ""}.get(note, note) for note in rest.split("; ")]
    plural = "s" if gate["listed"] != 1 else ""
    counted = f"{gate['live']} of {gate['listed']} provider{plural} usable" if said.endswith("usable") else said
    return "; ".join(filter(None, [counted, *notes]))


def outcome(step: Json) -> str:
    """Return what came of a step in a few words, for a table: who decided, or a review's verdict."""
    if step.get("review"):
        return f"verdict {step['review']['verdict']}"
    if items := step.get("items"):
        return f"{sum('error' not in item for item in items)} of {len(items)} answered"
    said = _by_whom(step)
    return f"{said}, no winner" if is_picked(step) else said


def chosen(decided: Json) -> str:
    """Return who was selected in a step or an item, and by whom: ``b, chosen by Cael``."""
    return f"{decided['selectedProvider']}, {how(decided)}"


def _by_whom(decided: Json) -> str:
    by = decided.get("selectedBy") or ""
    checked = by == "only" and decided.get("caelReview")
    return "passed more checks than any other" if checked else CHOSEN.get(by, "")
