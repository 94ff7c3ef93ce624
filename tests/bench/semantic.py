"""Has models read six short plans with 40 faults that take understanding, and their clean twins: `make live` runs it,
with real keys.

python tests/bench/semantic.py [--real] [--providers A,B] [--judge J] [--budget USD]

With ``--real`` the plans are real ones and the faults those that a careful reading has found in them, where
../shared/realbench is there: recall is over those, and an alarm is what that reading does not have, right or not.

Never run in CI: it makes paid calls. Figures count only with the date and the models that it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import yaml

from nyxlab import Lab
from nyxlab.errors import NyxlabError
from nyxlab.lab.reviews.measuring import Case, Measurement
from nyxlab.lab.reviews.planting import Fault
from nyxlab.lab.views.console import out
from nyxlab.lab.views.progress import RunProgress
from nyxlab.lab.views.tables import say_who_reads, scores_table

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "data" / "expected" / "semantic"
REAL = ROOT.parent / "shared" / "realbench" / "public"


def cases() -> list[Case]:
    """Return each plan's clean text, its faulty twin and where the faults stand in it.

    ``kind`` is the lens that asks about it.
    """
    found = []
    for labels in sorted(HERE.glob("*.yaml")):
        path = f"{labels.stem}.md"
        clean = (HERE / path).read_text(encoding="utf-8")
        told = yaml.safe_load(labels.read_text(encoding="utf-8"))["faults"]
        text = clean
        for each in told:
            text = text.replace(each["say"], each["instead"])
        lines = text.split("\n")
        faults = [
            Fault(
                kind=each["lens"],
                rule=None,
                path=path,
                lines=tuple((n, n) for n, line in enumerate(lines, 1) if _holds(line, each, text)),
            )
            for each in told
        ]
        found.append(Case({path: clean}, {path: text}, tuple(faults)))
    return found


def real_cases() -> list[Case]:
    """Return the real sets of which the truth is known.

    ``kind`` is how a fault can be found: D by code, D? by fragile code, M by understanding.
    """
    told: dict[str, list[dict[str, Any]]] = {}
    for line in (REAL / "truth.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        told.setdefault(row["set"], []).append(row)
    found = []
    for name, rows in told.items():
        home = REAL / "docs"
        texts = {
            p.relative_to(home).as_posix(): p.read_text("utf-8", "replace") for p in sorted((home / name).rglob("*.md"))
        }
        spots = [[(place["path"], place["start"], place["end"]) for place in row["places"]] for row in rows]
        faults = [
            Fault(
                kind=row["how"], rule=None, path=own[0][0], lines=tuple((a, b) for path, a, b in own if path == own[0][0]),
                elsewhere=tuple(spot for spot in own if spot[0] != own[0][0]),
            )
            for row, own in zip(rows, spots, strict=True)
        ]  # fmt: skip
        found.append(Case({}, texts, tuple(faults)))
    return found


def _holds(line: str, told: dict[str, str], text: str) -> bool:
    """Whether a line is a side of the fault; a fault that replaces the other side of another has one side left."""
    return told["instead"] in line or (told.get("against", "\0") in line and told["against"] in text)


async def main(providers: str | None, judge: str | None, budget: str | None, real: bool) -> Measurement | None:
    async with Lab() as lab:
        usable = [
            state.provider for state in lab.providers() if state.unusable is None and state.provider[:6] != "local:"
        ]
        readers = providers or ",".join(usable)
        if not readers:
            out("No vendor's key is set in .env, so nobody can be asked: nothing was sent.")
            return None
        with RunProgress() as progress:
            return await lab.measure(
                real_cases() if real else cases(),
                providers=readers,
                judge=judge,
                budget=budget,
                on_costs=lambda costs: say_who_reads(costs, "the plans"),
                on_event=progress,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--providers", "--judge", "--budget"):
        parser.add_argument(option)
    parser.add_argument("--real", action="store_true")
    given = parser.parse_args()
    if given.real and not REAL.is_dir():
        sys.exit("the real plans are not beside this checkout, in ../shared/realbench: nothing was sent")
    if os.environ.get("CI"):
        sys.exit("this makes paid calls, so it does not run in CI")
    try:
        measured = anyio.run(main, given.providers, given.judge, given.budget, given.real)
    except NyxlabError as error:
        sys.exit(f"nyxlab: {error}")
    if measured:
        out(
            f"{datetime.now(UTC):%Y-%m-%d}: {measured.planted} faults; {measured.clean_findings} findings on the clean twins"
        )
        out(scores_table(measured.scores), *(f"{p.name}: {p.status}: {p.reason}" for p in measured.passes_missing))
