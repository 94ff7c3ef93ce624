"""Words in a plan that speak to the model that will read it, not to the people who build it."""

import re
from collections.abc import Iterator
from functools import cache

from nyxlab.reviewer.rules.base import Claim, Document, Place, Plan, Severity, Spanned

_ORDER = (
    r"(?:^|[.!:;,\"'(]\s?|\b(?:please|now|and|then|must|should|to|you)\s)(?:ignore|disregard|forget|override)\b.{0,20}"
    r"\b(?:previous|prior|above|earlier|preceding|foregoing|your|system)\b.{0,20}"
    r"\b(?:instructions?|prompts?|rules|directions|guidelines)\b"
    r"|\b(?:report|return|output|list|raise|give|answer with)\s{1,3}(?:exactly\s)?(?:zero|no|0)\s{1,3}"
    r"(?:findings|issues|problems|inconsistencies|errors|concerns)\b"
    r"|\b(?:do not|don't|never)\s{1,3}(?:report|mention|flag|raise|reveal)\b.{0,40}"
    r"\b(?:findings?|issues?|inconsistenc(?:y|ies)|problems?)\b.{0,30}\b(?:review|plan|document)\b"
    r"|\byou are (?:now )?(?:an? )?(?:AI|assistant|language model|reviewer|chatbot)\b"
    r"|\b(?:respond|reply|answer) only with\b.{0,30}\b(?:approved|PASS|LGTM|yes)\b"
    r"|\b(?:if you are|attention|note to|message to|dear)\b.{0,12}\b(?:an? )?(?:AI|LLM|language models?)\b"
    r"|<\|(?:im_start|system|endoftext)\|>|\[/?INST\]"
)


@cache
def order() -> re.Pattern[str]:
    """Return what an order looks like, compiled by need: that takes longer than to review a small plan."""
    return re.compile(_ORDER, re.IGNORECASE)


_CUES = (
    "instruction", "prompt", "rules", "direction", "guideline", "finding", "issue", "problem", "inconsisten", "error",
    "concern", "you are", "only with", "attention", "note to", "message to", "dear", "<|", "[inst", "[/inst",
)  # fmt: skip
"""An order holds one of these: looking for them first spares most sentences the pattern."""
_QUOTED = re.compile('["\u201c\u2018][^"\u201c\u201d\u2018\u2019]{0,300}["\u201d\u2019]')
_COMMENT = re.compile(r"<!--((?:(?!-->|<!--).){0,4000})-->", re.DOTALL)


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find an order to the model that reads the plan, above all in a comment that people do not see.

    To ignore its instructions, to report nothing, to take a role; one in quotes or code is an example.
    """
    for sentence in document.sentences:
        low = sentence.prose.lower()
        if any(cue in low for cue in _CUES) and (m := order().search(_QUOTED.sub('"…"', sentence.prose))):
            yield _claim(Severity.MEDIUM, m[0], "The text", sentence)
    for path, file in document.files.items():
        for comment in _COMMENT.finditer(file.text) if "<!--" in file.text else ():
            if m := order().search(" ".join(comment[1].split())):
                line = file.text.count("\n", 0, comment.start()) + 1
                place = Place(path, line, line + comment[0].count("\n"))
                yield _claim(Severity.HIGH, m[0], "A comment that the page does not show", place)


def _claim(severity: Severity, words: str, where: str, place: Spanned) -> Claim:
    told = f'{where} says "{words[:120]}", which is said to a model, not to whoever builds the plan.'
    return Claim(severity, "The plan gives orders to the model that reads it", told, (place,), (words,))
