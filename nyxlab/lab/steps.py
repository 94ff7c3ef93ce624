"""What a workflow's steps mean: a prompt is put to a gate, a review is Cael's look at what other steps wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field

from nyxlab.engine.records import Done, Failed, Outcome, Pause, Paused
from nyxlab.engine.run import StepContext
from nyxlab.engine.template import render
from nyxlab.engine.workflow import Step, Workflow, parse_workflow
from nyxlab.errors import InputRefused
from nyxlab.gate.gate import ChoiceWanted, Gate
from nyxlab.gate.judge import VERDICT_TOKENS
from nyxlab.gate.policy import Learned, Policy
from nyxlab.lab.past import Past
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Json, Message, Record, Request
from nyxlab.providers.structured import read_json
from nyxlab.reviewer.document import parse_documents
from nyxlab.reviewer.review import review_documents
from nyxlab.settings import Settings

OpenProvider = Callable[[str], Provider]

COMPARISON = """\
name: compare
inputs: {prompt: {type: string, help: what each provider is asked}}
steps:
  - {id: answer, prompt: "{{ inputs.prompt }}", compare: ["script:none#none"]}  # the caller's providers replace this one
"""


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
    choices: dict[str, str] = Field(default_factory=dict)  # what a person chose, by step

    @classmethod
    def of(
        cls,
        providers: str | Sequence[str] | None,
        judge: str | None,
        max_tokens: int | None = None,
        policy: Policy | None = None,
        select: Literal["auto", "ask"] | None = None,
    ) -> Options:
        """Return options as a caller gives them; ``providers`` is a list or text with commas."""
        listed = providers.split(",") if isinstance(providers, str) else providers or ()
        names = tuple(name.strip() for name in listed if name.strip())
        return cls(providers=names, judge=judge or None, max_tokens=max_tokens, policy=policy, select=select)


def comparison() -> Workflow:
    """Return the workflow of one comparing step, whose providers and prompt the caller gives."""
    return parse_workflow(COMPARISON, "compare")


def override(workflow: Workflow, options: Options, settings: Settings) -> Workflow:
    """Return the workflow as it will run: options over the file, the file over the settings' defaults."""
    return workflow.model_copy(update={"steps": tuple(_overridden(step, options, settings) for step in workflow.steps)})


def _overridden(step: Step, options: Options, settings: Settings) -> Step:
    if step.kind != "prompt":
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
    return step.model_copy(update=change)


def candidates(step: Step) -> tuple[str, ...]:
    """Return the providers that a step puts before the gate, without those to fall back on."""
    return step.compare or ((step.provider,) if step.provider else ())


def preflight(workflow: Workflow, open_provider: OpenProvider, settings: Settings) -> None:
    """Refuse before anything is written or paid: an unknown persona, or a step that nobody can answer from here."""
    for step in workflow.steps:
        if step.kind != "prompt":
            continue
        if step.persona:
            persona(step.persona, settings)
        names = (*candidates(step), *step.fallback)
        if not names:
            raise InputRefused(
                f"step '{step.id}' names no provider: pass --providers, or set defaults.provider in nyxlab.toml"
            )
        reasons = {name: open_provider(name).unusable() for name in dict.fromkeys(names)}
        if all(reasons.values()):
            said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise InputRefused(f"step '{step.id}': no provider can be called ({said})")
        if step.judge:
            open_provider(step.judge)  # a misspelt judge is refused; one without a key is a warning in the verdict


def persona(name: str, settings: Settings) -> str:
    """Return a persona's text: ``personas/NAME.md`` at the project's root, else the one that ships with nyxlab."""
    own = settings.resolve(f"personas/{name}.md")
    if own.is_file():
        return own.read_text(encoding="utf-8").strip()
    shipped = files("nyxlab") / "defaults" / "personas"
    if not (shipped / f"{name}.md").is_file():
        known = ", ".join(sorted(entry.name.removesuffix(".md") for entry in shipped.iterdir()))
        raise InputRefused(f"unknown persona '{name}': write personas/{name}.md, or use one of {known}")
    return (shipped / f"{name}.md").read_text(encoding="utf-8").strip()


