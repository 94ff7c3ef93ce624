"""OpenSpec: `## 3. …` / `- [ ] 3.2 …`, and `## ADDED Requirements` with `### Requirement: name` and `#### Scenario:`."""

from __future__ import annotations

import re

from nyxlab.reviewer.plan.model import Part, Requirement
from nyxlab.reviewer.plan.reading import Facts, bare, fill

COMPANIONS = ("proposal.md", "design.md", "tasks.md", "spec.md")
_REQUIREMENT = re.compile(r"^Requirement:\s*(.+)")
_PROPOSAL = {"why", "what changes", "impact"}


def claims(facts: Facts, path: str) -> bool:
    """Whether a file is of this form: it changes requirements with scenarios, or says why and what changes."""
    titles = [h.text for h in facts.headings(path)]
    named = any(_REQUIREMENT.match(t) for t in titles) and any(t.startswith("Scenario:") for t in titles)
    return named or len(_PROPOSAL & {t.lower() for t in titles}) >= 2


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read the groups of tasks in their order, and the requirements by name."""
    part = Part("OpenSpec", paths)
    for path in paths:
        headings = facts.headings(path)
        phases = [facts.phase(h, "phase", *n) for h in headings if (n := bare(h.text)) and h.level == 2]
        ticked = (i for i in facts.items(path) if i.box is not None)
        part.phases += fill(phases, [facts.task("task", *n, i) for i in ticked if (n := bare(i.text))])
        part.requirements += [
            Requirement("", "", m[1], path, h.line, facts.ends[h], h)
            for h in headings if (m := _REQUIREMENT.match(h.text))
        ]  # fmt: skip
    return part
