"""Where a statement stands: whether it is the plan's own claim about what is to be built, or something else."""

from __future__ import annotations

import re
from enum import StrEnum

from nyxlab.reviewer.text.blocks import Heading, Sentence


class Standing(StrEnum):
    """What a passage is, where it is no claim."""

    REJECTED = "rejected"  # an alternative that was not chosen, or one of several to choose from
    FUTURE = "future"  # out of scope, or later than this plan
    STATUS = "status"  # history: what was done, changed, reviewed
    EXAMPLE = "example"  # shown, not demanded
    OTHER = "other"  # words of, or about, another document
    FORM = "form"  # boilerplate that every plan of the form holds
    TERMS = "terms"  # a glossary: words, not demands


ASIDE = (Standing.STATUS, Standing.EXAMPLE, Standing.OTHER, Standing.REJECTED)
"""What is not about what is to be built."""

_HEADINGS: tuple[tuple[Standing, re.Pattern[str]], ...] = tuple(
    (standing, re.compile(rf"^\W*(?:[\dA-Z]{{1,2}}(?:\.\d+)*[.):]?\s+)?(?:{words})", re.IGNORECASE))
    for standing, words in (
        (Standing.REJECTED, r".{0,30}\balternatives?\b|.{0,20}\bconsidered\b|rejected|option [\dA-Z]\b|approach [\dA-Z]\b|discarded|prior art|why not\b|drawbacks"),
        (Standing.FUTURE, r"(?!goals?\b).{0,20}\bnon[- ]?goals?\b|.{0,20}\bout[- ]of[- ]scope|not in scope|.{0,30}\bfuture\b|.{0,20}\(future\)|later\b|deferred|stretch|nice[- ]to[- ]have|backlog|post[- ](?:mvp|launch)|phase \d.{0,40}\bfuture\b|open questions?|unresolved|unanswered|possible (?:extensions|follow)|follow[- ]?ups?"),
        (Standing.STATUS, r".{0,30}\bstatus\b|(?:the )?problems?\b|current\b|background\b|.{0,20}\bchange ?log\b|.{0,20}\bhistory\b|completed?\b|.{0,12}\bcompleted$|progress|current (?:state|metrics|architecture|structure)|(?:as[- ]is|today|existing (?:state|structure|architecture))$|what (?:was|has been) |lessons? learned|retrospective|review (?:log|notes|record|findings)|self[- ]review|sign-?off|revision|resolution log|checklist results"),
        (Standing.EXAMPLE, r".{0,30}\bexamples?\b|sample\b|usage\b|templates?\b|test (?:case|data|vectors?)|demo script|scenario:"),
        (Standing.OTHER, r"references?$|related (?:work|documents?|docs)|cross-spec|see also|sources?$|links$"),
        (Standing.FORM, r"format: ?`|path conventions|within each user story|(?:parallel )?team strategy|notes$|execution flow|documentation \(this feature\)|execution handoff"),
        (Standing.TERMS, r"glossary|terms|terminology|definitions|vocabulary|abbreviations"),
    )
)  # fmt: skip
_SENTENCE: tuple[tuple[Standing, re.Pattern[str]], ...] = tuple(
    (standing, re.compile(words, re.IGNORECASE))
    for standing, words in (
        (Standing.REJECTED, r"^\W*(?:alternatives?(?: considered)?|rejected|why not|instead of|cons|trade-?offs?|considered)\b[^.]{0,40}?[:\u2014]|\b(?:was|were) rejected\b|\brejected (?:because|as|since)\b|\bwe (?:considered|could have)\b"),
        (Standing.FUTURE, r"\b(?:out of scope|not in scope|in a (?:later|future|separate|follow-?up)|(?:deferred|postponed|left) (?:to|for|until)|future (?:work|phase|release|version|enhancement)|later (?:phase|release|version|proposal)|not (?:part of|covered by) this)\b|\((?:deferred|future|optional|stretch|later)\b|^\W*(?:deferred|future|optional|stretch)\b\W"),
        (Standing.STATUS, r"^\W*(?:status|previously|formerly|before|was|update|changed|fixed|resolved|superseded)\s{0,2}(?:\([^)]{0,30}\))?\s{0,2}[:\u2014]|\b(?:used to be|no longer|renamed from|replaced by|superseded by|moved to|was \d)\b|^\W*[\u2705\u2714\u23f3\U0001f504]|~~"),
        (Standing.EXAMPLE, r"\b(?:e\.g\.|for example|for instance|such as|example:|say,)|^\W*(?:examples?|sample)\b"),
        (Standing.FORM, r"^\W*(?:gate: must pass|for agentic workers|run: |expected: |required sub-skill|format: )"),
    )
)  # fmt: skip


_HISTORY = re.compile(r"\b(?:change ?log|changes|release notes|(?:release )?history)$", re.IGNORECASE)
_CHOSEN = re.compile(
    r"\b(?:recommended|chosen|selected|preferred|decided|we (?:use|take))\b|\u2705|\u2b50", re.IGNORECASE
)


class Standings:
    """Marks headings and sentences, each once."""

    def __init__(self) -> None:
        self._of: dict[int, Standing | None] = {}

    def heading(self, heading: Heading | None) -> Standing | None:
        """Return what a section is: by its own heading, else by the nearest one around it that says so."""
        if heading is None:
            return None
        found: list[Heading] = []
        node: Heading | None = heading
        while node is not None and id(node) not in self._of:
            found.append(node)
            node = node.parent
        above = self._of[id(node)] if node is not None else None
        for each in reversed(found):
            own = next((s for s, p in _HEADINGS if p.match(each.text)), None)
            if each.level == 1 and not _HISTORY.search(each.text):  # a title names the whole, whatever its words
                own = None
            own = None if own is Standing.REJECTED and _CHOSEN.search(each.text) else own
            above = self._of[id(each)] = own or above
        return above

    def sentence(self, sentence: Sentence, intro: Sentence | None = None) -> Standing | None:
        """Return what a sentence is: by its section, by the words right before its list, by being quoted, or by its own words."""
        section = self.heading(sentence.section)
        if not section and intro and len(intro.prose) < 60:
            section = next((s for s, p in _HEADINGS if p.match(intro.prose)), None)
        if section:
            return section
        if sentence.where == "quote":
            return Standing.OTHER
        return next((s for s, p in _SENTENCE if p.search(sentence.prose)), None)
