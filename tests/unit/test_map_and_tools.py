"""Steps that fan out, steps that call functions, and steps that run only when something holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import CallDone, Event, Run
from nyxlab.engine.template import evaluate, filled
from nyxlab.errors import InputRefused
from nyxlab.lab.lab import Lab
from nyxlab.lab.views import rows as tables
from nyxlab.lab.workflows.toolbox import Workplace, tool
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
PRICE = "price: {input: '1000', output: '1000'}, usage: {input_tokens: 10, output_tokens: 5}"
SCRIPT = f"""\
# scripted replies, written by hand: no model produced this text
a:
  - {{match: "list", json: {{sections: [red, green, red, blue]}}}}
  - {{match: "nothing", json: {{sections: []}}}}
  - {{match: "bad", error: refused}}
  - {{match: "about", text: "said", {PRICE}}}
b:
  - {{match: "about", text: "also said"}}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text("")
    return Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path))


def flow(steps: str, more: str = "") -> str:
    return f'name: w\n{more}defaults: {{provider: "script:s.yaml#a"}}\nsteps:\n{steps}'


async def ran(lab: Lab, text: str, **options: object) -> Run:
    return await lab.run(parse_workflow(text, "w.yaml"), **options)


OUTLINE = """\
  - {id: outline, prompt: list, schema: {type: object}}
  - {id: parts, kind: map, over: steps.outline.output.sections, prompt: "about {{ item }} at {{ index }}"}
  - {id: whole, prompt: "about {{ steps.parts.output | join(', ') }}"}
"""


async def test_a_map_step_asks_once_an_item(lab: Lab) -> None:
    """Each item of another step's list is one call, in the list's order, and later steps see the list of answers."""
    async with lab:
        run = await ran(lab, flow(OUTLINE))
    assert run.status == "completed"
    assert run.steps["parts"].output == ["said"] * 4
    assert [item["index"] for item in run.steps["parts"].payload["items"]] == [0, 1, 2, 3]
    assert len(run.steps["parts"].calls) == 4
    rows = tables.step_rows(run.checkpoint())
    assert sum(row["usd"] for row in rows) == run.cost.usd, "tables add up to the totals"


async def test_a_map_step_compares_each_item(lab: Lab) -> None:
    """With two providers every item has its own verdict."""
    text = flow("  - {id: p, kind: map, over: [x, y], prompt: 'about {{ item }}', compare: ['script:s.yaml#a', 'script:s.yaml#b'], policy: first}\n")  # fmt: skip
    async with lab:
        run = await ran(lab, text)
    assert [len(item["alternatives"]) for item in run.steps["p"].payload["items"]] == [2, 2]
    assert run.steps["p"].output == ["said", "said"]


async def test_an_item_that_fails_is_named_and_the_others_are_kept(lab: Lab) -> None:
    """A failing item fails the step with its index; at the next go only that item is asked again."""
    text = flow("  - {id: p, kind: map, over: [x, bad, y], prompt: 'about {{ item }}'}\n")
    async with lab:
        run = await ran(lab, text)
        assert (run.status, run.steps["p"].status) == ("failed", "failed")
        assert "item 1:" in run.steps["p"].error
        again = await lab.resume(run.run_id)
    assert [call.status for call in again.calls] == ["ok", "error", "ok", "error"]


class Stop(Exception):
    """Ends a run in the middle of a map step."""


async def stopped(lab: Lab) -> Run:
    """Run a map step until the call of its second item has ended; the third one takes a minute."""
    text = flow("  - {id: p, kind: map, over: [x, y, z], prompt: 'about {{ item }}'}\n")
    (lab.settings.root / "w.yaml").write_text(text)
    slow = "{match: about y, text: two, latency: 0.1}, {match: about z, text: three, latency: 60}, {text: one}"
    (lab.settings.root / "s.yaml").write_text(f"a: [{slow}]")
    ended: list[CallDone] = []

    def watch(event: Event) -> None:
        ended.extend([event] if isinstance(event, CallDone) else [])
        if len(ended) == 2:
            raise Stop

    with pytest.raises(Stop):
        await lab.run("w.yaml", on_event=watch)
    (lab.settings.root / "s.yaml").write_text(SCRIPT)
    lab.desk._providers.clear()  # a new process reads the script anew
    (run,) = await lab.runs()
    return await lab.show(run.run_id)


async def test_items_that_ended_are_taken_as_they_are(lab: Lab) -> None:
    """A resume puts no question to the gate for an item that ended: its outcome is the recorded one, its calls count."""
    told: list[CallDone] = []
    async with lab:
        run = await stopped(lab)
        (first,) = run.steps["p"].items
        done = await lab.resume(run.run_id, on_event=lambda e: told.append(e) if isinstance(e, CallDone) else None)
        kept = await lab.show(run.run_id)
    items = done.steps["p"].payload["items"]
    assert done.steps["p"].output == ["one", "two", "said"]
    assert items[0] == first.outcome
    assert [item["alternatives"][0]["cached"] for item in items] == [False, True, False]
    assert [event.replayed for event in told] == [True, True, False], "whoever watches hears of all three"
    assert sum(call.status == "ok" for call in done.calls) == 3, "each was paid once"
    assert not kept.steps["p"].items, "a step that is completed needs no items any more"


