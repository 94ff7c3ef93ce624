"""Every form of plan is read as one plan: tasks, phases, needs, requirements, files, mixed freely in one set."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.plan.read import read_plan
from nyxlab.reviewer.review import Review, open_documents, review_documents
from nyxlab.reviewer.text.document import parse_documents

SPEC_KIT = {
    "specs/001/spec.md": "# Spec\n\n### User Story 1 - Import (Priority: P1)\n\nText.\n\n- **FR-001**: Rows MUST be read.\n- **FR-002**: Rows MUST be kept.\n- **FR-003**: Errors MUST be told.\n",
    "specs/001/tasks.md": (
        "# Tasks\n\n## Phase 1: Setup\n\n- [X] T001 Make `src/a.py`\n- [ ] T002 [P] Make `src/b.py` (depends on T001)\n\n"
        "## Phase 2: User Story 1 - Import (P1)\n\n- [ ] T003 [US1] Read rows, FR-001 to FR-002\n\n## Dependencies\n\n- **US1 (Phase 2)**: Depends on Phase 1 completion\n"
    ),
    "specs/001/contracts/api.md": "# API\n\nText.\n",
}
KIRO = {
    "requirements.md": "# R\n\n### Requirement 1\n\n1. WHEN a, THE s SHALL b\n2. THE s SHALL c\n\n### Requirement 2\n\n1. THE s SHALL d\n",
    "tasks.md": "# Plan\n\n- [x] 1. Base\n\n- [x] 1.1 Make a\n  - _Requirements: 1.1, 1.2_\n- [ ]* 1.2 Test a\n  - _Requirements: 1.1_\n- [ ] 2. Rest\n  - _Requirements: 2.1_\n",
}
OPENSPEC = {
    "proposal.md": "## Why\n\nText.\n\n## What Changes\n\n- A\n",
    "tasks.md": "## 1. Base\n\n- [x] 1.1 Make `a/x.cs`\n- [ ] 1.2 Go\n\n## 2. Rest\n\n- [ ] 2.1 End\n",
    "specs/x/spec.md": "## ADDED Requirements\n\n### Requirement: Login\nThe system SHALL a.\n\n#### Scenario: One\n- **WHEN** a\n",
}
SUPERPOWERS = {
    "plan.md": (
        "# P\n\n## Global Constraints\n\n- Go slowly.\n\n### Task 1: Base\n\n**Files:**\n- Create: `src/a.py`\n\n- [ ] **Step 1: Write**\n\n```python\nx = 1\n```\n\n"
        "- [ ] **Step 2: Run**\n\n### Task 2: Rest\n\n- [ ] **Step 1: Go**\n"
    )
}
BMAD = {
    "epic-1.md": "# Epic 1 Base\n\n## Story 1.1: Login\n\n1. **1.1.1:** a\n\n## Story 1.2: Logout\n\n1. **1.2.1:** b\n",
    "requirements.md": "# Requirements\n\n**FR1:** The system shall a.\n\n**NFR1:** It shall be fast.\n",
}
PLAIN = {
    "plan.md": "# P\n\n### Step 1: Schema\n\nNeeds: nothing.\n\n1. a\n2. b\n\n### Step 2: Pages\n\nNeeds: Step 1.\n\n- [ ] c\n"
}


def plan(texts: dict[str, str]) -> Plan:
    return read_plan(parse_documents(texts))


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (SPEC_KIT, "read as spec-kit: 3 tasks in 2 phases, 3 requirements, 2 files"),
        (KIRO, "read as Kiro: 4 tasks in 2 phases, 3 requirements, 0 files"),
        (OPENSPEC, "read as OpenSpec: 3 tasks in 2 phases, 1 requirement, 1 file"),
        (SUPERPOWERS, "read as superpowers: 3 tasks in 2 phases, 0 requirements, 1 file"),
        (BMAD, "read as BMAD: 2 tasks in 1 phase, 2 requirements, 0 files"),
        (PLAIN, "read as plain: 3 tasks in 2 phases, 0 requirements, 0 files"),
        ({"a.md": "Words.\n"}, "read as plain: no tasks, 0 requirements, 0 files"),
    ],
    ids=["spec-kit", "Kiro", "OpenSpec", "superpowers", "BMAD", "plain", "none"],
)
def test_each_form_is_recognised_by_what_it_holds(texts: dict[str, str], told: str) -> None:
    """The review says how it read the plan; what nobody recognises is read as plain, and said so."""
    assert plan(texts).told() == told


def test_forms_are_mixed_freely() -> None:
    """A set of two forms is read as both, and nothing of either is lost."""
    both = plan({f"a/{p}": t for p, t in KIRO.items()} | {f"b/{p}": t for p, t in SUPERPOWERS.items()})
    assert [part.form for part in both.parts] == ["Kiro", "superpowers"]
    assert (len(both.tasks), len(both.phases), len(both.requirements)) == (8, 4, 3)


def test_spec_kit_knows_marks_stories_and_needs() -> None:
    """[P], tick boxes, story labels and both kinds of dependency are read; a range covers all that it spans."""
    found = plan(SPEC_KIT)
    first, second, third = found.tasks
    assert (first.box, second.parallel, second.box) == ("X", True, " ")
    assert {(n.of.name, n.on.name) for n in found.needs} == {("T002", "T001"), ("Phase 2", "Phase 1")}
    assert third.cites == {"FR-001", "FR-002"}
    assert found.find("story", "1", first.path) is third.phase


def test_kiro_knows_criteria_by_their_requirement_and_optional_tasks() -> None:
    """Criteria are 1.1, 1.2, 2.1; tasks cite them; a star makes a task optional.

    A parent's own lines end at its first child.
    """
    found = plan(KIRO)
    assert [r.name for r in found.requirements] == ["1.1", "1.2", "2.1"]
    assert [(t.name, t.optional, sorted(t.cites)) for t in found.tasks] == [
        ("Task 1", False, []), ("Task 1.1", False, ["1.1", "1.2"]), ("Task 1.2", True, ["1.1"]), ("Task 2", False, ["2.1"]),
    ]  # fmt: skip


def test_superpowers_keeps_code_with_its_step() -> None:
    """A step's lines run to the next step, so that the code after it is its own."""
    steps = [t for t in plan(SUPERPOWERS).tasks if t.number]
    assert (steps[0].line, steps[0].end_line) == (12, 17)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("### Step 1: a\n\nCan start once Step 2 is finished.\n\n### Step 2: b\n\nx\n", {("Step 1", "Step 2")}),
        ("### Step 1: a\n\nNeeds: Step 2 and Step 3.\n\n### Step 2: b\n\nx\n\n### Step 3: c\n\nx\n", {("Step 1", "Step 2"), ("Step 1", "Step 3")}),
        ("### Step 1: a\n\nMust be finished before Step 2.\n\n### Step 2: b\n\nx\n", {("Step 2", "Step 1")}),
        ("### Step 1: a\n\nIt is a prerequisite for Step 2.\n\n### Step 2: b\n\nx\n", {("Step 2", "Step 1")}),
        ("### Step 1: a\n\nDoes not depend on Step 2.\n\n### Step 2: b\n\nx\n", set()),
        ("| Step | Needs |\n|---|---|\n| Step 1 | Step 2 |\n\n### Step 1: a\n\nx\n\n### Step 2: b\n\nx\n", {("Step 1", "Step 2")}),
        ("| # | Task | Depends on |\n|---|---|---|\n| 1 | a | - |\n| 2 | b | 1 |\n\n### Task 1: a\n\nx\n\n### Task 2: b\n\nx\n", {("Task 2", "Task 1")}),
        ("### Task 1: a\n\n- Consumes: `make(path)`\n\n- [ ] **Step 1: x**\n- [ ] **Step 2: y**\n\n### Task 2: b\n\n- Produces: `make(path)`\n\n- [ ] **Step 1: z**\n", {("Task 1", "Task 2")}),
        ("### Step 1: a\n\nStep 2 depends on Step 1 (Step 3 is not required).\n\n### Step 2: b\n\nx\n\n### Step 3: c\n\nx\n", {("Step 2", "Step 1")}),
    ],
)  # fmt: skip
def test_needs_are_read_once_for_rules_and_prompt(text: str, needs: set[tuple[str, str]]) -> None:
    """Verbs of either direction, tables of either spelling, negations and brackets are understood."""
    assert {(n.of.name, n.on.name) for n in plan({"plan.md": text}).needs} == needs


