"""What a plan says of the whole: its goal, what it leaves out, its words, and what must always or never be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from nyxlab.reviewer.document import Document, Heading, Item
from nyxlab.reviewer.prompt import NOT_STATED, Decision, OpenDecision, Term

_NUMBERED = r"^[\d.\s]*"
_GOAL = re.compile(
    rf"{_NUMBERED}(?:goals?|objectives?|purpose|summary|overview|motivation|the problem|problem|introduction)\b",
    re.IGNORECASE,
)
_NON_GOALS = re.compile(rf"{_NUMBERED}(?:non[- ]?goals?|out of scope|not in scope)\b", re.IGNORECASE)
_WORDS = re.compile(rf"{_NUMBERED}(?:glossary|terms|terminology|definitions|vocabulary)\b", re.IGNORECASE)
_DECISIONS = re.compile(rf"{_NUMBERED}(?:settled )?decisions?\b(?! to)", re.IGNORECASE)
_QUESTIONS = re.compile(rf"{_NUMBERED}(?:open|unresolved) (?:questions?|points?|issues?|decisions?)\b", re.IGNORECASE)
_TERM = re.compile(r"\W{0,4}([\w][\w /-]{0,40}?)[*_`\"]*\s*(?:\u2014|\u2013|:|\s-\s)[*_]*\s*(\S.*)", re.DOTALL)
_ALSO = re.compile(
    r"\b(?:also (?:called|known as)|not to be called|never (?:called|say|write|use)|do not say)\s+(?:an? |the )?[\"'\u201c`]?(\w[\w-]*)",
    re.IGNORECASE,
)
_SAME = re.compile(r"\b(?:the )?same (?:thing )?as (?:an? |the )?[\"'\u201c`*]*(\w[\w-]*)", re.IGNORECASE)
_ALWAYS = re.compile(r"\b(?:must|shall|always)\b", re.IGNORECASE)
_NEVER = re.compile(r"\b(?:must not|mustn't|shall not|never)\b", re.IGNORECASE)

Spot = tuple[str, int]


def title_of(document: Document) -> str:
    """Return the first heading of the set."""
    return document.headings[0].text if document.headings else NOT_STATED


def goal_of(document: Document) -> str:
    """Return the first section that says what the plan is for, as one paragraph."""
    for heading in _headed(document, _GOAL):
        said = [s.text for s in document.sections.get(heading, ()) if s.where in ("paragraph", "item", "quote")]
        if said:
            return " ".join(said)
    return NOT_STATED


def non_goals_of(document: Document) -> tuple[str, ...]:
    """Return what the plan leaves out."""
    return tuple(item.text for item in _items(document, _NON_GOALS))


def decisions_of(document: Document) -> tuple[Decision, ...]:
    """Return what the plan itself says is decided."""
    return tuple(Decision(decision=item.text, chosen="as the plan says") for item in _items(document, _DECISIONS))


def questions_of(document: Document) -> tuple[OpenDecision, ...]:
    """Return what the plan itself leaves open."""
    return tuple(OpenDecision(question=item.text) for item in _items(document, _QUESTIONS))


def glossary_of(document: Document, disputed: Collection[Spot]) -> tuple[Term, ...]:
    """Return the plan's words with the synonyms that it gives them; a definition under dispute forbids nothing yet."""
    found: dict[str, Term] = {}
    same: dict[str, list[str]] = {}
    for item in _items(document, _WORDS):
        if m := _TERM.fullmatch(item.text):
            settled = (item.path, item.line) not in disputed
            found.setdefault(
                m[1].casefold(), Term(name=m[1], meaning=m[2], forbidden=tuple(_ALSO.findall(m[2])) if settled else ())
            )
            for other in _SAME.findall(m[2]) if settled else ():
                same.setdefault(other.casefold(), []).append(m[1])
    return tuple(t.model_copy(update={"forbidden": (*t.forbidden, *same.get(key, ()))}) for key, t in found.items())


def laws_of(document: Document, disputed: Collection[Spot]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what must always and what must never be, leaving out what is under dispute."""
    said = [s.sentence for s in document.statements if (s.sentence.path, s.sentence.line) not in disputed]
    never = dict.fromkeys(s.plain for s in said if _NEVER.search(s.prose))
    always = dict.fromkeys(s.plain for s in said if _ALWAYS.search(s.prose) and s.plain not in never)
    return tuple(always), tuple(never)


def requirements_of(document: Document) -> dict[str, str]:
    """Return the text of each requirement by its name; one that is defined twice has both."""
    texts = {(i.path, i.line): i.text for b in document.lists for i in b.items}
    found: dict[str, str] = {}
    for i in document.identifiers:
        if i.defines and not i.family.islower():
            text = texts.get((i.path, i.line), i.sentence.text)
            found[i.name] = f"{found[i.name]} / {text}" if i.name in found else text
    return found


def uncovered(document: Document, covers: Iterable[Collection[str]]) -> dict[str, str]:
    """Return the requirements that no step covers, of those families that the steps cover for the most part."""
    covered = {name for names in covers for name in names}
    defined = requirements_of(document)
    family = {name: name.rstrip("abcdefghijklmnopqrstuvwxyz").rstrip("0123456789") for name in defined}
    count, kept = Counter(family.values()), Counter(family[name] for name in defined if name in covered)
    return {
        name: text
        for name, text in defined.items()
        if name not in covered and 2 * kept[family[name]] > count[family[name]]
    }


def _headed(document: Document, pattern: re.Pattern[str]) -> Iterator[Heading]:
    return (h for h in document.headings if pattern.match(h.text))


def _items(document: Document, pattern: re.Pattern[str]) -> list[Item]:
    """Return the outermost items below headings that match, in reading order."""
    wanted = set(_headed(document, pattern))
    return [i for b in document.lists if b.depth == 0 and b.section in wanted for i in b.items]
