"""A whole review: files in, findings in order, counts and a verdict out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Literal

from pydantic import Field

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Cost, Json, Record
from nyxlab.reviewer.baseline import against
from nyxlab.reviewer.catalogue import all_rules
from nyxlab.reviewer.document import Document, parse_documents
from nyxlab.reviewer.evidence import quoted
from nyxlab.reviewer.findings import Finder, Finding, Severity, count, fingerprint
from nyxlab.reviewer.phases import compile_prompt
from nyxlab.reviewer.rules import RULES, Claim, Rule
from nyxlab.reviewer.suppress import suppress

MAX_BYTES = 20 * 1024 * 1024
MAX_LINE = 200_000
MAX_DEPTH = 100  # lists and quotes within one another; far past what a person writes or a parser follows
_NESTING = re.compile(r"(?:[ \t]*+(?:[-*+]|\d{1,9}[.)]|>)(?=[ \t>]))++")
LENSES = (
    "domain-model",
    "data-and-migration",
    "security-and-tenancy",
    "interfaces",
    "failure-paths",
    "tests",
    "operations",
)
"""The questions that models are asked, one a lens."""


class ReviewedFile(Record):
    """One file under review, named by its digest so that a finding can be tied to the text it was made on."""

    path: str
    sha256: str
    lines: int


class Pass(Record):
    """One part of a review and whether it ran; a part that did not says why."""

    name: str
    status: Literal["ran", "skipped", "failed"]
    reason: str | None = None


class Review(Record):
    """What Cael says about a set of files: contract ``nyxlab.review/1``, plus ``plan``, the prompt's own data."""

    schema_: Literal["nyxlab.review/1"] = Field(default="nyxlab.review/1", alias="schema")
    verdict: Literal["PASS", "CONCERNS", "FAIL"]
    fail_on: Severity
    documents: tuple[ReviewedFile, ...]
    passes: tuple[Pass, ...]
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    phases: tuple[Json, ...] = ()
    deferred: tuple[Json, ...] = ()
    plan: Json = None
    cost: Cost = Cost(usd=0, certainty="exact")

    @property
    def headline(self) -> str:
        """The verdict with what did not run: "PASS (rules only; 7 lenses not run)"."""
        missing = [p for p in self.passes if p.status != "ran"]
        lenses = [p for p in missing if p.name.startswith("lens:")]
        ran = [p for p in self.passes if p.status == "ran"]
        said = [*(["rules only"] if [p.name for p in ran] == ["rules"] else [])]
        said += [f"{len(lenses)} {'lens' if len(lenses) == 1 else 'lenses'} not run"] if lenses else []
        said += [f"{p.name} {p.status}" for p in missing if p not in lenses]
        return f"{self.verdict} ({'; '.join(said)})" if said else self.verdict


