"""Reports as text: escaping, folding, what is said and what is embedded."""

from __future__ import annotations

import json
import re
import sys

import nbformat
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from report_inputs import HOSTILE, PLAN, Live, alternative, finding, review, run, step

from nyxlab.errors import InputRefused
from nyxlab.lab.pages import charts_of
from nyxlab.lab.views import rows as tables
from nyxlab.lab.views.export import export_notebook
from nyxlab.lab.views.report import headline, render_review, render_run
from nyxlab.lab.views.wording import UNSAFE

severities = st.lists(st.sampled_from(tables.SEVERITIES), max_size=90)


def notebook(tmp_path, *outputs, source="1 + 1"):
    cells = [
        nbformat.v4.new_markdown_cell(f"# Title\n\n{HOSTILE}"),
        nbformat.v4.new_code_cell(source, outputs=list(outputs)),
    ]
    path = tmp_path / "book.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def shown(kind, data):
    return nbformat.v4.new_output("display_data", {kind: data})


def test_nothing_hostile_is_live_in_a_page():
    """What a model or a plan wrote is text in the page: no element, no handler, no script address."""
    pages = ((render_review(review(), "html", {"plan.md": PLAN}), 1), (render_run(run(), charts_of(run())), 2))
    for html, scripts in pages:
        assert (Live(html).found, Live(html).scripts) == ([], scripts)
        assert "\u202e" not in html
        assert "[U+202E]" in html


@pytest.mark.parametrize("fmt", ["text", "md"])
def test_no_escape_reaches_a_terminal(fmt):
    """Text and Markdown hold no control, bidi or zero-width character."""
    written = render_review(review(), fmt, {"plan.md": PLAN})
    assert not UNSAFE.search(written)
    assert "owned" not in written


def test_markdown_stays_text():
    """Rendered as Markdown with HTML allowed, hostile text makes no link, picture or tag."""
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(render_review(review(), "md"))
    assert (Live(html).found, Live(html).scripts) == ([], 0)
    assert "<a " not in html


@given(severities)
def test_folding_keeps_the_default_view(given_severities):
    """CRITICAL, HIGH and five MEDIUM are shown, 50 at most with the folded ones, every further one counted once."""
    found = [finding(n, severity, "DATA" if n % 2 else "TERM") for n, severity in enumerate(given_severities)]
    open_, folded, overflow = tables.fold(found)
    loud = [f for f in found if f["severity"] in {"CRITICAL", "HIGH"}]
    mediums = [f for f in found if f["severity"] == "MEDIUM"]
    assert len(open_) == min(50, len(loud) + min(5, len(mediums)))
    assert len(open_) + len(folded) + sum(overflow.values()) == len(found)
    assert len(open_) + len(folded) <= 50


def test_suppressed_findings_are_folded_and_uncounted():
    """A suppressed finding is never in the open, whatever its severity, nor in the counts."""
    written = render_review(review([finding(1, "CRITICAL", suppressed="decided in ADR 7")]), "text")
    assert "no findings" in written
    assert "(suppressed: decided in ADR 7)" in written


def test_the_counts_are_those_of_the_findings():
    """The chips add up to the findings that stand."""
    html = render_review(review([finding(n, "HIGH") for n in range(7)]), "html")
    assert '<li class="chip high"><b>7</b> high</li>' in html


def test_the_headline_says_what_did_not_run():
    """A verdict is never shown without the passes that did not run."""
    assert headline(review()) == "FAIL (rules only; 1 lens not run)"
    assert headline(review() | {"passes": [{"name": "rules", "status": "ran"}]}) == "FAIL (rules only)"


def test_no_findings_is_an_answer():
    """Zero findings are said plainly, in every format."""
    assert "Nothing was found" in render_review(review([]), "html")
    assert "No findings" in render_review(review([]), "md")
    assert "no findings" in render_review(review([]), "text")


def test_pages_are_small_and_repeatable():
    """A review stays under 1 MB, a page with charts under 2.5 MB, and the same record gives the same bytes."""
    assert len(render_review(review(), "html", {"plan.md": PLAN}).encode()) < 1_000_000
    assert len(render_run(run(), charts_of(run())).encode()) < 2_500_000
    assert render_run(run(), charts_of(run())) == render_run(run(), charts_of(run()))


