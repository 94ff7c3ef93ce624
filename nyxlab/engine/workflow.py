"""Turns the text of a workflow file into a checked, frozen ``Workflow``: every mistake is named with file and line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic.alias_generators import to_snake
from pydantic_core import ErrorDetails
from rapidfuzz import process

from nyxlab.engine.inputs import Input, Part, coerced, looks_secret, secret_sentence
from nyxlab.engine.template import TemplateRefused, references
from nyxlab.engine.template import render as render
from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json
from nyxlab.providers.strictyaml import read_yaml

Path = tuple[str | int, ...]

ALIASES = {"compare_providers": "compare", "dual_provider_auto_select": "select", "schema": "output_schema"}
LATER = {"map", "tool", "synthesise", "hedge", "over", "with", "allow", "item", "index"}


def _matching(pattern: str, meaning: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"'{value[:80]}' is not {meaning}")
        return value

    return AfterValidator(check)


def _money(value: object) -> Decimal:
    amount = Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise ValueError("'usd' must be a number above zero, in US dollars")
    return amount


def _json_schema(schema: dict[str, Json]) -> dict[str, Json]:
    from jsonschema import SchemaError  # takes up to two seconds, which a workflow without a schema need not wait
    from jsonschema.validators import validator_for

    try:
        text = json.dumps(schema, allow_nan=False)
        validator_for(schema).check_schema(schema)
    except (TypeError, ValueError) as error:
        raise ValueError("'schema' holds a date or another value that JSON does not have; put it in quotes") from error
    except SchemaError as error:
        raise ValueError(f"'schema' is not a JSON Schema: {error.message}") from error
    if foreign := re.search(r'"\$(?:ref|dynamicRef)": "([^#"][^"]*)', text):
        raise ValueError(f"'schema' refers to {foreign[1]}; only references inside itself (#/…) are followed")
    return schema


WorkflowName = Annotated[
    str, _matching(r"[a-z0-9][a-z0-9_-]{0,63}", "a name: small letters, digits, - and _, at most 64")
]
Identifier = Annotated[
    str, _matching(r"[a-z][a-z0-9_]{0,63}", "an id: a small letter, then small letters, digits and _")
]
ProviderRef = Annotated[str, _matching(r"[a-z0-9][a-z0-9_-]*:[^\s\x00-\x1f]{1,500}", "a provider; write vendor:model")]
Tokens = Annotated[int, Field(gt=0, le=1_000_000, strict=True)]
Duration = Annotated[float, Field(gt=0, le=86_400, strict=True)]
Policy = Literal["first", "cheapest", "fastest", "best", "balanced", "learned"]


class Defaults(Part):
    """What every prompt step takes over unless it says otherwise."""

    provider: ProviderRef | None = None
    judge: ProviderRef | None = None
    max_tokens: Tokens = 1024
    deadline: Duration = 120.0


class Allowance(Part):
    """The most that a run may spend, in USD."""

    usd: Annotated[Decimal, BeforeValidator(_money)]


class Step(Part):
    """One step with the workflow's defaults filled in and ``needs`` complete (written and inferred).

    A ``provider`` or ``judge`` that is None and not in ``model_fields_set`` was left to the settings; one that is in it
    was set to null on purpose.
    """

    id: Identifier
    kind: Literal["prompt", "review"] = "prompt"
    needs: tuple[str, ...] = ()
    persona: Identifier | None = None
    prompt: Annotated[str, Field(min_length=1)] | None = None
    provider: ProviderRef | None = None
    compare: tuple[ProviderRef, ...] = ()
    select: Literal["auto", "ask"] = "auto"
    judge: ProviderRef | None = None
    policy: Policy = "balanced"
    fallback: tuple[ProviderRef, ...] = ()
    output_schema: Annotated[dict[str, Json], AfterValidator(_json_schema)] | None = None
    max_tokens: Tokens = 1024
    deadline: Duration = 120.0
    of: tuple[str, ...] = ()

    @property
    def definition(self) -> str:
        """SHA-256 of what the step is told to do; a deadline only says how long to wait for it."""
        text = json.dumps(self.model_dump(mode="json", exclude={"deadline", "needs"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Workflow(Part):
    """A checked DAG of steps. ``source`` is the text it was read from, kept so that a resume needs no file."""

    name: WorkflowName
    goal: str = ""
    inputs: dict[Identifier, Input] = Field(default_factory=dict)
    defaults: Defaults = Defaults()
    budget: Allowance | None = None
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=1_000)]
    source: str = ""

    def step(self, step_id: str) -> Step:
        """Return the step of that id; ``InputRefused`` where there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise InputRefused(f"workflow '{self.name}' has no step '{step_id}'{near(step_id, [s.id for s in self.steps])}")


