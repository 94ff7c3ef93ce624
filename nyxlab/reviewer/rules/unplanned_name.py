"""A name that the design promises and no task takes up, where the tasks take up the others beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nyxlab.reviewer.findings import Severity
from nyxlab.reviewer.plan.model import Plan
from nyxlab.reviewer.rules.base import Claim, Place, at, names, rule
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.code import spans
from nyxlab.reviewer.text.document import Document, group

_NAME = re.compile(r"(?<!\w)[A-Za-z]\w{0,60}?(?:[a-z][A-Z]|_)\w{0,60}")
_LIST = re.compile(r"(?<![\w`])`?([A-Z]\w+)`?((?:,\s(?:and\s)?`?[A-Z]\w+`?){2,12}(?:,?\sand\s`?[A-Z]\w+`?)?)")
_LEAST = 3


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a back-ticked name that two documents promise and no task speaks of, though tasks speak of the other names of the same sentence; and a member of a list that nothing else in the set knows, where another list has all its other members."""
    working = {task.path for task in plan.tasks}
    if working and working != set(document.files):
        yield from _promised(document, working)
    yield from _members(document)


def _promised(document: Document, working: set[str]) -> Iterator[Claim]:
    """Judge the names of proposals and designs by the files that hold the tasks."""
    tasks = " ".join(document.files[path].text for path in working)
    known = set(re.findall(r"\w+", tasks))
    told: dict[str, list[Sentence]] = {}
    for sentence in document.sentences:
        if "`" in sentence.text and sentence.path not in working and document.standing(sentence) is None:
            for name in dict.fromkeys(s for s in spans(sentence.text) if _NAME.fullmatch(s)):
                told.setdefault(name, []).append(sentence)
    missing: dict[int, list[str]] = {}
    for name, sentences in told.items():
        if name not in known and len({s.path for s in sentences}) > 1:
            first = sentences[0]
            beside = [n for n in spans(first.text) if _NAME.fullmatch(n) and n in known]
            if len(beside) >= _LEAST:
                missing.setdefault(id(first), []).append(name)
    for found in missing.values():
        sentences = told[found[0]]
        near = [n for n in spans(sentences[0].text) if n in known and _NAME.fullmatch(n)]
        spots = [
            (path, n)
            for path in working
            for n, line in enumerate(document.files[path].lines, 1)
            if any(x in line for x in near)
        ]
        yield Claim(
            Severity.LOW,
            f"{names(found)}: promised, and in no task",
            f"Tasks speak of {names(near)} from the same sentence, of {'this one' if len(found) == 1 else 'these'} nowhere.",
            "Add it to the task that makes the others, or take it out.",
            (*at(*list({s.path: s for s in sentences}.values())[:3]), *(Place(p, n, n) for p, n in spots[:1])),
            tuple(found),
            confidence=0.8,
        )


def _members(document: Document) -> Iterator[Claim]:
    """Judge lists of names that have all but one member in common."""
    lists: list[tuple[frozenset[str], Sentence]] = []
    for sentence in document.sentences:
        for m in _LIST.finditer(sentence.text) if "," in sentence.text and sentence.where != "cell" else ():
            members = frozenset(re.findall(r"\w+", f"{m[1]} {m[2]}")) - {"and"}
            if len(members) > _LEAST - 1 and document.standing(sentence) is None:
                lists.append((members, sentence))
    shorter = group(lists)
    extra: dict[tuple[frozenset[str], str], list[Sentence]] = {}
    for members, sentence in lists:
        for name in members if len(members) > _LEAST else ():
            if members - {name} in shorter:
                extra.setdefault((members, name), []).append(sentence)
    for (members, name), sentences in extra.items():
        uses = document.words[name]
        others = shorter[members - {name}]
        coded = any(s.text.count("`") >= 2 * _LEAST for s in (*sentences, *others))
        if coded and uses == len(sentences) and {s.path for s in others} - {s.path for s in sentences}:
            yield Claim(
                Severity.LOW,
                f"{name} stands in a list, and nowhere else",
                f"{names(sorted(members))} here; {names(sorted(members - {name}))} elsewhere; nothing in the plan makes {name}.",
                f"Say where {name} is made, or take it out of the list.",
                at(*sentences[:2], *others[:2]),
                (name,),
            )


RULE = rule("unplanned-name", check)
