"""Links in prose, as written."""

from collections.abc import Iterator
from dataclasses import dataclass

from nyxlab.reviewer.text.blocks import LINK, Sentence, masked


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A link as written: ``target`` for ``[text](target)``, ``label`` for ``[text][label]`` (folded), never both."""

    text: str
    target: str | None
    label: str | None
    path: str
    line: int
    sentence: Sentence | None = None


def links(sentence: Sentence) -> Iterator[Link]:
    """Yield the links of a sentence, code spans left out."""
    if "](" not in sentence.text and "][" not in sentence.text:
        return
    for m in LINK.finditer(masked(sentence.text)):
        target = m[2].strip("<>") if m[2] is not None else None
        label = None if target is not None else " ".join((m[3] or m[1]).casefold().split())
        yield Link(m[1], target, label, sentence.path, sentence.line, sentence)
