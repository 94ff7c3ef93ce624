"""K12: a requirement without a task, and a task without a requirement."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from nyxlab.reviewer.document import Document, Identifier, Item, Sentence, group
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Rule, Spanned, at

_WORK = re.compile(
    r"(?i)^[\d.\s]*(?:(?:step|phase|milestone|sprint|iteration|stage|task|wave|slice|increment|PR|work ?package|epic)s?\b\s?#?\d*|implementation(?: plan| steps| tasks)?$|work (?:plan|breakdown|items)|roadmap|delivery plan|task list|backlog|plan of work|execution plan|traceability|coverage)"
)
_REQUIRES = re.compile(
    r"(?i)requirement|functional|user stor|must have|acceptance|capabilit|what it (?:does|must)|behaviou?r|features"
)
_LABEL = re.compile(
    r"[\[(](?:US|Story |User Story |story |UC)-?(\d{1,2})[\])]|^\W*(?:T\d+\W+)?(?:US|UC)-?(\d{1,2})\b\s?[:\u2013\u2014]"
)
_STORY = re.compile(r"(?i)\b(?:user )?story (\d{1,2})\b|\bUS-?(\d{1,2})\b")
_ID = r"(?<![\w-]){0}(\d{{1,4}})([a-z]?)\b((?:\s?(?:,|/|&|and|\u2013|-|to|through|\.\.\.?|\u2026)\s?(?:{0})?\d{{1,4}}[a-z]?\b)*)"
_NEXT = re.compile(r"(\u2013|-|to|through|\.\.\.?|\u2026)?\s?(?:[A-Z]+-?)?(\d{1,4})([a-z]?)\b")
_WORD = re.compile(r"[A-Za-z][a-z]{3,}|[A-Z]{2,}")
_BASE = re.compile(
    r"(?i)\b(?:tenant|isolat|secur|encrypt|authori[sz]|authenticat|privacy|personal data|consent|password|delet|restor|backup|roll ?back|audit|never|no (?:request|user|one)|data loss)"
)
_GIVEN_UP = re.compile(
    r"(?i)\b(?:out of scope|deferred|withdrawn|removed|deprecated|not (?:implemented|planned|in scope|part of)|future|later release|already|existing|won't|superseded|descoped|wont|v2|phase 2\+?|non-goal|n/a)\b"
)
_STOP = frozenset(
    [
        "must",
        "should",
        "shall",
        "will",
        "when",
        "that",
        "this",
        "with",
        "from",
        "have",
        "been",
        "their",
        "they",
        "which",
        "while",
        "each",
        "every",
        "system",
        "user",
        "users",
        "into",
        "only",
        "than",
        "then",
        "also",
        "such",
        "able",
        "other",
        "same",
        "after",
        "before",
        "within",
        "without",
        "where",
        "what",
        "there",
        "these",
        "those",
        "using",
        "used",
        "uses",
        "support",
        "supports",
        "provide",
        "provides",
        "allow",
        "allows",
        "ensure",
        "need",
        "needs",
        "make",
        "more",
        "most",
        "least",
        "does",
    ]  # a list of words reads as words
)


def check(document: Document) -> Iterator[Claim]:
    """Find a requirement or user story that no task or step takes up while the others are taken up, and a task for a story that is not there."""
    work = [s for s in document.sentences if _is_work(s)]
    if len(work) < 2:
        return
    tasks = [i for b in document.lists for i in b.items if i.checked is not None or _LABEL.search(i.text)]
    yield from _stories(document, work, tasks)
    said = "\n".join(s.plain for s in work)
    for family, found in document.definitions.items():
        required = [i for i in _required(family, found) if not _is_work(i.sentence)]
        if len(required) > 1:
            yield from _missing(family, required, said)


def _is_work(sentence: Sentence) -> bool:
    """Whether a sentence says what is to be done: a task, or part of a step; a requirement's own section is none."""
    if sentence.where == "task":
        return True
    named = [h.text for h in sentence.section.ancestry] if sentence.section else []
    return any(_WORK.search(text) for text in named) and not any(_REQUIRES.search(text) for text in named[:1])


def _required(family: str, found: Sequence[Identifier]) -> list[Identifier]:
    """Return the definitions of a family that are requirements: named so, or demanding something below such a heading."""
    if family.islower() or family.rstrip("-") in ("T", "TASK", "SC", "Q", "A", "D", "ADR", "US", "M", "RISK", "OQ"):
        return []
    sure = bool(re.search(r"FR|REQ|^R-?$|^NFR", family))
    return [
        i
        for i in {i.name: i for i in reversed(found)}.values()
        if (sure or (i.sentence.section and _REQUIRES.search(i.sentence.section.text)))
        and not _GIVEN_UP.search(i.sentence.plain)
    ][::-1]


def _named(family: str, said: str) -> set[str]:
    """Return the numbers of a family that a text names, also as "FR-001 to FR-004" and "FR-001/002"."""
    found: set[str] = set()
    for m in re.finditer(_ID.format(re.escape(family)), said):
        last = int(m[1])
        found |= {m[1].lstrip("0") + m[2], m[1].lstrip("0")}
        for more in _NEXT.finditer(m[3]):
            number = int(more[2])
            found |= {str(n) for n in range(last + 1, number)} if more[1] and number - last < 100 else set()
            found |= {str(number) + more[3], str(number)}
            last = number
    return found


