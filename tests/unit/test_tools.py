"""Tools read and write only where they may, and a patch is what git itself accepts."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyxlab.errors import InputRefused, ToolFailed
from nyxlab.lab.workflows.toolbox import Workplace, registered, tool
from nyxlab.lab.workflows.tools import Edit, make_patch
from nyxlab.providers.messages import Json

CODE = "def nights(a, b):\n    return (b - a).days + 1\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a small repository in it that is under git."""
    repo = tmp_path / "project" / "repo"
    (repo / "src").mkdir(parents=True)
    (repo / "src" / "stay.py").write_text(CODE)
    (repo / "README.md").write_text("# Stay\n")
    (repo / ".env").write_text("OPENAI_API_KEY=sk-secret\n")
    subprocess.run(["git", "init", "--quiet", repo], check=True)
    return tmp_path / "project"


def call(name: str, project: Path, arguments: Mapping[str, Json]) -> Json:
    """Call a tool as a step does."""
    return anyio.run(partial(registered(name).run, arguments, project, project.parent / "scratch"))


def edit(old: str, new: str, path: str = "src/stay.py") -> dict[str, Json]:
    """Return one edit."""
    return {"path": path, "old": old, "new": new, "why": "a test"}


def test_reading_keeps_to_the_bounds_and_says_what_it_left_out(project: Path) -> None:
    """Files beyond the bounds, secrets and binaries are named, never read."""
    (project / "repo" / "data.bin").write_bytes(b"\xff\xfe\0")
    (project / "repo" / "notes.txt").write_text("key: sk-ant-" + "a" * 40)
    (project / "repo" / "link.md").symlink_to("/etc/passwd")
    read = call("read_files", project, {"repo": "repo", "max_bytes": 90})
    assert [file["path"] for file in read["files"]] == ["README.md", "src/stay.py"]
    assert {skipped["path"]: skipped["reason"] for skipped in read["skipped"]} == {
        "data.bin": "not UTF-8 text",
        "notes.txt": "holds what looks like a key",
    }
    few = call("read_files", project, {"repo": "repo", "max_files": 1})
    assert len(few["files"]) == 1
    assert {each["reason"] for each in few["skipped"]} >= {"more than 1 files"}


@pytest.mark.parametrize("repo", ["..", "/etc", "repo/../..", "nowhere"])
def test_a_tool_never_leaves_the_project(project: Path, repo: str) -> None:
    """A folder outside of the project is refused, whoever names it."""
    with pytest.raises(ToolFailed, match="no folder inside the project"):
        call("read_files", project, {"repo": repo})


def test_a_link_out_of_the_project_is_no_way_out(project: Path) -> None:
    """A folder that is a link to elsewhere is refused as that elsewhere."""
    (project / "etc").symlink_to("/etc")
    with pytest.raises(ToolFailed, match="no folder inside"):
        call("read_files", project, {"repo": "etc"})


def test_only_what_is_quoted_exactly_counts(project: Path) -> None:
    """A problem is kept with its true line where its quote stands in the file, and rejected by name otherwise."""
    true = {"path": "src/stay.py", "quote": "return (b - a).days + 1", "problem": "one too many", "category": "bug"}
    found = call("located", project, {"repo": "repo", "answers": [{"findings": [
        true, {**true, "problem": "said twice"}, {**true, "quote": "return b - a"}, {**true, "path": "src/other.py"},
    ]}]})  # fmt: skip
    assert [(each["line"], each["problem"]) for each in found["findings"]] == [(2, "one too many")]
    assert [each["reason"] for each in found["rejected"]] == ["the quoted line is not in the file", "no such file"]


def test_a_patch_applies_to_the_repository_and_leaves_it_alone(project: Path) -> None:
    """The diff is accepted by git in the repository itself, which the tool has not touched."""
    before = {path: path.read_bytes() for path in (project / "repo").rglob("*") if path.is_file()}
    made = call("make_patch", project, {"repo": "repo", "edits": [
        edit(".days + 1", ".days"), edit("not there", "x"), edit("", "new\n", "docs/NEW.md"), edit("a", "b"),
    ]})  # fmt: skip
    assert {path: path.read_bytes() for path in (project / "repo").rglob("*") if path.is_file()} == before
    assert made["files"] == ["docs/NEW.md", "src/stay.py"]
    assert [each["reason"] for each in made["rejected"]] == [
        "the text to replace is not in the file",
        f"the text to replace is there {CODE.replace('.days + 1', '.days').count('a')} times",
    ]
    check = ["git", "-C", str(project / "repo"), "apply", "--check", "-"]
    subprocess.run(check, input=made["diff"].encode(), check=True)


