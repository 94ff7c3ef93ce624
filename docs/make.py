"""Writes what documentation takes from the code: docs/reference/ and the map in CONTRIBUTING.md.

`make docs` runs it.

Nothing in those pages is written by hand: names, types, defaults and sentences are those of typer's commands, the
fields of records, the rules, the errors and the modules. tests/docs/ fails when a page is not what this makes now.
"""

from __future__ import annotations

import ast
import asyncio
import configparser
import json
import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from typer.main import get_command

from nyxlab import errors, settings
from nyxlab.cli import app, base
from nyxlab.engine import reading, records, template, workflow
from nyxlab.engine.inputs import Input
from nyxlab.gate.gate import Verdict
from nyxlab.lab.lab import Lab
from nyxlab.lab.own import project_rules
from nyxlab.lab.project import create_project
from nyxlab.lab.views.wording import visible
from nyxlab.reviewer.review import Review
from nyxlab.reviewer.rules import Rule

sys.path.insert(0, str(Path(__file__).parent))
from shown import first, model, notes, prose, records_of, section, table

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PACKAGE = ROOT / "nyxlab"
MADE = "<!-- Made from the code by docs/make.py: change the code, then `make docs`. -->"
MAP = re.compile(r"(<!-- map: made by docs/make\.py -->\n).*?(<!-- end of map -->)", re.DOTALL)
JSON_NOTE = "Keys are camelCase in JSON, snake_case in Python. Money is a string or null, times are ISO 8601 in UTC."
EXIT_CODES = {
    "FAILED": "the tool, a provider or a run failed; or no model that was asked to read a plan has answered",
    "REFUSED": "input refused: usage, a bad file, an unsafe value, a key missing before anything ran",
    "PAUSED": "paused: a person's choice, the budget, or answers by hand are missing",
    "FAILED_VERDICT": "a review's verdict is FAIL",
    "INTERRUPTED": "Ctrl-C, after saying how to carry on",
}
ENVIRONMENT = {
    "NYXLAB_STORE": "the ledger, instead of `store`; `--store` on the command line overrides both",
    "SSL_CERT_FILE": "certificate authorities to trust instead of the built-in ones, for all calls to providers",
    "HTTPS_PROXY, HTTP_PROXY, NO_PROXY": "a proxy for calls to providers; never used for loopback",
    "NO_COLOR": "no colours on a terminal",
    "EDITOR": "what `nyxlab answer` opens",
}
RUN_KEYS = {
    "schema": "`nyxlab.run/1`",
    "runId": "what every other command takes",
    "workflow": "its name",
    "status": "running, completed, failed or paused",
    "pause": "what a paused run waits for: see [Pause](#pause)",
    "steps": "in the workflow's order, as below",
    "totals": "computed from the calls: usd with its certainty, tokens, durationSeconds, calls",
}
STEP_KEYS = {
    "id": "its id in the workflow",
    "kind": "prompt, map, tool or review",
    "status": "pending, running, completed, failed, paused or skipped",
    "selectedProvider": "whose answer was taken",
    "selectedBy": "only, judge, policy, person or fallback",
    "gate": "how the call was routed: see [Routing](#routing)",
    "alternatives": "what each provider made of it: see [Alternative](#alternative)",
    "caelReview": "how the answer was chosen: see [CaelReview](#caelreview); null where nothing was judged",
    "items": "of a map step: the same keys once an item, with its index",
    "calls": "every call that was made for it, judges included, without its text",
    "output": "what later steps see",
    "error": "one sentence, where it failed",
    "startedAt": "when it began",
    "durationSeconds": "how long it took",
}


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")


def pages() -> dict[Path, str]:
    """Return every page that is made, by its file."""
    made: dict[str, Callable[[], Iterator[str]]] = {
        "commands": commands,
        "settings": settings_file,
        "workflow-file": workflow_file,
        "checkpoint": checkpoint,
        "review-json": review_json,
        "rules": rules,
        "errors": error_tree,
        "house": house,
    }
    found = {DOCS / "reference" / f"{name}.md": "\n".join([MADE, "", *write(), ""]) for name, write in made.items()}
    contributing = ROOT / "CONTRIBUTING.md"
    drawn = MAP.sub(lambda m: f"{m[1]}{chr(10).join(floor_map())}\n{m[2]}", contributing.read_text(encoding="utf-8"))
    return {**found, contributing: drawn}


