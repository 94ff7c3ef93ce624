"""A whole review: files in, findings in order, counts and a verdict out."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Literal

from pydantic import Field

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Cost, Json, Record
from nyxlab.reviewer.baseline import against
from nyxlab.reviewer.cut import Block, CutPhase, Deferral, cut
from nyxlab.reviewer.findings import Finder, Finding, Severity, count, fingerprint
from nyxlab.reviewer.lessons import all_rules
from nyxlab.reviewer.models.amend import Decision
from nyxlab.reviewer.models.consensus import Panel, asked_again
from nyxlab.reviewer.models.evidence import quoted
from nyxlab.reviewer.models.lenses import Refuted
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.plan.read import read_plan
from nyxlab.reviewer.rules import RULES, Claim, Rule
from nyxlab.reviewer.rules.base import Place, at
from nyxlab.reviewer.shown import Shown
from nyxlab.reviewer.suppress import suppress
from nyxlab.reviewer.text.document import Document, parse_documents

MAX_BYTES = 20 * 1024 * 1024
MAX_LINE = 200_000
MAX_DEPTH = 100  # lists and quotes within one another; far past what a person writes or a parser follows
QUOTED = 4  # places of a finding that are its evidence; the others are where it shows as well
FREE = Cost(usd=0, certainty="exact")
_NESTING = re.compile(r"\A(?:[ \t]*+(?:[-*+]|\d{1,9}[.)]|>)(?=[ \t>]))++")


class ReviewedFile(Record):
    """One file under review, named by its digest so that a finding can be tied to the text it was made on."""

    path: str
    sha256: str
    lines: int
    text: str | None = None
    """The text itself, where it is no file but what a run wrote."""


class Read(Record):
    """How the plan was read: the forms with their files, how many of each thing were found, what could not be read."""

    forms: tuple[dict[str, Json], ...]
    tasks: int
    phases: int
    requirements: int
    files: int
    unread: tuple[dict[str, str], ...] = ()
    told: str = ""
    """All of it in words: "read as spec-kit: 46 tasks in 6 phases, 13 requirements, 31 files"."""

    @classmethod
    def of(cls, plan: Plan, document: Document) -> Read:
        """Count what was read."""
        return cls(
            forms=tuple({"form": part.form, "paths": list(part.paths)} for part in plan.parts),
            tasks=plan.task_count,
            phases=len(plan.phases),
            requirements=len(plan.requirements),
            files=len(plan.files),
            unread=tuple({"path": path, "reason": reason} for path, reason in document.unread.items()),
            told=plan.told(),
        )


class Pass(Record):
    """One part of a review and whether it ran; a part that did not says why."""

    name: str
    status: Literal["ran", "skipped", "failed"]
    reason: str | None = None
    provider: str | None = None  # who was asked, where models were

    @property
    def by_model(self) -> bool:
        """Whether a model was to look for findings."""
        return is_by_model(self.name)


@dataclass(frozen=True)
class Answers:
    """What models answered about a document: their findings, the passes that it took, and what each provider did.

    ``waiting``: answers by hand are missing. ``again`` is what a model answered about an earlier review's findings that
    were not made again, by fingerprint, and who it was. ``panel`` is None where nobody could be asked.
    """

    findings: tuple[Finding, ...] = ()
    passes: tuple[Pass, ...] = ()
    panel: Panel | None = None
    cost: Cost = FREE
    again: Mapping[str, tuple[Refuted, str]] = field(default_factory=dict)
    waiting: bool = False


class Review(Shown, Record):
    """What Cael says about a set of files: contract ``nyxlab.review/1``."""

    schema_: Literal["nyxlab.review/1"] = Field(default="nyxlab.review/1", alias="schema")
    status: Literal["completed", "paused"] = "completed"
    """``paused``: answers by hand are missing, and this is what is known without them."""
    run_id: str | None = None  # the run in which models were asked
    verdict: Literal["PASS", "CONCERNS", "FAIL"]
    fail_on: Severity
    documents: tuple[ReviewedFile, ...]
    passes: tuple[Pass, ...]
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    read: Read
    phases: tuple[CutPhase, ...] = ()
    header: tuple[Block, ...] = ()
    appendix: tuple[Block, ...] = ()
    decisions: tuple[Decision, ...] = ()
    deferred: tuple[Deferral, ...] = ()
    cost: Cost = FREE
    panel: Panel | None = None

    @property
    def headline(self) -> str:
        """The verdict with who looked, and what did not run: "PASS (rules only)", "FAIL (read by openai:gpt-5.5)"."""
        return headline(self.verdict, [told.to_json() for told in self.passes])

    @property
    def waits(self) -> str | None:
        """Which answers by hand are missing; None where none is."""
        reasons = dict.fromkeys(told.reason for told in self.passes if told.reason and told.status == "skipped")
        return "; ".join(reasons) if self.status == "paused" else None

    @property
    def unheard(self) -> str | None:
        """Why no model that was asked has said anything; None where one has, or none was asked."""
        asked = [told for told in self.passes if told.by_model]
        if not asked or self.status == "paused" or any(told.status == "ran" for told in asked):
            return None
        return "; ".join(dict.fromkeys(f"{told.provider}: {told.reason}" for told in asked))


def is_by_model(name: str) -> bool:
    """Whether a pass of this name has models look for findings."""
    return name == "reader" or name.startswith("lens:")


def headline(verdict: str, passes: Sequence[Mapping[str, Json]]) -> str:
    """Return a verdict with who looked and what did not run; one provider's full answer means a question was asked."""
    ran = [told for told in passes if told["status"] == "ran"]
    readers = dict.fromkeys(str(told["provider"]) for told in ran if is_by_model(told["name"]))
    names = {told["name"] for told in ran}
    missing = list(dict.fromkeys(told["name"] for told in passes if told["name"] not in names))
    lenses = [name for name in missing if name.startswith("lens:")]
    partly = sum(told["status"] == "failed" and told["name"] in names for told in passes)
    said = [f"read by {', '.join(readers)}" if readers else "rules only"]
    said += [f"{len(lenses)} {'lens' if len(lenses) == 1 else 'lenses'} not run"] if lenses else []
    said += [f"{name} not run" for name in missing if name not in lenses]
    said += [f"{partly} {'pass' if partly == 1 else 'passes'} failed"] if partly else []
    return f"{verdict} ({'; '.join(said)})"


