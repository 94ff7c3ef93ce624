"""A router learned from recorded outcomes: what quality each model would reach on a prompt. Needs NumPy alone.

A prediction is the mean of two: a linear one over words and pairs of words, and a forest over what a linear probe says
of the prompt (which task, which quality) and its surface. Where the task is known, the linear part takes it in.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import log, log1p
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json, Record

Floats = npt.NDArray[np.float64]
Bag = tuple[npt.NDArray[np.int64], Floats]  # which terms a prompt holds, and how much of each; its length is one

FORMAT = "nyxlab.router/1"
HEAD, TAIL = 3_000, 1_000  # characters that are read of a long prompt, so that a decision never takes long
ENOUGH_PROMPTS = 200  # fewer say nothing about the next one
ENOUGH_KNOWN = 0.5  # a prompt of which fewer words were ever seen is foreign
MARKS = 0.1  # weight of the surface beside words

_WORD = re.compile(r"[^\W_]+|[^\w\s]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class Origin(Record):
    """What a router was trained on: the file's name and SHA-256, its prompts, models and tasks, and the day."""

    source: str
    sha256: str
    prompts: int
    models: tuple[str, ...]
    labels: tuple[str, ...]
    trained_on: str

    def __str__(self) -> str:
        """Say it in one line."""
        tasks = f", {len(self.labels)} tasks" if self.labels else ""
        return f"{self.prompts:,} prompts of {self.source}{tasks}, {len(self.models)} models, {self.trained_on}"


@dataclass(frozen=True)
class Router:
    """Weights and what they were learned from. ``arrays`` by name; terms come first in every row of weights.

    ``idf`` (terms), ``centre`` and ``spread`` (marks of the surface), ``probe`` (terms and marks × tasks and models),
    ``plain`` (terms and marks × models), ``tasked`` (the same, and tasks), each with its ``_at0``; ``forest_*`` flat
    trees.
    """

    origin: Origin
    terms: tuple[str, ...]
    arrays: Mapping[str, npt.NDArray[Any]]

    @cached_property
    def index(self) -> dict[str, int]:
        """The number of each term."""
        return {term: number for number, term in enumerate(self.terms)}

    def predict(self, prompts: Sequence[str], labels: Sequence[str | None] | None = None) -> Floats:
        """Return the predicted quality, about 0 to 1, as an array of prompts × ``origin.models``."""
        tasks = labels or [None] * len(prompts)
        parts = [self._linear(prompt, task) for prompt, task in zip(prompts, tasks, strict=True)]
        if not parts:
            return np.zeros((0, len(self.origin.models)))
        seen = np.array([probed for _, probed in parts])
        mixed: Floats = (np.array([linear for linear, _ in parts]) + self._forest(seen)) / 2
        return mixed

    def qualities(self, prompt: str, names: Sequence[str]) -> dict[str, float] | str:
        """Return each provider's predicted quality on a prompt, or why this router cannot tell."""
        if unknown := [name for name in names if name not in self.origin.models]:
            return f"the router was not trained on {', '.join(unknown)}"
        if reason := self.foreign(prompt):
            return reason
        found = dict(zip(self.origin.models, self.predict([prompt])[0], strict=True))
        return {name: float(found[name]) for name in names}

    def foreign(self, prompt: str) -> str | None:
        """Return why this router should not be asked about a prompt; None where it may."""
        if self.origin.prompts < ENOUGH_PROMPTS:
            return f"the router saw {self.origin.prompts} prompts only and needs {ENOUGH_PROMPTS}"
        words = set(_words(prompt))
        known = sum(word in self.index for word in words)
        if known < ENOUGH_KNOWN * max(1, len(words)):
            return f"the router knows {known} of the prompt's {len(words)} words"
        return None

    def _linear(self, prompt: str, label: str | None) -> tuple[Floats, Floats]:
        """Return the linear prediction, and what the forest looks at."""
        a = self.arrays
        numbers, amounts = weighed(bag(prompt, self.index), a["idf"])
        marks = np.clip((surface(prompt) - a["centre"]) / a["spread"], -4, 4)
        head = "tasked" if label in self.origin.labels else "plain"
        weights, size = a[head], len(self.terms)
        linear = amounts @ weights[numbers] + MARKS * marks @ weights[size : size + len(marks)] + a[f"{head}_at0"]
        if label in self.origin.labels:
            linear = linear + weights[size + len(marks) + self.origin.labels.index(str(label))]
        probed = amounts @ a["probe"][numbers] + marks @ a["probe"][size:] + a["probe_at0"]
        return linear, np.concatenate([probed, marks])

    def _forest(self, rows: Floats) -> Floats:
        """Walk all trees at once; a leaf leads to itself."""
        a = self.arrays
        at = np.tile(a["forest_roots"], (len(rows), 1))
        every = np.arange(len(rows))[:, None]
        while True:
            left = rows[every, a["forest_feature"][at]] <= a["forest_threshold"][at]
            step = np.where(left, a["forest_left"][at], a["forest_right"][at])
            if np.array_equal(step, at):
                leaves: Floats = a["forest_value"][at].mean(axis=1)
                return leaves
            at = step


