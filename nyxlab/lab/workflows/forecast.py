"""The forecast of a workflow: the most that each provider may cost, also whoever may be asked instead of one."""

from __future__ import annotations

from collections.abc import Collection

from nyxlab.engine.records import FREE
from nyxlab.engine.workflow import Step, Workflow
from nyxlab.gate.judge import VERDICT_TOKENS
from nyxlab.lab.desk import Desk
from nyxlab.lab.workflows.options import candidates
from nyxlab.lab.workflows.steps import question
from nyxlab.providers.messages import Cost, Message, Request


def forecast(workflow: Workflow, desk: Desk, only: Collection[str]) -> dict[str, Cost]:
    """Return the most that each usable provider may cost in the steps ``only``, judges included; nothing is called.

    Outputs that a prompt quotes are taken to be as long as their step allows; how long those of tools and reviews are,
    nobody knows yet. Whoever may be asked instead of another one (fallback, hedge) counts as well.
    """
    costs: dict[str, list[Cost]] = {}
    for step in workflow.steps:
        if not step.asks or step.id not in only:
            continue
        quoted = sum(4 * workflow.step(name).max_tokens for name in step.needs if workflow.step(name).asks)
        request = question(step, workflow.goal, (step.prompt or "") + "x" * quoted, desk.settings, step.context or "")
        able = [n for n in dict.fromkeys((*candidates(step), *step.fallback)) if desk.open(n).unusable() is None]
        asked = [name for name in able if name in candidates(step)]
        unsure = isinstance(step.over, str) or any(
            not workflow.step(name).asks for name in step.needs if _quotes(step, name)
        )
        times = len(step.over) if isinstance(step.over, tuple) else 1
        for name in able:
            one = desk.open(name).estimate(request)
            # How many items another step will give, and how much a tool, nobody knows yet.
            more = [Cost.unknown()] if unsure and one != FREE else []
            costs.setdefault(name, []).extend([one] * times + more)
        if step.judge and step.compare and len(asked) > 1 and desk.open(step.judge).unusable() is None:
            pairs = len(asked) * (len(asked) - 1)
            shown = Message("user", request.text + "x" * 4 * 2 * step.max_tokens)
            verdict = Request(messages=(shown,), max_tokens=VERDICT_TOKENS)
            costs.setdefault(step.judge, []).extend([desk.open(step.judge).estimate(verdict)] * pairs * times)
    return {name: Cost.total(own) for name, own in costs.items()}


def _quotes(step: Step, name: str) -> bool:
    """Whether a step's prompt may hold what another step wrote."""
    return any((use.root, use.name) == ("steps", name) for use in step.uses)
