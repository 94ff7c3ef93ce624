"""What a rule is written with, and the protocol that each answers: what it claims, how bad it can be, its examples."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from nyxlab.providers.messages import Json, Record
from nyxlab.reviewer.findings import MAX_SPAN, Category, Severity
from nyxlab.reviewer.plan.model import Plan, Unit
from nyxlab.reviewer.text.document import Document, group

__all__ = ["Claim", "Document", "Place", "Plan", "Rule", "Severity", "Spanned", "at", "group", "names"]


class Spanned(Protocol):
    """Anything with a place in a file."""

    @property
    def path(self) -> str:
        """Its file."""

    @property
    def line(self) -> int:
        """Its first line."""


class Place(NamedTuple):
    """Lines of one file, both ends included, counted from 1."""

    path: str
    line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing a rule found, before it has an id and quotes.

    ``places`` is where it stands: sentences, parts of the work, files, whatever has a place. The first is where the
    fault is best mended; a contradiction shows both sides; one cause has all its places. ``entities`` are the names
    that it is about and ``claims`` the values that do not fit together: they make its fingerprint.
    """

    severity: Severity
    title: str
    explanation: str
    places: Iterable[Spanned]
    entities: Iterable[str]
    claims: Iterable[str] = ()


Check = Callable[[Document, Plan], Iterator[Claim]]
Example = str | Mapping[str, str]


class Rule(Record):
    """One deterministic rule. The docstring of ``check`` states its law; its words are in ``defaults/rules.toml``.

    ``severities`` maps each level it can give to the reason; ``firing`` and ``quiet`` are example plans: one text, or
    several by path.
    """

    id: str
    kind: str
    category: Category
    consequence: str
    fix: str
    severities: Mapping[Severity, str]
    firing: tuple[Example, ...]
    quiet: tuple[Example, ...]
    check: Check
    confidence: float = 0.9

    @property
    def claim(self) -> str:
        """What the rule says is wrong when it fires."""
        return " ".join((self.check.__doc__ or "").split())

    def to_json(self) -> dict[str, Json]:
        """Return what `nyxlab rules` shows: its words, each possible severity with its reason, and an example."""
        told = {key: getattr(self, key) for key in ("id", "kind", "claim", "category", "consequence", "fix")}
        return {**told, "severities": dict(self.severities), "example": self.firing[0]}


def names(found: Iterable[str], most: int = 8) -> str:
    """Return names as words, the first of many: "T032, T033 and T037", "T1, T2 \u2026 and 12 more"."""
    listed = list(dict.fromkeys(found))
    if len(listed) > most + 1:
        return f"{', '.join(listed[:most])} \u2026 and {len(listed) - most} more"
    return " and ".join(filter(None, (", ".join(listed[:-1]), listed[-1]))) if listed else ""


def at(things: Iterable[Spanned]) -> tuple[Place, ...]:
    """Return where things stand, each once, cut to what a person can take in; a part of the work by its first line."""
    found = []
    for thing in things:
        source = getattr(thing, "sentence", None) or thing
        end = source.line if isinstance(source, Unit) else getattr(source, "end_line", source.line)
        found.append(Place(source.path, source.line, min(end, source.line + MAX_SPAN - 1)))
    return tuple(dict.fromkeys(found))
