"""What people see: one wording, answers as rendered Markdown, the project's own templates, sentences for empty charts."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from report_inputs import Live, alternative, run, step
from typer.testing import CliRunner

from nyxlab.cli import app
from nyxlab.errors import InputRefused
from nyxlab.lab import frames, plots
from nyxlab.lab.lab import Lab
from nyxlab.lab.pages import charts_of
from nyxlab.lab.views.answers import answers
from nyxlab.lab.views.export import export_notebook
from nyxlab.lab.views.markdown import rendered
from nyxlab.lab.views.report import render_run
from nyxlab.lab.views.wording import csv_text, money, seconds

pytestmark = pytest.mark.anyio
SCRIPT = """\
a:
  - {text: "# Title\\n\\n**bold** <script>alert(1)</script>\\n\\n| a | b |\\n|---|---|\\n| 1 | 2 |"}
b:
  - {text: "the answer of b"}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with scripted replies under short names."""
    aliases = '[aliases]\none = "script:s.yaml#a"\ntwo = "script:s.yaml#b"\n'
    (tmp_path / "nyxlab.toml").write_text(aliases)
    (tmp_path / "s.yaml").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@given(st.text())
def test_rendered_markdown_does_nothing(text: str) -> None:
    """Whatever a model writes, its Markdown becomes no script, no handler, no form, no picture from elsewhere."""
    live = Live(f"<main>{rendered(text)}</main>")
    assert live.found == []


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("**b** and `c`", "<strong>b</strong>", "**"),
        ("| a |\n|---|\n| 1 |", "<td>1</td>", "|"),
        ("[x](javascript:alert(1))", "javascript:alert(1)", "href"),
        ("<a href='https://x.y' onclick='z()'>k</a>", 'href="https://x.y"', "onclick"),
        ("<style>p{}</style>after", "after", "style"),
        ("![p](https://x.y/p.png)", "picture left out", "<img"),
    ],
)
def test_what_is_kept_of_markdown(text: str, kept: str, gone: str) -> None:
    """Emphasis, tables and links to the web stay; addresses that run, handlers, styles and remote pictures go."""
    html = rendered(text)
    assert kept in html
    assert gone not in html


def test_headings_of_an_answer_stand_below_the_pages_own() -> None:
    """An answer's first heading is no heading of the page that shows it."""
    assert rendered("# One\n\n###### Six", below=4) == "<h5>One</h5>\n<h6>Six</h6>\n"


async def test_an_answer_is_shown_as_it_reads_and_as_it_was_written(project: Path) -> None:
    """On the page and in a notebook an answer is rendered Markdown; its source is one click away, and neither is live."""
    async with Lab() as lab:
        compared = await lab.compare("hello", providers="one,two", policy="first")
        page = await lab.report(compared.run_id)
    for html in (page, str(answers(compared))):
        assert "<strong>bold</strong>" in html
        assert "<td>1</td>" in html
        assert "as it was written" in html
        assert "&lt;script&gt;alert(1)" in html  # in the source, as text
        assert "<script>alert(1)" not in html


async def test_an_alias_is_what_people_see(project: Path) -> None:
    """A short name from the settings stands for its provider everywhere, and near ones are proposed."""
    async with Lab() as lab:
        compared = await lab.compare("hello", providers=["one", "two"], policy="first")
        assert {call.provider for call in compared.calls} == {"one", "two"}
        assert compared.checkpoint()["steps"][0]["selectedProvider"] == "one"
        with pytest.raises(InputRefused, match=r"'onne' is not a provider; .*did you mean 'one'"):
            await lab.compare("hello", providers="onne,two")


def test_an_alias_stands_in_a_workflow(project: Path) -> None:
    """A workflow names a provider by its alias; what stays on this machine is not announced as read by anybody."""
    (project / "w.yaml").write_text("name: w\nsteps:\n  - {id: a, prompt: hi, provider: two}\n")
    done = CliRunner().invoke(app, ["run", "w.yaml", "--json"])
    assert '"selectedProvider": "two"' in done.stdout
    assert "reads" not in done.stderr  # it stays on this machine


async def test_a_list_of_prompts_is_one_run(project: Path) -> None:
    """Several prompts are compared in one run, in parallel, and the frame of verdicts has each prompt's own row."""
    async with Lab() as lab:
        compared = await lab.compare(["first?", "second?"], providers="one,two", policy="first")
        with pytest.raises(InputRefused, match="prompt 2 of 2: say what the providers are asked"):
            await lab.compare(["first?", " "], providers="one,two")
    verdicts = frames.verdicts(compared)
    assert list(verdicts["prompt"]) == ["first?", "second?"]
    assert set(verdicts["selected_by"]) == {"policy"}
    assert "second?" in answers(compared)


