"""Measuring reviewers: faults stand where the labels say, everything is counted from them, and the same seed measures
the same."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from nyxlab.cli import app
from nyxlab.lab.reviews.measuring import Case, measure, planted_cases
from nyxlab.lab.reviews.planting import IN_FORM, MAKERS, planted, sets_of
from nyxlab.lab.reviews.terms import Asked
from nyxlab.reviewer.review import Review, review_documents
from nyxlab.reviewer.text.document import Document, parse_documents

ROOT = Path(__file__).resolve().parents[2]
PLAN = """\
# Rate limits

## Rules

- **RL-001**: A key has a bucket, and the store must answer within 20 ms.
- **RL-002**: An empty bucket is answered with status 429.
- **RL-003**: Support can raise the limit of one key.

Each bucket must be kept for 60 minutes.

A request takes one token.

## Steps

1. Write the script (RL-001, RL-002).
2. Write the page for support (RL-003).
"""


def semantic() -> list[Case]:
    return bench().cases()


def bench():
    spec = importlib.util.spec_from_file_location("semantic", ROOT / "tests" / "bench" / "semantic.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def by_rules(document: Document) -> Review:
    return review_documents(document)


@given(
    st.lists(st.sampled_from(PLAN.split("\n")), max_size=30).map("\n".join),
    st.lists(st.sampled_from([*PLAN.split("\n"), "```", "| a | b |"]), max_size=30).map("\n".join),
    st.integers(0, 10_000),
)
def test_planting_adds_lines_and_takes_none(one: str, two: str, seed: int) -> None:
    """Whatever the plan: every clean line stays, in order; each fault has lines inside its file.

    The same seed plants the same.
    """
    texts = {"plan.md": one, "spec.md": two}
    copies, faults = planted(texts, seed)
    for path, text in texts.items():
        left = iter(copies[path].split("\n"))
        assert all(line in left for line in text.split("\n"))
    for fault in faults:
        assert fault.lines
        length = len(copies[fault.path].split("\n"))
        assert all(1 <= first <= last <= length for first, last in fault.lines)
    assert planted(texts, seed) == (copies, faults)


@pytest.mark.anyio
async def test_the_rules_find_what_is_planted_for_them() -> None:
    """In a clean plan with headings each kind is planted, each rule finds its own, and nothing else is found."""
    measured = await measure(planted_cases({"plan.md": PLAN}, 7), by_rules, Asked())
    assert measured.clean_findings == 0
    everybody = measured.scores[0]
    assert (everybody.found, everybody.alarms) == (everybody.planted, 0)
    assert {s.name for s in measured.scores if s.finder == "kind"} >= {rule for rule, _ in MAKERS.values()}
    assert all(s.recall == 1.0 and s.precision == 1.0 for s in measured.scores if s.finder == "rule")
    assert measured.cost.usd == 0


FORMS = {
    "spec-kit/sound": {"K6", "K8", "K16"},
    "kiro/sound": {"K6", "K8", "K17"},
    "openspec/sound": {"K6"},
    "bmad/sound": {"K6"},
}


@pytest.mark.parametrize(("folder", "kinds"), FORMS.items(), ids=FORMS)
def test_faults_are_planted_in_the_plans_own_form(folder: str, kinds: set[str]) -> None:
    """Files of one form are one plan, and its faults stand in its own tasks, criteria and marks.

    The rule that is meant finds most of them.
    """
    home = ROOT / "data" / "plans"
    texts = {p.relative_to(home).as_posix(): p.read_text("utf-8") for p in sorted((home / folder).rglob("*.md"))}
    (whole,) = sets_of(texts)
    assert whole == texts
    known = {(f.rule, f.title) for f in review_documents(parse_documents(texts)).findings}
    told = [planted(texts, seed) for seed in range(6)]
    own = [(copies, fault) for copies, faults in told for fault in faults if fault.kind in IN_FORM]
    assert {fault.kind for _, fault in own} >= kinds
    found = 0
    for copies, fault in own:
        findings = [f for f in review_documents(parse_documents(copies)).findings if (f.rule, f.title) not in known]
        found += any(fault.found_by(f.evidence) for f in findings if f.rule == fault.rule)
    assert found >= 0.6 * len(own)


@pytest.mark.skipif(
    not (ROOT.parent / "shared" / "realbench").is_dir(), reason="the real plans are not in ../shared/realbench"
)
@pytest.mark.anyio
async def test_the_reader_is_measured_on_real_plans() -> None:
    """Every known inconsistency of a real plan has lines that stand in its files, and whoever points at them is
    counted."""
    told = bench().real_cases()
    assert sum(len(case.faults) for case in told) > 150
    for case in told:
        for fault in case.faults:
            for path, first, last in [*((fault.path, *lines) for lines in fault.lines), *fault.elsewhere]:
                assert 1 <= first <= last <= len(case.texts[path].split("\n"))
    measured = await measure(told[:2], by_rules, Asked())
    assert 0 < measured.scores[0].found < measured.scores[0].planted
    assert measured.clean_findings == 0


@pytest.mark.anyio
async def test_what_is_found_in_the_clean_plan_counts_nowhere() -> None:
    """A fault of the user's own is neither a hit nor a false alarm, though its line has moved in the copies."""
    dirty = PLAN + "\nTODO: decide.\n"
    measured = await measure(planted_cases({"plan.md": dirty}, 7), by_rules, Asked())
    assert measured.clean_findings == 1
    assert measured.scores[0].alarms == 0
    (unfinished,) = (s for s in measured.scores if (s.finder, s.name) == ("rule", "unfinished-marker"))
    assert (unfinished.found, unfinished.alarms) == (3, 0)


