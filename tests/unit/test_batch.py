"""Notebooks over grids: checked before anything starts, executed in a process of their own, exported, summed up."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from nyxlab.errors import InputRefused
from nyxlab.lab.batch.grid import Grid, Job, read_grid
from nyxlab.lab.batch.jobs import Result, run_job, run_jobs
from nyxlab.lab.batch.summary import Summary
from nyxlab.lab.views.export import export_notebook
from nyxlab.lab.views.first import write_first_page
from nyxlab.providers.messages import Cost

pytestmark = pytest.mark.anyio


def notebook(path: Path, *cells: str) -> Path:
    first = new_code_cell("x: int = 1  # how many\ny: str = 'a'  # which", metadata={"tags": ["parameters"]})
    book = new_notebook(cells=[first, *map(new_code_cell, cells)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)
    return path


def test_grid_is_product_without_exclude_plus_include(tmp_path: Path) -> None:
    """matrix multiplies, exclude takes away what it matches, include adds; each entry names its notebook."""
    grid = Grid(
        notebook="n.ipynb",
        matrix={"x": [1, 2], "y": ["a", "b"]},
        exclude=[{"x": 1, "y": "b"}],
        include=[{"x": 9}],
    )
    assert grid.entries(tmp_path) == [
        {"notebook": "n.ipynb", "x": 1, "y": "a"},
        {"notebook": "n.ipynb", "x": 2, "y": "a"},
        {"notebook": "n.ipynb", "x": 2, "y": "b"},
        {"notebook": "n.ipynb", "x": 9},
    ]


def test_glob_is_an_axis_inside_the_project(tmp_path: Path) -> None:
    """A glob axis lists files from the root, sorted; a pattern that leads out is refused."""
    for name in ("b.md", "a.md"):
        (tmp_path / name).touch()
    assert [e["y"] for e in Grid(notebook="n", matrix={"y": {"glob": "*.md"}}).entries(tmp_path)] == ["a.md", "b.md"]
    for pattern in ("../*", "/etc/*"):
        with pytest.raises(InputRefused, match="inside the project"):
            Grid(notebook="n", matrix={"y": {"glob": pattern}}).entries(tmp_path)


def test_empty_grid_is_refused(tmp_path: Path) -> None:
    """A grid that runs nothing says so."""
    with pytest.raises(InputRefused, match="empty"):
        Grid().entries(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("notebok: n.ipynb\n", "grid.yaml:1.*notebook"),
        ("notebook: gone.ipynb\n", "no such notebook"),
        ("notebook: ../../etc/x\n", "not the name of a notebook"),
        ("notebook: plain.ipynb\n", "no cell is tagged"),
        ("include: [{notebook: n.ipynb, z: 1}]\n", "declares no parameter 'z'"),
    ],
)
def test_bad_grid_names_what_to_mend(tmp_path: Path, text: str, said: str) -> None:
    """Every mistake in a grid is refused before the first notebook starts."""
    notebook(tmp_path / "n.ipynb")
    nbformat.write(new_notebook(), tmp_path / "plain.ipynb")
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(InputRefused, match=said):
        read_grid(tmp_path / "grid.yaml", tmp_path)


async def test_job_is_executed_exported_and_summed_up(tmp_path: Path) -> None:
    """Parameters arrive, progress is told cell by cell, and the summary that the notebook shows is read back."""
    book = notebook(
        tmp_path / "n.ipynb",
        "from nyxlab.lab.batch.jobs import Summary\nfrom nyxlab.providers.messages import Cost\n"
        "Summary(tokens=x, cost=Cost(usd='0.5', certainty='exact'), seconds=1.5, verdict=y)",
    )
    seen: list[int] = []
    job = Job(name="n-01", notebook=book, parameters={"x": 7, "y": "fine"})
    result = await run_job(job, tmp_path / "reports", lambda _name, cell, _of: seen.append(cell))
    assert result.error is None
    assert result.summary == Summary(tokens=7, cost=Cost(usd="0.5", certainty="exact"), seconds=1.5, verdict="fine")
    assert str(result.summary) == "7 tokens · $0.5000 · 1.50 s · fine"
    assert seen == sorted(seen)
    assert result.report.read_text().startswith("<!doctype html>")


async def test_failing_cell_keeps_the_partial_notebook(tmp_path: Path) -> None:
    """A cell that raises leaves the executed part and a report of it, and the error is told."""
    book = notebook(tmp_path / "n.ipynb", "print('before')", "raise ValueError('on purpose')", "print('after')")
    result = await run_job(Job(name="n", notebook=book, parameters={}), tmp_path / "reports", lambda *_: None)
    assert result.error is not None
    assert "on purpose" in result.error
    page = result.report.read_text()
    assert page.index("Stopped at cell 3 of 4") < page.index("raise ValueError") < page.index("before")
    assert "ValueError: on purpose" in page
    assert "\x1b" not in page


async def test_a_deep_traceback_is_cut(tmp_path: Path) -> None:
    """A page shows a traceback's head, its last frames and the error; how many frames it leaves out is said."""
    code = "def down(n):\n    if n: down(n - 1)\n    else: raise ValueError('deep')\ndown(30)"
    result = await run_job(
        Job(name="n", notebook=notebook(tmp_path / "n.ipynb", code), parameters={}), tmp_path / "reports", lambda *_: None
    )  # fmt: skip
    assert "more frames in the notebook" in result.report.read_text()


