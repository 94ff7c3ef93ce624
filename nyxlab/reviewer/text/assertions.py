"""Assertions: what a sentence says of what, whether it is denied, demanded or conditional."""

import re
from dataclasses import dataclass

from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.words import NEGATION, stems

_MODAL = re.compile(
    r"""\b(?P<joined>cannot|(?:ca|wo|sha)n['\u2019]t|(?:do|does)(?:\s+not|n['\u2019]t))\b
    |\b(?P<modal>must|shall|should|may|will|can|is|are|was|were|has\ to|have\ to)
    (?:(?P<not>n['\u2019]t|\s+(?:not|never|no\ longer))\b|\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_READ_AS = {"shall": "must", "has to": "must", "have to": "must", "are": "is", "was": "is", "were": "is"}
_CONDITION = re.compile(
    r"\b(?:if|when|whenever|unless|until|except|only|while|after|before|once|where|without|otherwise|whether|in case"
    r"|for (?:local|dev|test|prod)\w*)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;:.\u2014]|\b(?:since|because|so that|for|as|in order|at the latest)\b")
_LABEL = re.compile(r"^[^\w]*[\w.-]{1,12}\s?[:\u2014\u2013]\s")
_OPPOSITES = (
    "enabled disabled", "allowed forbidden", "required optional", "synchronous asynchronous", "public private",
    "mutable immutable", "encrypted unencrypted",
)  # fmt: skip
_SENSE = {word: (pair.split()[0], n == 1) for pair in _OPPOSITES for n, word in enumerate(pair.split())}


@dataclass(frozen=True, slots=True, eq=False)
class Assertion:
    """A sentence with a modal verb: the stems of its subject and of what is said, opposites folded into polarity."""

    sentence: Sentence
    modality: str
    subject: frozenset[str]
    said: frozenset[str]
    verb: str
    denied: bool
    conditional: bool
    settled: bool
    """Whether it says how a thing is to be: a demand, or a state that has an opposite (enabled, disabled)."""


def modality(text: str) -> str | None:
    """Return what a sentence demands: its first modal verb ("must", "should", "may", "will", "is"), or that with "not".

    "shall" is read as "must", "can" as no demand, "must never", "may not" and "cannot" as "must not".
    """
    m = _MODAL.search(text)
    if not m:
        return None
    if m["joined"]:
        return {"c": "must not", "s": "must not", "w": "will not", "d": "is not"}[m["joined"][0].lower()]
    verb = _READ_AS.get(m["modal"].lower(), m["modal"].lower())
    if m["not"]:
        return "must not" if verb in ("may", "can") else f"{verb} not"
    return verb if verb != "can" else None


def assertion(sentence: Sentence) -> Assertion | None:
    """Read a sentence as an assertion; None where it has no modal verb or is a question."""
    text = sentence.prose
    m, how = _MODAL.search(text), modality(text)
    if not m or not how or text.rstrip().endswith("?"):
        return None
    words = [w.lower() for w in re.findall(r"[A-Za-z][\w'\u2019-]*", text[m.end() :])]
    turned = [w for w in words[:4] if w in _SENSE]
    denied = bool(m["not"] or m["joined"]) ^ bool(turned and _SENSE[turned[0]][1])
    denied ^= bool(NEGATION.search(text[: m.start()]))
    verbs = [_SENSE.get(w, (w,))[0] for w in words if w not in ("be", "been", "also", "always", "never", "not")]
    rest = _CLAUSE.split(text[m.end() :], maxsplit=1)[0]
    said = stems(re.sub(r"[A-Za-z]+", lambda w: _SENSE.get(w[0].lower(), (w[0],))[0], rest))
    subject, verb = stems(_LABEL.sub("", text[: m.start()])), verbs[0] if verbs else ""
    settled = how not in ("is", "is not") or bool(turned)
    return Assertion(sentence, how, subject, said, verb, denied, bool(_CONDITION.search(text)), settled)
