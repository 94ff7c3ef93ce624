"""Commands about runs: start, carry on, choose, compare, and read what is recorded."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from nyxlab.cli.base import (
    FAILED,
    PAUSED,
    AsJson,
    Budget,
    Forecast,
    Judge,
    Output,
    Providers,
    RunId,
    Store,
    app,
    ask_lab,
    open_lab,
    prompt_of,
    watch_lab,
)
from nyxlab.errors import InputRefused
from nyxlab.lab.project import create_project
from nyxlab.lab.views.console import note, out, print_json, say, write
from nyxlab.lab.views.wording import csv_text

if TYPE_CHECKING:
    from nyxlab.engine.records import Run
    from nyxlab.gate.policy import Policy
    from nyxlab.lab.lab import Lab
    from nyxlab.lab.views.progress import RunProgress
    from nyxlab.lab.workflows.prepared import Prepared


Param = Annotated[list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="An input of the workflow.")]


@app.command(epilog="Example: mkdir my-plans && cd my-plans && nyxlab init")
def init() -> None:
    """Start a project in this folder: settings, an example of .env, a workflow, a plan."""
    for path in create_project(Path.cwd()):
        out(f"wrote {path.relative_to(Path.cwd())}")
    out(
        "Next, all without a key:",
        "  nyxlab run data/workflows/first.yaml",
        "  nyxlab review data/plans/first.md",
        '  nyxlab compare "Write an implementation plan for tea" --providers first-a,first-b',
        "  nyxlab batch data/grids/plans.yaml          each plan on a page; needs nyxlab[lab]",
    )


@app.command(
    epilog="Example: nyxlab run data/workflows/team-plan.yaml -p product=Harbour --providers local:smollm2-135m"
)
def run(
    workflow: Annotated[Path, typer.Argument(metavar="WORKFLOW", help="A workflow file.")],
    param: Param = None,
    providers: Providers = None,
    judge: Judge = None,
    ask: Annotated[
        bool | None, typer.Option("--ask/--auto-select", help="Choose among answers yourself, or never.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="TOOL", help="Let this tool run programs, as a tool step asks.")
    ] = None,
    budget: Budget = None,
    forecast: Forecast = False,
    as_json: AsJson = False,
    store: Store = None,
) -> None:
    """Run a workflow. Its id comes first on standard error; `nyxlab resume` carries it on whatever stops it."""
    lab = open_lab(store)
    prepared = lab.prepare(
        workflow.absolute(), inputs=_inputs(param), providers=providers, judge=judge, budget=budget,
        select=None if ask is None else "ask" if ask else "auto", allow=allow or (),
    )  # fmt: skip
    _run(lab, prepared, as_json, forecast=forecast)


@app.command(epilog="Example: nyxlab choose last draft openai:gpt-5.5")
def choose(
    run_id: RunId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step that waits.")],
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose answer wins.")],
    and_resume: Annotated[bool, typer.Option("--resume", help="And carry the run on.")] = False,
    as_json: AsJson = False,
    store: Store = None,
) -> None:
    """Pick the winner of a paused comparison, and carry the run on: at once, or with `nyxlab resume`."""
    run = ask_lab(open_lab(store), lambda lab: lab.choose(run_id, step, provider))
    say(f"{step}: {provider} chosen")
    if and_resume or (sys.stdin.isatty() and typer.confirm("Carry the run on now?", default=True, err=True)):
        lab = open_lab(store)
        _run(lab, lab.prepare_resume(run.run_id), as_json)
    say(f"carry on with: nyxlab resume {run.run_id}")


@app.command(epilog="Example: nyxlab answer last")
def answer(run_id: RunId, as_json: AsJson = False, store: Store = None) -> None:
    """Answer by hand what a run waits for: each question's file is named, and an editor takes its answer."""
    import click

    lab = open_lab(store)
    run = ask_lab(lab, lambda lab: lab.show(run_id))
    waiting = lab.questions(run)
    if as_json:
        return print_json([{"provider": q.provider, "question": str(q.path), "reply": str(q.reply)} for q in waiting])
    for number, question in enumerate(waiting, 1):
        out(f"{number} of {len(waiting)}: {question.provider} is asked in {question.path}")
        click.edit(filename=str(question.reply))
        said = question.reply.is_file() and question.reply.read_bytes().strip()
        if not said:
            question.reply.unlink(missing_ok=True)
        out("answered" if said else "left open")
    left = sum(not question.reply.exists() for question in waiting)
    return out(f"{left} left open." if left else f"Nothing waits. Carry on: nyxlab resume {run_id}")


