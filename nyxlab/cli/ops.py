"""Commands of operation: a session token for an application's API, whether this installation is well, letters."""

from __future__ import annotations

import sys
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import typer

from nyxlab.cli.base import app
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


def _address(url: str) -> SplitResult:
    """Return the parts of an address; ``InputRefused`` where it is none of a web server."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise InputRefused(f"--url takes an address such as https://host.example.org, not {url[:80]!r}")
