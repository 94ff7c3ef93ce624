"""Planting: copies of a clean plan with faults of known kinds in known lines, to measure who finds them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from nyxlab.providers.messages import Record
from nyxlab.reviewer.findings import Evidence
from nyxlab.reviewer.text.document import Document, parse_documents

_MUST = re.compile(r"\b(must|shall)(?! not)\b")
WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class Fault(Record):
    """One fault that is known to be in a text: its kind, the rule that is meant to find it (None: it takes understanding), its lines.

    ``lines`` holds first and last line (from 1) of each side; whoever points at one of them has found it.
    """

    kind: str
    rule: str | None
    path: str
    lines: tuple[tuple[int, int], ...]

    def found_by(self, evidence: Iterable[Evidence]) -> bool:
        """Whether evidence points at a line of it."""
        return any(
            piece.path == self.path and piece.start_line <= last and first <= piece.end_line
            for piece in evidence
            if piece.verified
            for first, last in self.lines
        )


class _Draft(Record):
    """A fault in the making: paragraphs to be put after lines of the clean text, and clean lines that are the other side."""

    kind: str
    rule: str
    path: str
    after: tuple[tuple[int, str], ...]
    beside: tuple[int, ...] = ()


Maker = Callable[[Document, str, Sequence[int], random.Random], _Draft | None]


def planted(texts: dict[str, str], seed: int) -> tuple[dict[str, str], tuple[Fault, ...]]:
    """Return the texts with one fault of each kind that this plan can hold, at random places, and where each one is.

    The same texts and seed give the same copy. Faults are told in the plan's own words and numbers where it has them.
    """
    document, chance = parse_documents(texts), random.Random(seed)  # noqa: S311 - it chooses places, not secrets
    drafts = []
    for kind, (rule, maker) in MAKERS.items():
        path = chance.choice(list(texts))
        spots = _spots(document, path)
        draft = maker(document, path, chance.sample(spots, len(spots)), chance)
        if draft:
            drafts.append(draft.model_copy(update={"kind": kind, "rule": rule}))
    return _written(texts, drafts)


def _written(texts: dict[str, str], drafts: Sequence[_Draft]) -> tuple[dict[str, str], tuple[Fault, ...]]:
    """Put every draft's paragraphs in and return the new texts with the lines on which the faults stand now."""
    copies = dict(texts)
    lines_of: dict[int, list[tuple[int, int]]] = {}
    for path, text in texts.items():
        lines, told, moved = text.split("\n"), [], {}
        todo = sorted(
            ((at, n, words) for n, d in enumerate(drafts) if d.path == path for at, words in d.after),
            key=lambda t: t[:2],
        )
        for number, line in enumerate(lines, 1):
            told.append(line)
            moved[number] = len(told)
            while todo and todo[0][0] == number:
                _, which, words = todo.pop(0)
                told += ["", *words.split("\n"), ""]
                lines_of.setdefault(which, []).append((len(told) - words.count("\n") - 1, len(told) - 1))
        for which, draft in enumerate(drafts):
            if draft.path == path:
                lines_of.setdefault(which, []).extend((moved[line], moved[line]) for line in draft.beside)
        copies[path] = "\n".join(told)
    faults = tuple(Fault(kind=d.kind, rule=d.rule, path=d.path, lines=tuple(lines_of[n])) for n, d in enumerate(drafts))
    return copies, faults


def _spots(document: Document, path: str) -> list[int]:
    """Return the lines after which a paragraph is a claim of the plan: below a heading of what is to be built; else at the end."""
    own = [h for h in document.headings if h.path == path and h.level > 1 and document.standings.heading(h) is None]
    return [h.end_line for h in own] or [document.files[path].length]


def _plain(text: str) -> Maker:
    """Return the maker of a fault that stands in any plan."""

    def make(_: Document, path: str, spots: Sequence[int], chance: random.Random) -> _Draft:
        parts = [chance.randint(2, 9) for _ in range(3)]
        told = text.format(
            few=WORDS[chance.randint(1, 3)], a=parts[0], b=parts[1], c=parts[2],
            wrong=sum(parts) + chance.randint(1, 3),
        )  # fmt: skip
        return _Draft(kind="", rule="", path=path, after=((spots[0], told),))

    return make


def _two(one: str, two: str) -> Maker:
    """Return the maker of a fault whose sides stand under two headings, where there are two."""

    def make(_: Document, path: str, spots: Sequence[int], __: random.Random) -> _Draft:
        first, second = sorted((spots[0], spots[-1]))
        return _Draft(kind="", rule="", path=path, after=((first, one), (second, two)))

    return make


def _opposite(document: Document, path: str, spots: Sequence[int], chance: random.Random) -> _Draft | None:
    """Say a demand of the plan again, turned round."""
    said = [
        a.sentence
        for a in document.assertions
        if a.modality == "must"
        and not a.conditional
        and len(a.subject) > 1
        and a.sentence.path == path
        and a.sentence.where == "paragraph"
        and len(_MUST.findall(a.sentence.text)) == 1
    ]
    if not said:
        return _two("Audit logging is enabled by default.", "Audit logging is disabled by default.")(
            document, path, spots, chance
        )
    sentence = chance.choice(said)
    return _Draft(
        kind="", rule="", path=path, after=((spots[0], _MUST.sub(r"\1 not", sentence.text)),), beside=(sentence.line,)
    )


def _twice(document: Document, path: str, spots: Sequence[int], chance: random.Random) -> _Draft | None:
    """Define an identifier of the plan once more, as something else; its own, where it has none."""
    defined = [i for i in document.labels if i.defines and i.path == path and not i.family.islower()]
    if not defined:
        return _two("- **REQ-001**: Each request is logged.", "- **REQ-001**: Each reply is signed.")(
            document, path, spots, chance
        )
    again = chance.choice(defined)
    return _Draft(
        kind="",
        rule="",
        path=path,
        after=((spots[0], f"- **{again.name}**: Each reply is signed."),),
        beside=(again.line,),
    )


def _nowhere(document: Document, path: str, spots: Sequence[int], _: random.Random) -> _Draft:
    """Refer to an identifier of a family that the plan has, or to a section, that is not there."""
    families = list(dict.fromkeys(i.family for i in document.labels if i.defines and not i.family.islower()))
    name = (
        f"{families[0]}{next(n for n in count(907) if f'{families[0]}{n}' not in document.files[path].text)}"
        if families
        else "Section 97"
    )
    return _Draft(kind="", rule="", path=path, after=((spots[0], f"This follows from {name}."),))


MAKERS: dict[str, tuple[str, Maker]] = {
    "K1": ("stated-count", _plain("There are {few} checks:\n\n- the input\n- the owner\n- the limit\n- the date\n- the size\n- the name")),
    "K2": ("wrong-total", _plain("The work takes {a} days for the design, {b} days for the build and {c} days for the tests, {wrong} days in total.")),
    "K3": ("setting-differs", _two("Set `REQUEST_TIMEOUT_SECONDS=30`.", "Set `REQUEST_TIMEOUT_SECONDS=45`.")),
    "K4": ("dangling-reference", _nowhere),
    "K5": ("duplicate-number", _twice),
    "K9": ("opposite-statements", _opposite),
    "K10": ("broken-link", _plain("The details are in [the appendix](#appendix-that-is-not-here).")),
    "K11": ("unfinished-marker", _plain("The person who is told when it fails: TBD.")),
    "K15": ("exclusive-definitions", _two("Each auditor belongs to exactly one branch.", "An auditor may belong to several branches.")),
}  # fmt: skip
