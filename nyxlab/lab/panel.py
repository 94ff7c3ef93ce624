"""The panel: questions put to models as a run of their own, named by what it asks, so that no reply about a plan is bought twice."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Run
from nyxlab.engine.workflow import Workflow
from nyxlab.errors import InputRefused
from nyxlab.lab.steps import persona
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Json, Message, Request
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.models import amend
from nyxlab.reviewer.models.consensus import Confirmed, Panel, finders, locate, merge, refute, repeats, shares, unfound
from nyxlab.reviewer.models.evidence import Locator
from nyxlab.reviewer.models.lenses import (
    ANSWERS_SCHEMA,
    CLAIMS_SCHEMA,
    EITHER_SCHEMA,
    LEAST_ROOM,
    Numbered,
    Part,
    Refuted,
    asked_claims,
    pass_name,
    read_answers,
    read_claims,
    reply_tokens,
    room,
)
from nyxlab.reviewer.models.lenses import question as as_asked
from nyxlab.reviewer.review import Answers, Pass
from nyxlab.reviewer.text.document import Document
from nyxlab.settings import Settings

DEADLINE = 300.0
CLAIMS_AT_ONCE = 12  # claims that a second reader is shown in one call
CLAIM_SIZE = 700  # characters that a claim takes, for the forecast
LENSES = "lenses"
_OWN = re.compile(r"[a-z][a-z0-9-]{0,40}")
_SECOND = "Here are claims about the plan. Answer for every claim."

RunNamed = Callable[[Workflow, Mapping[str, Json], str, Decimal | None], Awaitable[Run]]
"""Runs a workflow under an id, or carries on the run that has it already."""
Item = tuple[Part, str]
"""What one call asks: a part of the plan, and the question about it."""


class Calls(NamedTuple):
    """One step of a run that asks: a provider, its items, the schema of a reply."""

    step: str
    provider: Provider
    items: Sequence[Item]
    schema: Json
    keep: bool = False  # whether the provider is to keep the plan, since it is asked about it again


@dataclass(frozen=True)
class Question:
    """One question, the reader's or a lens, asked of one provider, a call for each part of the plan; ``cost`` is the most that it may take."""

    step: str
    lens: str
    text: str
    provider: Provider
    parts: tuple[Part, ...]
    cost: Cost


@dataclass(frozen=True)
class Reading:
    """What models are going to be asked about a document, and the passes that are left out, with the reason."""

    document: Document
    numbered: Numbered
    questions: tuple[Question, ...]
    left_out: tuple[Pass, ...]
    panel: tuple[Provider, ...]
    judge: Provider | None
    budget: Decimal | None
    personas: Mapping[str, str]
    baseline: bool = False  # whether an earlier review's findings may be asked about

    def second(self, finder: Collection[str]) -> Provider | None:
        """Return who tries to refute what these providers have found: the judge, else another one of the panel."""
        others = [each for each in self.panel if each.id not in finder] or list(self.panel[1:])
        return self.judge or next(iter(others), None)

    def calls(self, question: Question) -> Calls:
        """Return what a question asks of its provider: who is Cael, and the question, after each part."""
        items = [(part, f"{self.personas['cael']}\n\n{question.text}") for part in question.parts]
        schema = EITHER_SCHEMA if question.provider.capabilities.keeps else CLAIMS_SCHEMA
        return Calls(question.step, question.provider, items, schema, self.rereads(question.provider))

    def parts(self, reader: Provider) -> tuple[Part, ...]:
        """Return the parts of the plan as this reader is shown them, whatever it is asked."""
        if own := next((each.parts for each in self.questions if each.provider is reader and each.parts), None):
            return own
        context = reader.capabilities.context
        longest = max((len(each.text) for each in self.questions), default=0) + len(self.personas["cael"])
        space = room(context, max(longest, len(self.personas["refuter"]) + claims_size(context)))
        return self.numbered.parts(max(LEAST_ROOM, space))

    def rereads(self, provider: Provider) -> bool:
        """Whether a provider is asked about the plan more than once, so that it pays to have it kept."""
        own = sum(each.provider is provider for each in self.questions)
        second = (self.judge is provider) if self.judge else len(self.panel) > 1 or self.baseline
        return provider.capabilities.keeps and (own > 1 or second)

    def cost_of_deciding(self, findings: Sequence[Finding]) -> Cost:
        """Return the most that it may cost to have the only provider decide these; ``InputRefused`` where the budget is smaller."""
        (provider,) = self.panel
        asked = [(_part_about(self, [finding], provider), _fault(self, finding)) for finding in findings]
        keep = len(asked) > 1
        cost = Cost.total(provider.estimate(_request(part, text, provider, keep=keep)) for part, text in asked)
        if self.budget is not None and (cost.certainty == "unknown" or (cost.usd or 0) > self.budget):
            most = f"may cost ${cost.usd}" if cost.certainty != "unknown" else "has no known price"
            raise InputRefused(
                f"a budget of ${self.budget} holds no decisions about {len(asked)} findings: {provider.id} {most}"
            )
        return cost

    @property
    def forecast(self) -> dict[str, Cost]:
        """The most that each provider may cost: its questions, and a dozen claims a call for whoever reads second.

        The only reader is asked a second time about an earlier review's findings, if there is one.
        """
        told: dict[str, list[Cost]] = {}
        for question in self.questions:
            told.setdefault(question.provider.id, []).append(question.cost)
            alone = question.provider if self.baseline and len(self.panel) == 1 else None
            if reader := self.second({question.provider.id}) or alone:
                claims = self.personas["refuter"] + "x" * CLAIMS_AT_ONCE * CLAIM_SIZE
                asked = [_request(part, claims, reader, keep=True) for part in question.parts]
                told.setdefault(reader.id, []).extend(map(reader.estimate, asked))
        return {name: Cost.total(costs) for name, costs in told.items()}


