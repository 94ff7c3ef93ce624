"""What providers are worth from here: which are usable, which answer a small call, how a prompt would be routed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from nyxlab.errors import NyxlabError
from nyxlab.gate.gate import Gate
from nyxlab.gate.options import GateOptions
from nyxlab.gate.policy import Policy, interval, rank
from nyxlab.lab.desk import Desk
from nyxlab.lab.views.console import plain_table
from nyxlab.lab.views.wording import money, seconds
from nyxlab.lab.workflows.past import Past
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Message, Record, Request, Seconds

# One current model a vendor, for the list of what is usable from here; any other model's name works as well.
KNOWN = ("anthropic:claude-sonnet-5-5", "google:gemini-3.8-flash", "openai:gpt-5.5", "local:smollm2-135m")
THOUSAND = Request(messages=(Message("user", "word" * 1_000),), max_tokens=1_000)
SMALL = Request(messages=(Message("user", "Reply with the word hello."),), max_tokens=64, deadline=60.0, stream=True)


class ProviderState(Record):
    """One provider as seen from here: why it cannot be called (None: it can), its window in tokens, what it takes.

    ``thousand_tokens`` is the cost of a call with 1,000 tokens of prompt and 1,000 of reply.
    """

    provider: str
    unusable: str | None
    context: int | None
    output_schema: bool
    thousand_tokens: Cost


class Checked(Record):
    """What came back: ``text``, or ``error`` saying why nothing did. Times are in seconds."""

    provider: str
    text: str | None = None
    error: str | None = None
    latency_seconds: Seconds | None = None
    time_to_first_token_seconds: Seconds | None = None
    cost: Cost = Cost.unknown()


def provider_states(desk: Desk) -> list[ProviderState]:
    """Return what is usable from here: one model a vendor, the settings' defaults, every endpoint's models."""
    settings = desk.settings
    named = [f"{name}:{model}" for name, endpoint in settings.endpoints.items() for model in endpoint.models]
    defaults = [settings.defaults.provider, settings.defaults.judge]
    states = []
    for name in dict.fromkeys([*filter(None, defaults), *KNOWN, *named]):
        provider = desk.open(name)
        able = provider.capabilities
        states.append(ProviderState(
            provider=name, unusable=provider.unusable(), context=able.context, output_schema=able.output_schema,
            thousand_tokens=provider.estimate(THOUSAND),
        ))  # fmt: skip
    return states


async def explained(desk: Desk, prompt: str, providers: Sequence[str], policy: Policy) -> str:
    """Return in lines how a prompt would be routed among providers (all that are known unless given); no call."""
    names = providers or [state.provider for state in provider_states(desk)]
    past = await Past.read(desk.store)
    router = desk.router if policy == "learned" else None
    options = GateOptions(policy=policy, history=past, router=router)
    gate = Gate([desk.open(name) for name in names], options)
    request = Request(messages=(Message("user", prompt),))
    resolution = gate.resolve(request)
    predicted, doubt = gate.predicted(request, resolution)
    lines = [f"{resolution.listed} listed, {len(resolution.live)} usable, policy {policy}{doubt}"]
    estimates = {candidate.provider.id: candidate.estimate for candidate in resolution.live}
    for place, (name, score) in enumerate(rank(policy, resolution.live, past, predicted).items(), start=1):
        quality = f"predicted quality {predicted[name]:.2f}, " if predicted else ""
        lines.append(f"{place}. {name}: {score:.3f} ({quality}{_grounds(estimates[name], past, name)})")
    lines += [f"-  {exclusion.provider}: left out, {exclusion.reason}" for exclusion in resolution.excluded]
    return "\n".join(lines)


def _grounds(estimate: Cost, past: Past, name: str) -> str:
    """Say what is known of a candidate: price, measured speed, comparisons won, each with its number of calls."""
    latency, wins = past.latency(name), past.wins(name)
    price = "price unknown" if estimate.usd is None else f"at most ${estimate.usd}"
    speed = "speed not measured" if not latency else f"median {latency[0]:.2f} s (n={latency[1]})"
    if not wins:
        return f"{price}, {speed}, never compared"
    rate, count = wins
    low, high = interval(rate, count)
    return f"{price}, {speed}, won {rate:.0%} (n={count}, 95 % interval {low:.0%} to {high:.0%})"


async def check(provider: Provider) -> Checked:
    """Make the small call and say how it went; no error is raised."""
    try:
        reply = await provider.ask(SMALL)
    except NyxlabError as error:
        return Checked(provider=provider.id, error=str(error).removeprefix(f"{provider.id}: "))
    return Checked(
        provider=provider.id,
        text=reply.text,
        latency_seconds=reply.latency_seconds,
        time_to_first_token_seconds=reply.time_to_first_token_seconds,
        cost=reply.cost,
    )


def answers_table(answers: Iterable[Checked]) -> Table:
    """Return what came back as a table for a terminal."""
    rows = [
        (
            each.provider,
            each.error or " ".join((each.text or "").split())[:60],
            seconds(each.time_to_first_token_seconds),
            seconds(each.latency_seconds),
            money(each.cost.usd, each.cost.certainty),
        )
        for each in answers
    ]
    return plain_table(["provider", "what came back", "first token>", "latency>", "cost>"], rows)
