"""Code of the plan that does not fit together: calls with other arguments than are declared, methods and types that nothing declares."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, rule
from nyxlab.reviewer.text.blocks import Fence
from nyxlab.reviewer.text.code import Call, Code, Declared, arity, spans, split_list
from nyxlab.reviewer.text.document import Document, group

_ELIDED = re.compile(
    r"\.\.\.|\u2026|//\s*(?:existing|other|rest|implementation|etc)|#\s*(?:existing|other|rest)", re.IGNORECASE
)
_HUMP = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z0-9]+|[A-Z]+|[a-z0-9]+")
_ERRORS = re.compile(
    r"^(?:Error|Exception|Date|Map|Set|Promise|RegExp|URL|Headers|Request|Response|FormData|Array|Object|Proxy|Worker|Blob|File|Intl|Buffer|Uint8Array|WeakMap|AbortController)$"
)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a call of a function or constructor of the plan with more or fewer arguments than it takes, a method called on a class of the plan that lacks it, and a type or function used under a name that nothing declares beside a near one that is declared and never used."""
    declared = group(
        (d.name, d) for d in (*(d for code in document.code for d in code.declared), *_constructors(document))
    )
    calls = [(code, call) for code in document.code for call in code.calls]
    if plan.tasks:  # examples in a text that plans nothing may each stand alone
        yield from _arity(document, declared, calls)
    yield from _methods(document, calls)
    yield from _near(document, declared, calls)


def _constructors(document: Document) -> Iterator[Declared]:
    """Yield the constructors that sentences give as `__init__(self, a, b)`, of the class that was named last."""
    last: dict[str, str] = {}
    for sentence in document.sentences:
        for span in spans(sentence.text) if "`" in sentence.text and document.standing(sentence) is None else ():
            if re.fullmatch(r"[A-Z][a-z]\w+", span) and re.search(
                rf"`{span}` (?:class|component|widget)|class `{span}`", sentence.text
            ):
                last[sentence.path] = span
            elif (m := re.match(r"(?:def\s)?(?:__init__|constructor)\(", span)) and sentence.path in last:
                least, most = arity(split_list(span, m.end()))
                fence = Fence(sentence.path, sentence.line, sentence.line, "", span, sentence.section)
                yield Declared(
                    "constructor", "constructor", last[sentence.path], least, most, sentence.path, sentence.line, fence
                )


def _arity(
    document: Document, declared: dict[str, tuple[Declared, ...]], calls: list[tuple[Code, Call]]
) -> Iterator[Claim]:
    """Judge calls by the only signature of that name in the set."""
    makers = group((d.owner, d) for all_ in declared.values() for d in all_ if d.kind == "constructor")
    told: set[tuple[str, int | None]] = set()
    own = {m.base.partition(".")[0] for m in document.file_mentions}  # what is imported from the plan's own files
    for code, call in calls:
        if call.arguments is None or (call.name in code.imported and not own & code.imported):
            continue
        if call.receiver == "new" or (call.receiver == "" and call.name[:1].isupper()):
            takers = makers.get(call.name, ())
        elif call.receiver == "":
            takers = tuple(d for d in declared.get(call.name, ()) if d.kind == "function")
            takers = takers if len(takers) == len(declared.get(call.name, ())) else ()
        else:
            continue
        ranges = {(d.least, d.most) for d in takers}
        if len(ranges) != 1 or (call.name, call.arguments) in told:
            continue
        least, most = next(iter(ranges))
        if most is None or least <= call.arguments <= most or takers[0].fence is call.fence:
            continue
        told.add((call.name, call.arguments))
        home = takers[0]
        takes = f"{most}" if least == most else f"{least} to {most}"
        yield Claim(
            Severity.HIGH,
            f"{call.name} takes {takes} {'argument' if most == 1 else 'arguments'} and is called with {call.arguments}",
            "The declaration and the call stand in the same plan; built as written, one of them is wrong.",
            "Make the declaration and the call agree.",
            (Place(call.path, call.line, call.line), Place(home.path, home.line, home.line)),
            (call.name,),
            (takes, str(call.arguments)),
        )


