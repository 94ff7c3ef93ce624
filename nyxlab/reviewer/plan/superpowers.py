"""superpowers: `### Task 4: …` with **Files:** and **Interfaces:**, and `- [ ] **Step 3: …**` followed by code."""

import re

from nyxlab.reviewer.plan.model import Part
from nyxlab.reviewer.plan.reading import fill, headed, lead, phase_of, task_of
from nyxlab.reviewer.text.document import Document

NAME = "superpowers"
COMPANIONS: tuple[str, ...] = ()
_STEP = re.compile(r"^\W*Step\s+(\d{1,3})\b\W*(.*)", re.IGNORECASE)


def claims(document: Document, path: str) -> bool:
    """Whether a file is of this form: headed tasks whose steps are ticked items."""
    steps = sum(i.box is not None and bool(_STEP.match(i.text)) for i in document.items.within(path))
    return steps >= 3 and any(family == "task" for _, family, _, _ in headed(document, path))


def read(document: Document, path: str) -> Part:
    """Read each task as a phase, and its steps as tasks that run to the next step, code included."""
    part = Part()
    for phase in [phase_of(document, *unit) for unit in headed(document, path) if unit[1] == "task"]:
        items = document.items.within(path, phase.line, phase.end_line)
        found = [(i, m) for i in items if (m := _STEP.match(i.text))]
        stops = [i.line - 1 for i, _ in found[1:]] + [phase.end_line]
        tasks = [task_of(document, i, "", m[1], m[2], stop) for (i, m), stop in zip(found, stops, strict=False)]
        part.phases += fill([phase], [*lead(document, phase, tasks), *tasks])  # files stand before the steps
    return part
