"""Which page a target makes: a run's, a review's, an executed notebook's, or a letter's."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nyxlab import __version__
from nyxlab.lab.desk import Desk, Paths
from nyxlab.lab.drafting import look_up
from nyxlab.lab.letters import read_letter
from nyxlab.lab.own import TEMPLATES
from nyxlab.lab.reviews.documents import read_review, unchanged_documents
from nyxlab.lab.reviews.prepared import goal_of
from nyxlab.lab.views.report import Charts, render_letter, render_review, render_run
from nyxlab.lab.views.rows import RunLike, asked, call_rows, provider_rows


async def page_of(desk: Desk, target: Paths) -> str:
    """Return the page of a run (its id), a review (its JSON file), an executed notebook or a letter (``.md``)."""
    path, theme = desk.settings.resolve(Path(target)), desk.settings.root / TEMPLATES
    if path.suffix == ".ipynb":
        from nyxlab.lab.views.export import export_notebook  # with what it brings

        return export_notebook(path, theme=theme)
    if path.suffix == ".md":
        letter = read_letter(path)
        _, done = await look_up(letter, desk.store, desk.settings.root)
        return render_letter(letter.to_json(), path.stem[:10], done, "html", theme=theme)
    if path.suffix == ".json" or path.exists():
        review = read_review(path).to_json()
        texts = unchanged_documents(review, path.parent, Path.cwd(), desk.settings.root)
        return render_review(review, "html", texts, theme=theme)
    run = await desk.load(str(target))
    versions = {"nyxlab": __version__} | {name: version(name) for name in ("genai-prices", "pydantic", "httpx")}
    prompts = {step_id: asked(run, step_id) for step_id in run.steps}
    facts = {"goal": goal_of(run), "inputs": run.inputs, "options": run.options, "asked": prompts, "versions": versions}
    checkpoint = run.checkpoint()  # once: it is asked for rows and charts many times
    return render_run(checkpoint, charts_of(checkpoint), facts, theme=theme)


async def page_of_all(desk: Desk) -> str:
    """Return the page of the newest runs of the ledger."""
    from nyxlab.lab.views.history import MOST, render_history

    listed = await desk.store.runs()
    runs = [await desk.store.load(each.run_id) for each in listed[:MOST]]
    theme = desk.settings.root / TEMPLATES
    return render_history(runs, len(listed) - len(runs), lambda name: desk.vendor(name) != "script", theme=theme)


def charts_of(run: RunLike) -> Charts:
    """Return the charts of a run's page, and each provider's colour; both empty without nyxlab[lab]."""
    try:
        from nyxlab.lab import plots
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] not in {"pandas", "plotly"}:
            raise
        return Charts()
    calls = call_rows(run)
    hues = plots.colours(row["provider"] for row in provider_rows([run]))
    drawn = [plots.cost_by_provider([run], hues), plots.latency_by_provider([run], hues)] if hues else []
    if any(row["first_token_s"] or row["wait_s"] for row in calls):
        drawn.append(plots.waiting_by_provider([run], hues))
    if len({row["step"] for row in calls if row["usd"]}) > 1:
        drawn.append(plots.cost_by_step(run, hues))
    drawn.append(plots.timeline(run, hues))
    notes = [str(each) for each in drawn if isinstance(each, plots.Note)]
    figures: list[dict[str, Any]] = [json.loads(each.to_json()) for each in drawn if not isinstance(each, plots.Note)]
    return Charts([(figure["layout"].pop("title")["text"], figure) for figure in figures], hues, notes)
