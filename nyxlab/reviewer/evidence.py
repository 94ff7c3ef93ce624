"""Evidence: the lines of a plan that a finding points at, quoted byte for byte."""

from __future__ import annotations

from nyxlab.reviewer.document import Document
from nyxlab.reviewer.findings import MAX_SPAN, Evidence
from nyxlab.reviewer.rules.base import Place


def quoted(document: Document, place: Place) -> Evidence:
    """Quote a place; a span that leaves its file is cut to it and, where nothing is left, not verified."""
    length = len(document.files[place.path].lines)
    start = min(max(place.start, 1), length)
    end = min(max(place.end, start), length, start + MAX_SPAN - 1)
    quote = document.quote(place.path, start, end)
    inside = 1 <= place.start <= place.end <= length and bool(quote.strip())
    return Evidence(path=place.path, start_line=start, end_line=end, quote=quote, verified=inside)
