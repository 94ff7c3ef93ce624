"""What calls cost: by the sheet, by the user's own price, or unknown and never zero."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

from nyxlab.providers.messages import Message, Price, Request, Usage
from nyxlab.providers.prices import cost_of, tariff
from nyxlab.settings import UnitPrice

USAGE = Usage(input_tokens=1_000, output_tokens=100, cache_read_tokens=20, cache_write_tokens=4)


def test_a_listed_model_costs_what_the_sheet_says() -> None:
    """Input without cached tokens, cache reads, cache writes and output are each paid once, at the sheet's prices."""
    found = tariff("anthropic", "claude-sonnet-5-5")
    price = found.price
    by_hand = 1_000 * price.input + 100 * price.output + 20 * price.cache_read + 4 * price.cache_write
    assert found.cost(USAGE).usd == by_hand / 1_000_000
    assert found.cost(USAGE).certainty == "exact"
    assert price.sheet == "genai-prices 0.2.3"
    assert found.context == 1_000_000


def test_tiers_of_the_sheet_are_used() -> None:
    """A long prompt pays the long prompt's price where the sheet has tiers."""
    found = tariff("openai", "gpt-5.5")
    short = found.cost(Usage(input_tokens=100_000)).usd / 100_000
    long = found.cost(Usage(input_tokens=900_000)).usd / 900_000
    assert long > short == found.price.input / 1_000_000


def test_unknown_is_not_zero() -> None:
    """An unknown model, a missing usage and a cached token without a price each cost an unknown amount."""
    assert tariff("openai", "no-such-model").cost(USAGE).usd is None
    assert tariff("", "gpt-5.5").cost(USAGE).certainty == "unknown"
    assert tariff("openai", "gpt-5.5").cost(None).certainty == "unknown"
    assert cost_of(USAGE, Price(input=1, output=1)).certainty == "unknown"
    assert cost_of(Usage(input_tokens=7), Price(input=1, output=1)).usd == Decimal("0.000007")


def test_the_users_price_wins() -> None:
    """A price from nyxlab.toml replaces the sheet's and says so; the sheet's window is kept."""
    found = tariff("openai", "gpt-5.5", UnitPrice(input=1, output=2))
    assert found.cost(Usage(input_tokens=10, output_tokens=10)).usd == Decimal("0.00003")
    assert (found.price.sheet, found.context) == ("nyxlab.toml", 1_000_000)


def test_an_estimate_covers_the_longest_reply() -> None:
    """Before the call, the counted prompt and all of max_tokens are what it may cost."""
    request = Request(messages=[Message("user", "x" * 400)], max_tokens=50)
    found = tariff("anthropic", "claude-sonnet-5-5")
    assert found.estimate(request).usd == (100 * found.price.input + 50 * found.price.output) / 1_000_000
    assert found.estimate(request).certainty == "estimated"


def test_the_sheet_is_loaded_by_need() -> None:
    """Opening the registry loads neither the price sheet, nor the model, nor anything of the lab."""
    code = (
        "import sys, nyxlab.providers.registry; "
        "print([m for m in ('genai_prices', 'xllamacpp', 'pandas', 'orjson', 'plotly') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
