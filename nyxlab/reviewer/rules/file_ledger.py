"""Files that two parts of the plan tell differently: drawn as new and in no task, made and not drawn, made twice."""

import re
from collections.abc import Iterator
from posixpath import basename, dirname

from nyxlab.reviewer.plan.model import Task, Unit
from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, group, names
from nyxlab.reviewer.text.files import FileMention
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import stem, stems

_SCOPE = re.compile(r"\b(?:out of scope|not (?:in scope|needed|included|required)|omitted|no need)\b", re.IGNORECASE)
_MAKES = re.compile(
    r"\b(?:add|implement|create|introduce|define)\b(?:\s(?:a|the|new|helper|method|function|async|static)){0,3}:?"
    r"\s`(\w+\([^`()]*[a-z][^`()]*\))",
    re.IGNORECASE,
)
_TEST = re.compile(r"test|spec\b", re.IGNORECASE)
_COMMON = "index errors types utils constants helpers config main app models routes schema"
"""Names that several folders have by right."""
_LEAST = 3  # files that two lists share, before a difference says anything


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a file that the tree or list of files, the tasks, the code and the repository tell differently.

    New there and in no task, or the other way round; code whose file the tree has elsewhere or not at all; a file or
    function that two tasks are each to make; one that the repository, where it is named, has or lacks against the plan.
    """
    aside = (Standing.REJECTED, Standing.STATUS, Standing.FORM)
    own = [
        m for m in document.file_mentions
        if (m.said == "tree" or (_listed(m) and (m.path, m.line) not in plan.task_at))
        and document.standings[document.headings.last(m.path, m.line)] not in aside
    ]  # fmt: skip
    yield from _new(document, plan, [m for m in own if m.action == "new"])
    yield from _undrawn(plan, own)
    yield from _code(document, [m for m in own if m.said == "tree"])
    yield from _twice(plan)
    yield from _functions(document, plan)
    yield from _repository(document)


def _listed(mention: FileMention) -> bool:
    """Whether a file stands in a list or table of files, with what is to be done to it."""
    item = mention.said == "label" and mention.sentence and mention.sentence.where == "item"
    return "/" in mention.name and bool(mention.said == "table" or item)


def _new(document: Document, plan: Plan, drawn: list[FileMention]) -> Iterator[Claim]:
    """Judge the files that are marked as new in a tree by the tasks."""
    named = {m.base for task in plan.tasks for m in task.files}
    missing = [m for m in drawn if m.base not in named]
    met = len(drawn) - len(missing)
    if met >= _LEAST and missing and len(missing) < met:
        out = [s for s in document.sentences if _SCOPE.search(s.prose) and any(_speaks(s.plain, m) for m in missing)]
        yield Claim(
            Severity.MEDIUM, f"{names((m.base for m in missing), 4)}: new in the list of files, and in no task",
            f"{met} of {len(drawn)} files that are listed or drawn as new are made by a task, these are not.",
            (*missing[:2], *out[:2], *missing[2:]), [m.name for m in missing],
        )  # fmt: skip


def _speaks(text: str, mention: FileMention) -> bool:
    """Whether a text speaks of a file by two words of its name: "controller tests" of AuthControllerTests.cs."""
    humps = {stem(h) for h in re.findall(r"[A-Z]?[a-z]{3,}", mention.base.partition(".")[0])}
    return len(humps & stems(text)) >= 2


def _undrawn(plan: Plan, drawn: list[FileMention]) -> Iterator[Claim]:
    """Judge the files that tasks are to make by a tree that marks what is new."""
    folders, known = {dirname(m.name) for m in drawn}, {m.base for m in drawn}
    made = {m.name: m for task in plan.tasks for m in task.touches.values() if "/" in m.name and _made(m)}
    missing = [m for m in made.values() if m.base not in known and _below(m.name, folders) and not _TEST.search(m.base)]
    if sum(bool(m.action) for m in drawn) >= _LEAST and missing and 2 * len(missing) < len(made):
        yield Claim(
            Severity.LOW, f"{names((m.base for m in missing), 4)}: made by a task, and not in the list of files",
            "The list or tree names what is new in these folders; these files are made there too.",
            (*missing[:3], drawn[0], *missing[3:]), [m.name for m in missing],
        )  # fmt: skip


def _made(mention: FileMention) -> bool:
    """Whether a task is to make the file: it says so, or "Create X in `file`"."""
    if mention.action:
        return mention.action == "new"
    words = mention.sentence.plain.split(" ")[:6] if mention.sentence else []
    return mention.said == "named" and not {"Create", "Implement", "Write"}.isdisjoint(words)


def _below(name: str, folders: set[str]) -> bool:
    """Whether the tree draws the file's own folder, or the one above it."""
    parts = dirname(name).split("/")
    ends = {"/".join(parts[n:]) for n in range(len(parts))} | {dirname(dirname(name))}
    return bool((ends & folders) - {""})


