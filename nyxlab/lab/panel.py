"""The panel: questions put to models as a run of their own, named by what it asks, so that no reply about a plan is bought twice."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Run
from nyxlab.engine.workflow import Workflow
from nyxlab.errors import InputRefused
from nyxlab.lab.steps import persona
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Json, Message, Request
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.models.consensus import Confirmed, Panel, finders, locate, merge, refute, repeats, shares, unfound
from nyxlab.reviewer.models.evidence import Locator
from nyxlab.reviewer.models.lenses import (
    ANSWERS_SCHEMA,
    CLAIMS_SCHEMA,
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
from nyxlab.reviewer.review import Heard, Pass
from nyxlab.reviewer.text.document import Document
from nyxlab.settings import Settings

DEADLINE = 300.0
CLAIMS_AT_ONCE = 12  # claims that a second reader is shown in one call
CLAIM_SIZE = 700  # characters that a claim takes, for the forecast
LENSES = "lenses"
_OWN = re.compile(r"[a-z][a-z0-9-]{0,40}")

Hold = Callable[[Workflow, Mapping[str, Json], str, Decimal | None], Awaitable[Run]]


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
class Hearing:
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

    @property
    def forecast(self) -> dict[str, Cost]:
        """The most that each provider may cost: its questions, and a dozen claims a call for whoever reads second.

        The only reader is asked a second time about an earlier review's findings, if there is one.
        """
        told: dict[str, list[Cost]] = {}
        for question in self.questions:
            told.setdefault(question.provider.id, []).append(question.cost)
            others = [each for each in self.panel if each is not question.provider]
            alone = [question.provider] if self.baseline and not others else []
            for reader in [self.judge] if self.judge else others[:1] or alone:
                claims = "x" * CLAIMS_AT_ONCE * CLAIM_SIZE
                asked = [_request(self.personas["refuter"] + claims + part.text, reader) for part in question.parts]
                told.setdefault(reader.id, []).extend(map(reader.estimate, asked))
        return {name: Cost.total(costs) for name, costs in told.items()}


def prepare(
    document: Document,
    lenses: Mapping[str, str],
    providers: Sequence[Provider],
    judge: Provider | None,
    budget: Decimal | None,
    settings: Settings,
    *,
    baseline: bool = False,
) -> Hearing:
    """Decide what is asked of whom; nothing is called. ``InputRefused`` for a budget that holds not even one question.

    Who cannot be called, has too small a window or does not fit into the budget is left out, and the pass says why.
    """
    numbered = Numbered.of(document)
    personas = {name: persona(name, settings) for name in ("cael", "refuter")}
    out: list[Pass] = []
    usable = [each for each in providers if each.unusable() is None]
    questions: list[Question] = []
    for number, (lens, bare) in enumerate(lenses.items(), 1):
        text = as_asked(bare)
        for which, provider in enumerate(providers, 1):
            context = provider.capabilities.context
            space = room(context, len(text) + len(personas["cael"]))
            reason = provider.unusable()
            if reason is None and space < LEAST_ROOM:
                reason = f"its window of {context} tokens holds no part of the plan"
            if reason is not None:
                out.append(_left_out(lens, provider, reason))
                continue
            parts = numbered.parts(space)
            asked = [_request(personas["cael"] + text + part.text, provider) for part in parts]
            cost = Cost.total(map(provider.estimate, asked))
            step = f"{re.sub(r'[^a-z0-9]', '_', lens)}_{number}_{which}"
            questions.append(Question(step, lens, text, provider, parts, cost))
    kept = list(_affordable(questions, budget, out))
    if judge is not None and judge.unusable() is not None:
        out.append(Pass(name="refutation", status="skipped", reason=judge.unusable(), provider=judge.id))
        judge = None
    return Hearing(document, numbered, tuple(kept), tuple(out), tuple(usable), judge, budget, personas, baseline)


def _affordable(questions: Sequence[Question], budget: Decimal | None, out: list[Pass]) -> Iterator[Question]:
    """Yield the questions that fit into the budget together, in order; say of the others what they need."""
    left, held = budget, 0
    for question in questions:
        usd = question.cost.usd if question.cost.certainty != "unknown" else None
        if left is not None and usd is None:
            out.append(_left_out(question.lens, question.provider, "its price is unknown, so no budget can hold it"))
        elif left is not None and usd is not None and usd > left:
            out.append(
                _left_out(question.lens, question.provider, f"it may cost ${usd} and ${left} of the budget is left")
            )
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


async def hear(hearing: Hearing, hold: Hold, rules: Sequence[Finding], earlier: Sequence[Finding]) -> Heard:
    """Ask the questions, make findings of what is said, and have a second reader look at each.

    ``hold`` runs a workflow under a name, or finds the one of that name. ``rules`` are the findings that code has made;
    ``earlier`` are a baseline's findings by models whose words still stand, about which the second reader is asked too.
    """
    if not hearing.questions:
        return Heard((), hearing.left_out, None, Cost.total(()))
    run = await _ask(hearing, hold)
    locator = Locator(hearing.document)
    passes, located = [], []
    for question in hearing.questions:
        told, values = _heard(question, run)
        passes.append(told)
        located += [
            locate(claim, question.lens, question.provider.id, hearing.numbered, locator)
            for value in values
            for claim in read_claims(value)
        ]
    asked = tuple(dict.fromkeys(question.provider.id for question in hearing.questions))
    merged = merge(located, len(asked))
    said = [(finding, repeats(finding, rules)) for finding in merged]
    findings = [finding for finding, rule in said if rule is None]
    known = {finding.fingerprint for finding in findings}
    again = [old for old in earlier if old.fingerprint not in known]
    waiting = _waits(run)
    claims = (
        [] if waiting else [*(f for f in findings if f.verified), *again]
    )  # all of them at once, when all are there
    answers, read, second = await _refute(hearing, hold, claims, {old.fingerprint for old in again}, run)
    runs = [run, *([second] if second else [])]
    costs: dict[str, list[Cost]] = {name: [] for name in asked}
    for call in (call for each in runs for call in each.calls):
        costs.setdefault(call.provider, []).append(call.cost)
    heard = tuple(refute(f, *answers.get(f.fingerprint, (None, ""))) for f in findings)
    panel = Panel(
        runs=tuple(each.run_id for each in runs),
        providers=shares(heard, {name: answer for name, (answer, _) in answers.items()}, {n: Cost.total(c) for n, c in costs.items()}),
        unfound=unfound((finders(f) for f in merged if f.verified), asked),
        confirmed=tuple(
            Confirmed(title=f.title, providers=tuple(sorted(finders(f))), finding=rule.fingerprint)
            for f, rule in said
            if rule is not None
        ),
    )  # fmt: skip
    asked_again = {old.fingerprint: answers[old.fingerprint] for old in again if old.fingerprint in answers}
    if not read and not waiting and not any(told.name == "refutation" for told in hearing.left_out):
        read = [_unread(findings)]
    return Heard(
        heard,
        (*passes, *hearing.left_out, *read),
        panel,
        Cost.total(each.cost for each in runs),
        asked_again,
        waiting or _waits(second),
    )


async def _ask(hearing: Hearing, hold: Hold) -> Run:
    """Hold the run that asks every question, a map step each."""
    inputs: dict[str, str] = {}
    places: dict[str, str] = {}
    steps = []
    for question in hearing.questions:
        names = [_named(inputs, places, "part", part.text) for part in question.parts]
        text = _named(inputs, places, "question", question.text)
        steps.append(_step(question.step, "cael", question.provider, names, text, CLAIMS_SCHEMA))
    return await _held(hearing, hold, "review", steps, inputs, hearing.budget)


async def _refute(
    hearing: Hearing, hold: Hold, findings: Sequence[Finding], earlier: Collection[str], first: Run
) -> tuple[dict[str, tuple[Refuted, str]], list[Pass], Run | None]:
    """Return the second readers' answers by fingerprint, with who gave each, the passes, and the run that they took."""
    by_reader: dict[str, list[Finding]] = {}
    readers = {each.id: each for each in (*hearing.panel, *([hearing.judge] if hearing.judge else []))}
    for finding in findings:
        others = [each for each in hearing.panel if each.id not in finders(finding)] or list(hearing.panel[1:])
        if finding.fingerprint in earlier:  # whether it still stands, its only finder may say as well
            others = others or list(hearing.panel)
        reader = hearing.judge or (others[0] if others else None)
        if reader:
            by_reader.setdefault(reader.id, []).append(finding)
    inputs: dict[str, str] = {}
    places: dict[str, str] = {}
    steps, groups = [], {}
    answers: dict[str, tuple[Refuted, str]] = {}
    for number, (name, own) in enumerate(by_reader.items(), 1):
        cut = [own[at : at + CLAIMS_AT_ONCE] for at in range(0, len(own), CLAIMS_AT_ONCE)]
        shown = [_named(inputs, places, "claims", _claims(hearing, group, readers[name])) for group in cut]
        groups[f"refute_{number}"] = (name, cut)
        text = _named(inputs, places, "question", "Here are the plan and the claims about it. Answer for every claim.")
        steps.append(_step(f"refute_{number}", "refuter", readers[name], shown, text, ANSWERS_SCHEMA))
    if not steps:
        return {}, [], None
    left = hearing.budget - (first.cost.usd or 0) if hearing.budget is not None else None
    run = await _held(hearing, hold, "refutation", steps, inputs, left)
    passes = []
    for step, (name, cut) in groups.items():
        values = _outputs(run, step)
        passes.append(_told("refutation", name, run, step, values))
        for group, value in zip(cut, values, strict=False):  # a step that never began has no items
            told = read_answers(value) if value is not None else {}
            answers |= {f.fingerprint: (told[n], name) for n, f in enumerate(group, 1) if n in told}
    return answers, passes, run


