"""One setting, by its own name, with two values; and a key that the configuration does not have."""

import re
from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, Spanned, group, names
from nyxlab.reviewer.text.code import Use
from nyxlab.reviewer.text.standing import Standing
from nyxlab.reviewer.text.words import stem

_SET = re.compile(
    r"(?<![\w./-])(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\s?(?:=|:)\s?(?P<value>\d[\d_.]*)(?![\w%-]|\.\d)"
)
_NUMBER = re.compile(r"\d[\d_.]*")
_MOST = re.compile(r"\b(?:max(?:imum)?(?: of)?|up to|at most)\s(?P<value>\d{1,6})\s(?P<noun>[a-z]+)\b", re.IGNORECASE)
_TESTS = re.compile(r"\b(?:test|dev|local|prod|staging|ci|example|before|after|old|was|default)\w*\b", re.IGNORECASE)
_ASIDE = (Standing.REJECTED, Standing.STATUS, Standing.EXAMPLE)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a constant with two values, a limit that its constant denies, a key read that the configuration lacks."""
    found: dict[str, dict[str, Spanned]] = {}
    for constant in (c for code in document.code for c in code.constants if _NUMBER.fullmatch(c.value)):
        found.setdefault(constant.name, {}).setdefault(_plain(constant.value), constant)
    for sentence in document.sentences:
        if "_" in sentence.text and document.standing(sentence) not in _ASIDE:
            for m in _SET.finditer(sentence.text):
                if not _TESTS.search(sentence.text[m.end() : m.end() + 30]):
                    found.setdefault(m["name"], {}).setdefault(_plain(m["value"]), sentence)
    for name, values in found.items():
        sections = {(p.path, document.headings.last(p.path, p.line)) for p in values.values()}
        if len(values) > 1 and len(sections) > 1:
            yield _claim(name, f"{name} is set to {' and to '.join(values)}", values)
    yield from _limits(document, found)
    yield from _keys(document)


def _plain(value: str) -> str:
    return value.replace("_", "").rstrip(".")


def _limits(document: Document, found: dict[str, dict[str, Spanned]]) -> Iterator[Claim]:
    """Judge "max 3 retries" by MAX_RETRIES."""
    constants = {tuple(sorted(stem(w) for w in name.split("_"))): name for name in found}
    for sentence in document.sentences if constants else ():
        for m in _MOST.finditer(sentence.plain):
            name = constants.get(tuple(sorted(("max", stem(m["noun"])))))
            if name and m["value"] not in found[name] and document.standing(sentence) not in _ASIDE:
                value, place = next(iter(found[name].items()))
                yield _claim(name, f'"{m[0]}", but {name} is {value}', {m["value"]: sentence, value: place})


def _keys(document: Document) -> Iterator[Claim]:
    """Judge reads of a configuration object by the one place that defines it."""
    defined = group((name, (code.fence, keys)) for code in document.code for name, keys in code.keys.items())
    reads = group((use.name, use) for code in document.code for use in code.uses)
    for name, ((fence, keys), *others) in defined.items():
        if others or len(keys) < 4 or "*" in keys or not re.search("config|settings", name, re.IGNORECASE):
            continue
        missing: dict[str, Use] = {}
        for use in reads.get(name, ()):
            parent = use.rest.rpartition(".")[0]
            if use.rest not in keys and parent in keys and any(k.startswith(f"{parent}.") for k in keys):
                missing.setdefault(use.rest, use)
        lines = list(enumerate(fence.text.split("\n"), fence.line + 1))
        for key, use in missing.items():
            top, parent = key.split(".")[0], key.rpartition(".")[0]
            home = next((n for n, text in lines if re.match(rf"\s*{top}\s*:", text)), fence.line)
            yield Claim(
                Severity.MEDIUM, f"{name}.{key} is read, and {name} has no such key",
                f"The configuration has {names(sorted(k for k in keys if k.startswith(f'{parent}.')))}.",
                (use, Place(fence.path, home, min(home + 5, fence.end_line))), (f"{name}.{key}",),
            )  # fmt: skip


def _claim(name: str, title: str, values: dict[str, Spanned]) -> Claim:
    told = "Whoever builds it takes whichever value is read first."
    return Claim(Severity.MEDIUM, title, told, values.values(), (name,), values)
