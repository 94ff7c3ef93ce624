"""How many calls an endpoint is given at once, learned from its answers, and when it is left alone for a while."""

from __future__ import annotations

import math
import time
from collections import deque
from weakref import WeakValueDictionary

import anyio

START, MOST = 64, 1024  # calls at once: before anything is known, and at all
CUT, CUT_EVERY = 0.8, 15.0  # a storm of 429 is one piece of news: one cut in so many seconds
FAILURES = 3  # calls in a row, retries included in each
REST, LONGEST_REST = 15.0, 240.0  # seconds; doubled each time that the probe fails too


class Pace:
    """The turns of one endpoint, shared by all its models and callers in this process.

    As TCP does: twice as many calls at once after each full round that went well, until the first refusal (429,
    overload), which takes a fifth away; from then on one more after each full round. So any number of processes finds
    its share without a shared counter. After three calls in a row have failed the endpoint rests; then a single call
    finds out whether it is back.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.limit = float(min(START, most))
        self.busy = 0
        self._refused = False
        self._cut_at = -math.inf
        self._queue: deque[anyio.Event] = deque()
        self._failures = self._rests = 0
        self._until: float | None = None
        self._probe: object = None  # the ticket of the call that finds out whether a rest is over

    def resting(self) -> str | None:
        """Return why no call should be made now, with the seconds that are left; None when one may."""
        if self._until is None:
            return None
        left = self._until - time.monotonic()
        if left > 0:
            return f"cooling down after {self._failures} failures in a row: asked again in {math.ceil(left)} s"
        return "cooling down: one call is finding out whether it answers again" if self._probe else None

    def begin(self) -> object:
        """Note that a call begins, and return a ticket for it; after a rest it is the probe, and all others wait."""
        ticket = object()
        if self._until is not None:
            self._probe = ticket
        return ticket

    def end(self, ticket: object) -> None:
        """Note that a call has ended, however it did."""
        if ticket is self._probe:
            self._probe = None

    def answered(self) -> None:
        """Note that the endpoint is well."""
        self._failures = self._rests = 0
        self._until = None

    def failed(self, ticket: object) -> None:
        """Note that a call failed by the endpoint's fault; one that began before a rest is no news about it."""
        if self._until is not None and ticket is not self._probe:
            return
        self._failures += 1
        if self._failures >= FAILURES:
            self._until = time.monotonic() + min(REST * 2**self._rests, LONGEST_REST)
            self._rests += 1

    async def enter(self) -> float:
        """Wait for a turn, first come, first served, and return the seconds that it took."""
        if self.busy < int(self.limit) and not self._queue:
            self.busy += 1
            return 0.0
        asked, turn = time.perf_counter(), anyio.Event()
        self._queue.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.leave()  # its turn came while it was leaving
            else:
                self._queue.remove(turn)
            raise
        return time.perf_counter() - asked

    def accepted(self) -> None:
        """Note that the endpoint took a call on: it may be given more at once."""
        if self.busy * 2 > self.limit:  # a limit that nobody comes near proves nothing by standing
            self.limit = min(self.most, self.limit + (1 / self.limit if self._refused else 1))

    def refused(self) -> None:
        """Note that the endpoint asked for less."""
        if time.monotonic() - self._cut_at >= CUT_EVERY:
            self.limit = max(1.0, min(self.limit, self.busy) * CUT)
            self._refused, self._cut_at = True, time.monotonic()

    def leave(self) -> None:
        """Give the turn back, to whoever waits for one."""
        self.busy -= 1
        while self._queue and self.busy < int(self.limit):
            self.busy += 1
            self._queue.popleft().set()


_paces: WeakValueDictionary[str, Pace] = WeakValueDictionary()


def pace_of(base_url: str) -> Pace:
    """Return the endpoint's one pace, which lives as long as a provider that uses it."""
    return _paces.setdefault(base_url, Pace())