def near(name: str, known: list[str]) -> str:
    """Return "; did you mean 'x'?" for the known name nearest to ``name``, or all of them where none is near."""
    if found := process.extractOne(name, known, score_cutoff=60):
        return f"; did you mean '{found[0]}'?"
    return f"; known here: {', '.join(known)}" if known else ""


class _Problems:
    """Gathers "FILE:LINE: sentence", so that one reading tells all that is wrong."""

    def __init__(self, text: str, name: str, lines: Mapping[Path, int]) -> None:
        self.name = name
        self.text = text.splitlines()
        self.lines: dict[Path, int] = {_plain(path): line for path, line in reversed(list(lines.items()))}
        self.found: set[tuple[int, str]] = set()

    def line(self, path: Path) -> int:
        """Return the line of a path given in field names."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path: Path, sentence: str, *, inside: int = 0) -> None:
        """Note a problem at ``path``; ``inside`` is a line within its text, which only a ``|`` block shows as it is."""
        line = self.line(path)
        block = inside and self.text[line - 1].rstrip(" +-0123456789").endswith("|")
        self.found.add((line + (inside if block else 0), sentence))

    def stop(self) -> None:
        """Raise what was found, in the order of lines."""
        if self.found:
            raise InputRefused("\n".join(f"{self.name}:{line}: {said}" for line, said in sorted(self.found)))


def _plain(path: Path) -> Path:
    return tuple(_field(part) if isinstance(part, str) else part for part in path)


def _field(key: str) -> str:
    """Return the field that a key of either spelling names."""
    return ALIASES.get(to_snake(key), to_snake(key))


def parse_workflow(text: str, name: str) -> Workflow:
    """Read a workflow; ``name`` is the file's name for messages. All that is wrong comes as one ``InputRefused``."""
    content, lines = read_yaml(text, name)
    problems = _Problems(text, name, lines)
    given = _fields(content, problems)
    problems.stop()
    try:
        workflow = Workflow.model_validate({**given, "source": text})
    except ValidationError as error:
        for detail in error.errors():
            problems.add(detail["loc"], _sentence(detail))
        problems.stop()
        raise
    _check_inputs(workflow, problems)
    needs = {step.id: _needs(workflow, number, problems) for number, step in enumerate(workflow.steps)}
    problems.stop()
    _check_order(needs, workflow, problems)
    steps = (_completed(step, workflow.defaults, needs[step.id]) for step in workflow.steps)
    return workflow.model_copy(update={"steps": tuple(steps)})


def _completed(step: Step, defaults: Defaults, needs: tuple[str, ...]) -> Step:
    """Return the step with what it waits for and, where it asks a model, the defaults that it does not override."""
    taken = defaults.model_fields_set - step.model_fields_set if step.kind == "prompt" else set()
    return step.model_copy(update={"needs": needs, **{key: getattr(defaults, key) for key in taken}})


def _fields(content: Json, problems: _Problems) -> dict[str, Json]:
    """Return the file's content under field names; unknown keys are noted."""
    given = _renamed(content, Workflow, (), problems, hidden={"source"})
    for key, kind in (("defaults", Defaults), ("budget", Allowance)):
        if key in given:
            given[key] = _renamed(given[key], kind, (key,), problems)
    if isinstance(inputs := given.get("inputs"), dict):
        given["inputs"] = {key: _renamed(value, Input, ("inputs", key), problems) for key, value in inputs.items()}
    if isinstance(steps := given.get("steps"), list):
        given["steps"] = [_step(value, number, problems) for number, value in enumerate(steps)]
    return given


def _step(value: Json, number: int, problems: _Problems) -> dict[str, Json]:
    step = _renamed(value, Step, ("steps", number), problems)
    if isinstance(step.get("select"), bool):  # dualProviderAutoSelect
        step["select"] = "auto" if step["select"] else "ask"
    path: Path = ("steps", number)
    if step.get("kind", "prompt") == "prompt":
        if "prompt" not in step:
            problems.add(path, "a prompt step needs 'prompt', the text that is asked")
        if "of" in step:
            problems.add((*path, "of"), "'of' belongs to a review step; a prompt names outputs in its template")
        if "compare" in step and "provider" in step:
            problems.add((*path, "provider"), "give 'provider' or 'compare', not both")
        if step.get("compare") == []:
            problems.add((*path, "compare"), "'compare' lists no provider; list some or leave it out")
    elif step.get("kind") == "review":
        if not step.get("of"):
            problems.add(path, "a review step needs 'of', the steps whose outputs are reviewed")
        for key in sorted(step.keys() - {"id", "kind", "needs", "of"}):
            problems.add((*path, key), f"'{key}' does nothing in a review step; leave it out")
    return step


