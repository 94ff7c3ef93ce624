"""The verbs of Lab, used as a notebook uses them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nyxlab import Lab
from nyxlab.engine.records import CallDone, RunDone
from nyxlab.errors import InputRefused
from nyxlab.lab.git import repo_files
from nyxlab.lab.reviews.documents import unchanged_documents
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio

WORKFLOW = """\
name: three
goal: Be brief.
steps:
  - {id: one, persona: architect, prompt: "One, please.", compare: ["script:s.yaml#a", "script:s.yaml#b"]}
  - {id: two, prompt: "Two, please.", provider: "script:s.yaml#a"}
  - {id: seen, kind: review, of: [one, two]}
"""
SCRIPT = """\
a: [{text: "# Plan of a\\n\\nThe following three steps:\\n\\n1. Do it.\\n2. Look at it.\\n"}]
b: [{text: Something else altogether.}]
third: [{text: A third one.}]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nyxlab.toml").write_text("")
    (tmp_path / "w.yaml").write_text(WORKFLOW)
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


async def test_paths_start_at_the_project_root(project: Path) -> None:
    """A notebook in notebooks/ names files as a command at the root does, and both see one ledger."""
    async with Lab() as lab:
        run = await lab.run("w.yaml")
    assert run.status == "completed"
    assert (project / "data" / "nyxlab.db").exists()
    async with Lab(settings=load_settings(project)) as lab:
        assert [each.run_id for each in await lab.runs()] == [run.run_id]


async def test_review_step_reviews_what_was_written(project: Path) -> None:
    """A review step holds Cael's review of the outputs it names; its verdict does not fail the run."""
    async with Lab() as lab:
        run = await lab.run("w.yaml", providers="script:s.yaml#a")
        review = await lab.review(run.run_id)
    told = run.checkpoint()["steps"][2]["review"]
    assert [finding["rule"] for finding in told["findings"]] == ["stated-count", "stated-count", "output"]
    assert {finding.evidence[0].path for finding in review.findings} == {f"{run.run_id}/{s}.md" for s in ("one", "two")}
    assert run.steps["seen"].output.startswith("CONCERNS")


async def test_providers_replace_every_step(project: Path) -> None:
    """`providers` stands for all candidates of a comparing step, and for the first and its fallbacks elsewhere."""
    async with Lab() as lab:
        run = await lab.run("w.yaml", providers=["script:s.yaml#third", "script:s.yaml#b"])
    one, two, _ = run.checkpoint()["steps"]
    assert {told["provider"] for told in one["alternatives"]} == {"script:s.yaml#third", "script:s.yaml#b"}
    assert two["selectedProvider"] == "script:s.yaml#third"


async def test_settings_fill_what_a_workflow_leaves_open(project: Path) -> None:
    """A step without a provider takes the settings' default, and is refused where there is none."""
    (project / "open.yaml").write_text("name: open\nsteps: [{id: only, prompt: Hello.}]\n")
    async with Lab() as lab:
        with pytest.raises(InputRefused, match="names no provider"):
            await lab.run("open.yaml")
        assert await lab.runs() == []
    (project / "nyxlab.toml").write_text('[defaults]\nprovider = "script:s.yaml#b"\n')
    async with Lab() as lab:
        run = await lab.run("open.yaml")
    assert run.steps["only"].output == "Something else altogether."


async def test_own_persona_overrides_the_shipped_one(project: Path) -> None:
    """personas/NAME.md at the project's root is the persona; an unknown name is refused before anything runs."""
    (project / "who.yaml").write_text(
        'name: who\nsteps: [{id: a, persona: pirate, prompt: Hi., provider: "script:p.yaml#a"}]\n'
    )
    (project / "p.yaml").write_text("a: [{match: Talk like a pirate, text: Arr}]\n")
    async with Lab() as lab:
        with pytest.raises(InputRefused, match="unknown persona 'pirate'"):
            await lab.run("who.yaml")
        (project / "personas").mkdir()
        (project / "personas" / "pirate.md").write_text("Talk like a pirate.")
        assert (await lab.run("who.yaml")).steps["a"].output == "Arr"


async def test_events_tell_the_whole_story(project: Path) -> None:
    """Whoever watches sees every call and the end, with the numbers that the run then holds."""
    events = []
    async with Lab() as lab:
        run = await lab.run("w.yaml", on_event=events.append)
    assert len([event for event in events if isinstance(event, CallDone)]) == len(run.calls) == 3
    assert isinstance(events[-1], RunDone)
    assert events[-1].status == "completed"


async def test_compare_learns_nothing_from_itself(project: Path) -> None:
    """A second comparison of the same prompt is a run of its own: asked again, not answered from the first."""
    async with Lab() as lab:
        runs = [await lab.compare("Hi.", providers="script:s.yaml#a, script:s.yaml#b") for _ in range(2)]
    assert len({run.run_id for run in runs}) == 2
    assert not any(call.reply and call.reply.cached for run in runs for call in run.calls)


async def test_prompt_templates_are_text_in_a_comparison(project: Path) -> None:
    """A prompt that looks like a template is asked as it stands."""
    (project / "s.yaml").write_text("a: [{match: '{{ 7 * 7 }}', text: as it stands}]\n")
    async with Lab() as lab:
        run = await lab.compare("What is {{ 7 * 7 }}?", providers="script:s.yaml#a")
    assert run.steps["answer"].output == "as it stands"


def test_repo_files_are_what_git_would_track(tmp_path: Path) -> None:
    """Without git every file counts; a folder that is not there is refused."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("")
    assert repo_files(tmp_path) == {"src/a.py"}
    with pytest.raises(InputRefused, match="no such folder"):
        repo_files(tmp_path / "gone")


def test_a_review_file_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    """A path in a review is not trusted: only unchanged files below the review's own folder are read."""
    inside, outside = tmp_path / "in" / "plan.md", tmp_path / "secret.md"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.write_text("same")
    digest = hashlib.sha256(b"same").hexdigest()
    review = {"documents": [{"path": "plan.md", "sha256": digest}, {"path": "../secret.md", "sha256": digest}]}
    assert unchanged_documents(review, inside.parent) == {"plan.md": "same"}
    assert len(unchanged_documents(review, inside.parent, outside=True)) == 2  # a review of one's own
    inside.write_text("changed")
    assert unchanged_documents(review, inside.parent) == {}
