"""Kiro: `- [x] 2.1 …` with `_Requirements: 1.2, 3.4_`, and `### Requirement 3` with criteria that are 3.1, 3.2 …"""

from __future__ import annotations

import re

from nyxlab.reviewer.plan.model import Citation, Part, Phase, Requirement, Task
from nyxlab.reviewer.plan.reading import Facts, bare, fill
from nyxlab.reviewer.text.blocks import Heading

COMPANIONS = ("requirements.md", "design.md", "tasks.md")
_REQUIREMENT = re.compile(r"^requirement\s+(\d{1,3})\b\W*(.*)", re.IGNORECASE)
_CITED = re.compile(
    r"^[\W_]*(?:requirements?\s*:|validates:?\s*requirements?\s*:?)[\s_*]*(?P<list>[\d.,\s/&and\u2013-]*\d)",
    re.IGNORECASE,
)
_SHALL = re.compile(r"\bSHALL\b")


def claims(facts: Facts, path: str) -> bool:
    """Whether a file is of this form: numbered requirements with criteria, or tasks that cite them."""
    shall = any(_SHALL.search(s.prose) for s in facts.sentences(path, 1, 10**9))
    numbered = sum(bool(_REQUIREMENT.match(h.text)) for h in facts.document.headings if h.path == path)
    cites = sum(bool(_CITED.match(i.text)) for i in facts.items(path, 1, 10**9))
    return (numbered >= 2 and shall) or cites >= 3


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read tasks by their numbers, criteria by their requirement's, and which of them is cited where."""
    part = Part("Kiro", paths)
    for path in paths:
        requirements = {h: m for h in facts.document.headings if h.path == path and (m := _REQUIREMENT.match(h.text))}
        for heading, m in requirements.items():
            part.requirements += _criteria(facts, heading, m[1])
        tasks = _tasks(facts, path)
        part.phases += _phases(path, tasks)
        starts = sorted(tasks, key=lambda t: t.line)
        for sentence in facts.sentences(path, 1, 10**9):
            if sentence.where != "heading" and (m := _CITED.match(sentence.prose)):
                own = next((t for t in reversed(starts) if t.line <= sentence.line <= t.end_line), None)
                part.citations += [Citation(n, path, sentence.line, own) for n in _numbers(m["list"])]
    return part


def _criteria(facts: Facts, heading: Heading, number: str) -> list[Requirement]:
    """Return the criteria of one requirement: the items of its numbered list, in the order of their own numbers."""
    document = facts.document
    end = document.section_ends[heading]
    items = [i for i in facts.items(heading.path, heading.line, end) if i.number is not None]
    first = items[0].section if items else None
    return [
        Requirement("", f"{number}.{i.number}", i.text, i.path, i.line, i.end_line, standing=document.standings.heading(i.section), text=i.text)
        for i in items if i.section is first
    ]  # fmt: skip


def _tasks(facts: Facts, path: str) -> list[Task]:
    """Return the ticked items with a number; a parent's own lines end where its first child begins."""
    named = [(i, n) for i in facts.items(path, 1, 10**9) if i.box is not None and (n := bare(i.text))]
    stops = [*(i.line - 1 for i, _ in named[1:]), 10**9][: len(named)]
    found = []
    for (item, (number, title)), stop in zip(named, stops, strict=True):
        found.append(facts.task("task", number, title, path, item.line, min(item.end_line, stop), item))
        found[-1].optional = f"[{item.box}]*" in facts.document.files[path].lines[item.line - 1]
    return found


def _phases(path: str, tasks: list[Task]) -> list[Phase]:
    """Make each top-level task a phase that holds itself and what is numbered below it."""
    phases: list[Phase] = []
    for task in tasks:
        if len(task.key[0]) == 1 or not phases:
            phases.append(Phase("phase", task.number, task.title, path, task.line, task.end_line))
        phases[-1].end_line = task.end_line
    return fill(phases, tasks)


def _numbers(text: str) -> list[str]:
    """Return the numbers of a list; "1.1-1.3" is three."""
    found: list[str] = []
    for piece in re.split(r"[,/&\s]|and", text):
        low, dash, high = piece.replace("\u2013", "-").partition("-")
        if dash and low.count(".") == high.count(".") == 1 and low.split(".")[0] == high.split(".")[0]:
            head, first = low.split(".")
            found += [f"{head}.{n}" for n in range(int(first or 0), min(int(high.split(".")[1] or 0), 99) + 1)]
        elif re.fullmatch(r"\d{1,3}(?:\.\d{1,3})?", piece.strip(".")):
            found.append(piece.strip("."))
    return found
