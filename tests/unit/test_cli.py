"""The command line as a user meets it: a child process, an exit code, one clear sentence, nothing written on bad
input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOW = """\
name: two
inputs:
  topic: {type: string, default: limits}
steps:
  - {id: one, prompt: "About {{ inputs.topic }}.", compare: ["script:s.yaml#a", "script:s.yaml#b"]}
  - {id: two, prompt: "More of {{ steps.one.output }}", provider: "script:s.yaml#a"}
"""
SCRIPT = """\
a: [{text: The answer of a is long enough., usage: {input_tokens: 7, output_tokens: 5}}]
b: [{text: The answer of b is different., usage: {input_tokens: 7, output_tokens: 4}}]
judge: [{match: ["FIRST ANSWER\\nThe answer of b"], json: {rationale: b is better, verdict: first}}, {json: {rationale: b is better, verdict: second}}]
busy: [{error: busy}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w.yaml").write_text(WORKFLOW)
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text("")
    return tmp_path


def nyxlab(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nyxlab.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | environment, timeout=60)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_run_show_cost_and_report(folder: Path) -> None:
    """One run: its id first on standard error, the checkpoint of the contract with --json, and everything reads it
    back."""
    done = nyxlab(folder, "run", "w.yaml", "--judge", "script:s.yaml#judge", "--json")
    assert done.returncode == 0, done.stderr
    checkpoint = json.loads(done.stdout)
    run_id = checkpoint["runId"]
    assert done.stderr.splitlines()[0] == f"run {run_id}"
    one, two = checkpoint["steps"]
    assert (one["selectedProvider"], one["selectedBy"]) == ("script:s.yaml#b", "judge")
    assert one["caelReview"]["swapConsistent"] is True
    assert [v["winner"] for v in one["caelReview"]["verdicts"]] == ["script:s.yaml#b"] * 2
    assert two["gate"]["reason"].startswith("1 listed, 1 usable: ")
    assert checkpoint["totals"]["calls"] == 5
    assert checkpoint["totals"]["tokens"] == 12 + 11 + 12

    assert json.loads(nyxlab(folder, "show", run_id, "--json").stdout) == checkpoint
    assert [run["runId"] for run in json.loads(nyxlab(folder, "runs", "--json").stdout)] == [run_id]
    assert {row["provider"] for row in json.loads(nyxlab(folder, "cost", "--json").stdout)} == {
        "script:s.yaml#a",
        "script:s.yaml#b",
        "script:s.yaml#judge",
    }
    assert nyxlab(folder, "report", run_id, "--output", "out/run.html").returncode == 0
    assert "script:s.yaml#b" in (folder / "out" / "run.html").read_text()


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("script:s.yaml#a", "1 listed, 1 usable: "),
        ("script:s.yaml#a,google:gemini-3.8-flash", "2 listed, 1 usable: "),
        ("script:s.yaml#a,script:s.yaml#a", "2 listed, 1 usable: "),
        ("script:s.yaml#a,script:s.yaml#busy", "2 listed, 2 usable: "),
    ],
    ids=["one listed", "one without a key", "the same one twice", "one failing"],
)
def test_comparison_with_one_usable_provider_never_waits(folder: Path, listed: str, said: str) -> None:
    """The old bug: a comparison asked for with one usable provider completes at once and says why it did not
    compare."""
    done = nyxlab(folder, "compare", "Which limit?", "--providers", listed, "--json")
    assert done.returncode == 0, done.stderr
    (step,) = json.loads(done.stdout)["steps"]
    assert step["selectedProvider"] == "script:s.yaml#a"
    assert step["selectedBy"] == "only"
    assert step["gate"]["reason"].startswith(said)
    assert step["caelReview"] is None


def test_without_a_judge_the_policy_decides_and_says_so(folder: Path) -> None:
    """No judge named: the choice is the policy's, and the reason names it."""
    done = nyxlab(folder, "compare", "Which limit?", "--providers", "script:s.yaml#a,script:s.yaml#b", "--json")
    (step,) = json.loads(done.stdout)["steps"]
    assert step["selectedBy"] == "policy"
    assert "no judge named" in step["gate"]["reason"]


