"""A provider that reads its replies from a script written by hand: a product for notebooks and tests, not a mock.

::

    # scripted replies, written by hand: no model produced this text
    a:                          # a channel: script:data/scripts/demo.yaml#a
      - match: limits           # serves every request that contains this text, as often as it comes; a list of texts
                                # serves those that contain all of them in this order
        text: "..."             # or `json: {...}`, or `error: busy | refused | broken | misused`
      - text: "..."             # without match: in order, each once; the last one stays
        stop: length            # end (default) | length | other
        repeat: true            # a match entry with `repeat: false` serves once; an ordered one with true for good
        latency: 0.02           # seconds, really slept
        usage: {input_tokens: 812, output_tokens: 240}
        price: {input: "3.00", output: "15.00"}     # a pretended price, USD per million tokens: cost is "estimated"

Match entries win over ordered ones, the first that fits over later ones; so replies by match are the same whatever the
concurrency and however often a run is resumed. Without a price a scripted reply costs nothing, which is exact.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

import anyio
from pydantic import Field, ValidationError, model_validator

from nyxlab.errors import InputRefused, ProviderBroken, ProviderBusy, ProviderMisused, ProviderRefused
from nyxlab.providers.base import Capabilities, Provider
from nyxlab.providers.messages import Cost, Json, Price, Record, Reply, Request, Seconds, Stop, Usage
from nyxlab.providers.prices import cost_of, estimate_of
from nyxlab.providers.strictyaml import Lines, read_yaml
from nyxlab.settings import Location, did_you_mean, refusal

_ERRORS = {"busy": ProviderBusy, "refused": ProviderRefused, "broken": ProviderBroken, "misused": ProviderMisused}
_Part = Annotated[str, Field(min_length=1)]


class ScriptedReply(Record):
    """One entry of a script; see the module's docstring for what each field does."""

    match: _Part | Annotated[tuple[_Part, ...], Field(min_length=1)] | None = None
    repeat: bool | None = None
    text: str | None = None
    data: Json = Field(default=None, alias="json")
    error: Literal["busy", "refused", "broken", "misused"] | None = None
    stop: Stop = "end"
    latency: Seconds = 0.0
    usage: Usage | None = None
    price: Price | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = [name for name in ("text", "data", "error") if getattr(self, name) is not None]
        if len(said) != 1 and said != ["text", "error"]:
            raise ValueError("give exactly one of text, json and error (text beside error is its message)")
        return self

    def fits(self, said: str) -> bool:
        """Whether the text holds all parts of ``match``, one after the other."""
        start = 0
        for part in (self.match,) if isinstance(self.match, str) else self.match or ():
            found = said.find(part, start)
            if found < 0:
                return False
            start = found + len(part)
        return True

    @property
    def reply(self) -> str:
        """The text that is served."""
        return self.text if self.text is not None else json.dumps(self.data, ensure_ascii=False)


