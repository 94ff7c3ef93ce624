"""The panel that reads a review: its findings filtered, each beside the plan's own lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ipywidgets as widgets
from markupsafe import Markup

from nyxlab.lab.fields import STORED, said, told
from nyxlab.lab.project import project_root
from nyxlab.lab.reviews.documents import unchanged_documents
from nyxlab.lab.views.report import passages
from nyxlab.lab.views.rows import SEVERITIES, review_json, worst_first
from nyxlab.lab.views.wording import visible
from nyxlab.providers.messages import Json
from nyxlab.reviewer.review import Review


def findings_panel(review: Review | Mapping[str, Json]) -> FindingsPanel:
    """Return a panel that filters the findings of a review (or its JSON) by severity, category and text."""
    return FindingsPanel(review_json(review))


class FindingsPanel(widgets.VBox):  # type: ignore[misc]  # ipywidgets ships no types
    """Filters the findings of a review; ``shown`` are those that pass."""

    def __repr__(self) -> str:
        """Return what a stored notebook says in its place."""
        return STORED

    def __init__(self, review: Mapping[str, Json]) -> None:
        self.findings = list(worst_first(review["findings"]))
        texts = unchanged_documents(review, Path.cwd(), project_root(Path.cwd()))
        self._lines = {path: text.removesuffix("\n").split("\n") for path, text in texts.items()}
        self.shown: list[Json] = []
        counts = review.get("counts", {})
        self.levels = [
            widgets.Checkbox(True, description=f"{level} ({counts.get(level, 0)})", indent=False,
                             layout=widgets.Layout(width="auto"))
            for level in SEVERITIES
        ]  # fmt: skip
        categories = sorted({finding["category"] for finding in self.findings})
        self.category = widgets.Dropdown(options=["all", *categories], **told("Category"))
        self.text = widgets.Text(placeholder="words of a finding", **told("Contains"))
        self.listing = widgets.HTML()
        for field in (*self.levels, self.category, self.text):
            field.observe(lambda _: self._show(), "value")
        verdict = widgets.HTML(said(f"Verdict: {review['verdict']}"))
        super().__init__([verdict, widgets.HBox(self.levels), self.category, self.text, self.listing])
        self.add_class("nyxlab-findings-panel")
        self._show()

    def _show(self) -> None:
        levels = {level for level, box in zip(SEVERITIES, self.levels, strict=True) if box.value}
        words = self.text.value.casefold().split()
        self.shown = [
            finding
            for finding in self.findings
            if finding["severity"] in levels
            and self.category.value in ("all", finding["category"])
            and all(word in f"{finding['title']} {finding['explanation']}".casefold() for word in words)
        ]
        head = Markup("<p role='status'>{} of {} findings</p>").format(len(self.shown), len(self.findings))
        self.listing.value = str(head + Markup().join(_finding(each, self._lines) for each in self.shown))


def _finding(finding: Mapping[str, Json], lines: Mapping[str, list[str]]) -> Markup:
    """Return a finding that unfolds: what is wrong beside the plan's own lines, where the plan is as it was read."""
    figures = Markup().join(
        Markup("<figure style='margin:0 0 .6em'><figcaption>{}</figcaption>{}</figure>").format(
            visible(passage["where"]),
            Markup("<pre style='white-space:pre-wrap;margin:0' tabindex='0'>{}</pre>").format(
                Markup("\n").join(_line(number, text, hit=hit) for number, text, hit in passage["lines"])
            ),
        )
        for passage in passages(finding, lines, {})
    )
    head = f"{finding['severity']} · {finding['id']} · {finding['title']}"
    return Markup(
        "<details><summary>{}</summary><div style='display:flex;flex-wrap:wrap;gap:1em'>"
        "<div style='flex:1 1 18em'><p>{}</p><p><b>Fix:</b> {}</p></div>"
        "<div style='flex:1 1 24em;min-width:0'>{}</div></div></details>"
    ).format(visible(head), visible(finding["explanation"]), visible(finding["fix"]), figures)


def _line(number: int, text: str, *, hit: bool) -> Markup:
    shown = Markup("{:4} {}").format(number, visible(text))
    return Markup("<mark>{}</mark>").format(shown) if hit else shown
