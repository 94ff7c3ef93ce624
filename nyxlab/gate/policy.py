"""The policies: a score for each candidate on fixed scales, so that a further candidate changes no other's score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from nyxlab.gate.candidates import Candidate, History, Resolution
from nyxlab.providers.messages import Cost, Record, Request

Policy = Literal["first", "cheapest", "fastest", "best", "balanced", "learned"]

HALF_USD = 0.01  # a call of this price scores half on cost, a free one 1
HALF_SECONDS = 5.0  # a median of this many seconds scores half on speed
ENOUGH_CALLS = 5  # a median of fewer calls says nothing
Z_SQUARED = 1.96**2  # 95 %: the centre of Wilson's interval, which is one half where nothing is known
WEIGHTS = {"cost": 0.3, "speed": 0.2, "quality": 0.5}
LEARNED_WEIGHTS = {"cost": 0.1, "quality": 0.9}  # predictions lie closer together than win rates do


class Learned(Protocol):
    """A router learned from outcomes, as the gate asks it."""

    def qualities(self, prompt: str, names: Sequence[str]) -> Mapping[str, float] | str:
        """Return each provider's predicted quality (0 to 1), or why none can be told."""


class Standing(Record):
    """How one candidate stands under a policy, and what that rests on."""

    provider: str
    score: float
    estimate: Cost
    latency: tuple[float, int] | None
    wins: tuple[float, int] | None

    @property
    def because(self) -> str:
        """Say what is known of the candidate: price, measured speed, comparisons won, each with its number of calls."""
        price = "price unknown" if self.estimate.usd is None else f"at most ${self.estimate.usd}"
        speed = "speed not measured" if not self.latency else f"median {self.latency[0]:.2f} s (n={self.latency[1]})"
        if not self.wins:
            return f"{price}, {speed}, never compared"
        rate, count = self.wins
        low, high = interval(rate, count)
        return f"{price}, {speed}, won {rate:.0%} (n={count}, 95 % interval {low:.0%} to {high:.0%})"


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
) -> tuple[Standing, ...]:
    """Return the candidates best first; equal scores fall to the name.

    ``predicted`` is each one's quality by a learned router; without it ``learned`` scores as ``balanced`` does.
    """
    if policy == "learned" and predicted is None:
        policy = "balanced"
    standings = []
    for position, candidate in enumerate(live):
        name = candidate.provider.id
        latency = history.latency(name) if history else None
        wins = history.wins(name) if history else None
        score = round(_score(policy, position, candidate.estimate, latency, wins, (predicted or {}).get(name, 0.0)), 6)
        standings.append(Standing(provider=name, score=score, estimate=candidate.estimate, latency=latency, wins=wins))
    return tuple(sorted(standings, key=lambda s: (-s.score, s.provider)))


def explain(
    resolution: Resolution,
    policy: Policy,
    history: History | None,
    predicted: Mapping[str, float] | None = None,
    doubt: str = "",
) -> str:
    """Say in one line a provider how a request would be routed: best first, then who was left out."""
    lines = [f"{resolution.listed} listed, {len(resolution.live)} usable, policy {policy}{doubt}"]
    for place, standing in enumerate(rank(policy, resolution.live, history, predicted), start=1):
        quality = f"predicted quality {predicted[standing.provider]:.2f}, " if predicted else ""
        lines.append(f"{place}. {standing.provider}: {standing.score:.3f} ({quality}{standing.because})")
    lines += [f"-  {exclusion.provider}: left out, {exclusion.reason}" for exclusion in resolution.excluded]
    return "\n".join(lines)


def _score(
    policy: Policy,
    position: int,
    cost: Cost,
    latency: tuple[float, int] | None,
    wins: tuple[float, int] | None,
    predicted: float,
) -> float:
    """Score one candidate between 0 and 1, by what is known of it alone."""
    if policy == "first":
        return 1 / (1 + position)
    # What has no price cannot win on price; what was never timed or compared is taken to be middling.
    scales = {
        "cost": 0.0 if cost.usd is None else HALF_USD / (HALF_USD + float(cost.usd)),
        "speed": HALF_SECONDS / (HALF_SECONDS + latency[0]) if latency and latency[1] >= ENOUGH_CALLS else 0.5,
        "quality": _centre(*wins) if wins else 0.5,
    }
    if policy == "learned":
        return LEARNED_WEIGHTS["cost"] * scales["cost"] + LEARNED_WEIGHTS["quality"] * min(max(predicted, 0.0), 1.0)
    if policy == "balanced":
        return sum(weight * scales[name] for name, weight in WEIGHTS.items())
    return scales[{"cheapest": "cost", "fastest": "speed", "best": "quality"}[policy]]


def _centre(rate: float, count: int) -> float:
    return (rate * count + Z_SQUARED / 2) / (count + Z_SQUARED)
