"""Which patterns of the reviewer do nothing: each one is blinded in turn, and what the rules say is compared.

`python tests/bench/ablate.py [FOLDER …]`: over the rules' own examples, our plans and, where they are, the real plans
in ../shared/realbench. A pattern that changes nothing is idle: it goes, or an example is missing. Security and lessons
stand apart.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from pathlib import Path

import nyxlab.reviewer
from nyxlab.reviewer.review import review_documents
from nyxlab.reviewer.rules import RULES
from nyxlab.reviewer.text.document import parse_documents

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "realbench" / "public" / "docs"
NEVER = re.compile(r"(?!)")


def texts(folders: list[Path]) -> list[dict[str, str]]:
    """Return the sets that are reviewed: examples, our plans, and each folder's sets."""
    found = [{"plan.md": e} if isinstance(e, str) else dict(e) for r in RULES for e in (*r.firing, *r.quiet)]
    plans = ROOT / "data" / "plans"
    found += [{p.name: p.read_text("utf-8")} for p in sorted(plans.glob("*.md"))]
    sets = [p for p in plans.rglob("*") if p.is_dir() and any(p.glob("*.md"))]
    sets += [d for f in folders if f.is_dir() for d in sorted(f.iterdir()) if d.is_dir()]
    return found + [
        {p.relative_to(f).as_posix(): p.read_text("utf-8", "replace") for p in sorted(f.rglob("*.md"))} for f in sets
    ]


def said(sets: list[dict[str, str]]) -> list[object]:
    """Return what the review says of each set, and how the prompt cuts it."""
    told: list[object] = []
    for each in sets:
        review = review_documents(parse_documents(each))
        told.append([(f.rule, f.severity, f.title, len(f.places)) for f in review.findings])
        told.append((review.read.told, [(p.title, p.needs, p.files, p.covers) for p in review.phases]))
        told.append([review.header, review.appendix])
    return told


def main(folders: list[str]) -> None:
    """Print each pattern that changes nothing."""
    sets = texts([Path(f) for f in folders] or [REAL])
    usual = said(sets)
    names = [m.name for m in pkgutil.walk_packages(nyxlab.reviewer.__path__, "nyxlab.reviewer.") if not m.ispkg]
    apart = ("lessons", "hidden_characters", "prompt_injection", "suppress", "models", "prompt")
    patterns = [
        (module, name)
        for module in map(importlib.import_module, names)
        if not any(word in module.__name__ for word in apart)
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
    ]
    idle = []
    for n, (module, name) in enumerate(patterns, 1):
        pattern = getattr(module, name)
        setattr(module, name, NEVER)
        try:
            same = said(sets) == usual
        except (
            TypeError,
            AttributeError,
            KeyError,
            IndexError,
            ValueError,
            re.error,
        ):  # what cannot be without it is not idle
            same = False
        finally:
            setattr(module, name, pattern)
        idle += [f"{module.__name__}.{name}"] if same else []
        print(f"{n}/{len(patterns)} {module.__name__}.{name}{': changes nothing' if same else ''}", file=sys.stderr)
    print(*idle, f"{len(idle)} of {len(patterns)} patterns change nothing over {len(sets)} sets", sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
