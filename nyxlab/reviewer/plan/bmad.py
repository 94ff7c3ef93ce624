"""BMAD: epics in order, `Story 2.1` with criteria 2.1.3, and FR1, NFR2 in the requirements' shard."""

from __future__ import annotations

from nyxlab.reviewer.plan.model import Part, Phase, Requirement
from nyxlab.reviewer.plan.reading import Facts, fill, headed

COMPANIONS: tuple[str, ...] = ("index.md",)
_FAMILIES = ("FR", "NFR", "CR")


def claims(facts: Facts, path: str) -> bool:
    """Whether a file is of this form: stories with two numbers below an epic, a list of epics, or requirements FR1 \u2026 NFR1 \u2026."""
    units = [(family, number) for _, family, number, _ in headed(h for h in facts.document.headings if h.path == path)]
    stories = sum(family == "story" and "." in number for family, number in units)
    defined = [i.family for i in facts.labels(path, 1, 10**9) if i.defines]
    return stories >= 2 or {"FR", "NFR"} <= set(defined) or defined.count("epic") >= 2


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read epics as phases and stories as tasks."""
    document, part = facts.document, Part("BMAD", paths)
    ends = document.section_ends
    for path in paths:
        units = list(headed(h for h in document.headings if h.path == path))
        phases = [Phase(f, n, title, path, h.line, ends[h], h) for h, f, n, title in units if f == "epic"]
        tasks = [facts.task(f, n, title, path, h.line, ends[h], heading=h) for h, f, n, title in units if f == "story"]
        part.phases += fill(phases, tasks)
        part.requirements += [
            Requirement(i.family, i.number, i.sentence.plain, path, i.line, i.sentence.end_line, standing=document.standing(i.sentence), text=i.sentence.plain)
            for i in facts.labels(path, 1, 10**9) if i.defines and i.family in _FAMILIES
        ]  # fmt: skip
    return part
