"""The command line: every command is one call of a Lab verb, and this file says its outcome to a person or a program."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import anyio
import typer

from nyxlab import __version__
from nyxlab.errors import InputRefused, NyxlabError
from nyxlab.lab import routes
from nyxlab.lab.console import (
    STDERR,
    costs_table,
    csv_text,
    money,
    out,
    plain_table,
    print_json,
    say,
    say_forecast,
    say_who_reads,
    show,
    write,
)
from nyxlab.lab.project import create_project, project_root
from nyxlab.lab.reviews import FORMATS, Reviewed, Terms, project_rules, review_each, review_files, written, written_all

if TYPE_CHECKING:
    from nyxlab.engine.records import Run
    from nyxlab.lab.lab import Lab
    from nyxlab.lab.progress import RunProgress

T = TypeVar("T")
FAILED, REFUSED, PAUSED, FAILED_VERDICT, INTERRUPTED = 1, 2, 3, 4, 130

app = typer.Typer(
    name="nyxlab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which provider should do this step, at what cost and how fast; and is this plan consistent enough to build?",
)

app.add_typer(routes.app, name="route")

Store = Annotated[str | None, typer.Option("--store", metavar="URL", help="The ledger, instead of nyxlab.toml's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Providers = Annotated[str | None, typer.Option(metavar="A[,B]", help="Replace every step's providers by these.")]
Judge = Annotated[str | None, typer.Option(metavar="J", help="The provider that judges for Cael.")]
Budget = Annotated[str | None, typer.Option(metavar="USD", help="Pause rather than spend more than this.")]
Forecast = Annotated[bool, typer.Option("--forecast", help="Say what it may cost at most, and stop.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as `nyxlab runs` lists it.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="PATH", help="Write to this file.")]


def main() -> None:
    """Run the command line; every error of ours is one sentence and an exit code."""
    try:
        app()
    except NyxlabError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has seen enough
        sys.exit(FAILED)


def _version(wanted: bool) -> None:
    if wanted:
        out(f"nyxlab {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Hold the options that come before a command."""


@app.command(epilog="Example: mkdir my-plans && cd my-plans && nyxlab init")
def init() -> None:
    """Start a project in this folder: settings, an example of .env, a workflow, a plan."""
    for path in create_project(Path.cwd()):
        out(f"wrote {path.relative_to(Path.cwd())}")
    out("Next: nyxlab run data/workflows/first.yaml, and nyxlab review data/plans/first.md")


@app.command(
    epilog="Example: nyxlab run data/workflows/team-plan.yaml -p product=Harbour --providers local:smollm2-135m"
)
def run(
    workflow: Annotated[Path, typer.Argument(metavar="WORKFLOW", help="A workflow file.")],
    param: Annotated[
        list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="An input of the workflow.")
    ] = None,
    providers: Providers = None,
    judge: Judge = None,
    ask: Annotated[
        bool | None, typer.Option("--ask/--auto-select", help="Choose among answers yourself, or never.")
    ] = None,
    budget: Budget = None,
    forecast: Forecast = False,
    as_json: AsJson = False,
    store: Store = None,
) -> None:
    """Run a workflow. Its id comes first on standard error; `nyxlab resume` carries it on whatever stops it."""
    file, inputs = workflow.absolute(), _inputs(param)
    lab = _lab(store)
    costs = lab.forecast(file, inputs=inputs, providers=providers, judge=judge)
    if forecast:
        return say_forecast(costs, as_json=as_json)
    say_who_reads(costs)

    async def work(lab: Lab, progress: RunProgress) -> Run:
        return await lab.run(
            file, inputs=inputs, providers=providers, judge=judge, budget=budget, on_event=progress,
            select=None if ask is None else "ask" if ask else "auto",
        )  # fmt: skip

    return _run(lab, work, as_json)


@app.command(epilog="Example: nyxlab choose 20261123-181255-k3f9 draft openai:gpt-5.5")
def choose(
    run_id: RunId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step that waits.")],
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose answer wins.")],
    store: Store = None,
) -> None:
    """Pick the winner of a paused comparison; `nyxlab resume` carries on with it."""
    _ask(_lab(store), lambda lab: lab.choose(run_id, step, provider))
    out(f"{step}: {provider} chosen. Carry on: nyxlab resume {run_id}")


