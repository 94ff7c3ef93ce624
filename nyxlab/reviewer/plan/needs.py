"""Needs: what has to be done before what, from sentences ("depends on", "before", "once …") and dependency tables."""

import re
from collections.abc import Iterator, Sequence
from itertools import product

from nyxlab.reviewer.plan.model import Need, Phase, Plan, Task, Unit
from nyxlab.reviewer.text.blocks import Heading, Row, Sentence, Table
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.labels import Label, labels
from nyxlab.reviewer.text.words import NEGATION, WORK

_VERB = re.compile(
    r"""\b(?P<needs>depends?\ (?:up)?on|dependent\ on|needs?\b(?!\s+to\b)|requires?|blocked\ by|waits?\ for
      |consumes\s?:|prerequisites?\s?:|dependenc(?:y|ies)\s?:
      |(?:start|begin|come|run|do|done|implement(?:ed)?|proceed|parallel)\w*\s(?:\w+\s){0,2}?(?:after|once)
      |(?<=\()after(?=\s[^()]{1,40}\))|once(?=\s(?-i:[A-Z])))
    |\b(?P<before>(?:must|should|has\ to|have\ to)\s(?:be\s)?(?:complete|finish|done|come|land|ship|run|exist)\w*
        \s(?:\w+\s)?before
      |(?:is|are)\s(?:\w+\s)?(?:needed|required)\s(?:by|for|before)|blocks|before(?=\s(?-i:[A-Z]))
      |prerequisites?\sfor|unblocks)""",
    re.IGNORECASE | re.VERBOSE,
)
_CLAUSE = re.compile(r"[;\u2014]|\.\s|\s-\s|,?\s(?:but|so that|because|since|which|while|can|then|and can)\b|\)")
_NONE = re.compile(
    r"\bno(?:thing|ne)?\b[^.;]{0,20}$|\bnot?\s+$|n['\u2019]t\s+$|\bindependent\b|\bnever\b", re.IGNORECASE
)
_COLUMN = re.compile(r"\b(?:depends|dependenc|needs|blocked by|prerequisite|requires|after)", re.IGNORECASE)
_SUBJECT = re.compile(
    r"^(?:#|(?:id|no\.?|step|phase|task|stage|milestone|story|epic|item|order|unit|week|sprint|ticket|pr)\b)",
    re.IGNORECASE,
)
_INTERFACE = re.compile(r"^\W*(produces|consumes)\b", re.IGNORECASE)
_CALLED = re.compile(r"`(?:async )?(?:function |def |class )?([A-Za-z_]\w{2,60})(?=[(`<:])")
_NEAR = 60  # characters between a verb and the first thing that is needed
_NUMBER = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3})*)(?![\w.])")


def needs_of(document: Document, plan: Plan) -> Iterator[Need]:
    """Yield every need that is stated between two parts of the work."""
    if not plan.tasks:
        return
    at, under = _holders(document, plan)
    for sentence in document.sentences:
        if sentence.where == "cell" or not _VERB.search(sentence.prose):
            continue
        if sentence.where == "heading":
            yield from _said(document, plan, sentence, under.get(sentence.section, []))
        elif not document.standing(sentence):
            yield from _said(document, plan, sentence, at.get((sentence.path, sentence.line), []))
    for table in document.tables:
        yield from _tabled(plan, table)
    yield from _interfaces(document, plan)


def _interfaces(document: Document, plan: Plan) -> Iterator[Need]:
    """Yield what the interfaces of phases say: who consumes a name needs whoever produces it."""
    made: dict[str, Phase] = {}
    used: list[tuple[str, Phase, Sentence]] = []
    for phase in plan.phases:
        for sentence in document.sentences.within(phase.path, phase.line, phase.end_line):
            m = _INTERFACE.match(sentence.prose) if "`" in sentence.text else None
            for name in _CALLED.findall(sentence.text) if m else ():
                if m and m[1].lower() == "produces":
                    made.setdefault(name, phase)
                else:
                    used.append((name, phase, sentence))
    for name, phase, sentence in used:
        on = made.get(name)
        if on and on is not phase and on.path == phase.path:
            yield Need(phase, on, sentence.path, sentence.line, sentence, f"consumes {name}")


