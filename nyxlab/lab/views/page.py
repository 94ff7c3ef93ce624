"""One self-contained HTML page: templates, escaping, and a content security policy made of hashes.

The page asks nothing of anybody: ``default-src 'none'`` and one hash per inline style and script. plotly.js is embedded
once, as gzip in base64; the page's script unpacks it into a ``<script>`` whose text the policy knows by its hash (a
policy of hashes allows no ``eval`` and no ``blob:``). Every value a template prints passes ``visible`` and autoescape.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import (
    ChainableUndefined,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from nyxlab import __version__
from nyxlab.errors import InputRefused
from nyxlab.lab.views import decided, wording
from nyxlab.lab.views.markdown import rendered
from nyxlab.lab.views.wording import seconds, visible

EMPTY_STYLE = ""  # plotly.js adds empty style elements and fills them through the DOM, which a policy does not rule


def environment(
    theme: Path | None = None, *, autoescape: bool = True, finalize: Callable[[object], object] = visible
) -> Environment:
    """Return the templates' world; files in the folder ``theme`` override those shipped in the package.

    Every value that a template prints passes ``finalize``; text and Markdown have their own, and no HTML escaping.
    """
    shipped = PackageLoader("nyxlab", "defaults/reports")
    world = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([FileSystemLoader(theme), shipped]) if theme else shipped,
        autoescape=autoescape,
        finalize=finalize,
        undefined=ChainableUndefined,  # a key that an older or partial record lacks shows as nothing
        trim_blocks=True,
        lstrip_blocks=True,
    )
    world.globals["versions"] = {"nyxlab": __version__}
    world.filters.update(FILTERS)
    return world


def fill(world: Environment, template: str, **context: object) -> str:
    """Fill a template in. ``InputRefused`` names file and line where one of the project's own cannot be."""
    try:
        return world.get_template(template).render(**context)
    except Exception as error:
        steps = [(step.filename, step.lineno) for step in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, TemplateSyntaxError):
            steps.append((error.filename or "", error.lineno))
        folders = [
            folder for each in getattr(world.loader, "loaders", ()) for folder in getattr(each, "searchpath", ())
        ]
        own = [step for step in steps if any(Path(step[0]).is_relative_to(folder) for folder in folders)]
        if not own:
            raise
        file, line = own[-1]
        raise InputRefused(f"{file}:{line}: this template cannot be filled in ({error}); mend or remove it") from error


def render(
    template: str,
    *,
    figures: Sequence[Mapping[str, Any]] = (),
    theme: Path | None = None,
    more_scripts: Sequence[str] = (),
    **context: object,
) -> str:
    """Return the page that ``template`` (it extends ``base.html.j2``) makes of ``context``.

    ``figures`` are plotly figures as JSON values (``data``, ``layout``); the template places them by number with
    ``data-figure``. Without figures no plotly.js is embedded. ``more_scripts`` are files beside the templates.
    """
    world = environment(theme)

    def source(name: str) -> str:
        loaded, _, _ = world.loader.get_source(world, name)  # type: ignore[union-attr]  # set in environment()
        return loaded

    style, scripts, bundle = source("style.css"), [source(name) for name in ("page.js", *more_scripts)], ""
    if figures:
        bundle, digest = _plotly()
        scripts.append(source("charts.js"))
    allowed = [_digest(script) for script in scripts] + ([digest] if figures else [])
    policy = (
        f"default-src 'none'; script-src {' '.join(allowed)}; style-src {_digest(style)} {_digest(EMPTY_STYLE)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return fill(
        world,
        template,
        policy=policy,
        style=Markup(style),  # noqa: S704 - ours
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - ours
        figures=[data_block(figure) for figure in figures],
        bundle=bundle,
        **context,
    )


def data_block(value: object) -> Markup:
    """Return JSON that can stand inside a ``<script type="application/json">``: no ``<`` ends it early."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(escaped)  # noqa: S704 - escaped above


def money(cost: Mapping[str, Any] | None) -> str:
    """Return a cost as people read it; an amount that nobody knows is never shown as zero."""
    if not cost or (cost.get("usd") is None):
        return "unknown"
    return wording.money(cost["usd"], cost.get("certainty"))


def count(value: int | None) -> str:
    """Return a count with thin thousands; a dash where there is none."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")


def pretty(value: object) -> str:
    """Return an output as text: a string as it is, anything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


FILTERS: dict[str, Callable[..., object]] = {
    "name": lambda path: Path(path).name,
    "money": money,
    "seconds": seconds,
    "how": decided.how,
    "routed": decided.routed,
    "compared": decided.is_compared,
    "markdown": lambda text: rendered(text, below=4),
    "count": count,
    "pretty": pretty,
}


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@functools.cache
def _plotly() -> tuple[str, str]:
    """Return plotly.js as gzip in base64, and the hash of its text for the policy."""
    from plotly.offline import get_plotlyjs

    text = get_plotlyjs()
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode(), _digest(text)
