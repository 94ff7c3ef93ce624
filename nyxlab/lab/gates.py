"""The verbs about providers: compare them, say which are usable, how a prompt would be routed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from os import PathLike
from pathlib import Path

from nyxlab.engine.records import Run
from nyxlab.engine.workflow import Workflow
from nyxlab.errors import InputRefused
from nyxlab.gate.gate import Gate
from nyxlab.gate.policy import Policy, explain
from nyxlab.lab import prompts
from nyxlab.lab.check import Checked, check
from nyxlab.lab.past import Past
from nyxlab.lab.routes import ledger_table, train_router
from nyxlab.lab.runs import OnEvent, Runs
from nyxlab.lab.steps import Options, comparison
from nyxlab.providers.messages import Cost, Message, Record, Request

# One current model a vendor, for the list of what is usable from here; any other model's name works as well.
KNOWN = ("anthropic:claude-sonnet-5-5", "google:gemini-3.8-flash", "openai:gpt-5.5", "local:smollm2-135m")
THOUSAND = Request(messages=(Message("user", "word" * 1_000),), max_tokens=1_000)


class ProviderState(Record):
    """One provider as seen from here: why it cannot be called (None: it can), its window in tokens, what it takes.

    ``thousand_tokens`` is the cost of a call with 1,000 tokens of prompt and 1,000 of reply.
    """

    provider: str
    unusable: str | None
    context: int | None
    output_schema: bool
    images: bool
    thousand_tokens: Cost


class Gates(Runs):
    """What can be asked of providers side by side, and about them."""

    async def compare(
        self,
        prompt: str | PathLike[str],
        *,
        providers: str | Sequence[str],
        repeat: int = 1,
        judge: str | None = None,
        policy: Policy | None = None,
        max_tokens: int | None = None,
        budget: Decimal | str | None = None,
        on_event: OnEvent | None = None,
    ) -> Run:
        """Ask several providers a prompt, or each of a file (a path), side by side; return the run with the verdicts.

        ``repeat`` asks each prompt so many times. ``policy`` decides where there is no judge and where Cael sees a tie.
        """
        workflow, inputs = self._comparison(prompt, repeat)
        return await self.run(
            workflow,
            inputs=inputs,
            providers=providers,
            judge=judge,
            policy=policy,
            max_tokens=max_tokens,
            budget=budget,
            on_event=on_event,
        )

    def forecast_comparison(
        self,
        prompt: str | PathLike[str],
        *,
        providers: str | Sequence[str],
        repeat: int = 1,
        judge: str | None = None,
        max_tokens: int | None = None,
    ) -> dict[str, Cost]:
        """Return the most that each provider may cost in a comparison; nothing is called or written."""
        workflow, inputs = self._comparison(prompt, repeat)
        return self.forecast(workflow, inputs=inputs, providers=providers, judge=judge, max_tokens=max_tokens)

    def _comparison(self, prompt: str | PathLike[str], repeat: int) -> tuple[Workflow, dict[str, str]]:
        """Return the workflow of a comparison and its inputs: one step, or one item a prompt and repetition."""
        if not isinstance(prompt, str):
            return prompts.comparison(prompts.read_prompts(self.settings.resolve(Path(prompt))), repeat), {}
        if repeat != 1:
            return prompts.comparison([prompts.Prompt(id=1, prompt=_asked(prompt))], repeat), {}
        return comparison(), {"prompt": _asked(prompt)}

    def providers(self) -> list[ProviderState]:
        """Return what is usable from here: one model a vendor, the settings' defaults, every endpoint's models."""
        named = [f"{name}:{model}" for name, endpoint in self.settings.endpoints.items() for model in endpoint.models]
        defaults = [self.settings.defaults.provider, self.settings.defaults.judge]
        return [self._state(name) for name in dict.fromkeys([*filter(None, defaults), *KNOWN, *named])]

    async def explain(
        self, prompt: str, *, providers: str | Sequence[str] | None = None, policy: Policy = "balanced"
    ) -> str:
        """Return in lines how a prompt would be routed and why: scores, what they rest on, who is left out; no call."""
        names = Options.of(providers, None).providers or tuple(state.provider for state in self.providers())
        past = await Past.read(self._store)
        router = self.router() if policy == "learned" else None
        gate = Gate([self.open(name) for name in names], policy=policy, history=past, router=router)
        request = Request(messages=(Message("user", prompt),))
        resolution = gate.resolve(request)
        return explain(resolution, policy, past, *gate.predicted(request, resolution))

    async def check(self, names: Iterable[str]) -> list[Checked]:
        """Make one small call to each of these providers, one after another, and return what came back."""
        return [await check(self.open(name)) for name in names]

    async def route(self, labels: str | PathLike[str] | None, output: str | PathLike[str]) -> str:
        """Train a router, write it to a file, and return what it was trained on in one line.

        ``labels`` is a CSV of recorded outcomes; None: the judged comparisons of the ledger.

        Named as ``router`` under ``[defaults]`` in ``nyxlab.toml`` it serves ``policy: learned``.
        """
        if labels is not None:
            return train_router(self.settings.resolve(Path(labels)), self.settings.resolve(Path(output)))
        recorded = [await self.show(summary.run_id) for summary in await self.runs()]
        return train_router(ledger_table(recorded, self.settings), self.settings.resolve(Path(output)))

    def _state(self, name: str) -> ProviderState:
        provider = self.open(name)
        able = provider.capabilities
        return ProviderState(
            provider=name,
            unusable=provider.unusable(),
            context=able.context,
            output_schema=able.output_schema,
            images=able.images,
            thousand_tokens=provider.estimate(THOUSAND),
        )


def _asked(prompt: str) -> str:
    if not prompt.strip():
        raise InputRefused("the prompt is empty: say what the providers are asked")
    return prompt
