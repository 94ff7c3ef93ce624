"""Many prompts at once: reads a file of them, and makes the workflow that asks each of several providers each of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.workflow import Workflow
from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Record

MOST = 10_000


class Prompt(Record):
    """One prompt of a file; ``id`` is its line unless it has one."""

    id: str | int
    prompt: str = Field(min_length=1, pattern=r"\S")


def read_prompts(path: Path) -> list[Prompt]:
    """Read a file with one JSON object a line, ``{"prompt": …}`` with an ``id`` where wanted; blank lines are none.

    ``InputRefused`` names the file and the line of what cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputRefused(f"{path}: no such file, or not UTF-8 text") from None
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(Prompt.model_validate({"id": number, **json.loads(line)}))
            except (ValueError, TypeError, RecursionError, ValidationError):
                raise InputRefused(
                    f'{path.name}:{number}: write one JSON object a line: {{"prompt": "…"}}, with an "id" if you like'
                ) from None
    if not 0 < len(found) <= MOST:
        raise InputRefused(f"{path.name} holds {len(found)} prompts: 1 to {MOST:,} are compared at a time")
    return found


def comparison(prompts: Sequence[Prompt], repeat: int = 1) -> Workflow:
    """Return the workflow that asks every prompt ``repeat`` times; the caller's providers replace the one named in it."""
    if not 1 <= repeat <= 1_000 or len(prompts) * repeat > MOST:
        raise InputRefused(f"{len(prompts)} prompts × {repeat} is not between 1 and {MOST:,} comparisons")
    items = [prompt.to_json() for prompt in prompts for _ in range(repeat)]
    step = {
        "id": "answer",
        "kind": "map",
        "over": items,
        "prompt": "{{ item.prompt }}",
        "compare": ["script:none#none"],
    }
    return parse_workflow(json.dumps({"name": "compare", "steps": [step]}), "compare")
