"""Facts: what stands in a plan, each kind read by one grammar, on what people really write."""

from __future__ import annotations

from decimal import Decimal

import pytest

from nyxlab.reviewer.text.assertions import assertion, modality
from nyxlab.reviewer.text.document import Document, parse_documents
from nyxlab.reviewer.text.files import is_file
from nyxlab.reviewer.text.labels import key_of
from nyxlab.reviewer.text.quantities import quantities
from nyxlab.reviewer.text.standing import Standing


def read(text: str) -> Document:
    return parse_documents({"plan.md": text})


def test_headings_form_a_tree_with_anchors() -> None:
    """Headings know their parent, their number and the anchors that a link may name.

    Equal ones are numbered as GitHub does.
    """
    document = read("# A `b` plan\n## 1.2 Storage {#store}\n## Goals\n### Goals\n")
    top, storage, goals, again = document.headings
    assert (top.text, top.anchors) == ("A b plan", ("a-b-plan",))
    assert (storage.number, storage.parent, storage.anchors) == ("1.2", top, ("12-storage", "store"))
    assert (goals.anchors, again.anchors, again.parent) == (("goals",), ("goals-1",), goals)


def test_a_heading_inside_a_quote_or_an_item_opens_no_section() -> None:
    """What another document's words look like is no part of this one's outline."""
    assert [h.text for h in read("# A\n\n> ## B\n\n- # C\n\n## D\n").headings] == ["A", "D"]


def test_lists_keep_their_numbers_boxes_and_introduction() -> None:
    """A list knows the sentence before it, the numbers as written and the boxes of its tasks, optional ones too."""
    document = read("First. The order:\n\n3. a\n4. b\n   - [x] c\n   - [-] d\n   - [ ]* e\n")
    inner, outer = document.lists
    assert outer.intro is not None
    assert outer.intro.text == "The order:"
    assert [i.number for i in outer.items] == [3, 4]
    assert [(i.box, i.text) for i in inner.items] == [("x", "c"), ("-", "d"), (" ", "e")]


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
    document = read("---\ntitle: x\n---\n<!-- TODO\nmore -->\n```\n# TODO\n```\nText <!-- no --> here.\n")
    assert [(s.line, s.text) for s in document.sentences] == [(9, "Text here.")]
    assert [f.line for f in document.fences] == [6]


@pytest.mark.parametrize("hides", ["Write `<!--` first.", "````\n<!--\n```\n````", "Begin with `<!--` or ``<!--``."])
def test_a_comment_start_inside_code_is_no_comment(hides: str) -> None:
    """What follows it is read: nothing can be hidden from the review that way."""
    assert read(f"{hides}\n\nThe price is TBD.\n").sentences[-1].text == "The price is TBD."


def test_labels_are_defined_or_cited() -> None:
    """Items, tasks, headings and bold openings define; running text, code and array brackets do not."""
    document = read(
        "- **FR-009**: a\n- **FR-009a** \u2014 b\n- [ ] T003 [P] write\n- \u2705 T004 Done\n\n## Phase 2: Build\n\n"
        "**FR-012 \u2014 title**\n\nSee FR-009, Phases 1-3, `T099` and s[1][2].\n"
    )
    assert {i.name for i in document.labels if i.defines} == {"FR-009", "FR-009a", "T003", "T004", "Phase 2", "FR-012"}
    assert [i.name for i in document.labels if not i.defines] == ["FR-009", "Phase 1", "Phase 2", "Phase 3"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Covers FR-001 to FR-003, FR-9.", ["FR-001", "FR-002", "FR-003", "FR-9"]),
        ("T008\u2013T010b and T022 wait.", ["T008", "T009", "T010", "T010b", "T022"]),
        ("Phases 1-3 and Step 2, 4 and 5.", ["Phase 1", "Phase 2", "Phase 3", "Step 2", "Step 4", "Step 5"]),
        (
            "Requirements 1.1-1.3 and \u00a73.1.",
            ["Requirement 1.1", "Requirement 1.2", "Requirement 1.3", "Section 3.1"],
        ),
        ("T023/T024 need US2 (Phase 4).", ["T023", "T024", "Story 2", "Phase 4"]),
        ("HTTP-200, UTF-8 and AES-256 are none.", []),
    ],
)
def test_lists_and_ranges_name_every_number(text: str, names: list[str]) -> None:
    """A range stands for all that it spans; letters after a number are kept; formats and standards are no labels."""
    assert [i.name for i in read(text).labels] == names


def test_numbers_are_ordered_as_people_count() -> None:
    """2.10 comes after 2.9, and 20b right after 20."""
    assert sorted(["2.10", "2.9", "20b", "20", "3"], key=key_of) == ["2.9", "2.10", "3", "20", "20b"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("about 5 days", [("5", "day", True)]),
        ("It takes 1,200 ms and 2 h.", [("1200", "ms", False), ("2", "h", False)]),
        ("30 minutes, not three hours", [("30", "min", False), ("3", "h", False)]),
        ("version 3.4.1 of T012 on 2025-03-01", []),
        ("2-3 cards", []),
    ],
)
def test_quantities_have_unit_and_hedge(text: str, found: list[tuple[str, str, bool]]) -> None:
    """Numbers in figures and words, with one name a unit; "about 5" is no exact number.

    Identifiers and dates are none.
    """
    assert [(str(q.value), q.unit, q.hedged) for q in quantities(text)] == found


