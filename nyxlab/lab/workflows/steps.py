"""What a workflow's steps mean: a prompt is put to a gate, a review is Cael's look at what other steps wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import anyio

from nyxlab.engine.ledger import Ledger
from nyxlab.engine.records import Done, Failed, Outcome, Pause, Paused
from nyxlab.engine.run import StepContext
from nyxlab.engine.template import evaluate, filled, render
from nyxlab.engine.workflow import Step
from nyxlab.errors import AnswerWanted, BudgetExhausted, NoCandidate, NyxlabError
from nyxlab.gate.checks import expected
from nyxlab.gate.gate import ChoiceWanted, Gate, Verdict
from nyxlab.gate.options import Comparison, GateOptions
from nyxlab.lab.desk import Desk
from nyxlab.lab.own import lessons_text, persona
from nyxlab.lab.workflows.digests import LONG, Digest, digest, serving, text_of
from nyxlab.lab.workflows.options import Options, candidates
from nyxlab.lab.workflows.past import Past
from nyxlab.lab.workflows.toolbox import registered
from nyxlab.providers.messages import Json, Message, Request
from nyxlab.providers.structured import read_json
from nyxlab.settings import Settings

ITEMS_AT_ONCE = 256  # of a map step; the endpoints' own limits lie below


def question(step: Step, goal: str, prompt: str, settings: Settings, context: str = "") -> Request:
    """Return the request of a prompt step: persona and goal as system prompt, context and prompt as message."""
    parts = [persona(step.persona, settings) if step.persona else "", f"The goal of all steps:\n{goal}" if goal else ""]
    return Request(
        messages=(Message("user", f"{context}\n\n{prompt}" if context else prompt),),
        shared=len(context),
        system="\n\n".join(filter(None, parts)) or None,
        max_tokens=step.max_tokens,
        output_schema=step.output_schema,
        deadline=step.deadline,
        stream=True,
    )


class StepRunner:
    """Runs one step for the engine. Errors of nyxlab's own go up: the engine turns them into outcomes."""

    def __init__(self, desk: Desk, options: Options, past: Past) -> None:
        self._open, self._settings = desk.open, desk.settings
        self._desk, self._options, self._past = desk, options, past

    async def __call__(self, context: StepContext) -> Outcome:
        """Run the step of ``context``; where a later step asks for a digest of a long output, have it written."""
        variables, full = self._variables(context)
        match context.step.kind:
            case "review":
                outcome = await _review(context)
            case "tool":
                outcome = await self._tool(context, variables)
            case "map":
                outcome = await self._map(context, variables)
            case _:
                outcome = await self._prompt(context, variables)
        if full and isinstance(outcome, Done):
            outcome = outcome.model_copy(update={"payload": {**outcome.payload, "fullOutputs": full}})
        if isinstance(outcome, Done) and context.step.id in context.workflow.digested:
            return await self._digested(context, outcome)
        return outcome

    def _variables(self, context: StepContext) -> tuple[dict[str, Json], dict[str, str]]:
        """Return what the step's texts can name, and where the full output stands in for a digest, and why."""
        variables, own = context.variables, [text for _, text in context.step.templates]
        named = " ".join(own)
        full: dict[str, str] = {}
        if ".digest" in named:
            for name, output in context.outputs.items():
                needed = [*own, context.workflow.goal, *(text_of(o) for n, o in context.outputs.items() if n != name)]
                short, why = serving(context.payloads[name].get("digest"), output, needed)
                variables["steps"][name]["digest"] = short
                if why and f"{name}.digest" in named:
                    full[name] = why
                    context.note(f"steps.{name}.digest: {why}")
        if "lessons" in named:
            variables["lessons"] = lessons_text(self._settings.root)
        return variables, full

    async def _digested(self, context: StepContext, done: Done) -> Done:
        if len(text_of(done.output)) <= LONG:
            return done
        step, chosen = context.step, done.payload.get("selectedProvider")
        names = [chosen, *candidates(step), context.workflow.defaults.provider, self._settings.defaults.provider]
        known = [name for name in names if name and not str(name).startswith("gate(")]
        fence = f"======== {context.seed.hex()[:24]}"
        made = Digest(of=len(text_of(done.output)), error="no provider is named that could write it")
        if known:
            made = await digest(done.output, context.ledger.wrap(self._open(known[0]), role="digest"), fence)
        if made.error:
            context.note(f"no digest of {step.id}: {made.error}; later steps get the full output")
        return done.model_copy(update={"payload": {**done.payload, "digest": made.to_json()}})

    async def _prompt(self, context: StepContext, variables: Mapping[str, Json]) -> Outcome:
        try:
            verdict = await self._verdict(context, variables, context.ledger, context.seed)
        except ChoiceWanted as wanted:
            reason = f"step '{context.step.id}': {wanted}"
            pause = Pause(kind="choice", step=context.step.id, reason=reason, choices=wanted.choices)
            return Paused(pause=pause, payload=wanted.payload)
        return Done(output=_output(context.step, verdict), payload=verdict.payload())

    async def _verdict(
        self, context: StepContext, variables: Mapping[str, Json], ledger: Ledger, seed: bytes
    ) -> Verdict:
        """Put the step's question, filled in with ``variables``, to its gate."""
        step = context.step
        before, prompt = (render(text, variables) if text else "" for text in (step.context, step.prompt))
        request = question(step, context.workflow.goal, prompt, self._settings, before)
        gate = Gate(
            [ledger.wrap(self._open(name)) for name in candidates(step)],
            GateOptions(
                comparison=self._comparison(context, ledger, variables) if step.compare else None,
                policy=step.policy,
                hedge=step.hedge,
                fallback=[ledger.wrap(self._open(name)) for name in step.fallback],
                history=self._past.with_money(ledger.left),
                deadline=step.deadline,
                router=self._desk.router if step.policy == "learned" else None,
                seed=seed,
            ),
        )
        return await gate.decide(request)

    def _comparison(self, context: StepContext, ledger: Ledger, variables: Mapping[str, Json]) -> Comparison:
        step = context.step
        judge = ledger.wrap(self._open(step.judge), role="judge") if step.judge else None
        expect = render(step.expect, variables) if step.expect else ""
        choice = self._options.choices.get(step.id)
        return Comparison(judge, step.select, choice, context.late, expected(expect) if expect else None)

    async def _map(self, context: StepContext, known: Mapping[str, Json]) -> Outcome:
        """Ask the question of each item, many at once; one that fails fails the step, after the others have ended."""
        step = context.step
        items = list(step.over) if isinstance(step.over, tuple) else evaluate(step.over or "", known)
        if not isinstance(items, list):
            return Failed(error=f"step '{step.id}': '{step.over}' is not a list, so there are no items to ask about")
        told = context.ledger.ended_items()
        failures: dict[int, NyxlabError] = {}

        async def work() -> None:
            for index, item in left:
                await ask(index, item)

        async def ask(index: int, item: Json) -> None:
            variables = {**known, "item": item, "index": index}
            ledger = context.ledger.for_item(index)
            seed = hashlib.sha256(context.seed + str(index).encode()).digest()
            try:
                verdict = await self._verdict(context, variables, ledger, seed)
            except NyxlabError as error:
                failures[index] = error
                return
            told[index] = {"index": index, "output": _output(step, verdict), **verdict.payload()}
            ledger.end_item(told[index])

        left = iter([(index, item) for index, item in enumerate(items) if index not in told])
        async with anyio.create_task_group() as tasks:
            for _ in range(min(ITEMS_AT_ONCE, len(items) - len(told))):
                tasks.start_soon(work)
        if waiting := [error for error in failures.values() if isinstance(error, AnswerWanted)]:
            raise AnswerWanted.of(waiting)
        for error in failures.values():  # the end of a budget pauses the run: what is answered is not asked again
            if isinstance(error, BudgetExhausted) or (isinstance(error, NoCandidate) and error.only_budget):
                raise error
        for n, error in failures.items():
            told[n] = {"index": n, "output": None, **getattr(error, "payload", {}), "error": str(error)}
        payload: dict[str, Json] = {"items": [told[n] for n in range(len(items))]}
        if failures:
            first = min(failures)
            more = f" (and {len(failures) - 1} more of {len(items)})" if len(failures) > 1 else ""
            return Failed(error=f"step '{step.id}', item {first}: {failures[first]}{more}", payload=payload)
        return Done(output=[each["output"] for each in payload["items"]], payload=payload)

    async def _tool(self, context: StepContext, variables: Mapping[str, Json]) -> Outcome:
        """Call a registered function; it works in the run's own scratch folder."""
        step, root = context.step, self._settings.root
        tool = registered(step.tool or "")
        if tool.acts and tool.name not in self._options.allow:
            return Failed(error=f"step '{step.id}': the tool '{tool.name}' acts: allow it with --allow {tool.name}")
        arguments = filled(step.arguments, variables)
        return Done(output=await tool.run(arguments, root, root / "data" / "scratch" / context.run_id))


def _output(step: Step, verdict: Verdict) -> Json:
    return read_json(verdict.reply.text) if step.output_schema else verdict.reply.text


async def _review(context: StepContext) -> Outcome:
    """Review the named outputs as one set of documents; a FAIL verdict is a finding about them, not a failed step."""
    # The reviewer with its rules: other steps need none of it.
    from nyxlab.lab.workflows.outputs import Output, outputs_document, with_faults
    from nyxlab.reviewer.review import review_documents

    given = [Output(name, context.outputs[name], context.payloads[name]) for name in context.step.of]
    if not any(each.output for each in given):
        return Failed(error=f"step '{context.step.id}': there is no text to review in {', '.join(context.step.of)}")
    document, faults = outputs_document(given)
    review = review_documents(document, answers=with_faults(document, None, faults))
    return Done(output=review.headline, payload={"review": review.to_json()})
