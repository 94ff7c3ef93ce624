"""Planting: copies of a clean plan with faults of known kinds in known lines, to measure who finds them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count, pairwise
from posixpath import dirname
from typing import NamedTuple

from nyxlab.providers.messages import Record
from nyxlab.reviewer.findings import Evidence
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.plan.read import read_plan
from nyxlab.reviewer.text.document import Document, parse_documents
from nyxlab.reviewer.text.labels import Label, name_of

_MUST = re.compile(r"\b(must|shall)(?! not)\b")
WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class Fault(Record):
    """One fault known to be in a text: its kind, the rule meant to find it (None: it takes understanding), its lines.

    ``lines`` holds first and last line (from 1) of each side, ``elsewhere`` those in other files; whoever points at one
    of them has found it.
    """

    kind: str
    rule: str | None
    path: str
    lines: tuple[tuple[int, int], ...]
    elsewhere: tuple[tuple[str, int, int], ...] = ()

    def found_by(self, evidence: Iterable[Evidence]) -> bool:
        """Whether evidence points at a line of it."""
        spots = [*((self.path, *lines) for lines in self.lines), *self.elsewhere]
        return any(
            piece.path == path and piece.start_line <= last and first <= piece.end_line
            for piece in evidence if piece.verified for path, first, last in spots
        )  # fmt: skip


class _Draft(NamedTuple):
    """A fault in the making: paragraphs to put after lines of the clean text, and clean lines of the other side."""

    path: str
    after: tuple[tuple[int, str], ...]
    beside: tuple[int, ...] = ()


class _Site(NamedTuple):
    """Where faults may be planted: a plan, one of its files, and the lines after which a paragraph is a claim."""

    document: Document
    plan: Plan
    path: str
    spots: Sequence[int]
    chance: random.Random


Maker = Callable[[_Site], _Draft | None]


def sets_of(texts: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the plans that some files are: those of one form in one folder together, each other file by itself."""
    plan = read_plan(parse_documents(texts))
    form = {path: part.form for part in plan.parts for path in part.paths}
    folders = {(form[path], dirname(path)) for path in texts}
    homes: dict[tuple[str, str], dict[str, str]] = {}
    for path, text in texts.items():
        around = [
            f for kind, f in folders if kind == form[path] and f"{dirname(path)}/".startswith(f"{f}/" if f else "")
        ]
        home = path if form[path] == "plain" else min(around, key=len)
        homes.setdefault((form[path], home), {})[path] = text
    return list(homes.values())


def planted(texts: dict[str, str], seed: int) -> tuple[dict[str, str], tuple[Fault, ...]]:
    """Return the texts with one fault of each kind that this plan can hold, at random places, and where each one is.

    The same texts and seed give the same copy. Faults are told in the plan's own form, words and numbers where it has
    them.
    """
    document, chance = parse_documents(texts), random.Random(seed)  # noqa: S311 - it chooses places, not secrets
    plan = read_plan(document)
    drafts = []
    for kind, (rule, maker) in (MAKERS | IN_FORM).items():
        path = chance.choice(list(texts))
        spots = _spots(document, path)
        if draft := maker(_Site(document, plan, path, chance.sample(spots, len(spots)), chance)):
            drafts.append((kind, rule, draft))
    return _written(texts, drafts)


def _written(
    texts: dict[str, str], drafts: Sequence[tuple[str, str, _Draft]]
) -> tuple[dict[str, str], tuple[Fault, ...]]:
    """Put every draft's paragraphs in and return the new texts with the lines on which the faults stand now."""
    copies = dict(texts)
    lines_of: dict[int, list[tuple[int, int]]] = {}
    for path, text in texts.items():
        own = [(n, draft) for n, (_, _, draft) in enumerate(drafts) if draft.path == path]
        todo = sorted(((at, n, words) for n, draft in own for at, words in draft.after), key=lambda t: t[:2])
        told: list[str] = []
        moved = {}
        for number, line in enumerate(text.split("\n"), 1):
            told.append(line)
            moved[number] = len(told)
            while todo and todo[0][0] == number:
                _, which, words = todo.pop(0)
                told += ["", *words.split("\n"), ""]
                lines_of.setdefault(which, []).append((len(told) - words.count("\n") - 1, len(told) - 1))
        for which, draft in own:
            lines_of.setdefault(which, []).extend((moved[line], moved[line]) for line in draft.beside)
        copies[path] = "\n".join(told)
    return copies, tuple(
        Fault(kind=kind, rule=rule, path=draft.path, lines=tuple(lines_of[n]))
        for n, (kind, rule, draft) in enumerate(drafts)
    )


