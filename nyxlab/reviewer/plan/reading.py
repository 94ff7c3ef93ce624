"""What every form's reader shares: the facts between two lines, and tasks put together with what their lines say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from nyxlab.reviewer.plan.model import Phase, Requirement, Task
from nyxlab.reviewer.text.blocks import Heading, Item
from nyxlab.reviewer.text.document import ByLine, Document
from nyxlab.reviewer.text.labels import Label
from nyxlab.reviewer.text.words import WORK, any_of

_HEADED = re.compile(
    rf"""^\W*(?:user\s)?(?P<family>{any_of(WORK)})\s+
    \#?(?P<number>\d{{1,3}}(?:\.\d{{1,3}})*[a-z]?|[A-H](?=\s?[:.)\u2013\u2014-]|$))\b(?![.,]?\d|-\d)\W*(?P<title>.*)""",
    re.IGNORECASE | re.VERBOSE,
)
_UNIT = re.compile(r"^\W*(?P<family>[A-Z]{1,3})-?(?P<number>\d{1,3}[a-z]?)\b\W*(?P<title>.+)")
_BARE = re.compile(r"^(?P<number>\d{1,3}(?:\.\d{1,3})*)[.):]?\s+(?P<title>.+)")
_PARALLEL = re.compile(r"\[P\]")


class Facts:
    """A document's headings, sentences, labels, files and items by line, so that what stands between two lines is found at once."""

    def __init__(self, document: Document) -> None:
        self.document, self.ends = document, document.section_ends
        self.headings, self.sentences = ByLine(document.headings), ByLine(document.sentences)
        self.labels, self.files = ByLine(document.labels), ByLine(document.file_mentions)
        self.items = ByLine(document.items)

    def headed(self, path: str) -> Iterator[tuple[Heading, str, str, str]]:
        """Yield the headings of a file that name a part of the work: heading, family, number, title."""
        for heading in self.headings(path):
            if m := _HEADED.match(heading.text):
                yield heading, m["family"].lower(), m["number"], m["title"] or heading.text
            elif m := _UNIT.match(heading.text):
                yield heading, m["family"], m["number"], m["title"]

    def phase(self, heading: Heading, family: str, number: str, title: str) -> Phase:
        """Return the phase that a heading opens."""
        standing = self.document.standings.heading(heading)
        return Phase(family, number, title, heading.path, heading.line, self.ends[heading], heading, standing)

    def task(self, family: str, number: str, title: str, of: Item | Heading, end_line: int | None = None) -> Task:
        """Return the task that an item or a heading is, with what its own lines say: files, parallel mark, tick box."""
        item, heading = (None, of) if isinstance(of, Heading) else (of, None)
        end = end_line or (of.end_line if item else self.ends[of])  # type: ignore[index]  # a heading then
        return Task(
            family, number, title, of.path, of.line, end, heading,
            self.document.standings.heading(item.section if item else heading),
            box=item.box if item else None,
            parallel=bool(_PARALLEL.search((item.text if item else title)[:60])),
            files=tuple(self.files(of.path, of.line, end)),
        )  # fmt: skip

    def lead(self, phase: Phase, tasks: Sequence[Task]) -> list[Task]:
        """Return what stands in a phase before its first task, as one, where it names files or is all there is."""
        last = max(min((t.line for t in tasks), default=phase.end_line + 1) - 1, phase.line)
        if not phase.heading or (tasks and not self.files(phase.path, phase.line, last)):
            return []
        found = self.task("", "", phase.title, phase.heading, last)
        found.lead = True
        return [found]

    def requirements(self, path: str, families: Iterable[str], where: Iterable[str]) -> Iterator[Requirement]:
        """Yield the labels of some families that a file defines in sentences of some kinds."""
        for i in self.labels(path):
            if i.defines and i.family in families and i.sentence.where in where:
                yield self.requirement(i)

    def requirement(self, label: Label) -> Requirement:
        """Return the requirement that a label defines, with its sentence as title."""
        s, standing = label.sentence, self.document.standing(label.sentence)
        return Requirement(label.family, label.number, s.plain, s.path, s.line, s.end_line, None, standing)


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
