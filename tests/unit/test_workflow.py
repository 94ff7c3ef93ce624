"""Laws of the workflow file: what is right is read as meant, what is wrong is named with its line."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.run import load_workflow
from nyxlab.engine.template import render
from nyxlab.engine.workflow import bind_inputs
from nyxlab.errors import InputRefused

WHOLE = """\
name: dual-provider-test
goal: Write it down.
inputs:
  topic: {type: string, default: rate limiting, help: what to write about}
defaults: {provider: "local:smollm2-135m", judge: null, max_tokens: 256, deadline: 60}
budget: {usd: 0.05}
steps:
  - id: draft
    persona: architect
    prompt: "Draft a plan for {{ inputs.topic }}."
    compare: [anthropic:claude-sonnet-5-5, google:gemini-3.8-flash]
    select: auto
    judge: openai:gpt-5.5
    policy: cheapest
    fallback: [openai:gpt-5.5]
  - id: outline
    max_tokens: 99
    prompt: |
      Outline:
      {{ steps.draft.output }}
    schema: {type: object}
  - {id: check, kind: review, of: [draft, outline]}
"""


def small(step: str, head: str = "") -> str:
    return f"name: w\n{head}steps:\n  - {{id: a, prompt: hello}}\n  - {step}\n"


def refusal(text: str) -> str:
    with pytest.raises(InputRefused) as caught:
        parse_workflow(text, "w.yaml")
    return str(caught.value)


def test_a_whole_file():
    """Every field of the contract is read, defaults are handed down, and edges follow from what templates name."""
    workflow = parse_workflow(WHOLE, "w.yaml")
    draft, outline, check = workflow.steps
    assert workflow.budget is not None
    assert workflow.budget.usd == Decimal("0.05")
    assert (draft.judge, draft.max_tokens, draft.deadline, draft.policy) == ("openai:gpt-5.5", 256, 60, "cheapest")
    assert (outline.judge, outline.max_tokens, outline.provider) == (None, 99, "local:smollm2-135m")
    assert outline.output_schema == {"type": "object"}
    assert [step.needs for step in workflow.steps] == [(), ("draft",), ("draft", "outline")]
    assert (check.provider, check.max_tokens) == (None, 1024)
    assert workflow.source == WHOLE


def test_both_spellings_mean_the_same():
    """camelCase keys and the field's own words name the same fields as snake_case."""
    other = WHOLE.replace("compare:", "compareProviders:").replace("select: auto", "dualProviderAutoSelect: true")
    other = other.replace("max_tokens", "maxTokens")
    same = parse_workflow(other, "w.yaml").model_copy(update={"source": WHOLE})
    assert same == parse_workflow(WHOLE, "w.yaml")


def test_a_definition_is_what_is_asked():
    """A deadline or a new neighbour leaves a step's definition alone; another prompt does not."""
    first = parse_workflow(WHOLE, "w.yaml").steps[0]
    patient = parse_workflow(WHOLE.replace("deadline: 60", "deadline: 61"), "w.yaml").steps[0]
    other = parse_workflow(WHOLE.replace("Draft a plan", "Draft plans"), "w.yaml").steps[0]
    assert first.definition == patient.definition != other.definition


