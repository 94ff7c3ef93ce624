"""Words that say that the plan is not finished."""

import re
from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.standing import ASIDE, Standing

_MARKER = re.compile(
    r"""(?<![\w`"'\u201c/-])
    (?:(?:TBD|TBC|FIXME)(?=\W{0,2}$|[.,;:)\]]|\s(?:at|until|by|in|after|pending|with|once|\(|-|\u2014))
    |TODO(?=\s?[:(])|\[?NEEDS\ CLARIFICATION\b
    |(?:(?<=is\ )|(?<=are\ ))to\ be\ (?:determined|decided|defined)(?=\W{0,2}$|[.,;)]))""",
    re.VERBOSE,
)
_TALK = re.compile(
    r"\b(?:no|any|without|zero|remaining|mark(?:er|ed)?s?|placeholders?|resolve[ds]?|replace|comments?|search|grep"
    r"|scan(?:ned)?|says?|shows?|outdated|obsolete|stale|removed?|fixed)\b",
    re.IGNORECASE,
)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find TBD, TODO:, NEEDS CLARIFICATION in what is to be built, not where a sentence quotes or speaks about one."""
    marked: dict[str, list[Sentence]] = {}
    for sentence in document.sentences:
        text, m = sentence.prose, _MARKER.search(sentence.prose)
        if not m or sentence.where == "heading" or document.standing(sentence) in (*ASIDE, Standing.FORM):
            continue
        around = text[: m.start()][-40:] + text[m.end() :][:30]
        cell = sentence.where == "cell" and len(text) < 40
        if cell or not _TALK.search(around) or "CLARIFICATION:" in text:
            marked.setdefault(m[0].upper().strip("["), []).append(sentence)
    for marker, found in marked.items():
        first, many = found[0].plain, len(found) > 1
        title = f"Unfinished: {marker}" + (f", {len(found)} times" if many else f' in "{first[:60]}"')
        told = f'The plan leaves {"these" if many else "this"} open: "{first[:140]}".'
        yield Claim(Severity.LOW, title, told, found, [s.plain[:80] for s in found[:3]])
