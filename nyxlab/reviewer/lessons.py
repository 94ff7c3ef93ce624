"""Lessons: pains that others had with plans like this one, read from ``lessons/*.yaml`` and run as rules."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Record
from nyxlab.providers.strictyaml import read_yaml
from nyxlab.reviewer.findings import MAX_SPAN, Category, Severity
from nyxlab.reviewer.rules import RULES
from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Rule
from nyxlab.reviewer.text.blocks import Fence
from nyxlab.reviewer.text.standing import Standing

_UNBOUNDED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\[\]\\]){0,99}+\]|([*+](?!\+)|\{\d*,\})")
_DENIED = re.compile(
    r"\b(?:never|not|no|without|avoid\w{0,3}|instead of|rather than|no longer|forbid\w{0,5}|remov\w{1,4}|replac\w{1,4}"
    r"|refus\w{1,4}|reject\w{0,4}|prevent\w{0,3}|stop\w{0,4}|disallow\w{0,3}|cannot|forget|unlike|if|used to|previously"
    r"|was|were)\b[^.;:]{0,60}$|n't\b[^.;:]{0,60}$",
    re.IGNORECASE,
)
_DENIED_INSIDE = re.compile(r"\b(?:must|should|may|shall|can|will|does?|is|are) (?:not|never)\b", re.IGNORECASE)
_DENIED_AFTER = re.compile(
    r"\A[^.;]{0,30}\b(?:is|are|must|should|will|may|can|be)\s(?:be\s)?(?:never|not|forbidden|refused|rejected|wrong"
    r"|removed|replaced|avoided|disallowed|prohibited|deprecated)\b",
    re.IGNORECASE,
)
_COMMENTS = ("#", "//", "--", "```", "~~~")
_PROSE_FENCES = frozenset({"markdown", "md", "mermaid", "text", "txt", "diff", "plantuml", "dot"})


def _bounded(pattern: str) -> str:
    """Refuse a pattern that repeats without a limit."""
    if any(m[1] for m in _UNBOUNDED.finditer(pattern)):
        raise ValueError("write a limit, such as {0,40}, instead of * or +")
    return pattern


Pattern = Annotated[str, StringConstraints(max_length=600), AfterValidator(_bounded)]
Patterns = tuple[Pattern, ...]
Sentence = Annotated[str, StringConstraints(pattern=r"^[A-Z`].*\.$")]


class Lesson(Record):
    """One lesson as it is written; ``defaults/lessons/building.yaml`` says what each part means."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[a-z]+)*$", max_length=60)]
    title: str
    severity: Severity
    category: Category = Category.OPS
    words: Annotated[tuple[str, ...], Field(min_length=1)]
    when: Annotated[Patterns, Field(min_length=1)]
    beside: Patterns = ()
    unless: Patterns = ()
    settled: Patterns = ()
    why: Sentence
    fix: Sentence
    firing: Annotated[tuple[str, ...], Field(min_length=1)]
    quiet: Annotated[tuple[str, ...], Field(min_length=1)]

    @property
    def patterns(self) -> tuple[Patterns, ...]:
        """Its patterns: when, beside, unless, settled."""
        return self.when, self.beside, self.unless, self.settled


class _Passage(NamedTuple):
    """A sentence, or a command with the lines that it is continued on."""

    text: str
    place: Place
    is_code: bool


def rule_of(lesson: Lesson) -> Rule:
    """Return the rule that a lesson is."""
    starts = {word.split()[0] for word in lesson.words}

    @cache
    def patterns() -> list[list[re.Pattern[str]]]:
        return [[re.compile(p, re.IGNORECASE) for p in each] for each in lesson.patterns]

    def check(document: Document, plan: Plan) -> Iterator[Claim]:
        files = document.files.values()
        if not any(start in file.small for file in files for start in starts):
            return
        when, beside, unless, settled = patterns()
        words = re.compile("|".join(re.escape(word).replace("\\ ", r"\s++") for word in lesson.words))
        made = [(passage, found) for passage in _passages(document, words) if (found := _matched(passage, when))]
        others = [_first(document, p) for p in beside] if made else []
        if None in others or any(p.search(file.text) for p in settled if made for file in files):
            return
        answered: dict[tuple[str, range], bool] = {}
        for passage, matched in made:
            path, section = passage.place.path, _section(document, passage.place)
            if (path, section) not in answered:
                text = document.quote(path, section.start, section.stop - 1)
                answered[path, section] = any(p.search(text) for p in unless)
            if not answered[path, section]:
                said = " … ".join(" ".join(m[0].split()) for m in matched)
                told = f'The plan says "{said[:160]}". {lesson.why}'
                yield Claim(lesson.severity, lesson.title, told, (passage.place, *filter(None, others)), (said,))

    check.__doc__ = f"Find what has hurt before: {lesson.title[0].lower()}{lesson.title[1:]}."
    shared = {name: getattr(lesson, name) for name in ("id", "category", "fix", "firing", "quiet")}
    reason = lesson.why[0].lower() + lesson.why[1:].rstrip(".")
    return Rule(
        **shared,
        kind="lesson",
        consequence=lesson.why,
        severities={lesson.severity: reason},
        check=check,
        confidence=0.75,
    )


