"""One thing under two names: types that differ in their role word alone, an undeclared name beside a near one."""

import re
from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, group, names
from nyxlab.reviewer.text.blocks import Row
from nyxlab.reviewer.text.code import is_code
from nyxlab.reviewer.text.standing import Standing

_ROLES = ("Manager", "Handler", "Controller", "Coordinator", "Processor", "Helper", "Executor", "Supervisor")
"""Words for whoever does it, that one author uses for one thing; a Service and a Repository are two things."""
_NAME = re.compile(rf"(?<![\w.])I?([A-Z][a-z]\w{{2,40}}?)({'|'.join(_ROLES)})(?![\w(])")
_ROUTE = re.compile(r"(?<![\w.:])(/[a-z][\w/-]*(?:\{\w+\}|:\w+)[\w/{}:-]*)")
_PARAMETER = re.compile(r"\{(\w+)\}|:(\w+)")
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]+")
_ASIDE = (Standing.REJECTED, Standing.STATUS, Standing.OTHER)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find one thing with two names: ToolbarManager and ToolbarHandler, a route's parameter, a type in a signature."""
    yield from _roles(document)
    yield from _routes(document)
    yield from _types(document)


def _roles(document: Document) -> Iterator[Claim]:
    """Judge names that share all but the role, each of which stands in parts of its own."""
    seen: dict[str, dict[str, list[Place]]] = {}
    for place, text in _named(document):
        for m in _NAME.finditer(text):
            seen.setdefault(m[1], {}).setdefault(m[2], []).append(place)
    drifts: dict[tuple[str, ...], list[tuple[str, Place, Place]]] = {}
    for base, roles in seen.items():
        first, second = [*roles.values()] if len(roles) == 2 else ([], [])
        sections = [{(p.path, document.headings.last(p.path, p.line)) for p in places} for places in (first, second)]
        far = len({p.path for p in (*first, *second)}) > 1 and min(len(first), len(second)) > 2
        if first and not sections[0] & sections[1] and not far:
            told = " and ".join(base + role for role in roles)
            drifts.setdefault(tuple(sorted(roles)), []).append((told, first[0], second[0]))
    for roles_, found in drifts.items():
        yield Claim(
            Severity.LOW, f"One thing, two names: {', '.join(told for told, _, _ in found[:4])}",
            "The two names stand in parts of their own and never side by side; only one of them will exist.",
            [p for _, *places in found for p in places], [told for told, _, _ in found], roles_,
        )  # fmt: skip


def _named(document: Document) -> Iterator[tuple[Place, str]]:
    """Yield the sentences, and the lines of code and trees without their comments, that are the plan's own."""
    for sentence in document.sentences:
        if document.standing(sentence) not in _ASIDE:
            yield Place(sentence.path, sentence.line, sentence.line), sentence.text
    for fence in document.fences:
        if document.standings[fence.section] not in _ASIDE:
            for number, line in enumerate(fence.text.split("\n"), fence.line + 1):
                if not line.lstrip().startswith(("#", "//", "*")) or not is_code(fence):
                    yield Place(fence.path, number, number), line


def _routes(document: Document) -> Iterator[Claim]:
    """Judge the routes of tables by the names of their parameters: one place in a route has one name."""
    by_shape: dict[tuple[str, ...], dict[str, tuple[str, Row]]] = {}
    cells = ((row, cell) for table in document.tables for row in table.rows for cell in row.cells)
    for row, route in ((row, m[1]) for row, cell in cells for m in _ROUTE.finditer(cell)):
        parts = route.strip("/").split("/")
        for n, part in enumerate(parts):
            if (p := _PARAMETER.fullmatch(part)) and n:
                shape = tuple(_PARAMETER.sub("{}", x) for x in parts[:n])
                by_shape.setdefault(shape, {}).setdefault(p[1] or p[2], (route, row))
    for shape, told in by_shape.items():
        if len(told) > 1 and all(len(re.split("_|(?=[A-Z])", name)) > 1 for name in told):
            yield Claim(
                Severity.HIGH, f"/{'/'.join(shape)}/\u2026 takes {names(told)} in one place",
                "; ".join(f"{route} has {name}" for name, (route, _) in told.items()) + ".",
                [row for _, row in told.values()][::-1], told,
            )  # fmt: skip


def _types(document: Document) -> Iterator[Claim]:
    """Judge the types that only signatures name by a declared type with the same first and last word."""
    declared = {d.name: d for code in document.code for d in code.declared if d.kind == "type"}
    by_ends = group(((w[0], w[-1]), n) for n in declared if len(w := _HUMPS.findall(n)) > 2)
    imported = {name for code in document.code for name in code.imported}
    for code in document.code:
        for name, use in code.named.items():
            own = _HUMPS.findall(name)
            near = [n for n in by_ends.get((own[0], own[-1]), ()) if len(_HUMPS.findall(n)) > len(own)] if own else []
            coded = document.words[name] == document.code_words[name] and name not in imported
            if name not in declared and len(own) > 1 and len(near) == 1 and coded:
                yield Claim(
                    Severity.MEDIUM, f"{name} is declared nowhere; {near[0]} is",
                    f"A signature names {name}; the plan declares {near[0]}.",
                    (use, declared[near[0]]), (name, near[0]),
                )  # fmt: skip
