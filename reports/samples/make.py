"""Writes the sample reports again, and pictures of them, light and dark, where a browser is there: `make samples`.

A page or picture that is no other but for times and ids is left alone (`keep`), so that a difference is one.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from itertools import product
from pathlib import Path

from nyxlab import Lab
from nyxlab.lab.views.export import export_notebook
from nyxlab.lab.views.report import render_review

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from keep import keep_page, keep_picture

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
            keep_page(await lab.report(run.run_id), HERE / "run.html")
            prompts = Path(folder) / "prompts.jsonl"
            prompts.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
            many = await lab.compare(prompts, providers=f"{SCRIPT}#a,{SCRIPT}#b", judge=f"{SCRIPT}#judge", repeat=3)
            keep_page(await lab.report(many.run_id), HERE / "compare.html")
            grid = Path(folder) / "batch.yaml"
            books = [ROOT / "notebooks" / f"{name}.ipynb" for name in ("02-compare-providers", "03-review-plan")]
            named = ", ".join(f"notebooks/{book.name}" for book in books)
            grid.write_text(f"matrix: {{notebook: [{named}]}}\n")
            await lab.batch(grid, reports=folder)
            keep_page((Path(folder) / "batch-batch.html").read_text(), HERE / "batch.html")
            for book in books:  # as they are committed
                keep_page(export_notebook(book), HERE / f"{book.stem}.html")
            plan = "data/plans/team-management.md"
            review = (await lab.review([plan])).to_json()
            keep_page(render_review(review, "html", {plan: (ROOT / plan).read_text()}), HERE / "review.html")


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
            keep_picture(page.screenshot(), HERE / f"{name}-{scheme}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    asyncio.run(write())
    photograph()
