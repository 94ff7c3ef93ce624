"""A requirement that no task carries out, where the tasks cite the others of its family."""

import re
from collections.abc import Iterator
from posixpath import dirname

from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, group, names

_LEAST = 3  # requirements of a family that tasks cite, before a missing one says anything
_OPTIONAL = re.compile(
    r"\b(?:MAY|optional(?:ly)?|deferred|out of scope|not in scope|future|later|removed|stretch|nice to have)\b"
)
_ALL = re.compile(
    r"\brequirements?:\W*all\b|\b(?:covers|implements|satisfies|verify) all (?:requirements|FRs)\b", re.IGNORECASE
)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a requirement or criterion that is in scope and that no task cites, where they cite most of its family."""
    working = {task.path for task in plan.tasks}
    if any(_ALL.search(s.prose) for s in document.sentences if s.path in working):
        return
    cited = {c.name for c in plan.citations} | {name for task in plan.tasks for name in task.cites}
    cited |= {i.name for i in document.labels if not i.defines and i.path in working}
    own = (r for r in plan.requirements if r.number and r.family != "SC-")
    for (_, family), all_ in group(((dirname(r.path), r.family), r) for r in own).items():
        # "2" stands for the criteria 2.1 and 2.2
        met = [r for r in all_ if r.name in cited or (not family and r.name.rpartition(".")[0] in cited)]
        missing = [r for r in all_ if r not in met and r.standing is None and not _OPTIONAL.search(r.title)]
        if len(met) >= _LEAST and 2 * len(met) > len(all_) and missing:
            numbers = [r.name for r in missing]
            one, many = ("requirement", "requirements") if family else ("criterion", "criteria")
            yield Claim(
                Severity.MEDIUM, f"{names(numbers)} {'is' if len(missing) == 1 else 'are'} cited by no task",
                f"Tasks cite {len(met)} of {len(all_)} {many}; "
                f"{len(missing)} {one if len(missing) == 1 else many} of the same list: none.",
                [Place(r.path, r.line, r.end_line) for r in missing], numbers[:1], numbers,
            )  # fmt: skip
