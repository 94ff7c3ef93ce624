"""Grids: which notebooks run with which parameters, checked before the first one starts."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from pydantic import Field, ValidationError

from nyxlab import __version__
from nyxlab.engine.inputs import looks_secret
from nyxlab.errors import InputRefused, did_you_mean, nearest_or_all
from nyxlab.providers.messages import Json, Record, looks_like_key
from nyxlab.providers.strictyaml import read_yaml

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Grid(Record):
    """Which notebook runs with which parameters: the product of ``matrix``, without ``exclude``, plus ``include``.

    ``notebook`` may also be an axis of the matrix or a key of an included entry, so that one grid can run several.
    Paths are taken from the project's root. An axis is a list, or ``{glob: plans/*.md}``.
    """

    notebook: str | None = None
    matrix: dict[str, list[Json] | dict[str, str]] = Field(default_factory=dict)
    include: list[dict[str, Json]] = Field(default_factory=list)
    exclude: list[dict[str, Json]] = Field(default_factory=list)

    def entries(self, root: Path) -> list[dict[str, Json]]:
        """Return one mapping a run, ``notebook`` included; ``InputRefused`` where there is none."""
        axes = {name: _axis(name, axis, root) for name, axis in self.matrix.items()}
        cells = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else []
        kept = [cell for cell in cells if not any(without.items() <= cell.items() for without in self.exclude)]
        entries = [{"notebook": self.notebook} | cell for cell in (*kept, *self.include)]
        if not entries and self.notebook:
            entries = [{"notebook": self.notebook}]
        if not entries:
            raise InputRefused("the grid is empty: give 'notebook', and parameters under 'matrix' or 'include'")
        return entries


def _axis(name: str, axis: list[Json] | dict[str, str], root: Path) -> list[Json]:
    if isinstance(axis, list):
        return axis
    if set(axis) != {"glob"}:
        raise InputRefused(f"axis '{name}' must be a list or {{glob: PATTERN}}")
    pattern = axis["glob"]
    if pattern.startswith("/") or ".." in Path(pattern).parts:
        raise InputRefused(f"axis '{name}': the pattern must stay inside the project, without '..'")
    if not (found := sorted(str(path.relative_to(root)) for path in root.glob(pattern))):
        raise InputRefused(f"axis '{name}': no file matches {pattern}")
    return found


class Job(Record):
    """One notebook run that has been checked and can start; ``name`` is the stem of its files in ``reports/``.

    ``hash`` names what it does: the notebook's code, the parameters, the files that they name, the version of nyxlab.
    """

    name: str
    notebook: Path
    parameters: dict[str, Json]
    hash: str = ""
    grid: str = ""  # whose job it is


def read_grid(path: Path, root: Path) -> list[Job]:
    """Return the checked jobs of a grid file; ``InputRefused`` names the file and what is wrong, before any starts."""
    try:
        value, lines = read_yaml(path.read_text(encoding="utf-8"), path.name)
        grid = Grid.model_validate(value)
    except (OSError, UnicodeDecodeError):
        raise InputRefused(f"{path}: no such grid, or not UTF-8 text") from None
    except ValidationError as error:
        first = error.errors()[0]
        place, known = ".".join(map(str, first["loc"])), list(Grid.model_fields)
        said = f"{place}: {first['msg']}"
        if first["type"] == "extra_forbidden":
            said = f"unknown key '{place}'" + (nearest_or_all(place, known))
        raise InputRefused(f"{path.name}:{lines.get(first['loc'][:1], 1)}: {said}") from None
    entries = grid.entries(root)
    stems = Counter(Path(str(entry["notebook"])).stem for entry in entries)
    same = Counter(Path(notebook).stem for notebook in {str(entry["notebook"]) for entry in entries})
    jobs: dict[str, Job] = {}
    for entry in entries:
        notebook = root / str(entry["notebook"] or "")
        parameters = {key: value for key, value in entry.items() if key != "notebook"}
        check_parameters(notebook, parameters)
        hash_ = job_hash(notebook, parameters, root)
        # Parameters, and a folder, of its own make a name of its own, so that no job writes over another's report.
        stem = (
            notebook.stem if same[notebook.stem] == 1 else "-".join(Path(str(entry["notebook"])).with_suffix("").parts)
        )
        alone = stems[notebook.stem] == same[notebook.stem]
        alike = [other for other in entries if other["notebook"] == entry["notebook"]]
        name = stem if alone else f"{stem}-{_file_named(entry, alike) or _short(parameters)}"
        jobs[name] = Job(name=name, notebook=notebook, parameters=parameters, hash=hash_)
    return list(jobs.values())


def check_parameters(notebook: Path, parameters: Mapping[str, Json]) -> None:
    """Refuse what papermill would execute as code or silently ignore: bad, secret-looking and undeclared names."""
    if not NAME.fullmatch(notebook.name) or notebook.suffix != ".ipynb":
        raise InputRefused(
            f"{notebook.name[:80]!r} is not the name of a notebook: letters, digits, '.', '-' and '_', ending in .ipynb"
        )
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        told = [cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
        first = ast.parse("".join(told[0])).body if told else []
    except (OSError, ValueError, KeyError, TypeError):
        raise InputRefused(f"{notebook}: no such notebook, or not a notebook's JSON") from None
    except SyntaxError as error:
        raise InputRefused(
            f"{notebook.name}: the cell tagged 'parameters' is no Python (line {error.lineno})"
        ) from None
    if not told:
        raise InputRefused(f"{notebook.name}: no cell is tagged 'parameters', so it takes none")
    targets = [
        t
        for n in first
        if isinstance(n, ast.Assign | ast.AnnAssign)
        for t in getattr(n, "targets", [getattr(n, "target", None)])
    ]
    declared = [target.id for target in targets if isinstance(target, ast.Name)]
    for name, value in parameters.items():
        if looks_secret(name) or looks_like_key(json.dumps(value)):
            raise InputRefused(
                f"parameter '{name}' looks like a secret, and parameters are stored; keys belong in .env"
            )
        if not name.isidentifier() or name not in declared:
            raise InputRefused(f"{notebook.name} declares no parameter '{name[:80]}'{did_you_mean(name, declared)}")


def job_hash(notebook: Path, parameters: Mapping[str, Json], root: Path) -> str:
    """Return the SHA-256 of what a job does: code, parameters, the files below ``root`` they name, nyxlab's version."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    told = json.dumps([*parameters.values(), *code[:1]], ensure_ascii=False)
    named = {*re.findall(r"[\w./-]+\.\w+", told), *re.findall(r"\\?[\"']([^\"'\\\n]{1,300})", told), "nyxlab.toml"}
    named = {part.strip() for name in named for part in (name, *name.split(",")) if part.strip()}
    files = {name: _contents(root, name) for name in sorted(named) if ".." not in name and not name.startswith("/")}
    told = json.dumps([__version__, code, parameters, {n: c for n, c in files.items() if c}], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _contents(root: Path, name: str) -> str | None:
    """Return the SHA-256 of a file, or of the Markdown in a folder; None where there is neither."""
    try:
        path = root / name
        files = (
            [path] if path.is_file() else sorted(path.rglob("*.md"))[:1_000] if path.is_dir() and path != root else []
        )
        whole = b"".join(file.read_bytes() for file in files)
    except (OSError, ValueError):
        return None
    return hashlib.sha256(whole).hexdigest() if files else None


def renamed(job: Job, folder: Path, grid: str) -> Job:
    """Return a job under a name that no other grid has written under in this folder."""
    try:
        told = json.loads((folder / f"{job.name}.ipynb").read_text(encoding="utf-8"))["metadata"]["nyxlab"]
        taken = told["grid"] != grid and told.get("hash") != job.hash
    except (OSError, ValueError, KeyError, TypeError):
        taken = False
    return job.model_copy(update={"grid": grid, "name": f"{job.name}-{grid}" if taken else job.name})


def index_name(grid: Path) -> str:
    """Return the name of the page that compares a grid's runs; no notebook's report has it."""
    return f"batch-{grid.stem}.html"


def _file_named(entry: Mapping[str, Json], alike: Sequence[Mapping[str, Json]]) -> str:
    """Return the stem of the file in which alone a job differs from the others of its notebook; else nothing."""
    differ = [key for key in entry if len({json.dumps(other.get(key), sort_keys=True) for other in alike}) > 1]
    if len(differ) != 1:
        return ""
    words = [re.sub(r"[^A-Za-z0-9_-]+", "-", Path(str(other.get(differ[0]))).stem).strip("-")[:60] for other in alike]
    own = words[alike.index(entry)]
    return own if "." in str(entry[differ[0]]) and words.count(own) == 1 else ""


def _short(parameters: Mapping[str, Json]) -> str:
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:8]
