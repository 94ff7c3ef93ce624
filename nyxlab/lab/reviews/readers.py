"""Readers: questions put to models as a run named by what it asks, so that no reply about a plan is bought twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

from nyxlab.engine.inputs import Input
from nyxlab.engine.records import Run
from nyxlab.engine.workflow import Step
from nyxlab.errors import InputRefused
from nyxlab.lab.reviews.asking import CLAIMS_AT_ONCE, Calls, Item, Reading, claims_size, fenced
from nyxlab.lab.workflows.comparison import made_workflow
from nyxlab.lab.workflows.options import Options
from nyxlab.lab.workflows.prepared import OnEvent, prepare, prepare_resume
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Json
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.models import amend
from nyxlab.reviewer.models.consensus import Confirmed, Panel, finders, locate, merge, refute, repeats, shares, unfound
from nyxlab.reviewer.models.evidence import Locator
from nyxlab.reviewer.models.lenses import (
    ANSWERS_SCHEMA,
    EITHER_SCHEMA,
    Refuted,
    asked_claim,
    pass_name,
    read_answers,
    read_claims,
    reply_tokens,
)
from nyxlab.reviewer.review import Answers, Pass

DEADLINE = 300.0
_SECOND = "Here are claims about the plan. Answer for every claim."


async def ask(
    reading: Reading, rules: Sequence[Finding], earlier: Sequence[Finding], on_event: OnEvent | None
) -> Answers:
    """Ask the questions, make findings of what is said, and have a second reader look at each.

    ``rules`` are the findings that code has made; ``earlier`` are a baseline's findings by models whose words still
    stand, about which the second reader is asked too. Where a provider keeps what it is sent, its first question comes
    first.
    """
    if not reading.questions:
        return Answers(passes=reading.left_out)
    first = {question.provider: question for question in reversed(reading.questions)}
    later = [q for q in reading.questions if q.provider.capabilities.keeps and first[q.provider] is not q]
    rounds = [[q for q in reading.questions if q not in later], later]
    runs = [await _run(reading, on_event, "review", list(map(reading.calls, each))) for each in rounds if each]
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
        answers, read, second = await _refute(reading, on_event, [f for f in findings if f.verified], again, spent)
        runs += second
        if not read and not any(told.name == "refutation" for told in reading.left_out):
            read = [_unread(findings)]
    costs: dict[str, list[Cost]] = {name: [] for name in asked}
    for call in (call for run in runs for call in run.calls):
        costs.setdefault(call.provider, []).append(call.cost)
    heard = tuple(refute(f, *answers.get(f.fingerprint, (None, ""))) for f in findings)
    panel = Panel(
        runs=tuple(run.run_id for run in runs),
        providers=shares(
            heard, {name: answer for name, (answer, _) in answers.items()}, {n: Cost.total(c) for n, c in costs.items()}
        ),
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
    reading: Reading, on_event: OnEvent | None, findings: Sequence[Finding], earlier: Sequence[Finding], spent: Decimal
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
    run = await _run(reading, on_event, "refutation", asked, left)
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
    used = 0
    for finding in findings:
        quotes = [(reading.numbered.number(e.path, e.start_line), e.quote) for e in finding.evidence]
        claim = partial(asked_claim, title=finding.title, explanation=finding.explanation[:size], quotes=quotes)
        length = len(claim(1))
        if group and (len(group) == CLAIMS_AT_ONCE or used + length > size):
            yield group
            group, used = [], 0
        group.append((finding, claim(len(group) + 1)))
        used += length
    if group:
        yield group


def _claims(reading: Reading, group: Sequence[tuple[Finding, str]], reader: Provider) -> Item:
    """Return what a second reader is asked: the part of the plan that the claims are about, and the claims, fenced."""
    part = reading.part_about([f for f, _ in group], reader)
    claims = fenced("\n".join(claim for _, claim in group))
    alone = " Leave `findings` empty." if reader.capabilities.keeps else ""
    return part, f"{reading.personas['refuter']}\n\n{_SECOND}{alone}\n\n{claims}"


async def decide(
    reading: Reading, findings: Sequence[Finding], on_event: OnEvent | None
) -> tuple[list[amend.Decision], Run]:
    """Ask the only provider of a panel how each finding is to be settled.

    Return the decisions that came, and the run.
    """
    (provider,) = reading.panel
    items = reading.to_decide(findings)
    keep = provider.capabilities.keeps and len(items) > 1
    rounds = [items[:1], items[1:]] if keep else [items]
    texts = {path: file.text for path, file in reading.document.files.items()}
    decisions: list[amend.Decision] = []
    for number, each in enumerate(rounds):
        asked = Calls("amend", provider, each, amend.DECISION_SCHEMA, keep)
        run = await _run(reading, on_event, "amend", [asked], reading.budget)
        values = [(f, v) for f, v in zip(findings[number:], _outputs([run], "amend"), strict=False) if v is not None]
        decisions += [amend.read_decision(f.id, value, reading.numbered, texts) for f, value in values]
    return decisions, run


async def _run(
    reading: Reading, on_event: OnEvent | None, name: str, asked: Sequence[Calls], budget: Decimal | None = None
) -> Run:
    """Run what is asked under an id made of all of it, or carry on the run that has that id; each is a map step.

    The plan stands first, so that questions share it, and the question last.
    """
    inputs: dict[str, str] = {}
    steps = []
    for each in asked:
        named = [(_named(inputs, fenced(part.text)), _named(inputs, text)) for part, text in each.items]
        plan, question = "{{ item[0] }}", "{{ item[1] }}"
        shown = {"context": plan, "prompt": question} if each.keep else {"prompt": f"{plan}\n\n{question}"}
        over = "[" + ", ".join(f"[inputs.{plan}, inputs.{text}]" for plan, text in named) + "]"
        most = reply_tokens(each.provider.capabilities.context)
        steps.append(Step(
            id=each.step, kind="map", persona="fence", provider=each.provider.id, judge=None, over=over, **shown,
            output_schema=each.schema, max_tokens=most, deadline=DEADLINE,
        ))  # fmt: skip
    workflow = made_workflow(name, steps, {key: Input() for key in inputs})
    asked_text = json.dumps([workflow.source, inputs, dict(reading.personas)], sort_keys=True)
    run_id = f"{name}-{hashlib.sha256(asked_text.encode()).hexdigest()[:16]}"
    desk, options = reading.desk, Options.of(budget if budget is not None else reading.budget)
    try:
        run = await desk.store.load(run_id)
    except InputRefused:  # nobody has asked this before
        return await prepare(desk, workflow, inputs, options, run_id).run(on_event)
    if run.status == "completed":
        return run
    prepared = await prepare_resume(desk, run_id, inputs=inputs)
    return await replace(prepared, budget=options.budget).run(on_event)  # what this review may spend, not the last one


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
