"""Writes the sample reports again, and pictures of them, light and dark, where a browser is there: `make samples`."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from itertools import product
from pathlib import Path

from nyxlab import Lab
from nyxlab.lab.views.report import render_review

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCRIPT = "script:data/scripts/demo.yaml"
PAGES = ("review", "run", "compare", "batch", "02-compare-providers", "03-review-plan")
PROMPTS = (
    "Explain idempotency keys to a payments team in five sentences.",
    "Write a SQL query for the ten customers with the highest spend this month (tables customers and orders).",
    "List the steps to rotate a leaked API key.",
    "Write a regular expression that matches an ISO 8601 date, and say what it does not check.",
)


async def write() -> None:
    """One report of each kind, on scripted replies and on our own plan; the ledger is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        async with Lab(store=f"sqlite:///{folder}/ledger.db") as lab:
            workflow = "data/workflows/dual-provider-test.yaml"
            run = await lab.run(workflow, providers=f"{SCRIPT}#a,{SCRIPT}#b", judge=f"{SCRIPT}#judge")
            (HERE / "run.html").write_text(await lab.report(run.run_id))
            prompts = Path(folder) / "prompts.jsonl"
            prompts.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
            many = await lab.compare(prompts, providers=f"{SCRIPT}#a,{SCRIPT}#b", judge=f"{SCRIPT}#judge", repeat=3)
            (HERE / "compare.html").write_text(await lab.report(many.run_id))
            grid = Path(folder) / "batch.yaml"
            grid.write_text(
                "matrix: {notebook: [notebooks/02-compare-providers.ipynb, notebooks/03-review-plan.ipynb]}\n"
            )
            for result in await lab.batch(grid, reports=folder):
                shutil.copy(result.report, HERE)
            shutil.copy(Path(folder) / "batch-batch.html", HERE / "batch.html")
            plan = "data/plans/team-management.md"
            review = (await lab.review([plan])).to_json()
            (HERE / "review.html").write_text(render_review(review, "html", {plan: (ROOT / plan).read_text()}))


def photograph() -> None:
    """Take the README's pictures, light and dark; say so where there is no browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium here: the pictures stay as they are")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, scheme in product(PAGES, ("light", "dark")):
            page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=scheme)
            page.goto((HERE / f"{name}.html").as_uri())
            page.wait_for_timeout(2_000)  # charts unpack themselves
            page.screenshot(path=HERE / f"{name}-{scheme}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    asyncio.run(write())
    photograph()