def load_router(path: Path) -> Router:
    """Read a router; ``InputRefused`` for a file that is none. Nothing in the file is ever run."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        head: Json = json.loads(arrays.pop("head").tobytes())
        if head.pop("format") != FORMAT:
            raise KeyError(FORMAT)  # noqa: TRY301 - one sentence for all that is wrong with a file
        router = Router(Origin.model_validate(head["origin"]), tuple(head["terms"]), arrays)
        router.predict(["A word."], router.origin.labels[:1] or None)  # arrays that do not fit show here
    except FileNotFoundError:
        raise InputRefused(f"{path}: no such router; train one with `nyxlab route train`") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError, zipfile.BadZipFile):
        raise InputRefused(f"{path}: this is not a router that nyxlab wrote; train one anew") from None
    return router


def terms_of(prompt: str) -> list[str]:
    """Return the words and pairs of words of a prompt."""
    words = _words(prompt)
    return [*words, *map(" ".join, pairwise(words))]


def bag(prompt: str, index: Mapping[str, int]) -> Counter[int]:
    """Count the known words and pairs of words of a prompt."""
    return Counter(index[term] for term in terms_of(prompt) if term in index)


def weighed(counts: Counter[int], idf: npt.NDArray[Any]) -> Bag:
    """Return a bag's terms by logarithm of their count times ``idf``, scaled to length one."""
    numbers = np.fromiter(counts.keys(), dtype=np.int64, count=len(counts))
    amounts = (1 + np.log(np.fromiter(counts.values(), dtype=float, count=len(counts)))) * idf[numbers]
    return numbers, amounts / (float(np.sqrt(amounts @ amounts)) or 1.0)


def surface(prompt: str) -> Floats:
    """Return 16 marks of how a prompt looks: lengths, numbers, punctuation, lines."""
    text = _read(prompt)
    size, words, lines = len(text) + 1, re.findall(r"[^\W\d_]+", text), text.split("\n")
    numbers, letters = _NUMBER.findall(text), sum(map(len, words))
    return np.array(
        [
            log(size), log1p(len(words)), log1p(len(numbers)), len(lines) ** 0.5, letters / (len(words) + 1),
            sum(map(len, numbers)) / size, sum(map(str.isupper, text)) / size, min(text.count("?"), 9),
            100 * text.count(",") / size, 100 * text.count(".") / size, len(_WORD.findall(text)) / size,
            len(set(words)) / (len(words) + 1), log1p(len(lines[0])), log1p(size - len(lines[0])),
            100 * (text.count("(") + text.count("$")) / size, sum(len(word) > 8 for word in words) / (len(words) + 1),
        ]
    )  # fmt: skip


def _words(prompt: str) -> list[str]:
    return _WORD.findall(_read(prompt).lower())


def _read(prompt: str) -> str:
    return prompt if len(prompt) <= HEAD + TAIL else f"{prompt[:HEAD]} {prompt[-TAIL:]}"
