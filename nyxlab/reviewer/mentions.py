"""What sentences speak of: identifiers, numbered parts, files and what is done to them, links, demands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nyxlab.reviewer.blocks import CODE, LINK, Fence, Sentence, Table

Action = Literal["new", "modify", "delete"]
Modality = Literal["must", "must not", "should", "should not", "may", "will", "will not"]


@dataclass(frozen=True, slots=True, eq=False)
class Identifier:
    """One place that names ``T012``, ``FR-009a`` or ``Phase 2``: ``family`` is "T", "FR" or "phase", ``number`` the rest as written.

    ``defines`` is true where the thing is introduced (item, heading, first cell, caption), else it is a reference.
    """

    family: str
    number: str
    path: str
    line: int
    defines: bool
    sentence: Sentence

    @property
    def name(self) -> str:
        """How it is written: "FR-009a", "T012", "Phase 2"."""
        return f"{self.family.title()} {self.number}" if self.family.islower() else f"{self.family}{self.number}"

    @property
    def rank(self) -> int:
        """How firmly it is defined: 3 by a heading or a task, 2 by a bold opening, 1 by a plain item, 0 by a cell."""
        where = self.sentence.where
        return (
            3
            if where in ("heading", "task")
            else 0
            if where == "cell"
            else 2
            if self.sentence.text.startswith(("**", "__"))
            else 1
        )

    @property
    def ordinal(self) -> int:
        """The whole number in it, for order and gaps."""
        return int(re.search(r"\d+", self.number)[0])  # type: ignore[index]  # the pattern demands a digit


@dataclass(frozen=True, slots=True, eq=False)
class FileMention:
    """One place that names a file, with what is to be done to it where that is said."""

    name: str
    action: Action | None
    path: str
    line: int
    sentence: Sentence | None


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A link as written: ``target`` for ``[text](target)``, ``label`` for ``[text][label]`` (folded), never both."""

    text: str
    target: str | None
    label: str | None
    path: str
    line: int
    sentence: Sentence | None = None


# --- identifiers and numbered parts -------------------------------------------------------------------------------

PARTS = "phase|step|stage|milestone|user story|story|option|alternative|example|scenario|appendix|figure|table|section|chapter|part|task|goal|risk|epic|sprint|iteration|requirement|question|decision"
_PART = re.compile(
    rf"(?<![\w-])({PARTS})(s?)\s+#?(\d{{1,3}}(?:\.\d{{1,3}})*[a-z]?)\b(?![.,]?\d|%|-[A-Za-z]|\()", re.IGNORECASE
)
_MORE = re.compile(
    r"(\s{0,3}(?:,\s{0,3}and|,|and|or|&|/)\s{0,3}|\s{0,3}(?:[\u2013\u2014-]|to|through)\s{0,3})(\d{1,3}(?:\.\d{1,3})*[a-z]?)\b(?![%\w]|\.\d)"
)
_SPREAD = ("\u2013", "\u2014", "-", "to", "through")
_ID = re.compile(r"(?<![\w.$\[#-])(?<![a-z.]/)([A-Z][A-Z]{0,9})(-?)(\d{1,4}[a-w]?)\b(?![-\w(\[]|\.\w|/[a-z.])")
_OPENING = re.compile(r"[^\w§\[`]*+")
_DEFINING = re.compile(r"\s{0,3}(?:[:\u2013\u2014)\].]|-\s|\*\*|\(|\[|$|[^\w\s+&/,]?\s{0,3}[A-Z`\"])")
_LOWER = re.compile(  # "REQ-1 import": a title in small letters, not what is said of one that stands elsewhere
    r"\s(?!(?:is|are|was|has|have|needs?|must|should|shall|will|can|may|depends|requires|and|or|to|in|on|for|with|by|from|at|as|which|that|after|before|only|covers?|blocks?)\b)[a-z]"
)
_TITLED = re.compile(r"\s{0,3}(?:[:\u2013\u2014.)]|-\s|\(|$)")
_NO_IDS = "AES AMD ARM B BASE BCP C CRC CSS CVE CWE EC ES F GA GH GMT GPT H HTML HTTP I INT IPV ISO K KEP L M MD N OAUTH OIDC P PEP PR PY Q RFC RSA S SHA SSL TLS U UINT UTC UTF V WCAG X"
_NOT_IDS = frozenset(_NO_IDS.split())


