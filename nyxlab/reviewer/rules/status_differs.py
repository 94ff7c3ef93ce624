"""A status that the plan's own marks deny."""

import re
from collections.abc import Iterator

from nyxlab.reviewer.plan.model import Task
from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity, group, names
from nyxlab.reviewer.text.standing import Standing

_DONE = re.compile(r"\b(?:COMPLETED?|DONE|complete[d]?|FINISHED|shipped)\b|\u2705", re.ASCII)
_PARTLY = re.compile(
    r"\b(?:not|partial\w*|in progress|until|when|if|definition|criteria|must|todo|pending|mostly|%)\b"
    r"|\u23f3|\U0001f504|\U0001f6a7|\U0001f7e1|n't\b|\?",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\A\W{0,9}status\b", re.IGNORECASE)
_OPEN, _TICKED = (" ", "-", "~"), ("x", "X")


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a status that the plan denies.

    A parent that is ticked while a part of it is open (or the other way round), a phase that is called complete with
    open tasks, and a status that tells of other tasks or phases than the plan.
    """
    yield from _parents(plan)
    yield from _complete(plan)
    yield from _listed(document, plan)
    yield from _phases(document, plan)


def _parents(plan: Plan) -> Iterator[Claim]:
    """Judge the tick boxes of numbered parents (2) by those of their children (2.1, 2.2)."""
    odd: list[tuple[tuple[bool, str], tuple[Task, list[Task]]]] = []
    boxed = [t for t in plan.tasks if t.box is not None and t.number and t.family == "task"]
    children = group(((t.path, t.key[0][:-1]), t) for t in boxed)
    form = {path: part.form for part in plan.parts for path in part.paths}
    for task in boxed:
        below = [t for t in children.get((task.path, task.key[0]), ()) if not t.optional]
        open_ = [t for t in below if t.box in _OPEN]
        if task.box in _TICKED and open_ and not task.optional:
            odd.append(((True, form[task.path]), (task, open_)))
        elif task.box in _OPEN and below and not open_:
            odd.append(((False, form[task.path]), (task, below)))
    for (early, _), found in group(odd).items():
        how = "ticked while a part of it is open" if early else "open while all parts of it are ticked"
        told = [f"{t.name} [{t.box}]: {names((f'{b.name} [{b.box}]' for b in below), 4)}" for t, below in found[:4]]
        yield Claim(
            Severity.MEDIUM if early else Severity.LOW,
            f"{names(t.name for t, _ in found)} {'is' if len(found) == 1 else 'are'} {how}",
            f"{'; '.join(told)}.",
            [u for t, below in found for u in (t, *below[:2])], [t.name for t, _ in found],
        )  # fmt: skip


def _is_done(text: str) -> bool:
    return bool(_DONE.search(text)) and not _PARTLY.search(text)


def _complete(plan: Plan) -> Iterator[Claim]:
    """Judge the phases of a file whose headings say that they are done by their own boxes."""
    done = [p for p in plan.phases if p.heading and _is_done(p.heading.text)]
    open_ = {p: [t for t in p.tasks if t.box == " " and not t.optional and t.standing is None] for p in done}
    for found in group((p.path, p) for p in done if open_[p]).values():
        told = [f'"{p.heading.text[:60]}" has {len(open_[p])} open' for p in found if p.heading]
        yield Claim(
            Severity.MEDIUM,
            f"{names(p.name for p in found)} {'is' if len(found) == 1 else 'are'} called complete with open tasks",
            "; ".join(told[:6]) + ".",
            [u for p in found for u in (p, *open_[p][:2])], [p.name for p in found],
        )  # fmt: skip


def _listed(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge a status section that lists tasks by number by those of the plan."""
    reported = [
        i for i in document.labels
        if i.family in ("task", "step", "story") and document.standings[i.sentence.section] is Standing.STATUS
        and i.sentence.where in ("item", "task", "heading") and i.start < 12 and len(i.key[0]) == 2
    ]  # fmt: skip
    for (path, family), found in group(((i.path, i.family), i) for i in reported).items():
        own = {u.key: u for u in plan.numbered() if u.path == path and u.family == family}
        extra = [i for i in found if i.key not in own]
        if extra and len({i.key for i in found} & own.keys()) >= 3:
            home = [u for key, u in own.items() if key[0][0] == extra[0].key[0][0]]
            yield Claim(
                Severity.MEDIUM, f"The status tells of {names(i.name for i in extra)}, which the plan does not have",
                f"The plan has {names(u.name for u in own.values())}.",
                (*extra, *home[-1:]), [i.name for i in extra],
            )  # fmt: skip


def _phases(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge a line "Status: Phase 1, 2 & 3 complete" by the headings of the phases."""
    for sentence in document.sentences:
        if sentence.first and _STATUS.match(sentence.prose) and _is_done(sentence.prose):
            told = {i.key: i.name for i in document.labels_of.get(sentence, ()) if i.family == "phase"}
            own = [p for p in plan.phases if p.path == sentence.path and p.family == "phase" and p.heading]
            done = [p for p in own if p.heading and _is_done(p.heading.text)]
            extra = [p for p in done if p.key not in told]
            if len(told) >= 2 and extra and len(done) > len(extra):
                beyond = names(p.name for p in extra)
                yield Claim(
                    Severity.LOW,
                    f"The status calls {names(told.values())} complete; the heading of {beyond} says so too",
                    "The status line and the headings do not tell the same.",
                    (sentence, *extra), [p.name for p in extra],
                )  # fmt: skip
