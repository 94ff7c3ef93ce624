"""Mending on disk: the file of decisions, the patch that git takes, and the amended plan.

Nothing of the plan itself is touched unless asked.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypedDict, Unpack

import yaml
from pydantic import ValidationError

from nyxlab.errors import InputRefused
from nyxlab.lab.desk import Desk, Paths
from nyxlab.lab.git import git
from nyxlab.lab.reviews.asking import single
from nyxlab.lab.reviews.documents import read_review, unchanged_documents
from nyxlab.lab.reviews.prepared import forecast, review_document
from nyxlab.lab.reviews.readers import decide
from nyxlab.lab.reviews.terms import Asked, Terms
from nyxlab.lab.workflows.options import usd
from nyxlab.lab.workflows.prepared import OnCosts, OnEvent
from nyxlab.providers.messages import Cost
from nyxlab.providers.strictyaml import read_yaml
from nyxlab.reviewer.findings import Finding
from nyxlab.reviewer.models.amend import Decision, Refusal, amended
from nyxlab.reviewer.review import Review, beside
from nyxlab.reviewer.text.document import parse_documents

DECISIONS, PATCH, REVIEW = "decisions.yaml", "plan.patch", "review.json"
FORM = """\
# What is to become of the findings in {names}. For each one: `reading` says in a sentence which reading
# holds, `why` on what it rests; change `new` in its edits, add edits of other lines, or delete those that are
# not needed. Where somebody else must decide, set `person: true`. Then: nyxlab amend {review} --decisions {file}
"""


@dataclass(frozen=True)
class Amendment:
    """A plan mended in a copy: decisions, edits that could not be made, the texts before and after, their review.

    ``waiting`` says which answers by hand are missing: then nothing is decided yet.
    """

    decisions: tuple[Decision, ...]
    refused: tuple[Refusal, ...]
    before: Mapping[str, str]
    after: Mapping[str, str]
    review: Review
    names: Mapping[str, str]  # the ids that findings had in the earlier review, by fingerprint
    base: Path
    cost: Cost
    waiting: str = ""
    source: Path | None = None  # the file that the decisions stand in, if they are a person's

    @property
    def changed(self) -> dict[str, str]:
        """The new texts of the files that the edits change, by path."""
        return {path: text for path, text in self.after.items() if text != self.before[path]}

    @property
    def outcome(self) -> dict[str, list[Finding]]:
        """The findings that the amended plan has closed, those that are open still, and new ones."""
        found = self.review.findings
        return {
            "closed": [f for f in found if not f.active and f.status in ("fixed", "not-found-again")],
            "open": [f for f in found if f.active and f.status in ("open", "not-found-again")],
            "new": [f for f in found if f.active and f.status == "new"],
        }

    @property
    def patch(self) -> str:
        """The edits as a patch that ``git apply`` takes in the plan's repository, or in its folder outside of one."""
        return patch_of(self.before, self.after, self.base)

    def write(self, folder: Path) -> list[Path]:
        """Write decisions, patch, the amended files at their paths and the review of them into a folder.

        Return what was written.

        ``InputRefused`` for a folder in which that would write over the plan itself.
        """
        refuse_over_plan(folder, self.base, self.after)
        review = self.review.model_dump_json(by_alias=True, indent=1)
        told = {DECISIONS: decisions_text(self.decisions), PATCH: self.patch, REVIEW: review + "\n"}
        files = {folder / name: text for name, text in told.items()}
        if self.source and self.source.resolve() == (folder / DECISIONS).resolve():
            del files[folder / DECISIONS]  # as its author wrote it, notes and all
        files |= {folder / _inside(path): text for path, text in self.after.items()}
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("utf-8", "surrogatepass"))
        return list(files)

    def apply(self) -> None:
        """Change the plan's own files.

        ``InputRefused`` outside of git, and where anything is not committed or was refused.
        """
        if self.refused:
            raise InputRefused(f"nothing is applied: {self.refused[0]}")
        for name in self.changed:
            path = self.base / name
            root = _toplevel(path.parent)
            if root is None:
                raise InputRefused(
                    f"{path}: not in a git repository, so nothing is applied; use the patch, or the copy"
                )
            if git(root, "status", "--porcelain", "--untracked-files=no").stdout:
                raise InputRefused(f"{root}: commit or stash what is changed there first; then --apply can be undone")
            if git(root, "ls-files", "--error-unmatch", str(path.resolve())).returncode:
                raise InputRefused(f"{path}: not under git's eyes, so nothing is applied; add and commit it first")
            if path.read_bytes() != self.before[name].encode("utf-8", "surrogatepass"):
                raise InputRefused(f"{path}: changed since it was reviewed; review it again")
        for name, text in self.changed.items():
            path = self.base / name
            half = path.with_name(f".{path.name}.half")
            half.write_bytes(text.encode("utf-8", "surrogatepass"))
            half.chmod(path.stat().st_mode)
            half.replace(path)