def _spots(document: Document, path: str) -> list[int]:
    """Return the lines after which a paragraph is a claim of the plan: below a heading of what is to be built.

    Else at the end.
    """
    own = [h for h in document.headings if h.path == path and h.level > 1 and document.standings[h] is None]
    return [h.end_line for h in own] or [document.files[path].length]


def _plain(text: str) -> Maker:
    """Return the maker of a fault that stands in any plan."""

    def make(site: _Site) -> _Draft:
        parts = [site.chance.randint(2, 9) for _ in range(3)]
        wrong, few = sum(parts) + site.chance.randint(1, 3), WORDS[site.chance.randint(1, 3)]
        told = text.format(few=few, a=parts[0], b=parts[1], c=parts[2], wrong=wrong)
        return _Draft(site.path, ((site.spots[0], told),))

    return make


def _two(one: str, two: str) -> Maker:
    """Return the maker of a fault whose sides stand under two headings, where there are two."""

    def make(site: _Site) -> _Draft:
        first, second = sorted((site.spots[0], site.spots[-1]))
        return _Draft(site.path, ((first, one), (second, two)))

    return make


def _opposite(site: _Site) -> _Draft | None:
    """Say a demand of the plan again, turned round."""
    said = [
        a.sentence for a in site.document.assertions
        if a.modality == "must" and not a.conditional and len(a.subject) > 1 and a.sentence.path == site.path
        and a.sentence.where == "paragraph" and len(_MUST.findall(a.sentence.text)) == 1
    ]  # fmt: skip
    if not said:
        return _two("Audit logging is enabled by default.", "Audit logging is disabled by default.")(site)
    sentence = site.chance.choice(said)
    return _Draft(site.path, ((site.spots[0], _MUST.sub(r"\1 not", sentence.text)),), (sentence.line,))


def _ids(site: _Site) -> list[Label]:
    return [i for i in site.document.labels if i.defines and i.path == site.path and not i.family.islower()]


def _twice(site: _Site) -> _Draft | None:
    """Define an identifier of the plan once more, as something else; its own, where it has none."""
    if not (defined := _ids(site)):
        return _two("- **REQ-001**: Each request is logged.", "- **REQ-001**: Each reply is signed.")(site)
    again = site.chance.choice(defined)
    return _Draft(site.path, ((site.spots[0], f"- **{again.name}**: Each reply is signed."),), (again.line,))


def _nowhere(site: _Site) -> _Draft:
    """Refer to an identifier of a family that the plan has, or to a section, that is not there."""
    family = next((i.family for i in _ids(site)), None)
    text = site.document.files[site.path].text
    name = f"{family}{next(n for n in count(907) if f'{family}{n}' not in text)}" if family else "Section 97"
    return _Draft(site.path, ((site.spots[0], f"This follows from {name}."),))


