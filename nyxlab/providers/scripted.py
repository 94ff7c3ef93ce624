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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import anyio
from pydantic import Field, ValidationError, model_validator

from nyxlab.errors import InputRefused, ProviderBroken, ProviderBusy, ProviderMisused, ProviderRefused, did_you_mean
from nyxlab.providers.base import Capabilities, Provider
from nyxlab.providers.messages import Cost, Json, Price, Record, Reply, Request, Seconds, Stop, Usage
from nyxlab.providers.prices import cost_of, estimate_of
from nyxlab.providers.strictyaml import read_yaml
from nyxlab.settings import Location, refusal

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

    def fits(self, prompt: str) -> bool:
        """Whether the prompt holds all parts of ``match``, one after the other."""
        rest = prompt
        for part in (self.match,) if isinstance(self.match, str) else self.match or ():
            _, found, rest = rest.partition(part)
            if not found:
                return False
        return True

    @property
    def cost(self) -> Cost:
        """What serving it is said to cost."""
        if self.price is None:
            return Cost.free()
        cost = cost_of(self.usage, self.price)
        return cost if cost.usd is None else Cost(usd=cost.usd, certainty="estimated")


class ScriptedProvider(Provider):
    """Answers from a list of replies, or from one channel of a script file (``PATH#channel``).

    ``replies`` are texts, or mappings with the script's keys. ``id``, ``vendor``, ``capabilities`` and ``why_unusable``
    let it stand for a provider of any kind in a notebook or a test. Raises ``InputRefused`` for a file, channel or
    entry that cannot be used.
    """

    def __init__(
        self,
        replies: Sequence[str | Mapping[str, Json]] | str | Path,
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
            entries = [{"text": reply} if isinstance(reply, str) else reply for reply in replies]
            self._replies = tuple(_entry(entry, "script", lambda _: 1) for entry in entries)
            text = json.dumps([reply.to_json() for reply in self._replies], sort_keys=True)
            self.id = self.identity = id or f"script:{hashlib.sha256(text.encode()).hexdigest()[:8]}"
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
        return max(costs, key=lambda cost: cost.usd or 0, default=Cost.free())

    async def ask(self, request: Request) -> Reply:
        """Serve the entry that fits, after its latency."""
        if self._why_unusable:
            raise ProviderMisused(self._why_unusable, provider=self.id, attempts=0)
        entry = self._choose(request.text)
        started = time.perf_counter()
        with anyio.move_on_after(request.deadline) as patience:
            await anyio.sleep(entry.latency)
        if patience.cancelled_caught:
            raise ProviderBroken(f"no reply within {request.deadline:g} s; allow a longer deadline", provider=self.id)
        if entry.error:
            raise _ERRORS[entry.error](entry.text or f"scripted error ({entry.error})", provider=self.id)
        return Reply(
            text=entry.text if entry.text is not None else json.dumps(entry.data, ensure_ascii=False),
            provider=self.id,
            model=self.id,
            stop=entry.stop,
            usage=entry.usage,
            cost=entry.cost,
            price=entry.price and entry.price.model_copy(update={"sheet": "script"}),  # pretended, whatever it says
            latency_seconds=time.perf_counter() - started,
        )

    def _choose(self, prompt: str) -> ScriptedReply:
        """Return the entry to serve; no await in here, so no two calls ever take the same ordered one."""
        for number, entry in enumerate(self._replies):
            spent = entry.repeat is False and number in self._served
            if entry.match is not None and entry.fits(prompt) and not spent:
                self._served.add(number)
                return entry
        ordered = [number for number, entry in enumerate(self._replies) if entry.match is None]
        for number in [number for number in ordered if number not in self._served] or ordered[-1:]:
            if not self._replies[number].repeat:
                self._served.add(number)
            return self._replies[number]
        said = "no entry of the script fits this request; add one, or one without match"
        raise ProviderMisused(said, provider=self.id, attempts=0)


def _entry(given: Mapping[str, Json], name: str, line_of: Callable[[Location], int]) -> ScriptedReply:
    try:
        return ScriptedReply.model_validate(given)
    except ValidationError as error:
        names = ["json" if name == "data" else name for name in ScriptedReply.model_fields]
        raise refusal(error, name, line_of, lambda _: names) from None


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

    def line_below(number: int) -> Callable[[Location], int]:
        return lambda where: lines.get((channel, number, *where), lines[channel, number])

    return tuple(_entry(given, path.name, line_below(number)) for number, given in enumerate(channels[channel]))
