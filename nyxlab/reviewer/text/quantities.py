"""Quantities: numbers with their unit and noun, and whether they are hedged, read by one grammar in sentences and in cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from nyxlab.reviewer.text.words import NUMBERS, any_of

_SPELT = {
    "ms": "ms millisecond milliseconds", "s": "s sec secs second seconds", "min": "min mins minute minutes",
    "h": "h hr hrs hour hours", "day": "d day days", "week": "wk week weeks", "month": "month months",
    "year": "year years", "%": "% percent", "B": "B byte bytes", "KB": "KB kB", "MB": "MB", "GB": "GB", "TB": "TB",
}  # fmt: skip
UNITS = {spelling: unit for unit, spellings in _SPELT.items() for spelling in spellings.split()}
"""Each spelling of a unit, with the one name that is used for it here."""

SIZES: dict[str, tuple[str, Decimal]] = {
    "ms": ("time", Decimal(1)), "s": ("time", Decimal(1000)), "min": ("time", Decimal(60_000)),
    "h": ("time", Decimal(3_600_000)), "B": ("data", Decimal(1)), "KB": ("data", Decimal(10**3)),
    "MB": ("data", Decimal(10**6)), "GB": ("data", Decimal(10**9)), "TB": ("data", Decimal(10**12)),
}  # fmt: skip
"""Each unit that has one size, in milliseconds or bytes; a working day, a month and a year have several."""

_QUANTITY = re.compile(
    rf"""(?<![\w.,:/\#&$-])
    (?:(?P<digits>\d{{1,3}}(?:,\d{{3}})++|\d{{1,15}}) (?P<rest>\.\d{{1,9}})? (?![\d.:-]\d|\d|,\d{{3}}) (?P<plus>\+|x\b)?
      |(?P<word>(?i:{any_of(list(NUMBERS))}))\b(?!-))
    (?:[\s-]?(?P<unit>%|[A-Za-z]{{1,14}}(?![\w-])))?""",
    re.VERBOSE,
)
_HEDGE = re.compile(
    r"(?:\b(?:about|around|roughly|nearly|almost|approx(?:imately|\.)?|circa|ca\.|at least|at most|up to|more than|less than"
    r"|fewer than|over|under|within|below|above|or|some|first|last|next|top|other|another|remaining)|[~\u2248<>\u2264\u2265\u00b1\u2013\u2014-]"
    r"|\d\s?(?:to|of|/))\s?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a text: ``unit`` normalised or "", ``noun`` the word after it, ``hedged`` for "about 5", "5+", "2\u20133" and "one of"."""

    value: Decimal
    unit: str
    noun: str
    start: int
    end: int
    hedged: bool

    @property
    def size(self) -> tuple[str, Decimal]:
        """Its dimension and its size in that dimension's base, so that 2 h and 120 min are one."""
        dimension, factor = SIZES.get(self.unit, (self.unit, Decimal(1)))
        return dimension, self.value * factor


def quantities(text: str) -> Iterator[Quantity]:
    """Yield the quantities of a text; identifiers, versions, dates, ranges' ends and times of day are none."""
    for m in _QUANTITY.finditer(text):
        value = Decimal(m["digits"].replace(",", "") + (m["rest"] or "") if m["digits"] else NUMBERS[m["word"].lower()])
        word = m["unit"] or ""
        hedged = (
            bool(m["plus"])
            or bool(_HEDGE.search(text[max(0, m.start() - 20) : m.start()]))
            or text[m.end() : m.end() + 1] in tuple("-\u2013")
        )
        yield Quantity(value, UNITS.get(word, ""), word, m.start(), m.end(), hedged)