def _uncovered(site: _Site) -> _Draft | None:
    """Promise one more thing behind the last requirement or criterion, where tasks cite most of the others."""
    numbered = [r for r in site.plan.requirements if r.number and r.standing is None and r.family != "SC-"]
    last = max(numbered, key=lambda r: r.key, default=None)
    cited = {name for task in site.plan.tasks for name in task.cites}
    family = [
        r.name in cited or r.name.rpartition(".")[0] in cited for r in numbered if last and r.family == last.family
    ]
    if not last or not 3 <= sum(family) > len(family) / 2:
        return None
    line = site.document.files[last.path].lines[last.line - 1]
    if last.family:
        *_, whole = last.key[0]
        name = name_of(last.family, f"{whole + 1:0{len(last.number)}d}")
        told = re.sub(rf"^(.*?){re.escape(last.name)}(\W*).*", rf"\g<1>{name}\g<2>Each import MUST be logged.", line)
    else:
        told = re.sub(
            r"^(\s*)\d+([.)]\s+).*", rf"\g<1>{last.key[0][-1] + 1}\g<2>THE SYSTEM SHALL log each import", line
        )
    return _Draft(last.path, ((last.end_line, told),)) if told != line else None


def _parallel(site: _Site) -> _Draft | None:
    """Have one more task, marked [P], work in the file of another one that is."""
    tasks = [t for t in site.plan.tasks if t.parallel and t.number and t.phase and any("/" in f for f in t.touches)]
    if not tasks:
        return None
    task = site.chance.choice(tasks)
    number = max(u.key[0][0] for u in site.plan.numbered() if u.family == task.family) + 1
    file = next(f for f in reversed(task.touches) if "/" in f)
    name = name_of(task.family, f"{number:0{len(task.number)}d}")
    told = f"- [ ] {name} [P] Log what is done in {file}"
    return _Draft(task.path, ((task.end_line, told),), (task.line,))


def _later(site: _Site) -> _Draft | None:
    """Have a part of the work depend on a later one of its kind."""
    own = [u for u in site.plan.numbered() if u.standing is None]
    pairs = [
        (one, two) for one, two in pairwise(own)
        if type(one) is type(two) and (one.path, one.family) == (two.path, two.family) and two.key > one.key
    ]  # fmt: skip
    if not pairs:
        return None
    one, two = site.chance.choice(pairs)
    line = site.document.files[one.path].lines[one.line - 1]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    told = f"Depends on {two.name}." if one.heading else f"{indent}- Depends on {two.name}"
    return _Draft(one.path, ((one.line, told),), (two.line,))


def _cited(site: _Site) -> _Draft | None:
    """Have a task cite a criterion that the requirements do not have."""
    tasks = [c.task for c in site.plan.citations if c.task]
    if not tasks:
        return None
    task = site.chance.choice(tasks)
    return _Draft(task.path, ((task.line, "  - _Requirements: 97.1_"),))


MAKERS: dict[str, tuple[str, Maker]] = {
    "K1": (
        "stated-count",
        _plain("There are {few} checks:\n\n- the input\n- the owner\n- the limit\n- the date\n- the size\n- the name"),
    ),
    "K2": (
        "wrong-total",
        _plain(
            "The work takes {a} days for the design, {b} days for the build and {c} days for the tests, "
            "{wrong} days in total."
        ),
    ),
    "K3": ("setting-differs", _two("Set `REQUEST_TIMEOUT_SECONDS=30`.", "Set `REQUEST_TIMEOUT_SECONDS=45`.")),
    "K4": ("dangling-reference", _nowhere),
    "K5": ("duplicate-number", _twice),
    "K9": ("opposite-statements", _opposite),
    "K10": ("broken-link", _plain("The details are in [the appendix](#appendix-that-is-not-here).")),
    "K11": ("unfinished-marker", _plain("The person who is told when it fails: TBD.")),
    "K15": (
        "exclusive-definitions",
        _two("Each auditor belongs to exactly one branch.", "An auditor may belong to several branches."),
    ),
}  # fmt: skip
"""Faults that stand in any plan, by kind, with the rule that is meant to find each."""
IN_FORM: dict[str, tuple[str, Maker]] = {
    "K6": ("impossible-order", _later),
    "K8": ("uncovered-requirement", _uncovered),
    "K16": ("parallel-conflict", _parallel),
    "K17": ("dangling-reference", _cited),
}
"""Faults in the words of the plan's own form, where it has tasks, requirements or citations."""
