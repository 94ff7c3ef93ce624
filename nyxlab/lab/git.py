"""git, deaf to everybody's settings, hooks and environment, so that what it says is the same for all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from nyxlab.errors import InputRefused

DEAF = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}


def git(
    folder: Path, *words: str, given: bytes | None = None, ceiling: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, with ``given`` as its input; a repository above ``ceiling`` is not looked for.

    ``InputRefused`` without git.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | DEAF
    above = str(ceiling) if ceiling else os.environ.get("GIT_CEILING_DIRECTORIES")
    env |= {"GIT_CEILING_DIRECTORIES": above} if above else {}
    command = ["git", "-C", str(folder), "-c", "core.autocrlf=false", "-c", "core.quotepath=false", *words]
    try:
        return subprocess.run(command, input=given, capture_output=True, env=env, check=False)  # noqa: S603 - no shell
    except FileNotFoundError:
        raise InputRefused("git is not installed, and patches are made and checked with it") from None


def repo_files(folder: Path) -> frozenset[str]:
    """Return the files of a repository, relative and with ``/``: what git tracks or would, else all that is there."""
    if not folder.is_dir():
        raise InputRefused(f"{folder}: no such folder to check files against")
    command = ["git", "-C", str(folder), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - fixed words, no shell
        return frozenset(name for name in listed.decode("utf-8", "replace").split("\0") if name)
    except (OSError, subprocess.CalledProcessError):
        return frozenset(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
