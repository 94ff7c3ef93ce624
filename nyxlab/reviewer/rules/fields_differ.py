"""A record that two places give different fields: in words, in code, in tables of a database."""

import re
from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, names
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.code import Record, Use, spans

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

Records = dict[str, Record]


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a record, an interface or a table that two places give different members.

    Fields or methods listed in full in two places that differ, an object that lacks a field its type requires, a
    private field read from outside, a read-only one that a setter is to change, a table without a column of all.
    """
    records = {name: record for code in document.code for name, record in code.records.items()}
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
                    Severity.MEDIUM, f"{name} has {names(one)} in one place and {names(two)} in another",
                    f"Both places list the {noun} of {name}; only one of the lists can be built.",
                    (sentence, where), (name,), (" ".join(one), " ".join(two)),
                )  # fmt: skip
                break


def _objects(document: Document, records: Records) -> Iterator[Claim]:
    """Judge object literals that are passed where a type of the plan is taken."""
    takers = {(d.owner, d.name): d for code in document.code for d in code.declared if len(d.takes) == 1}
    for call in (call for code in document.code for call in code.calls if call.keys):
        taker = takers.get((call.receiver, call.name))
        record = records.get(taker.takes[0]) if taker else None
        if not taker or not record or record.cut:
            continue
        lacking = [f.name for f in record.fields.values() if "optional" not in f.how and f.name not in call.keys]
        unknown = [k for k in call.keys if k not in record.fields]
        if lacking and unknown:
            yield Claim(
                Severity.HIGH,
                f"{call.receiver}.{call.name} is given no {names(lacking)}, which {record.name} requires",
                f"The call passes {names(call.keys)}; "
                f"{record.name} has {names(record.fields)}, and knows no {names(unknown)}.",
                (call, record, taker), (record.name, *lacking),
            )  # fmt: skip


def _reads(document: Document, records: Records) -> Iterator[Claim]:
    """Judge reads of private fields through typed variables."""
    found: dict[str, dict[str, Use]] = {}
    for code in document.code:
        typed = {variable: type_ for variable, type_ in code.typed if type_ in records}
        for use in (use for use in code.uses if use.name in typed):
            record, key = records[typed[use.name]], use.rest.partition(".")[0]
            private = key in record.fields and record.fields[key].how.startswith("private")
            if private and key not in record.getters and use.inside != record.name:
                found.setdefault(record.name, {}).setdefault(key, use)
    for type_, keys in found.items():
        fence, (first, *others) = records[type_].fence, keys.values()
        yield Claim(
            Severity.MEDIUM, f"{names((f'{type_}.{k}' for k in keys), 4)}: private, and read from outside",
            f"{type_} declares {'it' if len(keys) == 1 else 'them'} private and has no getter.",
            (first, Place(fence.path, records[type_].line, fence.end_line), *others), (type_, *keys),
        )  # fmt: skip


def _setters(records: Records) -> Iterator[Claim]:
    """Judge methods that return nothing and are to change a read-only field of their own type."""
    for type_, record in records.items():
        for key, setter in record.setters.items():
            if key in record.fields and "readonly" in record.fields[key].how:
                yield Claim(
                    Severity.MEDIUM, f"{type_} is to change {key}, which is read-only",
                    f"A method of {type_} that returns nothing is to change {key}; the field is declared readonly.",
                    (setter, record.fields[key]), (type_, key),
                )  # fmt: skip


def _columns(document: Document) -> Iterator[Claim]:
    """Judge the tables of SQL by "every table has \u2026"."""
    tables = [table for code in document.code for table in code.tables.values()]
    for sentence in [s for s in document.sentences if "table" in s.text][:40] if tables else ():
        m = _EVERY.search(sentence.text) if document.standing(sentence) is None else None
        wanted = [s.split()[0] for s in spans(m["list"])] if m else []
        lacking = {table.name: table for table in tables if set(wanted) - table.columns}
        if lacking and len(lacking) < len(tables):
            missing = names(w for w in wanted if any(w not in table.columns for table in tables))
            yield Claim(
                Severity.MEDIUM,
                f"{names(lacking)} {'lacks' if len(lacking) == 1 else 'lack'} {missing}, which every table is to have",
                f'"{sentence.plain[:140]}"; the statement that creates it has no such column.',
                (sentence, *lacking.values()), lacking,
            )  # fmt: skip
