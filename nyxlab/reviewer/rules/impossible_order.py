"""An order that no one can follow: something needs a later part, parts wait for one another, or two places disagree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    for need in (need for need in plan.needs if need not in circle):
        of, on = need.of, need.on
        alike = type(of) is type(on) and of.path == on.path and of.family == on.family and of.number and on.number
        if alike and plan.order[on] > plan.order[of] and on.key > of.key:
            said = f'"{need.words[:120]}" is said of {of.name}, and the plan does {on.name} after it.'
            title = f"{of.name} needs {on.name}, which comes later"
            yield Claim(Severity.MEDIUM, title, said, (need, on), (of.name, on.name))
    yield from _differing(plan)


def _circle(plan: Plan) -> list[Need]:
    """Return the needs of one circle, in order; none where there is no circle."""
    told = {(need.of, need.on): need for need in reversed(plan.needs)}
    try:
        TopologicalSorter(group((need.of, need.on) for need in plan.needs)).prepare()
    except CycleError as error:
        nodes: list[Unit] = error.args[1]  # each is needed by the one after it
        return [told[two, one] for one, two in pairwise(nodes)][::-1]
    return []


def _differing(plan: Plan) -> Iterator[Claim]:
    """Judge tasks whose own line names what they need, and another place something more."""
    among_tasks = (need for need in plan.needs if isinstance(need.of, Task) and isinstance(need.on, Task))
    by_task = group((need.of, need) for need in among_tasks)
    found: list[tuple[tuple[str, int], tuple[Unit, list[Unit], list[Unit]]]] = []
    for task, needs in by_task.items():
        own = [n.on for n in needs if n.own and n.line == task.line]
        for place, others in group(((n.path, n.line), n.on) for n in needs if not n.own).items():
            more = [on for on in others if on not in own]
            if own and more and not _reaches(by_task, own, more):
                found.append((place, (task, own, more)))
    for (path, line), told in group(found).items():
        pairs = [(t.name, names(u.name for u in own), names(u.name for u in more)) for t, own, more in told[:4]]
        yield Claim(
            Severity.MEDIUM, f"What {names(t.name for t, _, _ in told)} need is told in two ways",
            "; ".join(f"{name}: {own} in its own line, also {more} elsewhere" for name, own, more in pairs) + ".",
            (Place(path, line, line), *(t for t, _, _ in told)), [t.name for t, _, _ in told],
        )  # fmt: skip


def _reaches(by_task: Mapping[Unit, Sequence[Need]], start: Iterable[Unit], wanted: Iterable[Unit]) -> bool:
    """Whether what is wanted is needed anyway, by way of what is needed."""
    seen, todo = set(start), list(start)
    while todo and len(seen) < 400:
        further = {need.on for need in by_task.get(todo.pop(), ())} - seen
        seen |= further
        todo += further
    return seen.issuperset(wanted)