def test_a_run_without_plotly_has_its_tables(monkeypatch):
    """Without nyxlab[lab] the page has the tables and says what charts need."""
    for name in ("plotly", "plotly.graph_objects", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("nyxlab.lab.plots", "nyxlab.lab.frames"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("nyxlab.lab.plots", raising=False)
    html = render_run(run(), charts_of(run()))
    assert "pip install nyxlab[lab]" in html
    assert "script:demo#a" in html


@pytest.mark.parametrize("told", [{}, {"schema": "other/1"}, []])
def test_another_schema_is_refused(told):
    """A file that is not the record asked for is refused in one sentence."""
    with pytest.raises(InputRefused, match="expected a document with schema"):
        render_run(told)


def test_a_theme_overrides_what_is_shipped(tmp_path):
    """A template in the project's folder takes the place of the shipped one."""
    (tmp_path / "review.text.j2").write_text("ours: {{ headline }}", encoding="utf-8")
    assert render_review(review(), "text", theme=tmp_path).startswith("ours: FAIL")


def test_a_notebook_keeps_its_charts_and_loses_its_dangers(tmp_path):
    """Charts are embedded with their numbers, HTML is sanitised, remote pictures and scripts are gone."""
    figure = json.loads(go.Figure(go.Bar(x=["a", "b"], y=[1.5, 2.25], name=HOSTILE)).to_json())
    outputs = [shown("application/vnd.plotly.v1+json", figure), shown("text/html", HOSTILE), shown("text/plain", HOSTILE),
               shown("image/png", "iVBORw0KGgo=")]  # fmt: skip
    html = export_notebook(notebook(tmp_path, *outputs, source=HOSTILE))
    assert (Live(html).found, Live(html).scripts) == ([], 2)
    assert 'id="figure-0"' in html
    assert "2.25" in html
    assert "[picture left out]" in html


def test_packed_numbers_are_unpacked(tmp_path):
    """plotly's base64 arrays appear as numbers in the table beside the chart."""
    figure = {"data": [{"type": "bar", "y": {"dtype": "f8", "bdata": "AAAAAAAA8D8AAAAAAAAEQA=="}}], "layout": {}}
    html = export_notebook(notebook(tmp_path, shown("application/vnd.plotly.v1+json", figure)))
    assert "<td>1</td>" in html
    assert "<td>2.5</td>" in html


def test_a_widget_becomes_static(tmp_path):
    """A widget is exported as what it showed, without its scripts."""
    path = notebook(tmp_path, shown("application/vnd.jupyter.widget-view+json", {"model_id": "m"}))
    book = nbformat.read(path, 4)
    state = {"m": {"state": {"_model_name": "HTMLModel", "value": f"<b>seen</b>{HOSTILE}"}}}
    book.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    nbformat.write(book, path)
    html = export_notebook(path)
    assert "<b>seen</b>" in html
    assert Live(html).found == []


@pytest.mark.parametrize(
    "text", ["", "not json", "[]", '{"cells": 3}', '{"nbformat": 4, "nbformat_minor": 5, "cells": 3, "metadata": {}}']
)
def test_a_broken_notebook_is_refused(tmp_path, text):
    """What is not a notebook ends in one sentence that names the file."""
    path = tmp_path / "broken.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputRefused, match=r"broken\.ipynb"):
        export_notebook(path)


def test_a_run_of_ten_thousand_calls_stays_a_page():
    """Five thousand comparisons of two long answers give a page under 5 MB that says how many there were."""
    words = "what a model writes in an answer of some length " * 12
    items = [
        {"index": n, "output": f"{n} {words}", "selectedProvider": "a:x", "selectedBy": "policy", "gate": None, "caelReview": None,
         "alternatives": [alternative("a:x", f"{n} {words}", "0.01", 1.0), alternative("b:x", f"no {n} {words}", "0.02", 2.0)]}
        for n in range(5_000)
    ]  # fmt: skip
    told = {**run(), "steps": [step("many", 0, 9.0, kind="map", items=items)]}
    html = render_run(told)
    assert len(html.encode()) < 5_000_000
    assert re.search(r"\b5\s?000\b", html)  # calls of each provider
