"""K14: arithmetic and units that do not hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise

from nyxlab.reviewer.document import Document, Sentence, Table
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.measures import SIZES, UNITS, Number, numbers
from nyxlab.reviewer.rules.base import Claim, Place, Rule, at

_TIMES = re.compile(r"(?:[\u00d7*\u00b7]|(?:^|\s)(?:x|times|multiplied by))\s?$")
_EACH = re.compile(
    r"\b(?:each|every|per|apiece|times|(?:a|an) (?:node|pod|host|replica|shard|worker|user|team|person|tenant|region))\b",
    re.IGNORECASE,
)
_OVER = re.compile(
    r"^[^\d.;:=]{0,40}?\b(?:on|in|across|over|for|by|at|with|of|using|holding|running|against|from|into|to)\b[^\d.;:]{0,30}$",
    re.IGNORECASE,
)
_GIVES = re.compile(
    r"(?:[=\u2248]|\b(?:gives?|giving|makes?|making|yields?|yielding|results? in|resulting in|produces?|producing|adds? up to|sums? (?:up )?to|comes? to|amounts? to|equals?|totall?ing|totals?"
    r"|for a total of|leads? to|is|are|means?|i\.e\.,?|that is,?|which is|or|needs?|requires?|takes?|costs?|creates?|so|thus|therefore|hence|uses?|weighs?|holds?|occupies|fills?|serves?|handles?|consumes?|reach(?:es)?))\b[^\d.;:=)]{0,30}$|=\s?[^\d.;:=]{0,12}$",
    re.IGNORECASE,
)
_FIRM = re.compile(
    r"[=\u2248]|\b(?:gives?|giving|makes?|making|yields?|yielding|results?|resulting|produces?|producing|up to|comes? to|amounts? to|equals?|total\w*)\b",
    re.IGNORECASE,
)
_EACH_OF = re.compile(r"(?i)\b(?:each|every)(?: of)?(?: the)?\s$")
_COMBINED = re.compile(r"(?i)combinations?|permutations?|pairs?|cells|variants|builds|jobs")
_TOTAL = re.compile(r"(?i)\b(?:in total|altogether|in all|overall|combined|in sum|total)\b")
_SAME = re.compile(
    r"(?i)\s{0,2}(?:\(\s?(?:i\.e\.,?|that is,?|=|equals|or|a\.k\.a\.|which is|equal to)?\s?|,?\s?(?:i\.e\.,?|that is,?|=|which (?:is|equals|makes)|equals|is equal to|in other words,?|equivalent to)\s?(?:to\s)?)$"
)
_CLOSED = re.compile(r"\s?(?:\)|,|;|\.(?:\s|$)|$)")
_SHARE = re.compile(
    r"(?<![\w.,-])(\d{1,9})\s(?:out\s)?of\s(?:the\s|our\s|all\s)?(\d{1,9})\b[^().;%\d]{0,40}?[(,]\s?(?:i\.e\.\s|that is\s|or\s|about\s|roughly\s)?(\d{1,3}(?:\.\d{1,3})?)\s?(?:%|percent)"
)
_PART = re.compile(
    r"(?<![\w.,-])(\d{1,3}(?:\.\d{1,3})?)\s?(?:%|percent)\sof\s(?:the\s|our\s|all\s)?(\d{1,9})\b[^.;%\d]{0,40}?(?:\bis\b|=|\bare\b|\bmeans\b|,\si\.e\.|,\sor\b|\()\s?(\d{1,9}(?:\.\d{1,3})?)\b(?!\s?%)"
)
_RATE = re.compile(
    r"(?<![\d.])[^\d.;:(/]{0,18}?(?:/|\b(?:per|an?|each|every)\s)(second|s|minute|min|hour|h|day|week|month|year)\b",
    re.IGNORECASE,
)
_EVERY = re.compile(
    r"(?i)\bevery\s(\d{1,4})\s(seconds?|minutes?|min|hours?|h|days?)\b[^.;]{0,50}?\b(\d{1,6})\s(?:[a-z]+\s){0,2}(?:per|an?|each|every)\s(minute|hour|day|week)\b"
)
_OF = re.compile(
    r"(?i)\bof\s(?:the\s|our\s|all\s)?(\d{1,9})\s[a-z][a-z ]{0,40},\s(?:only\s)?(\d{1,9})\s?[a-z ]{0,20}\(\s?(\d{1,3}(?:\.\d{1,3})?)\s?(?:%|percent)"
)
_CHANGE = re.compile(
    r"(?i)\bfrom\s(?:about\s)?(\d[\d.,]{0,12})[^\d;:]{0,20}?\sto\s(?:about\s)?(\d[\d.,]{0,12})\s?[^\d;:]{0,30}?\b(?:reduction|increase|drop|decrease|saving|growth|rise|gain|improvement)\sof\s(\d{1,4}(?:\.\d+)?)\s?(?:%|percent)"
)
_FOLD = re.compile(
    r"(?i)\b(doubl|halv|tripl|quadrupl)\w{1,4}\s[^\d.;]{0,50}from\s(\d[\d.,]{0,12})[^\d;:]{0,20}?\sto\s(\d[\d.,]{0,12})"
)
_FRACTION = re.compile(
    r"(?i)\b(half|a third|one third|two thirds|a quarter|one quarter|three quarters|a fifth|a tenth)\b[^\d.;()]{0,30}\((\d{1,3}(?:\.\d)?)\s?(?:%|percent)\)"
)
_SPLIT = re.compile(
    r"(?i)(\d[\d,]{0,12})\s?[^\d.;]{0,40}\b(?:split|divided|shared|spread|distributed)\b[^\d.;]{0,30}\b(?:over|among|between|across|by|on|to)\s(\d{1,5})\b[^\d.;]{0,40}?(\d[\d,]{0,12})\s?\w{0,12}\s(?:each|apiece|per)\b"
)
_FRACTIONS = {
    "half": 50,
    "a third": 33.3,
    "one third": 33.3,
    "two thirds": 66.7,
    "a quarter": 25,
    "one quarter": 25,
    "three quarters": 75,
    "a fifth": 20,
    "a tenth": 10,
}
_FOLDS = {"doubl": Decimal(2), "halv": Decimal("0.5"), "tripl": Decimal(3), "quadrupl": Decimal(4)}
_OFTEN = re.compile(r"(?i)(?:\b(?:i\.e\.|that is|so|which is|or|is|are|means|gives|makes|=)|\()[^\d.;:]{0,30}$")


def check(document: Document) -> Iterator[Claim]:
    """Find a product, a converted unit, a rate or a share that is stated with its parts and does not follow from them."""
    for sentence in document.sentences:
        text = sentence.prose
        if len(text) < 4000 and (found := _sentence(text)):
            yield _claim(sentence, *found)
    for table in document.tables:
        yield from _table(table)


def _sentence(text: str) -> tuple[str, str] | None:
    """Return what is said and what it should be, for the first thing in a sentence that does not hold."""
    for said, right, given, unit in _ratios(text):
        if abs(right - given) > max(Decimal("0.6") if unit else Decimal("0.01"), abs(right) / 50):
            return said, f"{_short(right)} {unit}".strip()
    found = [n for n in numbers(text) if not n.named][:40]
    return _converted(text, found) or _rated(text, found) or _multiplied(text, found)


def _ratios(text: str) -> Iterator[tuple[str, Decimal, Decimal, str]]:
    """Yield (words, right value, stated value, unit) for each share, change, split and frequency."""
    for pattern, right in _RATIOS.items():
        for m in pattern.finditer(text):
            try:
                yield m[0], *right(m)
            except (ArithmeticError, KeyError):
                continue  # a division by nothing, or digits that make no number: no claim


def _n(text: str) -> Decimal:
    return Decimal(text.replace(",", "").rstrip("."))


_RATIOS: dict[re.Pattern[str], Callable[[re.Match[str]], tuple[Decimal, Decimal, str]]] = {
    _SHARE: lambda m: (_n(m[1]) * 100 / _n(m[2]), _n(m[3]), "%"),
    _OF: lambda m: (_n(m[2]) * 100 / _n(m[1]), _n(m[3]), "%"),
    _PART: lambda m: (_n(m[1]) * _n(m[2]) / 100, _n(m[3]), ""),
    _CHANGE: lambda m: (abs(_n(m[2]) - _n(m[1])) * 100 / _n(m[1]), _n(m[3]), "%"),
    _FOLD: lambda m: (_n(m[2]) * _FOLDS[m[1].lower()], _n(m[3]), ""),
    _FRACTION: lambda m: (Decimal(str(_FRACTIONS[m[1].lower()])), _n(m[2]), "%"),
    _SPLIT: lambda m: (_n(m[1]) / _n(m[2]), _n(m[3]), ""),
    _EVERY: lambda m: (SIZES[UNITS[m[4].lower()]][1] / (_n(m[1]) * SIZES[UNITS[m[2].lower()]][1]), _n(m[3]), ""),
}


def _converted(text: str, found: list[Number]) -> tuple[str, str] | None:
    """Check "5 seconds (6000 ms)"."""
    for a, b in pairwise(found):
        computed = re.search(r"[\u00d7*+x-]\s?$", text[max(0, a.start - 3) : a.start])
        if (
            not computed
            and a.unit in SIZES
            and b.unit in SIZES
            and a.unit != b.unit
            and _SAME.fullmatch(text, a.end, b.start)
        ):
            slack = Decimal("0.06") if b.loose or (a.loose and text[b.start - 1] in "~\u2248") else Decimal("0.01")
            if a.equals(b.value, b.unit, slack) is False and (
                "=" in text[a.end : b.start] or _CLOSED.match(text, b.end)
            ):
                factor = SIZES[a.unit][1] / SIZES[b.unit][1]
                return text[a.start : b.end], f"{_short(a.value * factor)} {b.unit}"
    return None


def _rated(text: str, found: list[Number]) -> tuple[str, str] | None:
    """Check "100 per second, that is 360,000 per hour"."""
    rates = [
        (n, UNITS[m[1].lower()])
        for n in found
        if (
            m := _RATE.match(text, n.end - (len(n.noun) if n.unit == "" else 0))
            or _RATE.match(text[n.end : n.end + 50])
        )
    ]
    for (a, one), (b, two) in pairwise(rates):
        between = text[a.end : b.start]
        if (
            one != two
            and a.unit == b.unit
            and _OFTEN.search(between)
            and not any(a.end <= n.start < b.start for n in found)
        ):
            low = a.value * SIZES[two][1] / SIZES[one][1]
            high = a.value * SIZES[two][2] / SIZES[one][2]
            if not min(low, high) * Decimal("0.94") <= b.value <= max(low, high) * Decimal("1.06"):
                return text[a.start : b.end], f"{_short(low)} per {two}"
    return None


def _multiplied(text: str, found: list[Number]) -> tuple[str, str] | None:
    """Check "3 x 4 = 13" and "5 suites on 4 platforms give 24 jobs": two factors and a result, in this order or the result first."""
    for n in range(len(found) - 2):
        a, b, c = found[n : n + 3]
        if _product(text, a, b, c) and not _holds(text, a, b, c, found):
            return text[a.start : c.end], _shown(a, b, c)
        if _announced(text, a, b, c) and not _holds(text, b, c, a, found):
            return text[a.start : c.end], _shown(b, c, a)
    return None


def _times(between: str) -> bool:
    """Whether what stands between two numbers multiplies them."""
    return len(between) < 46 and bool(_TIMES.search(between)) and not re.search(r"[\d.;=()]", between)


def _product(text: str, a: Number, b: Number, c: Number) -> bool:
    first, second = text[a.end - len(a.noun) : b.start], text[b.end - len(b.noun) : c.start]
    after = text[c.end : c.end + 40]
    each = bool(_EACH.search(text[a.end : c.start])) or bool(_EACH_OF.search(text[: a.start]))
    whole = bool(re.search(r"[,(\u2014]\s?$", second)) and bool(_TOTAL.search(after[:24]))
    if len(first) > 80 or len(second) > 90 or not (_GIVES.search(second) or whole):
        return False
    if _times(text[a.end : b.start]) or _times(first):
        return True
    if a.loose or b.loose or c.loose or "%" in (a.unit, b.unit) or not _kin(a, b, c):
        return False
    if _COMBINED.fullmatch(c.noun) and "," not in first:
        return True
    firm = bool(_FIRM.search(second)) or bool(_TOTAL.search(second + after))
    alike = bool(c.unit) or c.noun.rstrip("s") in (a.noun.rstrip("s"), b.noun.rstrip("s"))
    return (each and (firm or alike)) or (firm and bool(_OVER.match(first)) and not a.unit)


def _announced(text: str, a: Number, b: Number, c: Number) -> bool:
    """Whether a result stands before its factors: "12 GiB (3 x 4 GiB)", "24 jobs in total: 5 suites on each of 4 platforms"."""
    opened, between = text[a.end : b.start], text[b.end : c.start]
    if re.fullmatch(r"[^\d.;=(]{0,30}[(=]\s?", opened) and (
        _times(between) or _times(text[b.end - len(b.noun) : c.start])
    ):
        return bool(re.match(r"[^\d+*\u00d7/]{0,30}(?:\)|$|[.,;]\s)", text[c.end :])) or "=" in opened
    return (
        bool(_TOTAL.search(text[max(0, a.start - 20) : b.start]))
        and bool(re.search(r"[:(\u2014]|\b(?:from|since|as|for)\b", opened))
        and bool(_EACH.search(text[b.end : c.end + 30]))
        and not re.match(r"[^.;]{0,60}\d", text[c.end :])
        and not (a.loose or b.loose or c.loose)
    )


def _kin(a: Number, b: Number, c: Number) -> bool:
    """Whether a result can be of these factors: units only where a factor has one."""
    units = {n.unit for n in (a, b) if n.unit}
    return (
        not units
        or (len(units) == 1 and c.equals(Decimal(1), next(iter(units)), Decimal(10**12)) is not None)
        or not c.unit
    )


def _holds(text: str, a: Number, b: Number, c: Number, found: list[Number]) -> bool:
    """Whether the result follows in some way: as product, sum, difference or quotient, or in other units."""
    slack = Decimal("0.06") if c.loose or "\u2248" in text else Decimal("0.005")
    unit = a.unit or b.unit
    factors = [n.value for n in found if n.start < c.start] or [a.value, b.value]
    ways = {a.value * b.value}
    if not _times(text[a.end : b.start]) and not (_EACH.search(text[a.end : c.start]) or _COMBINED.fullmatch(c.noun)):
        ways |= {
            a.value + b.value,
            abs(a.value - b.value),
            *(x / y for x, y in ((a.value, b.value), (b.value, a.value)) if y),
        }
    product = Decimal(1)
    for value in reversed(factors[-4:]):
        product *= value
        ways.add(product)
    return any(abs(w - c.value) <= slack * abs(c.value) or c.equals(w, unit, slack) for w in ways)


def _table(table: Table) -> Iterator[Claim]:
    """Check rows whose last number is the product of the two before it, in all rows but one."""
    rows = [
        (row, [n.value for cell in row.cells if (n := next(numbers(cell), None)) and n.start < 4]) for row in table.rows
    ]
    whole = [(row, v) for row, v in rows if len(v) > 2 and not v[-2] == v[-3] == 1]
    wrong = [(row, v) for row, v in whole if abs(v[-3] * v[-2] - v[-1]) > abs(v[-1]) / 100]
    if len(wrong) == 1 and len(whole) > 2:
        row, v = wrong[0]
        said = " | ".join(row.cells)
        yield _claim(Place(table.path, row.line, row.line), said, _short(v[-3] * v[-2]))


def _shown(a: Number, b: Number, c: Number) -> str:
    unit = next((n.unit for n in (a, b) if n.unit in SIZES), "")
    if unit and c.unit in SIZES and c.unit != unit and SIZES[unit][0] == SIZES[c.unit][0]:
        return f"{_short(a.value * b.value * SIZES[unit][1] / SIZES[c.unit][1])} {c.unit}"
    return f"{_short(a.value * b.value)} {c.unit or unit or c.noun}".strip()


def _short(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.01')).normalize():,f}" if abs(value) < 10**15 else f"{value:.3e}"


def _claim(place: Sentence | Place, said: str, right: str) -> Claim:
    said = " ".join(said.split()).rstrip(" ,;.(")
    return Claim(
        Severity.LOW,
        f'"{said[:80]}" should be {right}',
        f'The text says "{said}"; what stands there makes {right}.',
        f"Correct it to {right}, or the number that it is made from.",
        at(place),
        (said,),
        (right,),
        0.9,
    )


RULE = Rule(
    id="arithmetic",
    kind="K14",
    category=Category.CLAIM,
    consequence="A limit, a budget or a size is taken over with a number that nothing supports.",
    severities={Severity.LOW: "the right value can be worked out from what stands beside it"},
    firing=(
        "20 per hour \u00d7 24 hours = 500 per day for each team.\n",
        "Three shards with four replicas each make 13 pods.\n",
        "Requests are cut off after 5 seconds (6000 ms).\n",
        "It needs 10 GiB (4 x 2 GiB) of memory.\n",
        "100 requests per second is 36,000 per hour.\n",
        "A retry happens every 15 minutes, which makes 6 attempts per hour.\n",
        "Latency drops from 200 ms to 150 ms, a reduction of 50 %.\n",
        "Of the plans, 5 of 20 (30%) fail.\n",
        "| Part | Nodes | GiB each | GiB |\n|---|---|---|---|\n| A | 2 | 4 | 8 |\n| B | 3 | 4 | 12 |\n| C | 3 | 3 | 8 |\n",
    ),
    quiet=(
        "20 per hour \u00d7 24 hours = 480 per day for each team.\n",
        "Three shards with four replicas each make 12 pods.\n",
        "Requests are cut off after 5 seconds (5000 ms), at 1 GB (1024 MB).\n",
        "Retry after 1 second (30 seconds at most), every 2 minutes or 300 seconds.\n",
        "86 requests per second is about 7.4 million per day.\n",
    ),
    check=check,
)
