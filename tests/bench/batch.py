"""Eight parameter sets of notebook 01: `nyxlab batch` beside papermill one after another, in the same run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOPICS = ("quotas", "audit logs", "webhooks", "search", "invoices", "exports", "roles", "alerts")
NOTEBOOK = "notebooks/01-run-workflow.ipynb"


def main() -> None:
    """Print both times, the ratio, and what a second batch takes."""
    bin_ = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("data", "notebooks"):
            (folder / part).symlink_to(ROOT / part)
        (folder / "nyxlab.toml").write_text("")
        env = {**os.environ, "NYXLAB_STORE": f"sqlite:///{folder}/l.db"}
        quiet = {"cwd": folder, "env": env, "check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        (folder / "grid.yaml").write_text(f"notebook: {NOTEBOOK}\nmatrix: {{topic: [{', '.join(TOPICS)}]}}\n")
        began = time.perf_counter()
        for number, topic in enumerate(TOPICS):
            command = [bin_ / "papermill", NOTEBOOK, f"{number}.ipynb", "--cwd", "notebooks", "-p", "topic", topic]
            subprocess.run(command, **quiet)
        serial = time.perf_counter() - began
        began = time.perf_counter()
        subprocess.run([bin_ / "nyxlab", "batch", "grid.yaml"], **quiet)
        ours = time.perf_counter() - began
        began = time.perf_counter()
        subprocess.run([bin_ / "nyxlab", "batch", "grid.yaml"], **quiet)
        again = time.perf_counter() - began
    print(
        f"8 parameter sets      {ours:.1f} s, papermill one after another {serial:.1f} s: {ours / serial:.2f} (reach 0.40)"
    )
    print(f"the same again        {again:.1f} s, no kernel started")


if __name__ == "__main__":
    main()
