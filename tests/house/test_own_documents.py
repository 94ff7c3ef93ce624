"""What nyxlab says of plans holds for its own papers: its rules find nothing in them."""

from __future__ import annotations

from pathlib import Path

from nyxlab.lab.reviews.terms import Terms, review_files

ROOT = Path(__file__).parents[2]


def test_nyxlab_finds_nothing_in_its_own_documents() -> None:
    """README, CONTRIBUTING, CHANGELOG, deploy/ and docs/, each by itself; but the page that quotes a fault of every rule."""
    papers = [*ROOT.glob("*.md"), *(ROOT / "deploy").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    names = sorted(str(path.relative_to(ROOT)) for path in papers if path.parts[-2:] != ("reference", "rules.md"))
    assert "README.md" in names
    terms = Terms.of(ROOT, ROOT)
    found = [finding for name in names for finding in review_files([name], terms, ROOT).review.findings]
    assert [f"{f.evidence[0].path}:{f.evidence[0].start_line}: {f.title}" for f in found if f.active] == []
