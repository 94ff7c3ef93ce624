"""A status that the plan's own marks deny."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Phase, Plan, Task, Unit
from nyxlab.reviewer.rules.base import Claim, Place, at, names, rule
from nyxlab.reviewer.text.document import Document, group
from nyxlab.reviewer.text.labels import Label
from nyxlab.reviewer.text.standing import Standing

_DONE = re.compile(r"\b(?:COMPLETED?|DONE|complete[d]?|FINISHED|shipped)\b|\u2705", re.ASCII)
_PARTLY = re.compile(
    r"\b(?:not|partial\w*|in progress|until|when|if|definition|criteria|must|todo|pending|mostly|%)\b|\u23f3|\U0001f504|\U0001f6a7|\U0001f7e1|n't\b|\?",
    re.IGNORECASE,
)
_OPEN = (" ", "-", "~")


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a parent that is ticked while a part of it is open (or the other way round), a phase that is called complete with open tasks, and a status list that has other tasks than the plan."""
    yield from _parents(document, plan)
    yield from _complete(plan)
    yield from _listed(document, plan)
    yield from _phases(document, plan)


def _parents(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge the tick boxes of numbered parents (2) by those of their children (2.1, 2.2)."""
    for part in plan.parts:
        boxed = [t for p in part.phases for t in p.tasks if t.box is not None and t.number and t.family == "task"]
        children: dict[tuple[str, object], list[Task]] = {}
        for task in boxed:
            children.setdefault((task.path, task.key[0][:-1]), []).append(task)
        early, late = [], []
        for task in boxed:
            below = [t for t in children.get((task.path, task.key[0]), []) if not t.optional]
            open_ = [t for t in below if t.box in _OPEN]
            if task.box in ("x", "X") and open_ and not task.optional:
                early.append((task, open_))
            elif task.box in _OPEN and below and not open_:
                late.append((task, below))
        for found, severity, how in (
            (early, Severity.MEDIUM, "ticked while a part of it is open"),
            (late, Severity.LOW, "open while all parts of it are ticked"),
        ):
            if found:
                yield Claim(
                    severity,
                    f"{names(t.name for t, _ in found)} {'is' if len(found) == 1 else 'are'} {how}",
                    "; ".join(f"{t.name} [{t.box}]: {names((f'{b.name} [{b.box}]' for b in below), 4)}" for t, below in found[:4]) + ".",
                    "Make the mark of the parent follow from its parts.",
                    tuple(dict.fromkeys(Place(u.path, u.line, u.line) for t, below in found for u in (t, *below[:2]))),
                    tuple(t.name for t, _ in found),
                )  # fmt: skip


def _complete(plan: Plan) -> Iterator[Claim]:
    """Judge the phases of a file whose headings say that they are done by their own boxes."""
    early: dict[str, list[tuple[Phase, list[Task]]]] = {}
    for phase in plan.phases:
        title = phase.heading.text if phase.heading else ""
        open_ = [t for t in phase.tasks if t.box == " " and not t.optional and t.standing is None]
        if open_ and _DONE.search(title) and not _PARTLY.search(title):
            early.setdefault(phase.path, []).append((phase, open_))
    for found in early.values():
        yield Claim(
            Severity.MEDIUM,
            f"{names(p.name for p, _ in found)} {'is' if len(found) == 1 else 'are'} called complete with open tasks",
            "; ".join(f'"{p.heading.text[:60]}" has {len(open_)} open' for p, open_ in found[:6] if p.heading) + ".",
            "Tick what is done, or take the word back.",
            tuple(Place(u.path, u.line, u.line) for p, open_ in found for u in (p, *open_[:2])),
            tuple(p.name for p, _ in found),
        )


def _listed(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge a status section that lists the plan's tasks by number: what it has beyond them, and what it leaves out of a phase that it calls complete."""
    reported = [
        i for i in document.labels
        if i.family in ("task", "step", "story") and document.standings.heading(i.sentence.section) is Standing.STATUS
        and i.sentence.where in ("item", "task", "heading") and i.start < 12 and len(i.key[0]) == 2
    ]  # fmt: skip
    for (path, family), found in group(((i.path, i.family), i) for i in reported).items():
        own = [u for u in plan.numbered() if u.path == path and u.family == family]
        if len({i.key for i in found} & {u.key for u in own}) < 3:
            continue
        extra = [i for i in found if i.key not in {u.key for u in own}]
        if extra:
            home = [u for u in own if u.key[0][0] == extra[0].key[0][0]]
            yield Claim(
                Severity.MEDIUM,
                f"The status tells of {names(i.name for i in extra)}, which the plan does not have",
                f"The plan has {names(u.name for u in own)}.",
                "Add the task to the plan, or take it out of the status.",
                (*at(*extra), *(Place(u.path, u.line, u.line) for u in home[-1:])),
                tuple(i.name for i in extra),
            )
        yield from _left_out(own, found)


def _left_out(own: list[Unit], found: tuple[Label, ...]) -> Iterator[Claim]:
    """Judge the tasks of a phase of which the status tells only some."""
    told = {i.key for i in found}
    missing = [u for u in own if u.key not in told and any(u.key[0][0] == k[0][0] for k in told)]
    heads = {
        h.number or (m[1] if (m := re.search(r"\b(\d{1,2})\b", h.text)) else ""): h
        for i in found
        if (h := i.sentence.section)
    }
    if missing:
        beside = [heads[n] for n in dict.fromkeys(str(u.key[0][0]) for u in missing) if n in heads]
        yield Claim(
            Severity.LOW,
            f"The status leaves out {names(u.name for u in missing)}",
            f"It tells of {names(i.name for i in found)}.",
            "Say how the others stand.",
            (*(Place(u.path, u.line, u.line) for u in missing), *at(*beside)),
            tuple(u.name for u in missing),
        )


def _phases(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge a line "Status: Phase 1, 2 & 3 complete" by the headings of the phases."""
    for sentence in document.sentences:
        if (
            not sentence.first
            or not re.match(r"\W*status\b", sentence.prose, re.IGNORECASE)
            or not _DONE.search(sentence.prose)
            or _PARTLY.search(sentence.prose)
        ):
            continue
        told = [i for i in document.labels_of(sentence) if i.family == "phase"]
        own = [p for p in plan.phases if p.path == sentence.path and p.family == "phase" and p.heading]
        done = [p for p in own if p.heading and _DONE.search(p.heading.text) and not _PARTLY.search(p.heading.text)]
        extra = [p for p in done if p.key not in {i.key for i in told}]
        if len(told) >= 2 and extra and len(done) > len(extra):
            yield Claim(
                Severity.LOW,
                f"The status calls {names(i.name for i in told)} complete; the heading of {names(p.name for p in extra)} says so too",
                "The status line and the headings do not tell the same.",
                "Bring the status up to date.",
                (*at(sentence), *(Place(p.path, p.line, p.line) for p in extra)),
                tuple(p.name for p in extra),
            )


RULE = rule("status-differs", check)
