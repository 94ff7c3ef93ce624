"""What the panels' fields have in common: a label, a width, a line that a screen reader announces."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
from markupsafe import Markup

from nyxlab.lab.views.wording import visible

WIDE = widgets.Layout(width="100%", max_width="46em")
STORED = "Run this cell to see the panel."
NAMED = {"description_width": "11em"}


def told(label: str, help_: str = "") -> dict[str, Any]:
    """Return what every field has: its label and, as a tooltip, what it is for."""
    return {"description": label, "tooltip": help_ or label, "layout": WIDE, "style": NAMED}


def said(text: str, *, error: bool = False) -> str:
    """Return a line of text that a screen reader announces."""
    if error:
        red = "color:var(--jp-error-color0,#b3261e)"
        return str(Markup("<p role='alert' style='{}'>{}</p>").format(red, visible(text)))
    return str(Markup("<p role='status'>{}</p>").format(visible(text)))