@app.command(epilog="Example: nyxlab resume last")
def resume(
    run_id: RunId, param: Param = None, budget: Budget = None, as_json: AsJson = False, store: Store = None
) -> None:
    """Carry a run on after a crash, a failure, a pause or an edit of its workflow's file; nothing is bought twice."""
    lab = open_lab(store)
    _run(lab, lab.prepare_resume(run_id, inputs=_inputs(param), budget=budget), as_json)


@app.command(epilog="Example: nyxlab fork last plan -p topic=quotas")
def fork(
    run_id: RunId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="Where the new run begins.")],
    param: Param = None,
    budget: Budget = None,
    as_json: AsJson = False,
    store: Store = None,
) -> None:
    """Start a new run that keeps what came before a step of this one; only changed questions are asked again."""
    lab = open_lab(store)
    _run(lab, lab.prepare_fork(run_id, step, inputs=_inputs(param), budget=budget), as_json)


@app.command(epilog="Example: nyxlab export last --output run.json")
def export(run_id: RunId, output: Output = None, store: Store = None) -> None:
    """Write all that is recorded of a run, every call with its reply, as one JSON file."""
    told = ask_lab(open_lab(store), lambda lab: lab.export(run_id))
    write(json.dumps(told, ensure_ascii=False, indent=1) + "\n", output)


@app.command(epilog="Example: nyxlab prune --older 90d --dry-run")
def prune(
    older: Annotated[str, typer.Option(metavar="SPAN", help="90d, 12h or 30m: finished runs that began before that.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
    store: Store = None,
) -> None:
    """Forget old runs with their calls; what is not finished stays."""
    old = ask_lab(open_lab(store), lambda lab: lab.prune(older, dry_run=dry_run))
    for run in old:
        out(f"{run.run_id}  {run.workflow}  {run.created_at:%Y-%m-%d}")
    say(f"{len(old)} {'run' if len(old) == 1 else 'runs'} {'would be forgotten' if dry_run else 'forgotten'}")


@app.command(
    epilog=(
        'Example: nyxlab compare "Name three risks of X" --providers openai:gpt-5.5,google:gemini-3.8-flash'
        "\n\nWithout a key: nyxlab compare prompt.txt --providers"
        " 'local:smollm2-135m,local:smollm2-135m?temperature=0.8&seed=7'"
    )
)
def compare(
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT|FILE|-",
            help="What each is asked: words, a file with them, a .jsonl of many, - (read here).",
        ),
    ],
    providers: Annotated[str, typer.Option(metavar="A,B[,C]", help="Who is compared.")],
    judge: Judge = None,
    repeat: Annotated[int, typer.Option(metavar="N", help="Ask each prompt so many times.")] = 1,
    policy: Annotated[str | None, typer.Option(metavar="POLICY", help="Decides ties, and all without a judge.")] = None,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", help="The longest reply.")] = None,
    budget: Budget = None,
    forecast: Forecast = False,
    as_json: AsJson = False,
    store: Store = None,
) -> None:
    """Ask several providers one prompt or a file of them, side by side.

    Cael or the policy picks the answer and says why.
    """
    lab = open_lab(store)
    asked = prompt_of(prompt)
    prepared = lab.prepare_comparison(
        asked, providers=providers, judge=judge, repeat=repeat, policy=cast("Policy | None", policy),
        max_tokens=max_tokens, budget=budget,
    )  # fmt: skip
    _run(lab, prepared, as_json, forecast=forecast, whole=True)


