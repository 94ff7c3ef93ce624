"""One number for two different parts."""

import re
from collections.abc import Iterator
from posixpath import dirname

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity, group, names
from nyxlab.reviewer.text.blocks import Heading, plain
from nyxlab.reviewer.text.labels import Label
from nyxlab.reviewer.text.standing import ASIDE
from nyxlab.reviewer.text.words import stems

_BOLD = re.compile(r"\*\*([^*]{1,200})\*\*")
_SAYS_NOTHING = "implementation details design plan overview testing tasks summary rollout work"
_SHARED = ("epic", "story")
"""Parts that several files of a set speak of by number."""
_RESTART = ("example", "scenario", "option", "alternative", "figure", "table", "us", "question")
"""Parts whose numbers start anew wherever they are needed."""


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a number that a file gives to two parts, or two files of a set to two things, with different titles."""
    told = [i for i in document.labels if i.defines and _counts(document, i)]
    twice: dict[tuple[str, str], list[tuple[Label, ...]]] = {}
    scoped = (((i.path, i.family, i.key, _around(i) if i.family.islower() else None), i) for i in told)
    for (path, family, *_), same in group(scoped).items():
        if len(same) > 1 and not _alike(same):
            twice.setdefault((path, family), []).append(same)
    for found in twice.values():
        numbers = [same[0].name for same in found]
        pairs = "; ".join(f'{s[0].name} "{_title(s[0])[:50]}" and "{_title(s[1])[:50]}"' for s in found[:4])
        yield Claim(
            Severity.LOW, f"{names(numbers)} {'is' if len(found) == 1 else 'are'} defined twice",
            f"The same number names {pairs}.",
            [i for same in found for i in same[:2]], numbers,
        )  # fmt: skip
    yield from _across(document, told)


def _counts(document: Document, label: Label) -> bool:
    """Whether a definition is the plan's own: no cell, contents entry or shown example."""
    sentence = label.sentence
    if label.family.islower() and sentence.where not in ("heading", "paragraph"):
        return False  # a list that goes through the phases speaks of them
    if sentence.where == "cell" or ("](" in sentence.text[:200] and sentence.where == "item"):
        return False
    return document.standings[_around(label)] not in ASIDE and label.family not in _RESTART


def _around(label: Label) -> Heading | None:
    """Return the section that a definition stands in."""
    section = label.sentence.section
    return section.parent if label.sentence.where == "heading" and section else section


def _title(label: Label) -> str:
    text, bold = label.sentence.plain, _BOLD.match(label.sentence.text)
    text = plain(bold[1]) if bold and label.name in bold[1] and label.sentence.where == "paragraph" else text
    return text[label.start + len(label.name) :].lstrip(" :.)\u2013\u2014-") if label.start < 8 else text


def _alike(same: tuple[Label, ...]) -> bool:
    """Whether all of them may be one thing: their titles share a word, or one has none."""
    titles = [stems(_title(i)) - stems(_SAYS_NOTHING) for i in same]
    shared = frozenset.intersection(*titles)
    enough = 1 if same[0].family.islower() else min(map(len, titles)) / 2  # requirements of one plan share some words
    where = {i.sentence.where for i in same}
    return not all(titles) or len(where) > 1 or (bool(shared) and len(shared) >= enough)


def _across(document: Document, told: list[Label]) -> Iterator[Claim]:
    """Judge numbers that stand for different things in different files of one folder."""
    index = [i for i in document.labels if i.start < 2 and i.sentence.where == "item" and "](" in i.sentence.text]
    named = [i for i in told if i.sentence.where in ("heading", "paragraph")] + index
    shared = group(((dirname(i.path), i.family, i.key), i) for i in named if i.family in _SHARED)
    differing: dict[tuple[str, str], list[Label]] = {}
    for (folder, family, _), (first, *rest) in shared.items():
        others = [i for i in rest if i.path != first.path and _title(i) and not stems(_title(i)) & stems(_title(first))]
        if others and _title(first):
            differing.setdefault((folder, family), []).extend((first, *others))
    for found in differing.values():
        numbers = list(dict.fromkeys(i.name for i in found))
        yield Claim(
            Severity.MEDIUM,
            f"{names(numbers)} {'means' if len(numbers) == 1 else 'mean'} different things in different files",
            "; ".join(f'{i.name} in {i.path}: "{_title(i)[:50]}"' for i in found[:6]) + ".",
            found, numbers,
        )  # fmt: skip
