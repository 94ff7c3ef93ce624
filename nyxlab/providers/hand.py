"""A provider that anybody can be: questions become files, and whoever answers them puts the replies beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nyxlab.errors import AnswerWanted, InputRefused
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Json, Reply, Request, Usage
from nyxlab.providers.prices import Tariff, cost_of, estimate_of
from nyxlab.providers.structured import Fault, fault_finder

FOLDER = "data/hand"
MOST = 1_000_000  # bytes of a reply
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_QUOTES = str.maketrans("\u201c\u201d\u201e", '"""')  # as a chat window may set them, JSON's own included
_CUT = "=" * 20
_TYPES = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}

HEAD = """\
A question for {name}. The run waits until it is answered.

1. Copy everything between the two lines {cut} into a new chat, or let a coding agent read it.
2. Save the whole answer as {reply}, in this folder; a sentence or fences around it do no harm.
3. Carry on: `nyxlab resume RUN`, or the same command as before.

{cut}
{question}
{cut}
"""
FORM = """\
Answer with one JSON object and nothing else: {words}. As a JSON Schema:

```json
{schema}
```"""


class Question(NamedTuple):
    """A question that waits: who is asked, the file that asks, and the one that its answer goes to."""

    provider: str
    path: Path
    reply: Path


def open_questions(root: Path, names: Iterable[str], refused: str = "") -> list[Question]:
    """Return what waits for these names in a project, the oldest first; ``refused`` names answers of no use."""
    questions = [
        Question(f"hand:{name}", path, path.with_suffix(".reply.md"))
        for name in names
        for path in (root / FOLDER / name).glob("*.md")
        if not path.name.endswith(".reply.md")
    ]
    waiting = [question for question in questions if not question.reply.exists() or question.reply.name in refused]
    return sorted(waiting, key=lambda question: question.path.stat().st_mtime_ns)


