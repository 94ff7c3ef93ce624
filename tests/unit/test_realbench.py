"""Real plans: every finding on the public half was judged by reading, and each rule stays above its bar."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.review import open_documents, review_documents

ROOT = Path(__file__).parents[2]
PUBLIC = ROOT.parent / "shared" / "realbench" / "public"
LABELS = ROOT / "tests" / "bench" / "realbench-labels.jsonl"
BARS = {"CRITICAL": 0.9, "HIGH": 0.9, "MEDIUM": 0.8, "LOW": 0.7}

pytestmark = pytest.mark.skipif(
    not PUBLIC.is_dir(), reason="the real plans are not beside this checkout, in ../shared/realbench"
)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Finding, str | None]]:
    """Review each public set at its real paths among the files of its repository; pair each finding with its label."""
    labels = {}
    for line in LABELS.read_text("utf-8").splitlines():
        row = json.loads(line)
        labels[row["set"], row["rule"], tuple(row["places"])] = row["label"]
    found = []
    for name, entry in json.loads((PUBLIC / "MANIFEST.json").read_text()).items():
        folder = tmp_path_factory.mktemp(name)
        with gzip.open(PUBLIC / entry["tree"], "rt") as tree:
            for path in tree.read().split("\n"):
                target = folder / path
                if path and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.touch()
        docs = {file["path"]: file["doc"] for file in entry["files"]}
        for path, doc in docs.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes((PUBLIC / "docs" / doc).read_bytes())
        for finding in review_documents(open_documents(list(docs), folder)).findings:
            places = tuple(f"{docs[e.path]}:{e.start_line}" for e in (*finding.evidence, *finding.places))
            found.append((name, finding, labels.get((name, finding.rule, places))))
    return found


def test_every_finding_was_judged_by_reading(judged) -> None:
    """A change of the rules that says something new about these plans is read and labelled before it lands."""
    assert [(name, f.rule, f.title) for name, f, label in judged if label is None] == []


def test_each_rule_stays_above_its_bar(judged) -> None:
    """Of what a rule says at a level, so much is right: 0.9 of CRITICAL and HIGH, 0.8 of MEDIUM, 0.7 of LOW."""
    count = Counter((f.rule, f.severity.value, label in ("useful", "trivial")) for _, f, label in judged)
    for rule, level in {(rule, level) for rule, level, _ in count}:
        right, wrong = count[rule, level, True], count[rule, level, False]
        assert right / (right + wrong) >= BARS[level], (rule, level)
