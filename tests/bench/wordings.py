"""How many faults in fresh wordings the rules find, kind by kind, and how often they disturb a sound text.

The files in ``wordings/`` hold short pieces of invented plans: `%% fault` before one with a fault of that kind, `%% sound`
before one without, `%% file NAME` where a piece is a set of files. Run it: `python tests/bench/wordings.py [KIND] [-v]`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from nyxlab.reviewer.document import parse_documents
from nyxlab.reviewer.review import find
from nyxlab.reviewer.rules import RULES

HERE = Path(__file__).parent
KINDS = sorted((path.stem for path in (HERE / "wordings").glob("K*.md")), key=lambda kind: int(kind[1:]))


class Piece(NamedTuple):
    """A short text, or several as a set of files, and whether it holds a fault."""

    fault: bool
    files: dict[str, str]


def pieces(kind: str) -> list[Piece]:
    """Return the pieces of a kind in the order of its file."""
    found = []
    text = (HERE / "wordings" / f"{kind}.md").read_text(encoding="utf-8")
    for part in re.split(r"^%% (?=fault|sound)", text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        named = re.split(r"^%% file (\S+)\n", body, flags=re.MULTILINE)
        files = dict(zip(named[1::2], named[2::2], strict=True)) or {"plan.md": f"# Plan\n\n{body}"}
        found.append(Piece(head == "fault", files))
    return found


def noticed(kind: str, piece: Piece) -> list[str]:
    """Return the titles of what the rules of this kind say about a piece."""
    kinds = json.loads((HERE / "reviewbench.map.json").read_text(encoding="utf-8"))
    rules = [rule for rule in RULES if kind in kinds.get(rule.id, ())]
    return [finding.title for finding in find(parse_documents(piece.files, beside=frozenset()), rules)]


def main(only: list[str], *, verbose: bool) -> None:
    """Print recall and alarms of each kind."""
    recalls = []
    for kind in only or KINDS:
        told = [(piece, noticed(kind, piece)) for piece in pieces(kind)]
        faults = [titles for piece, titles in told if piece.fault]
        alarms = [titles for piece, titles in told if not piece.fault and titles]
        hits = sum(map(bool, faults))
        recalls.append(hits / len(faults))
        print(
            f"{kind:4} found {hits:2} of {len(faults)} ({hits / len(faults):.2f}), alarms on {len(alarms)} of {len(told) - len(faults)} sound ones"
        )
        for piece, titles in told if verbose else ():
            if piece.fault != bool(titles):
                print(
                    "   missed:" if piece.fault else f"   alarm {titles}:",
                    " / ".join(piece.files.values())[:300].replace("\n", " ¶ "),
                )
    print(f"mean recall {sum(recalls) / len(recalls):.3f}")


if __name__ == "__main__":
    main([word for word in sys.argv[1:] if word != "-v"], verbose="-v" in sys.argv)
