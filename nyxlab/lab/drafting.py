"""Drafts a letter from what is recorded: the ledger, reviews on disk, git, the project's manifests; facts by code."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nyxlab.engine.records import CallRecord, Run, RunSummary
from nyxlab.engine.store import Store
from nyxlab.errors import InputRefused, ToolFailed
from nyxlab.lab.desk import Desk
from nyxlab.lab.git import git
from nyxlab.lab.letters import Letter, NextStep, Pain, State, last_letter, mistakes, read_letter
from nyxlab.lab.views import rows as tables
from nyxlab.lab.views.wording import money
from nyxlab.providers.messages import Cost, Json

OPENING = (
    "Write three to six sentences that open this hand-off from one work session to the next: what was reached, what "
    "hurt, what comes first. Use only what stands below: no other number, name, id or hyphenated word, no advice.\n\n"
)
CLAIM = re.compile(  # a number or an id; words joined by signs; a name inside a sentence
    r"(?<!\w)(?:\w*[\d_][\w.:/#-]*\w|\d|\w+(?:[./:#-]\w+)+)|(?<=[a-z,;] )[A-Z]\w+"
)


async def since_when(text: str | None, desk: Desk, root: Path) -> datetime:
    """Return when a letter begins: a date, a run's start; unless told, where the last letter ended, or a week ago."""
    if text is None:
        path = last_letter(root)
        state = read_letter(path).state if path else None
        return state.until if state else datetime.now(UTC) - timedelta(days=7)
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return (await desk.load(text)).created_at
    except InputRefused as error:
        raise InputRefused(f"--since takes a date (2026-11-20) or a run: {error}") from None


async def write_letter(desk: Desk, since: str | None, ask: Callable[[str], Awaitable[Run]] | None) -> Letter:
    """Return the letter of a time, opened by sentences of whom ``ask`` asks; ``ToolFailed`` where they add a fact."""
    root = desk.settings.root
    letter = await draft(desk.store, root, await since_when(since, desk, root))
    if ask is None:
        return letter
    facts = json.dumps(letter.to_json(), ensure_ascii=False, indent=1)
    run = await ask(f"{OPENING}{facts}")
    prose = str(next(iter(run.steps.values())).output or "")
    added = unfounded(prose, facts)
    if run.status != "completed" or added:
        why = f"the opening names what no fact does: {', '.join(added)}" if added else f"the opening is {run.status}"
        raise ToolFailed(f"{why} (run {run.run_id}); ask again, or leave --providers out")
    return letter.model_copy(update={"prose": prose})


async def look_up(letter: Letter, store: Store, root: Path) -> tuple[list[str], list[bool]]:
    """Hold a letter against ledger, files and git: what is wrong in it, which next steps are done.

    What its runs have cost since it was written is no matter of the letter's.
    """
    recorded = {run.run_id: run for run in await store.runs()}
    bills = dict.fromkeys(recorded, (Cost.total([]), 0))
    if letter.state:
        begun = min(
            (recorded[run].created_at for run in letter.state.runs if run in recorded), default=datetime.now(UTC)
        )
        until = letter.state.until
        bills |= bill(told for told in await store.calls_since(begun) if told[1].started_at <= until)
    completed = {run_id for run_id, run in recorded.items() if run.status == "completed"}
    return mistakes(letter, bills), [_is_done(step, completed, root) for step in letter.next]


async def draft(store: Store, root: Path, since: datetime) -> Letter:
    """Return the letter that the records make, from ``since`` until now; nothing is asked of any model."""
    until = datetime.now(UTC)
    runs = [run for run in await store.runs() if run.created_at >= since]
    known = {run.run_id for run in runs}
    calls = [(run_id, call) for run_id, call in await store.calls_since(since) if run_id in known]
    halted = [await store.load(run.run_id) for run in runs if run.status != "completed"]
    bills, reviews = bill(calls), dict(reviews_since(root, since))
    commits = _git(root, "log", f"--since={since.isoformat()}", "--max-count=100", "--format=commit %h: %s")
    commit = next(iter(_git(root, "rev-parse", "HEAD")), None)
    spend, tokens = Cost.total(cost for cost, _ in bills.values()), sum(count for _, count in bills.values())
    state = State(
        since=since, until=until, runs=tuple(run.run_id for run in runs), reviews=tuple(reviews), commit=commit,
        spend=spend, tokens=tokens,
    )  # fmt: skip
    return Letter(
        schema_="nyxlab.letter/1",
        things_done=(*_work(runs, calls, bills), *commits),
        pains=tuple(_pains(halted, calls)),
        successes=tuple(f"{path}: {said}" for path, review in reviews.items() for said in _good(review)),
        tech_stack=tuple(_tech_stack(root)),
        next=(*map(carry_on, halted), *open_findings(reviews)),
        state=state,
    )


def _is_done(step: NextStep | str, completed: Container[str], root: Path) -> bool:
    """Whether what shows a step is there; a path of a letter's is only looked for."""
    done = step.done if isinstance(step, NextStep) and step.done else {}
    if "file" in done:
        return (root / done["file"]).exists()
    commit = re.fullmatch(r"[0-9a-f]{7,40}", done.get("commit", ""))
    return done.get("run", "") in completed or bool(
        commit and _git(root, "rev-parse", "--verify", f"{commit[0]}^{{commit}}")
    )


