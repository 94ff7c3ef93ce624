"""Letters: the hand-off at the end of a session, Markdown for people that ends in one block of JSON.

A plain sentence may stand for a pain or a next step; a letter of sentences alone is written back as it was read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Cost, Count, Json, Record

FOLDER, OWN_LESSONS = "data/letters", "lessons/own.yaml"
BLOCK = re.compile(r"^```json[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class Pain(Record):
    """What went wrong: what was tried, how it failed, what it taught, and what mended it or that it is ``open``."""

    what: Sentence
    tried: str | None = None
    failure: str | None = None
    lesson: str | None = None
    fixed_by: str | None = None
    open: bool | None = None
    run: str | None = None


class NextStep(Record):
    """What to do next, the command that does it, and what is there once it is done: a completed run, file or commit."""

    title: Sentence
    command: str | None = None
    done: Annotated[dict[Literal["run", "file", "commit"], str], Field(min_length=1, max_length=1)] | None = None


class State(Record):
    """What is recorded of the session: its runs and reviews, where git stood, what was spent."""

    since: AwareDatetime
    until: AwareDatetime
    runs: tuple[str, ...] = ()
    reviews: tuple[str, ...] = ()
    commit: str | None = None
    spend: Cost = Cost(usd=Decimal(0), certainty="exact")
    tokens: Count = 0


class Letter(Record):
    """One letter. ``prose`` is a model's text around the facts: it stands in the Markdown and not in the JSON."""

    schema_: Literal["nyxlab.letter/1"] | None = Field(None, alias="schema")
    things_done: tuple[Sentence, ...] = ()
    pains: tuple[Pain | Sentence, ...] = ()
    successes: tuple[Sentence, ...] = ()
    tech_stack: tuple[Sentence, ...] = ()
    next: tuple[NextStep | Sentence, ...] = ()
    state: State | None = None
    prose: str = Field("", exclude=True)

    def to_json(self) -> dict[str, Json]:
        """Return the letter with the keys that it was given, so that one in the original's form stays one."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def read_letter(path: Path) -> Letter:
    """Return the letter in a file: Markdown with one block of JSON, or JSON alone."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputRefused(f"{path}: cannot be read as UTF-8 text; name a letter, such as those in {FOLDER}/") from None
    blocks = [text] if text.lstrip().startswith("{") else BLOCK.findall(text)
    if len(blocks) != 1:
        raise InputRefused(f"{path}: {len(blocks) or 'no'} blocks of JSON; a letter ends in one: ```json … ```")
    try:
        return Letter.model_validate(json.loads(blocks[0]))
    except (json.JSONDecodeError, RecursionError) as error:
        line = text.count("\n", 0, text.index(blocks[0])) + getattr(error, "lineno", 1)
        raise InputRefused(f"{path}:{line}: not valid JSON: {getattr(error, 'msg', 'nested too deeply')}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("Pain", "NextStep"))
        raise InputRefused(f"{path}: {where}: {first['msg']}; the last letter shows how it is written") from None


def last_letter(root: Path) -> Path | None:
    """Return the newest letter of a project, None where there is none: their names begin with their dates."""
    return max((root / FOLDER).glob("*.md"), key=lambda path: (path.name[:10], path.stat().st_mtime), default=None)


def mistakes(letter: Letter, bills: Mapping[str, tuple[Cost, int]]) -> list[str]:
    """Return what does not hold by the ledger's ``bills`` (cost, tokens): runs that it lacks, totals that differ."""
    runs = list(dict.fromkeys(letter.state.runs if letter.state else ()))
    told = [pain.run for pain in letter.pains if isinstance(pain, Pain)]
    shown = [step.done.get("run") for step in letter.next if isinstance(step, NextStep) and step.done]
    unknown = [run for run in dict.fromkeys((*runs, *told, *shown)) if run and run not in bills]
    wrong = [f"no run '{run[:80]}' in the ledger" for run in unknown]
    if letter.state and not wrong:
        spend, tokens = Cost.total(bills[run][0] for run in runs), sum(bills[run][1] for run in runs)
        if (spend, tokens) != (letter.state.spend, letter.state.tokens):
            said = f"{letter.state.spend.usd} USD ({letter.state.spend.certainty}) and {letter.state.tokens:,} tokens"
            wrong.append(f"state says {said}, its runs took {spend.usd} USD ({spend.certainty}) and {tokens:,} tokens")
    return wrong


def lessons_of(letter: Letter) -> dict[str, dict[str, Json]]:
    """Return each pain that taught something as an entry of ``lessons/*.yaml``, by its id: one for the same pain.

    The rule that it becomes speaks where a plan says, in the same words, what was tried.
    """
    found: dict[str, dict[str, Json]] = {}
    for told in letter.pains:
        pain = Pain(what=told, lesson="Say in the plan how this is avoided") if isinstance(told, str) else told
        phrase = " ".join(re.sub(r"[`*_]", " ", pain.tried or pain.what).split())[:120].rstrip(" .")
        name = "-".join(["own", *re.findall(r"[a-z]+", pain.what.lower())])[:60].rstrip("-")
        if pain.lesson and phrase:
            found[name] = {
                "id": name,
                "title": " ".join(pain.what.split()).rstrip("."),
                "severity": "LOW",
                "words": [phrase.lower().split()[0]],
                "when": [re.escape(phrase)],
                "why": _sentence(pain.failure or pain.what),
                "fix": _sentence(pain.lesson),
                "firing": [f"We decided: {phrase}.\n"],
                "quiet": ["Nothing of the kind.\n"],
            }
    return found


def keep_lessons(root: Path, lessons: Iterable[Mapping[str, Json]]) -> None:
    """Add lessons at the end of ``lessons/own.yaml``, what stands there left as it is; all of them or none."""
    from nyxlab.reviewer.lessons import read_lessons  # the reviewer with its rules: to read a letter needs none

    path = root / OWN_LESSONS
    before = path.read_text(encoding="utf-8") if path.exists() else "# What our own letters taught."
    after = f"{before.rstrip()}\n{yaml.safe_dump([*lessons], allow_unicode=True, sort_keys=False, width=1_000)}"
    read_lessons(after, OWN_LESSONS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".new").write_text(after, encoding="utf-8")
    path.with_suffix(".new").replace(path)


def _sentence(text: str) -> str:
    told = " ".join(text.split()).rstrip(".")
    return f"{told[0].upper()}{told[1:]}." if told[:1].isascii() and told[:1].isalpha() else f"It says: {told}."
