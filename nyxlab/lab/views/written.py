"""Reviews as files: one in a form that people or programs read, or an index and a page for each of many."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from nyxlab.lab.reviews.terms import Reviewed
from nyxlab.lab.views.console import LOUDNESS, write
from nyxlab.lab.views.report import render_index, render_review
from nyxlab.lab.views.sarif import to_sarif
from nyxlab.providers.messages import Json
from nyxlab.reviewer.rules import Rule


def written(found: Reviewed, form: str, rules: Sequence[Rule], theme: Path | None = None) -> str:
    """Return a review as text in one of the forms; ``rules`` are those it ran, ``theme`` the project's templates."""
    assert found.review is not None  # noqa: S101 - a refused set is written nowhere
    told = found.review.to_json()
    if form == "json":
        return json.dumps(told, ensure_ascii=False, indent=1)
    if form == "sarif":
        return json.dumps(to_sarif([told], [rule.to_json() for rule in rules]), ensure_ascii=False, indent=1)
    return render_review(
        told,
        form,  # type: ignore[arg-type]  # it was checked
        found.texts,
        theme=theme,
        unfold=LOUDNESS.verbose,
    )


def written_all(
    found: Sequence[Reviewed], form: str, rules: Sequence[Rule], theme: Path | None = None
) -> dict[str, str]:
    """Return the files that many reviews make, by name: one that holds all of them, or an index and a page each."""
    reviews = [(each, each.review.to_json()) for each in found if each.review]
    told = [review for _, review in reviews]
    if form in ("json", "sarif"):
        known, names = [rule.to_json() for rule in rules], [each.name for each, _ in reviews]
        value: Json = told if form == "json" else to_sarif(told, known, names)
        return {f"index.{form}": json.dumps(value, ensure_ascii=False, indent=1)}
    suffix = {"text": "txt"}.get(form, form)
    names = _names([each.name for each in found])
    rows = [
        (each, each.review.to_json() if each.review else None, f"{name}.{suffix}")
        for each, name in zip(found, names, strict=True)
    ]
    pages = {file: written(each, form, rules, theme) for each, review, file in rows if review}
    listed = [(each.name, review, each.refused, file) for each, review, file in rows]
    index = render_index(listed, form, theme=theme)  # type: ignore[arg-type]  # the form was checked
    return {f"index.{suffix}": index} | pages


def write_each(
    found: Sequence[Reviewed], form: str, rules: Sequence[Rule], output: str | None, theme: Path | None = None
) -> None:
    """Write many reviews into a folder, or as one file; or print them, the index last."""
    pages = written_all(found, form, rules, theme)
    index = next(iter(pages))
    if output and form not in ("json", "sarif"):
        for name, text in pages.items():
            write(text, Path(output) / name, quiet=name != index)
    else:
        write("\n".join([*list(pages.values())[1:], pages[index]]), Path(output) if output else None)


def _names(given: Sequence[str]) -> list[str]:
    """Return file names made of what was given: its last part, numbered where two are alike."""
    found: list[str] = []
    for text in given:
        word = re.sub(r"[^A-Za-z0-9_-]", "-", Path(text).resolve().stem)[:80].strip("-") or "plan"
        word = word if word != "index" else "index-plan"
        number = next(n for n in range(1, len(given) + 2) if (f"{word}-{n}" if n > 1 else word) not in found)
        found.append(f"{word}-{number}" if number > 1 else word)
    return found
