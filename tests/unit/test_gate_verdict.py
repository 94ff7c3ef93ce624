"""The gate as whoever asks it sees it: one verdict, or one error that says why not."""

from __future__ import annotations

import anyio
import pytest
from gate_players import ASK, Past, Player, gate_of, preferring, verdict

from nyxlab.errors import GateFailed, InputRefused, NoCandidate, NyxlabError, ProviderBusy, ProviderError
from nyxlab.providers.messages import Reply
from nyxlab.providers.scripted import ScriptedProvider

pytestmark = pytest.mark.anyio
BUSY = ProviderBusy("429: wait", provider="b:y")


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ([Player("a:x")], "1 listed, 1 usable: single path"),
        (
            [Player("a:x"), Player("b:y", missing="no key: set B_KEY")],
            "2 listed, 1 usable: b:y: no key: set B_KEY; single path",
        ),
        ([Player("a:x"), Player("a:x")], "2 listed, 1 usable: a:x: listed twice; single path"),
        (
            [Player("a:x"), Player("b:y", BUSY)],
            "2 listed, 2 usable: compared; b:y failed (429: wait); only a:x gave a usable answer, so nothing was judged",
        ),
    ],
    ids=["one listed", "one without a key", "the same twice", "one failing"],
)
async def test_comparison_asked_with_one_usable_provider_completes_at_once(listed, reason):
    """The old bug: a comparison that cannot be made never waits; it takes the single path and says why."""
    judge = Player("j:j", verdict("first"))
    with anyio.fail_after(2):
        found = await gate_of(listed, compare=True, judge=judge).decide(ASK)
    assert (found.selected_provider, found.selected_by, found.gate.reason) == ("a:x", "only", reason)
    assert found.cael_review is None
    assert judge.asked == []


async def test_payload_is_the_contracts():
    """The payload holds exactly the step's keys of the contract, in JSON, money as text."""
    judge = Player("j:j", preferring("42"), usd="0.0011")
    gate = gate_of([Player("a:x", "41", usd="0.002"), Player("b:y", "42", usd="0.003")], compare=True, judge=judge)
    payload = (await gate.decide(ASK)).payload()
    assert list(payload) == ["selectedProvider", "selectedBy", "gate", "alternatives", "caelReview"]
    assert (payload["selectedProvider"], payload["selectedBy"]) == ("b:y", "judge")
    assert payload["gate"].keys() == {"listed", "live", "reason", "excluded", "policy", "scores"}
    assert payload["gate"]["reason"] == "2 listed, 2 usable: compared"
    assert payload["alternatives"][0] == {
        "provider": "a:x",
        "status": "ok",
        "truncated": False,
        "output": "41",
        "usage": None,
        "cost": {"usd": "0.002", "certainty": "exact"},
        "latencySeconds": 0.0,
        "timeToFirstTokenSeconds": None,
        "waitSeconds": 0.0,
        "attempts": 1,
        "cached": False,
        "error": None,
    }
    calls = payload["caelReview"].pop("calls")
    assert [(call["provider"], call["cost"]["usd"]) for call in calls] == [("j:j", "0.0011")] * 2
    assert payload["caelReview"] == {
        "selected": "b:y",
        "checks": [],
        "verdicts": [
            {"first": "a:x", "second": "b:y", "winner": "b:y"},
            {"first": "b:y", "second": "a:x", "winner": "b:y"},
        ],
        "swapConsistent": True,
        "rationale": "I say second.",
        "judge": "j:j",
        "warnings": [],
        "cost": {"usd": "0.0022", "certainty": "exact"},
    }


async def test_compared_calls_run_at_once():
    """All live candidates are called at the same moment: each waits for the other to have begun."""
    begun = {name: anyio.Event() for name in ("a:x", "b:y")}

    class Meeting(Player):
        async def ask(self, request):
            begun[self.id].set()
            await begun["b:y" if self.id == "a:x" else "a:x"].wait()
            return await super().ask(request)

    with anyio.fail_after(2):
        await gate_of([Meeting("a:x"), Meeting("b:y")], compare=True).decide(ASK)


async def test_policy_routes_one_call_and_falls_to_its_next_choice():
    """Without a comparison only the policy's choice is called, and its next where the first fails."""
    cheap, dear = Player("a:x", BUSY, usd="0.001"), Player("b:y", usd="0.1")
    found = await gate_of([dear, cheap], policy="cheapest").decide(ASK)
    assert (found.selected_provider, found.selected_by) == ("b:y", "policy")
    assert found.gate.reason == "2 listed, 2 usable: a:x failed (429: wait); policy cheapest chose b:y"
    cheap.says = "42"
    await gate_of([dear, cheap], policy="cheapest").decide(ASK)
    assert len(dear.asked) == 1


@pytest.mark.parametrize("says", [BUSY, "", Reply(text="no", provider="a:x", stop="refusal")])
async def test_fallbacks_are_tried_in_order(says):
    """Where no candidate gave a usable answer the fallbacks are asked in order, and the verdict says who answered."""
    listed, fallback = (
        [Player("a:x", says)],
        [Player("f:0", identity="a:x"), Player("f:1", BUSY), Player("f:2"), Player("f:3")],
    )
    found = await gate_of(listed, compare=True, fallback=fallback).decide(ASK)
    assert (found.selected_provider, found.selected_by) == ("f:2", "fallback")
    assert [a.provider for a in found.alternatives] == ["a:x", "f:1", "f:2"]
    assert found.gate.reason.endswith("f:1 failed (429: wait); fallback f:2 answered")


