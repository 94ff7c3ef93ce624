"""Runs what a page of the documentation shows, in order, in a scratch project, and holds the shown output against it.

What counts, and how it reads:

- A block ``console`` shows commands after ``$`` and all that they print. ``…`` stands for anything in a line, a line of
  ``…`` for any lines. A block ``sh`` shows commands alone. Both must end with 0, or as ``# exit code N`` says.
- A block with ``title="NAME"`` is a file: it is written when the page comes to it.
- ``RUN`` in a command is the id of the run that was seen last.
- ``<!-- scratch: empty -->`` starts in an empty folder, ``<!-- scratch: checkout -->`` in one with this repository's
  data and notebooks; without it the page starts with what `nyxlab init` writes.
- ``<!-- not run: REASON -->`` before a block says why it cannot run here.

``NYXLAB_DOCS=write`` writes what came into the page where it differs, with what changes from run to run as ``…``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nyxlab.lab.project import create_project

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(
    r"^(?P<marks>`{3,})(?P<kind>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^(?P=marks)$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*\Z")
RUN_ID = re.compile(r"\b(\d{8}-\d{6}-[a-z0-9]{6})\b")
EXIT = re.compile(r"# exit code (\d+)\s*$")
VOLATILE = (RUN_ID, re.compile(r"\b\d+(?:\.\d+)?(?= m?s\b)"), re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d(?= UTC)"))
SHELL = re.compile(r"[|&;<>*$`'(){}\n]|#(?!\w)")
FORKS = """
import json, os, sys
import nyxlab.cli.reviewing, nyxlab.lab.lab, nyxlab.lab.plots, nyxlab.lab.reviews.mending
import nyxlab.lab.views.progress, nyxlab.lab.views.report, nyxlab.lab.views.tables, nyxlab.providers.scripted
from nyxlab.cli import main

for line in sys.stdin:
    folder, words = json.loads(line)
    if not (child := os.fork()):
        os.chdir(folder)
        output = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1), os.dup2(output, 2), os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv, code = words, 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        sys.stdout.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
SECRETS = re.compile(r"_API_KEY$|^AUTH_SECRET|^NYXLAB_")


@dataclass
class Step:
    """A command of a page with the output that is shown; None where none is shown."""

    line: int
    command: str
    shown: list[str] | None

    @property
    def code(self) -> int:
        """The exit code that it is to end with."""
        said = EXIT.search(self.command)
        return int(said[1]) if said else 0


@dataclass
class Page:
    """One page: its steps and files in order, and the blocks that do not run with their reasons."""

    path: Path
    text: str
    parts: list[Step | tuple[str, str]] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Page:
        """Read a page."""
        page = cls(path, path.read_text(encoding="utf-8"))
        for block in FENCE.finditer(page.text):
            line = page.text.count("\n", 0, block.start()) + 2
            if block["title"]:
                page.parts.append((block["title"], block["body"]))
            elif block["kind"] in ("console", "sh"):
                if said := NOT_RUN.search(page.text, 0, block.start()):
                    page.not_run.append(said[1])
                else:
                    page.parts += _steps(block["body"].splitlines(), line, shows=block["kind"] == "console")
        return page

    @property
    def start(self) -> str:
        """What the scratch project holds at first."""
        said = re.search(r"<!-- scratch: (\w+) -->", self.text)
        return said[1] if said else "init"


def _steps(lines: list[str], first: int, *, shows: bool) -> Iterator[Step]:
    number = 0
    while number < len(lines):
        at, command = number, lines[number].removeprefix("$ ")
        assert not shows or lines[number].startswith("$ "), f"line {first + number}: no command before this output"
        while command.endswith("\\"):
            number += 1
            command = f"{command[:-1]}{lines[number].strip()}"
        number += 1
        shown = []
        while shows and number < len(lines) and not lines[number].startswith("$ "):
            shown.append(lines[number].rstrip())
            number += 1
        if command.strip() and not command.startswith("#"):
            yield Step(first + at, command, shown if shows else None)


