"""Reads YAML text into plain values and remembers on which line every key stands.

Our own construction over PyYAML's event stream: nothing but text, numbers, booleans, null, lists and mappings can come
out, and aliases, tags, duplicate keys and deep nesting end the reading at the event that carries them, so a small file
cannot grow into a large one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from nyxlab.errors import InputRefused
from nyxlab.providers.messages import Json

Path = tuple[str | int, ...]
MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 24
# libyaml where it is there: it reads ten times faster, and both give the same events
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Event = Any  # PyYAML's events carry no types of their fields
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Json] = {"": None, "~": None, "null": None, "true": True, "false": False}
_TAGS = {"tag:yaml.org,2002:str", "!"}


@dataclass
class Source:
    """What a YAML text says (``value``), the line of each key or item (``lines``, from 1), and which are ``|`` blocks."""

    name: str
    value: Json = None
    lines: dict[Path, int] = field(default_factory=dict)
    blocks: set[Path] = field(default_factory=set)

    def line(self, path: Path) -> int:
        """Return the line of ``path``, or of the nearest thing around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str, name: str) -> Source:
    """Read one YAML document; raise ``InputRefused`` "NAME:LINE: sentence" for anything but plain data."""
    if len(text) > MAX_CHARACTERS:
        raise InputRefused(f"{name}:1: the file is larger than {MAX_CHARACTERS:,} characters; split it")
    source = Source(name)
    try:
        reader = _Reader(source, text)
        source.value = reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputRefused(f"{name}:{line}: this is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise InputRefused(f"{name}:1: this is not YAML text: it holds characters that YAML does not allow") from error
    return source


class _Reader:
    """Turns events into values, one recursive descent with a bounded depth."""

    def __init__(self, source: Source, text: str) -> None:
        self.source = source
        self.events = _Loader(text)

    def document(self) -> Json:
        """Read the only document of the stream; an empty stream is None."""
        self.events.get_event()  # the stream's start
        if isinstance(self.events.get_event(), yaml.StreamEndEvent):
            return None
        value = self._value(self.events.get_event(), ())
        self.events.get_event()  # the document's end
        after = self.events.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            self._refuse(after, "a second document starts here; keep one in a file")
        return value

    def _value(self, event: _Event, path: Path) -> Json:
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            self._refuse(event, "anchors and aliases (& and *) are refused; write the value out")
        if len(path) > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        self.source.lines.setdefault(path, event.start_mark.line + 1)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if event.tag not in {None, "!"}:
            self._refuse(event, f"tags such as {event.tag} are refused; write plain data")
        return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path)

    def _sequence(self, path: Path) -> list[Json]:
        items: list[Json] = []
        while not isinstance(event := self.events.get_event(), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Json]:
        found: dict[str, Json] = {}
        while not isinstance(event := self.events.get_event(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, "a key must be plain text")
            key = event.value
            if key in found:
                first = self.source.lines[*path, key]
                self._refuse(event, f"key '{key}' is given twice, first on line {first}")
            self.source.lines[*path, key] = event.start_mark.line + 1
            found[key] = self._value(self.events.get_event(), (*path, key))
        return found

    def _scalar(self, event: _Event, path: Path) -> Json:
        text: str = event.value
        if event.style == "|":
            self.source.blocks.add(path)
        if event.tag is not None and event.tag not in _TAGS:
            self._refuse(event, f"tags such as {event.tag} are refused; write plain data")
        if event.tag is not None or event.style:  # quoted or block: text as it stands
            return text
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if _INTEGER.fullmatch(text) and len(text) <= 40:
            return int(text)
        if not _FLOAT.fullmatch(text):
            return text
        if not math.isfinite(number := float(text)):
            self._refuse(event, f"the number {text[:20]} is out of range")
        return number

    def _refuse(self, event: _Event, sentence: str) -> None:
        raise InputRefused(f"{self.source.name}:{event.start_mark.line + 1}: {sentence}")
