"""Files: every path that a plan names, what is to be done to it, and how that is said: label, verb, tree or table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nyxlab.reviewer.text.blocks import Fence, Sentence, Table
from nyxlab.reviewer.text.words import VOCABULARY

Action = Literal["new", "modify", "delete"]
Said = Literal["label", "verb", "tree", "table", "named"]


@dataclass(frozen=True, slots=True, eq=False)
class FileMention:
    """One place that names a file; where nothing is said of it, ``action`` is None and ``said`` "named" or "tree"."""

    name: str
    action: Action | None
    said: Said
    path: str
    line: int
    sentence: Sentence | None = None

    @property
    def base(self) -> str:
        """Its last part."""
        return self.name.rpartition("/")[2]


_ACTIONS: dict[str, Action] = {word: act for act, words in VOCABULARY["actions"].items() for word in words.split()}
_EXTENSIONS, _NAMES, _LIBRARIES = (
    frozenset(VOCABULARY["files"][kind].split()) for kind in ("extensions", "names", "libraries")
)
_DONE = (
    r"new|existing|create[ds]?|add(?:ed)?|modif(?:y|ied|ies)|update[ds]?|change[ds]?|edit(?:ed)?|delete[ds]?|removed?"
)
_TOKEN = re.compile(r"[\w./@{}\[\]()+~-]++")
_LABEL = re.compile(rf"^\W*({_DONE}|tests?)\b(?: files?)?[*_`]*\s{{0,2}}(?::|\u2014|\*\*|`|$)", re.IGNORECASE)
_MARK = re.compile(rf"^[\s#\u2190<(\[/\u2014*-]*(?:\[|\()?({_DONE}|mod|extend(?:ed)?)\b(?!/)", re.IGNORECASE)
_AFTER = re.compile(
    r"`?\W{0,3}\((?:an?\s|the\s)?"
    r"(new|existing|created?|modif(?:y|ied)|updated?|extended|edit(?:ed)?|changed|deleted?|removed)\b",
    re.IGNORECASE,
)
_LISTED = re.compile(
    r"""^\W*(?:(?P<new>(?:new|added|created)\ (?:source\ )?files?|files\ to\ (?:create|add))
    |(?P<modify>(?:modified|changed|updated|existing|touched)\ (?:source\ )?files?
      |files\ to\ (?:change|modify|edit|update))
    |(?P<delete>(?:deleted|removed)\ files?|files\ to\ (?:delete|remove)))\b""",
    re.IGNORECASE | re.VERBOSE,
)
_WORD = re.compile(r"[A-Za-z]++")
_GLYPHS = "├└│"


def is_file(token: str) -> bool:
    """Whether a word looks like a file of a project: a known ending or name, no address, no glob."""
    name = token.rsplit("/", 1)[-1]
    stem, _, extension = name.rpartition(".")
    ends = extension in _EXTENSIONS and (stem or "/" in token) and not stem.isdigit()
    odd = ".." in token or "*" in token or token.lower() in _LIBRARIES or token.startswith(("/", "@", "~", "-"))
    return name in _NAMES or bool(ends and not odd)


def files(sentence: Sentence, intro: Sentence | None = None) -> Iterator[FileMention]:
    """Yield the files of a sentence; a label before, a mark after or the nearest verb says what is done to each."""
    text = sentence.text
    label = _LABEL.match(text)
    for m in _TOKEN.finditer(text) if "." in text or "file" in text else ():
        token = m[0].rstrip(".:)").lstrip("(").removeprefix("./")
        address = "://" in text[max(0, m.start() - 8) : m.start()]
        if address or not ("." in token or token in _NAMES) or not is_file(token):
            continue
        said: Said = "label"
        if after := _AFTER.match(text, m.start() + len(m[0].rstrip(".:)"))):
            action = _ACTIONS.get(after[1].lower())
        elif label and (":" in label[0] or not text[label.end() : m.start()].strip(" `*")):
            action = _ACTIONS.get(label[1].lower())
        elif not (action := _listed(sentence, intro)):
            action, said = _verb(text, m.start()), "verb"
        yield FileMention(token, action, said if action else "named", sentence.path, sentence.line, sentence)


def _listed(sentence: Sentence, intro: Sentence | None) -> Action | None:
    """Read the words over a list of files, "Modified files": the sentence before it, or the heading."""
    over = [intro.plain if intro else "", sentence.section.text if sentence.section else ""]
    m = next(filter(None, map(_LISTED.match, over)), None) if sentence.where in ("item", "task") else None
    return m.lastgroup if m else None  # type: ignore[return-value]  # the groups are named as the actions are


def _verb(text: str, start: int) -> Action | None:
    """Say what is done to the file at ``start``: "add X to FILE" changes it, "create X in FILE" says only where."""
    before = [w.lower() for w in _WORD.findall(text[max(0, start - 80) : start])[-9:]]
    for distance, word in enumerate(reversed(before)):
        action = _ACTIONS.get(word)
        if action is None or (word == "new" and distance > 1) or (word == "existing" and distance > 2):
            continue
        between = set(before[len(before) - distance :])
        if between & {"to", "into", "from", "of"}:
            return "modify" if action != "new" or between & {"to", "into"} else None
        if between & {"in", "at", "inside", "via", "with", "using", "for", "by"}:
            return None if action == "new" else "modify"
        return action if distance <= 3 else None
    return None


def table_files(table: Table) -> Iterator[FileMention]:
    """Yield the files of a table whose rows say in a cell of their own what is done to each."""
    for row in table.rows:
        named = [t.strip("`,;()").removeprefix("./") for cell in row.cells for t in cell.split() if "." in t]
        marks = {_ACTIONS.get(m[1].lower()) for cell in row.cells if len(cell) < 24 and (m := _MARK.match(cell))}
        for name in [n for n in named if is_file(n)][:1] if len(marks) == 1 else ():
            yield FileMention(name, next(iter(marks)), "table", table.path, row.line)


def tree_files(fence: Fence) -> Iterator[FileMention]:
    """Yield the files of a drawn tree with their full names and the mark (``a.py  # NEW``) of what is done to them."""
    open_dirs: list[tuple[int, str]] = []
    drawn = any(glyph in fence.text for glyph in _GLYPHS)
    for number, line in enumerate(fence.text.split("\n") if drawn else (), fence.line + 1):
        body = line.lstrip("\u251c\u2514\u2502\u2500 \t|`+-")
        name, _, comment = body.removeprefix("./").partition(" ")
        if not name or name.startswith("#"):
            continue
        depth = len(line) - len(body)
        while open_dirs and open_dirs[-1][0] >= depth:
            open_dirs.pop()
        whole = "".join(d for _, d in open_dirs[-12:]) + name
        if name.endswith("/"):
            open_dirs.append((depth, name))
        elif is_file(whole):
            mark = _MARK.match(comment.strip()) if comment else None
            yield FileMention(whole, _ACTIONS.get(mark[1].lower()) if mark else None, "tree", fence.path, number)
