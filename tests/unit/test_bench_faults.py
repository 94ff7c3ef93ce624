"""Faults of the bench that were proved by running, each with the run that showed it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner

from nyxlab import Lab, Message, Request
from nyxlab.cli import app
from nyxlab.errors import InputRefused
from nyxlab.lab.batch.grid import job_hash, read_grid, renamed
from nyxlab.lab.reviews.prepared import share_out
from nyxlab.lab.reviews.terms import Asked
from nyxlab.lab.views.export import export_notebook
from nyxlab.lab.views.wording import money
from nyxlab.settings import load_settings

SCRIPT = "a: [{text: one, repeat: true}]\nb: [{text: two, repeat: true}]\n"
PRICED = """
[endpoints.near]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
allow_private = true
[endpoints.near.models.m]
price = {input = "1000", output = "1000"}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with scripted replies and a priced endpoint that nobody calls; the working folder."""
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text(PRICED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    if isinstance(done.exception, InputRefused):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def forecast(project: Path, steps: str) -> dict[str, object]:
    (project / "w.yaml").write_text(f"name: w\nsteps:\n{steps}")

    async def work() -> dict[str, object]:
        async with Lab(f"sqlite:///{project}/l.db", settings=load_settings(project)) as lab:
            return lab.prepare("w.yaml").costs  # type: ignore[return-value]

    return anyio.run(work)


def test_whoever_may_be_asked_instead_is_in_the_forecast(project: Path) -> None:
    """A provider to fall back on, or to hedge with, may read the prompt: it is named with what it may cost before
    anything is sent."""
    told = forecast(project, '  - {id: a, prompt: "hi", provider: "script:s.yaml#a", fallback: ["near:m"]}\n')
    assert set(told) == {"script:s.yaml#a", "near:m"}
    assert told["near:m"].usd > 0  # type: ignore[attr-defined]


def test_a_forecast_over_a_tools_output_does_not_say_at_most(project: Path) -> None:
    """How long a tool's output is, nobody knows before it ran: the amount is the known part of an unknown one."""
    steps = '  - {id: t, kind: tool, tool: read_files, with: {repo: ".", pattern: "*.md"}}\n  - {id: a, prompt: "{{ steps.t.output }}", provider: "near:m"}\n'
    assert forecast(project, steps)["near:m"].certainty == "unknown"  # type: ignore[attr-defined]
    plain = '  - {id: t, kind: tool, tool: read_files, with: {repo: ".", pattern: "*.md"}}\n  - {id: a, needs: [t], prompt: "hi", provider: "near:m"}\n'
    assert forecast(project, plain)["near:m"].certainty == "estimated"  # type: ignore[attr-defined]


def test_an_upper_bound_of_tokens_is_one() -> None:
    """1,700 Chinese characters are no 425 tokens, and digits and signs are one each.

    Prose is not counted several times over.
    """
    count = lambda text: Request(messages=[Message("user", text)]).most_tokens  # noqa: E731
    assert count("\u6771\u4eac" * 850) >= 1_700
    assert count("1234567890" * 10) == 100
    assert 250 <= count("word " * 200) <= 400


def test_words_that_mean_nothing_are_one_sentence(project: Path) -> None:
    """An unknown policy, a limit of zero tokens, a persona that is no UTF-8, a missing workflow: a sentence each, no
    traceback."""
    both = ("--providers", "script:s.yaml#a,script:s.yaml#b")
    code, said = ran("compare", "hi", *both, "--policy", "bestest")
    assert (code, "policy 'bestest': it should be 'first', 'cheapest'" in said) == (2, True), said
    code, said = ran("compare", "hi", *both, "--max-tokens", "0")
    assert (code, "max tokens '0'" in said) == (2, True), said
    (project / "personas").mkdir()
    (project / "personas" / "architect.md").write_bytes(b"caf\xe9")
    (project / "w.yaml").write_text(
        'name: w\nsteps: [{id: a, persona: architect, prompt: hi, provider: "script:s.yaml#a"}]\n'
    )
    code, said = ran("run", "w.yaml")
    assert (code, "UTF-8 text" in said) == (2, True), said

    async def listen() -> None:
        async with Lab(f"sqlite:///{project}/l.db", settings=load_settings(project)) as lab:
            async for _ in lab.stream("missing.yaml"):
                pass

    with pytest.raises(InputRefused, match="no such workflow file"):
        anyio.run(listen)


