"""Renders prompt templates in a sandbox that has data but no calls, and tells what a template refers to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, meta, nodes
from jinja2.environment import TemplateExpression
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json

MAX_RENDERED = 2_000_000  # characters
VARIABLES = ("goal", "inputs", "lessons", "steps")
ITEM = ("item", "index")  # what a map step's prompt names besides
FILTERS = (
    "default", "first", "join", "last", "length", "list", "lower", "selectattr", "sort", "title", "tojson", "trim",
    "upper",
)  # fmt: skip
# What a prompt needs; calls, macros, imports and operators that multiply text are not among it.
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem,
    nodes.Filter, nodes.Test, nodes.For, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or,
    nodes.Not, nodes.Add, nodes.Sub, nodes.Neg, nodes.Concat, nodes.List, nodes.Tuple, nodes.Keyword,
)  # fmt: skip


class Reference(NamedTuple):
    """A use of ``inputs.NAME``, ``steps.NAME.output`` or ``steps.NAME.digest`` (its ``part``) on a line (from 1)."""

    root: str
    name: str
    line: int
    part: str = ""


class TemplateRefused(InputRefused):
    """A template that cannot be used; ``line`` counts from 1 inside the template."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def _as_text(value: Json | Undefined) -> str:
    """Say text as it is and anything else as JSON, so that a model never reads Python's own notation."""
    if isinstance(value, str | Undefined):
        return str(value)  # an undefined value raises here, as it should
    return json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=_as_text,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.filters["tojson"] = _as_json
    environment.globals.clear()
    return environment


def _as_json(value: Json, indent: int | None = None) -> str:
    """Jinja's own filter escapes for HTML, which a prompt is not."""
    return json.dumps(value, ensure_ascii=False, indent=min(indent, 8) if indent else None)


@lru_cache(maxsize=1_024)
def references(template: str, names: tuple[str, ...] = (*VARIABLES, *ITEM)) -> tuple[Reference, ...]:
    """Return every input and step that the template uses; raise ``TemplateRefused`` for what no prompt may hold.

    ``names`` are the variables that there are.
    """
    try:
        tree = _environment().parse(template)
        for node in _walk(tree):
            _check(node)
    except TemplateSyntaxError as error:
        raise TemplateRefused(f"the template cannot be read: {error.message}", error.lineno) from error
    except RecursionError as error:
        raise TemplateRefused("the template is nested too deeply", 1) from error
    for name in sorted(meta.find_undeclared_variables(tree) - set(names)):
        line = next(node.lineno for node in tree.find_all(nodes.Name) if node.name == name)
        raise TemplateRefused(f"unknown variable '{name}'; a template has {', '.join(names)}", line)
    return tuple(_uses(tree))


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _check(node: nodes.Node) -> None:
    """Refuse a node that is more than data, conditions and loops."""
    if not isinstance(node, _ALLOWED):
        raise TemplateRefused(f"'{type(node).__name__.lower()}' is not available in a template", node.lineno)
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise TemplateRefused(f"unknown filter '{node.name}'; filters are {', '.join(FILTERS)}", node.lineno)
    if isinstance(node, nodes.Name) and node.ctx == "store" and node.name in (*VARIABLES, *ITEM):
        raise TemplateRefused(f"'{node.name}' cannot be redefined; choose another name", node.lineno)
    name = node.attr if isinstance(node, nodes.Getattr) else node.value if isinstance(node, nodes.Const) else ""
    if isinstance(name, str) and name.startswith("__"):
        raise TemplateRefused(f"'{name}' is not available in a template", node.lineno)


def _uses(node: nodes.Node) -> Iterator[Reference]:
    """Yield the uses of inputs and steps; each must be written out, so that the order of steps is known at load."""
    chain = _chain(node)
    if not chain or chain[0] not in {"inputs", "steps"}:
        for child in node.iter_child_nodes():
            yield from _uses(child)
    elif chain[0] == "inputs" and len(chain) < 2:
        raise TemplateRefused("write inputs.NAME: one input by its name", node.lineno)
    elif chain[0] == "steps" and (len(chain) < 3 or chain[2] not in {"output", "digest"}):
        raise TemplateRefused("write steps.ID.output or steps.ID.digest: what one step gave, by its id", node.lineno)
    else:
        yield Reference(chain[0], chain[1], node.lineno, chain[2] if chain[0] == "steps" else "")


def _chain(node: nodes.Node) -> list[str]:
    """Return ``steps.a.output`` as its parts, or nothing where it is not such a chain of fixed names."""
    if isinstance(node, nodes.Name):
        return [node.name]
    if isinstance(node, nodes.Getattr):
        parts = _chain(node.node)
        return [*parts, node.attr] if parts else []
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        parts = _chain(node.node)
        return [*parts, str(node.arg.value)] if parts else []
    return []


@lru_cache(maxsize=512)
def _compiled(template: str) -> Template:
    references(template)
    return _environment().from_string(template)


@lru_cache(maxsize=512)
def _expression(text: str) -> TemplateExpression:
    references(braced(text))
    try:
        return _environment().compile_expression(inside(text) or text, undefined_to_none=False)
    except TemplateError as error:
        raise InputRefused(f"'{text[:80]}' is no expression: {error}") from error


def inside(text: str) -> str | None:
    """Return the expression of a text that is ``{{ one expression }}`` and nothing else; None for any other text."""
    found = re.fullmatch(r"\s*\{\{((?:(?!\{\{|\}\}).)+)\}\}\s*", text, re.DOTALL)
    return found[1].strip() if found else None


def braced(text: str) -> str:
    """Return an expression as the template that shows its value; one in braces as it is."""
    return text if inside(text) else f"{{{{ {text} }}}}"


def evaluate(expression: str, variables: Mapping[str, Json]) -> Json:
    """Return the value of an expression (its braces may be left out); ``InputRefused`` for what is undefined in it."""
    try:
        value = _expression(expression)(**variables)
        if isinstance(value, Undefined):
            raise InputRefused(f"'{expression[:80]}' is undefined: name what there is, or give it a default")
    except (TemplateError, TypeError, RecursionError) as error:
        raise InputRefused(f"'{expression[:80]}' has no value: {error}") from error
    return value


def filled(value: Json, variables: Mapping[str, Json]) -> Json:
    """Fill in the texts of a JSON value; a text that is wholly ``{{ one expression }}`` becomes that value itself."""
    if isinstance(value, dict):
        return {key: filled(part, variables) for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part, variables) for part in value]
    if not isinstance(value, str):
        return value
    return evaluate(value, variables) if inside(value) else render(value, variables)


def render(template: str, variables: Mapping[str, Json]) -> str:
    """Fill the template in with ``goal``, ``inputs`` and ``steps``; an undefined name or too long a text is refused."""
    pieces, size = [], 0
    try:
        for piece in _compiled(template).generate(**variables):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_RENDERED:
                raise InputRefused(
                    f"the template grows beyond {MAX_RENDERED:,} characters; pass on less of the outputs"
                )
    except (TemplateError, TypeError, RecursionError) as error:
        raise InputRefused(f"the template cannot be filled in: {error}") from error
    return "".join(pieces)
