"""K3: one named quantity with two values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from nyxlab.reviewer.document import Document, Quantity, group
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Rule, at

_FACTORS = {
    "ms": ("s", Decimal("0.001")), "s": ("s", Decimal(1)), "min": ("s", Decimal(60)), "h": ("s", Decimal(3600)), "d": ("s", Decimal(86400)), "week": ("s", Decimal(604800)),
    "B": ("B", Decimal(1)), "KB": ("B", Decimal(1000)), "MB": ("B", Decimal(10**6)), "GB": ("B", Decimal(10**9)), "TB": ("B", Decimal(10**12)),
    "KiB": ("B", Decimal(1024)), "MiB": ("B", Decimal(1024**2)), "GiB": ("B", Decimal(1024**3)), "TiB": ("B", Decimal(1024**4)),
}  # fmt: skip
_SETTING = re.compile(
    r"(?:^|\s)(?:\S*(?:timeout|limit|ttl|interval|retention|port|threshold|expiry|lifetime|quota|max|min|maximum|minimum|deadline|window|budget|retries|attempts|version|size|period|rate)\S*)$"
    r"|\w_\w|[a-z][A-Z]"
)
_EXAMPLE = re.compile(
    r"(?i)\b(?:given|when|then|e\.g\.|example|suppose|if|from|was|were|previously|currently|today|old|instead|test|assert|expect|increase|raise|reduce|per|returns?|for instance|bump)\b|\u2192|->"
)


def check(document: Document) -> Iterator[Claim]:
    """Find a setting (timeout, limit, port, a name in code) that is given one value in one place and another value elsewhere."""
    stated = [(key, (value, q)) for q in document.quantities if (read := _read(q)) for key, value in [read]]
    for (subject, _), values in group(stated).items():
        first_value, first = values[0]
        other = next(((v, q) for v, q in values[1:] if v != first_value and q.sentence is not first.sentence), None)
        if other and len({v for v, _ in values}) == 2:
            yield Claim(
                Severity.MEDIUM,
                f"{subject}: {_shown(first)} or {_shown(other[1])}?",
                f"{subject} is {_shown(first)} in one place and {_shown(other[1])} in another.",
                "Decide the value, state it once, and refer to it elsewhere.",
                at(other[1], first),
                (subject,),
                (str(first_value), str(other[0])),
                0.8,
            )


def _read(quantity: Quantity) -> tuple[tuple[str, str], Decimal] | None:
    """Return (subject, dimension) and the value in base units, where the sentence states a setting and no example."""
    subject = quantity.subject
    if (
        not subject
        or quantity.sentence.where == "cell"
        or not _SETTING.search(subject)
        or _EXAMPLE.search(quantity.sentence.prose)
    ):
        return None
    dimension, factor = _FACTORS.get(quantity.unit, (quantity.unit, Decimal(1)))
    return (subject, dimension), quantity.value * factor


def _shown(quantity: Quantity) -> str:
    return f"{quantity.value} {quantity.unit}".strip()


RULE = Rule(
    id="conflicting-value",
    kind="K3",
    category=Category.LIMITS,
    consequence="One of the two values gets built, and the other one tested, documented or promised.",
    severities={
        Severity.MEDIUM: "a limit, a time or a version is described two ways: buildable, but likely wrong at the edge"
    },
    firing=(
        "The session timeout is 30 minutes.\n\nAfter the session timeout of 45 minutes users sign in again.\n",
        "Set `max_retries` = 3.\n\nThe value of `max_retries` is 5.\n",
    ),
    quiet=(
        "The session timeout is 30 minutes.\n\nThe session timeout is 1800 seconds.\n",
        "The session timeout is 30 minutes.\n\nThe idle timeout is 45 minutes.\n",
        "Given `max_retries` = 3, one retry is left.\n\nThe default of `max_retries` is 5.\n",
    ),
    check=check,
)
