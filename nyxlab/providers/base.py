"""The one interface of everything that answers a request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from nyxlab.providers.messages import Cost, Record, Reply, Request


class Capabilities(Record):
    """What a provider can take: ``context`` is its window in tokens (None where nobody said).

    ``keeps``: it keeps the beginning that a request shares with others, if it is told where that ends, and charges it
    apart.
    """

    context: int | None = None
    output_schema: bool = True
    keeps: bool = False


@dataclass
class Receipt:
    """What a call has come to, for whoever has to record it though it is called off.

    ``sent``: whether a request has left; a provider that says nothing is taken to have sent one. ``received``: the
    reply, whole or in part, that came without being returned.
    """

    sent: bool = True
    received: Reply | None = None


_receipt: ContextVar[Receipt | None] = ContextVar("receipt", default=None)


@contextmanager
def receipt() -> Iterator[Receipt]:
    """Hold the receipt of the one call that is made within; one that is held around it comes to say the same."""
    outer, own = _receipt.get(), Receipt()
    token = _receipt.set(own)
    try:
        yield own
    finally:
        _receipt.reset(token)
        if outer:
            outer.sent, outer.received = own.sent, own.received


def fill_receipt(*, sent: bool, received: Reply | None) -> None:
    """Say what the call under way has come to, if anybody wants to know."""
    if held := _receipt.get():
        held.sent, held.received = sent, received


class Provider(ABC):
    """Whoever answers a request: a model, a script, a gate in front of several, a ledger around one.

    ``id`` is what people write (``vendor:model?sampling``); ``identity`` says who really answers (vendor, model, URL,
    sampling), so that the same one listed twice is found out. ``vendor`` is whose model it is, as the id names it, so
    that a judge of a candidate's own family is found out too.
    """

    id: str
    identity: str
    vendor: str
    capabilities: Capabilities = Capabilities()

    def unusable(self) -> str | None:
        """Return why this provider cannot be called now, as a person can act on it; None when it can."""
        return None

    def estimate(self, request: Request) -> Cost:  # noqa: ARG002 - the default knows no prices
        """Return what the request may cost at most: counted prompt plus ``max_tokens`` of reply."""
        return Cost.unknown()

    async def prepare(self, request: Request) -> None:  # noqa: B027 - most need nothing
        """Do what has to come before the call; ``AnswerWanted`` where the answer is a person's and not there yet."""

    @abstractmethod
    async def ask(self, request: Request) -> Reply:
        """Answer the request or raise a ``ProviderError`` named by the caller's next move."""

    async def aclose(self) -> None:
        """Let go of connections and processes. Closing twice is fine."""
        return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