@app.command(epilog="Example: nyxlab resume 20261123-181255-k3f9")
def resume(run_id: RunId, budget: Budget = None, as_json: AsJson = False, store: Store = None) -> None:
    """Carry a run on after a crash, a failure or a pause; recorded replies are not bought again."""

    async def work(lab: Lab, progress: RunProgress) -> Run:
        return await lab.resume(run_id, budget=budget, on_event=progress)

    _run(_lab(store), work, as_json)


@app.command(
    epilog='Example: nyxlab compare "Name three risks of X" --providers openai:gpt-5.5,google:gemini-3.8-flash'
)
def compare(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What each provider is asked.")],
    providers: Annotated[str, typer.Option(metavar="A,B[,C]", help="Who is compared.")],
    judge: Judge = None,
    budget: Budget = None,
    forecast: Forecast = False,
    as_json: AsJson = False,
    store: Store = None,
) -> None:
    """Ask several providers one prompt, side by side; Cael or the policy picks the answer and says why."""
    lab = _lab(store)
    costs = lab.forecast_comparison(prompt, providers=providers, judge=judge)
    if forecast:
        return say_forecast(costs, as_json=as_json)
    say_who_reads(costs)

    async def work(lab: Lab, progress: RunProgress) -> Run:
        return await lab.compare(prompt, providers=providers, judge=judge, budget=budget, on_event=progress)

    return _run(lab, work, as_json, whole=True)


@app.command("show", epilog="Example: nyxlab show 20261123-181255-k3f9 --json")
def show_run(run_id: RunId, as_json: AsJson = False, store: Store = None) -> None:
    """Show one run: each step, who was chosen and why; with --json its checkpoint."""
    checkpoint = _ask(_lab(store), lambda lab: lab.show(run_id)).checkpoint()
    print_json(checkpoint) if as_json else show(checkpoint, whole=True)


@app.command(epilog="Example: nyxlab runs --json")
def runs(as_json: AsJson = False, store: Store = None) -> None:
    """List all runs, newest first."""
    found = _ask(_lab(store), lambda lab: lab.runs())
    if as_json:
        return print_json([each.to_json() for each in found])
    if not found:
        return out("No run yet. Start one: nyxlab run WORKFLOW")
    rows = [
        (
            each.run_id,
            each.workflow,
            each.status,
            f"{each.created_at:%Y-%m-%d %H:%M} UTC",
            f"{each.duration_seconds:.1f} s",
        )
        for each in found
    ]
    return out(plain_table(["run", "workflow", "status", "started", "took>"], rows))


@app.command(epilog="Example: nyxlab cost --csv > cost.csv")
def cost(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run; without it, all of them.")] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    store: Store = None,
) -> None:
    """Show the per-provider table: calls, tokens, cost, latency p50/p95 with n, time to first token."""
    rows = _ask(_lab(store), lambda lab: lab.cost(run_id))
    if as_json:
        print_json(rows)
    elif as_csv:
        sys.stdout.write(csv_text(rows))
    elif rows:
        out(costs_table(rows))
    else:
        out("No call yet. Start a run: nyxlab run WORKFLOW")


@app.command(epilog="Example: nyxlab review plan.md spec.md --repo . --format html --output review.html")
def review(
    target: Annotated[
        list[str], typer.Argument(metavar="FILE…|RUN", help="Files that form one set, folders, or one run.")
    ],
    each: Annotated[bool, typer.Option("--each", help="Review each file and each folder by itself.")] = False,
    repo: Annotated[Path | None, typer.Option(metavar="DIR", help="Check new and modified files against it.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="REVIEW.json", help="An earlier review: only what is new can fail.")
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="How to write it.")] = "text",
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="A file; with --each a folder for html and md.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(metavar="LEVEL", help="From this severity on, the verdict is FAIL.")
    ] = "critical",
    store: Store = None,
) -> None:
    """Review a plan, several files as one set, or what a run wrote. The exit code is 4 when the verdict is FAIL."""
    if form not in FORMATS:
        raise InputRefused(f"unknown format '{form}': use {', '.join(FORMATS)}")
    here = Path.cwd()
    terms = Terms.of(project_root(here), here, fail_on=fail_on, repo=repo, baseline=baseline)
    if each:
        raise typer.Exit(_each(target, terms, form, output))
    if len(target) == 1 and _is_run(target[0]):
        document = _ask(_lab(store), lambda lab: lab.read(target[0]))
        found = Reviewed.of(target[0], document, terms)
    else:
        found = review_files(target, terms, here)
    write(written(found, form, terms.rules), Path(output) if output else None)
    raise typer.Exit(FAILED_VERDICT if found.verdict == "FAIL" else 0)


