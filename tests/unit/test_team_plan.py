"""Our own plan: what a careful person finds in it stands where it is said to stand, and the rules find their share of
it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.review import open_documents, review_documents
from nyxlab.reviewer.rules import RULES

ROOT = Path(__file__).parents[2]
EXPECTED = yaml.safe_load((ROOT / "data/expected/team-management.yaml").read_text("utf-8"))
FAULTS = EXPECTED["faults"]
IMPLEMENTED = {rule.id for rule in RULES}


@pytest.fixture(scope="module")
def review():
    return review_documents(open_documents([EXPECTED["plan"]], ROOT))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f["id"])
def test_quotes_stand_at_their_lines(fault):
    """Every quote of an expected fault occurs in the lines that are given for it, and nowhere outside them."""
    lines = (ROOT / EXPECTED["plan"]).read_text("utf-8").split("\n")
    for evidence in fault["evidence"]:
        first, last = evidence["lines"]
        assert evidence["quote"] in "\n".join(lines[first - 1 : last])
        assert evidence["quote"].count("\n") == last - first


def test_every_kind_of_fault_is_in_the_plan():
    """The plan has a fault of each of the fifteen kinds, in words that a person would write, and each has a severity of
    the rubric."""
    assert {f["kind"] for f in FAULTS} == {f"K{n}" for n in range(1, 16)}
    assert [f["id"] for f in FAULTS] == [f"T-{n:02}" for n in range(1, len(FAULTS) + 1)]
    assert {f["severity"] for f in FAULTS} <= {s.value for s in Severity}


def test_rules_that_do_not_exist_yet_are_named_as_such():
    """An expected rule exists, or is listed as still to come: none is misspelt, none is forgotten once it is there."""
    named = {f["rule"] for f in FAULTS if f["rule"]}
    assert named - IMPLEMENTED == set(EXPECTED["later"])


@pytest.mark.parametrize("fault", [f for f in FAULTS if f["rule"] in IMPLEMENTED], ids=lambda f: f["id"])
def test_a_rule_finds_its_fault(fault, review):
    """Each expected fault whose rule is there is found by that rule, on a line of its evidence."""
    spots = [e["lines"] for e in fault["evidence"]]
    found = [
        f
        for f in review.findings
        if f.rule == fault["rule"] and any(e.start_line <= b and a <= e.end_line for e in f.evidence for a, b in spots)
    ]
    assert found, f"{fault['rule']} does not see: {fault['why']}"


def test_the_rules_find_nothing_else(review):
    """Every finding of a rule in the plan is one that a careful person has written down: no false alarm."""
    lines = {line for f in FAULTS for e in f["evidence"] for line in range(e["lines"][0], e["lines"][1] + 1)}
    stray = [
        (f.rule, f.title)
        for f in review.findings
        if not any(line in lines for e in f.evidence for line in range(e.start_line, e.end_line + 1))
    ]
    assert stray == []


def test_the_heart_of_the_plan_is_found(review):
    """Team confused with Tenant is CRITICAL, so the plan fails."""
    assert review.verdict == "FAIL"
    assert "exclusive-definitions" in {f.rule for f in review.findings if f.severity is Severity.CRITICAL}


def test_a_sound_plan_passes_in_silence():
    """A plan with nothing wrong gets PASS and not one finding."""
    sound = review_documents(open_documents(["data/plans/rate-limits.md"], ROOT))
    assert (sound.verdict, sound.findings) == ("PASS", ())
    assert sound.headline == "PASS (rules only)"


def test_the_prompt_has_the_plans_own_nine_steps(review):
    """Nine steps are nine phases in their own order, and the files are counted that the plan miscounts."""
    assert [p.title for p in review.phases] == [
        "Step 1: Schema", "Step 2: Team context", "Step 3: Team endpoints", "Step 4: Roles", "Step 5: Invitations",
        "Step 6: Audit and deletion", "Step 7: Billing", "Step 8: Screens", "Step 9: Back-fill and release",
    ]  # fmt: skip
    actions = {f.path: f.action for p in review.phases[::-1] for f in p.files}
    assert Counter(actions.values())["new"] in (18, 19)
    assert review.read.told == "read as plain: 28 tasks in 9 phases, 18 requirements, 27 files"
