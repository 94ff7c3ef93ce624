"""The house's floor plan holds, and a light tool starts light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"pandas", "plotly", "papermill", "orjson", "sqlite3", "sklearn", "dask", "nbconvert", "IPython", "ipywidgets"}


def test_import_contracts() -> None:
    """Imports only go downhill, the three minds do not know each other, and pure files stay pure."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "statement", ["import nyxlab", "import nyxlab; nyxlab.open_provider", "import nyxlab; nyxlab.Document"]
)
def test_light_import(statement: str) -> None:
    """What does not need a database or a notebook does not load one."""
    code = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_no_file_is_long() -> None:
    """A file over 350 lines wants splitting."""
    lines = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in (ROOT / "nyxlab").rglob("*.py")}
    assert {path: n for path, n in lines.items() if n > 350} == {}