def read_lessons(text: str, name: str, *, checked: bool = True) -> dict[str, Rule | None]:
    """Return the lessons of one YAML file as rules by id, None for one that is dropped.

    ``InputRefused`` names the file, the line and what is wrong; ``checked`` compiles every pattern, which takes time.
    """
    value, lines = read_yaml(text, name)
    if not isinstance(value, list):
        raise InputRefused(f"{name}:1: lessons are a list; start each with '- id: NAME'")
    found: dict[str, Rule | None] = {}
    for number, entry in enumerate(value):
        if isinstance(entry, Mapping) and entry.get("drop") is True and set(entry) == {"id", "drop"}:
            found[str(entry["id"])] = None
            continue
        try:
            lesson = Lesson.model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            wheres = ((number, *first["loc"][:n]) for n in range(len(first["loc"]), -1, -1))
            line = next((lines[w] for w in wheres if w in lines), 1)
            said = first["msg"].removeprefix("Value error, ")
            raise InputRefused(f"{name}:{line}: {'.'.join(map(str, first['loc']))}: {said}") from None
        for pattern in chain.from_iterable(lesson.patterns) if checked else ():
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                raise InputRefused(f"{name}:{lines[(number,)]}: {pattern[:60]!r} is no pattern: {error}") from None
        found[lesson.id] = rule_of(lesson)
    return found


@cache
def shipped() -> tuple[Rule, ...]:
    """Return the lessons that ship with nyxlab."""
    folder = files("nyxlab") / "defaults" / "lessons"
    read: dict[str, Rule | None] = {}
    for entry in sorted((e for e in folder.iterdir() if e.name.endswith(".yaml")), key=lambda e: e.name):
        read |= read_lessons(entry.read_text(encoding="utf-8"), entry.name, checked=False)  # tests check these
    return tuple(rule for rule in read.values() if rule)


def all_rules(own: Mapping[str, str] | None = None) -> tuple[Rule, ...]:
    """Return every rule and lesson; ``own`` are a project's lesson files by name, which add to the shipped ones."""
    lessons: dict[str, Rule | None] = {rule.id: rule for rule in shipped()}
    for name, text in (own or {}).items():
        lessons |= read_lessons(text, name)
    if taken := {rule.id for rule in RULES} & lessons.keys():
        raise InputRefused(f"a lesson may not have the name of a rule: {', '.join(sorted(taken))}; rename it")
    return (*RULES, *filter(None, lessons.values()))


def _passages(document: Document, words: re.Pattern[str]) -> Iterator[_Passage]:
    """Yield the sentences and the commands in code that stand on a line with one of the words."""
    hits = {path: lines for path, file in document.files.items() if (lines := _lines_with(words, file.small))}
    for path, lines in hits.items():
        spoken = dict.fromkeys(s for n in sorted(lines) for s in document.spoken.get((path, n), ()))
        for s in spoken:
            if s.where != "heading" and document.standing(s) in (None, Standing.FORM):
                yield _Passage(s.plain, Place(s.path, s.line, min(s.end_line, s.line + MAX_SPAN - 1)), False)
        fences = dict.fromkeys(f for n in sorted(lines) if (f := document.fences.last(path, n)) and n <= f.end_line)
        for fence in fences:
            if fence.language.lower().split(" ")[0] not in _PROSE_FENCES:
                yield from _commands(fence, document.files[path].lines, lines)


def _commands(fence: Fence, lines: tuple[str, ...], wanted: set[int]) -> Iterator[_Passage]:
    """Yield the commands of a block of code that stand on a wanted line; comments are none."""
    held: list[str] = []
    for number in range(fence.line, min(fence.end_line, len(lines)) + 1):
        line = lines[number - 1].strip()
        held.append(line.removesuffix("\\"))
        if line.endswith("\\"):
            continue
        first = number - len(held) + 1
        if not held[0].startswith(_COMMENTS) and not wanted.isdisjoint(range(first, number + 1)):
            yield _Passage(" ".join(held), Place(fence.path, max(first, number - MAX_SPAN + 1), number), True)
        held = []


def _lines_with(words: re.Pattern[str], text: str) -> set[int]:
    """Return the lines on which one of the words starts or ends."""
    found: set[int] = set()
    line, position = 1, 0
    for m in words.finditer(text):
        line, position = line + text.count("\n", position, m.start()), m.start()
        found |= {line, line + m[0].count("\n")}
    return found


def _matched(passage: _Passage, when: Iterable[re.Pattern[str]]) -> list[re.Match[str]] | None:
    """Return what each pattern matched; None where one did not, or where the sentence speaks against what it names."""
    text, found = passage.text, []
    for pattern in when:
        m = pattern.search(text)
        if not m:
            return None
        found.append(m)
    if passage.is_code:
        return found
    start, end = min(m.start() for m in found), max(m.end() for m in found)
    inside = any(_DENIED_INSIDE.search(m[0]) for m in found)
    around = _DENIED.search(text[max(0, start - 90) : start]) or _DENIED_AFTER.match(text[end : end + 80])
    return None if inside or around else found


def _first(document: Document, pattern: re.Pattern[str]) -> Place | None:
    """Return the first line of the set on which a pattern is found."""
    for path, file in document.files.items():
        if m := pattern.search(file.text):
            line = file.text.count("\n", 0, m.start()) + 1
            return Place(path, line, line)
    return None


def _section(document: Document, place: Place) -> range:
    """Return the lines between the headings around a place."""
    above, ends = document.headings.last(place.path, place.line), document.files[place.path].length
    below = next((h.line for h in document.headings if h.path == place.path and h.line > place.line), ends + 1)
    return range(above.line if above else 1, below)