def read_documents(
    paths: Iterable[str | Path], base: Path = Path(), unread: dict[str, str] | None = None
) -> dict[str, str]:
    """Read plan files, and the ``*.md`` right in directories, as text by path as given; relative ones from ``base``.

    Raises InputRefused, in one sentence, for what is missing, empty, not UTF-8 text, or too large to be a plan; where
    ``unread`` is given, a file that is refused is put there with the reason, as long as another one can be read.
    """
    texts: dict[str, str] = {}
    refused: dict[str, InputRefused] = {}
    for given, path in ((str(given), base / given) for given in paths):
        inside = sorted(p for p in path.glob("*.md") if not p.is_dir()) if path.is_dir() else [path]
        if not inside:
            refused[given] = InputRefused(f"{given}: the directory holds no .md file; name the files to review")
        for file in inside:
            name = str(Path(given) / file.name) if file != path else given
            try:
                texts[name] = _read(file)
            except InputRefused as error:
                refused[name] = error
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "the name cannot be a path"
                told = f"{name}: cannot be read ({reason or error}); name a file that exists"
                refused[name] = InputRefused(told)
    if refused and (unread is None or not texts):
        raise next(iter(refused.values()))
    if not texts:
        raise InputRefused("no file to review: name at least one Markdown file")
    if unread is not None:
        unread |= {name: str(error) for name, error in refused.items()}
    return texts


