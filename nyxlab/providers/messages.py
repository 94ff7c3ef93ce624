"""What is said to a model and what comes back: frozen records, no I/O."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

Certainty = Literal["exact", "estimated", "unknown"]
Stop = Literal["end", "length", "refusal", "other"]
Json = Any  # a JSON value: None, bool, int, float, str, list or dict of them

Count = Annotated[int, Field(ge=0, strict=True)]
Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_LETTERS = re.compile(r"[A-Za-z\s]+")
_KEY = re.compile(r"\b(?:sk-[A-Za-z0-9_-]{16,}|AIza[A-Za-z0-9_-]{30,}|gh[opsu]_[A-Za-z0-9]{30,})")


def looks_like_key(text: str) -> bool:
    """Whether a text holds what looks like a key of a vendor: such a text is neither stored nor repeated."""
    return _KEY.search(text) is not None


class Record(BaseModel):
    """A frozen record: snake_case in Python, camelCase in JSON, either spelling read, nothing unknown accepted."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, defer_build=True
    )

    def to_json(self) -> dict[str, Json]:
        """Return the record as JSON values with camelCase keys; money is a string."""
        return self.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True)
class Message:
    """One turn of a conversation: who speaks and what is said."""

    role: Literal["user", "assistant"]
    content: str


class Request(Record):
    """One question to a model, free of any vendor's format.

    ``max_tokens`` bounds the reply (reasoning included), ``output_schema`` is a JSON Schema that the reply must
    satisfy, ``deadline`` the seconds after which the call is given up, retries and waiting included. ``stream`` reads
    the reply while it is written: the time to its first token is known, and what came before a call was given up.
    The first ``shared`` characters of the first message are those of other requests too, which a vendor may keep and
    charge less for. ``idempotency_key`` goes along where the vendor takes one, so that a call sent again after a crash
    is not billed twice.
    """

    messages: tuple[Message, ...] = Field(min_length=1)
    system: str | None = None
    max_tokens: Annotated[int, Field(gt=0, strict=True)] = 1024
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    output_schema: dict[str, Json] | None = Field(
        default=None, validation_alias=AliasChoices("schema", "outputSchema", "output_schema")
    )
    deadline: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    stream: bool = False
    shared: Annotated[int, Field(ge=0)] = 0
    idempotency_key: str | None = Field(default=None, max_length=255)

    @property
    def text(self) -> str:
        """Everything the model will read, for counting and matching."""
        return "\n\n".join(part for part in (self.system, *(m.content for m in self.messages)) if part)

    @property
    def tokens(self) -> int:
        """A count of the prompt's tokens, four characters to one, rounded up: an estimate."""
        return -(-len(self.text) // 4)

    @property
    def most_tokens(self) -> int:
        """The most tokens that the prompt may have: three letters to one, a sign, a digit or two bytes of others each.

        Vendors' tokenizers stay below that on prose, code and CJK; a text of random letters may pass it.
        """
        signs = _LETTERS.sub("", self.text)
        letters, ascii_signs = len(self.text) - len(signs), len(signs.encode("ascii", "ignore"))
        other_bytes = len(signs.encode("utf-8", "replace")) - ascii_signs
        return -(-letters // 3) + ascii_signs + -(-other_bytes // 2)

    def digest(self) -> str:
        """SHA-256 of what is asked. How it is sent and waited for is no part of the question."""
        beside = {"deadline", "stream", "shared", "idempotency_key"}
        try:
            asked = self.model_dump_json(exclude=beside)
        except ValueError:  # half a character, which only Python's own JSON holds
            asked = json.dumps(self.model_dump(exclude=beside))
        return hashlib.sha256(asked.encode()).hexdigest()


class Usage(Record):
    """Tokens of one call. ``input_tokens`` excludes cached ones; ``output_tokens`` includes ``reasoning_tokens``."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0

    def __add__(self, other: Usage) -> Usage:
        """Return the tokens of two calls."""
        return Usage(**{name: count + getattr(other, name) for name, count in self})

    @property
    def tokens(self) -> int:
        """All tokens that were billed one way or another."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


class Cost(Record):
    """An amount of money in USD and how sure we are of it. An unknown amount is never zero."""

    usd: Usd | None
    certainty: Certainty

    @classmethod
    def unknown(cls) -> Cost:
        """Return the cost of what nobody has priced."""
        return cls(usd=None, certainty="unknown")

    @classmethod
    def free(cls) -> Cost:
        """Return the cost of what is never billed."""
        return cls(usd=Decimal(0), certainty="exact")

    @classmethod
    def total(cls, costs: Iterable[Cost]) -> Cost:
        """Add costs up: as certain as the least certain of them, ``usd`` being the known part; nothing costs 0."""
        order: tuple[Certainty, ...] = ("exact", "estimated", "unknown")
        usd, worst = Decimal(0), 0
        for cost in costs:
            usd += cost.usd or 0
            worst = max(worst, order.index(cost.certainty))
        return cls(usd=usd, certainty=order[worst])


class Price(Record):
    """Unit prices in USD per million tokens, and the sheet they were read from."""

    input: Usd
    output: Usd
    cache_read: Usd | None = None
    cache_write: Usd | None = None
    sheet: str = "nyxlab.toml"


class Reply(Record):
    """What one provider answered, with what it took.

    ``latency_seconds`` is service time from the request's first byte to the reply's last; ``wait_seconds`` is time
    spent waiting for a turn or for ``Retry-After``, counted apart. ``usage`` is None where the provider reported
    none or nonsense; then ``cost`` is unknown. ``cached`` marks a reply that was replayed from the ledger.
    """

    text: str
    provider: str
    model: str | None = None
    stop: Stop = "end"
    usage: Usage | None = None
    cost: Cost = Cost(usd=None, certainty="unknown")
    price: Price | None = None
    latency_seconds: Seconds = 0.0
    time_to_first_token_seconds: Seconds | None = None
    wait_seconds: Seconds = 0.0
    attempts: Annotated[int, Field(ge=0)] = 1
    request_id: str | None = None
    cached: bool = False

    @property
    def truncated(self) -> bool:
        """Whether the reply was cut at the token limit."""
        return self.stop == "length"
