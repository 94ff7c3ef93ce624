"""Has models read six short plans with 40 faults that take understanding, and about their clean twins: `make live` runs it, with real keys.

    python tests/bench/semantic.py [--providers A,B] [--judge J] [--budget USD]

Never run in CI: it makes paid calls. Figures count only with the date and the models that it prints.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import anyio
import yaml

from nyxlab import Lab
from nyxlab.errors import NyxlabError
from nyxlab.lab.console import out, say_who_reads, scores_table
from nyxlab.lab.measure import Case, Measurement
from nyxlab.lab.planting import Fault
from nyxlab.lab.progress import RunProgress
from nyxlab.lab.reviews import Asked

HERE = Path(__file__).resolve().parents[2] / "data" / "expected" / "semantic"


def cases() -> list[Case]:
    """Return each plan's clean text, its faulty twin and where the faults stand in it; ``kind`` is the lens that asks about it."""
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


def _holds(line: str, told: dict[str, str], text: str) -> bool:
    """Whether a line is a side of the fault; a fault that replaces the other side of another has one side left."""
    return told["instead"] in line or (told.get("against", "\0") in line and told["against"] in text)


async def main(providers: str | None, judge: str | None, budget: str | None) -> Measurement | None:
    async with Lab() as lab:
        usable = [
            state.provider for state in lab.providers() if state.unusable is None and state.provider[:6] != "local:"
        ]
        asked = Asked(providers or ",".join(usable), judge, budget=budget)
        if not asked.providers:
            out("No vendor's key is set in .env, so nobody can be asked: nothing was sent.")
            return None
        with RunProgress() as progress:
            return await lab.measure_cases(
                cases(), asked, on_costs=lambda costs: say_who_reads(costs, "the plans"), on_event=progress
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--providers", "--judge", "--budget"):
        parser.add_argument(option)
    given = parser.parse_args()
    if os.environ.get("CI"):
        sys.exit("this makes paid calls, so it does not run in CI")
    try:
        measured = anyio.run(main, given.providers, given.judge, given.budget)
    except NyxlabError as error:
        sys.exit(f"nyxlab: {error}")
    if measured:
        out(
            f"{datetime.now(UTC):%Y-%m-%d}: {measured.planted} faults; {measured.clean_findings} findings on the clean twins"
        )
        out(scores_table(measured.scores), *(f"{p.name}: {p.status}: {p.reason}" for p in measured.passes_missing))
