"""The tools that come with nyxlab: read a repository within bounds, and make a checked patch of edits to a copy.

Nothing here writes into the repository. A patch is made and tried in a copy under the run's scratch folder; what is
left there is the patch file, the report, and the copy itself.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Annotated

import anyio
from pydantic import Field

from nyxlab.engine.inputs import looks_secret
from nyxlab.errors import InputRefused, ToolFailed
from nyxlab.lab.git import git, repo_files
from nyxlab.lab.workflows.toolbox import Workplace, tool
from nyxlab.providers.messages import Json, Record, looks_like_key

Positive = Annotated[int, Field(gt=0)]
TREE = "tree"  # the copy of the repository, in the scratch folder
PRIVATE = (".env*", "*.pem", "*.key", "id_*", "*.p12", "*.pfx", "*.sqlite*", "*.db")
COPY_BYTES = 200_000_000
TAIL = 20_000  # characters of a program's output that are kept
GIT = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.autocrlf=false",
       "-c", "core.safecrlf=false", "-c", "user.name=nyxlab", "-c", "user.email=nyxlab@localhost")  # fmt: skip


class Edit(Record):
    """One change of one file: ``old``, which stands in it exactly once, becomes ``new``.

    Empty ``old`` makes a new file.
    """

    path: str
    old: str
    new: str
    why: str = ""


class Problem(Record):
    """What a model says is wrong, and the line that it quotes for it."""

    path: str
    quote: str
    problem: str
    category: str = ""
    fix: str = ""


class Answer(Record):
    """One model's list of problems; what else it says is not read."""

    findings: list[Problem]


@tool(acts=False)
def read_files(
    place: Workplace, *, repo: str, pattern: str = "**/*", max_files: Positive = 40, max_bytes: Positive = 60_000
) -> Json:
    """Return the text files of a folder of the project that fit the bounds, and why the others were left out.

    ``{"files": [{"path", "text"}], "skipped": [{"path", "reason"}], "bytes"}``: paths are relative to ``repo``. Hidden
    files, links, and what looks like a secret are never read.
    """
    folder = _inside(place.root, repo)
    if pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
        raise ToolFailed(f"the pattern '{pattern}' must stay inside the repository")
    wanted = {path.relative_to(folder).as_posix() for path in folder.glob(pattern)}
    files: list[Json] = []
    skipped: list[Json] = []
    taken = 0
    for name in sorted(wanted.intersection(_sources(folder))):
        size = (folder / name).stat().st_size
        if len(files) == max_files:
            skipped.append({"path": name, "reason": f"more than {max_files} files"})
        elif taken + size > max_bytes:
            skipped.append({"path": name, "reason": f"more than {max_bytes} bytes in all"})
        elif (text := _text(folder / name)) is None:
            skipped.append({"path": name, "reason": "not UTF-8 text"})
        elif looks_like_key(text):
            skipped.append({"path": name, "reason": "holds what looks like a key"})
        else:
            taken += size
            files.append({"path": name, "text": text})
    if not files:
        raise ToolFailed(
            f"no file of {repo} fits '{pattern}' within {max_bytes} bytes: change the pattern or the bounds"
        )
    return {"files": files, "skipped": skipped, "bytes": taken}


@tool(acts=False)
def located(place: Workplace, *, repo: str, answers: list[Answer]) -> Json:
    """Keep the problems whose quoted line stands in the file that they name, once each; put the true line number in.

    ``{"findings": [{…, "line"}], "rejected": [{…, "reason"}]}``: what a model invented never reaches a patch.
    """
    folder = _inside(place.root, repo)
    findings: dict[tuple[str, int, str], Json] = {}
    rejected: list[Json] = []
    sources = _sources(folder)
    for problem in (problem for answer in answers for problem in answer.findings):
        text = _text(folder / problem.path) if problem.path in sources else None
        lines = [" ".join(line.split()) for line in (text or "").splitlines()]
        quoted = [" ".join(line.split()) for line in problem.quote.strip().splitlines()]
        starts = [n for n in range(len(lines)) if quoted and lines[n : n + len(quoted)] == quoted]
        if starts:
            line = starts[0] + 1
            findings.setdefault((problem.path, line, problem.category), {**problem.to_json(), "line": line})
        else:
            reason = "no such file" if text is None else "the quoted line is not in the file"
            rejected.append({**problem.to_json(), "reason": reason})
    return {"findings": [findings[key] for key in sorted(findings)], "rejected": rejected}


@tool(acts=False)
def make_patch(place: Workplace, *, repo: str, edits: list[Edit]) -> Json:
    """Turn edits into a unified diff, tried with ``git apply --check`` on a copy that then holds the patched files.

    ``{"diff", "files", "applied": [{"path", "why"}], "rejected": [{"path", "reason"}]}``. An edit whose ``old`` does
    not stand exactly once in its file is rejected; the others go on.
    """
    tree = place.scratch / TREE
    _copy(_inside(place.root, repo), tree)
    applied: list[Json] = []
    rejected: list[Json] = []
    for edit in edits:
        reason = _edited(tree, edit)
        told = {"path": edit.path, "why": edit.why}
        rejected.append({**told, "reason": reason}) if reason else applied.append(told)
    _git(tree, "add", "--all", "--force")
    diff = _git(tree, "diff", "--cached", "--no-color", "--no-ext-diff", "--no-renames", "--binary")
    names = _git(tree, "diff", "--cached", "--name-only", "-z", "--no-renames").split("\0")
    _git(tree, "reset", "--hard", "--quiet")
    if diff:
        _git(tree, "apply", "--check", "-", given=diff)
        _git(tree, "apply", "-", given=diff)
    return {"diff": diff, "files": [name for name in names if name], "applied": applied, "rejected": rejected}