def identifiers(sentence: Sentence) -> Iterator[Identifier]:
    """Yield what a sentence defines and refers to. Code spans are searched for definitions' names only by their prose."""
    text = sentence.prose
    indexed = sentence.where == "item" and "](#" in sentence.text
    opening = _OPENING.match(text).end() if sentence.first and not indexed else -1  # type: ignore[union-attr]  # matches the empty text too
    head = (
        sentence.where in ("heading", "item", "task", "cell") or "**" in sentence.text[:4] or "__" in sentence.text[:4]
    )
    for m in _ID.finditer(text):
        if m[1] in _NOT_IDS and not (m[2] and len(m[1]) == 1):
            continue
        titled = sentence.where == "task" or _DEFINING.match(text, m.end())
        named = sentence.where == "item" and m[2] and _LOWER.match(text, m.end())
        defines = m.start() == opening and head and bool(titled or named)
        if sentence.where == "cell":
            defines = m.start() == opening and m.end() >= len(text.rstrip(" *_"))
        yield Identifier(m[1] + m[2], m[3], sentence.path, sentence.line, defines, sentence)
    for m in _PART.finditer(text):
        yield from _parts(sentence, m, text, opening, head)


def _parts(sentence: Sentence, m: re.Match[str], text: str, opening: int, head: bool) -> Iterator[Identifier]:
    """Yield one part, or all of "Phases 1-3" and "Steps 2, 4 and 5"."""
    family = m[1].lower()
    caption = family in ("figure", "table") and text[m.end() : m.end() + 1] in (":", ".", "")
    defines = m.start() == opening and not m[2] and (
        sentence.where == "heading"
        or ((head or caption) and bool(_TITLED.match(text, m.end())))
        or (family in ("step", "phase", "stage", "milestone") and text.startswith(":", m.end()))
    )  # fmt: skip
    yield Identifier(family, m[3], sentence.path, sentence.line, defines, sentence)
    last, position = m[3], m.end()
    while m[2] and (more := _MORE.match(text, position)):
        spread = more[1].strip() in _SPREAD and last.isdigit() and more[2].isdigit()
        first = int(last) + 1 if spread else 0
        for number in [str(n) for n in range(first, int(more[2]))][:50] if spread else []:
            yield Identifier(family, number, sentence.path, sentence.line, False, sentence)
        yield Identifier(family, more[2], sentence.path, sentence.line, False, sentence)
        last, position = more[2], more.end()


# --- files ---------------------------------------------------------------------------------------------------------

