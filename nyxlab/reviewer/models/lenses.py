"""What models are asked about a numbered plan, the whole reading or one lens, and the answer as claims to check."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, get_args

from pydantic import Field

from nyxlab.errors import InputRefused, did_you_mean
from nyxlab.providers.messages import Json, Record, looks_like_key
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.text.document import Document

READER = "reader"
"""The question that a review asks: read it all, as who builds it tomorrow. One call finds more than seven lenses."""
LENSES = ("domain-model", "data", "security", "interfaces", "failure-paths", "tests", "operations")
"""Questions for one's own depth; a project's ``lenses/NAME.md`` replaces one, or the reader's, or adds its own."""

AROUND = 400  # characters that the words around a part may take
OVERLAP = 0.1  # of a part is said again at the start of the next, so that neighbours are seen together
CHARACTERS = 3.2  # a token, counted low: a part that is too long is refused after it was paid
WINDOW = 32_000  # tokens, where nobody has said how many a provider takes
MOST_WINDOW = 110_000  # past it, models overlook what they are shown
REPLY = 16_000  # tokens: 25 findings with their quotes, and the thinking before them
LEAST_ROOM = 1_200  # characters of plan that a question must hold to be worth asking

Answer = Literal["surviving", "needs-hardening", "rejected"]


class Consequence(Record):
    """What happens if a plan is built as written: how bad, of what kind, and whether two sides must be quoted."""

    severity: Severity
    category: Category
    told: str
    two_sides: bool = False
    irreversible: bool = False


_FOLDER = files("nyxlab") / "defaults" / "lenses"
CONSEQUENCES: Mapping[str, Consequence] = {
    name: Consequence.model_validate(words)
    for name, words in tomllib.loads((_FOLDER / "consequences.toml").read_text(encoding="utf-8")).items()
}


class Quote(Record):
    """Words that a model says stand in a numbered line."""

    line: int
    text: str


class LensClaim(Record):
    """One finding as a model tells it; nothing of it is believed before code has looked."""

    title: str = Field(min_length=1)
    explanation: str
    consequence: str
    certain: bool
    outside: bool = False
    """Whether it rests on knowledge that is not in the plan."""
    entities: tuple[str, ...]
    quotes: tuple[Quote, ...]
    fix: str


class Refuted(Record):
    """What a second reader says about a claim, by its number."""

    claim: int
    answer: Answer
    reason: str


def object_schema(optional: tuple[str, ...] = (), **fields: Json) -> dict[str, Json]:
    """Return the JSON Schema of an object with these fields and no others."""
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


def array_of(items: Json) -> dict[str, Json]:
    """Return the JSON Schema of a list of such values."""
    return {"type": "array", "items": items}


TEXT, WHOLE, YES = ({"type": kind} for kind in ("string", "integer", "boolean"))
_CLAIM = object_schema(
    optional=("outside",),  # a reply without it means false
    title=TEXT, explanation=TEXT, quotes=array_of(object_schema(line=WHOLE, text=TEXT)), entities=array_of(TEXT),
    consequence={"type": "string", "enum": list(CONSEQUENCES)}, certain=YES, outside=YES, fix=TEXT,
)  # fmt: skip
_ANSWER = object_schema(claim=WHOLE, answer={"type": "string", "enum": list(get_args(Answer))}, reason=TEXT)
CLAIMS_SCHEMA = object_schema(findings=array_of(_CLAIM))
ANSWERS_SCHEMA = object_schema(answers=array_of(_ANSWER))
EITHER_SCHEMA = object_schema(findings=array_of(_CLAIM), answers=array_of(_ANSWER))
"""Both, for a provider that keeps what two questions share: the form of the reply stands before the plan."""
NUMBERED = re.compile(r"^\s*\d+\s*\|[ ]?", re.MULTILINE)
"""How lines are numbered, which a reply may repeat."""


def read_claims(value: Json) -> tuple[LensClaim, ...]:
    """Return the claims of a reply that satisfies ``CLAIMS_SCHEMA``; those without a title say nothing."""
    return tuple(LensClaim.model_validate(each) for each in value["findings"] if each["title"].strip())


def read_answers(value: Json) -> dict[int, Refuted]:
    """Return a second reader's answers by claim, from a reply that satisfies ``ANSWERS_SCHEMA``; the first counts."""
    answers = [Refuted.model_validate(each) for each in value["answers"]]
    return {each.claim: each for each in reversed(answers)}


@cache
def shipped_lenses() -> dict[str, str]:
    """Return the questions that ship with nyxlab, by name."""
    return {name: (_FOLDER / f"{name}.md").read_text(encoding="utf-8").strip() for name in (READER, *LENSES)}


