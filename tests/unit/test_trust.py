"""What is said is what was looked at: outputs that nobody can judge never pass, and who is not asked is still priced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nyxlab.lab.lab import Lab
from nyxlab.lab.reviews.terms import Terms, review_files
from nyxlab.lab.views.report import render_review
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
LONG = "The service keeps one row an order and answers within a second. It is built in three parts by two teams."
SCRIPT = f"""\
same: [{{text: "{LONG}"}}]
cut: [{{text: "1. Store the token in `app/models/reset.py` (new)\\n2. Send the mail and then", stop: length}}]
empty: [{{json: []}}]
fine: [{{text: "# Plan\\n\\n1. Store the token in `app/models/reset.py` (new).\\n"}}]
"""


def cli(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nyxlab.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ, timeout=60)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text("")
    return Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path))


async def reviewed(lab: Lab, folder: Path, *channels: str):
    steps = [f'  - {{id: s{n}, prompt: "x", provider: "script:s.yaml#{name}"}}' for n, name in enumerate(channels)]
    check = f"  - {{id: check, kind: review, of: [{', '.join(f's{n}' for n in range(len(channels)))}]}}"
    (folder / "w.yaml").write_text("\n".join(["name: w", "steps:", *steps, check]))
    async with lab:
        run = await lab.run("w.yaml")
        return await lab.review(run.run_id), run.steps["check"].payload["review"]


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        (["fine", "cut"], "Cut off: the output of step s1 ends at the token limit"),
        (["same", "fine", "same"], "The outputs of s0 and s2 are nearly the same text"),
        (["fine", "empty"], "Empty: step s1 wrote nothing"),
        (["same"], "Nothing here can be checked by rules"),
    ],
)
async def test_outputs_that_nobody_can_judge_never_pass(lab: Lab, tmp_path: Path, channels, said) -> None:
    """Cut, alike, empty outputs and those without anything to check are told, in a review step and by `review RUN`."""
    review, step = await reviewed(lab, tmp_path, *channels)
    assert review.verdict == step["verdict"] == "CONCERNS"
    assert [finding.title for finding in review.findings if finding.rule == "output"] == [said]
    assert all(piece.verified for finding in review.findings for piece in finding.evidence)
    assert said in {finding["title"] for finding in step["findings"]}


async def test_a_sound_output_passes(lab: Lab, tmp_path: Path) -> None:
    """One whole output with something to check in it has no such finding."""
    review, _ = await reviewed(lab, tmp_path, "fine")
    assert review.verdict == "PASS"
    assert not review.findings


def test_a_forecast_prices_who_cannot_be_asked_yet(tmp_path: Path) -> None:
    """Without a key the price is known all the same; who would not be asked is said, and the amount is not $0."""
    (tmp_path / "plan.md").write_text("# Plan\n\n## Step 1: Token\nCreate `a.py` (new).\n")
    words = ("review", "plan.md", "--forecast", "--format", "json", "--providers", "anthropic:claude-sonnet-5-5")
    done = cli(tmp_path, *words)
    told = json.loads(done.stdout)
    assert float(told["total"]["usd"]) > 0
    assert "would not be asked: no key" in done.stderr


@pytest.mark.parametrize("stand", [".", "docs", "docs/deep", "other"])
def test_a_broken_link_is_broken_from_every_folder(tmp_path: Path, monkeypatch, stand: str) -> None:
    """A link that leads above the working folder is looked up on disk like any other."""
    for name in ("docs/deep", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "docs" / "there.md").write_text("# There\n")
    (tmp_path / "docs" / "deep" / "plan.md").write_text("# P\n\nSee [a](../gone.md) and [b](../there.md).\n")
    here = tmp_path / stand
    path = os.path.relpath(tmp_path / "docs" / "deep" / "plan.md", here)
    found = review_files([path], Terms.of(tmp_path, here), here).review
    assert [finding.title for finding in found.findings] == ["Broken link: the file ../gone.md"]


def test_measure_says_first_what_its_numbers_are_worth(tmp_path: Path) -> None:
    """The caution stands before the first number."""
    (tmp_path / "plan.md").write_text(
        "# Plan\n\n- A link is valid for 30 minutes.\n\n## Step 1: Token\nCreate `a.py`.\n"
    )
    done = cli(tmp_path, "measure", "plan.md")
    assert done.stdout.startswith("The rules are measured on the kinds of fault that they were written for")


def test_the_name_of_a_file_is_never_the_prompt(tmp_path: Path) -> None:
    """A file's text is what is asked, and that is said; a name that no file has is refused; - is standard input."""
    (tmp_path / "s.yaml").write_text("a: [{match: kettle, text: An answer about kettles.}]\n")
    (tmp_path / "p.txt").write_text("Why does the kettle sing?")
    words = ("compare", "p.txt", "--providers", "script:s.yaml#a", "--json")
    done = cli(tmp_path, *words)
    assert json.loads(done.stdout)["steps"][0]["output"] == "An answer about kettles."
    assert "p.txt is a file: its 25 characters are the prompt" in done.stderr
    refused = cli(tmp_path, "compare", "q.txt", "--providers", "script:s.yaml#a")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("nyxlab: q.txt: no such file")
    piped = subprocess.run(
        [sys.executable, "-m", "nyxlab.cli", "compare", "-", *words[2:]],
        cwd=tmp_path, capture_output=True, text=True, input="a kettle?", timeout=60,
    )  # fmt: skip
    assert json.loads(piped.stdout)["steps"][0]["output"] == "An answer about kettles."


def test_a_plan_that_is_piped_in_is_reviewed(tmp_path: Path) -> None:
    """`review -` reads standard input; the review's JSON holds the text, so that a prompt can be made of it."""
    plan = "# Plan\n\n## Step 1: Token\nCreate `a.py` (new). See [b](#nowhere).\n"
    words = [sys.executable, "-m", "nyxlab.cli", "review", "-", "--format", "json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, input=plan, timeout=60)
    told = json.loads(done.stdout)
    assert [each["path"] for each in told["documents"]] == ["standard-input.md"]
    assert [each["rule"] for each in told["findings"]] == ["broken-link"]
    (tmp_path / "r.json").write_text(done.stdout)
    assert "## Step 1: Token" in cli(tmp_path, "prompt", "r.json").stdout


async def test_a_table_says_what_came_of_each_step(lab: Lab, tmp_path: Path, capsys) -> None:
    """That nobody won, and a review's verdict, stand in the table itself, which a terminal shows alone."""
    from nyxlab.lab.views.tables import show

    (tmp_path / "w.yaml").write_text(
        'name: w\nsteps:\n  - {id: both, prompt: x, compare: ["script:s.yaml#fine", "script:s.yaml#same"]}\n'
        "  - {id: check, kind: review, of: [both]}\n"
    )
    async with lab:
        show(await lab.run("w.yaml"), whole=False)
    both, check = capsys.readouterr().out.splitlines()[2:4]
    assert "taken by the policy, no winner" in both
    assert "verdict PASS" in check


def test_a_verdict_is_explained_in_its_own_terms(tmp_path: Path) -> None:
    """Beside CONCERNS stands what FAIL would need, beside FAIL what it means."""
    (tmp_path / "plan.md").write_text("# Plan\n\nAll is well.\n")
    for level, said in (
        ("critical", "FAIL would need one that is critical"),
        ("medium", "a finding that is medium or worse"),
    ):
        found = review_files(["plan.md"], Terms.of(tmp_path, tmp_path, fail_on=level), tmp_path)
        assert said in " ".join(render_review(found.review.to_json(), "html").split())