def claims_size(context: int | None) -> int:
    """Return how many characters of claims a second reader is shown in one call: a dozen, fewer in a small window."""
    return min(CLAIMS_AT_ONCE * CLAIM_SIZE, room(context, 0) // 4)


def prepare(
    document: Document,
    lenses: Mapping[str, str],
    providers: Sequence[Provider],
    judge: Provider | None,
    budget: Decimal | None,
    settings: Settings,
    *,
    baseline: bool = False,
) -> Reading:
    """Decide what is asked of whom; nothing is called. ``InputRefused`` for a budget that holds not even one question.

    Who cannot be called, has too small a window or does not fit into the budget is left out, and the pass says why.
    """
    personas = {name: persona(name, settings) for name in ("fence", "cael", "refuter", "amender")}
    usable = tuple(each for each in providers if each.unusable() is None)
    texts = {lens: as_asked(bare) for lens, bare in lenses.items()}
    out: list[Pass] = []
    if judge is not None and judge.unusable() is not None:
        out.append(Pass(name="refutation", status="skipped", reason=judge.unusable(), provider=judge.id))
        judge = None
    wanted = [
        Question(f"{re.sub(r'[^a-z0-9]', '_', lens)}_{n}_{which}", lens, text, each, (), Cost.unknown())
        for n, (lens, text) in enumerate(texts.items(), 1) for which, each in enumerate(providers, 1)
    ]  # fmt: skip
    numbered = Numbered.of(document)
    reading = Reading(document, numbered, tuple(wanted), (), usable, judge, budget, personas, baseline)
    questions: list[Question] = []
    for question in wanted:
        provider = question.provider
        reason, context = provider.unusable(), provider.capabilities.context
        if reason is None and room(context, len(question.text) + len(personas["cael"])) < LEAST_ROOM:
            reason = f"its window of {context} tokens holds no part of the plan"
        if reason is not None:
            out.append(_left_out(question, reason))
            continue
        parts, keep = reading.parts(provider), reading.rereads(provider)
        asked = [_request(part, personas["cael"] + question.text, provider, keep=keep) for part in parts]
        questions.append(replace(question, parts=parts, cost=Cost.total(map(provider.estimate, asked))))
    kept = tuple(_affordable(questions, budget, out))
    return replace(reading, questions=kept, left_out=tuple(out))


def single(document: Document, provider: Provider, budget: Decimal | None, settings: Settings) -> Reading:
    """Return the reading of one provider that is asked no question yet. ``InputRefused`` where it cannot be called."""
    if reason := provider.unusable():
        raise InputRefused(f"{provider.id} cannot be asked: {reason}")
    personas = {name: persona(name, settings) for name in ("fence", "cael", "refuter", "amender")}
    return Reading(document, Numbered.of(document), (), (), (provider,), None, budget, personas)


def _affordable(questions: Sequence[Question], budget: Decimal | None, out: list[Pass]) -> Iterator[Question]:
    """Yield the questions that fit into the budget together, in order; say of the others what they need."""
    left, held = budget, 0
    for question in questions:
        usd = question.cost.usd if question.cost.certainty != "unknown" else None
        if left is not None and usd is None:
            out.append(_left_out(question, "its price is unknown, so no budget can hold it"))
        elif left is not None and usd is not None and usd > left:
            out.append(_left_out(question, f"it may cost ${usd} and ${left} of the budget is left"))
        else:
            left = left - usd if left is not None and usd is not None else left
            held += 1
            yield question
    if questions and not held:
        known = [(q.cost.usd, q) for q in questions if q.cost.usd is not None and q.cost.certainty != "unknown"]
        if not known:
            raise InputRefused("no provider's price is known, so no budget can hold them: state prices in nyxlab.toml")
        least, question = min(known, key=lambda each: each[0])
        raise InputRefused(
            f"a budget of ${budget} holds no question: {question.lens} by {question.provider.id} may cost ${least};"
            f" give --budget {least} or more"
        )


async def ask(reading: Reading, run_named: RunNamed, rules: Sequence[Finding], earlier: Sequence[Finding]) -> Answers:
    """Ask the questions, make findings of what is said, and have a second reader look at each.

    ``rules`` are the findings that code has made; ``earlier`` are a baseline's findings by models whose words still stand,
    about which the second reader is asked too. Where a provider keeps what it is sent, its first question comes first.
    """
    if not reading.questions:
        return Answers(passes=reading.left_out)
    first = {question.provider: question for question in reversed(reading.questions)}
    later = [q for q in reading.questions if q.provider.capabilities.keeps and first[q.provider] is not q]
    rounds = [[q for q in reading.questions if q not in later], later]
    runs = [await _run(reading, run_named, "review", list(map(reading.calls, each))) for each in rounds if each]
    locator = Locator(reading.document)
    passes, located = [], []
    for question in reading.questions:
        values = _outputs(runs, question.step)
        passes.append(_pass(pass_name(question.lens), question.provider.id, runs, question.step, values))
        claims = [claim for value in values if value is not None for claim in read_claims(value)]
        who = question.provider.id
        located += [locate(claim, question.lens, who, reading.numbered, locator) for claim in claims]
    asked = tuple(dict.fromkeys(question.provider.id for question in reading.questions))
    merged = merge(located, len(asked))
    said = [(finding, repeats(finding, rules)) for finding in merged]
    findings = [finding for finding, rule in said if rule is None]
    known = {finding.fingerprint for finding in findings}
    again = [old for old in earlier if old.fingerprint not in known]
    waiting = _waits(runs)
    answers: dict[str, tuple[Refuted, str]] = {}
    read: list[Pass] = []
    if not waiting:  # all of them at once, when all are there
        spent = Cost.total(run.cost for run in runs).usd or Decimal(0)
        answers, read, second = await _refute(reading, run_named, [f for f in findings if f.verified], again, spent)
        runs += second
        if not read and not any(told.name == "refutation" for told in reading.left_out):
            read = [_unread(findings)]
    costs: dict[str, list[Cost]] = {name: [] for name in asked}
    for call in (call for run in runs for call in run.calls):
        costs.setdefault(call.provider, []).append(call.cost)
    heard = tuple(refute(f, *answers.get(f.fingerprint, (None, ""))) for f in findings)
    panel = Panel(
        runs=tuple(run.run_id for run in runs),
        providers=shares(heard, {name: answer for name, (answer, _) in answers.items()}, {n: Cost.total(c) for n, c in costs.items()}),
        unfound=unfound((finders(f) for f in merged if f.verified), asked),
        confirmed=tuple(
            Confirmed(title=f.title, providers=tuple(sorted(finders(f))), finding=rule.fingerprint)
            for f, rule in said if rule is not None
        ),
    )  # fmt: skip
    asked_again = {old.fingerprint: answers[old.fingerprint] for old in again if old.fingerprint in answers}
    total = Cost.total(run.cost for run in runs)
    return Answers(heard, (*passes, *reading.left_out, *read), panel, total, asked_again, _waits(runs))


async def _refute(
    reading: Reading, run_named: RunNamed, findings: Sequence[Finding], earlier: Sequence[Finding], spent: Decimal
) -> tuple[dict[str, tuple[Refuted, str]], list[Pass], list[Run]]:
    """Return the second readers' answers by fingerprint, with who gave each, the passes, and the run that they took."""
    by_reader: dict[Provider, list[Finding]] = {}
    for finding in (*findings, *earlier):
        reader = reading.second(finders(finding))
        if finding in earlier:  # whether it still stands, its only finder may say as well
            reader = reader or reading.panel[0]
        if reader:
            by_reader.setdefault(reader, []).append(finding)
    asked, groups = [], {}
    for number, (reader, own) in enumerate(by_reader.items(), 1):
        step = f"refute_{number}"
        groups[step] = (reader, list(_grouped(reading, own, claims_size(reader.capabilities.context))))
        items = [_claims(reading, group, reader) for group in groups[step][1]]
        schema = EITHER_SCHEMA if reader.capabilities.keeps else ANSWERS_SCHEMA
        asked.append(Calls(step, reader, items, schema, keep=reading.rereads(reader)))
    if not asked:
        return {}, [], []
    left = None if reading.budget is None else reading.budget - spent
    run = await _run(reading, run_named, "refutation", asked, left)
    answers: dict[str, tuple[Refuted, str]] = {}
    passes = []
    for step, (reader, cut) in groups.items():
        values = _outputs([run], step)
        passes.append(_pass("refutation", reader.id, [run], step, values))
        for group, value in zip(cut, values, strict=False):  # a step that never began has no items
            told = read_answers(value) if value is not None else {}
            answers |= {f.fingerprint: (told[n], reader.id) for n, (f, _) in enumerate(group, 1) if n in told}
    return answers, passes, [run]


def _grouped(reading: Reading, findings: Sequence[Finding], size: int) -> Iterator[list[tuple[Finding, str]]]:
    """Yield findings with what is claimed, as many together as a second reader is shown in one call."""
    group: list[tuple[Finding, str]] = []
    for finding in findings:
        quotes = [(reading.numbered.number(e.path, e.start_line), e.quote) for e in finding.evidence]
        claim = "".join(asked_claims([(finding.title, finding.explanation[:size], quotes)]))
        if group and (len(group) == CLAIMS_AT_ONCE or sum(len(c) for _, c in group) + len(claim) > size):
            yield group
            group = []
        group.append((finding, claim.replace("CLAIM 1:", f"CLAIM {len(group) + 1}:", 1)))
    if group:
        yield group


def _claims(reading: Reading, group: Sequence[tuple[Finding, str]], reader: Provider) -> Item:
    """Return what a second reader is asked: the part of the plan that the claims are about, and the claims, fenced."""
    part = _part_about(reading, [f for f, _ in group], reader)
    claims = fenced("\n".join(claim for _, claim in group))
    return part, f"{reading.personas['refuter']}\n\n{_SECOND}\n\n{claims}"


def _part_about(reading: Reading, findings: Sequence[Finding], reader: Provider) -> Part:
    at = [reading.numbered.number(e.path, e.start_line) for f in findings for e in f.evidence]
    return max(reading.parts(reader), key=lambda part: sum(part.first <= line <= part.last for line in at))


async def decide(
    reading: Reading, run_named: RunNamed, findings: Sequence[Finding]
) -> tuple[list[amend.Decision], Run]:
    """Ask the only provider of a panel how each finding is to be settled; return the decisions that came, and the run."""
    (provider,) = reading.panel
    items = [(_part_about(reading, [finding], provider), _fault(reading, finding)) for finding in findings]
    keep = provider.capabilities.keeps and len(items) > 1
    rounds = [items[:1], items[1:]] if keep else [items]
    texts = {path: file.text for path, file in reading.document.files.items()}
    decisions: list[amend.Decision] = []
    for number, each in enumerate(rounds):
        asked = Calls("amend", provider, each, amend.DECISION_SCHEMA, keep)
        run = await _run(reading, run_named, "amend", [asked], reading.budget)
        values = [(f, v) for f, v in zip(findings[number:], _outputs([run], "amend"), strict=False) if v is not None]
        decisions += [amend.read_decision(f.id, value, reading.numbered, texts) for f, value in values]
    return decisions, run


def _fault(reading: Reading, finding: Finding) -> str:
    numbers = [reading.numbered.number(e.path, e.start_line) for e in finding.evidence]
    return f"{reading.personas['amender']}\n\n{fenced(amend.asked(finding, numbers))}"


async def _run(
    reading: Reading, run_named: RunNamed, name: str, asked: Sequence[Calls], budget: Decimal | None = None
) -> Run:
    """Run what is asked under an id made of all of it, a map step each: the plan first, so that questions share it, and the question last."""
    inputs: dict[str, str] = {}
    steps: list[Json] = []
    for each in asked:
        named = [(_named(inputs, fenced(part.text)), _named(inputs, text)) for part, text in each.items]
        shown = {"context": "{{ item[0] }}", "prompt": "{{ item[1] }}"}
        steps.append({
            "id": each.step, "kind": "map", "persona": "fence", "provider": each.provider.id, "judge": None,
            "over": "[" + ", ".join(f"[inputs.{plan}, inputs.{text}]" for plan, text in named) + "]",
            **(shown if each.keep else {"prompt": "\n\n".join(shown.values())}),
            "schema": each.schema, "max_tokens": reply_tokens(each.provider.capabilities.context), "deadline": DEADLINE,
        })  # fmt: skip
    source = json.dumps({"name": name, "inputs": {key: {} for key in inputs}, "steps": steps})
    all_ = json.dumps([source, inputs, dict(reading.personas)], sort_keys=True)
    run_id = f"{name}-{hashlib.sha256(all_.encode()).hexdigest()[:16]}"
    return await run_named(
        parse_workflow(source, name), inputs, run_id, budget if budget is not None else reading.budget
    )


def fenced(text: str) -> str:
    """Return a text between lines that it cannot hold: their word is its own digest, so whoever wrote it could not know it."""
    code = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return f"<<<{code}\n{text}\n{code}>>>"


def _named(inputs: dict[str, str], text: str) -> str:
    """Return the name of the input that holds a text, a new one for a new text."""
    if known := next((name for name, held in inputs.items() if held == text), None):
        return known
    inputs[name := f"text_{len(inputs) + 1}"] = text
    return name


def _outputs(runs: Sequence[Run], step: str) -> list[Json]:
    """Return a map step's outputs by item; None for an item that failed."""
    record = next(run.steps[step] for run in runs if step in run.steps)
    whole = record.status == "completed"
    return list(record.output) if whole else [each["output"] for each in record.payload.get("items", ())]


def _pass(name: str, provider: str, runs: Sequence[Run], step: str, values: Sequence[Json]) -> Pass:
    """Return what became of a pass; one that failed half-way says how far it came."""
    run = next(run for run in runs if step in run.steps)
    record = run.steps[step]
    if record.status == "completed":
        return Pass(name=name, status="ran", provider=provider)
    reason = record.error or (run.pause.reason if run.pause else "it was not finished")
    for item in record.payload.get("items", ()):  # what the provider itself met, where it is known
        reason = next((each["error"] for each in item.get("alternatives", ()) if each.get("error")), reason)
    came = sum(value is not None for value in values)
    some = f" ({came} of {len(values)} parts came, and count)" if came else ""
    status = "skipped" if record.status == "paused" else "failed"
    return Pass(name=name, status=status, reason=f"{reason}{some}", provider=provider)


def _waits(runs: Sequence[Run]) -> bool:
    return any(run.pause and run.pause.kind == "answers" for run in runs)


def _unread(findings: Sequence[Finding]) -> Pass:
    if not any(finding.verified for finding in findings):
        return Pass(name="refutation", status="ran", reason="there was no finding to refute")
    return Pass(name="refutation", status="skipped", reason="no second provider to refute with: name a --judge")


def _left_out(question: Question, reason: str) -> Pass:
    return Pass(name=pass_name(question.lens), status="skipped", reason=reason, provider=question.provider.id)


def _request(part: Part, question: str, provider: Provider, *, keep: bool = False) -> Request:
    text = f"{part.text}\n\n{question}"
    shared = len(part.text) if keep and provider.capabilities.keeps else 0
    most = reply_tokens(provider.capabilities.context)
    return Request(messages=(Message("user", text),), max_tokens=most, shared=shared)


def own_lenses(root: Path) -> dict[str, str]:
    """Return the project's own questions, ``lenses/NAME.md``, by name."""
    own = {}
    for path in sorted((root / LENSES).glob("*.md")):
        if not _OWN.fullmatch(path.stem):
            raise InputRefused(f"{path}: a lens is named with small letters, digits and '-'")
        try:
            own[path.stem] = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise InputRefused(f"{path}: cannot be read as UTF-8 text; mend or remove it") from None
        if not own[path.stem]:
            raise InputRefused(f"{path}: the lens is empty; write its question, or remove the file")
    return own
