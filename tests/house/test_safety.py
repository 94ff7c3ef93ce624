"""What the package never does, read from its syntax trees."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "nyxlab"
CALLS = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
ATTRIBUTES = {("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("os", "system"), ("os", "popen")}


def _offences(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            found.append(f"{node.lineno}: {node.func.id}()")
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and (node.value.id, node.attr) in ATTRIBUTES
        ):
            found.append(f"{node.lineno}: {node.value.id}.{node.attr}")
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: import {a.name}" for a in node.names if a.name.partition(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            found.append(f"{node.lineno}: from {node.module}")
        if isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", None) is True:
            found.append(f"{node.value.lineno}: shell=True")
    return found


def test_no_dangerous_call() -> None:
    """No pickle, eval, exec, unsafe YAML or shell anywhere in the package."""
    offences = {str(path): found for path in PACKAGE.rglob("*.py") if (found := _offences(ast.parse(path.read_text())))}
    assert offences == {}


def test_the_walker_sees() -> None:
    """The walk above finds each of the things it forbids."""
    bad = "import pickle\nfrom marshal import loads\neval('1')\nyaml.load(x)\nos.system('x')\nrun('x', shell=True)\n"
    assert len(_offences(ast.parse(bad))) == 6
