"""K7: a name that drifts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nyxlab.reviewer.document import Document
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.rules.base import Claim, Place, Rule, at

_NAME = re.compile(r"(?<![\w-])[A-Za-z]\w{3,79}(?![\w])(?:-[A-Za-z]\w{1,20}(?![\w])){0,4}")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+")
_ADDRESS = re.compile(r"\b[a-z]{2,8}://[^\s)>\]]++|\]\([^()\s]*+\)|\b[0-9a-f]{16,64}\b|#[\w-]++")
_ROUTE = re.compile(r"(?<![\w.])((?:/[\w{}<>:.-]{1,60}){0,8}?/([\w-]{2,40}))/[{<:]([A-Za-z]\w{0,40})(?![\w])")
_OFTEN = 2
_SAME_LANGUAGE = ({"snake", "camel"}, {"snake", "kebab"})  # Pascal beside camel is Go's way to export

_SYNONYMS = """
config configuration settings options preferences parameters|limit quota cap maximum threshold|result outcome response output reply|manager controller handler supervisor coordinator
target destination sink|source origin|request call query invocation|client consumer customer|tool command utility|field attribute property column|mode strategy|network subnet
pod workload container|error failure fault exception|user account member person|team tenant organization organisation org workspace group|token credential secret ticket|status state condition
type kind category class|name title label|key identifier id|event message notification signal|list collection set|path route location|file document|version revision release|policy rule
volume disk storage|job task run|queue buffer|cache store|timeout deadline ttl|interval period|count number total|size length|data payload body content|session connection|role permission
package module library|feature capability|flag switch toggle option|log trace audit|provider vendor supplier|resource asset object|parent owner|context environment scope|item entry element record
search lookup query|block chunk segment|delete remove destroy|create add make build|get fetch read load retrieve|update modify change patch|start begin launch|stop end halt|enable activate
disable deactivate|check verify validate|send emit publish|node host machine server|service endpoint backend|worker runner executor agent|order purchase|invoice bill|product article item
price cost amount|project workspace repository repo|image picture|address location|schema model|retry attempt|rate frequency|backup snapshot|template pattern|plugin extension addon|channel topic
device machine|region zone|cluster fleet|instance replica|metric measurement counter|report summary|schedule plan|filter selector predicate|hook callback listener|factory builder|helper utility util
processor handler|observer watcher listener|override replacement|default fallback|index catalog|input argument arg param parameter|proxy gateway|endpoint url uri address|directory folder dir
""".replace("\n", "|")
_GROUPS: dict[str, set[int]] = {}
for _number, _group in enumerate(_SYNONYMS.strip("|").split("|")):
    for _word in _group.split():
        _GROUPS.setdefault(_word, set()).add(_number)


def check(document: Document) -> Iterator[Claim]:
    """Find a name from code that is written otherwise just once: misspelt, in another style, or with a synonym in it; or two names for one part of an address."""
    where: dict[str, list[Place]] = {}
    words: Counter[str] = Counter()
    routes: dict[str, dict[str, list[Place]]] = {}
    for file in document.files.values():
        for number, line in enumerate(file.lines, 1):
            text = _ADDRESS.sub(" ", line) if len(line) < 5000 else ""
            here = Place(file.path, number, number)
            for m in _NAME.finditer(text):
                words.update(p.lower() for p in _PIECE.findall(m[0]))
                if _is_name(m[0], text[max(0, m.start() - 1) : m.start()]):
                    where.setdefault(m[0], []).append(here)
            for m in _ROUTE.finditer(text) if "/" in text else ():
                routes.setdefault(re.sub(r"[{<:]\w+[}>]?", "{}", m[1]), {}).setdefault(m[3], []).append(here)
    yield from _routes(routes)
    often = [name for name, places in where.items() if len(places) >= _OFTEN and len(set(places)) > 1]
    near = _index(often)
    for name, places in where.items():
        if len(set(places)) == 1 and (match := _match(name, near, words)):
            usual, why = match
            if places[0] not in where[usual]:
                yield _claim(name, usual, why, len(set(where[usual])), (places[0], where[usual][0]))


def _is_name(token: str, before: str) -> bool:
    """Whether a word comes from code: joined by underscores or capitals, or quoted as code with a hyphen in it or long enough."""
    if "_" in token.strip("_") or re.search(r"[a-z][A-Z]|[A-Z]{2}[a-z]{2}", token):
        return not token.isupper() or "_" in token
    return before == "`" and len(token) > 5


def _index(often: Iterable[str]) -> dict[str, list[str]]:
    """Index names under what is left of them when one letter or one piece is taken out."""
    near: dict[str, list[str]] = {}
    for name in often:
        for key in _keys(name):
            near.setdefault(key, []).append(name)
    return near


def _keys(name: str) -> Iterator[str]:
    low = name.lower()
    yield from dict.fromkeys("-" + low[:n] + low[n + 1 :] for n in range(len(low)))
    pieces = _pieces(name)
    yield "=" + "".join(pieces)
    for n in range(len(pieces) if len(pieces) > 1 else 0):
        yield "*".join(pieces[:n]) + "*_*" + "*".join(pieces[n + 1 :])


def _pieces(name: str) -> list[str]:
    return [p.lower() for p in _PIECE.findall(name)]


def _match(name: str, near: Mapping[str, list[str]], words: Mapping[str, int]) -> tuple[str, str] | None:
    """Return the usual name that this one must mean, and how it differs."""
    pieces = _pieces(name)
    for key in _keys(name):
        for usual in near.get(key, ()):
            other = _pieces(usual)
            if usual == name:
                continue
            if pieces == other:
                if {_style(name), _style(usual)} in _SAME_LANGUAGE:
                    return usual, "in another style"
                continue
            if "".join(pieces) == "".join(other) and name.lower() != usual.lower():
                return usual, "with its words run together"
            differ = [(a, b) for a, b in zip(pieces, other, strict=False) if a != b]
            if len(pieces) != len(other) or len(differ) != 1:
                continue
            a, b = differ[0]
            if words[a] <= 1 and _misspelt(a, b):
                return usual, "misspelt"
            if _style(name) == _style(usual) in ("snake", "kebab") and {a, b} in ({a, a + "s"}, {b, b + "s"}):
                return usual, f'with "{a}" for "{b}"'
            if len(pieces) > 1 and _style(name) == _style(usual) and _GROUPS.get(a, set()) & _GROUPS.get(b, set()):
                return usual, f'with "{a}" for "{b}"'
    return None


def _style(name: str) -> str:
    if "_" in name:
        return "constant" if name.isupper() else "snake"
    return "kebab" if "-" in name else "camel" if name[0].islower() else "pascal"


def _misspelt(word: str, usual: str) -> bool:
    """Whether one slip of a key makes one word of the other: a letter too many, too few, another one, or two swapped; an ending is grammar."""
    if min(len(word), len(usual)) < 4 or not (word.isalpha() and usual.isalpha()):
        return False
    if len(word) == len(usual):
        slips = [n for n in range(len(word)) if word[n] != usual[n]]
        swapped = (
            len(slips) == 2
            and slips[1] == slips[0] + 1
            and word[slips[0]] == usual[slips[1]]
            and word[slips[1]] == usual[slips[0]]
        )
        return swapped or (len(slips) == 1 and 0 < slips[0] < len(word) - 1 and len(word) > 5)
    short, long = sorted((word, usual), key=len)
    return (
        len(long) - len(short) == 1
        and not long.startswith(short)
        and any(long[:n] + long[n + 1 :] == short for n in range(len(long)))
    )


def _routes(routes: Mapping[str, Mapping[str, Sequence[Place]]]) -> Iterator[Claim]:
    """Compare the names that one part of an address has: /teams/{team_id} and /teams/{tenant_id}/members."""
    for prefix, found in routes.items():
        if len(found) != 2:
            continue
        usual, odd = sorted(found, key=lambda name: (-len(found[name]), found[name][0].start))
        if _pieces(usual)[-1] == _pieces(odd)[-1]:
            yield Claim(
                Severity.HIGH,
                f"{prefix}/{{{usual}}} or {prefix}/{{{odd}}}?",
                f"The same part of the address {prefix} is called {usual} in one place and {odd} in another.",
                "Choose one of the names and use it in every address.",
                at(found[odd][0], found[usual][0]),
                (usual, odd),
            )


def _claim(name: str, usual: str, why: str, times: int, places: Sequence[Place]) -> Claim:
    return Claim(
        Severity.MEDIUM if why != "misspelt" else Severity.LOW,
        f"{name} is {usual} elsewhere",
        f"{usual} stands on {times} lines; here alone it is written {why}, as {name}.",
        f"Write {usual} here too, or say that {name} is something else.",
        at(*places),
        (name, usual),
        confidence=0.8,
    )


RULE = Rule(
    id="name-drift",
    kind="K7",
    category=Category.TERM,
    consequence="Two people build under two names, and the parts do not find each other.",
    severities={
        Severity.HIGH: "an interface is described two ways: callers do not know which of two ids to send",
        Severity.MEDIUM: "one thing has two names: buildable, but likely wrong where the two meet",
        Severity.LOW: "a slip of the pen: readers see what is meant",
    },
    firing=(
        "| GET | `/teams/{team_id}` |\n|---|---|\n| PATCH | `/teams/{team_id}` |\n| GET | `/teams/{tenant_id}/members` |\n",
        "`retryLimit` is read.\n\nSet `retryLimit`.\n\nDrop `retryLimit`.\n\nThe `retryQuota` is stored.\n",
        "PodSpec a.\n\nPodSpec b.\n\nPodSpec c.\n\nPodSepc d.\n",
        "`last_error` a.\n\n`last_error` b.\n\n`last_error` c.\n\n`lastError` d.\n",
    ),
    quiet=(
        "| GET | `/teams/{team_id}` |\n|---|---|\n| GET | `/users/{user_id}` |\n",
        "`request_bytes` a.\n\n`request_bytes` b.\n\n`request_bytes` c.\n\n`response_bytes` d.\n",
        "`getUser` a.\n\n`getUser` b.\n\n`getUser` c.\n\n`getUsers` d.\n",
        "`last_error` a.\n\n`last_error` b.\n\n`last_error` c.\n\nIn Go, `LastError`.\n",
    ),
    check=check,
)