def _claims(hearing: Hearing, group: Sequence[Finding], reader: Provider) -> str:
    """Return what a second reader sees: the part of the plan that the claims are about, and the claims."""
    numbered = hearing.numbered
    claims = "\n".join(
        asked_claims(
            [
                (f.title, f.explanation, [(numbered.number(e.path, e.start_line), e.quote) for e in f.evidence])
                for f in group
            ]
        )
    )
    parts = numbered.parts(
        max(LEAST_ROOM, room(reader.capabilities.context, len(hearing.personas["refuter"]) + len(claims)))
    )
    at = [numbered.number(e.path, e.start_line) for f in group for e in f.evidence]
    part = max(parts, key=lambda each: sum(each.first <= line <= each.last for line in at))
    return f"PLAN\n{part.text}\nCLAIMS\n{claims}"


async def _held(
    hearing: Hearing, hold: Hold, name: str, steps: Sequence[Json], inputs: dict[str, str], budget: Decimal | None
) -> Run:
    """Hold a run of these steps. Its id is made of all that is asked, but for the fences, which are random."""
    declared: dict[str, Json] = {key: {} for key in (*inputs, *(f"fence_{step['id']}" for step in steps))}
    source = json.dumps({"name": name, "inputs": declared, "steps": steps})
    asked = json.dumps([source, inputs, dict(hearing.personas)], sort_keys=True)
    run_id = f"{name}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
    fences = {f"fence_{step['id']}": secrets.token_hex(12) for step in steps}
    return await hold(parse_workflow(source, name), inputs | fences, run_id, budget)


