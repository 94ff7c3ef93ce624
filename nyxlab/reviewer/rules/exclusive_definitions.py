"""Definitions of a plan's own things that exclude each other: one and several, the same and another."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, at, rule
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import stem

_THING = r"(?P<{0}>[A-Za-z]+)"
_HOLDS = r"(?:belong(?:s)? to|is (?:in|part of|assigned to)|be (?:in|part of|assigned to)|join(?:s)?|ha(?:s|ve)|own(?:s)?|contain(?:s)?)"
_ONE = re.compile(
    rf"\b(?:each|every|an?|the|any)\s{_THING.format('of')}\s(?:\w+\s)?{_HOLDS}\s(?:exactly|only|precisely)\sone\s{_THING.format('on')}\b",
    re.IGNORECASE,
)
_MANY = re.compile(
    rf"\b(?:each|every|an?|the|any|same)\s{_THING.format('of')}\s(?:may|can|could|might)?\s?{_HOLDS}\s(?:several|many|multiple|more than one|any number of|one or more|two or more)\s{_THING.format('on')}\b",
    re.IGNORECASE,
)
_SAME = re.compile(
    rf"^\W*(?:an?\s)?{_THING.format('of')}\W{{1,6}}(?:is\s)?(?:the\s)?(?:same(?: thing)?\s(?:as)|another (?:word|name) for|synonym(?:ous)? (?:for|with|of))\s(?:an?\s|the\s)?\W?{_THING.format('on')}\b",
    re.IGNORECASE,
)


Told = tuple[str, str, Sentence]


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a thing that belongs to exactly one other in one place and to several in another, and two names for the same thing of which one contains the other."""
    one: list[Told] = []
    many: list[Told] = []
    same: list[Told] = []
    for sentence in document.sentences:
        if document.standing(sentence) not in (None, Standing.TERMS):
            continue
        for pattern, found in ((_ONE, one), (_MANY, many), (_SAME, same)):
            if m := pattern.search(sentence.plain):
                found.append((_root(m["of"]), _root(m["on"]), sentence))
    for of, on, sentence in one:
        against = [s for a, b, s in many if (a, b) == (of, on)]
        if against:
            yield _claim(f"A {of} has exactly one {on}, and may have several", [sentence, *against], (of, on))
    for of, on, sentence in same:
        against = [s for a, b, s in (*one, *many) if {a, b} == {of, on}]
        if against:
            yield _claim(
                f"{of.title()} and {on} are one thing in one place and two in another", [sentence, *against], (of, on)
            )


def _root(word: str) -> str:
    return stem(word)


def _claim(title: str, sentences: list[Sentence], entities: tuple[str, ...]) -> Claim:
    return Claim(
        Severity.CRITICAL,
        title,
        " / ".join(f'"{s.plain[:140]}"' for s in sentences[:3]),
        "Decide which definition holds, and change every place that follows from the other.",
        at(*sentences),
        entities,
        tuple(s.plain[:100] for s in sentences[:2]),
        confidence=0.85,
    )


RULE = rule("exclusive-definitions", check)
