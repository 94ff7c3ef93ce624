"""Suppressions: ``<!-- nyxlab: ignore RULE because REASON -->`` silences a rule on one block of the plan."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.text.document import Document, group

_COMMENT = re.compile(r"(?<!`)<!--\s{0,9}nyxlab:\s{0,9}ignore\b((?:(?!-->|<!--).){0,600})-->", re.DOTALL)
_SAID = re.compile(r"\A\s{0,9}((?:[a-z0-9-]{1,60}\s{0,9},?\s{1,9}){1,12}?)because\s{1,9}(\S.{2,500})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Suppression:
    """One comment: the rules it names, its reason (None: none, so it silences nothing), the lines it covers."""

    path: str
    line: int
    end_line: int
    rules: frozenset[str]
    reason: str | None
    covers: range


def suppressions(document: Document) -> Iterator[Suppression]:
    """Yield every suppression outside of code.

    One that stands in a line of text covers the sentence, item or row there; one on lines of its own the next block,
    up to a blank line.
    """
    spoken = group((s.path, range(s.line, s.end_line + 1)) for s in document.sentences if s.where != "heading")
    for path, file in document.files.items():
        for found in _COMMENT.finditer(file.text):
            line = file.text.count("\n", 0, found.start()) + 1
            end = line + found[0].count("\n")
            fence = document.fences.last(path, line)
            if fence and line <= fence.end_line:
                continue
            here = [lines for lines in spoken.get(path, ()) if line in lines or end in lines]
            said = _SAID.match(found[1])
            names = said[1].replace(",", " ").split() if said else []
            covers = range(here[0].start, here[-1].stop) if here else _next_block(document, path, end)
            yield Suppression(path, line, end, frozenset(names), " ".join(said[2].split()) if said else None, covers)


def _next_block(document: Document, path: str, line: int) -> range:
    """Return the lines after ``line`` from the first that is not blank to the last before a blank one; fences whole."""
    lines = document.files[path].lines
    start = next((n for n in range(line, len(lines)) if lines[n].strip()), len(lines))
    end = next((n for n in range(start, len(lines)) if not lines[n].strip()), len(lines))
    if (fence := document.fences.last(path, start + 1)) and start < fence.end_line:
        end = fence.end_line
    return range(start + 1, end + 1)


def suppress(findings: Iterable[Finding], document: Document) -> tuple[Finding, ...]:
    """Return the findings with the reason on those that a suppression names and whose evidence touches its block."""
    known = group((s.path, s) for s in suppressions(document) if s.reason)
    told = []
    for finding in findings:
        reasons = (
            s.reason for e in finding.evidence for s in known.get(e.path, ())
            if finding.rule in s.rules and e.start_line < s.covers.stop and s.covers.start <= e.end_line
        )  # fmt: skip
        why = next(reasons, None)
        told.append(finding.model_copy(update={"suppressed": why}) if why else finding)
    return tuple(told)
