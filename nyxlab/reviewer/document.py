"""The frozen model of a set of plan files that rules, lenses and phases read: parsed once, in linear time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from nyxlab.reviewer import mentions
from nyxlab.reviewer.blocks import Blocks, Fence, Heading, Item, ListBlock, Row, Sentence, Table, read_blocks
from nyxlab.reviewer.mentions import Action, FileMention, Identifier, Link, Modality

__all__ = [
    "Action", "Document", "Fence", "File", "FileMention", "Heading", "Identifier", "Item", "Link", "ListBlock", "Modality",
    "Row", "Sentence", "Statement", "Table", "parse_documents",
]  # fmt: skip

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class File:
    """One file of the set as given: ``lines`` are its text split at line feeds, so joining them gives the text back."""

    path: str
    text: str
    lines: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The digest of the file's text in UTF-8."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def length(self) -> int:
        """How many lines an editor shows: a line feed at the end opens no further line."""
        return max(1, len(self.lines) - (self.lines[-1] == ""))


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A sentence that demands something: "must", "must not", "should", "may" …"""

    modality: Modality
    sentence: Sentence


@dataclass(frozen=True)
class Document:
    """One or several Markdown files as one set, everything in reading order. Lines count from 1."""

    files: Mapping[str, File]
    headings: tuple[Heading, ...]
    sentences: tuple[Sentence, ...]
    lists: tuple[ListBlock, ...]
    tables: tuple[Table, ...]
    fences: tuple[Fence, ...]
    anchors: Mapping[str, frozenset[str]]
    references: Mapping[str, Mapping[str, tuple[str, int]]]
    beside: frozenset[str] | None = None
    """Paths of files known to exist that are not under review; None where nobody has looked."""
    repo: frozenset[str] | None = None
    """The files of the repository that the plan is for; None where none was named."""

    def quote(self, path: str, start: int, end: int) -> str:
        """Return lines ``start`` to ``end`` of a file exactly as they stand there, without the last line feed."""
        return "\n".join(self.files[path].lines[start - 1 : end])

    @cached_property
    def identifiers(self) -> tuple[Identifier, ...]:
        """Every identifier and numbered part, where it is defined and where it is referred to."""
        return self._gather(mentions.identifiers)

    @cached_property
    def file_mentions(self) -> tuple[FileMention, ...]:
        """Every file named in sentences, in tables with an action column and in drawn trees."""
        drawn = (m for fence in self.fences for m in mentions.tree_files(fence))
        tabled = (m for table in self.tables for m in mentions.table_files(table))
        said = self._gather(mentions.files)
        order = {path: n for n, path in enumerate(self.files)}
        return tuple(sorted((*said, *tabled, *drawn), key=lambda m: (order[m.path], m.line)))

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every inline and reference link in prose."""
        return self._gather(mentions.links)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Every sentence with a modal verb."""
        judged = ((mentions.modality(s.prose), s) for s in self.sentences if s.where != "heading")
        return tuple(Statement(modality, sentence) for modality, sentence in judged if modality)

    @cached_property
    def definitions(self) -> Mapping[str, tuple[Identifier, ...]]:
        """Definitions by family ("FR-", "T", "phase"), in reading order."""
        return group((i.family, i) for i in self.identifiers if i.defines)

    def declared(self, family: str, path: str) -> tuple[Identifier, ...]:
        """Return a family's definitions in one file, those of the firmest form alone: what else repeats them in passing."""
        here = [i for i in self.definitions.get(family, ()) if i.path == path]
        firmest = max((i.rank for i in here), default=0)
        return tuple(i for i in here if i.rank == firmest)

    @cached_property
    def sections(self) -> Mapping[Heading | None, tuple[Sentence, ...]]:
        """Sentences by the heading they stand under directly; None for text before any heading."""
        return group((s.section, s) for s in self.sentences)

    def children(self, heading: Heading | None) -> tuple[Heading, ...]:
        """Return the headings right below one, or the outermost ones for None."""
        return self._children.get(heading, ())

    @cached_property
    def _children(self) -> Mapping[Heading | None, tuple[Heading, ...]]:
        return group((h.parent, h) for h in self.headings)

    def _gather(self, extract: Callable[[Sentence], Iterable[T]]) -> tuple[T, ...]:
        return tuple(found for sentence in self.sentences for found in extract(sentence))


def group(pairs: Iterable[tuple[K, T]]) -> dict[K, tuple[T, ...]]:
    """Collect values by key, keeping order."""
    found: dict[K, list[T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def parse_documents(texts: Mapping[str, str], beside: frozenset[str] | None = None) -> Document:
    """Read a set of Markdown texts by path into one frozen model. Never raises on any text; linear in its length."""
    read: list[Blocks] = [read_blocks(path, text) for path, text in texts.items()]
    return Document(
        files={path: File(path, text, tuple(text.split("\n"))) for path, text in texts.items()},
        headings=tuple(h for b in read for h in b.headings),
        sentences=tuple(s for b in read for s in b.sentences),
        lists=tuple(x for b in read for x in b.lists),
        tables=tuple(t for b in read for t in b.tables),
        fences=tuple(f for b in read for f in b.fences),
        anchors={b.path: frozenset(b.anchors) for b in read},
        references={b.path: b.references for b in read},
        beside=beside,
    )
