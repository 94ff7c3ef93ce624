"""A review held against an earlier one: what is new, still open, fixed, or not found again though its words stand."""

from collections.abc import Iterable, Sequence

from nyxlab.reviewer.findings import Evidence, Finding
from nyxlab.reviewer.models.evidence import Joined, quoted
from nyxlab.reviewer.rules.base import Place
from nyxlab.reviewer.text.document import Document


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
    gone = [f for name, f in left.items() if name not in known]
    words = {path: Joined([" ".join(x.split()) for x in f.lines], " ") for path, f in document.files.items() if gone}
    for number, old in enumerate(gone, len(now) + 1):
        found = tuple(_again(piece, words, document) for piece in old.evidence)
        stands = "not-found-again" if old.by_code or models_ran else "open"
        status = stands if all(piece.verified for piece in found) else "fixed"
        change = {"id": f"F-{number:03d}", "status": status, "suppressed": None, "evidence": found}
        judged.append(old.model_copy(update=change))
    return tuple(judged)


def _again(piece: Evidence, words: dict[str, Joined], document: Document) -> Evidence:
    """Return the evidence where its words stand now, in its own file first; unverified where they stand nowhere."""
    quote = " ".join(piece.quote.split())
    for path in sorted(words, key=lambda name: name != piece.path):
        at = f" {words[path].whole}".find(f" {quote} ")
        if quote and at >= 0:
            found = quoted(document, Place(path, *words[path].lines(at, at + len(quote))))
            return found.model_copy(update={"verified": piece.verified})
    return piece.model_copy(update={"verified": False})