def test_failure_and_resume(folder: Path) -> None:
    """A failed run ends with 1 and says how to resume; after the cause is mended, resume repeats no finished step."""
    (folder / "w.yaml").write_text(WORKFLOW.replace('provider: "script:s.yaml#a"', 'provider: "script:s.yaml#busy"'))
    failed = nyxlab(folder, "run", "w.yaml", "--json")
    assert failed.returncode == 1
    run_id = json.loads(failed.stdout)["runId"]
    assert f"nyxlab resume {run_id}" in failed.stderr
    before = json.loads(failed.stdout)["steps"][0]

    (folder / "s.yaml").write_text(SCRIPT.replace("{error: busy}", "{text: Now it works well.}"))
    resumed = nyxlab(folder, "resume", run_id, "--json")
    assert resumed.returncode == 0, resumed.stderr
    first, second = json.loads(resumed.stdout)["steps"]
    assert first == before
    assert second["output"] == "Now it works well."
    again = nyxlab(folder, "resume", run_id)
    assert again.returncode == 2
    assert "nothing is left to do" in again.stderr


def test_budget_pauses_and_resume_carries_on(folder: Path) -> None:
    """A budget that is too small ends with 3, nothing is overspent, and resume with a larger one completes the run."""
    price = 'price: {input: "1000", output: "1000"}'
    (folder / "s.yaml").write_text(SCRIPT.replace("output_tokens: 5}}", f"output_tokens: 5}}, {price}}}"))
    paused = nyxlab(folder, "run", "w.yaml", "--providers", "script:s.yaml#a", "--budget", "0.01", "--json")
    assert paused.returncode == 3, paused.stderr
    checkpoint = json.loads(paused.stdout)
    assert checkpoint["status"] == "paused"
    assert checkpoint["pause"]["kind"] == "budget"
    assert checkpoint["totals"]["calls"] == 0
    done = nyxlab(folder, "resume", checkpoint["runId"], "--budget", "100")
    assert done.returncode == 0, done.stderr


