"""What the ledger knows of providers: how fast they were and how often they won, as the gate asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from statistics import median

from nyxlab.engine.records import Run
from nyxlab.engine.store import Store

ENOUGH = 2_000  # calls that are looked at, and the rest of the run they stand in
RECENT = 20  # runs; providers change, and reading all of a large ledger would delay every start


def _no_budget() -> Decimal | None:
    return None


@dataclass(frozen=True)
class Past:
    """The newest runs' latencies (seconds) and comparisons (won: 1 or 0) per provider; a ``History`` for the gate."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    outcomes: dict[str, list[int]] = field(default_factory=dict)
    left: Callable[[], Decimal | None] = _no_budget

    @classmethod
    async def read(cls, store: Store, run_id: str | None = None) -> Past:
        """Read the newest runs that had ended when ``run_id`` began, so that a resume routes as the first start did."""
        past = cls()
        for earlier in await store.ended_before(run_id, RECENT):
            past._learn(await store.load(earlier.run_id))
            if sum(map(len, past.latencies.values())) > ENOUGH:
                break
        return past

    def _learn(self, run: Run) -> None:
        for call in run.calls:
            # No attempt: it came by hand, and how long that took says nothing.
            if call.status == "ok" and call.reply and call.reply.attempts and call.role == "candidate":
                self.latencies.setdefault(call.provider, []).append(call.reply.latency_seconds)
        for step in run.steps.values():
            for decided in step.payload.get("items", [step.payload]):
                told = [each for each in decided.get("alternatives", ()) if each["status"] == "ok"]
                # Only Cael's and people's choices are evidence of quality: a policy's choice would prove itself right.
                if len(told) < 2 or decided.get("selectedBy") not in {"judge", "person"}:
                    continue
                for each in told:
                    won = each["provider"] == decided["selectedProvider"]
                    self.outcomes.setdefault(each["provider"], []).append(int(won))

    def with_money(self, left: Callable[[], Decimal | None]) -> Past:
        """Return the same past beside a budget of which ``left`` tells the rest in USD."""
        return replace(self, left=left)

    def money_left(self) -> Decimal | None:
        """Return the USD that may still be spent; None where there is no budget."""
        return self.left()

    def latency(self, provider_id: str) -> tuple[float, int] | None:
        """Return the median service time in seconds and the number of calls behind it."""
        took = self.latencies.get(provider_id)
        return (median(took), len(took)) if took else None

    def wins(self, provider_id: str) -> tuple[float, int] | None:
        """Return the share of judged comparisons that the provider won, and their number."""
        results = self.outcomes.get(provider_id)
        return (sum(results) / len(results), len(results)) if results else None
