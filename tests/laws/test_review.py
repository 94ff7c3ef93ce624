"""Laws of a review: whatever the Markdown says, findings stay inside it, quote it exactly, and come out the same."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nyxlab.errors import InputRefused
from nyxlab.reviewer.findings import MAX_SPAN, Severity, count
from nyxlab.reviewer.review import MAX_LINE, find, judge, open_documents, read_documents, review_documents
from nyxlab.reviewer.text.document import parse_documents

PIECES = st.sampled_from(
    [
        "# ", "## Phase 2: ", "## 1. ", "- ", "- [ ] T001 ", "1. ", "3. ", "> ", "    ", "| a | 2 |\n|---|---|\n", "| Total | 9 |\n", "```\n", "~~~\n", "<!--", "-->", "---\n",
        "FR-001", "T002", "Phase 3", "Steps 1-4 ", "Section 8.3", "\u00a73.1", "three ", "the following 4 items:\n\n", "TODO", "[x](#y)", "[x][y]", "[y]: z\n", "`a.py` (new) ", "src/a.py ", "depends on ",
        "must ", "must not ", "each member belongs to exactly one team. ", "A member may join several teams. ", "**", "`", "``", "*", "\n", "\n\n", "\r\n", "\r", "\t", "\0", "\u2028", "\ufeff", "\x0c", " ", ". ", ": ", "(", ")", "{#a}",
    ]
)  # fmt: skip
MARKDOWN = st.lists(st.one_of(PIECES, PIECES, PIECES, st.text(max_size=8)), max_size=60).map("".join)


@given(st.dictionaries(st.sampled_from(["plan.md", "spec.md", "a/b.md"]), MARKDOWN, min_size=1))
@example({"plan.md": "---\n"})
@example({"plan.md": "+++\n+++"})
@example({"plan.md": "- " * 200 + "a"})
@example({"plan.md": ">" * 5000})
def test_any_markdown_is_reviewed_with_exact_quotes(texts: dict[str, str]) -> None:
    """No text raises; every span lies within its file, is short, and its quote equals its lines.

    A second review says the same.
    """
    document = parse_documents(texts)
    findings = find(document)
    for finding in findings:
        assert finding.verified
        for evidence in finding.evidence:
            lines = texts[evidence.path].split("\n")
            assert 1 <= evidence.start_line <= evidence.end_line <= len(lines)
            assert evidence.end_line - evidence.start_line < MAX_SPAN
            assert evidence.quote == "\n".join(lines[evidence.start_line - 1 : evidence.end_line])
            assert document.quote(evidence.path, evidence.start_line, evidence.end_line) == evidence.quote
    assert findings == find(parse_documents(texts))
    assert [f.severity.rank for f in findings] == sorted(f.severity.rank for f in findings)
    assert [f.id for f in findings] == [f"F-{n:03d}" for n in range(1, len(findings) + 1)]
    assert len({f.fingerprint for f in findings}) == len(findings)
    assert sum(count(findings).values()) == sum(f.severity is not Severity.INFO for f in findings)


PLAN = "# Plan\n\nIt has three states:\n\n- a\n- b\n\n- **FR-001**: users log in\n- **FR-001**: mails are sent\n"


@given(st.lists(st.sampled_from(["Words that claim nothing.", "## More", "- a point"]), max_size=5))
def test_fingerprints_do_not_depend_on_lines(padding: list[str]) -> None:
    """Text put before a plan moves its findings but keeps their names."""
    moved = "\n\n".join([*padding, "", PLAN])
    assert {f.fingerprint for f in find(parse_documents({"p.md": PLAN}))} <= {
        f.fingerprint for f in find(parse_documents({"p.md": moved}))
    }


PROSE = [
    "There are three states that an export job can be in: queued, running, failed and done; see [the list](#list).",
    "The work takes 5 days for the schema, 4 days for the interface and 2 days for the tests, 12 days in total.",
    "Who may open the window in which the old tables can be brought back is TBD, as is its length.",
    "Telemetry of the gateway is enabled by default in every installation that is newer than this plan.",
    "Telemetry of the gateway is disabled by default in every installation that is newer than this plan.",
    "The review found 23 issues: 1 CRITICAL, 3 HIGH, 12 MEDIUM, 3 LOW.",
    "Each member belongs to exactly one team, which pays for what the member uses.",
    "Phase 1 needs Phase 3, and nobody can begin before the results of that one have been looked at.",
    "A member may join several teams, each of which pays for what is used in it.",
    "Set `REQUEST_TIMEOUT_SECONDS=30` before the gateway is started.",
    "### Phase 1: prepare", "### Phase 2: copy", "### Phase 3: open",
    "- **FR-014**: the owner exports what the team has written", "- **FR-014**: invoices go out by mail",
    "See [the limits](#limits) for what a tenant may use at most, and for what happens when it uses more.",
]  # fmt: skip
KINDS_SEEN = {"stated-count", "wrong-total", "unfinished-marker", "opposite-statements", "exclusive-definitions",
              "impossible-order", "duplicate-number", "broken-link"}  # fmt: skip


@given(width=st.integers(28, 200), order=st.permutations(range(10)))
@example(width=200, order=list(range(10)))
def test_fingerprints_survive_wrapping_and_reordering(width: int, order: list[int]) -> None:
    """However prose is wrapped and its paragraphs are ordered, the same faults keep the same fingerprints."""
    usual = find(parse_documents({"plan.md": "# Plan\n\n" + "\n\n".join(PROSE)}))
    moved = [PROSE[n] for n in order] + PROSE[10:]
    wrapped = [
        textwrap.fill(p, width, break_long_words=False, break_on_hyphens=False) if p[0].isalpha() else p for p in moved
    ]
    again = find(parse_documents({"plan.md": "# Plan\n\n" + "\n\n".join(wrapped)}))
    assert {f.rule for f in usual} >= KINDS_SEEN
    assert {(f.rule, f.fingerprint) for f in again} == {(f.rule, f.fingerprint) for f in usual}


def test_the_verdict_follows_the_worst_finding() -> None:
    """FAIL at or above the limit, CONCERNS for another HIGH or MEDIUM, PASS else; that no model has read is said."""
    fatal = review_documents(
        parse_documents({"p.md": "Each member belongs to exactly one team.\n\nA member may join several teams.\n"})
    )
    doubtful = review_documents(parse_documents({"p.md": "The review found 23 issues: 1 CRITICAL, 3 HIGH.\n"}))
    sound = review_documents(parse_documents({"p.md": "All is well.\n"}))
    assert [r.verdict for r in (fatal, doubtful, sound)] == ["FAIL", "CONCERNS", "PASS"]
    assert sound.headline == "PASS (rules only)"
    assert [p.name for p in sound.passes] == ["rules"]
    assert judge(doubtful.findings, Severity.MEDIUM) == "FAIL"
    body = doubtful.to_json()
    assert (body["schema"], body["failOn"], body["cost"]) == (
        "nyxlab.review/1",
        "CRITICAL",
        {"usd": "0", "certainty": "exact"},
    )
    assert body["documents"] == [
        {"path": "p.md", "sha256": body["documents"][0]["sha256"], "lines": 1, "text": body["documents"][0]["text"]}
    ]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("empty.md", b" \n", "empty"),
        ("binary.md", b"a\0b", "binary"),
        ("latin.md", b"caf\xe9", "UTF-8"),
        ("long.md", b"a" * (MAX_LINE + 1), "too long"),
        ("gone.md", None, "cannot be read"),
        ("folder", None, "cannot be read"),
    ],
)
def test_what_is_no_plan_is_refused_in_one_sentence(tmp_path: Path, name: str, data: bytes | None, reason: str) -> None:
    """Missing, empty, binary and oversized files are refused before anything is made of them."""
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputRefused, match=reason) as refused:
        read_documents([tmp_path / name])
    assert "\n" not in str(refused.value)


def test_a_directory_means_its_markdown_files(tmp_path: Path) -> None:
    """A directory stands for its own *.md files; one without any is refused."""
    (tmp_path / "b.md").write_bytes(b"B\r\n")
    (tmp_path / "a.md").write_text("A", encoding="utf-8")
    (tmp_path / "c.txt").write_text("C", encoding="utf-8")
    (tmp_path / "none").mkdir()
    assert read_documents([tmp_path]) == {str(tmp_path / "a.md"): "A", str(tmp_path / "b.md"): "B\r\n"}
    with pytest.raises(InputRefused, match=r"no \.md file"):
        read_documents([tmp_path / "none"])


def test_a_link_to_a_file_beside_the_plan_is_not_broken(tmp_path: Path) -> None:
    """Reading from disk looks whether linked files exist; only the missing one is reported."""
    (tmp_path / "plan.md").write_text("[a](there.md) [b](gone.md)\n", encoding="utf-8")
    (tmp_path / "there.md").write_text("x\n", encoding="utf-8")
    assert [f.title for f in find(open_documents([tmp_path / "plan.md"]))] == ["Broken link: the file gone.md"]
