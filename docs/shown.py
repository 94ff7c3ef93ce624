"""How docs/make.py shows records, tables and docstrings as Markdown."""

from __future__ import annotations

import ast
import inspect
import io
import json
import re
import sys
import textwrap
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

_WORDS = {
    "Severity": "a severity: CRITICAL · HIGH · MEDIUM · LOW · INFO",
    "Category": "a category, such as ORDER or LIMITS",
}


def model(
    kind: type[BaseModel],
    title: str,
    spoken: Mapping[str, str] | None = None,
    hidden: Iterable[str] = (),
    *,
    said: str = "",
    nested: bool = True,
    serialized: bool = True,
) -> Iterator[str]:
    """Write a section for a record and, where ``nested``, one for each record inside it."""
    by_json = kind.model_json_schema(mode="serialization" if serialized else "validation", by_alias=nested)
    yield from section(title, by_json | ({"description": said} if said else {}), notes(kind), spoken, hidden)
    known = records_of(kind)
    for name, schema in by_json.get("$defs", {}).items() if nested else ():
        if "properties" in schema:
            yield from ("", *section(name, schema, notes(known[name]) if name in known else {}))


def records_of(kind: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return every record of the package that is loaded, by name; those of ``kind``'s module first."""
    every: dict[str, type[BaseModel]] = {}
    waiting = [BaseModel]
    while waiting:
        for each in waiting.pop().__subclasses__():
            if each.__module__.startswith("nyxlab."):
                every.setdefault(each.__name__, each)
            waiting.append(each)
    near = {name: each for name, each in vars(sys.modules[kind.__module__]).items() if isinstance(each, type)}
    return {**every, **{name: each for name, each in near.items() if issubclass(each, BaseModel)}}


def section(
    title: str,
    schema: Mapping[str, Any],
    notes: Mapping[str, str],
    spoken: Mapping[str, str] | None = None,
    hidden: Iterable[str] = (),
) -> Iterator[str]:
    """Write a table of a record's keys: type, default, what stands beside them in the source."""
    needed = schema.get("required", ())
    rows = []
    for key, told in schema["properties"].items():
        if key in hidden:
            continue
        default = told.get("default")
        plain = key not in needed and default not in (None, [], {}) and not isinstance(default, dict)
        note = notes.get(re.sub(r"(?<!^)([A-Z])", lambda m: "_" + m[1].lower(), key), "")
        rows.append(
            ((f"`{(spoken or {}).get(key, key)}`"), _type(told), f"`{json.dumps(default)}`" if plain else "", note)
        )
    shown = [column for column in range(4) if column < 2 or any(row[column] for row in rows)]
    names = ("key", "type", "unless given", "what it is")
    yield from (f"## {title}", "")
    if said := prose(schema.get("description", "")):
        yield from (said, "")
    yield from table([names[c] for c in shown], [[row[c] for c in shown] for row in rows])


def _type(schema: Mapping[str, Any]) -> str:
    """Say a type in words: ``string``, ``list of Finding``, ``amount or null``."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2].lstrip("_")
        return f"[{name}](#{name.lower()})" if name not in _WORDS else _WORDS[name]
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " · ".join(f"`{each}`" for each in schema["enum"])
    if "anyOf" in schema:
        parts = list(dict.fromkeys(_type(each) for each in schema["anyOf"]))
        return " or ".join(parts).replace("number or text", "amount").replace("number or amount", "amount")
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    if kind == "object":
        inside = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), {})
        return f"mapping to {_type(inside)}" if isinstance(inside, dict) and inside else "mapping"
    if kind == "string":
        return "amount" if r"\d" in schema.get("pattern", "") and "." in schema["pattern"] else "text"
    words = {"integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}
    return words.get(str(kind), "any value")


def notes(kind: type[BaseModel]) -> dict[str, str]:
    """Return what stands beside each field in the source: a trailing comment, or the string below it."""
    source = textwrap.dedent(inspect.getsource(kind))
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (told,) = ast.parse(source).body
    notes: dict[str, str] = {}
    last = ""
    for node in told.body if isinstance(told, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
            notes[last] = comments.get(node.end_lineno or 0, "")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and last:
            notes[last] = prose(str(node.value.value))
    return notes


def table(columns: list[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Write a Markdown table."""
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in row)} |"


def prose(text: str) -> str:
    """Return docstring text as Markdown: paragraphs kept, lines joined, reST's double backticks made single."""
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(text.replace("\b", "")).split("\n\n")]
    return "\n\n".join(paragraphs).replace("``", "`")


def first(text: str | None) -> str:
    """Return the first paragraph of a docstring."""
    return prose(text or "").partition("\n\n")[0]