REFUSED = {
    "unknown key, near name": (small("{id: b, promt: x}"), "w.yaml:4: unknown key 'promt'; did you mean 'prompt'?"),
    "unknown top key": (small("{id: b, prompt: x}", "gaol: x\n"), "w.yaml:2: unknown key 'gaol'; did you mean 'goal'?"),
    "two spellings": (small("{id: b, prompt: x, max_tokens: 1, maxTokens: 1}"), "given twice, in two spellings"),
    "duplicate key": ("name: a\nname: b\n", "w.yaml:2: 'name' stands twice"),
    "alias": ("name: &n a\nsteps: *n\n", "w.yaml:2: aliases"),
    "broken YAML": ("name: w\nsteps:\n  - id: a\n   b\n", "w.yaml:"),
    "tag": ("name: !!python/object/apply:os.system [x]\n", "w.yaml:1: not valid YAML"),
    "empty file": ("", "w.yaml:1: a workflow must be a mapping"),
    "no steps": ("name: w\n", "w.yaml:1: 'steps' is missing"),
    "wrong type": (small("{id: b, prompt: x, max_tokens: true}"), "w.yaml:4: 'max_tokens' should be a valid integer"),
    "bad id": (small("{id: B-1, prompt: x}"), "w.yaml:4: 'B-1' is not an id"),
    "bad name": ("name: ../x\nsteps: [{id: a, prompt: x}]\n", "w.yaml:1: '../x' is not a name"),
    "bad provider": (
        small("{id: b, prompt: x, provider: claude code}"),
        "'claude code' is not a provider; write vendor:model",
    ),
    "map without a prompt": (small("{id: b, kind: map, over: inputs.x}"), "w.yaml:4: a map step needs 'prompt'"),
    "map over nothing": (small("{id: b, kind: map, prompt: x}"), "a map step needs 'over', the list whose items"),
    "map over a typo": (
        small("{id: b, kind: map, prompt: x, over: steps.aa.output}"),
        "unknown step 'aa'; did you mean",
    ),
    "map that asks people": (
        small("{id: b, kind: map, prompt: x, over: [1], select: ask}"),
        "nobody can choose for each",
    ),
    "an item outside of a map": (small("{id: b, prompt: '{{ item }}'}"), "unknown variable 'item'"),
    "tool without a name": (small("{id: b, kind: tool}"), "w.yaml:4: a tool step needs 'tool'"),
    "tool with a typo in a value": (
        small("{id: b, kind: tool, tool: t, with: {a: ['{{ steps.aa.output }}']}}"),
        "unknown step 'aa'; did you mean 'a'?",
    ),
    "prompt with arguments": (small("{id: b, prompt: x, with: {a: 1}}"), "'with' does nothing in a prompt step"),
    "when on a typo": (small("{id: b, prompt: x, when: input.x}"), "unknown variable 'input'"),
    "when that calls": (small("{id: b, prompt: x, when: 'goal.upper()'}"), "'call' is not available"),
    "a hedge of nothing": (small("{id: b, prompt: x, hedge: 0}"), "'hedge' should be greater than 0"),
    "unknown policy": (
        small("{id: b, prompt: x, policy: best-ish}"),
        "use first, cheapest, fastest, best, balanced or learned",
    ),
    "no prompt": (small("{id: b}"), "w.yaml:4: a prompt step needs 'prompt'"),
    "review of nothing": (small("{id: b, kind: review}"), "w.yaml:4: a review step needs 'of'"),
    "review with a prompt": (small("{id: b, kind: review, of: [a], prompt: x}"), "'prompt' does nothing in a review"),
    "compare nobody": (small("{id: b, prompt: x, compare: []}"), "'compare' lists no provider"),
    "expect of one": (small("{id: b, prompt: x, expect: y}"), "w.yaml:4: 'expect' tells compared answers apart"),
    "expect in no language": (
        small("{id: b, prompt: x, compare: [a:b], expect: '['}"),
        "w.yaml:4: 'expect' is not a regular expression",
    ),
    "both ways": (small("{id: b, prompt: x, compare: [a:b], provider: a:b}"), "give 'provider' or 'compare'"),
    "same id": (small("{id: a, prompt: x}"), "w.yaml:4: step id 'a' is used twice"),
    "unknown need": (small("{id: b, prompt: x, needs: [aa]}"), "unknown step 'aa'; did you mean 'a'?"),
    "unknown step": (small('{id: b, prompt: "{{ steps.x.output }}"}'), "w.yaml:4: step 'b': unknown step 'x'"),
    "unknown input": (small('{id: b, prompt: "{{ inputs.x }}"}'), "w.yaml:4: step 'b': unknown input 'x'"),
    "unknown variable": (small('{id: b, prompt: "{{ step.a }}"}'), "unknown variable 'step'; a template has goal"),
    "unused input": (small("{id: b, prompt: x}", "inputs: {t: {}}\n"), "w.yaml:2: input 't' is used by no step"),
    "bad default": (
        small('{id: b, prompt: "{{inputs.t}}"}', "inputs: {t: {type: integer, default: x}}\n"),
        "must be int",
    ),
    "secret input": (small('{id: b, prompt: "{{inputs.api_key}}"}', "inputs: {api_key: {}}\n"), "looks like a secret"),
    "own output": (small('{id: b, prompt: "{{ steps.b.output }}"}'), "wait for one another: b → b"),
    "foreign schema": (small("{id: b, prompt: x, schema: {$ref: 'http://h/s'}}"), "only references inside itself"),
    "no schema": (small("{id: b, prompt: x, schema: {type: objekt}}"), "'schema' is not a JSON Schema"),
    "nan budget": (small("{id: b, prompt: x}", "budget: {usd: .nan}\n"), "w.yaml:2: 'usd' must be a number above zero"),
    "infinite budget": (small("{id: b, prompt: x}", "budget: {usd: 1.0e+400}\n"), "'usd' must be a number above zero"),
    "text budget": (small("{id: b, prompt: x}", 'budget: {usd: "7"}\n'), "'usd' must be a number above zero"),
    "true budget": (small("{id: b, prompt: x}", "budget: {usd: true}\n"), "'usd' must be a number above zero"),
    "call": (small("""{id: b, prompt: "{{ 'a'.upper() }}"}"""), "'call' is not available in a template"),
    "attribute trick": (small("""{id: b, prompt: "{{ goal.__class__ }}"}"""), "'__class__' is not available"),
    "item trick": (small("""{id: b, prompt: "{{ goal['__class__'] }}"}"""), "'__class__' is not available"),
    "growth": (small("""{id: b, prompt: "{{ 'a' * 999999999 }}"}"""), "'mul' is not available in a template"),
    "bare steps": (small("""{id: b, prompt: "{% for s in steps %}{% endfor %}"}"""), "write steps.ID.output"),
    "chosen step": (small("""{id: b, prompt: "{{ steps[goal].output }}"}"""), "write steps.ID.output"),
    "no template": (small("""{id: b, prompt: "{{ goal"}"""), "the template cannot be read"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_named(text: str, said: str):
    """Each mistake ends in a sentence that names the file, the line and what to do."""
    told = refusal(text)
    assert said in told
    assert told.startswith("w.yaml:")


def test_all_mistakes_at_once():
    """One reading tells every unknown name, in the order of lines."""
    told = refusal(WHOLE.replace("inputs.topic", "inputs.topik").replace("steps.draft", "steps.darft"))
    assert [line.split(": ")[0] for line in told.splitlines()] == ["w.yaml:10", "w.yaml:20"]


def test_a_circle_is_walked():
    """A cycle is named step by step."""
    text = "name: w\nsteps:\n- {id: a, prompt: x, needs: [b]}\n- {id: b, prompt: '{{ steps.a.output }}'}\n"
    assert "a → b → a" in refusal(text) or "b → a → b" in refusal(text)


@pytest.mark.parametrize("text", ["a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", "[" * 400_000, "x: " + "y" * 2_000_000])
def test_bombs_end_at_once(text: str):
    """An alias bomb, a tower of brackets and a flood end in under a second."""
    began = time.perf_counter()
    refusal(text)
    assert time.perf_counter() - began < 1


INPUTS = """\
name: w
inputs: {s: {}, i: {type: integer}, n: {type: number}, b: {type: boolean}, p: {type: path, default: plan.md}}
steps: [{id: a, prompt: "{{inputs.s}} {{inputs.i}} {{inputs.n}} {{inputs.b}} {{inputs.p}}"}]
"""


def test_inputs_are_read_by_type():
    """Text of the command line becomes the declared type; values of that type stay as they are."""
    workflow = parse_workflow(INPUTS, "w.yaml")
    given = {"s": "7", "i": "7", "n": "0.5", "b": "yes"}
    bound = bind_inputs(workflow, given)
    assert bound == {"s": "7", "i": 7, "n": 0.5, "b": True, "p": "plan.md"} == bind_inputs(workflow, bound)
    assert render(workflow.steps[0].prompt or "", {"inputs": bound}) == "7 7 0.5 true plan.md"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ss": "x"}, "no input 'ss'; did you mean 's'?"),
        ({}, "input 's' is missing: give it with -p s=VALUE"),
        ({"s": 1}, "input 's' must be string"),
        ({"s": "x", "i": "1.5"}, "input 'i' must be integer, not '1.5'"),
        ({"s": "x", "i": True}, "input 'i' must be integer"),
        ({"s": "x", "i": "1", "n": "nan"}, "input 'n' must be number"),
        ({"s": "x", "i": "1", "n": "1e400"}, "input 'n' must be number"),
        ({"s": "x", "i": "1", "n": "1", "b": "perhaps"}, "input 'b' must be boolean"),
        ({"api_key": "x"}, "looks like a secret"),
        ({"access-token": "x"}, "looks like a secret"),
        ({"max_tokens": "x"}, "no input 'max_tokens'"),
    ],
)
def test_inputs_that_are_refused(given: dict, said: str):
    """An unknown, missing, wrongly typed or secret-looking input is refused in one sentence."""
    with pytest.raises(InputRefused) as caught:
        bind_inputs(parse_workflow(INPUTS, "w.yaml"), given)
    assert said in str(caught.value)


def test_outputs_in_templates():
    """Data is rendered as JSON, text as it is, and what is undefined or too long is refused."""
    told = {"steps": {"a": {"output": {"items": ["x", True], "é": None}}}}
    assert render("{{ steps.a.output }}", told) == '{"items": ["x", true], "é": null}'
    assert render("{% for i in steps.a.output['items'] %}{{ loop.index }} {{ i }};{% endfor %}", told) == "1 x;2 true;"
    assert render("{{ steps.a.output | tojson }}", told) == '{"items": ["x", true], "é": null}'
    for template in ("{{ steps.a.output.nothing }}", "{{ steps.b.output }}", "{{ goal }}"):
        with pytest.raises(InputRefused, match="cannot be filled in"):
            render(template, told)
    with pytest.raises(InputRefused, match="grows beyond"):
        render("{{ goal }}" * 300, {"goal": "x" * 10_000})


@pytest.mark.parametrize("name", ["absent.yaml", ".", "binary.yaml"])
def test_files_that_cannot_be_read(tmp_path, name: str):
    """A missing file, a folder and a binary file are each refused by name."""
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputRefused, match=str(tmp_path)):
        load_workflow(tmp_path / name)
