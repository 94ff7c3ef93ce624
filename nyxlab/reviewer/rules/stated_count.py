"""A stated number of things against the list, table, headings or parts that show them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, at, rule
from nyxlab.reviewer.text.blocks import Heading, ListBlock, Sentence, Table
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.quantities import Quantity, quantities
from nyxlab.reviewer.text.words import number

_HEAD = re.compile(r"(?<![\d.])\(([1-9]\d{0,2})(?:\s[a-z]{2,12})?\)\s*:?$")
_PARTIAL = re.compile(
    r"\b(?:of the|of these|first|next|other|following \w+ of|each|per|every|main|key|major|most|several|both|top|remaining|additional|more|new values|kinds?|types?|levels?|times)\b",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"\b(?:there (?:are|is)|has|have|creates?|adds?|includes?|contains?|consists? of|comprises?|following|these|with|defines?|needs?|supports?|provides?|requires?|uses?)\b",
    re.IGNORECASE,
)
_WHOLE = re.compile(
    r"\b(?:(?:split|divided|broken(?: down)?|organi[sz]ed|grouped|structured)\b.{0,30}\b(?:in|into|across)|consists of|comprises|total(?: of)?:?)\s(?:about )?$|^\W*total \w+\W*$",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"^\W*total\s(?:number of\s)?(?P<noun>\w+)\W{1,6}(?P<value>\d{1,4})\b(?!\s*[-\u2013+~%])", re.IGNORECASE
)
_FAMILIES = {
    "phases": "phase",
    "epics": "epic",
    "milestones": "milestone",
    "steps": "step",
    "tasks": "task",
    "stories": "story",
}
_NAMED = re.compile(r"\b(?:[A-Z]\w*|tier|level|phase|stage|step|part|version|priority|type|class|group|python|node)\s$")
_EACH = re.compile(
    r"\b\d{1,2} (?P<outer>phases|epics|milestones) with (?P<count>\d{1,2}) (?P<inner>steps|tasks|stories) each",
    re.IGNORECASE,
)
_TALLY = re.compile(
    r"""(?<![\w.,/$-])(?P<total>\d{1,4})\s+(?P<noun>[a-z][\w-]*(?:\s[a-z][\w-]*){0,2})\s?(?:[:(\u2014]|\s-\s|in total:)\s?\**
    (?P<parts>\d{1,4}\s[A-Za-z][\w-]*(?:\s[a-z][\w-]*)?(?:(?:\s?[,;+/]\s?|\s?,?\sand\s)\**\d{1,4}\s[A-Za-z][\w-]*(?:\s[a-z][\w-]*)?)+)(?P<end>\)|\.(?!\d)|;|$|\s[\u2014-])""",
    re.VERBOSE,
)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a number of things that differs from the items, rows or headings that follow it, and a total that differs from its own parts ("23 issues: 1 critical, 3 high")."""
    for block in document.lists:
        if block.intro and block.line - block.intro.end_line <= 2:
            yield from _announced(document, block)
    yield from _headings(document)
    yield from _parts(document, plan)
    for sentence in document.sentences:
        if ":" in sentence.plain or "(" in sentence.plain or "\u2014" in sentence.plain:
            yield from _tally(document, sentence)


def _announced(document: Document, block: ListBlock) -> Iterator[Claim]:
    """Judge "There are five roles:" by the list right after it."""
    intro = block.intro
    assert intro is not None  # noqa: S101 - the caller has looked
    text = intro.plain
    if not text.endswith(":") or intro.where == "heading" or document.standing(intro) or len(block.items) < 2:
        return
    found = [q for q in quantities(text) if q.value == q.value.to_integral_value() and 1 < q.value <= 40]
    if (
        len(found) != 1
        or _NAMED.search(text[: found[0].start])
        or found[0].hedged
        or found[0].unit
        or _PARTIAL.search(text)
        or not _ANNOUNCED.search(text)
    ):
        return
    noun = _noun(text, found[0])
    if noun and int(found[0].value) != len(block.items) and not _grouped(block, int(found[0].value)):
        yield _claim(
            f"{_word(text, found[0])} {noun}",
            int(found[0].value),
            len(block.items),
            "items",
            intro,
            Place(block.path, block.line, min(block.end_line, block.line + 14)),
        )


def _noun(text: str, quantity: Quantity) -> str:
    """Return the plural that a number counts, where no more than one word stands between that and the colon's end."""
    m = re.match(
        r"((?:\s?[\w-]+){0,3}?\s?\b[a-z]+s)\b(?P<rest>[^:]{0,30}):$", text[quantity.end - len(quantity.noun) :]
    )
    return m[1].strip() if m and not re.search(r"\d|,", m["rest"]) else ""


def _word(text: str, quantity: Quantity) -> str:
    return text[quantity.start : quantity.end - len(quantity.noun)].strip()


def _grouped(block: ListBlock, stated: int) -> bool:
    """Whether the items hold more than one thing each, or are numbered as the sentence says."""
    if block.items[-1].number == stated:
        return True
    parts = sum(1 + len(re.findall(r",|/| and | \+ |&", re.split(r"[:\u2014(]", i.text)[0])) for i in block.items)
    return stated > len(block.items) and parts >= stated


