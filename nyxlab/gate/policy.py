"""The policies: a score for each candidate on fixed scales, so that a further candidate changes no other's score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from nyxlab.gate.candidates import Candidate, History
from nyxlab.providers.messages import Request

Policy = Literal["first", "cheapest", "fastest", "best", "balanced", "learned"]

HALF_USD = 0.01  # a call of this price scores half on cost, a free one 1
HALF_SECONDS = 5.0  # a median of this many seconds scores half on speed
ENOUGH_CALLS = 5  # a median of fewer calls says nothing
Z_SQUARED = 1.96**2  # 95 %: the centre of Wilson's interval, which is one half where nothing is known
WEIGHTS: dict[Policy, dict[str, float]] = {
    "cheapest": {"cost": 1.0},
    "fastest": {"speed": 1.0},
    "best": {"quality": 1.0},
    "balanced": {"cost": 0.3, "speed": 0.2, "quality": 0.5},
    "learned": {"cost": 0.1, "predicted": 0.9},  # predictions lie closer together than win rates do
}


class Learned(Protocol):
    """A router learned from outcomes, as the gate asks it."""

    def qualities(self, prompt: str, names: Sequence[str]) -> Mapping[str, float] | str:
        """Return each provider's predicted quality (0 to 1), or why none can be told."""


def asked_text(request: Request) -> str:
    """Return what a router reads of a request: its messages, without the system prompt."""
    return "\n\n".join(message.content for message in request.messages)


def interval(rate: float, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share seen ``count`` times."""
    centre = _centre(rate, count)
    half = (Z_SQUARED * (rate * (1 - rate) * count + Z_SQUARED / 4)) ** 0.5 / (count + Z_SQUARED)
    return max(0.0, centre - half), min(1.0, centre + half)


def rank(
    policy: Policy,
    live: Sequence[Candidate],
    history: History | None,
    predicted: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Return the candidates' scores, the best first; equal scores fall to the name.

    ``predicted`` is each one's quality by a learned router; without it ``learned`` scores as ``balanced`` does.
    """
    if policy == "learned" and predicted is None:
        policy = "balanced"
    scores = {each.provider.id: round(1 / place, 6) for place, each in enumerate(live, start=1)}
    if policy != "first":
        scores = {each.provider.id: _score(policy, each, history, predicted) for each in live}
    return dict(sorted(scores.items(), key=lambda each: (-each[1], each[0])))


def _score(
    policy: Policy, candidate: Candidate, history: History | None, predicted: Mapping[str, float] | None
) -> float:
    """Score one candidate between 0 and 1, by what is known of it alone."""
    name, usd = candidate.provider.id, candidate.estimate.usd
    latency = history.latency(name) if history else None
    wins = history.wins(name) if history else None
    # What has no price cannot win on price; what was never timed or compared is taken to be middling.
    scales = {
        "cost": 0.0 if usd is None else HALF_USD / (HALF_USD + float(usd)),
        "speed": HALF_SECONDS / (HALF_SECONDS + latency[0]) if latency and latency[1] >= ENOUGH_CALLS else 0.5,
        "quality": _centre(*wins) if wins else 0.5,
        "predicted": min(max(predicted[name], 0.0), 1.0) if predicted else 0.0,
    }
    return round(sum(weight * scales[scale] for scale, weight in WEIGHTS[policy].items()), 6)


def _centre(rate: float, count: int) -> float:
    return (rate * count + Z_SQUARED / 2) / (count + Z_SQUARED)
