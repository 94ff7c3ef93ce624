"""Mending a plan: decisions about findings, with edits that are each checked against the plan's own words."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Annotated, NamedTuple

from pydantic import Field

from nyxlab.providers.messages import Json, Record
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.models.lenses import NUMBERED, TEXT, WHOLE, YES, Numbered, array_of, object_schema


class Edit(Record):
    """Words of a file that are to become others: ``old`` begins in ``line`` (from 1) and stands there exactly once."""

    path: str
    line: Annotated[int, Field(ge=1)]
    old: str
    new: str


class Decision(Record):
    """What is decided about a finding: which reading holds, why, and the edits that carry it out.

    ``person``: somebody must decide, between ``options``. With no reading and no edit nothing is decided yet.
    """

    finding: str
    reading: str = ""
    why: str = ""
    edits: tuple[Edit, ...] = ()
    person: bool = False
    options: tuple[str, ...] = ()

    @property
    def made(self) -> bool:
        """Whether anything is decided, if only who has to."""
        return bool(self.reading.strip() or self.person or any(e.old != e.new for e in self.edits))

    @property
    def settled(self) -> bool:
        """Whether it says how the plan is to be read."""
        return bool(self.reading.strip()) and not self.person


class Refusal(NamedTuple):
    """An edit that is not made, and why."""

    finding: str
    edit: Edit
    reason: str

    def __str__(self) -> str:
        """Say it in one sentence."""
        return f"{self.finding}: the edit of {self.edit.path}:{self.edit.line} is not made: {self.reason}"


_EDITS = array_of(object_schema(line=WHOLE, old=TEXT, new=TEXT))
DECISION_SCHEMA = object_schema(reading=TEXT, why=TEXT, edits=_EDITS, person=YES, options=array_of(TEXT))


def asked(finding: Finding, numbers: Sequence[int]) -> str:
    """Return a finding as whoever mends it sees it; ``numbers`` are the lines of its evidence in the numbered plan."""
    quotes = "".join(f'  line {n}: "{e.quote}"\n' for n, e in zip(numbers, finding.evidence, strict=True))
    return f"FAULT: {finding.title}\n{finding.explanation}\n{quotes}Suggested: {finding.fix}\n"


def read_decision(finding: str, value: Json, numbered: Numbered, texts: Mapping[str, str]) -> Decision:
    """Return a reply that satisfies ``DECISION_SCHEMA`` as a decision, its lines told as the files count them.

    Numbers of lines that it has copied with the words are taken off, where the words do not stand there with them.
    """
    edits = []
    for each in value["edits"]:
        path, line = numbered.place(each["line"])
        old, new = each["old"], each["new"]
        if old not in texts[path]:
            old, new = NUMBERED.sub("", old), NUMBERED.sub("", new)
        edits.append(Edit(path=path, line=line, old=old, new=new))
    return Decision.model_validate({**value, "finding": finding, "edits": edits})


def amended(texts: Mapping[str, str], decisions: Iterable[Decision]) -> tuple[dict[str, str], tuple[Refusal, ...]]:
    """Return the texts with every edit made that can be, and the others with the reason.

    **Law:** an edit is made where its old words begin in the line that it names, once, or else stand once in the whole
    file, and no edit before it touches them; nothing else changes by a byte.
    """
    made: dict[str, list[tuple[int, int, str]]] = {}
    refused = []
    for decision in decisions:
        for edit in (e for e in decision.edits if e.old != e.new and not decision.person):
            text = texts.get(edit.path)
            old, new = (_ended(words, text or "") for words in (edit.old, edit.new))
            at, reason = _found(text, old, edit.line)
            end = at + len(old)
            if not reason and any(at < last and first < end for first, last, _ in made.get(edit.path, ())):
                reason = "an edit before it changes the same words"
            if reason:
                refused.append(Refusal(decision.finding, edit, reason))
            else:
                made.setdefault(edit.path, []).append((at, end, new))
    found = dict(texts)
    for path, edits in made.items():
        for first, last, new in sorted(edits, reverse=True):
            found[path] = found[path][:first] + new + found[path][last:]
    return found, tuple(refused)


def _ended(words: str, text: str) -> str:
    """Return words with the line ends of the text that they are for."""
    return words.replace("\n", "\r\n") if "\r\n" in text and "\r" not in words else words


def _found(text: str | None, old: str, line: int) -> tuple[int, str]:
    """Return where an edit's old words stand, or why that cannot be told."""
    if text is None:
        return 0, "it is no file of the plan"
    if not old:
        return 0, "it names no old words: repeat the line before what is new"
    everywhere = [m.start() for m in islice(re.finditer(f"(?={re.escape(old)})", text), 1_000)]
    here = [at for at in everywhere if text.count("\n", 0, at) + 1 == line]
    if len(here) != 1 and len(everywhere) != 1:
        count = f"{len(everywhere)} times, and not once in that line" if everywhere else "nowhere in that file"
        return 0, f"its old words stand {count}"
    return (here if len(here) == 1 else everywhere)[0], ""
