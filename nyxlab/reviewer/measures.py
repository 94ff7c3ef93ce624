"""Numbers with their units and dates of any form, read out of one sentence so that they can be compared."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
NUMBERS = {word: value for value, word in enumerate(_WORDS.split())}
"""Numbers as words."""

_SPELT = {
    "ms": "ms millisecond milliseconds msec", "s": "s sec secs second seconds", "min": "min mins minute minutes", "h": "h hr hrs hour hours",
    "day": "d day days", "week": "week weeks", "month": "month months", "year": "year years", "%": "% percent", "B": "B byte bytes",
    "KB": "KB kB kilobyte kilobytes", "MB": "MB megabyte megabytes", "GB": "GB gigabyte gigabytes", "TB": "TB terabyte terabytes",
    "KiB": "KiB Ki", "MiB": "MiB Mi", "GiB": "GiB Gi", "TiB": "TiB Ti",
}  # fmt: skip
UNITS = {spelling: unit for unit, spellings in _SPELT.items() for spelling in spellings.split()}
"""Each spelling of a unit, with the one name that is used for it here."""

_S, _KI = Decimal(1), Decimal(1024)
SIZES: dict[str, tuple[str, Decimal, Decimal]] = {
    "ms": ("time", _S / 1000, _S / 1000), "s": ("time", _S, _S), "min": ("time", _S * 60, _S * 60), "h": ("time", _S * 3600, _S * 3600),
    "day": ("time", _S * 86400, _S * 86400), "week": ("time", _S * 604800, _S * 604800), "month": ("time", _S * 28 * 86400, _S * 31 * 86400),
    "year": ("time", _S * 364 * 86400, _S * 366 * 86400), "B": ("data", _S, _S), "KB": ("data", _S * 1000, _KI), "MB": ("data", _S * 1000**2, _KI**2),
    "GB": ("data", _S * 1000**3, _KI**3), "TB": ("data", _S * 1000**4, _KI**4), "KiB": ("data", _KI, _KI), "MiB": ("data", _KI**2, _KI**2),
    "GiB": ("data", _KI**3, _KI**3), "TiB": ("data", _KI**4, _KI**4),
}  # fmt: skip
"""Each unit's dimension, and the least and the most that it can mean in the dimension's base unit."""

_SCALE = {"k": 1000, "thousand": 1000, "m": 10**6, "million": 10**6, "billion": 10**9}
_NUMBER = re.compile(
    rf"(?<![\w.,:/#&$-])(?:(?P<digits>\d{{1,3}}(?:,\d{{3}})++|\d{{1,15}})(?P<rest>\.\d{{1,9}})?(?![\d.:-]\d|\d|,\d{{3}})(?P<plus>\+)?|(?P<word>(?i:{'|'.join(NUMBERS)}))\b(?!-))"
    r"(?:\s?(?P<scale>k|[Tt]housand|million|billion|M)\b)?(?:[\s-]?(?P<unit>%|[A-Za-z]{1,12}(?![\w-])))?",
)
_LOOSE = re.compile(
    r"(?i)(?:\b(?:about|around|roughly|nearly|almost|approx(?:imately|\.)?|circa|ca\.|at least|at most|(?<!adds )(?<!add )(?<!sums )(?<!sum )up to|more than|less than|fewer than|over|under|within|or|some)|[~\u2248<>\u2264\u2265\u00b1])\s?$"
)
_NAMED = re.compile(
    r"(?:\b(?:[Pp]hase|[Ss]tep|[Ss]tage|[Mm]ilestone|[Ss]tory|[Ss]ection|[Ff]igure|[Tt]able|[Tt]ask|[Ll]evel|[Tt]ier|[Oo]ption|[Ss]print|[Ll]ines?|HTTP|[Vv]ersion|RFC|ISO|[Cc]ode|[Ss]tatus|[Pp]ort|[Pp]age|[Ii]ssue|PR|[Aa]ppendix|[Cc]hapter)s?|\bv)\s?#?$"
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a sentence: ``unit`` normalised or "", ``noun`` the word after it, ``loose`` for "about 5", "named" for "Phase 5"."""

    value: Decimal
    unit: str
    noun: str
    start: int
    end: int
    loose: bool
    named: bool

    def equals(self, value: Decimal, unit: str, slack: Decimal = Decimal("0.005")) -> bool | None:
        """Whether this is ``value`` ``unit``, whatever units both are in; None where they cannot be compared."""
        mine, other = SIZES.get(self.unit), SIZES.get(unit)
        if self.unit == unit or not mine or not other:
            low = high = self.value
            mine_low = mine_high = value
            if self.unit != unit:
                return None
        elif mine[0] != other[0]:
            return None
        else:
            low, high = self.value * mine[1], self.value * mine[2]
            mine_low, mine_high = value * other[1], value * other[2]
        give = slack * max(abs(high), abs(mine_high))
        return low - give <= mine_high and mine_low - give <= high


