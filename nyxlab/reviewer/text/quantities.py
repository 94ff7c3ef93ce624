"""Quantities: numbers with unit and noun, and whether they are hedged, by one grammar in sentences and in cells."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from nyxlab.reviewer.text.words import NUMBERS, VOCABULARY, any_of

_UNITS = {spelling: unit for unit, spellings in VOCABULARY["units"].items() for spelling in spellings.split()}
_SIZES = {unit: (kind, Decimal(n)) for kind, units in VOCABULARY["sizes"].items() for unit, n in units.items()}

_QUANTITY = re.compile(
    rf"""(?<![\w.,:/\#&$-])
    (?:(?P<digits>\d{{1,3}}(?:,\d{{3}})++|\d{{1,15}}) (?P<rest>\.\d{{1,9}})? (?![\d.:-]\d|\d|,\d{{3}}) (?P<plus>\+|x\b)?
      |(?P<word>(?i:{any_of(NUMBERS)}))\b(?!-))
    (?:[\s-]?(?P<unit>%|[A-Za-z]{{1,14}}(?![\w-])))?""",
    re.VERBOSE,
)
_HEDGE = re.compile(
    r"(?:\b(?:about|around|roughly|nearly|almost|approx(?:imately|\.)?|circa|ca\.|at least|at most|up to|more than"
    r"|less than|fewer than|over|under|within|below|above|or|some|first|last|next|top|other|another|remaining)"
    r"|[~\u2248<>\u2264\u2265\u00b1\u2013\u2014-]|\d\s?(?:to|of|/))\s?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a text: ``unit`` normalised or "", ``noun`` the word after it, ``hedged`` for "about 5" and "5+"."""

    value: Decimal
    unit: str
    noun: str
    start: int
    end: int
    hedged: bool

    @property
    def size(self) -> tuple[str, Decimal]:
        """Its dimension and its size in that dimension's base, so that 2 h and 120 min are one."""
        dimension, factor = _SIZES.get(self.unit, (self.unit, Decimal(1)))
        return dimension, self.value * factor


def quantities(text: str) -> Iterator[Quantity]:
    """Yield the quantities of a text; identifiers, versions, dates, ranges' ends and times of day are none."""
    for m in _QUANTITY.finditer(text):
        value = Decimal(m["digits"].replace(",", "") + (m["rest"] or "") if m["digits"] else NUMBERS[m["word"].lower()])
        word, after = m["unit"] or "", text[m.end() : m.end() + 1]
        hedged = m["plus"] or _HEDGE.search(text[max(0, m.start() - 20) : m.start()]) or after in ("-", "\u2013")
        yield Quantity(value, _UNITS.get(word, ""), word, m.start(), m.end(), bool(hedged))
