"""What a workflow is: its steps, its inputs, what they take over, and the values that a run binds to its inputs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from nyxlab.engine.inputs import Input, Part, coerced, looks_secret, secret_sentence
from nyxlab.engine.template import Reference, braced, references
from nyxlab.errors import InputRefused, nearest_or_all
from nyxlab.providers.messages import Json
from nyxlab.providers.structured import checked


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


def _said(value: Json) -> Json:
    """Read a YAML true or false as the expression that says so."""
    return str(value).lower() if isinstance(value, bool) else value


def _json_schema(schema: dict[str, Json]) -> dict[str, Json]:
    try:
        text = json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError("'schema' holds a date or another value that JSON does not have; put it in quotes") from error
    try:
        checked(schema)
    except ValueError as error:
        raise ValueError(f"'schema' is not a JSON Schema: {error}") from error
    if foreign := re.search(r'"\$(?:ref|dynamicRef)": "([^#"][^"]*)', text):
        raise ValueError(f"'schema' refers to {foreign[1]}; only references inside itself (#/…) are followed")
    return schema


WorkflowName = Annotated[
    str, _matching(r"[a-z0-9][a-z0-9_-]{0,63}", "a name: small letters, digits, - and _, at most 64")
]
Identifier = Annotated[
    str, _matching(r"[a-z][a-z0-9_]{0,63}", "an id: a small letter, then small letters, digits and _")
]
ProviderRef = Annotated[
    str,
    _matching(
        r"[a-z0-9][a-z0-9_-]*(?::[^\s\x00-\x1f]{1,500})?", "a provider; write vendor:model, or an alias of yours"
    ),
]
Tokens = Annotated[int, Field(gt=0, le=1_000_000, strict=True)]
Duration = Annotated[float, Field(gt=0, le=86_400, strict=True)]
Policy = Literal["first", "cheapest", "fastest", "best", "balanced", "learned"]


class Defaults(Part):
    """What every prompt step takes over unless it says otherwise."""

    provider: ProviderRef | None = None  # else [defaults] in nyxlab.toml
    judge: ProviderRef | None = None  # the same
    max_tokens: Tokens = 1024  # the longest reply, reasoning included
    deadline: Duration = 120.0  # seconds for one call, retries and waiting included


class Allowance(Part):
    """The most that a run may spend, in USD."""

    usd: Annotated[Decimal, BeforeValidator(_money)]  # the run pauses rather than spend more


class Step(Part):
    """One step with the workflow's defaults filled in and ``needs`` complete (written and inferred).

    A ``provider`` or ``judge`` that is None and not in ``model_fields_set`` was left to the settings; one that is in it
    was set to null on purpose. ``context`` is text that stands before the prompt and that other questions begin with as
    well: a vendor that can is asked to keep it. ``expect`` is a regular expression that a right answer holds somewhere,
    in small letters or capitals: of answers compared, those that do go before those that do not.
    """

    id: Identifier  # how templates and other steps name it
    kind: Literal["prompt", "map", "tool", "review"] = "prompt"
    needs: tuple[str, ...] = ()  # steps that come before, beyond those that its templates name
    when: Annotated[str, Field(min_length=1), BeforeValidator(_said)] = "true"  # where it is false, the step is skipped
    persona: Identifier | None = None  # personas/NAME.md of the project, or one that ships with nyxlab
    context: Annotated[str, Field(min_length=1)] | None = None  # stands before the prompt, and may be kept by a vendor
    prompt: Annotated[str, Field(min_length=1)] | None = None  # a template: what is asked
    provider: ProviderRef | None = None  # who is asked
    compare: tuple[ProviderRef, ...] = ()  # who is asked instead, all at once
    select: Literal["auto", "ask", "synthesise"] = "auto"  # who picks: Cael, a person; or one answer is made of all
    judge: ProviderRef | None = None  # null: checks and the policy decide
    expect: Annotated[str, Field(min_length=1)] | None = None  # a regular expression that a right answer holds
    policy: Policy = "balanced"  # decides ties, and all where there is no judge
    fallback: tuple[ProviderRef, ...] = ()  # who is asked, one after another, where no answer can be used
    hedge: Duration | None = None  # seconds of silence after which the next candidate is asked too
    output_schema: Annotated[dict[str, Json], AfterValidator(_json_schema)] | None = None  # a reply is repaired once
    max_tokens: Tokens = 1024  # the longest reply, reasoning included
    deadline: Duration = 120.0  # seconds for one call, retries and waiting included
    of: tuple[str, ...] = ()  # the steps whose outputs are reviewed
    over: Annotated[str, Field(min_length=1)] | tuple[Json, ...] | None = None  # the list, or an expression for one
    tool: Identifier | None = None  # a registered function
    arguments: dict[str, Json] = Field(default_factory=dict)  # its arguments; texts are templates

    @property
    def asks(self) -> bool:
        """Whether it puts questions to models."""
        return self.kind in {"prompt", "map"}

    @property
    def templates(self) -> list[tuple[str, str]]:
        """Every text of the step that is filled in, with the field that holds it; expressions in braces."""
        texts = [(key, getattr(self, key) or "") for key in ("prompt", "context", "expect")]
        texts += [(key, braced(value)) for key in ("when", "over") if isinstance(value := getattr(self, key), str)]
        return [*texts, *(("arguments", text) for text in _texts(self.arguments))]

    @property
    def uses(self) -> list[Reference]:
        """What its texts refer to of inputs and of other steps."""
        return [use for _, text in self.templates for use in references(text)]

    @property
    def definition(self) -> str:
        """SHA-256 of what the step is told to do; when it does so and how long it may take are no part of it."""
        told = self.model_dump(mode="json", exclude={"deadline", "hedge", "needs", "when"}, exclude_defaults=True)
        text = json.dumps(told, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Workflow(Part):
    """A checked DAG of steps. ``source`` is the text it was read from, kept so that a resume needs no file."""

    name: WorkflowName
    goal: str = ""  # a paragraph that goes into the system prompt of every step
    inputs: dict[Identifier, Input] = Field(default_factory=dict)  # what a run may be given with -p
    defaults: Defaults = Defaults()
    budget: Allowance | None = None
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=1_000)]
    source: str = ""

    @property
    def digested(self) -> frozenset[str]:
        """The steps of which another one asks for the digest."""
        return frozenset(use.name for step in self.steps for use in step.uses if use.part == "digest")

    def step(self, step_id: str) -> Step:
        """Return the step of that id; ``InputRefused`` where there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise InputRefused(
            f"workflow '{self.name}' has no step '{step_id}'{nearest_or_all(step_id, [s.id for s in self.steps])}"
        )


def _texts(value: Json) -> list[str]:
    """Return the texts inside a JSON value."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [text for part in parts for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def bind_inputs(workflow: Workflow, given: Mapping[str, object]) -> dict[str, Json]:
    """Return a value for every declared input: given (text is read as the declared type) or its default.

    ``InputRefused`` for an unknown, missing, wrongly typed or secret-looking name.
    """
    for name in given:
        if looks_secret(name):
            raise InputRefused(secret_sentence(name))
        if name not in workflow.inputs:
            hint = nearest_or_all(name, list(workflow.inputs)) or "; it takes none"
            raise InputRefused(f"workflow '{workflow.name}' has no input '{name}'{hint}")
    bound: dict[str, Json] = {}
    for name, declared in workflow.inputs.items():
        if name not in given and declared.required:
            raise InputRefused(f"input '{name}' is missing: give it with -p {name}=VALUE ({declared.type})")
        bound[name] = coerced(name, declared, given[name]) if name in given else declared.default
    return bound
