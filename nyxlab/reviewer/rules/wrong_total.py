"""A total that its own column or sentence does not add up to."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, Spanned
from nyxlab.reviewer.text.blocks import Sentence, Table
from nyxlab.reviewer.text.quantities import Quantity, quantities
from nyxlab.reviewer.text.words import stem

_TOTAL = re.compile(r"^\W*(?:grand |overall )?(?:totals?|sum)\b", re.IGNORECASE)
_SUB = re.compile(r"\bsub-?totals?\b", re.IGNORECASE)
_NAMED = re.compile(r"^\W*total\s(?P<noun>[\w-]+)\W{1,6}(?P<value>\d{1,5})\b(?!\s*[-\u2013+~%])", re.IGNORECASE)
_APART = re.compile(r"\b(?:parallel|max|each|per|of which|including|at most|average)\b|[\u00d7x*/]\s?\d")
_LIST = re.compile(r"(?:\b(?:in )?total(?:ling|s)?\b|\bsum\b|\badds? up to\b)", re.IGNORECASE)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a total row, or a total in a sentence, that the numbers before it do not add up to, units converted."""
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
    for column in range(1, len(last.cells)) if any(_TOTAL.match(c) for c in last.cells[:2]) else ():
        values = [_whole(row.cells[column]) for row in table.rows]
        stated = values.pop()
        if stated and None not in values and len(values) > 1 and stated.unit != "%":
            places = [Place(table.path, n, m) for n, m in ((last.line, last.line), (table.rows[0].line, last.line))]
            yield from _compare([v for v in values if v], stated, table.header[column], places)


def _after(document: Document, table: Table) -> Iterator[Claim]:
    """Judge "Total tickets: 57" right below a table that has a column of tickets."""
    near = (s for n in range(table.end_line, table.end_line + 4) for s in document.spoken.get((table.path, n), ()))
    below = next((s for s in near if s.where not in ("heading", "cell")), None)
    m = _NAMED.match(below.plain) if below else None
    for column, head in enumerate(table.header) if m else ():
        cells = [_count(row.cells[column]) for row in table.rows]
        same = m and stem(head.strip("s")) == stem(m["noun"].strip("s"))
        total = sum(filter(None, cells))
        if below and m and same and len(cells) > 1 and all(cells) and total != int(m["value"]):
            title = f"{m['noun']}: {m['value']} in total; the rows add up to {total}"
            said = f"{' + '.join(map(str, cells[:14]))} is {total}."
            yield Claim(Severity.LOW, title, said, (below, table), ("total", head), (m["value"],))


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
    alone = len(found) == 1 and (found[0].start, found[0].end) == (0, len(text)) and not found[0].hedged
    return found[0] if alone else None


def _sentence(sentence: Sentence) -> Iterator[Claim]:
    """Judge "3 days for a, 4 days for b and 2 days for c, 8 days in total"."""
    text = sentence.prose
    found = [q for q in quantities(text) if q.unit]
    m = _LIST.search(text)
    if m is None or len(found) < 3 or any(q.hedged for q in found) or _APART.search(text):
        return
    stated = found[-1]
    if -14 < m.start() - stated.end < 8 or 0 <= stated.start - m.end() < 8:
        yield from _compare(found[:-1], stated, "", [sentence])


def _compare(parts: Sequence[Quantity], stated: Quantity, column: str, places: Sequence[Spanned]) -> Iterator[Claim]:
    """Add quantities up, in one dimension; what cannot be compared says nothing."""
    sizes = [q.size for q in parts if q.value]
    dimension, total = stated.size
    sum_ = sum((size for _, size in sizes), Decimal(0))
    if {d for d, _ in sizes} == {dimension} and abs(sum_ - total) > abs(total) * Decimal("0.005"):
        factor = total / stated.value if stated.value else Decimal(1)
        shown, said = f"{(sum_ / factor).normalize():f} {stated.noun}".strip(), " + ".join(map(_told, parts[:14]))
        title = f"The total is {_told(stated)}; the parts add up to {shown}"
        told = f"{f'Column {column}: ' if column else ''}{said} is {shown}."
        yield Claim(Severity.LOW, title, told, places, ("total", column), (str(stated.value), shown))


def _told(quantity: Quantity) -> str:
    return f"{quantity.value.normalize():f} {quantity.noun}".strip()