def _code(document: Document, drawn: list[FileMention]) -> Iterator[Claim]:
    """Judge the file that a block of code says it is by the tree."""
    by_base = group((m.base, m) for m in drawn)
    shown = group((code.file, code.fence) for code in document.code if "/" in code.file and ".test." not in code.file)
    told = {file: Place(fence.path, fence.line + 1, fence.line + 1) for file, (fence, *_) in shown.items()}
    fits = {f for f in told if any(f.endswith(m.name) or m.name.endswith(f) for m in by_base.get(basename(f), ()))}
    tops = {f.split("/")[0] for f in fits}
    missing: dict[str, Place] = {}
    for file, place in told.items() if len(fits) >= _LEAST else ():
        elsewhere, common = by_base.get(basename(file), ()), basename(file).partition(".")[0] in _COMMON.split()
        if file not in fits and elsewhere and not common:
            yield Claim(
                Severity.LOW, f"{basename(file)} stands in two folders",
                f"The code is {file}; the tree has {elsewhere[0].name}.",
                (elsewhere[0], place), (basename(file),), (file, elsewhere[0].name),
            )  # fmt: skip
        elif file not in fits and file.split("/")[0] in tops:
            missing[file] = place
    if missing and len(missing) < len(fits):
        yield Claim(
            Severity.LOW, f"{names(map(basename, missing), 4)}: shown as code, and not in the tree",
            f"{len(fits)} files whose code is shown stand in the tree; these do not.",
            (*missing.values(), drawn[0]), missing,
        )  # fmt: skip


def _twice(plan: Plan) -> Iterator[Claim]:
    """Judge the files that by their labels several parts of the work create, or one changes before it is there."""
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
            yield Claim(
                Severity.MEDIUM, f"{basename(name)} is changed by {early[0].name} and made only by {made[0].name}",
                "Followed in its own order, the plan changes a file that is not there yet.",
                (uses[early[0]], uses[made[0]]), (name,),
            )  # fmt: skip
    for units, mentions in twice.items():
        files = [m.name for m in mentions]
        yield Claim(
            Severity.MEDIUM, f"{names(units)} are each to create {names(files, 3)}",
            "Two tasks make the same file; the second one overwrites or changes what the first one made.",
            mentions, files,
        )  # fmt: skip


def _functions(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge functions that two tasks are each to add, by a signature that is the same to the letter."""
    made: dict[str, dict[Task, Place]] = {}
    for s in document.sentences:
        for m in _MAKES.finditer(s.text) if (s.path, s.line) in plan.task_at and "`" in s.text else ():
            made.setdefault(m[1], {}).setdefault(plan.task_at[s.path, s.line], Place(s.path, s.line, s.line))
    for function, tasks in made.items():
        if len(tasks) > 1:
            title = f"{names(t.name for t in tasks)} are each to add {function.partition('(')[0]}"
            said = f"{function} is introduced in {len(tasks)} tasks."
            yield Claim(Severity.LOW, title, said, tasks.values(), (function,))


def _repository(document: Document) -> Iterator[Claim]:
    """Judge what is said to be new or existing by the files of the repository, where it was named."""
    said = [m for m in document.file_mentions if document.repo is not None and m.action and m.said != "verb"]
    made = {m.name for m in said if m.action == "new"}
    for name, mentions in group((m.name, m) for m in said).items():
        action, there = mentions[0].action, name in (document.repo or ())
        if there and action == "new":
            told = f"{name} is called new, and the repository has it"
        elif not there and action != "new" and name not in made and "/" in name:
            done = "deleted" if action == "delete" else "modified"
            told = f"{name} is to be {done}, and the repository has no such file"
        else:
            continue
        why = "The plan was written for another state of the repository, or names another file."
        yield Claim(Severity.MEDIUM, told, why, mentions[:3], (name,))
