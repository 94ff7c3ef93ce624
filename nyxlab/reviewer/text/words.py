"""The words that facts are read by: the vocabularies of ``words.toml``, negations, numbers in letters, stems."""

import re
import tomllib
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

VOCABULARY: dict[str, Any] = tomllib.loads((files("nyxlab") / "defaults" / "words.toml").read_text(encoding="utf-8"))

NUMBERS = {word: value for value, word in enumerate(VOCABULARY["numbers"].split())}
"""Numbers as words."""

NEGATION = re.compile(r"\b(?:not|never|no|none|neither|nor|without|cannot)\b|n['\u2019]t\b", re.IGNORECASE)
"""What turns a statement round; "can't", "don\u2019t" and "mustn't" too."""

PARTS: tuple[str, ...] = tuple(VOCABULARY["parts"].split())
"""What the parts of a document are called before their number."""

WORK: tuple[str, ...] = tuple(VOCABULARY["work"].split())
"""What the parts of the work are called, the larger ones first."""

_STOP = frozenset(VOCABULARY["stop"].split())
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
    return frozenset(stem(w) for w in _WORD.findall(text) if len(w) > 1 and w.lower() not in _STOP)


def number(word: str) -> int | None:
    """Return the whole number that digits or a word ("four") say."""
    return int(word) if word.isdecimal() else NUMBERS.get(word.lower())


def any_of(words: Iterable[str]) -> str:
    """Return a pattern that matches one of these words, the longest first."""
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))
