"""K10: a link that leads nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import dirname, join, normpath
from urllib.parse import unquote

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, at, rule
from nyxlab.reviewer.text.document import Document
from nyxlab.reviewer.text.links import Link

_BARE = re.compile(r"(?<![a-z0-9_-])[a-z0-9][a-z0-9_-]{0,80}\.md")


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a link that names an anchor, a link label or a file that does not exist in the set or, where that is known, beside it; each dead target once."""
    dead: dict[tuple[str, str], list[Link]] = {}
    for link in document.links:
        problem = _label(document, link) if link.label is not None else _target(document, link)
        if problem:
            dead.setdefault(problem, []).append(link)
    for path, labels in document.references.items():
        for target, line in labels.values():
            named = Link("", target, None, path, line)
            if target.startswith("#") and (problem := _target(document, named)):
                dead.setdefault(problem, []).append(named)
    for link, what, why in _bare_names(document):
        dead.setdefault((what, why), []).append(link)
    for (what, why), links in dead.items():
        yield Claim(
            Severity.LOW,
            f"Broken link: {what}",
            f"The text points to {what}, but {why}.",
            "Point to the place that is meant, or add it.",
            at(*links),
            (what,),
            confidence=0.95,
        )


def _label(document: Document, link: Link) -> tuple[str, str] | None:
    """Judge ``[text][label]`` in a file that defines link labels, but not this one; elsewhere it may be an index."""
    labels = document.references[link.path]
    if not labels or not link.label or link.label in labels or len(link.label) < 2 or link.label.isdigit():
        return None
    return f"the link label [{link.label}]", "no line defines it"


def _target(document: Document, link: Link) -> tuple[str, str] | None:
    """Judge an anchor in this file or in another one of the set, or a relative file."""
    target = unquote(link.target or "")
    if not target or re.match(r"[a-zA-Z][\w+.-]*:|//|/|<|\{|\$", target) or "@" in target:
        return None
    name, _, anchor = target.partition("#")
    name = name.partition("?")[0]
    path = normpath(join(dirname(link.path), name)) if name else link.path
    known = {normpath(p): p for p in document.files}
    if normpath(path) in known:
        anchors = document.anchors[known[normpath(path)]]
        if (
            anchor
            and path.endswith(".md")
            and anchor not in anchors
            and anchor.lower() not in {a.lower() for a in anchors}
            and not re.fullmatch(r"L\d+(-L\d+)?|:~:.*", anchor)
        ):
            return f"the anchor #{anchor}", f"no heading of {known[normpath(path)]} has it"
        return None
    if not name:
        return None
    if path.startswith(".."):
        return None  # outside the folder at hand: not ours to judge
    if document.beside is not None:
        return None if path in document.beside else (f"the file {name}", "it does not exist")
    if name.endswith(".md") and "/" not in name:
        return f"the file {name}", "it is not among the files under review"
    return None


def _bare_names(document: Document) -> Iterator[tuple[Link, str, str]]:
    """In a set of several files, a sibling named by its bare name (research.md) that is not there, while others so named are."""
    names = {p.rsplit("/", 1)[-1] for p in document.files} | {p.rsplit("/", 1)[-1] for p in document.beside or ()}
    folders = {dirname(p).rsplit("/", 1)[-1] for p in document.files} - {""}
    if len(document.files) < 2:
        return
    told: set[tuple[str, str]] = set()
    for mention in document.file_mentions:
        folder, _, name = mention.name.rpartition("/")
        if (
            mention.action
            or mention.sentence is None
            or not _BARE.fullmatch(name)
            or name in names
            or (mention.path, name) in told
        ):
            continue
        if not folder or folder in folders:
            told.add((mention.path, name))
            link = Link(name, name, None, mention.path, mention.line)
            yield link, f"the file {mention.name}", "it is not in the set"


RULE = rule("broken-link", check)
