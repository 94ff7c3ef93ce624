"""Each rule against its own examples, and what all rules owe their reader."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Mapping

import pytest

from nyxlab.reviewer import blocks, mentions, rules
from nyxlab.reviewer.document import parse_documents
from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.review import find
from nyxlab.reviewer.rules import RULES, Rule

IDS = [rule.id for rule in RULES]


def _texts(example: str | Mapping[str, str]) -> Mapping[str, str]:
    return {"plan.md": example} if isinstance(example, str) else example


@pytest.mark.parametrize(("rule", "example"), [(r, e) for r in RULES for e in r.firing])
def test_a_rule_fires_on_its_firing_examples(rule: Rule, example: str | Mapping[str, str]) -> None:
    """Each firing example of a rule draws a finding of that rule, at a severity that the rule declares, with verified quotes."""
    found = find(parse_documents(_texts(example)), [rule])
    assert found, example
    assert all(f.severity in rule.severities and f.verified and f.severity_reason for f in found)


@pytest.mark.parametrize(("rule", "example"), [(r, e) for r in RULES for e in r.quiet])
def test_a_rule_is_quiet_on_its_quiet_examples(rule: Rule, example: str | Mapping[str, str]) -> None:
    """No quiet example of a rule draws a finding of that rule."""
    assert [f.title for f in find(parse_documents(_texts(example)), [rule])] == []


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_every_rule_is_documented(rule: Rule) -> None:
    """A rule states its claim, its kind, its consequence, a reason for each severity, and has examples of both sorts."""
    assert rule.claim.startswith("Find ")
    assert rule.kind.startswith("K")
    assert rule.consequence.endswith(".")
    assert rule.severities
    assert all(reason for reason in rule.severities.values())
    assert rule.firing
    assert rule.quiet


def test_rule_ids_are_words_and_unique() -> None:
    """A rule's id is made of words, so that a person can say it, and names one rule."""
    assert len(set(IDS)) == len(IDS)
    assert all(part.isalpha() and part.islower() for name in IDS for part in name.split("-"))


def test_a_critical_is_possible_without_a_model() -> None:
    """Cycles, a MUST against a MUST NOT and exclusive definitions are CRITICAL by rule alone."""
    assert {r.kind for r in RULES if Severity.CRITICAL in r.severities} >= {"K6", "K9", "K15"}


HOSTILE = {
    "letters": "a" * 100_000,
    "words": "two steps " * 10_000,
    "brackets": "[" * 50_000 + "]" * 50_000,
    "links": "[](" * 33_000,
    "ticks": "`" * 99_999,
    "stars": "**a " * 25_000,
    "numbers": "1 + " * 25_000,
    "parts": "Phases 1" + ", 2" * 33_000,
    "ids": "FR-001/" * 14_000,
    "tags": "<a " * 33_000,
    "quotes": '"a ' * 33_000,
    "colons": "a: 1 (" * 16_000,
    "dashes": "the limit is - " * 6_600,
    "belongs": "each member belongs to exactly one " * 2_800,
    "needs": "T001 needs T002 " * 6_200,
    "files": "src/a.py " * 11_000,
    "spaces": "a" + " " * 99_000 + "b",
    "dots": "1." * 50_000,
    "slashes": "/" * 100_000,
    "commas": "three things: a, " + "b, " * 33_000,
}


MODULES = [
    blocks,
    mentions,
    *(importlib.import_module(f"nyxlab.reviewer.rules.{m.name}") for m in pkgutil.iter_modules(rules.__path__)),
]
PATTERNS = {f"{m.__name__}.{name}": p for m in MODULES for name, p in vars(m).items() if isinstance(p, re.Pattern)}


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_is_linear(name: str) -> None:
    """Each pattern alone searches 100 kB on one line in under half a second of processor time, whatever stands there."""
    for text in HOSTILE.values():
        start = time.thread_time()
        for _ in PATTERNS[name].finditer(text):
            pass
        assert time.thread_time() - start < 0.5, text[:20]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_costs_little_time(name: str) -> None:
    """100 kB on one line passes through every rule within seconds on a slow machine: no pattern backtracks for ever."""
    start = time.thread_time()
    find(parse_documents({"plan.md": HOSTILE[name]}))
    assert time.thread_time() - start < 5
