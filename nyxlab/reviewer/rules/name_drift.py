"""One thing under two names: types that differ in their role word alone, names that nothing defines beside a near one that is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, rule
from nyxlab.reviewer.text.blocks import CODE
from nyxlab.reviewer.text.code import is_code
from nyxlab.reviewer.text.document import Document, group
from nyxlab.reviewer.text.standing import Standing

_ROLES = ("Manager", "Handler", "Controller", "Coordinator", "Processor", "Helper", "Executor", "Supervisor")
"""Words for whoever does it, that one author uses for one thing; a Service and a Repository of one name are two things."""
_NAME = re.compile(rf"(?<![\w.])I?([A-Z][a-z]\w{{2,40}}?)({'|'.join(_ROLES)})(?![\w(])")
_ROUTE = re.compile(r"(?<![\w.:])(/[a-z][\w/-]*(?:\{\w+\}|:\w+)[\w/{}:-]*)")
_PARAMETER = re.compile(r"\{(\w+)\}|:(\w+)")
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]+")
_STARRED = re.compile(r"(?<![*\w])([A-Z]\w*(?:\*\w+)+(?:_\w+)?)(?![*\w])")


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a type that one part calls ToolbarManager and another ToolbarHandler, a path parameter that has two names in one place, and a name whose underscores a formatter has turned into asterisks."""
    yield from _roles(document)
    yield from _routes(document)
    yield from _starred(document)
    yield from _types(document)


def _roles(document: Document) -> Iterator[Claim]:
    """Judge names that share all but the role, each of which stands in parts of its own."""
    seen: dict[str, dict[str, list[Place]]] = {}
    for path, line, text in _named(document):
        for m in _NAME.finditer(text):
            seen.setdefault(m[1], {}).setdefault(m[2], []).append(Place(path, line, line))
    drifts: dict[tuple[str, ...], list[tuple[str, str, str, Place, Place]]] = {}
    for base, roles in seen.items():
        if len(roles) != 2:
            continue
        (one, first), (two, second) = roles.items()
        sections = [{(p.path, document.section_at(p.path, p.start)) for p in places} for places in (first, second)]
        if sections[0] & sections[1] or (
            len({p.path for p in (*first, *second)}) > 1 and min(len(first), len(second)) > 2
        ):
            continue
        drifts.setdefault(tuple(sorted((one, two))), []).append((base, one, two, first[0], second[0]))
    for roles_, found in drifts.items():
        told = ", ".join(f"{base}{one} and {base}{two}" for base, one, two, _, _ in found[:4])
        yield Claim(
            Severity.LOW,
            f"One thing, two names: {told}",
            "The two names stand in parts of their own and never side by side; only one of them will exist.",
            "Choose one name and use it everywhere.",
            tuple(dict.fromkeys(p for *_, a, b in found for p in (a, b))),
            tuple(base for base, *_ in found),
            roles_,
            confidence=0.8,
        )


def _named(document: Document) -> Iterator[tuple[str, int, str]]:
    """Yield the lines of code and trees, and the code spans and headings of the text, that are the plan's own."""
    for sentence in document.sentences:
        if document.standing(sentence) not in (Standing.REJECTED, Standing.STATUS, Standing.OTHER):
            yield sentence.path, sentence.line, sentence.text
    for fence in document.fences:
        if document.standings.heading(fence.section) not in (Standing.REJECTED, Standing.STATUS, Standing.OTHER):
            for offset, line in enumerate(fence.text.split("\n"), 1):
                if not line.lstrip().startswith(("#", "//", "*")) or not is_code(fence):
                    yield fence.path, fence.line + offset, line


def _routes(document: Document) -> Iterator[Claim]:
    """Judge the routes of tables by the names of their parameters: one place in a route has one name."""
    by_shape: dict[tuple[str, ...], dict[str, list[tuple[str, Place]]]] = {}
    for table in document.tables:
        for row in table.rows:
            for cell in row.cells:
                for m in _ROUTE.finditer(cell):
                    parts = m[1].strip("/").split("/")
                    for n, part in enumerate(parts):
                        if (p := _PARAMETER.fullmatch(part)) and n:
                            names = by_shape.setdefault(tuple(_PARAMETER.sub("{}", x) for x in parts[:n]), {})
                            names.setdefault(p[1] or p[2], []).append((m[1], Place(table.path, row.line, row.line)))
    for shape, names in by_shape.items():
        if len(names) > 1 and all(len(re.split("_|(?=[A-Z])", name)) > 1 for name in names):
            told = list(names.items())
            yield Claim(
                Severity.HIGH,
                f"/{'/'.join(shape)}/\u2026 takes {' and '.join(names)} in one place",
                "; ".join(f"{route} has {name}" for name, uses in told for route, _ in uses[:1]) + ".",
                "Give the parameter one name, and say what it identifies.",
                tuple(dict.fromkeys(uses[0][1] for _, uses in told[::-1])),
                tuple(names),
            )


def _types(document: Document) -> Iterator[Claim]:
    """Judge the types that signatures name and nothing else does, by a declared type with the same first and last word."""
    declared = {d.name: d for code in document.code for d in code.declared if d.kind == "type"}
    by_ends = group(((w[0], w[-1]), n) for n in declared if len(w := _HUMPS.findall(n)) > 2)
    imported = {name for code in document.code for name in code.imported}
    for code in document.code:
        for name, line in code.named.items():
            own = _HUMPS.findall(name)
            near = (
                [n for n in by_ends.get((own[0], own[-1]), ()) if len(_HUMPS.findall(n)) > len(own)]
                if len(own) > 1
                else []
            )
            if name in declared or len(near) != 1:
                continue
            if document.words[name] == document.code_words[name] and name not in imported:
                home = declared[near[0]]
                yield Claim(
                    Severity.MEDIUM,
                    f"{name} is declared nowhere; {near[0]} is",
                    f"A signature names {name}; the plan declares {near[0]}.",
                    f"Use {near[0]}, or declare {name}.",
                    (Place(code.fence.path, line, line), Place(home.path, home.line, home.line)),
                    (name, near[0]),
                )


def _starred(document: Document) -> Iterator[Claim]:
    """Judge names with asterisks by the same names with underscores."""
    found: dict[str, Place] = {}
    for sentence in document.sentences:
        if "*" in sentence.text:
            for m in _STARRED.finditer(CODE.sub("", sentence.text)):
                found.setdefault(m[1], Place(sentence.path, sentence.line, sentence.end_line))
    known = {
        name: None for name in found if any(name.replace("*", "_") in file.text for file in document.files.values())
    }
    if known:
        yield Claim(
            Severity.LOW,
            f"{', '.join(list(known)[:4])}: the underscores have become asterisks",
            f"The plan also writes {next(iter(known)).replace('*', '_')}; a formatter has taken the name for emphasis.",
            "Write the name as code, or escape its underscores.",
            tuple(dict.fromkeys(found[name] for name in known)),
            tuple(known),
        )


RULE = rule("name-drift", check)
