"""Says which process carries a run on: exactly one may, and a dead one holds nothing."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Annotated

from pydantic import Field

from nyxlab.providers.messages import Record

BEAT = 15.0  # seconds between two signs of life
SILENCE = 60.0  # seconds without one after which a process on another machine is taken for dead


class Lease(Record):
    """Who holds a run: a process, told apart from a later one of the same number by ``born``, and its last sign of life.

    ``beat`` is in seconds since 1970 by the holder's clock. On its own machine a process is asked for, not its clock.
    """

    host: str
    pid: int
    born: str
    beat: Annotated[float, Field(ge=0)]

    @classmethod
    def mine(cls) -> Lease:
        """Return this process's own, with a sign of life now."""
        return cls(host=socket.gethostname(), pid=os.getpid(), born=_born(os.getpid()), beat=time.time())

    def held_against(self, other: Lease) -> bool:
        """Whether this one still bars ``other``, which wants the run now; a process bars itself too."""
        if self.host == other.host:
            return _born(self.pid) == self.born != ""
        return abs(other.beat - self.beat) < SILENCE  # a clock that was set back does not hold a run for ever


def _born(pid: int) -> str:
    """Return when a process began, in the system's own count; where that cannot be asked, whether it is there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
