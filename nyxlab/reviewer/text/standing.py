"""Where a statement stands: whether it is the plan's own claim about what is to be built, or something else."""

import re
from enum import StrEnum

from nyxlab.reviewer.text.blocks import Heading, Sentence
from nyxlab.reviewer.text.words import VOCABULARY


class Standing(StrEnum):
    """What a passage is, where it is no claim; ``defaults/words.toml`` says by which words it is told."""

    REJECTED = "rejected"  # an alternative that was not chosen, or one of several to choose from
    FUTURE = "future"  # out of scope, or later than this plan
    STATUS = "status"  # history: what was done, changed, reviewed
    EXAMPLE = "example"  # shown, not demanded
    OTHER = "other"  # words of, or about, another document
    FORM = "form"  # boilerplate that every plan of the form holds
    TERMS = "terms"  # a glossary: words, not demands


ASIDE = (Standing.STATUS, Standing.EXAMPLE, Standing.OTHER, Standing.REJECTED)
"""What is not about what is to be built."""

_HEADINGS = {
    Standing(name): re.compile(
        rf"^\W{{0,20}}(?:[\dA-Z]{{1,2}}(?:\.\d+)*[.):]?\s{{1,9}})?(?:{'|'.join(words)})", re.IGNORECASE
    )
    for name, words in VOCABULARY["headings"].items()
}
_SENTENCES = {
    Standing(name): re.compile("|".join(words), re.IGNORECASE) for name, words in VOCABULARY["sentences"].items()
}
_HISTORY = re.compile(r"\b(?:change ?log|changes|release notes|(?:release )?history)$", re.IGNORECASE)
_CHOSEN = re.compile(
    r"\b(?:recommended|chosen|selected|preferred|decided|we (?:use|take))\b|[\u2705\u2b50]", re.IGNORECASE
)


def of_heading(heading: Heading) -> Standing | None:
    """Return what a section is by its own heading; a title names the whole, whatever its words."""
    if heading.level == 1 and not _HISTORY.search(heading.text):
        return None
    own = _told(_HEADINGS, heading.text)
    return None if own is Standing.REJECTED and _CHOSEN.search(heading.text) else own


def of_sentence(sentence: Sentence, intro: Sentence | None) -> Standing | None:
    """Return what a sentence is: by the words right before its list, by being quoted, or by its own words."""
    if intro and len(intro.prose) < 60 and (own := _told(_HEADINGS, intro.prose)):
        return own
    return Standing.OTHER if sentence.where == "quote" else _told(_SENTENCES, sentence.prose)


def _told(patterns: dict[Standing, re.Pattern[str]], text: str) -> Standing | None:
    return next((standing for standing, pattern in patterns.items() if pattern.search(text)), None)