_KNOWN = (
    "py pyi ipynb go rs c h cc cpp hpp cs java kt kts swift m rb php pl ex exs erl scala clj hs ml ts tsx js jsx mjs cjs vue svelte html css scss"
    " less sql prisma graphql proto md mdx rst txt adoc json jsonl json5 yaml yml toml ini cfg conf env xml csv tsv sh bash zsh ps1 bat cmd tf"
    " tfvars hcl lock sum mod gradle csproj sln props targets plist service timer j2 tmpl tpl svg png"
)
_EXTENSIONS = frozenset(_KNOWN.split())
_MADE = "Dockerfile Makefile Jenkinsfile Procfile Caddyfile Gemfile Rakefile Vagrantfile Containerfile"
_NAMES = frozenset(_MADE.split())
_TOKEN = re.compile(r"[\w./@{}+~-]++")
_MAKING = "create creates created creating introduce introduces introduced scaffold generate generates new"
_CHANGING = (
    "modify modifies modified modifying update updates updated updating extend extends extended edit edits edited change changes changed"
    " adjust adjusts refactor rewrite patch existing wire amend alter rework"
)
_REMOVING = "delete deletes deleted remove removes removed drop drops"
_VERBS: dict[str, Action] = {
    **dict.fromkeys(_MAKING.split(), "new"),
    **dict.fromkeys(_CHANGING.split(), "modify"),
    **dict.fromkeys(_REMOVING.split(), "delete"),
}
_MARK = re.compile(
    r"\b(new|create[ds]?|added|modif(?:y|ied|ies)|update[ds]?|change[ds]?|extend(?:ed)?|edit(?:ed)?|delete[ds]?|removed?)\b",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"`?\s{0,3}(?:\((?:an?\s)?(?P<mark>new|create|modified|modify|update|updated|extended|edit|changed|existing|delete|deleted|removed)\b"
    r"|[\u2013\u2014:-]?\s{0,3}(?:is|will be|gets|must be)\s(?:an?\s)?(?P<said>new|created|introduced|added|modified|updated|extended|edited|changed|deleted|removed|existing)\b)",
    re.IGNORECASE,
)
_LABELS: dict[re.Pattern[str], Action] = {
    re.compile(r"(?i)(?:new|added|created) (?:source )?files?(?:\W{1,3}|$)"): "new",
    re.compile(r"(?i)(?:modified|changed|updated|existing|touched) (?:source )?files?(?: to change)?(?:\W{1,3}|$)|(?:files to (?:change|modify|edit)|changes to existing (?:code|files))(?:\W{1,3}|$)"): "modify",
    re.compile(r"(?i)(?:deleted|removed) files?(?:\W{1,3}|$)|files to (?:delete|remove)(?:\W{1,3}|$)"): "delete",
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z]++")


def is_file(token: str) -> bool:
    """Whether a word looks like a file of a project: a known ending or name, no address, no glob."""
    name = token.rsplit("/", 1)[-1]
    if name in _NAMES:
        return True
    stem, dot, extension = name.rpartition(".")
    return bool(
        dot and (stem or "/" in token) and extension in _EXTENSIONS and ".." not in token and not stem.isdigit()
    )


def files(sentence: Sentence) -> Iterator[FileMention]:
    """Yield the files that a sentence names; the verb nearest before the name, or a mark after it, says what is done."""
    text = sentence.text
    for m in _TOKEN.finditer(text):
        token = m[0].rstrip(".:").removeprefix("./")
        if (
            ("." not in token and token not in _NAMES)
            or text[max(0, m.start() - 3) : m.start()] == "://"
            or not is_file(token)
        ):
            continue
        if text.startswith("//", m.start()) or "@" in token:
            continue
        action = _action(text, m.start(), m.start() + len(m[0].rstrip(".:"))) or _labelled(sentence, text[: m.start()])
        yield FileMention(token, action, sentence.path, sentence.line, sentence)


def _labelled(sentence: Sentence, before: str) -> Action | None:
    """Read the label over a list of files: "New files:" on the same line, or a heading "Modified files"."""
    for label in (before, sentence.section.text if sentence.section and sentence.where == "item" else ""):
        for pattern, action in _LABELS.items():
            if pattern.match(label.strip(" *#`")):
                return action
    mark = re.match(r"\W*(NEW|MOD|DEL|ADD|MODIFY|DELETE|CREATE)\b", before)
    return {"N": "new", "A": "new", "C": "new", "M": "modify", "D": "delete"}[mark[1][0]] if mark else None  # type: ignore[return-value]


