"""Each rule against its own examples, and what all rules owe their reader."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Mapping

import pytest

import nyxlab.reviewer
from nyxlab.reviewer.prompt import ImplementationPrompt
from nyxlab.reviewer.review import find, review_documents
from nyxlab.reviewer.rules import RULES, Rule, prompt_injection
from nyxlab.reviewer.text.document import parse_documents

IDS = [rule.id for rule in RULES]


def _texts(example: str | Mapping[str, str]) -> Mapping[str, str]:
    return {"plan.md": example} if isinstance(example, str) else example


@pytest.mark.parametrize(("rule", "example"), [(r, e) for r in RULES for e in r.firing])
def test_a_rule_fires_on_its_firing_examples(rule: Rule, example: str | Mapping[str, str]) -> None:
    """Each firing example of a rule draws a finding of that rule, at a severity that the rule declares, with verified
    quotes."""
    found = find(parse_documents(_texts(example)), [rule])
    assert found, example
    assert all(f.severity in rule.severities and f.verified and f.severity_reason for f in found)


@pytest.mark.parametrize(("rule", "example"), [(r, e) for r in RULES for e in r.quiet])
def test_a_rule_is_quiet_on_its_quiet_examples(rule: Rule, example: str | Mapping[str, str]) -> None:
    """No quiet example of a rule draws a finding of that rule."""
    assert [f.title for f in find(parse_documents(_texts(example)), [rule])] == []


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_every_rule_is_documented(rule: Rule) -> None:
    """A rule states its claim, its kind, its consequence, a reason for each severity, and has examples of both
    sorts."""
    assert rule.claim.startswith("Find ")
    assert rule.kind.isalpha()
    assert rule.consequence.endswith(".")
    assert rule.severities
    assert all(reason for reason in rule.severities.values())
    assert rule.firing
    assert rule.quiet


def test_rule_ids_are_words_and_unique() -> None:
    """A rule's id is made of words, so that a person can say it, and names one rule."""
    assert len(set(IDS)) == len(IDS)
    assert all(part.isalpha() and part.islower() for name in IDS for part in name.split("-"))


def test_one_cause_is_one_finding() -> None:
    """A dead link on ten lines, and ten phases called complete too early, are one finding each, with all their
    places."""
    links = find(parse_documents({"plan.md": "[a](gone.md)\n\n" * 10}))
    assert [(f.rule, len(f.evidence) + len(f.places)) for f in links] == [("broken-link", 10)]
    phases = "".join(f"## Phase {n}: x (COMPLETE)\n\n- [ ] a\n- [x] b\n\n" for n in range(1, 11))
    early = find(parse_documents({"plan.md": phases}))
    assert [(f.rule, len(f.evidence) + len(f.places)) for f in early] == [("status-differs", 20)]


HOSTILE = {
    "letters": "a" * 100_000,
    "words": "two steps " * 10_000,
    "brackets": "[" * 50_000 + "]" * 50_000,
    "needs-brackets": "- Needs " + "[" * 99_000,
    "links": "[](" * 33_000,
    "ticks": "`" * 99_999,
    "stars": "**a " * 25_000,
    "numbers": "1 + " * 25_000,
    "parts": "Phases 1" + ", 2" * 33_000,
    "ranges": "T001-T400 " * 10_000,
    "ids": "FR-001/" * 14_000,
    "tags": "<a " * 33_000,
    "quotes": '"a ' * 33_000,
    "colons": "a: 1 (" * 16_000,
    "tally": "23 issues: " + "1 a, " * 19_000,
    "dashes": "the limit is - " * 6_600,
    "belongs": "each member belongs to exactly one " * 2_800,
    "needs": "T001 needs T002 " * 6_200,
    "files": "src/a.py " * 11_000,
    "fields": "`A` carries `b`, `c`, " * 4_500,
    "capitals": "Alpha, Beta, Gamma, " * 5_000,
    "underscores": "A_B_" * 25_000,
    "camels": "AbCd" * 25_000,
    "spaces": "a" + " " * 99_000 + "b",
    "dots": "1." * 50_000,
    "slashes": "/" * 100_000,
    "commas": "three things: a, " + "b, " * 33_000,
    "calls": "f(" * 50_000,
    "comments": "<!-- " * 20_000,
}
MODULES = [
    importlib.import_module(m.name)
    for m in pkgutil.walk_packages(nyxlab.reviewer.__path__, "nyxlab.reviewer.")
    if not m.ispkg
]
PATTERNS = {"prompt_injection.order": prompt_injection.order()} | {
    f"{m.__name__}.{name}.{n}": p
    for m in MODULES
    for name, value in vars(m).items()
    for n, p in enumerate(value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value])
    if isinstance(p, re.Pattern)
}


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_is_linear(name: str) -> None:
    """Each pattern of every module of the reviewer searches 100 kB on one line in under half a second, whatever stands
    there."""
    for text in HOSTILE.values():
        start = time.thread_time()
        for _ in PATTERNS[name].finditer(text):
            pass
        assert time.thread_time() - start < 0.5, text[:20]


