"""What of a server's own words may be repeated to people: plain text, without a piece of the key or of the prompt."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import SecretStr

from nyxlab.providers.messages import Json, Request


def parse(data: bytes) -> Json:
    """Return the JSON value, strict: no NaN. ``ValueError`` or ``RecursionError`` where it is none."""

    def refuse(name: str) -> Any:
        raise ValueError(name)

    return json.loads(data, parse_constant=refuse)


def explain(body: Json, key: SecretStr | None, request: Request) -> str:
    """Return ``": "`` and the vendor's words on an error, or nothing where they repeat the key or the prompt."""
    try:
        error = body["error"]
        said = " ".join(str(error[name]) for name in ("type", "code", "status", "message") if error.get(name))
    except (TypeError, KeyError, AttributeError):
        return ""
    said = plain(said, 300)
    secret = key.get_secret_value() if key else ""
    asked = [request.system or "", *(message.content for message in request.messages)]
    if not said or _repeats(said, secret, 8) or any(_repeats(said, plain(part), 16) for part in asked):
        return ""
    return f": {said}"


def plain(text: str, most: int | None = None) -> str:
    """Return printable text on one line: no terminal escape, no direction mark, nothing invisible."""
    spaced = re.sub(r"\s+", " ", text)
    return "".join(c for c in spaced if c.isprintable())[:most].strip()


def hide(text: str, key: SecretStr | None) -> str:
    """Take the key out of a reply that echoes it; a key shorter than 8 characters is a placeholder, not a secret."""
    secret = key.get_secret_value() if key else ""
    return text.replace(secret, "[key removed]") if len(secret) >= 8 else text


def _repeats(said: str, source: str, run: int) -> bool:
    """Whether ``said`` holds the whole source, or any ``run`` characters of it in a row."""
    if not source:
        return False
    return source in said or any(said[i : i + run] in source for i in range(len(said) - run + 1))
