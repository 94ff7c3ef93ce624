"""A record that two places give different fields: in words, in code, in tables of a database."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, at, names, rule
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.code import Code, Record, spans
from nyxlab.reviewer.text.document import Document

_SPAN = r"`\w+`"
_KIND = r"(?:record|entity|table|type|class|struct|model|DTO|interface)s?"
_LIST = rf"(?P<list>{_SPAN}(?:(?:,\s(?:and\s)?|\sand\s){_SPAN}){{0,12}})(?=\)|\.|;|$)"
_OF = r"`(?:[\w./-]*/)?(?P<of>[A-Z]\w+)(?:\.\w+)?`"
_FIELDS = re.compile(
    rf"{_OF}(?:\s{_KIND})?\s(?:carries|contains|consists of|has(?: the)? fields?:?|with fields?:?)\s{_LIST}"
    rf"|(?:(?:Create|Define|Add)\s{_OF.replace('<of>', '<made>')}(?:\s{_KIND})?|{_OF.replace('<of>', '<kind>')}\s{_KIND})\s\({_LIST.replace('<list>', '<fields>')}"
)
_METHODS = re.compile(
    r"`(?:[\w./-]*/)?(?P<of>I?[A-Z]\w+)(?:\.\w+)?`\s(?:interface\s)?(?:exposes|defines|declares|has|with|provides)\s(?:\w+\s){0,2}(?:methods?:?\s)?(?P<list>`\w+\([^`]*`(?:(?:,\s(?:and\s)?|\sand\s)`\w+\([^`]*`)*)"
)
_EVERY = re.compile(
    r"\b(?:all|every|each)\s(?:domain\s|database\s)?tables?\s(?:has|have|carry|carries|contains?|includes?|must have)\s(?P<list>[^.;:]{3,200})",
    re.IGNORECASE,
)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a record whose fields are listed in full in two places and differ, an interface that is given other methods, an object that lacks a field its type requires, a private field read from outside, a read-only one that a setter is to change, and a table without a column that every table is to have."""
    yield from _listed(document, _FIELDS, "fields", Severity.MEDIUM)
    yield from _listed(document, _METHODS, "methods", Severity.MEDIUM)
    records = {name: (code, r) for code in document.code for name, r in code.records.items()}
    yield from _objects(document, records)
    yield from _reads(document, records)
    yield from _columns(document)


def _listed(document: Document, pattern: re.Pattern[str], noun: str, severity: Severity) -> Iterator[Claim]:
    """Judge the lists of fields that sentences give in code spans; two lists of one file are two views of it."""
    told: dict[str, list[tuple[frozenset[str], Sentence]]] = {}
    for sentence in document.sentences:
        for m in (
            pattern.finditer(sentence.text) if "`" in sentence.text and document.standing(sentence) is None else ()
        ):
            groups = m.groupdict()
            members = frozenset(s.partition("(")[0] for s in spans(m["list"] or groups.get("fields") or ""))
            told.setdefault(m["of"] or groups.get("made") or groups.get("kind") or "", []).append((members, sentence))
    for name, lists in told.items():
        first = lists[0]
        for members, sentence in lists[1:]:
            apart = not members & first[0] if noun == "methods" else members < first[0] or first[0] < members
            if apart and sentence.path != first[1].path:
                yield Claim(
                    severity,
                    f"{name} has {names(sorted(first[0]))} in one place and {names(sorted(members))} in another",
                    f"Both places list the {noun} of {name}; only one of the lists can be built.",
                    "Make the two lists agree.",
                    at(sentence, first[1]),
                    (name,),
                    (" ".join(sorted(first[0])), " ".join(sorted(members))),
                )
                break


