"""From the text people write to a provider: what is accepted, what is refused with the nearest name."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from nyxlab.errors import InputRefused, ProviderMisused
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.registry import open_provider, parse_reference
from nyxlab.settings import Settings, load_settings

HI = Request(messages=[Message("user", "hi")])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "nyxlab.toml").write_text(
        '[endpoints.mine]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nallow_private = true\n'
        'models.small = {context = 4096, price = {input = "1", output = "2"}}\n'
        '[prices."openai:brand-new"]\ninput = "3"\noutput = "4"\n'
    )
    (tmp_path / "s.yaml").write_text("a:\n  - text: from a\n")
    return load_settings(tmp_path)


def test_canonical_id_and_identity(settings: Settings) -> None:
    """The id keeps the user's words with sampling sorted; two spellings of one model have one identity."""
    first = open_provider("mine:small?temperature=0.80&seed=7", settings=settings)
    second = open_provider("mine:small?seed=7&temperature=0.8", settings=settings)
    assert first.id == "mine:small?seed=7&temperature=0.80"
    assert first.identity == second.identity
    assert first.identity != open_provider("mine:small", settings=settings).identity
    assert (first.vendor, first.capabilities.context) == ("mine", 4096)
    assert first.unusable() is None


def test_an_identity_is_where_the_answer_comes_from(settings: Settings) -> None:
    """The same model at another address is another provider; the address alone decides, not the name given to it."""
    by_name = open_provider("mine:small", settings=settings)
    by_url = open_provider("openai:small", settings=settings, base_url="http://127.0.0.1:9/v1/")
    assert by_name.identity == by_url.identity
    assert by_url.identity != open_provider("openai:small", settings=settings).identity


@pytest.mark.anyio
async def test_a_missing_key_is_a_reason_and_then_an_error(settings: Settings) -> None:
    """Without a key a provider opens, says which variable to set, and asking it says the same."""
    provider = open_provider("google:gemini-3.8-flash", settings=settings)
    reason = "no key: set GEMINI_API_KEY or GOOGLE_API_KEY in .env or the environment"
    assert provider.unusable() == reason
    with pytest.raises(ProviderMisused, match="no key: set GEMINI_API_KEY") as error:
        await provider.ask(HI)
    assert error.value.attempts == 0


def test_a_vendors_key_stays_with_the_vendor(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another base_url never gets the key of the environment: the caller who names a server gives its key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    own = load_settings(settings.root)
    assert open_provider("openai:x", settings=own).unusable() is None
    elsewhere = open_provider("openai:x", settings=own, base_url="http://127.0.0.1:9")
    assert elsewhere._key is None
    assert "sk-from" not in repr(elsewhere)


def test_prices_of_settings_win(settings: Settings) -> None:
    """A price in the settings is used for its model, with nyxlab.toml named as the source."""
    priced = open_provider("openai:brand-new", settings=settings)
    assert priced.estimate(HI).usd == (HI.tokens * Decimal(3) + 1024 * Decimal(4)) / 1_000_000
    assert open_provider("mine:small", settings=settings).estimate(HI).certainty == "estimated"
    assert open_provider("mine:other", settings=settings).estimate(HI).certainty == "unknown"


@pytest.mark.anyio
async def test_scripts_resolve_against_the_root(settings: Settings) -> None:
    """A script's path is relative to the project, wherever the command runs."""
    async with open_provider("script:s.yaml#a", settings=settings) as provider:
        assert (await provider.ask(HI)).text == "from a"
        assert provider.id == "script:s.yaml#a"


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("antropic:x", "unknown vendor or endpoint 'antropic'; did you mean 'anthropic'?"),
        ("mime:x", "did you mean 'mine'?"),
        ("gpt-5.5", "write vendor:model"),
        ("openai:", "write vendor:model"),
        (":x", "write vendor:model"),
        ("openai:x?temprature=1", "unknown sampling 'temprature'; did you mean 'temperature'?"),
        ("openai:x?temperature=nan", "temperature"),
        ("openai:x?temperature=9", "temperature"),
        ("openai:x?seed=1.5", "seed"),
        ("openai:x?seed", "write the sampling as ?name=value"),
        ("openai:x?seed=1&seed=2", "a name stands twice"),
        ("local:smollm", "unknown local model 'smollm'; did you mean 'smollm2-135m'?"),
        ("script:none.yaml#a", "no such script"),
        ("script:s.yaml", "no channel ''; it has a"),
    ],
)
def test_refusals(settings: Settings, ref: str, said: str) -> None:
    """What names no provider is refused in one sentence with the nearest name."""
    with pytest.raises(InputRefused) as refused:
        open_provider(ref, settings=settings)
    assert said in str(refused.value)


def test_base_urls_from_code_are_vetted_too(settings: Settings) -> None:
    """The caller's own code may name loopback, but neither files nor user names."""
    for url in ("file:///etc/passwd", "http://me:pw@127.0.0.1/"):
        with pytest.raises(InputRefused, match="base_url"):
            open_provider("openai:x", settings=settings, base_url=url)


def test_versions_are_added_where_a_format_has_one(settings: Settings) -> None:
    """Anthropic's and Google's own paths hold a version, so an address without one gets it."""
    bare = open_provider("anthropic:x", settings=settings, base_url="http://127.0.0.1:9")
    versioned = open_provider("anthropic:x", settings=settings, base_url="http://127.0.0.1:9/v1")
    assert bare.identity == versioned.identity == "AnthropicDialect:x@http://127.0.0.1:9/v1?"


def test_models_keep_their_colons_and_slashes() -> None:
    """Only the first colon parts vendor and model: names such as llama3:8b and org/model are whole."""
    assert parse_reference("mine:org/llama3:8b").model == "org/llama3:8b"