async def test_a_page_that_cannot_be_written_is_an_error_of_its_job(tmp_path: Path) -> None:
    """Where the report cannot be written the executed notebook stays, and the job says what to do."""
    (tmp_path / "reports" / "n.html").mkdir(parents=True)
    book = notebook(tmp_path / "n.ipynb", "print(1)")
    result = await run_job(Job(name="n", notebook=book, parameters={}, hash="x"), tmp_path / "reports", lambda *_: None)
    assert "n.html cannot be written" in (result.error or "")
    assert result.notebook.is_file()


async def test_what_is_done_is_not_run_again(tmp_path: Path) -> None:
    """A second identical batch starts no kernel; another parameter, other code or a changed input file does.

    A failed job runs again.
    """
    (tmp_path / "in.txt").write_text("1")
    path = notebook(tmp_path / "n.ipynb", "print(open('in.txt').read(), x)", "assert x != 7")
    (tmp_path / "g.yaml").write_text("notebook: n.ipynb\nmatrix: {x: [1, 7], y: [in.txt]}\n")
    started: list[str] = []

    async def batch() -> list[Result]:
        started.clear()
        jobs = read_grid(tmp_path / "g.yaml", tmp_path)
        return await run_jobs(jobs, tmp_path / "reports", 2, lambda job: started.append(job.name), lambda *_: None)

    good, bad = await batch()
    assert (good.error, good.skipped) == (None, False)
    assert bad.error
    assert len(started) == 2
    good, bad = await batch()
    assert good.skipped
    assert not bad.skipped
    assert started == [bad.name]
    (tmp_path / "in.txt").write_text("2")
    assert len(started) == 1
    assert not (await batch())[0].skipped
    assert "2 1" in (tmp_path / "reports" / f"{good.name}.ipynb").read_text()
    notebook(path, "print(open('in.txt').read(), x + 1)")
    assert not any(each.skipped for each in await batch())


def test_reports_of_other_parameters_have_other_names(tmp_path: Path) -> None:
    """Two grids over one notebook write no report over each other's, and the same parameters keep their name."""
    notebook(tmp_path / "n.ipynb")
    names = []
    for axis in ("[1, 2]", "[2, 3]"):
        (tmp_path / "g.yaml").write_text(f"notebook: n.ipynb\nmatrix: {{x: {axis}}}\n")
        names.append([job.name for job in read_grid(tmp_path / "g.yaml", tmp_path)])
    assert len({*names[0], *names[1]}) == 3
    assert names[0][1] == names[1][0]


def test_the_first_page_links_every_page_of_ours(tmp_path: Path) -> None:
    """Each page stands there by its own title and a sentence, oldest first; a stranger's page and itself do not."""
    (tmp_path / "theirs.html").write_text("<title>mine</title>")
    (tmp_path / "folder.html").mkdir()
    for number, (name, text) in enumerate({"b": "# The <first>\n\nWhat? It asks.", "a": "no title"}.items()):
        book = new_notebook(cells=[new_markdown_cell(text)])
        nbformat.write(book, tmp_path / f"{name}.ipynb")
        (tmp_path / f"{name}.html").write_text(export_notebook(tmp_path / f"{name}.ipynb"))
        os.utime(tmp_path / f"{name}.html", (number, number))
    for _ in range(2):
        write_first_page(tmp_path, "harbour")
    page = (tmp_path / "index.html").read_text()
    assert re.findall(r'<li><a href="(.*?)">(.*?)</a>(?:<p>(.*?)</p>)?', page) == [
        ("b.html", "The &lt;first&gt;", "What?"),
        ("a.html", "a.ipynb", "no title"),
    ]
