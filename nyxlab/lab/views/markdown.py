"""Markdown of models and plans as HTML that can do nothing: rendered, sanitised, with hidden characters spelt out."""

from __future__ import annotations

import re

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from nyxlab.lab.views.wording import visible

TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "details", "div", "dl", "dt", "em", "h1",
    "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "ol", "p", "pre", "s", "small", "span", "strong",
    "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}  # fmt: skip
EVERYWHERE = {"alt", "title", "colspan", "rowspan", "scope", "open", "start"}
SCHEMES = {"http", "https", "mailto"}
_PICTURE = re.compile(r"<img\b[^>]*>")
_HEADING = re.compile(r"(</?h)([1-6])\b")
_PARSER = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")


def rendered(text: str, *, below: int = 0) -> Markup:
    """Return Markdown as sanitised HTML.

    ``below`` is the level of the heading that it stands under, so that none is above.
    """
    html = sanitised(_PARSER.render(text))
    if not below:
        return html
    lower = _HEADING.sub(lambda found: f"{found[1]}{min(6, int(found[2]) + below)}", html)
    return Markup(lower)  # noqa: S704 - sanitised


def sanitised(html: str) -> Markup:
    """Return HTML kept to tags that do nothing and load nothing; a picture from elsewhere is said to be left out."""
    attributes = {"*": EVERYWHERE, "a": {"href"}}
    safe = nh3.clean(html, tags=TAGS, attributes=attributes, url_schemes=SCHEMES, link_rel="noopener noreferrer")
    return Markup(visible(_PICTURE.sub("<em>[picture left out]</em>", safe)))  # noqa: S704 - sanitised above
