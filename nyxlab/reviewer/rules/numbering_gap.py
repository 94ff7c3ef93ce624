"""A numbered series with a hole in it, out of order, or with another series' prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, names, rule
from nyxlab.reviewer.text.blocks import Heading
from nyxlab.reviewer.text.document import Document, group
from nyxlab.reviewer.text.labels import Label, name_of
from nyxlab.reviewer.text.standing import Standing

_LEAST = 4
_SERIES = ("phase", "step", "task", "story", "milestone", "epic", "requirement", "stage", "decision", "week")
_PREFIXED = re.compile(r"^\W{0,4}(?P<prefix>\d{1,2}\.\d{1,2})\.(?P<last>\d{1,2})\b")


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a number that a series of tasks, phases, steps, requirements or headings leaves out or has out of order, and items that carry the number of another part."""
    told = [i for i in document.labels if i.defines and i.sentence.where != "cell" and not _apart(document, i)]
    cited = {(i.path, i.name) for i in document.labels if not i.defines}
    for (path, family, _), series in group(((i.path, i.family, i.key[0][:-1]), i) for i in told).items():
        if family.islower() and (family not in _SERIES or {i.sentence.where for i in series} - {"heading"}):
            continue
        yield from _gaps(path, family, series, cited)
        if family.islower():
            yield from _falls(family, series)
    yield from _prefixes(document)


def _apart(document: Document, label: Label) -> bool:
    return document.standings.heading(label.sentence.section) in (
        Standing.STATUS,
        Standing.EXAMPLE,
        Standing.REJECTED,
        Standing.OTHER,
    )


def _gaps(path: str, family: str, series: Sequence[Label], cited: set[tuple[str, str]]) -> Iterator[Claim]:
    """Judge one series; numbers that the text speaks of elsewhere were left out knowingly."""
    by_number = {i.key[0][-1]: i for i in reversed(series)}
    numbers = sorted(by_number)
    missing = [n for one, two in pairwise(numbers) for n in range(one + 1, two) if two - one < 4]
    short = 2 if numbers and numbers[0] <= 1 and len(series[0].key[0]) > 1 else _LEAST
    if len(numbers) < short or not missing or 3 * len(missing) > len(numbers) + 2 or numbers[0] > 1:
        return
    width = len(series[0].number.rpartition(".")[2].rstrip("abcdefghijklmnopqrstuvw"))
    head = "".join(f"{n}." for n in series[0].key[0][:-1])
    wanted = [name_of(family, f"{head}{n:0{width if series[0].number.startswith('0') else 1}d}") for n in missing]
    wanted = [n for n in wanted if (path, n) not in cited]
    if not wanted:
        return
    around = [by_number[n] for n in numbers if n + 1 in missing or n - 1 in missing]
    yield Claim(
        Severity.LOW,
        f"{names(wanted)} {'is' if len(wanted) == 1 else 'are'} left out of the numbering",
        f"The series goes from {by_number[numbers[0]].name} to {by_number[numbers[-1]].name} without {names(wanted)}.",
        "Say what became of it, add what is missing, or number anew.",
        tuple(Place(i.path, i.line, i.line) for i in around),
        (name_of(family, head or "n"), path),
        tuple(wanted),
    )


def _falls(family: str, series: Sequence[Label]) -> Iterator[Claim]:
    """Judge headings of one series that do not ascend."""
    falls = [(one, two) for one, two in pairwise(series) if two.key < one.key and two.key != one.key]
    by_parent = {i.sentence.section.parent if i.sentence.section else None for i in series}
    if (
        len(falls) == 1
        and len(by_parent) == 1
        and len({i.key for i in series}) == len(series)
        and len(series) >= _LEAST
    ):
        yield Claim(
            Severity.LOW,
            f"{falls[0][1].name} stands after {falls[0][0].name}",
            f"The {family} headings are numbered {', '.join(i.number for i in series[:14])}.",
            "Put them in order, or number anew.",
            tuple(Place(i.path, i.line, i.line) for i in (falls[0][0], falls[0][1], *series[-4:])),
            (family,),
            tuple(i.number for i in series),
        )


def _prefixes(document: Document) -> Iterator[Claim]:
    """Judge items 5.5.1, 5.5.2 \u2026 below a heading that is 4.5."""
    by_heading: dict[Heading, list[tuple[str, int]]] = {}
    for item in document.items:
        m = _PREFIXED.match(item.text)
        home = next((h for h in item.section.ancestry if _own(h)), None) if m and item.section else None
        if m and home:
            by_heading.setdefault(home, []).append((m["prefix"], item.line))
    for heading, found in by_heading.items():
        own = _own(heading)
        if own and len(found) > 1 and all(prefix != own and prefix.count(".") == own.count(".") for prefix, _ in found):
            yield Claim(
                Severity.LOW,
                f"The items of {own} are numbered {found[0][0]}.1 and on",
                f'Below "{heading.text[:80]}" stand {len(found)} items with the number of another part.',
                "Number them after the part that they belong to.",
                tuple(
                    dict.fromkeys(
                        (
                            Place(heading.path, heading.line, heading.line),
                            *(Place(heading.path, n, n) for _, n in found),
                        )
                    )
                ),
                (heading.text,),
                (found[0][0],),
            )


def _own(heading: Heading) -> str | None:
    m = re.search(r"(?:^|\b(?:Story|Task|Step|Requirement|Section)\s)(\d{1,2}\.\d{1,2})\b", heading.text)
    return m[1] if m else None


RULE = rule("numbering-gap", check)
