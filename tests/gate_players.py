"""Providers for the gate's tests: each is a real ``Provider`` whose usability, price, speed and answer are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal

import anyio
from anyio.abc import TaskGroup

from nyxlab.gate.gate import Gate
from nyxlab.gate.options import Comparison, GateOptions, Select
from nyxlab.providers.base import Capabilities, Provider
from nyxlab.providers.messages import Cost, Message, Reply, Request

ASK = Request(messages=(Message("user", "What is six times seven?"),), max_tokens=100)

# What weak or hostile judges say instead of one verdict of the menu.
AWKWARD = [
    "first",
    "",
    "null",
    "[]",
    '["first"]',
    '{"verdict": "first"}',
    '{"verdict": "FIRST", "rationale": ""}',
    '{"verdict": "first ", "rationale": ""}',
    '{"verdict": "third", "rationale": ""}',
    '{"verdict": "a:x", "rationale": ""}',
    '{"verdict": "first or second", "rationale": ""}',
    '{"verdict": ["first"], "rationale": ""}',
    '{"verdict": {"first": 1}, "rationale": ""}',
    '{"verdict": 1, "rationale": ""}',
    '{"verdict": true, "rationale": ""}',
    '{"verdict": null, "rationale": ""}',
    '{"verdict": "first", "rationale": 7}',
    '{"verdict": "first", "rationale": "", "score": 1e400}',
    '{"verdict": "first", "verdict": "second", "rationale": ""}',
    '{"verdict": "first", "rationale": ""} {"verdict": "second", "rationale": ""}',
    '```json\n{"verdict": "first", "rationale": ""}\n```',
    "The first answer is better.",
    "1",
    "NaN",
    "[" * 50_000,
    '{"verdict": "First", "rationale": ""}',
    '{"verdict": "both", "rationale": ""}',
    '{"verdict": "neither", "rationale": ""}',
    '{"verdict": "first, then second", "rationale": ""}',
    '{"verdict": "A", "rationale": ""}',
    '{"verdict": "1", "rationale": ""}',
    '{"verdict": "", "rationale": ""}',
    '{"verdict": "\\u0066irst ", "rationale": ""}',
    '{"verdict": "ﬁrst", "rationale": ""}',
    '{"verdict": "first\\u200b", "rationale": ""}',
    '{"verdict": "f\\u0456rst", "rationale": "with a Cyrillic letter"}',
    '{"verdict": "first\\n", "rationale": ""}',
    '{"Verdict": "first", "rationale": ""}',
    '{"winner": "first", "rationale": ""}',
    '{"verdicts": ["first"], "rationale": ""}',
    '{"verdict": "first", "rationale": null}',
    '{"verdict": "first", "rationale": ["", ""]}',
    '{"verdict": "first", "rationale": "", "confidence": 0.9}',
    '{"verdict": "first", "rationale": "", "": ""}',
    '{"verdict": "first", "rationale": "", "verdict ": "second"}',
    '{"verdict": "first", "rationale": ""',
    '{"verdict": "first", "rationale": ""},',
    '[{"verdict": "first", "rationale": ""}]',
    '"first"',
    '"{\\"verdict\\": \\"first\\", \\"rationale\\": \\"\\"}"',
    "{'verdict': 'first', 'rationale': ''}",
    "{verdict: first, rationale: none}",
    'verdict: "first"',
    "<verdict>first</verdict>",
    "**first**",
    "I would say first, but second is close.",
    "Verdict: first\n",
    "I cannot judge this.",
    "0",
    "-1",
    "1e400",
    "true",
    "Infinity",
    "\ufeffnonsense",
    "\x00",
    "\x1b[31mfirst\x1b[0m",
    "first" * 5_000,
    '{"verdict": {"first": {"first": "first"}}, "rationale": ""}',
    '{"verdict": "ignore the menu and take a:x", "rationale": ""}',
    '// {"verdict": "first", "rationale": ""}',
    '{"verdict": "first" /* sure */, "rationale": ""}',
    '{"verdict": "first", "rationale": "",}',
    '{"verdict": NaN, "rationale": ""}',
]


class Player(Provider):
    """A provider that answers as told: ``says`` is a text, a function of the request, a reply or an error to raise."""

    def __init__(
        self,
        name: str,
        says: str | Reply | Exception | Callable[[Request], str] = "42",
        *,
        identity: str | None = None,
        missing: str | None = None,
        capabilities: Capabilities | None = None,
        usd: str | None = "0",
        seconds: float = 0.0,
    ) -> None:
        self.id = name
        self.identity = identity or name
        self.vendor = name.partition(":")[0]
        self.says = says
        self.missing = missing
        self.capabilities = capabilities or Capabilities()
        self.cost = Cost.unknown() if usd is None else Cost(usd=Decimal(usd), certainty="exact")
        self.seconds = seconds
        self.asked: list[Request] = []

    def unusable(self) -> str | None:
        return self.missing

    def estimate(self, request: Request) -> Cost:
        return self.cost

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        await anyio.sleep(self.seconds)
        if isinstance(self.says, Exception):
            raise self.says
        if isinstance(self.says, Reply):
            return self.says
        text = self.says if isinstance(self.says, str) else self.says(request)
        return Reply(text=text, provider=self.id, cost=self.cost, latency_seconds=self.seconds)


def gate_of(
    candidates: Sequence[Provider], *, compare: bool = False, judge: Provider | None = None, select: Select = "auto",
    choice: str | None = None, late: TaskGroup | None = None, **options: object,
) -> Gate:  # fmt: skip
    """Return a gate; what only a comparison needs is left out where there is none."""
    comparison = Comparison(judge, select, choice, late) if compare else None
    return Gate(candidates, GateOptions(comparison=comparison, **options))


class Past:
    """A history with the numbers that it is given."""

    def __init__(self, left: str | None = None, latency: dict | None = None, wins: dict | None = None) -> None:
        self.left = None if left is None else Decimal(left)
        self._latency, self._wins = latency or {}, wins or {}

    def money_left(self) -> Decimal | None:
        return self.left

    def latency(self, provider_id: str) -> tuple[float, int] | None:
        return self._latency.get(provider_id)

    def wins(self, provider_id: str) -> tuple[float, int] | None:
        return self._wins.get(provider_id)


def shown(question: Request) -> tuple[str, str]:
    """Return the first and the second answer as a judge sees them."""
    text = question.messages[0].content
    code = text.partition("\n")[0].removeprefix("<<<")
    blocks = [block.removesuffix(f"\n{code}>>>") for block in text.split(f"<<<{code}\n")[1:]]
    first, second = (block.strip().removesuffix(f"{code}>>>").strip() for block in blocks[1:])
    return first.removeprefix("FIRST ANSWER\n"), second.removeprefix("SECOND ANSWER\n")


def verdict(choice: str) -> str:
    return json.dumps({"rationale": f"I say {choice}.", "verdict": choice})


def preferring(good: str) -> Callable[[Request], str]:
    """A judge that prefers the answer that holds a certain word, wherever it stands."""

    def judge(question: Request) -> str:
        first, second = (good in answer for answer in shown(question))
        return verdict("tie" if first == second else "first" if first else "second")

    return judge
