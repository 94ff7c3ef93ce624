"""The documentation as a site, from disk in headless Chromium: it searches, is dark, fits a phone, asks nobody."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install your system's chromium package")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as `make docs` does, where a warning is an error."""
    pytest.importorskip("material", reason="mkdocs-material is not installed: it is in the dependency group docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def test_search_finds_a_page(site: Path, browser) -> None:
    """What is typed leads to the page that is about it, without a server."""
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    page.locator(".md-search__input").click()
    page.keyboard.type("wrong-total")
    found = page.locator(".md-search-result__link").first
    found.wait_for(state="visible", timeout=20_000)
    assert "rules.html" in found.get_attribute("href")
    page.close()


def test_dark_is_dark(site: Path, browser) -> None:
    """Whoever's system is dark sees dark pages, and the other way round."""
    shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
    for scheme, low, high in (("dark", 0, 200), ("light", 600, 765)):
        page = browser.new_page(color_scheme=scheme)
        page.goto((site / "review.html").as_uri())
        page.wait_for_function(f"{low} <= {shade} && {shade} <= {high}")
        page.close()


def test_every_page_fits_a_phone_and_asks_nobody(site: Path, browser) -> None:
    """At 390 px nothing scrolls sideways but tables and code in their own boxes; no request leaves the disk."""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    wide = {}
    pages = sorted(path for path in site.rglob("*.html") if path.name != "404.html")
    for path in pages:
        page.goto(path.as_uri())
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 390:
            wide[path.relative_to(site).as_posix()] = width
    page.close()
    assert len(pages) > 20
    assert wide == {}
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
