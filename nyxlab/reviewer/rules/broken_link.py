"""K10: a link that leads nowhere."""

import re
from collections.abc import Iterator
from posixpath import basename, dirname, join, normpath
from urllib.parse import unquote

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity
from nyxlab.reviewer.text.links import Link

_BARE = re.compile(r"(?<![a-z0-9_-])[a-z0-9][a-z0-9_-]{0,80}\.md")
_ELSEWHERE = re.compile(r"\A(?:[a-zA-Z][\w+.-]{0,30}:|/|<|\{|\$)")
_LINES = re.compile(r"L\d{1,6}(-L\d{1,6})?|:~:.*")


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a link to an anchor, a label or a file that is not in the set nor, where that is known, beside it."""
    dead: dict[tuple[str, str], list[Link]] = {}
    defined = (
        Link("", target, None, path, line)
        for path, labels in document.references.items()
        for target, line in labels.values()
        if target.startswith("#")
    )
    for link in (*document.links, *defined):
        if problem := _label(document, link) if link.label is not None else _target(document, link):
            dead.setdefault(problem, []).append(link)
    for link in _bare_names(document):
        dead.setdefault((f"the file {link.text}", "it is not in the set"), []).append(link)
    for (what, why), links in dead.items():
        yield Claim(Severity.LOW, f"Broken link: {what}", f"The text points to {what}, but {why}.", links, (what,))


def _label(document: Document, link: Link) -> tuple[str, str] | None:
    """Judge ``[text][label]`` in a file that defines link labels, but not this one; elsewhere it may be an index."""
    labels = document.references[link.path]
    if not labels or not link.label or link.label in labels or len(link.label) < 2 or link.label.isdigit():
        return None
    return f"the link label [{link.label}]", "no line defines it"


def _target(document: Document, link: Link) -> tuple[str, str] | None:
    """Judge an anchor in a file of the set, or a relative file; one above the set's folder only where disk was read."""
    target = unquote(link.target or "")
    if not target or _ELSEWHERE.match(target) or "@" in target:
        return None
    name, _, anchor = target.partition("#")
    name = name.partition("?")[0]
    path = normpath(join(dirname(link.path), name)) if name else normpath(link.path)
    if own := next((p for p in document.files if normpath(p) == path), None):
        anchors = {a.lower() for a in document.anchors[own]}
        known = not anchor or not path.endswith(".md") or anchor.lower() in anchors or _LINES.fullmatch(anchor)
        return None if known else (f"the anchor #{anchor}", f"no heading of {own} has it")
    if not name:
        return None
    if document.beside is not None:  # looked up on disk: the folder in which one stands changes nothing
        return None if path in document.beside else (f"the file {name}", "it does not exist")
    if path.startswith(".."):
        return None
    alone = name.endswith(".md") and "/" not in name
    return (f"the file {name}", "it is not among the files under review") if alone else None


def _bare_names(document: Document) -> Iterator[Link]:
    """Yield where a set of several files names a sibling (research.md) that is not there, once a file."""
    there = {basename(p) for p in (*document.files, *(document.beside or ()))}
    folders = {basename(dirname(p)) for p in document.files} | {""}
    told: set[tuple[str, str]] = set()
    for mention in document.file_mentions if len(document.files) > 1 else ():
        own = mention.name.count("/") < 2 and basename(dirname(mention.name)) in folders
        named = mention.sentence and not mention.action and _BARE.fullmatch(mention.base) and mention.base not in there
        if own and named and (mention.path, mention.base) not in told:
            told.add((mention.path, mention.base))
            yield Link(mention.name, mention.base, None, mention.path, mention.line)
