"""What a vendor's wire format is to nyxlab: two pure functions and the records between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

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


@dataclass
class Heard:
    """A stream so far: the pieces of its text, and the rest of the body that they belong to."""

    pieces: list[str] = field(default_factory=list)
    rest: dict[str, Json] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)


class Dialect(Protocol):
    """One vendor's format, without a socket in sight: adding a vendor is writing one of these.

    ``base_url`` is the vendor's own address, ``version`` what is put behind another one that names no version,
    ``key_header`` the header that carries the key (after ``key_prefix``), ``streaming`` what a body says besides to
    be answered in a stream, ``keeps`` whether a body says where a shared beginning ends.
    """

    base_url: str
    version: str
    headers: dict[str, str]
    key_header: str
    key_prefix: str
    streaming: dict[str, Json]
    keeps: bool

    def path(self, model: str, /, *, stream: bool = False) -> str:
        """Return the path of a call, to be put behind the base URL."""
        ...

    def encode(self, model: str, request: Request, sampling: Sampling, /) -> dict[str, Json]:
        """Return the body that asks for the request's reply."""
        ...

    def decode(self, body: Json, /) -> Answer:
        """Return what the body says, or raise ``Malformed``."""
        ...

    def hear(self, event: Json, heard: Heard, /) -> None:
        """Take one event of a stream in, or raise ``Malformed``."""
        ...

    def whole(self, heard: Heard, /) -> Json:
        """Return the body that ``decode`` reads, or raise ``Malformed`` where the stream ended before the reply did."""
        ...


def pick(body: Json, *path: str | int, kind: type | tuple[type, ...] = object) -> Json:
    """Return the value at ``path``; ``Malformed`` names the path where it is missing or of another kind."""
    for step in path:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            raise Malformed(f"no {'.'.join(map(str, path))}") from None
    if not isinstance(body, kind):
        raise Malformed(f"{'.'.join(map(str, path))} is of the wrong type")
    return body


def count(counts: Json, *path: str | int) -> Json:
    """Return what is given at ``path`` (a token count, say), 0 where the vendor left it out or wrote null."""
    for step in path:
        try:
            counts = counts[step]
        except (KeyError, IndexError, TypeError):
            return 0
    return 0 if counts is None else counts


def usage(
    input_tokens: Json, output_tokens: Json, read: Json = 0, write: Json = 0, reasoning: Json = 0
) -> Usage | None:
    """Return the counts, or None unless each is a true integer from 0 up: a wrong count is worse than none."""
    try:
        return Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=write,
            reasoning_tokens=reasoning,
        )
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
