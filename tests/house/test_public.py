"""What users and other programs rely on stays where it is: public names, verbs, commands."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from typer.main import get_command

import nyxlab
from nyxlab.cli import app
from nyxlab.lab.lab import Lab

NAMES = [
    "Lab",
    "Workflow",
    "Step",
    "load_workflow",
    "Run",
    "Pause",
    "Store",
    "open_store",
    "Provider",
    "open_provider",
    "ScriptedProvider",
    "Message",
    "Request",
    "Reply",
    "Usage",
    "Cost",
    "Policy",
    "Verdict",
    "Document",
    "Finding",
    "Severity",
    "Review",
    "ImplementationPrompt",
    "NyxlabError",
]
VERBS = {
    "run",
    "resume",
    "choose",
    "show",
    "runs",
    "cost",
    "compare",
    "review",
    "prompt",
    "batch",
    "report",
    "providers",
}
COMMANDS = sorted(get_command(app).commands)


def test_public_names() -> None:
    """The names of the contract, all of them, nothing more, each importable."""
    assert sorted(nyxlab.__all__) == sorted(NAMES)
    assert all(getattr(nyxlab, name) is not None for name in NAMES)


def test_verbs() -> None:
    """Lab has the verbs that this version promises."""
    assert {name for name, _ in inspect.getmembers(Lab, inspect.isfunction)} >= VERBS


@pytest.mark.parametrize("command", COMMANDS)
def test_command_shows_an_example(command: str) -> None:
    """Every command shows an example in its --help; tests/docs/ holds that the reference names it."""
    done = subprocess.run(
        [sys.executable, "-m", "nyxlab.cli", command, "--help"], capture_output=True, text=True, check=True
    )
    assert f"nyxlab {command}" in done.stdout.partition("Example:")[2]
