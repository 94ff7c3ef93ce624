"""The wheel is a whole tool: in an empty folder of another project, without the notebooks' extras, it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
EXTRAS = "pandas plotly papermill nbconvert nbformat ipywidgets IPython jupyterlab xllamacpp sklearn dask".split()  # noqa: SIM905
WITHOUT_EXTRAS = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and an sdist, built as `make dist` does."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel, and a sitecustomize that hides what `pip install nyxlab` does not bring."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = built.glob("nyxlab-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(folder / "site")
    assert not [name for name in names if not name.startswith(("nyxlab/", "nyxlab-"))]
    (folder / "site" / "sitecustomize.py").write_text(WITHOUT_EXTRAS)
    return folder / "site"


def test_what_is_shipped(built: Path) -> None:
    """Both are well formed, small, and hold no picture; the sdist builds the same wheel and tests itself."""
    (wheel,), (sdist,) = built.glob("nyxlab-*.whl"), built.glob("nyxlab-*.tar.gz")
    checked = [sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist)]
    done = subprocess.run(checked, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(wheel.stat().st_size, sdist.stat().st_size) <= 1_500_000
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    assert not [name for name in inside | source if name.endswith((".png", ".pyc", ".db", ".env"))]
    assert {name for name in inside if name.startswith("nyxlab/")} <= source
    assert source >= {"pyproject.toml", "Makefile", "docs/index.md", "tests/conftest.py", "README.md", "LICENSE"}


def test_the_core_is_light() -> None:
    """What `pip install nyxlab` brings along without extras stays under 53 MB on disk, bytecode apart.

    45 are the aim: rapidfuzz alone has 12, aiohttp with its helpers 10.
    """
    sizes: dict[str, int] = {}
    waiting = ["nyxlab"]
    while waiting:
        found = metadata.distribution(waiting.pop())
        files = (file.locate() for file in found.files or () if file.suffix != ".pyc")
        sizes[canonicalize_name(found.name)] = sum(Path(f).stat().st_size for f in files if Path(f).is_file())
        needed = [Requirement(each) for each in found.requires or ()]
        waiting += [
            each.name
            for each in needed
            if canonicalize_name(each.name) not in sizes and (not each.marker or each.marker.evaluate({"extra": ""}))
        ]
    own = sum(path.stat().st_size for path in (ROOT / "nyxlab").rglob("*") if path.suffix != ".pyc")
    assert len(sizes) > 20
    assert sum(sizes.values()) + own <= 53_000_000, sorted(sizes.items(), key=lambda each: -each[1])[:8]


def test_wheel_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """init, run, review, prompt and report work from the wheel alone, and come from it."""

    def nyxlab(*words: str, code: int = 0) -> str:
        environment = os.environ | {"PYTHONPATH": str(installed)}
        command = [sys.executable, "-m", "nyxlab.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    where = [sys.executable, "-c", "import nyxlab; print(nyxlab.__file__)"]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    home = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert home.startswith(str(installed))

    nyxlab("init")
    run = json.loads(nyxlab("run", "data/workflows/first.yaml", "--json"))
    assert run["status"] == "completed"
    nyxlab("review", "data/plans/first.md", "--format", "json", "--output", "review.json")
    nyxlab("prompt", "review.json", "--output", "phases/")
    nyxlab("report", "review.json", "--output", "review.html")
    nyxlab("report", run["runId"], "--output", "run.html")
    assert "pip install" in (tmp_path / "run.html").read_text()  # charts need the extra, and the page says so
    assert "nyxlab[lab]" in (tmp_path / "run.html").read_text()
