"""The same work given to two tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.plan.model import Plan, Task
from nyxlab.reviewer.rules.base import Claim, Place, Rule, names
from nyxlab.reviewer.text.blocks import Item
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.words import stems

_MAKES = re.compile(r"\b(?:add|implement|create|introduce|define)\b(?:\s(?:a|the|new|helper|method|function|async|static)){0,3}:?\s`(\w+\([^`()]*[a-z][^`()]*\))", re.IGNORECASE)
_ALIKE = 0.5
_LEAST = 4


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a function that two tasks are each to add, and a task or story whose criteria another one repeats for the most part."""
    yield from _functions(document, plan)
    yield from _criteria(document, plan)


def _functions(document: Document, plan: Plan) -> Iterator[Claim]:
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


def _criteria(document: Document, plan: Plan) -> Iterator[Claim]:
    """Judge tasks that have four criteria or more by the words of each."""
    owners = {(t.path, line): t for t in plan.tasks for line in range(t.line, t.end_line + 1)}
    by_task: dict[Task, list[tuple[Item, frozenset[str]]]] = {}
    for item in document.items:
        task = owners.get((item.path, item.line))
        words = stems(re.sub(r"[\d.]+:?", " ", item.text)) if task else frozenset()
        if task and len(words) >= 3:
            by_task.setdefault(task, []).append((item, words))
    index: dict[str, list[tuple[Task, Item, frozenset[str]]]] = {}
    shared: dict[tuple[Task, Task], dict[int, tuple[Item, Item]]] = {}
    for task, items in by_task.items():
        for item, words in items if len(items) >= _LEAST else ():
            seen: dict[int, tuple[Task, Item, frozenset[str]]] = {}
            for word in words:
                for other in index.get(word, ())[-20:]:
                    seen[id(other[1])] = other
            for one, twin, theirs in seen.values():
                if one is not task and len(words & theirs) >= _ALIKE * len(words | theirs):
                    shared.setdefault((one, task), {}).setdefault(id(item), (twin, item))
            for word in words:
                index.setdefault(word, []).append((task, item, words))
    for (one, two), pairs in shared.items():
        if len(pairs) >= _LEAST and 2 * len(pairs) > len(by_task[two]) and len({id(a) for a, _ in pairs.values()}) >= _LEAST:
            yield Claim(
                Severity.LOW,
                f"{two.name} repeats {one.name}: {len(pairs)} of its {len(by_task[two])} points",
                f'"{one.title[:80]}" and "{two.title[:80]}" ask for the same, nearly word for word.',
                "Build it once: drop one of the two, or say what the second one adds.",
                tuple(Place(i.path, i.line, i.line) for pair in list(pairs.values())[:4] for i in pair),
                (one.name, two.name),
                confidence=0.8,
            )


RULE = Rule(
    id="repeated-work",
    kind="coverage",
    category=Category.DUPLICATE,
    consequence="The work is done twice, or the second time undoes the first.",
    severities={Severity.LOW: "the result may be right all the same"},
    firing=(
        "### Task 1: a\n\n- Add method: `filter_by_date(day: date)`\n\n### Task 2: b\n\n- Implement `filter_by_date(day: date)`\n\n### Task 3: c\n\n- Go\n",
        "## Epic 1\n\n### Story 1.1: Catalog\n\n- Keep a central parts catalog\n- Fetch missing parts from the vendor\n- Cache replies to spare calls\n- Check that data is fresh\n\n### Story 1.2: More\n\n- Keep the central parts catalog\n- Fetch missing parts of the vendor\n- Cache replies and spare calls\n- Check data is fresh\n",
    ),
    quiet=(
        "### Task 1: a\n\n- Add method: `filter_by_date(day: date)`\n\n### Task 2: b\n\n- Call `filter_by_date(day: date)`\n\n### Task 3: c\n\n- Go\n",
    ),
    check=check,
)
