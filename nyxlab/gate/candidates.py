"""Which of the listed providers can take a call, each exclusion with a reason that a person can act on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal, Protocol

from pydantic import Field

from nyxlab.providers.base import Capabilities, Provider
from nyxlab.providers.messages import Cost, Record, Reply, Request, Seconds, Usage

Stage = Literal["distinct", "usable", "capable", "priced", "affordable"]
Status = Literal["ok", "error", "invalid", "cancelled"]


class History(Protocol):
    """What is known of the past, given to the gate by whoever holds the ledger."""

    def money_left(self) -> Decimal | None:
        """USD that may still be spent; None where there is no budget."""

    def latency(self, provider_id: str) -> tuple[float, int] | None:
        """Median service time in seconds and the number of calls behind it; None where nothing was measured."""

    def wins(self, provider_id: str) -> tuple[float, int] | None:
        """Share of comparisons won (0 to 1) and the number of comparisons; None where there were none."""


class Exclusion(Record):
    """One listed provider that cannot take the call: the stage that it failed, and why."""

    provider: str
    stage: Stage
    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One provider that can take the call, and what the call may cost at most."""

    provider: Provider
    estimate: Cost


@dataclass(frozen=True, slots=True)
class Resolution:
    """How many were listed, who is live (in the order of listing) and who was left out, with reasons."""

    listed: int
    live: tuple[Candidate, ...]
    excluded: tuple[Exclusion, ...]

    @property
    def reasons(self) -> dict[str, str]:
        """Why each excluded provider was left out; being listed twice is said only where nothing else is wrong."""
        return {exclusion.provider: exclusion.reason for exclusion in self.excluded}

    @property
    def only_budget(self) -> bool:
        """Whether nobody is live and a larger budget would change that (for an unknown price none is large enough)."""
        return not self.live and any(exclusion.stage == "affordable" for exclusion in self.excluded)


class Alternative(Record):
    """What one provider made of the call.

    ``ok`` can be used, ``invalid`` came but cannot, ``error`` never came, ``cancelled`` was given up at the deadline
    and may have been billed; ``error`` says why for all but ``ok``. Where nothing came, ``latency_seconds`` is None.
    """

    provider: str
    status: Status
    truncated: bool = False
    output: str | None = None
    usage: Usage | None = None
    cost: Cost = Cost.unknown()
    latency_seconds: Seconds | None = None
    time_to_first_token_seconds: Seconds | None = None
    wait_seconds: Seconds = 0.0
    attempts: Annotated[int, Field(ge=0)] = 1
    cached: bool = False
    error: str | None = None

    @classmethod
    def answered(cls, provider_id: str, reply: Reply, problem: str | None) -> Alternative:
        """Return the alternative of a reply that came: ``invalid`` where there is a problem with it."""
        same = ("truncated", "usage", "cost", "time_to_first_token_seconds", "wait_seconds", "attempts", "cached")
        return cls(
            provider=provider_id,
            status="ok" if problem is None else "invalid",
            output=reply.text,
            latency_seconds=reply.latency_seconds if reply.attempts else None,
            error=problem,
            **{name: getattr(reply, name) for name in same},
        )


def resolve(listed: Sequence[Provider], request: Request, money_left: Decimal | None, together: bool) -> Resolution:
    """Filter the listed providers: distinct, usable, capable, affordable, in this order; nothing is called.

    ``together`` says that all of them will be called at once: then the budget must cover their sum, and the
    cheapest are let in first, so that the order of listing plays no part.
    """
    distinct, excluded = _distinct(listed)
    candidates: list[Candidate] = []
    for provider in distinct:
        if (reason := provider.unusable()) is not None:
            excluded.append(Exclusion(provider=provider.id, stage="usable", reason=reason))
        elif (reason := incapable(provider.capabilities, request)) is not None:
            excluded.append(Exclusion(provider=provider.id, stage="capable", reason=reason))
        else:
            candidates.append(Candidate(provider, provider.estimate(request)))
    if money_left is not None:
        refused = unaffordable(candidates, max(money_left, Decimal(0)), together)
        excluded += refused.values()
        candidates = [candidate for candidate in candidates if candidate.provider.id not in refused]
    return Resolution(len(listed), tuple(candidates), tuple(excluded))


def incapable(capabilities: Capabilities, request: Request) -> str | None:
    """Return why a provider of these capabilities cannot take the request; None when it can."""
    window, needed = capabilities.context, request.tokens + request.max_tokens
    if window is not None and needed > window:
        return (
            f"its window of {window:,} tokens cannot hold about {request.tokens:,} of prompt and "
            f"{request.max_tokens:,} of reply: shorten the prompt or lower max_tokens"
        )
    if request.output_schema is not None and not capabilities.output_schema:
        return "it cannot answer under a JSON Schema: list a provider that can, or drop the schema"
    return None


def _distinct(listed: Sequence[Provider]) -> tuple[list[Provider], list[Exclusion]]:
    """Keep one provider for each identity and each name, whatever the order of listing; usable ones go first."""
    kept: list[Provider] = []
    for provider in sorted(listed, key=lambda each: (each.unusable() is not None, each.id, each.identity)):
        if all(provider.identity != other.identity and provider.id != other.id for other in kept):
            kept.append(provider)
    distinct, excluded = [], []
    for provider in listed:
        if provider in kept and provider not in distinct:
            distinct.append(provider)
            continue
        twin = next((other.id for other in kept if other.identity == provider.identity), None)
        reason = "listed twice" if twin == provider.id else f"the same provider as {twin}"
        if twin is None:
            reason = "another endpoint has the same name: name this one in nyxlab.toml"
        excluded.append(Exclusion(provider=provider.id, stage="distinct", reason=reason))
    return distinct, excluded


def unaffordable(candidates: Iterable[Candidate], left: Decimal, together: bool) -> dict[str, Exclusion]:
    """Return who does not fit into what is left; an unknown price never fits."""
    refused: dict[str, Exclusion] = {}
    reserved = Decimal(0)
    for candidate in sorted(candidates, key=lambda c: (c.estimate.usd or Decimal(0), c.provider.id)):
        name, usd = candidate.provider.id, candidate.estimate.usd
        if usd is None or candidate.estimate.certainty == "unknown":
            reason = "its price is unknown and there is a budget: give its price in nyxlab.toml"
            refused[name] = Exclusion(provider=name, stage="priced", reason=reason)
        elif reserved + usd > left:
            others = f" beside ${reserved} for the others" if reserved else ""
            reason = f"it may cost ${usd}{others} and ${left} of the budget is left: raise the budget"
            refused[name] = Exclusion(provider=name, stage="affordable", reason=reason)
        elif together:
            reserved += usd
    return refused
