"""Comparisons: one prompt or many, put to several providers side by side, as a workflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path

from pydantic import Field, ValidationError

from nyxlab.engine.inputs import Input
from nyxlab.engine.workflow import Step, Workflow
from nyxlab.errors import InputRefused
from nyxlab.gate.checks import expected
from nyxlab.providers.messages import Record

MOST = 10_000
PromptLike = str | Mapping[str, object]
Prompts = str | PathLike[str] | Sequence[PromptLike]
"""One prompt, a list of them (as text, or with what ``Prompt`` has besides), or the path of a file with one a line."""


class Prompt(Record):
    """One prompt of several; ``id`` is its line in a file, its place in a list, unless it has one.

    ``expect`` is a regular expression that a right answer holds, in small letters or capitals.
    """

    id: str | int
    prompt: str = Field(min_length=1, pattern=r"\S")
    expect: str = ""


def read_prompts(given: PathLike[str] | Sequence[PromptLike], resolve: Callable[[Path], Path]) -> list[Prompt]:
    """Return prompts given in a list, or in a file with one JSON object a line.

    ``InputRefused`` names the place in the list, or the file and the line, of what cannot be read.
    """
    if not isinstance(given, PathLike):
        asked = [{"prompt": each} if isinstance(each, str) else each for each in given]
        return [_prompt(each, number, f"prompt {number} of {len(asked)}") for number, each in enumerate(asked, 1)]
    path = resolve(Path(given))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputRefused(f"{path}: no such file, or not UTF-8 text") from None
    prompts = [_prompt(line, number, f"{path.name}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not prompts:
        raise InputRefused(f"{path.name} holds no prompt: 1 to {MOST:,} are compared at a time")
    return prompts


def _prompt(given: Mapping[str, object] | str, number: int, place: str) -> Prompt:
    try:
        told = json.loads(given) if isinstance(given, str) else given
        prompt = Prompt.model_validate({"id": number, **told})
        expected(prompt.expect)
    except InputRefused as error:
        raise InputRefused(f"{place}: {error}") from None
    except (ValueError, TypeError, RecursionError, ValidationError):
        said = '{"prompt": "…"}, with "id" and "expect" (a regular expression that a right answer holds) if you like'
        raise InputRefused(f"{place}: say what the providers are asked, as a JSON object: {said}") from None
    return prompt


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
    if any(each.expect for each in prompts):
        step = step.model_copy(update={"expect": "{{ item.expect }}"})
    return made_workflow("compare", [step])


def made_workflow(name: str, steps: Sequence[Step], inputs: dict[str, Input] | None = None) -> Workflow:
    """Return a workflow made by code, with the text that a resume reads it from again."""
    workflow = Workflow(name=name, inputs=inputs or {}, steps=tuple(steps))
    text = workflow.model_dump_json(exclude_unset=True)
    return workflow.model_copy(update={"source": text})
