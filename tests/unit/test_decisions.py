"""A step that is carried on decides as it did: nobody is asked again whose reply is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyxlab.engine.records import CallDone, Event
from nyxlab.errors import StoreBroken
from nyxlab.lab.lab import Lab
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
SCRIPT = """\
# scripted replies, written by hand: no model produced this text
quick: [{text: quick}]
other: [{text: other}]
late: [{text: late, latency: 0.5}]
never: [{text: never, latency: 600}]
gone: [{error: broken}]
judge: [{text: '{"rationale": "", "verdict": "first"}', latency: 0.9}]
priced: [{text: '{"cost": {"usd": "5"}, "cached": 7}'}]
"""


class PowerCut(Exception):
    """The process stops here."""


class Cut:
    """Listens to a run and cuts the power after so many calls of a provider."""

    def __init__(self, provider: str, after: int = 1) -> None:
        self.provider, self.left = provider, after

    def __call__(self, event: Event) -> None:
        if isinstance(event, CallDone) and event.call.provider.endswith(f"#{self.provider}"):
            self.left -= 1
            if not self.left:
                raise PowerCut


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "s.yaml").write_text(SCRIPT)
    (tmp_path / "nyxlab.toml").write_text("")
    return Lab(f"sqlite:///{tmp_path / 'l.db'}", settings=load_settings(tmp_path))


def flow(lab: Lab, step: str) -> Path:
    path = lab.settings.root / "w.yaml"
    path.write_text(f"name: w\nsteps:\n  - {{{step}}}\n".replace("script:", "script:s.yaml#"))
    return path


async def cut_and_resumed(lab: Lab, path: Path, cut: Cut):
    with pytest.raises(PowerCut):
        await lab.run(path, on_event=cut)
    (run,) = await lab.runs()
    return await lab.resume(run.run_id)


def asked(run, provider: str) -> int:
    """Return how often a provider was really asked."""
    return len([call for call in run.calls if call.provider.endswith(f"#{provider}")])


def alike(told: dict) -> list[tuple[str, str, str | None]]:
    """Return what became of each candidate of a step or item, as the checkpoint tells it."""
    return [(each["provider"], each["status"], each["error"]) for each in told["alternatives"]]


async def test_a_hedge_that_was_won_is_not_run_again(lab: Lab) -> None:
    """Items that the quick provider answered are taken from it; the slow one, cancelled then, is not asked again."""
    path = flow(
        lab, "id: m, kind: map, over: [1, 2, 3, 4], prompt: 'x {{ item }}', provider: 'script:never',"
        " fallback: ['script:quick'], hedge: 0.1"
    )  # fmt: skip
    async with lab:
        whole = await lab.run(path)
        await lab.prune("0d")
        run = await cut_and_resumed(lab, path, Cut("quick", after=3))
    assert run.status == whole.status == "completed"
    items = [step.checkpoint()["items"] for step in (run.steps["m"], whole.steps["m"])]
    assert [alike(item) for item in items[0]] == [alike(item) for item in items[1]]
    assert asked(run, "quick") <= 5  # one of the four was under way, perhaps, when the power went
    answered = {call.asked for call in run.calls if call.status == "ok"}
    assert len(answered) == 4
    assert asked(run, "never") <= 5


async def test_a_fallback_that_answered_answers_again(lab: Lab) -> None:
    """A candidate that broke before the fallback answered is not asked again, and is shown as it was."""
    path = flow(
        lab, "id: m, kind: map, over: [1, 2], prompt: 'x {{ item }}', provider: 'script:gone',"
        " fallback: ['script:late']"
    )  # fmt: skip
    async with lab:
        whole = await lab.run(path)
        await lab.prune("0d")
        run = await cut_and_resumed(lab, path, Cut("late", after=2))
    items = [step.checkpoint()["items"] for step in (run.steps["m"], whole.steps["m"])]
    assert [alike(item) for item in items[0]] == [alike(item) for item in items[1]]
    assert asked(run, "gone") == 2
    assert asked(run, "late") == 2


async def test_a_late_reply_does_not_join_the_comparison_after_a_crash(lab: Lab) -> None:
    """A reply that came after the deadline is kept, and stays out of the verdict that was being made without it."""
    path = flow(
        lab, "id: a, prompt: x, compare: ['script:quick', 'script:other', 'script:late'], deadline: 0.3,"
        " judge: 'script:judge'"
    )  # fmt: skip
    async with lab:
        with pytest.raises(PowerCut):
            await lab.run(path, on_event=Cut("judge"))
        (summary,) = await lab.runs()
        assert [c.status for c in (await lab.show(summary.run_id)).calls if c.provider.endswith("#late")] == ["ok"]
        run = await lab.resume(summary.run_id)
    told = run.checkpoint()["steps"][0]
    assert [each["status"] for each in told["alternatives"]] == ["ok", "ok", "cancelled"]
    assert "kept in the ledger" in told["alternatives"][2]["error"]
    assert (asked(run, "late"), asked(run, "quick"), asked(run, "other")) == (1, 1, 1)


@pytest.mark.parametrize(
    "edit", [("policy: first", "policy: fastest"), ("judge: null", "judge: 'script:s.yaml#quick'")]
)
async def test_an_edit_of_how_to_choose_buys_no_candidate_again(lab: Lab, edit: tuple[str, str]) -> None:
    """Policy and judge are no part of a question: after an edit of them the recorded answers are chosen among anew."""
    path = flow(lab, "id: a, prompt: x, compare: ['script:quick', 'script:other'], policy: first, judge: null")
    async with lab:
        run = await lab.run(path)
        path.write_text(path.read_text().replace(*edit))
        again = await lab.resume(run.run_id)
    assert again.status == "completed"
    assert [call.number for call in again.calls if call.role == "candidate"] == [1, 2]


async def test_a_fork_leaves_a_models_own_words_alone(lab: Lab) -> None:
    """What a model wrote under the names ``cost`` and ``cached`` stands in a fork as it stood in the run."""
    schema = "schema: {type: object, properties: {cost: {type: object}, cached: {type: integer}}}"
    path = flow(lab, f"id: m, kind: map, over: [1], prompt: x, provider: 'script:priced', {schema}")
    path.write_text(path.read_text() + "  - {id: z, prompt: y, provider: 'script:s.yaml#quick'}\n")
    async with lab:
        run = await lab.run(path)
        fork = await lab.fork(run.run_id, "z")
    assert run.steps["m"].output == [{"cost": {"usd": "5"}, "cached": 7}]
    assert fork.steps["m"].output == run.steps["m"].output
    assert fork.steps["m"].payload["items"][0]["output"] == run.steps["m"].output[0]
    assert fork.steps["m"].payload["items"][0]["alternatives"][0]["cached"] is True


ASKING = {
    "compared": ("", "compare: ['script:quick', 'script:other']"),
    "in turn": ("", "provider: 'script:quick', fallback: ['script:other']"),
    "hedged": ("", "provider: 'script:never', fallback: ['script:quick'], hedge: 0.1"),
    "map": ("", "kind: map, over: [1, 2], provider: 'script:quick', fallback: ['script:other']"),
    "judge": ("judge", "compare: ['script:quick', 'script:other'], judge: 'script:judge'"),
    "synthesis": ("judge", "compare: ['script:quick', 'script:other'], judge: 'script:judge', select: synthesise"),
}


@pytest.mark.parametrize("asking", ASKING)
async def test_a_broken_store_is_never_taken_for_a_providers_failure(lab: Lab, asking: str) -> None:
    """Where an intent cannot be written, the run ends with that sentence, whoever was asked, and asks nobody else."""
    role, step = ASKING[asking]
    path = flow(lab, f"id: a, prompt: x, {step}")
    open_call, refused = lab.desk.store.open_call, 0

    async def full(run_id, call, **how) -> None:
        nonlocal refused
        if call.role == (role or call.role):
            refused += 1
            raise StoreBroken("the disk is full")
        await open_call(run_id, call, **how)

    lab.desk.store.open_call = full
    async with lab:
        with pytest.raises(StoreBroken, match="the disk is full"):
            await lab.run(path)
        (run,) = await lab.runs()
        assert run.status == "running"
    assert refused <= 2  # two at the same moment at most


async def test_the_run_that_is_returned_is_the_one_on_disk(lab: Lab) -> None:
    """What a run returns is, field by field, what is read back; so it need not be read."""
    path = flow(
        lab, "id: m, kind: map, over: [1, 2], prompt: 'x {{ item }}', provider: 'script:gone',"
        " fallback: ['script:quick']"
    )  # fmt: skip
    async with lab:
        run = await lab.run(path)
        assert await lab.show(run.run_id) == run
