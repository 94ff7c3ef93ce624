"""A stated number of things against the list, table, headings or parts that show them."""

import re
from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity, Spanned, group
from nyxlab.reviewer.text.blocks import ListBlock, Sentence, Table
from nyxlab.reviewer.text.quantities import Quantity, quantities
from nyxlab.reviewer.text.words import number

_HEAD = re.compile(r"(?<![\d.])\(([1-9]\d{0,2})(?:\s[a-z]{2,12})?\)\s*:?$")
_PARTIAL = re.compile(
    r"\b(?:of the|of these|first|next|other|following \w+ of|each|per|every|main|key|major|most|several|both|top"
    r"|remaining|additional|more|new values|kinds?|types?|levels?|times)\b",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"\b(?:there (?:are|is)|has|have|creates?|adds?|includes?|contains?|consists? of|comprises?|following|these|with"
    r"|defines?|needs?|supports?|provides?|requires?|uses?)\b",
    re.IGNORECASE,
)
_WHOLE = re.compile(
    r"\b(?:(?:split|divided|broken(?: down)?|organi[sz]ed|grouped|structured)\b.{0,30}\b(?:in|into|across)|consists of"
    r"|comprises|total(?: of)?:?)\s(?:about )?$|^\W*total \w+\W*$",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"^\W*total\s(?:number of\s)?(?P<noun>\w+)\W{1,6}(?P<value>\d{1,4})\b(?!\s*[-\u2013+~%])", re.IGNORECASE
)
_ROW = re.compile(r"^\W*total (\w+)\W*$", re.IGNORECASE)
_FAMILIES = {
    "phases": "phase", "epics": "epic", "milestones": "milestone", "steps": "step", "tasks": "task", "stories": "story"
}  # fmt: skip
_NAMED = re.compile(r"\b(?:[A-Z]\w*|tier|level|phase|stage|step|part|version|priority|type|class|group|python|node)\s$")
_PLURAL = re.compile(r"((?:\s?[\w-]{1,40}+){0,3}?\s?\b[a-z]{1,40}s)\b(?P<rest>[^:]{0,30}):$")
_TALLY = re.compile(
    r"""(?<![\w.,/$-])(?P<total>\d{1,4})\s+(?P<noun>[a-z][\w-]*(?:\s[a-z][\w-]*){0,2})
    \s?(?:[:(\u2014]|\s-\s|in total:)\s?\**
    (?P<parts>\d{1,4}\s[A-Za-z][\w-]*(?:\s[a-z][\w-]*)?
    (?:(?:\s?[,;+/]\s?|\s?,?\sand\s)\**\d{1,4}\s[A-Za-z][\w-]*(?:\s[a-z][\w-]*)?)+)
    (?:\)|\.(?!\d)|;|$|\s[\u2014-])""",
    re.VERBOSE,
)
_SOME = re.compile(r"\b(?:including|of which|e\.g\.|mostly)\b")


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a number of things ("23 issues: 1 critical, 3 high") that differs from items, headings or parts shown."""
    for block in document.lists:
        if block.intro and block.line - block.intro.end_line <= 2:
            yield from _announced(document, block, block.intro)
    yield from _headings(document)
    yield from _parts(document, plan)
    for sentence in document.sentences:
        if any(sign in sentence.plain for sign in ":(\u2014"):
            yield from _tally(sentence)


def _announced(document: Document, block: ListBlock, intro: Sentence) -> Iterator[Claim]:
    """Judge "There are five roles:" by the list right after it."""
    text = intro.plain
    if not text.endswith(":") or intro.where == "heading" or document.standing(intro) or len(block.items) < 2:
        return
    found = [q for q in quantities(text) if q.value == q.value.to_integral_value() and 1 < q.value <= 40]
    if len(found) != 1 or found[0].hedged or found[0].unit or _NAMED.search(text[: found[0].start]):
        return
    stated = int(found[0].value)
    noun = "" if _PARTIAL.search(text) or not _ANNOUNCED.search(text) else _noun(text, found[0])
    if noun and stated != len(block.items) and not _grouped(block, stated):
        word = text[found[0].start : found[0].end - len(found[0].noun)].strip()
        yield _claim(f"{word} {noun}", stated, len(block.items), "items", intro, block)


def _noun(text: str, quantity: Quantity) -> str:
    """Return the plural that a number counts, where no more than one word stands between that and the colon's end."""
    m = _PLURAL.match(text[quantity.end - len(quantity.noun) :])
    return m[1].strip() if m and not re.search(r"\d|,", m["rest"]) else ""


