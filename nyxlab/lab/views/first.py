"""The first page of a folder of reports: a link to each page of ours in it, with a sentence on what that shows."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

from nyxlab.lab.views import page
from nyxlab.lab.views.console import write

NAME = "index.html"
HEAD = 8_000  # characters in which a page of ours says what it is; it may have megabytes
_TOLD = re.compile(r'<meta name="(generator|description)" content="([^"]*)">')
_TITLE = re.compile(r"<title>(.*?)</title>")


def write_first_page(folder: Path, project: str, *, theme: Path | None = None) -> None:
    """Write ``index.html``: every page of ours in the folder, in the order they were made; others are left out."""
    pages = []
    for file in sorted(folder.glob("*.html"), key=lambda made: made.stat().st_mtime):
        if not file.is_file():
            continue
        with file.open(encoding="utf-8", errors="replace") as opened:
            head = opened.read(HEAD).partition("<style>")[0]
        told, title = dict(_TOLD.findall(head)), _TITLE.search(head)
        if file.name != NAME and title and told.get("generator", "").startswith("nyxlab"):
            about = unescape(told.get("description", ""))
            pages.append({"file": file.name, "title": unescape(title[1]), "about": about})
    text = page.render("first.html.j2", theme=theme, project=project, pages=pages)
    write(text, folder / NAME, quiet=True)
