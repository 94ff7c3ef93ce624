"""A plan's own steps, read out of its document with what each of them says."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from nyxlab.reviewer.document import Action, Document, FileMention, Heading, Identifier, Item, ListBlock, group
from nyxlab.reviewer.mentions import is_file

_STEP = re.compile(
    r"\W{0,4}(step|phase|milestone|stage|sprint|iteration)\s+#?(\d{1,3}|[A-H](?=\s?[:.)\u2013\u2014-]))\b[\s:.)\u2013\u2014-]*",
    re.IGNORECASE,
)
_WORK = re.compile(r"\b(implementation|steps|tasks|milestones|roadmap|work breakdown|phases)\b", re.IGNORECASE)
_COLON = r"\b[\w ]{0,24}?[*_]*\s*(?::|\u2013|\u2014)"
_LABELS = {
    name: re.compile(
        rf"[\W_]*(?:{bare})\b|[\W_]*(?:{marked}){_COLON}" if bare else rf"[\W_]*(?:{marked}){_COLON}", re.IGNORECASE
    )
    for name, bare, marked in (
        ("needs", r"needs|depends on|requires|blocked by", r"dependenc\w+|prerequisites?|after"),
        (
            "done",
            r"done (?:when|if|once)",
            r"done|acceptance|exit|success|verif\w+|checkpoint|definition of done|independent test",
        ),
        ("covers", r"covers", r"closes|requirements?|covered"),
        ("open", "", r"open|questions?|unresolved|to decide|unclear"),
        ("rollback", "", r"roll ?back|way back|undo|revert"),
        ("files", "", r"files?|(?:new|modified|changed|deleted|touched)(?: and \w+)? files?|paths"),
        ("outcome", "", r"outcome|goal|purpose|result"),
    )
}
_MARK = re.compile(rf"[\W_]*[\w ]{{1,30}}?{_COLON}[*_]*\s*|[\W_]*done (?=(?:when|if|once)\b)", re.IGNORECASE)
_UNFINISHED = re.compile(r"\b(?:TODO|TBD|FIXME|NEEDS CLARIFICATION)\b|\?\?\?")
_FILE_ALONE = re.compile(r"[`*]*([\w./{}@+-]+)[`*]*\s*(?:\([\w ,]{1,24}\)|[:\u2013\u2014-]\s*\w{1,12})?[.;,]?")
_NEED = re.compile(r"\b(?:depends? on|needs?|requires?|blocked by|after)\b", re.IGNORECASE)


@dataclass(eq=False)
class Step:
    """One step as the plan states it; what it does not state is empty. ``needs`` pairs a step's label with the words that say so."""

    label: str
    title: str
    path: str
    line: int
    end_line: int
    outcome: str = ""
    rollback: str = ""
    needs: list[tuple[str, str]] = field(default_factory=list)
    covers: list[str] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    files: list[FileMention] = field(default_factory=list)
    tasks: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    @property
    def actions(self) -> dict[str, Action | None]:
        """Each file once: new where the step says so anywhere, else what is said first, None where nothing is said."""
        found: dict[str, Action | None] = {}
        for mention in self.files:
            said = found.get(mention.name)
            found[mention.name] = "new" if "new" in (said, mention.action) else said or mention.action
        return found


def steps_of(document: Document) -> list[Step]:
    """Return the plan's steps in reading order: "Step N" headings, else numbered headings or a task list below a heading like "Tasks"."""
    steps = _headed(document) or _listed(document)
    names: set[str] = set()
    for step in steps:
        step.label = step.label if step.label not in names else f"{step.label} (line {step.line})"
        names.add(step.label)
    _fill(document, steps)
    return steps


def _headed(document: Document) -> list[Step]:
    """Of all runs of like headings below one parent take the one with the most listed in it."""
    ends = section_ends(document)
    runs: dict[object, list[Step]] = {}
    for h in document.headings:
        if m := _STEP.match(h.text):
            family, label, title = (
                m[1].lower(),
                f"{m[1].title()} {int(m[2]) if m[2].isdigit() else m[2]}",
                h.text[m.end() :],
            )
        elif h.number and h.parent and h.level > 2 and _WORK.search(h.parent.text):
            family, label, title = (
                "",
                f"Step {h.number.rsplit('.', 1)[-1]}",
                h.text.removeprefix(h.number).lstrip(" .):"),
            )
        else:
            continue
        step = Step(label, title or label, h.path, h.line, ends[h])
        runs.setdefault((h.path, family, h.level, h.parent), []).append(step)
    lines = {
        path: sorted(found) for path, found in group((b.path, i.line) for b in document.lists for i in b.items).items()
    }

    def weight(run: list[Step]) -> tuple[int, int]:
        listed = lines.get(run[0].path, [])
        return bisect_right(listed, run[-1].end_line) - bisect_right(listed, run[0].line), len(run)

    return max(runs.values(), key=weight, default=[])


def section_ends(document: Document) -> dict[Heading, int]:
    """Return each heading's last line: the one before the next heading of the same rank, or the last of its file."""
    ends: dict[Heading, int] = {}
    for path, headings in group((h.path, h) for h in document.headings).items():
        open_ones: list[Heading] = []
        for h in headings:
            while open_ones and open_ones[-1].level >= h.level:
                ends[open_ones.pop()] = h.line - 1
            open_ones.append(h)
        ends |= dict.fromkeys(open_ones, document.files[path].length)
    return ends


