"""Commands of operation: a session token for an application's API, whether this installation is well, letters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import typer

from nyxlab.cli.base import FAILED, AsJson, Store, app
from nyxlab.errors import InputRefused
from nyxlab.lab.console import out, print_json


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


def _address(url: str) -> SplitResult:
    """Return the parts of an address; ``InputRefused`` where it is none of a web server."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise InputRefused(f"--url takes an address such as https://host.example.org, not {url[:80]!r}")
