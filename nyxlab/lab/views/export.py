"""An executed notebook as one self-contained page in the look of the other reports.

nbconvert drops plotly's charts without a word, and its widgets and formulas ask a CDN; so our own template draws the
page: charts by the one embedded plotly.js with their numbers in a table, widgets as static text, code folded away,
pictures only where they are part of the file.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from nyxlab.errors import InputRefused
from nyxlab.lab.views import page
from nyxlab.lab.views.markdown import rendered, sanitised
from nyxlab.lab.views.wording import plain, visible

PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
FRAMES = 4  # parts of a traceback that a page shows: its head, the last frames, the error
ROWS = 200  # rows of a chart's table; the chart itself shows them all
NUMBERS = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f4": "f", "f8": "d"}
if TYPE_CHECKING:
    from nbformat import NotebookNode


def export_notebook(path: str | Path, *, theme: Path | None = None) -> str:
    """Return an executed notebook as one HTML page. Raises InputRefused where it cannot be read or exported."""
    place = Path(path)
    try:
        import nbformat
    except ModuleNotFoundError as missing:
        raise InputRefused("a notebook's report needs `pip install nyxlab[lab]`") from missing
    try:
        raw = place.read_bytes()
        notebook = nbformat.reads(raw.decode(), as_version=4)  # type: ignore[no-untyped-call]  # shipped without types
        nbformat.validate(notebook)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, nbformat.ValidationError) as error:
        why = f"not a notebook that can be read ({type(error).__name__}): name an .ipynb file"
        raise InputRefused(f"{place}: {why}") from error
    state = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    figures: list[dict[str, Any]] = []
    cells = [shown for cell in notebook.cells if (shown := _cell(cell, figures, state))]
    ran = notebook.metadata.get("papermill", {})
    return page.render(
        "notebook.html.j2",
        figures=figures,
        stopped=_stopped(cells),
        theme=theme,
        name=place.name,
        **_opening(notebook.cells),
        titled=any(cell.get("html") and "<h1" in cell["html"] for cell in cells),
        cells=cells,
        sha256=hashlib.sha256(raw).hexdigest(),
        parameters=ran.get("parameters"),
        duration=ran.get("duration"),
        kernel=_kernel(notebook.metadata),
        command=shlex.join(["nyxlab", "report", place.name]),
    )


def _opening(cells: Sequence[NotebookNode]) -> dict[str, str]:
    """Return what a notebook says of itself: its title, and the first sentence below that."""
    text = next((cell.source for cell in cells if cell.cell_type == "markdown" and cell.source.strip()), "")
    title = re.search(r"^# (.+)", text, re.MULTILINE)
    below = [" ".join(part.split()) for part in text[title.end() if title else 0 :].split("\n\n") if part.strip()]
    return {"title": title[1].strip() if title else "", "about": re.split(r"(?<=[.?!]) ", below[0])[0] if below else ""}


def _stopped(cells: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return where a notebook stopped: the failing cell, its number among the code cells, and its error in one line."""
    code = [cell for cell in cells if cell["html"] is None]
    for number, cell in enumerate(code, 1):
        for output in cell["outputs"]:
            if output["error"]:
                return {"cell": cell, "number": number, "of": len(code), "why": output["text"].strip().splitlines()[-1]}
    return None


def _cell(cell: NotebookNode, figures: list[dict[str, Any]], state: Mapping[str, Any]) -> dict[str, Any] | None:
    if cell.cell_type == "markdown":
        return {"html": rendered(cell.source)}
    if cell.cell_type != "code" or not (cell.source.strip() or cell.outputs):
        return None
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    tags = set(cell.metadata.get("tags", ()))
    return {
        "html": None,
        "source": cell.source,
        "summary": first[:70],
        "parameters": bool(tags & {"parameters", "injected-parameters"}),
        "outputs": [_output(output, figures, state) for output in _joined(cell.outputs)],
    }


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return the outputs with neighbouring pieces of one stream made one, as a person saw them."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last["text"] += output.text
        else:
            joined.append(output)
    return joined


