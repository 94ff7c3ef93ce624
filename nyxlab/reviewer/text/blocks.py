"""Markdown's block structure with line numbers: headings, lists, tables, fences, and the sentences in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from nyxlab.reviewer.text.words import VOCABULARY

Where = Literal["paragraph", "heading", "item", "task", "cell", "quote"]


@dataclass(frozen=True, slots=True, eq=False)
class Heading:
    """A heading. ``number`` is "3.1" in "3.1 Storage"; ``anchors`` are the ids that a link may name, the slug first."""

    path: str
    line: int
    end_line: int
    level: int
    text: str
    anchors: tuple[str, ...]
    number: str | None
    parent: Heading | None

    @property
    def ancestry(self) -> Iterator[Heading]:
        """This heading, then its parents outwards."""
        node: Heading | None = self
        while node is not None:
            yield node
            node = node.parent


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """One sentence, or one cell of a table. ``text`` is as written with line breaks folded.

    ``plain`` has no Markdown marks; in ``prose`` code spans are blanked as well, because code makes no claim. ``first``
    says whether it opens its paragraph, item or cell: only there are things defined.
    """

    path: str
    line: int
    end_line: int
    text: str
    plain: str
    prose: str
    where: Where
    section: Heading | None
    first: bool


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One list item: ``number`` as written, ``box`` what stands in its task box, ``text`` its first paragraph."""

    path: str
    line: int
    end_line: int
    text: str
    number: int | None
    box: str | None
    section: Heading | None


@dataclass(frozen=True, slots=True, eq=False)
class ListBlock:
    """A list with its direct items; ``intro`` is the sentence right before it, ``depth`` 0 for an outermost list."""

    path: str
    line: int
    end_line: int
    depth: int
    items: tuple[Item, ...]
    intro: Sentence | None
    section: Heading | None


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row of a table, its cells as plain text."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table: plain header cells and rows."""

    path: str
    line: int
    end_line: int
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    intro: Sentence | None
    section: Heading | None


@dataclass(frozen=True, slots=True, eq=False)
class Fence:
    """A block of code, lines including its marks: an example, never a claim, except for a tree of files."""

    path: str
    line: int
    end_line: int
    language: str
    text: str
    section: Heading | None


@dataclass(frozen=True, slots=True)
class Blocks:
    """One file's blocks in reading order; ``references`` are the labels of ``[label]: target`` with target and line."""

    path: str
    headings: list[Heading] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    lists: list[ListBlock] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    references: dict[str, tuple[str, int]] = field(default_factory=dict)
    anchors: set[str] = field(default_factory=set)


# Possessive quantifiers (*+) keep every pattern linear: what they took they never give back.
CODE = re.compile(r"``[^`]++``|`[^`]++`")
LINK = re.compile(r"!?\[([^\[\]]*+)\](?:\(([^()\s]*+(?:\([^()\s]*+\)[^()\s]*+)*+)[^()]*+\)|\[([^\[\]]*+)\])")
_EMPHASIS = re.compile(r"\*\*+|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)|(?<![\w_])__?(?=\w)|(?<=\w)__?(?![\w_])|~~")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_BREAK = re.compile(r"(?<=[.!?])[\"')*_\]]{0,3}\s++(?=[\"'(\[*_`]{0,3}[A-Z0-9`])")
_ABBREVIATIONS = tuple(VOCABULARY["abbreviations"].split())
_NUMBER = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,5})(?:[.):]\s|\s)")
_EXPLICIT = re.compile(r"\{\s{0,4}#([\w.:-]++)[^{}]*+\}\s{0,4}$")
_ANCHOR_TAG = re.compile(r"<[a-zA-Z]++[^<>]{0,300}?\b(?:id|name)\s*=\s*[\"']?([\w.:-]++)")
_BOX = re.compile(r"\[([ xX~-])\](\*?)\s++")


