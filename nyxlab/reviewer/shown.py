"""A review as a notebook shows it: verdict, and a row a finding, as HTML or Markdown in which no plan's text acts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from nyxlab.providers.messages import Json

COLUMNS = ("", "Severity", "Rule", "Finding", "Where")
MOST = 50  # findings; the others are counted


class Shown:
    """What makes a review show itself in a notebook."""

    def _repr_html_(self: Any) -> str:
        return as_html(self.headline, self.read.told, (f.to_json() for f in self.findings if f.active))

    def _repr_markdown_(self: Any) -> str:
        return as_markdown(self.headline, self.read.told, (f.to_json() for f in self.findings if f.active))


def as_html(headline: str, told: str, findings: Iterable[Mapping[str, Json]]) -> str:
    """Return a heading, how the plan was read, and a table that a screen reader can walk through."""
    rows = list(_rows(findings))
    head = "".join(f'<th scope="col" style="text-align:left">{name}</th>' for name in COLUMNS)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows[:MOST]
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else "<p>No findings.</p>"
    more = f"<p>{len(rows) - MOST} more.</p>" if len(rows) > MOST else ""
    return f"<p><b>{escape(headline)}</b><br>{escape(told)}</p>{table}{more}"


def as_markdown(headline: str, told: str, findings: Iterable[Mapping[str, Json]]) -> str:
    """Return the same as Markdown."""
    rows = list(_rows(findings))
    lines = [f"**{_literal(headline)}**", "", _literal(told), ""]
    if rows:
        lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(map(_literal, row))} |" for row in rows[:MOST]] or ["No findings."]
    lines += ["", f"{len(rows) - MOST} more."] if len(rows) > MOST else []
    return "\n".join(lines)


def _rows(findings: Iterable[Mapping[str, Json]]) -> Iterable[tuple[str, str, str, str, str]]:
    for each in findings:
        first = next(iter(each["evidence"]), None)
        where = f"{first['path']}:{first['startLine']}" if first else ""
        yield each["id"], each["severity"], each["rule"], " ".join(each["title"].split()), where


def _literal(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", escape(text, quote=False))
