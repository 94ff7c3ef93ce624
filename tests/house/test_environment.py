"""environment.yml names what pyproject.toml names: no more, no less."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_environment_equals_pyproject() -> None:
    """conda users get the core, the notebooks' extras, the embedded model's runner, the router's trainer and nbval, at
    the same versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    nbval = [r for r in project["dependency-groups"]["dev"] if r.startswith("nbval")]
    wanted = {*project["project"]["dependencies"], *extras["lab"], *extras["local"], *extras["learn"], *nbval}

    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]

    assert set(pip) == wanted
    assert f"python{project['project']['requires-python']}" in environment["dependencies"]
