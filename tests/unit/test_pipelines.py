"""The four pipelines that ship, over our small repository on scripted replies: their result is a patch and a report."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nyxlab import Lab
from nyxlab.engine.records import Run
from nyxlab.errors import InputRefused
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
HERE = Path(__file__).parents[2]
SCRIPT = "script:data/scripts/pipelines.yaml"
TESTS = f"{sys.executable} -m unittest"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project of its own with the workflows, the scripts and the small repository."""
    for name in ("workflows", "scripts", "repos"):
        shutil.copytree(HERE / "data" / name, tmp_path / "data" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "nyxlab.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def pipeline(
    project: Path, name: str, *, script: str = SCRIPT, allow: tuple[str, ...] = (), **inputs: object
) -> Run:
    """Run one pipeline with both providers and the judge."""
    async with Lab(settings=load_settings(project)) as lab:
        return await lab.run(
            f"data/workflows/{name}.yaml", inputs=inputs, providers=f"{script}#a, {script}#b", judge=f"{script}#judge", allow=allow
        )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def at_harbour(project: Path, *command: str) -> int:
    """Return the exit code of a command in the repository itself."""
    return subprocess.run(command, cwd=project / "data/repos/harbour", capture_output=True, check=False).returncode


def report(run: Run) -> str:
    return Path(run.steps["result"].output["report"]).read_text()


@pytest.mark.parametrize(
    ("name", "compared", "files"),
    [
        ("auto-fix", ["fix"], ["harbour/berths.py", "harbour/store.py"]),
        ("refactor", ["edit"], ["harbour/berths.py", "harbour/report.py", "harbour/store.py"]),
        ("docs", ["improve"], ["harbour/berths.py", "harbour/report.py"]),
        ("code-analysis", ["patterns", "documentation"], ["docs/ARCHITECTURE.md"]),
    ],
)
async def test_a_pipeline_leaves_a_patch_and_a_report(
    project: Path, name: str, compared: list[str], files: list[str]
) -> None:
    """Two providers are compared and judged; the patch applies to the repository, which nobody has touched."""
    before = contents(project)
    run = await pipeline(project, name)
    assert run.status == "completed", [step.error for step in run.steps.values()]
    for step in compared:
        assert len(run.steps[step].payload["alternatives"]) == 2
        assert run.steps[step].payload["selectedBy"] == "judge"
    assert run.steps["patch"].output["files"] == files
    assert run.steps["patch"].output["rejected"] == []
    result = run.steps["result"].output
    after = contents(project)
    written = {path for path in after if after[path] != before.get(path) and not path.startswith("data/nyxlab.db")}
    assert all(path.startswith(f"data/scratch/{run.run_id}/") for path in written)
    assert at_harbour(project, "git", "apply", "--check", result["patch"]) == 0
    assert report(run).startswith("# ")


async def test_what_a_model_invents_is_reported_and_not_mended(project: Path) -> None:
    """A fault in a file that does not exist is listed as not counted, and the others are."""
    run = await pipeline(project, "auto-fix")
    faults = run.steps["faults"].output
    assert [(f["path"], f["line"]) for f in faults["findings"]] == [
        ("harbour/berths.py", 15), ("harbour/store.py", 11), ("harbour/store.py", 25), ("harbour/store.py", 26),
    ]  # fmt: skip
    assert [f["path"] for f in faults["rejected"]] == ["harbour/web.py"]


async def test_tests_run_only_where_they_are_allowed(project: Path) -> None:
    """A command is refused before a cent is spent without --allow.

    With it the repository's own tests pass when mended.
    """
    with pytest.raises(InputRefused, match="allow it with --allow run_tests"):
        await pipeline(project, "auto-fix", test_command=TESTS)
    assert not (project / "data/nyxlab.db").exists()
    assert at_harbour(project, *TESTS.split()) == 1
    run = await pipeline(project, "auto-fix", test_command=TESTS, allow=("run_tests",))
    assert run.steps["tests"].output["passed"], run.steps["tests"].output["output"]


async def test_nothing_found_ends_early(project: Path) -> None:
    """Without a fault nobody is asked for edits; the report says so and there is no patch."""
    (project / "quiet.yaml").write_text("a: [{json: {findings: []}}]\nb: [{error: broken}]\njudge: [{error: broken}]\n")
    run = await pipeline(project, "auto-fix", script="script:quiet.yaml", test_command=TESTS, allow=("run_tests",))
    assert run.status == "completed"
    assert {step.id for step in run.steps.values() if step.status == "skipped"} == {"fix", "patch", "tests"}
    assert [(call.role, call.status) for call in run.calls].count(("candidate", "ok")) == 5  # one a category
    assert "## Found: 0" in report(run)
    assert "patch" not in run.steps["result"].output


async def test_each_phase_of_the_analysis_can_be_left_out(project: Path) -> None:
    """With both phases off nobody is asked at all, and the report still tells what was read."""
    run = await pipeline(project, "code-analysis", patterns=False, documentation=False)
    assert (run.status, run.calls) == ("completed", ())
    assert "6 files read" in report(run)


async def test_a_documented_repository_is_left_alone(project: Path) -> None:
    """Where every file scores above the threshold, nothing is improved."""
    run = await pipeline(project, "docs", threshold=30)
    assert run.steps["improve"].status == run.steps["patch"].status == "skipped"
    assert "nothing to improve" in report(run)
