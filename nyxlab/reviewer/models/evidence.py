"""Evidence: where the words that a finding points at stand in the plan, quoted byte for byte."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from nyxlab.reviewer.findings import MAX_SPAN, Evidence
from nyxlab.reviewer.models.lenses import NUMBERED
from nyxlab.reviewer.rules.base import Place
from nyxlab.reviewer.text.document import Document

LEAST = 8  # characters of a quote; anything shorter stands anywhere, so that it counts on the line that is named alone
LEAST_WORD = 4  # and anything shorter than this is no quote
FUZZY = 86.0  # of 100: what a slip of the pen leaves, and a paraphrase does not
FUZZY_LEAST = 24
AROUND = 20  # lines around the stated one that are searched first: repeated words are found where they were meant
MOST = 50

_MARKS = re.compile(r"[*_`>#|~]+|^\s*(?:[-+]|\d+[.)])\s+")
_FACTS = re.compile(r"\d+(?:[.,]\d+)*|\b(?:not|never|no|none|without|cannot|\w+n't)\b")
_PAIRS = str.maketrans("\u201c\u201d\u201e\u2018\u2019\u2013\u2014\u00a0", '"""\'\'-- ')  # as typographers set them


def quoted(document: Document, place: Place) -> Evidence:
    """Quote a place; a span that leaves its file is cut to it and, where nothing is left, not verified."""
    length = len(document.files[place.path].lines)
    start = min(max(place.line, 1), length)
    end = min(max(place.end_line, start), length, start + MAX_SPAN - 1)
    quote = document.quote(place.path, start, end)
    inside = 1 <= place.line <= place.end_line <= length and bool(quote.strip())
    return Evidence(path=place.path, start_line=start, end_line=end, quote=quote, verified=inside)


class Locator:
    """Finds quoted words in a document, whoever quotes them: exactly, then without marks and layout, then nearly."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._exact = {path: Joined(file.lines, "\n") for path, file in document.files.items()}
        self._folded = {path: Joined([fold(line) for line in file.lines], " ") for path, file in document.files.items()}

    def find(self, quote: str, path: str, line: int) -> Evidence:
        """Return the evidence that a quote is, with the true text in its place, nearest to where it is said to stand.

        A quote that stands nowhere is returned as it is, unverified: nobody may take it for the plan's words.
        """
        words = NUMBERED.sub("", quote).strip()
        folded = fold(words.replace("\n", " "))
        place = None
        if len(folded) >= LEAST:
            place = self._nearest(self._exact, words, path, line) or self._nearest(self._folded, folded, path, line)
            place = place or self._nearly(folded, path, line)
        elif len(folded) >= LEAST_WORD:
            place = self._on(path, line, folded)
        if place:
            return quoted(self._document, place)
        return Evidence(path=path, start_line=max(line, 1), end_line=max(line, 1), quote=words[:2_000], verified=False)

    def _on(self, path: str, line: int, folded: str) -> Place | None:
        """Return the stated line where these few words stand on it, as whole words."""
        stated = "".join(map(fold, self._document.files[path].lines[max(line, 1) - 1 : line]))
        return Place(path, line, line) if re.search(rf"(?<!\w){re.escape(folded)}(?!\w)", stated) else None

    def _nearest(self, texts: dict[str, Joined], words: str, path: str, line: int) -> Place | None:
        """Return the occurrence next to where it is said to be, in that file before any other."""
        places = [
            (name != path, abs(first - line), Place(name, first, last))
            for name, text in texts.items()
            for first, last in text.occurrences(words)
        ]
        return min(places, key=lambda found: found[:2])[2] if places else None

    def _nearly(self, folded: str, path: str, line: int) -> Place | None:
        """Return where almost the same words stand: around the stated line, then in that file, then in the others.

        Numbers and negations must be the same ones: "30 s" is no slip of the pen for "60 s", nor "must" for "must not".
        """
        from rapidfuzz import fuzz  # a review by rules needs none of it

        if len(folded) < FUZZY_LEAST:
            return None
        facts = Counter(_FACTS.findall(folded))
        for name, first in (
            (path, max(0, line - AROUND - 1)),
            *((n, 0) for n in sorted(self._folded, key=path.__ne__)),
        ):
            text = self._folded[name]
            begin = text.starts[min(first, len(text.starts) - 1)]
            end = text.starts[line + AROUND] if first and line + AROUND < len(text.starts) else len(text.whole)
            near = fuzz.partial_ratio_alignment(folded, text.whole[begin:end], score_cutoff=FUZZY)
            if near and near.dest_end > near.dest_start:
                start, stop = begin + near.dest_start, begin + near.dest_end
                left, right = text.whole.rfind(" ", 0, start + 1) + 1, text.whole.find(" ", stop - 1)
                if facts == Counter(_FACTS.findall(text.whole[left : right if right >= 0 else None])):
                    return Place(name, *text.lines(start, stop))
        return None


class Joined:
    """Lines joined to one text, and where each of them starts in it."""

    def __init__(self, lines: Sequence[str], between: str) -> None:
        # An empty line adds a line feed, but no second blank: a quote that leaves it out is the same words.
        pieces = [line + between if line or between == "\n" else "" for line in lines]
        self.whole = "".join(pieces)
        self.starts = [0, *accumulate(map(len, pieces[:-1]))]

    def occurrences(self, words: str) -> Iterator[tuple[int, int]]:
        """Yield the first and last line (from 1) of each place where these words stand, the first ``MOST``."""
        at = -1
        for _ in range(MOST):
            if (at := self.whole.find(words, at + 1)) < 0:
                return
            yield self.lines(at, at + len(words))

    def lines(self, begin: int, end: int) -> tuple[int, int]:
        """Return the lines (from 1) of the characters from ``begin`` to before ``end``."""
        return bisect_right(self.starts, begin), bisect_right(self.starts, max(end - 1, begin))


def fold(text: str) -> str:
    """Return words in small letters without Markdown's marks, typographers' quotes and repeated blanks."""
    return " ".join(_MARKS.sub(" ", text.translate(_PAIRS)).casefold().split())


def overlap(one: Iterable[Evidence], two: Iterable[Evidence]) -> bool:
    """Whether each side's every piece of evidence shares a line with one of the other's, the shorter side leading."""
    shorter, longer = sorted((list(one), list(two)), key=len)
    return bool(shorter) and all(any(_touch(a, b) for b in longer) for a in shorter)


def _touch(one: Evidence, two: Evidence) -> bool:
    return one.path == two.path and one.start_line <= two.end_line and two.start_line <= one.end_line
