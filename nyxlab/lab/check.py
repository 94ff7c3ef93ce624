"""One small call to a provider, to see whether it answers from here."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from nyxlab.errors import NyxlabError
from nyxlab.lab.console import plain_table, seconds
from nyxlab.lab.wording import money
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Message, Record, Request, Seconds

SMALL = Request(messages=(Message("user", "Reply with the word hello."),), max_tokens=64, deadline=60.0, stream=True)


class Checked(Record):
    """What came back: ``text``, or ``error`` saying why nothing did. Times are in seconds."""

    provider: str
    text: str | None = None
    error: str | None = None
    latency_seconds: Seconds | None = None
    time_to_first_token_seconds: Seconds | None = None
    cost: Cost = Cost.unknown()


async def check(provider: Provider) -> Checked:
    """Make the small call and say how it went; no error is raised."""
    try:
        reply = await provider.ask(SMALL)
    except NyxlabError as error:
        return Checked(provider=provider.id, error=str(error).removeprefix(f"{provider.id}: "))
    return Checked(
        provider=provider.id,
        text=reply.text,
        latency_seconds=reply.latency_seconds,
        time_to_first_token_seconds=reply.time_to_first_token_seconds,
        cost=reply.cost,
    )


def answers_table(answers: Iterable[Checked]) -> Table:
    """Return what came back as a table for a terminal."""
    rows = [
        (
            each.provider,
            each.error or " ".join((each.text or "").split())[:60],
            seconds(each.time_to_first_token_seconds),
            seconds(each.latency_seconds),
            money(each.cost.usd, each.cost.certainty),
        )
        for each in answers
    ]
    return plain_table(["provider", "what came back", "first token>", "latency>", "cost>"], rows)
