"""Runs that are taken up again: with other inputs, as a fork, as events, as a file, and in the end forgotten."""

from __future__ import annotations

import json
from contextlib import aclosing, closing
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nyxlab.cli import app
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import RunDone, RunStarted, StepDone
from nyxlab.errors import InputRefused
from nyxlab.lab.lab import Lab
from nyxlab.lab.workflows.records import flow_chart
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
SCRIPT = """\
# scripted replies, written by hand: no model produced this text
a:
  - {match: one, text: first, price: {input: "1000", output: "1000"}, usage: {input_tokens: 4, output_tokens: 2}}
  - {match: bad, error: refused}
  - {match: two, text: second, price: {input: "1000", output: "1000"}, usage: {input_tokens: 4, output_tokens: 2}}
"""
FLOW = """\
name: chain
inputs: {topic: {default: tea}}
defaults: {provider: "script:s.yaml#a"}
steps:
  - {id: one, prompt: one}
  - {id: two, prompt: "two {{ inputs.topic }} {{ steps.one.output }}"}
  - {id: three, prompt: "two more {{ steps.two.output }}"}
"""


@pytest.fixture
def lab(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Lab:
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "w.yaml").write_text(FLOW)
    (tmp_path / "nyxlab.toml").write_text(f'store = "{store_url}"\n')
    monkeypatch.chdir(tmp_path)
    return Lab(settings=load_settings(tmp_path))


async def test_a_fork_pays_only_for_what_is_new(lab: Lab) -> None:
    """A fork with another input keeps the steps before it, asks the changed ones, and the old run stays as it was."""
    async with lab:
        run = await lab.run("w.yaml")
        fork = await lab.fork(run.run_id, "two", inputs={"topic": "bad coffee"})
        assert fork.status == "failed", "the changed question was really asked"
        fork = await lab.fork(run.run_id, "two", inputs={"topic": "coffee"})
        assert await lab.show(run.run_id) == run
    assert fork.status == "completed"
    assert fork.run_id != run.run_id
    assert fork.options["forkedFrom"] == run.run_id
    assert fork.steps["one"].output == "first"
    new = [call for call in fork.calls if call.reply and not call.reply.cached]
    assert [call.step for call in new] == ["two"], (
        "what came before it, and the same question after it, is not paid again"
    )
    assert fork.cost.usd == sum(call.cost.usd for call in new) < run.cost.usd


async def test_a_fork_of_an_unknown_step_is_refused(lab: Lab) -> None:
    """A step that the workflow does not have is refused with the near name, and no run is written."""
    async with lab:
        run = await lab.run("w.yaml")
        with pytest.raises(InputRefused, match="no step 'tow'; did you mean 'two'"):
            await lab.fork(run.run_id, "tow")
        assert len(await lab.runs()) == 1


async def test_a_resume_with_corrected_inputs(lab: Lab) -> None:
    """What names the corrected input runs again, and what it does not touch is neither run nor paid again."""
    async with lab:
        run = await lab.run("w.yaml", inputs={"topic": "bad"})
        assert (run.status, run.steps["one"].status) == ("failed", "completed")
        again = await lab.resume(run.run_id, inputs={"topic": "tea"})
        with pytest.raises(InputRefused, match="no input 'topik'; did you mean 'topic'"):
            await lab.resume((await lab.run("w.yaml", inputs={"topic": "bad"})).run_id, inputs={"topik": "x"})
    assert again.status == "completed"
    assert again.inputs == {"topic": "tea"}
    assert [call.step for call in again.calls] == ["one", "two", "two", "three"]


async def test_events_stream(lab: Lab) -> None:
    """A stream begins with the run, tells each step, and ends with how the run ended."""
    async with lab, aclosing(lab.stream("w.yaml", inputs={"topic": "milk"})) as events:
        seen = [event async for event in events]
    assert isinstance(seen[0], RunStarted)
    assert [event.record.id for event in seen if isinstance(event, StepDone)] == ["one", "two", "three"]
    assert isinstance(seen[-1], RunDone)
    assert seen[-1].status == "completed"


async def test_a_stream_that_is_left_can_be_resumed(lab: Lab) -> None:
    """Leaving the loop stops the run where it is; resume carries it on."""
    async with lab:
        async with aclosing(lab.stream("w.yaml")) as events:
            async for event in events:
                if isinstance(event, StepDone):
                    break
        run = await lab.resume(event.run_id)
    assert run.status == "completed"
    assert len([call for call in run.calls if call.status == "ok"]) == 3


async def test_a_run_as_a_file_and_as_a_chart(lab: Lab) -> None:
    """The export holds every call with its reply and no secret of the run; the chart holds every step and need."""
    async with lab:
        run = await lab.run(parse_workflow(FLOW, "w.yaml"))
        told, chart = await lab.export(run.run_id), flow_chart(run)
    assert told["checkpoint"] == run.checkpoint()
    assert [call["reply"]["text"] for call in told["calls"]] == ["first", "second", "second"]
    assert run.seed not in json.dumps(told)
    assert chart.splitlines()[0] == "graph TD"
    assert '  two["two · prompt · completed"]' in chart
    assert "  one --> two" in chart


