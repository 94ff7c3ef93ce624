"""What other policies would have cost and chosen: replays recorded comparisons, without a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from nyxlab.lab.views import rows
from nyxlab.lab.views.rows import Json, Row, RunLike

COST_WEIGHT = 0.5  # of the cost-penalised policy: the dearest answer of a comparison loses half a win


@dataclass(frozen=True)
class Decision:
    """One recorded comparison: what each usable answer cost (USD), how long it took (s), and what it was worth.

    ``worth`` is 0 to 1: the share of its pairs that an answer won before Cael (a tie is half a win), or 1 for a
    person's choice and 0 for the rest; None where nobody judged. ``by`` says who: judge or person.
    """

    usd: dict[str, Decimal | None]
    seconds: dict[str, float]
    worth: dict[str, float] | None
    chosen: str
    by: str | None


def decisions(runs: Iterable[RunLike]) -> list[Decision]:
    """Return the comparisons of some runs in which two or more answers could be used."""
    steps = (step for run in runs for step in rows.checkpoint_of(run)["steps"])
    return [found for step in steps for one in rows.decisions(step) if (found := decision(one))]


def decision(one: Json) -> Decision | None:
    """Return one step (or item) of a checkpoint as a comparison; None where fewer than two answers could be used."""
    ok = {told["provider"]: told for told in one.get("alternatives") or () if told["status"] == "ok"}
    chosen, by = str(one.get("selectedProvider")), one.get("selectedBy")
    if len(ok) < 2 or chosen not in ok:
        return None
    cost = {name: told["cost"]["usd"] for name, told in ok.items()}
    return Decision(
        usd={name: None if usd is None else Decimal(usd) for name, usd in cost.items()},
        seconds={name: told.get("latencySeconds") or 0.0 for name, told in ok.items()},
        worth=_worth(one, list(ok)) if by in ("judge", "person") else None,
        chosen=chosen,
        by=by if by in ("judge", "person") else None,
    )


def _worth(one: Json, names: list[str]) -> dict[str, float]:
    verdicts = (one.get("caelReview") or {}).get("verdicts") or ()
    if one["selectedBy"] == "person" or not verdicts:
        return {name: float(name == one["selectedProvider"]) for name in names}
    points = {name: [0.5 if v["winner"] in ("tie", None) else float(v["winner"] == name)
                     for v in verdicts if name in (v["first"], v["second"])] for name in names}  # fmt: skip
    return {name: sum(own) / len(own) if own else 0.0 for name, own in points.items()}


def replay(runs: Iterable[RunLike]) -> list[Row]:
    """Return one row a policy over the recorded comparisons, cheapest first.

    ``usd`` is what the answers that it picks cost in all (None where one is unknown); ``cael`` and ``people`` are the
    shares of the comparisons that they judged in which it picks their choice (None: they judged none); ``regret`` is
    how much worth it loses to the best answer on average, 0 to 1.
    """
    known = decisions(runs)
    names = sorted({name for each in known for name in each.usd})
    won = {name: _mean([d.worth[name] for d in known if d.worth and name in d.worth]) or 0.0 for name in names}
    policies: dict[str, Callable[[Decision], str | None]] = {
        "as it was": lambda d: d.chosen,
        "cheapest": lambda d: min(d.usd, key=lambda n: (d.usd[n] is None, d.usd[n] or 0, n)),
        "fastest": lambda d: min(d.seconds, key=lambda n: (d.seconds[n], n)),
        "cost-penalised": lambda d: max(sorted(d.usd), key=lambda n: won[n] - COST_WEIGHT * _share(d, n)),
    }
    policies |= {f"always {name}": partial(_always, name) for name in names}
    replayed = [
        _row(name, [(d, pick) for d in known if (pick := policy(d))]) for name, policy in policies.items() if known
    ]
    return sorted(replayed, key=lambda row: (row["usd"] is None, row["usd"] or 0, row["policy"]))


def _always(name: str, decision: Decision) -> str | None:
    return name if name in decision.usd else None


def _share(decision: Decision, name: str) -> float:
    """Return what an answer costs as a share of the dearest one; an unknown price counts as the dearest."""
    most = max((usd for usd in decision.usd.values() if usd is not None), default=Decimal(0))
    usd = decision.usd[name]
    return 1.0 if usd is None else float(usd / most) if most else 0.0


def _row(policy: str, picks: list[tuple[Decision, str]]) -> Row:
    costs = [decision.usd[pick] for decision, pick in picks]
    known = [usd for usd in costs if usd is not None]

    def agreement(by: str) -> float | None:
        return _mean([float(d.chosen == pick) for d, pick in picks if d.by == by])

    return {
        "policy": policy,
        "comparisons": len(picks),
        "usd": sum(known, Decimal(0)) if len(known) == len(costs) else None,
        "latency_p50_s": rows.percentile([d.seconds[pick] for d, pick in picks], 50),
        "cael": agreement("judge"),
        "people": agreement("person"),
        "regret": _mean([max(d.worth.values()) - d.worth[pick] for d, pick in picks if d.worth]),
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