def _step(
    step: str, persona_: str, provider: Provider, parts: Sequence[str], text: str, schema: Json
) -> dict[str, Json]:
    fence = f"{{{{ inputs.fence_{step} }}}}{{{{ index }}}}"
    return {
        "id": step,
        "kind": "map",
        "over": f"[{', '.join(f'inputs.{name}' for name in parts)}]",
        "persona": persona_,
        "prompt": f"<<<{fence}\n{{{{ item }}}}\n{fence}>>>\n\n{{{{ inputs.{text} }}}}",
        "provider": provider.id,
        "judge": None,
        "schema": schema,
        "max_tokens": reply_tokens(provider.capabilities.context),
        "deadline": DEADLINE,
    }


def _named(inputs: dict[str, str], places: dict[str, str], kind: str, text: str) -> str:
    """Return the name of the input that holds a text, a new one for a new text."""
    if text not in places:
        places[text] = f"{kind}_{len(places) + 1}"
        inputs[places[text]] = text
    return places[text]


def _heard(question: Question, run: Run) -> tuple[Pass, list[Json]]:
    values = _outputs(run, question.step)
    return _told(pass_name(question.lens), question.provider.id, run, question.step, values), [
        v for v in values if v is not None
    ]


def _outputs(run: Run, step: str) -> list[Json]:
    """Return a map step's outputs by item; None for an item that failed."""
    record = run.steps[step]
    return (
        record.output if record.status == "completed" else [each["output"] for each in record.payload.get("items", ())]
    )


def _told(name: str, provider: str, run: Run, step: str, values: Sequence[Json]) -> Pass:
    """Return what became of a pass; one that failed half-way says how far it came."""
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


def _waits(run: Run | None) -> bool:
    return bool(run and run.pause and run.pause.kind == "answers")


def _unread(findings: Sequence[Finding]) -> Pass:
    if not any(finding.verified for finding in findings):
        return Pass(name="refutation", status="ran", reason="there was no finding to refute")
    return Pass(name="refutation", status="skipped", reason="no second provider to refute with: name a --judge")


def _left_out(lens: str, provider: Provider, reason: str) -> Pass:
    return Pass(name=pass_name(lens), status="skipped", reason=reason, provider=provider.id)


def _request(text: str, provider: Provider) -> Request:
    return Request(messages=(Message("user", text),), max_tokens=reply_tokens(provider.capabilities.context))


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
