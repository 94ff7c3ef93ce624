"""One number a thing: the list, the table, the steps and the totals of a run add up to the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyxlab.lab.lab import Lab
from nyxlab.lab.views.report import render_review
from nyxlab.lab.views.rows import provider_rows, step_rows
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
SCRIPT = """\
a: [{text: An answer that is long enough., usage: {input_tokens: 7, output_tokens: 5}, price: {input: "3", output: "15"}}]
b: [{text: Another answer to the question., usage: {input_tokens: 7, output_tokens: 5}, latency: 0.01}]
slow: [{text: A slow answer., latency: 30}]
busy: [{error: busy}]
judge: [{json: {rationale: short, verdict: second}, usage: {input_tokens: 9, output_tokens: 2}}]
"""
STEPS = """\
name: w
steps:
  - {id: both, prompt: x, compare: ["script:s.yaml#a", "script:s.yaml#b"], judge: "script:s.yaml#judge"}
  - {id: one, prompt: y, compare: ["script:s.yaml#a", "script:s.yaml#busy"], judge: "script:s.yaml#judge"}
  - {id: made, prompt: z, compare: ["script:s.yaml#a", "script:s.yaml#b"], judge: "script:s.yaml#judge", select: synthesise}
  - {id: many, kind: map, over: [1, 2], prompt: "{{ item }}", compare: ["script:s.yaml#a", "script:s.yaml#b"]}
  - {id: bad, prompt: w, provider: "script:s.yaml#busy"}
  - {id: asks, needs: [both], prompt: v, compare: ["script:s.yaml#a", "script:s.yaml#b"], select: ask}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "w.yaml").write_text(STEPS)
    (tmp_path / "nyxlab.toml").write_text("")
    return Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path))


async def test_the_table_the_steps_and_the_totals_are_one_sum(lab: Lab) -> None:
    """Judges, failures, synthesis, items, a resume: calls, tokens and money are counted once, and alike, everywhere."""
    async with lab:
        run = await lab.run("w.yaml")
        run = await lab.resume(run.run_id)
        told = await lab.cost(run.run_id)
    totals, steps = run.checkpoint()["totals"], step_rows(run)
    assert totals["calls"] == len(run.calls) == sum(row["calls"] for row in provider_rows([run]))
    assert totals["tokens"] == sum(row["tokens"] for row in told) == sum(row["tokens"] for row in steps)
    assert Decimal(totals["usd"]) == sum(row["usd"] for row in told) == sum(row["usd"] for row in steps)
    assert {row["certainty"] for row in steps} | {totals["certainty"]} <= {"exact", "estimated"}
    assert all(row["invented"] for row in told)


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 3_000)), min_size=1, max_size=6))
def test_a_pause_is_no_time_of_a_run(spans: list[tuple[float, float]]) -> None:
    """Steps one after another, each after a rest of any length: a step begins where the one before ended."""
    from datetime import UTC, datetime, timedelta

    now, steps = datetime(2026, 11, 27, tzinfo=UTC), []
    for number, (took, rest) in enumerate(spans):
        steps.append({"id": f"s{number}", "status": "completed", "startedAt": now.isoformat(), "durationSeconds": took})
        now += timedelta(seconds=took + rest)
    rows = step_rows({"runId": "r", "steps": steps})
    worked = [sum(took for took, _ in spans[:number]) for number in range(len(spans))]
    assert [row["start_s"] for row in rows] == pytest.approx(worked, abs=1e-4)


def test_an_interrupted_run_is_listed_as_such(tmp_path: Path) -> None:
    """After Ctrl-C, and after a kill, `runs` says interrupted; while it runs, running."""
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "w.yaml").write_text('name: w\nsteps:\n  - {id: s, prompt: x, provider: "script:s.yaml#slow"}\n')
    environment = os.environ | {"NYXLAB_STORE": f"sqlite:///{tmp_path / 'l.db'}"}

    def cli(*words: str) -> str:
        command = [sys.executable, "-m", "nyxlab.cli", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=60).stdout

    for number in (signal.SIGINT, signal.SIGKILL):
        child = subprocess.Popen(
            [sys.executable, "-m", "nyxlab.cli", "run", "w.yaml"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
        )
        child.stderr.readline()  # the run's id: it has begun
        assert " running " in cli("runs").splitlines()[1]
        time.sleep(0.2)
        child.send_signal(number)
        child.wait(timeout=30)
        child.stderr.close()
        newest = cli("runs").splitlines()[1]
        assert " interrupted " in newest
        assert newest.endswith("–")


def test_a_page_counts_the_lines_as_the_review_does(tmp_path: Path) -> None:
    """The line feed that ends a file begins no line: 3 lines in the review are 3 lines on its page."""
    from nyxlab.lab.reviews.terms import Terms, review_files

    (tmp_path / "plan.md").write_text("# Plan\n\n- One thing.\n")
    found = review_files(["plan.md"], Terms.of(tmp_path, tmp_path), tmp_path)
    page = render_review(found.review.to_json(), "html", found.texts)
    assert found.review.documents[0].lines == 3
    assert "plan.md (3 lines)" in page
