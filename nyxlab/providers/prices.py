"""What a call costs: exact from its usage, estimated before it, and unknown rather than zero where nobody said."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from nyxlab.errors import did_you_mean
from nyxlab.providers.messages import Cost, Price, Record, Request, Usage
from nyxlab.settings import UnitPrice

MILLION = Decimal(1_000_000)
_UNITS = ("input", "output", "cache_read", "cache_write")
FREE = Price(input=Decimal(0), output=Decimal(0), cache_read=Decimal(0), cache_write=Decimal(0), sheet="local: free")


class Tariff(Record):
    """What is known of a model's price and window: ``listed`` is its (vendor, model) where the price sheet has it."""

    price: Price | None = None
    context: int | None = None
    listed: tuple[str, str] | None = None

    def cost(self, usage: Usage | None) -> Cost:
        """Return the exact cost of a call; unknown without a price or without a usage that can be believed."""
        if self.price == FREE:
            return Cost.free()
        if usage is None or self.price is None:
            return Cost.unknown()
        return self._by_sheet(usage) if self.listed else cost_of(usage, self.price)

    def estimate(self, request: Request) -> Cost:
        """Return what the request may cost at most: counted prompt plus ``max_tokens`` of reply."""
        if self.price is None or self.price == FREE:
            return self.cost(None)
        if not self.listed:
            return estimate_of(request, self.price)
        most = Usage(input_tokens=request.tokens, output_tokens=request.max_tokens)
        return self._by_sheet(most).model_copy(update={"certainty": "estimated"})

    def _by_sheet(self, usage: Usage) -> Cost:
        return Cost(usd=_calculate(*(self.listed or ("", "")), usage).total_price, certainty="exact")


def cost_of(usage: Usage | None, price: Price) -> Cost:
    """Return the exact cost of a usage at plain unit prices; unknown where cached tokens have no price."""
    if usage is None:
        return Cost.unknown()
    usd = Decimal(0)
    for unit in _UNITS:
        tokens, each = getattr(usage, f"{unit}_tokens"), getattr(price, unit)
        if tokens and each is None:
            return Cost.unknown()
        usd += tokens * (each or 0) / MILLION
    return Cost(usd=usd, certainty="exact")


def estimate_of(request: Request, price: Price) -> Cost:
    """Return what the request may cost at most at plain unit prices.

    To have a beginning kept costs more than to have it read.
    """
    kept = min(request.most_tokens, request.shared) * max(Decimal(0), (price.cache_write or price.input) - price.input)
    most = request.most_tokens * price.input + request.max_tokens * price.output + kept
    return Cost(usd=most / MILLION, certainty="estimated")


def tariff(vendor: str, model: str, override: UnitPrice | None = None, context: int | None = None) -> Tariff:
    """Return the tariff of a vendor's model: the user's own price, else the sheet's, else none.

    Servers other than the vendor's own ask with ``vendor=""``: the same model has another price elsewhere.
    """
    found = _sheet(vendor, model)
    if override:
        found = Tariff(price=Price(**override.model_dump()), context=found.context)
    return found.model_copy(update={"context": context}) if context else found


@lru_cache(maxsize=256)
def _sheet(vendor: str, model: str) -> Tariff:
    """Look a model up in the price sheet that ships with genai-prices; it is never updated behind the pin's back."""
    if not vendor:
        return Tariff()
    try:
        found = _calculate(vendor, model, Usage())
    except LookupError:
        return Tariff()
    prices = {unit: getattr(found.model_price, f"{unit}_mtok", None) for unit in _UNITS}
    if prices["input"] is None or prices["output"] is None:
        return Tariff(context=found.model.context_window)
    import genai_prices

    # Of tiers the base, which is what a short prompt pays (costs do use the tiers).
    units = {unit: price and Decimal(getattr(price, "base", price)) for unit, price in prices.items()}
    price = Price.model_validate({**units, "sheet": f"genai-prices {genai_prices.__version__}"})
    return Tariff(price=price, context=found.model.context_window, listed=(vendor, model))


def near_model(vendor: str, model: str) -> str:
    """Return ``"; did you mean …?"`` with the nearest of the vendor's models that the price sheet knows, or nothing.

    A hint and no more: models come out faster than price sheets.
    """
    from genai_prices.data_snapshot import get_snapshot

    return did_you_mean(model, [m.id for p in get_snapshot().providers if p.id == vendor for m in p.models])


def _calculate(vendor: str, model: str, usage: Usage) -> Any:
    import genai_prices  # 0.4 s, for which a run on local models or scripts need not wait

    counts = genai_prices.Usage(
        input_tokens=usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    return genai_prices.calc_price(counts, model, provider_id=vendor)