def _holders(
    document: Document, plan: Plan
) -> tuple[dict[tuple[str, int], list[Unit]], dict[Heading | None, list[Unit]]]:
    """Return whom a sentence without a subject speaks of: who holds its line, the tasks right under a heading."""
    at: dict[tuple[str, int], list[Unit]] = {}
    for phase in plan.phases:
        first = min((t.line for t in phase.tasks), default=phase.end_line + 1)
        at |= {(phase.path, n): [phase] for n in range(phase.line, min(phase.end_line + 1, max(first, phase.line + 1)))}
        for task in phase.tasks:
            at |= {(task.path, n): [task if task.number else phase] for n in range(task.line, task.end_line + 1)}
    under: dict[Heading | None, list[Unit]] = {}
    for task in plan.tasks:
        under.setdefault(document.headings.last(task.path, task.line - 1), []).append(task)
    under.pop(None, None)
    return at, under


def _said(document: Document, plan: Plan, sentence: Sentence, holders: Sequence[Unit]) -> Iterator[Need]:
    """Yield the needs that a sentence states, verb by verb, of what it names before or else of who holds it."""
    text = sentence.prose
    named = [
        i for i in document.labels_of.get(sentence, ())
        if _is_work(i) and text[i.start - 1 : i.start] != "["
    ]  # fmt: skip
    begin = 0
    before: list[Unit] = []
    for m in _VERB.finditer(text):
        if _NONE.search(text, max(0, m.start() - 30), m.start()):
            begin = m.end()
            continue
        clauses = (
            c.start() for c in _CLAUSE.finditer(text, m.end()) if c[0] != ")" or not _inside(text, m.end(), c.start())
        )
        stop = next(clauses, len(text))
        after = [i for i in named if m.end() <= i.start < stop and not _inside(text, m.end(), i.start)]
        objects = plan.named(after if after and after[0].start - m.end() <= _NEAR else [])
        stated = plan.named([i for i in named if begin <= i.start < m.start()]) or before
        begin, before = stop, stated
        if NEGATION.search(text[m.end() : m.end() + 12]):
            continue
        for one, other in product(stated or holders, objects):
            of, on = (other, one) if m["before"] else (one, other)
            nested = (isinstance(on, Task) and on.phase is of) or (isinstance(of, Task) and of.phase is on)
            if of is not on and not nested:
                yield Need(of, on, sentence.path, sentence.line, sentence, text[m.start() : stop].strip())


def _inside(text: str, start: int, at: int) -> bool:
    """Whether what stands at ``at`` lies in brackets that were opened after ``start``."""
    return text.count("(", start, at) > text.count(")", start, at)


def _is_work(label: Label) -> bool:
    return not label.family.islower() or label.family in WORK


def _tabled(plan: Plan, table: Table) -> Iterator[Need]:
    """Yield the needs of a table that has a column for them."""
    columns = [n for n, cell in enumerate(table.header) if _COLUMN.search(cell) and len(cell) < 40]
    subject = next((n for n, cell in enumerate(table.header) if _SUBJECT.match(cell) and n not in columns), 0)
    head = _SUBJECT.match(table.header[subject]) if table.header else None
    family = head[0].lower() if head else ""
    family = family if family in WORK or not head else "task"
    for row in table.rows if len(columns) == 1 else ():
        words = row.cells[columns[0]]
        for one in _cell(plan, table, row, row.cells[subject], family)[:1]:
            others = (other for other in _cell(plan, table, row, words, family) if other is not one)
            yield from (Need(one, other, table.path, row.line, None, words) for other in others)


def _cell(plan: Plan, table: Table, row: Row, text: str, family: str) -> list[Unit]:
    """Return the parts of the work that a cell names: labels, or bare numbers of the table's own family."""
    sentence = Sentence(table.path, row.line, row.line, table.section, text, text, text, "cell", True)
    if named := [i for i in labels(sentence) if _is_work(i)]:
        return plan.named(named)
    bare = [plan.find(family, n, table.path) for n in _NUMBER.findall(text) if family]
    return list(dict.fromkeys(u for u in bare if u))
