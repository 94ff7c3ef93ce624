"""Replies under a JSON Schema: what is wrong with one, and how to ask for it once more."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, Never

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Cost, Json, Message, Reply, Request

Fault = Callable[[str], str | None]


def read_json(text: str | bytes) -> Json:
    """Read a reply as JSON, whole and strict: no NaN, no key twice, nothing around it. ValueError says what's wrong."""

    def refuse(constant: str) -> Never:
        raise ValueError(f"{constant} is not JSON")

    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        if len(value := dict(pairs)) < len(pairs):
            raise ValueError("a key occurs twice")
        return value

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@cache
def _jsonschema() -> ModuleType:
    """Load jsonschema without the grammar of IRIs, which takes a second to build, for formats that nobody asks for."""
    grammar = "rfc3987_syntax"
    modules: dict[str, Any] = sys.modules
    if "jsonschema" in modules or grammar in modules:
        return importlib.import_module("jsonschema")
    modules[grammar] = None  # an import of it now fails, as where it is not installed
    try:
        return importlib.import_module("jsonschema")
    finally:
        del modules[grammar]


def checked(schema: dict[str, Json]) -> type[Any]:
    """Return the class of validators for a schema; ValueError says why it is no JSON Schema."""
    jsonschema = _jsonschema()
    kind: type[Any] = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(error.message) from error
    return kind


def fault_finder(schema: dict[str, Json]) -> Fault:
    """Return the function that says why a text is not the JSON asked for; no reference of a schema is ever fetched.

    Raises ``InputRefused`` for a schema that is no JSON Schema, before anything is paid.
    """
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        kind = checked(schema)
    except ValueError as error:
        raise InputRefused(f"the step's schema is not a JSON Schema: {error}") from None
    best_match = _jsonschema().exceptions.best_match
    validator = kind(schema, registry=Registry())  # an empty registry: the default one would fetch over the network

    def fault(text: str) -> str | None:
        try:
            error = best_match(validator.iter_errors(read_json(text)))
        except Unresolvable as missing:
            return f"the schema refers to something that it does not hold: {missing}"
        except ValueError as error:
            return f"not the JSON asked for: {error}"
        return None if error is None else f"breaks the schema at {error.json_path}: {error.message[:200]}"

    return fault


def repair(request: Request, said: str, problem: str) -> Request:
    """Return the request that shows the model its reply and what is wrong with it."""
    # An empty turn is refused by some vendors, so an empty reply is left out.
    turns = (Message("assistant", said),) if said.strip() else ()
    wish = Message("user", f"That cannot be used ({problem}). Reply again: only the JSON, valid under the schema.")
    again: dict[str, Json] = {"messages": (*request.messages, *turns, wish)}
    if request.idempotency_key:  # another question: no replay of the first answer
        again["idempotency_key"] = f"{request.idempotency_key}-repair"
    return request.model_copy(update=again)


def both(first: Reply, second: Reply) -> Reply:
    """Return the second reply at the price of the two; service time and attempts are the second's, which counts on."""
    costs = (first.cost, second.cost)
    cost = Cost.unknown() if any(cost.usd is None for cost in costs) else Cost.total(costs)
    usage = first.usage + second.usage if first.usage and second.usage else None
    return second.model_copy(update={"usage": usage, "cost": cost})
