"""A record that two places give different fields: in words, in code, in tables of a database."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, names
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.code import Code, Record, spans

_SPAN = r"`\w+`"
_KIND = r"(?:record|entity|table|type|class|struct|model|DTO|interface)s?"
_LIST = rf"{_SPAN}(?:(?:,\s(?:and\s)?|\sand\s){_SPAN}){{0,12}})(?=\)|\.|;|$)"
_OF = r"`(?:[\w./-]*/)?(?P<of{}>[A-Z]\w+)(?:\.\w+)?`"
_FIELDS = re.compile(
    rf"{_OF.format(1)}(?:\s{_KIND})?\s(?:carries|contains|consists of|has(?: the)? fields?:?|with fields?:?)"
    rf"\s(?P<list1>{_LIST}"
    rf"|(?:(?:Create|Define|Add)\s{_OF.format(2)}(?:\s{_KIND})?|{_OF.format(3)}\s{_KIND})\s\((?P<list2>{_LIST}"
)
_METHODS = re.compile(
    r"`(?:[\w./-]*/)?(?P<of1>I?[A-Z]\w+)(?:\.\w+)?`\s(?:interface\s)?(?:exposes|defines|declares|has|with|provides)"
    r"\s(?:\w+\s){0,2}(?:methods?:?\s)?(?P<list1>`\w+\([^`]*`(?:(?:,\s(?:and\s)?|\sand\s)`\w+\([^`]*`)*)"
)
_EVERY = re.compile(
    r"\b(?:all|every|each)\s(?:domain\s|database\s)?tables?\s(?:has|have|carry|carries|contains?|includes?|must have)"
    r"\s(?P<list>[^.;:]{3,200})",
    re.IGNORECASE,
)

Records = dict[str, tuple[Code, Record]]


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a record, an interface or a table that two places give different members.

    Fields or methods listed in full in two places that differ, an object that lacks a field its type requires, a
    private field read from outside, a read-only one that a setter is to change, a table without a column that all are to have.
    """
    records = {name: (code, r) for code in document.code for name, r in code.records.items()}
    yield from _listed(document, _FIELDS, "fields")
    yield from _listed(document, _METHODS, "methods")
    yield from _objects(document, records)
    yield from _reads(document, records)
    yield from _setters(records)
    yield from _columns(document)


def _listed(document: Document, pattern: re.Pattern[str], noun: str) -> Iterator[Claim]:
    """Judge the lists that sentences give in code spans; two lists of one file are two views of it."""
    told: dict[str, list[tuple[frozenset[str], Sentence]]] = {}
    for sentence in document.sentences:
        if "`" in sentence.text and document.standing(sentence) is None:
            for m in pattern.finditer(sentence.text):
                said = m.groupdict()
                members = frozenset(s.partition("(")[0] for s in spans(said["list1"] or said["list2"]))
                name = next(filter(None, (said.get(f"of{n}") for n in (1, 2, 3))))
                told.setdefault(str(name), []).append((members, sentence))
    for name, ((first, where), *others) in told.items():
        for members, sentence in others:
            apart = not members & first if noun == "methods" else members < first or first < members
            if apart and sentence.path != where.path:
                one, two = sorted(first), sorted(members)
                yield Claim(
                    Severity.MEDIUM,
                    f"{name} has {names(one)} in one place and {names(two)} in another",
                    f"Both places list the {noun} of {name}; only one of the lists can be built.",
                    (sentence, where), (name,), (" ".join(one), " ".join(two)),
                )  # fmt: skip
                break


def _objects(document: Document, records: Records) -> Iterator[Claim]:
    """Judge object literals that are passed where a type of the plan is taken."""
    takers = {(d.owner, d.name): d for code in document.code for d in code.declared if len(d.takes) == 1}
    for call in (call for code in document.code for call in code.calls if call.keys):
        taker = takers.get((call.receiver, call.name))
        home = records.get(taker.takes[0]) if taker else None
        if not taker or not home or home[1].cut:
            continue
        lacking = [f for f in home[1].required if f not in call.keys]
        unknown = [k for k in call.keys if k not in home[1].fields]
        if lacking and unknown:
            type_, line = taker.takes[0], home[1].line
            yield Claim(
                Severity.HIGH,
                f"{call.receiver}.{call.name} is given no {names(lacking)}, which {type_} requires",
                f"The call passes {names(call.keys)}; "
                f"{type_} has {names(home[1].fields)}, and knows no {names(unknown)}.",
                (call, Place(home[0].fence.path, line, line), taker), (type_, *lacking),
            )  # fmt: skip


def _reads(document: Document, records: Records) -> Iterator[Claim]:
    """Judge reads of private fields through typed variables."""
    found: dict[str, dict[str, Place]] = {}
    for code in document.code:
        typed = {variable: type_ for variable, type_ in code.typed if type_ in records}
        for name, rest, line in code.uses if typed else ():
            type_, key = typed.get(name, ""), rest.partition(".")[0]
            how = records[type_][1] if type_ else Record(0)
            private = how.fields.get(key, "").startswith("private") and key not in how.getters
            if private and code.owner_at(line) != type_:
                found.setdefault(type_, {}).setdefault(key, Place(code.fence.path, line, line))
    for type_, keys in found.items():
        (home, record), (first, *others) = records[type_], keys.values()
        yield Claim(
            Severity.MEDIUM,
            f"{names((f'{type_}.{k}' for k in keys), 4)}: private, and read from outside",
            f"{type_} declares {'it' if len(keys) == 1 else 'them'} private and has no getter.",
            (first, Place(home.fence.path, record.line, home.fence.end_line), *others), (type_, *keys),
        )  # fmt: skip


def _setters(records: Records) -> Iterator[Claim]:
    """Judge methods that return nothing and are to change a read-only field of their own type."""
    for type_, (code, record) in records.items():
        for setter, line in record.setters.items():
            key = setter[0].lower() + setter[1:]
            if "readonly" in record.fields.get(key, ""):
                yield Claim(
                    Severity.MEDIUM,
                    f"{type_} is to change {key}, which is read-only",
                    f"A method of {type_} that returns nothing is to change {key}; the field is declared readonly.",
                    [Place(code.fence.path, n, n) for n in (line, record.field_lines[key])], (type_, key),
                )  # fmt: skip


def _columns(document: Document) -> Iterator[Claim]:
    """Judge the tables of SQL by "every table has \u2026"."""
    tables = [(code, name, *table) for code in document.code for name, table in code.tables.items()]
    for sentence in [s for s in document.sentences if "table" in s.text][:40] if tables else ():
        m = _EVERY.search(sentence.text) if document.standing(sentence) is None else None
        wanted = [s.split()[0] for s in spans(m["list"])] if m else []
        lacking = {name: (code.fence.path, line) for code, name, line, columns in tables if set(wanted) - columns}
        if lacking and len(lacking) < len(tables):
            missing = names(w for w in wanted if any(w not in columns for *_, columns in tables))
            yield Claim(
                Severity.MEDIUM,
                f"{names(lacking)} {'lacks' if len(lacking) == 1 else 'lack'} {missing}, which every table is to have",
                f'"{sentence.plain[:140]}"; the statement that creates it has no such column.',
                (sentence, *(Place(path, line, line) for path, line in lacking.values())), lacking,
            )  # fmt: skip