def test_forecast_calls_nobody(folder: Path) -> None:
    """--forecast says the most that it may cost and writes nothing."""
    before = listing(folder)
    done = nyxlab(
        folder,
        "run",
        "w.yaml",
        "--forecast",
        "--json",
        "--providers",
        "anthropic:claude-sonnet-5-5",
        ANTHROPIC_API_KEY="k",
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert float(told["total"]["usd"]) > 0
    assert listing(folder) == before


BAD = {
    "unknown workflow": (["run", "nowhere.yaml"], "nowhere.yaml"),
    "bad YAML": (["run", "bad.yaml"], "bad.yaml:3"),
    "unknown variable": (["run", "variable.yaml"], "variable.yaml:2"),
    "cycle": (["run", "cycle.yaml"], "→"),
    "unknown provider": (["run", "w.yaml", "--providers", "antropic:x"], "anthropic"),
    "missing key": (["run", "w.yaml", "--providers", "openai:gpt-5.5"], "OPENAI_API_KEY"),
    "unknown input": (["run", "w.yaml", "-p", "topik=x"], "topic"),
    "secret input": (["run", "w.yaml", "-p", "api_key=x"], "secret"),
    "not NAME=VALUE": (["run", "w.yaml", "-p", "topic"], "NAME=VALUE"),
    "NaN budget": (["run", "w.yaml", "--budget", "NaN"], "budget"),
    "negative budget": (["compare", "x", "--providers", "script:s.yaml#a", "--budget", "-1"], "budget"),
    "unknown run": (["show", "20200101-000000-zzzzzz"], "nyxlab runs"),
    "resume of an unknown run": (["resume", "20200101-000000-zzzzzz"], "nyxlab runs"),
    "missing plan": (["review", "no-such-plan.md"], "no-such-plan.md"),
    "empty plan": (["review", "empty.md"], "empty"),
    "binary plan": (["review", "binary.md"], "binary"),
    "unknown level": (["review", "plan.md", "--fail-on", "huge"], "critical"),
    "unknown format": (["review", "plan.md", "--format", "pdf"], "use text, json"),
    "not a review": (["prompt", "w.yaml"], "nyxlab.review/1"),
    "empty prompt": (["compare", " ", "--providers", "script:s.yaml#a"], "empty"),
    "hollow review": (["report", "hollow.json"], "no whole review"),
    "prompt of a hollow review": (["prompt", "hollow.json"], "no whole review"),
    "unknown grid": (["batch", "grid.yaml"], "grid.yaml"),
    "unknown notebook parameter": (["batch", "misspelt.yaml"], "providers"),
    "parameter that is code": (["batch", "code.yaml"], "declares no parameter"),
    "secret parameter": (["batch", "secret.yaml"], "secret"),
    "grid that leads out": (["batch", "out.yaml"], "inside the project"),
    "usage": (["run"], "WORKFLOW"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(folder: Path, case: str) -> None:
    """Bad input ends with exit code 2, a sentence that names what to mend, no traceback, and nothing written."""
    (folder / "bad.yaml").write_text("name: x\nsteps: [\n")
    (folder / "variable.yaml").write_text(
        "name: x\nsteps: [{id: a, prompt: 'About {{ topik }}', provider: 'script:s.yaml#a'}]\n"
    )
    (folder / "cycle.yaml").write_text(
        "name: x\nsteps:\n"
        "  - {id: a, prompt: 'x {{ steps.b.output }}', provider: 'script:s.yaml#a'}\n"
        "  - {id: b, prompt: 'x {{ steps.a.output }}', provider: 'script:s.yaml#a'}\n"
    )
    (folder / "plan.md").write_text("# Plan\n\nNothing is wrong with it.\n")
    (folder / "empty.md").write_text("\n")
    (folder / "binary.md").write_bytes(b"# Plan\0\xff")
    (folder / "n.ipynb").write_bytes((ROOT / "notebooks" / "01-run-workflow.ipynb").read_bytes())
    (folder / "misspelt.yaml").write_text("include: [{notebook: n.ipynb, provider: x}]\n")
    (folder / "code.yaml").write_text("include: [{notebook: n.ipynb, 'import os; x': 1}]\n")
    (folder / "secret.yaml").write_text("include: [{notebook: n.ipynb, api_key: x}]\n")
    (folder / "hollow.json").write_text('{"schema": "nyxlab.review/1"}')
    (folder / "out.yaml").write_text("notebook: n.ipynb\nmatrix: {topic: {glob: ../*.md}}\n")
    words, said = BAD[case]
    before = listing(folder)
    done = nyxlab(folder, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert listing(folder) == before


def test_review_exit_codes_and_prompt(folder: Path) -> None:
    """A plan whose definitions exclude each other ends with 4; its review gives a prompt as one file or one a phase."""
    (folder / "plan.md").write_text(
        "# Plan\n\n## Step 1: Data\nEach member belongs to exactly one team. Create `a.py` (new).\n\n"
        "## Step 2: Screens\nA member may join several teams.\n"
    )
    done = nyxlab(folder, "review", "plan.md", "--format", "json", "--output", "review.json")
    assert done.returncode == 4, done.stderr
    review = json.loads((folder / "review.json").read_text())
    assert review["verdict"] == "FAIL"
    assert review["documents"][0]["path"] == "plan.md"
    assert nyxlab(folder, "prompt", "review.json", "--output", "phases/").returncode == 0
    assert len(list((folder / "phases").glob("*.md"))) == len(review["phases"]) + 2  # header and appendix
    assert nyxlab(folder, "report", "review.json", "--output", "review.html").returncode == 0
    assert "A member may join several teams" in (folder / "review.html").read_text()
    sound = nyxlab(folder, "review", str(ROOT / "data" / "plans" / "rate-limits.md"))
    assert sound.returncode == 0
    assert sound.stdout.startswith("PASS (rules only")


def test_init_runs_at_once(tmp_path: Path) -> None:
    """`nyxlab init` in an empty folder gives a project that runs and reviews without a key; twice is refused."""
    assert nyxlab(tmp_path, "init").returncode == 0
    assert nyxlab(tmp_path, "run", "data/workflows/first.yaml").returncode == 0
    assert nyxlab(tmp_path, "review", "data/plans/first.md").returncode == 0
    before = listing(tmp_path)
    again = nyxlab(tmp_path, "init")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert listing(tmp_path) == before


def test_interrupted_run_says_how_to_resume(folder: Path) -> None:
    """Ctrl-C ends with 130, names the resume command, and the run carries on from there."""
    import signal
    import time

    (folder / "s.yaml").write_text(SCRIPT.replace("a: [{", "a: [{latency: 3, "))
    command = [sys.executable, "-m", "nyxlab.cli", "run", "w.yaml"]
    child = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip
    assert child.stderr is not None
    first = child.stderr.readline()
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, rest = child.communicate(timeout=30)
    assert child.returncode == 130, rest
    run_id = first.split()[1]
    assert f"nyxlab resume {run_id}" in rest
    (folder / "s.yaml").write_text(SCRIPT)
    assert nyxlab(folder, "resume", run_id).returncode == 0