class Amending(TypedDict, total=False):
    """How a plan is mended: by which ``provider`` or file of ``decisions``, and which ``findings`` (all open ones).

    ``budget`` is in USD, ``base`` where relative paths start; ``on_costs`` is told, before anything leaves
    this machine, to whom, and the most that each may cost.
    """

    provider: str | None
    findings: Sequence[str]
    decisions: Paths | None
    budget: Decimal | str | None
    base: Path | None
    on_costs: OnCosts | None
    on_event: OnEvent | None


async def amend(desk: Desk, review: Review | Paths, **options: Unpack[Amending]) -> Amendment:
    """Return the plan of a review mended in a copy, as ``Lab.amend`` says."""
    provider, decisions, budget = options.get("provider"), options.get("decisions"), options.get("budget")
    on_costs, on_event = options.get("on_costs"), options.get("on_event")
    start = options.get("base") or desk.settings.root
    earlier = review if isinstance(review, Review) else read_review(start / review)
    bases = [start] if isinstance(review, Review) else [start, (start / review).parent]
    chosen = chosen_findings(earlier, options.get("findings", ()))
    before = unchanged_documents(earlier.to_json(), *bases, outside=True)
    for each in earlier.documents:
        if each.path not in before:
            raise InputRefused(f"{each.path}: not as it was reviewed, or not there; review it again, and amend that")
    document = parse_documents({each.path: before[each.path] for each in earlier.documents})
    terms = Terms.of(desk.settings.root, start, fail_on=earlier.fail_on, baseline=earlier)
    limit = usd(budget) if budget is not None else None
    again = Asked(provider if any(pass_.by_model for pass_ in earlier.passes) else None)
    made: tuple[Decision, ...] = ()
    cost, waiting = Cost.total(()), ""
    if decisions is not None:
        made = read_decisions(start / decisions, {f.id for f in chosen})
    elif provider:
        reading = single(desk, document, desk.open(provider), limit)
        deciding = reading.cost_of_deciding(chosen)
        reread = forecast(desk, [document], _less(again, limit, deciding), terms)  # refused before it is paid
        if on_costs:
            on_costs(desk.outside({provider: Cost.total([deciding, *reread.values()])}))
        decided, run = await decide(reading, chosen, on_event)
        cost, waiting = run.cost, run.pause.reason if run.pause else ""
        if not decided and not waiting:
            reason = run.steps["amend"].error or "no reply could be used"
            raise InputRefused(f"{provider} has decided nothing: {reason}")
        ids = {decision.finding for decision in decided}
        made = (*decided, *(Decision(finding=f.id) for f in chosen if f.id not in ids))  # named, though undecided
    after, refused = amended(before, made)
    mended = dataclasses.replace(parse_documents(after), beside=beside(document, start))
    asked = Asked() if waiting else _less(again, limit, cost)
    second = await review_document(desk, mended, terms, asked, on_event, [each for each in made if each.made])
    total = Cost.total([cost, second.cost])
    source = start / decisions if decisions is not None else None
    names = {f.fingerprint: f.id for f in earlier.findings}
    return Amendment(made, refused, before, after, second, names, start, total, waiting, source)


def _less(asked: Asked, limit: Decimal | None, cost: Cost) -> Asked:
    """Return what is asked for what a cost leaves of a budget; next to nothing where it leaves nothing."""
    left = limit and max(limit - (cost.usd or 0), Decimal("0.000001"))
    return dataclasses.replace(asked, budget=left)


