"""The commands of a learned router: train one from recorded outcomes, score prompts with one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nyxlab.errors import InputRefused
from nyxlab.lab.console import say, write

app = typer.Typer(
    no_args_is_help=True,
    help="A router learned from recorded outcomes: train one, or score prompts with one.",
    epilog="Example: nyxlab route train labels.csv --output data/router.npz",
)
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Write to this file.")]


def train_router(labels: Path, output: Path) -> str:
    """Train a router on a CSV of outcomes, write it, and return what it was trained on in one line."""
    try:
        from nyxlab.gate.tables import read_table
        from nyxlab.gate.training import train  # scikit-learn takes a second to load
    except ImportError:
        raise InputRefused("training needs scikit-learn: pip install 'nyxlab[learn]'") from None

    router = train(read_table(labels, outcomes=True))
    router.save(output)
    return str(router.origin)


def score_prompts(router: Path, prompts: Path) -> str:
    """Return a router's predictions for a CSV of prompts, as CSV."""
    try:
        from nyxlab.gate.router import load_router
        from nyxlab.gate.tables import read_table, score
    except ImportError:
        raise InputRefused("a learned router needs NumPy: pip install 'nyxlab[learn]'") from None

    return score(load_router(router), read_table(prompts, outcomes=False))


@app.command("train", epilog="Example: nyxlab route train labels.csv.gz --output data/router.npz")
def train(
    labels: Annotated[Path, typer.Argument(metavar="LABELS.csv", help="prompt_id, prompt, weak, strong or q:MODEL …")],
    output: Output,
) -> None:
    """Learn which model does well on which prompt; columns subject, task and dataset are used where present."""
    say(f"trained on {train_router(labels, output)}; wrote {output}")


@app.command("score", epilog="Example: nyxlab route score data/router.npz prompts.csv --output scores.csv")
def score(
    router: Annotated[Path, typer.Argument(metavar="FILE", help="From `nyxlab route train`.")],
    prompts: Annotated[Path, typer.Argument(metavar="PROMPTS.csv", help="prompt_id, prompt, where known a task.")],
    output: Output,
) -> None:
    """Predict for each prompt: one score (higher: the strong model) of a pair, else one quality a model."""
    write(score_prompts(router, prompts), output)
