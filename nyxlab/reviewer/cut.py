"""The cut: every line of the plan is given to the header, to one phase or to the appendix; nothing of it is changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field

from nyxlab.providers.messages import Record
from nyxlab.reviewer.findings import Finding, Severity
from nyxlab.reviewer.plan.model import Phase, Plan, Requirement, Task, Unit
from nyxlab.reviewer.text.blocks import Heading
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.files import Said
from nyxlab.reviewer.text.standing import Standing

BUDGET = 8_000
"""Tokens that a phase may have, four characters to one; a longer one is split between its tasks."""
_WIDEST = 80  # lines of a section that may stand on top of every phase
_HEADER = re.compile(
    r"^\W*(?:\d+(?:\.\d+)*[.)]?\s+)?(?:goals?\b(?! \d)|objectives?\b|purpose\b|summary\b|overview\b|global constraints|constraints\b|principles\b|ground rules|conventions\b|non[- ]?goals?\b"
    r"|goals? (?:/|and|&) non[- ]?goals?|out[- ]of[- ]scope|glossary\b|terminology\b|terms\b|definitions\b|(?:key |settled |resolved )?decisions\b(?! to| log)|quality gates|key facts|tech(?:nical)? (?:stack|context)\b|why$)",
    re.IGNORECASE,
)

Lines = Annotated[int, Field(ge=1)]


class Block(Record):
    """Lines of one file of the plan, both ends included, byte for byte."""

    path: str
    start_line: Lines
    end_line: Lines


class PhaseFile(Record):
    """One file of a phase: what is done to it and how that is said. ``exists`` is None where no repository was given."""

    path: str
    action: Literal["new", "modify", "delete"] | None = None
    said: Said
    exists: bool | None = None


class CutPhase(Record):
    """One phase as it is handed out: its lines, what must hold before, and what the review says about these lines."""

    number: int
    title: str
    needs: tuple[int, ...] = ()
    blocks: tuple[Block, ...] = ()
    covers: tuple[str, ...] = ()
    files: tuple[PhaseFile, ...] = ()
    findings: tuple[str, ...] = ()
    blocked_by: tuple[str, ...] = ()


class Deferral(Record):
    """A finding about lines that no phase holds, and where it is to be settled."""

    finding: str
    reason: str


class Cut(Record):
    """The plan, cut. **Law:** every line that is not blank stands in exactly one block of header, phases and appendix."""

    phases: tuple[CutPhase, ...]
    header: tuple[Block, ...]
    appendix: tuple[Block, ...]
    deferred: tuple[Deferral, ...] = ()


Owner = tuple[int, int] | Literal["header", "appendix"]
"""Who holds a line: a phase and its part, the header, the appendix."""


def cut(document: Document, plan: Plan, findings: Iterable[Finding], budget: int = BUDGET) -> Cut:
    """Give every line of a document to its holder and compile the phases, in the plan's own order."""
    owners: dict[str, list[Owner]] = {path: ["appendix"] * len(file.lines) for path, file in document.files.items()}
    for heading in _header_sections(document):
        _paint(owners, heading.path, heading.line, document.section_ends[heading], "header")
    parts: list[tuple[Phase | None, int, int]] = []
    if plan.phases:
        for n, phase in enumerate(plan.phases):
            _paint(owners, phase.path, phase.line, phase.end_line, (n, 0))
        for n, start, end, path in _cited_by_one(document, plan):
            if "header" not in owners[path][start - 1 : end]:
                _paint(owners, path, start, end, (n, 0))
    else:
        for path, lines in owners.items():
            owners[path] = [(0, 0) if owner == "appendix" else owner for owner in lines]
    for n, phase_ in enumerate(plan.phases or (None,)):
        count = _split(document, phase_, owners, n, budget)
        parts += [(phase_, part, count) for part in range(count)]
    return _compiled(document, plan, owners, parts, list(findings))


def _header_sections(document: Document) -> Iterator[Heading]:
    """Yield the sections that everybody needs: goal, constraints, decisions, words."""
    ends = document.section_ends
    for heading in document.headings:
        standing = document.standings.heading(heading)
        own = standing not in (Standing.STATUS, Standing.REJECTED, Standing.EXAMPLE) and heading.level > 1
        if own and _HEADER.match(heading.text) and ends[heading] - heading.line < _WIDEST:
            yield heading


def _paint(owners: dict[str, list[Owner]], path: str, first: int, last: int, owner: Owner) -> None:
    lines = owners[path]
    lines[first - 1 : last] = [owner] * (min(last, len(lines)) - first + 1)


def _cited_by_one(document: Document, plan: Plan) -> Iterator[tuple[int, int, int, str]]:
    """Yield the sections about a requirement or story that the tasks of one phase alone cite: phase, lines, file."""
    number = {phase: n for n, phase in enumerate(plan.phases)}
    citing: dict[str, set[int]] = {}
    for task in plan.tasks:
        for name in task.cites if task.phase else ():
            citing.setdefault(name, set()).add(number[task.phase])  # type: ignore[index]  # the condition above
            citing.setdefault(name.rpartition(".")[0], set()).add(number[task.phase])  # type: ignore[index]
    stories = {s: n for phase, n in number.items() for s in phase.stories}
    for heading in document.headings:
        m = re.match(r"^(requirement|user story)\s(\d{1,3})\b", heading.text, re.IGNORECASE)
        if not m:
            continue
        holders = (
            citing.get(m[2], set()) if m[1].lower() == "requirement" else {stories[m[2]]} if m[2] in stories else set()
        )
        inside = any(p.path == heading.path and p.line <= heading.line <= p.end_line for p in plan.phases)
        if len(holders) == 1 and not inside:
            yield next(iter(holders)), heading.line, document.section_ends[heading], heading.path


