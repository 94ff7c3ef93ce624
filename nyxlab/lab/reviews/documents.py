"""The documents of a review on disk: its own JSON read again, and the texts that it was made of."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json
from nyxlab.reviewer.cut import BUDGET
from nyxlab.reviewer.prompt import ImplementationPrompt
from nyxlab.reviewer.review import Review

if TYPE_CHECKING:
    from nyxlab.lab.desk import Paths
    from nyxlab.settings import Settings


def read_review(path: Path) -> Review:
    """Return the review that a JSON file of ours holds; ``InputRefused`` where it is none."""
    if path.suffix == ".md" and path.is_file():
        how = f"nyxlab review {os.path.relpath(path)} --output review.json"
        raise InputRefused(f"{path.name} is a plan, and this takes its review: {how}, then review.json here")
    try:
        return Review.model_validate(read_json_file(path, "nyxlab.review/1"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputRefused(f"{path}: this is no whole review ({where}: {first['msg']}); write it again") from None


def read_json_file(path: Path, schema: str) -> dict[str, Json]:
    """Return the document of a JSON file of ours; ``InputRefused`` where it is none or of another kind."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputRefused(f"{path}: no such file, or not JSON; expected a document with schema {schema}") from None
    if not isinstance(value, dict) or value.get("schema") != schema:
        raise InputRefused(f"{path}: this is not a document with schema {schema}")
    return value


def phased_prompt(
    settings: Settings, review: Review | Mapping[str, Json] | Paths, budget_tokens: int | None
) -> ImplementationPrompt:
    """Return the prompt of a review, its JSON, or a file that holds its JSON (from the project's root if relative)."""
    beside = [Path.cwd(), settings.root]
    if not isinstance(review, Review | Mapping):
        path = settings.resolve(Path(review))
        review, beside = read_review(path), [*beside, path.parent]
    told = review.to_json() if isinstance(review, Review) else review
    budget = BUDGET if budget_tokens is None else budget_tokens
    return ImplementationPrompt.of(told, unchanged_documents(told, *beside, outside=True), budget)


def unchanged_documents(review: Mapping[str, Json], *bases: Path, outside: bool = False) -> dict[str, str]:
    """Return the texts that a review was made of, by path: those it carries, and the files that are still as they were.

    A file is looked for from each of the ``bases`` in turn and known by its hash. A path in a file is not trusted: one
    that leads out of a base is left alone, unless the review is the caller's own (``outside``).
    """
    found: dict[str, str] = {}
    for document in review.get("documents") or ():
        name, wanted = str(document.get("path")), document.get("sha256")
        if document.get("text") is not None:
            found[name] = document["text"]
        for base in bases if name not in found else ():
            path = (base / name).resolve()
            try:
                data = path.read_bytes() if (outside or path.is_relative_to(base.resolve())) and path.is_file() else b""
            except (OSError, ValueError):
                continue
            if hashlib.sha256(data).hexdigest() == wanted:
                found[name] = data.decode("utf-8", "replace")
                break
    return found