async def test_what_is_prepared_is_what_runs(project: Path) -> None:
    """A prepared run names its steps and costs, writes nothing until it is run, and runs what it named."""
    (project / "w.yaml").write_text(
        "name: w\nsteps:\n  - {id: a, prompt: hi, provider: one}\n  - {id: b, prompt: '{{ steps.a.output }}', provider: two}\n"
    )
    async with Lab() as lab:
        prepared = lab.prepare("w.yaml")
        assert (prepared.steps, set(prepared.costs), prepared.readers) == (("a", "b"), {"one", "two"}, {})
        assert await lab.runs() == []
        done = await prepared.run()
    assert [call.provider for call in done.calls] == ["one", "two"]


def test_templates_of_the_project_take_the_place_of_ours(project: Path) -> None:
    """``templates/`` at the project's root overrides what ships, on the command line and in pages; it can reach nothing."""
    folder = project / "templates"
    folder.mkdir()
    (folder / "review.text.j2").write_text("ours: {{ headline }}")
    (project / "plan.md").write_text("# Plan\n\n- Build it.\n")
    assert CliRunner().invoke(app, ["review", "plan.md"]).stdout.startswith("ours: PASS")
    (folder / "review.text.j2").write_text("{{ headline.__class__.__mro__ }}|")
    assert CliRunner().invoke(app, ["review", "plan.md"]).stdout.strip() == "|"


@pytest.mark.parametrize("text", ["{% if %}", "{{ headline | nosuch }}", "{{ headline.upper('x') }}"])
def test_a_template_that_cannot_be_filled_in_is_named(project: Path, text: str) -> None:
    """A mistake in a project's template is one sentence with its file and line, and exit code 2."""
    (project / "templates").mkdir()
    (project / "templates" / "review.text.j2").write_text(f"first line\n{text}\n")
    (project / "plan.md").write_text("# Plan\n\nBuild it.\n")
    command = [sys.executable, "-m", "nyxlab.cli", "review", "plan.md"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "review.text.j2:2: this template cannot be filled in" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_to_show_is_a_sentence() -> None:
    """At no cost a chart says what the same tokens cost at a list price, as an estimate; with no call, that there was none."""
    free = {**run(), "steps": [step("a", 0, 1.0, alternatives=[alternative("x:y", "hi", "0", 1.0)])]}
    sentence = plots.cost_by_provider([free])
    assert isinstance(sentence, plots.Note)
    assert "list price of anthropic:" in sentence
    assert "≈ $" in sentence
    empty = {**run(), "steps": []}
    drawn = [plots.cost_by_provider([empty]), plots.latency_by_provider([empty]), plots.timeline(empty)]
    assert all(isinstance(each, plots.Note) for each in drawn)
    assert sentence in render_run(free, charts_of(free)).replace("&#39;", "'")


def test_a_markdown_output_with_a_table_is_a_table(tmp_path: Path) -> None:
    """Markdown that a cell displays keeps its tables in the exported page."""
    book = nbformat.v4.new_notebook()
    shown = nbformat.v4.new_output("display_data", {"text/markdown": "| a |\n|---|\n| 1 |"})
    book.cells = [nbformat.v4.new_code_cell("x", outputs=[shown], execution_count=1)]
    nbformat.write(book, tmp_path / "book.ipynb")
    assert "<td>1</td>" in export_notebook(tmp_path / "book.ipynb")


@pytest.mark.parametrize(
    ("usd", "certainty", "said"),
    [
        ("0", "exact", "$0.00"),
        ("12.5", "exact", "$12.50"),
        ("0.00002", "estimated", "≈ $0.000020"),
        ("1e-8", "exact", "$0.000000010"),
        (None, "unknown", "unknown"),
        ("0.01", "unknown", "$0.0100 + unknown"),
    ],
)
def test_money_is_said_in_one_way(usd: str | None, certainty: str, said: str) -> None:
    """An amount has two digits that say something, and never reads as nothing when it is something."""
    assert money(None if usd is None else Decimal(usd), certainty) == said


@given(st.floats(0, 1e5))
def test_seconds_always_have_a_unit(value: float) -> None:
    """A duration is a number with its unit, and a missing one a dash."""
    assert seconds(value).split()[-1] in {"s", "ms"}
    assert seconds(None) == "–"


@given(st.lists(st.lists(st.text(), min_size=1, max_size=3), max_size=4))
@example([["\r="]])
def test_no_cell_of_a_csv_is_a_formula(rows: list[list[str]]) -> None:
    """Whatever the cells, none begins a formula."""
    import csv
    import io

    for row in csv.reader(io.StringIO(csv_text(["=a"], rows), newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
