"""K9: a statement and its opposite."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nyxlab.reviewer.document import Document, Sentence, group
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Rule, at

_OPPOSITES = {
    "disabled": "enabled", "disable": "enable", "disables": "enables", "optional": "required", "forbidden": "allowed", "prohibited": "allowed", "denied": "allowed", "deny": "allow",
    "asynchronous": "synchronous", "asynchronously": "synchronously", "immutable": "mutable", "excluded": "included", "excludes": "includes", "insensitive": "sensitive",
    "off": "on", "rejected": "accepted", "rejects": "accepts", "unencrypted": "encrypted", "opt-out": "opt-in", "unsupported": "supported", "disallowed": "allowed", "impossible": "possible",
}  # fmt: skip
_NEGATIONS = frozenset(["not", "never", "no", "cannot", "n't", "neither", "nor", "without"])
_MODALS = frozenset(
    [
        "must",
        "shall",
        "should",
        "will",
        "can",
        "may",
        "would",
        "could",
        "cannot",
        "is",
        "are",
        "be",
        "was",
        "were",
        "been",
        "do",
        "does",
        "did",
        "has",
        "have",
    ]
)
_IDLE = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "also",
        "always",
        "therefore",
        "still",
        "its",
        "their",
        "this",
        "that",
        "these",
        "those",
        "by",
        "to",
        "in",
        "it",
        "they",
        "for",
        "as",
        "at",
        "longer",
        "stay",
        "stays",
        "remain",
        "remains",
        "keep",
        "keeps",
        "become",
        "becomes",
        "get",
        "gets",
        "used",
        "use",
        "uses",
    ]
)
_TURNED = re.compile(r"(?:non-|un|in|im|ir|dis)(\w{5,}|safe)$")
_STRAIGHT = frozenset(
    [
        "reversible",
        "unique",
        "encrypted",
        "sorted",
        "ordered",
        "valid",
        "visible",
        "authenticated",
        "authorized",
        "authorised",
        "bounded",
        "limited",
        "compatible",
        "consistent",
        "dependent",
        "mutable",
        "complete",
        "correct",
        "active",
        "blocking",
        "null",
        "nullable",
        "stable",
        "trusted",
        "signed",
        "safe",
        "compressed",
        "validated",
        "supported",
        "available",
        "connected",
        "deterministic",
        "idempotent",
        "retryable",
        "versioned",
        "buffered",
    ]
)
_ALLOWED = re.compile(r"\b(?:is|are|be) (not )?(?:allowed|permitted|able|free|entitled) to\b")
_ENDING = re.compile(r"(?:ations?|ions?|ings?|e[ds]|es?|s)$")
_WORD = re.compile(r"n't|[a-z0-9](?:[\w.-]*\w)?")
_ASIDE = re.compile(
    r"(?i)^(?:\W*(?:as (?:stated|noted|described|mentioned|a reminder|said|explained)[^,]{0,30}|note(?: that)?|again|remember(?: that)?|in other words|to be clear|that is|importantly|recall that|in short)\b\W*)+"
)
_CUT = re.compile(
    r"[,;:()\u2014]\s|\s\u2013\s|\b(?:because|since|so that|but|and then|which|although)\b", re.IGNORECASE
)
_CONDITION = re.compile(
    r"(?i)\b(?:if|when|whenever|unless|until|only|except|while|before|after|otherwise|once|where|instead|currently|today|previously|yet|alpha|beta|GA|either|whether|or)\b"
)


@dataclass(frozen=True, slots=True)
class _Unit:
    """What a clause does with its words: affirm or deny. A reminder ("As stated above, …") is not the place to cite if there is another."""

    sentence: Sentence
    affirmed: bool
    modal: str
    conditional: bool
    reminder: bool
    tail: tuple[str, ...]


def check(document: Document) -> Iterator[Claim]:
    """Find two sentences that say the same of the same thing, one affirming and one denying it (must / must not, enabled / disabled by default)."""
    units = [
        pair
        for s in document.sentences
        if s.where not in ("heading", "cell") and 14 < len(s.plain) < 600
        for pair in _units(s)
    ]
    told: set[frozenset[Sentence]] = set()
    for core, said in group(units).items():
        by_weight = sorted(said, key=lambda u: (u.reminder, bool(u.tail)))
        yes = next((u for u in by_weight if u.affirmed), None)
        no = next((u for u in by_weight if not u.affirmed and yes and u.sentence is not yes.sentence), None)
        if not yes or not no or frozenset((yes.sentence, no.sentence)) in told:
            continue
        if (
            core[0] == "same"
            and (len(core) < 5 or yes.modal == no.modal == "-")
            and (yes.conditional or no.conditional)
        ):
            continue
        if core[0] == "near" and yes.tail and no.tail and yes.tail != no.tail:
            continue
        if core[0] == "near" and (yes.conditional or no.conditional or "-" in (yes.modal, no.modal)):
            continue
        told.add(frozenset((yes.sentence, no.sentence)))
        must = {yes.modal, no.modal} <= {"must", "shall"}
        yield Claim(
            Severity.CRITICAL
            if must
            else Severity.HIGH
            if "default" in core or "must" in (yes.modal, no.modal)
            else Severity.MEDIUM,
            f'Said and denied: "{_short(yes.sentence.plain)}"',
            f'One place says "{_short(yes.sentence.plain, 160)}", the other one says "{_short(no.sentence.plain, 160)}".',
            "Decide which of the two holds and strike the other.",
            at(no.sentence, yes.sentence),
            (" ".join(core[1:]),),
            ("yes", "no"),
            0.8,
        )


def _short(text: str, most: int = 60) -> str:
    """Cut a sentence at a word, so that it fits into a line."""
    return text if len(text) <= most else text[:most].rpartition(" ")[0] + " \u2026"


def _units(sentence: Sentence) -> Iterator[tuple[tuple[str, ...], _Unit]]:
    """Yield the whole sentence and its clauses by their words, and the words right around the verb that can be negated."""
    text = _ASIDE.sub("", sentence.plain)
    reminder = text != sentence.plain
    conditional = bool(_CONDITION.search(text) or re.search(r"\bOn\b", text))
    pieces = _CUT.split(text)
    for piece in [text, *(pieces if len(pieces) > 1 else [])]:
        core, affirmed, here, marker, modal = _read(piece)
        if len(core) > 1 and (piece is text or modal != "-"):
            yield ("same", *sorted(core)), _Unit(sentence, affirmed, modal, conditional, reminder, ())
        if marker >= 1 and len(core) > marker:
            after = core[marker : marker + 2] if "default" in core[marker : marker + 2] else core[marker : marker + 1]
            yield (
                ("near", *core[max(0, marker - 3) : marker], *after),
                _Unit(
                    sentence,
                    here,
                    modal,
                    conditional,
                    reminder,
                    () if "default" in after else core[marker + 1 : marker + 2],
                ),
            )


def _read(text: str) -> tuple[tuple[str, ...], bool, bool, int, str]:
    """Return the words that carry meaning, whether they are affirmed in all and right at the verb, where the verb that decides it stands, and that verb ("-" for none)."""
    core: list[str] = []
    affirmed, here, marker, modal = True, True, -1, "-"
    plain = _ALLOWED.sub(r"may \1", text.lower()).replace("cannot", "can not").replace("n't", " n't")
    for word in _WORD.findall(plain):
        if word in _NEGATIONS:
            affirmed = not affirmed
            here ^= marker == len(core)
        if word in _MODALS and marker < 0:
            marker, modal = len(core), word
        if word in _NEGATIONS or word in _MODALS or word in _IDLE:
            continue
        if word in _OPPOSITES:
            affirmed, word = not affirmed, _OPPOSITES[word]
            here ^= marker == len(core)
        elif (turned := _TURNED.match(word)) and turned[1] in _STRAIGHT:
            affirmed, word = not affirmed, turned[1]
            here ^= marker == len(core)
        core.append(_ENDING.sub("", word) if len(word) > 4 and word != "default" else word)
    return tuple(core), affirmed, here, marker, modal


RULE = Rule(
    id="opposite-statements",
    kind="K9",
    category=Category.CONFLICT,
    consequence="Two people build the opposite of each other, and both can point at the plan.",
    severities={
        Severity.CRITICAL: "what one place demands with MUST the other one forbids: a declared MUST is broken either way",
        Severity.HIGH: "a demand or a default is stated both ways: two steps conflict",
        Severity.MEDIUM: "a description is stated both ways: buildable, but likely wrong at the edge",
    },
    firing=(
        "The data of a deleted team MUST be kept for 30 days.\n\nFor privacy reasons the data of a deleted team MUST NOT be kept.\n",
        "Joining by domain is disabled by default.\n\n- Joining by domain is enabled by default.\n",
        "Errors are reported in the status field.\n\nAs stated above, errors are not reported in the status field.\n",
    ),
    quiet=(
        "The job must not be started if the flag is off.\n\nThe job must be started when the flag is on.\n",
        "Joining by domain is disabled by default.\n\nJoining by link is enabled by default.\n",
        "Errors are reported in the status field.\n\nAs stated above, errors are reported in the status field.\n",
    ),
    check=check,
)