class HandProvider(Provider):
    """Asks by file: ``KEY.md`` in its folder is the question, ``KEY.reply.md`` beside it the answer.

    The key is made of all that is asked, so the same question finds its answer again, in whichever run. What an answer
    costs is unknown unless the user has named a price, by which estimated tokens are charged; how long it took says
    nothing, so no attempt is counted and no latency told.
    """

    def __init__(self, name: str, root: Path, tariff: Tariff | None = None) -> None:
        if not _NAME.fullmatch(name):
            raise InputRefused(f"'hand:{name}': name it with small letters, digits, - and _, such as hand:claude")
        self.id = self.identity = self.vendor = f"hand:{name}"  # nobody knows whose model it is, if it is one
        self.name, self.price = name, tariff.price if tariff else None
        self.root, self.folder = root, root / FOLDER / name
        self._shown = f"{FOLDER}/{name}/"

    def estimate(self, request: Request) -> Cost:
        """Return what the request may cost at the user's own price; unknown without one."""
        return estimate_of(request, self.price) if self.price else Cost.unknown()

    async def prepare(self, request: Request) -> None:
        """Write the question down where it is new; raise ``AnswerWanted`` until there is an answer that can be used."""
        self._answer(request)

    async def ask(self, request: Request) -> Reply:
        """Return the answer that stands beside the question; ``AnswerWanted`` says what is missing."""
        text = self._answer(request)
        if self.price is None:
            return Reply(text=text, provider=self.id, attempts=0)
        usage = Usage(input_tokens=request.tokens, output_tokens=-(-len(text) // 4))
        cost = cost_of(usage, self.price).model_copy(update={"certainty": "estimated"})
        return Reply(text=text, provider=self.id, usage=usage, cost=cost, price=self.price, attempts=0)

    def _answer(self, request: Request) -> str:
        key = request.digest()[:16]
        question, reply = self.folder / f"{key}.md", self.folder / f"{key}.reply.md"
        fault = fault_finder(request.output_schema) if request.output_schema else None
        earlier = ""
        try:
            if not question.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                question.write_text(self._question(request, reply.name), encoding="utf-8")
                earlier = self._earlier(question)
            with reply.open("rb") as file:
                data = file.read(MOST + 1)
        except FileNotFoundError:
            count = len(open_questions(self.root, [self.name]))
            said = f"{count} {'question waits' if count == 1 else 'questions wait'} in {self._shown}{earlier}"
            raise AnswerWanted(said, where=self._shown) from None
        except OSError as error:
            raise InputRefused(f"{self._shown}: cannot be read or written ({error.strerror})") from None
        text, problem = _read(data, fault)
        if problem:
            place = f"{self._shown}{reply.name}"
            raise AnswerWanted(f"{place}: {problem}; mend it, the question stays open", where=place)
        return text

    def _question(self, request: Request, reply: str) -> str:
        parts = [request.text]
        if request.output_schema:
            schema = json.dumps(request.output_schema, indent=1)
            parts.append(FORM.format(words=_in_words(request.output_schema), schema=schema))
        return HEAD.format(name=self.name, cut=_CUT, reply=reply, question="\n\n".join(parts))

    def _earlier(self, question: Path) -> str:
        """Say which answer beside a question is about an earlier text of it.

        That is where the same is asked in the end, of lines most of which are still there.
        """
        new = question.read_text(encoding="utf-8")
        for reply in sorted(self.folder.glob("*.reply.md")):
            other = reply.with_name(reply.name.removesuffix(".reply.md") + ".md")
            if other == question or not other.exists():
                continue
            old = other.read_text(encoding="utf-8")
            ends = enumerate(zip(reversed(new), reversed(old), strict=False))
            same = next((size for size, (one, two) in ends if one != two), min(len(new), len(old)))
            before, after = (_lines(text[: len(text) - same]) for text in (old, new))
            if same > len(HEAD) and 2 * len(before & after) > max(len(before), len(after)):
                return f"; {reply.name} there answers an earlier text of it, and is kept"
        return ""


def _in_words(schema: Json) -> str:
    """Say what a JSON Schema asks for, as far as its types, names and choices say it."""
    if choices := schema.get("enum"):
        return f"one of {', '.join(json.dumps(choice) for choice in choices)}"
    if schema.get("type") == "array":
        return f"a list, each {_in_words(schema.get('items', {}))}"
    if fields := schema.get("properties"):
        optional = {name: "if you like, " for name in fields if name not in schema.get("required", ())}
        described = [f"`{name}` ({optional.get(name, '')}{_in_words(field)})" for name, field in fields.items()]
        return f"an object with {', '.join(described)}"
    return _TYPES.get(str(schema.get("type")), "any value")


def _lines(text: str) -> frozenset[str]:
    """Return the lines of a question without the numbers before them, but for those that every question has."""
    return frozenset(re.sub(r"^\d+\| ?", "", line) for line in text.partition(_CUT)[2].splitlines()) - {""}


def _read(data: bytes, fault: Fault | None) -> tuple[str, str | None]:
    """Return what an answer says and what is wrong with it, if anything; with ``fault`` it is the JSON in it."""
    if len(data) > MOST:
        return "", f"more than {MOST:,} bytes are no answer"
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return "", "not UTF-8 text"
    if not text:
        return "", "the answer is empty"
    if fault is None:
        return text, None
    problems: list[str] = []
    for candidate in dict.fromkeys([*_objects(text), *_objects(text.translate(_QUOTES))]):
        if (problem := fault(candidate)) is None:
            return candidate, None
        problems.append(problem)
    return "", problems[0] if problems else "there is no whole JSON object in it"


def _objects(text: str) -> list[str]:
    """Return the JSON objects in a text as they stand there: those in fences, then any, the longest first."""
    fenced = [match[2].strip() for match in _FENCED.finditer(text)]
    decoder, found, start = json.JSONDecoder(), list[str](), 0
    while (start := text.find("{", start)) >= 0:
        try:
            end: int = decoder.raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            end = start + 1
        else:
            found.append(text[start:end])
        start = end
    return [*(each for each in fenced if each.startswith("{")), *sorted(found, key=len, reverse=True)]
