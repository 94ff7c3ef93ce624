"""Terms: what a review of files is held to, and what is asked of models in it; without engine, ledger or provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from os import PathLike
from pathlib import Path

from nyxlab.errors import InputRefused
from nyxlab.lab.git import repo_files
from nyxlab.lab.own import project_rules
from nyxlab.lab.reviews.documents import read_review
from nyxlab.lab.workflows.outputs import with_faults
from nyxlab.reviewer.findings import Finding, Severity
from nyxlab.reviewer.models.amend import Decision
from nyxlab.reviewer.review import Answers, Review, open_documents, review_documents
from nyxlab.reviewer.rules import Rule
from nyxlab.reviewer.text.document import Document

Paths = str | PathLike[str]
Target = str | Document | Sequence[Paths]
"""A run's id, files and folders that form one set, or a document that is read already."""


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

    def review(
        self,
        document: Document,
        answers: Answers | None = None,
        decisions: Sequence[Decision] = (),
        faults: Sequence[Finding] = (),
    ) -> Review:
        """Review a document on these terms, with what models said about it, and what was decided before.

        ``faults`` speak against it whatever it says: those of a run's outputs.
        """
        return review_documents(
            document, fail_on=self.fail_on, repo_files=self.repo, rules=self.rules, baseline=self.baseline,
            answers=with_faults(document, answers, faults), decisions=decisions,
        )  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What models are asked in a review: of these providers (a list, or text with commas), as readers or by lenses.

    ``judge`` tries to refute what they find (the settings' own unless named); ``budget`` is in USD.
    """

    providers: str | Sequence[str] | None = None
    judge: str | None = None
    lenses: Sequence[str] = ()
    budget: Decimal | str | None = None


@dataclass(frozen=True)
class Reviewed:
    """A set of files under the name that it was given by: its document and its review, or why it was refused."""

    name: str
    document: Document | None = None
    review: Review | None = None
    refused: str | None = None
    faults: tuple[Finding, ...] = ()  # of a run's outputs

    @property
    def texts(self) -> dict[str, str]:
        """The text of each file, by its path."""
        return {path: file.text for path, file in self.document.files.items()} if self.document else {}

    @property
    def unread(self) -> tuple[str, ...]:
        """Why files of the set could not be read."""
        return tuple(each["reason"] for each in self.review.read.unread) if self.review else ()

    @property
    def verdict(self) -> str | None:
        """PASS, CONCERNS or FAIL; None where it was refused."""
        return self.review.verdict if self.review else None

    @property
    def outcome(self) -> str:
        """The outcome in one line."""
        return self.review.headline if self.review else f"refused: {self.refused}"


def named(target: Target) -> str:
    """Return the name under which a set of files, or a run, is told about."""
    listed = target.files if isinstance(target, Document) else [target] if isinstance(target, str) else target
    return " ".join(map(str, listed))


def review_files(target: Document | Sequence[Paths], terms: Terms, base: Path) -> Reviewed:
    """Review some files, and the ``*.md`` of folders, as one set, by the rules; relative paths start at ``base``."""
    document = target if isinstance(target, Document) else open_documents(map(str, target), base)
    return Reviewed(named(target), document, terms.review(document))


def _severity(level: Severity | str) -> Severity:
    try:
        return Severity(str(level).upper())
    except ValueError:
        raise InputRefused(f"unknown severity '{level}': use {', '.join(s.lower() for s in Severity)}") from None
