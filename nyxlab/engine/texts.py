"""Writes values as JSON text, and keeps long texts apart, once for each content: a reply stands in many places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import orjson

from nyxlab.providers.messages import Json

LONG = 200  # characters; a shorter text stays where it is
_NUMBERS = frozenset({int, float, bool, type(None)})
MARK = "\x00"  # begins the name of a text that lies apart; a text of its own that begins so lies apart as well
SLOW = " "  # begins JSON that orjson cannot hold (half a character, an integer of more than 64 bits)


def text(value: Json) -> str:
    """Return a value as the JSON text that a column holds."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return SLOW + json.dumps(value, allow_nan=False)


def value_of(said: str) -> Json:
    """Read the JSON text of a column; ``ValueError`` for what is none."""
    return json.loads(said) if said.startswith(SLOW) else orjson.loads(said)


def apart(value: Json, shelf: dict[str, str]) -> Json:
    """Return the value with the name of each long text in its place; ``shelf`` takes name → JSON text."""
    if isinstance(value, str):
        if len(value) <= LONG and not value.startswith(MARK):
            return value
        name = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        if name not in shelf:
            shelf[name] = text(value)
        return MARK + name
    if isinstance(value, dict):
        return {key: part if _plain(part) else apart(part, shelf) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [part if _plain(part) else apart(part, shelf) for part in value]
    return value


def whole(value: Json, shelf: Mapping[str, str]) -> Json:
    """Return the value with its long texts back in place; ``KeyError`` for a text that the shelf does not have."""
    if isinstance(value, str):
        return value_of(shelf[value[1:]]) if value.startswith(MARK) else value
    if isinstance(value, dict):
        return {key: part if type(part) in _NUMBERS else whole(part, shelf) for key, part in value.items()}
    if isinstance(value, list):
        return [part if type(part) in _NUMBERS else whole(part, shelf) for part in value]
    return value


def _plain(value: Json) -> bool:
    """Whether a value has no long text in it, at a glance: a large run has hundreds of thousands of them."""
    kind = type(value)
    return kind in _NUMBERS or (kind is str and len(value) <= LONG and value[:1] != MARK)
