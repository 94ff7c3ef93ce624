"""K3: one named quantity with two values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from nyxlab.reviewer.document import Document, Sentence
from nyxlab.reviewer.findings import Category, Severity
from nyxlab.reviewer.measures import SIZES, Number, numbers
from nyxlab.reviewer.rules.base import Claim, Rule, at

_EXAMPLE = re.compile(
    r"(?i)(?:\b(?:given|e\.g\.|example|suppose|was|were|previously|currently|today|old|instead|from|increased?|raised?|reduced?|lower(?:ed)?|after the first|in \d|bump\w*|upgrad\w+|migrat\w+|before|until|since(?= v?\d|\s?$)|earlier|later|newer|older|legacy|versus|vs|compared|took|measured|observed|ran)\b|\u2192|->)[^.;]{0,40}$"
)
_FILE = re.compile(r"(?<!\S)[^\s/]{0,60}/\S*+|\b[\w-]{1,40}+\.[a-z]{2,5}\b")
_WORD = re.compile(r"[A-Za-z_][\w-]*[A-Za-z0-9]")
_STOP_WORDS = "since the a an its their this that each every our your and or then so if when per with in on all for use uses value has have to by at after before from is are as only be can will must should may of set up it within than more less not into which was were been also any one two about least most over under need needs stay stays must sent send sends gets get"
_STOP = frozenset(_STOP_WORDS.split())
_CODE = re.compile(
    r"(?<![\w.$-])(?:[a-z][a-z0-9]*(?:_[a-z0-9]+)+|[a-z]+(?:[A-Z][a-z0-9]+)+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?![\w(])"
)
_STATED = re.compile(
    r"[`\"*]{0,3}(?:\s?[=:]\s?|\s(?:\(|,\s)?(?:(?:must |should |will |shall )?(?:set to|is|be|are|of|to|at|has|defaults? (?:to|of|is|value)|default)\s|\((?:default(?:s to)?:?\s?))"
    r"(?:(?:set|fixed|limited|capped|equal|by|default|to|always|a|the|value|of|now)\s){0,4}|[^.;:`\d]{0,24}\bdefaults? (?:to|is|of)\s)[`\"]{0,2}(\d[\d.,]*\d|\d)(?![\w.-]*[\w-])"
)
_VERSION = re.compile(
    r"(?<![\w./-])([A-Z][A-Za-z+#]{1,15}|macOS|iOS|npm)(?:\.js)?\s(?:[Vv]ersion\s|v|>=\s?|\u2265\s?|\^|~)?(\d{1,3}(?:\.\d{1,3}){0,2})(?:\+|\.x)?(?![\w.-]*[\w%])"
)
_STACK = re.compile(
    r"(?i)version|platform|dependenc|technolog|\bstack\b|runtime|\brequires?|built (?:with|on|for)|runs? on|\btargets?|minimum|prerequisite|toolchain|language|environment|supports?\b|compatib|\bus(?:es?|ing)\b|frontend|backend|database|written in|install|deploy|\bruns?\b|\bimage\b"
)
_FIRM = re.compile(r"(?i)\b(?:is|be|default\w*|set|limit\w*|fixed|must|of)\b")
_THEMES = (
    "expire expires expired expiry expiration valid lifetime lives live ttl lasts last validity|keep keeps kept retain retains retained retention stored store stores storage|limit limits limited maximum max cap capped"
    " most larger up below exceed exceeds exceeding ceiling quota|retry retries retried attempts attempt|timeout timeouts cancelled aborted deadline|close closes closed|interval every period frequency taken|least minimum min"
    " lower|size sizes large big|wait waits waiting|run runs running|delete deletes deleted purge purged removed"
)
_IDEAS = {word: group_.split()[0] for group_ in _THEMES.split("|") for word in group_.split()}
_VAGUE = frozenset(
    {
        *(g.split()[0] for g in _THEMES.split("|")),
        "default",
        "limit",
        "time",
        "system",
        "user",
        "set",
        "total",
        "number",
        "second",
        "minute",
        "new",
    }
)
_APART = [
    frozenset(g.split())
    for g in (
        "read write",
        "min max minimum maximum",
        "soft hard",
        "lower upper",
        "first second third",
        "start end stop",
        "connect idle read write total",
        "request response",
        "client server",
        "inbound outbound",
        "free pro business enterprise basic premium",
        "cpu memory disk",
        "daily weekly monthly",
        "warning critical",
        "staging production",
        "median mean average",
    )
]
_NO_PRODUCT_WORDS = "Phase Step Stage Task Section Figure Table Story Level Tier Option Sprint Week Day Month Line Lines HTTP RFC ISO Version Page Issue Appendix Chapter Part Case Example Milestone Alternative Goal Risk Question Decision Requirement Scenario Item Rule Test Error Code Status Exit Port Priority January February March April May June July August September October November December Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec About At In On By Of The All Only Up To From With After Every Max Min Top First Last Over Under Within For And Or Next Round Row Column Spec PR MR KEP ADR Type Class Group Release Until Between Than Is Are If When Given Then Lane Set Use Using SDK API"
_NO_PRODUCT = frozenset(_NO_PRODUCT_WORDS.split())


@dataclass(frozen=True, slots=True)
class _Said:
    """A value of a name, with the words before it; ``firm`` where it is set or required, not just shown."""

    value: str
    sentence: Sentence
    before: str
    firm: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Fact:
    """A number with the words before and after it, nearest first."""

    number: Number
    dimension: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    words: frozenset[str]
    near: frozenset[str]
    sentence: Sentence


def check(document: Document) -> Iterator[Claim]:
    """Find a setting, limit, time, share or version that is given one value in one place and another value elsewhere."""
    told: set[frozenset[Sentence]] = set()
    for claim, pair in (*_named(document), *_versions(document), *_measured(document)):
        if pair not in told:
            told.add(pair)
            yield claim


def _named(document: Document) -> Iterator[tuple[Claim, frozenset[Sentence]]]:
    """Compare the values of a name from code: `schema_version: 2` on most lines and 4 on one."""
    said: dict[str, list[_Said]] = {}
    for sentence in document.sentences:
        text = sentence.plain
        for m in _CODE.finditer(text) if len(text) < 4000 else ():
            if v := _STATED.match(text, m.end()):
                value = f"{Decimal(v[1].replace(',', '')).normalize():f}" if v[1].count(".") < 2 else v[1]
                firm = m[0].isupper() or bool(_FIRM.search(v[0]) or _FIRM.search(text[: m.start()][-30:]))
                said.setdefault(m[0], []).append(_Said(value, sentence, text[: v.start(1)], firm))
    yield from _odd(said)


def _versions(document: Document) -> Iterator[tuple[Claim, frozenset[Sentence]]]:
    """Compare the versions of a product where the plan says what it is built on: "Go 1.24" and "Go 1.23"."""
    said: dict[str, list[_Said]] = {}
    for sentence in document.sentences:
        text = sentence.plain
        for m in _VERSION.finditer(text) if len(text) < 4000 and sentence.where != "heading" else ():
            near = text[max(0, m.start() - 120) : m.start()] + (sentence.section.text if sentence.section else "")
            moved = re.match(r"\s?(?:\u2192|->|to\s)", text[m.end() : m.end() + 4])
            if not moved and m[1] not in _NO_PRODUCT and (_STACK.search(near) or (sentence.first and m.start() < 4)):
                said.setdefault(m[1], []).append(
                    _Said(".".join(m[2].split(".")[:2]), sentence, text[: m.start()], True)
                )
    yield from _odd(said)


def _odd(said: Mapping[str, Sequence[_Said]]) -> Iterator[tuple[Claim, frozenset[Sentence]]]:
    """Report a value that stands once, where one other value stands in all other places."""
    for name, found in said.items():
        kinds = Counter(f.value for f in found)
        if len(kinds) != 2:
            continue
        (usual, often), (odd, once) = kinds.most_common()
        one = next(f for f in reversed(found) if f.value == odd)
        other = next(f for f in found if f.value == usual)
        sure = often > 1 or one.firm or other.firm
        if (
            once == 1
            and sure
            and not any(_EXAMPLE.search(f.before[-60:]) for f in (one, other))
            and not usual.startswith(f"{odd}.")
            and not odd.startswith(f"{usual}.")
        ):
            yield _claim(name, odd, usual, one.sentence, other.sentence), frozenset((one.sentence, other.sentence))


def _measured(document: Document) -> Iterator[tuple[Claim, frozenset[Sentence]]]:
    """Compare times, sizes and shares whose sentences speak of the same thing around the number."""
    facts = [
        f for s in document.sentences if len(s.plain) < 2000 and s.where not in ("cell", "heading") for f in _facts(s)
    ]
    told = {(f.sentence, f.dimension, f.number.value) for f in facts}
    anchored: dict[tuple[str, str], list[_Fact]] = {}
    for fact in facts:
        for word in {*fact.left[:2], *fact.right[:2]}:
            anchored.setdefault((fact.dimension, word), []).append(fact)
    for found in anchored.values():
        for n, one in enumerate(found if len(found) <= 12 else ()):
            for two in found[:n]:
                if (
                    one.sentence is not two.sentence
                    and one.number.equals(two.number.value, two.number.unit) is False
                    and (one.sentence, one.dimension, two.number.value) not in told
                    and (two.sentence, one.dimension, one.number.value) not in told
                    and _same(one, two)
                ):
                    yield (
                        _claim(_name(one, two), _shown(one.number), _shown(two.number), one.sentence, two.sentence),
                        frozenset((one.sentence, two.sentence)),
                    )


def _same(one: _Fact, two: _Fact) -> bool:
    """Whether two numbers are of one thing: the same words right before them, or many around them and hardly another."""
    shared = one.words & two.words
    if _far(one.number, two.number):
        return False
    apart = ((one.near - two.words) | (two.near - one.words)) - _VAGUE
    if any(_opposed(a, b) for a in one.words - shared for b in two.words - shared):
        return False
    telling = shared - _VAGUE
    if one.number.unit == "" and one.left[:2] != two.left[:2] and not shared & _VAGUE:
        return False  # a mere count of things: only where both say that it is a limit or a size
    if one.left[:2] == two.left[:2] and len(one.left) > 1:
        return len(apart) < 3 and bool(telling)
    near = (one.near & two.near) - _VAGUE
    return bool(near) and (len(telling) > 1 or bool(shared & _VAGUE)) and len(shared) > 1 and len(apart) <= len(shared)


def _far(one: Number, two: Number) -> bool:
    """Whether two amounts lie so far apart that nobody means one thing by them: 20 ms and 60 minutes."""
    if one.unit == two.unit or not {one.unit, two.unit} <= SIZES.keys():
        return False
    small, large = sorted(float(n.value) * float(SIZES[n.unit][1]) for n in (one, two))
    return large > 1000 * small


def _opposed(a: str, b: str) -> bool:
    """Whether two words keep two things apart: read and write, p50 and p99, overlay and no-overlay."""
    return (
        any({a, b} <= group_ for group_ in _APART)
        or a.removeprefix("no-").removeprefix("non-") == b
        or b.removeprefix("no-").removeprefix("non-") == a
        or bool(re.fullmatch(r"p\d+", a) and re.fullmatch(r"p\d+", b))
    )


def _facts(sentence: Sentence) -> Iterator[_Fact]:
    text = sentence.plain
    for n in numbers(text):
        kind = SIZES[n.unit][0] if n.unit in SIZES else n.unit
        if n.named or not kind:
            port = text[: n.start].lower().endswith("port ")
            kind = "port" if port else "" if n.named else n.noun.lower().rstrip("s")
        before = text[max(0, n.start - 110) : n.start]
        if len(kind) > (0 if n.unit else 2) and not _EXAMPLE.search(before[-60:]) and kind not in _STOP:
            left = _content(" ".join(reversed(re.split(r"[;.]\s", before)[-1].split())))[:6]
            right = _content(re.split(r"[;.,]\s", text[n.end : n.end + 70])[0])[:5]
            yield _Fact(n, kind, left, right, frozenset((*left, *right)), frozenset((*left[:3], *right[:2])), sentence)


def _stem(word: str) -> str:
    """Return one stem for the forms of a word, and for the words of one idea ("expires", "lifetime")."""
    return _IDEAS.get(word.lower(), word.lower().rstrip("s"))


def _content(text: str) -> tuple[str, ...]:
    """Return the stems of the words that carry meaning, paths and files left out."""
    stems = (_stem(w) for w in _WORD.findall(_FILE.sub(" ", text)))
    return tuple(dict.fromkeys(stem for stem in stems if stem not in _STOP and len(stem) > 1))


def _name(one: _Fact, two: _Fact) -> str:
    """Return the words that two numbers have in common, as the first of them has them."""
    text = one.sentence.plain[max(0, one.number.start - 110) : one.number.end + 70]
    return " ".join(dict.fromkeys(w for w in _WORD.findall(text) if _stem(w) in one.words & two.words))


def _shown(number: Number) -> str:
    return f"{number.value:f} {number.unit}".strip()


def _claim(name: str, one: str, two: str, here: Sentence, there: Sentence) -> Claim:
    return Claim(
        Severity.MEDIUM,
        f"{name}: {one} or {two}?",
        f"{name} is {one} in one place and {two} in another.",
        "Decide the value, state it once, and refer to it elsewhere.",
        at(here, there),
        (name,),
        (one, two),
        0.8,
    )


RULE = Rule(
    id="conflicting-value",
    kind="K3",
    category=Category.LIMITS,
    consequence="One of the two values gets built, and the other one tested, documented or promised.",
    severities={
        Severity.MEDIUM: "a limit, a time or a version is described two ways: buildable, but likely wrong at the edge"
    },
    firing=(
        "The session timeout is 30 minutes.\n\nAfter the session timeout of 45 minutes users sign in again.\n",
        "Set `max_retries` = 3.\n\nThe value of `max_retries` is 5.\n",
        "Audit logs are kept for 90 days.\n\nAudit logs are retained for 180 days.\n",
        "A team can have up to 10 members.\n\nThe limit is 15 members per team.\n",
        "- Built with Go 1.24.\n\nIt targets Go 1.23 on all platforms.\n",
    ),
    quiet=(
        "The session timeout is 30 minutes.\n\nThe session timeout is 1800 seconds.\n",
        "The session timeout is 30 minutes.\n\nThe idle timeout is 45 minutes.\n",
        "- A key has a bucket, and the store must answer within 20 ms.\n\nEach bucket must be kept for 60 minutes.\n",
        "Given `max_retries` = 3, one retry is left.\n\nThe default of `max_retries` is 5.\n",
    ),
    check=check,
)