async def test_fallback_answers_where_nobody_listed_is_usable():
    """With no live candidate the fallback is the only path, and the reason says who was left out."""
    found = await gate_of([Player("a:x", missing="no key")], fallback=[Player("f:1")]).decide(ASK)
    assert found.gate.reason == "1 listed, 0 usable: a:x: no key; fallback f:1 answered"


async def test_nobody_usable_is_an_error_with_every_reason():
    """With nobody to call the error lists each provider's reason, fallbacks included."""
    gate = gate_of([Player("a:x", missing="no key: set A")], fallback=[Player("f:1", missing="no key: set F")])
    with pytest.raises(NoCandidate, match="a:x: no key: set A; f:1: no key: set F") as caught:
        await gate.ask(ASK)
    assert not caught.value.only_budget


async def test_only_the_budget_in_the_way_is_said():
    """Where a larger budget would do, the error says so, so that the run can pause; nothing was called."""
    dear = Player("a:x", usd="1")
    with pytest.raises(NoCandidate, match="raise the budget") as caught:
        await gate_of([dear], history=Past(left="0.5")).ask(ASK)
    assert caught.value.only_budget
    assert dear.asked == []


async def test_all_failing_carries_what_each_did():
    """Where all fail, the error holds the step's payload with each alternative and its error."""
    gate = gate_of([Player("a:x", BUSY), Player("b:y", "")], compare=True)
    with pytest.raises(GateFailed, match="a:x: 429: wait; b:y: empty answer") as caught:
        await gate.ask(ASK)
    payload = caught.value.payload
    assert payload["selectedProvider"] is None
    assert [a["status"] for a in payload["alternatives"]] == ["error", "invalid"]
    assert isinstance(caught.value, ProviderError)


async def test_straggler_is_cancelled_at_the_deadline():
    """Past the deadline the verdict is made among what has arrived, and the late one is marked as possibly billed."""
    with anyio.fail_after(2):
        gate = gate_of([Player("a:x"), Player("b:y", seconds=60), Player("c:z")], compare=True, deadline=0.05)
        found = await gate.decide(ASK)
    assert [a.status for a in found.alternatives] == ["ok", "cancelled", "ok"]
    assert "possibly billed" in found.alternatives[1].error
    assert found.selected_provider in {"a:x", "c:z"}


async def test_own_stop_is_shown_and_raised_only_when_nothing_else_is_usable():
    """A budget that runs out under one candidate costs no other its answer; alone, it is raised as it is."""
    stopped = NyxlabError("the budget is used up")
    found = await gate_of([Player("a:x", stopped), Player("b:y")], compare=True).decide(ASK)
    assert found.alternatives[0].error == "the budget is used up"
    with pytest.raises(NyxlabError) as caught:
        await gate_of([Player("a:x", stopped), Player("b:y", BUSY)], compare=True).decide(ASK)
    assert caught.value is stopped


async def test_fault_in_a_provider_is_not_hidden():
    """An error that no provider should raise is a bug and is not passed off as a bad answer."""
    with pytest.raises(ZeroDivisionError):
        await gate_of([Player("a:x", ZeroDivisionError())]).decide(ASK)


async def test_gate_is_a_provider():
    """A gate may stand behind a gate, which asks it as it asks any provider."""
    inner = gate_of([Player("a:x", missing="no key"), Player("b:y", "41")])
    outer = gate_of([inner, Player("c:z", "42")], compare=True, judge=Player("j:j", preferring("42")))
    found = await outer.decide(ASK)
    assert found.selected_provider == "c:z"
    assert [a.provider for a in found.alternatives] == ["gate(a:x, b:y)", "c:z"]


async def test_answer_that_breaks_the_schema_is_not_compared():
    """Under a schema only answers that keep it are usable."""
    request = ASK.model_copy(update={"output_schema": {"type": "integer"}})
    found = await gate_of([Player("a:x", "forty-two"), Player("b:y", "42")], compare=True).decide(request)
    assert (found.selected_provider, found.alternatives[0].status) == ("b:y", "invalid")


async def test_bad_schema_is_refused_before_anything_is_called():
    """A schema that is none is refused before a cent is spent."""
    player = Player("a:x")
    with pytest.raises(InputRefused, match="JSON Schema"):
        await gate_of([player]).ask(ASK.model_copy(update={"output_schema": {"type": "strange"}}))
    assert player.asked == []


def test_an_unknown_policy_is_refused():
    """A policy that there is not is refused when the gate is made, with those that there are."""
    with pytest.raises(InputRefused, match="choose one of first, cheapest"):
        gate_of([Player("a:x")], policy="luckiest")


async def test_scripted_judge_can_be_written_by_hand():
    """A script's judge finds an answer by its label and first words, so that a demonstration has a judge of
    substance."""
    candidates = [
        ScriptedProvider(["**Quotas** per tenant"], id="script:a"),
        ScriptedProvider(["Quotas per team"], id="script:b"),
    ]
    judge = ScriptedProvider(
        [
            {"match": "FIRST ANSWER\nQuotas per tenant", "json": {"rationale": "Tenants pay.", "verdict": "first"}},
            {"match": "SECOND ANSWER\nQuotas per tenant", "json": {"rationale": "Tenants pay.", "verdict": "second"}},
        ],
        id="script:judge",
        vendor="judge",
    )
    found = await gate_of(candidates, compare=True, judge=judge).decide(ASK)
    assert (found.selected_provider, found.selected_by) == ("script:a", "judge")
    assert found.cael_review.rationale == "Tenants pay."
    assert found.cael_review.warnings == ()
