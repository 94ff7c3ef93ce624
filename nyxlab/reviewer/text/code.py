"""Code: what fenced blocks declare, call and set, and which file each says it is; read line by line, by no compiler."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from nyxlab.reviewer.text.blocks import Fence
from nyxlab.reviewer.text.words import VOCABULARY

_LONGEST = 2_000  # characters of one parameter or argument list
_SCRIPTS = frozenset({"typescript", "ts", "tsx", "javascript", "js", "jsx"})
_LANGUAGES = _SCRIPTS | frozenset(
    {"python", "py", "kotlin", "kt", "swift", "go", "rust", "rs", "csharp", "cs", "c#", "java", "dart", "php"}
)

Kind = Literal["type", "function", "method", "constructor"]


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """A type, function, method or constructor with how few and how many arguments it takes (``most`` None: any number).

    ``takes`` are the types of its parameters, as far as they are plain names.
    """

    kind: Kind
    name: str
    owner: str
    least: int
    most: int | None
    path: str
    line: int
    fence: Fence
    takes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call with its number of arguments (None where one is spread or the list is not closed); ``receiver`` as written.

    ``inside`` is the type that it is made in, or "", and ``keys`` are those of its only argument, where that is an object literal.
    """

    name: str
    receiver: str
    arguments: int | None
    path: str
    line: int
    fence: Fence
    inside: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """``MAX_RETRIES = 2``: a name in capitals that is set to a plain number or string."""

    name: str
    value: str
    path: str
    line: int


@dataclass(slots=True)
class Record:
    """The fields of a type with their modifiers ("private readonly", "optional"); ``cut`` where the block leaves some out.

    ``setters`` are methods updateX and setX that return nothing: X with its line.
    """

    line: int
    fields: dict[str, str] = field(default_factory=dict)
    field_lines: dict[str, int] = field(default_factory=dict)
    getters: set[str] = field(default_factory=set)
    setters: dict[str, int] = field(default_factory=dict)
    cut: bool = False
    is_class: bool = False
    extends: bool = False

    @property
    def required(self) -> list[str]:
        """The fields that must be given."""
        return [name for name, how in self.fields.items() if "optional" not in how]


@dataclass(slots=True)
class Code:
    """What one block holds; ``file`` is the path in its first comment.

    ``keys`` are the dotted keys of each object literal that a constant is set to (config \u2192 {"redis", "redis.url"}), ``uses``
    dotted reads below a name ("config", "redis.url", line), ``tables`` those of SQL with their line and columns, ``typed``
    variables with their type ("analysis", "Analysis"), ``named`` types that annotations name, with the first line of each.
    """

    fence: Fence
    file: str | None = None
    declared: list[Declared] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)
    keys: dict[str, set[str]] = field(default_factory=dict)
    uses: list[tuple[str, str, int]] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    tables: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    typed: list[tuple[str, str]] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)
    owners: list[tuple[int, int, str]] = field(default_factory=list)

    def owner_at(self, line: int) -> str:
        """Return the type in whose body a line stands, or ""."""
        at = bisect_right(self.owners, (line, 10**9, ""))
        return next((name for first, last, name in reversed(self.owners[max(0, at - 4) : at]) if line <= last), "")


