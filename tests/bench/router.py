"""How good the learned router is on recorded outcomes, with 95 % intervals, and how long a decision takes.

``router.py FOLDER``: a folder with ``routellm_pair.csv.gz`` and ``llmrouter_multi.csv.gz`` (columns as `nyxlab route
train` reads them, and ``fold``), ``score_routing.py`` beside or above it. Trained on the fold ``train``, scored on
``dev``. Intervals are from 300 resamples of the scored prompts: a difference inside them is noise.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from nyxlab import Message, Request
from nyxlab.gate.candidates import resolve
from nyxlab.gate.policy import asked_text, rank
from nyxlab.gate.router import Router
from nyxlab.lab.routing.fitting import train
from nyxlab.lab.routing.outcomes import read_table
from nyxlab.lab.workflows.past import Past
from nyxlab.providers.scripted import ScriptedProvider

RESAMPLES = 300


def scorer(folder: Path) -> ModuleType:
    """Load the scorer that lies beside the data."""
    path = next(p / "score_routing.py" for p in (folder, folder.parent) if (p / "score_routing.py").exists())
    spec = importlib.util.spec_from_file_location("score_routing", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def split(data: pd.DataFrame, folder: Path) -> tuple[Router, pd.DataFrame, float]:
    """Train on the fold ``train``; return the router, the fold ``dev`` and the seconds that training took."""
    path = folder / "train.csv"
    data[data["fold"] == "train"].to_csv(path, index=False)
    began = time.perf_counter()
    router = train(read_table(path, outcomes=True))
    return router, data[data["fold"] == "dev"].reset_index(drop=True), time.perf_counter() - began


def measured(scored: pd.DataFrame, metrics: Any, names: dict[str, float]) -> None:
    """Print each metric with its interval and what is to be reached."""
    draw = np.random.default_rng(0)
    found = metrics(scored)
    spread: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(RESAMPLES):
        drawn = metrics(scored.iloc[draw.integers(0, len(scored), len(scored))])
        for name in names:
            spread[name].append(drawn[name])
    for name, reach in names.items():
        low, high = np.nanpercentile(spread[name], [2.5, 97.5])
        print(f"    {name:36} {found[name]:.3f}  [{low:.3f}, {high:.3f}]  reach {reach}")


def decisions(router: Router, prompts: list[str]) -> None:
    """Print what one decision costs under each policy."""
    names = router.origin.models
    providers = [ScriptedProvider(["x"], id=name) for name in names]
    past = Past()
    for name in names:
        past.latencies[name], past.outcomes[name] = [1.0] * 20, [1, 0] * 10
    requests = [Request(messages=(Message("user", prompt),)) for prompt in prompts]
    live = resolve(providers, requests[0], Decimal(1), together=False)
    for policy in ("first", "cheapest", "fastest", "best", "balanced"):
        began = time.perf_counter()
        for _ in requests:
            rank(policy, live.live, past)
        print(f"    {policy:10} {(time.perf_counter() - began) / len(requests) * 1e6:6.0f} us a decision, reach 100")
    began = time.perf_counter()
    for request in requests:
        rank("learned", live.live, past, router.qualities(asked_text(request), names))
    print(f"    {'learned':10} {(time.perf_counter() - began) / len(requests) * 1e6:6.0f} us a decision, reach 2,000")


def main() -> None:
    """Print all figures."""
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        print("router: no folder of recorded outcomes is given (python tests/bench/router.py FOLDER): skipped")
        return
    folder = Path(sys.argv[1])
    score = scorer(folder)
    with tempfile.TemporaryDirectory() as name:
        pair, dev, took = split(pd.read_csv(folder / "routellm_pair.csv.gz"), Path(name))
        print(f"two models, trained on {pair.origin.prompts:,} prompts in {took:.0f} s")
        for task in ("mmlu", "gsm8k"):
            own = dev[dev["dataset"].str.lower() == task].reset_index(drop=True)
            told = [s if isinstance(s, str) else d for s, d in zip(own["subject"], own["dataset"], strict=True)]
            for labels in (None, told) if task == "mmlu" else (None,):
                found = pair.predict(list(own["prompt"]), labels)
                print(f"  {task}, {'with the task' if labels else 'prompt text only'}, n = {len(own):,}")
                reach = {"APGR": 0.70 if labels else 0.68, "CPT50": 0.26, "CPT80": 0.55, "saved95": 0.45}
                if task == "gsm8k":
                    reach = {"APGR": 0.67, "saved95": 0.42}
                measured(own.assign(score=found[:, 1] - found[:, 0]), score.pair_metrics, reach)
        many, dev, took = split(pd.read_csv(folder / "llmrouter_multi.csv.gz"), Path(name))
        found = many.predict(list(dev["prompt"]))
        scores = pd.DataFrame(found, columns=many.origin.models)
        print(
            f"nine models, trained on {many.origin.prompts:,} prompts in {took:.0f} s; prompt text only, n = {len(dev)}"
        )
        reach = {"router_best_quality": 0.68, "cost_ratio_at_best_single_quality": 0.5}
        measured(pd.concat([dev, scores], axis=1), lambda d: score.multi_metrics(d, d), reach)
        print("  decisions among nine")
        decisions(many, list(dev["prompt"])[:300])
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB (reach 1)")


if __name__ == "__main__":
    main()
