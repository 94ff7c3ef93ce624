"""What a machine may lack: without git everything works that needs no repository, and the rest says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_without_git(tmp_path: Path) -> None:
    """A project begins, runs and is reviewed; only a patch needs git, and says so."""
    (tmp_path / "bin").mkdir()

    def nyxlab(*words: str, code: int = 0) -> str:
        environment = os.environ | {"PATH": str(tmp_path / "bin")}
        command = [sys.executable, "-m", "nyxlab.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr

    nyxlab("init")
    nyxlab("run", "data/workflows/first.yaml")
    nyxlab("review", "data/plans/first.md", "--output", "review.json")
    nyxlab("amend", "review.json")
    said = nyxlab("amend", "review.json", "--decisions", "review-amended/decisions.yaml", code=2)
    assert "git is not installed" in said
