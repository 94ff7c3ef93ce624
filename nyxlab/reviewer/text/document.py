"""The frozen facts of a set of plan files, each read once, in linear time: what plan, rules and prompt ask."""

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from nyxlab.reviewer.text.assertions import Assertion, assertion
from nyxlab.reviewer.text.blocks import Fence, Heading, Item, ListBlock, Sentence, Table, read_blocks
from nyxlab.reviewer.text.code import Code, read_code
from nyxlab.reviewer.text.files import FileMention, files, table_files, tree_files
from nyxlab.reviewer.text.labels import Label, labels
from nyxlab.reviewer.text.links import Link, links
from nyxlab.reviewer.text.standing import Standing, of_heading, of_sentence

_WORD = re.compile(r"\w+")

K = TypeVar("K")
T = TypeVar("T")
P = TypeVar("P", Sentence, Label, FileMention, Item, Heading, Fence)


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

    @cached_property
    def small(self) -> str:
        """Its text in small letters."""
        return self.text.lower()

    @property
    def length(self) -> int:
        """How many lines an editor shows: a line feed at the end opens no further line."""
        return max(1, len(self.lines) - (self.lines[-1] == ""))


class Series(tuple[P, ...]):
    """Facts of one kind in reading order, which are found by file and line as well."""

    @cached_property
    def _by_file(self) -> Mapping[str, tuple[tuple[P, ...], list[int]]]:
        return {path: (own, [x.line for x in own]) for path, own in group((x.path, x) for x in self).items()}

    def within(self, path: str, first: int = 1, last: int = 10**9) -> Sequence[P]:
        """Return what begins between two lines of a file, both included."""
        own, lines = self._by_file.get(path, ((), []))
        return own[bisect_left(lines, first) : bisect_right(lines, last)]

    def last(self, path: str, line: int) -> P | None:
        """Return what begins last up to a line of a file: the heading that a line stands under."""
        own, lines = self._by_file.get(path, ((), []))
        at = bisect_right(lines, line)
        return own[at - 1] if at else None


