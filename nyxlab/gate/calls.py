"""Calls providers for the gate: all at once, one after another, or hedged; what became of each is a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from nyxlab.errors import AnswerWanted, NoCandidate, NyxlabError, ProviderError, ProviderPassed
from nyxlab.gate.candidates import Alternative, Status
from nyxlab.gate.checks import Problem
from nyxlab.providers.base import Provider, Receipt, receipt
from nyxlab.providers.messages import Reply, Request

UNSENT = Receipt(sent=False)  # of a call that was called off before it began
LATE = 3_600.0  # seconds that a call which is too late for its comparison may still take


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call; ``reply`` is set where it can be used, ``stopped`` where nyxlab itself stopped it."""

    provider: Provider
    alternative: Alternative
    reply: Reply | None = None
    stopped: NyxlabError | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """The calls for one request, each given ``limit`` seconds; ``problem`` says why a reply cannot be used.

    ``hedge`` and ``late`` are the gate's.
    """

    request: Request
    problem: Problem
    limit: float
    hedge: float | None = None
    late: TaskGroup | None = None

    async def at_once(self, providers: Sequence[Provider]) -> list[Outcome]:
        """Call all providers at the same moment; return their outcomes in the order given."""
        outcomes: dict[str, Outcome] = {}

        async def call(provider: Provider) -> None:
            outcomes[provider.id] = await self._call(provider, self.late)

        async with anyio.create_task_group() as group:
            for provider in providers:
                group.start_soon(call, provider)
        return [outcomes[provider.id] for provider in providers]

    async def in_turn(self, providers: Sequence[Provider]) -> list[Outcome]:
        """Call one after another until an answer can be used; with a hedge the next one before it is too late."""
        if self.hedge and len(providers) > 1:
            return await self._hedged(providers)
        outcomes: list[Outcome] = []
        for provider in providers:
            outcomes.append(await self._call(provider))
            if outcomes[-1].reply or isinstance(outcomes[-1].stopped, AnswerWanted):
                break
        return outcomes

    async def _hedged(self, providers: Sequence[Provider]) -> list[Outcome]:
        """Call the next provider when the last one has failed, or has been silent for ``hedge`` seconds."""
        outcomes: dict[str, Outcome] = {}
        slips: dict[str, Receipt] = {}  # of those that were called

        async with anyio.create_task_group() as group:

            async def call(provider: Provider, ended: anyio.Event) -> None:
                with receipt() as slips[provider.id]:
                    outcomes[provider.id] = await self._call(provider)
                if outcomes[provider.id].reply or isinstance(outcomes[provider.id].stopped, AnswerWanted):
                    group.cancel_scope.cancel()  # one answer is enough
                ended.set()

            for provider in providers:
                slips[provider.id] = UNSENT
                ended = anyio.Event()
                group.start_soon(call, provider, ended)
                with anyio.move_on_after(self.hedge):
                    await ended.wait()
        called, why = [p for p in providers if p.id in slips], "another answer came first"
        return [outcomes.get(p.id) or _cancelled(p, why, slips[p.id]) for p in called]

    async def _call(self, provider: Provider, late: TaskGroup | None = None) -> Outcome:
        """Call one provider and wait for it until the deadline; with ``late`` the call itself goes on there."""
        if late is None:
            with receipt() as slip, anyio.move_on_after(self.limit):
                return await self._asked(provider, self.request)
            return _cancelled(provider, f"no answer within {self.limit:g} s", slip)
        found: list[Outcome] = []
        ended = anyio.Event()
        patient = self.request.model_copy(update={"deadline": self.request.deadline + LATE})

        async def ask() -> None:
            found.append(await self._asked(provider, patient))
            ended.set()

        late.start_soon(ask)
        with anyio.move_on_after(self.limit):
            await ended.wait()
            return found[0]
        said = f"no answer within {self.limit:g} s; one that comes while the run lasts is kept in the ledger"
        return Outcome(provider, Alternative(provider=provider.id, status="cancelled", error=said))

    async def _asked(self, provider: Provider, request: Request) -> Outcome:
        """Call one provider and say what came of it."""
        try:
            reply = await provider.ask(request)
            fault = self.problem(reply)
            answered = Alternative.answered(provider.id, reply, fault)
            return Outcome(provider, answered, reply if fault is None else None)
        except ProviderError as error:
            why = str(error).removeprefix(f"{error.provider}: ")
            if isinstance(error.received, Reply):  # something came and was paid for, though it cannot be used
                return Outcome(provider, Alternative.answered(provider.id, error.received, why))
            took = {"attempts": error.attempts, "wait_seconds": error.wait_seconds}
            status: Status = "cancelled" if isinstance(error, ProviderPassed) else "error"
            return Outcome(provider, Alternative(provider=provider.id, status=status, error=why, **took))
        except NyxlabError as error:
            # A gate behind this one with nobody to call is a provider that fails, unless a larger budget would do.
            stopped = None if isinstance(error, NoCandidate) and not error.only_budget else error
            failed = Alternative(provider=provider.id, status="error", error=str(error), attempts=0)
            return Outcome(provider, failed, stopped=stopped)


def _cancelled(provider: Provider, why: str, slip: Receipt) -> Outcome:
    said = f"{why}: cancelled, {'possibly billed' if slip.sent else 'before anything was sent'}"
    return Outcome(provider, Alternative(provider=provider.id, status="cancelled", error=said))