def bill(calls: Iterable[tuple[str, CallRecord]]) -> dict[str, tuple[Cost, int]]:
    """Return what each run's calls cost, and how many tokens they took."""
    found: dict[str, tuple[Cost, int]] = {}
    for run_id, call in calls:
        cost, tokens = found.get(run_id, (Cost.total([]), 0))
        usage = call.reply.usage if call.reply else None
        found[run_id] = Cost.total([cost, call.cost]), tokens + (usage.tokens if usage else 0)
    return found


def unfounded(prose: str, facts: str) -> list[str]:
    """Return each number, id and name in a text that does not stand in the facts."""
    said = dict.fromkeys(CLAIM.findall(prose))
    return [each for each in said if not re.search(rf"(?<![\w.]){re.escape(each)}(?!\w|[.,]\d)", facts, re.IGNORECASE)]


def _work(
    runs: Sequence[RunSummary], calls: Sequence[tuple[str, CallRecord]], bills: dict[str, tuple[Cost, int]]
) -> Iterator[str]:
    """Yield what was run to its end, workflow by workflow, and how many comparisons were decided on the way."""
    done = {run.run_id: run.workflow for run in runs if run.status == "completed"}
    for workflow, count in Counter(done.values()).most_common():
        cost = Cost.total(bills[run_id][0] for run_id, name in done.items() if name == workflow and run_id in bills)
        yield f"{workflow}: {_many(count, 'run')} completed, {money(cost.usd, cost.certainty)}"
    asked: dict[tuple[str, str], set[str]] = {}
    for run_id, call in calls:
        if run_id in done and call.role == "candidate":
            asked.setdefault((run_id, call.step), set()).add(call.provider)
    for who, count in Counter(" and ".join(sorted(who)) for who in asked.values() if len(who) > 1).most_common():
        yield f"{_many(count, 'comparison')} of {who} decided"


def _pains(halted: Sequence[Run], calls: Sequence[tuple[str, CallRecord]]) -> Iterator[Pain]:
    """Yield each way in which runs stopped and calls failed, the most frequent first, each with a run that shows it."""
    found: dict[tuple[str, str], list[str]] = {}
    for run in halted:
        if run.pause:
            waits = f"{run.workflow} waits at step {run.pause.step} for {run.pause.kind}"
            found.setdefault((waits, run.pause.reason), []).append(run.run_id)
        for step in run.steps.values():
            if step.status == "failed":
                failed = (f"{run.workflow} failed at step {step.id}", step.error or "no reason recorded")
                found.setdefault(failed, []).append(run.run_id)
    for run_id, call in calls:
        if call.status in ("error", "lost"):
            why = call.error or "the process ended before the reply was on disk"
            found.setdefault((f"{call.provider} gave no answer", why), []).append(run_id)
    for (what, failure), where in sorted(found.items(), key=lambda item: -len(item[1])):
        yield Pain(what=what, tried=_many(len(where), "time"), failure=failure, lesson=None, open=True, run=where[0])


def carry_on(run: Run) -> NextStep:
    """Return what makes a run that stands still go on."""
    title, command = f"Resume {run.workflow}, when what stopped it is mended", f"nyxlab resume {run.run_id}"
    pause = run.pause
    if pause and pause.kind == "choice":
        title = f"Choose for step {pause.step} of {run.workflow}: {' or '.join(pause.choices)}; then resume it"
        command = f"nyxlab choose {run.run_id} {pause.step} PROVIDER --resume"
    elif pause and pause.kind == "answers":
        title, command = f"Answer what {run.workflow} asks; then resume it", f"nyxlab answer {run.run_id}"
    elif pause:
        title, command = f"Give {run.workflow} a larger budget, or leave it", f"{command} --budget USD"
    return NextStep(title=title, command=command, done={"run": run.run_id})


def reviews_since(root: Path, since: datetime) -> Iterator[tuple[str, Json]]:
    """Yield the reviews written since then with their paths: at the root, in reports/, amended ones."""
    for path in sorted({*root.glob("*.json"), *root.glob("*/review.json"), *(root / "reports").rglob("*.json")}):
        with suppress(OSError, ValueError, RecursionError):
            text = path.read_bytes()
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if written >= since and b"nyxlab.review/1" in text[:99]:
                yield path.relative_to(root).as_posix(), json.loads(text)


def _good(review: Json) -> Iterator[str]:
    if review.get("verdict") == "PASS":
        yield "PASS"
    if fixed := sum(finding["status"] == "fixed" for finding in review["findings"]):
        yield f"{_many(fixed, 'finding')} closed"


def open_findings(reviews: Mapping[str, Json]) -> Iterator[NextStep]:
    """Yield the reviews on which something is still to be decided."""
    for path, review in reviews.items():
        if count := sum(f["severity"] in tables.SEVERITIES[:3] and tables.stands(f) for f in review["findings"]):
            patch = f"{path.removesuffix('.json')}-amended/plan.patch"
            title = f"Decide {_many(count, 'open finding')} of {path}"
            yield NextStep(title=title, command=f"nyxlab amend {path}", done={"file": patch})


def _tech_stack(root: Path) -> Iterator[str]:
    """Yield what a project is built with, from its own manifests; one that cannot be read says nothing."""
    with suppress(OSError, ValueError):
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        yield from (f"Python {project.get('requires-python', '')}", *map(str, project.get("dependencies", ())))
    with suppress(OSError, ValueError):
        package = json.loads((root / "package.json").read_text(encoding="utf-8"))
        yield from (f"{name} {version}" for name, version in package.get("dependencies", {}).items())


def _git(root: Path, *words: str) -> list[str]:
    """Return what git says, line by line; nothing where there is no git or no repository."""
    with suppress(InputRefused):
        done = git(root, *words)
        return done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []
    return []


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
