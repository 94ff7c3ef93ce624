"""What a project adds of its own to reviews and prompts: lessons, lenses, personas; and what ships with nyxlab."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from nyxlab.errors import InputRefused, nearest_or_all

if TYPE_CHECKING:
    from nyxlab.reviewer.rules import Rule
    from nyxlab.settings import Settings

LESSONS, LENSES, TEMPLATES = "lessons", "lenses", "templates"
_LENS = re.compile(r"[a-z][a-z0-9-]{0,40}")


def project_rules(root: Path) -> tuple[Rule, ...]:
    """Return every rule and lesson that holds in a project: the shipped ones and those of its ``lessons/*.yaml``."""
    from nyxlab.reviewer.lessons import all_rules  # the reviewer with its rules: a run of prompts needs none

    return all_rules({f"{LESSONS}/{path.name}": _text(path) for path in sorted((root / LESSONS).glob("*.yaml"))})


def lessons_text(root: Path) -> str:
    """Return the lessons that hold in a project as a list for a prompt: each pain, and what follows from it."""
    return "\n".join(
        f"- {rule.claim.removeprefix('Find what has hurt before: ')} {rule.consequence}"
        for rule in project_rules(root)
        if rule.kind == "lesson"
    )


def own_lenses(root: Path) -> dict[str, str]:
    """Return the project's own questions, ``lenses/NAME.md``, by name."""
    own = {}
    for path in sorted((root / LENSES).glob("*.md")):
        if not _LENS.fullmatch(path.stem):
            raise InputRefused(f"{path}: a lens is named with small letters, digits and '-'")
        own[path.stem] = _text(path).strip()
        if not own[path.stem]:
            raise InputRefused(f"{path}: the lens is empty; write its question, or remove the file")
    return own


def persona(name: str, settings: Settings) -> str:
    """Return a persona's text: ``personas/NAME.md`` at the project's root, else the one that ships with nyxlab."""
    own = settings.resolve(f"personas/{name}.md")
    if own.is_file():
        return _text(own).strip()
    shipped = files("nyxlab") / "defaults" / "personas"
    if not (shipped / f"{name}.md").is_file():
        known = sorted(entry.name.removesuffix(".md") for entry in shipped.iterdir())
        raise InputRefused(f"unknown persona '{name}': write personas/{name}.md{nearest_or_all(name, known)}")
    return (shipped / f"{name}.md").read_text(encoding="utf-8").strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputRefused(f"{path}: cannot be read as UTF-8 text; mend or remove it") from None
