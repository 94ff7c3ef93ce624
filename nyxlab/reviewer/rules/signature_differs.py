"""Code of the plan that does not fit together: calls and declarations."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity, Spanned, group
from nyxlab.reviewer.text.blocks import Fence
from nyxlab.reviewer.text.code import Call, Code, Declared, arity, spans, split_list

_ELIDED = re.compile(
    r"\.\.\.|\u2026|//\s*(?:existing|other|rest|implementation|etc)|#\s*(?:existing|other|rest)", re.IGNORECASE
)
_HUMP = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z0-9]+|[A-Z]+|[a-z0-9]+")
_BUILT_IN = re.compile(
    r"^(?:Error|Exception|Date|Map|Set|Promise|RegExp|URL|Headers|Request|Response|FormData|Array|Object|Proxy|Worker"
    r"|Blob|File|Intl|Buffer|Uint8Array|WeakMap|AbortController)$"
)

Calls = Sequence[tuple[Code, Call]]


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a call with more or fewer arguments than are taken, or of what the plan's own code does not declare.

    A method that its class lacks; a type or function that nothing declares, beside a near one that nothing uses.
    """
    coded = (d for code in document.code for d in code.declared)
    declared = group((d.name, d) for d in (*coded, *_constructors(document)))
    calls = [(code, call) for code in document.code for call in code.calls]
    if plan.tasks:  # examples in a text that plans nothing may each stand alone
        yield from _arity(document, declared, calls)
    yield from _methods(document, calls)
    yield from _near(document, declared, calls)


def _constructors(document: Document) -> Iterator[Declared]:
    """Yield the constructors that sentences give as `__init__(self, a, b)`, of the class that was named last."""
    last: dict[str, str] = {}
    for s in document.sentences:
        for span in spans(s.text) if "`" in s.text and document.standing(s) is None else ():
            if re.fullmatch(r"[A-Z][a-z]\w+", span) and re.search(
                rf"`{span}` (?:class|component|widget)|class `{span}`", s.text
            ):
                last[s.path] = span
            elif (m := re.match(r"(?:def\s)?(?:__init__|constructor)\(", span)) and s.path in last:
                least, most = arity(split_list(span, m.end()))
                fence = Fence(s.path, s.line, s.line, s.section, "", span)
                yield Declared("constructor", fence, s.line, "constructor", last[s.path], least, most)


def _arity(document: Document, declared: dict[str, tuple[Declared, ...]], calls: Calls) -> Iterator[Claim]:
    """Judge calls by the only signature of that name in the set."""
    makers = group((d.owner, d) for all_ in declared.values() for d in all_ if d.kind == "constructor")
    told: set[tuple[str, int]] = set()
    own = {m.base.partition(".")[0] for m in document.file_mentions}  # what is imported from the plan's own files
    for code, call in calls:
        if call.arguments is None or (call.name in code.imported and not own & code.imported):
            continue
        takers: tuple[Declared, ...] = ()
        if call.receiver == "new" or (call.receiver == "" and call.name[:1].isupper()):
            takers = makers.get(call.name, ())
        elif call.receiver == "" and {d.kind for d in declared.get(call.name, ())} == {"function"}:
            takers = declared[call.name]
        if len({(d.least, d.most) for d in takers}) != 1 or (call.name, call.arguments) in told:
            continue
        home = takers[0]
        if home.most is None or home.least <= call.arguments <= home.most or home.fence is call.fence:
            continue
        told.add((call.name, call.arguments))
        takes = f"{home.most}" if home.least == home.most else f"{home.least} to {home.most}"
        noun = "argument" if home.most == 1 else "arguments"
        yield Claim(
            Severity.HIGH, f"{call.name} takes {takes} {noun} and is called with {call.arguments}",
            "The declaration and the call stand in the same plan; built as written, one of them is wrong.",
            (call, home), (call.name,), (takes, str(call.arguments)),
        )  # fmt: skip