def commands() -> Iterator[str]:
    """Every command with its usage, options, defaults and example, from typer's own tree."""
    yield "# Commands"
    yield from ("", "`nyxlab COMMAND --help` shows the same. Exit codes: [Errors and exit codes](errors.md).", "")
    root = get_command(app)
    leaves = [(["nyxlab"], root), *_leaves(root, ["nyxlab"])]
    yield from (f"- [`{' '.join(path)}`](#{'-'.join(path)}): {first(command.help)}" for path, command in leaves)
    for path, command in leaves:
        given = command.params
        usage = [
            *path,
            "[OPTIONS]" if len(path) > 1 else "[COMMAND]",
            *(_metavar(each) for each in given if each.param_type_name == "argument"),
        ]
        yield from ("", f"## {' '.join(path)}", "", prose(command.help or ""), "", f"`{' '.join(usage)}`", "")
        if given:
            yield from table(["argument or option", "unless given", "what it does"], map(_option, given))
        if example := prose(command.epilog or "").removeprefix("Example: "):
            yield from ("", "Example:", "", "```text", example, "```")


def _leaves(command: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    """Every command that is no group of others, with the words that call it."""
    for name, each in command.commands.items():
        yield from _leaves(each, [*path, name]) if hasattr(each, "commands") else [([*path, name], each)]


def _option(given: Any) -> tuple[str, str, str]:
    said = prose(given.help or "")
    if given.param_type_name == "argument":
        return f"`{_metavar(given)}`", "needed" if given.required else "", said
    names = " / ".join(given.opts + given.secondary_opts)
    if given.is_flag:
        return f"`{names}`", "", said
    default = str(given.default) if isinstance(given.default, str | int) else ""
    return f"`{names} {_metavar(given)}`", "needed" if given.required else default, said


def _metavar(given: Any) -> str:
    return str(given.metavar or given.name.upper())


def settings_file() -> Iterator[str]:
    """Every setting of nyxlab.toml and of the environment."""
    yield from ("# Settings", "", "`nyxlab.toml` at the root of a project; all of it is optional, and a misspelt")
    yield from ("key is refused with its line and the nearest valid one. Relative paths are against that root.", "")
    yield from model(settings._File, "The file", said="Its tables and keys.", serialized=False)
    yield from ("", "## The environment, or .env", "", "Keys stand here and nowhere else.", "")
    rows = [
        (_names(names).replace(",", " or"), f"the key of `{vendor}:…`")
        for vendor, names in settings.VENDOR_KEYS.items()
    ]
    rows += [(_names(name.split(", ")), said) for name, said in ENVIRONMENT.items()]
    rows += [(_names(reversed(settings.SESSION_SECRETS)), "secrets of `nyxlab token`: an old one is still read")]
    yield from table(["variable", "what it is"], rows)
    yield from ("", "## As `nyxlab init` writes it", "", "```toml")
    yield from ((PACKAGE / "defaults/project/nyxlab.toml").read_text(encoding="utf-8").rstrip(), "```")


def workflow_file() -> Iterator[str]:
    """Every key of a workflow file, and which kind of step reads it."""
    spoken = reading.SPOKEN
    yield from ("# Workflow file", "", "YAML, read safely: no aliases, no key twice. camelCase is read as well.", "")
    whole = "Steps that form a graph without circles: a step waits for those that it names."
    yield from model(workflow.Workflow, "The file", spoken, {"source"}, said=whole, nested=False)
    for kind in (Input, workflow.Defaults, workflow.Allowance):
        yield from ("", *model(kind, kind.__name__, nested=False))
    step = "One step. What it does not say it takes from the workflow's defaults."
    yield from ("", *model(workflow.Step, "Step", spoken, said=step, nested=False))
    aliases = {key: field for key, field in reading.ALIASES.items() if key not in spoken.values()}
    yield from ("", "## Also read as", "")
    camel = {key: re.sub(r"_(.)", lambda m: m[1].upper(), key) for key in aliases}
    yield from table(["key", "means"], [(f"`{camel[key]}`", f"`{field}`") for key, field in aliases.items()])
    yield from ("", "## Which step reads what", "")
    every = [field for field in workflow.Step.model_fields if any(field in keys for keys in reading.KEYS.values())]
    rows = []
    for field in every:
        needed = {kind: "needed" if field in reading.NEEDED[kind] else "yes" for kind in reading.KEYS}
        row = [needed[kind] if field in keys else "" for kind, keys in reading.KEYS.items()]
        rows.append((f"`{spoken.get(field, field)}`", *(row if field != "id" else ["needed"] * len(row))))
    yield from table(["key", *reading.KEYS], rows)
    yield from ("", "## Templates", "", "Sandboxed Jinja in which a name that is not defined is refused at load.", "")
    yield f"- Names: {_names(template.VARIABLES)}; in a map step also {_names(template.ITEM)}."
    yield "- A step's output is `steps.ID.output`; a shorter form of a long one, checked by code, is `steps.ID.digest`."
    yield f"- Filters: {_names(template.FILTERS)}."


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def checkpoint() -> Iterator[str]:
    """Every key of a run's checkpoint, with one of a real run."""
    yield from ("# Checkpoint", "", "What `nyxlab show RUN --json` and `nyxlab run … --json` print.", JSON_NOTE, "")
    told = asyncio.run(_example_run())
    yield from _keys("The document", told, RUN_KEYS)
    yield from ("", *_keys("A step", told["steps"][0] | {"items": []}, STEP_KEYS))
    yield from ("", *model(records.Pause, "Pause"))
    schema = Verdict.model_json_schema(mode="serialization")["$defs"]
    known = records_of(Verdict)
    for name in ("Routing", "Exclusion", "Alternative", "CaelReview", "PairVerdict", "Check", "Usage", "Cost"):
        yield from ("", *section(name, schema[name], notes(known[name])))
    shown = json.dumps(told, indent=1, ensure_ascii=False)
    shown = re.sub(r'("(?:runId|startedAt)": )"[^"]*"', r'\1"…"', shown)
    shown = re.sub(r'("\w*Seconds": )[\d.e-]+', r"\1…", shown)
    yield from ("", "## One of a real run", "", "Scripted replies; `…` stands for what differs from run to run.", "")
    yield from ("```json", shown, "```")


async def _example_run() -> dict[str, Any]:
    """Run what `nyxlab init` writes, and return its checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        create_project(Path(folder))
        here = Path.cwd()
        os.chdir(folder)
        try:
            async with Lab(f"sqlite:///{folder}/ledger.db") as lab:
                return (await lab.run("data/workflows/first.yaml")).checkpoint()
        finally:
            os.chdir(here)


def _keys(title: str, shown: Mapping[str, Any], notes: Mapping[str, str]) -> Iterator[str]:
    if missing := shown.keys() - notes.keys():
        raise SystemExit(f"docs/make.py: say what {', '.join(sorted(missing))} of a checkpoint means")
    yield from (f"## {title}", "")
    yield from table(["key", "what it is"], [(f"`{key}`", said) for key, said in notes.items() if key in shown])


def review_json() -> Iterator[str]:
    """Every key of a review."""
    yield from ("# Review JSON", "", "What `nyxlab review … --format json` writes.", JSON_NOTE)
    yield from ("Lines count from 1, and a quote is byte for byte what stands there.", "")
    yield from model(Review, "The document")


def rules() -> Iterator[str]:
    """Every rule and lesson: its law, severities, and an example that fires and one that does not."""
    found = project_rules(DOCS)
    laws = [rule for rule in found if rule.kind != "lesson"]
    lessons = [rule for rule in found if rule.kind == "lesson"]
    yield from ("# Rules", "", f"{len(laws)} rules, which are bookkeeping that is certain, and {len(lessons)} lessons,")
    yield from ("which are pains that others had with plans like yours. `nyxlab rules` lists the same.", "")
    yield from table(["rule", "says"], [(f"[`{rule.id}`](#{rule.id})", rule.claim) for rule in laws])
    for rule in laws:
        yield from ("", f"## {rule.id}", "", rule.claim, "")
        yield from _facts(rule)
        yield from ("", "It fires on:", "", *_plan(rule.firing[0]), "", "It is quiet on:", "", *_plan(rule.quiet[0]))
    yield from ("", "## Lessons", "", "Each asks whether the plan is about to repeat a known pain.")
    for rule in lessons:
        claim = rule.claim.removeprefix("Find this pain: ")
        yield from ("", f"### {rule.id}", "", claim[:1].upper() + claim[1:], "", *_facts(rule))


def _facts(rule: Rule) -> Iterator[str]:
    yield f"- About: {rule.kind}, {rule.category.value}"
    lesson = rule.kind == "lesson"  # whose one reason is what follows
    yield from (f"- {level.value}" + ("" if lesson else f": {why}") for level, why in rule.severities.items())
    yield from (f"- What follows: {rule.consequence}", f"- What to do: {rule.fix.replace('<', '&lt;')}")


def _plan(example: Any) -> Iterator[str]:
    for path, text in ({"": example} if isinstance(example, str) else example).items():
        shown = str(visible(text.strip()))  # a hidden character is spelt out
        yield from ("````markdown", f"<!-- {path} -->\n{shown}" if path else shown, "````")


def error_tree() -> Iterator[str]:
    """Every error that can be raised, and every exit code."""
    yield from ("# Errors and exit codes", "", "## Exit codes", "")
    codes = [("0", "done, or the review passed")]
    codes += [(str(getattr(base, name)), said) for name, said in EXIT_CODES.items()]
    yield from table(["code", "means"], codes)
    yield from ("", "A bad plan and a broken run never share a code.", "", "## Errors in Python", "")
    tree = (errors.__doc__ or "").partition("::\n")[2].partition("\nA pause")[0]
    yield from ("```text", textwrap.dedent(tree).strip("\n"), "```", "")
    family = [errors.NyxlabError, *_below(errors.NyxlabError)]
    rows = [(f"`{each.__name__}`", str(each.exit_code), first(each.__doc__)) for each in family]
    yield from table(["error", "exit code", "what happened"], rows)
    yield from ("", "Every message is one sentence that says what to do next. None holds a key or a prompt.")


def _below(error: type[errors.NyxlabError]) -> Iterator[type[errors.NyxlabError]]:
    for each in error.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from _below(each)


def house() -> Iterator[str]:
    """Every file of the package with the one thing that it owns, floor by floor."""
    yield from ("# The house", "", "Every file with its first sentence, from the top floor down. A floor imports only")
    yield ("floors below it; `.importlinter` is where this order comes from, and a test holds it.")
    for number, names in _floors():
        for name in names:
            place = PACKAGE / name
            files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
            yield from ("", f"## Floor {number}: {name}", "")
            kept = [file for file in files if file.name != "__main__.py"]
            rows = [(f"`{file.relative_to(PACKAGE).as_posix()}`", _owns(file)) for file in kept]
            yield from table(["file", "owns"], rows)


def floor_map() -> Iterator[str]:
    """Draw the floors with what each is for, and the rooms in them."""
    yield "```text"
    for number, names in _floors():
        for name in names:
            place = PACKAGE / name
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            yield f"floor {number}  {name:10} {_owns(file).rstrip('.')}"
            for room in sorted(place.iterdir()) if place.is_dir() else []:
                if (room / "__init__.py").is_file():
                    yield f"           {room.name + '/':11}{_owns(room / '__init__.py').rstrip('.')}"
    yield "```"


def _floors() -> list[tuple[int, list[str]]]:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    layers = contracts["importlinter:contract:floors"]["layers"].split("\n")
    floors = [[name.strip() for name in line.split("|")] for line in layers if line.strip()]
    return [(len(floors) - n, names) for n, names in enumerate(floors)]


def _owns(file: Path) -> str:
    return first(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
