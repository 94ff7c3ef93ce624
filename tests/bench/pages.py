"""How large the pages are and how soon Chromium has them open: a run of 10,000 calls, and a review of 50 findings."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import anyio
from playwright.sync_api import Playwright, sync_playwright

from nyxlab import Lab
from nyxlab.lab.views.report import render_review
from nyxlab.settings import load_settings

sys.path.insert(0, str(Path(__file__).parents[1]))
from report_inputs import PLAN, review

WORDS = [
    "a",
    "run",
    "may",
    "be",
    "killed",
    "at",
    "any",
    "line",
    "and",
    "the",
    "next",
    "start",
    "carries",
    "on",
    "without",
    "paying",
    "twice",
]
READY = "performance.timing.domInteractive - performance.timing.navigationStart"


async def large_run(folder: Path) -> None:
    """Compare 5,000 prompts between two scripted providers, and write the report."""
    (folder / "nyxlab.toml").write_text("")
    answers = {name: [{"text": " ".join(WORDS * times)}] for name, times in (("a", 9), ("b", 7))}
    (folder / "s.yaml").write_text(json.dumps(answers))
    (folder / "p.jsonl").write_text("".join(json.dumps({"prompt": f"Question {n}"}) + "\n" for n in range(5_000)))
    async with Lab(f"sqlite:///{folder}/l.db", settings=load_settings(folder)) as lab:
        run = await lab.compare(folder / "p.jsonl", providers="script:s.yaml#a, script:s.yaml#b")
        began = time.perf_counter()
        (folder / "run.html").write_text(await lab.report(run.run_id), encoding="utf-8")
        print(f"a report of {len(run.calls):,} calls is written in {time.perf_counter() - began:.1f} s")


def fifty(folder: Path) -> None:
    """Write a review of fifty findings beside its plan."""
    told = review()
    first = told["findings"][0]
    told["findings"] = [{**first, "id": f"F-{n:03}", "fingerprint": f"{n:064x}"} for n in range(1, 51)]
    (folder / "review.html").write_text(render_review(told, "html", {"plan.md": PLAN}), encoding="utf-8")


def main() -> None:
    """Print sizes and times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        anyio.run(large_run, folder)
        fifty(folder)
        with sync_playwright() as playwright:
            show(folder, playwright)


def show(folder: Path, playwright: Playwright) -> None:
    """Open both pages and print what it took."""
    flags = ["--no-sandbox", "--disable-gpu"]
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
    for file, size, seconds in (("run.html", 5, 3), ("review.html", 1, 1)):
        page = browser.new_page()
        page.goto((folder / file).as_uri())
        took, megabytes = page.evaluate(READY) / 1e3, (folder / file).stat().st_size / 1e6
        print(f"{file:12} {megabytes:.2f} MB (reach {size}), interactive in {took:.2f} s (reach {seconds})")
    browser.close()


if __name__ == "__main__":
    main()