def _split(document: Document, phase: Phase | None, owners: dict[str, list[Owner]], n: int, budget: int) -> int:
    """Split what a phase holds into parts of at most ``budget`` tokens, between its tasks (or sections); return how many."""
    part, used = 0, 0
    for path, own in owners.items():
        lines = document.files[path].lines
        starts = _starts(document, phase, path)
        first = next((i for i, owner in enumerate(own) if owner == (n, 0)), None)
        if first is None:
            continue
        bounds = sorted({first, *(s - 1 for s in starts if s - 1 > first)})
        for begin, end in zip(bounds, [*bounds[1:], len(own)], strict=True):
            mine = [i for i in range(begin, end) if own[i] == (n, 0)]
            size = sum(len(lines[i]) + 1 for i in mine) // 4
            if used and used + size > budget:
                part, used = part + 1, 0
            used += size
            for i in mine:
                own[i] = (n, part) if part else own[i]
    return part + 1


def _starts(document: Document, phase: Phase | None, path: str) -> list[int]:
    """Return the lines at which a phase may be split: where a task begins, with the headings right above it."""
    heads = [h.line for h in document.headings if h.path == path]
    if phase is None or phase.path != path:
        return heads
    found, last = [], phase.line
    for task in sorted((t for t in phase.tasks if t.path == path), key=lambda t: t.line):
        above = [h for h in heads if last < h <= task.line]
        found.append(above[0] if above else task.line)
        last = task.line
    return found


def _compiled(
    document: Document, plan: Plan, owners: dict[str, list[Owner]], parts: Sequence[tuple[Phase | None, int, int]], findings: list[Finding]
) -> Cut:  # fmt: skip
    """Give the phases their numbers, and each what stands about it in plan and review."""
    held: dict[Owner, list[Block]] = {}
    for path, own in owners.items():
        lines = document.files[path].lines
        for owner, run in groupby(range(len(own)), key=own.__getitem__):
            at = [i for i in run if lines[i].strip()]
            if at:
                held.setdefault(owner, []).append(Block(path=path, start_line=at[0] + 1, end_line=at[-1] + 1))
    index = {phase: n for n, phase in enumerate(plan.phases)}
    shown = [(p, part, count) for p, part, count in parts if (index.get(p, 0) if p else 0, part) in held]
    numbers: dict[tuple[Phase | None, int], int] = {(p, part): n for n, (p, part, _) in enumerate(shown, 1)}
    needed: dict[Unit, list[Unit]] = {}
    for need in plan.needs:
        needed.setdefault(need.of, []).append(need.on)
    phases, told = [], set()
    for phase, part, count in shown:
        blocks = held[(index[phase] if phase else 0, part)]
        blocks.sort(key=lambda b: phase is not None and b.path != phase.path)
        about = [f for f in findings if f.active and any(_touches(f, b) for b in blocks)]
        told |= {f.id for f in about}
        tasks = (
            [t for t in phase.tasks if any(b.path == t.path and b.start_line <= t.line <= b.end_line for b in blocks)]
            if phase
            else []
        )
        on = [u for unit in (phase, *tasks) if unit for u in needed.get(unit, ())]
        homes = [getattr(u, "phase", None) or u for u in on]
        needs = {
            max(n for (p, _), n in numbers.items() if p is home)
            for home in homes
            if home is not phase and any(p is home for p, _ in numbers)
        }
        needs |= {numbers[phase, part - 1]} if part else set()
        title = (f"{phase.name}: {phase.title}" if phase.number else phase.title) if phase else "The plan"
        phases.append(
            CutPhase(
                number=numbers[phase, part],
                title=title + (f" (part {part + 1} of {count})" if count > 1 else ""),
                needs=tuple(sorted(needs)),
                blocks=tuple(blocks),
                covers=tuple(sorted({c for t in tasks for c in t.cites}, key=_natural)),
                files=_files(tasks, document),
                findings=tuple(f.id for f in about),
                blocked_by=tuple(f.id for f in about if f.verified and f.severity.at_least(Severity.HIGH)),
            )
        )
    deferred = [
        Deferral(finding=f.id, reason="it is about lines of the header or the appendix: settle it before the first phase")
        for f in findings if f.active and f.id not in told
    ]  # fmt: skip
    return Cut(
        phases=tuple(phases),
        header=tuple(held.get("header", ())),
        appendix=tuple(held.get("appendix", ())),
        deferred=tuple(deferred),
    )


def _natural(name: str) -> list[object]:
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]


def _touches(finding: Finding, block: Block) -> bool:
    return any(
        e.path == block.path and e.start_line <= block.end_line and block.start_line <= e.end_line
        for e in (*finding.evidence, *finding.places)
    )


def _files(tasks: Iterable[Task], document: Document) -> tuple[PhaseFile, ...]:
    """Return the files of some tasks, each once: what they say is done to it, else what a label, tree or table says elsewhere."""
    said = {m.name: m for m in reversed(document.file_mentions) if m.action and m.said != "verb"}
    own = {path.rpartition("/")[2] for path in document.files}
    found: dict[str, PhaseFile] = {}
    for task in tasks:
        for name, mention in task.touches.items():
            if name in own or (name in found and (found[name].action or not mention.action)):
                continue
            told = mention if mention.action else said.get(name, mention)
            exists = None if document.repo is None else name in document.repo
            found[name] = PhaseFile(path=name, action=told.action, said=told.said, exists=exists)
    return tuple(found.values())


def requirements(plan: Plan, covers: Iterable[str]) -> Mapping[str, Requirement]:
    """Return the requirements of these names."""
    known = {r.name: r for r in plan.requirements if r.number}
    return {name: known[name] for name in covers if name in known}
