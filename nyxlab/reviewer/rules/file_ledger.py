"""Files that two parts of the plan tell differently: drawn as new and in no task, made and not drawn, made twice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from posixpath import basename, dirname

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan, Task, Unit
from nyxlab.reviewer.rules.base import Claim, Place, at, names, rule
from nyxlab.reviewer.text.code import Code
from nyxlab.reviewer.text.document import Document, group
from nyxlab.reviewer.text.files import FileMention
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import stem, stems

_SCOPE = re.compile(r"\b(?:out of scope|not (?:in scope|needed|included|required)|omitted|no need)\b", re.IGNORECASE)
_MAKES = re.compile(
    r"\b(?:add|implement|create|introduce|define)\b(?:\s(?:a|the|new|helper|method|function|async|static)){0,3}:?\s`(\w+\([^`()]*[a-z][^`()]*\))",
    re.IGNORECASE,
)
_TEST = re.compile(r"test|spec\b", re.IGNORECASE)
_COMMON = frozenset(
    ["index", "errors", "types", "utils", "constants", "helpers", "config", "main", "app", "models", "routes", "schema"]
)
"""Names that several folders have by right."""
_LEAST = 3  # files that two lists share, before a difference says anything


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find files that the drawn tree or the list of files marks as new and no task names, files that tasks make and that it lacks, code whose file the tree has elsewhere or not at all, a file or function that two tasks are each to make, and files that the repository, where it is named, has or lacks against what is said."""
    inside = {(t.path, n) for t in plan.tasks for n in range(t.line, t.end_line + 1)}
    aside = (Standing.REJECTED, Standing.STATUS, Standing.FORM)
    own = [
        m
        for m in document.file_mentions
        if (m.said == "tree" or (_listed(m) and (m.path, m.line) not in inside))
        and document.standings.heading(document.section_at(m.path, m.line)) not in aside
    ]
    yield from _new(document, plan, [m for m in own if m.action == "new"])
    yield from _undrawn(plan, own)
    yield from _code(document, [m for m in own if m.said == "tree"])
    yield from _twice(plan)
    yield from _functions(document, plan)
    yield from _repository(document)


def _listed(mention: FileMention) -> bool:
    """Whether a file stands in a list or table of files, with what is to be done to it."""
    item = mention.sentence is not None and mention.sentence.where == "item"
    return "/" in mention.name and (mention.said == "table" or (mention.said == "label" and item))


def _new(document: Document, plan: Plan, drawn: list[FileMention]) -> Iterator[Claim]:
    """Judge the files that are marked as new in a tree by the tasks."""
    named = {base for task in plan.tasks for base in _bases(task)}
    missing = [m for m in drawn if m.base not in named]
    if len(drawn) - len(missing) >= _LEAST and missing and 2 * len(missing) < len(drawn):
        claim = _claim(
            f"{names((m.base for m in missing), 4)}: new in the list of files, and in no task",
            f"{len(drawn) - len(missing)} of {len(drawn)} files that are listed or drawn as new are made by a task, these are not.",
            "Add the task that makes each, or take it out of the list.", missing, Severity.MEDIUM,
        )  # fmt: skip
        left_out = [
            s for s in document.sentences if _SCOPE.search(s.prose) and any(_speaks(s.plain, m.base) for m in missing)
        ]
        yield replace(claim, places=tuple(dict.fromkeys((*claim.places[:2], *at(*left_out[:2]), *claim.places[2:]))))


def _speaks(text: str, base: str) -> bool:
    """Whether a text speaks of a file by two words of its name: "controller tests" of AuthControllerTests.cs."""
    humps = {stem(h) for h in re.findall(r"[A-Z]?[a-z]{3,}", base.partition(".")[0])}
    return len(humps & stems(text)) >= 2


def _undrawn(plan: Plan, drawn: list[FileMention]) -> Iterator[Claim]:
    """Judge the files that tasks are to make by a tree that marks what is new."""
    marked = [m for m in drawn if m.action]
    folders = {dirname(m.name) for m in drawn}
    made = [m for task in plan.tasks for m in task.touches.values() if "/" in m.name and _made(m)]
    known = {m.base for m in drawn}
    missing = list(
        {
            m.name: m for m in made if m.base not in known and _below(m.name, folders) and not _TEST.search(m.base)
        }.values()
    )
    if len(marked) >= _LEAST and missing and 2 * len(missing) < len({m.name for m in made}):
        yield _claim(
            f"{names((m.base for m in missing), 4)}: made by a task, and not in the list of files",
            "The list or tree names what is new in these folders; these files are made there too.",
            "Add them to the list, or say why they are not part of it.", missing, Severity.LOW, drawn[:1],
        )  # fmt: skip


def _made(mention: FileMention) -> bool:
    """Whether a task is to make the file: it says so, or "Create X in `file`"."""
    if mention.action:
        return mention.action == "new"
    words = mention.sentence.plain.split(" ")[:6] if mention.sentence else []
    return any(w in ("Create", "Implement", "Write") for w in words) and mention.said == "named"


def _below(name: str, folders: set[str]) -> bool:
    """Whether the tree draws the file's own folder, or the one above it."""
    parts = dirname(name).split("/")
    ends = {"/".join(parts[n:]) for n in range(len(parts))} | {dirname(dirname(name))}
    return bool((ends & folders) - {""})


