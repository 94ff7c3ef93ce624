"""Who can take a call, and why the others cannot."""

from __future__ import annotations

from decimal import Decimal

import pytest
from gate_players import ASK, Player

from nyxlab.gate.candidates import resolve
from nyxlab.providers.base import Capabilities


def stages(listed, request=ASK, left=None, together=False):
    resolution = resolve(listed, request, None if left is None else Decimal(left), together)
    return [c.provider.id for c in resolution.live], {e.provider: e.stage for e in resolution.excluded}


def test_same_identity_is_one_candidate():
    """Two names for one provider are one candidate, and the reason names the other."""
    resolution = resolve([Player("b:x", identity="same"), Player("a:x", identity="same")], ASK, None, False)
    assert [c.provider.id for c in resolution.live] == ["a:x"]
    assert resolution.reasons == {"b:x": "the same provider as a:x"}


def test_usable_twin_is_kept():
    """Of two that are the same provider the one with a key is kept, though the other comes first."""
    assert stages([Player("a:x", identity="s", missing="no key"), Player("b:x", identity="s")])[0] == ["b:x"]


def test_one_name_for_two_endpoints_is_refused():
    """Two endpoints under one name could not be told apart in a verdict, so one of them is left out with advice."""
    resolution = resolve([Player("a:x", identity="two"), Player("a:x", identity="one")], ASK, None, False)
    assert [c.provider.identity for c in resolution.live] == ["one"]
    assert "name this one in nyxlab.toml" in resolution.reasons["a:x"]


@pytest.mark.parametrize(
    ("capabilities", "request_", "words"),
    [
        (Capabilities(context=100), ASK, "window of 100 tokens"),
        (Capabilities(output_schema=False), ASK.model_copy(update={"output_schema": {}}), "JSON Schema"),
    ],
)
def test_incapable_is_said(capabilities, request_, words):
    """A provider that cannot hold the prompt or the schema is left out, and the reason says which."""
    resolution = resolve([Player("a:x", capabilities=capabilities)], request_, None, False)
    assert not resolution.live
    assert words in resolution.reasons["a:x"]


def test_window_that_just_fits_is_enough():
    """Counted prompt and max_tokens may fill the window to its last token."""
    assert stages([Player("a:x", capabilities=Capabilities(context=ASK.tokens + 100))])[0] == ["a:x"]


def test_unknown_price_never_passes_a_budget():
    """Without a budget an unknown price is let through, with one it never is, and no larger budget would help."""
    unknown = Player("a:x", usd=None)
    assert stages([unknown])[0] == ["a:x"]
    resolution = resolve([unknown], ASK, Decimal(1_000), False)
    assert not resolution.live
    assert not resolution.only_budget


def test_free_passes_an_overspent_budget():
    """What costs nothing is affordable even when more than the budget is gone."""
    assert stages([Player("a:x"), Player("b:x", usd="0.01")], left="-1") == (["a:x"], {"b:x": "affordable"})


@pytest.mark.parametrize("turn", [1, -1])
def test_calls_made_together_must_be_affordable_together(turn):
    """Where all are called at once the budget covers their sum, the cheapest first, whatever the order of listing."""
    listed = [Player("a:x", usd="0.04"), Player("b:x", usd="0.03"), Player("c:x", usd="0.02")][::turn]
    assert stages(listed, left="0.05", together=True) == (["b:x", "c:x"][::turn], {"a:x": "affordable"})
    assert len(stages(listed, left="0.05")[0]) == 3


def test_only_budget_means_that_money_would_help():
    """A larger budget is proposed only where it would bring a candidate to life."""
    dear, keyless = Player("a:x", usd="2"), Player("b:x", missing="no key")
    assert resolve([dear], ASK, Decimal(1), False).only_budget
    assert resolve([dear, keyless], ASK, Decimal(1), False).only_budget
    assert not resolve([keyless], ASK, Decimal(1), False).only_budget


def test_missing_key_outweighs_being_listed_twice():
    """Where one provider is listed twice without a key, the reason given is the key."""
    twin = Player("a:x", missing="no key: set A_KEY")
    assert resolve([twin, twin], ASK, None, False).reasons == {"a:x": "no key: set A_KEY"}
