"""Comparisons: one prompt or many, put to several providers side by side, as a workflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from pydantic import Field, ValidationError

from nyxlab.engine.inputs import Input
from nyxlab.engine.workflow import Step, Workflow
from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Record

MOST = 10_000
Prompts = str | PathLike[str] | Sequence[str]
"""One prompt, a list of them, or the path of a file with one a line."""


class Prompt(Record):
    """One prompt of several; ``id`` is its line in a file, its place in a list, unless it has one."""

    id: str | int
    prompt: str = Field(min_length=1, pattern=r"\S")


def read_prompts(given: PathLike[str] | Sequence[str], resolve: Callable[[Path], Path]) -> list[Prompt]:
    """Return prompts given in a list, or in a file with one JSON object a line, ``{"prompt": …, "id": …}``.

    ``InputRefused`` names the place in the list, or the file and the line, of what cannot be read.
    """
    if not isinstance(given, PathLike):
        if empty := [number for number, prompt in enumerate(given, 1) if not prompt.strip()]:
            raise InputRefused(f"prompt {empty[0]} of {len(given)} is empty: say what the providers are asked")
        return [Prompt(id=number, prompt=prompt) for number, prompt in enumerate(given, 1)]
    path = resolve(Path(given))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputRefused(f"{path}: no such file, or not UTF-8 text") from None
    prompts = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                prompts.append(Prompt.model_validate({"id": number, **json.loads(line)}))
            except (ValueError, TypeError, RecursionError, ValidationError):
                raise InputRefused(
                    f'{path.name}:{number}: write one JSON object a line: {{"prompt": "…"}}, with an "id" if you like'
                ) from None
    if not prompts:
        raise InputRefused(f"{path.name} holds no prompt: 1 to {MOST:,} are compared at a time")
    return prompts


def comparison(prompt: str | Sequence[Prompt], providers: Sequence[str], repeat: int = 1) -> Workflow:
    """Return the workflow that asks ``providers`` one prompt, or each of several, ``repeat`` times.

    One prompt asked once is one step; otherwise a map step has an item for each prompt and repetition.
    """
    if isinstance(prompt, str) and not prompt.strip():
        raise InputRefused("the prompt is empty: say what the providers are asked")
    if isinstance(prompt, str) and repeat == 1:
        asked = Input(type="string", default=prompt, help="what each provider is asked")
        step = Step(id="answer", prompt="{{ inputs.prompt }}", compare=tuple(providers))
        return made_workflow("compare", [step], {"prompt": asked})
    prompts = [Prompt(id=1, prompt=prompt)] if isinstance(prompt, str) else prompt
    if not 1 <= repeat <= 1_000 or not 1 <= len(prompts) * repeat <= MOST:
        raise InputRefused(f"{len(prompts)} prompts × {repeat} is not between 1 and {MOST:,} comparisons")
    items = tuple(each.to_json() for each in prompts for _ in range(repeat))
    step = Step(id="answer", kind="map", over=items, prompt="{{ item.prompt }}", compare=tuple(providers))
    return made_workflow("compare", [step])


def made_workflow(name: str, steps: Sequence[Step], inputs: dict[str, Input] | None = None) -> Workflow:
    """Return a workflow made by code, with the text that a resume reads it from again."""
    workflow = Workflow(name=name, inputs=inputs or {}, steps=tuple(steps))
    text = workflow.model_dump_json(exclude_unset=True)
    return workflow.model_copy(update={"source": text})
