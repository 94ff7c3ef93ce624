"""A total that its own column or sentence does not add up to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, at, rule
from nyxlab.reviewer.text.blocks import Sentence, Table
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.quantities import Quantity, quantities
from nyxlab.reviewer.text.words import stem

_TOTAL = re.compile(r"^\W*(?:grand |overall )?(?:totals?|sum)\b", re.IGNORECASE)
_SUB = re.compile(r"\bsub-?totals?\b", re.IGNORECASE)
_NAMED = re.compile(r"^\W*total\s(?P<noun>[\w-]+)\W{1,6}(?P<value>\d{1,5})\b(?!\s*[-\u2013+~%])", re.IGNORECASE)
_LIST = re.compile(r"(?:\b(?:in )?total(?:ling|s)?\b|\bsum\b|\badds? up to\b)", re.IGNORECASE)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a total row, or a total at the end of a sentence, that the numbers before it do not add up to, units converted."""
    for table in document.tables:
        yield from _table(table)
        yield from _after(document, table)
    for sentence in document.sentences:
        if sentence.where != "heading" and _LIST.search(sentence.prose) and not document.standing(sentence):
            yield from _sentence(sentence)


def _table(table: Table) -> Iterator[Claim]:
    """Judge each column of a table that ends with a total."""
    if len(table.rows) < 3 or any(_SUB.search(" ".join(row.cells)) for row in table.rows):
        return
    last = table.rows[-1]
    if not last.cells or not any(_TOTAL.match(c) for c in last.cells[:2]):
        return
    for column in range(1, len(last.cells)):
        cells = [row.cells[column] for row in table.rows if column < len(row.cells)]
        values = [_whole(cell) for cell in cells]
        stated = values.pop()
        if stated is None or any(v is None for v in values) or len(values) < 2 or stated.unit == "%":
            continue
        yield from _compare(
            [v for v in values if v],
            stated,
            table.header[column] if column < len(table.header) else "",
            Place(table.path, last.line, last.line),
            Place(table.path, table.rows[0].line, min(last.line, table.rows[0].line + 14)),
        )


def _after(document: Document, table: Table) -> Iterator[Claim]:
    """Judge "Total tickets: 57" right below a table that has a column of tickets."""
    below = document.sentence_after(table.path, table.end_line)
    m = _NAMED.match(below.plain) if below else None
    for column, head in enumerate(table.header) if m else ():
        cells = [_count(row.cells[column]) for row in table.rows if column < len(row.cells)]
        if (
            below
            and m
            and stem(head.strip("s")) == stem(m["noun"].strip("s"))
            and len(cells) > 1
            and all(cells)
            and sum(filter(None, cells)) != int(m["value"])
        ):
            told = [str(n) for n in cells]
            yield Claim(
                Severity.LOW, f"{m['noun']}: {m['value']} in total; the rows add up to {sum(filter(None, cells))}",
                f"{' + '.join(told[:14])} is {sum(filter(None, cells))}.", "Correct the total, or the row that is wrong.",
                (*at(below), Place(table.path, table.line, min(table.end_line, table.line + 14))), ("total", head), (m["value"],),
            )  # fmt: skip


def _count(cell: str) -> int | None:
    """Return how many things a cell names: "(10 tickets)", "#8, #9, #10" or a plain number."""
    if m := re.search(r"\((\d{1,4})\s\w+\)", cell):
        return int(m[1])
    if re.fullmatch(r"#\d+(?:,\s#\d+)*", cell.strip()):
        return cell.count("#")
    return int(cell) if cell.strip().isdecimal() else None


def _whole(cell: str) -> Quantity | None:
    """Return the quantity that a cell is, and nothing else; "-" is none at all, as 0."""
    text = cell.strip(" *_~")
    if text in ("-", "\u2013", "\u2014", ""):
        return Quantity(Decimal(0), "", "", 0, 0, False)
    found = list(quantities(text))
    return (
        found[0]
        if len(found) == 1 and found[0].start == 0 and found[0].end == len(text) and not found[0].hedged
        else None
    )


def _sentence(sentence: Sentence) -> Iterator[Claim]:
    """Judge "3 days for a, 4 days for b and 2 days for c, 8 days in total"."""
    text = sentence.prose
    found = [q for q in quantities(text) if q.unit]
    m = next(iter(_LIST.finditer(text)), None)
    if (
        m is None
        or len(found) < 3
        or any(q.hedged for q in found)
        or re.search(r"\b(?:parallel|max|each|per|of which|including|at most|average)\b|[\u00d7x*/]\s?\d", text)
    ):
        return
    stated = found[-1]
    if not -14 < m.start() - stated.end < 8 and not 0 <= stated.start - m.end() < 8:
        return
    yield from _compare(found[:-1], stated, "", *at(sentence))


def _compare(parts: Sequence[Quantity], stated: Quantity, column: str, *places: Place) -> Iterator[Claim]:
    """Add quantities up, in one dimension; what cannot be compared says nothing."""
    sizes = [q.size for q in parts if q.value]
    dimension, total = stated.size
    if not sizes or {d for d, _ in sizes} != {dimension}:
        return
    sum_ = sum((size for _, size in sizes), Decimal(0))
    if abs(sum_ - total) > abs(total) * Decimal("0.005"):
        factor = total / stated.value if stated.value else Decimal(1)
        shown = f"{(sum_ / factor).normalize():f} {stated.noun}".strip()
        yield Claim(
            Severity.LOW,
            f"The total is {stated.value.normalize():f} {stated.noun}".rstrip() + f"; the parts add up to {shown}",
            f"{'Column ' + column + ': ' if column else ''}{' + '.join(f'{q.value.normalize():f} {q.noun}'.strip() for q in parts[:14])} is {shown}.",
            "Correct the total, or the part that is wrong.",
            places,
            ("total", column),
            (str(stated.value), shown),
        )


RULE = rule("wrong-total", check)
