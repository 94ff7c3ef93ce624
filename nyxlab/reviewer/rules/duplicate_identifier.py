"""K5: one name for two things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nyxlab.reviewer.document import Document, Heading, Identifier, Item, ListBlock, group
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Rule, at


def check(document: Document) -> Iterator[Claim]:
    """Find an identifier, a numbered part or a heading that is defined twice with different words. Numbering that restarts under another parent is none."""
    for family in document.definitions:
        for path in document.files:
            yield from _identifiers(document.declared(family, path))
    for siblings in group((((h.path, h.parent), h.level), h) for h in document.headings).values():
        yield from _headings(siblings)
    for block in document.lists:
        yield from _items(block)


def _identifiers(found: tuple[Identifier, ...]) -> Iterator[Claim]:
    """Within one family and file: a second definition, unless a whole numbering starts anew in another section."""
    home = group((i.number, i) for i in found)
    repeated = Counter(_scope(i) for same in home.values() for i in same[1:])
    for same in home.values():
        first = same[0]
        for again in same[1:]:
            passing = first.family.islower() and first.rank < 3
            restarts = _scope(again) is not _scope(first) and (passing or repeated[_scope(again)] > 1)
            if not restarts and again.sentence.plain != first.sentence.plain and again.line != first.line:
                used = first.family.isupper() or "-" in first.family
                yield _claim(first.name, Severity.MEDIUM if used else Severity.LOW, again, first)


def _scope(found: Identifier) -> Heading | None:
    """Return what a numbering belongs to: a heading's parent, an item's section."""
    section = found.sentence.section
    return section.parent if section and found.sentence.where == "heading" else section


def _headings(siblings: tuple[Heading, ...]) -> Iterator[Claim]:
    """Among headings under one parent: the same number, or the same text."""
    for attribute in ("number", "text"):
        for value, same in group((getattr(h, attribute), h) for h in siblings).items():
            if value and len(same) > 1 and (attribute == "text" or len({h.text for h in same}) > 1):
                yield _claim(f'heading "{value}"', Severity.LOW, same[1], same[0])


def _items(block: ListBlock) -> Iterator[Claim]:
    """In a numbered list: a number given twice, where the author does number (1. 1. 1. is left to Markdown)."""
    numbers = [i.number for i in block.items if i.number is not None]
    if len(set(numbers)) <= max(2, len(numbers) // 2):
        return
    for before, item in zip(block.items, block.items[1:], strict=False):
        if item.number == before.number:
            yield _claim(f"item {item.number}", Severity.LOW, item, before)


def _claim(
    name: str, severity: Severity, again: Identifier | Heading | Item, first: Identifier | Heading | Item
) -> Claim:
    return Claim(
        severity,
        f"{name} is defined twice",
        f"{name} is defined on line {first.line} and again, with other words, on line {again.line}.",
        "Give the second one a name of its own and check every reference to it.",
        at(again, first),
        (name,),
    )


RULE = Rule(
    id="duplicate-identifier",
    kind="K5",
    category=Category.DUPLICATE,
    consequence="References to it reach the wrong one of two, and one of them may never be built or tested.",
    severities={
        Severity.MEDIUM: "requirements and tasks are tracked by this identifier: one of the two gets lost",
        Severity.LOW: "a heading or a list item: a reader can tell them apart",
    },
    firing=(
        "- **FR-014**: export\n- **FR-014**: billing\n",
        "## Phase 2: A\n\n## Phase 2: B\n",
        "## 3.1 Storage\n\n## 3.1 Network\n",
        "- [ ] T003 Write it\n- [x] T003 Test it\n",
    ),
    quiet=(
        "# A\n\n## Step 1: x\n\n## Step 2: y\n\n# B\n\n## Step 1: x2\n\n## Step 2: y2\n",
        "- **FR-009**: a\n- **FR-009a**: b\n",
        "1. a\n1. b\n1. c\n",
        "- **FR-001**: a\n\n- FR-001 is covered by T003\n",
    ),
    check=check,
)
