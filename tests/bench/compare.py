"""Two providers × 50 prompts on a server that answers after 50 ms: `nyxlab compare` beside promptfoo, as whole
processes.

promptfoo is measured where its command is on the PATH or named by ``PROMPTFOO``; it needs Node 22 or newer. Both start
from nothing, keep no cache, and make 100 calls; promptfoo runs as it comes (four calls at once) and with 100 at once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from providers import server

PROMPTS, DELAY, ROUNDS = 50, 0.05, 5
REACH = 0.4


def project(folder: Path, url: str) -> None:
    """Write the prompts and both tools' settings."""
    prompts = [f"Name {n} uses of a brick." for n in range(PROMPTS)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
    (folder / "nyxlab.toml").write_text(
        f'[endpoints.mine]\nkind = "openai"\nbase_url = "{url}"\napi_key_env = "MINE_API_KEY"\nallow_private = true\n'
    )
    providers = [
        {"id": f"openai:chat:{model}", "config": {"apiBaseUrl": url, "apiKey": "k"}} for model in ("one", "two")
    ]
    tests = [{"vars": {"asked": prompt}} for prompt in prompts]
    config = {"prompts": ["{{asked}}"], "providers": providers, "tests": tests}
    (folder / "promptfooconfig.json").write_text(json.dumps(config))


def seconds(command: list[str], folder: Path) -> float:
    """Run a command in an empty home and return how long it took."""
    with tempfile.TemporaryDirectory() as home:
        env = {"PATH": os.environ["PATH"], "HOME": home, "MINE_API_KEY": "k", "NYXLAB_STORE": f"sqlite:///{home}/l.db"}
        quiet = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "PROMPTFOO_CONFIG_DIR": home}
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=env | quiet, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
    if done.returncode not in (0, 100):  # promptfoo's 100: some assertion failed
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return took


def main() -> None:
    """Print the medians and the ratio."""
    nyxlab = Path(sys.executable).with_name("nyxlab")
    theirs = os.environ.get("PROMPTFOO") or shutil.which("promptfoo")
    with server(DELAY) as url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, url)
        commands = {"nyxlab compare": [str(nyxlab), "compare", "prompts.jsonl", "--providers", "mine:one,mine:two"]}
        if theirs:
            run = [theirs, "eval", "--no-cache", "--no-progress-bar", "--no-table", "-o", "out.json"]
            commands |= {"promptfoo": run, "promptfoo -j 100": [*run, "-j", "100"]}
        took = {title: [] for title in commands}
        for _ in range(ROUNDS):
            for title, command in commands.items():
                took[title].append(seconds(command, folder))
    ours = median(took["nyxlab compare"])
    for title, all_of_them in took.items():
        ratio = (
            f", nyxlab takes {ours / median(all_of_them):.2f} of it (reach {REACH})"
            if title != "nyxlab compare"
            else ""
        )
        print(f"{title:18} {median(all_of_them):5.2f} s for {PROMPTS} prompts of 2 providers{ratio}")
    if not theirs:
        print("promptfoo is not installed: npm install promptfoo (Node 22 or newer), then PROMPTFOO=…/.bin/promptfoo")


if __name__ == "__main__":
    main()
