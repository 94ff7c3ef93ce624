"""The learned router: what it learns, how it is kept, what it refuses."""

from __future__ import annotations

import gzip
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import pytest
from gate_players import Player, gate_of

from nyxlab.errors import InputRefused
from nyxlab.gate.router import load_router
from nyxlab.lab.routing.fitting import save, train
from nyxlab.lab.routing.outcomes import read_table, score
from nyxlab.providers.messages import Message, Request

EASY, HARD = "What colour is the {} on the table today?", "Prove that the integral of {} squared converges, please."
THINGS = ("apple", "pear", "plum", "fig", "lemon", "grape", "melon", "peach", "cherry", "berry")


def labels(folder: Path, *, packed: bool = False) -> Path:
    """Write 240 prompts of two sorts: both models can do the easy ones, only the strong one the hard ones."""
    rows = ["prompt_id,subject,prompt,weak,strong"]
    for number in range(240):
        text, weak = (EASY, 1) if number % 2 else (HARD, 0)
        rows.append(f'p{number},{"talk" if weak else "maths"},"{text.format(THINGS[number % 10])}",{weak},1')
    path = folder / ("labels.csv.gz" if packed else "labels.csv")
    data = "\n".join(rows).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return read_table(labels(tmp_path_factory.mktemp("route"), packed=True), outcomes=True)


def test_learned_router_tells_hard_from_easy_and_survives_the_disk(table, tmp_path):
    """It predicts what it was shown, with the task and without, says what it saw, and is the same after loading."""
    router = train(table)
    save(router, tmp_path / "router.npz")
    again = load_router(tmp_path / "router.npz")
    asked = [EASY.format("kiwi"), HARD.format("kiwi")]
    for known in (None, ["talk", "maths"]):
        (easy, hard) = again.predict(asked, known)
        assert easy[0] > 0.8
        assert hard[0] < 0.2
        assert min(easy[1], hard[1]) > 0.9
    assert np.array_equal(router.predict(asked), again.predict(asked))
    assert again.origin.prompts == 240
    assert again.origin.labels == ("maths", "talk")
    assert "240 prompts of labels.csv.gz, 2 tasks" in str(again.origin)


def test_training_twice_gives_the_same_weights(table):
    """Nothing in a router is left to chance."""
    one, two = train(table), train(table)
    assert all(np.array_equal(one.arrays[name], two.arrays[name]) for name in one.arrays)


def test_router_says_when_it_knows_too_little(table):
    """Foreign words and a small training set are reasons not to ask it."""
    router = train(table)
    assert router.foreign(EASY.format("fig")) is None
    assert "knows 0 of" in (router.foreign("Nenne drei Risiken") or "")
    small = replace(router, origin=router.origin.model_copy(update={"prompts": 50}))
    assert "50 prompts only" in (small.foreign(EASY.format("fig")) or "")


def test_scores_have_the_columns_of_a_pair_or_of_many(table):
    """A pair gives one score, higher for the strong model; any other models give a quality each."""
    router = train(table)
    lines = score(router, table).splitlines()
    assert lines[0] == "prompt_id,score"
    assert float(lines[1].split(",")[1]) > float(lines[2].split(",")[1])  # p0 is hard, p1 easy
    many = train(replace(table, models=("a:x", "b:x")))
    assert score(many, table).splitlines()[0] == "prompt_id,a:x,b:x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected rows"),
        ("prompt_id,text\n1,a", "expected rows"),
        ("prompt_id,prompt\n1,a", "no outcomes"),
        ("prompt_id,prompt,weak,strong\n1,a,0,1\n1,b,0,1", "occurs twice"),
        ("prompt_id,prompt,weak,strong\n1,a,0,nan", "row 1: strong is 'nan'"),
        ("prompt_id,prompt,weak,strong\n1,a,0,7", "row 1: strong is '7'"),
    ],
)
def test_bad_labels_are_refused_in_one_sentence(text, said, tmp_path):
    """A table that teaches nothing is refused with what is missing."""
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputRefused, match=said):
        read_table(path, outcomes=True)


def test_file_that_is_no_router_is_refused(tmp_path):
    """Text, a pickle and a foreign archive are refused, and nothing in them is run."""
    path = tmp_path / "router.npz"
    for data in (b"", b"text", b"\x80\x04K\x01.", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(data)
        with pytest.raises(InputRefused, match="not a router"):
            load_router(path)
    np.savez(path, head=np.array([object()]))
    with pytest.raises(InputRefused, match="not a router"):
        load_router(path)


def test_scoring_loads_no_scikit_learn():
    """A decision needs NumPy alone, and importing nyxlab not even that."""
    code = "import sys, nyxlab.gate.gate; assert 'numpy' not in sys.modules; import nyxlab.lab.routing.outcomes; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_learned_policy_routes_by_prompt_and_falls_back_openly(table):
    """It sends what is hard to the strong model and what is easy to the cheap one; what it cannot tell, it says."""
    router = train(replace(table, models=("a:weak", "b:strong")))
    players = [Player("a:weak", usd="0.001"), Player("b:strong", usd="0.02")]
    told = []
    for prompt in (EASY.format("fig"), HARD.format("fig"), "Nenne drei Risiken"):
        verdict = anyio.run(gate_of(players, policy="learned", router=router).decide, ask(prompt))
        told.append((verdict.selected_provider, verdict.gate.reason))
    assert [name for name, _ in told[:2]] == ["a:weak", "b:strong"]
    assert "balanced stands in for learned: the router knows 0 of" in told[2][1]
    stranger = anyio.run(gate_of([*players, Player("c:c")], policy="learned", router=router).decide, ask(EASY))
    assert "the router was not trained on c:c" in stranger.gate.reason


def ask(prompt: str) -> Request:
    return Request(messages=[Message("user", prompt)])


def test_route_commands(tmp_path):
    """`nyxlab route train` and `score` go from labels to scores."""
    file, scores = tmp_path / "router.npz", tmp_path / "scores.csv"
    nyxlab = [sys.executable, "-m", "nyxlab.cli", "route"]
    done = subprocess.run([*nyxlab, "train", labels(tmp_path), "-o", file], capture_output=True, text=True, check=True)
    assert "trained on 240 prompts of labels.csv" in done.stderr
    subprocess.run([*nyxlab, "score", file, labels(tmp_path), "-o", scores], check=True)
    assert len(scores.read_text().splitlines()) == 241
