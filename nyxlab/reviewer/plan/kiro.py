"""Kiro: `- [x] 2.1 …` with `_Requirements: 1.2, 3.4_`, and `### Requirement 3` with criteria that are 3.1, 3.2 …"""

import re
from collections.abc import Iterator

from nyxlab.reviewer.plan.model import Citation, Part, Phase, Requirement, Task
from nyxlab.reviewer.plan.reading import bare, fill, task_of
from nyxlab.reviewer.text.blocks import Heading
from nyxlab.reviewer.text.document import Document

NAME = "Kiro"
COMPANIONS = ("requirements.md", "design.md", "tasks.md")
_REQUIREMENT = re.compile(r"^requirement\s+(\d{1,3})\b\W*(.*)", re.IGNORECASE)
_CITED = re.compile(
    r"^[\W_]*(?:requirements?\s*:|validates:?\s*requirements?\s*:?)[\s_*]*(?P<list>[\d.,\s/&and\u2013-]*\d)",
    re.IGNORECASE,
)


def claims(document: Document, path: str) -> bool:
    """Whether a file is of this form: numbered requirements with criteria, or tasks that cite them."""
    numbered = sum(bool(_REQUIREMENT.match(h.text)) for h in document.headings.within(path))
    shall = numbered >= 2 and any("SHALL" in s.prose for s in document.sentences.within(path))
    return shall or sum(bool(_CITED.match(i.text)) for i in document.items.within(path)) >= 3


def read(document: Document, path: str) -> Part:
    """Read tasks by their numbers, criteria by their requirement's, and which of them is cited where."""
    tasks = _tasks(document, path)
    part = Part(_phases(path, tasks))
    for heading in document.headings.within(path):
        if m := _REQUIREMENT.match(heading.text):
            part.requirements += _criteria(document, heading, m[1])
    holders = {n: task for task in tasks for n in range(task.line, task.end_line + 1)}
    for s in document.sentences.within(path):
        if s.where != "heading" and (m := _CITED.match(s.prose)):
            part.citations += [Citation(n, path, s.line, holders.get(s.line)) for n in _numbers(m["list"])]
    return part


def _criteria(document: Document, heading: Heading, number: str) -> Iterator[Requirement]:
    """Yield the criteria of one requirement: the items of its numbered list, in the order of their own numbers."""
    items = document.items.within(heading.path, heading.line, document.section_ends[heading])
    numbered = [i for i in items if i.number is not None]
    for i in numbered:
        if i.section is numbered[0].section:
            standing = document.standings[i.section]
            yield Requirement("", f"{number}.{i.number}", i.text, i.path, i.line, i.end_line, None, standing)


def _tasks(document: Document, path: str) -> list[Task]:
    """Return the ticked items with a number; a parent's own lines end where its first child begins."""
    named = [(i, n) for i in document.items.within(path) if i.box is not None and (n := bare(i.text))]
    stops = [*(i.line - 1 for i, _ in named[1:]), 10**9]
    lines, found = document.files[path].lines, []
    for (item, name), stop in zip(named, stops, strict=False):
        found.append(task_of(document, item, "task", *name, min(item.end_line, stop)))
        found[-1].optional = f"[{item.box}]*" in lines[item.line - 1]
    return found


def _phases(path: str, tasks: list[Task]) -> list[Phase]:
    """Make each top-level task a phase that holds itself and what is numbered below it."""
    phases: list[Phase] = []
    for task in tasks:
        if len(task.key[0]) == 1 or not phases:
            phases.append(Phase("phase", task.number, task.title, path, task.line, task.end_line))
        phases[-1].end_line = task.end_line
    return fill(phases, tasks)


def _numbers(text: str) -> Iterator[str]:
    """Yield the numbers of a list; "1.1-1.3" is three."""
    for piece in re.split(r"[,/&\s]|and", text):
        low, dash, high = piece.replace("\u2013", "-").partition("-")
        if dash and low.count(".") == high.count(".") == 1 and low.split(".")[0] == high.split(".")[0]:
            head, first = low.split(".")
            yield from (f"{head}.{n}" for n in range(int(first or 0), min(int(high.split(".")[1] or 0), 99) + 1))
        elif re.fullmatch(r"\d{1,3}(?:\.\d{1,3})?", piece.strip(".")):
            yield piece.strip(".")
