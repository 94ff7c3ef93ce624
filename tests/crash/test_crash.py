"""A comparing workflow is killed at every named point and at random moments; resumed, it equals one left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import postgres as postgres_server
import pytest
from peer import ITEMS, Peer, peer

from nyxlab.engine.crash import POINTS
from nyxlab.engine.records import Run, RunSummary
from nyxlab.lab.lab import Lab
from nyxlab.settings import load_settings

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
KILLS = int(os.environ.get("NYXLAB_KILLS", "30")) // 2  # on each kind of store
A_RUN = 10  # kills that one run has to survive
BOTH = 'compare: ["mine:one", "mine:two"], judge: "mine:judge"'
FLOW = f"""\
name: nine
goal: Survive.
steps:
  - {{id: files, kind: tool, tool: read_files, with: {{repo: ".", pattern: "*.txt", max_files: 9, max_bytes: 9999}}}}
  - {{id: draft, prompt: "Draft {{{{ steps.files.output.files | length }}}}", {BOTH}}}
  - id: outline
    prompt: "LIST the parts of {{{{ steps.draft.output }}}}"
    compare: ["mine:one", "mine:two"]
    judge: null
    policy: first
    schema: {{type: object, required: [items], properties: {{items: {{type: array, items: {{type: string}}}}}}}}
  - {{id: parts, kind: map, over: "steps.outline.output['items']", prompt: "Write {{{{ item }}}}",
     provider: "mine:one"}}
  - {{id: risks, prompt: "Risks of {{{{ steps.draft.output }}}}", {BOTH}}}
  - {{id: tests, prompt: "Tests for {{{{ steps.draft.output }}}}", {BOTH}}}
  - {{id: whole, prompt: "Join {{{{ steps.parts.output | join(' ') }}}}", {BOTH}}}
  - {{id: check, kind: review, of: [whole, risks]}}
  - {{id: last, prompt: "End {{{{ steps.whole.output }}}} {{{{ steps.tests.output }}}}", needs: [check], {BOTH}}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Peer]:
    with peer(0.004) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def folder(request: pytest.FixtureRequest, server: Peer, tmp_path: Path) -> Path:
    """A project with a ledger of its own, once of each kind."""
    url = f"sqlite:///{tmp_path}/l.db"
    if request.param == "postgres":
        url = postgres_server.database(request.getfixturevalue("postgres"))
    return project(tmp_path, server, url)


def project(folder: Path, server: Peer, store: str) -> Path:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    models = "".join(
        f'[endpoints.mine.models.{name}]\nprice = {{input = "1", output = "1"}}\n' for name in ("one", "two", "judge")
    )
    (folder / "nyxlab.toml").write_text(
        f'store = "{store}"\n[endpoints.mine]\nkind = "openai"\nbase_url = "{url}"\napi_key_env = "MINE_API_KEY"\n'
        f"allow_private = true\n{models}"
    )
    (folder / "flow.yaml").write_text(FLOW)
    (folder / "a.txt").write_text("a file\n")
    return folder