def plain(text: str) -> str:
    """Drop Markdown's marks: links become their text, code keeps its words."""
    if "[" in text:
        text = LINK.sub(r"\1", text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    return " ".join(_EMPHASIS.sub("", text.replace("`", "")).split())


def slug(text: str) -> str:
    """Return the anchor that GitHub gives a heading, before numbering among equals."""
    text = plain(text).lower()
    return "".join(c for c in text.replace(" ", "-") if c.isalnum() or c in "-_")


def sentences_of(content: str) -> Iterator[tuple[int, int, str]]:
    """Yield (first line, last line, text) for each sentence of a block, lines counted from 0."""
    shown = masked(content)
    start, line = 0, 0
    breaks = (m.end() for m in _BREAK.finditer(shown) if not shown.endswith(_ABBREVIATIONS, 0, m.start()))
    for stop in (*breaks, len(content)):
        piece = content[start:stop]
        last = line + piece.rstrip().count("\n")
        if piece.strip():
            yield line, last, " ".join(piece.split())
        line += piece.count("\n")
        start = stop


def read_blocks(path: str, text: str) -> Blocks:
    """Read one file's Markdown; front matter and HTML comments are passed over, since a reader does not see them."""
    reader = MarkdownIt("commonmark").enable("table").disable("inline")
    env: dict[str, dict[str, dict[str, object]]] = {}
    blocks = Blocks(path)
    _Walk(blocks).run(reader.parse(_without_front_matter(text), env))
    for label, entry in env.get("references", {}).items():
        span = entry.get("map")
        blocks.references[label.casefold()] = (str(entry["href"]), span[0] + 1 if isinstance(span, list) else 1)
    blocks.anchors.update(_ANCHOR_TAG.findall(text), *(h.anchors for h in blocks.headings))
    return blocks


def _without_front_matter(text: str) -> str:
    """Blank the front matter, keeping every line in its place."""
    text = text.replace("\r\n", "\n").replace("\r", " ")
    mark = text.partition("\n")[0].rstrip()
    if mark not in ("---", "+++"):
        return text
    lines = text.split("\n")
    closing = next((n for n, line in enumerate(lines[1:200], 1) if line.rstrip() == mark), 0)
    lines[: closing + 1 if closing else 0] = [""] * (closing + 1 if closing else 0)
    return "\n".join(lines)


def uncommented(text: str) -> str:
    """Blank the HTML comments of one block, line feeds kept; one inside a code span, or never closed, is no comment."""
    if "<!--" not in text:
        return text
    shown, position = masked(text), 0
    kept = []
    while (begin := shown.find("<!--", position)) >= 0 and (end := shown.find("-->", begin + 4)) >= 0:
        kept += [text[position:begin], "\n" * text.count("\n", begin, end)]
        position = end + 3
    return "".join([*kept, text[position:]])


def masked(text: str) -> str:
    """Return a text of the same length with the words in code spans blanked."""
    return CODE.sub(lambda m: "`" + "x" * (len(m[0]) - 2) + "`", text) if "`" in text else text


class _Walk:
    """One pass over the tokens of a file, keeping what is open: section, lists, table."""

    def __init__(self, blocks: Blocks) -> None:
        self.out, self.path = blocks, blocks.path
        self.section: Heading | None = None
        self.lists: list[tuple[Token, Sentence | None, list[Item]]] = []
        self.items: list[tuple[Token, list[str]]] = []
        self.intro: Sentence | None = None
        self.slugs: dict[str, int] = {}
        self.quotes = 0

    def run(self, tokens: Sequence[Token]) -> None:
        for n, token in enumerate(tokens):
            match token.type:
                case "heading_open":
                    self._heading(token, tokens[n + 1])
                case "inline" if tokens[n - 1].type == "paragraph_open":
                    self._paragraph(token)
                case "bullet_list_open" | "ordered_list_open":
                    self.lists.append((token, self.intro, []))
                case "list_item_open":
                    self.items.append((token, []))
                case "list_item_close":
                    self._item()
                case "bullet_list_close" | "ordered_list_close":
                    self._list()
                case "table_open":
                    self._table(token, tokens, n)
                case "fence" | "code_block":
                    self._fence(token)
                case "blockquote_open" | "blockquote_close":
                    self.quotes += 1 if token.nesting > 0 else -1
                case "html_block" if not token.content.lstrip().lower().startswith(("<script", "<style", "<pre")):
                    self._speak(_TAG.sub(" ", uncommented(token.content)), _lines(token)[0], "paragraph")
                case "hr":
                    self.intro = None

    def _speak(self, content: str, first_line: int, where: Where) -> None:
        spoken = None
        for number, (start, end, text) in enumerate(sentences_of(uncommented(content))):
            bare = text if (bare := plain(text)) == text else bare  # one string, where nothing was taken away
            prose = plain(CODE.sub("`…`", text)) if "`" in text else bare
            first, last = first_line + start, first_line + end
            spoken = Sentence(self.path, first, last, text, bare, prose, where, self.section, number == 0)
            self.out.sentences.append(spoken)
        self.intro = spoken

    def _heading(self, token: Token, inline: Token) -> None:
        start, end = _lines(token)
        level, raw = int(token.tag[1]), inline.content
        if self.quotes or self.items:  # it opens no section of the document
            return self._speak(raw.replace("\n", " "), start, "quote" if self.quotes else "item")
        explicit = _EXPLICIT.search(raw)
        text = plain(raw[: explicit.start()] if explicit else raw)
        name = slug(raw[: explicit.start()] if explicit else raw)
        seen = self.slugs[name] = self.slugs.get(name, -1) + 1
        anchors = (f"{name}-{seen}" if seen else name, *([explicit[1]] if explicit else []))
        parent = next((h for h in self.section.ancestry if h.level < level), None) if self.section else None
        number = _NUMBER.match(text)
        self.section = Heading(self.path, start, end, level, text, anchors, number[1] if number else None, parent)
        self.out.headings.append(self.section)
        return self._speak(raw.replace("\n", " "), start, "heading")

    def _paragraph(self, token: Token) -> None:
        content = token.content
        where: Where = "quote" if self.quotes else "paragraph"
        if self.items:
            own = self.items[-1][1]
            box = _BOX.match(content) if not own else None
            own.append(content)
            content, where = (content[box.end() :], "task") if box else (content, "item")
        self._speak(content, _lines(token)[0], where)

    def _item(self) -> None:
        token, texts = self.items.pop()
        text = texts[0] if texts else ""
        box = _BOX.match(text)
        number = int(token.info) if token.info.isdigit() else None
        text = " ".join(uncommented(text[box.end() :] if box else text).split())
        item = Item(self.path, *_lines(token), text, number, box[1] if box else None, self.section)
        self.lists[-1][2].append(item)

    def _list(self) -> None:
        token, intro, items = self.lists.pop()
        found = ListBlock(self.path, *_lines(token), len(self.lists), tuple(items), intro, self.section)
        self.out.lists.append(found)
        self.intro = None

    def _table(self, token: Token, tokens: Sequence[Token], n: int) -> None:
        start, end = _lines(token)
        intro, line = self.intro, start
        header: tuple[str, ...] = ()
        rows: list[Row] = []
        cells: list[str] = []
        while tokens[n].type != "table_close":
            n += 1
            match tokens[n].type:
                case "tr_open":
                    line, cells = _lines(tokens[n])[0] if tokens[n].map else line + 1, []
                case "inline":
                    cells.append(plain(tokens[n].content))
                    self._speak(tokens[n].content, line, "cell")
                case "thead_close":
                    header = tuple(cells)
                case "tr_close" if header:
                    rows.append(Row(line, tuple(cells)))
        self.out.tables.append(Table(self.path, start, end, header, tuple(rows), intro, self.section))
        self.intro = None

    def _fence(self, token: Token) -> None:
        self.out.fences.append(Fence(self.path, *_lines(token), token.info.strip(), token.content, self.section))


def _lines(token: Token) -> tuple[int, int]:
    """Return a token's first and last line, counted from 1; blank lines at its end are markdown-it's, and harmless."""
    start, end = token.map or [0, 1]
    return start + 1, max(end, start + 1)
