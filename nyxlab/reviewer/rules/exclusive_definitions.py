"""K15: definitions and cardinalities that exclude each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nyxlab.reviewer.document import Document, Sentence, group
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Rule, at

_THING = r"(?<![\w-])([A-Za-z][\w-]*+)"
_SOME = r"(?:(?:team|team's|valid|active|new|given|single|other|distinct|different|separate)\s)?"
_ONE = r"(?:exactly one|only one|at most one|no more than one|a single|just one|precisely one|one and only one|one(?! or\b))"
_MANY = r"(?:several|multiple|many|more than one|any number of|two or more|one or more|zero or more|various|a number of|different)"
_TIE = (
    r"(?:belongs? to|(?:is|are) (?:a )?(?:members? of|part of|owned by|assigned to|attached to|bound to|tied to|linked to|scoped to|in)|joins?|lives? in|"
    r"(?:be|being) (?:a )?(?:members? of|part of|owned by|assigned to|attached to|shared (?:by|between|across)|in)|ha(?:s|ve)|holds?|owns?|contains?|consists? of|uses?|spans?|maps? to|references?|groups?)"
)
_SUBJECT = r"(?:\b(?:an?|each|every|the|any|one|all|same)\s)?"
_STRICT = re.compile(
    rf"(?i){_SUBJECT}{_THING}\s(?:(?:must|shall|will|can|may|should|always|only)\s){{0,2}}{_TIE}\s(?:to\s)?{_ONE}\s{_SOME}{_THING}"
)
_OPEN = re.compile(
    rf"(?i){_SUBJECT}{_THING}\s(?:(?:must|may|can|could|might|will|shall|should|also|therefore|often)\s){{0,2}}{_TIE}\s(?:to\s)?{_MANY}\s{_SOME}{_THING}"
)
_TERM = r"[\"'\u201c`(]?(?<![\w-])([A-Za-z][\w-]*+)[\"'\u201d`)]?"
_SAME = re.compile(
    rf"(?i)\b{_TERM}\s?(?:\u2014|\u2013|-|:|,)?\s?(?:is|are|means|as)?\s?(?:just\s|simply\s|exactly\s)?"
    rf"(?:the same (?:thing )?as|another (?:name|word) for|(?:a )?synonyms? (?:for|of)|identical (?:to|with)|equivalent to|interchangeable with|also called|also known as|aka)\s(?:an?\s|the\s)?{_TERM}"
)
_BOTH = re.compile(
    rf"(?i)\b{_TERM}\sand\s{_TERM}\s(?:are|mean|name|denote|refer to)\s(?:used\s)?(?:the same|synonym|interchangeabl|one and the same|identical)"
)
_SWAPPED = re.compile(
    rf"(?i)\b(?:use|uses)\s(?:the (?:words?|terms?)\s)?{_TERM}\sand\s{_TERM}\s(?:interchangeably|as synonyms)"
)
_DIRECTED = re.compile(
    rf"(?i){_SUBJECT}{_THING}\s(?:(?:may|can|must|will)\s)?{_TIE}\s(?:to\s)?(?:{_MANY}|{_ONE}|an?|its|the|their|zero|no|\d+)\s{_SOME}{_THING}"
)
_TIED = re.compile(rf"(?i){_TIE}")
_ALIKE = re.compile(r"(?i)same|another|synonym|identical|equivalent|interchang|called|known|\baka\b")
_OLD = re.compile(
    r"(?i)\b(?:previously|today|currently|no longer|used to|instead of|not|never|rejected|alternative|old|until now|before this|cannot|unlike)\b"
)
_WORDLESS = frozenset(
    [
        "it",
        "they",
        "that",
        "which",
        "this",
        "there",
        "we",
        "you",
        "he",
        "she",
        "who",
        "and",
        "or",
        "but",
        "what",
        "each",
        "one",
        "all",
        "any",
        "same",
        "the",
    ]
)  # a list of words reads as words


@dataclass(frozen=True, slots=True)
class _Said:
    """One claim of a sentence about two kinds of things, both singular and folded."""

    sentence: Sentence
    subject: str
    object: str


def check(document: Document) -> Iterator[Claim]:
    """Find two statements about the domain that exclude each other: exactly one against several, or two terms as the same thing and as two that hold each other."""
    told = [s for s in document.sentences if s.where != "heading"]
    # One cheap look for the words without which no pattern can match: most sentences have none of them.
    tied, alike = ([s for s in told if words.search(s.plain)] for words in (_TIED, _ALIKE))
    strict, loose = [x for s in tied for x in _said(_STRICT, s)], [x for s in tied for x in _said(_OPEN, s)]
    yield from _cardinalities(strict, loose)
    same = [x for s in alike for pattern in (_SAME, _BOTH, _SWAPPED) for x in _said(pattern, s)]
    if same:
        yield from _identities(same, [x for s in tied for x in _said(_DIRECTED, s)])


def _said(pattern: re.Pattern[str], sentence: Sentence) -> Iterator[_Said]:
    for m in pattern.finditer(sentence.plain):
        subject, object_ = _singular(m[1]), _singular(m[2])
        clause = sentence.plain[: m.end()] + re.split(r"[,;:.(\u2013\u2014]", sentence.plain[m.end() :], maxsplit=1)[0]
        if not {subject, object_} & _WORDLESS and subject != object_ and not _OLD.search(clause):
            yield _Said(sentence, subject, object_)


def _singular(word: str) -> str:
    low = word.lower()
    if low.endswith("ies") and len(low) > 4:
        return low[:-3] + "y"
    if low.endswith(("ches", "shes", "sses", "xes")):
        return low[:-2]
    return low[:-1] if low.endswith("s") and not low.endswith(("ss", "us", "is")) else low


def _cardinalities(strict: list[_Said], loose: list[_Said]) -> Iterator[Claim]:
    """Exactly one Y for each X, against several Ys for an X."""
    open_ = group(((x.subject, x.object), x) for x in loose)
    done: set[tuple[str, str]] = set()
    for x in strict:
        pair = (x.subject, x.object)
        against = [y for y in open_.get(pair, ()) if y.sentence is not x.sentence]
        if against and pair not in done:
            done.add(pair)
            yield Claim(
                Severity.CRITICAL,
                f"One {x.object} or several for a {x.subject}?",
                f"A {x.subject} is tied to exactly one {x.object} in one place and to several in another.",
                f"Decide whether a {x.subject} can have more than one {x.object}, and change keys, permissions and screens to match.",
                at(x.sentence, against[0].sentence),
                pair,
                ("one", "several"),
                0.9,
            )


def _identities(same: list[_Said], directed: list[_Said]) -> Iterator[Claim]:
    """Two terms are one thing, against one that belongs to or holds the other."""
    tied = group((frozenset((x.subject, x.object)), x) for x in directed)
    done: set[frozenset[str]] = set()
    for x in same:
        pair = frozenset((x.subject, x.object))
        against = list(dict.fromkeys(y.sentence for y in tied.get(pair, ()) if y.sentence is not x.sentence))
        if against and pair not in done:
            done.add(pair)
            one, two = x.subject, x.object
            yield Claim(
                Severity.CRITICAL,
                f"{one.title()} and {two} are one thing and two",
                f"{one.title()} and {two} are said to be the same, yet one holds or belongs to the other elsewhere.",
                f"Decide whether {one} and {two} are one concept (then keep one word) or two (then define each), before anything is built on them.",
                at(x.sentence, *against[:3]),
                (one, two),
                ("same", "different"),
                0.9,
            )


RULE = Rule(
    id="exclusive-definitions",
    kind="K15",
    category=Category.MODEL,
    consequence="Keys, permissions and screens are built on a model that cannot hold; changing it later means migrating all data.",
    severities={Severity.CRITICAL: "core definitions exclude each other, so that no reading is right"},
    firing=(
        "Each member belongs to exactly one team.\n\nA member may join several teams.\n",
        "**Tenant** \u2014 the same thing as a team.\n\nA tenant contains one or more teams.\n",
        "Each member belongs to exactly one team.\n\nA member may join several teams: joining never ends a membership.\n",
        "Every invoice has a single currency.\n\nInvoices can contain multiple currencies.\n",
    ),
    quiet=(
        "Each member belongs to exactly one team.\n\nA team may have several members.\n",
        "A user may join several teams.\n\nEach member belongs to exactly one team.\n",
        "**Tenant** \u2014 the same thing as a customer.\n\nA tenant contains one or more teams.\n",
    ),
    check=check,
)
