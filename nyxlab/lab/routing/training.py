"""Learned routers: trains one from recorded outcomes, and scores prompts with one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Run
from nyxlab.engine.run import variables
from nyxlab.engine.template import evaluate, render
from nyxlab.errors import InputRefused, NyxlabError
from nyxlab.gate.policy import asked_text
from nyxlab.lab.routing.policies import decision
from nyxlab.lab.workflows.options import Options, override
from nyxlab.lab.workflows.steps import question
from nyxlab.settings import Settings

if TYPE_CHECKING:
    from nyxlab.lab.routing.outcomes import Table

NO_TRAINING = "training needs scikit-learn: pip install 'nyxlab[learn]'"


def train_router(labels: Path | Table, output: Path) -> str:
    """Train a router on a CSV or a table of outcomes, write it, and return in one line what it was trained on."""
    try:
        from nyxlab.lab.routing.fitting import save, train  # scikit-learn takes a second to load
        from nyxlab.lab.routing.outcomes import read_table
    except ImportError:
        raise InputRefused(NO_TRAINING) from None

    router = train(read_table(labels, outcomes=True) if isinstance(labels, Path) else labels)
    save(router, output)
    return str(router.origin)


def train_from_ledger(runs: Iterable[Run], settings: Settings, output: Path) -> str:
    """Train a router on the judged comparisons of some runs, write it, and return in a line what it was trained on."""
    return train_router(ledger_table(runs, settings), output)


def score_prompts(router: Path, prompts: Path) -> str:
    """Return a router's predictions for a CSV of prompts, as CSV."""
    try:
        from nyxlab.gate.router import load_router
        from nyxlab.lab.routing.outcomes import read_table, score
    except ImportError:
        raise InputRefused("a learned router needs NumPy: pip install 'nyxlab[learn]'") from None

    return score(load_router(router), read_table(prompts, outcomes=False))


def ledger_table(runs: Iterable[Run], settings: Settings) -> Table:
    """Return the judged comparisons of some runs as training data: each prompt with the worth of each answer.

    The providers are those that were compared together most often. A prompt that was asked more than once counts once,
    with the mean worth. ``InputRefused`` where nobody has judged a comparison yet.
    """
    try:
        import numpy as np

        from nyxlab.lab.routing.outcomes import Table
    except ImportError:
        raise InputRefused(NO_TRAINING) from None

    found: list[tuple[str, dict[str, float]]] = []
    for run in runs:
        found += _judged(run, settings)
    if not found:
        raise InputRefused(
            "the ledger holds no comparison that Cael or a person has judged: "
            "run `nyxlab compare` with a judge, or give a CSV"
        )
    sets = Counter(frozenset(worth) for _, worth in found)
    most = max(sets.items(), key=lambda each: (each[1], sorted(each[0])))[0]
    models = tuple(sorted(most))
    by_prompt: dict[str, list[list[float]]] = defaultdict(list)
    for prompt, worth in found:
        if worth.keys() >= set(models):
            by_prompt[prompt].append([worth[name] for name in models])
    quality = np.array([np.mean(seen, axis=0) for seen in by_prompt.values()])
    return Table(
        ids=tuple(map(str, range(len(by_prompt)))),
        prompts=tuple(by_prompt),
        labels=(None,) * len(by_prompt),
        models=models,
        quality=quality,
        name="the ledger",
        sha256=hashlib.sha256(json.dumps([list(by_prompt), quality.tolist()]).encode()).hexdigest(),
    )


def _judged(run: Run, settings: Settings) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the prompt and the worth of each answer of every judged comparison of a run.

    The ledger keeps a prompt's digest, not its text; so the prompt is filled in again, and taken only where its digest
    is among the recorded ones: a persona that was edited since would give another prompt.
    """
    try:
        options = Options.model_validate(run.options)
        workflow = override(parse_workflow(run.source, run.workflow), options, settings)
    except (NyxlabError, ValueError):
        return  # of another version, or a run that is no workflow of the user's
    outputs = {name: step.output for name, step in run.steps.items()}
    for step in workflow.steps:
        record = run.steps[step.id]
        asked = {call.asked for call in record.calls}
        if record.status != "completed" or not (step.compare and asked):
            continue
        known = variables(workflow, run.inputs, {need: outputs[need] for need in step.needs})
        items = list(step.over) if isinstance(step.over, tuple) else evaluate(step.over, known) if step.over else [None]
        for index, told in enumerate(record.payload.get("items", [record.payload])):
            one = decision(told)
            if one is None or one.worth is None:
                continue
            filled = {**known, "item": items[index], "index": index} if step.over else known
            request = question(step, workflow.goal, render(step.prompt or "", filled), settings)
            if request.digest() in asked:
                yield asked_text(request), one.worth
