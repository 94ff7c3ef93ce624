"""Commands of a learned router: train one from recorded outcomes, score prompts with one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nyxlab.cli.base import Commands, Store, ask_lab, open_lab
from nyxlab.lab.views.console import say, write

app = Commands(
    no_args_is_help=True,
    help="A router learned from recorded outcomes: train one, or score prompts with one.",
    epilog="Example: nyxlab route train labels.csv --output data/router.npz",
)
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Write to this file.")]


@app.command("train", epilog="Example: nyxlab route train labels.csv.gz --output data/router.npz")
def train(
    output: Output,
    labels: Annotated[
        Path | None,
        typer.Argument(
            metavar="[LABELS.csv]",
            help="prompt_id, prompt, weak, strong or q:MODEL …; without it: the ledger's comparisons.",
        ),
    ] = None,
    store: Store = None,
) -> None:
    """Learn which model does well on which prompt; columns subject, task and dataset are used where present."""
    file = labels.absolute() if labels else None
    told = ask_lab(open_lab(store), lambda lab: lab.route(file, output.absolute()))
    say(f"trained on {told}; wrote {output}")


@app.command("score", epilog="Example: nyxlab route score data/router.npz prompts.csv --output scores.csv")
def score(
    router: Annotated[Path, typer.Argument(metavar="FILE", help="From `nyxlab route train`.")],
    prompts: Annotated[Path, typer.Argument(metavar="PROMPTS.csv", help="prompt_id, prompt, where known a task.")],
    output: Output,
) -> None:
    """Predict for each prompt: one score (higher: the strong model) of a pair, else one quality a model."""
    from nyxlab.lab.routing.training import score_prompts  # the ledger and NumPy, for those who use it

    write(score_prompts(router, prompts), output)