def _each(targets: list[str], terms: Terms, form: str, output: str | None) -> int:
    """Review each target by itself and write all of it; return the exit code that speaks for the worst of them."""
    from nyxlab.lab.progress import counted  # its bars load slowly

    if form in ("html", "md") and not output:
        raise InputRefused(f"--each writes a page for each plan: name their folder with --output DIR/ for {form}")
    found = []
    with counted(len(targets)) as tell:
        for one in review_each(targets, terms, Path.cwd()):
            found.append(one)
            tell(f"{one.name}: {one.told}")
    pages = written_all(found, form, terms.rules)
    index = next(iter(pages))
    if output and form not in ("json", "sarif"):
        for name, text in pages.items():
            write(text, Path(output) / name, quiet=name != index)
    else:
        write("\n".join([*list(pages.values())[1:], pages[index]]), Path(output) if output else None)
    verdicts = {one.verdict for one in found}
    return REFUSED if None in verdicts else FAILED_VERDICT if "FAIL" in verdicts else 0


@app.command(epilog="Example: nyxlab rules --json")
def rules(as_json: AsJson = False) -> None:
    """List every rule and lesson of Cael's: what it claims, the severities it can give, an example."""
    listed = [rule.to_json() for rule in project_rules(project_root(Path.cwd()))]
    if as_json:
        return print_json(listed)
    for rule in listed:
        out(f"{rule['id']} ({rule['kind']}): {rule['claim']}")
        out(*(f"  {level}: {reason}" for level, reason in rule["severities"].items()))
        shown = rule["example"] if isinstance(rule["example"], str) else "\n".join(rule["example"].values())
        out(*(f"  | {line}" for line in shown.strip().splitlines()), "")
    return None


