"""The plan that a set of documents holds: phases, tasks, what each needs, covers and touches, and the requirements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from posixpath import dirname

from nyxlab.reviewer.text.blocks import Heading, Sentence
from nyxlab.reviewer.text.document import group
from nyxlab.reviewer.text.files import FileMention
from nyxlab.reviewer.text.labels import Key, Label, key_of, name_of
from nyxlab.reviewer.text.standing import Standing


@dataclass(eq=False, slots=True)
class Unit:
    """A part of the work with its own name: ``family`` "T", "phase" \u2026, ``number`` as written ("018", "2.1")."""

    family: str
    number: str
    title: str
    path: str
    line: int
    end_line: int
    heading: Heading | None = None
    standing: Standing | None = None

    @property
    def name(self) -> str:
        """How it is written: "T018", "Phase 2", "Task 2.1"; its title where it has no number."""
        return name_of(self.family, self.number) if self.number else self.title[:60]

    @property
    def key(self) -> Key:
        """Its number for order."""
        return key_of(self.number)


@dataclass(eq=False, slots=True)
class Task(Unit):
    """The smallest part of the work that the plan names. ``box`` is what stands in its tick box, None without one."""

    box: str | None = None
    parallel: bool = False
    optional: bool = False
    lead: bool = False
    """Whether it is no task of its own but what stands in its phase before, or instead of, the first one."""
    phase: Phase | None = None
    files: tuple[FileMention, ...] = ()
    cites: frozenset[str] = frozenset()
    """The names of the requirements that its lines cite."""

    @property
    def touches(self) -> dict[str, FileMention]:
        """The files that it makes, changes or deletes, or is said to work in."""
        found: dict[str, FileMention] = {}
        for mention in self.files:
            if mention.action or mention.name not in found:
                found[mention.name] = mention
        return found


@dataclass(eq=False, slots=True)
class Phase(Unit):
    """A part of the work that holds tasks, in the plan's own order; ``stories`` are the labels that mean it as well."""

    tasks: list[Task] = field(default_factory=list)
    stories: tuple[str, ...] = ()


class Requirement(Unit):
    """Something that the plan promises, its words as title: FR-001, criterion 3.2, "Requirement: Golfer entity"."""


@dataclass(frozen=True, eq=False, slots=True)
class Need:
    """``of`` needs ``on`` to be done before: who says so, and where."""

    of: Unit
    on: Unit
    path: str
    line: int
    sentence: Sentence | None
    words: str

    @property
    def own(self) -> bool:
        """Whether it stands inside the lines of ``of``."""
        return self.path == self.of.path and self.of.line <= self.line <= self.of.end_line


@dataclass(frozen=True, eq=False, slots=True)
class Citation:
    """A requirement named by its number where the plan has none of it, or has; ``task`` is the one that cites it."""

    name: str
    path: str
    line: int
    task: Task | None


@dataclass
class Part:
    """What a form's reader makes of a file, and what it makes of all of them."""

    phases: list[Phase] = field(default_factory=list)
    requirements: list[Requirement] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    form: str = ""
    paths: tuple[str, ...] = ()


@dataclass
class Plan:
    """Everything that rules and prompt ask of a plan, whatever its form; phases and tasks in the plan's own order."""

    parts: tuple[Part, ...]
    needs: tuple[Need, ...] = ()

    def __post_init__(self) -> None:
        self.phases = tuple(p for part in self.parts for p in part.phases)
        self.tasks = tuple(t for p in self.phases for t in p.tasks)
        self.requirements = tuple(r for part in self.parts for r in part.requirements)
        self.citations = tuple(c for part in self.parts for c in part.citations)
        self.order: dict[Unit, int] = {unit: n for n, unit in enumerate(x for p in self.phases for x in (p, *p.tasks))}

    @cached_property
    def _named(self) -> Mapping[tuple[str, str, str], Unit]:
        """Units by scope (file, folder, "" for the set), family and number."""
        found: dict[tuple[str, str, str], Unit] = {}
        told = [(unit, unit.family, unit.number) for unit in (*self.phases, *self.tasks)]
        told += [(phase, "story", story) for phase in self.phases for story in phase.stories]
        for unit, family, number in told:
            for scope in (unit.path, dirname(unit.path) + "/", ""):
                found.setdefault((scope, family, plain_number(number)), unit)
        return found

    def find(self, family: str, number: str, path: str) -> Unit | None:
        """Return the unit of this name, in the same file before the same folder before the set."""
        number = plain_number(number)
        for scope in (path, dirname(path) + "/", ""):
            for kind in (family, *(("task", "story", "step") if family in ("task", "subtask", "") else ())):
                if unit := self._named.get((scope, kind, number)):
                    return unit
        return None

    def named(self, labels: Iterable[Label]) -> list[Unit]:
        """Return the parts of the work that labels name, each once; "US1 (Phase 3)" is one."""
        units = (self.find(i.family, i.number, i.path) for i in labels)
        return list(dict.fromkeys(unit for unit in units if unit))

    @cached_property
    def task_at(self) -> Mapping[tuple[str, int], Task]:
        """The task whose lines hold a line, by file and line."""
        return {(t.path, n): t for t in self.tasks for n in range(t.line, t.end_line + 1)}

    @cached_property
    def files(self) -> Mapping[str, tuple[Task, ...]]:
        """The files that tasks name, with those tasks."""
        return group((name, task) for task in self.tasks for name in task.touches)

    @property
    def task_count(self) -> int:
        """How many tasks there are; a phase that names none is one itself."""
        return sum(not t.lead or len(t.phase.tasks if t.phase else ()) == 1 for t in self.tasks)

    @cached_property
    def of_family(self) -> Mapping[tuple[str, str], tuple[Unit, ...]]:
        """The phases and tasks by file and family, of those families whose numbers do not start anew."""
        families = group(((u.path, u.family), u) for u in self.numbered())
        return {name: units for name, units in families.items() if len({u.key for u in units}) == len(units)}

    def numbered(self) -> Iterable[Unit]:
        """Every phase and task that has a number."""
        return (unit for unit in (*self.phases, *self.tasks) if unit.number)

    def told(self) -> str:
        """Say how the plan was read: "read as spec-kit: 46 tasks in 6 phases, 13 requirements, 31 files"."""
        forms = list(dict.fromkeys(part.form for part in self.parts))
        counts = [
            f"{_count(self.task_count, 'task')} in {_count(len(self.phases), 'phase')}" if self.phases else "no tasks",
            _count(len(self.requirements), "requirement"),
            _count(len(self.files), "file"),
        ]
        return f"read as {' and '.join(forms)}: {', '.join(counts)}"


def plain_number(number: str) -> str:
    """Return a number without the zeros and dots around it: "018" and "18.", one task, are "18"."""
    return number.strip(".").lstrip("0") or "0"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