def chosen_findings(review: Review, ids: Sequence[str]) -> list[Finding]:
    """Return the open findings of a review, or those of these ids; ``InputRefused`` for one that it does not have."""
    known = {f.id: f for f in review.findings if f.active}
    if unknown := [name for name in ids if name not in known]:
        raise InputRefused(f"the review has no open finding '{unknown[0]}'; it has {', '.join(known) or 'none'}")
    if not known:
        raise InputRefused("the review has no open finding: there is nothing to amend")
    return [known[name] for name in dict.fromkeys(ids)] or list(known.values())


def patch_of(before: Mapping[str, str], after: Mapping[str, str], base: Path) -> str:
    """Return the differences between texts as git writes them, with paths of the repository around ``base``."""
    root = _toplevel(base) or base.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        for side, texts in (("a", before), ("b", after)):
            (Path(scratch) / side).mkdir()
            for path in (path for path in texts if before[path] != after[path]):
                whole = Path(os.path.normpath(base.resolve() / path))
                inside = whole.relative_to(root) if whole.is_relative_to(root) else Path(whole.name)
                target = Path(scratch) / side / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(texts[path].encode("utf-8", "surrogatepass"))
        done = git(
            Path(scratch), "diff", "--no-index", "--no-prefix", "--no-color", "--no-ext-diff", "--text", "a", "b"
        )
        return done.stdout.decode("utf-8", "surrogatepass")


def _toplevel(folder: Path) -> Path | None:
    done = git(folder, "rev-parse", "--show-toplevel")
    return Path(done.stdout.decode().removesuffix("\n")) if not done.returncode else None


def _inside(path: str) -> Path:
    """Return a path as one inside of a folder, wherever it leads."""
    return Path(*[part for part in Path(path).parts if part not in ("..", os.sep)])


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def decisions_text(decisions: Sequence[Decision], notes: Mapping[str, str] | None = None) -> str:
    """Return decisions as YAML, with a note above each finding that has one."""
    told = []
    for decision in decisions:
        note = (notes or {}).get(decision.finding, "")
        value = [decision.model_dump(mode="json")]
        shown = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000)
        told.append("".join(f"# {line}\n" for line in note.splitlines()) + shown)
    return "\n".join(told)


def decisions_form(review: Review, chosen: Sequence[Finding], source: Path, file: Path) -> str:
    """Return an empty file of decisions: each finding with its quotes as edits that change nothing yet."""
    notes = {f.id: f"{f.severity} {' '.join(f.title.split())}\n{' '.join(f.explanation.split())}" for f in chosen}
    empty = [
        Decision.model_validate({
            "finding": f.id,
            "edits": [
                {"path": e.path, "line": e.start_line, "old": e.quote, "new": e.quote} for e in f.evidence if e.verified
            ],
        })
        for f in chosen
    ]  # fmt: skip
    names = ", ".join(document.path for document in review.documents)
    return FORM.format(names=names, review=source, file=file) + "\n" + decisions_text(empty, notes)


def refuse_over_plan(folder: Path, base: Path, paths: Iterable[str]) -> None:
    """Raise ``InputRefused`` for a folder in which the amended plan would be written over the plan itself."""
    for name in paths:
        if (folder / _inside(name)).resolve() == (base / name).resolve():
            raise InputRefused(f"{folder}: the amended plan would be written over {name}; name another --output")


def is_form(file: Path) -> bool:
    """Whether a file of decisions was written to be filled in, so that it is not ours to write over."""
    return file.is_file() and file.read_bytes().startswith(FORM[:20].encode())


def read_decisions(path: Path, known: Collection[str]) -> tuple[Decision, ...]:
    """Return the decisions of a file; ``InputRefused`` names the line of what is wrong in it."""
    try:
        value, lines = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError):
        raise InputRefused(
            f"{path}: no such file, or not UTF-8 text; `nyxlab amend REVIEW.json` writes one to fill in"
        ) from None
    if not isinstance(value, list):
        raise InputRefused(f"{path}:1: decisions are a list; start each with '- finding: F-001'")
    found: dict[str, Decision] = {}
    for number, entry in enumerate(value):
        line = lines.get((number,), 1)
        try:
            decision = Decision.model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InputRefused(f"{path}:{line}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if decision.finding not in known:
            raise InputRefused(f"{path}:{line}: the review has no open finding '{decision.finding}'")
        if decision.finding in found:
            raise InputRefused(f"{path}:{line}: {decision.finding} is decided twice; keep one")
        found[decision.finding] = decision
    return tuple(found.values())
