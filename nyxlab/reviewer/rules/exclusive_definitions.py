"""Definitions of a plan's own things that exclude each other: one and several, the same and another."""

import re
from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import stem

_THING = r"(?P<{0}>[A-Za-z]+)"
_OF, _ON = _THING.format("of"), _THING.format("on")
_HOLDS = r"(?:belongs? to|(?:is|be) (?:in|part of|assigned to)|joins?|ha(?:s|ve)|owns?|contains?)"
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
    """Find a thing that belongs to exactly one other and to several, and one thing under two names that has itself."""
    told: tuple[list[tuple[str, str, Sentence]], ...] = ([], [], [])
    one, many, same = told
    for sentence in document.sentences:
        if document.standing(sentence) in (None, Standing.TERMS):
            for pattern, found in zip(_PATTERNS, told, strict=True):
                if m := pattern.search(sentence.plain):
                    found.append((stem(m["of"]), stem(m["on"]), sentence))
    for of, on, sentence in (*one, *same):
        title, shown = f"A {of} has exactly one {on}, and may have several", [sentence]
        if (of, on, sentence) in one:
            shown += [s for *things, s in many if things == [of, on]]
        else:
            title = f"{of.title()} and {on} are one thing in one place and two in another"
            shown += [s for *things, s in (*one, *many) if {*things} == {of, on}]
        if len(shown) > 1:
            said = " / ".join(f'"{s.plain[:140]}"' for s in shown[:3])
            yield Claim(Severity.CRITICAL, title, said, shown, (of, on), [s.plain[:100] for s in shown[:2]])
