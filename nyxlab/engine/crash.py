"""Kills this process at a named point, for the tests that prove a run survives it; does nothing unless it is armed.

Armed by the environment: ``NYXLAB_CRASH=call.after:3`` is a SIGKILL when that point is reached for the third time.
"""

from __future__ import annotations

import os
import signal
from typing import Literal, get_args

Point = Literal[
    "commit.before", "commit.after", "intent.after", "call.after", "reply.after",
    "step.started", "step.ended", "run.ended",
]  # fmt: skip
POINTS: tuple[Point, ...] = get_args(Point)

_armed, _, _times = os.environ.get("NYXLAB_CRASH", "").partition(":")
_left = int(_times) if _times.isdigit() else 1


def here(point: Point) -> None:
    """Die here if this point is the armed one and has been reached often enough."""
    global _left
    if point == _armed:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
