"""What a server's refusal means by the caller's next move, and what of its own words may be repeated to people."""

from __future__ import annotations

import email.utils
import math
import re
from datetime import UTC, datetime

from pydantic import SecretStr

from nyxlab.errors import ProviderBroken, ProviderBusy, ProviderError, ProviderMisused
from nyxlab.providers.dialect import look
from nyxlab.providers.messages import Json, Request

RETRIED = frozenset({408, 409, 429, *range(500, 600)})
BUSY = frozenset({408, 409, 429, 503, 529})


def failure(*, busy: bool) -> tuple[type[ProviderError], str]:
    """Return what a failure is called that may pass."""
    if busy:
        return ProviderBusy, "is overloaded or rate-limited"
    return ProviderBroken, "failed on its side"


def meaning(status: int, why: str, model: str) -> tuple[type[ProviderError], str]:
    """Return what a status other than 200 means, with the vendor's words in ``why``, and the sentence that says it."""
    if status in RETRIED and "insufficient_quota" not in why:
        kind, said = failure(busy=status in BUSY)
        return kind, f"{said} (HTTP {status}){why}"
    if status < 300:
        return ProviderBroken, f"answered HTTP {status} without a reply"
    if status < 400:
        return ProviderBroken, f"answered with a redirect (HTTP {status}), which is not followed; correct base_url"
    if status in (401, 403):
        return ProviderMisused, f"the key was not accepted (HTTP {status}); check the key and what it may use"
    if status == 404:
        return ProviderMisused, f"no such model or address (HTTP 404); check '{model}' and base_url{why}"
    advice = why or "; check the model and its options"
    return ProviderMisused, f"the request was not accepted (HTTP {status}){advice}"


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, given as seconds or as a date; None for nonsense."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def explain(body: Json, key: SecretStr | None, request: Request) -> str:
    """Return ``": "`` and the vendor's words on an error, or nothing where they repeat the key or the prompt."""
    words = [look(body, "error", name) for name in ("type", "code", "status", "message")]
    said = plain(" ".join(str(word) for word in words if word), 300)
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
