"""Facts to one plan: each file is given to the reader of its form, and what the readers find is joined."""

from collections.abc import Iterator
from posixpath import basename, dirname

from nyxlab.reviewer.plan import bmad, kiro, openspec, plain, spec_kit, superpowers
from nyxlab.reviewer.plan.model import Part, Plan
from nyxlab.reviewer.plan.needs import needs_of
from nyxlab.reviewer.text.document import Document, group

FORMS = (spec_kit, kiro, openspec, superpowers, bmad)
"""The forms that are told by what a file holds, the ones with the surest marks first."""


def read_plan(document: Document) -> Plan:
    """Read the plan of a set of documents; what no form recognises is read as plain. Never raises on any text."""
    plan = Plan(tuple(_parts(document)))
    known = {r.name for r in plan.requirements if r.number}
    by_task = group((citation.task, citation.name) for citation in plan.citations)
    for task in plan.tasks:
        cited = {i.name for i in document.labels.within(task.path, task.line, task.end_line)}
        task.cites = frozenset((cited & known).union(by_task.get(task, ())))
    plan.needs = tuple(needs_of(document, plan))
    return plan


def _parts(document: Document) -> Iterator[Part]:
    paths = list(document.files)
    of = {path: next((form for form in FORMS if form.claims(document, path)), None) for path in paths}
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
            part = Part(form=(kind or plain).NAME, paths=own)
            for read in [(kind or plain).read(document, path) for path in own]:
                part.phases += read.phases
                part.requirements += read.requirements
                part.citations += read.citations
            if kind and not part.phases:  # its tasks are written in a way of their own
                rest = (p for p in own if basename(p).startswith(("tasks", "plan")))
                part.phases += [phase for path in rest for phase in plain.read(document, path).phases]
            yield part
