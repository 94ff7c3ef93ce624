"""Rows, frames and colours made from contract JSON."""

from __future__ import annotations

import csv
import io
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_inputs import alternative, finding, review, run, step

from nyxlab.errors import InputRefused
from nyxlab.lab import frames, plots
from nyxlab.lab.views import rows as tables


def test_one_row_an_alternative():
    """Each alternative is one row, with the tokens that were billed one way or another."""
    calls = frames.calls(run())
    assert list(calls["provider"]) == ["script:demo#a", "local:small", "local:small", "script:demo#a"]
    assert list(calls["tokens"].fillna(-1)) == [145, 145, 145, -1]
    assert list(calls["selected"]) == [True, False, True, False]


def test_replayed_replies_are_not_measured():
    """A reply from the ledger was paid for once, so it counts, but its latency is not measured again."""
    row = frames.providers(run()).set_index("provider").loc["local:small"]
    assert (row["calls"], row["cached"], row["n"], row["latency_p95_s"]) == (2, 1, 1, 1.0)


def test_the_judge_stands_apart():
    """A judge's cost is a row of its own and in no candidate's."""
    table = frames.providers([run(), run()]).set_index("role")
    assert table.loc["judge", "usd"] == pytest.approx(0.0022)
    assert table.loc["judge", "calls"] == 4
    assert table.loc["candidate", "usd"].sum() == pytest.approx(0.0122)


def test_totals_are_the_sum_of_what_is_listed():
    """Providers' costs and steps' costs are two ways to add up the same calls."""
    assert frames.providers(run())["usd"].sum() == pytest.approx(frames.steps(run())["usd"].sum())


def test_an_unknown_cost_is_never_exact():
    """One call that nobody priced makes its provider's cost unknown, the known part kept."""
    told = run() | {
        "steps": [step("a", 0, 1.0, alternatives=[alternative("p", "x", None, 1.0), alternative("p", "y", "0.5", 1.0)])]
    }
    (row,) = tables.provider_rows([told])
    assert (str(row["usd"]), row["certainty"]) == ("0.5", "unknown")


def test_steps_count_from_the_first():
    """The time line begins at the first step's start, in seconds in which a step ran."""
    assert list(frames.steps(run())["start_s"]) == [0.0, 3.6, 5.1]


def test_empty_runs_have_typed_frames():
    """A run without steps gives empty frames with every column."""
    empty = run() | {"steps": []}
    assert list(frames.calls(empty)) == list(frames.CALLS)
    assert list(frames.providers([empty])) == list(frames.PROVIDERS)
    assert plots.timeline(empty) is not None


def test_findings_come_worst_first():
    """The frame of findings is sorted by severity whatever the review's order."""
    table = frames.findings(review([finding(1, "LOW"), finding(2, "CRITICAL"), finding(3, "MEDIUM")]))
    assert list(table["id"]) == ["F-002", "F-003", "F-001"]


@given(st.text())
def test_no_cell_is_a_formula(text):
    """Whatever the text, no CSV cell that a spreadsheet reads begins a formula."""
    written = frames.to_csv(pd.DataFrame({"a": [text], "=b": [-1.5]}))
    header, row = list(csv.reader(io.StringIO(written, newline="")))[:2] if text else (["a", "'=b"], [""])
    assert header == ["a", "'=b"]
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_stay_inside(values):
    """A percentile lies between the least and the greatest value, and p50 is at most p95."""
    p50, p95 = tables.percentile(values, 50), tables.percentile(values, 95)
    assert min(values) <= p50 <= max(values) * (1 + 1e-9)
    assert p50 <= p95 * (1 + 1e-9)


@given(st.sets(st.text(min_size=1), max_size=len(plots.PALETTE)))
def test_a_provider_keeps_its_colour(names):
    """Up to the palette's size no two providers share a colour, and the order given does not matter."""
    hues = plots.colours(names)
    assert len(set(hues.values())) == len(names)
    assert hues == plots.colours(sorted(names, reverse=True))


@pytest.mark.parametrize(
    "draw",
    [
        plots.cost_by_provider,
        plots.latency_by_provider,
        plots.waiting_by_provider,
        plots.cost_and_quality,
        lambda runs: plots.timeline(runs[0]),
        lambda runs: plots.cost_by_step(runs[0]),
    ],
)
def test_axes_have_units(draw):
    """Every figure says what its axis measures and in which unit."""
    assert draw([run()]).layout.xaxis.title.text.endswith(("(s)", "(USD)"))


def test_reports_need_no_pandas():
    """Reports are part of the core install: importing them loads neither pandas nor plotly nor nbconvert."""
    code = (
        "import sys, nyxlab.lab.views.report; print({'pandas', 'plotly', 'nbconvert', 'nbformat'} & set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "set()"
    )


def test_a_frame_is_saved_as_csv(tmp_path):
    """A saved frame is CSV that is safe for spreadsheets; another ending is refused by what to write instead."""
    frame = frames.calls(run())
    assert frames.save(frame, tmp_path / "deep" / "calls.csv").read_text() == frames.to_csv(frame)
    with pytest.raises(InputRefused, match=r"ends in \.csv"):
        frames.save(frame, tmp_path / "calls.xlsx")
