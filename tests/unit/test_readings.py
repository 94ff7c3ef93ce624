"""What a strong reader said about four real plans goes through location, merging and comparison with the rules without
a loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from nyxlab.providers.messages import Json
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.models.consensus import Located, locate, merge, repeats
from nyxlab.reviewer.models.evidence import Locator
from nyxlab.reviewer.models.lenses import LensClaim, Numbered, Quote, read_claims
from nyxlab.reviewer.review import review_documents
from nyxlab.reviewer.text.document import Document, parse_documents

BENCH = Path(__file__).parents[3] / "shared" / "realbench"
READINGS = sorted((BENCH / "readings").glob("*.json"))
pytestmark = pytest.mark.skipif(not READINGS, reason="the recorded readings of real plans are not on this machine")


def read(path: Path) -> tuple[Document, tuple[LensClaim, ...], Mapping[str, list[int]]]:
    told: Json = json.loads(path.read_text(encoding="utf-8"))
    texts = {name: (BENCH / "public" / "docs" / name).read_text(encoding="utf-8") for name in told["files"]}
    return parse_documents(texts), read_claims(told["reply"]), told["covers"]


def located(document: Document, claims: tuple[LensClaim, ...], provider: str) -> list[Located]:
    numbered, locator = Numbered.of(document), Locator(document)
    return [locate(each, "reader", provider, numbered, locator) for each in claims]


def reworded(claim: LensClaim) -> LensClaim:
    """Return the claim as another reader might tell it: other words, the quotes shorter, in another order, one
    fewer."""
    quotes = [
        Quote(line=q.line, text=" ".join(q.text.split()[: max(6, len(q.text.split()) * 2 // 3)])) for q in claim.quotes
    ]
    names = tuple(name.upper() for name in reversed(claim.entities))
    title = f"As a builder I cannot follow this: {' and '.join(names)}"
    kept = tuple(reversed(quotes[:-1] if len(quotes) > 2 else quotes))
    return claim.model_copy(update={"title": title, "explanation": "", "quotes": kept, "entities": names})


def holds(finding: Finding, claim: Located) -> bool:
    """Whether a finding shows each place that a claim quotes."""
    places = {(e.path, n) for e in (*finding.evidence, *finding.places) for n in range(e.start_line, e.end_line + 1)}
    return all((e.path, e.start_line) in places for e in claim.evidence)


@pytest.mark.parametrize("path", READINGS, ids=lambda path: path.stem)
def test_nothing_is_lost_after_the_reply(path: Path) -> None:
    """Every quote is found.

    Every finding of the reply is a finding of the review, by its title or beside it, or one of a rule's; each truth
    stays.
    """
    document, claims, covers = read(path)
    found = located(document, claims, "test:a")
    assert all(each.verified for each in found)
    rules = [f for f in review_documents(document).findings if f.active]
    merged = merge(found, 1)
    told = {f.title + f.explanation: repeats(f, rules) or f for f in merged}
    homes: list[Finding | None] = [
        next((home for words, home in told.items() if each.claim.title[:150] in words), None) for each in found
    ]
    assert None not in homes
    for each, home in zip(found, homes, strict=True):
        assert home is not None
        assert home.by_code or holds(home, each), each.claim.title
    assert all(any(homes[n] for n in numbers) for numbers in covers.values())


@pytest.mark.parametrize("path", READINGS, ids=lambda path: path.stem)
def test_two_readers_who_say_the_same_are_merged(path: Path) -> None:
    """A second reader's reply in other words joins the first one's findings.

    Of 72 claims at most one stays by itself.
    """
    document, claims, _ = read(path)
    second = tuple(map(reworded, claims))
    merged = merge([*located(document, claims, "test:a"), *located(document, second, "test:b")], 2)
    assert len(merged) <= len(claims) + 1
    assert sum(len(f.found_by) == 2 for f in merged) >= len(claims) - 1


def test_all_four_readings_cover_the_truth() -> None:
    """The readings speak of 36 truths, and every one of them has a finding."""
    assert sum(len(read(path)[2]) for path in READINGS) == 36
