"""Assertions: what a sentence says of what, whether it is denied, demanded or conditional."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.words import NEGATION, stems

Modality = Literal["must", "must not", "should", "should not", "may", "will", "will not", "is", "is not"]

_MODAL = re.compile(
    r"""\b(?P<joined>cannot|(?:ca|wo|sha)n['\u2019]t|(?:do|does)(?:\s+not|n['\u2019]t))\b
    |\b(?P<modal>must|shall|should|may|will|can|is|are|was|were|has\ to|have\ to)(?:(?P<not>n['\u2019]t|\s+(?:not|never|no\ longer))\b|\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_CONDITION = re.compile(
    r"\b(?:if|when|whenever|unless|until|except|only|while|after|before|once|where|without|otherwise|whether|in case|for (?:local|dev|test|prod)\w*)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;:.\u2014]|\b(?:since|because|so that|for|as|in order|at the latest)\b")
_LABEL = re.compile(r"^[^\w]*[\w.-]{1,12}\s?[:\u2014\u2013]\s")
_OPPOSITES = (("enabled", "disabled"), ("allowed", "forbidden"), ("required", "optional"), ("synchronous", "asynchronous"), ("public", "private"), ("mutable", "immutable"), ("encrypted", "unencrypted"))  # fmt: skip
_SENSE = {word: (pair[0], word == pair[1]) for pair in _OPPOSITES for word in pair}


@dataclass(frozen=True, slots=True, eq=False)
class Assertion:
    """A sentence with a modal verb: the stems of its subject and of what is said, opposites folded into polarity."""

    sentence: Sentence
    modality: Modality
    subject: frozenset[str]
    said: frozenset[str]
    verb: str
    denied: bool
    conditional: bool
    settled: bool
    """Whether it says how a thing is to be: a demand, or a state that has an opposite (enabled, disabled)."""


def modality(text: str) -> Modality | None:
    """Return what a sentence demands: its first modal verb, "shall" read as "must", "can" as no demand; "must never" is "must not"."""
    m = _MODAL.search(text)
    if not m:
        return None
    if m["joined"]:
        low = m["joined"].lower()
        return (
            "must not"
            if low == "cannot" or low.startswith(("ca", "sha"))
            else "will not"
            if low.startswith("wo")
            else "is not"
        )
    word, denied = m["modal"].lower(), bool(m["not"])
    if word in ("must", "shall", "has to", "have to"):
        return "must not" if denied else "must"
    if word in ("may", "can"):
        return "must not" if denied else "may" if word == "may" else None
    if word in ("should", "will"):
        return f"{word} not" if denied else word  # type: ignore[return-value]  # both are among the literals
    return "is not" if denied else "is"


def assertion(sentence: Sentence) -> Assertion | None:
    """Read a sentence as an assertion; None where it has no modal verb or is a question."""
    text = sentence.prose
    m = _MODAL.search(text)
    how = modality(text)
    if not m or not how or text.rstrip().endswith("?"):
        return None
    words = re.findall(r"[A-Za-z][\w'\u2019-]*", text[m.end() :])
    turned = [w for w in words[:4] if w.lower() in _SENSE]
    denied = bool(m["not"] or m["joined"]) ^ bool(turned and _SENSE[turned[0].lower()][1])
    denied ^= bool(NEGATION.search(text[: m.start()]))
    verbs = [
        _SENSE[w.lower()][0] if w.lower() in _SENSE else w.lower()
        for w in words
        if w.lower() not in ("be", "been", "also", "always", "never", "not")
    ]
    rest = _CLAUSE.split(text[m.end() :], maxsplit=1)[0]
    said = re.sub(r"[A-Za-z]+", lambda w: _SENSE.get(w[0].lower(), (w[0],))[0], rest)
    return Assertion(
        sentence,
        how,
        stems(_LABEL.sub("", text[: m.start()])),
        stems(said),
        verbs[0] if verbs else "",
        denied,
        bool(_CONDITION.search(text)),
        how not in ("is", "is not") or bool(turned),
    )
