"""What order alone settles: which step comes before which, and which files are there when a step begins."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nyxlab.reviewer.document import Action
from nyxlab.reviewer.prompt import NOT_STATED, Decision, OpenDecision, PhaseFile
from nyxlab.reviewer.steps import Step


@dataclass
class Choices:
    """What was settled on the way by order alone, and what is left to a person: (decision, labels of the phases that wait)."""

    settled: list[Decision] = field(default_factory=list)
    open: list[tuple[OpenDecision, list[str]]] = field(default_factory=list)


def in_order(steps: list[Step], choices: Choices) -> list[Step]:
    """Sort steps so that each comes after what it needs, else as the plan has them; needs that close a circle are taken out openly."""
    place = {s.label: n for n, s in enumerate(steps)}
    needs = {s.label: [label for label in dict(s.needs) if label in place] for s in steps}
    circle = _circles(needs)
    for step in steps:
        words = dict(reversed(step.needs))
        step.open += [f"it needs {label}, which the plan does not have" for label in words if label not in place]
        for label in [n for n in needs[step.label] if place[n] > place[step.label]]:
            if circle[label] == circle[step.label]:
                needs[step.label].remove(label)
                _break(step, label, words[label], choices)
            else:
                swapped = Decision(
                    decision=f"{label} comes before {step.label}.",
                    chosen=f"{step.label} needs it",
                    rejected=("the order of the text",),
                )
                choices.settled.append(swapped)
        step.needs = [(label, words[label]) for label in needs[step.label]]
    waiting = {label: len(found) for label, found in needs.items()}
    followers = _turned(needs)
    ready = [place[label] for label, count in waiting.items() if not count]
    ordered: list[Step] = []
    while ready:
        ordered.append(steps[heapq.heappop(ready)])
        for label in followers[ordered[-1].label]:
            waiting[label] -= 1
            if not waiting[label]:
                heapq.heappush(ready, place[label])
    return ordered


def _break(step: Step, label: str, words: str, choices: Choices) -> None:
    """Leave a need out that can never be met, and ask about it in the phase and for the whole plan."""
    question = (
        f"{step.label} needs {label}, which itself comes after {step.label}: how does {step.label} begin without it?"
    )
    said = f'the plan says: "{words}"'
    default = f"the plan's own order is kept, {step.label} first; what it does without {label} is {NOT_STATED}"
    choices.open.append((OpenDecision(question=question, options=(said,), default=default), [step.label]))
    step.open.append(f"{question} The plan says: {words}")


def _circles(needs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Name the circle each label stands in (its strongly connected component), in linear time and without recursion."""
    finished: dict[str, None] = {}
    seen: set[str] = set()
    for root in needs:
        stack = [(root, iter(needs[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            label, rest = stack[-1]
            following = next((n for n in rest if n not in seen), None)
            if following is None:
                finished[stack.pop()[0]] = None
            else:
                seen.add(following)
                stack.append((following, iter(needs[following])))
    backwards = _turned(needs)
    circle: dict[str, str] = {}
    for root in reversed(finished):
        reach = [root] if root not in circle else []
        while reach:
            label = reach.pop()
            if label not in circle:
                circle[label] = root
                reach += backwards[label]
    return circle


def _turned(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return who needs each label."""
    turned: dict[str, list[str]] = {label: [] for label in needs}
    for label, found in needs.items():
        for need in found:
            turned[need].append(label)
    return turned


def files_of(steps: Sequence[Step], repo: frozenset[str] | None, choices: Choices) -> list[tuple[PhaseFile, ...]]:
    """Return each step's files, so that new ones are not there yet and modified ones are: in the repository or from an earlier step.

    Where the plan says otherwise the step asks about it. A file that is named with no word on what happens to it is modified
    where it is there, else left out.
    """
    full = _full_names(path for s in steps for path in s.actions)
    news = {full.get(path, path) for s in steps for path, action in s.actions.items() if action == "new"}
    made: dict[str, str] = {}
    gone: dict[str, str] = {}
    found = []
    for step in steps:
        actions: dict[str, Action | None] = {}
        for name, said in step.actions.items():
            path = full.get(name, name)
            actions[path] = "new" if "new" in (said, actions.get(path)) else said or actions.get(path)
        files = []
        for path, said in actions.items():
            exists = None if repo is None else path in repo
            action = _settled(
                step, path, said, bool(exists) or path in made, repo is not None or path in news, made, gone, choices
            )
            if action:
                files.append(PhaseFile(path=path, action=action, exists=exists))
        made |= {f.path: step.label for f in files if f.action == "new"}
        gone |= {f.path: step.label for f in files if f.action == "delete"}
        found.append(tuple(files))
    return found


def _settled(
    step: Step,
    path: str,
    said: Action | None,
    there: bool,
    known: bool,
    made: Mapping[str, str],
    gone: Mapping[str, str],
    choices: Choices,
) -> Action | None:
    """Say what happens to a file that is ``there`` or not, ``known`` being whether that can be told; None leaves it out."""
    if path in gone and said:
        step.open.append(f"`{path}` was deleted by {gone[path]} and is needed again: {NOT_STATED}")
        return None
    if said == "new" and there:
        origin = made.get(path, "the repository")
        choices.settled.append(
            Decision(
                decision=f"{path} in {step.label}:",
                chosen=f"modified, since it comes from {origin}",
                rejected=("created anew",),
            )
        )
        return "modify"
    if said == "modify" and not there and known:
        step.open.append(
            f"`{path}` is to be modified, but nothing before this creates it: it is created here; what belongs in it is {NOT_STATED}"
        )
        return "new"
    if said == "delete" and not there and known:
        step.open.append(f"`{path}` is to be deleted, but it is not there: {NOT_STATED}")
        return None
    return said or ("modify" if there else None)


def _full_names(paths: Iterable[str]) -> dict[str, str]:
    """Map a bare name to the one full path that ends in it, where there is only one."""
    found: dict[str, set[str]] = {}
    for path in paths:
        if "/" in path:
            found.setdefault(path.rsplit("/", 1)[1], set()).add(path)
    return {name: paths.pop() for name, paths in found.items() if len(paths) == 1}
