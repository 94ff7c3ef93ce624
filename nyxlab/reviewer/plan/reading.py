"""What every form's reader shares: the facts between two lines, and tasks put together with what their lines say."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from nyxlab.reviewer.plan.model import Phase, Task
from nyxlab.reviewer.text.blocks import Heading, Item, Sentence
from nyxlab.reviewer.text.document import Document, group
from nyxlab.reviewer.text.files import FileMention
from nyxlab.reviewer.text.labels import Label
from nyxlab.reviewer.text.words import WORK, any_of

T = TypeVar("T", Sentence, Label, FileMention, Item)

_HEADED = re.compile(
    rf"^\W*(?:user\s)?(?P<family>{any_of(list(WORK))})\s+\#?(?P<number>\d{{1,3}}(?:\.\d{{1,3}})*[a-z]?|[A-H](?=\s?[:.)\u2013\u2014-]|$))\b(?![.,]?\d|-\d)\W*(?P<title>.*)",
    re.IGNORECASE | re.VERBOSE,
)
_UNIT = re.compile(r"^\W*(?P<family>[A-Z]{1,3})-?(?P<number>\d{1,3}[a-z]?)\b\W*(?P<title>.+)")
_BARE = re.compile(r"^(?P<number>\d{1,3}(?:\.\d{1,3})*)[.):]?\s+(?P<title>.+)")
PARALLEL = re.compile(r"\[P\]")


class ByLine(Generic[T]):
    """Things of one kind: called with a file and two lines, it returns those that begin between them, both included."""

    def __init__(self, found: Iterable[T]) -> None:
        self._files: dict[str, tuple[T, ...]] = group((x.path, x) for x in found)
        self._lines = {path: [x.line for x in own] for path, own in self._files.items()}

    def __call__(self, path: str, first: int, last: int) -> Sequence[T]:
        """Return what begins between two lines of a file."""
        lines = self._lines.get(path, [])
        return self._files.get(path, ())[bisect_left(lines, first) : bisect_right(lines, last)]


class Facts:
    """A document's sentences, labels, files and items by line, so that what stands between two lines is found at once."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.sentences, self.labels = ByLine(document.sentences), ByLine(document.labels)
        self.files, self.items = ByLine(document.file_mentions), ByLine(document.items)

    def task(
        self,
        family: str,
        number: str,
        title: str,
        path: str,
        line: int,
        end_line: int,
        item: Item | None = None,
        heading: Heading | None = None,
    ) -> Task:
        """Return a task with what its own lines say: files, parallel mark, tick box."""
        text = item.text if item else title
        return Task(
            family, number, title, path, line, end_line, heading,
            self.document.standings.heading(heading or (item.section if item else None)),
            box=item.box if item else None,
            parallel=bool(PARALLEL.search(text[:60])),
            files=tuple(self.files(path, line, end_line)),
        )  # fmt: skip

    def lead(self, phase: Phase, tasks: Sequence[Task]) -> list[Task]:
        """Return what stands in a phase before its first task, as one, where it names files or is all there is."""
        last = min((t.line for t in tasks), default=phase.end_line + 1) - 1
        if tasks and not self.files(phase.path, phase.line, last):
            return []
        found = self.task("", "", phase.title, phase.path, phase.line, max(last, phase.line), heading=phase.heading)
        found.lead = True
        return [found]


def headed(headings: Iterable[Heading]) -> Iterator[tuple[Heading, str, str, str]]:
    """Yield the headings that name a part of the work: heading, family, number, title."""
    for heading in headings:
        m = _HEADED.match(heading.text)
        if m:
            yield heading, m["family"].lower(), m["number"], m["title"] or heading.text
        elif m := _UNIT.match(heading.text):
            yield heading, m["family"], m["number"], m["title"]


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
