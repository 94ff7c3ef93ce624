"""Daily use: where one stands, a run by `last` or a beginning, a step alone, choose and carry on, watch, quiet, verbose."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKFLOW = """\
name: two
steps:
  - {id: draft, prompt: "x", compare: ["script:s.yaml#a", "script:s.yaml#b"], select: ask}
  - {id: plan, prompt: "More of {{ steps.draft.output }}", provider: "script:s.yaml#long"}
"""
LONG = "\\n".join(f"line {number}" for number in range(40))
SCRIPT = f"""\
a: [{{text: The answer of a is long enough., price: {{input: "3", output: "15"}}, usage: {{input_tokens: 7}}}}]
b: [{{text: The answer of b is different.}}]
long: [{{text: "{LONG}"}}]
"""
ARGUMENTS = [sys.executable, "-m", "nyxlab.cli"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w.yaml").write_text(WORKFLOW)
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text("")
    return tmp_path


def cli(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NYXLAB_STORE": f"sqlite:///{folder / 'l.db'}", "NO_COLOR": "1"}
    return subprocess.run(
        [*ARGUMENTS, *words], cwd=folder, capture_output=True, text=True, env=environment, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_day(folder: Path) -> None:
    """Where one stands, before and after; `last` and a beginning name a run; choose carries on; a step is shown whole."""
    assert "nyxlab review PLAN.md" in cli(folder).stdout
    assert (
        cli(folder, "show", "last").stderr
        == "nyxlab: no run 'last': there is none yet; nyxlab run WORKFLOW starts one\n"
    )
    paused = cli(folder, "run", "w.yaml")
    assert paused.returncode == 3
    run_id = paused.stderr.split()[1]
    stands = cli(folder)
    assert stands.stderr == ""
    assert "Spent this month: $0.00 in 0 calls" in stands.stdout  # a script's prices are invented
    assert f"Next\n  nyxlab choose {run_id} draft PROVIDER --resume" in stands.stdout
    done = cli(folder, "choose", "last", "draft", "script:s.yaml#b", "--resume")
    assert (done.returncode, " completed" in done.stdout) == (0, True)
    for name in ("last", run_id[:-3]):
        assert json.loads(cli(folder, "show", name, "--json").stdout)["runId"] == run_id
    shown = cli(folder, "show", "last").stdout
    assert "… 28 more lines: --step plan" in shown
    alone = cli(folder, "show", "last", "--step", "plan").stdout
    assert "| line 39" in alone
    assert "draft" not in alone
    assert "did you mean 'plan'" in cli(folder, "show", "last", "--step", "plam").stderr
    cli(folder, "run", "w.yaml")
    two = cli(folder, "show", run_id[:2])
    assert (two.returncode, "is the beginning of 2 runs" in two.stderr) == (2, True)


def test_quiet_and_verbose(folder: Path) -> None:
    """--quiet leaves results and errors; --verbose tells each call; both stand in every command's help."""
    (folder / "w.yaml").write_text('name: w\nsteps:\n  - {id: s, prompt: x, provider: "script:s.yaml#a"}\n')
    quiet, verbose = cli(folder, "run", "w.yaml", "--quiet"), cli(folder, "run", "w.yaml", "-v")
    assert (quiet.stderr, "completed" in quiet.stdout) == ("", True)
    assert "s: script:s.yaml#a (candidate) ok" in verbose.stderr
    assert cli(folder, "show", "nowhere", "-q").stderr.startswith("nyxlab: no run 'nowhere'")
    for command in ("show", "letter new", "route train"):
        told = cli(folder, *command.split(), "--help").stdout
        assert "--quiet" in told
        assert "<bool>" not in told


def test_reports_go_where_reports_are(folder: Path) -> None:
    """`report last` and `report --all` write into the project's reports/, also from a folder below."""
    (folder / "w.yaml").write_text(
        'name: w\nsteps:\n  - {id: s, prompt: "What is <x>?", provider: "script:s.yaml#a"}\n'
    )
    (folder / "below").mkdir()
    run_id = cli(folder, "run", "w.yaml").stderr.split()[1]
    environment = os.environ | {"NYXLAB_STORE": f"sqlite:///{folder / 'l.db'}"}
    for words in (("report", "last"), ("report", "--all")):
        subprocess.run([*ARGUMENTS, *words], cwd=folder / "below", env=environment, check=True, timeout=60)
    assert sorted(path.name for path in (folder / "reports").iterdir()) == [f"{run_id}.html", "index.html", "runs.html"]
    assert f'<a href="{run_id}.html">' in (folder / "reports" / "index.html").read_text()
    page = (folder / "reports" / "runs.html").read_text()
    assert "What is &lt;x&gt;?" in page
    assert "The answer of a is long enough." in page
    assert "Nothing was paid" in page


