"""Declares what inputs a workflow takes and reads their values; a name that looks like a secret is refused."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, NoReturn

from pydantic import ConfigDict

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json, Record, looks_like_key

SECRET = {"key", "secret", "password", "token", "credential"}


class Part(Record):
    """A record read from a workflow file: its errors are located by field names."""

    model_config = ConfigDict(loc_by_alias=False)


class Input(Part):
    """One declared input; without a ``default`` it must be given."""

    type: Literal["string", "integer", "number", "boolean", "path"] = "string"
    default: Json = None  # without it the input must be given
    help: str = ""  # what it is for, shown to people

    @property
    def required(self) -> bool:
        """Whether a run must be given a value."""
        return "default" not in self.model_fields_set


def looks_secret(name: str) -> bool:
    """Whether a part of the name (split at _ and -) says that its value is a secret; ``max_tokens`` is none."""
    return not SECRET.isdisjoint(re.split(r"[_-]", name.lower()))


def secret_sentence(name: str) -> str:
    """Say why such an input is refused and where a secret belongs."""
    return f"input '{name}' looks like a secret, and inputs are stored; keys belong in .env or the environment"


def coerced(name: str, declared: Input, value: object) -> Json:
    """Return the value as its declared type; text is read the way the command line gives it."""

    def refuse() -> NoReturn:
        raise InputRefused(f"input '{name}' must be {declared.type}, not {str(value)[:80]!r}")

    if isinstance(value, str) and looks_like_key(value):
        raise InputRefused(secret_sentence(name))
    if declared.type in {"string", "path"}:
        if not isinstance(value, str) or (declared.type == "path" and (not value or "\0" in value)):
            refuse()
        return value
    if declared.type == "boolean":
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        found = value if isinstance(value, bool) else words.get(value.lower()) if isinstance(value, str) else None
        return refuse() if found is None else found
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        refuse()
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        refuse()
    if not number.is_finite() or abs(number) >= Decimal("1e300"):
        refuse()
    if declared.type == "number":
        return float(number)
    return int(number) if number == number.to_integral_value() and abs(number) < 10**18 else refuse()