def _listed(document: Document) -> list[Step]:
    """Take the longest outermost numbered or ticked list below a heading that speaks of work."""
    fit = [
        b
        for b in document.lists
        if b.depth == 0
        and len(b.items) > 1
        and b.section
        and _WORK.search(b.section.text)
        and (b.ordered or b.items[0].checked is not None)
    ]
    best = max(fit, key=lambda b: len(b.items), default=None)
    return [Step(f"Step {n}", i.text, i.path, i.line, i.end_line) for n, i in enumerate(best.items, 1)] if best else []


# --- what a step says ----------------------------------------------------------------------------------------------


def _fill(document: Document, steps: list[Step]) -> None:
    """Give each step its lists, sentences, files and references, each found by the line it stands on."""
    at = {(s.path, line): s for s in steps for line in range(s.line, s.end_line + 1)}
    blocks = group((at.get((b.path, b.line)), b) for b in document.lists)
    for owner in steps:
        for label, line, text in _items(sorted(blocks.get(owner, ()), key=lambda b: (b.line, b.depth)), owner):
            _put(owner, label or ("files" if _names_a_file(text) else "task"), line, text)
    for spoken in document.sentences:
        home = at.get((spoken.path, spoken.line))
        if home and spoken.where in ("paragraph", "quote") and not spoken.plain.endswith(":"):
            _put(home, label_of(spoken.plain) or "note", spoken.line, spoken.text)
    for mention in document.file_mentions:
        if home := at.get((mention.path, mention.line)):
            home.files.append(mention)
    homes = {s.label: s for s in steps} | {
        i.name: s for i in document.identifiers if i.defines and (s := at.get((i.path, i.line)))
    }
    for sentence, named in group((i.sentence, i) for i in document.identifiers).items():
        inside = at.get((sentence.path, sentence.line))
        if inside and sentence.where != "heading":
            for i in named:
                _refer(inside, i, homes)
        elif (
            sentence.section and "dependenc" in sentence.section.text.lower() and (need := _NEED.search(sentence.prose))
        ):
            before = sentence.prose[: need.start()]
            known = [
                (homes[i.name], re.search(rf"\b{re.escape(i.number)}\b", before)) for i in named if i.name in homes
            ]
            for owner in [step for step, said in known if said]:
                owner.needs += [(step.label, sentence.plain) for step, said in known if not said and step is not owner]


def _refer(step: Step, i: Identifier, homes: dict[str, Step]) -> None:
    """Note what one identifier in a step stands for: a step that is needed, a section to read, a requirement that is covered."""
    if i.family == "section":
        step.sections.append(i.number)
    elif label_of(i.sentence.plain) == "needs":
        home = homes.get(i.name)
        if home is not step and (home or i.family == step.label.split()[0].lower()):
            step.needs.append((home.label if home else i.name, i.sentence.plain))
    elif not i.family.islower() and i.name not in step.covers and homes.get(i.name) is not step:
        step.covers.append(i.name)


def _items(blocks: list[ListBlock], step: Step) -> list[tuple[str, int, str]]:
    """Return (label, line, text) of what is listed; what is nested below an item belongs to it, unless that is a mere label ("Tasks:")."""
    taken: list[tuple[str, Item, str]] = []
    for block in blocks:
        above = next(
            (n for n in range(len(taken) - 1, -1, -1) if taken[n][1].line < block.line <= taken[n][1].end_line), None
        )
        if above is not None and not taken[above][2].rstrip("*_ ").endswith(":"):
            label, item, text = taken[above]
            taken[above] = label, item, f"{text} ({'; '.join(i.text for i in block.items)})"
            continue
        if above is not None:
            label = label_of(taken.pop(above)[2])
        else:
            heading = block.section.text if block.section and block.section.line > step.line else ""
            said = block.intro.plain if block.intro and block.intro.line > step.line else ""
            label = label_of(said if said.endswith(":") else "") or label_of(f"{heading}:")
        taken += [(label_of(i.text) or label, i, i.text) for i in block.items if step.line < i.line <= step.end_line]
    return [(label, item.line, text) for label, item, text in taken]


def label_of(text: str) -> str:
    """Say which part of a step a text opens ("Done when …", "Needs: …", "**New files:**"), or nothing."""
    opening = text[:60]
    return next((name for name, m in _LABELS.items() if m.match(opening)), "")


def _names_a_file(text: str) -> bool:
    """Whether an item is a file with at most a mark ("`a.py` (new)"): not a task."""
    alone = _FILE_ALONE.fullmatch(text[:300])
    return bool(alone and is_file(alone[1]))


def _put(step: Step, label: str, line: int, text: str) -> None:
    """File one item or sentence under its label. What is unfinished in it stays where it is and is asked about as well."""
    said = _MARK.sub("", text, count=1) if label_of(text) == label else text
    if not said.strip():
        return
    match label:
        case "task":
            step.tasks.append((line, text))
        case "note":
            step.notes.append((line, text))
        case "done":
            step.done.append(said)
        case "open":
            step.open.append(said)
        case "rollback":
            step.rollback = f"{step.rollback} {said}".strip()
        case "outcome":
            step.outcome = step.outcome or said
    if label in ("task", "note", "done") and _UNFINISHED.search(text):
        step.open.append(f"unfinished in the plan: {text}")