def start(folder: Path, *words: str, crash: str = "") -> subprocess.Popen[str]:
    env = {**os.environ, "MINE_API_KEY": "k", "NYXLAB_CRASH": crash}
    env.pop("NYXLAB_STORE", None)
    return subprocess.Popen(
        [sys.executable, "-m", "nyxlab.cli", *words, "--json"],
        cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> dict | None:
    """Wait for a command; return its checkpoint, or None where it was killed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), err
    return json.loads(out) if process.returncode == 0 else None


def runs(folder: Path) -> list[RunSummary]:
    """Return the runs that the ledger has."""

    async def look() -> list[RunSummary]:
        async with Lab(settings=load_settings(folder)) as lab:
            return await lab.runs()

    return anyio.run(look)


def stored(folder: Path, run_id: str) -> Run:
    """Return a run as the ledger has it."""

    async def look() -> Run:
        async with Lab(settings=load_settings(folder)) as lab:
            return await lab.show(run_id)

    return anyio.run(look)


def forget(folder: Path, run_id: str) -> None:
    """Remove a run from the ledger."""

    async def work() -> None:
        async with Lab(settings=load_settings(folder)) as lab:
            await lab.desk.store.forget([run_id])

    anyio.run(work)


def essence(told: dict) -> dict:
    """Return a checkpoint without times, ids, what a replay marks, and calls that a crash has lost: they are listed.

    Calls are put in one order: those made at once begin in any.
    """

    def plain(value):
        if isinstance(value, list):
            told = [plain(part) for part in value if not (isinstance(part, dict) and part.get("status") == "lost")]
            calls = all(isinstance(part, dict) and "role" in part for part in told)
            return sorted(told, key=json.dumps) if calls else told
        if not isinstance(value, dict):
            return value
        return {
            key: plain(part)
            for key, part in value.items()
            if key not in {"runId", "startedAt", "cached", "attempts", "totals"} and not key.endswith("Seconds")
        }

    return plain(told)


@pytest.fixture(scope="module")
def untouched(server: Peer, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The checkpoint of a run that nobody killed; each question was asked once."""
    server.seen.clear()
    folder = tmp_path_factory.mktemp("whole")
    told = ended(start(project(folder, server, f"sqlite:///{folder}/l.db"), "run", "flow.yaml"))
    assert told
    assert told["status"] == "completed"
    assert len(told["steps"]) == 9
    assert len(told["steps"][3]["items"]) == ITEMS
    assert set(server.seen.values()) == {1}
    return told


def survived(folder: Path, server: Peer, told: dict, untouched: dict) -> None:
    """The run equals the one that nobody killed, and no recorded reply was bought twice."""
    assert essence(told) == essence(untouched)
    run = stored(folder, told["runId"])
    assert run.checkpoint() == told
    answered = [call for call in run.calls if call.status == "ok"]
    assert len(answered) == untouched["totals"]["calls"]
    assert len({call.key for call in answered}) == len(answered)
    lost = [call for call in run.calls if call.status == "lost"]
    assert len(run.calls) == len(answered) + len(lost)
    again = sum(count - 1 for count in server.seen.values())
    assert again <= len(lost)  # asked twice: only what was under way when the process died, shown as possibly billed
    assert all(call.possibly_billed for call in lost)
    assert all(len(keys) == 1 for keys in server.keys.values())  # asked again under the same idempotency key


@pytest.mark.parametrize(("folder", "times"), [("sqlite", 1), ("sqlite", 7), ("postgres", 7)], indirect=["folder"])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point(point: str, times: int, server: Peer, untouched: dict, folder: Path) -> None:
    """Wherever the process dies, the resumed run equals the whole one, and each recorded call was made once."""
    if point == "run.ended" and times > 1:
        pytest.skip("a run ends once")
    server.seen.clear()
    server.keys.clear()
    killed = ended(start(folder, "run", "flow.yaml", crash=f"{point}:{times}"))
    assert killed is None
    known = runs(folder)
    if not known:  # it died before the run was on disk, so nothing was asked
        assert not server.seen
        return
    if known[0].status == "completed":
        told = stored(folder, known[0].run_id).checkpoint()
    else:
        told = ended(start(folder, "resume", known[0].run_id))
    assert told
    survived(folder, server, told, untouched)


def test_killed_at_random_moments(server: Peer, untouched: dict, folder: Path) -> None:
    """Killed again and again at random moments, each run is whole in the end and has paid for no reply twice."""
    dice = random.Random()
    for _ in range(-(-KILLS // A_RUN)):
        server.seen.clear()
        server.keys.clear()
        run_id, killed, told = "", 0, None
        while told is None:
            process = start(folder, *(("resume", run_id) if run_id else ("run", "flow.yaml")))
            if killed < min(A_RUN, KILLS):
                time.sleep(dice.uniform(0.3, 1.5))
                process.kill()
            told = ended(process)
            killed += told is None
            if not run_id and (known := runs(folder)):
                run_id = known[0].run_id
            if run_id and told is None and stored(folder, run_id).status == "completed":
                told = stored(folder, run_id).checkpoint()
        survived(folder, server, told, untouched)
        forget(folder, run_id)  # a later run would route by what this one showed
