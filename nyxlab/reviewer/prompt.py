"""The phased implementation prompt as records, with the laws they keep and the Markdown they become."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Annotated, Literal, Self

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from pydantic import Field, ValidationError, model_validator

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json, Record
from nyxlab.reviewer.findings import Finding

PHASE_TOKENS = 1_600
"""A phase without the header stays below this many tokens, four characters to one; else it is split."""

NOT_STATED = "not stated: decide"

Number = Annotated[int, Field(ge=0, le=100_000)]


class PhaseFile(Record):
    """One file of a phase. ``exists`` says whether the repository has it now, None where none was given."""

    path: str
    action: Literal["new", "modify", "delete"]
    exists: bool | None = None


class Task(Record):
    """One thing to do: where, what, why, and the findings that it closes."""

    id: str
    path: str | None
    action: str
    why: str
    closes: tuple[str, ...] = ()


class Phase(Record):
    """One phase: what a user can see after it, what must be done before it, and what proves it done."""

    number: Number
    title: str
    outcome: str
    needs: tuple[Number, ...] = ()
    files: tuple[PhaseFile, ...] = ()
    tasks: tuple[Task, ...] = ()
    done: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


class Deferral(Record):
    """A finding that no phase closes, with the reason."""

    finding: str
    reason: str


class Decision(Record):
    """A question that is settled: by the plan's own words, or by order and arithmetic alone."""

    decision: str
    chosen: str
    rejected: tuple[str, ...] = ()
    finding: str | None = None


class OpenDecision(Record):
    """A question that a person settles, with the readings the plan offers and the phases that wait for it."""

    question: str
    options: tuple[str, ...] = ()
    default: str = NOT_STATED
    finding: str | None = None
    blocks: tuple[Number, ...] = ()


class Term(Record):
    """One concept with its one name, and the names that are not to be used for it."""

    name: str
    meaning: str
    forbidden: tuple[str, ...] = ()


class LedgerEntry(Record):
    """One file over the whole plan: what happens to it first, and the phases that touch it."""

    path: str
    action: Literal["new", "modify", "delete"]
    exists: bool | None
    phases: tuple[Number, ...]


class Ledger(Record):
    """All files of the plan; the totals count each file once, by what happens to it first."""

    entries: tuple[LedgerEntry, ...] = ()
    new: int = 0
    modify: int = 0
    delete: int = 0

    @classmethod
    def of(cls, phases: Iterable[Phase]) -> Ledger:
        """Add the files of phases up, whatever the plan says their number is."""
        touched: dict[str, list[tuple[PhaseFile, int]]] = {}
        for phase in phases:
            for f in phase.files:
                touched.setdefault(f.path, []).append((f, phase.number))
        entries = tuple(
            LedgerEntry(
                path=path,
                action=uses[0][0].action,
                exists=uses[0][0].exists,
                phases=tuple(dict.fromkeys(n for _, n in uses)),
            )
            for path, uses in sorted(touched.items())
        )
        totals = Counter(e.action for e in entries)
        return cls(entries=entries, new=totals["new"], modify=totals["modify"], delete=totals["delete"])


class Edge(Record):
    """``phase`` needs ``needs`` to be done before."""

    phase: Number
    needs: Number


class Excerpt(Record):
    """Lines of the plan that a phase refers to, exactly as they stand there."""

    path: str
    start_line: int
    end_line: int
    text: str


class Context(Record):
    """What the plan says beside a phase's tasks and the phase cannot be built without; ``rollback`` None where nothing is said."""

    phase: Number
    source: str
    covers: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    excerpts: tuple[Excerpt, ...] = ()
    rollback: str | None = None


class PlanSummary(Record):
    """What every phase has to know of the whole plan."""

    title: str = NOT_STATED
    goal: str = NOT_STATED
    non_goals: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()
    always: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    glossary: tuple[Term, ...] = ()
    open_decisions: tuple[OpenDecision, ...] = ()
    file_ledger: Ledger = Ledger()
    edges: tuple[Edge, ...] = ()
    contexts: tuple[Context, ...] = ()


