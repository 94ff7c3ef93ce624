"""Prepared reviews: which sets of files are read by whom, and what that may cost, before any of it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from functools import cached_property
from pathlib import Path

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Run
from nyxlab.errors import InputRefused
from nyxlab.lab.desk import Desk, provider_names
from nyxlab.lab.reviews.asking import reading_of
from nyxlab.lab.reviews.readers import ask
from nyxlab.lab.reviews.terms import Asked, Reviewed, Target, Terms, named
from nyxlab.lab.workflows.options import usd
from nyxlab.lab.workflows.outputs import Output, outputs_document
from nyxlab.lab.workflows.prepared import OnEvent
from nyxlab.providers.messages import Cost
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.models.amend import Decision
from nyxlab.reviewer.review import Review, open_documents
from nyxlab.reviewer.text.document import Document


@dataclass(frozen=True)
class PreparedReviews:
    """Reviews of some sets of files that are decided and not begun; ``asked`` is what each of them is asked."""

    desk: Desk
    sets: tuple[Reviewed, ...]
    terms: Terms
    asked: Asked

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """The most that each provider may cost.

        ``InputRefused`` where a budget holds no question for one of the sets.
        """
        return forecast(self.desk, [each.document for each in self.sets if each.document], self.asked, self.terms)

    @cached_property
    def prices(self) -> dict[str, Cost]:
        """The most that everybody named may cost, also those who cannot be called from here for want of a key."""
        documents = [each.document for each in self.sets if each.document]
        return forecast(self.desk, documents, self.asked, self.terms, priced=True)

    @property
    def readers(self) -> dict[str, Cost]:
        """Those of ``costs`` to whom the plan leaves this machine."""
        return self.desk.outside(self.costs)

    @property
    def not_asked(self) -> dict[str, str]:
        """The providers named that cannot be called from here, each with the reason; judges too."""
        names = (*provider_names(self.asked.providers), *([self.asked.judge] if self.asked.judge else []))
        return {name: reason for name in names if (reason := self.desk.open(name).unusable())}

    async def run(self, on_event: OnEvent | None = None) -> list[Reviewed]:
        """Review each set; one that was refused stays so."""
        return [
            replace(
                each,
                review=await review_document(
                    self.desk, each.document, self.terms, self.asked, on_event, faults=each.faults
                ),
            )
            if each.document
            else each
            for each in self.sets
        ]


async def prepare_reviews(
    desk: Desk, targets: Sequence[Target], terms: Terms, asked: Asked, base: Path | None = None
) -> PreparedReviews:
    """Read each target as one set; where there are several, one that cannot be read does not stop the others.

    The budget is shared out evenly over those that can be read.
    """
    sets = []
    for target in targets:
        try:
            sets.append(await read_target(desk, target, base))
        except InputRefused as error:
            if len(targets) == 1:
                raise
            sets.append(Reviewed(named(target), refused=str(error)))
    return PreparedReviews(desk, tuple(sets), terms, share_out(asked, sum(each.document is not None for each in sets)))


async def read_target(desk: Desk, target: Target, base: Path | None = None) -> Reviewed:
    """Return the document that a review of ``target`` reads, each file by the path that findings name."""
    if isinstance(target, Document):
        return Reviewed(named(target), target)
    if not isinstance(target, str):
        return Reviewed(named(target), open_documents([str(path) for path in target], base or desk.settings.root))
    run = await desk.load(target)
    steps = [step for step in run.steps.values() if step.kind in ("prompt", "map") and step.status == "completed"]
    if not any(step.output for step in steps):
        raise InputRefused(f"run {run.run_id} has written nothing that could be reviewed yet")
    goal = goal_of(run)
    stated = f"# {run.workflow}\n\n## Goal\n\n{goal}\n" if goal else ""
    written = [Output(step.id, step.output, step.payload) for step in steps]
    document, faults = outputs_document(written, f"{run.run_id}/", stated)
    return Reviewed(run.run_id, document, faults=faults)


async def review_document(
    desk: Desk,
    document: Document,
    terms: Terms,
    asked: Asked,
    on_event: OnEvent | None = None,
    decisions: Sequence[Decision] = (),
    faults: Sequence[Finding] = (),
) -> Review:
    """Review a document that is already read: the rules, and what models say, if any are asked."""
    alone = terms.review(document, decisions=decisions, faults=faults)
    reading = reading_of(desk, document, asked, again=terms.baseline is not None)
    if not reading:
        return alone
    models = [f for f in alone.findings if not f.by_code]
    earlier = [f for f in models if f.status in ("open", "not-found-again") and f.verified]
    rules = [f for f in alone.findings if f.by_code and f.active]
    return terms.review(document, await ask(reading, rules, earlier, on_event), decisions, faults)


def forecast(
    desk: Desk, documents: Sequence[Document], asked: Asked, terms: Terms | None = None, *, priced: bool = False
) -> dict[str, Cost]:
    """Return the most that each provider may cost in reviews of these documents; nothing is called or written.

    ``priced`` counts those who cannot be called from here as well, as if they could.
    """
    costs: dict[str, list[Cost]] = {}
    for document in documents:
        try:
            reading = reading_of(desk, document, asked, again=bool(terms and terms.baseline), priced=priced)
        except InputRefused as error:
            many = asked.budget is not None and len(documents) > 1
            raise InputRefused(f"{error} (for each of {len(documents)} reviews)" if many else str(error)) from None
        for name, cost in reading.forecast.items() if reading else ():
            costs.setdefault(name, []).append(cost)
    return {name: Cost.total(own) for name, own in costs.items()}


def share_out(asked: Asked, reviews: int) -> Asked:
    """Return what each of so many reviews is asked: the same, for an equal part of the budget."""
    if asked.budget is None or reviews < 2:
        return asked
    share = (usd(asked.budget) / reviews).quantize(Decimal("0.000001"), ROUND_DOWN)
    shown = f"{share:f}".rstrip("0").rstrip(".")  # as a person would write it
    return replace(asked, budget=Decimal(shown) if share else usd(asked.budget) / reviews)


def goal_of(run: Run) -> str:
    """Return the goal that the run's workflow states."""
    return parse_workflow(run.source, run.workflow).goal
