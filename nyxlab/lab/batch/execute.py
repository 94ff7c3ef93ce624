"""Executes notebooks in processes that stay warm for the next one: each has a fresh kernel, none a fresh papermill."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_process

LOOK = 0.2  # seconds between two looks at how far a notebook is
_CELL = re.compile(r"\| (\d+)/(\d+) \[")


async def execute(
    notebook: Path,
    executed: Path,
    parameters: Mapping[str, Any],
    store: str | None,
    on_cell: Callable[[int, int], None],
) -> str | None:
    """Run a notebook in its own folder and write it, outputs included.

    Return its error in one line, None where it ran through.

    ``on_cell`` is told how many cells are done, of how many. ``store`` is the ledger's URL, where it is not the
    settings'.
    """
    with tempfile.NamedTemporaryFile(prefix="nyxlab-", suffix=".progress") as told:
        path = Path(told.name)
        last = (0, 0)

        def look() -> None:
            nonlocal last
            for found in _CELL.findall(path.read_text(encoding="utf-8", errors="replace"))[-1:]:
                now = (int(found[0]), int(found[1]))
                if now != last:
                    last = now
                    on_cell(*now)

        async def watch() -> None:
            while True:
                await anyio.sleep(LOOK)
                look()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            args = (str(notebook), str(executed), dict(parameters), store, str(path))
            error = await anyio.to_process.run_sync(_work, *args, cancellable=True)
            tasks.cancel_scope.cancel()
        look()
        return error


def _work(notebook: str, executed: str, parameters: dict[str, Any], store: str | None, told: str) -> str | None:
    """Run papermill in a worker's process; what it and its kernel say goes into the file that is watched."""
    with Path(told).open("w", encoding="utf-8", buffering=1) as log:
        os.dup2(log.fileno(), 2)  # the kernel writes there as well
        before = os.environ.get("NYXLAB_STORE")
        os.environ |= {"NYXLAB_STORE": store} if store else {}
        try:
            import papermill  # a second, once a process

            papermill.execute_notebook(
                notebook, executed, parameters, kernel_name="python3", cwd=str(Path(notebook).parent),
                progress_bar={"file": log, "mininterval": 0},
            )  # fmt: skip
        except Exception as error:  # papermill's own and nbclient's: what a person is told is the last line of it
            said = [line for line in str(error).splitlines() if line.strip()]
            return said[-1].strip() if said else type(error).__name__
        finally:
            if before is None:
                os.environ.pop("NYXLAB_STORE", None)
            else:
                os.environ["NYXLAB_STORE"] = before
    return None
