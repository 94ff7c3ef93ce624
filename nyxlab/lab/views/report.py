"""Reports for people from contract JSON: a review as text, Markdown or HTML, a run as HTML, a notebook as HTML."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from markupsafe import Markup

from nyxlab.errors import InputRefused
from nyxlab.lab.views import page, rows
from nyxlab.lab.views.decided import NO_WINNER
from nyxlab.lab.views.rows import Json, RunLike
from nyxlab.lab.views.wording import plain
from nyxlab.reviewer.prompt import ImplementationPrompt
from nyxlab.reviewer.review import headline as verdict_line

__all__ = ["Format", "headline", "render_batch", "render_index", "render_letter", "render_review", "render_run"]

Format = Literal["text", "md", "html"]
WHOLE_PLAN = 400_000  # characters of plan that a review page carries; past it, only the lines around each finding
AROUND = 2  # lines of the plan shown before and after a quote


def render_review(
    review: Json,
    fmt: Format,
    documents: Mapping[str, str] | None = None,
    *,
    theme: Path | None = None,
    unfold: bool = False,
) -> str:
    """Return a review ("nyxlab.review/1") as ``text``, ``md`` or one self-contained ``html`` page.

    ``documents`` maps each path of the review to its text; with it, findings stand beside the plan's own lines and
    the page carries the plan. ``theme`` is a folder whose templates override the shipped ones; ``unfold`` shows every
    finding whole. Raises InputRefused for another schema or format.
    """
    _expect(review, "nyxlab.review/1")
    context = _review_context(review, documents or {}, prompt=fmt != "text", unfold=unfold)
    if fmt == "html":
        return page.render("review.html.j2", theme=theme, **context)
    if fmt == "text":
        world = page.environment(theme, autoescape=False, finalize=plain)
    elif fmt == "md":
        world = page.environment(theme, autoescape=False, finalize=_markdown)
    else:
        raise InputRefused(f"a review can be written as text, md or html, not as {fmt!r}")
    world.filters["fence"] = _fence
    return page.fill(world, f"review.{fmt}.j2", **context)


def render_index(
    reviewed: Sequence[tuple[str, Json | None, str | None, str]], fmt: Format, *, theme: Path | None = None
) -> str:
    """Return the page that lists reviews, worst first: each (name, review or None, why it was refused, its file)."""
    order = {"FAIL": 0, None: 1, "CONCERNS": 2, "PASS": 3}
    listed = [
        {
            "name": name,
            "file": file,
            "verdict": review["verdict"] if review else "refused",
            "counts": _counts(review) if review else {},
            "lines": sum(d["lines"] for d in review["documents"]) if review else None,
            "refused": refused,
        }
        for name, review, refused, file in sorted(
            reviewed, key=lambda row: order[row[1]["verdict"] if row[1] else None]
        )
    ]
    totals = {verdict: n for verdict in ("FAIL", "refused", "CONCERNS", "PASS")
              if (n := sum(row["verdict"] == verdict for row in listed))}  # fmt: skip
    if fmt == "html":
        return page.render("index.html.j2", theme=theme, rows=listed, totals=totals)
    finalize = plain if fmt == "text" else _markdown
    world = page.environment(theme, autoescape=False, finalize=finalize)
    return page.fill(world, f"index.{fmt}.j2", rows=listed, totals=totals)


def render_batch(name: str, results: Sequence[Any], *, theme: Path | None = None) -> str:
    """Return the page that compares the runs of a batch (``Result``) and links their reports, failed ones first."""
    listed = [
        {
            "name": each.name,
            "file": each.report.name if each.report.is_file() else None,
            "parameters": ", ".join(f"{key} = {value}" for key, value in each.parameters.items()),
            "state": "failed" if each.error else "done before" if each.skipped else "done",
            "told": each.error or (each.summary.verdict if each.summary else ""),
            "tokens": each.summary.tokens if each.summary else None,
            "cost": each.summary.cost.to_json() if each.summary else None,
            "seconds": each.seconds,
        }
        for each in sorted(results, key=lambda each: each.error is None)
    ]
    return page.render("batch.html.j2", theme=theme, name=name, rows=listed)


def render_letter(
    letter: Json, date: str, done: Sequence[bool], fmt: Format, *, prose: str = "", theme: Path | None = None
) -> str:
    """Return a letter ("nyxlab.letter/1" or the original's form) as text, HTML, or Markdown that ends in its JSON.

    ``done`` says of each next step whether it is; ``prose`` opens the Markdown.
    """
    told: dict[str, Any] = {
        "letter": letter,
        "date": date,
        "steps": list(zip(letter.get("next", ()), done, strict=True)),
    }
    if fmt == "html":
        return page.render("letter.html.j2", theme=theme, **told)
    world = page.environment(theme, autoescape=False, finalize=plain if fmt == "text" else _markdown)
    world.filters["code"] = _code
    block = f"```json\n{json.dumps(letter, ensure_ascii=False, indent=1)}\n```" if fmt == "md" else ""
    text = page.fill(world, "letter.md.j2", **told, prose=prose, json=Markup(block))  # noqa: S704 - Markdown
    return re.sub(r"\n{3,}", "\n\n", text)


class Charts(NamedTuple):
    """Charts of a page as (caption, figure JSON), each provider's colour, and what is said in place of empty ones."""

    figures: Sequence[tuple[str, Json]] = ()
    colours: Mapping[str, str] = MappingProxyType({})
    notes: Sequence[str] = ()


def render_run(
    run: RunLike, charts: Charts | None = None, facts: Json | None = None, *, theme: Path | None = None
) -> str:
    """Return a run as one HTML page.

    ``facts`` are what the page tells beyond the checkpoint: goal, inputs, versions.
    """
    checkpoint, charts = rows.checkpoint_of(run), charts or Charts()
    _expect(checkpoint, "nyxlab.run/1")
    steps = rows.step_rows(checkpoint)
    span = max(((row["start_s"] or 0.0) + (row["duration_s"] or 0.0) for row in steps), default=0.0)
    return page.render(
        "run.html.j2",
        figures=[figure for _, figure in charts.figures],
        theme=theme,
        run={**checkpoint, **(facts or {})},
        captions=[caption for caption, _ in charts.figures],
        hues=charts.colours,
        notes=charts.notes,
        providers=rows.provider_rows([checkpoint]),
        standings=rows.standings(checkpoint),
        no_winner=NO_WINNER,
        steps=list(zip(checkpoint["steps"], steps, strict=True)),
        reviews={s["id"]: _review_context(s["review"], {}) for s in checkpoint["steps"] if s.get("review")},
        span=span or 1.0,
    )


def headline(review: Json) -> str:
    """Return the verdict with who looked and what did not run: ``PASS (rules only)``."""
    return verdict_line(review["verdict"], review.get("passes") or ())


def _expect(told: Json, schema: str) -> None:
    if not isinstance(told, Mapping) or told.get("schema") != schema:
        found = told.get("schema") if isinstance(told, Mapping) else type(told).__name__
        raise InputRefused(f"expected a document with schema {schema!r}, not {found!r}: nyxlab wrote another file")


def _review_context(
    review: Json, documents: Mapping[str, str], *, prompt: bool = True, unfold: bool = False
) -> dict[str, Any]:
    """Return what the review templates (and the run's) show, computed from the findings themselves."""
    decided = {each["finding"]: _decision(each) for each in review.get("decisions") or ()}
    told = [{**f, "decision": decided.get(f["id"])} for f in review["findings"]]
    shown, folded, overflow = rows.fold(told, unfold=unfold)
    lines = {path: text.removesuffix("\n").split("\n") for path, text in documents.items()}
    carried = documents if sum(map(len, documents.values())) <= WHOLE_PLAN else {}
    numbers = {path: index for index, path in enumerate(sorted(carried))}
    whole = all(each["path"] in documents for each in review.get("documents") or [{"path": ""}])
    asked = prompt and whole and review.get("phases")  # a terminal shows none, and it takes as long as the review
    return {
        "review": review,
        "headline": headline(review),
        "counts": _counts(review),
        "severities": [s for s in rows.SEVERITIES if any(f["severity"] == s for f in [*shown, *folded])],
        "coverage": _coverage(review),
        "categories": dict(sorted(Counter(f["category"] for f in [*shown, *folded]).items())),
        "shown": [(finding, passages(finding, lines, numbers)) for finding in shown],
        "folded": [(finding, passages(finding, lines, numbers)) for finding in folded],
        "overflow": overflow,
        "not_run": _not_run(review),
        "plan": [(path, numbers[path], _marked(path, lines[path], review)) for path in sorted(carried)],
        "too_long": bool(documents) and not carried,
        "prompt": ImplementationPrompt.of(review, documents).to_markdown() if asked else "",
        "command": "nyxlab review " + shlex.join([*(d["path"] for d in review.get("documents") or ()), "--fail-on"])
        + f" {review.get('failOn', 'CRITICAL').lower()}",
    }  # fmt: skip


def _diff(old: str, new: str) -> list[tuple[str, str]]:
    """Return an edit line by line, each with its sign: " ", "-" or "+"."""
    from difflib import ndiff  # few reports need it

    return [(line[0], line[2:]) for line in ndiff(old.split("\n"), new.split("\n")) if line[0] != "?"]


def _decision(decision: Json) -> dict[str, Any]:
    """Return a decision as pages show it: with each edit as its place and its lines."""
    edits = [
        {
            "where": f"{e['path']}:{e['line']}",
            "lines": lines,
            "text": "\n".join(f"{sign} {line}" for sign, line in lines),
        }
        for e in decision.get("edits") or ()
        if e["old"] != e["new"] and (lines := _diff(e["old"], e["new"]))
    ]
    return {**decision, "edits": edits}


def _counts(review: Json) -> dict[str, int]:
    """Count the findings that stand, by severity, worst first."""
    standing = Counter(f["severity"] for f in review["findings"] if rows.stands(f))
    return {severity: standing[severity] for severity in rows.SEVERITIES if standing[severity]}


def _coverage(review: Json) -> list[tuple[str, list[str]]]:
    """Return each requirement that tasks cite, with the phases that they are in."""
    built: dict[str, list[str]] = {}
    for phase in review.get("phases") or ():
        for name in phase["covers"]:
            built.setdefault(name, []).append(f"Phase {phase['number']}")
    return list(built.items())


def _not_run(review: Json) -> list[str]:
    """Say what did not run, one line a reason: ``not run (no key: set OPENAI_API_KEY): reader by openai:gpt-5.5``."""
    missing: dict[str, list[str]] = {}
    for told in review.get("passes") or ():
        if told["status"] != "ran":
            by = f" by {told['provider']}" if told.get("provider") else ""
            missing.setdefault(told.get("reason") or "no reason recorded", []).append(f"{told['name']}{by}")
    said = []
    for reason, names in missing.items():
        lenses = [name.removeprefix("lens:") for name in names if name.startswith("lens:")]
        others = [name for name in names if not name.startswith("lens:")]
        kind = f"{len(lenses)} {'lens' if len(lenses) == 1 else 'lenses'}: " if lenses else ""
        said.append(f"not run ({reason}): {kind}{', '.join([*lenses, *others])}")
    return said


def passages(finding: Json, lines: Mapping[str, list[str]], numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return each piece of evidence with its numbered lines (``hit``: the quoted ones) and its place in the plan."""
    passages = []
    for piece in (*(finding.get("evidence") or ()), *(finding.get("places") or ())):
        first, last = piece["startLine"], piece["endLine"]
        text = lines.get(piece["path"])
        if text and piece.get("verified"):
            numbered = [
                (n, text[n - 1], first <= n <= last)
                for n in range(max(1, first - AROUND), min(len(text), last + AROUND) + 1)
            ]
        else:
            numbered = [(first + i, line, True) for i, line in enumerate(piece["quote"].split("\n"))]
        anchor = f"d{numbers[piece['path']]}-{first}" if piece["path"] in numbers else None
        where = f"{piece['path']}:{first}" + (f"–{last}" if last != first else "")
        passages.append(
            {
                "where": where,
                "lines": numbered,
                "quote": piece["quote"],
                "anchor": anchor,
                "verified": piece.get("verified"),
            }
        )
    return passages


def _marked(path: str, lines: list[str], review: Json) -> list[tuple[int, str, list[str]]]:
    """Return the plan's lines with their numbers and the ids of the findings that quote them."""
    marks: dict[int, list[str]] = {}
    for finding in review["findings"]:
        for piece in (*(finding.get("evidence") or ()), *(finding.get("places") or ())):
            if piece["path"] == path:
                for number in range(piece["startLine"], piece["endLine"] + 1):
                    marks.setdefault(number, []).append(finding["id"])
    return [(n, line, sorted(set(marks.get(n, [])))) for n, line in enumerate(lines, 1)]


def _markdown(value: object) -> object:
    """Return text that Markdown shows literally: no tag, link, emphasis or heading can come out of it."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = plain(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]#|!~])", r"\\\1", " ".join(text.split()))


def _fence(text: str) -> Markup:
    """Return the text in a code fence that nothing inside it can close."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return Markup(f"{ticks}text\n{plain(text)}\n{ticks}")  # noqa: S704 - Markdown, not HTML: literal in its fence


def _code(text: str) -> Markup:
    """Return the text as a code span of Markdown."""
    return Markup(f"`{' '.join(plain(text).replace('`', ' ').split())}`")  # noqa: S704 - literal in its ticks
