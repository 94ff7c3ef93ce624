"""What a call costs: exact from its usage, estimated before it, and unknown rather than zero where nobody said."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from rapidfuzz import fuzz, process

from nyxlab.providers.messages import Cost, Price, Record, Request, Usage
from nyxlab.settings import UnitPrice

MILLION = Decimal(1_000_000)
_UNITS = ("input", "output", "cache_read", "cache_write")


class Tariff(Record):
    """What is known of a model's price and window: ``listed`` is its (vendor, model) in the price sheet, if it is there."""

    price: Price | None = None
    context: int | None = None
    listed: tuple[str, str] | None = None

    def cost(self, usage: Usage | None) -> Cost:
        """Return the exact cost of a call; unknown without a price or without a usage that can be believed."""
        if usage is None or self.price is None:
            return Cost.unknown()
        return (
            Cost(usd=_sheet_cost(*self.listed, usage), certainty="exact") if self.listed else cost_of(usage, self.price)
        )

    def estimate(self, request: Request) -> Cost:
        """Return what the request may cost at most: counted prompt plus ``max_tokens`` of reply."""
        if self.price is None:
            return Cost.unknown()
        if not self.listed:
            return estimate_of(request, self.price)
        most = Usage(input_tokens=request.tokens, output_tokens=request.max_tokens)
        return Cost(usd=_sheet_cost(*self.listed, most), certainty="estimated")


def cost_of(usage: Usage | None, price: Price) -> Cost:
    """Return the exact cost of a usage at plain unit prices; unknown where cached tokens have no price."""
    if usage is None:
        return Cost.unknown()
    usd = Decimal(0)
    for tokens, unit in (
        (usage.input_tokens, price.input),
        (usage.output_tokens, price.output),
        (usage.cache_read_tokens, price.cache_read),
        (usage.cache_write_tokens, price.cache_write),
    ):
        if tokens and unit is None:
            return Cost.unknown()
        usd += tokens * (unit or 0) / MILLION
    return Cost(usd=usd, certainty="exact")


def estimate_of(request: Request, price: Price) -> Cost:
    """Return what the request may cost at most at plain unit prices; to have a beginning kept costs more than to have it read."""
    kept = min(request.most_tokens, request.shared) * max(Decimal(0), (price.cache_write or price.input) - price.input)
    most = request.most_tokens * price.input + request.max_tokens * price.output + (kept if request.shared else 0)
    return Cost(usd=most / MILLION, certainty="estimated")


def tariff(vendor: str, model: str, override: UnitPrice | None = None, context: int | None = None) -> Tariff:
    """Return the tariff of a vendor's model: the user's own price, else the sheet's, else none.

    Servers other than the vendor's own ask with ``vendor=""``: the same model has another price elsewhere.
    """
    if override:
        return Tariff(price=Price(**override.model_dump()), context=context or _sheet(vendor, model).context)
    found = _sheet(vendor, model)
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
    unit = {name: _unit(getattr(found.model_price, f"{name}_mtok", None)) for name in _UNITS}
    if unit["input"] is None or unit["output"] is None:
        return Tariff(context=found.model.context_window)
    import genai_prices

    price = Price.model_validate({**unit, "sheet": f"genai-prices {genai_prices.__version__}"})
    return Tariff(price=price, context=found.model.context_window, listed=(vendor, model))


def near_models(vendor: str, model: str) -> str:
    """Return ``"; did you mean …?"`` with up to three models of the vendor that the price sheet knows, or nothing.

    A hint and no more: models come out faster than price sheets.
    """
    from genai_prices.data_snapshot import get_snapshot

    known = next((p.models for p in get_snapshot().providers if p.id == vendor), [])
    near = process.extract(model, [m.id for m in known], scorer=fuzz.ratio, limit=3, score_cutoff=70)
    names = " or ".join(f"'{name}'" for name, _, _ in near if name != model)
    return f"; did you mean {names}?" if names else ""


def _unit(price: Any) -> Decimal | None:
    """Return a unit price; of tiers the base, which is what a short prompt pays (costs do use the tiers)."""
    return price if price is None else Decimal(getattr(price, "base", price))


def _sheet_cost(vendor: str, model: str, usage: Usage) -> Decimal:
    total: Decimal = _calculate(vendor, model, usage).total_price
    return total


def _calculate(vendor: str, model: str, usage: Usage) -> Any:
    # Imported here because it takes 0.4 s, which a run on local models or scripts need not wait for.
    import genai_prices

    counts = genai_prices.Usage(
        input_tokens=usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    return genai_prices.calc_price(counts, model, provider_id=vendor)