def test_each_reviews_runs_too(project: Path) -> None:
    """--each takes runs beside files; the store of `nyxlab providers` may be named."""
    (project / "w.yaml").write_text('name: w\nsteps: [{id: a, prompt: hi, provider: "script:s.yaml#a"}]\n')
    assert ran("run", "w.yaml")[0] == 0
    run = json.loads(ran("runs", "--json")[1])[0]["runId"]
    (project / "plan.md").write_text("# P\n\nText.\n")
    code, said = ran("review", run, "plan.md", "--each", "--rules")
    assert (code, "2 reviewed" in said) == (0, True), said
    assert ran("providers", "--store", "sqlite:///other.db")[0] == 0


def test_synthesis_stays_synthesis_when_answers_are_chosen_by_themselves(project: Path) -> None:
    """ "Auto-select" asks nobody, and neither does a synthesis: it is not turned into a choice."""
    (project / "w.yaml").write_text(
        'name: w\nsteps: [{id: a, prompt: hi, compare: ["script:s.yaml#a", "script:s.yaml#b"], select: synthesise, judge: "script:s.yaml#a"}]\n'
    )

    async def work() -> str:
        async with Lab(f"sqlite:///{project}/l.db", settings=load_settings(project)) as lab:
            run = await lab.run("w.yaml", select="auto")
            return str(run.checkpoint()["steps"][0]["selectedProvider"])

    assert anyio.run(work) != "script:s.yaml#b"
    from nyxlab.engine.run import load_workflow
    from nyxlab.lab.workflows.options import Options, override

    (step,) = override(load_workflow(project / "w.yaml"), Options(select="auto"), load_settings(project)).steps
    assert step.select == "synthesise"


@pytest.mark.parametrize(
    ("usd", "certainty", "said"),
    [
        ("12.5", "exact", "$12.50"), ("0", "exact", "$0.00"), ("0.0061", "estimated", "\u2248 $0.0061"), ("0.00002", "exact", "$0.000020"),
        ("1E-8", "exact", "$0.000000010"), ("1234.5", "unknown", "$1,234.50 + unknown"), (None, "unknown", "unknown"),
    ],
)  # fmt: skip
def test_money_is_said_in_one_way(usd: str | None, certainty: str, said: str) -> None:
    """The same amount reads the same everywhere, and what is not zero never reads as zero."""
    assert money(usd, certainty) == said


def test_a_share_of_a_budget_is_an_amount() -> None:
    """A budget over three plans is said with six digits at most, and never above the whole."""
    share = share_out(Asked("a", budget="0.1"), 3).budget
    assert share == Decimal("0.033333")
    assert str(share_out(Asked("a", budget="0.06"), 2).budget) == "0.03"