_COMMENT = re.compile(r"//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?|(?<![\w\"'])#(?!\[|!|\w+\()[^\n]*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*+"|\'(?:[^\'\\\n]|\\.)*+\'|`(?:[^`\\]|\\.)*+`')
_FILE = re.compile(r"^\s{0,8}(?://|#|--|/\*|<!--)\s{0,3}((?:[\w@.()\[\]-]+/)*[\w@.()\[\]-]+\.[a-z]{1,6})\b")
_PUBLIC = "export|default|public|private|internal|static|async|open|pub"
_TYPE = re.compile(
    rf"^\s*(?:(?:{_PUBLIC}|abstract|sealed|final|data|partial)\s+)*"
    r"(?P<word>class|interface|struct|enum|record|trait|type|object|protocol)\s+(?P<name>[A-Z]\w*)(?P<rest>[^\n{]*)"
)
_FUNCTION = re.compile(
    rf"^\s*(?:(?:{_PUBLIC}|suspend|override|protected)\s+)*(?:function\*?|def|fun|func|fn)\s+"
    r"(?:\([^()\n]{0,80}\)\s*)?(?:<[^<>\n]{0,80}>\s*)?(?P<name>\w+)\s*(?:<[^<>\n]{0,80}>)?\s*\("
)
_METHOD = re.compile(
    r"^\s+(?:(?:public|private|protected|static|async|override|abstract|readonly|get|set)\s+)*"
    r"(?P<name>#?[a-z_]\w*|constructor)\s*(?:<[^<>\n]{0,80}>)?"
    r"\s*\((?=[^\n]*(?:\)\s*(?::[^\n=;]{1,120})?\s*\{|$|\)\s*:\s*[^\n=]{1,120};?\s*$))"
)
_FIELD = re.compile(
    r"^\s+(?P<mods>(?:(?:private|protected|public|readonly|static)\s+)*)(?P<name>\w+)(?P<optional>\??)!?\s*:"
    r"\s*[^(){}]{1,120}[;,]?\s*$"
)
_GETTER = re.compile(r"^\s+(?:public\s+)?get\s+(\w+)\s*\(")
_SETTER = re.compile(r"^\s+(?:public\s+)?(?:update|set|change)([A-Z]\w*)\s*\([^()]*\)\s*:\s*void\b")
_TYPED = re.compile(r"\b([a-z]\w*)\s*:\s*([A-Z]\w+)\b(?!\s*[.<(])")
_NAMED = re.compile(r"(?:\)\s*:|->|[\w?]:|Promise<)\s*(?:Promise<|Task<)?([A-Z][a-z]\w{3,40})\b(?![.(])")
_TABLE = re.compile(
    r"\bcreate\s+table\s+(?:if\s+not\s+exists\s+)?[\"`]?(?:\w+\.)?(?P<name>\w+)[\"`]?\s*\(", re.IGNORECASE
)
_CALL = re.compile(
    r"(?<![\w$.])(?P<new>new\s{1,4})?(?P<receiver>(?:[\w$]++[?!]?\.){0,8}+)(?P<name>[A-Za-z_$][\w$]*+)\s?\("
)
_CONSTANT = re.compile(
    r"^\s*(?:(?:export|const|static|final|readonly|public|private|let|var|val|int|long|float|double|Final)\s+)*"
    r"(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\s*(?::\s*\w+\s*)?="
    r"\s*(?P<value>\d[\d_.]*|\"[^\"\n]{1,60}\"|'[^'\n]{1,60}')\s*[;,]?\s*(?:(?:#|//)[^\n]*)?$"
)
_TRAILING = re.compile(r"\s{0,3}\)\s?\{")  # a lambda after the list is an argument too, in Kotlin and Swift
_OBJECT = re.compile(r"^\s*(?:export\s+)?(?:const|let|var)\s+(?P<name>\w+)\s*(?::\s*\w+\s*)?=\s*\{\s*$")
_KEY = re.compile(r"^\s*(?P<name>\w+)\s*:\s*(?P<value>.*)$")
_READ = re.compile(r"(?<![\w.])(?P<name>[a-z]\w*)\.(?P<rest>[a-zA-Z_]\w*(?:\.[a-zA-Z_]\w*){0,3})(?![\w(])")
_IMPORT = re.compile(r"^\s*(?:import|from|using|use|require|package)\b|\brequire\(")
_WORD = re.compile(r"\w+")
_BOTH = re.compile(rf"{_STRING.pattern}|{_COMMENT.pattern}")
_KEYWORDS = frozenset(VOCABULARY["keywords"].split())
_CONSTRUCTORS = ("constructor", "__init__")


def blank(text: str) -> str:
    """Return code of the same length with its strings and comments blanked, line feeds kept."""

    def empty(m: re.Match[str]) -> str:
        if m[0][0] in "/#":
            return re.sub(r"[^\n]", " ", m[0])
        return m[0][0] + re.sub(r"[^\n]", "_", m[0][1:-1]) + m[0][-1]

    return _BOTH.sub(empty, text)


def is_code(fence: Fence) -> bool:
    """Whether a block is in a language that is read here."""
    return _language(fence) in _LANGUAGES


def _language(fence: Fence) -> str:
    return fence.language.lower().partition(" ")[0]