def _missing(family: str, required: Sequence[Identifier], said: str) -> Iterator[Claim]:
    """Report what no task names, where they name the rest, and what shares no words with them, where the rest does."""
    named, words = _named(family, said), _words(said)
    unnamed = [i for i in required if i.number.lstrip("0") not in named]
    shares = {i: _share(_words(i.sentence.plain.replace(i.name, "")), words) for i in required}
    usual = median([share for share in shares.values() if share is not None] or [0.0])
    traced = len(unnamed) <= max(1, len(required) // 4) and len(required) - len(unnamed) > 0
    for i in unnamed:
        share = shares[i]
        if traced and (share is None or share < 0.6):
            yield _claim(
                i.name,
                _weight(i),
                f"{len(required) - len(unnamed)} of {len(required)} requirements are named by a task or step; {i.name} is not.",
                i,
            )
        elif (
            not traced
            and share is not None
            and ((share <= 0.42 and share <= usual * 0.6) or share < min(0.1, usual / 2))
        ):
            yield _claim(
                i.name, Severity.MEDIUM, f"No task or step names {i.name}, and hardly any of its words occur in one.", i
            )


def _weight(found: Identifier) -> Severity:
    """Return how bad it is to leave a requirement out."""
    base = _BASE.search(found.sentence.plain) and re.search(
        r"\b(?:MUST|must|[Nn]o|never|cannot)\b", found.sentence.plain
    )
    return Severity.CRITICAL if base else Severity.HIGH


def _words(text: str) -> Counter[str]:
    """Return the stems of the words that carry meaning."""
    return Counter(w[:5].lower() for w in _WORD.findall(text) if w.lower() not in _STOP)


def _share(asked: Mapping[str, int], done: Mapping[str, int]) -> float | None:
    return sum(w in done for w in asked) / len(asked) if len(asked) > 3 else None


def _stories(document: Document, work: Sequence[Sentence], tasks: Sequence[Item]) -> Iterator[Claim]:
    """Compare the user stories with the labels of the tasks, both ways."""
    named = [
        i
        for f in ("user story", "story", "US-", "US", "UC-", "UC")
        for i in reversed(document.definitions.get(f, ()))
        if not _is_work(i.sentence)
    ]
    headed = {i.number: i for i in named if i.sentence.where == "heading"}
    told = headed or {i.number: i for i in named if _told(i.sentence)}
    labels = group(
        (number, task)
        for task in tasks
        for number in dict.fromkeys(str(int(next(filter(None, n)))) for n in _LABEL.findall(task.text))
    )
    if len(told) < 2 or not labels:
        return
    spoken = {str(int(m[1] or m[2])) for s in work if s.where == "heading" for m in _STORY.finditer(s.plain)}
    missing = [i for number, i in told.items() if number not in labels and number not in spoken]
    if len(missing) <= len(told) // 2:
        for i in missing:
            yield _claim(
                i.name,
                Severity.HIGH,
                f"{len(told) - len(missing)} of {len(told)} stories have tasks; {i.name} has none.",
                i,
            )
    for number, found in labels.items():
        if number not in told:
            yield Claim(
                Severity.MEDIUM,
                f"No story {number} for this task",
                f"The task is labelled for story {number}, but the stories are {', '.join(sorted(told, key=int))}.",
                "Correct the label, or write the story that the task is for.",
                at(*found[:3]),
                (f"story {number}",),
            )


def _told(sentence: Sentence) -> bool:
    """Whether a sentence stands where stories are told."""
    return bool(sentence.section and re.search(r"(?i)\b(?:stor(?:y|ies)|use cases)\b", sentence.section.text))


def _claim(name: str, severity: Severity, why: str, place: Spanned) -> Claim:
    return Claim(
        severity,
        f"{name} has no task",
        why,
        "Add a task or step that builds and tests it, or say that it is out of scope.",
        at(place),
        (name,),
        confidence=0.85,
    )


RULE = Rule(
    id="uncovered-requirement",
    kind="K12",
    category=Category.COVERAGE,
    consequence="It is promised and not built, and nobody notices before the users do.",
    severities={
        Severity.CRITICAL: "a base requirement (isolation, security, loss of data) has no step",
        Severity.HIGH: "a requirement or story has no step, while the others have one",
        Severity.MEDIUM: "no step names it and none seems to be about it, or a task serves a story that is not there",
    },
    firing=(
        "## Requirements\n- **FR-001**: a\n- **FR-002**: b\n- **FR-003**: c\n- **FR-004**: d\n\n## Tasks\n- [ ] T001 A (FR-001)\n- [ ] T002 B (FR-002, FR-003)\n- [ ] T003 C\n- [ ] T004 D\n",
        "### User Story 1 - A\n\n### User Story 2 - B\n\n### User Story 3 - C\n\n## Tasks\n- [ ] T001 [US1] a\n- [ ] T002 [US2] b\n- [ ] T003 [US2] c\n- [ ] T004 d\n",
        "### User Story 1 - A\n\n### User Story 2 - B\n\n## Tasks\n- [ ] T001 [US1] a\n- [ ] T002 [US2] b\n- [ ] T003 [US5] c\n- [ ] T004 d\n",
    ),
    quiet=(
        "## Requirements\n- **FR-001**: a\n- **FR-002**: b\n- **FR-003**: c\n- **FR-004**: d\n\n## Tasks\n- [ ] T001 A (FR-001 to FR-004)\n- [ ] T002 B\n- [ ] T003 C\n- [ ] T004 D\n",
        "## Requirements\n- **FR-001**: a\n- **FR-002**: b\n- **FR-003**: c\n- **FR-004**: d (out of scope)\n\n## Tasks\n- [ ] T001 A (FR-001/002)\n- [ ] T002 B (FR-003)\n- [ ] T003 C\n- [ ] T004 D\n",
        "## Requirements\n- **FR-001**: a\n- **FR-002**: b\n- **FR-003**: c\n\nThere are no tasks yet.\n",
    ),
    check=check,
)