def _renamed(
    value: Json, kind: type[Part], path: Path, problems: _Problems, hidden: set[str] | frozenset[str] = frozenset()
) -> dict[str, Json]:
    """Return a mapping's values under the field names of ``kind``; unknown and doubled keys are noted."""
    if not isinstance(value, dict):
        what = f"'{path[-1]}'" if path else "a workflow"
        problems.add(path, f"{what} must be a mapping of keys to values")
        return {}
    fields: dict[str, Json] = {}
    known = sorted(kind.model_fields.keys() - hidden)
    for key, part in value.items():
        name = _field(key)
        if name in LATER and name not in known:
            problems.add((*path, name), f"'{key}' is not available in this version of nyxlab")
        elif name not in known:
            said = ["schema" if field == "output_schema" else field for field in known]
            problems.add((*path, name), f"unknown key '{key}'{near(to_snake(key), said)}")
        elif name in fields:
            problems.add((*path, name), f"'{key}' is given twice, in two spellings; keep one")
        else:
            fields[name] = part
    return fields


def _sentence(detail: ErrorDetails) -> str:
    """Say a validation error in our words."""
    name = next((part for part in reversed(detail["loc"]) if isinstance(part, str)), "workflow")
    name = "schema" if name == "output_schema" else name
    if detail["type"] == "missing":
        return f"'{name}' is missing"
    if detail["type"] == "literal_error":
        choices = detail["ctx"]["expected"].replace("'", "")
        if detail["input"] in LATER:
            return f"{name} '{detail['input']}' is not available in this version of nyxlab; use {choices}"
        return f"{name} '{detail['input']}' is unknown; use {choices}"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return str(detail["msg"]).replace("Input should", f"'{name}' should", 1)


def _check_inputs(workflow: Workflow, problems: _Problems) -> None:
    for name, declared in workflow.inputs.items():
        path: Path = ("inputs", name)
        if looks_secret(name):
            problems.add(path, secret_sentence(name))
        if not declared.required:
            try:
                coerced(name, declared, declared.default)
            except InputRefused as error:
                problems.add((*path, "default"), str(error))


def _needs(workflow: Workflow, number: int, problems: _Problems) -> tuple[str, ...]:
    """Return all that a step waits for, in order of mention; unknown names are noted."""
    step, ids = workflow.steps[number], [step.id for step in workflow.steps]
    path: Path = ("steps", number)
    if step.id in ids[:number]:
        problems.add((*path, "id"), f"step id '{step.id}' is used twice")
    found = [*step.needs, *step.of]
    for key in ("needs", "of"):
        for name in getattr(step, key):
            if name not in ids:
                problems.add((*path, key), f"step '{step.id}': unknown step '{name}'{near(name, ids)}")
    try:
        uses = references(step.prompt or "")
    except TemplateRefused as error:
        problems.add((*path, "prompt"), f"step '{step.id}': {error}", inside=error.line)
        uses = []
    for use in uses:
        known = ids if use.root == "steps" else list(workflow.inputs)
        if use.name not in known:
            said = f"step '{step.id}': unknown {use.root.removesuffix('s')} '{use.name}'{near(use.name, known)}"
            problems.add((*path, "prompt"), said, inside=use.line)
        if use.root == "steps":
            found.append(use.name)
    return tuple(dict.fromkeys(found))


def _check_order(needs: dict[str, tuple[str, ...]], workflow: Workflow, problems: _Problems) -> None:
    """Refuse inputs that nothing uses and steps that wait for themselves."""
    used = {use.name for step in workflow.steps for use in references(step.prompt or "") if use.root == "inputs"}
    for name in workflow.inputs.keys() - used:
        problems.add(("inputs", name), f"input '{name}' is used by no step; use it or leave it out")
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        number = next(n for n, step in enumerate(workflow.steps) if step.id == circle[-1])
        problems.add(("steps", number), f"these steps wait for one another: {' → '.join(circle)}")
    problems.stop()


def bind_inputs(workflow: Workflow, given: Mapping[str, object]) -> dict[str, Json]:
    """Return a value for every declared input: given (text is read as the declared type) or its default.

    ``InputRefused`` for an unknown, missing, wrongly typed or secret-looking name.
    """
    for name in given:
        if looks_secret(name):
            raise InputRefused(secret_sentence(name))
        if name not in workflow.inputs:
            hint = near(name, list(workflow.inputs)) or "; it takes none"
            raise InputRefused(f"workflow '{workflow.name}' has no input '{name}'{hint}")
    bound: dict[str, Json] = {}
    for name, declared in workflow.inputs.items():
        if name not in given and declared.required:
            raise InputRefused(f"input '{name}' is missing: give it with -p {name}=VALUE ({declared.type})")
        bound[name] = coerced(name, declared, given[name]) if name in given else declared.default
    return bound