def question(step: Step, goal: str, prompt: str, settings: Settings) -> Request:
    """Return the request of a prompt step: persona and goal as the system prompt, its rendered prompt as the message."""
    parts = [persona(step.persona, settings) if step.persona else "", f"The goal of all steps:\n{goal}" if goal else ""]
    return Request(
        messages=(Message("user", prompt),),
        system="\n\n".join(filter(None, parts)) or None,
        max_tokens=step.max_tokens,
        output_schema=step.output_schema,
        deadline=step.deadline,
        stream=True,
    )


def forecast(workflow: Workflow, open_provider: OpenProvider, settings: Settings) -> dict[str, Cost]:
    """Return the most that each usable provider may cost, judges included; nothing is called.

    Outputs that a prompt quotes are taken to be as long as their step allows (four characters to a token).
    """
    costs: dict[str, list[Cost]] = {}
    for step in workflow.steps:
        if step.kind != "prompt":
            continue
        quoted = sum(4 * workflow.step(name).max_tokens for name in step.needs)
        request = question(step, workflow.goal, (step.prompt or "") + "x" * quoted, settings)
        asked = [name for name in dict.fromkeys(candidates(step)) if open_provider(name).unusable() is None]
        for name in asked:
            costs.setdefault(name, []).append(open_provider(name).estimate(request))
        if step.judge and step.compare and len(asked) > 1 and open_provider(step.judge).unusable() is None:
            pairs = len(asked) * (len(asked) - 1)
            shown = Message("user", request.text + "x" * 4 * 2 * step.max_tokens)
            verdict = Request(messages=(shown,), max_tokens=VERDICT_TOKENS)
            costs.setdefault(step.judge, []).extend([open_provider(step.judge).estimate(verdict)] * pairs)
    return {name: Cost.total(own) for name, own in costs.items()}


class StepRunner:
    """Runs one step for the engine. Errors of nyxlab's own go up: the engine turns them into outcomes."""

    def __init__(
        self,
        open_provider: OpenProvider,
        settings: Settings,
        past: Past,
        choices: Mapping[str, str] | None = None,
        router: Callable[[], Learned | None] = lambda: None,
    ) -> None:
        self._open, self._settings, self._past = open_provider, settings, past
        self._choices, self._router = choices or {}, router

    async def __call__(self, context: StepContext) -> Outcome:
        """Run the step of ``context``."""
        return await (_review(context) if context.step.kind == "review" else self._prompt(context))

    async def _prompt(self, context: StepContext) -> Outcome:
        step, ledger = context.step, context.ledger
        prompt = render(step.prompt or "", context.variables)
        request = question(step, context.workflow.goal, prompt, self._settings)
        gate = Gate(
            [ledger.wrap(self._open(name)) for name in candidates(step)],
            compare=bool(step.compare),
            judge=ledger.wrap(self._open(step.judge), role="judge") if step.judge else None,
            policy=step.policy,
            fallback=[ledger.wrap(self._open(name)) for name in step.fallback],
            history=self._past.with_money(ledger.left),
            deadline=step.deadline,
            seed=context.seed,
            person=step.select == "ask",
            choice=self._choices.get(step.id),
            router=self._router() if step.policy == "learned" else None,
        )
        try:
            verdict = await gate.decide(request)
        except ChoiceWanted as wanted:
            pause = Pause(kind="choice", step=step.id, reason=f"step '{step.id}': {wanted}", choices=wanted.choices)
            return Paused(pause=pause, payload=wanted.payload)
        output = read_json(verdict.reply.text) if step.output_schema else verdict.reply.text
        return Done(output=output, payload=verdict.payload())


async def _review(context: StepContext) -> Outcome:
    """Review the named outputs as one set of documents; a FAIL verdict is a finding about them, not a failed step."""
    texts = documents_of((name, context.outputs[name]) for name in context.step.of)
    if not texts:
        return Failed(error=f"step '{context.step.id}': there is no text to review in {', '.join(context.step.of)}")
    review = review_documents(parse_documents(texts))
    return Done(output=review.headline, payload={"review": review.to_json()})


def documents_of(outputs: Iterable[tuple[str, Json]], folder: str = "") -> dict[str, str]:
    """Return outputs as the documents of a review, ``STEP.md`` each; structured ones as indented JSON, empty ones not."""
    texts = {
        f"{folder}{name}.md": output if isinstance(output, str) else f"```json\n{json.dumps(output, indent=1)}\n```\n"
        for name, output in outputs
        if output
    }
    return {path: text for path, text in texts.items() if text.strip()}
