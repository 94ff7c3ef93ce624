"""Learned routers: trains one from recorded outcomes, and scores prompts with one."""

from __future__ import annotations

from pathlib import Path

from nyxlab.errors import InputRefused


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
