"""A letter says what is recorded and nothing else, is read again as it was written, and teaches the next plan."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside import nyxlab
from markdown_it import MarkdownIt

from nyxlab.engine.reading import parse_workflow
from nyxlab.errors import InputRefused, ToolFailed
from nyxlab.lab.drafting import unfounded
from nyxlab.lab.lab import Lab
from nyxlab.lab.letters import Letter, keep_lessons, lessons_of, read_letter
from nyxlab.lab.own import lessons_text, project_rules
from nyxlab.lab.views.report import render_letter
from nyxlab.reviewer.review import review_documents
from nyxlab.reviewer.text.document import parse_documents
from nyxlab.settings import load_settings

ROOT = Path(__file__).parents[2]
SCRIPT = """\
# scripted replies, written by hand: no model produced this text
a: [{text: the first plan, price: {input: "3.00", output: "15.00"}, usage: {input_tokens: 100, output_tokens: 10}}]
b: [{text: the second plan}]
c: [{error: broken}]
honest: [{text: "One run of quick was completed, and asks waits for a choice."}]
boasts: [{text: "All 98765 runs went well, as Ana said on gpt-5."}]
"""
QUICK = 'name: quick\nsteps: [{id: draft, prompt: "Draft it.", provider: "script:s.yaml#a"}]\n'
FAILS = 'name: fails\nsteps: [{id: draft, prompt: "Draft it.", provider: "script:s.yaml#c"}]\n'
ASKS = """\
name: asks
steps: [{id: draft, prompt: Draft it., compare: ["script:s.yaml#a", "script:s.yaml#b"], select: ask, judge: null}]
"""
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text('store = "sqlite:///l.db"\n')
    return Lab(settings=load_settings(tmp_path))


def _file(folder: Path, value: object) -> Path:
    (folder / "letter.md").write_text(f"# A letter\n\n```json\n{json.dumps(value)}\n```\n", encoding="utf-8")
    return folder / "letter.md"


@given(
    st.fixed_dictionaries({}, optional={k: st.lists(words) for k in ("thingsDone", "pains", "successes", "techStack")})
)
def test_the_original_form_comes_back(tmp_path, hand_off):
    """A hand-off of lists of sentences, alone or in Markdown, is read and written back unchanged, whatever it says."""
    (tmp_path / "letter.json").write_text(json.dumps(hand_off), encoding="utf-8")
    assert read_letter(tmp_path / "letter.json").to_json() == hand_off
    written = render_letter(hand_off, "2026-11-27", [], "md")
    (tmp_path / "letter.md").write_text(written, encoding="utf-8", newline="")
    assert read_letter(tmp_path / "letter.md").to_json() == hand_off


@pytest.mark.anyio
async def test_a_week(lab, tmp_path):
    """What was run, what failed, what waits and what it cost stand in the letter, each with its run and its command."""
    async with lab:
        quick = await lab.run(parse_workflow(QUICK, "quick"))
        failed = [await lab.run(parse_workflow(FAILS, "fails")) for _ in range(2)]
        asks = await lab.run(parse_workflow(ASKS, "asks"))
        short = await lab.run(parse_workflow(QUICK, "quick"), budget="0.0001")
        letter = await lab.letter()
        assert letter.things_done == ("quick: 1 run completed, ≈ $0.00045",)
        pains = {pain.what: pain for pain in letter.pains}
        assert pains["fails failed at step draft"].run == failed[-1].run_id
        assert pains["fails failed at step draft"].tried == "2 times"
        assert pains["asks waits at step draft for choice"].run == asks.run_id
        assert pains["quick waits at step draft for budget"].run == short.run_id
        assert "script:s.yaml#c gave no answer" in pains
        commands = {step.done["run"]: step.command for step in letter.next}
        assert commands[asks.run_id] == f"nyxlab choose {asks.run_id} draft PROVIDER --resume"
        assert commands[failed[0].run_id] == f"nyxlab resume {failed[0].run_id}"
        assert commands[short.run_id] == f"nyxlab resume {short.run_id} --budget USD"
        assert (await lab.resume(short.run_id, budget="1")).status == "completed"
        assert (await lab.look_up(letter))[0] == []  # what a run costs after the letter is not the letter's
        assert set(letter.state.runs) == {run.run_id for run in (quick, *failed, asks, short)}
        assert str(letter.state.spend.usd) == str(sum(r.cost.usd for r in (quick, *failed, asks)))


@pytest.mark.anyio
async def test_since(lab, tmp_path):
    """A letter begins where it is told, at a date or a run, else where the last one ended."""
    async with lab:
        runs = [await lab.run(parse_workflow(QUICK, "quick")) for _ in range(3)]
        assert (await lab.letter(runs[1].run_id)).state.runs == (runs[2].run_id, runs[1].run_id)
        assert (await lab.letter("2999-01-01")).state.runs == ()
        first = await lab.letter()
        (tmp_path / "data" / "letters").mkdir(parents=True)
        text = render_letter(first.to_json(), "2026-11-27", [], "md")
        (tmp_path / "data" / "letters" / "2026-11-27-letter.md").write_text(text)
        later = await lab.run(parse_workflow(QUICK, "quick"))
        assert (await lab.letter()).state.runs == (later.run_id,)
        with pytest.raises(InputRefused, match="--since takes"):
            await lab.letter("yesterday")


@pytest.mark.anyio
async def test_check(lab):
    """A letter that was drafted holds; with a run more or less, or another amount, it does not."""
    async with lab:
        runs = [await lab.run(parse_workflow(QUICK, "quick")) for _ in range(2)]
        told = (await lab.letter()).to_json()
        assert (await lab.look_up(Letter.model_validate(told)))[0] == []
        for change in (
            {"spend": {"usd": "0.01", "certainty": "estimated"}},
            {"tokens": 7},
            {"runs": [runs[0].run_id]},
            {"runs": [*told["state"]["runs"], "20200101-000000-nobody"]},
        ):
            other = Letter.model_validate({**told, "state": {**told["state"], **change}})
            assert len((await lab.look_up(other))[0]) == 1, change
        stranger = {"pains": [{"what": "x", "run": "20200101-000000-nobody"}]}
        assert (await lab.look_up(Letter.model_validate(stranger)))[0] == [
            "no run '20200101-000000-nobody' in the ledger"
        ]


@pytest.fixture
def commit(tmp_path):
    """A commit of a new repository in the project."""
    for told in (["init", "-q"], ["-c", "user.email=a@b", "-c", "user.name=a", "commit", "-qm", "x", "--allow-empty"]):
        subprocess.run(["git", "-C", str(tmp_path), *told], check=True)
    asked = ["git", "-C", str(tmp_path), "rev-parse", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.anyio
async def test_done(lab, commit):
    """A next step is done once its run is completed, its file there, its commit made; a sentence never is."""
    async with lab:
        quick, asks = [await lab.run(parse_workflow(flow, "w")) for flow in (QUICK, ASKS)]
        done = [{"run": quick.run_id}, {"run": asks.run_id}, {"file": "s.yaml"}, {"file": "t.yaml"},
                {"commit": commit[:9]}, {"commit": "0" * 40}, {"commit": "--all"}]  # fmt: skip
        letter = Letter.model_validate({"next": [*({"title": "x", "done": each} for each in done), "think"]})
        assert (await lab.look_up(letter))[1] == [True, False, True, False, True, False, False, False]


@pytest.mark.anyio
async def test_prose_adds_no_fact(lab):
    """Sentences of a model's open the letter where all that they name is recorded; else they are refused by name."""
    async with lab:
        await lab.run(parse_workflow(QUICK, "quick"))
        await lab.run(parse_workflow(ASKS, "asks"))
        heard = []
        told = await lab.letter(providers="script:s.yaml#honest", on_costs=heard.append)
        assert heard == [{}]  # told before the call, and of nobody: a script stays on this machine
        assert told.prose.startswith("One run of quick")
        assert "prose" not in told.to_json()
        with pytest.raises(ToolFailed, match=r"98765, .*gpt-5") as refused:
            await lab.letter(providers="script:s.yaml#boasts")
        assert "Ana" in str(refused.value)