HOSTILE_PLANS = {
    "steps": "".join(f"### Step {n}\n\nNeeds: Step {n - 1}\n\n" for n in range(2, 1_000)),
    "sections": "".join(f"## {n}. Part\n\nAs Section {n - 1} says.\n\n" for n in range(2, 4_000)),
    "tasks": "## Phase 1: x\n\n" + "".join(f"- [ ] T{n:04d} [P] Add to src/a.py (depends on T{n - 1:04d})\n" for n in range(2, 3_000)),
    "references": "- **FR-1**: a\n- **FR-2**: b\n- **FR-3**: c\n\n" + "See FR-7 and T099.\n\n" * 4_000,
    "files": "```\n" + "".join(f"\u251c\u2500\u2500 a{n}.py  # NEW\n" for n in range(3_000)) + "```\n",
    "code": "```ts\n" + "class A {\n  f(a: B): void {\n    this.g(a);\n  }\n}\n" * 1_500 + "```\n",
    "classes": "```ts\n" + "".join(f"class A{n}B{n}C {{\n  private x: number;\n  f(a: A{n + 1}B{n}D): void {{\n    this.g{n}Hh(a);\n    fooBar{n}(a.x);\n  }}\n}}\n" for n in range(3_000)) + "```\n",
    "parallel": "## Phase 1: x\n\n" + "".join(f"- [ ] T{n:04d} Add to src/a{n}.py (depends on T{n - 1:04d})\n" for n in range(2, 3_000)) + "".join(f"- T{n:04d} and T{n + 2:04d} can run in parallel\n" for n in range(2, 3_000)),
    "phases": "".join(f"## Phase {n}: x\n\n- [ ] Use [x](gone{n}.md) as Phase {n + 5_000} says\n- [ ] b\n\n" for n in range(1, 2_000)),
    "counts": "".join(f"### Step {n}: a\n\nThe work is split into {n % 20 + 2} steps.\n\n" for n in range(2_000)),
    "tables": "```sql\n" + "".join(f"create table t{n} (id int, a int);\n" for n in range(3_000)) + "```\n\n" + "Every table has `created_at`.\n\n" * 3_000,
    "items": "- a `b` c\n" * 10_000,
    "rows": "| a | Total |\n|---|---|\n" + "| 1 | 2 |\n" * 8_000,
    "nested": "".join(" " * (2 * n) + "- a\n" for n in range(90)) * 20,
    "fence": "text\n" + "```\n" * 4_001,
}  # fmt: skip


@pytest.mark.parametrize("name", [*HOSTILE, *HOSTILE_PLANS])
def test_a_hostile_plan_costs_little_time(name: str) -> None:
    """A whole review and the prompt of it take seconds on a slow machine, whatever the plan holds: nothing is
    quadratic."""
    text = HOSTILE.get(name) or HOSTILE_PLANS[name]
    start = time.thread_time()
    review = review_documents(parse_documents({"plan.md": text}))
    ImplementationPrompt.of(review.to_json(), {"plan.md": text}).files()
    assert time.thread_time() - start < 8
