"""The words that facts are read by: stems, negations, numbers in letters, and the vocabularies of plans. One table each."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any


def listed(text: str) -> tuple[str, ...]:
    """Return the words of a table, which stand with blanks between them."""
    return tuple(text.split())


NUMBERS = {
    word: value
    for value, word in enumerate(
        listed(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
            " seventeen eighteen nineteen twenty"
        )
    )
}
"""Numbers as words."""

NEGATION = re.compile(r"\b(?:not|never|no|none|neither|nor|without|cannot)\b|n['\u2019]t\b", re.IGNORECASE)
"""What turns a statement round; "can't", "don\u2019t" and "mustn't" too."""

PARTS = listed(
    "phase step stage milestone task story epic sprint iteration week day unit wave ticket pr part section chapter appendix"
    " figure table requirement decision option alternative scenario example question risk goal"
)
"""What the parts of a document are called before their number."""

WORK = ("phase", "stage", "milestone", "epic", "sprint", "iteration", "week", "wave", "part", "day", "step", "task", "story", "unit", "ticket", "pr")  # fmt: skip
"""What the parts of the work are called, the larger ones first."""

STOP = frozenset(
    listed(
        "a an the this that these those it its they their them we our you your he she his her i me my is are was were be been being"
        " am do does did has have had will would shall should can could may might must to of in on at by for from with without into"
        " onto over under as if then than and or but so not no nor only also all any each every some both either per via when while"
        " where which who whom whose what how there here up down out off about after before between during through again more most"
        " other such own same very just"
    )
)
"""Words that say nothing of what a sentence is about."""

CREATE = frozenset(
    listed("create creates created add adds added new introduce introduces introduced scaffold generate generated")
)
MODIFY = frozenset(
    listed(
        "modify modifies modified update updates updated extend extends extended edit edits edited change changes changed refactor"
        " rewrite patch wire adjust existing rework"
    )
)
DELETE = frozenset(listed("delete deletes deleted remove removes removed drop drops dropped"))
"""What is done to a file, by the verb or mark that says so."""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_'\u2019-]*+")


@cache
def _stemmer() -> Any:
    import snowballstemmer  # it loads thirty languages; few plans need one

    return snowballstemmer.stemmer("english")


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return a word's stem (Porter's second stemmer, "Snowball English"), in small letters."""
    return str(_stemmer().stemWord(word.lower()))


@lru_cache(maxsize=65_536)
def stems(text: str) -> frozenset[str]:
    """Return the stems of the words of a text that say what it is about."""
    return frozenset(stem(w) for w in _WORD.findall(text) if len(w) > 1 and w.lower() not in STOP)


def number(word: str) -> int | None:
    """Return the whole number that digits or a word ("four") say."""
    return int(word) if word.isdecimal() else NUMBERS.get(word.lower())


def any_of(words: tuple[str, ...] | list[str] | frozenset[str]) -> str:
    """Return a pattern that matches one of these words, the longest first."""
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))
