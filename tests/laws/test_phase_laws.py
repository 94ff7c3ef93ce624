"""Laws of the phased prompt on generated plans: nothing lost, nothing out of order, nothing too long, nothing that breaks out."""

from __future__ import annotations

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nyxlab.reviewer.document import parse_documents
from nyxlab.reviewer.findings import Category, Evidence, Finding, Severity
from nyxlab.reviewer.phases import ImplementationPrompt, compile_prompt
from nyxlab.reviewer.prompt import PHASE_TOKENS

FILES = [f"src/{name}.py" for name in "abcdef"]
NASTY = [
    "`",
    "```",
    "# x",
    "<b>",
    "[a](b)",
    "\u202e",
    "|",
    "\\",
    "- ",
    "~~~",
    "&amp;",
    "TODO",
    "must not",
    "Section 2",
    "FR-1",
    "src/a.py",
]
words = st.lists(
    st.sampled_from([*NASTY, "team", "limit", "is", "read", "by", "one", "x" * 300]), min_size=1, max_size=12
).map(" ".join)
marked = st.tuples(st.sampled_from(FILES), st.sampled_from(["(new)", "(modified)", "(deleted)", ""])).map(
    lambda f: f"`{f[0]}` {f[1]}"
)
step = st.tuples(
    words,
    st.lists(st.integers(1, 9), max_size=3),
    st.lists(words, max_size=12),
    st.lists(marked, max_size=6),
    st.lists(words, max_size=4),
)


@st.composite
def plans(draw):
    """A plan with up to eight steps that need each other at random, in circles too, and findings anywhere in it."""
    text = f"# Plan\n\n## 1. Goal\n\n{draw(words)}\n\n## 2. Rules\n\n- **FR-1** — {draw(words)}\n- **FR-2** — {draw(words)}\n\n## Steps\n"
    for number, (title, needs, tasks, files, done) in enumerate(draw(st.lists(step, max_size=8)), 1):
        text += f"\n### Step {number}: {title}\n\n" + (
            f"Needs: {', '.join(f'Step {n}' for n in needs)}. Covers: FR-1.\n" if needs else ""
        )
        for label, items in (("Files", files), ("Tasks", tasks), ("Done when", done)):
            text += f"\n**{label}:**\n" + "".join(f"- {item}\n" for item in items) if items else ""
    lines = text.split("\n")
    findings = draw(st.lists(st.builds(_finding, st.lists(st.integers(1, len(lines)), max_size=4), st.sampled_from(Severity), words, st.booleans(),
        st.sampled_from([None, None, "known"]), st.sampled_from(["new", "new", "fixed", "not-found-again"]), st.sampled_from(Category)), max_size=12))  # fmt: skip
    named = [make(f"F-{n:03}", lines) for n, make in enumerate(findings, 1)]
    repo = draw(st.none() | st.frozensets(st.sampled_from(FILES)))
    return text, named, repo


def _finding(spots, severity, said, verified, suppressed, status, category):
    def make(name, lines):
        evidence = [
            Evidence(path="plan.md", start_line=n, end_line=n, quote=lines[n - 1] or "-", verified=verified)
            for n in spots
        ]
        return Finding(id=name, fingerprint=name, rule="r", category=category, severity=severity, severity_reason="r", confidence=1, title=said, explanation=said,
            consequence=said, fix=said, status=status, suppressed=suppressed, evidence=evidence)  # fmt: skip

    return make


def compiled(plan) -> ImplementationPrompt:
    text, findings, repo = plan
    return compile_prompt(parse_documents({"plan.md": text}), findings, repo)


@given(plans())
@settings(max_examples=25)
def test_every_finding_is_closed_once_or_deferred(plan):
    """Each finding that is not suppressed is closed by exactly one task or deferred by name, and no other finding is spoken of."""
    prompt = compiled(plan)
    closed = [f for p in prompt.phases for t in p.tasks for f in t.closes]
    assert sorted(closed + [d.finding for d in prompt.deferred]) == [f.id for f in plan[1] if f.suppressed is None]
    critical = {
        f.id for f in plan[1] if f.severity is Severity.CRITICAL and len({e.start_line for e in f.evidence}) > 1
    } & set(closed)
    decided = {f for p in prompt.phases if p.title.startswith("Decide what") for t in p.tasks for f in t.closes}
    assert critical == decided
    assert bool(decided) == any(p.number == 0 for p in prompt.phases)


