"""BMAD: epics in order, `Story 2.1` with criteria 2.1.3, and FR1, NFR2 in the requirements' shard."""

from nyxlab.reviewer.plan.model import Part
from nyxlab.reviewer.plan.reading import fill, headed, phase_of, requirements, task_of
from nyxlab.reviewer.text.document import Document

NAME = "BMAD"
COMPANIONS: tuple[str, ...] = ("index.md",)
_WHERE = ("item", "paragraph", "heading", "cell", "task", "quote")


def claims(document: Document, path: str) -> bool:
    """Whether a file is of this form: stories with two numbers below an epic, epics, or requirements FR1 … NFR1 …."""
    stories = sum(family == "story" and "." in number for _, family, number, _ in headed(document, path))
    defined = [i.family for i in document.labels.within(path) if i.defines]
    return stories >= 2 or {"FR", "NFR"} <= set(defined) or defined.count("epic") >= 2


def read(document: Document, path: str) -> Part:
    """Read epics as phases and stories as tasks."""
    units = list(headed(document, path))
    phases = [phase_of(document, *unit) for unit in units if unit[1] == "epic"]
    tasks = [task_of(document, *unit) for unit in units if unit[1] == "story"]
    return Part(fill(phases, tasks), list(requirements(document, path, ("FR", "NFR", "CR"), _WHERE)))