def _code(document: Document, drawn: list[FileMention]) -> Iterator[Claim]:
    """Judge the file that a block of code says it is by the tree."""
    by_base = group((m.base, m) for m in drawn)
    told: dict[str, Code] = {}
    for code in document.code:
        if code.file and "/" in code.file and ".test." not in code.file:
            told.setdefault(code.file, code)
    fits = {f for f in told if any(f.endswith(m.name) or m.name.endswith(f) for m in by_base.get(basename(f), ()))}
    if len(fits) < _LEAST:
        return
    for file, code in told.items():
        elsewhere = by_base.get(basename(file), ())
        if file not in fits and elsewhere and basename(file).partition(".")[0] not in _COMMON:
            yield Claim(
                Severity.LOW,
                f"{basename(file)} stands in two folders",
                f"The code is {file}; the tree has {elsewhere[0].name}.",
                "Keep one place.",
                (Place(elsewhere[0].path, elsewhere[0].line, elsewhere[0].line), Place(code.fence.path, code.fence.line + 1, code.fence.line + 1)),
                (basename(file),),
                (file, elsewhere[0].name),
            )  # fmt: skip
    tops = {f.split("/")[0] for f in fits}
    missing = [
        c
        for f, c in told.items()
        if f not in fits
        and f.split("/")[0] in tops
        and (basename(f) not in by_base or basename(f).partition(".")[0] in _COMMON)
    ]
    if missing and len(missing) < len(fits):
        tree = drawn[0]
        yield Claim(
            Severity.LOW,
            f"{names((basename(str(c.file)) for c in missing), 4)}: shown as code, and not in the tree",
            f"{len(fits)} files whose code is shown stand in the tree; these do not.",
            "Add them to the tree.",
            (
                *(Place(c.fence.path, c.fence.line + 1, c.fence.line + 1) for c in missing),
                Place(tree.path, tree.line, tree.line),
            ),
            tuple(str(c.file) for c in missing),
        )


def _twice(plan: Plan) -> Iterator[Claim]:
    """Judge files that several parts of the work are each to create, or of which one changes what a later one creates, by their labels."""
    told: dict[str, dict[Unit, FileMention]] = {}
    for task in plan.tasks:
        for mention in task.touches.values():
            if mention.said == "label" and "/" in mention.name and task.phase:
                home = task.phase if task.lead or task.phase.family == "task" else task
                told.setdefault(mention.name, {}).setdefault(home, mention)
    twice: dict[tuple[str, ...], list[FileMention]] = {}
    for name, uses in told.items():
        made = [unit for unit, mention in uses.items() if mention.action == "new"]
        if len({unit.path for unit in uses}) > 1 or not made:
            continue
        if len(made) > 1:
            twice.setdefault(tuple(unit.name for unit in made), []).extend(uses[unit] for unit in made)
        elif early := [u for u in uses if uses[u].action == "modify" and plan.order[u] < plan.order[made[0]]]:
            yield _claim(
                f"{basename(name)} is changed by {early[0].name} and made only by {made[0].name}",
                "Followed in its own order, the plan changes a file that is not there yet.",
                "Make it before it is changed, or say that it exists.", [uses[early[0]], uses[made[0]]], Severity.MEDIUM,
            )  # fmt: skip
    for units, mentions in twice.items():
        yield _claim(
            f"{names(units)} are each to create {names((m.name for m in mentions), 3)}",
            "Two tasks make the same file; the second one overwrites or changes what the first one made.",
            "Let one task create it and the others modify it.", mentions, Severity.MEDIUM,
        )  # fmt: skip


def _functions(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge functions that two tasks are each to add, by a signature that is the same to the letter."""
    made: dict[str, dict[Task, int]] = {}
    at_line = {(t.path, line): t for t in plan.tasks for line in range(t.line, t.end_line + 1)}
    for sentence in document.sentences:
        task = at_line.get((sentence.path, sentence.line)) if "`" in sentence.text else None
        for m in _MAKES.finditer(sentence.text) if task else ():
            made.setdefault(m[1], {}).setdefault(task, sentence.line)  # type: ignore[arg-type]  # the condition above
    for function, tasks in made.items():
        if len(tasks) > 1:
            yield Claim(
                Severity.LOW,
                f"{names(t.name for t in tasks)} are each to add {function.partition('(')[0]}",
                f"{function} is introduced in {len(tasks)} tasks.",
                "Let one task add it, and the other change it.",
                tuple(Place(t.path, line, line) for t, line in tasks.items()),
                (function,),
            )


def _repository(document: Document) -> Iterator[Claim]:
    """Judge what is said to be new or existing by the files of the repository, where it was named."""
    said = [m for m in document.file_mentions if document.repo is not None and m.action and m.said != "verb"]
    made = {m.name for m in said if m.action == "new"}
    for name, mentions in group((m.name, m) for m in said).items():
        first = mentions[0]
        there = name in (document.repo or ())
        if there and first.action == "new":
            told = f"{name} is called new, and the repository has it"
        elif not there and first.action != "new" and name not in made and "/" in name:
            told = f"{name} is to be {'deleted' if first.action == 'delete' else 'modified'}, and the repository has no such file"
        else:
            continue
        why = "The plan was written for another state of the repository, or names another file."
        yield _claim(
            told,
            why,
            "Name the file that is meant, or say what is to be done to it.",
            list(mentions[:3]),
            Severity.MEDIUM,
        )


def _bases(task: Task) -> Iterable[str]:
    """Return the last parts of the files that a task names, in its text too ("AuthController" makes AuthController.cs)."""
    yield from (m.base for m in task.files)


def _claim(
    title: str,
    explanation: str,
    fix: str,
    mentions: list[FileMention],
    severity: Severity,
    beside: Sequence[FileMention] = (),
) -> Claim:
    places = tuple(dict.fromkeys(Place(m.path, m.line, m.line) for m in (*mentions[:3], *beside, *mentions[3:])))
    return Claim(severity, title, explanation, fix, places, tuple(m.name for m in mentions))


RULE = rule("file-ledger", check)
