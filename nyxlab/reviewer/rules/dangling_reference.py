"""K4: a reference to something that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.document import Document, Identifier, Sentence
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Rule, at

_ALIASES = {"US": "user story", "story": "user story", "user story": "story"}
_ELSEWHERE = re.compile(
    r"(?i)\b(?:RFC|PEP|KEP|ADR|spec|specification|paper|upstream|appendix of|constitution|issue|PR|pull request|ticket|epic|see also|previous (?:plan|release|spec)|proposal)\s?#?\d"
    r"|\b(?:RFC|PEP|KEP|paper|the (?:\w+ )?(?:specification|standard|spec|guide|manual|book|paper|handbook|README))\b|https?://|\bof \[|\bin \["
)
_SECTION = re.compile(
    r"\b(?:see|in|under|by|to|of|at|from|per)?\s?(?:also\s)?(?:the\s)?[\"\u201c]([^\"\u201c\u201d]{3,80})[\"\u201d]\s(?:section|chapter|appendix|heading)\b"
    r"|\b(?:section|chapter|appendix)\s(?:on\s|named\s|titled\s|called\s)?[\"\u201c]([^\"\u201c\u201d]{3,80})[\"\u201d]"
    r"|\b(?:[Ss]ee|described (?:in|under)|(?:details|more) (?:are |is )?(?:in|under)|refer to)\s(?:the\s)?[\"\u201c]([A-Z][^\"\u201c\u201d]{3,80})[\"\u201d]"
)
_POINTS = re.compile(
    r"(?i)\b(?:see|refer|describ|detail|explain|given|defin|specif|list|cover|discuss|outlin|summari|above|below|per|according|set out|document|plan|follow)"
)
_SIGN = re.compile(r"\u00a7\s?(\d{1,3}(?:\.\d{1,3}){0,4})\b")
_STAGES = ("step", "phase", "stage", "milestone")
_COMMON = (
    "step",
    "stage",
    "example",
    "scenario",
    "part",
    "goal",
    "risk",
    "question",
    "decision",
    "requirement",
    "section",
    "chapter",
    "appendix",
)


def check(document: Document) -> Iterator[Claim]:
    """Find a reference to a step, phase, section, figure, requirement or task that the set does not define, while it does define others of that kind."""
    defined = {family: {_key(i.number) for i in found} for family, found in document.definitions.items()}
    numbered = {path: {h.number for h in document.headings if h.path == path and h.number} for path in document.files}
    longest = {
        path: max((i.number or 0 for b in document.lists if b.path == path and b.ordered for i in b.items), default=0)
        for path in document.files
    }
    missing: dict[tuple[str, str], list[Identifier]] = {}
    for reference in document.identifiers:
        known = defined.get(reference.family, set()) | defined.get(_ALIASES.get(reference.family, ""), set())
        if reference.defines:
            continue
        if _missing(reference, known, numbered[reference.path], longest[reference.path]) and not _ELSEWHERE.search(
            reference.sentence.text
        ):
            missing.setdefault((reference.path, reference.name), []).append(reference)
    for (_, name), found in missing.items():
        others = len(defined.get(found[0].family, ()))
        yield _claim(
            name,
            f"{others} others are defined" if others else "nothing of that kind is defined",
            *(i.sentence for i in found[:5]),
        )
    for sentence in document.sentences:
        yield from _sections(document, sentence, numbered[sentence.path])


def _key(number: str) -> str:
    return number.lstrip("0") or "0"


def _missing(reference: Identifier, known: set[str], numbered: set[str], longest: int) -> bool:
    """Whether a reference leads nowhere; a family with fewer than two definitions may be defined elsewhere."""
    key, family = _key(reference.number), reference.family
    if key in known or any(k.rstrip("abcdefghijklmnopqrstuvwxyz") == key for k in known):
        return False
    base, dot, _ = key.partition(".")
    if family in ("figure", "table"):
        return bool(
            re.search(rf"(?:Figures?|Tables?)\s+(?:\d+\W+(?:and\s)?)*{reference.number}\b", reference.sentence.plain)
        )
    if family in ("section", "chapter"):
        return (
            len(numbered | known) > 2
            and reference.number not in numbered
            and not any(n.startswith(reference.number + ".") for n in numbered)
        )
    if family in _COMMON and reference.number.isdigit() and int(reference.number) <= longest:
        return False
    titled = family in _STAGES  # "Step 10" is not the section "10. Rollout" where steps have headings of their own
    return (
        len(known) > 1 and (titled or reference.number not in numbered) and key != "0" and not (dot and base in known)
    )


def _sections(document: Document, sentence: Sentence, numbered: set[str]) -> Iterator[Claim]:
    """Check sections named in quotes, and those named by the section sign."""
    text = sentence.plain
    if "\u00a7" in text and len(numbered) > 2 and not _ELSEWHERE.search(sentence.text):
        for m in _SIGN.finditer(text):
            if m[1] not in numbered:
                yield _claim(f"\u00a7{m[1]}", "no heading has that number", sentence)
    if '"' not in text and "\u201c" not in text:
        return
    for m in _SECTION.finditer(text):
        name = m[1] or m[2] or m[3]
        wanted = _words(name)
        if (
            _ELSEWHERE.search(sentence.text)
            or not _POINTS.search(text)
            or re.match(r"\s(?:of|in|from)\s(?!this|the (?:plan|spec|document|proposal)\b)", text[m.end() :])
        ):
            continue
        titles = [_words(h.text) for h in document.headings] + [
            _words(s.plain[:80]) for s in document.sentences if s.first and "**" in s.text[:4]
        ]
        if wanted and not any(wanted in title or (title and title in wanted) for title in titles):
            yield _claim(f'section "{name}"', "no heading has that name", sentence)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _claim(name: str, why: str, *sentences: Sentence) -> Claim:
    return Claim(
        Severity.MEDIUM,
        f"{name} does not exist",
        f"The text refers to {name}, but {why}.",
        "Name what is meant, or write the part that is missing.",
        at(*sentences),
        (name,),
    )


RULE = Rule(
    id="dangling-reference",
    kind="K4",
    category=Category.COVERAGE,
    consequence="Whoever follows the reference finds nothing: a part is missing, or another one is meant.",
    severities={
        Severity.MEDIUM: "what is referred to was moved, renumbered or never written: buildable, but by guessing"
    },
    firing=(
        "- **FR-001**: a\n- **FR-002**: b\n\nThis follows from FR-009.\n",
        "## Step 1: A\n\n## Step 2: B\n\nClean-up follows in Step 10.\n",
        'See the "Rollback" section for details.\n',
        "The cases are listed in Figure 3.\n",
    ),
    quiet=(
        "- **FR-009a**: a\n- **FR-010**: b\n\nThis follows from FR-009.\n",
        "## Step 1: A\n\n## Step 2: B\n\nSee step 10 of the specification in RFC 2119.\n",
        '# Rollback\n\nSee the "Rollback" section for details.\n',
        "`s[1][2]` and T100 are free.\n",
    ),
    check=check,
)