@tool(acts=True)
async def run_tests(place: Workplace, *, command: str, seconds: Positive = 300) -> Json:
    """Run a command of the user's in the patched copy: no shell, no keys in its environment, bounded in time.

    ``{"command", "passed", "exitCode", "seconds", "output"}``; ``exitCode`` is null and ``passed`` false where the time
    ran out; ``output`` is the end of what it printed.
    """
    tree = place.scratch / TREE
    if not tree.is_dir():
        raise ToolFailed("there is no patched copy to test in: a step with the tool make_patch comes first")
    words = _words(command)
    began = time.monotonic()
    kept = {name: value for name, value in os.environ.items() if not (looks_secret(name) or looks_like_key(value))}
    try:
        process = await anyio.open_process(
            words, cwd=tree, env=kept, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:
        raise ToolFailed(f"'{words[0]}' cannot be started: {error.strerror}") from error
    output = bytearray()
    code: int | None = None
    try:
        with anyio.move_on_after(seconds):
            assert process.stdout is not None  # noqa: S101 - piped, above
            async for chunk in process.stdout:
                output = (output + chunk)[-4 * TAIL :]
            code = await process.wait()
    finally:
        _end(process.pid)  # what the command left running goes with it
        with anyio.CancelScope(shield=True):
            await process.aclose()
    return {
        "command": command,
        "passed": code == 0,
        "exitCode": code,
        "seconds": round(time.monotonic() - began, 1),
        "output": output.decode("utf-8", "replace")[-TAIL:],
    }


@tool(acts=False)
def save_result(place: Workplace, *, report: str, diff: str = "") -> Json:
    """Write the report, and the patch where there is one, into the run's scratch folder; return where they are."""
    written = {}
    for kind, name, text in (("report", "report.md", report), ("patch", "changes.patch", diff)):
        if text:
            (place.scratch / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
            written[kind] = str(place.scratch / name)
    return written


def _inside(root: Path, given: str) -> Path:
    """Return a folder of the project; a workflow may not read elsewhere."""
    folder = (root / given).resolve()
    if not folder.is_relative_to(root) or not folder.is_dir():
        raise ToolFailed(f"'{given}' is no folder inside the project {root}: run nyxlab where the repository is")
    return folder


def _sources(folder: Path) -> list[str]:
    """Return the files that may be read: what git tracks or would, without hidden ones, links and secrets."""
    names = (PurePosixPath(name) for name in repo_files(folder))
    return sorted(
        str(name)
        for name in names
        if not any(part.startswith(".") for part in name.parts)
        and not any(fnmatch(name.name.lower(), private) for private in PRIVATE)
        and (folder / name).is_file()
        and (folder / name).resolve().is_relative_to(folder)
        and not (folder / name).is_symlink()
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return None


def _copy(folder: Path, tree: Path) -> None:
    """Lay a fresh copy of the repository's files, as they are now, under git's eyes."""
    shutil.rmtree(tree, ignore_errors=True)
    names, size = _sources(folder), 0
    for name in names:
        size += (folder / name).stat().st_size
        if size > COPY_BYTES:
            raise ToolFailed(f"{folder.name} holds more than {COPY_BYTES:,} bytes: name a smaller folder of it")
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, tree / name)
    _git(tree, "init", "--quiet")
    _git(tree, "add", "--all", "--force")
    _git(tree, "commit", "--quiet", "--allow-empty", "--message", "as it was")


def _edited(tree: Path, edit: Edit) -> str | None:
    """Make one edit in the copy; return why not."""
    path = tree / edit.path
    parts = PurePosixPath(edit.path).parts
    if not parts or edit.path.startswith("/") or "\0" in edit.path or any(part.startswith(".") for part in parts):
        return "its path leaves the repository or is hidden"
    if not edit.old:
        if path.exists():
            return "the file exists: quote what is to be replaced in it"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(edit.new.encode())
        return None
    text = _text(path) if path.is_file() else None
    if text is None:
        return "no such text file"
    if (times := text.count(edit.old)) != 1:
        return "the text to replace is not in the file" if not times else f"the text to replace is there {times} times"
    path.write_bytes(text.replace(edit.old, edit.new).encode())
    return None


def _git(tree: Path, *words: str, given: str | None = None) -> str:
    """Run git in the copy, deaf to the user's own settings and hooks; return what it printed."""
    try:
        done = git(tree, *GIT, *words, given=given.encode() if given else None, ceiling=tree.parent)
    except InputRefused as error:
        raise ToolFailed(str(error)) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ToolFailed(f"git {words[0]} refused: {said[0] if said else done.returncode}")
    return str(done.stdout, "utf-8", "replace")


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ToolFailed(f"the command cannot be read: {error}") from None
    if not words:
        raise ToolFailed("the command is empty")
    return words


def _end(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
