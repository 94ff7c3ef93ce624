"""Notebooks are committed as documents that were executed: nbval compares what is stored, so something must be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import papermill
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
VOLATILE = {"nbval-ignore-output", "nbval-skip"}


def _code(notebook: Path) -> list[dict]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


def _tags(cell: dict) -> set[str]:
    return set(cell["metadata"].get("tags", ()))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_checked_cells_hold_outputs(notebook: Path) -> None:
    """Every cell was executed in order, none failed, and at least two whose output is compared do have one."""
    code = _code(notebook)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [out for cell in code for out in cell["outputs"] if out["output_type"] == "error"]
    assert sum(bool(cell["outputs"]) for cell in code if not VOLATILE & _tags(cell)) >= 2


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_are_typed_and_explained(notebook: Path) -> None:
    """The parameters cell comes first, and each parameter has a type and a sentence for who reads --help."""
    (first, *_) = _code(notebook)
    assert "parameters" in _tags(first)
    declared = papermill.inspect_notebook(str(notebook))
    assert declared
    for parameter in declared.values():
        assert parameter["inferred_type_name"] not in {None, "None"}, parameter["name"]
        assert parameter["help"], parameter["name"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_trace_of_the_machine(notebook: Path) -> None:
    """No absolute path, secret-looking parameter or widget state is stored."""
    text = notebook.read_text()
    assert str(ROOT) not in text
    assert not re.search(r'"/(?:home|root|Users|tmp)/', text)
    assert "application/vnd.jupyter.widget-state+json" not in text
