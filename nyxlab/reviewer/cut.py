"""The cut: every line of the plan is given to the header, to one phase or to the appendix; nothing of it is changed."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from nyxlab.providers.messages import Record
from nyxlab.reviewer.findings import Finding, Severity
from nyxlab.reviewer.plan.model import Phase, Plan, Task
from nyxlab.reviewer.text.blocks import Heading
from nyxlab.reviewer.text.document import Document, group
from nyxlab.reviewer.text.files import FileMention, Said
from nyxlab.reviewer.text.standing import Standing

BUDGET = 8_000
"""Tokens that a phase may have, four characters to one; a longer one is split between its tasks."""
_WIDEST = 80  # lines of a section that may stand on top of every phase
_CITED = re.compile(r"^(requirement|user story)\s(\d{1,3})\b", re.IGNORECASE)
_HEADER = re.compile(
    r"""^\W*(?:\d+(?:\.\d+)*[.)]?\s+)?(?:goals?\b(?!\ \d)|objectives?\b|purpose\b|summary\b|overview\b
    |global\ constraints|constraints\b|principles\b|ground\ rules|conventions\b|non[- ]?goals?\b
    |goals?\ (?:/|and|&)\ non[- ]?goals?|out[- ]of[- ]scope|glossary\b|terminology\b|terms\b|definitions\b
    |(?:key\ |settled\ |resolved\ )?decisions\b(?!\ to|\ log)|quality\ gates|key\ facts
    |tech(?:nical)?\ (?:stack|context)\b|why$)""",
    re.IGNORECASE | re.VERBOSE,
)

Lines = Annotated[int, Field(ge=1)]


class Block(Record):
    """Lines of one file of the plan, both ends included, byte for byte."""

    path: str
    start_line: Lines
    end_line: Lines


class PhaseFile(Record):
    """One file of a phase: what is done to it, how that is said, whether it exists, where a repository was given."""

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
    """The plan, cut. **Law:** every line that is not blank stands in exactly one block of header, phases, appendix."""

    phases: tuple[CutPhase, ...]
    header: tuple[Block, ...]
    appendix: tuple[Block, ...]
    deferred: tuple[Deferral, ...] = ()


Owner = tuple[int, int] | Literal["header", "appendix"]
"""Who holds a line: a phase and its part, the header, the appendix."""
Owners = dict[str, list[Owner]]
Line = tuple[str, int]


class PhasePart(NamedTuple):
    """A part of a phase (None where the plan has none), and how many parts that has."""

    phase: Phase | None
    owner: tuple[int, int]
    of: int


def cut(document: Document, plan: Plan, findings: Iterable[Finding], budget: int = BUDGET) -> Cut:
    """Give every line of a document to its holder and compile the phases, in the plan's own order."""
    owners: Owners = {path: ["appendix"] * len(file.lines) for path, file in document.files.items()}
    for heading in _header_sections(document):
        _paint(owners, heading.path, heading.line, document.section_ends[heading], "header")
    for n, phase in enumerate(plan.phases):
        _paint(owners, phase.path, phase.line, phase.end_line, (n, 0))
    for n, heading in _cited_by_one(document, plan):
        end = document.section_ends[heading]
        held = owners[heading.path][heading.line - 1 : end]
        if held[0] == "appendix" and "header" not in held:
            _paint(owners, heading.path, heading.line, end, (n, 0))
    if not plan.phases:
        owners = {p: [(0, 0) if o == "appendix" else o for o in own] for p, own in owners.items()}
    lines = group((owner, (path, at)) for path, own in owners.items() for at, owner in enumerate(own))
    heads = group((h.path, h.line) for h in document.headings)
    parts: list[PhasePart] = []
    for n, each in enumerate(plan.phases or (None,)):
        count = _split(document, _starts(each, heads), owners, lines.get((n, 0), ()), budget)
        parts += [PhasePart(each, (n, part), count) for part in range(count)]
    return _compiled(document, plan, owners, parts, list(findings))


def _header_sections(document: Document) -> Iterator[Heading]:
    """Yield the sections that everybody needs: goal, constraints, decisions, words."""
    for heading in document.headings:
        aside = document.standings[heading] in (Standing.STATUS, Standing.REJECTED, Standing.EXAMPLE)
        short = document.section_ends[heading] - heading.line < _WIDEST
        if heading.level > 1 and not aside and short and _HEADER.match(heading.text):
            yield heading


def _paint(owners: Owners, path: str, first: int, last: int, owner: Owner) -> None:
    lines = owners[path]
    lines[first - 1 : last] = [owner] * (min(last, len(lines)) - first + 1)


def _cited_by_one(document: Document, plan: Plan) -> Iterator[tuple[int, Heading]]:
    """Yield the sections about a requirement or story that the tasks of one phase alone cite, with that phase."""
    citing: dict[tuple[str, str], set[int]] = {}
    for n, phase in enumerate(plan.phases):
        cited = {name for task in phase.tasks for name in task.cites}
        for name in cited | {name.rpartition(".")[0] for name in cited}:
            citing.setdefault(("requirement", name), set()).add(n)
        for story in phase.stories:
            citing["user story", story] = {n}
    for heading in document.headings:
        m = _CITED.match(heading.text)
        holders = citing.get((m[1].lower(), m[2]), set()) if m else set()
        if len(holders) == 1:
            yield next(iter(holders)), heading