def _methods(document: Document, calls: list[tuple[Code, Call]]) -> Iterator[Claim]:
    """Judge calls on a class of the plan, and on itself, by its own methods; a class that is cut short or has a base says nothing."""
    classes: dict[str, tuple[Code, Declared]] = {}
    functions = [d for code in document.code for d in code.declared if d.kind == "function"]
    methods: dict[str, set[str]] = {}
    shown: Counter[str] = Counter()  # a class that is shown in pieces says nothing
    for code in document.code:
        for d in code.declared:
            if d.kind == "type" and code.bases[d.name].startswith("class"):
                shown[d.name] += 1
                classes.setdefault(d.name, (code, d))
            elif d.owner:
                methods.setdefault(d.owner, set()).add(d.name)
    found: dict[tuple[str, str], list[Call]] = {}
    for _, call in calls:
        name = call.inside if call.receiver == "this" else call.receiver
        if shown[name] != 1 or call.name in methods.get(name, ()) or not methods.get(name):
            continue
        home, own = classes[name]
        if "extends" in home.bases[name] or _is_cut(home.fence.text):
            continue
        if call.name in _set_in(home.fence.text, called=call.receiver != "this"):
            continue
        found.setdefault((name, call.name), []).append(call)
    for (name, method), made in found.items():
        own = classes[name][1]
        wanted = set(_words(method))
        near = [d for d in functions[:400] if len(wanted & set(_words(d.name))) >= 2]
        yield Claim(
            Severity.MEDIUM,
            f"{name} has no {method}()",
            f"The plan shows {name} whole, with {', '.join(sorted(methods[name] - {'constructor'})[:8])}; {method} is called and declared nowhere.",
            "Add the method, or call the one that is meant.",
            (
                *(Place(c.path, c.line, c.line) for c in made[:2]),
                *(Place(d.path, d.line, d.line) for d in near[:1]),
                Place(own.path, own.line, own.line),
            ),
            (f"{name}.{method}",),
        )


@lru_cache(maxsize=64)
def _is_cut(text: str) -> bool:
    """Whether a block leaves something out, and says so."""
    return bool(_ELIDED.search(text))


@lru_cache(maxsize=64)
def _set_in(text: str, *, called: bool) -> frozenset[str]:
    """Return the names that a block sets or declares ("x = ", "x: "), and those that it calls or defines, if asked for."""
    return frozenset(re.findall(r"\b(\w{1,80})\s?[=:?!(]" if called else r"\b(\w{1,80})\s?[=:?!]", text))


def _near(
    document: Document, declared: dict[str, tuple[Declared, ...]], calls: list[tuple[Code, Call]]
) -> Iterator[Claim]:
    """Judge names that code uses and nothing in the set declares, imports or speaks of, by a declared one with the same words."""
    imported = {name for code in document.code for name in code.imported}
    used = {call.name for _, call in calls} | {w for code in document.code for w in code.imported}
    drawn = {m.base.partition(".")[0]: m for m in document.file_mentions if m.said == "tree"}
    types = group((_words(n)[:2], n) for n in drawn if n[:1].isupper() and len(_words(n)) > 2)
    classes = {_words(n)[:2] for n in declared if n[0].isupper() and len(_words(n)) > 2}
    idle = [n for n, all_ in declared.items() if n not in used and all_[0].kind == "function" and len(_words(n)) > 1]
    siblings = group((_words(n)[1:], n) for n in idle)
    for name, made in group((call.name, call) for _, call in calls if call.receiver in ("", "new")).items():
        own = _words(name)
        if name in declared or name in imported or name in drawn or _ERRORS.match(name) or len(own) < 2:
            continue
        if made[0].receiver == "new" or name[0].isupper():
            near = [n for n in types.get(own[:2], ()) if _words(n)[-1] != own[-1]]
            near = near if len(own) > 2 and own[:2] not in classes else []
            spot = [Place(drawn[n].path, drawn[n].line, drawn[n].line) for n in near]
        else:
            fits = [d for n in siblings.get(own[1:], ()) for d in declared[n] if _takes(d, made[0].arguments)]
            near, spot = [d.name for d in fits], [Place(d.path, d.line, d.line) for d in fits]
        everywhere = document.words[name]
        if len(near) == 1 and everywhere == len(made):
            yield Claim(
                Severity.MEDIUM,
                f"{name} is used and defined nowhere; {near[0]} is there",
                f"Only this code speaks of {name}; the plan has {near[0]}, which nothing uses by that name.",
                f"Use {near[0]}, or say where {name} comes from.",
                (*(Place(c.path, c.line, c.line) for c in made[:2]), *spot),
                (name,),
                (near[0],),
                confidence=0.8,
            )


@lru_cache(maxsize=16_384)
def _words(name: str) -> tuple[str, ...]:
    return tuple(w.lower() for w in _HUMP.findall(name))


def _takes(declared: Declared, arguments: int | None) -> bool:
    return arguments is None or declared.most is None or declared.least <= arguments <= declared.most


RULE = rule("signature-differs", check)
