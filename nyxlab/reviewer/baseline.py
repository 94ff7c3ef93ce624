"""A review held against an earlier one: what is new, still open, fixed, or not found again though its words still stand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nyxlab.reviewer.findings import MAX_SPAN, Evidence, Finding
from nyxlab.reviewer.text.document import Document


class _Words(NamedTuple):
    """A file's words with one space between, and where each line that has any starts in them, so that wrapping is no difference."""

    text: str
    starts: list[int]
    lines: list[int]


def against(
    before: Iterable[Finding], now: Sequence[Finding], document: Document, *, models_ran: bool = False
) -> tuple[Finding, ...]:
    """Return the findings of ``now`` as new or open, and after them those of ``before`` that are gone.

    Findings are the same by fingerprint. One that is gone is *fixed* when a quote of it stands nowhere any more, else
    *not found again*; one that only models find stays open while no model was asked. What an earlier review had closed
    is not told again.
    """
    left = {f.fingerprint: f for f in before if f.active or f.suppressed}
    known = left.keys() & {f.fingerprint for f in now}
    judged = [f.model_copy(update={"status": "open"}) if f.fingerprint in known else f for f in now]
    gone = [f for name, f in left.items() if name not in known and f.status != "fixed"]
    words = {path: _read(file.lines) for path, file in document.files.items()} if gone else {}
    for number, old in enumerate(gone, len(now) + 1):
        found = tuple(_again(piece, words, document) for piece in old.evidence)
        stands = "not-found-again" if old.by_code or models_ran else "open"
        status = stands if all(piece.verified for piece in found) else "fixed"
        change = {"id": f"F-{number:03d}", "status": status, "suppressed": None, "evidence": found}
        judged.append(old.model_copy(update=change))
    return tuple(judged)


def _read(lines: Sequence[str]) -> _Words:
    pieces, starts, numbers, at = [], [], [], 0
    for number, line in enumerate(lines, 1):
        if piece := " ".join(line.split()):
            pieces.append(piece)
            starts.append(at)
            numbers.append(number)
            at += len(piece) + 1
    return _Words(f" {' '.join(pieces)} ", starts, numbers)


def _again(piece: Evidence, words: dict[str, _Words], document: Document) -> Evidence:
    """Return the evidence where its words stand now, in its own file first; unverified where they stand nowhere."""
    quote = " ".join(piece.quote.split())
    for path in sorted(words, key=lambda name: name != piece.path):
        own = words[path]
        at = own.text.find(f" {quote} ")
        if quote and at >= 0:
            first = own.lines[bisect_right(own.starts, at) - 1]
            last = min(own.lines[bisect_right(own.starts, at + len(quote) - 1) - 1], first + MAX_SPAN - 1)
            text = document.quote(path, first, last)
            return Evidence(path=path, start_line=first, end_line=last, quote=text, verified=piece.verified)
    return piece.model_copy(update={"verified": False})