@app.command("show", epilog="Example: nyxlab show last --step plan")
def show_run(
    run_id: RunId,
    as_json: AsJson = False,
    graph: Annotated[bool, typer.Option("--graph", help="Its steps as a Mermaid flow chart.")] = False,
    step: Annotated[str | None, typer.Option(metavar="STEP", help="This step alone, with all it wrote.")] = None,
    store: Store = None,
) -> None:
    """Show one run: each step, who was chosen and why; with --json its checkpoint, with --graph its flow chart."""
    run = ask_lab(open_lab(store), lambda lab: lab.show(run_id))
    if step is not None:
        from nyxlab.lab.views.tables import show_step

        return show_step(run, step, as_json=as_json)
    if graph:
        from nyxlab.lab.workflows.records import flow_chart

        return out(flow_chart(run))
    from nyxlab.lab.views.tables import show  # as below

    print_json(run.checkpoint()) if as_json else show(run, whole=True)
    if run.status == "running":
        say(f"not finished; if no process is at work on it any more: nyxlab resume {run.run_id}")
    return None


@app.command(epilog="Example: nyxlab runs --json")
def runs(as_json: AsJson = False, store: Store = None) -> None:
    """List all runs, newest first."""
    found = ask_lab(open_lab(store), lambda lab: lab.runs())
    if as_json:
        return print_json([each.to_json() for each in found])
    if not found:
        return out("No run yet. Start one: nyxlab run WORKFLOW")
    from nyxlab.lab.views.tables import runs_table

    return out(runs_table(found))


@app.command(epilog="Example: nyxlab cost --csv > cost.csv")
def cost(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run; without it, all of them.")] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    advice: Annotated[
        bool,
        typer.Option("--advice", help="Say which comparisons have told what they can, and what dropping them saves."),
    ] = False,
    store: Store = None,
) -> None:
    """Show the per-provider table: calls, tokens, cost, latency p50/p95 with n, time to first token."""
    if advice:
        told = ask_lab(open_lab(store), lambda lab: lab.advice())
        if as_json:
            return print_json([each.to_json() for each in told])
        lines = [str(each) for each in told]
        return out(*(lines or ["No comparison was judged yet. Make one: nyxlab compare PROMPT --judge J"]))
    rows = ask_lab(open_lab(store), lambda lab: lab.cost(run_id))
    if as_json:
        print_json(rows)
    elif as_csv:
        sys.stdout.write(csv_text(list(rows[0]), (list(row.values()) for row in rows)) if rows else "")
    elif rows:
        from nyxlab.lab.views.tables import costs_table  # as below

        out(costs_table(rows))
    else:
        out("No call yet. Start a run: nyxlab run WORKFLOW")
    return None


def _run(
    lab: Lab, prepared: Prepared | Awaitable[Prepared], as_json: bool, *, forecast: bool = False, whole: bool = False
) -> None:
    """Run what is prepared, after saying what it may cost and who reads it; the exit code tells how it ended."""
    from nyxlab.lab.views.tables import say_forecast, say_prepared, show  # what a run needs, not --help

    async def work(_: Lab, progress: RunProgress) -> Run:
        decided = await prepared if isinstance(prepared, Awaitable) else prepared
        if forecast:
            say_forecast(decided.costs, as_json=as_json)
            raise typer.Exit
        say_prepared(decided)
        return await decided.run(progress)

    def interrupted(run_id: str | None) -> str:
        return f"carry on with: nyxlab resume {run_id}" if run_id else "nothing had started"

    done = watch_lab(lab, work, interrupted)
    print_json(done.checkpoint()) if as_json else show(done, whole=whole)
    if done.status == "paused" and done.pause:
        chosen = f"nyxlab choose {done.run_id} {done.pause.step} PROVIDER --resume"
        how = {
            "choice": f"carry on with: {chosen}",
            "budget": f"carry on with: nyxlab resume {done.run_id} --budget USD",
            "answers": f"put the answers there (or: nyxlab answer {done.run_id}), then: nyxlab resume {done.run_id}",
        }
        say(f"paused: {done.pause.reason}; {how[done.pause.kind]}")
    if done.status == "completed":
        note("more: nyxlab show last · nyxlab report last")
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