@pytest.mark.parametrize("path", ["../out.py", "/tmp/out.py", ".git/hooks/pre-commit", "a/../../out.py", "", "a\0b"])
def test_an_edit_cannot_leave_the_copy(project: Path, path: str) -> None:
    """A path that leads out of the copy, or into git's own folder, is rejected with a reason."""
    made = call("make_patch", project, {"repo": "repo", "edits": [edit("", "boo", path)]})
    assert made["diff"] == ""
    assert "leaves the repository" in made["rejected"][0]["reason"]


lines = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=8)


@given(before=lines, after=lines, ending=st.sampled_from(["", "\n", "\r\n"]))
def test_any_text_becomes_any_other_by_its_patch(before: list[str], after: list[str], ending: str) -> None:
    """For any old and new text, the patched copy holds the new text byte for byte."""
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder), Path(folder) / "scratch")
        (place.root / "repo").mkdir()
        place.scratch.mkdir()
        old, new = "one\n" + "\n".join(before) + ending, "\n".join(after) + ending
        (place.root / "repo" / "text").write_bytes(old.encode())
        make_patch(place, repo="repo", edits=[Edit(path="text", old=old, new=new)])
        assert (place.scratch / "tree" / "text").read_bytes().decode() == new


def test_the_users_command_runs_in_the_patched_copy_without_keys(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs sees the patched files and no secret of the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-live")
    call("make_patch", project, {"repo": "repo", "edits": [edit(".days + 1", ".days")]})
    code = "import os, pathlib; print('OPENAI_API_KEY' in os.environ, '+ 1' in pathlib.Path('src/stay.py').read_text())"
    ran = call("run_tests", project, {"command": f'{sys.executable} -c "{code}"'})
    assert ran["passed"]
    assert ran["output"].split() == ["False", "False"]


def test_a_command_that_never_ends_is_ended(project: Path) -> None:
    """Out of time means not passed, and nothing of it goes on running."""
    call("make_patch", project, {"repo": "repo", "edits": []})
    ran = call("run_tests", project, {"command": "sh -c 'sleep 60 & echo $!; wait'", "seconds": 1})
    assert (ran["passed"], ran["exitCode"]) == (False, None)
    for _ in range(50):
        if (
            not Path(f"/proc/{ran['output'].strip()}/status").exists()
            or "zombie" in Path(f"/proc/{ran['output'].strip()}/status").read_text()
        ):
            return
        anyio.run(anyio.sleep, 0.05)
    pytest.fail("the child is still running")


def test_only_tools_that_act_need_permission() -> None:
    """Running a command acts; reading, locating and patching a copy do not."""
    acting = {
        name: registered(name).acts for name in ("read_files", "located", "make_patch", "run_tests", "save_result")
    }
    assert acting == {name: name == "run_tests" for name in acting}


def test_names_are_refused_with_the_near_one(project: Path) -> None:
    """A misspelt tool or argument is refused before anything runs."""
    with pytest.raises(InputRefused, match="did you mean 'read_files'"):
        registered("read_file")
    with pytest.raises(InputRefused, match="did you mean 'pattern'"):
        registered("read_files").check({"repo": ".", "patern": "*"})
    with pytest.raises(InputRefused, match="needs repo"):
        registered("read_files").check({})
    with pytest.raises(ToolFailed, match="max_files"):
        call("read_files", project, {"repo": "repo", "max_files": -1})


def test_a_function_of_the_users_is_a_tool_once_registered(project: Path) -> None:
    """A decorated function is called with values of its annotated types."""

    @tool(acts=False)
    def twice_the_number(_place: Workplace, *, number: int) -> int:
        return 2 * number

    assert call("twice_the_number", project, {"number": "21"}) == 42
