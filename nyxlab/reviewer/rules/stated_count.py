"""K1: a stated count against what is listed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.document import Document, Heading, ListBlock, Sentence, Table
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.measures import NUMBERS
from nyxlab.reviewer.rules.base import Claim, Place, Rule, at

_WORD = "|".join(word for word, value in NUMBERS.items() if value > 1)
_COUNT = re.compile(
    rf"\b({_WORD}|[2-9]|[1-9]\d)\s((?:following\s)?(?:[a-z][\w'/-]*\s){{0,3}}?([a-z][\w/-]*(?:s|eria|people|schemata|data)))\b(?![-'\w])",
    re.IGNORECASE,
)
_LOOSE = re.compile(
    r"\b(?:at least|at most|up to|more than|less than|fewer than|over|under|about|around|roughly|nearly|almost|some|any|first|last|next|other|another|additional|"
    r"every|each|within|(?<!consists )(?<!consist )(?<!composed )(?<!made up )(?<!total )of|or|to|than|per|least|most|version|only) $",
    re.IGNORECASE,
)  # fmt: skip
_MEASURES = frozenset(
    "seconds minutes hours days weeks months years times bytes bits percent points sprints releases lines characters ms others reasons' ways'".split()  # noqa: SIM905  # a list of words reads as words
)
_TELLS = re.compile(
    r"\b(?:there are|ha(?:s|ve)|consists? of|comprises?|contains?|distinguish(?:es)?|defines?|describes?|includes?|covers?|delivers?|lists?|split into|divided into|"
    r"organi[sz]ed (?:in|into)|broken (?:down )?into|structured (?:in|into)|done in|delivered in|works? in|rolled out in|proceeds? in|altogether|in (?:total|all)|total of)\b",
    re.IGNORECASE,
)  # fmt: skip
_LISTED = re.compile(
    r"(?i)\b(?:touch(?:es)?|changes?|needs?|uses?|adds?|introduces?|proposes?|tracks?|runs?|answers?|asks?|design for|made (?:up )?of|one of|we (?:considered?|propose|support|distinguish|need|add)|takes?|requires?|carries|returns?|supports?|affects?|involves?)\b"
)
_GLUE = frozenset({"of", "or", "to", "and", "for", "in", "on", "with", "is", "are", "from", "per", "as", "at", "by"})
_PARTIAL = re.compile(
    r"\b(?:each|every|per|first|last|remaining|other|these|those|(?:phase|step|stage|story|option|task) \d+)\b",
    re.IGNORECASE,
)
_FAMILIES = {
    "user stories": "user story",
    "stories": "story",
    "requirements": "FR-",
    "functional requirements": "FR-",
    "success criteria": "SC-",
    "tasks": "T",
}


def check(document: Document) -> Iterator[Claim]:
    """Find a sentence that states how many things there are, while the list, table, enumeration or headings that it announces hold another number of them."""
    blocks: list[ListBlock | Table] = [*document.lists, *document.tables]
    announced = {block.intro: block for block in blocks if block.intro}
    for sentence in document.sentences:
        counts = [(_value(m[1]), m) for m in _COUNT.finditer(sentence.plain) if _exact(sentence.plain, m)]
        if not counts:
            continue
        block = announced.get(sentence)
        if block:
            yield from _against_block(document, sentence, counts, block)
        else:
            yield from _against_words(sentence, counts)
            yield from _against_headings(document, sentence, counts)


def _value(word: str) -> int:
    return NUMBERS.get(word.lower()) or int(word)


def _exact(text: str, m: re.Match[str]) -> bool:
    """Whether the number is meant exactly and counts things, not seconds; "Tier 2 fields" counts nothing."""
    before = text[max(0, m.start() - 24) : m.start()]
    if m[1].isdigit() and re.search(r"(?:^|\s)(?!All|The|These|Those|Our|Its|Only|Exactly)[A-Z][a-z]+ $", before):
        return False
    return not (
        _LOOSE.search(before)
        or m[3].lower() in _MEASURES
        or before.endswith(("-", ".", "/", "#", "v", "$"))
        or not _GLUE.isdisjoint(m[2].lower().split())
    )


def _against_block(
    document: Document, sentence: Sentence, counts: list[tuple[int, re.Match[str]]], block: ListBlock | Table
) -> Iterator[Claim]:
    """Judge a sentence that introduces a list or a table: it is right if any of its numbers, and any way to count, agree."""
    text = sentence.plain
    if not (
        text.rstrip().endswith(":")
        or sentence.where == "heading"
        or re.search(r"\b(?:following|below|as follows|listed)\b", text)
        or (sentence.first and len(counts) == 1 and (_TELLS.search(text) or _LISTED.search(text)))
    ):
        return
    sizes = _sizes(document, block)
    last = counts[-1]
    if not text.rstrip().endswith(":") and abs(last[0] - sizes[0]) > 3:
        return  # a sentence that only stands before a list may speak of something else
    clause = text[last[1].end() :]
    if (
        any(value in sizes for value, _ in counts)
        or re.search(r"\bof (?:which|them|these)\b", clause)
        or ("." in clause[:-1] and ". " in clause)
    ):
        return
    if (
        isinstance(block, Table)
        and last[1][3].lower() not in " ".join(block.header).lower()
        and "following" not in text
    ):
        return
    yield _claim(
        last[1][0],
        last[0],
        sizes[0],
        "the table has {} rows" if isinstance(block, Table) else "the list has {} items",
        at(sentence, block),
    )


def _sizes(document: Document, block: ListBlock | Table) -> list[int]:
    """Return the ways to count a block: its items, those of lists that carry its numbering on, their children together."""
    if isinstance(block, Table):
        totals = sum(bool(re.match(r"(?:grand |sub)?total", " ".join(row.cells).strip().lower())) for row in block.rows)
        return [len(block.rows) - totals, len(block.rows)]
    same = [
        b
        for b in document.lists
        if b.section is block.section and b.path == block.path and b.depth == block.depth and b.line >= block.line
    ]
    sizes, total = [len(block.items)], len(block.items)
    for later in same[1:]:
        carries_on = later.ordered and later.items[0].number == total + 1
        if not carries_on and later.intro and later.intro.plain.endswith(":"):
            break
        total += len(later.items)
        sizes.append(total)
        if not carries_on and not block.ordered:
            continue
    inner = [
        b
        for b in document.lists
        if b.path == block.path and b.depth == block.depth + 1 and block.line < b.line <= block.end_line
    ]
    return [*sizes[:1], *sizes[1:], *([sum(len(b.items) for b in inner)] if inner else [])]


def _against_words(sentence: Sentence, counts: list[tuple[int, re.Match[str]]]) -> Iterator[Claim]:
    """Judge things that are enumerated in the sentence itself: "three states: open, paid and void"."""
    for value, m in counts:
        rest = sentence.plain[m.end() :]
        opened = re.match(
            r"(?:[^:(,;.\u2014\d]{0,40}?(?::\s|\s[\u2014\u2013-]\s|,\s(?:namely|viz\.|which are|i\.e\.,?)\s)|\s\()",
            rest,
        )
        if not opened:
            continue
        body = rest[opened.end() :]
        inside = opened[0].endswith("(")
        stop = re.search(r"\)" if inside else r"[.;](?:\s|$)|\s\u2014|\(|$", body)
        parts = _enumerated(body[: stop.start()] if stop else "")
        if len(parts) > 1 and len(parts) not in {number for number, _ in counts}:
            yield _claim(m[0], value, len(parts), "{} are named: " + ", ".join(parts), at(sentence), Severity.LOW)


def _enumerated(text: str) -> list[str]:
    """Split "a, b and c"; nothing where it is not clearly an enumeration of short names."""
    if not re.search(r",?\s(?:and|or|&)\s|,", text) or re.search(
        r"\b(?:etc|e\.g|such as|for example|including|\.\.\.|is|are|can|will|must|that|which|to)\b|\u2026|:", text
    ):
        return []
    parts = [
        p.strip() for p in re.split(r",\s(?:and|or)\s|,\s|\s(?:and|or|&)\s", text.strip().rstrip(".")) if p.strip()
    ]
    return (
        parts
        if all(len(p.split()) <= 3 for p in parts) and (len(parts) > 2 or "," in text or len(text.split()) < 8)
        else []
    )


def _against_headings(
    document: Document, sentence: Sentence, counts: list[tuple[int, re.Match[str]]]
) -> Iterator[Claim]:
    """Judge how many phases, steps, stories or requirements the plan says it has; they are numbered headings or items of the set."""
    text = sentence.plain
    if not _TELLS.search(text) or sentence.where == "heading":
        return
    for value, m in counts:
        noun = m[3].lower()
        words = m[2].lower().split()
        if _PARTIAL.search(text[: m.end()]) or _PARTIAL.match(text[m.end() :].lstrip()):
            continue
        two = " ".join(words[-2:])
        family = _FAMILIES.get(two) or _FAMILIES.get(noun) or noun.removesuffix("s")
        local = document.declared(family, sentence.path) or document.declared("user story", sentence.path) * (
            family == "story"
        )
        local = local or tuple(d for d in document.definitions.get(family, ()) if d.rank > 1)
        numbers = {d.number for d in local}
        if len(numbers) > 1:
            if (
                value != len(numbers)
                and not _nested(sentence, local[0].sentence.section)
                and len(local) == len(numbers)
            ):
                names = ", ".join(d.name for d in local[:30])
                yield _claim(m[0], value, len(numbers), "{} are defined: " + names, at(sentence, local[0]))
            continue
        titled = [
            h
            for h in document.headings
            if h.path == sentence.path and re.sub(r"^[\d.]+\s+", "", h.text.lower()) in (noun, two)
        ]
        if len(titled) == 1 and not _nested(sentence, titled[0]):
            children = document.children(titled[0])
            items = [len(b.items) for b in document.lists if b.section is titled[0] and b.depth == 0]
            size = len(children) or (items[0] if len(items) == 1 else 0)
            if size and size != value:
                yield _claim(m[0], value, size, "{} stand under that heading", at(sentence, titled[0]))


def _nested(sentence: Sentence, section: Heading | None) -> bool:
    """Whether the sentence speaks from inside one of the counted parts, so that it may count something of its own."""
    return (
        section is not None
        and sentence.section is section
        and bool(re.search(r"\d", section.text))
        and sentence.line != section.line
    )


def _claim(
    said: str, value: int, found: int, how: str, places: tuple[Place, ...], severity: Severity = Severity.MEDIUM
) -> Claim:
    return Claim(
        severity,
        f'"{said}", but there are {found}',
        f'The text says "{said}"; {how.format(found)}.',
        f"Correct the number to {found}, or add or remove what makes the difference.",
        places,
        (said,),
        (str(value), str(found)),
    )


RULE = Rule(
    id="stated-count",
    kind="K1",
    category=Category.CLAIM,
    consequence="Somebody builds or tests the stated number of things and misses one, or looks for one that does not exist.",
    severities={
        Severity.MEDIUM: "either something is missing from the list or the number is old: buildable, but likely wrong at the edge",
        Severity.LOW: "the things are named in the same sentence, so a reader can see what is meant",
    },
    firing=(
        "The job has three states:\n\n- queued\n- running\n",
        "There are five roles: owner, admin, editor and viewer.\n",
        "# Plan\nThe work is split into three phases.\n\n## Phase 1: A\n\n## Phase 2: B\n",
    ),
    quiet=(
        "The job has three states:\n\n1. queued\n2. running\n\nThen:\n\n3. done\n",
        "It has at least three states:\n\n- queued\n- running\n",
        "Retry after two seconds:\n\n- once\n",
        "# Plan\nEach phase has two steps.\n\n## Phase 1: A\n\n## Phase 2: B\n\n## Phase 3: C\n",
    ),
    check=check,
)
