"""The document model on what people really write."""

from __future__ import annotations

from decimal import Decimal

from nyxlab.reviewer.document import Document, parse_documents
from nyxlab.reviewer.measures import days, numbers


def read(text: str) -> Document:
    return parse_documents({"plan.md": text})


def test_headings_form_a_tree_with_anchors() -> None:
    """Headings know their parent, their number and the anchors that a link may name; equal ones are numbered as GitHub does."""
    document = read("# A `b` plan\n## 1.2 Storage {#store}\n## Goals\n### Goals\n")
    top, storage, goals, again = document.headings
    assert (top.text, top.anchors) == ("A b plan", ("a-b-plan",))
    assert (storage.number, storage.parent, storage.anchors) == ("1.2", top, ("12-storage", "store"))
    assert (goals.anchors, again.anchors, again.parent) == (("goals",), ("goals-1",), goals)


def test_lists_keep_their_numbers_boxes_and_introduction() -> None:
    """A list knows the sentence before it, the numbers as written and the boxes of its tasks."""
    document = read("First. The order:\n\n3. a\n4. b\n   - [x] c\n\n")
    inner, outer = document.lists
    assert outer.intro is not None
    assert outer.intro.text == "The order:"
    assert [i.number for i in outer.items] == [3, 4]
    assert (inner.depth, inner.items[0].checked, inner.items[0].text) == (1, True, "c")


def test_sentences_know_their_lines() -> None:
    """A sentence is found again on the lines it names, across line breaks and abbreviations."""
    document = read("One thing, e.g. this\none. Two `a. B` here.\nThree.\n")
    assert [(s.line, s.end_line, s.text) for s in document.sentences] == [
        (1, 2, "One thing, e.g. this one."),
        (2, 2, "Two `a. B` here."),
        (3, 3, "Three."),
    ]


def test_what_a_reader_does_not_see_makes_no_claim() -> None:
    """Front matter, comments and code are no sentences, and lines keep their numbers."""
    document = read("---\ntitle: x\n---\n<!-- TODO\nmore -->\n```\n# TODO\n```\nText.\n")
    assert [(s.line, s.text) for s in document.sentences] == [(9, "Text.")]
    assert [f.line for f in document.fences] == [6]


def test_identifiers_are_defined_or_referred_to() -> None:
    """Items, tasks, headings and bold openings define; running text, code and array brackets do not."""
    document = read(
        "- **FR-009**: a\n- **FR-009a** \u2014 b\n- [ ] T003 [P] write\n- \u2705 T004 Done\n\n## Phase 2: Build\n\n"
        "**FR-012 \u2014 title**\n\nSee FR-009, Phases 1-3, `T099` and s[1][2].\n"
    )
    assert [i.name for i in document.identifiers if i.defines] == [
        "FR-009",
        "FR-009a",
        "T003",
        "T004",
        "Phase 2",
        "FR-012",
    ]
    assert [i.name for i in document.identifiers if not i.defines] == ["FR-009", "Phase 1", "Phase 2", "Phase 3"]


def test_files_carry_what_is_done_to_them() -> None:
    """Marks, verbs, tables and drawn trees say whether a file is new, modified or deleted."""
    document = read(
        "- `src/a.py` (new)\n- Update `src/b.py`\n- Delete `src/c.py`\n- Add a field to `src/d.py`\n- Read `src/e.py`\n\n"
        "| File | Action |\n|---|---|\n| `src/f.py` | New |\n\n"
        "```\nsrc/\n\u251c\u2500\u2500 lib/\n\u2502   \u2514\u2500\u2500 g.py  # MODIFY: more\n\u2514\u2500\u2500 h.py  # NEW\n```\n"
    )
    said = {m.name: m.action for m in document.file_mentions if m.action or m.name == "src/e.py"}
    assert said == {
        "src/a.py": "new",
        "src/b.py": "modify",
        "src/c.py": "delete",
        "src/d.py": "modify",
        "src/e.py": None,
        "src/f.py": "new",
        "src/lib/g.py": "modify",
        "src/h.py": "new",
    }


def test_numbers_have_units() -> None:
    """A number is read with its unit, as digits or as a word, and compares across units; names and versions are no numbers."""
    found = list(numbers("The timeout is 30 minutes, about 1,500 MB on three nodes in Phase 2 with v1.30."))
    assert [(str(n.value), n.unit, n.loose, n.named) for n in found] == [
        ("30", "min", False, False),
        ("1500", "MB", True, False),
        ("3", "", False, False),
        ("2", "", False, True),
    ]
    assert found[0].equals(Decimal(1800), "s")
    assert found[0].equals(Decimal(1), "h") is False
    assert found[0].equals(Decimal(1), "GB") is None


def test_dates_of_any_form_compare() -> None:
    """Dates are spans of days, so that a quarter does not come after a month in it; weeks compare with weeks alone."""
    found = list(days("2027-03-01, 15 March 2025, March 15, 2025, Q3 2025, H1 2026, week 3"))
    assert [(d.first, d.last) for d in found] == [
        ("2027-03-01", "2027-03-01"),
        ("2025-03-15", "2025-03-15"),
        ("2025-03-15", "2025-03-15"),
        ("2025-07-01", "2025-09-31"),
        ("2026-01-01", "2026-06-31"),
        ("0003", "0003"),
    ]
    assert found[0].after(found[4])
    assert not found[5].after(found[0])


def test_links_tables_and_demands() -> None:
    """Links keep target or label, tables their rows, and modal verbs their strength."""
    document = read(
        "See [a](b.md#c) and [d][E f].\n\n| K | V |\n|---|---|\n| x | 2027-03-01 |\n\nIt must not fail. It may wait.\n\n[e f]: x.md\n"
    )
    assert [(link.target, link.label) for link in document.links] == [("b.md#c", None), (None, "e f")]
    assert document.references["plan.md"] == {"e f": ("x.md", 9)}
    assert (document.tables[0].header, document.tables[0].rows[0].cells, document.tables[0].rows[0].line) == (
        ("K", "V"),
        ("x", "2027-03-01"),
        5,
    )
    assert [s.modality for s in document.statements] == ["must not", "may"]
