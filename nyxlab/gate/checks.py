"""What can be said against an answer without asking a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Never

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json, Record, Reply, Request

TAIL = 2_000  # characters at the end of an answer that are searched for repetition
REPEATS, REPEATED = 6, 240  # the end is endless when it is one piece at least this often, over this many characters

Problem = Callable[[Reply], str | None]


class Check(Record):
    """A check that one answer failed."""

    provider: str
    check: str
    problem: str


def read_json(text: str) -> Json:
    """Read a reply as JSON, whole and strict: no NaN, no key twice, nothing around it. ValueError says what is wrong."""

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


def usability(request: Request) -> Problem:
    """Return the function that says why a reply to this request cannot be used (None: it can).

    A schema that is no JSON Schema is refused here (InputRefused), before anything is paid.
    """
    schema = request.output_schema
    fault = _schema_fault(schema) if schema is not None else None

    def problem(reply: Reply) -> str | None:
        if reply.stop == "refusal":
            return "declined to answer"
        if not reply.text.strip():
            return "empty answer"
        if fault is None:
            return None
        if reply.truncated:
            return f"cut off at {request.max_tokens} tokens, so it is not the JSON asked for: raise max_tokens"
        try:
            return fault(read_json(reply.text))
        except ValueError as error:
            return f"not the JSON asked for: {error}"

    return problem


def failed_checks(request: Request, answers: Sequence[tuple[str, Reply]], sections: Sequence[str]) -> list[Check]:
    """Return every check that an answer fails: cut off, required sections missing, endless repetition."""
    failed = []
    for provider, reply in answers:
        missing = missing_sections(reply.text, sections)
        if reply.truncated:
            problem = f"cut off at {request.max_tokens} tokens"
            failed.append(Check(provider=provider, check="whole", problem=problem))
        if missing:
            problem = f"missing: {', '.join(missing)}"
            failed.append(Check(provider=provider, check="sections", problem=problem))
        if request.output_schema is None and repeats_endlessly(reply.text):
            failed.append(Check(provider=provider, check="repetition", problem="ends in endless repetition"))
    return failed


def missing_sections(text: str, sections: Sequence[str]) -> list[str]:
    """Return the required headings that no line of the text consists of, however it is marked up."""
    lines = {line.strip(" \t#*_:").casefold() for line in text.splitlines()}
    return [section for section in sections if section.strip(" \t#*_:").casefold() not in lines]


def repeats_endlessly(text: str) -> bool:
    """Whether the text ends in one piece over and over, as a model does that is caught in a loop.

    Knuth, Morris and Pratt's prefix function over the reversed tail gives each ending's shortest period in linear time.
    """
    tail = text.rstrip()[-TAIL:][::-1]
    border = [0] * len(tail)
    for end in range(1, len(tail)):
        size = border[end - 1]
        while size and tail[end] != tail[size]:
            size = border[size - 1]
        border[end] = size + (tail[end] == tail[size])
        length, period = end + 1, end + 1 - border[end]
        # A rule of dashes or a row of dots is drawn, not said: what repeats must hold a letter or a digit.
        if length >= REPEATED and length >= REPEATS * period and any(c.isalnum() for c in tail[:period]):
            return True
    return False


def _schema_fault(schema: dict[str, Json]) -> Callable[[Json], str | None]:
    """Return the function that says how a value breaks the schema; no reference of it is ever fetched."""
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.exceptions import SchemaError, best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise InputRefused(f"the step's schema is not a JSON Schema: {error.message}") from None
    validator = kind(schema, registry=Registry())  # an empty registry: the default one would fetch over the network

    def fault(value: Json) -> str | None:
        try:
            error: ValidationError | None = best_match(validator.iter_errors(value))
        except Unresolvable as missing:
            return f"the schema refers to something that it does not hold: {missing}"
        return None if error is None else f"breaks the schema at {error.json_path}: {error.message[:200]}"

    return fault
