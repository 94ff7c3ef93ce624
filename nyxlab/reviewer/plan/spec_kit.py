"""spec-kit: `- [X] T018 [P] [US1] …` under `## Phase 2: …`, with FR-001, SC-001 and user stories in the spec."""

import re

from nyxlab.reviewer.plan.model import Part
from nyxlab.reviewer.plan.reading import fill, headed, phase_of, requirements, task_of
from nyxlab.reviewer.text.document import Document

NAME = "spec-kit"
COMPANIONS = ("spec.md", "plan.md", "research.md", "data-model.md", "quickstart.md", "tasks.md")
_STORY = re.compile(r"(?:user story|\bUS)[\s-]?(\d{1,2})\b", re.IGNORECASE)


def claims(document: Document, path: str) -> bool:
    """Whether a file is of this form: it holds three tasks T001 …, or functional requirements beside stories."""
    defined = [i for i in document.labels.within(path) if i.defines]
    tasks = sum(i.family == "T" and i.sentence.where == "task" for i in defined)
    families = [i.family for i in defined]
    return tasks >= 3 or (families.count("FR-") >= 3 and "story" in families)


def read(document: Document, path: str) -> Part:
    """Read tasks and their phases, and the requirements of the spec."""
    phases = [phase_of(document, *unit) for unit in headed(document, path) if unit[1] == "phase"]
    for phase in phases:
        phase.stories = tuple(_STORY.findall(phase.heading.text)) if phase.heading else ()
    items = {i.line: i for i in document.items.within(path)}
    defined = [i for i in document.labels.within(path) if i.family == "T" and i.defines and i.sentence.where == "task"]
    named = [(i, items[i.line]) for i in defined if i.line in items]
    tasks = [task_of(document, item, "T", i.number, item.text.partition(i.name)[2].strip(" :-")) for i, item in named]
    wanted = requirements(document, path, ("FR-", "SC-", "NFR-"), ("item", "cell"))
    return Part(fill(phases, tasks), list(wanted))
