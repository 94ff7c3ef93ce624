"""How amounts are said to people: one wording for console, pages, panels and notebooks."""

from __future__ import annotations

import math


def money(usd: object, certainty: str | None) -> str:
    """Return an amount as people read it, with how sure it is: ``$0.0061``, ``≈ $12.50``, ``$0.0061 + unknown``."""
    known = float(str(usd or 0))
    if certainty == "unknown" and not known:
        return "unknown"
    digits = 2 if known >= 1 or not known else 4 if known >= 0.001 else 1 - math.floor(math.log10(known))
    amount = f"${known:,.{digits}f}"
    return f"{amount} + unknown" if certainty == "unknown" else f"≈ {amount}" if certainty == "estimated" else amount
