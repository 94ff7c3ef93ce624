"""OpenSpec: `## 3. …` / `- [ ] 3.2 …`, and `## ADDED Requirements` with `### Requirement: name` and `#### Scenario:`."""

from __future__ import annotations

import re

from nyxlab.reviewer.plan.model import Part, Phase, Requirement
from nyxlab.reviewer.plan.reading import Facts, bare, fill

COMPANIONS = ("proposal.md", "design.md", "tasks.md", "spec.md")
_REQUIREMENT = re.compile(r"^Requirement:\s*(.+)")
_PROPOSAL = {"why", "what changes", "impact"}


def claims(facts: Facts, path: str) -> bool:
    """Whether a file is of this form: it changes requirements with scenarios, or says why and what changes."""
    titles = [h.text for h in facts.document.headings if h.path == path]
    named = any(_REQUIREMENT.match(t) for t in titles) and any(t.startswith("Scenario:") for t in titles)
    return named or len(_PROPOSAL & {t.lower() for t in titles}) >= 2


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read the groups of tasks in their order, and the requirements by name."""
    document, part = facts.document, Part("OpenSpec", paths)
    ends = document.section_ends
    for path in paths:
        headings = [h for h in document.headings if h.path == path]
        phases = [
            Phase("phase", n[0], n[1], path, h.line, ends[h], h)
            for h in headings
            if (n := bare(h.text)) and h.level == 2
        ]
        tasks = [
            facts.task("task", n[0], n[1], path, i.line, i.end_line, i)
            for i in facts.items(path, 1, 10**9) if i.box is not None and (n := bare(i.text))
        ]  # fmt: skip
        part.phases += fill(phases, tasks)
        part.requirements += [
            Requirement("", "", m[1], path, h.line, ends[h], h, text=m[1])
            for h in headings
            if (m := _REQUIREMENT.match(h.text))
        ]
    return part
