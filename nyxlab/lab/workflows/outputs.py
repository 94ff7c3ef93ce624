"""What a run's record says against its outputs before any rule reads them: cut off, empty, alike, nothing to check."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from rapidfuzz.fuzz import ratio

from nyxlab.providers.messages import Json
from nyxlab.reviewer.findings import Category, Finding, Severity, fingerprint
from nyxlab.reviewer.models.evidence import quoted
from nyxlab.reviewer.plan.read import read_plan
from nyxlab.reviewer.review import Answers
from nyxlab.reviewer.rules.base import Place, names
from nyxlab.reviewer.text.document import Document, parse_documents

ALIKE = 95  # per cent of two texts that agree: what is left is a name, a date
COMPARED = 20_000  # characters of each text that are compared
EMPTY = ("", "[]", "{}", "null")
NOTHING = "*(This step wrote nothing.)*\n"


@dataclass(frozen=True)
class Output:
    """What one step wrote, with the payload of its checkpoint."""

    step: str
    output: Json
    payload: Mapping[str, Json]

    @property
    def text(self) -> str:
        """The output as the document of a review: structured ones as indented JSON."""
        if isinstance(self.output, str):
            return NOTHING if self.output.strip() in EMPTY else self.output
        return f"```json\n{json.dumps(self.output, indent=1)}\n```\n" if self.output else NOTHING

    @property
    def is_cut(self) -> bool:
        """Whether the token limit ended the answer that was taken, or one of a map step's."""
        decided = self.payload.get("items") or [self.payload]
        return any(
            told.get("truncated") and told["provider"] == each.get("selectedProvider")
            for each in decided
            for told in each.get("alternatives") or ()
        )


def outputs_document(
    outputs: Iterable[Output], folder: str = "", goal: str = ""
) -> tuple[Document, tuple[Finding, ...]]:
    """Return outputs as one set of documents, ``STEP.md`` each, and what speaks against them as they are."""
    by_path = {f"{folder}{each.step}.md": each for each in outputs}
    texts = {path: each.text for path, each in by_path.items()}
    document = parse_documents({f"{folder}goal.md": goal, **texts} if goal else texts)
    return document, tuple(_faults(document, by_path, texts))


def with_faults(document: Document, answers: Answers | None, faults: Iterable[Finding]) -> Answers:
    """Return what models answered, behind the faults of the outputs and, where no model read, "nothing to check"."""
    heard = answers or Answers()
    unchecked = () if heard.panel else nothing_to_check(document)
    return replace(heard, findings=(*faults, *unchecked, *heard.findings))


def nothing_to_check(document: Document) -> Iterator[Finding]:
    """Say where a set holds nothing that a rule looks at: then PASS would only mean that nobody has looked."""
    plan = read_plan(document)
    if plan.task_count or plan.requirements or plan.files or document.links or document.labels or document.tables:
        return
    if (
        document.lists
        or document.fences
        or any(c.isdigit() or c == "`" for f in document.files.values() for c in f.text)
    ):
        return
    first = next(iter(document.files))
    yield _finding(
        document, Category.COVERAGE, [(first, 1)], "Nothing here can be checked by rules",
        "No task, requirement, file, list, table, link, name in code or number: that no rule objects says nothing.",
        "Let a model read it (--providers), or write the plan with numbered tasks and the files that they touch.",
    )  # fmt: skip


def _faults(document: Document, by_path: Mapping[str, Output], texts: Mapping[str, str]) -> Iterator[Finding]:
    for path, each in by_path.items():
        if texts[path] == NOTHING:
            yield _finding(
                document, Category.FAILURE, [(path, 1)], f"Empty: step {each.step} wrote nothing",
                "The step is completed and its output is empty.", "Ask another provider, or change its prompt.",
            )  # fmt: skip
        elif each.is_cut:
            yield _finding(
                document, Category.FAILURE, [(path, len(texts[path].rstrip().splitlines()))],
                f"Cut off: the output of step {each.step} ends at the token limit",
                "What would have followed is missing, and no rule can see what it would have said.",
                "Raise max_tokens of the step and run it again (nyxlab fork).",
            )  # fmt: skip
    for group in _alike({path: text for path, text in texts.items() if text != NOTHING}):
        steps = [by_path[path].step for path in group]
        yield _finding(
            document, Category.DUPLICATE, [(path, 1) for path in group],
            f"The outputs of {names(steps)} are nearly the same text",
            "Steps that ask for different things got one answer: the provider does not do what the prompts say.",
            "Read them, and ask a stronger provider.",
        )  # fmt: skip


def _alike(texts: Mapping[str, str]) -> list[list[str]]:
    """Return groups of files whose texts are nearly the same, each in the order of the run."""
    groups = {path: [path] for path in texts}
    for one, two in combinations(texts, 2):
        if groups[one] is not groups[two] and ratio(texts[one][:COMPARED], texts[two][:COMPARED], score_cutoff=ALIKE):
            groups[one] += groups[two]
            for path in groups[two]:
                groups[path] = groups[one]
    return list({id(group): group for group in groups.values() if len(group) > 1}.values())


def _finding(
    document: Document, category: Category, at: Iterable[tuple[str, int]], title: str, explanation: str, fix: str
) -> Finding:
    """Return a finding of MEDIUM, so that the verdict is never PASS; its id is given with the others'."""
    quotes = tuple(quoted(document, Place(path, line, line)) for path, line in at)
    return Finding(
        id="F-000", fingerprint=fingerprint("output", [title], []), rule="output", category=category,
        severity=Severity.MEDIUM, severity_reason="a review of it cannot say that all is well", confidence=1.0,
        title=title, explanation=explanation, consequence="A verdict of PASS would promise what nobody has checked.",
        fix=fix, evidence=quotes[:4], places=quotes[4:],
    )  # fmt: skip
