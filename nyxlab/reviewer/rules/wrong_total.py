"""K2: a total against the sum of its parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from nyxlab.reviewer.document import Document, ListBlock, Row, Sentence, Table
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.measures import numbers
from nyxlab.reviewer.rules.base import Claim, Place, Rule, at

_TOTAL = re.compile(
    r"\W{0,6}(?:(?:grand|overall|estimated)\s)?(?:totals?|sum|altogether|overall|all)\b(?!\s(?:of|the|other))",
    re.IGNORECASE,
)
_SUBTOTAL = re.compile(r"\W{0,6}sub-?total", re.IGNORECASE)
_CELL = re.compile(r"[$\u20ac\u00a3]?\s?(-?\d{1,3}(?:,\d{3})++|-?\d{1,12})(\.\d{1,6})?\s?(?:[A-Za-z%/ -]{0,16})$")
_SAID = re.compile(r"\b(?:totals?|sum|altogether|in all|overall|combined)\b", re.IGNORECASE)
_NUMBER = r"(?<![\w.#-])(\d{1,3}(?:,\d{3})++|\d{1,12})(\.\d{1,6})?(?![\w.]*\d)"
_PLAIN = re.compile(r"(?i)\b(?:consists? of|compris|made up of|composed of|split|divided|broken down)\b|:")
_ABOUT = re.compile(r"(?i)(?:\b(?:about|around|roughly|some|nearly|almost|at least|at most|up to|over)\s|[~\u2248])$")
_FIRST = re.compile(_NUMBER)
_LEADING = re.compile(
    rf"(?:^|[,;(:]|\band\b|\bplus\b|\+)\s*(?:and\s)?{_NUMBER}\s*(?:[\w-]+\s)??(?:for|on|in|to|of|by|from)\b"
)
_LABELLED = re.compile(rf"[\w)\"'`]\s?[:=]\s*{_NUMBER}\s*(?:[a-z-]{{1,12}}\s?)?(?=[,;).]|\band\b|$)")
_COUNTED = re.compile(
    rf"(?:^|[,;(:]|\band\b)\s*(?:and\s)?{_NUMBER}\s+[A-Za-z][\w-]*+(?:\s[A-Za-z][\w-]*+){{0,3}}\s*(?=[,;).]|\band\b|$)"
)
_OPENED = re.compile(r"[:(\u2014]\s?(?=\D{0,60}\d)")
_SUM = re.compile(
    rf"(?<!\+)(?<!\+\s)((?:{_NUMBER}\s*(?:[a-z]{{1,8}}\s*)?\+\s*){{1,30}}{_NUMBER})\s*(?:[a-z]{{1,8}}\s*)?=\s*{_NUMBER}"
)


_MADE_OF = re.compile(  # a total, then its parts
    r"(?i)\b(?:in total|altogether|in all|overall|combined|consists? of|comprises?|(?:is|are) (?:made up|composed) of|made up of|(?:is |are )?(?:split|divided|broken down) (?:up )?(?:into|as follows|among|between|over)|namely|as follows|of which)\b|[:(=\u2014]"
)
_ADDS_UP = re.compile(  # parts, then their total
    r"(?i)\b(?:(?:adds?|adding|sums?|summing) (?:up )?to|comes? to|coming to|amounts? to|makes?|making|gives?|giving|for a total of|total(?:s|l?ing)? (?:of |is )?|together (?:that is|that makes|they are|these are)?|a sum of)\s{0,3}(?:a total of )?(?:[$\u20ac\u00a3]\s?)?$"
)
_IN_ALL = re.compile(r"(?i)[^\d.;]{0,30}\b(?:in total|altogether|in all|overall|all told|combined)\b")
_PARTIAL = re.compile(
    r"(?i)\b(?:includ\w+|such as|among (?:them|others)|e\.g\.|for example|(?<!for )the (?:rest|others?)|remain\w+|some|at (?:least|most)|(?<!add )(?<!adds )(?<!adding )(?<!sum )(?<!sums )up to|each|every|per|times|between|most|mainly|instead|to \d)\b|[\u00d7*]|%.{0,20}\bof\b"
)


def check(document: Document) -> Iterator[Claim]:
    """Find a total in a table, a list or a sentence that is not the sum of the parts that stand with it."""
    for table in document.tables:
        yield from _table(table)
        yield from _columns(table)
    for sentence in document.sentences:
        if (sentence.where != "cell" or len(sentence.plain) > 40) and len(sentence.plain) < 3000:
            said = list(_sentence(sentence)) or list(_added(sentence))
            yield from said
    after = {(s.path, s.line): s for s in document.sentences if s.where == "paragraph" and _SAID.search(s.prose)}
    for block in document.lists:
        near = (after.get((block.path, block.end_line + n)) for n in (1, 2, 3))
        yield from _listed(block, [s for s in (block.intro, *near) if s])


def _added(sentence: Sentence) -> Iterator[Claim]:
    """Check "40 servers in total, 25 here and 12 there", "6 days (2 to design, 3 to build)", "3 weeks and 4 weeks, ten weeks in all"."""
    text = sentence.prose
    found = list(numbers(text))
    if (
        len(found) < 3
        or any(n.named and not n.unit for n in found)
        or _PARTIAL.search(text)
        or any(n.loose for n in found)
    ):
        return
    last = found[-1]
    if _ADDS_UP.search(text[: last.start]) or _IN_ALL.match(text, last.end - len(last.noun)):
        total, parts = last, found[:-1]
    elif _MADE_OF.search(text[found[0].end - len(found[0].noun) : found[1].start]):
        total, parts = found[0], found[1:]
    else:
        return
    alike = all(p.unit == total.unit for p in parts)
    named = sum(bool(p.noun) and p.noun.rstrip("s") == total.noun.rstrip("s") for p in parts)
    spoken = _SAID.search(text) or _PLAIN.search(text) or total is last
    if not alike or not (total.unit or named == len(parts) or (spoken and named in (0, len(parts)))):
        return
    added = sum((p.value for p in parts), Decimal(0))
    if "of which" in text and added < total.value:
        return
    if added != total.value and total.value < 2 * added < 4 * total.value and max(p.value for p in parts) < total.value:
        yield _claim(text[total.start : total.end + 40], total.value, added, at(sentence))


def _listed(block: ListBlock, around: Iterable[Sentence]) -> Iterator[Claim]:
    """Check "Total: 9 days" right before or after a list whose items name one amount of that unit each."""
    parts = []
    for item in block.items:
        found = [n for n in numbers(item.text) if not n.named and not n.loose]
        if len(found) != 1:
            return
        parts.append(found[0])
    if len(parts) < 2:
        return
    for sentence in around:
        told = [n for n in numbers(sentence.prose) if not n.named and not n.loose]
        if len(told) != 1 or _PARTIAL.search(sentence.prose):
            continue
        said = _SAID.search(sentence.prose) or _ADDS_UP.search(sentence.prose[: told[0].start])
        added = sum((p.value for p in parts), Decimal(0))
        if said and all(p.unit == told[0].unit for p in parts) and added != told[0].value:
            yield _claim(sentence.prose, told[0].value, added, (*at(sentence), *at(block)))
            return


def _columns(table: Table) -> Iterator[Claim]:
    """Check a last column of totals: a row that is not its sum, where its heading says total or all the others are."""
    rows = [(row, [_amount(cell) for cell in row.cells[1:]]) for row in table.rows]
    whole = [
        (row, [v for v in values if v is not None]) for row, values in rows if len(values) > 2 and None not in values
    ]
    wrong = [(row, values) for row, values in whole if sum(values[:-1]) != values[-1]]
    titled = bool(table.header) and bool(_TOTAL.match(table.header[-1]))
    if len(wrong) == 1 and (len(whole) > 2 or (titled and len(whole) > 1)) and any(any(v[:-1]) for _, v in whole):
        row, values = wrong[0]
        name = f"{row.cells[0]}, {table.header[-1] if table.header else 'total'}"
        yield _claim(name, values[-1], sum(values[:-1]), (Place(table.path, row.line, row.line),))


def _table(table: Table) -> Iterator[Claim]:
    """Check each column of numbers above a row of totals; parts of a subtotal are not counted twice."""
    parts: list[Row] = []
    for row in table.rows:
        label = next((c for c in row.cells if c.strip()), "")
        if not _TOTAL.match(label) and not _SUBTOTAL.match(label):
            parts.append(row)
            continue
        for column in range(1, len(row.cells)):
            total = _amount(row.cells[column])
            values = [_amount(p.cells[column]) if column < len(p.cells) else None for p in parts]
            known = [v for v in values if v is not None]
            blank = all(
                v is not None or not p.cells[column].strip(" -\u2013\u2014")
                for v, p in zip(values, parts, strict=True)
                if column < len(p.cells)
            )
            if total is not None and len(known) > 1 and blank and sum(known) != total and "%" not in row.cells[column]:
                name = table.header[column] if column < len(table.header) else ""
                yield _claim(name or "Total", total, sum(known), (Place(table.path, row.line, row.line), *at(table)))
        if _SUBTOTAL.match(label):
            parts = []


def _amount(cell: str) -> Decimal | None:
    m = _CELL.match(cell.strip(" *_~"))
    return Decimal(m[1].replace(",", "") + (m[2] or "")) if m and not cell.strip().startswith("~") else None


def _sentence(sentence: Sentence) -> Iterator[Claim]:
    """Check "12 days in total: 5 for A, 4 for B …", "Total: 9 (A: 4, B: 6)", "9 endpoints: 6 public and 4 internal", "3 + 4 = 8"."""
    text = sentence.prose
    for m in _SUM.finditer(text):
        parts = [_decimal(n) for n in _FIRST.finditer(m[1])]
        total = _decimal(list(_FIRST.finditer(m[0]))[-1])
        if sum(parts) != total and not re.search(r"[*\u00d7/]\s*$", text[max(0, m.start() - 4) : m.start()]):
            yield _claim(m[0], total, sum(parts), at(sentence))
            return
    said = bool(_SAID.search(text))
    for opened in _OPENED.finditer(text):
        before = list(_FIRST.finditer(text, 0, opened.start()))
        after = list(_FIRST.finditer(text, opened.end(), opened.end() + 20)) if said else []
        if before or after:
            break
    else:
        return
    head = before[-1] if before else after[0]
    if _ABOUT.search(text[: head.start()]):
        return
    total, body = _decimal(head), text[opened.end() if before else head.end() :]
    for pattern in (_LEADING, _LABELLED, *([_COUNTED] if before and text[opened.start()] == ":" else [])):
        parts = [_decimal(m) for m in pattern.finditer(body)]
        if len(parts) > 1 and (said or (pattern is _COUNTED and len(parts) == len(_FIRST.findall(body)))):
            if sum(parts) != total and max(parts) <= total * 2:
                yield _claim(
                    text[max(0, opened.start() - 60) : opened.start()].strip(), total, sum(parts), at(sentence)
                )
            return


def _decimal(m: re.Match[str]) -> Decimal:
    return Decimal(m[1].replace(",", "") + (m[2] or ""))


def _claim(name: str, total: Decimal, parts: Decimal | int, places: tuple[Place, ...]) -> Claim:
    return Claim(
        Severity.MEDIUM,
        f"The total is given as {total}, the parts add up to {parts}",
        f"{name.strip(' *:')}: the parts that are listed add up to {parts}, not {total}.",
        f"Correct the total to {parts}, or the part that is wrong.",
        places,
        (name,),
        (str(total), str(parts)),
        0.95,
    )


RULE = Rule(
    id="wrong-total",
    kind="K2",
    category=Category.CLAIM,
    consequence="Effort, money or capacity is planned with a number that nothing supports.",
    severities={Severity.MEDIUM: "what is built on the total (a budget, a date, a limit) is off by the difference"},
    firing=(
        "| Part | Days |\n|---|---|\n| A | 3 |\n| B | 4 |\n| Total | 8 |\n",
        "We need 12 days in total: 5 for the schema, 4 for the API and 2 for tests.\n",
        "Total tasks: 9 (Phase 1: 4, Phase 2: 6)\n",
    ),
    quiet=(
        "| Part | Days |\n|---|---|\n| A | 3 |\n| B | 4 |\n| Subtotal | 7 |\n| C | 1 |\n",
        "We need 11 days in total: 5 for Phase 2, 4 for the API and 2 for tests.\n",
        "The limit is 5 in total: see section 3 and section 4.\n",
    ),
    check=check,
)
