"""A numbered series with a hole in it, or out of order."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from nyxlab.reviewer.rules.base import Claim, Document, Plan, Severity, group, names
from nyxlab.reviewer.text.labels import Label, name_of
from nyxlab.reviewer.text.standing import ASIDE

_LEAST = 4
_SERIES = ("phase", "step", "task", "story", "milestone", "epic", "requirement", "stage", "decision", "week")


def check(document: Document, plan: Plan) -> Iterator[Claim]:
    """Find a number that a series of tasks, phases, steps, requirements or headings leaves out or has out of order."""
    told = [
        i for i in document.labels
        if i.defines and i.sentence.where != "cell" and document.standings[i.sentence.section] not in ASIDE
    ]  # fmt: skip
    cited = {(i.path, i.name) for i in document.labels if not i.defines}
    for (path, family, _), series in group(((i.path, i.family, i.key[0][:-1]), i) for i in told).items():
        if not family.islower():
            yield from _gaps(path, family, series, cited)
        elif family in _SERIES and {i.sentence.where for i in series} == {"heading"}:
            yield from _gaps(path, family, series, cited)
            yield from _falls(family, series)


def _gaps(path: str, family: str, series: Sequence[Label], cited: set[tuple[str, str]]) -> Iterator[Claim]:
    """Judge one series; numbers that the text speaks of elsewhere were left out knowingly."""
    by_number = {i.key[0][-1]: i for i in reversed(series)}
    numbers = sorted(by_number)
    missing = [n for one, two in pairwise(numbers) for n in range(one + 1, two) if two - one < 4]
    short = 2 if numbers[0] <= 1 and len(series[0].key[0]) > 1 else _LEAST
    if len(numbers) < short or 3 * len(missing) > len(numbers) + 2 or numbers[0] > 1:
        return
    width = len(series[0].number.rpartition(".")[2].rstrip("abcdefghijklmnopqrstuvw"))
    head = "".join(f"{n}." for n in series[0].key[0][:-1])
    wanted = [name_of(family, f"{head}{n:0{width if series[0].number.startswith('0') else 1}d}") for n in missing]
    wanted = [n for n in wanted if (path, n) not in cited]
    if wanted:
        first, last = by_number[numbers[0]].name, by_number[numbers[-1]].name
        yield Claim(
            Severity.LOW, f"{names(wanted)} {'is' if len(wanted) == 1 else 'are'} left out of the numbering",
            f"The series goes from {first} to {last} without {names(wanted)}.",
            [by_number[n] for n in numbers if n + 1 in missing or n - 1 in missing],
            (name_of(family, head or "n"), path), wanted,
        )  # fmt: skip


def _falls(family: str, series: Sequence[Label]) -> Iterator[Claim]:
    """Judge headings of one series that do not ascend."""
    falls = [(one, two) for one, two in pairwise(series) if two.key < one.key]
    parents = {i.sentence.section.parent if i.sentence.section else None for i in series}
    unique = len(parents) == 1 and len({i.key for i in series}) == len(series) >= _LEAST
    if len(falls) == 1 and unique:
        one, two = falls[0]
        said = f"The {family} headings are numbered {', '.join(i.number for i in series[:14])}."
        title = f"{two.name} stands after {one.name}"
        yield Claim(Severity.LOW, title, said, (one, two, *series[-4:]), (family,), [i.number for i in series])
