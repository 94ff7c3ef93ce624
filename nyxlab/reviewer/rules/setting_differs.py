"""One setting, by its own name, with two values; and a key that the configuration does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, rule
from nyxlab.reviewer.text.document import Document, group
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import stem

_SET = re.compile(
    r"(?<![\w./-])(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\s?(?:=|:)\s?(?P<value>\d[\d_.]*)(?![\w%-]|\.\d)"
)
_MOST = re.compile(r"\b(?:max(?:imum)?(?: of)?|up to|at most)\s(?P<value>\d{1,6})\s(?P<noun>[a-z]+)\b", re.IGNORECASE)
_ENV = re.compile(r"(?:process\.env\.|os\.environ\[['\"]|os\.getenv\(['\"]|env\(['\"])(?P<name>[A-Z][A-Z0-9_]{2,40})")
_VARIABLE = re.compile(
    r"(?<![\w.])(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`?\s(?:config\b|env(?:ironment)?\b(?: variable)?|set for\b|is required)",
    re.IGNORECASE,
)
_TESTS = re.compile(r"\b(?:test|dev|local|prod|staging|ci|example|before|after|old|was|default)\w*\b", re.IGNORECASE)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a constant or variable that is set to two values under one name, a limit in the text that its constant denies, a key read from a configuration that defines others and not this one, and a variable that the configuration does not read."""
    found: dict[str, dict[str, list[Place]]] = {}
    for code in document.code:
        for constant in code.constants:
            if re.fullmatch(r"\d[\d_.]*", constant.value):
                found.setdefault(constant.name, {}).setdefault(_plain(constant.value), []).append(
                    Place(constant.path, constant.line, constant.line)
                )
    for sentence in document.sentences:
        if "_" not in sentence.text or document.standing(sentence) in (
            Standing.REJECTED,
            Standing.STATUS,
            Standing.EXAMPLE,
        ):
            continue
        for m in _SET.finditer(sentence.text):
            if not _TESTS.search(sentence.text[m.end() : m.end() + 30]):
                found.setdefault(m["name"], {}).setdefault(_plain(m["value"]), []).append(
                    Place(sentence.path, sentence.line, sentence.end_line)
                )
    for name, values in found.items():
        if len(values) > 1:
            places = [p for each in values.values() for p in each[:1]]
            if len({(p.path, document.section_at(p.path, p.start)) for p in places}) > 1:
                yield _claim(name, list(values), places, f"{name} is set to {' and to '.join(values)}")
    yield from _limits(document, found)
    yield from _keys(document)
    yield from _variables(document)


def _plain(value: str) -> str:
    return value.replace("_", "").rstrip(".")


def _limits(document: Document, found: dict[str, dict[str, list[Place]]]) -> Iterator[Claim]:
    """Judge "max 3 retries" by MAX_RETRIES."""
    constants = {tuple(sorted(stem(w) for w in name.split("_"))): name for name in found}
    for sentence in document.sentences:
        for m in _MOST.finditer(sentence.plain) if "m" in sentence.plain and constants else ():
            name = constants.get(tuple(sorted(("max", stem(m["noun"])))))
            if (
                name
                and m["value"] not in found[name]
                and document.standing(sentence) not in (Standing.REJECTED, Standing.EXAMPLE)
            ):
                value, places = next(iter(found[name].items()))
                yield _claim(
                    name,
                    [m["value"], value],
                    [Place(sentence.path, sentence.line, sentence.end_line), *places[:1]],
                    f'"{m[0]}", but {name} is {value}',
                )


def _keys(document: Document) -> Iterator[Claim]:
    """Judge reads of a configuration object by the one place that defines it."""
    defined = group(
        (name, (code, keys))
        for code in document.code
        for name, keys in code.keys.items()
        if "config" in name.lower() or "settings" in name.lower()
    )
    reads = group((used, (code.fence.path, key, line)) for code in document.code for used, key, line in code.uses)
    for name, homes in defined.items():
        code, keys = homes[0]
        if len(homes) > 1 or len(keys) < 4 or "*" in keys:
            continue
        inner = {k.rpartition(".")[0] for k in keys}
        missing: dict[str, Place] = {}
        for path, key, line in reads.get(name, ()):
            parent = key.rpartition(".")[0]
            if key not in keys and parent and parent in keys and parent in inner:
                missing.setdefault(key, Place(path, line, line))
        for key, place in missing.items():
            beside = [k for k in keys if k.startswith(key.rpartition(".")[0] + ".")]
            line = next(
                (
                    n
                    for n, text in enumerate(code.fence.text.split("\n"), code.fence.line + 1)
                    if re.match(rf"\s*{key.split('.')[0]}\s*:", text)
                ),
                code.fence.line,
            )
            yield Claim(
                Severity.MEDIUM,
                f"{name}.{key} is read, and {name} has no such key",
                f"The configuration has {', '.join(beside)}.",
                "Read the key that is meant, or define this one.",
                (place, Place(code.fence.path, line, min(line + 5, code.fence.end_line))),
                (f"{name}.{key}",),
            )


def _variables(document: Document) -> Iterator[Claim]:
    """Judge variables that the text asks for by the configuration block that reads the others."""
    readers = [(code, set(_ENV.findall(code.fence.text))) for code in document.code]
    readers = [(code, read) for code, read in readers if len(read) >= 4]
    if len(readers) != 1:
        return
    code, read = readers[0]
    everywhere = {name for c in document.code for name in _ENV.findall(c.fence.text)}
    for name, told in group((m["name"], s) for s in document.sentences for m in _VARIABLE.finditer(s.plain)).items():
        if name not in everywhere:
            first = told[0]
            yield Claim(
                Severity.LOW,
                f"{name} is asked for, and the configuration does not read it",
                f"It reads {', '.join(sorted(read)[:8])}.",
                "Add it to the configuration, or drop it.",
                (
                    Place(first.path, first.line, first.end_line),
                    Place(code.fence.path, code.fence.line, min(code.fence.end_line, code.fence.line + 14)),
                ),
                (name,),
            )


def _claim(name: str, values: list[str], places: list[Place], title: str) -> Claim:
    return Claim(
        Severity.MEDIUM, title, "Whoever builds it takes whichever value is read first.", "Keep one value, in one place.",
        tuple(dict.fromkeys(places)), (name,), tuple(values),
    )  # fmt: skip


RULE = rule("setting-differs", check)