@given(plans())
@settings(max_examples=25)
def test_phases_stand_in_the_order_of_what_they_need(plan):
    """Numbers rise by one, each phase comes after all it needs, and each need that a circle forbids is an open decision."""
    prompt = compiled(plan)
    numbers = [p.number for p in prompt.phases]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
    assert all(n < p.number for p in prompt.phases for n in p.needs)
    assert {(e.phase, e.needs) for e in prompt.plan.edges} == {(p.number, n) for p in prompt.phases for n in p.needs}


@given(plans())
@settings(max_examples=25)
def test_new_files_are_not_there_and_modified_ones_are(plan):
    """In phase order a new file is in no repository and made by no earlier phase; a modified or deleted one is in one of the two."""
    repo = plan[2]
    made = set()
    for phase in compiled(plan).phases:
        for f in phase.files:
            assert f.exists == (None if repo is None else f.path in repo)
            if f.action == "new":
                assert not f.exists
                assert f.path not in made
            elif repo is not None:
                assert f.exists or f.path in made
        made |= {f.path for f in phase.files if f.action == "new"}


@given(plans())
@settings(max_examples=25)
def test_no_phase_is_too_long_and_no_task_is_lost(plan):
    """Each phase without its header is below the limit, and each step's tasks stand in the phases once and in order."""
    prompt = compiled(plan)
    assert all(len(prompt.phase_markdown(p)) < 4 * PHASE_TOKENS for p in prompt.phases)
    ids = [t.id for p in prompt.phases for t in p.tasks]
    assert len(set(ids)) == len(ids)
    assert all(p.done and p.outcome for p in prompt.phases)


@given(plans())
@settings(max_examples=25)
def test_totals_are_counted_from_what_is_listed(plan):
    """The ledger holds each file of the phases once, and its totals are those of its entries."""
    prompt = compiled(plan)
    ledger = prompt.plan.file_ledger
    assert {e.path for e in ledger.entries} == {f.path for p in prompt.phases for f in p.files}
    assert ledger.new + ledger.modify + ledger.delete == len(ledger.entries)


@given(plans())
@settings(max_examples=25)
def test_plan_text_cannot_break_the_prompt(plan):
    """Whatever a plan says, the Markdown has our headings only, no link, image or tag, and its JSON gives the same prompt again."""
    prompt = compiled(plan)
    text = prompt.to_markdown()
    tokens = MarkdownIt("commonmark").parse(text)
    headings = [tokens[n + 1].content for n, t in enumerate(tokens) if t.type == "heading_open"]
    ours = re.compile(
        r"Build: |Goal$|Settled$|Always and never$|Words$|Open decisions$|Files$|Order$|Phase \d+: |Before you start$|Ask first$|Requirements to meet$|Tasks$"
        r"|The plan adds$|Done when$|Which phase "
    )
    assert all(ours.match(h) for h in headings)
    assert sum(h.startswith("Phase ") for h in headings) == len(prompt.phases)
    assert not {"link_open", "image", "html_inline"} & {c.type for t in tokens for c in t.children or ()}
    assert not [t for t in tokens if t.type == "html_block"]
    again = ImplementationPrompt.from_review(json.loads(json.dumps(prompt.to_json())))
    assert again == prompt
    files = prompt.phase_files()
    assert len(files) == len(prompt.phases) + 1
    assert all(re.fullmatch(r"phase-\d{2,}\.md|prompt\.json", name) for name in files)


@given(plans())
@settings(max_examples=10)
def test_the_same_plan_gives_the_same_prompt(plan):
    """Compiling is a function: twice the same input, twice the same bytes."""
    assert compiled(plan).phase_files() == compiled(plan).phase_files()