@dataclass(frozen=True)
class Document:
    """One or several Markdown files as one set, everything in reading order. Lines count from 1."""

    files: Mapping[str, File]
    headings: Series[Heading]
    sentences: Series[Sentence]
    lists: tuple[ListBlock, ...]
    tables: tuple[Table, ...]
    fences: Series[Fence]
    anchors: Mapping[str, frozenset[str]]
    references: Mapping[str, Mapping[str, tuple[str, int]]]
    beside: frozenset[str] | None = None
    """Paths of files known to exist that are not under review; None where nobody has looked."""
    repo: frozenset[str] | None = None
    """The files of the repository that the plan is for; None where none was named."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Files of the set that could not be read, each with the reason."""

    def quote(self, path: str, start: int, end: int) -> str:
        """Return lines ``start`` to ``end`` of a file exactly as they stand there, without the last line feed."""
        return "\n".join(self.files[path].lines[start - 1 : end])

    @cached_property
    def labels(self) -> Series[Label]:
        """Every label, where it is defined and where it is cited."""
        return Series(label for sentence in self.sentences for label in labels(sentence))

    @cached_property
    def labels_of(self) -> Mapping[Sentence, tuple[Label, ...]]:
        """The labels of each sentence that has some."""
        return group((label.sentence, label) for label in self.labels)

    @cached_property
    def file_mentions(self) -> Series[FileMention]:
        """Every file named in sentences, in tables with an action column and in drawn trees."""
        said = (m for s in self.sentences for m in files(s, self.intro(s)))
        tabled = (m for table in self.tables for m in table_files(table))
        return self._in_order((*said, *tabled, *(m for fence in self.fences for m in tree_files(fence))))

    @cached_property
    def items(self) -> Series[Item]:
        """Every list item, in reading order."""
        return self._in_order(i for b in self.lists for i in b.items)

    def _in_order(self, found: Iterable[P]) -> Series[P]:
        order = {path: n for n, path in enumerate(self.files)}
        return Series(sorted(found, key=lambda each: (order[each.path], each.line)))

    @cached_property
    def spoken(self) -> Mapping[tuple[str, int], tuple[Sentence, ...]]:
        """The sentences that stand on each line, by file and line."""
        return group(((s.path, n), s) for s in self.sentences for n in range(s.line, s.end_line + 1))

    def intro(self, sentence: Sentence) -> Sentence | None:
        """Return the sentence right before the list that has an item where this one stands."""
        return self._intros.get((sentence.path, sentence.line))

    @cached_property
    def _intros(self) -> Mapping[tuple[str, int], Sentence]:
        return {(i.path, i.line): b.intro for b in self.lists if b.intro for i in b.items}

    @cached_property
    def words(self) -> Counter[str]:
        """How often each word stands in the files, code and comments included."""
        return Counter(word for file in self.files.values() for word in _WORD.findall(file.text))

    @cached_property
    def code_words(self) -> Counter[str]:
        """How often each word stands in the plan's own code."""
        return Counter(word for code in self.code for word in _WORD.findall(code.fence.text))

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every inline and reference link in prose."""
        return tuple(link for sentence in self.sentences for link in links(sentence))

    @cached_property
    def assertions(self) -> tuple[Assertion, ...]:
        """Every sentence with a modal verb that is the plan's own claim."""
        own = (s for s in self.sentences if s.where != "heading" and self.standing(s) is None)
        return tuple(a for s in own if (a := assertion(s)))

    @cached_property
    def code(self) -> tuple[Code, ...]:
        """Every fenced block that is the plan's own, as code."""
        own = (f for f in self.fences if self.standings[f.section] not in (Standing.REJECTED, Standing.OTHER))
        return tuple(read_code(f) for f in own)

    @cached_property
    def section_ends(self) -> Mapping[Heading, int]:
        """The last line of each section with all that is below it."""
        ends: dict[Heading, int] = {}
        open_: list[Heading] = []
        for heading in self.headings:
            while open_ and (open_[-1].level >= heading.level or open_[-1].path != heading.path):
                last = open_.pop()
                ends[last] = heading.line - 1 if last.path == heading.path else self.files[last.path].length
            open_.append(heading)
        return ends | {h: self.files[h.path].length for h in open_}

    @cached_property
    def standings(self) -> Mapping[Heading | None, Standing | None]:
        """What each section is where it holds no claims of the plan: by its own heading, else by the one around it."""
        found: dict[Heading | None, Standing | None] = {None: None}
        for heading in self.headings:
            found[heading] = of_heading(heading) or found[heading.parent]
        return found

    def standing(self, sentence: Sentence) -> Standing | None:
        """Return what a sentence is where it is no claim of the plan."""
        if sentence not in self._standing:
            intro = self.intro(sentence) if sentence.where in ("item", "task") else None
            self._standing[sentence] = self.standings[sentence.section] or of_sentence(sentence, intro)
        return self._standing[sentence]

    @cached_property
    def _standing(self) -> dict[Sentence, Standing | None]:
        return {}


def group(pairs: Iterable[tuple[K, T]]) -> dict[K, tuple[T, ...]]:
    """Collect values by key, keeping order."""
    found: dict[K, list[T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def parse_documents(
    texts: Mapping[str, str], beside: frozenset[str] | None = None, unread: Mapping[str, str] | None = None
) -> Document:
    """Read a set of Markdown texts by path into one frozen model. Never raises on any text; linear in its length."""
    read = [read_blocks(path, text) for path, text in texts.items()]
    return Document(
        files={path: File(path, text, tuple(text.split("\n"))) for path, text in texts.items()},
        headings=Series(h for b in read for h in b.headings),
        sentences=Series(s for b in read for s in b.sentences),
        lists=tuple(x for b in read for x in b.lists),
        tables=tuple(t for b in read for t in b.tables),
        fences=Series(f for b in read for f in b.fences),
        anchors={b.path: frozenset(b.anchors) for b in read},
        references={b.path: b.references for b in read},
        beside=beside,
        unread=unread or {},
    )
