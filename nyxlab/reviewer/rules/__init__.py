"""Cael's rules: each law in a file of its own, over facts and plan, listed with its words in ``rules.toml``."""

import tomllib
from importlib import import_module
from importlib.resources import files

from nyxlab.reviewer.rules.base import Claim, Place, Rule

__all__ = ["RULES", "Claim", "Place", "Rule"]

_WORDS = tomllib.loads((files("nyxlab") / "defaults" / "rules.toml").read_text(encoding="utf-8"))
RULES: tuple[Rule, ...] = tuple(
    Rule(id=name, check=import_module(f"{__name__}.{name.replace('-', '_')}").check, **words)
    for name, words in _WORDS.items()
)
