"""Faults of the reviewer that were found by running it on real plans: each stays mended."""

from __future__ import annotations

import pytest

from nyxlab.reviewer.review import find, review_documents
from nyxlab.reviewer.text.document import parse_documents


def rules(text: str, *more: str) -> list[str]:
    texts = {"plan.md": text} | {f"more{n}.md": t for n, t in enumerate(more)}
    return [f.rule for f in find(parse_documents(texts))]


CONTRADICTION = "Each member belongs to exactly one team.\n\n## B\n\nA member may join several teams.\n"


@pytest.mark.parametrize("hides", ["Begin with `<!--`.", "````\n<!--\n````", "~~~\n<!--\n~~~"])
def test_nothing_can_be_hidden_behind_a_comment_that_is_code(hides: str) -> None:
    """A comment start in a code span or a longer fence leaves the verdict as it is."""
    assert review_documents(parse_documents({"plan.md": f"{hides}\n\n{CONTRADICTION}"})).verdict == "FAIL"


def test_report_and_prompt_read_the_same_needs() -> None:
    """ "Can start once Step 2 is finished" is an impossible order in the report and a need of the phase in the
    prompt."""
    text = "### Step 1: a\n\nIt can start once Step 2 is finished.\n\n### Step 2: b\n\nText.\n"
    review = review_documents(parse_documents({"plan.md": text}))
    assert [f.rule for f in review.findings] == ["impossible-order"]
    assert [p.needs for p in review.phases] == [(2,), ()]


REQUIREMENTS = "- **FR-001**: a\n- **FR-002**: b\n- **FR-003**: c\n- **FR-004**: d{}\n\n## Phase 1: x\n\n- [ ] T001 Covers FR-001 to FR-003\n- [ ] T002 b\n- [ ] T003 c\n"


def test_a_range_covers_what_lies_inside_it() -> None:
    """ "Covers FR-001 to FR-003" leaves FR-004 alone uncovered."""
    (found,) = find(parse_documents({"plan.md": REQUIREMENTS.format("")}))
    assert (found.rule, found.title) == ("uncovered-requirement", "FR-004 is cited by no task")


@pytest.mark.parametrize("mark", [" (out of scope)", ", deferred to 2.0", " (optional)"])
def test_what_is_out_of_scope_is_not_asked_for(mark: str) -> None:
    """A requirement that the plan leaves out needs no task."""
    assert rules(REQUIREMENTS.format(mark)) == []


def test_the_plainest_dependency_table_is_read() -> None:
    """Two rows that need one another are a circle."""
    table = "| Step | Depends on |\n|---|---|\n| Step 1 | Step 2 |\n| Step 2 | Step 1 |\n\n"
    assert rules(f"{table}### Step 1: a\n\nx\n\n### Step 2: b\n\nx\n") == ["impossible-order"]


def test_units_are_converted_before_they_are_added() -> None:
    """30 min and 2 h are 2.5 h, and not 32."""
    assert rules("30 min, 2 h, total 2.5 h.\n") == []
    assert rules("30 min, 2 h, total 3 h.\n") == ["wrong-total"]


@pytest.mark.parametrize("word", ["Decided", "Marked", "Augmented"])
def test_a_word_that_begins_like_a_month_is_none(word: str) -> None:
    """ "Decided 2025-03-01" says nothing of December."""
    assert rules(f"{word} 2025-03-01.\n\n{word} 2025-02-01, before the first of March 2025.\n") == []


@pytest.mark.parametrize("denial", ["must never", "mustn\u2019t", "must not", "cannot", "mustn't"])
def test_every_denial_is_heard(denial: str) -> None:
    """A demand is contradicted by its denial, however that is spelt."""
    assert rules(f"Audit log entries must be encrypted.\n\n## B\n\nAudit log entries {denial} be encrypted.\n") == [
        "opposite-statements"
    ]


def test_names_in_comments_are_no_names_of_the_plan() -> None:
    """A comment in code that speaks of another name is no drift."""
    code = "```python\n# the old ToolbarManager\nclass ToolbarHandler:\n    pass\n```\n"
    assert rules(f"## A\n\n{code}\n## B\n\n- Create `ToolbarHandler`\n") == []


def test_a_tally_is_held_against_its_own_sum() -> None:
    """ "23 issues: 1 CRITICAL, 3 HIGH, 12 MEDIUM, 3 LOW" adds up to 19."""
    (found,) = find(parse_documents({"plan.md": "The review found 23 issues: 1 CRITICAL, 3 HIGH, 12 MEDIUM, 3 LOW.\n"}))
    assert found.title == "23 issues, but the parts add up to 19"
    assert rules("The review found 19 issues: 1 CRITICAL, 3 HIGH, 12 MEDIUM, 3 LOW.\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "## Alternatives considered\n\nPayments are retried three times.\n",
        "`venueId` in code is `venue_id` in the table.\n",
        "| Phase | Progress |\n|---|---|\n| 1 | 10 % |\n| 2 | 20 % |\n",
        "- 2.2 Write property test\n- 3.2 Write property test\n",
        "WHEN scope is global, value MUST be NULL.\n\nWHEN scope is city, value MUST NOT be NULL.\n",
        "As section 21 of sdd.md says, names are short.\n\n## 1. A\n\n## 2. B\n\n## 3. C\n",
        "The button shows `TBD` until the price is known. No TODO is left.\n",
        "## Phase 3: x\n\nThis is a hard prerequisite for #1001 (Phase 4).\n\n- [ ] a\n- [ ] b\n\n## Phase 4: y\n\n- [ ] c\n- [ ] d\n",
        "- [ ] T001 [P] Write tests in src/a.py\n- [ ] T002 [P] Read src/b.py, as src/a.py does\n- [ ] T003 Go\n",
    ],
)
def test_what_the_first_reviewer_said_falsely_is_not_said(text: str) -> None:
    """Rejected options, layers of naming, milestones, task numbers, complementary conditions, other documents, UI
    words, reversed needs."""
    assert rules(text) == []
