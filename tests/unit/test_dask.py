"""A batch on a real Dask cluster: two worker processes on this machine, one ledger in PostgreSQL."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import postgres as postgres_server
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nyxlab.lab.lab import Lab
from nyxlab.settings import load_settings

pytest.importorskip("distributed", reason="the extra dask is not installed")
SCRIPT = "# scripted replies, written by hand: no model produced this text\na: [{text: 'yes'}]\n"
ASK = """\
from nyxlab import Lab
from nyxlab.lab.batch.summary import summary
async with Lab() as lab:
    run = await lab.compare(prompt, providers="script:s.yaml#a, script:s.yaml#a")
summary(run)"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler and two workers, each a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    folder = tmp_path_factory.mktemp("dask")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    port = address.rpartition(":")[2]
    commands = [["scheduler", "--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0"]]
    commands += [["worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]] * 2
    started = [
        subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_" + c[0], *c[1:]], **quiet) for c in commands
    ]
    yield address
    for process in started:
        process.kill()
    for process in started:
        process.wait(20)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nyxlab.toml").write_text("")
    (tmp_path / "s.yaml").write_text(SCRIPT)
    first = new_code_cell("prompt: str = 'x'  # asked", metadata={"tags": ["parameters"]})
    book = new_notebook(cells=[first, new_code_cell("import os; print('worker', os.getppid())"), new_code_cell(ASK)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, tmp_path / "n.ipynb")
    (tmp_path / "grid.yaml").write_text("notebook: n.ipynb\nmatrix: {prompt: [one, two, three, four]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.anyio
async def test_a_batch_on_two_workers_with_one_ledger(cluster: str, postgres: str, project: Path) -> None:
    """Each job runs once on some worker, all runs are in the shared ledger, and a second batch starts nothing."""
    store = postgres_server.database(postgres)
    started: list[str] = []
    async with Lab(store, settings=load_settings(project)) as lab:
        results = await lab.batch("grid.yaml", dask=cluster, on_job=lambda job: started.append(job.name))
        assert [(result.error, result.skipped) for result in results] == [(None, False)] * 4
        assert len(started) == len(await lab.runs()) == 4
        again = await lab.batch("grid.yaml", dask=cluster, on_job=lambda job: started.append(job.name))
        assert all(result.skipped for result in again)
        assert len(await lab.runs()) == 4
    assert (project / "reports" / "batch-grid.html").is_file()


def test_nobody_listens_there(project: Path) -> None:
    """Where no scheduler answers, or the address is none, it is one sentence and nothing runs."""
    began = time.monotonic()
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        command = [sys.executable, "-m", "nyxlab.cli", "batch", "grid.yaml", "--dask", address]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert "no Dask scheduler answers" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 60
    assert not (project / "reports").exists()
