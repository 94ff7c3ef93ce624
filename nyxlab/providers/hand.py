"""A provider that anybody can be: questions become files, and whoever answers them puts the replies beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nyxlab.errors import AnswerWanted, InputRefused
from nyxlab.providers.base import Capabilities, Provider
from nyxlab.providers.messages import Cost, Json, Reply, Request, Usage
from nyxlab.providers.prices import Tariff, estimate_of
from nyxlab.providers.structured import Fault, fault_finder

FOLDER = "data/hand"
MOST = 1_000_000  # bytes of a reply
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_QUOTES = str.maketrans("\u201c\u201d\u201e", '"""')  # as a chat window may set them, JSON's own included
_CUT = "=" * 20

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
    """Return what waits for these names in a project, the oldest first; ``refused`` names answers that could not be used."""
    found = [
        Question(f"hand:{name}", path, path.with_suffix(".reply.md"))
        for name in names
        for path in (root / FOLDER / name).glob("*.md")
        if not path.name.endswith(".reply.md")
    ]
    waiting = [each for each in found if not each.reply.exists() or each.reply.name in refused]
    return sorted(waiting, key=lambda each: each.path.stat().st_mtime_ns)


class HandProvider(Provider):
    """Asks by file: ``KEY.md`` in its folder is the question, ``KEY.reply.md`` beside it the answer.

    The key is made of all that is asked, so the same question finds its answer again, in whichever run. What an answer
    costs is unknown unless the user has named a price, by which estimated tokens are charged; how long it took says
    nothing, so no attempt is counted and no latency told.
    """

    capabilities = Capabilities(images=False)

    def __init__(self, name: str, root: Path, tariff: Tariff | None = None) -> None:
        if not _NAME.fullmatch(name):
            raise InputRefused(f"'hand:{name}': name it with small letters, digits, - and _, such as hand:claude")
        self.id = self.identity = f"hand:{name}"
        self.vendor = f"hand:{name}"  # nobody knows whose model it is, if it is one
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
        cost = Tariff(price=self.price).cost(usage).model_copy(update={"certainty": "estimated"})
        return Reply(text=text, provider=self.id, usage=usage, cost=cost, price=self.price, attempts=0)

    def _answer(self, request: Request) -> str:
        key = request.digest()[:16]
        question, reply = self.folder / f"{key}.md", self.folder / f"{key}.reply.md"
        fault = fault_finder(request.output_schema) if request.output_schema else None
        is_new = False
        try:
            if is_new := not question.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                question.write_text(self._question(request, reply.name), encoding="utf-8")
            with reply.open("rb") as file:
                data = file.read(MOST + 1)
        except FileNotFoundError:
            raise AnswerWanted(
                self._waiting() + (self._earlier(question) if is_new else ""), where=self._shown
            ) from None
        except OSError as error:
            raise InputRefused(f"{self._shown}: cannot be read or written ({error.strerror})") from None
        text, problem = _read(data, fault)
        if problem:
            place = f"{self._shown}{reply.name}"
            raise AnswerWanted(f"{place}: {problem}; mend it, the question stays open", where=place)
        return text

    def _question(self, request: Request, reply: str) -> str:
        asked = [request.system or "", *(message.content for message in request.messages)]
        if request.output_schema:
            shown = json.dumps(request.output_schema, indent=1)
            asked.append(FORM.format(words=_in_words(request.output_schema), schema=shown))
        text = "\n\n".join(filter(None, asked))
        return HEAD.format(name=self.name, cut=_CUT, reply=reply, question=text)

    def _earlier(self, question: Path) -> str:
        """Say which answer beside a question is about an earlier text of it: the same is asked, of words most of which are still there."""
        asked = question.read_text(encoding="utf-8")
        for reply in sorted(self.folder.glob("*.reply.md")):
            other = reply.with_name(reply.name.removesuffix(".reply.md") + ".md")
            before = other.read_text(encoding="utf-8") if other.exists() and other != question else ""
            pairs = zip(reversed(asked), reversed(before), strict=False)
            end = next((n for n, (one, two) in enumerate(pairs) if one != two), min(len(asked), len(before)))
            old, new = (_lines(text[: len(text) - end]) for text in (before, asked))
            if before and end > len(HEAD) and 2 * len(old & new) > max(len(old), len(new)):
                return f"; {reply.name} there answers an earlier text of it, and is kept"
        return ""

    def _waiting(self) -> str:
        """Say how many questions wait in the folder."""
        waiting = len(open_questions(self.root, [self.name]))
        return f"{waiting} {'question waits' if waiting == 1 else 'questions wait'} in {self._shown}"


_PLAIN = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}


def _in_words(schema: Json) -> str:
    """Say what a JSON Schema asks for, as far as its types, names and choices say it."""
    if choices := schema.get("enum"):
        return f"one of {', '.join(json.dumps(choice) for choice in choices)}"
    if schema.get("type") == "array":
        return f"a list, each {_in_words(schema.get('items', {}))}"
    if fields := schema.get("properties"):
        needed = schema.get("required", ())
        told = (
            f"`{name}` ({'' if name in needed else 'if you like, '}{_in_words(each)})" for name, each in fields.items()
        )
        return f"an object with {', '.join(told)}"
    return _PLAIN.get(str(schema.get("type")), "any value")


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
    problem: str | None = None
    for candidate in dict.fromkeys([*_jsons(text), *_jsons(text.translate(_QUOTES))]):
        if (found := fault(candidate)) is None:
            return candidate, None
        problem = problem or found
    return "", problem or "there is no whole JSON object in it"


def _jsons(text: str) -> list[str]:
    """Return the JSON objects in a text as they stand there: those in fences, then any, the longest first."""
    inside = [match[2].strip() for match in _FENCED.finditer(text)]
    decoder, found, at = json.JSONDecoder(), list[str](), 0
    while (at := text.find("{", at)) >= 0:
        try:
            value: tuple[Json, int] = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        found.append(text[at : value[1]])
        at = value[1]
    return [*filter(lambda each: each.startswith("{"), inside), *sorted(found, key=len, reverse=True)]
