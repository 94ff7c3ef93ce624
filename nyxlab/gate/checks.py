"""What can be said against an answer without asking a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Record, Reply, Request
from nyxlab.providers.structured import fault_finder

TAIL = 2_000  # characters at the end of an answer that are searched for repetition
REPEATS, REPEATED = 6, 240  # the end is endless when it is one piece at least this often, over this many characters

Problem = Callable[[Reply], str | None]


class Check(Record):
    """A check that one answer failed."""

    provider: str
    check: str
    problem: str


def usability(request: Request) -> Problem:
    """Return the function that says why a reply to this request cannot be used (None: it can).

    A schema that is no JSON Schema is refused here (InputRefused), before anything is paid.
    """
    schema = request.output_schema
    fault = fault_finder(schema) if schema is not None else None

    def problem(reply: Reply) -> str | None:
        if reply.stop == "refusal":
            return "declined to answer"
        if not reply.text.strip():
            return "empty answer"
        if fault is None:
            return None
        if reply.truncated:
            return f"cut off at {request.max_tokens} tokens, so it is not the JSON asked for: raise max_tokens"
        return fault(reply.text)

    return problem


def expected(text: str) -> re.Pattern[str]:
    """Return the regular expression that a right answer holds, in small letters or capitals; InputRefused if none."""
    try:
        return re.compile(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputRefused(f"expect {text[:80]!r} is not a regular expression ({error}): put \\ before signs") from None


def failed_checks(
    request: Request, answers: Sequence[tuple[str, Reply]], expect: re.Pattern[str] | None = None
) -> list[Check]:
    """Return every check that an answer fails: cut off, endless repetition, without what is expected."""
    failed = []
    for provider, reply in answers:
        if reply.truncated:
            problem = f"cut off at {request.max_tokens} tokens"
            failed.append(Check(provider=provider, check="whole", problem=problem))
        if request.output_schema is None and repeats_endlessly(reply.text):
            failed.append(Check(provider=provider, check="repetition", problem="ends in endless repetition"))
        if expect and not expect.search(reply.text):
            failed.append(Check(provider=provider, check="expect", problem=f"does not hold '{expect.pattern[:80]}'"))
    return failed


def repeats_endlessly(text: str) -> bool:
    """Whether the text ends in one piece over and over, as a model does that is caught in a loop.

    Knuth, Morris and Pratt's prefix function over the reversed tail gives each ending's shortest period in linear time.
    """
    tail = text.rstrip()[-TAIL:][::-1]
    border = [0] * len(tail)
    for end in range(1, len(tail)):
        size = border[end - 1]
        while size and tail[end] != tail[size]:
            size = border[size - 1]
        border[end] = size + (tail[end] == tail[size])
        length, period = end + 1, end + 1 - border[end]
        # A rule of dashes or a row of dots is drawn, not said: what repeats must hold a letter or a digit.
        if length >= REPEATED and length >= REPEATS * period and any(c.isalnum() for c in tail[:period]):
            return True
    return False
