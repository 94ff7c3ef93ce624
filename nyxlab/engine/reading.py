"""Turns the text of a workflow file into a checked ``Workflow``: every mistake is named with its line, all at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from pydantic import ValidationError
from pydantic.alias_generators import to_snake
from pydantic_core import ErrorDetails

from nyxlab.engine.inputs import Input, Part, coerced, looks_secret, secret_sentence
from nyxlab.engine.template import ITEM, VARIABLES, TemplateRefused, references
from nyxlab.engine.workflow import Allowance, Defaults, Step, Workflow
from nyxlab.errors import InputRefused, nearest_or_all
from nyxlab.providers.messages import Json
from nyxlab.providers.strictyaml import read_yaml

Path = tuple[str | int, ...]

ALIASES = {
    "compare_providers": "compare",
    "dual_provider_auto_select": "select",
    "schema": "output_schema",
    "with": "arguments",
}
SPOKEN = {field: key for key, field in ALIASES.items() if "_" not in key}  # fields whose key is another word
NEEDED = {
    "prompt": {"prompt": "the text that is asked"},
    "map": {"prompt": "the text that is asked of each item", "over": "the list whose items are asked"},
    "tool": {"tool": "the name of a registered function"},
    "review": {"of": "the steps whose outputs are reviewed"},
}
_EVERY = {"id", "kind", "needs", "when"}
_ASKING = {
    "persona", "context", "prompt", "provider", "compare", "select", "judge", "expect", "policy", "fallback",
    "output_schema", "max_tokens", "deadline", "hedge",
}  # fmt: skip
KEYS = {  # what each kind of step reads
    "prompt": _EVERY | _ASKING,
    "map": _EVERY | _ASKING | {"over"},
    "tool": _EVERY | {"tool", "arguments"},
    "review": _EVERY | {"of"},
}


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
    taken = defaults.model_fields_set - step.model_fields_set if step.asks else set()
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
    kind = step.get("kind", "prompt")
    for key in sorted(step.keys() - KEYS.get(str(kind), step.keys())):
        if key == "of":
            problems.add((*path, key), "'of' belongs to a review step; a prompt names outputs in its template")
        else:
            problems.add((*path, key), f"'{SPOKEN.get(key, key)}' does nothing in a {kind} step; leave it out")
    for key, meaning in NEEDED.get(str(kind), {}).items():
        if step.get(key) in (None, [], ""):
            problems.add(path, f"a {kind} step needs '{key}', {meaning}")
    if "compare" in step and "provider" in step:
        problems.add((*path, "provider"), "give 'provider' or 'compare', not both")
    if "expect" in step and "compare" not in step:
        problems.add((*path, "expect"), "'expect' tells compared answers apart; give 'compare', or leave it out")
    if "{" not in (expect := str(step.get("expect", ""))):
        try:
            re.compile(expect)
        except (re.error, OverflowError) as error:
            problems.add((*path, "expect"), f"'expect' is not a regular expression ({error}); put \\ before signs")
    if step.get("compare") == []:
        problems.add((*path, "compare"), "'compare' lists no provider; list some or leave it out")
    if kind == "map" and step.get("select") == "ask":
        problems.add((*path, "select"), "nobody can choose for each item of a map step; leave 'select: ask' out")
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
        if name not in known:
            said = [SPOKEN.get(field, field) for field in known]
            problems.add((*path, name), f"unknown key '{key}'{nearest_or_all(to_snake(key), said)}")
        elif name in fields:
            problems.add((*path, name), f"'{key}' is given twice, in two spellings; keep one")
        else:
            fields[name] = part
    return fields


def _sentence(detail: ErrorDetails) -> str:
    """Say a validation error in our words."""
    name = next((part for part in reversed(detail["loc"]) if isinstance(part, str)), "workflow")
    name = SPOKEN.get(name, name)
    if detail["type"] == "missing":
        return f"'{name}' is missing"
    if detail["type"] == "literal_error":
        choices = detail["ctx"]["expected"].replace("'", "")
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
                problems.add((*path, key), f"step '{step.id}': unknown step '{name}'{nearest_or_all(name, ids)}")
    for key, text in step.templates:
        try:
            uses = references(
                text, (*VARIABLES, *ITEM) if step.kind == "map" and key not in ("when", "over") else VARIABLES
            )
        except TemplateRefused as error:
            problems.add((*path, key), f"step '{step.id}': {error}", inside=error.line)
            continue
        for use in uses:
            known = ids if use.root == "steps" else list(workflow.inputs)
            if use.name not in known:
                said = f"step '{step.id}': unknown {use.root.removesuffix('s')} '{use.name}'"
                problems.add((*path, key), said + nearest_or_all(use.name, known), inside=use.line)
            if use.root == "steps":
                found.append(use.name)
    return tuple(dict.fromkeys(found))


def _check_order(needs: dict[str, tuple[str, ...]], workflow: Workflow, problems: _Problems) -> None:
    """Refuse inputs that nothing uses and steps that wait for themselves."""
    used = {use.name for step in workflow.steps for use in step.uses if use.root == "inputs"}
    for name in workflow.inputs.keys() - used:
        problems.add(("inputs", name), f"input '{name}' is used by no step; use it or leave it out")
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        number = next(n for n, step in enumerate(workflow.steps) if step.id == circle[-1])
        problems.add(("steps", number), f"these steps wait for one another: {' → '.join(circle)}")
    problems.stop()
