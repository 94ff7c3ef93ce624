"""Commands about plans: Cael's review, his rules, and the prompt that mends and builds a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nyxlab.cli.base import FAILED_VERDICT, REFUSED, AsJson, Store, app, ask_lab, is_run, open_lab
from nyxlab.errors import InputRefused
from nyxlab.lab.console import out, print_json, write
from nyxlab.lab.project import project_root
from nyxlab.lab.reviews import FORMATS, Reviewed, Terms, project_rules, review_each, review_files, written, written_all


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
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="|".join(FORMATS), help="How to write it; else by --output's ending."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="A file; with --each a folder for html and md.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(metavar="LEVEL", help="FAIL from critical, high, medium or low on.")
    ] = "critical",
    store: Store = None,
) -> None:
    """Review a plan, several files as one set, or what a run wrote. The exit code is 4 when the verdict is FAIL."""
    ending = (output or "").rpartition(".")[2]
    form = form or (ending if ending in FORMATS else "text")
    if form not in FORMATS:
        raise InputRefused(f"unknown format '{form}': use {', '.join(FORMATS)}")
    here = Path.cwd()
    terms = Terms.of(project_root(here), here, fail_on=fail_on, repo=repo, baseline=baseline)
    if each:
        raise typer.Exit(_each(target, terms, form, output))
    if len(target) == 1 and is_run(target[0]):
        document = ask_lab(open_lab(store), lambda lab: lab.read(target[0]))
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
    compiled = open_lab().prompt(review_file.absolute())
    if output is None or not output.endswith("/"):
        return write(compiled.to_markdown(), Path(output) if output else None)
    for name, text in compiled.phase_files().items():
        write(text, Path(output) / name)
    return None
