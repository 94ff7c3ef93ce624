"""nyxlab: which provider should do this step, and is this plan consistent enough to build?

The public names, and nothing else. Each is loaded when it is first used, so that a light use loads no database.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nyxlab.engine.records import Pause, Run
    from nyxlab.engine.run import load_workflow
    from nyxlab.engine.store import Store, open_store
    from nyxlab.engine.workflow import Step, Workflow
    from nyxlab.errors import NyxlabError
    from nyxlab.gate.gate import Verdict
    from nyxlab.gate.policy import Policy
    from nyxlab.lab.lab import Lab
    from nyxlab.providers.base import Provider
    from nyxlab.providers.messages import Cost, Message, Reply, Request, Usage
    from nyxlab.providers.registry import open_provider
    from nyxlab.providers.scripted import ScriptedProvider
    from nyxlab.reviewer.findings import Finding, Severity
    from nyxlab.reviewer.prompt import ImplementationPrompt
    from nyxlab.reviewer.review import Review
    from nyxlab.reviewer.text.document import Document

__version__ = "0.2.0"

_HOMES = {
    "engine.records": ("Pause", "Run"),
    "engine.run": ("load_workflow",),
    "engine.store": ("Store", "open_store"),
    "engine.workflow": ("Step", "Workflow"),
    "errors": ("NyxlabError",),
    "gate.gate": ("Verdict",),
    "gate.policy": ("Policy",),
    "lab.lab": ("Lab",),
    "providers.base": ("Provider",),
    "providers.messages": ("Cost", "Message", "Reply", "Request", "Usage"),
    "providers.registry": ("open_provider",),
    "providers.scripted": ("ScriptedProvider",),
    "reviewer.text.document": ("Document",),
    "reviewer.findings": ("Finding", "Severity"),
    "reviewer.prompt": ("ImplementationPrompt",),
    "reviewer.review": ("Review",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Cost",
    "Document",
    "Finding",
    "ImplementationPrompt",
    "Lab",
    "Message",
    "NyxlabError",
    "Pause",
    "Policy",
    "Provider",
    "Reply",
    "Request",
    "Review",
    "Run",
    "ScriptedProvider",
    "Severity",
    "Step",
    "Store",
    "Usage",
    "Verdict",
    "Workflow",
    "load_workflow",
    "open_provider",
    "open_store",
]


def __getattr__(name: str) -> object:
    """Load a public name from where it lives (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'nyxlab' has no attribute '{name}'")
    found: object = getattr(import_module(f"nyxlab.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
