"""An order that no one can follow: something needs a later part, parts wait for one another, or two places disagree."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from nyxlab.reviewer.plan.model import Need, Task, Unit
from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, group, names


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find parts of the work that need one another or a later one, and two statements of what one needs that differ."""
    circle = _circle(plan)
    if circle:
        steps = [need.of.name for need in circle]
        round_ = f"{' needs '.join([*steps, steps[0]])}: no order of them works."
        yield Claim(Severity.HIGH, f"{names(steps)} need one another", round_, circle, steps)
    for need in plan.needs:
        if need not in circle and _is_later(plan, need):
            of, on = need.of.name, need.on.name
            said = f'"{need.words[:120]}" is said of {of}, and the plan does {on} after it.'
            yield Claim(Severity.MEDIUM, f"{of} needs {on}, which comes later", said, (need, need.on), (of, on))
    yield from _differing(plan)


def _circle(plan: Plan) -> list[Need]:
    """Return the needs of one circle, in order; none where there is no circle."""
    graph: dict[Unit, set[Unit]] = {}
    told: dict[tuple[Unit, Unit], Need] = {}
    for need in plan.needs:
        graph.setdefault(need.of, set()).add(need.on)
        told.setdefault((need.of, need.on), need)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        nodes: list[Unit] = error.args[1]  # each is needed by the one after it
        return [told[two, one] for one, two in pairwise(nodes)][::-1]
    return []


def _is_later(plan: Plan, need: Need) -> bool:
    """Whether what is needed comes later: the same kind of part, in the same file, with a higher number."""
    of, on = need.of, need.on
    same = type(of) is type(on) and of.path == on.path and of.family == on.family and bool(of.number and on.number)
    return same and plan.order[on] > plan.order[of] and on.key > of.key


def _differing(plan: Plan) -> Iterator[Claim]:
    """Judge tasks whose own line names what they need, and another place something more."""
    by_task: dict[Unit, tuple[Need, ...]] = group(
        (need.of, need) for need in plan.needs if isinstance(need.of, Task) and isinstance(need.on, Task)
    )
    found: dict[tuple[str, int], list[tuple[Unit, list[Need], list[Need]]]] = {}
    for task, needs in by_task.items():
        own = [n for n in needs if n.own and n.line == task.line]
        for (path, line), others in group(((n.path, n.line), n) for n in needs if not n.own).items():
            more = [n for n in others if n.on not in {o.on for o in own}]
            if own and more and not _reaches(by_task, {n.on for n in own}, {n.on for n in more}):
                found.setdefault((path, line), []).append((task, own, more))
    for (path, line), told in found.items():
        tasks = [t for t, _, _ in told]
        pairs = [(t.name, names(n.on.name for n in own), names(n.on.name for n in more)) for t, own, more in told[:4]]
        yield Claim(
            Severity.MEDIUM,
            f"What {names(t.name for t in tasks)} need is told in two ways",
            "; ".join(f"{name}: {own} in its own line, also {more} elsewhere" for name, own, more in pairs) + ".",
            (Place(path, line, line), *tasks), [t.name for t in tasks],
        )  # fmt: skip


def _reaches(by_task: dict[Unit, tuple[Need, ...]], start: set[Unit], wanted: set[Unit]) -> bool:
    """Whether what is wanted is needed anyway, by way of what is needed."""
    seen, todo = set(start), list(start)
    while todo and len(seen) < 400:
        for need in by_task.get(todo.pop(), ()):
            if need.on not in seen:
                seen.add(need.on)
                todo.append(need.on)
    return wanted <= seen
