"""A review as SARIF 2.1.0, the form in which code hosts and editors take findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from nyxlab import __version__
from nyxlab.errors import InputRefused

Json = Mapping[str, Any]
Rules = Sequence[Json]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"CRITICAL": "error", "HIGH": "error", "MEDIUM": "warning", "LOW": "note", "INFO": "note"}
STATES = {"new": "new", "open": "unchanged", "fixed": "absent", "not-found-again": "absent"}
ROOT = "SRCROOT"
HOME = "https://nyxlab.example/"  # a reserved name: validators want a page, and the project has none on the web yet


def to_sarif(reviews: Sequence[Json], rules: Rules, names: Sequence[str] = ()) -> dict[str, Any]:
    """Return a SARIF log with one run a review ("nyxlab.review/1").

    ``rules`` describe what may have been found, as `nyxlab rules --json` does. ``names`` tell several reviews apart.
    """
    for review in reviews:
        if review.get("schema") != "nyxlab.review/1":
            raise InputRefused("only a document with schema nyxlab.review/1 can be written as SARIF")
    labels = [f"/{n}/{name}" for n, name in enumerate(names, 1)] or [""] * len(reviews)
    runs = [_run(review, rules, label) for review, label in zip(reviews, labels, strict=True)]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}


def _run(review: Json, rules: Rules, label: str) -> dict[str, Any]:
    described = {rule["id"]: rule for rule in rules}
    used = list(dict.fromkeys(finding["rule"] for finding in review["findings"]))
    missing = [_notification(told) for told in review.get("passes") or () if told["status"] != "ran"]
    read = review.get("read") or {}
    unread = [
        {"level": "error", "message": {"text": f"not read: {each['path']}: {each['reason']}"}}
        for each in read.get("unread") or ()
    ]
    compared = any(finding.get("status", "new") != "new" for finding in review["findings"])
    return {
        "tool": {
            "driver": {
                "name": "nyxlab",
                "fullName": f"nyxlab {__version__}: Cael, the consistency reviewer",
                "semanticVersion": __version__,
                "rules": [_rule(name, described.get(name)) for name in used],
                "informationUri": HOME,
            }
        },
        "automationDetails": {"id": f"nyxlab/review{quote(label)}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": [*unread, *missing]}],
        "artifacts": [
            {
                "location": _artifact(document["path"]),
                "hashes": {"sha-256": document["sha256"]},
                "mimeType": "text/markdown",
                "roles": ["analysisTarget"],
            }
            for document in review["documents"]
        ],
        "results": [_result(finding, used.index(finding["rule"]), compared) for finding in review["findings"]],
        "properties": {
            "verdict": review["verdict"],
            "failOn": review["failOn"],
            "read": read.get("told", ""),
        },
    }


def _notification(told: Json) -> dict[str, Any]:
    reason = told.get("reason") or "no reason recorded"
    return {"level": "note", "message": {"text": f"{told['name']} was {told['status']}: {reason}."}}


def _rule(name: str, described: Json | None) -> dict[str, Any]:
    """Return a rule's metadata; one that nobody describes (an older review's) has its name alone."""
    words = "".join(part.title() for part in f"{name}-rule".split("-"))  # a name must not be the id again
    if described is None:
        return {"id": name, "name": words}
    levels = "".join(f"\n- {level}: {reason}" for level, reason in described["severities"].items())
    worst = next(iter(level for level in LEVELS if level in described["severities"]))
    claim = described["claim"].rstrip(".") + "."
    return {
        "id": name,
        "name": words,
        "shortDescription": {"text": _first_sentence(claim)},
        "fullDescription": {"text": claim},
        "help": {"text": f"{claim} {described['consequence']}\n{levels}".strip()},
        "defaultConfiguration": {"level": LEVELS[worst]},
        "properties": {"tags": ["plan", described["category"].lower(), described["kind"]]},
    }


def _result(finding: Json, index: int, compared: bool) -> dict[str, Any]:
    text = f"{finding['title']}. {finding['explanation']} {finding['fix']}".strip()
    first, *others = finding["evidence"] or [None]
    result = {
        "ruleId": finding["rule"],
        "ruleIndex": index,
        "level": LEVELS[finding["severity"]],
        "message": {"text": text if text.endswith((".", "!", "?")) else f"{text}."},
        "locations": [{"physicalLocation": _place(first)}] if first else [],
        "partialFingerprints": {"nyxlab/v1": finding["fingerprint"]},
        "rank": round(100 * finding["confidence"], 1),
        "properties": {key: finding[key] for key in ("severity", "severityReason", "category", "consequence")},
    }
    if others:
        result["relatedLocations"] = [
            {"id": n, "physicalLocation": _place(piece), "message": {"text": "The other side of it."}}
            for n, piece in enumerate(others, 1)
        ]
    if finding.get("suppressed") is not None:
        # A comment in the plan is a person's; a second reader's refutation stands outside of it.
        kind = "external" if any(who["kind"] == "lens" for who in finding["foundBy"]) else "inSource"
        result["suppressions"] = [{"kind": kind, "status": "accepted", "justification": finding["suppressed"]}]
    if compared:
        result["baselineState"] = STATES[finding.get("status", "new")]
    return result


def _place(piece: Json) -> dict[str, Any]:
    region = {"startLine": piece["startLine"], "endLine": piece["endLine"], "snippet": {"text": piece["quote"]}}
    return {"artifactLocation": _artifact(piece["path"]), "region": region}


def _artifact(path: str) -> dict[str, str]:
    """Return where a file is: against the folder that the review ran in, or an absolute path as it is."""
    pure = PurePath(path)
    if pure.is_absolute():
        return {"uri": pure.as_uri()}
    return {"uri": quote(pure.as_posix()), "uriBaseId": ROOT}


def _first_sentence(text: str) -> str:
    """Return what a list of rules shows: up to the first full stop, colon or semicolon."""
    ends = [at for mark in (". ", "; ", ": ") if (at := text.find(mark)) > 0]
    return f"{text[: min(ends)].rstrip('.')}." if ends else text
