"""Characters in a plan that nobody sees: bidirectional controls, zero-width characters, invisible tags."""

import re
from collections.abc import Iterator

from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity

_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2060-\u2064\ufeff\u180e\U000e0000-\U000e007f]")
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f")  # the flags of England, Scotland, Wales
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_TURNING, _BACK = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", "\u202c\u2069"
_TAGS = ("\U000e0000", "\U000e007f")
_KINDS = {
    "bidirectional control": "they change the order in which the line is shown",
    "invisible tag": "they spell words that a program reads and a person does not see",
    "zero-width character": "they make words that look the same differ",
}
_MOST = 5  # places shown of each sort and file


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find characters that only a program reads: bidirectional controls, invisible tags, zero-width ones."""
    for path, file in document.files.items():
        if file.text.isascii():
            continue
        found: dict[str, list[tuple[int, str, str]]] = {}
        for number, line in enumerate(file.lines, 1):
            if line.isascii():
                continue
            shown = _FLAG.sub("", line.removeprefix("\ufeff") if number == 1 else line)
            right_to_left = bool(_RIGHT_TO_LEFT.search(shown))
            turns = sum(shown.count(c) for c in _TURNING) - 2 * sum(shown.count(c) for c in _BACK)
            for m in _HIDDEN.finditer(shown):
                at = m.start()
                if kind := _kind(m[0], shown[max(0, at - 1) : at + 2], right_to_left, right_to_left and not turns):
                    # the words around it as a person sees them, so that moving the line keeps the finding's name
                    words = " ".join(_HIDDEN.sub("", shown[max(0, at - 20) : at + 20]).split())
                    found.setdefault(kind, []).append((number, f"U+{ord(m[0]):04X}", words))
        for kind, places in found.items():
            lines = list(dict.fromkeys(number for number, _, _ in places))
            codes = ", ".join(dict.fromkeys(code for _, code, _ in places))
            yield Claim(
                Severity.MEDIUM if kind.startswith("zero") else Severity.HIGH,
                f"Hidden characters: {kind}" + (f", {len(places)} times" if len(places) > 1 else ""),
                f"The text holds {codes}: {_KINDS[kind]}.",
                [Place(path, n, n) for n in lines[:_MOST]], (kind, *(word for _, _, word in places[:_MOST])),
            )  # fmt: skip


def _kind(character: str, around: str, right_to_left: bool, closed: bool) -> str | None:
    """Name what a hidden character is, or nothing where the line's script or an emoji needs it."""
    if _TAGS[0] <= character <= _TAGS[1]:
        return "invisible tag"
    if character in _TURNING:
        return None if closed else "bidirectional control"
    if character in "\u200e\u200f" and right_to_left:
        return None
    beside = around.replace(character, "")
    if character in "\u200c\u200d" and not beside.isascii():
        return None  # Indic and Persian words and emoji join with these
    return "zero-width character" if any(c.isascii() for c in beside) or not beside else None
