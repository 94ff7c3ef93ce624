"""OpenSpec: `## 3. …` / `- [ ] 3.2 …`, `## ADDED Requirements` with `### Requirement: name` and `#### Scenario:`."""

import re

from nyxlab.reviewer.plan.model import Part, Requirement
from nyxlab.reviewer.plan.reading import bare, fill, phase_of, task_of
from nyxlab.reviewer.text.document import Document

NAME = "OpenSpec"
COMPANIONS = ("proposal.md", "design.md", "tasks.md", "spec.md")
_REQUIREMENT = re.compile(r"^Requirement:\s*(.+)")
_PROPOSAL = {"why", "what changes", "impact"}


def claims(document: Document, path: str) -> bool:
    """Whether a file is of this form: it changes requirements with scenarios, or says why and what changes."""
    titles = [h.text for h in document.headings.within(path)]
    named = any(_REQUIREMENT.match(t) for t in titles) and any(t.startswith("Scenario:") for t in titles)
    return named or len(_PROPOSAL & {t.lower() for t in titles}) >= 2


def read(document: Document, path: str) -> Part:
    """Read the groups of tasks in their order, and the requirements by name."""
    headings, ends = document.headings.within(path), document.section_ends
    phases = [phase_of(document, h, "phase", *n) for h in headings if (n := bare(h.text)) and h.level == 2]
    ticked = (i for i in document.items.within(path) if i.box is not None)
    tasks = [task_of(document, i, "task", *n) for i in ticked if (n := bare(i.text))]
    named = ((h, m[1]) for h in headings if (m := _REQUIREMENT.match(h.text)))
    return Part(fill(phases, tasks), [Requirement("", "", title, path, h.line, ends[h], h) for h, title in named])
