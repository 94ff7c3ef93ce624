"""Words that say that the plan is not finished."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, at, rule
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.standing import Standing

_MARKER = re.compile(
    r"""(?<![\w`"'\u201c/-])(?:(?:TBD|TBC|FIXME)(?=\W{0,2}$|[.,;:)\]]|\s(?:at|until|by|in|after|pending|with|once|\(|-|\u2014))
    |TODO(?=\s?[:(])|\[?NEEDS\ CLARIFICATION\b
    |(?<=is\ )to\ be\ (?:determined|decided|defined)(?=\W{0,2}$|[.,;)])|(?<=are\ )to\ be\ (?:determined|decided|defined)(?=\W{0,2}$|[.,;)]))""",
    re.VERBOSE,
)
_TALK = re.compile(
    r"\b(?:no|any|without|zero|remaining|mark(?:er|ed)?s?|placeholders?|resolve[ds]?|replace|comments?|search|grep|scan(?:ned)?|says?|shows?|outdated|obsolete|stale|removed?|fixed)\b",
    re.IGNORECASE,
)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find TBD, TODO:, NEEDS CLARIFICATION in what is to be built; markers in quotes, code, or that a sentence speaks about are none."""
    marked: dict[str, list[Sentence]] = {}
    for sentence in document.sentences:
        m = _MARKER.search(sentence.prose)
        if (
            not m
            or sentence.where == "heading"
            or document.standing(sentence)
            in (Standing.STATUS, Standing.EXAMPLE, Standing.OTHER, Standing.REJECTED, Standing.FORM)
        ):
            continue
        around = sentence.prose[: m.start()][-40:] + sentence.prose[m.end() :][:30]
        if (
            (sentence.where == "cell" and len(sentence.prose) < 40)
            or not _TALK.search(around)
            or "CLARIFICATION:" in sentence.prose
        ):
            marked.setdefault(m[0].upper().strip("["), []).append(sentence)
    for marker, found in marked.items():
        yield Claim(
            Severity.LOW,
            f"Unfinished: {marker}" + (f", {len(found)} times" if len(found) > 1 else f' in "{found[0].plain[:60]}"'),
            f'The plan leaves {"these" if len(found) > 1 else "this"} open: "{found[0].plain[:140]}".',
            "Decide it, or say who does and by when.",
            at(*found),
            tuple(s.plain[:80] for s in found[:3]),
        )


RULE = rule("unfinished-marker", check)
