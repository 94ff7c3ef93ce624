"""Any other plan: parts of the work under headings, or lists of steps in a section that is about the work."""

import re
from itertools import pairwise

from nyxlab.reviewer.plan.model import Part, Phase, Task
from nyxlab.reviewer.plan.reading import bare, fill, headed, lead, phase_of, requirements, task_of
from nyxlab.reviewer.text.blocks import Heading
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import WORK

NAME = "plain"
_WORK = re.compile(
    r"\b(?:implementation|steps|tasks|to-?dos?|milestones|roadmap|work breakdown|phases|plan|checklist|rollout"
    r"|migration)\b",
    re.IGNORECASE,
)
_FAMILIES = [f"{f}{dash}" for f in ("FR", "NFR", "REQ", "SC", "US", "AC", "BR", "TR", "UR", "SR") for dash in ("", "-")]
_WHERE = ("item", "paragraph", "heading", "cell")
_ASIDE = (Standing.STATUS, Standing.REJECTED, Standing.EXAMPLE)


def read(document: Document, path: str) -> Part:
    """Read the headed parts of a file, the larger ones as phases; else the items of a section about the work."""
    phases = _headed(document, path) or _listed(document, path)
    return Part(phases, list(requirements(document, path, _FAMILIES, _WHERE)))


def _headed(document: Document, path: str) -> list[Phase]:
    """Return the phases that headings name; the parts one level below them are their tasks, else the items are."""
    units = [u for u in headed(document, path) if document.standings[u[0]] not in _ASIDE]
    families = [f for _, f, _, _ in units if f in WORK or sum(g == f for _, g, _, _ in units) >= 3]
    if not families:
        return []
    outer = min(set(families), key=lambda f: (min(h.level for h, g, _, _ in units if g == f), -families.count(f)))
    phases = [phase_of(document, *unit) for unit in units if unit[1] == outer]
    tasks: list[Task] = []
    for unit in units:
        if unit[1] != outer and unit[1] in WORK and not (tasks and unit[0].line <= tasks[-1].end_line):
            tasks.append(task_of(document, *unit))
    holders = fill(phases, tasks)
    for phase in phases:
        own = [] if phase in holders else _items(document, phase)
        fill([phase], [*lead(document, phase, own or phase.tasks), *own])
        phase.tasks.sort(key=lambda t: t.line)
    return phases


def _items(document: Document, phase: Phase) -> list[Task]:
    """Return the ticked items of a phase, else its outermost numbered ones."""
    items = document.items.within(phase.path, phase.line, phase.end_line)
    ticked = [i for i in items if i.box is not None]
    found: list[Task] = []
    for item in ticked or [i for i in items if i.number is not None]:
        if not found or item.line > found[-1].end_line:
            number, title = (bare(item.text) if item.box is not None else None) or ("", item.text)
            found.append(task_of(document, item, "task" if number else "", number, title))
    return found


def _listed(document: Document, path: str) -> list[Phase]:
    """Return sections that hold ticked items, or numbered ones below a heading about the work, as phases."""
    phases: list[Phase] = []
    for heading in document.headings.within(path):
        if document.standings[heading] not in _ASIDE and _holds_work(document, heading):
            number, title = bare(heading.text) or ("", heading.text)
            phases.append(phase_of(document, heading, "phase" if number else "", number, title))
    for one, two in pairwise(phases):
        one.end_line = min(one.end_line, two.line - 1)
    return [p for phase in phases for p in fill([phase], _items(document, phase))]


def _holds_work(document: Document, heading: Heading) -> bool:
    items = document.items.within(heading.path, heading.line, document.section_ends[heading])
    own = [i for i in items if i.section is heading]
    about = any(_WORK.search(h.text) for h in heading.ancestry)
    return sum(i.box is not None for i in own) >= 2 or (about and sum(i.number is not None for i in own) >= 3)
