"""The reference is what the code is: it is made from it, and names all that a user may look up."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from pages import DOCS, ROOT, Page, matches

MADE = runpy.run_path(str(DOCS / "make.py"))


@pytest.fixture(scope="module")
def made() -> dict[Path, str]:
    return MADE["pages"]()


def test_the_committed_pages_are_what_the_generator_makes(made: dict[Path, str]) -> None:
    """`make docs` was run after the code was changed."""
    stale = [str(path.relative_to(ROOT)) for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"run `make docs`, then commit {', '.join(stale)}"
    assert {path for path in made if path.parent.name == "reference"} == set((DOCS / "reference").glob("*.md"))


def test_everything_is_named(made: dict[Path, str]) -> None:
    """Every command, option, setting, variable, rule, error and exit code stands in the reference."""
    from typer.main import get_command

    from nyxlab import errors, settings
    from nyxlab.cli import app, base
    from nyxlab.engine.workflow import Step
    from nyxlab.lab.own import project_rules

    text = {path.stem: page for path, page in made.items()}
    for path, command in MADE["_leaves"](get_command(app), ["nyxlab"]):
        section = text["commands"].partition(f"\n## {' '.join(path)}\n")[2].partition("\n## ")[0]
        assert section, path
        options = [option for each in command.params for option in each.opts if option.startswith("-")]
        assert [option for option in options if not re.search(rf"[`/ ]{option}[` ]", section)] == [], path
        assert "Example:" in section or path == ["nyxlab"], path
    parts = [settings._File, settings.Endpoint, settings.EndpointModel, settings.UnitPrice, settings.Reviewing]
    names = {name for part in parts for name in part.model_fields} | {"NYXLAB_STORE", *settings.SESSION_SECRETS}
    names |= {name for keys in settings.VENDOR_KEYS.values() for name in keys}
    assert {name for name in names if f"`{name}`" not in text["settings"]} == set()
    spoken = {"output_schema": "schema", "arguments": "with"}
    assert {f for f in Step.model_fields if f"`{spoken.get(f, f)}`" not in text["workflow-file"]} == set()
    assert {rule.id for rule in project_rules(DOCS) if f"# {rule.id}\n" not in text["rules"]} == set()
    tree = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)}
    assert {name for name in tree if f"| `{name}` |" not in text["errors"]} == set()
    codes = {name for name, value in vars(base).items() if name.isupper() and type(value) is int}
    assert codes == MADE["EXIT_CODES"].keys()


def test_links_lead_somewhere() -> None:
    """Every link to a file of ours, and to a heading in it, has its target."""
    pages = [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
    broken = []
    for page in pages:
        text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
            file, _, anchor = target.partition("#")
            if re.match(r"\w+:", target):
                continue
            there = (page.parent / file).resolve() if file else page
            if not there.exists() or (anchor and anchor not in _anchors(there)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_every_decision_is_listed() -> None:
    """A decision has a page of three parts, and the index leads to it."""
    listed = set(re.findall(r"\(([\w-]+\.md)\)", (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")))
    pages = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "decisions").glob("*.md")}
    del pages["index.md"]
    assert listed == pages.keys()
    parts = ["Context", "Decision", "Why not otherwise"]
    assert {
        name for name, text in pages.items() if re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE) != parts
    } == set()


def test_the_front_pages_are_short() -> None:
    """What a newcomer reads first is read in a minute or two."""
    lines = {
        name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in ("README.md", "CONTRIBUTING.md")
    }
    assert {name: count for name, count in lines.items() if count > 120} == {}


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_few_blocks_do_not_run() -> None:
    """What a page shows and cannot be run here stays the exception, and says why."""
    reasons = [(path.name, reason) for path in _pages() for reason in Page.read(path).not_run]
    steps = sum(not isinstance(part, tuple) for path in _pages() for part in Page.read(path).parts)
    assert len(reasons) <= 16, reasons
    assert steps >= 3 * len(reasons)


def test_every_page_runs() -> None:
    """No page is left out: each is listed in one of the modules that run them."""
    listed = re.findall(
        r'"([\w-]+\.md)"', "".join(f.read_text() for f in Path(__file__).parent.glob("test_pages_*.py"))
    )
    assert set(listed) == {path.name for path in _pages()}


def test_the_check_of_outputs_sees() -> None:
    """A shown line that did not come, or came otherwise, is noticed; what is marked is not."""
    assert matches(["a … c", "…", "z"], ["a b c", "x", "y", "z"])
    assert matches(["a  b"], ["a b"])
    assert not matches(["a"], ["b"])
    assert not matches(["a"], ["a", "b"])
    assert not matches(["a", "b"], ["a"])


def _pages() -> list[Path]:
    return [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