@app.command(epilog="Example: nyxlab prompt review.json --output phases/")
def prompt(
    review_file: Annotated[Path, typer.Argument(metavar="REVIEW.json", help="From `nyxlab review … --format json`.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="A file, or a folder ending in /.")
    ] = None,
) -> None:
    """Write the phased implementation prompt: one file, or (a path that ends in /) one per phase and the JSON twin."""
    compiled = _lab().prompt(review_file.absolute())
    if output is None or not output.endswith("/"):
        return write(compiled.to_markdown(), Path(output) if output else None)
    for name, text in compiled.phase_files().items():
        write(text, Path(output) / name)
    return None


@app.command(epilog="Example: nyxlab report 20261123-181255-k3f9 --output run.html")
def report(
    target: Annotated[str, typer.Argument(metavar="RUN|REVIEW.json|NOTEBOOK.ipynb", help="What the page is about.")],
    output: Output = None,
    store: Store = None,
) -> None:
    """Write one self-contained HTML file that opens offline."""
    what: Any = target if _is_run(target) else Path(target).absolute()
    page = _ask(_lab(store), lambda lab: lab.report(what))
    write(page, output or Path(f"{Path(target).stem}.html"))


@app.command(epilog="Example: nyxlab batch data/grids/demo.yaml")
def batch(grid: Annotated[Path, typer.Argument(metavar="GRID.yaml", help="Notebook and parameters.")]) -> None:
    """Run notebooks over a grid of parameters and export each to reports/*.html."""
    from nyxlab.lab.progress import described  # its bars load slowly

    with described("checking the grid") as tell:
        results = _ask(
            _lab(),
            lambda lab: lab.batch(
                grid.absolute(),
                on_job=lambda job: STDERR.print(f"running {job.name}"),
                on_cell=lambda name, cell, cells: tell(f"{name}: cell {cell} of {cells}"),
            ),
        )
    for result in results:
        where = result.report.relative_to(Path.cwd()) if result.report.is_relative_to(Path.cwd()) else result.report
        out(f"{where}  {result.error or result.summary or 'done'}  ({result.seconds:.1f} s with the kernel's start)")
    raise typer.Exit(FAILED if any(result.error for result in results) else 0)


@app.command(epilog="Example: nyxlab providers --check")
def providers(
    check: Annotated[bool, typer.Option("--check", help="Make one small call to each usable provider.")] = False,
    explain: Annotated[
        str | None, typer.Option(metavar="PROMPT", help="How this prompt would be routed, and why; no call.")
    ] = None,
    listed: Annotated[str | None, typer.Option("--providers", metavar="A,B", help="Explain among these.")] = None,
    policy: Annotated[str, typer.Option(metavar="POLICY", help="Explain under this policy.")] = "balanced",
    as_json: AsJson = False,
) -> None:
    """List the providers: usable from here or why not, window, what they take, price."""
    if explain is not None:
        return out(_ask(_lab(), lambda lab: lab.explain(explain, providers=listed, policy=cast("Any", policy))))
    states = _lab().providers()
    if check:
        from nyxlab.lab.check import answers_table

        names = [state.provider for state in states if not state.unusable]
        say(f"one small call each to: {', '.join(names) or 'nobody, since no provider is usable'}")
        answers = _ask(_lab(), lambda lab: lab.check(names))
        print_json([each.to_json() for each in answers]) if as_json else out(answers_table(answers))
        raise typer.Exit(FAILED if any(each.error for each in answers) else 0)
    if as_json:
        return print_json([state.to_json() for state in states])
    rows = [
        (s.provider, s.unusable or "usable", f"{s.context:,}" if s.context else "", "yes" if s.output_schema else "no",
         "yes" if s.images else "no", money(s.thousand_tokens.usd, s.thousand_tokens.certainty))
        for s in states
    ]  # fmt: skip
    columns = ["provider", "state", "window>", "schema", "images", "1k tokens in + 1k out>"]
    return out(plain_table(columns, rows), "Any other model of these vendors works as well: vendor:model.")


def _lab(store: str | None = None) -> Lab:
    from nyxlab.lab.lab import Lab  # it brings the engine, its database and the providers: a review of files needs none

    return Lab(store)


def _ask(lab: Lab, work: Callable[[Lab], Awaitable[T]]) -> T:
    """Run one verb in an event loop of its own."""

    async def inside() -> T:
        async with lab:
            return await work(lab)

    return anyio.run(inside)


def _run(lab: Lab, work: Callable[[Lab, RunProgress], Awaitable[Run]], as_json: bool, *, whole: bool = False) -> None:
    """Run or resume with progress; the exit code tells how it ended, and an interruption how to carry on."""
    from nyxlab.lab.progress import RunProgress  # its bars load slowly

    with RunProgress() as progress:
        try:
            done = _ask(lab, lambda lab: work(lab, progress))
        except KeyboardInterrupt:
            known = progress.run_id
            say(f"interrupted; carry on with: nyxlab resume {known}" if known else "interrupted; nothing had started")
            raise typer.Exit(INTERRUPTED) from None
    checkpoint = done.checkpoint()
    print_json(checkpoint) if as_json else show(checkpoint, whole=whole)
    if done.status == "paused" and done.pause:
        chosen = f"nyxlab choose {done.run_id} {done.pause.step} PROVIDER, then nyxlab resume {done.run_id}"
        more = f"nyxlab resume {done.run_id} --budget USD"
        say(f"paused: {done.pause.reason}; carry on with: {chosen if done.pause.kind == 'choice' else more}")
    if done.status == "failed":
        say(f"failed; when the cause is mended: nyxlab resume {done.run_id}")
    raise typer.Exit({"failed": FAILED, "paused": PAUSED}.get(done.status, 0))


def _inputs(given: list[str] | None) -> dict[str, object]:
    found: dict[str, object] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise InputRefused(f"-p takes NAME=VALUE, not {text[:80]!r}")
        found[name] = value
    return found


def _is_run(text: str) -> bool:
    return not Path(text).exists() and "/" not in text and not Path(text).suffix


if __name__ == "__main__":
    main()
