"""How a gate is to decide: one frozen object, in which what a comparison needs besides is apart."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from anyio.abc import TaskGroup

from nyxlab.errors import InputRefused
from nyxlab.gate.candidates import History
from nyxlab.gate.policy import Learned, Policy
from nyxlab.providers.base import Provider

Select = Literal["auto", "ask", "synthesise"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All live candidates are called at once, and one answer is selected.

    By ``select``: *auto*, the ``judge`` chooses, or the policy where there is none; *ask*, a person does, whose
    ``choice`` is selected, and without one ``ChoiceWanted`` is raised; *synthesise*, the judge writes one answer out of
    all, and where it cannot, they are judged. ``late`` is where calls go on that miss the deadline: they were paid for,
    so their replies are recorded while that task group lasts. Without one they are cancelled at the deadline. An answer
    in which ``expect`` is found goes before one in which it is not.
    """

    judge: Provider | None = None
    select: Select = "auto"
    choice: str | None = None
    late: TaskGroup | None = None
    expect: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What a gate goes by.

    Without a ``comparison`` one provider is called: the policy's first choice, then its next where that one fails;
    ``hedge`` seconds after one call the next provider (the fallbacks among them) is called too, the first usable answer
    wins and the other calls are cancelled. ``fallback`` is tried in order when no candidate gave a usable answer.
    ``deadline`` bounds one round in seconds (all calls of a comparison, one call elsewhere, all verdicts of the judge);
    None: the request's own. ``router`` predicts
    quality for the policy ``learned``; where it cannot, ``balanced`` stands in and the reason says so. ``seed`` is the
    secret from which the judge's fences are made: a run that is resumed must give the same one, or its recorded
    verdicts are bought again.
    """

    comparison: Comparison | None = None
    policy: Policy = "balanced"
    hedge: float | None = None
    fallback: Sequence[Provider] = ()
    history: History | None = None
    deadline: float | None = None
    router: Learned | None = None
    seed: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise InputRefused(f"policy '{self.policy}' is unknown: choose one of {', '.join(get_args(Policy))}")