def _read(path: Path) -> str:
    """Return one file's text, byte for byte, or refuse it."""
    if path.exists() and not path.is_file():
        raise InputRefused(f"{path}: neither a file nor a folder; name a Markdown file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if fault := fault_of(data):
        raise InputRefused(f"{path}{fault}")
    return data.decode("utf-8")


def fault_of(data: bytes) -> str:
    """Say why bytes are no plan, where they are none."""
    if len(data) > MAX_BYTES:
        return f": too large for a plan; {MAX_BYTES // 1024 // 1024} MB is the limit"
    if b"\0" in data:
        return ": this is a binary file (it holds NUL bytes); name a Markdown file"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f": not UTF-8 text (byte {error.start}); save it as UTF-8"
    if not text.strip():
        return ": the file is empty; there is nothing to review"
    if (longest := max(map(len, text.split("\n")))) > MAX_LINE:
        return f": a line of {longest:,} characters is too long for a plan; {MAX_LINE:,} is the limit"
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_DEPTH and (deep := _depth(line)) > MAX_DEPTH:
            return f":{number}: nested {deep:,} levels deep; {MAX_DEPTH} is the limit for a plan"
    return ""


def _depth(line: str) -> int:
    """Return how many lists and quotes a line may lie in: its leading markers, or what its indentation allows for."""
    opening, wide = _NESTING.match(line), line.expandtabs(4)
    indent = len(wide) - len(wide.lstrip())
    return max(len(re.findall(r"[-*+>]|\d[.)]", opening[0])), indent // 2) if opening else 0


def open_documents(paths: Iterable[str | Path], base: Path = Path()) -> Document:
    """Read and parse a set of files, and look which of the files that they link to exist beside them."""
    unread: dict[str, str] = {}
    document = parse_documents(read_documents(paths, base, unread), unread=unread)
    return replace(document, beside=beside(document, base))


def beside(document: Document, base: Path) -> frozenset[str]:
    """Return the paths, from ``base``, of the files that a document names and that exist."""
    named = {(link.path, re.split("[#?]", link.target)[0]) for link in document.links if link.target}
    named |= {(mention.path, mention.name) for mention in document.file_mentions}
    found = set()
    for path, name in named:
        target = normpath(join(dirname(path), name))
        with contextlib.suppress(OSError):  # a name that is too long for any file
            if name and ":" not in name and (base / target).exists():
                found.add(target)
    return frozenset(found)


def review_documents(
    document: Document,
    *,
    fail_on: Severity = Severity.CRITICAL,
    repo_files: frozenset[str] | None = None,
    rules: Sequence[Rule] | None = None,
    baseline: Review | None = None,
    answers: Answers | None = None,
    decisions: Sequence[Decision] = (),
) -> Review:
    """Run every rule and lesson over a set of files and judge it; deterministic.

    ``repo_files`` are the paths of the repository that the plan is for, against which its file ledger is checked;
    ``rules`` are those that ship with nyxlab unless given; ``baseline`` is an earlier review, of this plan or of
    another version of it, which tells the new findings from the old. ``answers`` are what models said: their findings
    come after the rules' own, which they do not change. ``decisions`` are about findings of the baseline.
    """
    document = replace(document, repo=repo_files)
    plan, said = read_plan(document), answers or Answers()
    found = find(document, all_rules() if rules is None else rules, plan)
    found += tuple(f.model_copy(update={"id": f"F-{n:03d}"}) for n, f in enumerate(said.findings, len(found) + 1))
    findings = suppress(found, document)
    if baseline is not None:
        findings = against(baseline.findings, findings, document, models_ran=said.panel is not None)
        findings = tuple(asked_again(f, *said.again.get(f.fingerprint, (None, ""))) for f in findings)
    made = cut(document, plan, findings)
    names = {f.fingerprint: f.id for f in findings}
    earlier = {f.id: names.get(f.fingerprint) for f in baseline.findings} if baseline else {}
    return Review(
        status="paused" if said.waiting else "completed",
        run_id=said.panel.runs[0] if said.panel and said.panel.runs else None,
        verdict=judge(findings, fail_on),
        fail_on=fail_on,
        documents=tuple(
            ReviewedFile(path=f.path, sha256=f.sha256, lines=f.length, text=f.text if document.beside is None else None)
            for f in document.files.values()
        ),
        passes=(Pass(name="rules", status="ran"), *said.passes),
        counts=count(findings),
        findings=findings,
        read=Read.of(plan, document),
        phases=made.phases, header=made.header, appendix=made.appendix, deferred=made.deferred,
        decisions=tuple(d.model_copy(update={"finding": earlier.get(d.finding) or d.finding}) for d in decisions),
        cost=said.cost,
        panel=said.panel,
    )  # fmt: skip


def find(document: Document, rules: Sequence[Rule] = RULES, plan: Plan | None = None) -> tuple[Finding, ...]:
    """Run rules and return their findings, worst first, then in the order of the plan, with ids F-001 and on."""
    order = {path: n for n, path in enumerate(document.files)}
    plan = plan or read_plan(document)
    claims = ((rule, claim, at(claim.places)) for rule in rules for claim in rule.check(document, plan))
    made = list({(rule.id, claim.title, places): (rule, claim, places) for rule, claim, places in claims}.values())
    made.sort(key=lambda m: (m[1].severity.rank, order[m[2][0].path], m[2][0].line, m[0].id, m[1].title))
    equals: Counter[str] = Counter()
    findings = []
    for number, (rule, claim, places) in enumerate(made, 1):
        entities, claimed = tuple(claim.entities), tuple(claim.claims)
        name = fingerprint(rule.id, entities, claimed)
        print_ = fingerprint(rule.id, entities, claimed, equals[name])
        equals[name] += 1
        findings.append(_finding(document, rule, claim, places, f"F-{number:03d}", print_))
    return tuple(findings)


def _finding(document: Document, rule: Rule, claim: Claim, places: Sequence[Place], id_: str, print_: str) -> Finding:
    """Give a claim its id and its quotes; a claim whose quote is not in the file is kept low and marked."""
    quotes = tuple(quoted(document, place) for place in places)
    evidence = quotes[:QUOTED]
    stands = all(e.verified for e in evidence)
    return Finding(
        id=id_, fingerprint=print_, rule=rule.id, category=rule.category,
        severity=claim.severity if stands else claim.severity.at_most(Severity.LOW),
        severity_reason=rule.severities[claim.severity], confidence=rule.confidence,
        title=claim.title, explanation=claim.explanation, consequence=rule.consequence, fix=rule.fix,
        evidence=evidence, places=quotes[QUOTED:],
        found_by=(Finder(kind="lesson" if rule.kind == "lesson" else "rule"),),
    )  # fmt: skip


def judge(findings: Iterable[Finding], fail_on: Severity) -> Literal["PASS", "CONCERNS", "FAIL"]:
    """FAIL for a new verified finding at or above ``fail_on``; CONCERNS for any other HIGH or MEDIUM; else PASS."""
    active = [f for f in findings if f.active]
    if any(f.verified and f.severity.at_least(fail_on) and f.status == "new" for f in active):
        return "FAIL"
    return "CONCERNS" if any(f.severity.at_least(Severity.MEDIUM) for f in active) else "PASS"
