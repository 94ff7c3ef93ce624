"""The work of `nyxlab watch`: a review on each save, and what it changed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nyxlab.cli import reviewing
from nyxlab.errors import InputRefused
from nyxlab.lab.project import project_root
from nyxlab.lab.reviews.terms import Asked, Terms
from nyxlab.lab.views.console import out, say

if TYPE_CHECKING:
    from nyxlab.reviewer.findings import Finding

PAUSE = 0.3  # seconds between two looks at the files
Stamps = tuple[tuple[Path, int, int], ...]


def watch(targets: Sequence[str], asked: Asked | None, repo: Path | None, store: str | None) -> None:
    """Review some files as one set, again whenever one of them is saved, until Ctrl-C."""
    terms = Terms.of(project_root(Path.cwd()), Path.cwd(), repo=repo)
    before: dict[str, Finding] | None = None
    seen: Stamps | None = None
    verdict = "no review"
    say(f"watching {' '.join(targets)}; Ctrl-C ends it")
    try:
        while True:
            stamps = tuple(_stamps(targets))
            if stamps != seen:
                seen = stamps
                try:
                    (reviewed,) = reviewing.reviews_of([list(targets)], terms, asked, store)
                except InputRefused as error:  # half written, or gone for a moment: the next save mends it
                    say(str(error))
                    continue
                assert reviewed.review is not None  # noqa: S101 - a single set that is refused raises
                verdict = reviewed.review.headline
                now = {f.fingerprint: f for f in reviewed.review.findings if f.active}
                out(f"{time.strftime('%H:%M:%S')} {verdict}: {len(now)} open", *_changes(before, now))
                before = now
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        say(f"stopped; last: {verdict}")


def _stamps(targets: Sequence[str]) -> Iterator[tuple[Path, int, int]]:
    for path in map(Path, targets):
        for file in sorted(path.glob("*.md")) if path.is_dir() else [path]:
            try:
                found = file.stat()
                yield file, found.st_mtime_ns, found.st_size
            except OSError:
                yield file, 0, 0


def _changes(before: dict[str, Finding] | None, now: dict[str, Finding]) -> Iterator[str]:
    """Say which findings are new and which are gone; at the first look, all of them."""
    for sign, ours, others in (("+", now, before or {}), ("-", before or {}, now)):
        for name, finding in ours.items():
            if name not in others:
                place = next(iter(finding.evidence), None)
                where = f"  {place.path}:{place.start_line}" if place and sign == "+" else ""
                out_of = "  fixed" if sign == "-" else ""
                yield f"  {sign} {finding.severity} {' '.join(finding.title.split())}{where}{out_of}"
