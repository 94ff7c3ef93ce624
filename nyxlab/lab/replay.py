"""``replay:RUN``: a provider that says again what a run's ledger recorded, so that work is repeated without spend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

from nyxlab.engine.records import Run
from nyxlab.errors import InputRefused, ProviderMisused
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Reply, Request

FREE = Cost(usd=Decimal(0), certainty="exact")


class ReplayProvider(Provider):
    """Answers what the run was asked as the run was answered; the deadline and streaming play no part.

    ``RUN`` gives each question the reply that the run selected, ``RUN#VENDOR:MODEL`` that provider's own. A question
    that was asked several times gets its replies in order; the last one stays. Replies are marked ``cached``, cost
    nothing, and keep the latencies that were measured then.
    """

    def __init__(self, run: str, load: Callable[[str], Awaitable[Run]]) -> None:
        self.id = self.identity = f"replay:{run}"
        self.vendor = "replay"
        self._run, _, self._whose = run.partition("#")
        self._load = load
        self._replies: dict[str, list[Reply]] | None = None

    def estimate(self, request: Request) -> Cost:  # noqa: ARG002 - it was paid for when it was recorded
        """Return 0."""
        return FREE

    async def ask(self, request: Request) -> Reply:
        """Return the recorded reply; ``ProviderMisused`` where the run is unknown or was never asked this."""
        if self._replies is None:
            try:
                self._replies = _replies(await self._load(self._run), self._whose)
            except InputRefused as error:
                raise ProviderMisused(str(error), provider=self.id, attempts=0) from None
        found = self._replies.get(request.digest())
        if not found:
            whose = f" from {self._whose}" if self._whose else ""
            said = f"run {self._run} holds no reply{whose} to this request; give it the run's own inputs and settings"
            raise ProviderMisused(said, provider=self.id, attempts=0)
        reply = found.pop(0) if len(found) > 1 else found[0]
        return reply.model_copy(update={"provider": self.id, "cost": FREE, "price": None, "cached": True})


def _replies(run: Run, whose: str) -> dict[str, list[Reply]]:
    """Return the replies to each question by its digest: one provider's, the selected one's where none is named."""
    answered: dict[str, dict[str, list[Reply]]] = {}
    selected: dict[str, str] = {}
    for call in run.calls:
        if call.status == "ok" and call.reply and (not whose or call.provider == whose):
            answered.setdefault(call.asked, {}).setdefault(call.provider, []).append(call.reply)
            if run.steps[call.step].payload.get("selectedProvider") == call.provider:
                selected[call.asked] = call.provider
    return {asked: by[selected.get(asked, next(iter(by)))] for asked, by in answered.items()}