class ImplementationPrompt(Record):
    """The whole prompt. It cannot be made with a finding that is neither closed once nor deferred, or with phases out of order."""

    phases: tuple[Phase, ...]
    deferred: tuple[Deferral, ...]
    plan: PlanSummary
    findings: tuple[Finding, ...] = ()

    @model_validator(mode="after")
    def _lawful(self) -> Self:
        closed = [f for p in self.phases for t in p.tasks for f in t.closes] + [d.finding for d in self.deferred]
        live = sorted(f.id for f in self.findings if f.suppressed is None)
        if sorted(closed) != live:
            raise ValueError("each finding that is not suppressed is closed by exactly one phase or deferred")
        done: set[int] = set()
        for phase in self.phases:
            if phase.number in done or not done.issuperset(phase.needs):
                raise ValueError(f"phase {phase.number} stands before a phase that it needs")
            done.add(phase.number)
        return self

    @classmethod
    def from_review(cls, review: Mapping[str, Json]) -> ImplementationPrompt:
        """Build the prompt from a review in JSON alone; InputRefused where its prompt part is missing or breaks a law."""
        try:
            return cls.model_validate({key: review[key] for key in ("phases", "deferred", "plan", "findings")})
        except KeyError as missing:
            raise InputRefused(
                f"the review has no key {missing}: make it again with `nyxlab review --format json`"
            ) from None
        except ValidationError as wrong:
            first = wrong.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the prompt"
            raise InputRefused(
                f"the review cannot be used: {where}: {first['msg']}; make it again with `nyxlab review --format json`"
            ) from None

    def to_markdown(self) -> str:
        """Return the whole prompt as Markdown: header, phases, traceability."""
        return (
            "\n\n".join([self._render("header"), *map(self.phase_markdown, self.phases), self._render("tail")]) + "\n"
        )

    def phase_files(self) -> dict[str, str]:
        """Return one paste-ready Markdown file a phase, header included, and the JSON twin, by file name."""
        header = self._render("header")
        files = {f"phase-{p.number:02}.md": f"{header}\n\n{self.phase_markdown(p)}\n" for p in self.phases}
        return files | {"prompt.json": json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"}

    def phase_markdown(self, phase: Phase) -> str:
        """Return one phase without the header: what the limit of ``PHASE_TOKENS`` counts."""
        context = next(
            (c for c in self.plan.contexts if c.phase == phase.number), Context(phase=phase.number, source=NOT_STATED)
        )
        return self._render(
            "phase", p=phase, context=context, known=self._known, entry=[self._phase[n] for n in phase.needs]
        )

    @cached_property
    def _known(self) -> dict[str, Finding]:
        return {f.id: f for f in self.findings}

    @cached_property
    def _phase(self) -> dict[int, Phase]:
        return {p.number: p for p in self.phases}

    def _render(self, part: str, **values: object) -> str:
        text = _template().render(part=part, prompt=self, plan=self.plan, not_stated=NOT_STATED, **values)
        return re.sub(r"\n{3,}", "\n\n", text).strip()


# --- text of plans is hostile: on its way into Markdown it stays one line of plain words ------------------------------

_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
_SPECIAL = re.compile(r"[\\<>\[\]]")
_OPENING = re.compile(r"^(?:[#>+=~-]|\*(?=[\s*]*$|\s)|_(?=[\s_]*$)|\d{1,9}[.)](?=\s|$))")


def clip(text: str, limit: int) -> str:
    """Cut a text at ``limit`` characters, saying so."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "\u2026"


def tame(text: str) -> str:
    """Fold white space and show control, bidi and zero-width characters by their names, so that none of them acts."""
    return _shown(" ".join(text.split()))


def _shown(text: str) -> str:
    return "".join(f"\u27e8U+{ord(c):04X}\u27e9" if unicodedata.category(c) in _HIDDEN else c for c in text)


def inline(text: str, limit: int = 300) -> str:
    """Return a plan's words as one line of Markdown: no link, image, tag, table cell, heading or list can come out of it."""
    words = clip(tame(text), limit)
    pieces = words.split("`")
    if len(pieces) % 2 == 0 or "``" in words:  # an open code span would swallow what follows
        words = _SPECIAL.sub(r"\\\g<0>", words).replace("`", "\\`")
    else:
        words = "`".join(piece if n % 2 else _SPECIAL.sub(r"\\\g<0>", piece) for n, piece in enumerate(pieces))
    return words


def opening(words: str) -> str:
    """Return ``inline`` words as the start of a line or list item: they open no heading, list or rule."""
    return _OPENING.sub(lambda m: m[0][:-1] + "\\" + m[0][-1], words)


def code(text: str, limit: int = 200) -> str:
    """Return a name as a code span that its own backticks cannot close."""
    return "`" + (clip(tame(text), limit).replace("`", "'") or "?") + "`"


def fence(text: str) -> str:
    """Return lines in a fence that is longer than any in them: nothing inside is read as Markdown."""
    lines = [_shown(line.rstrip().expandtabs(4)) for line in text.split("\n")]
    mark = "~" * max([3, *(len(run) + 1 for line in lines for run in re.findall(r"~{3,}", line))])
    return "\n".join([mark, *lines, mark])


def names(numbers: Iterable[int]) -> str:
    """Return phase numbers as words: "Phase 1, Phase 3"."""
    return ", ".join(f"Phase {n}" for n in numbers)


@cache
def _template() -> Template:
    env = Environment(
        loader=PackageLoader("nyxlab", "defaults"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # what is written is Markdown, not HTML, and the filters below escape it
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(inline=inline, opening=opening, code=code, fence=fence, names=names)
    return env.get_template("prompt.md.j2")
