"""How amounts, times, choices and foreign text are shown to people, alike on console, page, panel and notebook."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup

FORMATS = ("text", "json", "sarif", "md", "html")  # of a review
# Control characters but tab and newline; bidi marks, embeddings, overrides, isolates; zero-width; invisible tags.
CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
INVISIBLE = "\u00ad\u180e\u200b\u2028\u2029\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
JOINERS = "\u200c\u200d"  # part of emoji and of several scripts: shown as they are on a page, not sent to a terminal
HIDDEN = re.compile(f"[{CONTROL}{BIDI}{INVISIBLE}]")
UNSAFE = re.compile(
    f"\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[{CONTROL}{BIDI}{INVISIBLE}{JOINERS}]"
)
FORMULA = ("=", "+", "-", "@", "\t")


def money(usd: object, certainty: str | None) -> str:
    """Return an amount as people read it, with how sure it is: ``$0.0061``, ``≈ $12.50``, ``$0.0061 + unknown``."""
    known = float(str(usd or 0))
    if certainty == "unknown" and not known:
        return "unknown"
    digits = 2 if known >= 1 or not known else 4 if known >= 0.001 else 1 - math.floor(math.log10(known))
    amount = f"${known:,.{digits}f}"
    return f"{amount} + unknown" if certainty == "unknown" else f"≈ {amount}" if certainty == "estimated" else amount


def seconds(value: float | None) -> str:
    """Return a duration as people read it; a dash where there is none."""
    if value is None:
        return "–"
    if value >= 120:
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    if 0 < value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.{1 if value >= 10 else 2}f} s" if value else "0 s"


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV; a cell that a spreadsheet would run as a formula is quoted as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_cell(cell) for cell in row] for row in (columns, *rows))
    return text.getvalue()


def _cell(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    lines = cell.replace("\r\n", "\n").replace("\r", "\n")  # a bare \r would end the row, unquoted
    return f"'{lines}" if lines.startswith(FORMULA) else lines


def plain(text: object) -> str:
    """Return text fit for a terminal: no escape sequence, control, bidi or zero-width character."""
    return UNSAFE.sub("", str(text))


def visible(value: object) -> object:
    """Return text with each hidden character spelt out (``[U+202E]``), so that nobody reads what is not there."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return HIDDEN.sub(lambda found: f"[U+{ord(found.group()):04X}]", value.replace("\r\n", "\n"))
