"""Contract JSON written by hand for the tests of frames, plots and reports, hostile in every field that others
write."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

HOSTILE = (
    "<script>window.pwned=1</script><img src=x onerror=window.pwned=2><img src=http://198.51.100.7/pixel.png>"
    '"><a href="javascript:window.pwned=3">go</a></script></pre></td></details><svg onload=window.pwned=4>'
    "[go](javascript:window.pwned=5) ![x](http://198.51.100.7/x.png) \x1b[31mred\x1b]0;owned\x07 \u202egnp.exe \u200bzero"
)
PLAN = "# Plan\n\nEach team belongs to exactly one tenant.\nA team is a tenant.\n" + HOSTILE + "\n"


def cost(usd: str | None, certainty: str = "exact") -> dict[str, Any]:
    return {"usd": usd, "certainty": certainty}


def alternative(provider: str, output: str | None, usd: str | None, seconds: float, **more: Any) -> dict[str, Any]:
    usage = {"inputTokens": 100, "outputTokens": 40, "cacheReadTokens": 5, "cacheWriteTokens": 0, "reasoningTokens": 0}
    return {
        "provider": provider, "status": "ok", "truncated": False, "output": output, "usage": usage, "error": None,
        "cost": cost(usd, "exact" if usd else "unknown"), "latencySeconds": seconds, "timeToFirstTokenSeconds": 0.1,
        "waitSeconds": 0.0, "attempts": 1, "cached": False,
    } | more  # fmt: skip


def step(name: str, start: int, took: float, **more: Any) -> dict[str, Any]:
    return {
        "id": name, "kind": "prompt", "status": "completed", "selectedProvider": None, "selectedBy": None, "gate": None,
        "alternatives": [], "caelReview": None, "output": None, "error": None,
        "startedAt": f"2026-01-05T10:00:{start:02d}Z", "durationSeconds": took,
    } | more  # fmt: skip


def run() -> dict[str, Any]:
    """Return a run of three steps: compared and judged, single with a replayed reply, failed."""
    compared = [alternative("script:demo#a", HOSTILE, "0.0061", 3.0), alternative("local:small", "short", "0", 1.0)]
    cael = {
        "selected": "script:demo#a", "checks": [], "swapConsistent": True, "rationale": HOSTILE, "judge": "script:demo#judge",
        "verdicts": [{"first": "a", "second": "b", "winner": "a"}, {"first": "b", "second": "a", "winner": "a"}],
        "warnings": [HOSTILE], "cost": cost("0.0011"),
        "calls": [alternative("script:demo#judge", HOSTILE, usd, 0.2) for usd in ("0.0005", "0.0006")],
    }  # fmt: skip
    gate = {"listed": 2, "live": 2, "reason": "2 listed, 2 usable: compared", "excluded": [], "policy": "balanced"}
    replayed = alternative("local:small", "again", "0", 9.0, cached=True)
    refused = alternative("script:demo#a", None, None, 0.5, status="error", error=HOSTILE, usage=None, cost=None)
    steps = [
        step("draft", 0, 3.6, selectedProvider="script:demo#a", selectedBy="judge", gate=gate | {"scores": {"x": 0.5}},
             alternatives=compared, caelReview=cael, output=HOSTILE),
        step("plan", 4, 1.5, selectedProvider="local:small", selectedBy="only", alternatives=[replayed], output="again"),
        step("check", 6, 0.5, status="failed", alternatives=[refused], error=HOSTILE),
    ]  # fmt: skip
    totals = {"usd": "0.0072", "certainty": "exact", "tokens": 290, "durationSeconds": 6.5, "calls": 5}
    return {"schema": "nyxlab.run/1", "runId": "20260105-100000-abcdef", "workflow": "hostile", "status": "failed",
            "pause": None, "goal": HOSTILE, "steps": steps, "totals": totals}  # fmt: skip


def finding(number: int, severity: str, category: str = "MODEL", **more: Any) -> dict[str, Any]:
    return {
        "id": f"F-{number:03d}", "fingerprint": "0" * 16, "rule": "exclusive-definitions", "category": category,
        "severity": severity, "severityReason": HOSTILE, "confidence": 0.9, "title": f"title {number} {HOSTILE}",
        "explanation": HOSTILE, "consequence": HOSTILE, "fix": HOSTILE, "status": "new", "suppressed": None,
        "evidence": [{"path": "plan.md", "startLine": 3, "endLine": 4, "verified": True,
                      "quote": "\n".join(PLAN.split("\n")[2:4])},
                     {"path": "plan.md", "startLine": 5, "endLine": 5, "verified": False, "quote": HOSTILE}],
        "foundBy": [{"kind": "rule"}],
    } | more  # fmt: skip


def review(findings: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return a review with one finding of each severity, or with the findings given."""
    listed = findings if findings is not None else [
        finding(n, s) for n, s in enumerate(("CRITICAL", "HIGH", "MEDIUM", "LOW"), 1)
    ]  # fmt: skip
    return {
        "schema": "nyxlab.review/1", "verdict": "FAIL", "failOn": "CRITICAL",
        "documents": [{"path": "plan.md", "sha256": "ab" * 32, "lines": PLAN.count("\n")}],
        "passes": [{"name": "rules", "status": "ran", "reason": None},
                   {"name": "lens:security", "status": "skipped", "reason": "no provider given"}],
        "counts": {s: sum(f["severity"] == s for f in listed) for s in ("CRITICAL", "HIGH", "MEDIUM", "LOW")},
        "findings": listed, "phases": [], "deferred": [], "cost": cost("0"),
    }  # fmt: skip


class Live(HTMLParser):
    """Collects what a page could do on its own: handlers, script addresses, pictures and links to elsewhere, embeds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.scripts += tag == "script" and "type" not in told
        self.found += [f"{tag} {name}" for name in told if name.startswith("on") or name == "style"]
        self.found += [tag] * (
            tag in {"iframe", "object", "embed", "base", "form", "link", "input", "textarea", "math"}
        )
        if tag == "a" and not (told.get("href") or "#").startswith(("#", "https://", "http://", "mailto:")):
            self.found.append(f"a {told['href']}")
        if (told.get("src") or "data:").partition(":")[0] != "data":
            self.found.append(f"{tag} {told['src']}")
