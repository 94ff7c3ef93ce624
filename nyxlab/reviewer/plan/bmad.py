"""BMAD: epics in order, `Story 2.1` with criteria 2.1.3, and FR1, NFR2 in the requirements' shard."""

from __future__ import annotations

from nyxlab.reviewer.plan.model import Part
from nyxlab.reviewer.plan.reading import Facts, fill

COMPANIONS: tuple[str, ...] = ("index.md",)
_FAMILIES = ("FR", "NFR", "CR")
_WHERE = ("item", "paragraph", "heading", "cell", "task", "quote")


def claims(facts: Facts, path: str) -> bool:
    """Whether a file is of this form: stories with two numbers below an epic, a list of epics, or requirements FR1 \u2026 NFR1 \u2026."""
    stories = sum(family == "story" and "." in number for _, family, number, _ in facts.headed(path))
    defined = [i.family for i in facts.labels(path) if i.defines]
    return stories >= 2 or {"FR", "NFR"} <= set(defined) or defined.count("epic") >= 2


def read(facts: Facts, paths: tuple[str, ...]) -> Part:
    """Read epics as phases and stories as tasks."""
    part = Part("BMAD", paths)
    for path in paths:
        units = list(facts.headed(path))
        tasks = [facts.task(f, n, title, h) for h, f, n, title in units if f == "story"]
        part.phases += fill([facts.phase(*unit) for unit in units if unit[1] == "epic"], tasks)
        part.requirements += facts.requirements(path, _FAMILIES, _WHERE)
    return part