def read_documents(paths: Iterable[str | Path], base: Path = Path()) -> dict[str, str]:
    """Read plan files, and the ``*.md`` right in directories, as text by path as given; relative ones from ``base``.

    Raises InputRefused, in one sentence, for what is missing, empty, not UTF-8 text, or too large to be a plan.
    """
    texts: dict[str, str] = {}
    for given in paths:
        path = base / given
        try:
            if path.is_dir():
                inside = sorted(p for p in path.glob("*.md") if p.is_file())
                if not inside:
                    raise InputRefused(f"{given}: the directory holds no .md file; name the files to review")
                texts |= {str(Path(given) / p.name): _read(p) for p in inside}
            else:
                texts[str(given)] = _read(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the name cannot be a path"
            raise InputRefused(f"{given}: cannot be read ({reason or error}); name a file that exists") from None
    if not texts:
        raise InputRefused("no file to review: name at least one Markdown file")
    return texts


def _read(path: Path) -> str:
    """Return one file's text, byte for byte, or refuse it."""
    if path.exists() and not path.is_file():
        raise InputRefused(f"{path}: neither a file nor a folder; name a Markdown file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InputRefused(f"{path}: too large for a plan; {MAX_BYTES // 1024 // 1024} MB is the limit")
    if b"\0" in data:
        raise InputRefused(f"{path}: this is a binary file (it holds NUL bytes); name a Markdown file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputRefused(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if not text.strip():
        raise InputRefused(f"{path}: the file is empty; there is nothing to review")
    lines = text.split("\n")
    longest = max(map(len, lines))
    if longest > MAX_LINE:
        raise InputRefused(
            f"{path}: a line of {longest:,} characters is too long for a plan; {MAX_LINE:,} is the limit"
        )
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_DEPTH and (deep := _depth(line)) > MAX_DEPTH:
            raise InputRefused(f"{path}:{number}: nested {deep:,} levels deep; {MAX_DEPTH} is the limit for a plan")
    return text


def _depth(line: str) -> int:
    """Return how many lists and quotes a line may lie in: its leading markers, or what its indentation allows for."""
    opening = _NESTING.match(line)
    if not opening:
        return 0
    indent = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())
    return max(len(re.findall(r"[-*+>]|\d[.)]", opening[0])), indent // 2)


def open_documents(paths: Iterable[str | Path], base: Path = Path()) -> Document:
    """Read and parse a set of files, and look which of the files that they link to exist beside them."""
    document = parse_documents(read_documents(paths, base))
    named = {
        (link.path, (link.target or "").partition("#")[0].partition("?")[0]) for link in document.links if link.target
    }
    named |= {(m.path, m.name) for m in document.file_mentions}
    beside = set()
    for path, name in named:
        target = normpath(join(dirname(path), name))
        try:
            if name and ":" not in name and (base / target).exists():
                beside.add(target)
        except (OSError, ValueError):
            continue
    return replace(document, beside=frozenset(beside))


def review_documents(
    document: Document,
    *,
    fail_on: Severity = Severity.CRITICAL,
    repo_files: frozenset[str] | None = None,
    skipped: str = "no provider given",
    rules: Sequence[Rule] | None = None,
    baseline: Review | None = None,
) -> Review:
    """Run every rule and lesson over a set of files and judge it; deterministic.

    ``repo_files`` are the paths of the repository that the plan is for, against which its file ledger is checked;
    ``skipped`` says why the lenses did not run; ``rules`` are those that ship with nyxlab unless given; ``baseline`` is
    an earlier review, of this plan or of another version of it, which tells the new findings from the old.
    """
    document = replace(document, repo=repo_files)
    findings = suppress(find(document, all_rules() if rules is None else rules), document)
    if baseline is not None:
        findings = against(baseline.findings, findings, document)
    prompt = compile_prompt(document, findings, repo_files)
    return Review(
        verdict=judge(findings, fail_on),
        fail_on=fail_on,
        documents=tuple(ReviewedFile(path=f.path, sha256=f.sha256, lines=f.length) for f in document.files.values()),
        passes=(
            Pass(name="rules", status="ran"),
            *(Pass(name=f"lens:{name}", status="skipped", reason=skipped) for name in LENSES),
        ),
        counts=count(findings),
        findings=findings,
        phases=tuple(prompt.phases),
        deferred=tuple(prompt.deferred),
        plan=prompt.plan,
    )


def find(document: Document, rules: Sequence[Rule] = RULES) -> tuple[Finding, ...]:
    """Run rules and return their findings, worst first, then in the order of the plan, with ids F-001 and on."""
    order = {path: n for n, path in enumerate(document.files)}
    claims = ((rule, claim) for rule in rules for claim in rule.check(document))
    made = list({(rule.id, claim.title, claim.places): (rule, claim) for rule, claim in claims}.values())
    made.sort(
        key=lambda rc: (rc[1].severity.rank, order[rc[1].places[0].path], rc[1].places[0].start, rc[0].id, rc[1].title)
    )
    equals: dict[str, int] = {}
    findings = []
    for number, (rule, claim) in enumerate(made, 1):
        name = fingerprint(rule.id, claim.entities, claim.claims)
        equals[name] = ordinal = equals.get(name, -1) + 1
        print_ = fingerprint(rule.id, claim.entities, claim.claims, ordinal) if ordinal else name
        findings.append(_finding(document, rule, claim, f"F-{number:03d}", print_))
    return tuple(findings)


def _finding(document: Document, rule: Rule, claim: Claim, id_: str, print_: str) -> Finding:
    """Give a claim its id and its quotes; a claim whose quote is not in the file is kept low and marked."""
    evidence = tuple(quoted(document, place) for place in claim.places)
    severity = (
        claim.severity if all(e.verified for e in evidence) else max(claim.severity, Severity.LOW, key=lambda s: s.rank)
    )
    return Finding(
        id=id_,
        fingerprint=print_,
        rule=rule.id,
        category=rule.category,
        severity=severity,
        severity_reason=rule.severities[claim.severity],
        confidence=claim.confidence,
        title=claim.title,
        explanation=claim.explanation,
        consequence=rule.consequence,
        fix=claim.fix,
        evidence=evidence,
        found_by=(Finder(kind="lesson" if rule.kind == "lesson" else "rule"),),
    )


def judge(findings: Iterable[Finding], fail_on: Severity) -> Literal["PASS", "CONCERNS", "FAIL"]:
    """FAIL for a verified finding at or above ``fail_on`` that is new; CONCERNS for any other HIGH or MEDIUM; else PASS."""
    active = [f for f in findings if f.active]
    if any(f.verified and f.severity.at_least(fail_on) and f.status == "new" for f in active):
        return "FAIL"
    return "CONCERNS" if any(f.severity.at_least(Severity.MEDIUM) for f in active) else "PASS"
