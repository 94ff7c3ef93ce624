"""Answers side by side, as they are shown on a page, in a panel and in a notebook: one rendering for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from nyxlab.lab.views import page
from nyxlab.lab.views.decided import chosen
from nyxlab.lab.views.rows import Json, RunLike, asked, checkpoint_of, decisions
from nyxlab.lab.views.wording import visible

STYLE = Markup("""<style>
.nyxlab-answers .alternatives { display: flex; flex-wrap: wrap; gap: .6em }
.nyxlab-answers .alternative { flex: 1 1 18em; min-width: 0; padding: .5em }
.nyxlab-answers .alternative { border: 1px solid #8884; border-radius: 4px }
.nyxlab-answers .chosen { border-color: #2a86cc }
.nyxlab-answers .written, .nyxlab-answers pre { max-height: 22em; overflow: auto; overflow-wrap: anywhere }
.nyxlab-answers pre { white-space: pre-wrap }
.nyxlab-answers h4, .nyxlab-answers h5, .nyxlab-answers h6 { font-size: 1em; margin: .6em 0 .2em }
.nyxlab-answers p, .nyxlab-answers li { line-height: 1.4; margin: .3em 0 }
.nyxlab-answers .quiet { opacity: .7 }
</style>""")


def answers(run: RunLike, steps: Iterable[str] | None = None, *, folded: bool = False) -> Markup:
    """Return the answers of a run's steps (all unless named), each under its step or its prompt, as HTML.

    With ``folded`` a step opens on a click, one that waits for a choice being open.
    """
    names = None if steps is None else set(steps)
    parts = page.environment().get_template("parts.html.j2").module
    steps_shown = [step for step in checkpoint_of(run)["steps"] if names is None or step["id"] in names]
    shown = [_step(parts, step, asked(run, step["id"]), folded) for step in steps_shown]
    return Markup("{}<div class='nyxlab-answers'>{}</div>").format(STYLE, Markup().join(shown))


def _step(parts: Any, step: Json, prompts: Sequence[str], folded: bool) -> Markup:
    body = []
    for decided in decisions(step):
        if decided.get("alternatives"):
            item = decided.get("index")
            prompt = prompts[item] if item is not None and item < len(prompts) else item
            title = Markup() if prompt is None else Markup("<p><b>{}</b></p>").format(visible(str(prompt)))
            body.append(title + parts.answers(decided, {}))
    said = f"{step['id']}: {step['status']}"
    said += f", {chosen(step)}" if step.get("selectedProvider") else ""
    said += f". {step['error']}" if step.get("error") else ""
    if not folded:
        return Markup("<h4>{}</h4>{}").format(visible(said), Markup().join(body)) if body else Markup()
    opened = Markup(" open") if step["status"] == "paused" else ""
    return Markup("<details{}><summary>{}</summary>{}</details>").format(opened, visible(said), Markup().join(body))
