"""Advice from the ledger: where a comparison has told what it can, by a test that may be looked at any time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from nyxlab.lab.views.rows import RunLike, checkpoint_of, decisions
from nyxlab.lab.views.wording import money
from nyxlab.providers.messages import Cost, Record

RELIABLY = 0.7  # the share of comparisons that a provider has to win for the others to be worth little
ERROR = 0.05  # how often the advice to stop may be wrong, however often one looks
AUDIT = 0.05  # of the comparisons that go on, so that a change is noticed
MOST = 1_000  # further comparisons, past which the answer is "nobody knows"


class Advice(Record):
    """What is said of one step's comparisons: who leads, by how much, and whether that is enough to stop.

    ``evidence`` is an e-value: under a winner of less than ``RELIABLY`` it passes 1/``ERROR`` with probability
    ``ERROR`` at most, at whatever moment one stops. ``more`` is how many further comparisons would do at the present
    share, None where none will. ``saves`` is what the others and the judge cost a month at the present rate, the audit
    left in.
    """

    workflow: str
    step: str
    leader: str
    won: int
    of: int
    evidence: float
    settled: bool
    more: int | None
    saves: Cost
    month: float | None
    """Comparisons a month at the present rate; None where they span less than a day."""

    def __str__(self) -> str:
        """Say it in one sentence."""
        told = f"{self.workflow}, {self.step}: {self.leader} won {self.won} of {self.of} comparisons"
        if self.settled:
            rate = "a month at this rate" if self.month is not None else "for every hundred"
            amount = money(self.saves.usd, self.saves.certainty)
            return f"{told}, reliably: ask it alone, compare one in twenty as an audit; that saves {amount} {rate}"
        if self.more is None:
            return f"{told}: no one wins often enough to do without the others"
        return f"{told}: about {self.more} more would tell whether the others are needed"


def evidence(won: int, of: int, share: float = RELIABLY) -> float:
    """Return the e-value against "wins ``share`` of the time or less": a likelihood ratio over the higher shares.

    A mixture martingale (Robbins 1970); Ville's inequality bounds its maximum over all times.
    """
    high, low, n = math.log(share), math.log(1 - share), of + 1
    ways = (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(won + 1))
    upper = math.fsum(
        math.exp(way + k * high + (n - k) * low) for k, way in enumerate(ways)
    )  # of a binomial: won at most
    beta = math.lgamma(won + 1) + math.lgamma(of - won + 1) - math.lgamma(of + 2)
    log = beta + math.log(max(upper, 1e-300)) - low - won * high - (of - won) * low
    return math.exp(min(log, 700.0))


def advise(runs: Iterable[RunLike]) -> list[Advice]:
    """Return what can be said of each step whose comparisons somebody has judged, the most to save first.

    Oldest runs first.
    """
    told: dict[tuple[str, str], list[tuple[Mapping[str, Any], str | None]]] = {}
    for checkpoint in map(checkpoint_of, runs):
        for step in checkpoint["steps"]:
            for one in decisions(step):
                usable = [a for a in one.get("alternatives") or () if a["status"] == "ok"]
                if len(usable) > 1 and one.get("selectedBy", step.get("selectedBy")) in ("judge", "person"):
                    told.setdefault((checkpoint["workflow"], step["id"]), []).append((one, step.get("startedAt")))
    found = [_advice(workflow, step, judged) for (workflow, step), judged in told.items()]
    return sorted(found, key=lambda each: (not each.settled, -(each.saves.usd or 0), each.workflow, each.step))


def _advice(workflow: str, step: str, judged: list[tuple[Mapping[str, Any], str | None]]) -> Advice:
    wins: dict[str, int] = {}
    for one, _ in judged:
        wins |= {a["provider"]: wins.get(a["provider"], 0) for a in one["alternatives"]}
        wins[one["selectedProvider"]] = wins.get(one["selectedProvider"], 0) + 1
    leader = max(wins, key=lambda name: (wins[name], name))
    won, of, wanted = wins[leader], len(judged), len(wins) / ERROR  # each of them might have led by chance
    settled = evidence(won, of) >= wanted
    ahead = (n for n in range(1, MOST) if evidence(won + round(n * won / of), of + n) >= wanted)
    more = None if settled or won / of <= RELIABLY else next(ahead, None)
    others = Cost.total(
        Cost.model_validate(call["cost"])
        for one, _ in judged
        for call in (*one["alternatives"], *((one.get("caelReview") or {}).get("calls") or ()))
        if call["provider"] != leader or call not in one["alternatives"]
    )
    times = sorted(datetime.fromisoformat(at) for _, at in judged if at)
    days = (times[-1] - times[0]).total_seconds() / 86_400 if times else 0.0
    month = of / days * 30 if days >= 1 else None
    usd = (others.usd or Decimal(0)) / of * Decimal((100 if month is None else month) * (1 - AUDIT))
    saves = others.model_copy(update={"usd": usd.quantize(Decimal("0.000001"))})
    return Advice(
        workflow=workflow, step=step, leader=leader, won=won, of=of, evidence=round(evidence(won, of), 3),
        settled=settled, more=more, saves=saves, month=None if month is None else round(month, 1),
    )  # fmt: skip
