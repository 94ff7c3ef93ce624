"""Definitions of a plan's own things that exclude each other: one and several, the same and another."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, rule
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import stem

_THING = r"(?P<{0}>[A-Za-z]+)"
_OF, _ON = _THING.format("of"), _THING.format("on")
_HOLDS = r"(?:belong(?:s)? to|is (?:in|part of|assigned to)|be (?:in|part of|assigned to)|join(?:s)?|ha(?:s|ve)|own(?:s)?|contain(?:s)?)"
_ONE = rf"\b(?:each|every|an?|the|any)\s{_OF}\s(?:\w+\s)?{_HOLDS}\s(?:exactly|only|precisely)\sone\s{_ON}\b"
_MANY = (
    rf"\b(?:each|every|an?|the|any|same)\s{_OF}\s(?:may|can|could|might)?\s?{_HOLDS}\s"
    rf"(?:several|many|multiple|more than one|any number of|one or more|two or more)\s{_ON}\b"
)
_SAME = (
    rf"^\W*(?:an?\s)?{_OF}\W{{1,6}}(?:is\s)?(?:the\s)?(?:same(?: thing)?\s(?:as)|another (?:word|name) for"
    rf"|synonym(?:ous)? (?:for|with|of))\s(?:an?\s|the\s)?\W?{_ON}\b"
)
_PATTERNS = tuple(re.compile(words, re.IGNORECASE) for words in (_ONE, _MANY, _SAME))


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a thing that belongs to exactly one other in one place and to several in another, and two names for the same thing of which one contains the other."""
    told: tuple[list[tuple[str, str, Sentence]], ...] = ([], [], [])
    one, many, same = told
    for sentence in document.sentences:
        if document.standing(sentence) in (None, Standing.TERMS):
            for pattern, found in zip(_PATTERNS, told, strict=True):
                if m := pattern.search(sentence.plain):
                    found.append((stem(m["of"]), stem(m["on"]), sentence))
    for of, on, sentence in one:
        against = [s for a, b, s in many if (a, b) == (of, on)]
        yield from _claim(f"A {of} has exactly one {on}, and may have several", sentence, against, (of, on))
    for of, on, sentence in same:
        against = [s for a, b, s in (*one, *many) if {a, b} == {of, on}]
        title = f"{of.title()} and {on} are one thing in one place and two in another"
        yield from _claim(title, sentence, against, (of, on))


def _claim(title: str, sentence: Sentence, against: list[Sentence], entities: tuple[str, str]) -> Iterator[Claim]:
    told = [sentence, *against]
    if against:
        said = " / ".join(f'"{s.plain[:140]}"' for s in told[:3])
        yield Claim(Severity.CRITICAL, title, said, told, entities, [s.plain[:100] for s in told[:2]])


RULE = rule("exclusive-definitions", check)