def _methods(document: Document, calls: Calls) -> Iterator[Claim]:
    """Judge calls on a class of the plan, and on itself, by its own methods, where it is shown whole."""
    declared = [(code, d) for code in document.code for d in code.declared]
    types = group((d.name, code.records[d.name]) for code, d in declared if d.kind == "type")
    # one that is shown in pieces, says that something is left out, or has a base, says nothing
    shown = {name: [record for record in all_ if record.is_class] for name, all_ in types.items()}
    classes = {name: all_[0] for name, all_ in shown.items() if len(all_) == 1}
    cut = {code.fence for code in document.code if _ELIDED.search(code.fence.text)}
    whole = {name: record for name, record in classes.items() if not record.extends and record.fence not in cut}
    methods = group((d.owner, d.name) for _, d in declared if d.owner)
    found: dict[tuple[str, str], list[Call]] = {}
    for _, call in calls:
        name = call.inside if call.receiver == "this" else call.receiver
        unknown = name in whole and call.name not in methods.get(name, (call.name,))
        if unknown and call.name not in _set_in(whole[name].fence.text, called=call.receiver != "this"):
            found.setdefault((name, call.name), []).append(call)
    functions = [d for _, d in declared if d.kind == "function"][:400]
    for (name, method), made in found.items():
        near = [d for d in functions if len({*_words(method)} & {*_words(d.name)}) >= 2]
        has = ", ".join(sorted({*methods[name]} - {"constructor"})[:8])
        yield Claim(
            Severity.MEDIUM, f"{name} has no {method}()",
            f"The plan shows {name} whole, with {has}; {method} is called and declared nowhere.",
            (*made[:2], *near[:1], whole[name]), (f"{name}.{method}",),
        )  # fmt: skip


@lru_cache(maxsize=64)
def _set_in(text: str, *, called: bool) -> frozenset[str]:
    """Return the names that a block sets or declares ("x = ", "x: ") and, if asked for, those that it calls."""
    return frozenset(re.findall(r"\b(\w{1,80})\s?[=:?!(]" if called else r"\b(\w{1,80})\s?[=:?!]", text))


def _near(document: Document, declared: dict[str, tuple[Declared, ...]], calls: Calls) -> Iterator[Claim]:
    """Judge names that only the code that uses them speaks of by a declared one with the same words."""
    imported = {name for code in document.code for name in code.imported}
    used = {call.name for _, call in calls} | imported
    drawn = {m.base.partition(".")[0]: m for m in document.file_mentions if m.said == "tree"}
    types = group((_words(n)[:2], n) for n in drawn if n[:1].isupper() and len(_words(n)) > 2)
    classes = {_words(n)[:2] for n in declared if n[0].isupper() and len(_words(n)) > 2}
    idle = [n for n, all_ in declared.items() if n not in used and all_[0].kind == "function" and len(_words(n)) > 1]
    siblings = group((_words(n)[1:], n) for n in idle)
    for name, made in group((call.name, call) for _, call in calls if call.receiver in ("", "new")).items():
        own = _words(name)
        if name in declared or name in imported or name in drawn or _BUILT_IN.match(name) or len(own) < 2:
            continue
        near: dict[str, Spanned] = {}
        if made[0].receiver == "new" or name[0].isupper():
            alone = len(own) > 2 and own[:2] not in classes
            near = {n: drawn[n] for n in types.get(own[:2], ()) if alone and _words(n)[-1] != own[-1]}
        else:
            fits = (d for n in siblings.get(own[1:], ()) for d in declared[n])
            near = {d.name: d for d in fits if _takes(d, made[0].arguments)}
        if len(near) == 1 and document.words[name] == len(made):
            other, home = next(iter(near.items()))
            yield Claim(
                Severity.MEDIUM, f"{name} is used and defined nowhere; {other} is there",
                f"Only this code speaks of {name}; the plan has {other}, which nothing uses by that name.",
                (*made[:2], home), (name,), (other,),
            )  # fmt: skip


@lru_cache(maxsize=16_384)
def _words(name: str) -> tuple[str, ...]:
    return tuple(w.lower() for w in _HUMP.findall(name))


def _takes(declared: Declared, arguments: int | None) -> bool:
    return arguments is None or declared.most is None or declared.least <= arguments <= declared.most
