"""Everything that runs over a plan without a model: the rules, the security family, and the lessons."""

from __future__ import annotations

from collections.abc import Mapping

from nyxlab.errors import InputRefused
from nyxlab.reviewer.lessons import read_lessons, shipped
from nyxlab.reviewer.rules import RULES, hidden_characters, prompt_injection, unexplained_suppression
from nyxlab.reviewer.rules.base import Rule

BUILT_IN: tuple[Rule, ...] = (*RULES, hidden_characters.RULE, prompt_injection.RULE, unexplained_suppression.RULE)


def all_rules(own: Mapping[str, str] | None = None) -> tuple[Rule, ...]:
    """Return every rule and lesson; ``own`` are a project's lesson files by name, which add to the shipped ones or replace them."""
    lessons: dict[str, Rule | None] = {rule.id: rule for rule in shipped()}
    for name, text in (own or {}).items():
        lessons |= read_lessons(text, name)
    taken = {rule.id for rule in BUILT_IN} & lessons.keys()
    if taken:
        raise InputRefused(f"a lesson may not have the name of a rule: {', '.join(sorted(taken))}; rename it")
    return (*BUILT_IN, *(rule for rule in lessons.values() if rule))
