"""Pages about runs, providers and the rest show what really comes: each is run in order, in a scratch project."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import Shell, held

PAGES = (
    "compare.md",
    "workflows.md",
    "notebooks.md",
    "providers.md",
    "ledger.md",
    "machines.md",
    "letters.md",
    "python.md",
)


@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, tmp_path: Path, shell: Shell) -> None:
    """Every command of the page ends as it says and prints what it shows."""
    assert held(name, tmp_path, shell) == []
