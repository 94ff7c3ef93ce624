"""A task, phase, step, requirement or section that is cited and that the plan does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import dirname

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, at, names, rule
from nyxlab.reviewer.text.document import Document, group
from nyxlab.reviewer.text.labels import Key, Label, key_of
from nyxlab.reviewer.text.standing import Standing

_PARTS = ("phase", "step", "task", "story", "milestone", "epic", "stage", "requirement", "section")
_FOREIGN = re.compile(
    r"""\b(?:RFC|spec(?:ification)?s?|guide|docs?|document(?:ation)?|manual|standard|paper|book|chapter|design|PRD|proposal|README|upstream
    |plan|issue|PR|repo(?:sitory)?|constitution|appendix|law|GDPR|HIPAA|article)\b
    |\.md\b|https?:|\]\(|\#\d""",
    re.IGNORECASE | re.VERBOSE,
)
_OF = re.compile(r"^\s(?:of|in|from) (?:the|our|that|its)\b", re.IGNORECASE)
_LEAST = 3


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a task, step, phase, requirement or section of this set that is cited by a number that nothing has; what another document holds is not asked for."""
    yield from _criteria(plan)
    known = _known(document, plan)
    missing: dict[tuple[str, str], list[Label]] = {}
    for label in document.labels:
        numbers = known.get((_scope(label.family, label.path), label.family), set())
        if (
            len(numbers) < _LEAST
            or label.defines
            or label.of
            or (label.family.islower() and label.family not in _PARTS)
        ):
            continue
        if label.key not in numbers and _is_ours(document, label, numbers):
            missing.setdefault((_scope(label.family, label.path), label.name), []).append(label)
    for (scope, name), cited in missing.items():
        beyond = cited[0].family.islower() and cited[0].key > max(known[scope, cited[0].family])
        yield Claim(
            Severity.LOW if beyond else Severity.MEDIUM,
            f"{name} does not exist",
            f"The text relies on {name}; there are {len(known[scope, cited[0].family])} of that kind, and none with this number.",
            "Point to the part that is meant, or add it.",
            at(*cited),
            (name,),
            confidence=0.85,
        )


def _scope(family: str, path: str) -> str:
    """Return where a number is unique: in its file, for phases, steps and sections; else in its folder."""
    return path if family.islower() and family not in ("epic", "story", "requirement") else dirname(path)


def _known(document: Document, plan: Plan) -> dict[tuple[str, str], set[Key]]:
    """Return the numbers that are defined, by scope and family."""
    found: dict[tuple[str, str], set[Key]] = {}
    units = [u for u in (*plan.phases, *plan.tasks, *plan.requirements) if u.number and u.family]
    labels = [i for all_ in document.definitions.values() for i in all_]
    named = [(u.family, u.path, u.key) for u in units] + [(i.family, i.path, i.key) for i in labels]
    for family, path, key in named:
        found.setdefault((_scope(family, path), family), set()).add(key)
    for heading in document.headings:
        if heading.number:
            found.setdefault((heading.path, "section"), set()).add(key_of(heading.number))
    return found


def _is_ours(document: Document, label: Label, numbers: set[Key]) -> bool:
    """Whether a citation means this plan: it stands among its claims, names no other document, and has the depth of what is there."""
    sentence = label.sentence
    if document.standing(sentence) in (
        Standing.OTHER,
        Standing.EXAMPLE,
        Standing.STATUS,
        Standing.REJECTED,
        Standing.FORM,
    ):
        return False
    deep = {len(k[0]) for k in numbers}
    if len(label.key[0]) not in deep or any(
        len(k[0]) > len(label.key[0]) and k[0][: len(label.key[0])] == label.key[0] for k in numbers
    ):
        return False
    around = sentence.text if label.family.islower() else sentence.text[max(0, label.start - 40) : label.start + 40]
    if label.family == "section" and len(document.files) > 1:
        return False
    if any(
        i.number == label.key[0][-1]
        for i in document.items
        if i.path == label.path and label.family in ("step", "task")
    ):
        return False  # a numbered list has such an item
    after = sentence.prose[label.start + len(label.name) :]
    return not _FOREIGN.search(around) and not _OF.match(after)


def _criteria(plan: Plan) -> Iterator[Claim]:
    """Judge the numbers that tasks cite of a requirements document in the same folder."""
    for folder, citations in group((dirname(c.path), c) for c in plan.citations).items():
        known = {r.name for r in plan.requirements if dirname(r.path) == folder and r.number}
        known |= {name.rpartition(".")[0] for name in known}
        missing = [c for c in citations if c.name not in known]
        if len(known) < _LEAST or not missing:
            continue
        listed = names(c.name for c in missing)
        yield Claim(
            Severity.MEDIUM,
            f"Tasks cite criteria that do not exist: {listed}",
            f"The requirements have no criterion {listed}; the tasks that cite them carry out something else, or nothing.",
            "Cite the criterion that is meant, or add it to the requirements.",
            tuple(dict.fromkeys(Place(c.path, c.line, c.line) for c in missing)),
            tuple(dict.fromkeys(c.name for c in missing)),
        )


RULE = rule("dangling-reference", check)