class ScriptedProvider(Provider):
    """Answers from a list of replies, or from one channel of a script file (``PATH#channel``).

    ``replies`` are texts, mappings with the script's keys, or ``ScriptedReply`` records. ``id``, ``vendor``,
    ``capabilities`` and ``why_unusable`` let it stand for a provider of any kind in a notebook or a test.
    Raises ``InputRefused`` for a file, channel or entry that cannot be used.
    """

    def __init__(
        self,
        replies: Sequence[str | Mapping[str, Json] | ScriptedReply] | str | Path,
        *,
        id: str | None = None,  # noqa: A002 - it is the provider's `id`
        vendor: str = "script",
        capabilities: Capabilities | None = None,
        why_unusable: str | None = None,
    ) -> None:
        if isinstance(replies, str | Path):
            path, _, channel = str(replies).partition("#")
            self._replies = _read_channel(Path(path), channel)
            self.identity = f"script:{Path(path).resolve()}#{channel}"
            self.id = id or f"script:{replies}"
        else:
            self._replies = tuple(_entry(reply) for reply in replies)
            text = json.dumps([reply.to_json() for reply in self._replies], sort_keys=True)
            self.id = id or f"script:{hashlib.sha256(text.encode()).hexdigest()[:8]}"
            self.identity = self.id
        if not self._replies:
            raise InputRefused(f"{self.id}: a script needs at least one reply")
        self.vendor = vendor
        self.capabilities = capabilities or Capabilities()
        self._why_unusable = why_unusable
        self._served: set[int] = set()

    def unusable(self) -> str | None:
        """Return the reason that was given, if any."""
        return self._why_unusable

    def estimate(self, request: Request) -> Cost:
        """Return what the request would cost at the dearest price in the script; nothing where none pretends one."""
        costs = [estimate_of(request, reply.price) for reply in self._replies if reply.price]
        return max(costs, key=lambda cost: cost.usd or 0, default=Cost(usd=Decimal(0), certainty="exact"))

    async def ask(self, request: Request) -> Reply:
        """Serve the entry that fits, after its latency."""
        if self._why_unusable:
            raise ProviderMisused(self._why_unusable, provider=self.id, attempts=0)
        entry = self._choose(request)
        started = time.perf_counter()
        with anyio.move_on_after(request.deadline) as patience:
            await anyio.sleep(entry.latency)
        if patience.cancelled_caught:
            raise ProviderBroken(f"no reply within {request.deadline:g} s; allow a longer deadline", provider=self.id)
        if entry.error:
            raise _ERRORS[entry.error](entry.text or f"scripted error ({entry.error})", provider=self.id)
        return Reply(
            text=entry.reply,
            provider=self.id,
            model=self.id,
            stop=entry.stop,
            usage=entry.usage,
            cost=_cost(entry),
            price=entry.price and entry.price.model_copy(update={"sheet": "script"}),  # pretended, whatever it says
            latency_seconds=time.perf_counter() - started,
        )

    def _choose(self, request: Request) -> ScriptedReply:
        """Return the entry to serve; no await in here, so no two calls ever take the same ordered one."""
        said = request.text
        ordered: list[int] = []
        for number, entry in enumerate(self._replies):
            if entry.match is None:
                ordered.append(number)
            elif entry.fits(said) and not (entry.repeat is False and number in self._served):
                self._served.add(number)
                return entry
        for number in ordered:
            if number not in self._served or number == ordered[-1]:
                if not self._replies[number].repeat:
                    self._served.add(number)
                return self._replies[number]
        raise ProviderMisused(
            "no entry of the script fits this request; add one, or one without match", provider=self.id, attempts=0
        )


def _cost(entry: ScriptedReply) -> Cost:
    if entry.price is None:
        return Cost(usd=Decimal(0), certainty="exact")
    cost = cost_of(entry.usage, entry.price)
    return cost if cost.usd is None else Cost(usd=cost.usd, certainty="estimated")


def _entry(reply: str | Mapping[str, Json] | ScriptedReply) -> ScriptedReply:
    if isinstance(reply, ScriptedReply):
        return reply
    try:
        return ScriptedReply.model_validate({"text": reply} if isinstance(reply, str) else reply)
    except ValidationError as error:
        raise refusal(error, "script", lambda _: 1, lambda _: _NAMES) from None


_NAMES = ["json" if name == "data" else name for name in ScriptedReply.model_fields]


def _read_channel(path: Path, channel: str) -> tuple[ScriptedReply, ...]:
    """Read one channel of a script file; the whole file is small, so no part of it is kept."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        raise InputRefused(f"{path}: no such script, or not UTF-8 text; check the path after 'script:'") from None
    channels, lines = read_yaml(text, path.name)
    if not isinstance(channels, dict) or not all(isinstance(entries, list) for entries in channels.values()):
        raise InputRefused(f"{path.name}:1: a script maps each channel's name to a list of replies")
    if channel not in channels:
        near = did_you_mean(channel, channels) if channel else f"; it has {', '.join(channels)}"
        raise InputRefused(f"{path.name}: no channel '{channel}'{near}; write script:{path.name}#CHANNEL")
    replies = []
    for number, entry in enumerate(channels[channel]):
        try:
            replies.append(ScriptedReply.model_validate(entry))
        except ValidationError as error:
            here = (channel, number)
            raise refusal(error, path.name, partial(_line_below, lines, here), lambda _: _NAMES) from None
    return tuple(replies)


def _line_below(lines: Lines, here: Location, where: Location) -> int:
    return lines.get((*here, *where), lines[here])
