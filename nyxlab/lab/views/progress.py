"""Progress while long work goes on: a bar on a terminal, one plain line a step elsewhere.

Standard output stays untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from nyxlab.engine.records import CallDone, Event, Noted, RunStarted, StepDone, StepStarted
from nyxlab.lab.views.console import LOUDNESS, STDERR
from nyxlab.lab.views.decided import chosen, outcome, routed
from nyxlab.lab.views.wording import money, plain, seconds
from nyxlab.providers.messages import Json


class RunProgress:
    """Reads a run's events: a bar on a terminal, one plain line a step elsewhere. Standard output stays untouched.

    ``run_id`` is known from the first event on, so that whoever interrupts can be told how to carry on.
    """

    def __init__(self) -> None:
        self.run_id: str | None = None
        self.console = STDERR
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=self.console, transient=True, disable=not self.console.is_terminal or LOUDNESS.quiet,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None)
        self._running: list[str] = []
        self._calls = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, RunStarted):
            self.run_id = event.run_id
            self._print(f"run {event.run_id}")
            self._bar.update(self._task, total=event.steps, completed=event.done)
        elif isinstance(event, StepStarted):
            self._running.append(event.step)
        elif isinstance(event, CallDone):
            self._calls += 1
            if LOUDNESS.verbose:
                self._print(_call(event))
        elif isinstance(event, Noted):
            self._print(f"  {event.step}: {event.text}")
        elif isinstance(event, StepDone):
            record = event.record
            self._running = [name for name in self._running if name != record.id]
            self._bar.advance(self._task)
            if not self.console.is_terminal or record.status != "completed":  # there, the table tells it at the end
                self._print(f"  {record.id}: {record.status}{_how(record.payload)}{_why(record.error)}")
        self._bar.update(self._task, description=f"{', '.join(self._running) or 'running'} · {self._calls} calls")

    def _print(self, line: str) -> None:
        if not LOUDNESS.quiet:
            self.console.print(plain(line), soft_wrap=True)


def _call(event: CallDone) -> str:
    call, reply = event.call, event.call.reply
    took = f", {seconds(reply.latency_seconds)}, {reply.usage.tokens if reply.usage else '?'} tokens" if reply else ""
    said = "replayed" if event.replayed else call.status
    return f"    {call.step}: {call.provider} ({call.role}) {said}{took}, {money(call.cost.usd, call.cost.certainty)}"


def _how(payload: dict[str, Json]) -> str:
    if payload.get("selectedProvider"):
        return f", answer of {chosen(payload)} ({routed(payload)})"
    return f", {said}" if (said := outcome(payload)) else ""


def _why(error: str | None) -> str:
    return f": {error}" if error else ""


@contextmanager
def counted(total: int) -> Iterator[Callable[[str], None]]:
    """Give a function to call with a line for each of ``total`` things done; beside a bar the line is not kept."""
    columns = (
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    done = 0
    with Progress(*columns, console=STDERR, transient=True, disable=not STDERR.is_terminal or LOUDNESS.quiet) as bar:
        task = bar.add_task("", total=total)

        def tell(line: str) -> None:
            nonlocal done
            done += 1
            if not STDERR.is_terminal and not LOUDNESS.quiet:
                STDERR.print(f"{done}/{total} {plain(line)}", soft_wrap=True)
            bar.update(task, advance=1, description=plain(line)[:60])

        yield tell


@contextmanager
def described(text: str) -> Iterator[Callable[[str], None]]:
    """Give a function that changes what a spinner on a terminal says is going on."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=STDERR, transient=True, disable=not STDERR.is_terminal or LOUDNESS.quiet) as bar:
        task = bar.add_task(text, total=None)
        yield lambda line: bar.update(task, description=plain(line))