def test_a_providers_row_counts_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that quotes a planted line finds that fault; one that quotes a clean line raises an alarm.

    Both have their cost.
    """
    (tmp_path / "plan.md").write_text(PLAN, encoding="utf-8")

    def says(quote: str) -> dict[str, object]:
        claim = {
            "title": "t",
            "explanation": "",
            "quotes": [{"line": 1, "text": quote}],
            "entities": [],
            "consequence": "edge-missing",
            "certain": True,
            "fix": "",
        }
        price = {"price": {"input": "1.00", "output": "1.00"}, "usage": {"input_tokens": 1000, "output_tokens": 0}}
        return {"json": {"findings": [claim]}, "match": ["told when it fails: TBD", "stored data alone"], **price}

    none = {"json": {"findings": []}, "repeat": True}
    script = {
        "sees": [says("The person who is told when it fails: TBD."), none],
        "errs": [says("A request takes one token."), none],
    }
    (tmp_path / "script.yaml").write_text(json.dumps(script), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = [
        "measure",
        "plan.md",
        "--providers",
        "script:script.yaml#sees,script:script.yaml#errs",
        "--lens",
        "data",
        "--json",
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = {
        score["name"].rpartition("#")[2]: score
        for score in json.loads(result.stdout)["scores"]
        if score["finder"] == "provider"
    }
    assert (told["errs"]["found"], told["errs"]["alarms"], told["errs"]["precision"]) == (0, 3, 0.0)
    # The rule finds the marker too: the model's claim about the same words confirms it and is no finding of its own.
    assert told["sees"]["alarms"] == 0
    assert told["sees"]["cost"] == {"usd": "0.003", "certainty": "estimated"}
    again = CliRunner().invoke(app, words)
    assert again.stdout == result.stdout


def test_the_semantic_set_is_labelled_where_it_is_faulty() -> None:
    """Forty faults in six plans: each stands in its faulty twin and not in the clean one, with its other side where it
    has one."""
    told = semantic()
    assert len(told) == 6
    assert sum(len(case.faults) for case in told) == 40
    for case in told:
        ((path, clean),) = case.clean.items()
        faulty = case.texts[path].split("\n")
        for fault in case.faults:
            assert fault.lines, fault
            assert any(faulty[first - 1] not in clean.split("\n") for first, _ in fault.lines)
        assert review_documents(parse_documents(case.clean)).verdict == "PASS"


@pytest.mark.anyio
async def test_the_semantic_set_takes_understanding() -> None:
    """Rules find next to none of its faults, so what lenses find there is theirs.

    A reviewer that quotes them all finds all.
    """
    alone = await measure(semantic(), by_rules, Asked())
    assert alone.scores[0].found <= 4

    async def all_seeing(document: Document) -> Review:
        from nyxlab.reviewer.models.consensus import Panel, locate, merge, unfound
        from nyxlab.reviewer.models.evidence import Locator
        from nyxlab.reviewer.models.lenses import LensClaim, Numbered, Quote
        from nyxlab.reviewer.review import Answers

        case = next(
            c
            for c in semantic()
            if c.texts == {p: f.text for p, f in document.files.items()}
            or c.clean == {p: f.text for p, f in document.files.items()}
        )
        faults = case.faults if case.texts == {p: f.text for p, f in document.files.items()} else ()
        numbered, locator = Numbered.of(document), Locator(document)
        claims = [
            LensClaim(
                title=f"fault {n}", explanation="", consequence="edge-missing", certain=True, entities=(str(n),), fix="",
                quotes=tuple(Quote(line=first, text=document.quote(fault.path, first, last)) for first, last in fault.lines),
            )
            for n, fault in enumerate(faults)
        ]  # fmt: skip
        found = merge([locate(each, "data", "test:a", numbered, locator) for each in claims], 1)
        panel = Panel(unfound=unfound((), ()))
        return review_documents(document, answers=Answers(found, (), panel, review_documents(document).cost))

    seen = await measure(semantic(), all_seeing, Asked())
    assert seen.scores[0].found == 40
