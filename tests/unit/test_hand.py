"""Answers by hand: a question becomes a file, the run waits, and what is put beside it carries the run on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nyxlab import Message, Request, open_provider
from nyxlab.cli import app
from nyxlab.errors import AnswerWanted, InputRefused
from nyxlab.settings import load_settings

SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
ASKED = Request(messages=(Message("user", "Which word?"),), system="Be short.", schema=SCHEMA)
WORKFLOW = """\
name: greet
steps:
  - id: word
    prompt: Say hello in one word.
    compare: [hand:claude, hand:gpt]
    judge: script:judge.yaml#j
  - id: each
    needs: [word]
    kind: map
    over: [one, two]
    prompt: "Use {{ steps.word.output }} in a sentence, {{ item }}."
    provider: hand:claude
    fallback: [script:judge.yaml#never]
"""


def invoke(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


def questions(root: Path, name: str) -> list[Path]:
    """Return the questions to a name that nobody has answered."""
    found = (root / "data" / "hand" / name).glob("*.md")
    return sorted(p for p in found if ".reply" not in p.name and not p.with_suffix(".reply.md").exists())


def answer(root: Path, name: str, say: Callable[[str], str]) -> int:
    """Answer what waits for a name; return how many questions that were."""
    waiting = questions(root, name)
    for path in waiting:
        path.with_suffix(".reply.md").write_text(say(path.read_text(encoding="utf-8")), encoding="utf-8")
    return len(waiting)


async def asked(root: Path, reply: str | bytes) -> str:
    provider = open_provider("hand:claude", settings=load_settings(root))
    with pytest.raises(AnswerWanted, match=r"^1 question waits in data/hand/claude/$"):
        await provider.ask(ASKED)
    (question,) = questions(root, "claude")
    question.with_suffix(".reply.md").write_bytes(reply if isinstance(reply, bytes) else reply.encode())
    return (await provider.ask(ASKED)).text


@pytest.mark.anyio
@pytest.mark.parametrize(
    "reply",
    [
        '{"word": "hi"}',
        '\ufeff{"word": "hi"}\n',
        'Sure, here is the “answer”:\n\n```json\n{"word": "hi"}\n```\nAnything else?',
        'The form {x} is what you want. {"note": 1} is wrong, {"word": "hi"} is right.',
        "{\u201cword\u201d: \u201chi\u201d}",
    ],
    ids=["bare", "with a mark", "in fences", "between sentences", "quotes of a typographer"],
)
async def test_an_answer_is_taken_as_people_paste_it(tmp_path: Path, reply: str) -> None:
    """Fences, sentences around it and curly quotes do no harm: the JSON is what is read."""
    assert json.loads(await asked(tmp_path, reply)) == {"word": "hi"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("", "the answer is empty"),
        ("I cannot say.", "there is no whole JSON object in it"),
        ('{"word": "h', "there is no whole JSON object in it"),
        ('{"words": 1}', "breaks the schema at "),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"x" * 10_000_000, "more than 1,000,000 bytes are no answer"),
    ],
    ids=["empty", "prose", "cut off", "another form", "not UTF-8", "10 MB"],
)
async def test_an_answer_that_cannot_be_used_leaves_the_question_open(
    tmp_path: Path, reply: str | bytes, problem: str
) -> None:
    """What is wrong is said in one sentence with the file's name; nothing is lost, and a better answer is taken."""
    with pytest.raises(AnswerWanted, match=problem) as caught:
        await asked(tmp_path, reply)
    assert "data/hand/claude/" in str(caught.value)
    assert "the question stays open" in str(caught.value)
    (path,) = (tmp_path / "data" / "hand" / "claude").glob("*.reply.md")
    path.write_text('{"word": "hi"}')
    assert (await open_provider("hand:claude", settings=load_settings(tmp_path)).ask(ASKED)).text == '{"word": "hi"}'


@pytest.mark.anyio
async def test_the_question_holds_all_that_is_asked(tmp_path: Path) -> None:
    """System and prompt as one text, the form of the answer as a schema, where the answer goes.

    Deleted, it is written again.
    """
    provider = open_provider("hand:claude", settings=load_settings(tmp_path))
    for _ in range(2):
        with pytest.raises(AnswerWanted):
            await provider.ask(ASKED)
        (question,) = questions(tmp_path, "claude")
        text = question.read_text()
        assert text.index("Be short.") < text.index("Which word?") < text.index('"required"')
        assert "an object with `word` (text)" in text
        assert question.with_suffix(".reply.md").name in text
        question.unlink()
    with pytest.raises(InputRefused, match="small letters"):
        open_provider("hand:../up", settings=load_settings(tmp_path))


def test_a_run_waits_for_answers_and_carries_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison and a map by hand pause with exit code 3 and every question written.

    Resume takes up the answers, no fallback steps in.
    """
    (tmp_path / "greet.yaml").write_text(WORKFLOW)
    verdict = {"json": {"verdict": "first", "reason": "r"}, "repeat": True}
    (tmp_path / "judge.yaml").write_text(json.dumps({"j": [verdict], "never": [{"text": "no", "repeat": True}]}))
    monkeypatch.chdir(tmp_path)
    code, out, err = invoke("run", "greet.yaml", "--json")
    run = json.loads(out)["runId"]
    assert code == 3
    assert json.loads(out)["pause"]["kind"] == "answers"
    assert "paused: 1 question waits in data/hand/claude/; 1 question waits in data/hand/gpt/" in err
    assert answer(tmp_path, "claude", lambda _: "hello\n") == answer(tmp_path, "gpt", lambda _: "hi\n") == 1
    code, _, err = invoke("resume", run)
    assert code == 3
    assert (
        f"2 questions wait in data/hand/claude/; put the answers there (or: nyxlab answer {run}), then: nyxlab resume"
        in err
    )
    code, out, _ = invoke("answer", run, "--json")
    assert code == 0
    listed = json.loads(out)
    assert [(q["provider"], Path(q["question"]).exists()) for q in listed] == [("hand:claude", True)] * 2
    assert not any(Path(q["reply"]).exists() for q in listed)
    assert answer(tmp_path, "claude", lambda asked: f"Said {asked.count('in a sentence')}") == 2
    code, out, _ = invoke("resume", run, "--json")
    assert code == 0
    told = json.loads(out)
    alternatives = told["steps"][0]["alternatives"]
    assert [a["provider"] for a in alternatives] == ["hand:claude", "hand:gpt"]
    assert {a["latencySeconds"] for a in alternatives} == {None}
    assert {a["cost"]["certainty"] for a in alternatives} == {"unknown"}
    assert told["steps"][1]["output"] == ["Said 1", "Said 1"]


def test_a_review_by_hand_carries_on_with_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key: the rules' findings at once with exit code 3, the whole plan in the question, the reader's
    findings after the answer."""
    (tmp_path / "plan.md").write_text("# P\n\nKept for ten years.\n\nDeleted after five years.\n\nOwner: TBD.\n")
    monkeypatch.chdir(tmp_path)
    words = ["review", "plan.md", "--providers", "hand:claude", "--format", "json"]
    code, out, err = invoke(*words)
    told = json.loads(out)
    assert code == 3
    assert told["status"] == "paused"
    assert [f["rule"] for f in told["findings"]] == ["unfinished-marker"]
    assert (
        "paused: 1 question waits in data/hand/claude/; put the answers there, and the same command carries on" in err
    )
    quotes = [{"line": 3, "text": "Kept for ten years."}, {"line": 5, "text": "Deleted after five years."}]
    found = {"title": "Ten or five years", "explanation": "", "quotes": quotes, "entities": ["years"], "fix": "",
             "consequence": "steps-conflict", "certain": True}  # fmt: skip
    reply = f"Here it is:\n```json\n{json.dumps({'findings': [found]})}\n```\n"
    assert answer(tmp_path, "claude", lambda asked: reply if "5| Deleted after five" in asked else "") == 1
    code, out, _ = invoke(*words)
    told = json.loads(out)
    assert code == 0
    assert (told["status"], told["runId"][:7]) == ("completed", "review-")
    assert sorted(f["rule"] for f in told["findings"]) == ["reader", "unfinished-marker"]
    # The plan changes: what was answered is kept, and said to be about the earlier text; another plan is another matter.
    (given,) = (tmp_path / "data" / "hand" / "claude").glob("*.reply.md")
    (tmp_path / "plan.md").write_text(
        "# P\n\nNew.\n\nKept for ten years.\n\nDeleted after five years.\n\nOwner: TBD.\n"
    )
    code, _, err = invoke(*words)
    assert code == 3
    assert f"{given.name} there answers an earlier text of it, and is kept" in " ".join(err.split())
    assert given.exists()
    (tmp_path / "other.md").write_text("# Q\n\nSomething else altogether.\n")
    code, _, err = invoke("review", "other.md", "--providers", "hand:claude")
    assert code == 3
    assert "earlier text" not in err


def test_an_answer_that_was_refused_is_listed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks the schema stays in its file, and its question is among those that wait."""
    step = f"  - {{id: a, prompt: Say a., provider: 'hand:me', schema: {json.dumps(SCHEMA)}}}\n"
    (tmp_path / "one.yaml").write_text("name: one\nsteps:\n" + step)
    monkeypatch.chdir(tmp_path)
    _, out, _ = invoke("run", "one.yaml", "--json")
    run = json.loads(out)["runId"]
    assert answer(tmp_path, "me", lambda _: "a word") == 1
    assert json.loads(invoke("answer", run, "--json")[1]) == []
    code, _, err = invoke("resume", run)
    assert code == 3
    assert "there is no whole JSON object in it; mend it, the question stays open" in err
    (question,) = json.loads(invoke("answer", run, "--json")[1])
    assert Path(question["reply"]).read_text() == "a word"


def test_answer_opens_an_editor_for_each_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved is the answer; a file that is left empty leaves its question open."""
    step = "  - {id: ID, prompt: Say ID., provider: 'hand:me'}\n"
    (tmp_path / "two.yaml").write_text("name: two\nsteps:\n" + step.replace("ID", "a") + step.replace("ID", "b"))
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\ngrep -q "Say a" "${1%.reply.md}.md" && echo hello > "$1" || touch "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.chdir(tmp_path)
    _, out, _ = invoke("run", "two.yaml", "--json")
    code, out, _ = invoke("answer", json.loads(out)["runId"])
    assert code == 0
    assert out.count("answered\n") == out.count("left open\n") == 1
    assert "1 left open." in out
    assert len(questions(tmp_path, "me")) == 1


def test_a_price_of_ones_own_is_charged_by_estimated_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a price for a hand sees an estimate; a budget holds it then."""
    (tmp_path / "nyxlab.toml").write_text('[prices."hand:claude"]\ninput = "1.00"\noutput = "1.00"\n')
    (tmp_path / "one.yaml").write_text("name: one\nsteps:\n  - {id: a, prompt: Say hi., provider: 'hand:claude'}\n")
    monkeypatch.chdir(tmp_path)
    code, out, _ = invoke("run", "one.yaml", "--json", "--budget", "1")
    assert code == 3
    answer(tmp_path, "claude", lambda _: "hi there")
    code, out, _ = invoke("resume", json.loads(out)["runId"], "--json")
    told = json.loads(out)["steps"][0]["alternatives"][0]
    assert code == 0
    assert told["cost"] == {"usd": "0.000004", "certainty": "estimated"}
