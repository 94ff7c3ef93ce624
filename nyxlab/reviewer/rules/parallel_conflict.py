"""Work that is said to run in parallel and cannot: it edits one file, or one part waits for another."""

import re
from collections.abc import Iterator, Sequence

from nyxlab.reviewer.plan.model import Phase, Task, Unit
from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity, group, names
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.standing import Standing

_TOGETHER = re.compile(
    r"\b(?:in parallel(?: with)?|simultaneously|at the same time|concurrently|parallel(?:ized)? with)\b", re.IGNORECASE
)
_APART = re.compile(r"\bdifferent (?:test|case|function|method|section|part)", re.IGNORECASE)
_ASIDE = re.compile(
    r"\b(?:as in|like|see|from|per|than|of|by|against|(?:defined|declared|described|found|used) in) `?$", re.IGNORECASE
)
_WAITS = re.compile(r"\b(?:wait\w*|depend\w*|blocked|needs?|requires?)\b", re.IGNORECASE)
_HEADED = re.compile(r"\b(?:in parallel|parallel|simultaneously|concurrently)\b", re.IGNORECASE)
_NOT = re.compile(
    r"\b(?:not|cannot|never|sequential\w*|except|after|once|then|between|most|some)\b|n't\b", re.IGNORECASE
)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find tasks that are marked or said to run in parallel though they edit one file, or one of them needs another."""
    marked = [
        (phase.path, [t for t in phase.tasks if t.parallel and t.standing is not Standing.FUTURE])
        for phase in plan.phases
    ]
    shared = group((path, each) for path, tasks in marked for each in _shared(tasks).items())
    for found in shared.values():
        tasks, files = [t for users, _ in found for t in users], [f for _, files in found for f in files]
        yield _claim(tasks, files, "marked [P]", ())
    by_phase = [(p, n) for n in plan.needs if (p := _phase(n.of)) and p is not n.of]
    needs = group([*((n.of, n) for n in plan.needs), *by_phase])
    known = {t for found in shared.values() for users, _ in found for t in users}
    for sentence, units in _said(document, plan):
        tasks = [u for u in units if isinstance(u, Task)]
        for users, files in _shared(tasks).items() if not _APART.search(sentence.prose) else ():
            if not known.issuperset(users):
                yield _claim(users, files, "said to run in parallel", (sentence,))
        for need in [n for unit in units for n in needs.get(unit, ())]:
            of, on = (need.of, need.on) if tasks else (_phase(need.of), _phase(need.on))
            if of and on and of is not on and of in units and on in units and need.sentence is not sentence:
                yield Claim(
                    Severity.MEDIUM, f"{of.name} is to run in parallel with {on.name}, which it needs",
                    f'One place runs them together; another says of {need.of.name}: "{need.words[:120]}".',
                    (sentence, need, need.of), (of.name, on.name),
                )  # fmt: skip
                break


def _phase(unit: Unit) -> Unit | None:
    return unit.phase if isinstance(unit, Task) else unit


def _said(document: Document, plan: Plan) -> Iterator[tuple[Sentence, Sequence[Unit]]]:
    """Yield the statements that name two or more parts of the work as parallel, ranges resolved."""
    for sentence in document.sentences if plan.tasks else ():
        if sentence.where in ("heading", "cell") or document.standing(sentence):
            continue
        text, m = sentence.prose, _TOGETHER.search(sentence.prose)
        if not m and (_WAITS.search(text) or not _is_headed(document, sentence)):
            continue
        labels = [i for i in document.labels_of.get(sentence, ()) if text[i.start - 1 : i.start] != "["]
        clause = max(text.rfind(mark, 0, m.start()) for mark in (";", "\u2014", ". ")) + 1 if m else 0
        before = [i for i in labels if m and i.start < m.start()]
        if m and m[0].lower().endswith("with"):  # "US4 \u2026; can run in parallel with US3"
            labels = before[:1] + [i for i in labels if i.start > m.end()][:1]
        elif m:
            labels = before
        if _NOT.search(text[clause : m.end()] if m else text[: labels[-1].start] if labels else ""):
            continue
        alike = ([u for u in plan.named(labels) if isinstance(u, kind)] for kind in (Task, Phase))
        if units := next((units for units in alike if len(units) > 1), None):
            yield sentence, units


def _is_headed(document: Document, sentence: Sentence) -> bool:
    """Whether an item stands below words that call the list parallel."""
    intro = document.intro(sentence)
    over = [intro.prose if intro else "", sentence.section.text if sentence.section else ""]
    return sentence.where == "item" and any(_HEADED.search(t) and not _NOT.search(t) for t in over)


def _shared(tasks: Sequence[Task]) -> dict[tuple[Task, ...], list[str]]:
    """Return the groups of tasks that work in the same files, with these."""
    shared: dict[tuple[Task, ...], list[str]] = {}
    for name, users in group((name, t) for t in tasks for name in t.touches if _works_in(t, name)).items():
        if len(users) > 1:
            shared.setdefault(users, []).append(name)
    return shared


def _claim(tasks: Sequence[Task], files: Sequence[str], how: str, said: tuple[Sentence, ...]) -> Claim:
    tasks, files = list(dict.fromkeys(tasks)), list(dict.fromkeys(files))
    noun = "file" if len(files) == 1 else "files"
    return Claim(
        Severity.MEDIUM, f"{names((t.name for t in tasks), 6)} are {how} and edit {names(files, 3)}",
        f"{len(tasks)} tasks that may run at the same time work in the same {noun} as another.",
        (*said, *tasks), [t.name for t in tasks], files,
    )  # fmt: skip


def _works_in(task: Task, name: str) -> bool:
    """Whether a task edits a file: it says what is done to it, or names it last, as the place of the work."""
    mention = task.touches[name]
    aside = [m for m in task.files if m.sentence and _ASIDE.search(m.sentence.text.partition(m.name)[0])]
    own = [m for m in task.files if m.line == task.line and m not in aside]
    labelled = mention.said == "label" or (mention.sentence is not None and mention.sentence.plain.startswith("File"))
    return "/" in name and ((bool(own) and own[-1].name == name) or labelled or mention.action == "new")
