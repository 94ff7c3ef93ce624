"""Options: what a caller changes of a workflow, and what is refused before anything is written or paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal, TypedDict, Unpack

from pydantic import Field, ValidationError

from nyxlab.engine.template import evaluate
from nyxlab.engine.workflow import Step, Workflow
from nyxlab.errors import InputRefused
from nyxlab.gate.policy import Policy
from nyxlab.lab.desk import Desk, provider_names
from nyxlab.lab.own import persona
from nyxlab.lab.workflows import tools  # noqa: F401 - those that come with nyxlab register themselves
from nyxlab.lab.workflows.toolbox import registered
from nyxlab.providers.messages import Json, Record
from nyxlab.settings import Settings

__all__ = ["Changes", "Corrected", "Options", "candidates", "may_act", "override", "preflight", "usd"]


class Changes(TypedDict, total=False):
    """What a caller may change of a workflow: of every step that asks, the fields of the same name.

    ``providers`` is a list or text with commas, ``max_tokens`` the longest reply; ``select`` says whether a person
    chooses among answers, and ``allow`` names tools that may run programs or write.
    """

    providers: str | Sequence[str] | None
    judge: str | None
    policy: Policy | None
    max_tokens: int | None
    select: Literal["auto", "ask"] | None
    allow: Sequence[str]


class Corrected(TypedDict, total=False):
    """What a caller may correct of a run that goes on: its ``inputs``, and the ``budget`` in USD."""

    inputs: Mapping[str, object] | None
    budget: Decimal | str | None


class Options(Record):
    """What a caller changes of a workflow, kept with the run so that a resume does the same.

    ``providers`` replace every step's own: all of them where the step compares, otherwise the first, with the others
    to fall back on.
    """

    providers: tuple[str, ...] = ()
    judge: str | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    policy: Policy | None = None
    select: Literal["auto", "ask"] | None = None
    allow: tuple[str, ...] = ()
    choices: dict[str, str] = Field(default_factory=dict)  # what a person chose, by step
    budget: Decimal | None = None  # in USD; the run pauses rather than pass it
    forked_from: str | None = None  # the run that this one goes on from
    file: str | None = None  # the workflow's file, relative to the project, which a resume looks at again

    @classmethod
    def of(cls, budget: Decimal | str | None = None, **changes: Unpack[Changes]) -> Options:
        """Return options as a caller gives them. ``InputRefused`` for a value that none of them takes."""
        for name in changes.get("allow", ()):
            registered(name)
        given = {name: value for name, value in changes.items() if value}
        listed = {"providers": provider_names(changes.get("providers")), "allow": tuple(changes.get("allow", ()))}
        if "max_tokens" in changes:  # 0 is a number that is refused, not one that is left out
            given["max_tokens"] = changes["max_tokens"]
        try:
            return cls.model_validate({**given, **listed, "budget": None if budget is None else usd(budget)})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name, reason = str(first["loc"][0]), first["msg"].removeprefix("Input should be ")
            raise InputRefused(f"{name.replace('_', ' ')} '{given.get(name)}': it should be {reason}") from None


def usd(amount: Decimal | str) -> Decimal:
    """Read a budget: an amount in USD above zero."""
    try:
        value = Decimal(amount)
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise InputRefused(f"a budget is an amount in USD above zero, such as 0.50, not {str(amount)[:40]!r}")
    return value


def override(workflow: Workflow, options: Options, settings: Settings) -> Workflow:
    """Return the workflow as it will run: options over the file, the file over the settings' defaults."""
    return workflow.model_copy(update={"steps": tuple(_overridden(step, options, settings) for step in workflow.steps)})


def _overridden(step: Step, options: Options, settings: Settings) -> Step:
    if not step.asks:
        return step
    change: dict[str, Json] = {}
    if options.providers and step.compare:
        change |= {"compare": options.providers, "fallback": ()}
    elif options.providers:
        change |= {"provider": options.providers[0], "fallback": options.providers[1:]}
    elif not step.compare and step.provider is None:
        change["provider"] = settings.defaults.provider
    if options.judge:
        change["judge"] = options.judge
    elif step.judge is None and "judge" not in step.model_fields_set:
        change["judge"] = settings.defaults.judge
    change |= {name: value for name in ("max_tokens", "policy", "select") if (value := getattr(options, name))}
    if options.select == "auto" and step.select == "synthesise":  # nobody is asked there either
        del change["select"]
    return step.model_copy(update=change)


def candidates(step: Step) -> tuple[str, ...]:
    """Return the providers that a step puts before the gate, without those to fall back on."""
    return step.compare or ((step.provider,) if step.provider else ())


def preflight(workflow: Workflow, desk: Desk) -> None:
    """Refuse what cannot go well: an unknown persona or tool, and a step that nobody can answer from here."""
    for step in workflow.steps:
        if step.tool:
            registered(step.tool).check(step.arguments)
        if not step.asks:
            continue
        if step.persona:
            persona(step.persona, desk.settings)
        names = (*candidates(step), *step.fallback)
        if not names:
            raise InputRefused(
                f"step '{step.id}' names no provider: pass --providers, or set defaults.provider in nyxlab.toml"
            )
        reasons = {name: desk.open(name).unusable() for name in dict.fromkeys(names)}
        if all(reasons.values()):
            each = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise InputRefused(f"step '{step.id}': no provider can be called ({each})")
        if step.judge:
            desk.open(step.judge)  # a misspelt judge is refused; one without a key is a warning in the verdict


def may_act(workflow: Workflow, inputs: Mapping[str, Json], allowed: Sequence[str]) -> None:
    """Refuse a workflow in which a tool may come to act that is not among those ``allowed``."""
    for step in workflow.steps:
        tool = registered(step.tool) if step.tool else None
        if tool and tool.acts and tool.name not in allowed and _may_run(step, inputs):
            raise InputRefused(f"step '{step.id}': the tool '{tool.name}' acts: allow it with --allow {tool.name}")


def _may_run(step: Step, inputs: Mapping[str, Json]) -> bool:
    """Whether a step can come to run: only a ``when`` that the inputs alone make false says no."""
    try:
        return bool(evaluate(step.when, {"inputs": dict(inputs), "goal": ""}))
    except InputRefused:  # it asks for the outputs of other steps
        return True
