"""superpowers: `### Task 4: …` with **Files:** and **Interfaces:**, and `- [ ] **Step 3: …**` followed by code."""

from __future__ import annotations

import re

from nyxlab.reviewer.plan.model import Part
from nyxlab.reviewer.plan.reading import Facts, fill

COMPANIONS: tuple[str, ...] = ()
_STEP = re.compile(r"^\W*Step\s+(\d{1,3})\b\W*(.*)", re.IGNORECASE)


def claims(facts: Facts, path: str) -> bool:
    """Whether a file is of this form: headed tasks whose steps are ticked items."""
    steps = sum(i.box is not None and bool(_STEP.match(i.text)) for i in facts.items(path))
    return steps >= 3 and any(family == "task" for _, family, _, _ in facts.headed(path))


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read each task as a phase, and its steps as tasks that run to the next step, code included."""
    part = Part("superpowers", paths)
    for path in paths:
        for phase in [facts.phase(*unit) for unit in facts.headed(path) if unit[1] == "task"]:
            found = [(i, m) for i in facts.items(path, phase.line, phase.end_line) if (m := _STEP.match(i.text))]
            stops = [i.line - 1 for i, _ in found[1:]] + [phase.end_line]
            tasks = [facts.task("", m[1], m[2], i, stop) for (i, m), stop in zip(found, stops, strict=False)]
            part.phases += fill(
                [phase], [*facts.lead(phase, tasks), *tasks]
            )  # files and interfaces stand before the steps
    return part