def read_code(fence: Fence) -> Code:
    """Read one block of code; what is not understood is passed over."""
    found = Code(fence)
    if m := _FILE.match(fence.text):
        found.file = m[1]
    if _language(fence).startswith(("sql", "postgres")):
        _tables(found)
    if is_code(fence):
        text = blank(fence.text)
        _Reader(found, text).run()
        _objects(found, text.split("\n"))
    return found


class _Reader:
    """One pass over the lines of a block, keeping the types that are open: their depth (braces, or indentation), name and index."""

    def __init__(self, found: Code, text: str) -> None:
        self.found, self.text, self.raw = found, text, found.fence.text
        self.script = _language(found.fence) in _SCRIPTS
        self.open: list[tuple[int, str, int]] = []

    def run(self) -> None:
        start = depth = 0
        raw = self.raw.split("\n")
        for number, line in enumerate(self.text.split("\n"), self.found.fence.line + 1):
            at = depth if self.script else len(line) - len(line.lstrip())
            while line.strip() and self.open and at <= self.open[-1][0]:
                _, name, index = self.open.pop()
                self.found.owners[index] = (self.found.owners[index][0], number - 1, name)
            owner = self.open[-1][1] if self.open else ""
            own = self._declared(line, number, start, at, owner)
            source = raw[number - self.found.fence.line - 1]
            if not own and (m := _CONSTANT.match(source)):
                value = m["value"].strip("\"'")
                self.found.constants.append(Constant(m["name"], value, self.found.fence.path, number))
            if self.script and owner:
                _record(self.found.records[owner], line, number)
            if _IMPORT.match(line):
                self.found.imported.update(_WORD.findall(source))
            self._uses(line, number, start, own, owner)
            depth += line.count("{") - line.count("}")
            start += len(line) + 1

    def _declared(self, line: str, number: int, start: int, depth: int, owner: str) -> str | None:
        """Read what a line declares and return its name."""
        found, fence = self.found, self.found.fence
        if m := _TYPE.match(line):
            name, cut = m["name"], "..." in self.text
            found.declared.append(Declared("type", name, "", 0, None, fence.path, number, fence))
            self.open.append((depth, name, len(found.owners)))
            found.owners.append((number, fence.end_line, name))
            found.records[name] = Record(number, cut=cut, is_class=m["word"] == "class", extends="extends" in m["rest"])
            return name
        m = _FUNCTION.match(line)
        if not m and self.script and owner and depth == self.open[-1][0] + 1:
            m = _METHOD.match(line)
        if not m or m["name"] in _KEYWORDS:
            return None
        least, most = _parameters(self.text, self.raw, start + m.end())
        kind: Kind = "constructor" if m["name"] in _CONSTRUCTORS else "method" if owner else "function"
        name = "constructor" if kind == "constructor" else m["name"]
        takes = _types(self.text, start + m.end())
        found.declared.append(Declared(kind, name, owner, least, most, fence.path, number, fence, takes))
        return m["name"]

    def _uses(self, line: str, number: int, start: int, own: str | None, owner: str) -> None:
        """Read what a line calls, reads and names."""
        found, fence = self.found, self.found.fence
        found.typed += _TYPED.findall(line)
        for name in _NAMED.findall(line):
            found.named.setdefault(name, number)
        for m in _CALL.finditer(line):
            if m["name"] != own and m["name"] not in _KEYWORDS:
                receiver = "new" if m["new"] else m["receiver"].rstrip(".").replace("?", "").replace("!", "")
                arguments, keys = _arguments(self.text, start + m.end()), _keys_of(self.text, start + m.end())
                found.calls.append(Call(m["name"], receiver, arguments, fence.path, number, fence, owner, keys))
        found.uses += [(m["name"], m["rest"], number) for m in _READ.finditer(line)]


def _record(record: Record, line: str, number: int) -> None:
    """Read one line in the body of a type: a field, a parameter that is one, a getter, a setter."""
    if (m := _FIELD.match(line)) and (m["mods"] or not record.is_class):
        how = m["mods"] + ("optional" if m["optional"] else "")
        record.fields.setdefault(m["name"], " ".join(how.split()))
        record.field_lines.setdefault(m["name"], number)
    elif m := _GETTER.match(line):
        record.getters.add(m[1])
    elif m := _SETTER.match(line):
        record.setters.setdefault(m[1], number)


