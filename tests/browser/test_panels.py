"""The panels in a real JupyterLab, in headless Chromium: what a person sees and does, end to end."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install your system's chromium package")
PANEL = """\
from nyxlab.lab.widgets import findings_panel, lab_panel
panel = lab_panel(workflow="data/workflows/dual-provider-test.yaml", providers="script:data/scripts/demo.yaml#a, script:data/scripts/demo.yaml#b", judge="script:data/scripts/demo.yaml#judge")
panel"""
ROUNDED = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    const rounded = node.data.replace(/\\b(\\d)(\\d*)(\\.\\d+)?(?= m?s\\b)/g, (_, first, rest) => first + "0".repeat(rest.length));
    if (rounded !== node.data) node.data = rounded;
  }
}"""
FINDINGS = "review = await panel.lab.review(['data/plans/team-management.md'])\nfindings_panel(review)"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name in ("workflows", "scripts", "plans"):
        shutil.copytree(ROOT / "data" / name, folder / "data" / name)
    (folder / "nyxlab.toml").write_text("")
    (folder / "home").mkdir()
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PANEL), nbformat.v4.new_code_cell(FINDINGS)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / "panel.ipynb")
    return folder


@pytest.fixture(scope="module")
def url(project: Path) -> Iterator[str]:
    """JupyterLab on a port and with a token of its own, set up as `make lab` does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    env = {
        **os.environ,
        "HOME": str(project / "home"),
        "JUPYTER_TOKEN": token,
        "NYXLAB_STORE": f"sqlite:///{project}/l.db",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1",
               f"--ServerApp.root_dir={project}", "--allow-root", "--LabApp.expose_app_in_browser=True"]  # fmt: skip
    with (project / "jupyter.log").open("w") as log:
        process = subprocess.Popen(command, cwd=project, env=env, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}", timeout=5)
                    break
                except OSError:
                    assert process.poll() is None, (project / "jupyter.log").read_text()[-2000:]
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/lab/tree/panel.ipynb?token={token}"
        finally:
            process.terminate()
            process.wait(20)
    kept = [path for path in project.rglob("*") if path.is_file() and path.name != "jupyter.log"]
    assert not [path for path in kept if token.encode() in path.read_bytes()], "the token is in a saved file"


@pytest.fixture(scope="module")
def page(url: str):
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1300, "height": 1400})
        page.goto(url)
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", state="attached", timeout=60_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", state="attached", timeout=60_000)
        execute(page, 0)
        page.wait_for_selector(".nyxlab-lab-panel select", state="attached", timeout=60_000)
        yield page
        browser.close()


def execute(page, number: int) -> None:
    """Run a cell, again until it has begun: a key that comes before the kernel is there is lost."""
    cell = page.locator(".jp-CodeCell").nth(number)
    for _ in range(20):
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(1_500)
        if cell.locator(".jp-InputPrompt").inner_text().strip() != "[ ]:":
            return
    raise AssertionError("the cell did not run")


def shot(page, name: str) -> None:
    """Keep a picture of the page where NYXLAB_SHOTS names a folder; seconds are rounded, so that it stays the same."""
    if folder := os.environ.get("NYXLAB_SHOTS"):
        sys.path.insert(0, str(ROOT / "reports" / "samples"))
        from keep import keep_picture

        page.evaluate(ROUNDED)
        for scheme, theme in (("dark", "JupyterLab Dark"), ("light", "JupyterLab Light")):
            page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
            page.wait_for_timeout(1_000)
            picture = page.locator(f".nyxlab-{name.partition('-')[0]}-panel").first.screenshot()
            keep_picture(picture, Path(folder) / f"panel-{name}-{scheme}.png")


def test_a_comparing_run_is_started_watched_and_chosen_by_hand(page) -> None:
    """Run, see who won and the cost table.

    With auto-select off choose the other answer by hand and see the table change.
    """
    panel = page.locator(".nyxlab-lab-panel")
    assert panel.locator("text=At most").count() == 1
    panel.get_by_role("button", name="Run", exact=True).focus()
    page.keyboard.press("Enter")  # reachable without a mouse
    panel.locator("text=completed.").wait_for(state="attached", timeout=60_000)
    assert "chosen by Cael" in panel.inner_text()
    panel.locator("details.nyxlab-cost > summary").first.click()
    table = panel.locator("details.nyxlab-cost table")
    before = table.inner_text()
    assert "script:data/scripts/demo.yaml#judge" in before
    shot(page, "lab-run")

    panel.get_by_label("Dual-provider auto-select").uncheck()
    panel.get_by_role("button", name="Run", exact=True).click()
    choice = panel.get_by_role("button", name="Choose script:data/scripts/demo.yaml#b")
    choice.wait_for(state="attached", timeout=60_000)
    assert panel.locator(".alternative").count() == 2  # side by side, above the buttons
    lowest = max(each.bounding_box()["y"] for each in panel.locator(".alternative").all())
    assert lowest < choice.bounding_box()["y"]
    shot(page, "lab-choice")
    for _ in range(2):  # two steps of the workflow compare
        choice.click()
        page.wait_for_timeout(300)
        panel.locator("text=/paused\\.|completed\\./").wait_for(state="attached", timeout=60_000)
        if panel.locator("text=completed.").count():
            break
        choice.wait_for(state="attached", timeout=60_000)
    panel.locator("text=completed.").wait_for(state="attached", timeout=60_000)
    assert "chosen by a person" in panel.inner_text()
    panel.locator("details.nyxlab-cost > summary").first.click()
    after = table.inner_text()
    assert after != before
    assert "judge" not in after


def test_findings_are_filtered_in_the_browser(page) -> None:
    """Unchecking a severity and typing a word narrow the list."""
    execute(page, 1)
    panel = page.locator(".nyxlab-findings-panel")
    status = panel.locator("p[role=status]").last
    status.wait_for(state="attached", timeout=60_000)
    every = int(status.inner_text().split()[0])
    assert every > 3
    panel.locator("summary").first.click()
    shot(page, "findings")
    panel.get_by_label("MEDIUM", exact=False).uncheck()
    page.wait_for_function(
        "n => +[...document.querySelectorAll('.nyxlab-findings-panel p[role=status]')].pop().innerText.split(' ')[0] < n",
        arg=every,
    )
    panel.get_by_label("Contains").fill("zzzz")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.nyxlab-findings-panel p[role=status]')].pop().innerText.startsWith('0 of')"
    )


def test_the_panels_have_no_serious_violation(page, violations) -> None:
    """As axe-core sees them, with a finished run and with findings unfolded."""
    assert violations(page, ".nyxlab-lab-panel", ".nyxlab-findings-panel") == []


def test_no_news_pop_up_and_every_field_is_labelled(page) -> None:
    """JupyterLab asks nobody about news, and each field of the panels has a name that a screen reader tells."""
    assert "Jupyter news" not in page.locator("body").inner_text()
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('.nyxlab-lab-panel input, .nyxlab-lab-panel select')]
           .filter(e => !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.title)
           .map(e => e.outerHTML)"""
    )
    assert unnamed == []
    assert json.loads((Path(sys.prefix) / "share/jupyter/lab/settings/overrides.json").read_text())
