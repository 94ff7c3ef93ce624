"""K5: a number that is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from nyxlab.reviewer.document import Document, Heading, Identifier, Item, group
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Rule, at


def check(document: Document) -> Iterator[Claim]:
    """Find a numbering of headings, identifiers or list items that runs on by one but leaves a number out once."""
    for family in document.definitions:
        for path in document.files:
            found = [i for i in document.declared(family, path) if i.rank > 1]
            known = {i.ordinal for i in document.definitions[family] if i.path == path and i.rank > 0}
            for run in group((_parent(i), i) for i in found).values():
                yield from _gaps(family, [(i.ordinal, i) for i in run], known, 3 if family.islower() else 4)
    for siblings in group((((h.path, h.parent), h.level), h) for h in document.headings if h.number).values():
        last = [(int(h.number.rsplit(".", 1)[-1]), h) for h in siblings if h.number]
        stems = {h.number.rpartition(".")[0] for h in siblings if h.number}
        if len(stems) == 1 and all(value < 100 for value, _ in last):
            yield from _gaps("section ", last, {value for value, _ in last}, 2)
    for block in document.lists:
        items = [(i.number, i) for i in block.items if i.number is not None]
        if len({n for n, _ in items}) > 2:
            yield from _gaps("item ", items, {n for n, _ in items}, 3)


def _parent(found: Identifier) -> Heading | None:
    """Return what a numbering of headings runs under; identifiers run through the whole file."""
    section = found.sentence.section
    return section.parent if section and found.sentence.where == "heading" else None


def _gaps(
    kind: str, run: Sequence[tuple[int, Identifier | Heading | Item]], known: set[int], least: int
) -> Iterator[Claim]:
    """Report the one jump in a run of at least ``least``; several jumps are a style, and a number found elsewhere is no gap."""
    if len(run) < least or any(b < a for (a, _), (b, _) in pairwise(run)):
        return
    jumps = [(a, b, one, two) for (a, one), (b, two) in pairwise(run) if b - a > 1]
    if len(jumps) != 1 or run[0][0] > 1:
        return
    low, high, before, after = jumps[0]
    missing = [n for n in range(low + 1, min(high, low + 4)) if n not in known]
    if missing and high - low <= 3:
        name = _name(kind, missing[0], before)
        yield Claim(
            Severity.LOW,
            f"{name} is missing",
            f"The numbering goes on from {low} to {high}, and {name} stands nowhere.",
            "Write the missing one, or say that the number was withdrawn.",
            at(after, before),
            (kind, str(missing[0])),
            confidence=0.8,
        )


def _name(kind: str, number: int, before: Identifier | Heading | Item) -> str:
    """Write a missing number like its neighbour: "FR-011", "Phase 3", "Section 4.2"."""
    if isinstance(before, Identifier) and not kind.islower():
        return f"{kind}{number:0{len(before.number.rstrip('abcdefghijklmnopqrstuvw'))}}"
    stem = before.number.rpartition(".") if isinstance(before, Heading) and before.number else ("", "", "")
    return f"{kind.strip().capitalize()} {stem[0]}{stem[1]}{number}"


RULE = Rule(
    id="numbering-gap",
    kind="K5",
    category=Category.DUPLICATE,
    consequence="Either something was lost, or readers will look for it.",
    severities={Severity.LOW: "nothing that is written changes; something may be missing"},
    firing=(
        "## Phase 1: A\n\n## Phase 2: B\n\n## Phase 4: C\n",
        "## 1. A\n\n## 2. B\n\n## 4. C\n",
        "1. a\n2. b\n4. c\n",
    ),
    quiet=(
        "## Phase 1: A\n\n## Phase 2: B\n\n## Phase 3: C\n",
        "1. a\n1. b\n1. c\n",
        "- **R10**: a\n- **R20**: b\n- **R30**: c\n- **R40**: d\n",
    ),
    check=check,
)
