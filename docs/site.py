"""What the site needs beyond Markdown: the pictures of reports/samples/, where the repository's pages find them."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

SAMPLES = "reports/samples/"
PICTURE = re.compile(rf"\((?:\.\./)+{SAMPLES}([\w-]+\.png)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take along the pictures that pages show."""
    shown = {name for file in files.documentation_pages() for name in PICTURE.findall(file.content_string)}
    for name in sorted(shown):
        source = Path(config.config_file_path).parent / SAMPLES / name
        files.append(File.generated(config, f"assets/{name}", abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Name them where they lie in the site."""
    up = "../" * page.file.src_uri.count("/")
    return PICTURE.sub(rf"({up}assets/\1)", markdown)
