"""Markdown's block structure with line numbers: headings, lists, tables, fences, and the sentences in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
class Span:
    """Lines of a file, both ends included, and the section that they stand in."""

    path: str
    line: int
    end_line: int
    section: Heading | None


@dataclass(frozen=True, slots=True, eq=False)
class Sentence(Span):
    """One sentence, or one cell of a table. ``text`` is as written with line breaks folded.

    ``plain`` has no Markdown marks; in ``prose`` code spans are blanked as well, because code makes no claim. ``first``
    says whether it opens its paragraph, item or cell: only there are things defined.
    """

    text: str
    plain: str
    prose: str
    where: Where
    first: bool


@dataclass(frozen=True, slots=True, eq=False)
class Item(Span):
    """One list item: ``number`` as written, ``box`` what stands in its task box, ``text`` its first paragraph."""

    text: str
    number: int | None
    box: str | None


@dataclass(frozen=True, slots=True, eq=False)
class ListBlock(Span):
    """A list with its direct items; ``intro`` is the sentence right before it, ``depth`` 0 for an outermost list."""

    depth: int
    items: tuple[Item, ...]
    intro: Sentence | None


@dataclass(frozen=True, slots=True, eq=False)
class Row(Span):
    """One row of a table, its cells as plain text."""

    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Table(Span):
    """A table: plain header cells and rows, each with as many cells."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fence(Span):
    """A block of code, lines including its marks: an example, never a claim, except for a tree of files."""

    language: str
    text: str


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
    env: dict[str, dict[str, dict[str, Any]]] = {}
    blocks = Blocks(path, reader.parse(_without_front_matter(text), env))
    for label, entry in env.get("references", {}).items():
        blocks.references[label.casefold()] = (entry["href"], entry["map"][0] + 1 if entry.get("map") else 1)
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


class Blocks:
    """One file's blocks in reading order; ``references`` are the labels of ``[label]: target`` with target and line.

    They are read in one pass over the tokens, keeping what is open: section, lists with their items, quotes.
    """

    def __init__(self, path: str, tokens: Sequence[Token]) -> None:
        self.path = path
        self.headings: list[Heading] = []
        self.sentences: list[Sentence] = []
        self.lists: list[ListBlock] = []
        self.tables: list[Table] = []
        self.fences: list[Fence] = []
        self.references: dict[str, tuple[str, int]] = {}
        self.anchors: set[str] = set()
        self._section: Heading | None = None
        self._lists: list[tuple[Token, Sentence | None, list[Item]]] = []
        self._items: list[tuple[Token, list[str]]] = []
        self._intro: Sentence | None = None
        self._slugs: dict[str, int] = {}
        self._quotes = 0
        for n, token in enumerate(tokens):
            match token.type:
                case "heading_open":
                    self._heading(token, tokens[n + 1].content)
                case "inline" if tokens[n - 1].type == "paragraph_open":
                    self._paragraph(token)
                case "bullet_list_open" | "ordered_list_open":
                    self._lists.append((token, self._intro, []))
                case "list_item_open":
                    self._items.append((token, []))
                case "list_item_close":
                    self._item()
                case "bullet_list_close" | "ordered_list_close":
                    opened, intro, items = self._lists.pop()
                    self.lists.append(ListBlock(*self._span(opened), len(self._lists), tuple(items), intro))
                    self._intro = None
                case "table_open":
                    self._table(token, tokens, n)
                case "fence" | "code_block":
                    self.fences.append(Fence(*self._span(token), token.info.strip(), token.content))
                case "blockquote_open" | "blockquote_close":
                    self._quotes += token.nesting
                case "html_block" if not token.content.lstrip().lower().startswith(("<script", "<style", "<pre")):
                    self._speak(_TAG.sub(" ", uncommented(token.content)), self._span(token)[1], "paragraph")
                case "hr":
                    self._intro = None

    def _span(self, token: Token) -> tuple[str, int, int, Heading | None]:
        """Return where a token stands, lines from 1; blank lines at its end are markdown-it's, and harmless."""
        start, end = token.map or [0, 1]
        return self.path, start + 1, max(end, start + 1), self._section

    def _speak(self, content: str, line: int, where: Where) -> None:
        spoken = None
        for number, (start, end, text) in enumerate(sentences_of(uncommented(content))):
            bare = text if (bare := plain(text)) == text else bare  # one string, where nothing was taken away
            prose = plain(CODE.sub("`…`", text)) if "`" in text else bare
            spoken = Sentence(self.path, line + start, line + end, self._section, text, bare, prose, where, number == 0)
            self.sentences.append(spoken)
        self._intro = spoken

    def _heading(self, token: Token, raw: str) -> None:
        path, start, end, section = self._span(token)
        if self._quotes or self._items:  # it opens no section of the document
            return self._speak(raw.replace("\n", " "), start, "quote" if self._quotes else "item")
        explicit, level = _EXPLICIT.search(raw), int(token.tag[1])
        written = raw[: explicit.start()] if explicit else raw
        text, name = plain(written), slug(written)
        seen = self._slugs[name] = self._slugs.get(name, -1) + 1
        anchors = (f"{name}-{seen}" if seen else name, *([explicit[1]] if explicit else []))
        parent = next((h for h in section.ancestry if h.level < level), None) if section else None
        number = _NUMBER.match(text)
        self._section = Heading(path, start, end, level, text, anchors, number[1] if number else None, parent)
        self.headings.append(self._section)
        return self._speak(raw.replace("\n", " "), start, "heading")

    def _paragraph(self, token: Token) -> None:
        content = token.content
        where: Where = "quote" if self._quotes else "paragraph"
        if self._items:
            own = self._items[-1][1]
            box = _BOX.match(content) if not own else None
            own.append(content)
            content, where = (content[box.end() :], "task") if box else (content, "item")
        self._speak(content, self._span(token)[1], where)

    def _item(self) -> None:
        token, texts = self._items.pop()
        text = texts[0] if texts else ""
        box = _BOX.match(text)
        number = int(token.info) if token.info.isdigit() else None
        text = " ".join(uncommented(text[box.end() :] if box else text).split())
        self._lists[-1][2].append(Item(*self._span(token), text, number, box[1] if box else None))

    def _table(self, token: Token, tokens: Sequence[Token], n: int) -> None:
        span = self._span(token)
        header: tuple[str, ...] = ()
        rows: list[Row] = []
        cells: list[str] = []
        line = span[1]
        while tokens[n].type != "table_close":
            n += 1
            match tokens[n].type:
                case "tr_open":
                    line, cells = self._span(tokens[n])[1] if tokens[n].map else line + 1, []
                case "inline":
                    cells.append(plain(tokens[n].content))
                    self._speak(tokens[n].content, line, "cell")
                case "thead_close":
                    header = tuple(cells)
                case "tr_close" if header:
                    rows.append(Row(self.path, line, line, self._section, tuple(cells)))
        self.tables.append(Table(*span, header, tuple(rows)))
        self._intro = None
