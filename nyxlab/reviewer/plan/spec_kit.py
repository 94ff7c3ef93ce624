"""spec-kit: `- [X] T018 [P] [US1] …` under `## Phase 2: …`, with FR-001, SC-001 and user stories in the spec."""

from __future__ import annotations

import re

from nyxlab.reviewer.plan.model import Part
from nyxlab.reviewer.plan.reading import Facts, fill

_STORY = re.compile(r"(?:user story|\bUS)[\s-]?(\d{1,2})\b", re.IGNORECASE)
_FAMILIES = ("FR-", "SC-", "NFR-")
COMPANIONS = ("spec.md", "plan.md", "research.md", "data-model.md", "quickstart.md", "tasks.md")


def claims(facts: Facts, path: str) -> bool:
    """Whether a file is of this form: it holds three tasks T001 \u2026, or functional requirements beside user stories."""
    defined = [i for i in facts.labels(path) if i.defines]
    tasks = sum(i.family == "T" and i.sentence.where == "task" for i in defined)
    families = [i.family for i in defined]
    return tasks >= 3 or (families.count("FR-") >= 3 and "story" in families)


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read tasks and their phases, and the requirements of the spec."""
    part = Part("spec-kit", paths)
    for path in paths:
        phases = [facts.phase(*unit) for unit in facts.headed(path) if unit[1] == "phase"]
        for phase in phases:
            phase.stories = tuple(_STORY.findall(phase.heading.text)) if phase.heading else ()
        items = {i.line: i for i in facts.items(path)}
        defined = (i for i in facts.labels(path) if i.family == "T" and i.defines and i.sentence.where == "task")
        named = ((i, items[i.line]) for i in defined if i.line in items)
        tasks = [facts.task("T", i.number, item.text.partition(i.name)[2].strip(" :-"), item) for i, item in named]
        part.phases += fill(phases, tasks)
        part.requirements += facts.requirements(path, _FAMILIES, ("item", "cell"))
    return part
