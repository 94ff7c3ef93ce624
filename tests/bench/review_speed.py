"""How long a review takes: 10,000 lines, ten times that, and one small file from start to exit.

`python tests/bench/review_speed.py [FILE.md …]`: without files the text is made here, from the plans that ship.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from nyxlab.reviewer.review import review_documents
from nyxlab.reviewer.text.document import parse_documents

ROOT = Path(__file__).parents[2]


def seconds(text: str) -> float:
    """Return the least time of three (one for long texts) that a review of a text took."""
    times = []
    for _ in range(3 if text.count("\n") < 50_000 else 1):
        began = time.perf_counter()
        review_documents(parse_documents({"plan.md": text}))
        times.append(time.perf_counter() - began)
    return min(times)


def main(paths: list[str]) -> None:
    """Print seconds and memory."""
    plans = [Path(path) for path in paths] or sorted((ROOT / "data" / "plans").glob("*.md"))
    source = "\n".join(path.read_text(encoding="utf-8") for path in plans)
    lines = source.split("\n")
    ten = "\n".join((lines * (10_000 // len(lines) + 1))[:10_000])
    one = seconds(ten)
    print(
        f"10,000 lines: {one:.2f} s (reach 1.5), {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB (reach 300)"
    )
    many = seconds("\n".join((lines * (100_000 // len(lines) + 1))[:100_000]))
    print(f"100,000 lines: {many:.2f} s, {many / one:.1f} times that (linear is 10)")
    command = [sys.executable, "-m", "nyxlab.cli", "review", str(ROOT / "data" / "plans" / "rate-limits.md")]
    starts = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        starts.append(time.perf_counter() - began)
    print(f"a small file from start to exit: {min(starts):.2f} s (reach 0.6)")


if __name__ == "__main__":
    main(sys.argv[1:])
