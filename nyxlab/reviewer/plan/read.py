"""Facts to one plan: each file is given to the reader of its form, and what the readers find is joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from posixpath import basename, dirname

from nyxlab.reviewer.plan import bmad, kiro, openspec, plain, spec_kit, superpowers
from nyxlab.reviewer.plan.model import Part, Plan, Task
from nyxlab.reviewer.plan.needs import needs_of
from nyxlab.reviewer.plan.reading import Facts
from nyxlab.reviewer.text.document import Document

FORMS = (spec_kit, kiro, openspec, superpowers, bmad)
"""The forms that are told by what a file holds, the ones with the surest marks first."""


def read_plan(document: Document) -> Plan:
    """Read the plan that a set of documents holds. What no form recognises is read as plain; never raises on any text."""
    facts = Facts(document)
    plan = Plan.of(list(_parts(facts)))
    _cite(facts, plan)
    return replace(plan, needs=tuple(needs_of(facts, plan)))


def _parts(facts: Facts) -> Iterator[Part]:
    paths = list(facts.document.files)
    of = {path: next((form for form in FORMS if form.claims(facts, path)), None) for path in paths}
    for path in paths:  # what stands beside a form's own files, or in a folder below, belongs to it
        for form in FORMS if of[path] is None else ():
            homes = {dirname(p) for p in paths if of[p] is form and basename(p) in form.COMPANIONS}
            beside = any(dirname(path) == h or dirname(path).startswith(f"{h}/" if h else "") for h in homes)
            above = basename(path) in form.COMPANIONS and any(h.startswith(f"{dirname(path)}/") for h in homes)
            if beside or above:
                of[path] = form
                break
    for kind in (*FORMS, None):
        if own := tuple(p for p in paths if of[p] is kind):
            part = (kind or plain).read(facts, own)
            rest = tuple(p for p in own if basename(p).startswith(("tasks", "plan")))
            if kind and not part.phases and rest:  # its tasks are written in a way of their own
                part.phases += plain.read(facts, rest).phases
            yield part


def _cite(facts: Facts, plan: Plan) -> None:
    """Give each task the names of the requirements that its lines cite."""
    known = {r.name for r in plan.requirements if r.number}
    by_task: dict[Task, set[str]] = {}
    for citation in plan.citations:
        if citation.task:
            by_task.setdefault(citation.task, set()).add(citation.name)
    for task in plan.tasks:
        cited = {i.name for i in facts.labels(task.path, task.line, task.end_line)}
        task.cites = frozenset((cited & known) | by_task.get(task, set()))
