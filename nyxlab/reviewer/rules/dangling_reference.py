"""A task, phase, step, requirement or section that is cited and that the plan does not have."""

import re
from collections.abc import Iterator
from posixpath import dirname

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity, group, names
from nyxlab.reviewer.text.labels import Key, Label, key_of
from nyxlab.reviewer.text.standing import Standing

_PARTS = ("phase", "step", "task", "story", "milestone", "epic", "stage", "requirement", "section")
_FOREIGN = re.compile(
    r"""\b(?:RFC|spec(?:ification)?s?|guide|docs?|document(?:ation)?|manual|standard|paper|book|chapter|design|PRD
    |proposal|README|upstream|plan|issue|PR|repo(?:sitory)?|constitution|appendix|law|GDPR|HIPAA|article)\b
    |\.md\b|https?:|\]\(|\#\d""",
    re.IGNORECASE | re.VERBOSE,
)
_OF = re.compile(r"^\s(?:of|in|from) (?:the|our|that|its)\b", re.IGNORECASE)
_LEAST = 3


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a task, step, phase, requirement or section of this set that is cited by a number that nothing has."""
    yield from _criteria(plan)
    known = _known(document, plan)
    depths = {(kind, len(whole)) for kind, keys in known.items() for whole, _ in keys}
    parents = {(kind, whole[:n]) for kind, keys in known.items() for whole, _ in keys for n in range(1, len(whole))}
    missing: dict[tuple[str, str], list[Label]] = {}
    for label in document.labels:
        scope, whole = _scope(label.family, label.path), label.key[0]
        kind = (scope, label.family)
        cites = not label.defines and not label.of and (label.family in _PARTS or not label.family.islower())
        unknown = cites and len(known.get(kind, ())) >= _LEAST and label.key not in known[kind]
        if unknown and (kind, len(whole)) in depths and (kind, whole) not in parents and _is_ours(document, label):
            missing.setdefault((scope, label.name), []).append(label)
    for (scope, name), cited in missing.items():
        numbers = known[scope, cited[0].family]
        beyond = cited[0].family.islower() and cited[0].key > max(numbers)
        yield Claim(
            Severity.LOW if beyond else Severity.MEDIUM,
            f"{name} does not exist",
            f"The text relies on {name}; there are {len(numbers)} of that kind, and none with this number.",
            cited, (name,),
        )  # fmt: skip


def _scope(family: str, path: str) -> str:
    """Return where a number is unique: in its file, for phases, steps and sections; else in its folder."""
    return path if family.islower() and family not in ("epic", "story", "requirement") else dirname(path)


def _known(document: Document, plan: Plan) -> dict[tuple[str, str], set[Key]]:
    """Return the numbers that are defined, by scope and family."""
    units = (*plan.phases, *plan.tasks, *plan.requirements)
    told = [(u.path, u.family, u.key) for u in units if u.number and u.family]
    told += [(i.path, i.family, i.key) for i in document.labels if i.defines]
    told += [(h.path, "section", key_of(h.number)) for h in document.headings if h.number]
    return {name: set(keys) for name, keys in group(((_scope(f, path), f), key) for path, f, key in told).items()}


def _is_ours(document: Document, label: Label) -> bool:
    """Whether a citation means this plan: it stands among its claims and names no other document."""
    sentence = label.sentence
    if document.standing(sentence) not in (None, Standing.FUTURE, Standing.TERMS):
        return False
    if label.family == "section" and len(document.files) > 1:
        return False
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
                Severity.MEDIUM, f"Tasks cite criteria that do not exist: {listed}",
                f"The requirements have no criterion {listed}; "
                "the tasks that cite them carry out something else, or nothing.",
                missing, dict.fromkeys(c.name for c in missing),
            )  # fmt: skip
