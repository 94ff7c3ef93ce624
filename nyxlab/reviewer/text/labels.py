"""Labels: T012, FR-009a, Phase 2, Requirement 3.4, §3.1, with ranges and lists; where each is defined and cited."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.words import PARTS, VOCABULARY, any_of

_WIDEST = 400  # numbers that one range may name

Key = tuple[tuple[int, ...], str]


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """One place that names a part: ``family`` is "T", "FR-" or "phase", ``number`` what follows as written.

    ``defines`` is true where the part is introduced (item, heading, first cell), else it is cited; ``of`` is the range
    that it is the inside of, as written ("FR-001 to FR-003"), or "".
    """

    family: str
    number: str
    path: str
    line: int
    defines: bool
    sentence: Sentence
    start: int
    of: str = ""

    @property
    def name(self) -> str:
        """How it is written: "FR-009a", "T012", "Phase 2"."""
        return name_of(self.family, self.number)

    @property
    def key(self) -> Key:
        """Its number for order: 2.10 after 2.9, 20b after 20."""
        return key_of(self.number)


def name_of(family: str, number: str) -> str:
    """Return how a label is written: "FR-009a", "T012", "Phase 2"."""
    return f"{family.title()} {number}" if family.islower() else f"{family}{number}"


@lru_cache(maxsize=65_536)
def key_of(number: str) -> Key:
    """Return a number as written as (whole numbers, letter), for order."""
    parts = re.findall(r"\d+", number)
    return tuple(map(int, parts)), number.lstrip("0123456789.")


_ID = re.compile(
    r"""(?<![\w.$\[\#-])(?<![a-z.]/)([A-Z][A-Z]{0,9})(-?)(\d{1,4}(?:\.\d{1,3})?[a-w]?)\b(?![-\w(\[]|\.\w|/[a-z.])""",
    re.VERBOSE,
)
_PART = re.compile(
    rf"(?<![\w-])(user story|{any_of(PARTS)}|(?-i:US)|§|criterion|criteria)(ies|s?)\.?\s*\#?"
    r"(\d{1,3}(?:\.\d{1,3})*[a-z]?)\b(?![.,]?\d|%|-[A-Za-z]|\()",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"""(?P<by>\s{0,3}(?:,\s{0,3}and|,|and|or|&|/|\+)\s{0,3}|\s{0,3}(?:[\u2013\u2014]|-|\.\.\.?|to|through|thru)\s{0,3})
    (?P<family>(?:[A-Z]{1,10}-?)?)(?P<number>\d{1,4}(?:\.\d{1,3})*[a-z]?)\b
    (?![%\w]|\.\d|-\w
    |\s(?:tasks|files|items|hours|days|weeks|months|tests|minutes|points|lines|users|endpoints|total)\b)""",
    re.VERBOSE,
)
_SPREAD = ("\u2013", "\u2014", "-", "to", "through", "thru", "..", "...")
_OPENING = re.compile(r"[^\w§\[`]*+(?:\[[^\]\n]{1,12}\]\s*)?")
_TITLED = re.compile(r"\s{0,3}(?:[:\u2013\u2014)\].]|-\s|\*\*|\(|\[|$|[^\w\s+&/,]?\s{0,3}[A-Z`\"])")
_PART_TITLED = re.compile(r"\s{0,3}(?:[:\u2013\u2014.)]|-\s|\(|$)")
_LOWER = re.compile(  # "REQ-1 import": a title in small letters, not what is said of one that stands elsewhere
    r"""\s(?!(?:is|are|was|has|have|needs?|must|should|shall|will|can|may|depends|requires|and|or|to|in|on|for|with|by
    |from|at|as|which|that|after|before|only|covers?|blocks?|through|within|alone|tests?|tasks?|both|all)\b)[a-z]""",
    re.VERBOSE,
)
_NO_IDS = frozenset(VOCABULARY["no-ids"].split())
_ANYWHERE = ("step", "phase", "stage", "milestone")
"""Parts that a paragraph may define by "Step 3: \u2026"."""
_ALIASES = {
    "user story": "story", "us": "story", "§": "section", "criterion": "requirement", "criteria": "requirement"
}  # fmt: skip


def labels(sentence: Sentence) -> Iterator[Label]:
    """Yield what a sentence defines and cites, every number of a list or a range; code spans name nothing."""
    text = sentence.prose
    if not any(c.isdecimal() for c in text):
        return
    in_contents = sentence.where == "item" and "](#" in sentence.text
    opened = _OPENING.match(text) if sentence.first and not in_contents else None
    opening = opened.end() if opened else -1
    head = sentence.where in ("heading", "item", "task", "cell") or sentence.text.startswith(("**", "__"))
    end = 0
    for m in _ID.finditer(text):
        if m.start() < end or (m[1] in _NO_IDS and not (m[2] and len(m[1]) < 3)):
            continue
        titled = sentence.where == "task" or bool(_TITLED.match(text, m.end()))
        titled |= sentence.where == "item" and bool(m[2] and _LOWER.match(text, m.end()))
        alone = m.end() >= len(text.rstrip(" *_"))
        defines = m.start() == opening and head and (alone if sentence.where == "cell" else titled)
        first = Label(m[1] + m[2], m[3], sentence.path, sentence.line, defines, sentence, m.start())
        found, end = _run(first, m.end())
        yield from found
    for m in _PART.finditer(text):
        family = _ALIASES.get(m[1].lower(), m[1].lower())
        after = text[m.end() : m.end() + 1]
        caption = family in ("figure", "table") and after in (":", ".", "")
        titled = (head or caption) and bool(_PART_TITLED.match(text, m.end()))
        titled |= sentence.where == "heading" or (family in _ANYWHERE and after == ":")
        defines = m.start() == opening and not m[2] and titled
        first = Label(family, m[3], sentence.path, sentence.line, defines, sentence, m.start())
        yield from _run(first, m.end())[0]


def _run(first: Label, end: int) -> tuple[list[Label], int]:
    """Return one label, or all of "Phases 1-3", "T008\u2013T020b" and "Steps 2, 4 and 5", and where the run ends."""
    text, bare, found = first.sentence.prose, first.family.islower(), [first]
    while more := _MORE.match(text, end):
        by = more["by"].strip()
        same = more["family"] == ("" if bare else first.family) or (not more["family"] and by in ("/", "-", "\u2013"))
        if not same or (bare and by == "+"):
            break
        if by in _SPREAD:
            found += _between(found[-1], more["number"], text[found[-1].start : more.end()])
            if len(found) > 1:
                found[0] = replace(first, defines=False, of=text[first.start : more.end()])
        of, start = found[-1].of if by in _SPREAD else "", more.start("number")
        found.append(replace(first, number=more["number"], defines=False, start=start, of=of))
        end = more.end()
    return found, end


def _between(first: Label, last: str, written: str) -> list[Label]:
    """Return the labels inside a range; nothing where it runs backwards, is very wide or changes its depth."""
    (*head, low), (*tail, high) = first.key[0], key_of(last)[0]
    if head != tail or not low < high or high - low > _WIDEST:
        return []
    high += bool(key_of(last)[1])  # T020 lies inside T008\u2013T020b
    width = len(first.number.rstrip("abcdefghijklmnopqrstuvw").rpartition(".")[2])
    width = width if first.number[0] == "0" or width > 2 else 1
    prefix = "".join(f"{n}." for n in head)
    return [replace(first, number=f"{prefix}{n:0{width}d}", defines=False, of=written) for n in range(low + 1, high)]
