"""What a vendor's wire format is to nyxlab: pure functions of bodies, and the records between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field, ValidationError

from nyxlab.providers.messages import Json, Record, Request, Stop, Usage


class Sampling(Record):
    """How tokens are drawn, from a provider's id (``?temperature=0.8&seed=7``); None leaves it to the vendor.

    Nothing is sent unless it was asked for: newer models of Anthropic and OpenAI refuse a temperature outright.
    """

    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None

    def given(self, request: Request) -> dict[str, float | int]:
        """Return what was asked for by name; the request's own temperature wins over the id's."""
        asked = self.model_dump(exclude_none=True)
        return asked if request.temperature is None else {**asked, "temperature": request.temperature}


class Answer(Record):
    """What a reply's body says: ``refusal`` is the vendor's reason where the model declined, else None."""

    text: str = ""
    stop: Stop = "end"
    usage: Usage | None = None
    model: str | None = None
    refusal: str | None = None


class Malformed(ValueError):
    """A body is not in the vendor's format; the text says which part, never what stood there."""


class Unreached(Exception):
    """No connection came about, so nothing was sent: trying again cannot be billed twice."""


class Cut(Exception):
    """The exchange ended before the reply did; the text is a sentence for people and holds nothing of it."""


@dataclass
class Partial:
    """A reply as far as it has come: the pieces of its text, and what was said besides, in the vendor's words."""

    pieces: list[str] = field(default_factory=list)
    model: str | None = None
    reason: str | None = None  # why the reply ended; None while it goes on
    refusal: str | None = None
    counts: dict[str, Json] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    def note(self, *, model: Json = None, reason: Json = None, refusal: Json = None, counts: Json = None) -> None:
        """Take in what a body or an event says besides text; what is left out, or no text, changes nothing."""
        self.model = model if isinstance(model, str) else self.model
        self.reason = reason if isinstance(reason, str) else self.reason
        self.refusal = refusal if isinstance(refusal, str) else self.refusal
        if isinstance(counts, dict):
            self.counts |= counts


class Dialect(ABC):
    """One vendor's format, without a socket in sight: adding a vendor is writing one of these.

    ``base_url`` is the vendor's own address, ``version`` what is put behind another one that names no version,
    ``key_header`` the header that carries the key (after ``key_prefix``), ``streaming`` what a body says besides to
    be answered in a stream, ``keeps`` whether a body says where a shared beginning ends, ``stops`` what the vendor's
    reasons to end mean.
    """

    base_url: ClassVar[str]
    version: ClassVar[str] = ""
    headers: ClassVar[Mapping[str, str]] = {}
    key_header: ClassVar[str]
    key_prefix: ClassVar[str] = ""
    streaming: ClassVar[Mapping[str, Json]] = {}
    keeps: ClassVar[bool] = False
    stops: ClassVar[Mapping[str | None, Stop]]

    @abstractmethod
    def path(self, model: str, /, *, stream: bool = False) -> str:
        """Return the path of a call, to be put behind the base URL."""

    @abstractmethod
    def encode(self, model: str, request: Request, sampling: Sampling, /) -> dict[str, Json]:
        """Return the body that asks for the request's reply."""

    @abstractmethod
    def decode(self, body: Json, /) -> Answer:
        """Return what a whole body says, or raise ``Malformed``."""

    @abstractmethod
    def hear(self, event: Json, partial: Partial, /) -> None:
        """Take one event of a stream in, or raise ``Malformed``."""

    @abstractmethod
    def usage(self, counts: dict[str, Json], /) -> Usage | None:
        """Return the vendor's counts as ours; None where one of them is none."""

    def answer(self, partial: Partial, /) -> Answer:
        """Return what has come as an answer."""
        stop = "refusal" if partial.refusal else self.stops.get(partial.reason, "other")
        return Answer(
            text=partial.text,
            stop=stop,
            refusal=(partial.refusal or partial.reason) if stop == "refusal" else None,
            model=partial.model,
            usage=self.usage(partial.counts) if partial.counts else None,
        )


def pick(body: Json, *path: str | int, kind: type = object) -> Json:
    """Return the value at ``path``; ``Malformed`` names the path where it is missing or of another kind."""
    value = look(body, *path)
    if value is None or not isinstance(value, kind):
        raise Malformed(f"no {'.'.join(map(str, path))}, or of the wrong type")
    return value


def look(body: Json, *path: str | int, default: Json = None) -> Json:
    """Return the value at ``path``, or ``default`` where the vendor left it out or wrote null."""
    for step in path:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return default
    return default if body is None else body


def usage(**counts: Json) -> Usage | None:
    """Return the counts, or None unless each is a true integer from 0 up: a wrong count is worse than none."""
    try:
        return Usage(**counts)
    except ValidationError:
        return None


def tally(*counts: Json, less: Sequence[Json] = ()) -> Json:
    """Return the sum of counts less others; None (so: no usage) unless each is a true integer from 0 up."""
    if any(type(number) is not int or number < 0 for number in (*counts, *less)):
        return None
    return sum(counts) - sum(less)


def closed(schema: Json, drop: Sequence[str] = ()) -> Json:
    """Return the schema with every object closed (``additionalProperties: false``), without the keywords in ``drop``.

    Closing only narrows what may come back. What is dropped is not enforced by the vendor; whoever asked validates
    the reply against the whole schema anyway.
    """
    if isinstance(schema, list):
        return [closed(item, drop) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Json] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            out[key] = {name: closed(part, drop) for name, part in value.items()}
        elif key in ("enum", "const", "default", "examples"):
            out[key] = value
        elif key not in drop:
            out[key] = closed(value, drop)
    if out.get("type") == "object" or "properties" in out:
        out.setdefault("additionalProperties", False)
    return out
