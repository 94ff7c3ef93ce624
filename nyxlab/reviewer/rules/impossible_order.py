"""K6: an order of steps in which nobody can work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nyxlab.reviewer.document import Document, Fence, Heading, Identifier, Sentence, Table, group
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Place, Rule, Spanned, at

_NEEDS = re.compile(
    r"\b(?:depend(?:s|ent|ing)? (?:up)?on|requires?|needs?|prerequisites?|blocked (?:by|on|until)|waits? (?:for|on|until)|builds? (?:up)?on|relies on|based on the (?:results?|output) of|"
    r"(?:can|may|must|should|will)(?: only)? (?:start|begin|run|follow|happen|come)s?(?: only)? (?:once|after|when)|starts? (?:only )?(?:once|after|when)|only (?:once|after)|comes? after|"
    r"can(?:not|'t) (?:start|begin|run|happen|be (?:started|done)) (?:before|until|unless)|once|as soon as|follows|is done after|after|preceded by|not before|(?:created|produced|built|generated|issued|obtained|written) (?:in|by|during))\b(?! (?:no|none|nothing|n/a))",
    re.IGNORECASE,
)  # fmt: skip
_PART = r"(?:[`*\"_]*(?:(?:phase|step|stage|milestone|task|story|sprint|iteration)\s\d{1,3}|[\w][\w.-]{0,40}))[`*\"_]*"
_LINKS = (
    r"depends? (?:up)?on|requires?|needs|imports?(?: from)?|waits? for|builds? (?:up)?on|relies on|(?:is |are )?blocked by|must come after|comes after"
    r"|can(?:not|'t) (?:start|begin|run|be (?:started|done|built)) (?:until|before|without|unless)|needs (?:the )?results of"
)
_BACK = r"blocks|unblocks|precedes|(?:must|has to|needs to) (?:be (?:finished|done|complete[d]?)|come|finish|run|happen) before|comes before|is (?:a )?prerequisite (?:for|of|to)"
_CLAUSE = re.compile(
    rf"(?i)(?:^|[;,.:(]\s|\band\s)\W{{0,4}}(?:the |service |module |component |package |team )*(?P<who>{_PART})(?: (?:module|service|component|package|team|job))?[,\s(]+(?:(?P<needs>{_LINKS})|(?P<back>{_BACK})) (?:the |service |module |component |package |team )*(?P<what>{_PART})"
)
_COLUMN = re.compile(
    r"(?i)(?:depends? on|dependenc(?:y|ies)|dependent on|requires?|needs|blocked by|prerequisites?|after|predecessors?)"
)
_EDGE = re.compile(
    r"(?<!\w)(\w{1,40})(?:[\[(][^\])\n]{0,80}[\])]{1,2})?\s{0,4}(?:-{2,6}>|={2,6}>|-\.->)\s{0,4}(?=(\w{1,40}))"
)
_NAMELESS = frozenset(
    [
        "it",
        "this",
        "that",
        "these",
        "those",
        "which",
        "what",
        "they",
        "we",
        "you",
        "one",
        "each",
        "there",
        "everything",
        "nothing",
        "also",
        "only",
        "then",
        "who",
        "and",
        "or",
        "not",
        "but",
    ]
)
_ENDS = re.compile(
    r"[.;]\s|\)(?:\s|$)|\b(?:covers?|blocks|blocking|enables|unblocks|but|before|independent|while|whereas|because|instead)\b|\s\u2014\s|\bnot\b",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"\b(?:not|no longer|never|don't|doesn't|without|no|optional(?:ly)?|nothing)\W+(?:\w+\W+){0,2}$", re.IGNORECASE
)
_STAGES = {"pre-alpha": 0, "alpha": 1, "beta": 2, "ga": 3, "stable": 3, "general availability": 3}
_STAGE = re.compile(r"\b(pre-alpha|alpha|beta|GA|stable|general availability)\b", re.IGNORECASE)
_THIS = re.compile(
    r"\b(?:this|the present) (phase|step|stage|milestone|story|task|part|iteration|sprint)\b", re.IGNORECASE
)
_TIMED = frozenset(
    {"T", "phase", "step", "stage", "milestone", "iteration", "sprint", "task", "T-", "TASK-", "S", "M", "part"}
)
_STEPS = _TIMED | {"US", "US-", "FR-", "FR", "REQ-", "R", "R-", "E", "E-"}
_ORDERED = ("grade", "phase", "step", "stage", "milestone", "iteration", "sprint")
"""What is done in the order of its numbers: of a circle among these, only the need that looks ahead is wrong."""


@dataclass(frozen=True, slots=True)
class _Need:
    """``who`` cannot start before ``what`` is done: (family, number) pairs."""

    who: tuple[str, str]
    what: tuple[str, str]
    sentence: Spanned


def check(document: Document) -> Iterator[Claim]:
    """Find a step, task or phase that needs a later one, or several that need each other, so that none can start."""
    defined = {
        (i.family, _key(i.number)): i
        for found in document.definitions.values()
        for i in reversed(found)
        if i.rank > 0 and i.family in _STEPS
    }
    mentioned = group((i.sentence, i) for i in document.identifiers if i.family in _STEPS)
    names = _titles(defined)
    needs: list[_Need] = []
    owner: tuple[str, str] | None = None
    counted = {} if any(part[0] == "step" for part in defined) else _counted(document)
    for sentence in document.sentences:
        here = mentioned.get(sentence, ())
        if sentence.first:
            own = next((i for i in here if i.defines), None) if sentence.where in ("item", "task") else None
            owner = (own.family, _key(own.number)) if own else counted.get((sentence.path, sentence.line))
        needs.extend(_needs(sentence, here, names, owner))
        needs.extend(_clauses(sentence))
    needs = list({(n.who, n.what, n.sentence): n for n in needs}.values())
    needs += [n for table in document.tables for n in _rows(table)]
    needs += [n for fence in document.fences for n in _drawn(fence)]
    looped: set[tuple[str, str]] = set()
    for loop in _cycles(needs):
        forward = [n for n in loop if _order(n.what) > _order(n.who)]
        if (
            len(forward) > 1
            or loop[0].who[0] not in _ORDERED
            or not any(n.who in defined or n.who[0] == "grade" for n in loop)
        ):
            looped |= {n.who for n in loop}
            yield _cycle(loop)
    for need in needs:
        if {need.who, need.what} <= looped or need.who[0] != need.what[0] or _order(need.what) <= _order(need.who):
            continue
        one, two = defined.get(need.who), defined.get(need.what)
        late = need.who in counted.values() and need.what in counted.values()
        if need.who[0] not in _TIMED | {"grade"}:
            continue
        if need.who[0] != "grade" and not late and not (one and two and (one.path != two.path or one.line < two.line)):
            continue
        yield Claim(
            Severity.HIGH,
            f"{_name(need.who)} needs {_name(need.what)}, which comes later",
            f"{_name(need.who)} is planned before {_name(need.what)} but cannot start without it.",
            "Move one of the two, or take the shared part into a step of its own ahead of both.",
            at(need.sentence, *([two] if two else [])),
            (_name(need.who), _name(need.what)),
        )


def _counted(document: Document) -> dict[tuple[str, int], tuple[str, str]]:
    """Return the items of the one outermost ordered list as its steps, by where they stand; nothing where there are several."""
    lists = [b for b in document.lists if b.ordered and b.depth == 0 and len(b.items) > 1]
    if len(lists) != 1:
        return {}
    return {(i.path, i.line): ("step", str(i.number or n)) for n, i in enumerate(lists[0].items, 1)}


def _clauses(sentence: Sentence) -> Iterator[_Need]:
    """Read every "A depends on B" and "A blocks B" of a sentence whose sides are a name each."""
    for m in _CLAUSE.finditer(sentence.plain) if len(sentence.plain) < 2000 else ():
        one, two = _part(m["who"]), _part(m["what"])
        if one and two and one[0] == two[0]:
            yield _Need(one, two, sentence) if m["needs"] else _Need(two, one, sentence)


def _part(text: str) -> tuple[str, str] | None:
    """Read a name as a part of the plan: a numbered one, an identifier, or any other name."""
    name = text.strip('`*"_.').lower()
    if m := re.fullmatch(r"([a-z]+)\s(\d+)|([a-z]{1,9}-?)(\d{1,4}[a-z]?)", name):
        return (m[1], _key(m[2])) if m[1] else (m[3].upper(), _key(m[4]))
    return None if name in _NAMELESS or len(name) < 2 else ("name", name)


def _rows(table: Table) -> Iterator[_Need]:
    """Read a table with a column of what each row depends on."""
    column = next((n for n, title in enumerate(table.header) if n and _COLUMN.fullmatch(title.strip(" *_:`"))), None)
    for row in table.rows if column else ():
        if column and column < len(row.cells):
            who = row.cells[0].strip(" *`")
            for what in re.findall(r"[\w.-]*\w", row.cells[column]):
                yield _Need(("row", who), ("row", what), Place(table.path, row.line, row.line))


def _drawn(fence: Fence) -> Iterator[_Need]:
    """Read the arrows of a drawn dependency graph; a flow chart of states may go round."""
    if re.match(r"\s*(?:graph|flowchart)\b", fence.text) and not re.search(r"\{[^}]*\}|\|", fence.text):
        for m in _EDGE.finditer(fence.text):
            yield _Need(("node", m[2]), ("node", m[1]), Place(fence.path, fence.line, fence.end_line))


def _key(number: str) -> str:
    return number.lstrip("0") or "0"


def _order(part: tuple[str, str]) -> tuple[float, str]:
    number = re.match(r"\d+(?:\.\d+)?", part[1])
    return (float(number[0]) if number else 0.0, part[1])


def _name(part: tuple[str, str]) -> str:
    family, number = part
    if family == "grade":
        return next(name for name, value in _STAGES.items() if str(value) == number).title().replace("Ga", "GA")
    if family in ("name", "row", "node"):
        return number
    return (
        f"{family.title()} {number}" if family.islower() else f"{family}{number.zfill(3) if family == 'T' else number}"
    )


def _titles(defined: Mapping[tuple[str, str], Identifier]) -> dict[str, tuple[str, str]]:
    """Names that stand for a numbered phase: "User Story 1" and "Foundational" in "Phase 3: User Story 1 - Foundational (MVP)"."""
    names: dict[str, tuple[str, str]] = {}
    for part, found in defined.items():
        if part[0] in ("phase", "step", "stage") and found.sentence.where == "heading":
            title = re.sub(r"^\W*\w+ [\d.]+\w?\W+", "", found.sentence.plain)
            short = re.split(r"[(\u2014\u2013:]| - ", title)[0].strip().lower()
            for name in {short, *re.findall(r"user story \d+", title.lower())}:
                if 2 < len(name) < 40:
                    names.setdefault(name, part)
    return names


def _needs(
    sentence: Sentence,
    mentioned: tuple[Identifier, ...],
    names: Mapping[str, tuple[str, str]],
    owner: tuple[str, str] | None,
) -> Iterator[_Need]:
    """Read "A depends on B": A is named before the verb, or is the item or the section that the sentence stands in."""
    text = sentence.plain
    verb = next(
        (m for m in _NEEDS.finditer(text) if not _NOTHING.search(text[max(0, m.start() - 30) : m.start()])), None
    )
    if verb is None:
        return
    rest = text[verb.end() : verb.end() + 240]
    stop = _ENDS.search(rest.removeprefix(":"))
    rest = rest[: stop.start() + rest.startswith(":")] if stop else rest
    head = text[: verb.start()]
    what = [
        (i.family, _key(i.number))
        for i in mentioned
        if i.name in rest or f"{i.family} {i.number}".lower() in rest.lower()
    ]
    what += [part for name, part in names.items() if name in rest.lower()]
    who = _who(sentence, head, mentioned, names, owner)
    if (who and what and verb[0].lower() not in ("after", "follows", "needs", "requires", "need", "require")) or (
        who and sentence.first
    ):
        for other in dict.fromkeys(what):
            if who[0] == other[0]:
                yield _Need(who, other, sentence)
    grades = [("grade", str(_STAGES[m[1].lower()])) for m in _STAGE.finditer(rest)]
    if grades and verb[0].lower() not in ("after", "requires", "needs", "require", "need", "follows"):
        own = [("grade", str(_STAGES[m[1].lower()])) for m in _STAGE.finditer(head)] or (
            _graded(sentence.section) if _THIS.search(head) else []
        )
        if own and own[-1] != grades[0]:
            yield _Need(own[-1], grades[0], sentence)


def _graded(section: Heading | None) -> list[tuple[str, str]]:
    found = _STAGE.findall(section.text) if section else []
    return [("grade", str(_STAGES[found[0].lower()]))] if len(found) == 1 else []


def _who(
    sentence: Sentence,
    head: str,
    mentioned: tuple[Identifier, ...],
    names: Mapping[str, tuple[str, str]],
    owner: tuple[str, str] | None,
) -> tuple[str, str] | None:
    """Return what needs something: the item's own part, the last part named before the verb, else the section's."""
    if owner:
        return owner
    before = [
        i for i in mentioned if i.name.lower() in head.lower() or f"{i.family} {i.number}".lower() in head.lower()
    ]
    if before:
        first = before[0] if before[0].defines else before[-1]
        return (first.family, _key(first.number))
    named = [part for name, part in names.items() if re.match(rf"\W*{re.escape(name)}\b", head.lower())]
    if named:
        return named[0]
    section = sentence.section
    if section and (len(head.strip(" *:-")) < 4 or _THIS.search(head)):
        own = re.match(
            r"\W*(phase|step|stage|milestone|task|iteration|sprint|part)\s+#?(\d+(?:\.\d+)?[a-z]?)\b",
            section.text.lower(),
        )
        return (own[1], own[2]) if own else None
    return None


def _cycles(needs: list[_Need]) -> Iterator[list[_Need]]:
    """Yield one loop of needs for each group of parts that wait for each other; a depth-first walk without recursion."""
    edges = group((n.who, n) for n in needs if n.who != n.what)
    state: dict[tuple[str, str], int] = {}
    for root in edges:
        if root in state:
            continue
        path: list[_Need] = []
        stack: list[tuple[tuple[str, str], Iterator[_Need]]] = [(root, iter(edges[root]))]
        state[root] = 1
        while stack:
            node, rest = stack[-1]
            need = next(rest, None)
            if need is None:
                state[node] = 2
                stack.pop()
                if path:
                    path.pop()
            elif state.get(need.what) == 1:
                start = next(n for n, (part, _) in enumerate(stack) if part == need.what)
                yield [*path[start:], need]
            elif need.what in edges and need.what not in state:
                state[need.what] = 1
                path.append(need)
                stack.append((need.what, iter(edges[need.what])))


def _cycle(loop: list[_Need]) -> Claim:
    names = [_name(n.who) for n in loop]
    return Claim(
        Severity.CRITICAL,
        " \u2192 ".join([*names, names[0]]) + ": each needs the next",
        "; ".join(f"{a} needs {b}" for a, b in zip(names, [*names[1:], names[0]], strict=True))
        + ". None of them can ever start.",
        "Take what they share into a step of its own ahead of all of them, or drop one of the needs.",
        at(*(n.sentence for n in loop[-5:])),
        tuple(names),
    )


RULE = Rule(
    id="impossible-order",
    kind="K6",
    category=Category.ORDER,
    consequence="Work stops at a step that cannot start, or it is built without what it needs and redone.",
    severities={
        Severity.CRITICAL: "the steps need each other in a circle: there is no order at all in which they can be built",
        Severity.HIGH: "a step needs a later one: the order that is written down is impossible",
    },
    firing=(
        "## Step 1: A\n\nNeeds: Step 2.\n\n## Step 2: B\n",
        "## Phase 1\n\nDepends on Phase 2.\n\n## Phase 2\n\nDepends on Phase 1.\n",
        "- [ ] T001 Write it (depends on T002)\n- [ ] T002 Plan it\n",
        "Alpha builds on the results of GA.\n",
    ),
    quiet=(
        "## Step 1: A\n\n## Step 2: B\n\nNeeds: Step 1.\n",
        "- [ ] T001 Plan it\n- [ ] T002 Write it (depends on T001)\n",
        "## Phase 1\n\nDoes not depend on Phase 2.\n\n## Phase 2\n",
        "GA builds on the results of Beta.\n",
    ),
    check=check,
)