def held(name: str, folder: Path, shell: Shell) -> list[str]:
    """Return what is shown otherwise than it came on a page, named as in ``docs/``, or the README."""
    return run_page((ROOT if name == "README.md" else DOCS) / name, folder, shell)


def run_page(path: Path, scratch: Path, shell: Shell) -> list[str]:
    """Run a page; return what is wrong with it, one entry a command."""
    page = Page.read(path)
    project = scratch / "project"
    project.mkdir()
    if page.start == "init":
        create_project(project)
    elif page.start == "checkout":
        (project / "reports").mkdir()
        for name in ("data", "notebooks"):
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("*.db*", "hand", "scratch"))
        shutil.copy(ROOT / "nyxlab.toml", project)
    wrong, run, seen = [], "RUN", {}
    for part in page.parts:
        if isinstance(part, tuple):
            file = project / part[0]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(part[1], encoding="utf-8")
            continue
        code, text = shell.run(re.sub(r"\bRUN\b", run, part.command), project)
        came = [line.rstrip() for line in text.replace(str(project), "/home/you/project").splitlines()]
        run = next(reversed(RUN_ID.findall(text)), run)
        where = f"{path.name}:{part.line}: {part.command}"
        if code != part.code:
            wrong.append(f"{where}\nended with {code}, not {part.code}:\n" + "\n".join(came))
        elif part.shown is not None and not matches(part.shown, came):
            seen[part.line] = (part, came)
            wrong.append(f"{where}\nprinted:\n" + "\n".join(came) + "\nnot:\n" + "\n".join(part.shown))
    if os.environ.get("NYXLAB_DOCS") == "write":
        _write(page, seen)
    return wrong


def matches(shown: list[str], came: list[str]) -> bool:
    """Whether an output is the one that is shown; `…` is anything in a line, a line of `…` any lines."""
    pattern = ""
    for line in shown:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            spaced = (re.sub(r"(?:\\ )+", r"\\s+", re.escape(piece)) for piece in line.split("…"))
            pattern += ".*?".join(spaced) + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in came)) is not None


class Shell:
    """Runs commands as a person's shell would, with this installation first on the path, a home of its own and no key.

    A command that is `nyxlab` alone runs in a fork of a process that has loaded it already: a start costs a second.
    """

    def __init__(self, home: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not SECRETS.search(name)}
        git = {f"GIT_{who}_NAME": "You" for who in ("AUTHOR", "COMMITTER")}
        git |= {f"GIT_{who}_EMAIL": "you@example.org" for who in ("AUTHOR", "COMMITTER")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        own = {"PATH": path, "HOME": str(home), "COLUMNS": "100", "NO_COLOR": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        self.environment = {**kept, **git, **own}
        self.output = home / "output"
        self.forks = subprocess.Popen(
            [sys.executable, "-c", FORKS, self.output],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, command: str, folder: Path) -> tuple[int, str]:
        """Run a command in a folder; return its exit code and all that it printed."""
        plain = command.removesuffix(found[0]).rstrip() if (found := EXIT.search(command)) else command
        if (plain + " ").startswith("nyxlab ") and not SHELL.search(re.sub(r"\"[^\"$`]*\"", "", plain)):
            assert self.forks.stdin
            assert self.forks.stdout
            print(json.dumps([str(folder), shlex.split(plain)]), file=self.forks.stdin, flush=True)
            return int(self.forks.stdout.readline()), self.output.read_text(encoding="utf-8")
        done = subprocess.run(
            ["bash", "-c", plain],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=120,
        )
        return done.returncode, done.stdout

    def close(self) -> None:
        """End the process that forks."""
        self.forks.communicate()


def _write(page: Page, seen: dict[int, tuple[Step, list[str]]]) -> None:
    lines = page.text.splitlines()
    for at, (step, came) in sorted(seen.items(), reverse=True):
        for pattern in VOLATILE:
            came = [pattern.sub("…", line) for line in came]
        begin = at
        while lines[begin - 1].endswith("\\"):
            begin += 1
        lines[begin : begin + len(step.shown or ())] = came
    page.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
