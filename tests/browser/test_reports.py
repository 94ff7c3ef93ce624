"""Reports opened from disk in headless Chromium with the network off."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import anyio
import nbformat
import pytest
from report_inputs import HOSTILE, PLAN, review, run

from nyxlab.lab import plots
from nyxlab.lab.lab import Lab
from nyxlab.lab.pages import charts_of
from nyxlab.lab.views.export import export_notebook
from nyxlab.lab.views.report import render_review, render_run
from nyxlab.settings import load_settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install your system's chromium package")


@dataclass
class Opened:
    """A page with everything it asked for and complained about."""

    page: object
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


async def history(folder):
    """The page of a ledger with two runs, the second of which answers otherwise."""
    (folder / "nyxlab.toml").write_text("")
    (folder / "s.yaml").write_text(
        f"a: [{{text: {json.dumps('same line' + chr(10) + HOSTILE)}}}]\nb: [{{text: other words}}]\n"
    )
    async with Lab(f"sqlite:///{folder / 'l.db'}", settings=load_settings(folder)) as lab:
        for channel in "ab":
            await lab.compare("What is tea?", providers=f"script:s.yaml#{channel}")
        return await lab.report()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    figure = json.loads(plots.cost_by_provider([run()]).to_json())
    figure["layout"]["images"] = [{"source": "http://198.51.100.7/logo.png"}]
    figure["data"][0]["name"] = HOSTILE
    outputs = [nbformat.v4.new_output("display_data", {kind: data}) for kind, data in
               (("application/vnd.plotly.v1+json", figure), ("text/html", HOSTILE))]  # fmt: skip
    cells = [nbformat.v4.new_markdown_cell(HOSTILE), nbformat.v4.new_code_cell(HOSTILE, outputs=outputs)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "book.ipynb")
    pages = {
        "review": render_review(review(), "html", {"plan.md": PLAN}),
        "run": render_run(run(), charts_of(run())),
        "notebook": export_notebook(folder / "book.ipynb"),
    }
    with ThreadPoolExecutor() as pool:  # playwright's own loop runs in this thread
        pages["history"] = pool.submit(anyio.run, history, folder).result()
    for name, html in pages.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return folder


@pytest.fixture
def visit(chromium, files):
    contexts = []

    def go(name, *, width=1280, dark=False, scripts=True):
        context = chromium.new_context(
            offline=True, viewport={"width": width, "height": 900}, java_script_enabled=scripts,
            color_scheme="dark" if dark else "light", service_workers="block",
        )  # fmt: skip
        contexts.append(context)
        opened = Opened(context.new_page())
        address = (files / f"{name}.html").as_uri()
        opened.page.on("request", lambda request: request.url != address and opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.goto(address)
        if scripts and name not in ("review", "history"):
            opened.page.wait_for_selector("html[data-charts]", state="attached", timeout=30_000)
        return opened

    yield go
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("name", "charts"), [("review", 0), ("run", 4), ("notebook", 1), ("history", 0)])
def test_opens_offline(visit, name, charts):
    """From disk with the network off: charts drawn, no request, no word on the console, nothing hostile alive."""
    opened = visit(name)
    assert opened.page.locator(".plot").count() == charts
    for place in opened.page.locator(".plot").all():
        assert place.locator("svg.main-svg").count() > 0
    assert (opened.requests, opened.complaints) == ([], [])
    assert opened.page.evaluate("window.pwned") is None
    assert opened.page.locator("svg[onload], [onerror], a[href^='javascript:']").count() == 0


@pytest.mark.parametrize("name", ["review", "run", "notebook", "history"])
@pytest.mark.parametrize("scripts", [True, False])
def test_reads_on_a_phone(visit, name, scripts):
    """At 390 pixels, with scripts or without, the page never scrolls sideways and its words are there."""
    opened = visit(name, width=390, scripts=scripts)
    wide = opened.page.locator("html").bounding_box()["width"]
    assert wide == 390
    if scripts:
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    else:
        right = [box["x"] + box["width"] for part in opened.page.locator("main > *, .finding, .step, .alternative, figure").all()
                 if (box := part.bounding_box())]  # fmt: skip
        assert max(right) <= 390
        assert opened.page.locator(".filters").count() == opened.page.locator(".filters:not(:visible)").count()
    words = {
        "review": "article.finding h3",
        "run": "article.alternative h4",
        "notebook": "h1",
        "history": "details.run summary",
    }
    assert opened.page.locator(words[name]).first.is_visible()


@pytest.mark.parametrize("dark", [True, False])
def test_contrast_is_readable(visit, dark):
    """Every text colour stands out from its page by 4.5 to 1 or more, on a light page and on a dark one."""
    opened = visit("review", dark=dark)
    worst = opened.page.evaluate(CONTRAST)
    assert min(worst.values()) >= 4.5, worst


def test_charts_follow_the_colour_scheme(visit):
    """A chart takes the page's ink, and takes it again when the scheme changes."""
    opened = visit("run")
    ink = "getComputedStyle(document.querySelector('.plot .xtitle')).fill"
    light = opened.page.evaluate(ink)
    opened.page.emulate_media(color_scheme="dark")
    opened.page.wait_for_timeout(500)
    assert opened.page.evaluate(ink) != light
    assert opened.complaints == []


def test_filters_and_the_fold(visit):
    """Pressing a severity away hides its findings, counts the rest, and works from the keyboard."""
    opened = visit("review")
    assert opened.page.locator("[data-left]").inner_text() == "4 of 4 shown"
    opened.page.locator("button[data-value=CRITICAL]").focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("[data-left]").inner_text() == "3 of 4 shown"
    assert not opened.page.locator("#F-001").is_visible()


def test_a_quote_leads_to_the_plan(visit):
    """The link beside a quote opens the plan at that line."""
    opened = visit("review")
    opened.page.locator("#F-001 .passage a").first.click()
    assert opened.page.locator("#d0-3").is_visible()


CONTRAST = """() => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (colour) => { context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = (e) => { while (e) { const c = getComputedStyle(e).backgroundColor; if (rgb(c)[3] === 255) return rgb(c); e = e.parentElement; }
    return [255, 255, 255]; };
  const worst = {};
  for (const e of document.querySelectorAll("p, h1, h2, h3, a, td, th, li, .tag, .word, button, summary, dt, dd, figcaption")) {
    if (!e.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const key = e.tagName + "." + e.className;
    worst[key] = Math.min(worst[key] ?? 99, ratio);
  }
  return worst;
}"""


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("name", ["review", "run", "notebook", "history"])
def test_no_serious_violation(visit, violations, name, dark):
    """As axe-core sees each page, with everything unfolded."""
    opened = visit(name, dark=dark)
    opened.page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert violations(opened.page) == []


def test_runs_are_found_and_compared(visit):
    """Words narrow the list of runs; of two runs the lines are shown that differ, and those that do not."""
    page = visit("history").page
    assert page.locator("[data-left]").inner_text() == "2 of 2 shown"
    page.locator("[data-words]").fill("other words")
    assert page.locator("[data-left]").inner_text() == "1 of 2 shown"
    assert page.locator("details.run:visible").count() == 1
    assert page.locator("[data-shown] tr.gone").first.inner_text().split() == ["-", "same", "line"]
    assert page.locator("[data-shown] tr.added").inner_text().split() == ["+", "other", "words"]
    page.locator("[data-before]").select_option(index=0)
    assert page.locator("[data-shown] tr.added, [data-shown] tr.gone").count() == 0