async def test_old_runs_are_forgotten(lab: Lab) -> None:
    """Finished runs older than the span go with all that belongs to them; unfinished and younger ones stay."""
    async with lab:
        done, failed = await lab.run("w.yaml"), await lab.run("w.yaml", inputs={"topic": "bad"})
        paused = await lab.run("w.yaml", budget="0.005")
        assert paused.status == "paused"
        assert await lab.prune("1h") == []
        assert {run.run_id for run in await lab.prune(timedelta(0), dry_run=True)} == {done.run_id, failed.run_id}
        assert len(await lab.runs()) == 3
        await lab.prune("0d")
        assert [run.run_id for run in await lab.runs()] == [paused.run_id]
        for table in ("steps", "calls", "items", "texts"):
            with closing(lab.desk.store._database.connect()) as connection:
                kept = connection.execute(f"SELECT run_id FROM {table}").fetchall()
            assert {row["run_id"] for row in kept} <= {paused.run_id}, table
        with pytest.raises(InputRefused, match="no run"):
            await lab.show(done.run_id)


@pytest.mark.parametrize("span", ["90", "d", "-1d", "1 year", ""])
async def test_no_span_no_pruning(lab: Lab, span: str) -> None:
    """What is no span of time is refused with how to write one."""
    with pytest.raises(InputRefused, match="such as 90d"):
        await lab.prune(span)


def test_the_commands(lab: Lab) -> None:
    """fork, export, prune and show --graph do from the command line what the verbs do."""
    cli = CliRunner()
    run_id = json.loads(cli.invoke(app, ["run", "w.yaml", "--json"]).stdout)["runId"]
    fork = cli.invoke(app, ["fork", run_id, "two", "-p", "topic=milk", "--json"])
    assert json.loads(fork.stdout)["status"] == "completed"
    assert cli.invoke(app, ["show", run_id, "--graph"]).stdout.startswith("graph TD")
    assert json.loads(cli.invoke(app, ["export", run_id]).stdout)["schema"] == "nyxlab.export/1"
    assert "2 runs would be forgotten" in cli.invoke(app, ["prune", "--older", "0d", "--dry-run"]).stderr
    assert cli.invoke(app, ["prune", "--older", "soon"]).exit_code != 0


async def test_an_edited_step_runs_again_and_nothing_before_it(lab: Lab, tmp_path: Path) -> None:
    """After an edit of the file a resume runs the changed step and what waits for it, says so first, and buys nothing
    twice."""
    async with lab:
        run = await lab.run("w.yaml")
        with pytest.raises(InputRefused, match="completed"):
            await lab.resume(run.run_id)
        (tmp_path / "w.yaml").write_text(FLOW.replace('"two {{', '"two and {{') + "  - {id: four, prompt: two again}\n")
        redo = await lab.prepare_resume(run.run_id)
        assert (redo.steps, len(redo.workflow.steps)) == (("two", "three", "four"), 4)
        assert redo.changed == ("four", "three", "two")
        again = await lab.resume(run.run_id)
        rows = await lab.cost(run.run_id)
    assert [step.status for step in again.steps.values()] == ["completed"] * 4
    assert sorted(call.step for call in again.calls) == [
        "four",
        "one",
        "three",
        "two",
        "two",
    ]  # three is asked the same
    assert again.steps["one"] == run.steps["one"]
    assert again.cost.usd > run.cost.usd
    assert sum(row["usd"] for row in rows) == again.cost.usd  # what was paid before the edit stays listed
    assert sum(row["calls"] for row in rows) >= len(again.calls)


async def test_an_edit_that_loses_paid_calls_or_is_broken_is_refused(lab: Lab, tmp_path: Path) -> None:
    """A removed step with recorded calls, and a file with mistakes, end a resume before anything changes."""
    async with lab:
        run = await lab.run("w.yaml")
        (tmp_path / "w.yaml").write_text(FLOW[: FLOW.index("  - {id: three")])
        with pytest.raises(InputRefused, match="lacks the step 'three'"):
            await lab.resume(run.run_id)
        (tmp_path / "w.yaml").write_text(FLOW.replace("steps.one", "steps.onn"))
        with pytest.raises(InputRefused, match=r"w\.yaml:6.*did you mean 'one'"):
            await lab.resume(run.run_id)
        (tmp_path / "w.yaml").unlink()
        with pytest.raises(InputRefused, match="completed"):
            await lab.resume(run.run_id)
        assert await lab.show(run.run_id) == run


async def test_a_changed_goal_asks_every_step_again(lab: Lab, tmp_path: Path) -> None:
    """The goal stands in every system prompt, so editing it changes every question."""
    async with lab:
        run = await lab.run("w.yaml")
        (tmp_path / "w.yaml").write_text("goal: Be brief.\n" + FLOW)
        assert len((await lab.prepare_resume(run.run_id)).steps) == 3
