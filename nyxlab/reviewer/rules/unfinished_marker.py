"""K11: a marker that says the author has not finished."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.document import Document
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.mentions import modality
from nyxlab.reviewer.rules.base import Claim, Rule, at

_MARKER = re.compile(
    r"\b(?:TODO|TBD|TBC|TBA|FIXME|XXX|WIP|T\.B\.[DCA]\.?)(?![\w-])|(?<=:\s)(?:tbd|tbc|tba|todo)\b|\?\?\?+|(?<!\S)\?\?(?!\S)|(?<!\S)_{3,8}(?!\S)|\b(?:NEEDS? (?:CLARIFICATION|DECISION|INPUT)|Needs (?:clarification|decision|input))\b"
    r"|(?<!need )(?<!needs )(?<!have )(?<!has )\b(?i:to be (?:decided|determined|defined|confirmed|specified|filled in|clarified|announced))\b(?! (?:by|as|from|at|during|when|in))"
    r"|\b(?i:yet to be (?:agreed|decided|defined|determined|written|confirmed)|(?:has|have|is|are) not (?:yet )?been (?:decided|agreed|defined|settled)(?: yet)?|(?:is|are) (?:not yet|still) (?:undecided|decided|open|unclear|missing|under discussion)|(?:will|must|needs? to|has to|have to) be (?:decided|defined|specified|written|agreed|filled in|added|clarified|worked out) later|(?:we|someone|somebody) (?:still )?(?:need|needs|have|has) to (?:figure (?:this|that|it) out|decide|define|specify|clarify|work (?:this|it) out)|(?:is|are) (?:not|un)\\s?finished|(?:more )?details (?:to follow|will follow|are missing)|coming soon|(?:section|chapter|page) is a stub)\b|\b(?i:lorem ipsum)\b|[\[<](?i:fill (?:in|me)|insert|your|add|describe|name)\b[^\]>]{0,60}[\]>]|<(?i:name|date|value|number|tbd|owner|team)>|^\W{0,4}(?i:to be (?:written|completed|added|done|continued|filled))\W{0,4}$|^\W{0,3}\.\.\.$|\{\{\s?\w{1,30}\s?\}\}|\b(?i:placeholder text|write me)\b"
)
_ABOUT = re.compile(
    r"(?i)\b(?:no|zero|without|any|all|resolve[sd]?|remaining|removed?|every|these|those|unresolved|leave|left)\b[^.]{0,40}$|\b(?:a|the|an|of|as|our|its)\s[\"'(]?$"
)
_NOUN = re.compile(
    r"(?i)[\"')\]]{0,2}s?\s(?:comments?|markers?|lists?|items?|apps?|entries|annotations?|tags?|remain)\b"
)


def check(document: Document) -> Iterator[Claim]:
    """Find a marker such as TODO, TBD, ??? or NEEDS CLARIFICATION in the text; talking about such markers is not one, and code is none."""
    for sentence in document.sentences:
        for m in _MARKER.finditer(sentence.prose):
            before = sentence.prose[max(0, m.start() - 60) : m.start()]
            if (
                _NOUN.match(sentence.prose, m.end())
                or (_ABOUT.search(before) and sentence.where != "cell")
                or (sentence.where == "heading" and m[0].islower())
            ):
                continue
            demanded = (
                modality(sentence.prose) in ("must", "must not")
                or "CLARIF" in m[0].upper()
                or "DECISION" in m[0].upper()
            )
            yield Claim(
                Severity.MEDIUM if demanded else Severity.LOW,
                f"Unfinished: {m[0]}",
                f'The text is marked as unfinished with "{m[0]}".',
                "Decide what is left open and write it down, or move it to the open questions with an owner.",
                at(sentence),
                (m[0], sentence.plain[:200]),
                confidence=0.95,
            )
            break


RULE = Rule(
    id="unfinished-marker",
    kind="K11",
    category=Category.VAGUE,
    consequence="Whoever builds it decides alone, or stops and asks.",
    severities={
        Severity.MEDIUM: "a demand or an open clarification: what is built depends on the answer",
        Severity.LOW: "a note of the author to themselves; what is built need not change",
    },
    firing=(
        "The retention is TBD.\n",
        "- [NEEDS CLARIFICATION: who owns this?]\n",
        "| Business | ??? |\n|---|---|\n| a | TBD |\n",
    ),
    quiet=(
        "Call `context.TODO()` first.\n",
        "- [x] No [NEEDS CLARIFICATION] markers remain\n",
        "```\n# TODO\n```\n",
        "Remove the TODO comments.\n",
    ),
    check=check,
)
