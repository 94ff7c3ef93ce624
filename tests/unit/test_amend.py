"""Mending: an edit is made where its old words stand, once, and nowhere else.

What is decided is carried on, and nothing is lost.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import anyio
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from nyxlab import Lab, ScriptedProvider
from nyxlab.cli import app
from nyxlab.errors import InputRefused
from nyxlab.lab.reviews.mending import Amendment, patch_of
from nyxlab.reviewer.models.amend import Decision, Edit, amended
from nyxlab.settings import load_settings

PLAN = """\
# Branches

## Terms

Each auditor belongs to exactly one branch.

## Rights

An auditor may belong to several branches.

## Steps

1. Create the table.
2. Write the export. See [the rules](#rules).
"""
ONE, MANY = "Each auditor belongs to exactly one branch.", "An auditor may belong to several branches."


def edit(line: int, old: str, new: str, path: str = "plan.md") -> Edit:
    return Edit(path=path, line=line, old=old, new=new)


def decision(*edits: Edit, finding: str = "F-001", **more: object) -> Decision:
    return Decision(finding=finding, reading="So it is.", edits=edits, **more)  # type: ignore[arg-type]


# --- the law ----------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["a", "b", "ab", "a b", "- [ ] a", "", "é", "a\r"])


@given(
    st.lists(WORDS, max_size=8).map("\n".join),
    st.lists(st.builds(edit, st.integers(1, 9), WORDS, st.sampled_from(["", "x", "a", "x\ny"])), max_size=4),
)
def test_only_what_an_edit_names_is_changed(text: str, edits: list[Edit]) -> None:
    """Every edit is made or refused by name; with the new words taken back, what is left is the text, to the byte."""
    marked = [edit(e.line, e.old, f"\0{e.old}\0{e.new}\1") for e in edits]
    after, refused = amended({"plan.md": text}, [decision(e) for e in marked])
    pieces = after["plan.md"].split("\0")
    back = pieces[0] + "".join(piece if n % 2 else piece.partition("\1")[2] for n, piece in enumerate(pieces[1:], 1))
    assert back.replace("\r\n", "\n") == text.replace("\r\n", "\n")
    assert len(pieces) // 2 + len(refused) == len(marked)


@given(st.lists(WORDS, max_size=8).map("\n".join))
def test_no_edit_no_change(text: str) -> None:
    """Decisions without an edit, with one that changes nothing, or that a person must make leave every byte as it
    is."""
    decisions = [decision(), decision(edit(1, text, text)), decision(edit(1, "a", "b"), person=True)]
    assert amended({"plan.md": text}, decisions) == ({"plan.md": text}, ())


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (edit(5, "Each auditor belongs to no branch.", "x"), "stand nowhere"),
        (edit(5, "auditor belong", "x"), None),
        (edit(1, "branch", "x"), "times, and not once"),
        (edit(1, "", "x"), "names no old words"),
        (edit(1, "# Branches", "x", path="other.md"), "no file of the plan"),
    ],
    ids=["invented", "part of a line", "several", "empty", "another file"],
)
def test_an_edit_that_cannot_be_told_is_refused_by_name(wrong: Edit, why: str | None) -> None:
    """Words that stand nowhere, several times, or in no file of the plan are named with their finding.

    Other edits are made.
    """
    sound = edit(9, MANY, "An auditor belongs to one branch.")
    after, refused = amended({"plan.md": PLAN}, [decision(wrong, finding="F-007"), decision(sound)])
    assert "An auditor belongs to one branch." in after["plan.md"]
    assert [(r.finding, why in str(r)) for r in refused] == ([("F-007", True)] if why else [])


def test_two_edits_of_the_same_words_are_not_both_made() -> None:
    """The second edit that touches words already changed is refused: nobody can tell what both of them mean."""
    twice = [decision(edit(5, ONE, "x")), decision(edit(5, "one branch", "y"), finding="F-002")]
    after, refused = amended({"plan.md": PLAN}, twice)
    assert after["plan.md"] == PLAN.replace(ONE, "x")
    assert [r.finding for r in refused] == ["F-002"]


def test_line_ends_stay_as_they_are() -> None:
    """An edit of several lines is made in a file with CRLF, and what it brings has CRLF too."""
    text = PLAN.replace("\n", "\r\n")
    after, refused = amended({"plan.md": text}, [decision(edit(5, f"{ONE}\n\n## Rights", "x\n\n## Rights"))])
    assert not refused
    assert after["plan.md"] == text.replace(ONE, "x")


def test_git_takes_the_patch(tmp_path: Path) -> None:
    """The patch applies to the plan in its repository, whatever folder and line ends it has, and makes it the amended
    one."""
    _git(tmp_path, "init", "-q")
    (tmp_path / "docs").mkdir()
    before = {"docs/plan.md": PLAN.replace("\n", "\r\n"), "docs/é b.md": "one"}
    after = {"docs/plan.md": before["docs/plan.md"].replace(ONE, "x"), "docs/é b.md": "two\n"}
    for path, text in before.items():
        (tmp_path / path).write_bytes(text.encode())
    (tmp_path / "p.patch").write_bytes(patch_of(before, after, tmp_path).encode())
    _git(tmp_path, "apply", "--check", "p.patch")
    _git(tmp_path, "apply", "p.patch")
    assert {path: (tmp_path / path).read_bytes().decode() for path in after} == after
    assert patch_of(before, before, tmp_path) == ""


def _git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "core.autocrlf=false"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with a plan and its review; the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.md").write_text(PLAN)
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "plan.md")
    _git(tmp_path, "commit", "-qm", "plan")
    assert ran("review", "plan.md", "--rules", "-o", "review.json")[0] == 4
    return tmp_path


def ran(*words: str) -> tuple[int, str]:
    """Run a command; return its exit code and all that it said."""
    done = CliRunner().invoke(app, list(words))
    error = done.exception
    if isinstance(error, InputRefused):
        return error.exit_code, f"{done.output}{error}"
    assert error is None or isinstance(error, SystemExit), error
    return done.exit_code, done.output + (done.stderr or "")


def filled(project: Path) -> Path:
    """Return the file of decisions that the command writes, with the first finding settled."""
    code, said = ran("amend", "review.json")
    file = project / "review-amended" / "decisions.yaml"
    assert (code, file.exists()) == (0, True), said
    told = yaml.safe_load(file.read_text())
    assert all(not each["reading"] and all(e["old"] == e["new"] for e in each["edits"]) for each in told)
    told[0] |= {"reading": "An auditor has one branch.", "why": "The terms say so."}
    side = next(e for e in told[0]["edits"] if e["old"] == MANY)
    side["new"] = "An auditor belongs to one branch."
    file.write_text("# mine\n" + yaml.safe_dump(told))
    return file


def test_a_person_fills_the_form_in(project: Path) -> None:
    """An empty form, filled in, closes its finding: the copy, the patch, the review of the copy, and nothing of the
    plan itself."""
    file = filled(project)
    again, said = ran("amend", "review.json")
    assert (again, "exists already" in said) == (2, True)
    code, said = ran("amend", "review.json", "--decisions", str(file))
    assert (code, "1 closed" in said, "1 open" in said, "0 new" in said) == (0, True, True, True), said
    folder = file.parent
    assert (project / "plan.md").read_text() == PLAN
    assert (folder / "plan.md").read_text() == PLAN.replace(MANY, "An auditor belongs to one branch.")
    assert file.read_text().startswith("# mine")
    _git(project, "apply", "--check", str(folder / "plan.patch"))
    review = json.loads((folder / "review.json").read_text())
    (told,) = [d for d in review["decisions"] if d["reading"]]
    closed = next(f for f in review["findings"] if f["id"] == told["finding"])
    assert (closed["rule"], closed["status"]) == ("exclusive-definitions", "fixed")
    _, prompt = ran("prompt", str(folder / "review.json"))
    assert "## Settled" in prompt
    assert "An auditor has one branch. (The terms say so.)" in prompt
    for form, mark in (("html", 'class="added"'), ("md", "+ An auditor belongs to one branch.")):
        ran("report", str(folder / "review.json"), "-o", f"page.{form}") if form == "html" else None
        text = (project / "page.html").read_text() if form == "html" else rendered(review)
        assert mark in text
        assert "An auditor has one branch." in text


def rendered(review: dict) -> str:
    from nyxlab.lab.views.report import render_review

    return render_review(review, "md", {})


def test_apply_only_what_git_can_undo(project: Path) -> None:
    """The plan itself is changed where all is committed, once.

    Outside of git, with open changes or on another text it is refused.
    """
    file = filled(project)
    (project / "plan.md").write_text(PLAN + "\n")
    code, said = ran("amend", "review.json", "--decisions", str(file), "--apply")
    assert (code, "not as it was reviewed" in said) == (2, True), said
    (project / "plan.md").write_text(PLAN)
    (project / "b.md").write_text("b")
    _git(project, "add", "b.md")
    code, said = ran("amend", "review.json", "--decisions", str(file), "--apply")
    assert (code, "commit or stash" in said) == (2, True), said
    _git(project, "commit", "-qm", "b")
    code, said = ran("amend", "review.json", "--decisions", str(file), "--apply")
    mended = PLAN.replace(MANY, "An auditor belongs to one branch.")
    assert (code, (project / "plan.md").read_text()) == (0, mended), said
    code, said = ran("amend", "review.json", "--decisions", str(file), "--apply")
    assert (code, (project / "plan.md").read_text()) == (2, mended), said


def test_nothing_of_a_persons_is_written_over(project: Path) -> None:
    """An output folder in which the plan itself lies, and a form that a person fills in, are refused before anybody is
    asked."""
    file = filled(project)
    code, said = ran("amend", "review.json", "--decisions", str(file), "--output", ".")
    assert (code, "would be written over plan.md" in said, (project / "plan.md").read_text()) == (2, True, PLAN), said
    file.unlink()
    ran("amend", "review.json")
    code, said = ran("amend", "review.json", "--provider", "hand:me")
    assert (code, "is a person's" in said, (project / "data").exists()) == (2, True, False), said


def test_what_cannot_be_applied_is_there_all_the_same(project: Path) -> None:
    """--apply that is refused leaves decisions, patch and copy behind: what was decided is not lost."""
    file = filled(project)
    (project / "b.md").write_text("b")
    _git(project, "add", "b.md")
    code, _ = ran("amend", "review.json", "--decisions", str(file), "--apply")
    assert (code, (file.parent / "plan.patch").exists()) == (2, True)


def test_a_budget_holds_the_second_reading_too(project: Path) -> None:
    """A budget that holds the decisions and not the reading after them is refused before anything is asked."""
    price = '[prices."hand:me"]\ninput = "100"\noutput = "100"\n'
    (project / "nyxlab.toml").write_text(price)
    told = json.loads((project / "review.json").read_text())
    told["passes"].append({"name": "reader", "status": "ran", "provider": "hand:me", "reason": None})
    (project / "review.json").write_text(json.dumps(told))
    code, said = ran("amend", "review.json", "--provider", "hand:me", "--finding", "F-001", "--budget", "1.5")
    assert (code, "holds no question: reader" in said, (project / "data").exists()) == (2, True, False), said


def test_outside_of_git_nothing_is_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a repository the copy and the patch are made, and --apply is one sentence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "plan.md").write_text(PLAN)
    ran("review", "plan.md", "--rules", "-o", "review.json")
    file = filled(tmp_path)
    code, said = ran("amend", "review.json", "--decisions", str(file), "--apply")
    assert (code, "not in a git repository" in said) == (2, True), said
    assert ran("amend", "review.json", "--decisions", str(file))[0] == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("finding: F-001\n", "decisions are a list"),
        ("- {finding: F-999}\n", "no open finding 'F-999'"),
        ("- {finding: F-001}\n- {finding: F-001}\n", "decided twice"),
        ("- {finding: F-001, edits: [{line: 1}]}\n", "d.yaml:1: edits.0"),
        ("- {finding: F-001, edits: [{path: plan.md, line: 5, old: nowhere, new: x}]}\n", "stand nowhere"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_bad_file_of_decisions_is_one_sentence(project: Path, text: str, why: str) -> None:
    """What is wrong in a file of decisions is named with its line and ends with 2; the plan stays."""
    (project / "d.yaml").write_bytes(text.encode("latin-1"))
    code, said = ran("amend", "review.json", "--decisions", "d.yaml")
    assert (code, why in said) == (2, True), said
    assert (project / "plan.md").read_text() == PLAN


def test_a_person_answers_for_the_model(project: Path) -> None:
    """By hand the command waits for the decisions, and then for the second reading where models had read the plan: exit
    code 3, and said."""
    folder = project / "data" / "hand" / "me"

    def answer(value: object) -> None:
        for question in folder.glob("*.md"):
            reply = question.with_suffix(".reply.md")
            if not question.name.endswith(".reply.md") and not reply.exists():
                reply.write_text(json.dumps(value))

    words = ("review", "plan.md", "--providers", "hand:me", "-o", "review.json")
    assert ran(*words)[0] == 3
    answer({"findings": []})
    assert ran(*words)[0] == 4
    code, said = ran("amend", "review.json", "--provider", "hand:me", "--finding", "F-001")
    assert (code, "paused: 1 question waits" in said) == (3, True), said
    answer(
        {
            "reading": "One.",
            "why": "So.",
            "person": False,
            "options": [],
            "edits": [{"line": 9, "old": MANY, "new": "An auditor has one branch."}],
        }
    )
    code, said = ran("amend", "review.json", "--provider", "hand:me", "--finding", "F-001")
    assert (code, "1 closed" in said, "not read again yet: 1 question waits" in said) == (3, True, True), said
    answer({"findings": []})
    code, said = ran("amend", "review.json", "--provider", "hand:me", "--finding", "F-001")
    assert (code, "1 closed" in said) == (0, True), said


# --- by a model -------------------------------------------------------------------------------------------------------


def by_model(project: Path, *replies: object) -> Amendment:
    provider = ScriptedProvider(list(replies), id="test:a")

    async def work() -> Amendment:
        async with Lab(f"sqlite:///{project}/ledger.db", settings=load_settings(project)) as lab:
            lab.desk._providers["test:a"] = provider
            return await lab.amend("review.json", provider="test:a")

    return anyio.run(work)


def test_a_model_decides_and_code_checks(project: Path) -> None:
    """Each finding is asked about, an edit is located by its words, line numbers copied with them are taken off, and a
    person's choice stays one."""
    settled = {
        "reading": "One branch.",
        "why": "Line 5.",
        "person": False,
        "options": [],
        "edits": [{"line": 9, "old": f"9| {MANY}", "new": "9| An auditor belongs to one branch."}],
    }
    person = {"reading": "", "why": "", "person": True, "options": ["Add it.", "Drop the link."], "edits": []}
    found = by_model(
        project,
        {"match": "FAULT: A auditor", "json": settled},
        {"match": "FAULT: Broken link", "json": person, "repeat": True},
    )
    assert [(d.finding, d.person, len(d.edits)) for d in found.decisions] == [("F-001", False, 1), ("F-002", True, 0)]
    assert found.changed == {"plan.md": PLAN.replace(MANY, "An auditor belongs to one branch.")}
    assert [len(found.outcome[name]) for name in ("closed", "open", "new")] == [1, 1, 0]
    assert not found.refused


def test_the_demos_plan_is_mended(tmp_path: Path) -> None:
    """The decisions that `make demo` shows fit their plan: nine findings close, no edit is refused, nothing is new."""
    root = Path(__file__).parents[2]

    async def mend() -> Amendment:
        async with Lab(f"sqlite:///{tmp_path / 'ledger.db'}", settings=load_settings(root)) as lab:
            found = await lab.review(["data/plans/team-management.md"])
            return await lab.amend(found, decisions="data/decisions/team-management.yaml")

    mended = anyio.run(mend)
    assert mended.refused == ()
    assert [len(mended.outcome[how]) for how in ("closed", "new")] == [9, 0]