def _tables(found: Code) -> None:
    """Read the tables that SQL creates."""
    text = blank(found.fence.text.replace("--", "//"))
    for m in _TABLE.finditer(text):
        columns = {p.split()[0].strip('"`').lower() for p in split_list(text, m.end()) or () if p.split()}
        if columns:
            found.tables[m["name"]] = (found.fence.line + 1 + text.count("\n", 0, m.start()), frozenset(columns))


def _objects(found: Code, lines: list[str]) -> None:
    """Read the keys of object literals that constants are set to, down through objects inside them."""
    name = ""
    path: list[str] = []
    for line in lines:
        if not name:
            if m := _OBJECT.match(line):
                name = m["name"]
                found.keys[name] = set()
            continue
        if m := _KEY.match(line):
            found.keys[name].add(".".join([*path, m["name"]]))
            if m["value"].rstrip().endswith("{") and m["value"].count("{") > m["value"].count("}"):
                path.append(m["name"])
                continue
        if line.strip().startswith("..."):
            found.keys[name].add("*")
        closed = max(0, line.count("}") - line.count("{"))
        name = name if closed <= len(path) else ""
        del path[max(0, len(path) - closed) :]


def split_list(text: str, start: int) -> list[str] | None:
    """Return the parts between commas of a list that opens before ``start``; None where it does not close nearby."""
    parts, depth, angles, begin = [], 0, 0, start
    for n in range(start, min(len(text), start + _LONGEST)):
        c = text[n]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            if depth == 0:
                parts.append(text[begin:n])
                return [p for p in parts if p.strip()] if not angles else None
            depth -= 1
        elif c == "<" and n and text[n - 1].isalnum():
            angles += 1
        elif c == ">" and angles and text[n - 1] not in "=-":
            angles -= 1
        elif c == "," and depth == 0 and angles == 0:
            parts.append(text[begin:n])
            begin = n + 1
    return None


def arity(parameters: list[str] | None) -> tuple[int, int | None]:
    """Return how few and how many arguments a parameter list takes."""
    if parameters is None:
        return 0, None
    names = [p.strip() for p in parameters if p.strip() not in ("self", "cls", "/", "*", "&self", "&mut self")]
    names = [p for p in names if not re.match(r"this\s*:", p)]
    if any(p.startswith(("...", "*", "params ", "vararg ")) or "..." in p for p in names):
        return 0, None
    return sum("=" not in re.sub("=>", "", p) and not re.match(r"(?:\w+\s+)*\w+\s*\?", p) for p in names), len(names)


def _parameters(text: str, raw: str, start: int) -> tuple[int, int | None]:
    """Return how many arguments a list that opens before ``start`` takes; one that a comment cuts short takes any number."""
    parts = split_list(text, start)
    return (0, None) if not parts and "..." in raw[start : raw.find(")", start)] else arity(parts)


def _arguments(text: str, start: int) -> int | None:
    parts = split_list(text, start)
    if parts is None or _TRAILING.match(text, start + sum(map(len, parts)) + max(0, len(parts) - 1)):
        return None
    if any(p.strip().startswith(("...", "*")) or "=" in re.sub(r"=>|[=!<>]=+", "", p) for p in parts):
        return None
    return len(parts)


def _types(text: str, start: int) -> tuple[str, ...]:
    """Return the type names of a parameter list that writes "name: Type"."""
    return tuple(m[1] for p in split_list(text, start) or () if (m := re.match(r"\s*\w+\s*:\s*([A-Z]\w*)\s*$", p)))


def _keys_of(text: str, start: int) -> tuple[str, ...]:
    """Return the keys of an argument list that is one object literal; none where something is spread into it."""
    if not text.startswith("{", start):
        return ()
    parts = split_list(text, start + 1) or []
    keys = [re.match(r"\s*(\w+)\s*(?=[:,]|$)", p) for p in parts]
    return tuple(m[1] for m in keys if m) if all(keys) else ()


def spans(text: str) -> Iterator[str]:
    """Yield the words in the code spans of a sentence."""
    for m in re.finditer(r"(?<!`)`([^`\n]{1,200})`(?!`)", text):
        yield m[1].strip()
