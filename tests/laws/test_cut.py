"""The law of the prompt: every line of the plan that is not blank stands, byte for byte, in exactly one block."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.prompt import ImplementationPrompt
from nyxlab.reviewer.review import Review, review_documents
from nyxlab.reviewer.text.document import parse_documents
from tests.laws.test_review import MARKDOWN
from tests.unit.test_forms import BMAD, KIRO, OPENSPEC, PLAIN, SPEC_KIT, SUPERPOWERS

REALBENCH = Path(__file__).parents[2].parent / "shared" / "realbench" / "public" / "docs"


def hold(review: Review, texts: dict[str, str], budget: int = 8_000) -> ImplementationPrompt:
    """Assert the law for a review and the files that are written of it."""
    prompt = ImplementationPrompt.of(review.to_json(), texts, budget)
    blocks = [*prompt.header, *prompt.appendix, *(b for p in prompt.phases for b in p.blocks)]
    held = Counter((b.path, n) for b in blocks for n in range(b.start_line, b.end_line + 1))
    lines = {(path, n) for path, text in texts.items() for n, line in enumerate(text.split("\n"), 1) if line.strip()}
    assert lines <= held.keys()
    assert all(held[line] == 1 for line in lines)
    assert all(1 <= b.start_line <= b.end_line <= len(texts[b.path].split("\n")) for b in blocks)
    whole = "\n".join(text for name, text in prompt.files().items() if name.endswith(".md"))
    for block in blocks:
        text = "\n".join(texts[block.path].split("\n")[block.start_line - 1 : block.end_line])
        assert text.replace("\r\n", "\n").removesuffix("\r") in whole
    assert (
        prompt.lines["header"] + prompt.lines["phases"] + prompt.lines["appendix"] == prompt.lines["all"] == len(lines)
    )
    assert [p.number for p in prompt.phases] == list(range(1, len(prompt.phases) + 1))
    return prompt


@given(
    st.dictionaries(st.sampled_from(["tasks.md", "spec.md", "a/b.md"]), MARKDOWN, min_size=1),
    st.sampled_from([200, 8_000]),
)
@example({"tasks.md": "```\n## Phase 1: x\n- [ ] a\n- [ ] b\n"}, 200)
@example({"tasks.md": "~~~~\n<!-- \r\n~~~\n\n# A"}, 200)
def test_nothing_of_any_markdown_is_lost_doubled_or_changed(texts: dict[str, str], budget: int) -> None:
    """Whatever the plan holds, and however small the phases are to be."""
    hold(review_documents(parse_documents(texts)), texts, budget)


@pytest.mark.parametrize("texts", [SPEC_KIT, KIRO, OPENSPEC, SUPERPOWERS, BMAD, PLAIN], ids=["spec-kit", "Kiro", "OpenSpec", "superpowers", "BMAD", "plain"])  # fmt: skip
@pytest.mark.parametrize("budget", [200, 8_000])
def test_nothing_of_any_form_is_lost(texts: dict[str, str], budget: int) -> None:
    """Each form's plan is cut into its own phases, at any size."""
    assert hold(review_documents(parse_documents(texts)), texts, budget).phases


@pytest.mark.skipif(
    not REALBENCH.is_dir(), reason="the real plans are not beside this checkout, in ../shared/realbench"
)
def test_nothing_of_any_real_plan_is_lost() -> None:
    """All 44 public sets keep every line; phases over the budget are split between tasks, never inside one."""
    sets = [folder for folder in sorted(REALBENCH.iterdir()) if folder.is_dir()]
    assert len(sets) == 44
    for folder in sets:
        texts = {
            p.relative_to(folder).as_posix(): p.read_bytes().decode("utf-8", "replace")
            for p in sorted(folder.rglob("*.md"))
        }
        hold(review_documents(parse_documents(texts)), texts)


def test_findings_stand_beside_the_text_and_never_in_it() -> None:
    """A finding is told after the plan's own words, changes none of them, and blocks a phase only from HIGH on."""
    text = "# P\n\n## Phase 1: a\n\n- [ ] Use [x](gone.md)\n- [ ] b\n\n## Phase 2: b\n\n- [ ] Each member belongs to exactly one team.\n- [ ] A member may join several teams.\n"
    review = review_documents(parse_documents({"plan.md": text}))
    prompt = hold(review, {"plan.md": text})
    worst = [f.id for f in review.findings if f.severity.at_least(Severity.HIGH)]
    assert [(p.findings, p.blocked_by) for p in prompt.phases] == [(("F-002",), ()), (("F-001",), tuple(worst))]
    first = prompt.files()["01-phase-1-a.md"]
    assert first.index("- [ ] b") < first.index("F-002 LOW")
    assert "Ask before you choose." in first


def test_a_phase_is_split_between_tasks_and_never_inside_one() -> None:
    """Each part holds whole tasks; a task that is longer than the budget stays whole; parts need the ones before."""
    tasks = "".join(f"- [ ] T{n:03d} {'word ' * 60}\n  ```\n  code {n}\n  ```\n" for n in range(1, 21))
    text = f"# P\n\n## Phase 1: a\n\n{tasks}"
    prompt = hold(review_documents(parse_documents({"plan.md": text})), {"plan.md": text}, 400)
    assert len(prompt.phases) > 4
    assert all(p.title.startswith("Phase 1: a (part ") for p in prompt.phases)
    assert [p.needs for p in prompt.phases] == [(), *((n,) for n in range(1, len(prompt.phases)))]
    for phase in prompt.phases:
        own = "\n".join(map(prompt.text_of, phase.blocks))
        assert own.count("```") == 2 * own.count("- [ ] T") > 0


def test_a_plan_without_phases_is_one_phase_and_says_so() -> None:
    """Nobody has to guess whether phases were lost."""
    texts = {"plan.md": "# A plan\n\nWords.\n"}
    prompt = hold(review_documents(parse_documents(texts)), texts)
    assert [p.title for p in prompt.phases] == ["The plan"]
    assert "no phases of its own" in prompt.files()["00-header.md"]


def test_requirements_go_with_the_only_phase_that_cites_them() -> None:
    """Kiro's requirement that one top-level task alone cites stands in that task's phase.

    A copy says that it is one.
    """
    prompt = hold(review_documents(parse_documents(KIRO)), KIRO)
    assert [[b.path for b in p.blocks] for p in prompt.phases] == [
        ["tasks.md", "requirements.md"],
        ["tasks.md", "requirements.md"],
    ]
    assert "2.1, a copy of `requirements.md` line 10" in prompt.files()["02-phase-2-rest.md"]
