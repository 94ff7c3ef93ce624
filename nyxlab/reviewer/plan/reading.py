"""What every form's reader shares: parts of the work made of headings and items, with what their lines say."""

import re
from collections.abc import Iterable, Iterator, Sequence

from nyxlab.reviewer.plan.model import Phase, Requirement, Task
from nyxlab.reviewer.text.blocks import Heading, Item
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.words import WORK, any_of

_HEADED = re.compile(
    rf"""^\W*(?:user\s)?(?P<family>{any_of(WORK)})\s+
    \#?(?P<number>\d{{1,3}}(?:\.\d{{1,3}})*[a-z]?|[A-H](?=\s?[:.)\u2013\u2014-]|$))\b(?![.,]?\d|-\d)\W*(?P<title>.*)""",
    re.IGNORECASE | re.VERBOSE,
)
_UNIT = re.compile(r"^\W*(?P<family>[A-Z]{1,3})-?(?P<number>\d{1,3}[a-z]?)\b\W*(?P<title>.+)")
_BARE = re.compile(r"^(?P<number>\d{1,3}(?:\.\d{1,3})*)[.):]?\s+(?P<title>.+)")

Headed = tuple[Heading, str, str, str]
"""A heading that names a part of the work: heading, family, number, title."""


def headed(document: Document, path: str) -> Iterator[Headed]:
    """Yield the headings of a file that name a part of the work."""
    for heading in document.headings.within(path):
        if m := _HEADED.match(heading.text):
            yield heading, m["family"].lower(), m["number"], m["title"] or heading.text
        elif m := _UNIT.match(heading.text):
            yield heading, m["family"], m["number"], m["title"]


def phase_of(document: Document, heading: Heading, family: str, number: str, title: str) -> Phase:
    """Return the phase that a heading opens."""
    end, standing = document.section_ends[heading], document.standings[heading]
    return Phase(family, number, title, heading.path, heading.line, end, heading, standing)


def task_of(
    document: Document, of: Item | Heading, family: str, number: str, title: str, end_line: int | None = None
) -> Task:
    """Return the task that an item or a heading is, with what its own lines say: files, parallel mark, tick box."""
    heading, item = (of, None) if isinstance(of, Heading) else (None, of)
    end = end_line or (document.section_ends[heading] if heading else of.end_line)
    return Task(
        family, number, title, of.path, of.line, end, heading, document.standings[item.section if item else heading],
        box=item.box if item else None,
        parallel="[P]" in (item.text if item else title)[:60],
        files=tuple(document.file_mentions.within(of.path, of.line, end)),
    )  # fmt: skip


def lead(document: Document, phase: Phase, tasks: Sequence[Task]) -> list[Task]:
    """Return what stands in a phase before its first task, as one, where it names files or is all there is."""
    last = max(min((t.line for t in tasks), default=phase.end_line + 1) - 1, phase.line)
    if not phase.heading or (tasks and not document.file_mentions.within(phase.path, phase.line, last)):
        return []
    found = task_of(document, phase.heading, "", "", phase.title, last)
    found.lead = True
    return [found]


def requirements(document: Document, path: str, families: Iterable[str], where: Iterable[str]) -> Iterator[Requirement]:
    """Yield the labels of some families that a file defines in sentences of some kinds, with the sentence as title."""
    for i in document.labels.within(path):
        s = i.sentence
        if i.defines and i.family in families and s.where in where:
            standing = document.standing(s)
            yield Requirement(i.family, i.number, s.plain, path, s.line, s.end_line, None, standing)


def bare(text: str) -> tuple[str, str] | None:
    """Return number and title of "2.1 Create value objects"."""
    m = _BARE.match(text.lstrip("*_` "))
    return (m["number"], m["title"]) if m else None


def fill(phases: Sequence[Phase], tasks: Iterable[Task]) -> list[Phase]:
    """Put each task into the innermost phase whose lines hold it, and return the phases that hold some."""
    open_: list[Phase] = []
    for unit in sorted((*phases, *tasks), key=lambda u: (u.path, u.line, isinstance(u, Task))):
        while open_ and not (open_[-1].path == unit.path and unit.line <= open_[-1].end_line):
            open_.pop()
        if isinstance(unit, Phase):
            open_.append(unit)
        elif open_ and isinstance(unit, Task):
            open_[-1].tasks.append(unit)
            unit.phase = open_[-1]
    return [p for p in phases if p.tasks]