@pytest.mark.parametrize(
    ("prose", "added"),
    [
        ("It cost $0.12 in 3 runs.", []),
        ("It cost $0.1 in 3 runs.", ["0.1"]),
        ("It cost $12 in 30 runs.", ["12", "30"]),
        ("Step draft of quick-plan failed.", ["quick-plan"]),
        ("We thank Ana. Then we rest.", ["Ana"]),
        ("a" * 200_000, []),
        ("a_" * 20_000 + " 7", ["a_" * 20_000, "7"]),
    ],
)
def test_unfounded(prose, added):
    """A number, an id or a name that is only part of one in the facts is none of them."""
    assert unfounded(prose, '"quick: 3 runs, $0.12", "20261127-101112-abc"') == added


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# Nothing\n", "no blocks of JSON"),
        ("```json\n{}\n```\n\n```json\n{}\n```\n", "2 blocks of JSON"),
        ('# A\n\n```json\n{"pains": [}\n```\n', "letter.md:4: not valid JSON"),
        ('{"pain": []}', "pain: Extra inputs"),
        ('{"schema": "nyxlab.letter/2"}', "schema: Input should be"),
        ('{"next": [{"title": "x", "done": {"run": "a", "file": "b"}}]}', "next.0.done"),
        ('{"state": {"since": "2026-11-20", "until": "soon"}}', "state.since"),
        ('{"pains": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ("[]", "no blocks of JSON"),
    ],
)
def test_refusals(tmp_path, text, said):
    """What is no letter is refused in one sentence that says where and why."""
    (tmp_path / "letter.md").write_text(text)
    with pytest.raises(InputRefused) as refused:
        read_letter(tmp_path / "letter.md")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_lessons(tmp_path):
    """The same pain twice is one lesson; what a person wrote in the file stays, and the next plan is told."""
    pain = {"what": "Compose read the development file", "tried": "`docker compose up` on the server",
            "failure": "the database was the developers' own", "lesson": "name the production file"}  # fmt: skip
    letter = Letter.model_validate({"pains": [pain, pain, "Rapid logins were refused", {"what": "no lesson yet"}]})
    own = tmp_path / "lessons" / "own.yaml"
    own.parent.mkdir()
    own.write_text("# by hand\n[]\n".replace("[]\n", ""))
    keep_lessons(tmp_path, lessons_of(letter).values())
    assert own.read_text().startswith("# by hand\n- id: own-compose-read-the-development-file\n")
    told = lessons_text(tmp_path)
    assert "The database was the developers' own." in told
    assert "Rapid logins were refused" in told
    for rule in project_rules(tmp_path):
        if rule.id.startswith("own-"):
            for text, fires in ((rule.firing[0], True), (rule.quiet[0], False)):
                review = review_documents(parse_documents({"plan.md": text}), rules=[rule])
                assert bool(review.findings) is fires


