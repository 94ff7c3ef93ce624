"""Plain plans: numbered or ticked work under Phase, Step, Task, Milestone or Week headings, or tables of tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from nyxlab.reviewer.plan.model import Part, Phase, Requirement, Task
from nyxlab.reviewer.plan.reading import Facts, bare, fill, headed
from nyxlab.reviewer.text.blocks import Heading
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import WORK

_WORK = re.compile(
    r"\b(?:implementation|steps|tasks|to-?dos?|milestones|roadmap|work breakdown|phases|plan|checklist|rollout|migration)\b",
    re.IGNORECASE,
)
_REQUIREMENTS = re.compile(r"^(?:FR|NFR|REQ|SC|US|AC|BR|TR|UR|SR)-?$")
_STATUS = (Standing.STATUS, Standing.REJECTED, Standing.EXAMPLE)


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read the work of each file: its headed parts, the larger ones as phases; else the items of a section about the work."""
    document, part = facts.document, Part("plain", paths)
    for path in paths:
        phases = _headed(facts, path) or _listed(facts, path)
        part.phases += phases
        part.requirements += [
            Requirement(i.family, i.number, i.sentence.plain, path, i.line, i.sentence.end_line, standing=document.standing(i.sentence), text=i.sentence.plain)
            for i in facts.labels(path, 1, 10**9)
            if i.defines and _REQUIREMENTS.match(i.family) and i.sentence.where in ("item", "paragraph", "heading", "cell")
        ]  # fmt: skip
    return part


def _headed(facts: Facts, path: str) -> list[Phase]:
    """Return the phases that headings name; the parts one level below them are their tasks, else the items are."""
    document = facts.document
    ends, standings = document.section_ends, document.standings
    headings = [h for h in document.headings if h.path == path]
    units = [u for u in headed(headings) if standings.heading(u[0]) not in _STATUS]
    families = [f for _, f, _, _ in units if f in WORK or sum(g == f for _, g, _, _ in units) >= 3]
    if not families:
        return []
    outer = min(set(families), key=lambda f: (min(h.level for h, g, _, _ in units if g == f), -families.count(f)))
    phases = [Phase(f, n, t, path, h.line, ends[h], h, standings.heading(h)) for h, f, n, t in units if f == outer]
    inner = [u for u in units if u[1] != outer and u[1] in WORK]
    tasks = [facts.task(f, n, t, path, h.line, ends[h], heading=h) for h, f, n, t in _outermost(inner, ends)]
    holders = fill(phases, tasks)
    for phase in phases:
        own = phase.tasks if phase in holders else _items(facts, phase)
        fill([phase], [*facts.lead(phase, own), *(own if phase not in holders else ())])
        phase.tasks.sort(key=lambda t: t.line)
    return phases


def _outermost(
    units: list[tuple[Heading, str, str, str]], ends: Mapping[Heading, int]
) -> list[tuple[Heading, str, str, str]]:
    found: list[tuple[Heading, str, str, str]] = []
    for unit in units:
        if not found or unit[0].line > ends[found[-1][0]]:
            found.append(unit)
    return found


def _items(facts: Facts, phase: Phase) -> list[Task]:
    """Return the ticked items of a phase, else its outermost numbered ones."""
    items = facts.items(phase.path, phase.line, phase.end_line)
    ticked = [i for i in items if i.box is not None]
    numbered = [i for i in items if i.number is not None]
    found: list[Task] = []
    for item in ticked or numbered:
        if found and item.line <= found[-1].end_line:
            continue
        named = bare(item.text) if item.box is not None else None
        number, title = named or ("", item.text)
        found.append(facts.task("task" if number else "", number, title, phase.path, item.line, item.end_line, item))
    return found


def _listed(facts: Facts, path: str) -> list[Phase]:
    """Return sections that hold ticked items, or numbered ones below a heading about the work, as phases."""
    document = facts.document
    ends, standings = document.section_ends, document.standings
    phases: list[Phase] = []
    for heading in (h for h in document.headings if h.path == path and standings.heading(h) not in _STATUS):
        own = [i for i in facts.items(path, heading.line, ends[heading]) if i.section is heading]
        about = any(_WORK.search(h.text) for h in heading.ancestry)
        if sum(i.box is not None for i in own) >= 2 or (about and sum(i.number is not None for i in own) >= 3):
            number, title = bare(heading.text) or ("", heading.text)
            phases.append(
                Phase(
                    "phase" if number else "",
                    number,
                    title,
                    path,
                    heading.line,
                    ends[heading],
                    heading,
                    standings.heading(heading),
                )
            )
    for one, two in pairwise(phases):
        one.end_line = min(one.end_line, two.line - 1)
    return [p for phase in phases for p in fill([phase], _items(facts, phase))]