def test_watch_tells_what_each_save_changes(folder: Path) -> None:
    """A finding that a save brings is told, and one that it mends; Ctrl-C ends it cleanly."""
    plan = folder / "plan.md"
    plan.write_text("# Plan\n\n## Step 1: Token\nCreate `a.py` (new).\n")
    child = subprocess.Popen([*ARGUMENTS, "watch", "plan.md"], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert re.search(r"PASS \(rules only\): 0 open", child.stdout.readline())
    plan.write_text(plan.read_text() + "See [b](gone.md).\n")
    assert child.stdout.readline().endswith("1 open\n")
    assert child.stdout.readline() == "  + LOW Broken link: the file gone.md  plan.md:5\n"
    plan.write_text("")  # an editor that empties a file before it writes it
    time.sleep(0.5)
    plan.write_text("# Plan\n\n## Step 1: Token\nCreate `a.py` (new).\n")
    assert child.stdout.readline().endswith("0 open\n")
    assert child.stdout.readline() == "  - LOW Broken link: the file gone.md  fixed\n"
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=30) == 0
    child.stdout.close()


def test_help_of_the_whole_says_what_the_words_mean(folder: Path) -> None:
    """Cael is introduced once, completion and sampling are told, and no flag stands with a type."""
    told = " ".join(cli(folder, "--help").stdout.replace("│", " ").split())
    assert "Cael is the name of nyxlab's reviewer" in told
    assert "?temperature=0.8&seed=7" in told
    assert "nyxlab --install-completion" in told
    assert "<bool>" not in told
    named = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run(
        [*ARGUMENTS, "--show-completion", "bash"], capture_output=True, text=True, env=named, timeout=60
    )
    assert "complete" in shown.stdout


def test_a_review_shows_itself_in_a_notebook(folder: Path) -> None:
    """As a table of its findings, in HTML and in Markdown; nothing that a plan says acts in either."""
    from nyxlab.lab.reviews.terms import Terms, review_files

    (folder / "plan.md").write_text("# Plan\n\nSee [<b>x</b>](<script>alert(1)</script>.md) and [y](a|b.md).\n")
    review = review_files(["plan.md"], Terms.of(folder, folder), folder).review
    html, markdown = review._repr_html_(), review._repr_markdown_()
    assert "broken-link" in html
    assert "<script>" not in html
    assert "broken-link" in markdown
    assert "<script>" not in markdown
    assert r"a\|b.md" in markdown


def test_what_is_asked_wrong_is_told_how(folder: Path) -> None:
    """A plan where its review is wanted, a server that no settings name, a rule, a lens, a command misspelt."""
    (folder / "plan.md").write_text("# Plan\n\n- One.\n")
    for words, said in {
        ("prompt", "plan.md"): "nyxlab review plan.md --output review.json",
        ("compare", "a b", "--providers", "ollama:x"): 'kind = "openai", base_url = "http://127.0.0.1:11434/v1"',
        ("rules", "broken-lnk"): "did you mean 'broken-link'?",
        ("review", "plan.md", "--lens", "securty", "--providers", "hand:x"): "did you mean 'security'?",
        ("reviw", "plan.md"): "Did you mean 'review'",
        ("show", "last", "--jsn"): "--json",
    }.items():
        done = cli(folder, *words)
        assert done.returncode == 2
        assert said in " ".join(done.stderr.split())


def test_a_batch_of_plans_has_pages_with_their_names(tmp_path: Path) -> None:
    """Jobs that differ in one file alone are named after it; where two files have one name, by their parameters."""
    from nyxlab.lab.batch.grid import read_grid

    cli(tmp_path, "init")
    plans = tmp_path / "data" / "plans"
    (plans / "second plan.md").write_text("# Two\n")
    names = [job.name for job in read_grid(tmp_path / "data" / "grids" / "plans.yaml", tmp_path)]
    assert names == ["review-first", "review-second-plan"]
    (plans / "a").mkdir()
    (plans / "a" / "first.md").write_text("# One\n")
    grid = tmp_path / "data" / "grids" / "both.yaml"
    grid.write_text("notebook: notebooks/review.ipynb\nmatrix:\n  plan: {glob: data/plans/**/*.md}\n")
    told = [job.name for job in read_grid(grid, tmp_path)]
    assert len(set(told)) == 3
    assert "review-second-plan" in told