def test_names_are_data(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What people call things is printed as it is: no emoji, no markup."""
    from nyxlab.lab.views.console import out

    out("x:one: [bold]y[/bold]")
    assert capsys.readouterr().out.strip() == "x:one: [bold]y[/bold]"


# --- batches ----------------------------------------------------------------------------------------------------------


def notebook(path: Path, *first: str) -> Path:
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "", "id": "m"}]
    for name, source, tags in (("p", "plan: str = 'x'  # a plan\n", ["parameters"]), ("c", "print(plan)", [])):
        cells.append(
            {
                "cell_type": "code",
                "metadata": {"tags": tags},
                "source": source,
                "outputs": [],
                "execution_count": None,
                "id": name,
            }
        )  # type: ignore[dict-item]
    kernel = {
        "kernelspec": {"name": "python3", "display_name": "p", "language": "python"},
        "language_info": {"name": "python"},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_notebooks_of_one_name_are_two(project: Path) -> None:
    """A matrix over two folders runs both notebooks, and each has a report of its own.

    A pattern that matches nothing is refused.
    """
    for folder in ("one", "two"):
        notebook(project / folder / "study.ipynb")
    grid = project / "g.yaml"
    grid.write_text("matrix:\n  notebook: [one/study.ipynb, two/study.ipynb]\n  plan: [a, b]\n")
    names = [job.name for job in read_grid(grid, project)]
    assert len(set(names)) == 4
    assert {name.rsplit("-", 1)[0] for name in names} == {"one-study", "two-study"}
    grid.write_text("notebook: one/study.ipynb\nmatrix:\n  plan: {glob: 'nothing/*.md'}\n")
    with pytest.raises(InputRefused, match=r"axis 'plan': no file matches nothing/\*\.md"):
        read_grid(grid, project)


def test_two_grids_keep_their_reports_apart(project: Path) -> None:
    """A job whose name another grid has written under takes its own grid's name along; the same grid keeps its own."""
    notebook(project / "study.ipynb")
    (project / "g.yaml").write_text("notebook: study.ipynb\ninclude: [{plan: a}]\n")
    (job,) = read_grid(project / "g.yaml", project)
    told = json.loads((project / "study.ipynb").read_text())
    reports = project / "reports"
    reports.mkdir()
    told["metadata"]["nyxlab"] = {"grid": "other", "hash": "0"}
    (reports / "study.ipynb").write_text(json.dumps(told))
    assert renamed(job, reports, "g").name == "study-g"
    assert renamed(job, reports, "other").name == "study"
    assert renamed(job, project / "nowhere", "g").name == "study"


@pytest.mark.parametrize("name", ["my plan.md", "donn\u00e9es.md", "plans"])
def test_a_changed_file_is_not_done_before(project: Path, name: str) -> None:
    """Whatever a file or folder that a job names is called, a change of it makes another job."""
    study = notebook(project / "study.ipynb")
    target = project / name
    if name == "plans":
        target.mkdir()
        target = target / "a.md"
    target.write_text("one")
    before = job_hash(study, {"plan": name}, project)
    assert job_hash(study, {"plan": name}, project) == before
    target.write_text("two")
    assert job_hash(study, {"plan": name}, project) != before


def test_an_empty_cell_ends_nothing(project: Path) -> None:
    """A notebook with an empty Markdown cell has a page."""
    assert "<html" in export_notebook(notebook(project / "study.ipynb"))


def test_cells_are_counted_while_a_batch_runs(project: Path) -> None:
    """The progress of a notebook's cells is told as papermill goes through them."""
    notebook(project / "study.ipynb")
    (project / "g.yaml").write_text("notebook: study.ipynb\n")
    seen: list[tuple[str, int, int]] = []

    async def work() -> None:
        async with Lab(f"sqlite:///{project}/l.db", settings=load_settings(project)) as lab:
            (result,) = await lab.batch("g.yaml", workers=1, on_cell=lambda *told: seen.append(told))
            assert result.error is None

    anyio.run(work)
    assert seen[-1] == ("study", 3, 3)


def test_a_worker_stays_warm(project: Path) -> None:
    """Two jobs of one worker have a kernel each, and one process under both: papermill is loaded once."""
    for name in ("one", "two"):
        study = notebook(project / f"{name}.ipynb")
        told = json.loads(study.read_text())
        told["cells"][2]["source"] = "import os; print(os.getppid(), os.getpid())"
        study.write_text(json.dumps(told))
    (project / "g.yaml").write_text("matrix: {notebook: [one.ipynb, two.ipynb]}\n")

    async def work() -> None:
        async with Lab(f"sqlite:///{project}/l.db", settings=load_settings(project)) as lab:
            assert [r.error for r in await lab.batch("g.yaml", workers=1)] == [None, None]

    anyio.run(work)
    cells = [json.loads((project / "reports" / f"{n}.ipynb").read_text())["cells"] for n in ("one", "two")]
    pids = [next(o["text"] for c in own for o in c.get("outputs", ()) if "text" in o)[0].split() for own in cells]
    assert pids[0][0] == pids[1][0]
    assert pids[0][1] != pids[1][1]