PLANS = Path(__file__).parents[2] / "data" / "plans"
FAULTS = {
    "spec-kit/faulty": {
        "impossible-order",
        "file-ledger",
        "uncovered-requirement",
        "parallel-conflict",
        "numbering-gap",
    },
    "kiro/faulty": {"uncovered-requirement", "status-differs", "dangling-reference"},
    "openspec/faulty": {"status-differs", "unplanned-name"},
    "superpowers/faulty.md": {"signature-differs", "file-ledger"},
    "bmad/faulty": {"duplicate-number", "numbering-gap", "broken-link"},
}


def of_ours(name: str) -> Review:
    path = PLANS / name
    files = [path] if path.is_file() else sorted(path.rglob("*.md"))
    return review_documents(open_documents([p.relative_to(PLANS) for p in files], PLANS))


@pytest.mark.parametrize("name", FAULTS)
def test_our_faulty_plan_of_each_form_draws_what_is_wrong_in_it(name: str) -> None:
    """The small plans in data/plans/ hold the faults that their form invites, and each is found, and nothing else."""
    assert {f.rule for f in of_ours(name).findings} == FAULTS[name]


@pytest.mark.parametrize("name", [name.replace("faulty", "sound") for name in FAULTS])
def test_our_sound_plan_of_each_form_passes_in_silence(name: str) -> None:
    """A plan of each form with nothing wrong gets PASS and not one finding, and is read as one form."""
    review = of_ours(name)
    assert (review.verdict, review.findings) == ("PASS", ())
    assert len(review.read.forms) == 1
