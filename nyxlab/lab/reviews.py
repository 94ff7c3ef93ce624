"""Reviews of files: what `nyxlab review` and ``Lab.review`` do, without engine, ledger or provider, so that it starts at once."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from os import PathLike
from pathlib import Path

from pydantic import ValidationError

from nyxlab.errors import InputRefused
from nyxlab.lab.report import render_index, render_review
from nyxlab.lab.sarif import to_sarif
from nyxlab.providers.messages import Json
from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.lessons import all_rules
from nyxlab.reviewer.models.amend import Decision
from nyxlab.reviewer.review import Answers, Review, open_documents, review_documents
from nyxlab.reviewer.rules import Rule
from nyxlab.reviewer.text.document import Document

Paths = str | PathLike[str]
FORMATS = ("text", "json", "sarif", "md", "html")
LESSONS = "lessons"


@dataclass(frozen=True)
class Terms:
    """What a review is held to: the level that fails it, the rules, the repository's files, an earlier review."""

    fail_on: Severity
    rules: tuple[Rule, ...]
    repo: frozenset[str] | None = None
    baseline: Review | None = None

    @classmethod
    def of(
        cls,
        root: Path,
        base: Path,
        *,
        fail_on: Severity | str = Severity.CRITICAL,
        repo: Paths | None = None,
        baseline: Review | Paths | None = None,
    ) -> Terms:
        """Read the terms: lessons from the project's ``root``, ``repo`` and ``baseline`` from ``base``."""
        return cls(
            _severity(fail_on),
            project_rules(root),
            repo_files(base / repo) if repo is not None else None,
            baseline if baseline is None or isinstance(baseline, Review) else read_review(base / baseline),
        )

    def review(self, document: Document, answers: Answers | None = None, decisions: Sequence[Decision] = ()) -> Review:
        """Review a document on these terms, with what models said about it, and what was decided before."""
        return review_documents(
            document, fail_on=self.fail_on, repo_files=self.repo, rules=self.rules, baseline=self.baseline,
            answers=answers, decisions=decisions,
        )  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What models are asked in a review: these providers (a list, or text with commas), the reader's question, or these lenses.

    ``judge`` tries to refute what they find (the settings' own unless named); ``budget`` is in USD.
    """

    providers: str | Sequence[str] | None = None
    judge: str | None = None
    lenses: Sequence[str] = ()
    budget: Decimal | str | None = None


@dataclass(frozen=True)
class Reviewed:
    """A set of files under the name that it was given by: its review and its texts, or why it was refused."""

    name: str
    review: Review | None = None
    texts: Mapping[str, str] | None = None
    refused: str | None = None

    @classmethod
    def of(cls, name: str, document: Document, terms: Terms, review: Review | None = None) -> Reviewed:
        """Review a document under a name, unless its ``review`` is there already."""
        texts = {path: file.text for path, file in document.files.items()}
        return cls(name, review or terms.review(document), texts)

    @property
    def unread(self) -> tuple[str, ...]:
        """Why files of the set could not be read."""
        return tuple(each["reason"] for each in self.review.read.unread) if self.review else ()

    @property
    def verdict(self) -> str | None:
        """PASS, CONCERNS or FAIL; None where it was refused."""
        return self.review.verdict if self.review else None

    @property
    def told(self) -> str:
        """The outcome in one line."""
        return self.review.headline if self.review else f"refused: {self.refused}"


def review_files(paths: Sequence[Paths], terms: Terms, base: Path) -> Reviewed:
    """Review some files, and the ``*.md`` of folders, as one set; relative paths start at ``base``."""
    return Reviewed.of(" ".join(map(str, paths)), open_documents(map(str, paths), base), terms)


def written(found: Reviewed, form: str, rules: Sequence[Rule]) -> str:
    """Return a review as text in one of the forms; ``rules`` are those that it ran."""
    assert found.review is not None  # noqa: S101 - a refused set is written nowhere
    told = found.review.to_json()
    if form == "json":
        return json.dumps(told, ensure_ascii=False, indent=1)
    if form == "sarif":
        return json.dumps(to_sarif([told], [rule.to_json() for rule in rules]), ensure_ascii=False, indent=1)
    return render_review(told, form, found.texts)  # type: ignore[arg-type]  # the form was checked


def written_all(found: Sequence[Reviewed], form: str, rules: Sequence[Rule]) -> dict[str, str]:
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
    pages = {file: written(each, form, rules) for each, review, file in rows if review}
    return {f"index.{suffix}": render_index([(e.name, r, e.refused, f) for e, r, f in rows], form)} | pages  # type: ignore[arg-type]  # the form was checked


def _names(given: Sequence[str]) -> list[str]:
    """Return file names made of what was given: its last part, numbered where two are alike."""
    found: list[str] = []
    for text in given:
        word = re.sub(r"[^A-Za-z0-9_-]", "-", Path(text).resolve().stem)[:80].strip("-") or "plan"
        word = word if word != "index" else "index-plan"
        number = next(n for n in range(1, len(given) + 2) if (f"{word}-{n}" if n > 1 else word) not in found)
        found.append(f"{word}-{number}" if number > 1 else word)
    return found


def project_rules(root: Path) -> tuple[Rule, ...]:
    """Return every rule and lesson that holds in a project: the shipped ones and those of its ``lessons/*.yaml``."""
    own = {}
    for path in sorted((root / LESSONS).glob("*.yaml")):
        try:
            own[f"{LESSONS}/{path.name}"] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InputRefused(f"{path}: cannot be read as UTF-8 text; mend or remove it") from None
    return all_rules(own)


def lessons_text(root: Path) -> str:
    """Return the lessons that hold in a project as a list for a prompt: each pain, and what follows from it."""
    return "\n".join(
        f"- {rule.claim.removeprefix('Find this pain: ')} {rule.consequence}"
        for rule in project_rules(root)
        if rule.kind == "lesson"
    )


def read_review(path: Path) -> Review:
    """Return the review that a JSON file of ours holds; ``InputRefused`` where it is none."""
    try:
        return Review.model_validate(read_json_file(path, "nyxlab.review/1"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputRefused(f"{path}: this is no whole review ({where}: {first['msg']}); write it again") from None


def repo_files(folder: Path) -> frozenset[str]:
    """Return the files of a repository, relative and with ``/``: what git tracks or would, else all that is there."""
    if not folder.is_dir():
        raise InputRefused(f"{folder}: no such folder to check files against")
    command = ["git", "-C", str(folder), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - fixed words, no shell
        return frozenset(name for name in listed.decode("utf-8", "replace").split("\0") if name)
    except (OSError, subprocess.CalledProcessError):
        return frozenset(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def read_json_file(path: Path, schema: str) -> dict[str, Json]:
    """Return the document of a JSON file of ours; ``InputRefused`` where it is none or of another kind."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputRefused(f"{path}: no such file, or not JSON; expected a document with schema {schema}") from None
    if not isinstance(value, dict) or value.get("schema") != schema:
        raise InputRefused(f"{path}: this is not a document with schema {schema}")
    return value


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


def _severity(level: Severity | str) -> Severity:
    try:
        return Severity(str(level).upper())
    except ValueError:
        raise InputRefused(f"unknown severity '{level}': use {', '.join(s.lower() for s in Severity)}") from None
