"""Kiro: `- [x] 2.1 …` with `_Requirements: 1.2, 3.4_`, and `### Requirement 3` with criteria that are 3.1, 3.2 …"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.plan.model import Citation, Part, Phase, Requirement, Task
from nyxlab.reviewer.plan.reading import Facts, bare, fill
from nyxlab.reviewer.text.blocks import Heading

COMPANIONS = ("requirements.md", "design.md", "tasks.md")
_REQUIREMENT = re.compile(r"^requirement\s+(\d{1,3})\b\W*(.*)", re.IGNORECASE)
_CITED = re.compile(
    r"^[\W_]*(?:requirements?\s*:|validates:?\s*requirements?\s*:?)[\s_*]*(?P<list>[\d.,\s/&and\u2013-]*\d)",
    re.IGNORECASE,
)


def claims(facts: Facts, path: str) -> bool:
    """Whether a file is of this form: numbered requirements with criteria, or tasks that cite them."""
    numbered = sum(bool(_REQUIREMENT.match(h.text)) for h in facts.headings(path))
    shall = numbered >= 2 and any("SHALL" in s.prose for s in facts.sentences(path))
    return shall or sum(bool(_CITED.match(i.text)) for i in facts.items(path)) >= 3


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read tasks by their numbers, criteria by their requirement's, and which of them is cited where."""
    part = Part("Kiro", paths)
    for path in paths:
        for heading in facts.headings(path):
            if m := _REQUIREMENT.match(heading.text):
                part.requirements += _criteria(facts, heading, m[1])
        tasks = _tasks(facts, path)
        part.phases += _phases(path, tasks)
        holders = {n: task for task in tasks for n in range(task.line, task.end_line + 1)}
        for s in facts.sentences(path):
            if s.where != "heading" and (m := _CITED.match(s.prose)):
                part.citations += [Citation(n, path, s.line, holders.get(s.line)) for n in _numbers(m["list"])]
    return part


def _criteria(facts: Facts, heading: Heading, number: str) -> Iterator[Requirement]:
    """Yield the criteria of one requirement: the items of its numbered list, in the order of their own numbers."""
    items = [i for i in facts.items(heading.path, heading.line, facts.ends[heading]) if i.number is not None]
    for i in items:
        if i.section is items[0].section:
            standing = facts.document.standings.heading(i.section)
            yield Requirement("", f"{number}.{i.number}", i.text, i.path, i.line, i.end_line, None, standing)


def _tasks(facts: Facts, path: str) -> list[Task]:
    """Return the ticked items with a number; a parent's own lines end where its first child begins."""
    named = [(i, n) for i in facts.items(path) if i.box is not None and (n := bare(i.text))]
    stops = [*(i.line - 1 for i, _ in named[1:]), 10**9]
    lines, found = facts.document.files[path].lines, []
    for (item, (number, title)), stop in zip(named, stops, strict=False):
        found.append(facts.task("task", number, title, item, min(item.end_line, stop)))
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
