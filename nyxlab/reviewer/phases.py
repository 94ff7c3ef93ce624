"""Compiles a plan's own steps and the findings against it into phases to be built in order; no model has a say in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nyxlab.reviewer import promises
from nyxlab.reviewer.document import Document, Heading, group
from nyxlab.reviewer.findings import Evidence, Finding, Severity
from nyxlab.reviewer.order import Choices, files_of, in_order
from nyxlab.reviewer.prompt import (
    NOT_STATED,
    PHASE_TOKENS,
    Context,
    Deferral,
    Edge,
    Excerpt,
    ImplementationPrompt,
    Ledger,
    OpenDecision,
    Phase,
    PhaseFile,
    PlanSummary,
    Task,
    clip,
    inline,
)
from nyxlab.reviewer.steps import Step, section_ends, steps_of

__all__ = ["ImplementationPrompt", "compile_prompt"]

_WORD = re.compile(r"[^\W\d_]{4,}")
_DECIDE = "Decide"
_VERBS = {"new": "Create", "modify": "Modify", "delete": "Delete"}


@dataclass
class _Draft:
    """A phase in the making, known by its label until the numbers are given."""

    label: str
    title: str
    outcome: str
    source: str
    needs: list[str] = field(default_factory=list)
    files: list[PhaseFile] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    covers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    rollback: str | None = None


def compile_prompt(
    document: Document, findings: Sequence[Finding], repo_files: frozenset[str] | None
) -> ImplementationPrompt:
    """Compile the prompt. ``repo_files`` are the repository's paths from its root, None where no repository was given.

    Every finding that is not suppressed is closed by one task of one phase or deferred with a reason. A CRITICAL with two readings is
    closed by phase 0, which decides. Phases stand in the order of what they need; a circle is broken where the plan's own order breaks
    it, and named as an open decision.
    """
    live = [f for f in findings if f.suppressed is None]
    deferred = [Deferral(finding=f.id, reason=reason) for f in live if (reason := _why_not(f))]
    to_close = [f for f in live if not _why_not(f)]
    choices = Choices()
    steps = in_order(steps_of(document), choices)
    drafts = [_draft(step, files) for step, files in zip(steps, files_of(steps, repo_files, choices), strict=True)]
    drafts = _close(to_close, steps, drafts, document, choices)
    quotes = {
        f.id: sum(len(inline(e.quote, 160)) + min(len(e.path), 80) + 30 for e in f.evidence[:3]) for f in to_close
    }
    phases, numbers, parts = _number([part for draft in drafts for part in _split(draft, quotes)])
    plan = _summary(document, steps, to_close, phases, parts, numbers, choices)
    prompt = ImplementationPrompt(phases=tuple(phases), deferred=tuple(deferred), plan=plan, findings=tuple(findings))
    return prompt.model_copy(update={"plan": plan.model_copy(update={"contexts": _contexts(document, prompt, parts)})})


def _why_not(finding: Finding) -> str:
    """Say why a finding is left out of the phases, or nothing."""
    if finding.status == "fixed":
        return "fixed: its words are gone from the plan"
    if finding.status == "not-found-again":
        return "not found again, though its words still stand: look once more before it is closed"
    if finding.severity is Severity.INFO:
        return "an observation: nothing is built differently"
    return "" if finding.verified else "unverified: its quote was not found in the plan"


# --- from a step to a draft -------------------------------------------------------------------------------------------


def _draft(step: Step, files: Sequence[PhaseFile]) -> _Draft:
    """Turn a step into a draft. What the plan does not state is asked for, not made up."""
    notes = step.notes if step.tasks else []
    # A step that says nothing but which files it touches is built by touching them: the ledger's words, no invention.
    touched = [(m.line, f"{_VERBS.get(m.action or '', 'Build')} {m.name}") for m in step.files] if files else []
    tasks = step.tasks or step.notes or touched or [(step.line, f"{step.title}: the tasks are {NOT_STATED}")]
    paths = [f.path for f in files]
    named: dict[int, str] = {}
    for mention in step.files:
        full = next((path for path in paths if path.endswith(f"/{mention.name}")), mention.name)
        named.setdefault(mention.line, full)
    only = paths[0] if len(paths) == 1 else None
    why = f"{step.label} of the plan" + (f", for {', '.join(step.covers[:6])}" if step.covers else "")
    return _Draft(
        label=step.label,
        title=clip(step.title, 200),
        outcome=step.outcome
        or (step.done[0] if step.done else f"{NOT_STATED}: what can a user see after {step.label}?"),
        source=f"{step.label} of {step.path}, lines {step.line} to {step.end_line}",
        needs=[label for label, _ in step.needs],
        files=list(files),
        tasks=[Task(id="", path=named.get(line, only), action=text, why=why) for line, text in tasks],
        done=step.done or [f"{NOT_STATED}: what proves that {step.label} is done?"],
        open=list(dict.fromkeys(step.open)),
        covers=list(step.covers),
        notes=[text for _, text in notes],
        sections=list(dict.fromkeys(step.sections)),
        rollback=step.rollback or None,
    )


# --- findings find their phase ----------------------------------------------------------------------------------------


def _close(
    findings: Sequence[Finding], steps: Sequence[Step], drafts: list[_Draft], document: Document, choices: Choices
) -> list[_Draft]:
    """Give each finding one task in one phase: where it stands, else where its words are at home; what needs a decision goes first."""
    decide = [f for f in findings if f.severity is Severity.CRITICAL and _readings(f) > 1]
    first = _Draft(
        _DECIDE,
        "Decide what the plan leaves contradictory",
        "The plan says one thing where it said two, and a person has agreed to it.",
        "the review",
    )
    first.rollback = "nothing is built here: take the words back out of the plan."
    first.done = [
        "Each decision is written into the plan with its reason.",
        "A new review of the plan no longer finds what is closed here.",
    ]
    groups: dict[str, _Draft] = {}
    homes = _Homes(steps, document)
    for finding in sorted(findings, key=lambda f: (f.severity.rank, f.id)):
        if finding in decide:
            home = first
        elif steps:
            home = drafts[homes.find(finding)]
        else:
            name = finding.category.value
            home = groups.setdefault(
                name,
                _Draft(
                    name,
                    f"Settle {name.lower()} in the plan",
                    f"The plan no longer contradicts itself in {name.lower()}.",
                    "the review",
                ),
            )
            home.done = first.done
        path = finding.evidence[0].path if finding.evidence else None
        task = Task(
            id="",
            path=path,
            action=finding.fix or f"Settle: {finding.title}",
            why=f"{finding.title}. {finding.consequence}".strip(),
            closes=(finding.id,),
        )
        home.tasks.insert(sum(bool(t.closes) for t in home.tasks), task)
        if _readings(finding) > 1 and finding.severity.at_least(Severity.HIGH):
            options = tuple(f"{e.path}:{e.start_line}: {e.quote}" for e in finding.evidence)
            waiting = [d.label for d in drafts] if home is first else [home.label]
            choices.open.append(
                (
                    OpenDecision(
                        question=finding.title, options=options, default=finding.fix or NOT_STATED, finding=finding.id
                    ),
                    waiting,
                )
            )
    drafts = drafts or list(groups.values())
    if not decide:
        return drafts
    return [first, *(replace(d, needs=d.needs or [_DECIDE]) for d in drafts)]


def _readings(finding: Finding) -> int:
    """Count the places that a finding sets against each other."""
    return len({(e.path, e.start_line) for e in finding.evidence})


class _Homes:
    """Finds the step in which a finding is closed; what has to be read of the steps is read once."""

    def __init__(self, steps: Sequence[Step], document: Document) -> None:
        self.steps = steps
        self.at = {
            (s.path, line): n for n, s in reversed(list(enumerate(steps))) for line in range(s.line, s.end_line + 1)
        }
        self.words = [_stems(document.quote(s.path, s.line, s.end_line)) for s in steps]
        self.rarity = Counter(word for words in self.words for word in words)
        self.headings = group((h.path, h) for h in document.headings)

    def find(self, finding: Finding) -> int:
        """Return the first step in order that holds its words, else the one that covers what it names or shares most rare words with it."""
        inside = [self.at[spot] for e in finding.evidence if (spot := (e.path, e.start_line)) in self.at]
        if inside:
            return min(inside)
        said = [
            finding.title,
            *(e.quote for e in finding.evidence),
            *(h.text for e in finding.evidence for h in self._above(e)),
        ]
        words = _stems(" ".join(said)) & self.rarity.keys()
        scores = [
            (
                10 * sum(name in text for name in s.covers for text in said)
                + sum(1 / self.rarity[w] for w in words & own),
                -n,
            )
            for n, (s, own) in enumerate(zip(self.steps, self.words, strict=True))
        ]
        return -max(scores)[1]

    def _above(self, evidence: Evidence) -> Iterator[Heading]:
        """Yield the headings that the evidence stands under, but for the title."""
        headings = self.headings.get(evidence.path, ())
        place = bisect_right(headings, evidence.start_line, key=lambda h: h.line)
        return (h for h in (headings[place - 1].ancestry if place else ()) if h.parent)


def _stems(text: str) -> set[str]:
    """Return the longer words of a text by their first six letters, so that "billing" meets "billed" half-way."""
    return {word[:6] for word in _WORD.findall(text.casefold())}


# --- parts, numbers and what goes with them ---------------------------------------------------------------------------


def _split(draft: _Draft, quotes: Mapping[str, int]) -> list[_Draft]:
    """Cut a draft that is too long for one phase into parts that are built one after the other; nothing is left out.

    ``quotes`` is how many characters the quotes of each finding take.
    """
    fixed = 900 + len(inline(draft.outcome)) + len(inline(draft.rollback or "")) + 220 * min(len(draft.needs), 4)
    units: list[tuple[str, object, int]] = [("open", text, len(inline(text)) + 4) for text in draft.open]
    units += [("files", f, min(len(f.path), 200) + 40) for f in draft.files]
    units += [("tasks", t, _length(t) + sum(quotes[f] for f in t.closes)) for t in draft.tasks]
    units += [("done", text, len(inline(text)) + 4) for text in draft.done]
    rooms: list[list[tuple[str, object]]] = [[]]
    used = fixed
    for kind, unit, cost in units:
        if rooms[-1] and used + cost > 4 * PHASE_TOKENS:
            rooms.append([])
            used = fixed
        rooms[-1].append((kind, unit))
        used += cost
    parts: list[_Draft] = []
    for n, room in enumerate(rooms, 1):
        kinds = {kind: [unit for k, unit in room if k == kind] for kind in ("open", "files", "tasks", "done")}
        label = draft.label if n == len(rooms) else f"{draft.label}\0{n}"
        done = kinds.pop("done") or [
            f"All tasks of this part are done and every test still passes; part {len(rooms)} proves the whole."
        ]
        needs = [parts[-1].label] if parts else draft.needs
        title = f"{draft.title} (part {n} of {len(rooms)})"
        parts.append(replace(draft, label=label, title=title, needs=needs, done=done, **kinds))  # type: ignore[arg-type]  # each kind holds what its list held
    return parts if len(parts) > 1 else [draft]


def _length(task: Task) -> int:
    """Count the characters that a task takes in a phase, without its quotes."""
    return (
        len(inline(task.action, 400))
        + len(inline(task.why, 250))
        + min(len(task.path or ""), 200)
        + 40
        + 8 * len(task.closes)
    )


def _number(parts: list[_Draft]) -> tuple[list[Phase], dict[str, int], list[_Draft]]:
    """Give the parts numbers in their order, from 0 where the first one decides, and tasks their ids."""
    start = 0 if parts and parts[0].label.split("\0")[0] == _DECIDE else 1
    numbers = {part.label: n for n, part in enumerate(parts, start)}
    phases = []
    for part in parts:
        n = numbers[part.label]
        tasks = tuple(t.model_copy(update={"id": f"P{n}.{k}"}) for k, t in enumerate(part.tasks, 1))
        needs = tuple(sorted(numbers[label] for label in part.needs))
        phases.append(
            Phase(
                number=n,
                title=part.title,
                outcome=part.outcome,
                needs=needs,
                files=tuple(part.files),
                tasks=tasks,
                done=tuple(part.done),
                open=tuple(part.open),
            )
        )
    return phases, numbers, parts


def _summary(
    document: Document,
    steps: Sequence[Step],
    findings: Sequence[Finding],
    phases: Sequence[Phase],
    parts: Sequence[_Draft],
    numbers: Mapping[str, int],
    choices: Choices,
) -> PlanSummary:
    """Gather what every phase has to know."""
    disputed = {
        (e.path, line)
        for f in findings
        if f.severity.at_least(Severity.MEDIUM)
        for e in f.evidence
        for line in range(e.start_line, e.end_line + 1)
    }
    owners: dict[str, list[int]] = {}
    for part in parts:
        owners.setdefault(part.label.split("\0")[0], []).append(numbers[part.label])
    always, never = promises.laws_of(document, disputed)
    uncovered = promises.uncovered(document, [s.covers for s in steps])
    asked = [
        d.model_copy(update={"blocks": tuple(sorted(n for label in labels for n in owners.get(label, ())))})
        for d, labels in choices.open
    ]
    asked += [
        OpenDecision(question=f"No step covers {name}: which phase builds it?", options=(text,))
        for name, text in uncovered.items()
    ]
    if not steps:
        asked.append(OpenDecision(question="The plan names no steps: in which order is it built?"))
    return PlanSummary(
        title=promises.title_of(document),
        goal=promises.goal_of(document),
        non_goals=promises.non_goals_of(document),
        decisions=(*promises.decisions_of(document), *choices.settled),
        always=always,
        never=never,
        glossary=promises.glossary_of(document, disputed),
        open_decisions=(*asked, *promises.questions_of(document)),
        file_ledger=Ledger.of(phases),
        edges=tuple(Edge(phase=p.number, needs=n) for p in phases for n in p.needs),
    )


def _contexts(document: Document, prompt: ImplementationPrompt, parts: Sequence[_Draft]) -> tuple[Context, ...]:
    """Put beside each phase what the plan says elsewhere, as much as fits: requirements, notes, then the sections it refers to."""
    ends = section_ends(document)
    sections = {h.number: h for h in reversed(document.headings) if h.number}
    texts = promises.requirements_of(document)
    found = []
    for phase, part in zip(prompt.phases, parts, strict=True):
        context = Context(phase=phase.number, source=part.source, covers=tuple(part.covers), rollback=part.rollback)
        bare = prompt.model_copy(update={"plan": prompt.plan.model_copy(update={"contexts": (context,)})})
        room = 4 * PHASE_TOKENS - len(bare.phase_markdown(phase)) - 120
        kept: dict[str, list[str]] = {"requirements": [], "notes": []}
        wanted = [("requirements", texts[name]) for name in part.covers if name in texts] + [
            ("notes", text) for text in part.notes
        ]
        for kind, text in wanted:
            room -= len(inline(text)) + 4
            if room > 0:
                kept[kind].append(text)
        excerpts = []
        for heading in (sections[number] for number in part.sections if number in sections):
            text = document.quote(heading.path, heading.line, ends[heading]).strip()
            room -= len(text) + len(heading.path) + 80
            if room > 0:
                excerpts.append(Excerpt(path=heading.path, start_line=heading.line, end_line=ends[heading], text=text))
        found.append(
            context.model_copy(
                update={
                    "requirements": tuple(kept["requirements"]),
                    "notes": tuple(kept["notes"]),
                    "excerpts": tuple(excerpts),
                }
            )
        )
    return tuple(found)
