"""A new project: the commented files that `nyxlab init` puts into an empty folder."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from nyxlab.errors import InputRefused

RENAMED = {
    "env.example": ".env.example",
    "gitignore": ".gitignore",
}  # dotless, so that no tool obeys them inside the package


SETTINGS = "nyxlab.toml"


def project_root(start: Path) -> Path:
    """Return the nearest folder upwards with a ``nyxlab.toml``, else ``start``, as the settings do.

    Without reading any.
    """
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / SETTINGS).is_file()), start)


def create_project(folder: Path) -> list[Path]:
    """Write settings, an example of the keys' file, a workflow, a plan and scripted replies; return what was written.

    Nothing is overwritten: where one of the files exists already, ``InputRefused`` names it and nothing is written.
    An existing ``.gitignore`` stays as it is.
    """
    template = files("nyxlab") / "defaults" / "project"
    wanted = {folder / RENAMED.get(name, name): source for name, source in _walk(template, "")}
    wanted = {path: source for path, source in wanted.items() if path.name != ".gitignore" or not path.exists()}
    taken = sorted(str(path.relative_to(folder)) for path in wanted if path.exists())
    if taken:
        raise InputRefused(f"{folder}: {', '.join(taken)} exists already; run `nyxlab init` in an empty folder")
    for path, source in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return sorted(wanted)


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        else:
            found.append((prefix + entry.name, entry))
    return found
