"""Writes values as JSON text, and keeps long texts apart, once for each content: a reply stands in many places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from nyxlab.providers.messages import Json

LONG = 200  # characters; a shorter text stays where it is
_NUMBERS = frozenset({int, float, bool, type(None)})
MARK = "\x00"  # begins the name of a text that lies apart; a text of its own that begins so lies apart as well
NAMED = "\\u0000"  # how it stands in JSON
SLOW = " "  # begins JSON that orjson cannot hold (half a character, an integer of more than 64 bits)


def text(value: Json) -> str:
    """Return a value as the JSON text that a column holds."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return SLOW + json.dumps(value, allow_nan=False)


def value_of(said: str, shelf: Mapping[str, str] | None = None) -> Json:
    """Read the JSON text of a column; ``shelf`` has its long texts by name.

    ``ValueError`` for what is none, ``KeyError`` for a text that the shelf does not have.
    """
    value = json.loads(said) if said.startswith(SLOW) else orjson.loads(said)
    if NAMED not in said or shelf is None:
        return value
    return _swapped(value, lambda each: shelf[each[1:]] if each.startswith(MARK) else each)


def apart(value: Json, shelf: dict[str, str]) -> Json:
    """Return the value with the name of each long text in its place; ``shelf`` takes text → name."""

    def name_of(each: str) -> str:
        if len(each) <= LONG and not each.startswith(MARK):
            return each
        if each not in shelf:
            shelf[each] = hashlib.sha256(each.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return MARK + shelf[each]

    return _swapped(value, name_of)


def _swapped(value: Json, other: Callable[[str], str]) -> Json:
    """Return the value with other texts in it; a part in which none is another one stays the very same object."""
    if isinstance(value, str):
        return other(value)
    if not isinstance(value, dict | list | tuple):
        return value
    copied: Any = None
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        # At a glance first: a large run has hundreds of thousands of numbers and short texts.
        kind = type(part)
        if kind in _NUMBERS or (kind is str and len(part) <= LONG and part[:1] != MARK):
            continue
        if (new := _swapped(part, other)) is not part:
            if copied is None:
                copied = dict(value) if isinstance(value, dict) else list(value)
            copied[key] = new
    return value if copied is None else copied