def _split(document: Document, starts: set[Line], owners: Owners, mine: Sequence[Line], budget: int) -> int:
    """Split the lines of a phase into parts of at most ``budget`` tokens, before some of its lines; return how many."""
    pieces: list[list[Line]] = []
    for path, at in mine:
        if not pieces or (path, at + 1) in starts or pieces[-1][-1][0] != path:
            pieces.append([])
        pieces[-1].append((path, at))
    part, used = 0, 0
    for piece in pieces:
        size = sum(len(document.files[path].lines[at]) + 1 for path, at in piece) // 4
        part, used = (part + 1, size) if used and used + size > budget else (part, used + size)
        for path, at in piece:
            owners[path][at] = (owners[path][at][0], part)  # type: ignore[assignment]  # lines of a phase
    return part + 1


def _starts(phase: Phase | None, heads: Mapping[str, tuple[int, ...]]) -> set[Line]:
    """Return the lines before which a phase may be split: its tasks, with the headings above them; else headings."""
    found = {(path, line) for path, lines in heads.items() if not phase or path != phase.path for line in lines}
    if phase:
        own, last = heads.get(phase.path, ()), phase.line
        for line in sorted(t.line for t in phase.tasks if t.path == phase.path):
            above = own[bisect_right(own, last) : bisect_right(own, line)]
            found.add((phase.path, above[0] if above else line))
            last = line
    return found


def _blocks(document: Document, owners: Owners) -> dict[Owner, list[Block]]:
    """Return each holder's lines as blocks, blank lines around them left out."""
    held: dict[Owner, list[Block]] = {}
    for path, own in owners.items():
        lines = document.files[path].lines
        for owner, run in groupby(range(len(own)), key=own.__getitem__):
            if at := [i for i in run if lines[i].strip()]:
                held.setdefault(owner, []).append(Block(path=path, start_line=at[0] + 1, end_line=at[-1] + 1))
    return held


def _compiled(
    document: Document, plan: Plan, owners: Owners, parts: Sequence[PhasePart], findings: list[Finding]
) -> Cut:
    """Give the phases their numbers, and each what stands about it in plan and review."""
    held = _blocks(document, owners)
    shown = [part for part in parts if part.owner in held]
    numbers = {part.owner: n for n, part in enumerate(shown, 1)}
    last = {part.phase: numbers[part.owner] for part in shown}
    needed = group((need.of, need.on) for need in plan.needs)
    said = {m.name: m for m in reversed(document.file_mentions) if m.action and m.said != "verb"}
    about: dict[Owner, list[Finding]] = {}
    for finding in (f for f in findings if f.active):
        spots = [(e, owners.get(e.path, [])) for e in (*finding.evidence, *finding.places)]
        for owner in dict.fromkeys(o for e, own in spots for o in own[e.start_line - 1 : e.end_line]):
            about.setdefault(owner, []).append(finding)
    phases: list[CutPhase] = []
    for phase, owner, count in shown:
        n, part = owner
        tasks = [t for t in phase.tasks if owners[t.path][t.line - 1] == owner] if phase else []
        homes = {getattr(u, "phase", None) or u for unit in (phase, *tasks) if unit for u in needed.get(unit, ())}
        needs = {last[home] for home in homes - {phase} if home in last}
        needs |= {numbers[n, part - 1]} if (n, part - 1) in numbers else set()
        told = about.get(owner, [])
        phases.append(
            CutPhase(
                number=numbers[owner],
                title=_title(phase) + (f" (part {part + 1} of {count})" if count > 1 else ""),
                needs=tuple(sorted(needs)),
                blocks=tuple(sorted(held[owner], key=lambda b: phase is not None and b.path != phase.path)),
                covers=tuple(sorted({c for t in tasks for c in t.cites}, key=_natural)),
                files=_files(tasks, document, said),
                findings=tuple(f.id for f in told),
                blocked_by=tuple(f.id for f in told if f.verified and f.severity.at_least(Severity.HIGH)),
            )
        )
    placed = {f.id for owner, found in about.items() if isinstance(owner, tuple) for f in found}
    why = "it is about lines of the header or the appendix: settle it before the first phase"
    deferred = tuple(Deferral(finding=f.id, reason=why) for f in findings if f.active and f.id not in placed)
    header, appendix = tuple(held.get("header", ())), tuple(held.get("appendix", ()))
    return Cut(phases=tuple(phases), header=header, appendix=appendix, deferred=deferred)


def _title(phase: Phase | None) -> str:
    """Return how a phase is called; "Phase 1: " once, though its own heading says it as well."""
    if not phase:
        return "The plan"
    said = not phase.number or phase.title.casefold().startswith(phase.name.casefold())
    return phase.title if said else f"{phase.name}: {phase.title}"


def _natural(name: str) -> list[object]:
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]


def _files(tasks: Iterable[Task], document: Document, said: Mapping[str, FileMention]) -> tuple[PhaseFile, ...]:
    """Return the files of some tasks, each once: what they say is done to it, else what is said of it elsewhere."""
    own = {path.rpartition("/")[2] for path in document.files}
    found: dict[str, PhaseFile] = {}
    for name, mention in (named for task in tasks for named in task.touches.items()):
        if name not in own and (name not in found or (mention.action and not found[name].action)):
            told = mention if mention.action else said.get(name, mention)
            exists = None if document.repo is None else name in document.repo
            found[name] = PhaseFile(path=name, action=told.action, said=told.said, exists=exists)
    return tuple(found.values())
