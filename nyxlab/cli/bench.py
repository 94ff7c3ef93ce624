"""Commands of the bench: pages, batches of notebooks, and who can be asked from here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nyxlab.cli import routes
from nyxlab.cli.base import FAILED, INTERRUPTED, AsJson, Output, Store, app, ask_lab, from_here, is_run, open_lab
from nyxlab.errors import InputRefused
from nyxlab.lab.views.console import STDERR, out, plain_table, print_json, say, write
from nyxlab.lab.views.wording import money

if TYPE_CHECKING:
    from nyxlab.lab.lab import Lab

app.add_typer(routes.app, name="route")


@app.command(epilog="Example: nyxlab report last")
def report(
    target: Annotated[
        str | None, typer.Argument(metavar="[RUN|REVIEW.json|NOTEBOOK.ipynb|LETTER.md]", help="What it is about.")
    ] = None,
    all_runs: Annotated[
        bool, typer.Option("--all", help="All runs: a list to search, each call, two runs compared, cost over time.")
    ] = False,
    output: Output = None,
    store: Store = None,
) -> None:
    """Write one self-contained HTML file that opens offline, into the project's reports/ unless told otherwise."""
    if all_runs == bool(target):
        raise InputRefused("say what the report is about: a run (such as `last`), a file, or --all")
    file = None if target is None or is_run(target) else Path(target).absolute()

    async def page_of(lab: Lab) -> tuple[str, str]:
        if target is None:
            return "runs", await lab.report()
        if file:
            return file.stem, await lab.report(file)
        run = await lab.show(target)
        return run.run_id, await lab.report(run.run_id)

    from nyxlab.lab.own import TEMPLATES
    from nyxlab.lab.views.first import write_first_page

    lab = open_lab(store)
    root = lab.settings.root
    name, page = ask_lab(lab, page_of)
    path = output or from_here(root / "reports" / f"{name}.html")
    write(page, path)
    if path.absolute().parent == root / "reports":
        write_first_page(root / "reports", root.name, theme=root / TEMPLATES)


@app.command(epilog="Example: nyxlab batch data/grids/demo.yaml")
def batch(
    grid: Annotated[Path, typer.Argument(metavar="GRID.yaml", help="Notebook and parameters.")],
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes at once; one a core unless given.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run them on a Dask cluster, such as tcp://10.0.0.5:8786.")
    ] = None,
    store: Store = None,
) -> None:
    """Run notebooks over a grid of parameters, export each to reports/*.html, and an index named like the grid.

    Done ones are skipped.
    """
    from nyxlab.lab.batch.grid import index_name  # with what it runs, not with every command
    from nyxlab.lab.views.progress import described  # its bars load slowly

    with described("checking the grid") as tell:
        try:
            results = ask_lab(
                open_lab(store),
                lambda lab: lab.batch(
                    grid.absolute(),
                    workers=workers,
                    dask=dask,
                    on_job=lambda job: STDERR.print(f"running {job.name}"),
                    on_cell=lambda name, cell, cells: tell(f"{name}: cell {cell} of {cells}"),
                ),
            )
        except KeyboardInterrupt:
            say("interrupted; the same command carries on with what is not done")
            raise typer.Exit(INTERRUPTED) from None
    for result in results:
        where = from_here(result.report)
        took = "done before" if result.skipped else f"{result.seconds:.1f} s with the kernel's start"
        out(f"{where}  {result.error or result.summary or 'done'}  ({took})")
    out(f"{index_name(grid)} beside them compares them; index.html there links every page")
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
    store: Store = None,
) -> None:
    """List the providers: usable from here or why not, window, what they take, price."""
    if explain is not None:
        return out(
            ask_lab(open_lab(store), lambda lab: lab.explain(explain, providers=listed, policy=cast("Any", policy)))
        )
    states = open_lab(store).providers()
    if check:
        from nyxlab.lab.routing.check import answers_table

        names = [state.provider for state in states if not state.unusable]
        say(f"one small call each to: {', '.join(names) or 'nobody, since no provider is usable'}")
        answers = ask_lab(open_lab(store), lambda lab: lab.check(names))
        print_json([each.to_json() for each in answers]) if as_json else out(answers_table(answers))
        raise typer.Exit(FAILED if any(each.error for each in answers) else 0)
    if as_json:
        return print_json([state.to_json() for state in states])
    rows = [
        (s.provider, s.unusable or "usable", f"{s.context:,}" if s.context else "", "yes" if s.output_schema else "no",
         money(s.thousand_tokens.usd, s.thousand_tokens.certainty))
        for s in states
    ]  # fmt: skip
    columns = ["provider", "state", "window>", "schema", "1k tokens in + 1k out>"]
    return out(plain_table(columns, rows), "Any other model of these vendors works as well: vendor:model.")
