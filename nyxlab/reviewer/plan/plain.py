"""Plain plans: numbered or ticked work under Phase, Step, Task, Milestone or Week headings, or tables of tasks."""

from __future__ import annotations

import re
from itertools import pairwise

from nyxlab.reviewer.plan.model import Part, Phase, Task
from nyxlab.reviewer.plan.reading import Facts, bare, fill
from nyxlab.reviewer.text.blocks import Heading
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import WORK, listed

_WORK = re.compile(
    r"\b(?:implementation|steps|tasks|to-?dos?|milestones|roadmap|work breakdown|phases|plan|checklist|rollout|migration)\b",
    re.IGNORECASE,
)
_FAMILIES = frozenset(f + dash for f in listed("FR NFR REQ SC US AC BR TR UR SR") for dash in ("", "-"))
_WHERE = ("item", "paragraph", "heading", "cell")
_ASIDE = (Standing.STATUS, Standing.REJECTED, Standing.EXAMPLE)


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read the work of each file: its headed parts, the larger ones as phases; else the items of a section about the work."""
    part = Part("plain", paths)
    for path in paths:
        part.phases += _headed(facts, path) or _listed(facts, path)
        part.requirements += facts.requirements(path, _FAMILIES, _WHERE)
    return part


def _headed(facts: Facts, path: str) -> list[Phase]:
    """Return the phases that headings name; the parts one level below them are their tasks, else the items are."""
    units = [u for u in facts.headed(path) if facts.document.standings.heading(u[0]) not in _ASIDE]
    families = [f for _, f, _, _ in units if f in WORK or sum(g == f for _, g, _, _ in units) >= 3]
    if not families:
        return []
    outer = min(set(families), key=lambda f: (min(h.level for h, g, _, _ in units if g == f), -families.count(f)))
    phases = [facts.phase(*unit) for unit in units if unit[1] == outer]
    tasks: list[Task] = []
    for heading, family, number, title in units:
        if family != outer and family in WORK and not (tasks and heading.line <= tasks[-1].end_line):
            tasks.append(facts.task(family, number, title, heading))
    holders = fill(phases, tasks)
    for phase in phases:
        own = phase.tasks if phase in holders else _items(facts, phase)
        fill([phase], [*facts.lead(phase, own), *(own if phase not in holders else ())])
        phase.tasks.sort(key=lambda t: t.line)
    return phases


def _items(facts: Facts, phase: Phase) -> list[Task]:
    """Return the ticked items of a phase, else its outermost numbered ones."""
    items = facts.items(phase.path, phase.line, phase.end_line)
    ticked = [i for i in items if i.box is not None]
    found: list[Task] = []
    for item in ticked or [i for i in items if i.number is not None]:
        if not found or item.line > found[-1].end_line:
            number, title = (bare(item.text) if item.box is not None else None) or ("", item.text)
            found.append(facts.task("task" if number else "", number, title, item))
    return found


def _listed(facts: Facts, path: str) -> list[Phase]:
    """Return sections that hold ticked items, or numbered ones below a heading about the work, as phases."""
    phases: list[Phase] = []
    for heading in facts.headings(path):
        if facts.document.standings.heading(heading) not in _ASIDE and _holds_work(facts, heading):
            number, title = bare(heading.text) or ("", heading.text)
            phases.append(facts.phase(heading, "phase" if number else "", number, title))
    for one, two in pairwise(phases):
        one.end_line = min(one.end_line, two.line - 1)
    return [p for phase in phases for p in fill([phase], _items(facts, phase))]


def _holds_work(facts: Facts, heading: Heading) -> bool:
    own = [i for i in facts.items(heading.path, heading.line, facts.ends[heading]) if i.section is heading]
    about = any(_WORK.search(h.text) for h in heading.ancestry)
    return sum(i.box is not None for i in own) >= 2 or (about and sum(i.number is not None for i in own) >= 3)