def _output(output: NotebookNode, figures: list[dict[str, Any]], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows of one output: a figure's number, safe HTML, a data URI or text."""
    shown: dict[str, Any] = {"figure": None, "html": None, "image": None, "text": "", "error": False}
    if output.output_type == "stream":
        return shown | {"text": plain(output.text)}
    if output.output_type == "error":
        frames = list(output.traceback)
        left_out = len(frames) - FRAMES
        if left_out > 0:  # what a library did on the way is in the notebook itself
            frames = [*frames[:1], f"[{left_out - 1} more frames in the notebook]", *frames[-FRAMES + 1 :]]
        return shown | {"text": plain("\n".join(frames)), "error": True}
    data = output.data
    if PLOTLY in data:
        figures.append(_figure(data[PLOTLY]))
        columns, rows = _numbers(figures[-1]["data"])
        title = figures[-1]["layout"].pop("title", None)
        said = title.get("text") if isinstance(title, dict) else title
        caption = re.sub(r"<[^>]*>", " ", said or "Chart")
        return shown | {"figure": len(figures) - 1, "caption": caption, "columns": columns, "rows": rows}
    if WIDGET in data:
        return shown | {"html": _widget(data[WIDGET].get("model_id", ""), state)}
    if "text/html" in data:
        return shown | {"html": sanitised(data["text/html"])}
    if "text/markdown" in data:
        return shown | {"html": rendered(data["text/markdown"])}
    for kind in PICTURES:
        if kind in data:
            return shown | {"image": f"data:{kind};base64,{''.join(data[kind].split())}"}
    if "image/svg+xml" in data:  # as a picture an SVG runs nothing and loads nothing
        return shown | {
            "image": "data:image/svg+xml;base64," + base64.b64encode(data["image/svg+xml"].encode()).decode()
        }
    return shown | {"text": plain(data.get("text/plain", f"[{', '.join(data)}]"))}


def _figure(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a figure without its theme (the page has its own) and without pictures from elsewhere."""
    layout = {key: value for key, value in told.get("layout", {}).items() if key != "template"}
    layout["images"] = [i for i in layout.get("images", ()) if str(i.get("source", "")).startswith("data:image/")]
    return {"data": [dict(trace) for trace in told.get("data", ())], "layout": layout}


def _numbers(traces: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Return the table behind a chart: one row a point, told by its trace's name."""
    axes = [key for key in ("x", "y", "z", "values", "labels") if any(key in trace for trace in traces)]
    rows: list[list[Any]] = []
    for number, trace in enumerate(traces, 1):
        values = {key: _values(trace[key]) for key in axes if key in trace}
        for at in range(max(map(len, values.values()), default=0)):
            cells = [values[key][at] if key in values and at < len(values[key]) else "" for key in axes]
            name = re.sub(r"<[^>]*>", " ", str(trace.get("name", number)))
            rows.append([name, *(f"{c:.6g}" if isinstance(c, float) else str(c) for c in cells)])
    return ["series", *axes], rows[:ROWS]


def _values(told: object) -> list[Any]:
    """Return an array of a figure: a list, or plotly's base64 of little-endian numbers."""
    if isinstance(told, dict) and "bdata" in told:
        packed, code = base64.b64decode(told["bdata"]), NUMBERS.get(told.get("dtype", ""), "")
        return list(struct.unpack(f"<{len(packed) // struct.calcsize(code)}{code}", packed)) if code else []
    return list(told) if isinstance(told, list) else [told]


def _widget(model: str, state: Mapping[str, Any], depth: int = 0) -> Markup:
    """Return what a widget showed as static HTML: text, controls as ``description: value``, boxes unfolded."""
    told = state.get(model.removeprefix("IPY_MODEL_"), {}).get("state", {})
    if not told or depth > 20:
        return Markup("<p>An interactive widget was here: open the notebook to use it.</p>")
    if told.get("_model_name") in {"HTMLModel", "HTMLMathModel"}:
        return sanitised(str(told.get("value", "")))
    if told.get("children"):
        inside = [_widget(child, state, depth + 1) for child in told["children"]]
        titles = told.get("titles") or []
        if titles:
            inside = [
                Markup("<details open><summary>{}</summary>{}</details>").format(*pair)
                for pair in zip(titles, inside, strict=False)
            ]
        return Markup().join(inside)
    value = told.get(
        "value", told.get("_options_labels", [""])[told.get("index") or 0] if told.get("_options_labels") else ""
    )
    return Markup("<p><b>{}</b> {}</p>").format(visible(str(told.get("description", ""))), visible(str(value)))


def _kernel(metadata: Mapping[str, Any]) -> str:
    told = metadata.get("language_info", {})
    return f"{told.get('name', '')} {told.get('version', '')}".strip()