def test_commands(tmp_path):
    """new, show, check, lessons and report work on one another's files; a person's no keeps nothing."""
    nyxlab(tmp_path, "init")
    assert nyxlab(tmp_path, "letter", "show").returncode == 2
    assert nyxlab(tmp_path, "run", "data/workflows/first.yaml").returncode == 0
    for _ in range(2):
        assert nyxlab(tmp_path, "letter", "new", "--since", "2026-01-01").returncode == 0
    assert len(list((tmp_path / "data" / "letters").glob("20*-letter*.md"))) == 2  # none is written over
    assert nyxlab(tmp_path, "letter", "check").returncode == 0
    assert "first: 1 run completed" in nyxlab(tmp_path, "letter", "show").stdout
    shown = json.loads(nyxlab(tmp_path, "letter", "show", "--json").stdout)
    assert shown["schema"] == "nyxlab.letter/1"
    path = _file(tmp_path, {**shown, "pains": ["Rapid logins were refused"]})
    refused = nyxlab(tmp_path, "letter", "lessons", str(path), given="n\n")
    assert "0 kept" in refused.stdout
    assert not (tmp_path / "lessons").exists()
    assert nyxlab(tmp_path, "letter", "lessons", str(path)).returncode != 0  # nobody there to say yes
    assert not (tmp_path / "lessons").exists()
    assert "1 kept" in nyxlab(tmp_path, "letter", "lessons", str(path), given="y\n").stdout
    assert "0 kept, 1 known" in nyxlab(tmp_path, "letter", "lessons", str(path), "--yes").stdout
    assert nyxlab(tmp_path, "report", str(path), "-o", "letter.html").returncode == 0
    assert "Rapid logins were refused" in (tmp_path / "letter.html").read_text()
    wrong = nyxlab(tmp_path, "letter", "check", str(_file(tmp_path, {"pains": [{"what": "x", "run": "y"}]})))
    assert wrong.returncode == 2
    assert len(wrong.stderr.splitlines()) == 1


def test_hostile_text_is_text():
    """What an error or a model wrote is shown, and is no element, link, fence or escape sequence."""
    evil = "<script>alert(1)</script> [x](javascript:1)\n```json\n{}\n```\n\x1b[31m"
    letter = {
        "thingsDone": [evil],
        "pains": [{"what": evil, "failure": evil}],
        "next": [{"title": evil, "command": evil}],
    }
    html = render_letter(letter, "2026-11-27", [False], "html")
    assert html.count("<script>") == 1  # our own
    text = render_letter(letter, "2026-11-27", [False], "md", prose=evil)
    assert len(re.findall(r"^```json", text, re.MULTILINE)) == 1
    shown = MarkdownIt("commonmark", {"html": True}).render(text)
    assert not re.search(r"<script|<a |\x1b", shown.partition('class="language-json"')[0])
    assert "\x1b" not in render_letter(letter, "2026-11-27", [False], "text")


@pytest.mark.anyio
async def test_our_own_letters_hold(tmp_path):
    """The letters that this repository ships are valid in anyone's ledger."""
    letters = sorted((ROOT / "data" / "letters").glob("*.md"))
    assert letters
    async with Lab(f"sqlite:///{tmp_path}/none.db") as lab:
        for path in letters:
            assert (await lab.look_up(read_letter(path)))[0] == []
