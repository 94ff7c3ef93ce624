"""The phased implementation prompt: the plan itself, cut and annotated; findings stand beside its words."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Self

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from pydantic import ValidationError

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json, Record
from nyxlab.reviewer.cut import BUDGET, Block, Cut, CutPhase, PhaseFile, cut
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.models.amend import Decision
from nyxlab.reviewer.plan.read import read_plan
from nyxlab.reviewer.text.document import Document, group, parse_documents

HEADER_TOKENS = 1_500
"""A header up to this long stands on top of every phase; a longer one is a file of its own that every phase names."""


class Reference(Record):
    """A place of the plan outside of a phase that the phase's lines speak of."""

    name: str
    path: str
    line: int


class ImplementationPrompt(Cut):
    """The whole prompt: a plan's lines by path, how they are cut, and what the review says about them.

    **Law:** every line that is not blank stands, byte for byte, in exactly one block of header, phases and appendix.
    """

    texts: Mapping[str, str]
    findings: tuple[Finding, ...] = ()
    decisions: tuple[Decision, ...] = ()
    told: str = ""
    copies: Mapping[str, tuple[str, int, str]] = {}
    """Requirements by name: file, line, text; shown beside the tasks that cite them, as copies."""
    references: Mapping[int, tuple[Reference, ...]] = {}

    @classmethod
    def of(cls, review: Mapping[str, Json], texts: Mapping[str, str], budget: int = BUDGET) -> Self:
        """Return the prompt of a review (its JSON) and the texts it was made of.

        ``budget`` is how many tokens a phase may have. InputRefused where the review is not whole or a text is missing.
        """
        try:
            findings = tuple(Finding.model_validate(f) for f in review["findings"])
            paths = [str(each["path"]) for each in review["documents"]]
            decisions = tuple(Decision.model_validate(d) for d in review.get("decisions") or ())
        except (KeyError, TypeError, ValidationError):
            raise InputRefused("the review cannot be used: make it again with `nyxlab review --format json`") from None
        if missing := [path for path in paths if path not in texts]:
            raise InputRefused(
                f"{missing[0]}: no longer there as it was reviewed;"
                " review the plan again, and write the prompt from that"
            )
        document = parse_documents({path: texts[path] for path in paths})
        plan = read_plan(document)
        made = cut(document, plan, findings, budget)
        exists = {f["path"]: f.get("exists") for phase in review.get("phases") or () for f in phase.get("files", ())}
        phases = tuple(
            p.model_copy(update={"files": tuple(f.model_copy(update={"exists": exists.get(f.path)}) for f in p.files)})
            for p in made.phases
        )
        known = {r.name: (r.path, r.line, r.title) for r in plan.requirements if r.number}
        covered = dict.fromkeys(name for phase in phases for name in phase.covers if name in known)
        return cls(
            texts=texts, phases=phases, header=made.header, appendix=made.appendix, deferred=made.deferred,
            findings=findings, decisions=tuple(d for d in decisions if d.settled), told=plan.told(),
            copies={name: known[name] for name in covered}, references=_references(document, phases),
        )  # fmt: skip

    def to_json(self) -> dict[str, Json]:
        """Return the JSON twin, without the plan's own text: its blocks say which lines they are."""
        return self.model_dump(mode="json", by_alias=True, exclude={"texts", "copies"})

    def files(self) -> dict[str, str]:
        """Return the Markdown files by name, header first, one a phase, appendix and tail last, and the JSON twin."""
        header = self._render("header")
        short = len(header) // 4 <= HEADER_TOKENS
        found = {f"{0:0{self.width}d}-header.md": header + "\n"}
        for phase in self.phases:
            found[self.name_of(phase)] = f"{self._render('phase', p=phase, header=short)}\n"
        found[f"{'9' * self.width}-appendix.md"] = f"{self._render('appendix')}\n\n{self._render('tail')}\n"
        return found | {"prompt.json": json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"}

    def to_markdown(self) -> str:
        """Return the whole prompt as one Markdown text."""
        pieces = [self._render("header"), *(self._render("phase", p=p, header=False) for p in self.phases)]
        return "\n\n".join([*pieces, self._render("appendix"), self._render("tail")]) + "\n"

    @property
    def width(self) -> int:
        """How many digits file names have, so that they sort in the plan's order."""
        return max(2, len(str(len(self.phases) + 1)))

    def name_of(self, phase: CutPhase) -> str:
        """Return the name of a phase's file."""
        words = re.sub(r"[^a-z0-9]+", "-", phase.title.lower()).strip("-")[:48].strip("-")
        return f"{phase.number:0{self.width}d}-{words or 'phase'}.md"

    def text_of(self, block: Block) -> str:
        """Return the lines of a block exactly as they stand in the plan, with LF between them."""
        lines = self._lines[block.path][block.start_line - 1 : block.end_line]
        return "\n".join(line.removesuffix("\r") for line in lines)

    @cached_property
    def _lines(self) -> dict[str, list[str]]:
        return {path: text.split("\n") for path, text in self.texts.items()}

    @cached_property
    def ledger(self) -> tuple[tuple[PhaseFile, tuple[int, ...]], ...]:
        """Every file of the plan with the phases that touch it; what is said first of it holds."""
        found = group((file.path, (file, phase.number)) for phase in self.phases for file in phase.files)
        return tuple(
            (next((f for f, _ in uses if f.action), uses[0][0]), tuple(dict.fromkeys(n for _, n in uses)))
            for _, uses in sorted(found.items())
        )

    @cached_property
    def lines(self) -> Counter[str]:
        """How many lines that are not blank stand in header, phases and appendix, and how many there are in all."""
        count = Counter(all=sum(bool(line.strip()) for text in self.texts.values() for line in text.split("\n")))
        phases = [block for phase in self.phases for block in phase.blocks]
        for name, blocks in (("header", self.header), ("phases", phases), ("appendix", self.appendix)):
            count[name] = sum(bool(x.strip()) for b in blocks for x in self.text_of(b).split("\n"))
        return count

    @cached_property
    def traced(self) -> dict[str, tuple[int, ...]]:
        """Each requirement that tasks cite, with the phases that they are in."""
        return group((name, phase.number) for phase in self.phases for name in phase.covers)

    @cached_property
    def _known(self) -> dict[str, Finding]:
        return {f.id: f for f in self.findings}

    def _render(self, part: str, **values: object) -> str:
        name = f"{0:0{self.width}d}-header.md"
        shown = _template().render(part=part, prompt=self, known=self._known, header_file=name, **values)
        return shown.strip("\n")


def _references(document: Document, phases: Iterable[CutPhase]) -> dict[int, tuple[Reference, ...]]:
    """Return the sections and files outside of each phase that its lines speak of, each once."""
    own = {(b.path, n): p.number for p in phases for b in p.blocks for n in range(b.start_line, b.end_line + 1)}
    sections = {(h.path, h.number): h for h in document.headings if h.number}
    by_base = {path.rpartition("/")[2]: path for path in reversed(list(document.files))}
    found: dict[int, dict[str, Reference]] = {}
    for label in document.labels:
        number, cites = own.get((label.path, label.line)), label.family == "section" and not label.defines
        heading = sections.get((label.path, label.number)) if cites else None
        if number and heading and own.get((heading.path, heading.line)) != number:
            name = f"Section {label.number} ({heading.text[:60]})"
            found.setdefault(number, {})[name] = Reference(name=name, path=heading.path, line=heading.line)
    for mention in document.file_mentions:
        number, path = own.get((mention.path, mention.line)), by_base.get(mention.base)
        if number and path and path != mention.path:
            found.setdefault(number, {})[mention.base] = Reference(name=mention.base, path=path, line=1)
    return {number: tuple(named.values()) for number, named in found.items()}


# --- words of plans are hostile: outside of their fence they stay one line of plain words -----------------------------

_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
_SPECIAL = re.compile(r"[\\<>\[\]`*_#|~]")


def inline(text: str, limit: int = 300) -> str:
    """Return a plan's words as one line of Markdown: no link, tag, table cell, heading or list can come out of it."""
    words = " ".join(text.split())
    words = words if len(words) <= limit else words[: limit - 1].rstrip() + "\u2026"
    shown = "".join(f"\u27e8U+{ord(c):04X}\u27e9" if unicodedata.category(c) in _HIDDEN else c for c in words)
    shown = _SPECIAL.sub(r"\\\g<0>", shown)
    return re.sub(r"^([+>=-]|\d{1,9}[.)])", r"\\\1", shown)


def code(text: str, limit: int = 200) -> str:
    """Return a name as a code span that its own backticks cannot close."""
    return "`" + (" ".join(text.split())[:limit].replace("`", "'") or "?") + "`"


def fence(text: str) -> str:
    """Return lines, unchanged, in a fence that is longer than any in them: nothing inside is read as Markdown."""
    mark = "~" * max([3, *(len(run) + 1 for run in re.findall(r"~{3,}", text))])
    return f"{mark}\n{text}\n{mark}"


@cache
def _template() -> Template:
    env = Environment(
        loader=PackageLoader("nyxlab", "defaults"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # what is written is Markdown, not HTML, and the filters below escape it
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters.update(inline=inline, code=code, fence=fence)
    env.filters["names"] = lambda numbers: ", ".join(f"phase {n}" for n in numbers)
    return env.get_template("prompt.md.j2")
