"""K8: a file that is new in one place and already there in another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from nyxlab.reviewer.document import Document, FileMention, group
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Rule, at


def check(document: Document) -> Iterator[Claim]:
    """Find a file that is modified before it is made, made twice, or called existing here and new there, or otherwise than the repository has it."""
    known = _full_names(document)
    for name, mentions in group(
        (known(m.name), m) for m in document.file_mentions if m.action and "*" not in m.name
    ).items():
        if "/" not in name:
            continue
        new = [m for m in mentions if m.action == "new"]
        changed = [m for m in mentions if m.action == "modify"]
        if document.repo is not None and (wrong := _against_repo(name, mentions, document.repo)):
            yield wrong
            continue
        gone = next((m for m in mentions if m.action == "delete"), None)
        revived = [m for m in (*changed, *_used(mentions)) if gone and m.path == gone.path and m.line > gone.line]
        if gone and revived and not any(n.line > gone.line for n in new):
            yield _claim(name, revived[0], gone, "deleted and then needed again", Severity.HIGH)
            continue
        if not new:
            continue
        existing = [m for m in changed if _existing(m)]
        early = [
            m
            for m in (*changed, *_used(mentions))
            if m.path == new[0].path and m.line < new[0].line and _step(m) != _step(new[0])
        ]
        marked = [m for m in changed if _marked(m) and m.path != new[0].path and any(map(_marked, new))]
        if existing or early or marked:
            yield _claim(
                name,
                (existing or early or marked)[0],
                new[0],
                "modified before it is made"
                if early and not existing
                else "called new in one place and existing in another",
                Severity.HIGH,
            )
            continue
        again = [
            m for m in new[1:] if m.path == new[0].path and _marked(m) and _marked(new[0]) and _step(m) != _step(new[0])
        ]
        if again:
            yield _claim(name, again[0], new[0], "new twice", Severity.MEDIUM)


def _against_repo(name: str, mentions: Sequence[FileMention], repo: frozenset[str]) -> Claim | None:
    """Compare what the plan does with a file first with what the repository has."""
    first = mentions[0]
    if first.action == "new" and name in repo:
        how, fix = (
            "called new, and the repository has it",
            "Say that it is modified, or give the new file another name.",
        )
    elif first.action in ("modify", "delete") and not any(path == name or path.endswith(f"/{name}") for path in repo):
        done = "modified" if first.action == "modify" else "deleted"
        how, fix = (
            f"to be {done}, and the repository has no such file",
            "Correct the name, or say that the file is new.",
        )
    else:
        return None
    said = f"{name} is {how}"
    return Claim(Severity.HIGH, said, f"{said}.", fix, at(first), (name,), (first.action or "", how), 0.9)


def _used(mentions: Sequence[FileMention]) -> list[FileMention]:
    """Return where a step runs or imports the file: it must be there by then."""
    found = []
    for m in mentions:
        if m.action is None and m.sentence and m.sentence.where in ("item", "task", "paragraph"):
            before = m.sentence.plain.partition(m.name)[0]
            if re.search(
                r"(?i)(?:^|[:.]\s)\W*(?:T?\d+\W+)?(?:run|execute|import|call|invoke|source|build from)\b[^.;]{0,40}$",
                before,
            ):
                found.append(m)
    return found


def _full_names(document: Document) -> Callable[[str], str]:
    """Return a function that completes a name to the one longer name of the set that ends with it."""
    endings: dict[str, set[str]] = {}
    for name in {m.name for m in document.file_mentions}:
        parts = name.split("/")
        for n in range(1, min(len(parts), 6)):
            endings.setdefault("/".join(parts[n:]), set()).add(name)

    def complete(name: str) -> str:
        longer = endings.get(name, set())
        return complete(next(iter(longer))) if len(longer) == 1 else name

    return complete


def _existing(mention: FileMention) -> bool:
    """Whether the text calls this very file existing."""
    text = mention.sentence.text if mention.sentence else ""
    return bool(
        re.search(
            rf"(?i)\bexisting\s(?:\w+\s){{0,2}}[`\"*]*{re.escape(mention.name)}|{re.escape(mention.name)}[`\"*]*(?:\s(?:already exists|\((?:an\s)?existing)|,? which (?:already )?exists)",
            text,
        )
    )


def _marked(mention: FileMention) -> bool:
    """Whether the action stands as a mark (a tree, a table, "(new)"), not in running text."""
    return mention.sentence is None or bool(
        re.search(rf"{re.escape(mention.name)}[`\"*]*\s*[(:\u2014\u2013-]", mention.sentence.text)
    )


def _step(mention: FileMention) -> object:
    """Return the step that a mention belongs to, which may make a file and go on with it: an item of its own, or the section."""
    if (mention.sentence and mention.sentence.where in ("task", "item")) or re.match(
        r"\W*(?:Step|Phase|Stage) \d", mention.sentence.plain if mention.sentence else ""
    ):
        return mention.line
    return (mention.sentence.section if mention.sentence else None) or mention.line


def _claim(name: str, one: FileMention, two: FileMention, how: str, severity: Severity) -> Claim:
    return Claim(
        severity,
        f"{name} is {how}",
        f"{name} is {how}; both cannot be meant.",
        "Say once whether the file exists, and let the step that makes it come first.",
        at(one, two),
        (name,),
        (one.action or "", two.action or "", how),
        0.85,
    )


RULE = Rule(
    id="file-ledger",
    kind="K8",
    category=Category.ORDER,
    consequence="Somebody edits a file that is not there yet, or overwrites one that is.",
    severities={
        Severity.HIGH: "two steps conflict: the one that changes the file runs before the one that makes it, or one of them is wrong about the repository",
        Severity.MEDIUM: "made twice: the second step may overwrite the first one's work",
    },
    firing=(
        "## Step 1\n- `src/a.py` (modified)\n\n## Step 2\n- `src/a.py` (new)\n",
        "## Step 1\n- `src/a.py` (new)\n\n## Step 2\n- `src/a.py` (new)\n",
        "The existing file `src/a.py` is extended in place.\n\n`src/a.py` is a new file.\n",
    ),
    quiet=(
        "## Step 1\n- `src/a.py` (new)\n\n## Step 2\n- `src/a.py` (modified)\n",
        "- Create `src/a.py`\n- Add tests to `src/a.py`\n",
        "## Step 1\n- `src/a.py` (new)\n- `lib/a.py` (modified)\n",
    ),
    check=check,
)