def _headings(document: Document) -> Iterator[Claim]:
    """Judge "Modified files (4)" by the only list or table right below it."""
    blocks: dict[Heading, list[ListBlock | Table]] = {}
    every: list[ListBlock | Table] = [*(b for b in document.lists if b.depth == 0), *document.tables]
    for block in every:
        if block.section:
            blocks.setdefault(block.section, []).append(block)
    for heading in document.headings:
        m = _HEAD.search(heading.text)
        own = blocks.get(heading, [])
        if not m or heading.level == 1 or len(own) != 1 or document.headings_below(heading):
            continue
        many = len(own[0].items) if isinstance(own[0], ListBlock) else len(own[0].rows)
        if many != int(m[1]) and many > 1 and not (isinstance(own[0], ListBlock) and _grouped(own[0], int(m[1]))):
            place = Place(heading.path, heading.line, heading.line)
            yield _claim(
                heading.text,
                int(m[1]),
                many,
                "entries",
                place,
                Place(own[0].path, own[0].line, min(own[0].end_line, own[0].line + 14)),
            )


def _parts(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge "split into eight steps" and "Total tasks: 45" by the parts that the plan has."""
    for sentence in document.sentences:
        if sentence.where == "heading" or (
            "total" not in sentence.plain.lower()
            and "into" not in sentence.plain
            and "consists" not in sentence.plain
            and "comprises" not in sentence.plain
        ):
            continue
        text = sentence.plain
        said = [(m["noun"], int(m["value"]))] if (m := _TOTAL.match(text)) else []
        for q in quantities(text):
            if not q.hedged and not q.unit and _WHOLE.search(text[: q.start]):
                words = text[q.end - len(q.noun) :].split(" ")[:3]
                said += [(w.strip(",.:;"), int(q.value)) for w in words if w.strip(",.:;") in _FAMILIES][:1]
        for noun, value in said:
            yield from _units(document, plan, sentence, noun.lower(), value)
    yield from _summary(document, plan)
    yield from _each(document, plan)


def _each(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge "6 epics with 4 stories each" by what each epic has."""
    for sentence in document.sentences:
        m = _EACH.search(sentence.plain) if " each" in sentence.plain else None
        if not m:
            continue
        outer = [p for p in plan.phases if p.family == _FAMILIES[m["outer"].lower()]]
        wrong = [p for p in outer if sum(t.family == _FAMILIES[m["inner"].lower()] for t in p.tasks) != int(m["count"])]
        if len(outer) > 1 and wrong:
            yield Claim(
                Severity.LOW, f'"{m[0]}", but {wrong[0].name} has {len(wrong[0].tasks)}',
                ", ".join(f"{p.name} has {len(p.tasks)}" for p in outer[:12]) + ".", "Correct the number.",
                (*at(sentence), *(Place(p.tasks[0].path, p.tasks[0].line, p.tasks[0].line) for p in wrong if p.tasks)),
                (m[0],), (m["count"],),
            )  # fmt: skip


def _summary(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge a row "Total tasks | 45"."""
    for table in document.tables:
        for row in table.rows:
            if (
                len(row.cells) == 2
                and (m := re.match(r"^\W*total (\w+)\W*$", row.cells[0], re.IGNORECASE))
                and (value := number(row.cells[1].strip("* ")))
            ):
                text = " ".join(row.cells)
                yield from _units(
                    document,
                    plan,
                    Sentence(table.path, row.line, row.line, text, text, text, "cell", table.section, True),
                    m[1].lower(),
                    value,
                )


def _units(document: Document, plan: Plan, sentence: Sentence, noun: str, value: int) -> Iterator[Claim]:
    """Compare a number with the phases or tasks of that name in the same file."""
    family = _FAMILIES.get(noun)
    own = plan.of_family.get(
        (sentence.path, "T" if family == "task" else ""), plan.of_family.get((sentence.path, family or ""), ())
    )
    if family and len(own) >= 3 and len(own) != value and not document.standing(sentence):
        first = Place(own[0].path, own[0].line, own[0].line)
        last = Place(own[-1].path, own[-1].line, own[-1].line)
        yield _claim(f"{value} {noun}", value, len(own), noun, sentence, first, last)


def _tally(document: Document, sentence: Sentence) -> Iterator[Claim]:
    """Judge a total by its own parts."""
    for m in _TALLY.finditer(sentence.plain):
        parts = [int(n) for n in re.findall(r"\d+(?=\s)", m["parts"])]
        if (
            sum(parts) != int(m["total"])
            and max(parts) < int(m["total"])
            and not re.search(r"\b(?:including|of which|e\.g\.|mostly)\b", m[0])
            and not _unlike(m["noun"], m["parts"])
        ):
            yield Claim(
                Severity.MEDIUM,
                f"{m['total']} {m['noun']}, but the parts add up to {sum(parts)}",
                f'"{m[0][:160]}": {" + ".join(map(str, parts))} is {sum(parts)}.',
                "Count again, and correct the number or the parts.",
                at(sentence),
                (m["noun"], m["total"]),
                (m["parts"],),
                confidence=0.9,
            )


def _unlike(noun: str, parts: str) -> bool:
    """Whether the parts are measured in units (5 days: 2 hours \u2026), so that they are no parts of it."""
    units = {q.unit for q in quantities(parts)}
    return units != {""} or any(q.unit for q in quantities(f"1 {noun}"))


def _claim(said: str, stated: int, shown: int, noun: str, where: Sentence | Place, *beside: Place) -> Claim:
    return Claim(
        Severity.LOW,
        f'"{said[:60]}", but there are {shown} {noun}',
        f"The text says {stated}; {shown} {noun} stand there.",
        "Correct the number, or add or take out what is wrong.",
        tuple(dict.fromkeys((*at(where), *beside))),
        (said,),
        (str(stated), str(shown)),
    )


RULE = rule("stated-count", check)