def _grouped(block: ListBlock | Table, stated: int) -> bool:
    """Whether the items hold more than one thing each, or are numbered as the sentence says."""
    if isinstance(block, Table):
        return False
    parts = sum(1 + len(re.findall(r",|/| and | \+ |&", re.split(r"[:\u2014(]", i.text)[0])) for i in block.items)
    return block.items[-1].number == stated or parts >= stated > len(block.items)


def _headings(document: Document) -> Iterator[Claim]:
    """Judge "Modified files (4)" by the only list or table right below it."""
    every: list[ListBlock | Table] = [*(b for b in document.lists if b.depth == 0), *document.tables]
    blocks, parents = group((b.section, b) for b in every), {h.parent for h in document.headings}
    for heading in document.headings:
        m, own = _HEAD.search(heading.text), blocks.get(heading, ())
        if m and heading.level > 1 and len(own) == 1 and heading not in parents:
            stated, many = int(m[1]), len(own[0].items if isinstance(own[0], ListBlock) else own[0].rows)
            if stated != many > 1 and not _grouped(own[0], stated):
                yield _claim(heading.text, stated, many, "entries", heading, own[0])


def _parts(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge "split into eight steps", "Total tasks: 45" and a row of both by the phases or tasks."""
    said: list[tuple[Spanned, str, int]] = []
    for sentence in document.sentences:
        text = sentence.plain
        if sentence.where == "heading" or document.standing(sentence):
            continue
        if m := _TOTAL.match(text):
            said.append((sentence, m["noun"], int(m["value"])))
        for q in quantities(text) if re.search("(?i:total)|into|consists|comprises", text) else ():
            if not q.hedged and not q.unit and _WHOLE.search(text[: q.start]):
                words = (w.strip(",.:;") for w in text[q.end - len(q.noun) :].split(" ")[:3])
                said += [(sentence, w, int(q.value)) for w in words if w in _FAMILIES][:1]
    for table in document.tables:
        for row in (row for row in table.rows if len(row.cells) == 2):
            if (m := _ROW.match(row.cells[0])) and (value := number(row.cells[1].strip("* "))):
                said.append((row, m[1], value))
    for place, noun, value in said:
        family = _FAMILIES.get(noun.lower(), "")
        names = [("T" if family == "task" else family), family]
        own = next((units for name in names if (units := plan.of_family.get((place.path, name)))), ())
        if family and len(own) >= 3 and len(own) != value:
            yield _claim(f"{value} {noun.lower()}", value, len(own), noun.lower(), place, own[0], own[-1])


def _tally(sentence: Sentence) -> Iterator[Claim]:
    """Judge a total by its own parts; what is measured in units (5 days: 2 hours \u2026) has none."""
    for m in _TALLY.finditer(sentence.plain):
        parts = [int(n) for n in re.findall(r"\d+(?=\s)", m["parts"])]
        units = {q.unit for q in quantities(f"{m['parts']}, 1 {m['noun']}")}
        if sum(parts) != int(m["total"]) > max(parts) and units == {""} and not _SOME.search(m[0]):
            title = f"{m['total']} {m['noun']}, but the parts add up to {sum(parts)}"
            said = f'"{m[0][:160]}": {" + ".join(map(str, parts))} is {sum(parts)}.'
            yield Claim(Severity.MEDIUM, title, said, (sentence,), (m["noun"], m["total"]), (m["parts"],))


def _claim(said: str, stated: int, shown: int, noun: str, *places: Spanned) -> Claim:
    title = f'"{said[:60]}", but there are {shown} {noun}'
    told = f"The text says {stated}; {shown} {noun} stand there."
    return Claim(Severity.LOW, title, told, places, (said,), (str(stated), str(shown)))
