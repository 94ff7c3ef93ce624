"""Code: what fenced blocks declare, call and set, and which file each says it is; read line by line, by no compiler."""

import re
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


@dataclass(slots=True, eq=False)
class Coded:
    """A name on a line of a block of code."""

    name: str
    fence: Fence
    line: int

    @property
    def path(self) -> str:
        """The file that the block stands in."""
        return self.fence.path


@dataclass(slots=True, eq=False)
class Declared(Coded):
    """A type, function, method or constructor with how few and how many arguments it takes (``most`` None: any number).

    ``takes`` are the types of its parameters, as far as they are plain names.
    """

    kind: Kind
    owner: str = ""
    least: int = 0
    most: int | None = None
    takes: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Call(Coded):
    """A call with its number of arguments (None where one is spread or the list stays open), ``receiver`` as written.

    ``inside`` is the type that it is made in, or "", ``keys`` those of its only argument, an object literal.
    """

    receiver: str
    arguments: int | None
    inside: str
    keys: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Constant(Coded):
    """``MAX_RETRIES = 2``: a name in capitals that is set to a plain number or string."""

    value: str


@dataclass(slots=True, eq=False)
class Use(Coded):
    """A dotted read below a name, ``config`` and "redis.url", and the type that it stands in, or ""."""

    rest: str
    inside: str


@dataclass(slots=True, eq=False)
class Field(Coded):
    """A field of a type, with its modifiers ("private readonly", "optional")."""

    how: str


@dataclass(slots=True, eq=False)
class Record(Coded):
    """A type with its fields, ``cut`` where the block leaves some out; ``setters`` of x are setX, returning nothing."""

    cut: bool
    is_class: bool
    extends: bool
    fields: dict[str, Field] = field(default_factory=dict)
    getters: set[str] = field(default_factory=set)
    setters: dict[str, Coded] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class SqlTable(Coded):
    """A table that SQL creates."""

    columns: frozenset[str]


@dataclass(slots=True, eq=False)
class Code:
    """What one block holds; ``file`` is the path in its first comment.

    ``keys`` are the dotted keys of each object literal that a constant is set to (config: "redis", "redis.url"),
    ``typed`` variables with their type ("analysis", "Analysis"), ``named`` types that annotations name, each once.
    """

    fence: Fence
    file: str = ""
    declared: list[Declared] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)
    keys: dict[str, set[str]] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    tables: dict[str, SqlTable] = field(default_factory=dict)
    typed: list[tuple[str, str]] = field(default_factory=list)
    named: dict[str, Coded] = field(default_factory=dict)


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
    m = _FILE.match(fence.text)
    found = Code(fence, m[1] if m else "")
    if _language(fence).startswith(("sql", "postgres")):
        found.tables = {table.name: table for table in _tables(fence)}
    if is_code(fence):
        text = blank(fence.text)
        _lines(found, text)
        _objects(found, text.split("\n"))
    return found


def _lines(found: Code, text: str) -> None:
    """Read a block by its lines, keeping the types that are open: their depth (braces, or indentation) and name."""
    fence, script, cut = found.fence, _language(found.fence) in _SCRIPTS, "..." in text
    open_: list[tuple[int, str]] = []
    start = depth = 0
    for number, (line, source) in enumerate(zip(text.split("\n"), fence.text.split("\n"), strict=True), fence.line + 1):
        at = depth if script else len(line) - len(line.lstrip())
        while line.strip() and open_ and at <= open_[-1][0]:
            open_.pop()
        owner = open_[-1][1] if open_ else ""
        own = None
        if m := _TYPE.match(line):
            own = m["name"]
            open_.append((at, own))
            found.declared.append(Declared(own, fence, number, "type"))
            found.records[own] = Record(own, fence, number, cut, m["word"] == "class", "extends" in m["rest"])
        else:
            in_body = script and owner and at == open_[-1][0] + 1
            m = _FUNCTION.match(line) or (_METHOD.match(line) if in_body else None)
            if m and m["name"] not in _KEYWORDS:
                own = m["name"]
                found.declared.append(_declared(fence, text, own, owner, number, start + m.end()))
        if not own and (m := _CONSTANT.match(source)):
            found.constants.append(Constant(m["name"], fence, number, m["value"].strip("\"'")))
        if script and owner:
            _member(found.records[owner], line, number)
        if _IMPORT.match(line):
            found.imported.update(_WORD.findall(source))
        found.typed += _TYPED.findall(line)
        for name in _NAMED.findall(line):
            found.named.setdefault(name, Coded(name, fence, number))
        for m in _CALL.finditer(line):
            if m["name"] != own and m["name"] not in _KEYWORDS:
                receiver = "new" if m["new"] else m["receiver"].rstrip(".").replace("?", "").replace("!", "")
                arguments, keys = _arguments(text, start + m.end()), _keys_of(text, start + m.end())
                found.calls.append(Call(m["name"], fence, number, receiver, arguments, owner, keys))
        found.uses += [Use(m["name"], fence, number, m["rest"], owner) for m in _READ.finditer(line)]
        depth += line.count("{") - line.count("}")
        start += len(line) + 1


def _declared(fence: Fence, text: str, name: str, owner: str, number: int, start: int) -> Declared:
    """Return what is declared with parameters from ``start`` on; a list that a comment cuts short is of any length."""
    parts, raw = split_list(text, start), fence.text
    least, most = (0, None) if not parts and "..." in raw[start : raw.find(")", start)] else arity(parts)
    kind: Kind = "constructor" if name in ("constructor", "__init__") else "method" if owner else "function"
    name = "constructor" if kind == "constructor" else name
    typed = [re.match(r"\s*\w+\s*:\s*([A-Z]\w*)\s*$", p) for p in parts or ()]
    return Declared(name, fence, number, kind, owner, least, most, tuple(m[1] for m in typed if m))


def _member(record: Record, line: str, number: int) -> None:
    """Read one line in the body of a type: a field, a parameter that is one, a getter, a setter."""
    if (m := _FIELD.match(line)) and (m["mods"] or not record.is_class):
        how = " ".join((m["mods"] + ("optional" if m["optional"] else "")).split())
        record.fields.setdefault(m["name"], Field(m["name"], record.fence, number, how))
    elif m := _GETTER.match(line):
        record.getters.add(m[1])
    elif m := _SETTER.match(line):
        name = m[1][0].lower() + m[1][1:]
        record.setters.setdefault(name, Coded(name, record.fence, number))


def _tables(fence: Fence) -> Iterator[SqlTable]:
    """Read the tables that SQL creates."""
    text = blank(fence.text.replace("--", "//"))
    for m in _TABLE.finditer(text):
        if columns := {p.split()[0].strip('"`').lower() for p in split_list(text, m.end()) or ()}:
            yield SqlTable(m["name"], fence, fence.line + 1 + text.count("\n", 0, m.start()), frozenset(columns))


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


def _arguments(text: str, start: int) -> int | None:
    parts = split_list(text, start)
    if parts is None or _TRAILING.match(text, start + sum(map(len, parts)) + max(0, len(parts) - 1)):
        return None
    if any(p.strip().startswith(("...", "*")) or "=" in re.sub(r"=>|[=!<>]=+", "", p) for p in parts):
        return None
    return len(parts)


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
