"""A real process is killed in the middle of a run; another one carries it on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nyxlab.engine.store import open_store

CHILD = """
import sys
from pathlib import Path

import anyio

from nyxlab.engine.records import Done
from nyxlab.engine.run import execute, start_run
from nyxlab.engine.store import open_store
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.template import render
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.scripted import ScriptedProvider

folder, run_id = Path(sys.argv[1]), sys.argv[2]
STEPS = "".join(
    f"  - {{id: s{n}, prompt: 'step {n}: {{{{ steps.s{n - 1}.output }}}}'}}\\n" if n
    else "  - {id: s0, prompt: 'step 0:'}\\n"
    for n in range(9)
)
flow = parse_workflow("name: chain\\nsteps:\\n" + STEPS, "chain.yaml")
provider = ScriptedProvider([{"match": f"step {n}:", "text": f"answer {n} ü", "latency": 0.1} for n in range(9)])


async def runner(context):
    request = Request(messages=(Message("user", render(context.step.prompt, context.variables)),))
    reply = await context.ledger.wrap(provider).ask(request)
    with (folder / "ran.txt").open("a") as ran:
        ran.write(f"{context.step.id}\\n")
    return Done(output={"text": reply.text})


async def main():
    store = open_store(sys.argv[3])
    name = run_id if run_id != "new" else await start_run(store, flow, {})
    await execute(store, name, flow, runner)
    await store.aclose()


anyio.run(main)
"""


def child(folder: Path, run_id: str, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder), run_id, url])


def state(url: str):
    """Load the only run the way a user would: through a store of our own."""

    async def load():
        store = open_store(url)
        runs = await store.runs()
        run = await store.load(runs[0].run_id) if runs else None
        await store.aclose()
        return run

    return asyncio.run(load())


def progress(folder: Path) -> int:
    """Count the steps whose runner has returned in any process."""
    return len((folder / "ran.txt").read_text().split()) if (folder / "ran.txt").exists() else 0


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("finished", [0, 5])
def test_killed_and_resumed(tmp_path: Path, store_url: str, finished: int):
    """SIGKILL in a call: finished steps are byte for byte the same and not run again, and the run completes."""
    process = child(tmp_path, "new", store_url)
    deadline = time.monotonic() + 60
    while progress(tmp_path) < finished or state(store_url) is None:
        assert process.poll() is None, "the child ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(0.05)  # half a call's latency
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = state(store_url)
    done = {name: step for name, step in before.steps.items() if step.status == "completed"}
    assert before.status == "running"
    assert len(done) >= finished - 1  # the last one may have run without its outcome on disk
    ran = progress(tmp_path)

    assert child(tmp_path, before.run_id, store_url).wait(timeout=60) == 0
    after = state(store_url)
    assert after.status == "completed"
    for name, step in done.items():
        assert json.dumps(after.steps[name].to_json()) == json.dumps(step.to_json())
    again = (tmp_path / "ran.txt").read_text().split()[ran:]
    assert not set(again) & set(done)
    assert [step.output for step in after.steps.values()] == [{"text": f"answer {n} ü"} for n in range(9)]
    answered = [call for call in after.calls if call.status == "ok"]
    assert len(answered) == len({call.key for call in answered}) == 9
    assert [call.status for call in after.calls].count("lost") <= 1