async def test_an_edit_runs_all_items_again(lab: Lab) -> None:
    """Items that ended under another prompt are asked again, and what they cost stays listed."""
    file = lab.settings.root / "w.yaml"
    async with lab:
        run = await stopped(lab)
        assert run.steps["p"].items
        file.write_text(file.read_text().replace("about", "all about"))
        done = await lab.resume(run.run_id)
    assert done.steps["p"].output == ["said"] * 3
    assert sum(call.status == "ok" for call in done.calls) == 5, "what the first prompt cost stays listed"


async def test_the_end_of_the_budget_pauses_a_map_step(lab: Lab) -> None:
    """What the budget does not hold is not asked; a larger one carries on and buys nothing twice."""
    text = flow("  - {id: p, kind: map, over: [x, y, z], prompt: 'about {{ item }}', max_tokens: 5}\n")
    async with lab:
        run = await ran(lab, text, budget="0.018")
        assert (run.status, run.pause.kind) == ("paused", "budget")
        bought = [call for call in run.calls if call.status == "ok"]
        assert 0 < len(bought) < 3
        more = await lab.resume(run.run_id, budget="1")
    assert more.status == "completed"
    assert len([call for call in more.calls if call.status == "ok"]) == 3


async def test_no_list_no_items(lab: Lab) -> None:
    """What is not a list fails in one sentence; an empty list asks nobody."""
    async with lab:
        run = await ran(
            lab, flow("  - {id: p, kind: map, over: goal, prompt: 'about {{ item }}'}\n", "goal: no list\n")
        )
        assert "'goal' is not a list" in run.steps["p"].error
        empty = await ran(lab, flow(OUTLINE.replace("list", "nothing")))
    assert (empty.status, empty.steps["parts"].output, len(empty.calls)) == ("completed", [], 2)


async def test_when_decides_what_runs(lab: Lab) -> None:
    """A step whose condition does not hold is skipped with an output of null, and what follows decides for itself."""
    text = flow(
        "  - {id: one, prompt: about, when: inputs.wanted}\n"
        "  - {id: two, prompt: 'about {{ steps.one.output }}', when: '{{ steps.one.output != none }}'}\n"
        "  - {id: three, needs: [two], prompt: about three}\n",
        "inputs: {wanted: {type: boolean, default: false}}\n",
    )
    async with lab:
        run = await ran(lab, text)
        assert [step.status for step in run.steps.values()] == ["skipped", "skipped", "completed"]
        assert run.status == "completed"
        full = await ran(lab, text, inputs={"wanted": True})
    assert [step.status for step in full.steps.values()] == ["completed"] * 3


async def test_a_tool_step_gets_values_not_texts(lab: Lab) -> None:
    """An argument that is one expression is passed as the value it has, and one with words around it as text."""

    @tool(acts=False)
    def told(place: Workplace, *, names: list[str], line: str) -> dict[str, object]:
        return {"names": sorted(set(names)), "line": line, "scratch": place.scratch.name}

    text = flow(
        "  - {id: outline, prompt: list, schema: {type: object}}\n"
        "  - id: t\n    kind: tool\n    tool: told\n"
        "    with: {names: '{{ steps.outline.output.sections }}', line: 'of {{ steps.outline.output.sections | length }}'}\n"
    )
    async with lab:
        run = await ran(lab, text)
    assert run.steps["t"].output == {"names": ["blue", "green", "red"], "line": "of 4", "scratch": run.run_id}


async def test_a_tool_that_cannot_work_fails_its_step(lab: Lab) -> None:
    """A tool's own error is the step's, in one sentence; an unknown tool is refused before anything is written."""
    async with lab:
        run = await ran(lab, flow("  - {id: t, kind: tool, tool: read_files, with: {repo: nowhere}}\n"))
        assert "no folder inside the project" in run.steps["t"].error
        with pytest.raises(InputRefused, match="unknown tool 'read_file'; did you mean 'read_files'"):
            await ran(lab, flow("  - {id: t, kind: tool, tool: read_file, with: {repo: x}}\n"))
        assert len(await lab.runs()) == 1


@pytest.mark.parametrize("text", ["inputs.x.y", "steps.a.output.nothing", "nobody", "1 +"])
def test_an_expression_without_a_value_is_refused(text: str) -> None:
    """What is undefined or no expression is refused in a sentence, never taken for false."""
    with pytest.raises(InputRefused):
        evaluate(text, {"inputs": {"x": {}}, "steps": {"a": {"output": {}}}, "goal": ""})


def test_values_are_filled_in_at_any_depth() -> None:
    """Lists and mappings keep their shape; only texts are filled in."""
    variables = {"inputs": {"n": 3}, "steps": {}, "goal": "g"}
    given = {"a": ["{{ inputs.n }}", "n={{ inputs.n }}", 7, None], "b": {"c": "{{ goal }}"}}
    assert filled(given, variables) == {"a": [3, "n=3", 7, None], "b": {"c": "g"}}
