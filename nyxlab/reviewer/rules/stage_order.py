"""K13: dates and stages out of order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from nyxlab.reviewer.document import Document, File, Sentence, Table, group
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.measures import Day, days
from nyxlab.reviewer.rules.base import Claim, Place, Rule, Spanned, at

_RANKS = {
    0: r"kick-?off|discovery|drafted|proposed|submitted",
    1: r"research|rfc|proposal|requirements|spec(?:ification)?|planning|prototype|proof of concept",
    2: r"design(?: review| doc\w*| phase)?|accepted|approved",
    3: r"implementation|development|coding|build phase|construction",
    4: r"(?:user )?acceptance test\w*|UAT|QA|testing|load test\w*|(?:security |penetration )?audit|penetration test\w*|security review",
    5: r"pre-?alpha|alpha|pilot|dogfood(?:ing)?|internal (?:release|preview|test|rollout)|staging(?: rollout)?",
    6: r"beta|(?:private|public|open|closed|developer|tech(?:nology|nical)?) preview|early access",
    7: r"release candidate|RC\d?|dress rehearsal",
    8: r"GA|general availability|general release|stable(?: release)?|launch|go-?live|public release|production(?: release| rollout| launch)?|promotion to stable",
    9: r"deprecat(?:ion|ed|es?)",
    10: r"remov(?:al|ed|es?)|sunset|end[- ]of[- ]life|EOL|decommission(?:ing|ed)?|shut ?down|retire(?:ment|d)?",
}
_STAGE = re.compile("|".join(rf"(?P<r{rank}>\b(?:{words})\b)" for rank, words in _RANKS.items()), re.IGNORECASE)
_PART = re.compile(
    r"\b(phase|stage|milestone|step|wave|increment|M)[\s-]?#?(\d{1,2})\b(?!\.\d)",
    re.IGNORECASE,
)
_BEGINS = re.compile(
    r"(?i)\b(?:start(?:s|ed|ing)?|begin(?:s|ning)?|begun|began|opens?|opened|creat(?:ed|ion)|kick(?:s|ed)? ?-?off|from|effective|valid from|introduced)\b"
)
_ENDS = re.compile(
    r"(?i)\b(?:ends?|ended|ending|finish(?:es|ed)?|complet(?:e|es|ed|ion)|closes?|closed|until|till|due|deadline|expires?|done|concludes?|wraps? up|lifted|over|stops?)\b|\bby\s?$"
)
_THEN = re.compile(
    r"(?i)\b(?:then|followed by|follows?|afterwards?|after (?:that|which|this)|later|subsequently|thereafter|next|and only then|succeeded by|before|prior to|ahead of)\b"
)
_AFTER = re.compile(
    r"(?i)\b(?:after|once|following|as soon as|not before|no earlier than|only when)\b(?! (?:that|which|this))[^.;:()]{0,50}\(?(?:\b(?:on|in|of|at|by|ends?|is done|is over|is complete)\b\s?)?\(?$"
)
_RANGE = re.compile(r"(?i)\s?(?:\u2013|\u2014|-|\u2192|->|to|until|till|through|up to and including)\s?(?:the )?$")
_MOVED = re.compile(
    r"(?i)\b(?:originally|previously|instead of|rather than|moved|postponed|delayed|slipped|rescheduled|was planned|brought forward|pushed|back to|backport\w*|not|unlike|compared (?:to|with)|since)\b"
)
_MADE = r"creat(?:ed|ion)(?:[ -]date)?|date created|start(?:ed)?(?:[ -]date)?|begins?|drafted|opened|submitted|proposed|first published"
_LATER = r"(?:last[- ])?(?:updated?|modified|changed|revised|reviewed)(?:[ -](?:date|on|at))?|approved|accepted|merged|implemented|released|completed|closed|end(?:[ -]date)?|due(?:[ -]date)?|target(?:[ -]date)?|deadline|finished|expires|expiry|superseded"
_FIELD = re.compile(
    rf"\W{{0,4}}+(?:(?P<made>{_MADE})|(?P<later>{_LATER}))[\s*_\"'`]{{0,4}}[:|=][\s*_\"'`]{{0,4}}(?=\w)", re.IGNORECASE
)
_WEEKDAY = re.compile(r"(?i)\b(mon|tues?|wednes|thurs|fri|satur|sun)day,?\s(?:the\s)?$")
_IN_RELEASE = re.compile(r"(\b(?:in|to|at|with)\s|\()(?=\d{1,2}\.\d{1,3}(?![\w.%]|\s?(?:%|[a-z]{1,3}\b)))")
_HISTORY = re.compile(r"(?i)histor|changelog|change log|revision|timeline|log\b|schedule|milestone|roadmap|news")


@dataclass(frozen=True, slots=True)
class _Event:
    """A stage or numbered part with its date; ``ends`` where the date is its end."""

    family: str
    rank: int
    name: str
    day: Day
    ends: bool
    place: Spanned


def check(document: Document) -> Iterator[Claim]:
    """Find a date that contradicts the order of what it belongs to: an end before its start, a beta before the alpha, an update before the creation, a history entry out of its place."""
    for file in document.files.values():
        yield from _fields(file)
    events: list[tuple[object, _Event]] = []
    for sentence in document.sentences:
        found = [] if len(sentence.plain) > 3000 else list(days(sentence.plain))
        if not found and (claim := _releases(sentence)):
            yield claim
        if found and (wrong := _calendar(sentence, found)):
            yield wrong
            continue
        if found and not _MOVED.search(sentence.plain):
            claim = _sentence(sentence, found)
            if claim:
                yield claim
            elif sentence.where != "cell":
                home = sentence.section.parent if sentence.section and sentence.where == "heading" else sentence.section
                events += [
                    ((sentence.path, home, sentence.where == "heading"), e)
                    for e in _events(sentence, sentence.plain, found)
                ]
    for block in document.lists:
        yield from _history([(day, item) for item in block.items if (day := _opening(item.text))])
    for table in document.tables:
        yield from _rows(table)
        events += [
            ((table.path, table.section, False), e)
            for row in table.rows
            for e in _events(Place(table.path, row.line, row.line), " | ".join(row.cells), None)
        ]
    for same in group(events).values():
        yield from _schedule(same)


def _fields(file: File) -> Iterator[Claim]:
    """Compare "created" with "updated", "approved", "due" … among the lines that open a file."""
    made: tuple[Day, Place] | None = None
    for number, line in enumerate(file.lines[:80], 1):
        m = _FIELD.match(line[:200])
        day = next(days(line[m.end() : m.end() + 30]), None) if m else None
        if m and day and day.start < 3:
            here = Place(file.path, number, number)
            if m["made"]:
                made = made or (day, here)
            elif made and made[0].after(day):
                yield _claim(f"{m['later']} {day.text}", f"the start, {made[0].text}", (here, made[1]))


def _sentence(sentence: Sentence, found: Sequence[Day]) -> Claim | None:
    """Compare neighbouring dates of one sentence by the words between them."""
    text = sentence.plain
    for one, two in pairwise(found[:20]):
        if one.scale == "release":
            continue
        before, between = text[max(0, one.start - 60) : one.start], text[one.end : two.start]
        if len(between) > 120:
            continue
        rising = (
            bool(_RANGE.fullmatch(between) or (_THEN.search(between) and ":" not in between))
            or bool(re.search(r"(?i)\bbetween\s(?:the )?$", before) and between.strip() == "and")
            or bool(_BEGINS.search(before) and _ENDS.search(between) and not _ENDS.search(before))
        )
        falling = bool(_AFTER.search(between)) and not rising
        if (rising and one.after(two)) or (falling and two.after(one)):
            return _claim(f"{one.text}" if falling else two.text, two.text if falling else one.text, at(sentence))
    return next(_schedule(_events(sentence, text, found)), None)


def _releases(sentence: Sentence) -> Claim | None:
    """Compare stages that are given bare release numbers: "alpha in 1.22, beta in 1.20"."""
    if len(sentence.plain) > 600 or len(_STAGE.findall(sentence.plain)) < 2 or _MOVED.search(sentence.plain):
        return None
    text = _IN_RELEASE.sub(r"\1v", sentence.plain)
    return next(_schedule(_events(sentence, text, list(days(text)))), None) if text != sentence.plain else None


def _calendar(sentence: Sentence, found: Sequence[Day]) -> Claim | None:
    """Check whole dates against the calendar: a day that the month does not have, a weekday that the date is not."""
    for day in found:
        if day.scale != "date" or day.first != day.last:
            continue
        weekday = _WEEKDAY.search(sentence.plain[max(0, day.start - 14) : day.start])
        try:
            real = date.fromisoformat(day.first)
        except ValueError:
            return _claim(day.text, "the calendar", at(sentence), "is no day of")
        if weekday and not f"{real:%A}".startswith(weekday[1].title()):
            return _claim(f"{weekday[1]} {day.text}", f"the calendar ({real:%A})", at(sentence), "does not agree with")
    return None


def _events(place: Spanned, text: str, found: Sequence[Day] | None) -> list[_Event]:
    """Give each date of a text the stage named right before it; where the first date comes first, the one after it."""
    found = list(days(text)) if found is None else found
    events, position = [], 0
    leading = bool(found) and not _named(text[: found[0].start])
    for n, day in enumerate(found[:20]):
        before = text[max(position, day.start - 90) : day.start]
        stop = found[n + 1].start if n + 1 < len(found) else len(text)
        after = re.split(r"[,;.]\s", text[day.end : min(stop, day.end + 60)])[0]
        if named := _named(after if leading else before):
            events.append(_Event(*named, day, bool(_ENDS.search(before)), place))
        position = day.end
    return events


def _named(text: str) -> tuple[str, int, str] | None:
    """Return the first stage or part that a piece of text names."""
    m = _STAGE.search(text)
    part = _PART.search(text)
    if part and (not m or part.start() <= m.start()):
        return part[1].lower(), int(part[2]), part[0]
    return ("stage", next(rank for rank in _RANKS if m[f"r{rank}"]), m[0]) if m else None


def _schedule(events: Sequence[_Event]) -> Iterator[Claim]:
    """Report the first stage of a schedule that begins before an earlier one does, or that begins before an earlier one ends."""
    for same in group(((e.family, e.day.scale), e) for e in events).values():
        ordered = sorted(same[:60], key=lambda e: e.rank)
        for n, early in enumerate(ordered):
            comparable = [
                e
                for e in ordered[n + 1 :]
                if e.rank > early.rank and (e.ends == early.ends or (early.ends and early.family == "stage"))
            ]
            late = next((e for e in comparable if early.day.after(e.day)), None)
            if late:
                yield _claim(
                    f"{late.name} ({late.day.text})", f"{early.name} ({early.day.text})", at(late.place, early.place)
                )
                return


def _opening(text: str) -> Day | None:
    """Return the date that an entry opens with."""
    day = next(days(text[:60]), None)
    return day if day and not re.search(r"\w", text[: day.start]) and day.scale == "date" else None


def _history(entries: Sequence[tuple[Day, Spanned]]) -> Iterator[Claim]:
    """Report the one entry of a history without which all are in order, upwards or downwards."""
    if len(entries) < 3:
        return
    for flip in (False, True):
        dates = [d for d, _ in (reversed(entries) if flip else entries)]
        if not any(a.after(b) for a, b in pairwise(dates)):
            return
    for flip in (False, True):
        run = list(reversed(entries)) if flip else list(entries)
        odd = [n for n in range(len(run)) if not any(a.after(b) for (a, _), (b, _) in pairwise(run[:n] + run[n + 1 :]))]
        rising = len({d.first for d, _ in run}) > 2
        if odd and rising and len(run) > 2:
            n = odd[-1]
            other = run[n - 1] if n and run[n - 1][0].after(run[n][0]) else run[min(n + 1, len(run) - 1)]
            yield _claim(
                f"the entry {run[n][0].text}",
                f"the entry {other[0].text}",
                at(run[n][1], other[1]),
                "stands out of order beside",
            )
            return


def _rows(table: Table) -> Iterator[Claim]:
    """Check rows with a start and an end, and tables whose first cells are dates."""
    head = [h.lower() for h in table.header]
    start = next((n for n, h in enumerate(head) if re.search(r"\b(?:start|from|begins?|opens?)\b", h)), None)
    end = next(
        (n for n, h in enumerate(head) if re.search(r"\b(?:ends?|to|until|due|finish|target|closes?)\b", h)), None
    )
    for row in table.rows if start is not None and end is not None else ():
        one, two = (next(days(cell), None) for n in (start, end) for cell in row.cells[n : (n or 0) + 1] or ("",))
        if one and two and one.after(two):
            yield _claim(f"the end, {two.text},", f"the start, {one.text}", at(Place(table.path, row.line, row.line)))
    for column in range(min(2, len(head))):
        entries: list[tuple[Day, Spanned]] = [
            (day, Place(table.path, row.line, row.line))
            for row in table.rows
            if column < len(row.cells) and (day := _opening(row.cells[column]))
        ]
        if len(entries) > 3 and len(entries) == len(table.rows):
            yield from _history(entries)


def _claim(late: str, early: str, places: tuple[Place, ...], how: str = "comes before") -> Claim:
    return Claim(
        Severity.MEDIUM,
        f"{late[:1].upper()}{late[1:]} {how} {early}",
        f"By its date, {late} {how} {early}, although the text has them the other way round.",
        "Correct the date that is wrong, or say that the order has changed and why.",
        places,
        (late, early),
        confidence=0.85,
    )


RULE = Rule(
    id="stage-order",
    kind="K13",
    category=Category.ORDER,
    consequence="Whoever plans by these dates waits for something that has not begun, or releases what is not finished.",
    severities={Severity.MEDIUM: "the schedule cannot be kept as it is written: one of the dates is wrong"},
    firing=(
        "---\ncreation-date: 2025-04-14\nlast-updated: 2024-04-14\n---\n# A\n",
        "The alpha is planned for 2025-07 and the beta follows in 2025-02.\n",
        "Work starts on 10 March 2025 and ends on 2 February 2025.\n",
        "- 2025-01-02: drafted\n- 2025-02-01: reviewed\n- 2024-03-01: accepted\n- 2025-04-01: done\n",
        "| Stage | From |\n|---|---|\n| Beta | 2027-03-15 |\n| General availability | 2027-04-06 |\n\nThe beta ends on 2027-04-12.\n",
        "We deprecate the flag in release 4.2 and remove it in release 4.1.\n",
        "Timeline: 2025-01 requirements, 2025-04 development, 2025-03 beta, 2025-06 launch.\n",
        "Phase 1 runs from 2025-03-01 to 2025-01-31.\n",
        "| Milestone | Date |\n|---|---|\n| Phase 1 | Q2 2025 |\n| Phase 2 | Q1 2025 |\n",
    ),
    quiet=(
        "---\ncreation-date: 2025-04-14\nlast-updated: 2025-04-14\n---\n# A\n",
        "Design review: 2026-01-15; implementation after the review: 2026-03-01.\n",
        "The beta, originally planned for 2025-07, starts in 2025-09; the alpha was in 2025-08.\n",
        "- 2025-04-01: done\n- 2025-03-01: accepted\n- 2025-01-02: drafted\n",
        "The alpha is planned for Q2 2025 and the beta follows in June 2025.\n",
    ),
    check=check,
)