def _action(text: str, start: int, end: int) -> Action | None:
    """Say what is to be done to the file named at ``start``; "add X to FILE" changes the file, "add FILE" makes it."""
    after = _AFTER.match(text, end)
    if after:
        return action_word(after["mark"] or after["said"])
    before = _WORD.findall(text[max(0, start - 80) : start])[-9:]
    for distance, word in enumerate(reversed(before)):
        low = word.lower()
        if low in ("add", "adds", "added", "write", "implement"):
            return (
                "modify"
                if {"to", "into"} & {w.lower() for w in before[len(before) - distance :]}
                else "new"
                if distance <= 1
                else None
            )
        if low in _VERBS and not (low == "new" and distance > 1) and not (low == "existing" and distance > 2):
            inside = {w.lower() for w in before[len(before) - distance :]} & {"in", "from", "to", "into"}
            return "modify" if inside and low != "new" else _VERBS[low]
    return None


def action_word(word: str) -> Action | None:
    """Read one word (new, modified, DELETE …) as an action."""
    low = word.lower()
    return "new" if low in ("added", "add", "create", "creates", "created", "new") else _VERBS.get(low)


def table_files(table: Table) -> Iterator[FileMention]:
    """Yield the files of a table whose rows say in a cell of their own what is done to each."""
    for row in table.rows:
        named = [t.removeprefix("./") for cell in row.cells for t in cell.split() if is_file(t.strip("`,;()"))]
        marks = {action_word(m[1]) for cell in row.cells if len(cell) < 24 and (m := _MARK.match(cell.strip(" *~")))}
        if len(marks) == 1:
            yield from (
                FileMention(name.strip("`,;()"), next(iter(marks)), table.path, row.line, None) for name in named[:1]
            )


def tree_files(fence: Fence) -> Iterator[FileMention]:
    """Yield the files of a drawn tree (``├── a.py  # NEW``) with their full names."""
    if not any(glyph in fence.text for glyph in "├└│"):
        return
    open_dirs: list[tuple[int, str]] = []
    for offset, line in enumerate(fence.text.split("\n"), 1):
        body = line.lstrip("│├└─ \t|`+-")
        name, _, comment = body.partition(" ")
        if not name or name.startswith("#"):
            continue
        depth = len(line) - len(body)
        while open_dirs and open_dirs[-1][0] >= depth:
            open_dirs.pop()
        if name.endswith("/"):
            open_dirs.append((depth, name))
        elif is_file(name):
            mark = _MARK.match(comment.strip().lstrip("#←<-/ ([")) if comment else None
            action = action_word(mark[1]) if mark and "/NEW" not in comment[:24].upper() else None
            yield FileMention(
                "".join(d for _, d in open_dirs[-12:]).removeprefix("./") + name,
                action,
                fence.path,
                fence.line + offset,
                None,
            )


# --- links and demands --------------------------------------------------------------------------------------


def links(sentence: Sentence) -> Iterator[Link]:
    """Yield the links of a sentence, code spans left out."""
    if "](" not in sentence.text and "][" not in sentence.text:
        return
    text = CODE.sub(lambda m: "`" + "x" * (len(m[0]) - 2) + "`", sentence.text)
    for m in LINK.finditer(text):
        target = m[2].strip("<>") if m[2] is not None else None
        label = None if target is not None else " ".join((m[3] or m[1]).casefold().split())
        yield Link(m[1], target, label, sentence.path, sentence.line, sentence)


_MODAL = re.compile(r"\b(must|shall|should|may|will|can)( not|n't)?\b|\b(cannot|won't|mustn't|shan't)\b", re.IGNORECASE)


def modality(text: str) -> Modality | None:
    """Return what a sentence demands: its first modal verb, "shall" read as "must", "can" as no demand."""
    for m in _MODAL.finditer(text):
        word = (m[1] or m[3]).lower()
        negated = bool(m[2] or m[3])
        match word:
            case "must" | "shall" | "mustn't" | "shan't":
                return "must not" if negated else "must"
            case "should":
                return "should not" if negated else "should"
            case "will" | "won't":
                return "will not" if negated else "will"
            case "may" if not negated:
                return "may"
            case "may" | "cannot":
                return "must not"
    return None