def test_quantities_compare_over_units() -> None:
    """2 h and 120 minutes are one size."""
    two, more = next(quantities("2 h")), next(quantities("120 minutes"))
    assert two.size == more.size == ("time", Decimal(7_200_000))


@pytest.mark.parametrize(
    ("text", "demand"),
    [
        ("It must never be logged.", "must not"),
        ("It can't be logged.", "must not"),
        ("It cannot be logged.", "must not"),
        ("Keys shall not be logged.", "must not"),
        ("They don\u2019t log keys.", "is not"),
        ("It should be logged.", "should"),
        ("It must be logged.", "must"),
        ("It logs.", None),
    ],
)
def test_demands_are_read_with_their_negation(text: str, demand: str | None) -> None:
    """Negations of every spelling turn a demand round: never, n't and the typographer's apostrophe too."""
    assert modality(text) == demand


def test_must_not_in_one_word_is_denied() -> None:
    """ "mustn't" denies like "must not", with either apostrophe."""
    for word in ("must not", "mustn't", "mustn\u2019t", "must never"):
        found = assertion(read(f"Audit entries {word} be dropped.").sentences[0])
        assert found is not None
        assert (found.denied, found.verb) == (True, "dropped")


@pytest.mark.parametrize(
    ("text", "standing"),
    [
        ("## Alternatives considered\n\nWe use A.\n", Standing.REJECTED),
        ("## Option B: rewrite\n\nWe use A.\n", Standing.REJECTED),
        ("## Option A: keep (recommended)\n\nWe use A.\n", None),
        ("## Non-Goals\n\nWe use A.\n", Standing.FUTURE),
        ("## Goals / Non-Goals\n\nWe use A.\n", None),
        ("## Scope\n\n**Non-goals:**\n\n- We use A.\n", Standing.FUTURE),
        ("## Status\n\nWe use A.\n", Standing.STATUS),
        ("## Glossary\n\nWe use A.\n", Standing.TERMS),
        ("> We use A.\n", Standing.OTHER),
        ("For example, we use A.\n", Standing.EXAMPLE),
        ("We use A in a later release, deferred to 2.0.\n", Standing.FUTURE),
        ("## Design\n\nWe use A.\n", None),
    ],
)
def test_where_a_statement_stands_decides_whether_it_is_a_claim(text: str, standing: Standing | None) -> None:
    """Rejected, future, past, shown and quoted statements are told apart from what is to be built."""
    document = read(text)
    assert document.standing(document.sentences[-1]) is standing


def test_files_know_what_is_done_and_who_says_so() -> None:
    """Labels, marks, trees and verbs say what happens to a file; "create X in FILE" says only where."""
    document = read(
        "- Create: `src/a.py`\n- `src/b.py` (modified)\n- Add a field to `src/c.py`\n- Create `X` in `src/d.py`\n\n"
        "```\nsrc/\n\u251c\u2500\u2500 e.py  # NEW\n\u2514\u2500\u2500 f.py\n```\n\n| File | What |\n|---|---|\n| src/g.py | new |\n"
        "\n### Modified files\n\n- src/h.py\n\nNew files:\n\n- src/i.py\n"
    )
    assert {(m.name[-4:], m.action, m.said) for m in document.file_mentions} >= {
        ("a.py", "new", "label"), ("b.py", "modify", "label"), ("c.py", "modify", "verb"), ("d.py", None, "named"),
        ("e.py", "new", "tree"), ("f.py", None, "tree"), ("g.py", "new", "table"), ("h.py", "modify", "label"), ("i.py", "new", "label"),
    }  # fmt: skip


def test_libraries_addresses_and_globs_are_no_files() -> None:
    """Node.js, a host and *.py name no file of the project."""
    assert not any(map(is_file, ("Node.js", "rrule.js", "src/*.py", "v1.2", "@/lib/a.ts", "e.g.")))
    assert all(map(is_file, ("Makefile", "src/a.py", "docker/Dockerfile", "plan.md")))


CODE = """\
```ts
// src/mail.ts
export interface Props {
  to: string;
  cc?: string;
}
export class Mailer extends Base {
  private readonly host: string;
  constructor(private port: number, host = "a") {
    super();
  }
  send(props: Props, ...rest: string[]): void {
    this.queue(props);
  }
}
const MAX_RETRIES = 2;
new Mailer(1); // new Mailer()
```
"""


def test_code_is_read_by_its_lines() -> None:
    """Types, methods, arity, fields, constants and calls are read; comments and strings are not."""
    (code,) = read(CODE).code
    assert code.file == "src/mail.ts"
    assert {(d.kind, d.name, d.owner, d.least, d.most) for d in code.declared if d.kind != "type"} == {
        ("constructor", "constructor", "Mailer", 1, 2),
        ("method", "send", "Mailer", 0, None),
    }
    assert [field.name for field in code.records["Props"].fields.values() if "optional" not in field.how] == ["to"]
    assert code.records["Mailer"].fields["host"].how == "private readonly"
    assert [(c.name, c.value) for c in code.constants] == [("MAX_RETRIES", "2")]
    assert [(c.receiver, c.name, c.arguments, c.inside) for c in code.calls if c.name in ("queue", "Mailer")] == [
        ("this", "queue", 1, "Mailer"),
        ("new", "Mailer", 1, ""),
    ]