def chosen_lenses(wanted: Sequence[str], own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the questions of these names, the reader's for none; ``own`` ones replace those of the same name.

    The beginning of a name is enough ("fail"), and so is a longer one ("security-and-tenancy").
    """
    known = shipped_lenses() | dict(own or {})
    found: dict[str, str] = {}
    for name in wanted or (READER,):
        meant = [n for n in known if n == name] or [
            n for n in known if name and (n.startswith(name) or name.startswith(n))
        ]
        if len(meant) != 1:
            raise InputRefused(f"unknown lens '{name}': use one of {', '.join(known)}{did_you_mean(name, known)}")
        found[meant[0]] = known[meant[0]]
    return found


def pass_name(lens: str) -> str:
    """Return what a review calls the pass that asks a question: ``reader``, or ``lens:NAME``."""
    return lens if lens == READER else f"lens:{lens}"


def question(text: str) -> str:
    """Return a question as it is asked: with each consequence that a finding may name in a line."""
    told = "\n".join(f"- {name}: {each.told}" for name, each in CONSEQUENCES.items())
    return f"{text}\n\n`consequence` is one of these:\n{told}"


# --- the plan as a model reads it -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Numbered:
    """The lines of a document numbered through all its files, so that one number names one line."""

    lines: tuple[tuple[str, int, str], ...]
    cuts: Mapping[int, int]
    """Where the plan may be cut, by the index of a part's first line, and how deep that cuts: 0 between files."""

    @classmethod
    def of(cls, document: Document) -> Numbered:
        """Return a document numbered; ``InputRefused`` for what looks like a vendor's key, which goes to nobody."""
        lines = tuple(
            (path, n, line)
            for path, file in document.files.items()
            for n, line in enumerate(file.lines[: file.length], 1)
        )
        if keys := [f"{path}:{n}" for path, n, line in lines if looks_like_key(line)]:
            raise InputRefused(f"{keys[0]}: this looks like a vendor's key: take it out before models read the plan")
        depths = {(h.path, h.line): h.level for h in document.headings} | {(path, 1): 0 for path in document.files}
        return cls(lines, {i: depths[path, n] for i, (path, n, _) in enumerate(lines) if (path, n) in depths})

    def place(self, number: int) -> tuple[str, int]:
        """Return the file and line that a number names; the nearest one for a number that names none."""
        path, line, _ = self.lines[min(max(number, 1), len(self.lines)) - 1]
        return path, line

    def number(self, path: str, line: int) -> int:
        """Return the number of a file's line."""
        return next((i for i, (p, n, _) in enumerate(self.lines, 1) if p == path and n == line), 1)

    def parts(self, room: int) -> tuple[Part, ...]:
        """Cut the plan into parts of at most ``room`` characters: between files, else at headings, else between lines.

        Each part but the first begins with the last lines of the one before, and each names what stands around it.
        """
        shown = [self._shown(i) for i in range(len(self.lines))]
        if sum(map(len, shown)) <= room:
            return (Part(1, len(shown), "".join(shown)),)
        parts, begin = [], 0
        room -= AROUND
        while begin < len(shown):
            end, used, best = begin, 0, None
            while end < len(shown) and used + min(len(shown[end]), room) <= room:
                if end in self.cuts and used > room / 2 and (best is None or self.cuts[end] <= self.cuts[best]):
                    best = end
                used += min(len(shown[end]), room)
                end += 1
            end = best if best and end < len(shown) else max(end, begin + 1)
            text = "".join(line[:room] for line in shown[begin:end])
            parts.append(Part(begin + 1, end, f"{self._around(begin, end)}{text}"))
            if end == len(shown):
                break
            back, said = end, 0
            while back - 1 > begin and (said := said + len(shown[back - 1])) <= room * OVERLAP:
                back -= 1
            begin = back
        return tuple(parts)

    def _around(self, begin: int, end: int) -> str:
        """Say what stands before and after the lines from ``begin`` to before ``end``: it is not missing."""
        before = f"before it: {self._span(0, begin - 1)}" if begin else "nothing before it"
        after = f"after it: {self._span(end, len(self.lines) - 1)}" if end < len(self.lines) else "nothing after it"
        path, line, _ = self.lines[begin]
        head = f"=== {path}, from its line {line} on\n" if line > 1 else ""
        return f"(part of a longer plan; {before}; {after}; what is not here may stand there)\n{head}"

    def _span(self, first: int, last: int) -> str:
        (path, _, _), (to, _, _) = self.lines[first], self.lines[last]
        files = path if path == to else f"{path} to {to}"
        return f"{files}, {first + 1}| to {last + 1}|"

    def _shown(self, index: int) -> str:
        path, line, text = self.lines[index]
        head = f"=== {path}\n" if line == 1 else ""
        return f"{head}{index + 1}| {text}\n"


class Part(NamedTuple):
    """Lines ``first`` to ``last`` of a numbered plan, as they are shown."""

    first: int
    last: int
    text: str


def reply_tokens(context: int | None) -> int:
    """Return how long a reply may be for a window of so many tokens."""
    return min(REPLY, (context or WINDOW) // 4)


def room(context: int | None, question: int) -> int:
    """Return how many characters of plan a window holds beside a question of ``question`` characters and the reply.

    Less than ``LEAST_ROOM`` is too little to ask anything.
    """
    tokens = min(context or WINDOW, MOST_WINDOW) - reply_tokens(context)
    return int(tokens * CHARACTERS) - question - len(str(CLAIMS_SCHEMA)) - 400


def asked_claim(number: int, title: str, explanation: str, quotes: Iterable[tuple[int, str]]) -> str:
    """Return a claim as a second reader sees it: title, explanation and quotes by line; neither severity nor finder."""
    return f"CLAIM {number}: {title}\n{explanation}\n" + "".join(f'  line {n}: "{text}"\n' for n, text in quotes)
