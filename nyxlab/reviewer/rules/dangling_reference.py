"""A task, phase, step, requirement or section that is cited and that the plan does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from posixpath import dirname
from typing import NamedTuple

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan, Unit
from nyxlab.reviewer.rules.base import Claim, names, rule
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
    known = {key: _Known.of(numbers) for key, numbers in _known(document, plan).items()}
    items = group((i.path, i.number) for i in document.items if i.number is not None)
    missing: dict[tuple[str, str], list[Label]] = {}
    for label in document.labels:
        scope = _scope(label.family, label.path)
        of = known.get((scope, label.family))
        cites = not label.defines and not label.of and (label.family in _PARTS or not label.family.islower())
        unknown = of and cites and len(of.numbers) >= _LEAST and label.key not in of.numbers
        if of and unknown and _is_ours(document, label, of, items):
            missing.setdefault((scope, label.name), []).append(label)
    for (scope, name), cited in missing.items():
        of = known[scope, cited[0].family]
        beyond = cited[0].family.islower() and cited[0].key > max(of.numbers)
        yield Claim(
            Severity.LOW if beyond else Severity.MEDIUM,
            f"{name} does not exist",
            f"The text relies on {name}; there are {len(of.numbers)} of that kind, and none with this number.",
            cited, (name,),
        )  # fmt: skip


class _Known(NamedTuple):
    """The numbers of one kind of part, how deep they are, and the numbers that have parts of their own."""

    numbers: frozenset[Key]
    depths: frozenset[int]
    parents: frozenset[tuple[int, ...]]

    @classmethod
    def of(cls, numbers: set[Key]) -> _Known:
        parents = {whole[:n] for whole, _ in numbers for n in range(1, len(whole))}
        return cls(frozenset(numbers), frozenset(len(whole) for whole, _ in numbers), frozenset(parents))


def _scope(family: str, path: str) -> str:
    """Return where a number is unique: in its file, for phases, steps and sections; else in its folder."""
    return path if family.islower() and family not in ("epic", "story", "requirement") else dirname(path)


def _known(document: Document, plan: Plan) -> dict[tuple[str, str], set[Key]]:
    """Return the numbers that are defined, by scope and family."""
    found: dict[tuple[str, str], set[Key]] = {}
    units = [u for u in (*plan.phases, *plan.tasks, *plan.requirements) if u.number and u.family]
    every: list[Unit | Label] = [*units, *(i for i in document.labels if i.defines)]
    for each in every:
        found.setdefault((_scope(each.family, each.path), each.family), set()).add(each.key)
    for heading in document.headings:
        if heading.number:
            found.setdefault((heading.path, "section"), set()).add(key_of(heading.number))
    return found


def _is_ours(document: Document, label: Label, of: _Known, items: Mapping[str, tuple[int | None, ...]]) -> bool:
    """Whether a citation means this plan: it stands among its claims, names no other document, and is as deep as what is there."""
    sentence, whole = label.sentence, label.key[0]
    if document.standing(sentence) not in (None, Standing.FUTURE, Standing.TERMS):
        return False
    if len(whole) not in of.depths or whole in of.parents or (label.family == "section" and len(document.files) > 1):
        return False
    if label.family in ("step", "task") and whole[-1] in items.get(label.path, ()):
        return False  # "Step 6" may be the sixth item of a list
    around = sentence.text if label.family.islower() else sentence.text[max(0, label.start - 40) : label.start + 40]
    return not _FOREIGN.search(around) and not _OF.match(sentence.prose[label.start + len(label.name) :])


def _criteria(plan: Plan) -> Iterator[Claim]:
    """Judge the numbers that tasks cite of a requirements document in the same folder."""
    for folder, citations in group((dirname(c.path), c) for c in plan.citations).items():
        known = {r.name for r in plan.requirements if dirname(r.path) == folder and r.number}
        missing = [c for c in citations if c.name not in known | {name.rpartition(".")[0] for name in known}]
        if len(known) >= _LEAST and missing:
            listed = names(c.name for c in missing)
            yield Claim(
                Severity.MEDIUM,
                f"Tasks cite criteria that do not exist: {listed}",
                f"The requirements have no criterion {listed}; the tasks that cite them carry out something else, or nothing.",
                missing, dict.fromkeys(c.name for c in missing),
            )  # fmt: skip


RULE = rule("dangling-reference", check)
