"""Pages about plans show what really comes: each is run in order, in a scratch project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import DOCS, ROOT, Shell, run_page

PAGES = (
    "README.md",
    "index.md",
    "install.md",
    "review.md",
    "ci.md",
    "amend.md",
    "agents.md",
    "deploy.md",
    "pipelines.md",
    "daily.md",
)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("home"))
    yield shell
    shell.close()


@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, tmp_path: Path, shell: Shell) -> None:
    """Every command of the page ends as it says and prints what it shows."""
    assert run_page((ROOT if name == "README.md" else DOCS) / name, tmp_path, shell) == []