def numbers(text: str) -> Iterator[Number]:
    """Yield the numbers of a text with unit or noun; identifiers, versions, dates and times of day are none."""
    for m in _NUMBER.finditer(text):
        value = (
            Decimal(m["digits"].replace(",", "") + (m["rest"] or ""))
            if m["digits"]
            else Decimal(NUMBERS[m["word"].lower()])
        )
        scale = _SCALE.get((m["scale"] or "").lower(), 1)
        word = m["unit"] or ""
        before = text[max(0, m.start() - 20) : m.start()]
        yield Number(
            value * scale,
            UNITS.get(word, ""),
            word,
            m.start(),
            m.end(),
            bool(_LOOSE.search(before)) or bool(m["scale"]) or bool(m["plus"]),
            bool(_NAMED.search(before)),
        )


# --- dates ---------------------------------------------------------------------------------------------------------

_MONTHS = {name.lower(): n for n, name in enumerate(calendar.month_abbr) if n}
_NAME = r"(?P<{0}>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{{0,6}}\.?"
_DAY = re.compile(
    r"(?<![\w./-])(?:(?P<year>(?:19|20)\d\d)(?:[-/.](?P<month>0[1-9]|1[0-2])(?:[-/.](?P<day>0[1-9]|[12]\d|3[01]))?|[-\s]?Q(?P<quarter>[1-4])|[-\s]?H(?P<half>[12]))(?![\w-]|[./]\d)"
    r"|Q(?P<quarter2>[1-4])[\s/-](?P<year2>(?:19|20)\d\d)(?![\w-])|H(?P<half2>[12])[\s/-](?P<year3>(?:19|20)\d\d)(?![\w-])"
    rf"|(?<![Ss]tage )(?<![Pp]hase )(?<![Ss]tep )(?<![Mm]ilestone )(?<![Ww]ave )(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\.?\s(?:of\s)?{_NAME.format('name')},?\s(?P<year4>(?:19|20)\d\d)(?!\w)"
    rf"|{_NAME.format('name2')}\s(?:(?P<day3>\d{{1,2}})(?:st|nd|rd|th)?,?\s)?(?P<year5>(?:19|20)\d\d)(?!\w)"
    r"|(?P<scale>[Ww]eek|[Dd]ay|[Ss]print|[Mm]onth|[Ii]teration)s?\s(?P<count>\d{1,3})(?![\w-]|\.\d)|(?:\bv|[Rr]elease\s|[Vv]ersion\s)(?P<major>\d{1,3})\.(?P<minor>\d{1,3})(?![\w-]))"
)


@dataclass(frozen=True, slots=True)
class Day:
    """A date as ISO text from its first to its last day, or "week 3" or "v1.30" as a count; only those of one ``scale`` compare."""

    first: str
    last: str
    scale: str
    text: str
    start: int
    end: int

    def after(self, other: Day) -> bool:
        """Whether this certainly comes after the other one."""
        return self.scale == other.scale and self.first > other.last


def days(text: str) -> Iterator[Day]:
    """Yield the dates of a text: ISO, "15 March 2025", "March 15, 2025", "Q3 2025", "week 3", "v1.30"."""
    for m in _DAY.finditer(text):
        if m["scale"]:
            count = m["count"].zfill(4)
            yield Day(count, count, m["scale"].lower(), m[0], m.start(), m.end())
            continue
        if m["major"]:
            release = f"{int(m['major']):04}.{int(m['minor']):04}"
            yield Day(release, release, "release", m[0], m.start(), m.end())
            continue
        year = m["year"] or m["year2"] or m["year3"] or m["year4"] or m["year5"]
        quarter, half, name = m["quarter"] or m["quarter2"], m["half"] or m["half2"], m["name"] or m["name2"]
        month = int(m["month"]) if m["month"] else _MONTHS[name.lower()] if name else 0
        day = m["day"] or m["day2"] or m["day3"]
        from_, to = (
            (month, month)
            if month
            else (int(quarter) * 3 - 2, int(quarter) * 3)
            if quarter
            else (int(half) * 6 - 5, int(half) * 6)
        )
        yield Day(
            f"{year}-{from_:02}-{int(day or 1):02}",
            f"{year}-{to:02}-{int(day or 31):02}",
            "date",
            m[0],
            m.start(),
            m.end(),
        )
