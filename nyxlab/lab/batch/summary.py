"""Summaries: one line on what a notebook did, which its last cell shows and a batch collects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nyxlab.engine.records import Run
from nyxlab.lab.views.decided import is_compared, is_won
from nyxlab.lab.views.rows import decisions
from nyxlab.lab.views.wording import money, seconds
from nyxlab.providers.messages import Cost, Json, Record, Seconds
from nyxlab.reviewer.review import Review

SUMMARY_TYPE = "application/vnd.nyxlab.summary+json"


class Summary(Record):
    """One line on what a notebook did: tokens, cost, seconds of its runs, and the verdict in a few words."""

    tokens: int
    cost: Cost
    seconds: Seconds
    verdict: str

    def __str__(self) -> str:
        amount = money(self.cost.usd, self.cost.certainty)
        return f"{self.tokens:,} tokens · {amount} · {seconds(self.seconds)} · {self.verdict}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Json]:
        """Tell a notebook the line for people and the same as data, which a batch reads back."""
        return {"text/plain": str(self), SUMMARY_TYPE: self.to_json()}


def summary(*runs: Run, reviews: Sequence[Review] = ()) -> Summary:
    """Return the summary of a notebook's runs and reviews; its last cell shows it, and a batch collects it."""
    checkpoints = [run.checkpoint() for run in runs]
    steps = [step for checkpoint in checkpoints for step in checkpoint["steps"]]
    decided = [one for step in steps for one in decisions(step) if len(one.get("alternatives", ())) > 1]
    chosen = Counter(one["selectedProvider"] for one in decided if is_won(one))
    compared = sum(map(is_compared, decided))
    verdicts = [step["review"]["verdict"] for step in steps if "review" in step] + [str(r.verdict) for r in reviews]
    parts = [f"{status} ×{n}" for status, n in Counter(run.status for run in runs).items() if status != "completed"]
    parts += [f"chose {', '.join(f'{name} ×{n}' for name, n in chosen.most_common())}"] if chosen else []
    parts += [f"{len(decided) - compared} answered, nobody compared them"] if compared < len(decided) else []
    parts += [f"review {', '.join(verdicts)}"] if verdicts else []
    return Summary(
        tokens=sum(checkpoint["totals"]["tokens"] for checkpoint in checkpoints),
        cost=Cost.total(run.cost for run in runs),
        seconds=sum(run.duration_seconds for run in runs),
        verdict="; ".join(parts) or "completed",
    )


def read_summary(executed: Path) -> Summary | None:
    """Return the summary that the notebook showed; None where it shows none."""
    for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]:
        for shown in cell.get("outputs", ()):
            if found := shown.get("data", {}).get(SUMMARY_TYPE):
                return Summary.model_validate(found)
    return None
