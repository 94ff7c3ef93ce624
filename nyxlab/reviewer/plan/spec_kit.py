"""spec-kit: `- [X] T018 [P] [US1] …` under `## Phase 2: …`, with FR-001, SC-001 and user stories in the spec."""

from __future__ import annotations

import re

from nyxlab.reviewer.plan.model import Part, Phase, Requirement
from nyxlab.reviewer.plan.reading import Facts, fill, headed

_STORY = re.compile(r"(?:user story|\bUS)[\s-]?(\d{1,2})\b", re.IGNORECASE)
_FAMILIES = ("FR-", "SC-", "NFR-")
COMPANIONS = ("spec.md", "plan.md", "research.md", "data-model.md", "quickstart.md", "tasks.md")


def claims(facts: Facts, path: str) -> bool:
    """Whether a file is of this form: it holds three tasks T001 \u2026, or functional requirements beside user stories."""
    labels = facts.labels(path, 1, 10**9)
    tasks = sum(i.family == "T" and i.defines and i.sentence.where == "task" for i in labels)
    spec = sum(i.family == "FR-" and i.defines for i in labels)
    return tasks >= 3 or (spec >= 3 and any(i.family == "story" and i.defines for i in labels))


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read tasks and their phases, and the requirements of the spec."""
    document, part = facts.document, Part("spec-kit", paths)
    ends = document.section_ends
    for path in paths:
        headings = [h for h in document.headings if h.path == path]
        phases = [
            Phase(family, number, title, path, h.line, ends[h], h, stories=tuple(_STORY.findall(h.text)))
            for h, family, number, title in headed(headings) if family == "phase"
        ]  # fmt: skip
        items = {i.line: i for i in facts.items(path, 1, 10**9)}
        tasks = [
            facts.task("T", i.number, items[i.line].text.partition(i.name)[2].strip(" :-"), path, i.line, items[i.line].end_line, items[i.line])
            for i in facts.labels(path, 1, 10**9)
            if i.family == "T" and i.defines and i.sentence.where == "task" and i.line in items
        ]  # fmt: skip
        part.phases += fill(phases, tasks)
        part.requirements += [
            Requirement(i.family, i.number, i.sentence.plain, path, i.line, i.sentence.end_line, standing=document.standing(i.sentence), text=i.sentence.plain)
            for i in facts.labels(path, 1, 10**9) if i.defines and i.family in _FAMILIES and i.sentence.where in ("item", "cell")
        ]  # fmt: skip
    return part
