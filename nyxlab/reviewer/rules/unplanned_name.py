"""A name that the design promises and no task takes up, where the tasks take up the others beside it."""

import re
from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, Spanned, names
from nyxlab.reviewer.text.blocks import Sentence
from nyxlab.reviewer.text.code import spans

_NAME = re.compile(r"(?<!\w)[A-Za-z]\w{0,60}?(?:[a-z][A-Z]|_)\w{0,60}")
_LEAST = 3


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a back-ticked name that two documents promise and no task speaks of, as tasks do of those beside it."""
    working = {task.path for task in plan.tasks}
    lines = [(path, n, line) for path in working for n, line in enumerate(document.files[path].lines, 1)]
    known = {word for *_, line in lines for word in re.findall(r"\w+", line)}
    told: dict[str, list[Sentence]] = {}
    for sentence in document.sentences if working and working != set(document.files) else ():
        if "`" in sentence.text and sentence.path not in working and document.standing(sentence) is None:
            for name in dict.fromkeys(s for s in spans(sentence.text) if _NAME.fullmatch(s)):
                told.setdefault(name, []).append(sentence)
    missing: dict[Sentence, list[str]] = {}
    for name, sentences in told.items():
        if name not in known and len({s.path for s in sentences}) > 1:
            missing.setdefault(sentences[0], []).append(name)
    for sentence, found in missing.items():
        near = [n for n in spans(sentence.text) if n in known and _NAME.fullmatch(n)]
        if len(near) >= _LEAST:
            spot = next(Place(path, n, n) for path, n, line in lines if any(x in line for x in near))
            them = "this one" if len(found) == 1 else "these"
            said = f"Tasks speak of {names(near)} from the same sentence, of {them} nowhere."
            places: list[Spanned] = [*list({s.path: s for s in told[found[0]]}.values())[:3], spot]
            yield Claim(Severity.LOW, f"{names(found)}: promised, and in no task", said, places, found)