def _objects(document: Document, records: dict[str, tuple[Code, Record]]) -> Iterator[Claim]:
    """Judge object literals that are passed where a type of the plan is taken."""
    takes = {(d.owner, d.name): d.takes for code in document.code for d in code.declared if len(d.takes) == 1}
    for code in document.code:
        for call in code.calls:
            type_ = takes.get((call.receiver, call.name), ("",))[0]
            home = records.get(type_)
            if not call.keys or not home or home[1].cut:
                continue
            lacking = [f for f in home[1].required if f not in call.keys]
            unknown = [k for k in call.keys if k not in home[1].fields]
            if lacking and unknown:
                yield Claim(
                    Severity.HIGH,
                    f"{call.receiver}.{call.name} is given no {names(lacking)}, which {type_} requires",
                    f"The call passes {names(call.keys)}; {type_} has {names(home[1].fields)}, and knows no {names(unknown)}.",
                    "Make the type and the call agree.",
                    (
                        Place(call.path, call.line, call.line),
                        Place(home[0].fence.path, home[1].line, home[1].line),
                        Place(*_declaration(document, call.receiver, call.name)),
                    ),
                    (type_, *lacking),
                )


def _declaration(document: Document, owner: str, name: str) -> tuple[str, int, int]:
    d = next(d for code in document.code for d in code.declared if (d.owner, d.name) == (owner, name))
    return d.path, d.line, d.line


def _reads(document: Document, records: dict[str, tuple[Code, Record]]) -> Iterator[Claim]:
    """Judge reads of private fields through typed variables, and setters of read-only ones."""
    found: dict[str, dict[str, list[Place]]] = {}
    for code in document.code:
        typed = {variable: type_ for variable, type_ in code.typed if type_ in records}
        for name, rest, line in code.uses if typed else ():
            type_, key = typed.get(name, ""), rest.partition(".")[0]
            how = records[type_][1] if type_ else None
            if (
                how
                and how.fields.get(key, "").startswith("private")
                and key not in how.getters
                and code.owner_at(line) != type_
            ):
                found.setdefault(type_, {}).setdefault(key, []).append(Place(code.fence.path, line, line))
    for type_, keys in found.items():
        home = records[type_]
        places = [p for each in keys.values() for p in each[:2]]
        yield Claim(
            Severity.MEDIUM,
            f"{names((f'{type_}.{k}' for k in keys), 4)}: private, and read from outside",
            f"{type_} declares {'it' if len(keys) == 1 else 'them'} private and has no getter.",
            "Add getters, or make the fields readable.",
            tuple(
                dict.fromkeys(
                    (
                        places[0],
                        Place(home[0].fence.path, home[1].line, min(home[1].line + 14, home[0].fence.end_line)),
                        *places[1:],
                    )
                )
            ),
            (type_, *keys),
        )
    for type_, (code, record) in records.items():
        for setter, line in record.setters.items():
            key = setter[0].lower() + setter[1:]
            if "readonly" in record.fields.get(key, ""):
                yield Claim(
                    Severity.MEDIUM,
                    f"{type_} is to change {key}, which is read-only",
                    f"A method of {type_} that returns nothing is to change {key}; the field is declared readonly.",
                    "Return a changed copy, or drop readonly.",
                    (
                        Place(code.fence.path, line, line),
                        Place(code.fence.path, record.field_lines[key], record.field_lines[key]),
                    ),
                    (type_, key),
                )


def _columns(document: Document) -> Iterator[Claim]:
    """Judge the tables of SQL by "every table has \u2026"."""
    tables = [(code, name, line, columns) for code in document.code for name, (line, columns) in code.tables.items()]
    for sentence in [s for s in document.sentences if "table" in s.text][:40] if tables else ():
        m = _EVERY.search(sentence.text) if document.standing(sentence) is None else None
        wanted = [s.split()[0] for s in spans(m["list"])] if m else []
        lacking = [(code, name, line, [w for w in wanted if w not in columns]) for code, name, line, columns in tables]
        lacking = [each for each in lacking if each[3]]
        if wanted and lacking and len(lacking) < len(tables):
            yield Claim(
                Severity.MEDIUM,
                f"{names(name for _, name, _, _ in lacking)} {'lacks' if len(lacking) == 1 else 'lack'} {names(dict.fromkeys(w for *_, ws in lacking for w in ws))}, which every table is to have",
                f'"{sentence.plain[:140]}"; the statement that creates it has no such column.',
                "Add the column, or name the exception.",
                (*at(sentence), *(Place(code.fence.path, line, line) for code, _, line, _ in lacking)),
                tuple(name for _, name, _, _ in lacking),
            )


RULE = rule("fields-differ", check)
