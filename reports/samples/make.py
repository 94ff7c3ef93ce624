"""Writes the sample reports again, and the README's pictures of them where a browser is there: `make samples`."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from nyxlab import Lab
from nyxlab.lab.report import export_notebook, render_review

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCRIPT = "script:data/scripts/demo.yaml"


async def write() -> None:
    """One report of each kind, on scripted replies and on our own plan; the ledger is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        async with Lab(store=f"sqlite:///{folder}/ledger.db") as lab:
            workflow = "data/workflows/dual-provider-test.yaml"
            run = await lab.run(workflow, providers=f"{SCRIPT}#a,{SCRIPT}#b", judge=f"{SCRIPT}#judge")
            (HERE / "run.html").write_text(await lab.report(run.run_id))
            plan = "data/plans/team-management.md"
            review = (await lab.review([plan])).to_json()
            (HERE / "review.html").write_text(render_review(review, "html", {plan: (ROOT / plan).read_text()}))
    (HERE / "notebook.html").write_text(export_notebook(ROOT / "notebooks" / "02-compare-providers.ipynb"))


def photograph() -> None:
    """Take the README's pictures, light and dark; say so where there is no browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium here: the pictures stay as they are")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, scheme in (("review", "light"), ("run", "dark")):
            size = {"width": 1200, "height": 900}
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.goto((HERE / f"{name}.html").as_uri())
            page.wait_for_timeout(2_000)  # charts unpack themselves
            page.screenshot(path=HERE / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    asyncio.run(write())
    photograph()
