"""A requirement that no task carries out, where the tasks cite the others of its family."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import dirname

from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.plan.model import Plan, Requirement
from nyxlab.reviewer.rules.base import Claim, Rule, at, names
from nyxlab.reviewer.text.document import Document, group

_LEAST = 3  # requirements of a family that tasks cite, before a missing one says anything
_OPTIONAL = re.compile(r"\b(?:MAY|optional(?:ly)?|deferred|out of scope|not in scope|future|later|removed|stretch|nice to have)\b")
_ALL = re.compile(r"\brequirements?:\W*all\b|\b(?:covers|implements|satisfies|verify) all (?:requirements|FRs)\b", re.IGNORECASE)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a requirement or criterion that no task cites, where the tasks cite most of its family; one that is optional or out of scope is not asked for."""
    working = {task.path for task in plan.tasks}
    if any(_ALL.search(s.prose) for s in document.sentences if s.path in working):
        return
    cited = {c.name for c in plan.citations} | {name for task in plan.tasks for name in task.cites}
    cited |= {i.name for i in document.labels if not i.defines and i.path in working}
    for family, all_ in group(((dirname(r.path), r.family), r) for r in plan.requirements if r.number and r.family != "SC-").items():
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


RULE = Rule(
    id="uncovered-requirement",
    kind="coverage",
    category=Category.COVERAGE,
    consequence="Whoever follows the tasks finishes without it.",
    severities={Severity.MEDIUM: "a promise that no step is known to carry out"},
    firing=(
        "- **FR-1**: Log in.\n- **FR-2**: Log out.\n- **FR-3**: List.\n- **FR-4**: The list MUST be kept.\n\n## Phase 1\n\n- [ ] T001 Build FR-1\n- [ ] T002 Build FR-2\n- [ ] T003 Build FR-3\n",
        {
            "requirements.md": "### Requirement 1\n\n1. WHEN a THE s SHALL b\n2. WHEN c THE s SHALL d\n\n### Requirement 2\n\n1. THE s SHALL e\n2. THE s SHALL f\n",
            "tasks.md": "- [ ] 1. A\n  - _Requirements: 1.1_\n- [ ] 2. B\n  - _Requirements: 1.2_\n- [ ] 3. C\n  - _Requirements: 2.1_\n",
        },
    ),
    quiet=(
        "- **FR-1**: a\n- **FR-2**: b\n- **FR-3**: c\n- **FR-4**: d (out of scope)\n\n## Phase 1\n\n- [ ] T001 Covers FR-1 to FR-3\n- [ ] T002 b\n- [ ] T003 c\n",
        "- **FR-1**: a\n- **FR-2**: b\n- **FR-3**: c\n\n### Step 1: One\n\nCovers FR-1 to FR-3.\n",
        "- **FR-1**: a\n- **FR-2**: b\n\n## Phase 1\n\n- [ ] T001 FR-1\n- [ ] T002 b\n- [ ] T003 c\n",
    ),
    check=check,
)
