"""The verbs about plans: Cael's review of files or of what a run wrote, and the implementation prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Run
from nyxlab.errors import InputRefused
from nyxlab.lab.desk import Desk
from nyxlab.lab.reviews import Paths, Terms, read_review
from nyxlab.lab.steps import documents_of
from nyxlab.providers.messages import Json
from nyxlab.reviewer.document import Document, parse_documents
from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.phases import ImplementationPrompt
from nyxlab.reviewer.review import Review, open_documents


class Plans(Desk):
    """What can be done with plans."""

    async def review(
        self,
        target: str | Sequence[Paths],
        *,
        repo: Paths | None = None,
        fail_on: Severity | str = Severity.CRITICAL,
        baseline: Review | Paths | None = None,
        base: Path | None = None,
    ) -> Review:
        """Return Cael's review of some files (or directories: their ``*.md``) as one set, or of what a run wrote.

        ``target`` is a list of paths, or a run's id. ``repo`` is a folder whose files tell what is new and what exists.
        ``baseline`` is an earlier review, or a file with its JSON, that tells new findings from old. ``base`` is where
        relative paths start, the project's root unless given.
        """
        start = base or self.settings.root
        terms = Terms.of(self.settings.root, start, fail_on=fail_on, repo=repo, baseline=baseline)
        return terms.review(await self.read(target, base=base))

    async def read(self, target: str | Sequence[Paths], *, base: Path | None = None) -> Document:
        """Return the document that a review of ``target`` reads, each file by the path that findings name."""
        if not isinstance(target, str):
            return open_documents([str(path) for path in target], base or self.settings.root)
        run = await self.show(target)
        written = [(step.id, step.output) for step in run.steps.values() if step.kind == "prompt" and step.output]
        if not written:
            raise InputRefused(f"run {target} has written nothing that could be reviewed yet")
        stated = [("goal", f"# {run.workflow}\n\n## Goal\n\n{goal}\n")] if (goal := goal_of(run)) else []
        return parse_documents(documents_of([*stated, *written], f"{target}/"))

    def prompt(self, review: Review | Mapping[str, Json] | Paths) -> ImplementationPrompt:
        """Return the phased implementation prompt of a review, its JSON, or a file that holds its JSON."""
        if isinstance(review, Review):
            review = review.to_json()
        if not isinstance(review, Mapping):
            review = read_review(self.settings.resolve(Path(review))).to_json()
        return ImplementationPrompt.from_review(dict(review))


def goal_of(run: Run) -> str:
    """Return the goal that the run's workflow states."""
    return parse_workflow(run.source, run.workflow).goal
