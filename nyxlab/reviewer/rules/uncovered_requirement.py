"""A requirement that no task carries out, where the tasks cite the others of its family."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import dirname

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan, Requirement
from nyxlab.reviewer.rules.base import Claim, at, names, rule
from nyxlab.reviewer.text.document import Document, group

_LEAST = 3  # requirements of a family that tasks cite, before a missing one says anything
_OPTIONAL = re.compile(
    r"\b(?:MAY|optional(?:ly)?|deferred|out of scope|not in scope|future|later|removed|stretch|nice to have)\b"
)
_ALL = re.compile(
    r"\brequirements?:\W*all\b|\b(?:covers|implements|satisfies|verify) all (?:requirements|FRs)\b", re.IGNORECASE
)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a requirement or criterion that no task cites, where the tasks cite most of its family; one that is optional or out of scope is not asked for."""
    working = {task.path for task in plan.tasks}
    if any(_ALL.search(s.prose) for s in document.sentences if s.path in working):
        return
    cited = {c.name for c in plan.citations} | {name for task in plan.tasks for name in task.cites}
    cited |= {i.name for i in document.labels if not i.defines and i.path in working}
    for family, all_ in group(
        ((dirname(r.path), r.family), r) for r in plan.requirements if r.number and r.family != "SC-"
    ).items():
        met = [r for r in all_ if _is_cited(r, cited)]
        if len(met) < _LEAST or 2 * len(met) <= len(all_):
            continue
        missing = [r for r in all_ if r not in met and r.standing is None and not _OPTIONAL.search(r.text)]
        if missing:
            yield _claim(missing, len(met), len(all_), bool(family[1]))


def _is_cited(requirement: Requirement, cited: set[str]) -> bool:
    """Whether it is cited by its own number, or by its parent's: "2" stands for 2.1 and 2.2."""
    name = requirement.name
    return name in cited or (not requirement.family and name.rpartition(".")[0] in cited)


def _claim(missing: list[Requirement], met: int, count: int, named: bool) -> Claim:
    word = "requirement" if named else "criterion"
    words = word if len(missing) == 1 else {"requirement": "requirements", "criterion": "criteria"}[word]
    listed = names(r.name for r in missing)
    return Claim(
        Severity.MEDIUM,
        f"{listed} {'is' if len(missing) == 1 else 'are'} cited by no task",
        f"Tasks cite {met} of {count} {'requirements' if named else 'criteria'}; {len(missing)} {words} of the same list: none.",
        "Name the task that carries it out, add one, or mark it as out of scope.",
        at(*missing),
        tuple(r.name for r in missing[:1]),
        tuple(r.name for r in missing),
    )


RULE = rule("uncovered-requirement", check)
