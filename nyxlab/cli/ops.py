"""Commands of operation: a session token for an application's API, whether this installation is well, letters."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import SplitResult, urlsplit

import typer

from nyxlab.cli.base import FAILED, AsJson, Commands, Store, app, ask_lab, open_lab
from nyxlab.errors import InputRefused
from nyxlab.lab.project import project_root
from nyxlab.lab.views.console import out, print_json, write

if TYPE_CHECKING:
    from nyxlab.lab.letters import Letter

letter = Commands(
    no_args_is_help=True,
    help="The hand-off of a session: drafted from what is recorded, checked, its pains made lessons.",
    epilog="Example: nyxlab letter new --since 2026-11-20",
)
app.add_typer(letter, name="letter")
File = Annotated[Path | None, typer.Argument(metavar="[LETTER.md]", help="The last one unless told.")]


@app.command(epilog="Example: nyxlab token --url https://app.example.org --email ana@example.org")
def token(
    url: Annotated[str, typer.Option(metavar="URL", help="The application: https or http decides the cookie's name.")],
    sub: Annotated[str | None, typer.Option(metavar="ID", help="The user's id there.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The user's name.")] = None,
    email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="The user's address.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=720, metavar="N", help="How long it holds.")] = 8,
    read: Annotated[
        bool, typer.Option("--read", help="Read a token from standard input and print its claims.")
    ] = False,
) -> None:
    """Print a session cookie of an Auth.js v5 application, made with its AUTH_SECRET from the environment or .env.

    What is printed goes into a Cookie header as it is, and is as good as that user's password while it holds.
    """
    from nyxlab.lab.token import cookie_name, make_cookie, read_cookie, secrets_of
    from nyxlab.settings import load_settings

    cookie, secrets = cookie_name(_address(url).scheme), secrets_of(load_settings())
    if read:
        return print_json(read_cookie(secrets, cookie, sys.stdin.read()))
    claims = {key: value for key, value in {"sub": sub, "name": name, "email": email}.items() if value}
    if not {"sub", "email"} & claims.keys():
        raise InputRefused("say whose session it is: --sub ID or --email ADDRESS")
    return out(make_cookie(secrets, cookie, claims, hours * 3_600))


@app.command(epilog="Example: nyxlab health --url https://lab.example.org")
def health(
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Compare the certificate served there with the one on disk.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="That on disk; else HOST's under /etc/letsencrypt/live.")
    ] = None,
    as_json: AsJson = False,
    store: Store = None,
) -> None:
    """Say whether this installation is well: ledger, kernel, reports, disk; exit code 1 where something is not."""
    from nyxlab.lab.health import checks
    from nyxlab.settings import load_settings

    address = _address(url) if url else None
    if address and address.scheme != "https":
        raise InputRefused(f"{url} serves no certificate: give --url an address that begins with https://")
    settings = load_settings()
    file = certificate or Path("/etc/letsencrypt/live") / (address.hostname or "" if address else "") / "fullchain.pem"
    seen = list(checks(settings, store or settings.store, address, file.absolute()))
    well = all(each.well for each in seen)
    if as_json:
        print_json({"schema": "nyxlab.health/1", "well": well, "checks": [each._asdict() for each in seen]})
    else:
        out(*(f"{'well' if each.well else 'ILL '}  {each.name}: {each.said}" for each in seen))
    raise typer.Exit(0 if well else FAILED)


@letter.command("new", epilog="Example: nyxlab letter new --since 2026-11-20")
def new(
    since: Annotated[
        str | None, typer.Option(metavar="DATE|RUN", help="Where it begins; unless told, where the last one ended.")
    ] = None,
    slug: Annotated[str, typer.Option(metavar="WORD", help="Its file's name, after the date.")] = "letter",
    providers: Annotated[
        str | None, typer.Option(metavar="P", help="Have a model write the opening sentences.")
    ] = None,
    store: Store = None,
) -> None:
    """Draft a letter from what is recorded, into data/letters/; a person finishes it: lessons, what comes next."""
    from nyxlab.lab.letters import FOLDER  # what a letter needs is loaded for it, not for --help
    from nyxlab.lab.views.report import render_letter
    from nyxlab.lab.views.tables import say_who_reads

    lab = open_lab(store)
    root = lab.settings.root
    tell = partial(say_who_reads, what="what is recorded")
    made = ask_lab(lab, lambda lab: lab.letter(since, providers=providers, on_costs=tell))
    name = f"{datetime.now(UTC):%Y-%m-%d}-{re.sub(r'[^a-z0-9]+', '-', slug.lower()).strip('-') or 'letter'}"
    paths = (root / FOLDER / f"{name}{f'-{number}' if number > 1 else ''}.md" for number in range(1, 1_000))
    path = next(path for path in paths if not path.exists())
    text = render_letter(made.to_json(), path.stem[:10], [False] * len(made.next), "md", prose=made.prose)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(text, path)


@letter.command("show", epilog="Example: nyxlab letter show")
def show(file: File = None, as_json: AsJson = False, store: Store = None) -> None:
    """Show a letter, the last one unless told, with each next step that is done by now marked."""
    from nyxlab.lab.views.report import render_letter  # as above

    lab = open_lab(store)
    path, told = _letter(file, lab.settings.root)
    if as_json:
        return print_json(told.to_json())
    _, done = ask_lab(lab, lambda lab: lab.look_up(told))
    return out(render_letter(told.to_json(), path.stem[:10], done, "text").rstrip())


@letter.command("check", epilog="Example: nyxlab letter check data/letters/2026-11-27-letter.md")
def check(file: File = None, store: Store = None) -> None:
    """Hold a letter against the ledger: its form, its runs, its totals; exit code 2 where something does not hold."""
    lab = open_lab(store)
    path, told = _letter(file, lab.settings.root)
    wrong, _ = ask_lab(lab, lambda lab: lab.look_up(told))
    if wrong:
        raise InputRefused(f"{path}: {'; '.join(wrong)}")
    out(f"{path}: valid, its runs are known, its totals add up")


@letter.command("lessons", epilog="Example: nyxlab letter lessons data/letters/2026-11-27-letter.md")
def lessons(
    file: File = None, yes: Annotated[bool, typer.Option("--yes", help="Keep every one, without asking.")] = False
) -> None:
    """Make pains that taught something lessons in lessons/own.yaml, after your yes; {{ lessons }} tells them."""
    from nyxlab.lab.letters import keep_lessons, lessons_of  # as above
    from nyxlab.lab.own import project_rules

    root = project_root(Path.cwd())
    path, told = _letter(file, root)
    found, known = lessons_of(told), {rule.id for rule in project_rules(root)}
    fresh = [lesson for name, lesson in found.items() if name not in known]
    kept = [each for each in fresh if yes or typer.confirm(f"{each['title']}: {each['fix']} Keep it?", default=False)]
    if kept:
        keep_lessons(root, kept)
    silent = len(told.pains) - len(found)
    out(f"{path}: {len(kept)} kept, {len(found) - len(fresh)} known already, {silent} without a lesson or said twice")


def _letter(file: Path | None, root: Path) -> tuple[Path, Letter]:
    from nyxlab.lab.letters import FOLDER, last_letter, read_letter  # as above

    path = file or last_letter(root)
    if path is None:
        raise InputRefused(f"no letter in {FOLDER}/ yet: nyxlab letter new drafts one")
    return path, read_letter(path)


def _address(url: str) -> SplitResult:
    """Return the parts of an address; ``InputRefused`` where it is none of a web server."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise InputRefused(f"--url takes an address such as https://host.example.org, not {url[:80]!r}")
