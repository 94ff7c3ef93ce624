"""What ``nyxlab.toml``, ``.env`` and the environment say, as one frozen record in which every key is a secret."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from nyxlab.errors import InputRefused, did_you_mean

FILE = "nyxlab.toml"
VENDOR_KEYS = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
}
SESSION_SECRETS = ("AUTH_SECRET_3", "AUTH_SECRET_2", "AUTH_SECRET_1", "AUTH_SECRET")  # of an application with Auth.js
TAKEN = frozenset({*VENDOR_KEYS, "hand", "local", "script", "replay"})
Location = tuple[int | str, ...]


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("an amount is a number, not true or false")  # noqa: TRY004 - pydantic reports ValueErrors
    return value


def _free_name(name: str) -> str:
    if name in TAKEN:
        raise ValueError(f"'{name}' is a vendor of its own; give the endpoint another name")
    return name


Usd = Annotated[Decimal, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]
EndpointName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$"), AfterValidator(_free_name)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]


Alias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class UnitPrice(_Section):
    """A price that the user states, in USD per million tokens; a cache price left out is unknown, not zero."""

    input: Usd
    output: Usd
    cache_read: Usd | None = None
    cache_write: Usd | None = None


class EndpointModel(_Section):
    """What the user knows of one model behind an endpoint: its window in tokens and its price."""

    context: Annotated[int, Field(gt=0, strict=True)] | None = None  # its window, in tokens
    price: UnitPrice | None = None


class Endpoint(_Section):
    """A server that speaks one vendor's format: ``api_key_env`` names the variable that holds its key."""

    kind: Literal["anthropic", "google", "openai"]  # the format that the server speaks
    base_url: str  # with the version in its path, such as http://127.0.0.1:8080/v1
    api_key_env: Variable | None = None  # the name of a variable, never a key
    allow_private: bool = False  # needed for loopback and private addresses
    models: dict[str, EndpointModel] = {}  # what is known of its models, by name

    @model_validator(mode="after")
    def _vetted(self) -> Self:
        vet_url(self.base_url, allow_private=self.allow_private)
        return self


class Defaults(_Section):
    """The providers that are meant where a workflow or a command names none."""

    provider: str | None = None  # for steps that name none
    judge: str | None = None  # decides for Cael where answers are compared
    router: str | None = None  # a file from `nyxlab route train`, for the policy `learned`


class Reviewing(_Section):
    """What ``nyxlab review`` asks of models without flags: who reads, who refutes, for how much at most (USD)."""

    providers: list[str] = []  # who reads, each by itself
    judge: str | None = None  # who tries to refute what they find
    budget: Usd | None = None  # USD, for all plans of a command together


class _File(_Section):
    store: str = "sqlite:///data/nyxlab.db"  # the ledger: sqlite:///PATH, or postgresql://USER@HOST/NAME
    defaults: Defaults = Defaults()  # who is meant where nobody is named
    review: Reviewing = Reviewing()  # what `nyxlab review` asks without flags
    endpoints: dict[EndpointName, Endpoint] = {}  # servers of your own: NAME:MODEL is then a provider
    prices: dict[str, UnitPrice] = {}  # of providers that the price sheet does not know
    aliases: dict[Alias, str] = {}  # short names of providers, which people are shown instead


class Settings(_File):
    """All settings of one project. ``root`` is the folder that relative paths resolve against; keys never print."""

    root: Path
    store: str = Field(repr=False)  # a database URL may hold a password
    keys: dict[str, SecretStr] = Field(default={}, repr=False)

    def resolve(self, path: str | Path) -> Path:
        """Return the path against the project root; an absolute one as it is."""
        return self.root / path

    def key(self, *variables: str) -> SecretStr | None:
        """Return the first of these variables that the environment or ``.env`` sets."""
        return next((self.keys[name] for name in variables if name in self.keys), None)


def load_settings(start: Path | None = None) -> Settings:
    """Read the settings of the project that ``start`` (else the working folder) lies in.

    The root is the nearest folder upwards with a ``nyxlab.toml``, else ``start`` itself. The environment wins over
    ``.env``. ``InputRefused`` names the file, the line and the nearest valid key.
    """
    start = (start or Path.cwd()).resolve()
    root = next((folder for folder in (start, *start.parents) if (folder / FILE).is_file()), start)
    given = _read(root / FILE)
    variables = {name for names in VENDOR_KEYS.values() for name in names}
    variables |= {*SESSION_SECRETS}
    variables |= {endpoint.api_key_env for endpoint in given.endpoints.values() if endpoint.api_key_env}
    found = _environment({*variables, "NYXLAB_STORE"}, root / ".env")
    override = found.pop("NYXLAB_STORE", None)
    store = _absolute(override.get_secret_value() if override else given.store, root)
    return Settings(
        root=root,
        store=store,
        defaults=given.defaults,
        review=given.review,
        endpoints=given.endpoints,
        prices=given.prices,
        aliases=given.aliases,
        keys=found,
    )


def reviewing(root: Path) -> Reviewing:
    """Return what a project's file says about reviews; neither keys nor the environment are read for it."""
    return _read(root / FILE).review


def vet_url(url: str, *, allow_private: bool) -> str:
    """Return the base URL without a trailing slash, or say in a ``ValueError`` why nothing may be sent there."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("base_url is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("base_url must start with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("base_url may not hold a user name or a password; use api_key_env")
    if parts.query or parts.fragment or re.search(r"[\s\x00-\x1f\\]", url):
        raise ValueError("base_url may hold neither a query, a fragment nor white space")
    if not allow_private and is_private(host):
        raise ValueError(f"base_url points at {host}, a private address; set allow_private = true if that is meant")
    return url.rstrip("/")


def is_private(host: str) -> bool:
    """Whether a host is this machine or a network of one's own, as far as the name itself tells.

    Old spellings count too (``127.1``, ``0x7f000001``): the resolver takes them, so a filter must.
    """
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        address: Any = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return not address.is_global or address.is_multicast


def refusal(
    error: ValidationError,
    name: str,
    line_of: Callable[[Location], int],
    names_at: Callable[[Location], Iterable[str]],
) -> InputRefused:
    """Turn pydantic's first complaint about a file into one sentence with the file, the line and the nearest key."""
    errors = error.errors(include_url=False, include_input=False)
    # A misspelt key is also a missing one: the spelling is the cause.
    first = next((item for item in errors if item["type"] == "extra_forbidden"), errors[0])
    where = tuple(part for part in first["loc"] if part != "[key]")
    place = f"{name}:{line_of(where)}"
    if first["type"] == "extra_forbidden":
        key = str(where[-1])
        return InputRefused(f"{place}: unknown key '{key}'{did_you_mean(key, names_at(where[:-1]))}")
    said = first["msg"].removeprefix("Value error, ")
    return InputRefused(": ".join(filter(None, (place, ".".join(map(str, where)), said))))


def _read(file: Path) -> _File:
    """Read and check one settings file; one that is not there says nothing."""
    if not file.exists():
        return _File()
    try:
        text = file.read_text(encoding="utf-8")
        return _File.model_validate(tomllib.loads(text))
    except (OSError, UnicodeDecodeError):
        raise InputRefused(f"{file.name}: cannot be read as UTF-8 text; check the file and its permissions") from None
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = found[1] if found else str(text.count("\n") + 1)
        raise InputRefused(f"{file.name}:{line}: not valid TOML: {str(error).split(' (at')[0]}") from None
    except ValidationError as error:
        raise refusal(error, file.name, lambda where: _line(text, where), _names_at) from None


def _names_at(where: Location) -> Iterable[str]:
    """Return the keys that are valid in the table at ``where``; the depth and the first name tell which it is."""
    if where[:1] == ("prices",) or where[-1:] == ("price",):
        return UnitPrice.model_fields
    if where[:1] == ("review",):
        return Reviewing.model_fields
    tables: dict[int, type[_Section]] = {0: _File, 1: Defaults, 2: Endpoint, 4: EndpointModel}
    return tables.get(len(where), _File).model_fields


def _line(text: str, where: Location) -> int:
    """Return the line (from 1) that spells out the last part of ``where`` that any line does: tomllib keeps none."""
    lines, line = text.splitlines(), 0
    for part in map(str, where):
        key = re.compile(rf"""(?:^|[\[.{{,\s"']){re.escape(part)}["']?\s*[=.\]]""")
        line = next((number for number in range(line, len(lines)) if key.search(lines[number])), line)
    return line + 1


def _environment(variables: Iterable[str], dotenv: Path) -> dict[str, SecretStr]:
    """Return those variables that the environment or ``.env`` sets to something."""
    own: dict[str, str | None] = {}
    try:
        if dotenv.exists():
            from dotenv import dotenv_values  # most projects have none when they begin

            own = dotenv_values(dotenv, encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        raise InputRefused(".env: cannot be read as UTF-8 text; write one NAME=value a line") from None
    found = {name: (os.environ.get(name) or own.get(name) or "").strip() for name in variables}
    return {name: SecretStr(value) for name, value in found.items() if value}


def _absolute(store: str, root: Path) -> str:
    """Return a SQLite URL with its path against the root, so that a notebook and a command see one ledger."""
    scheme, found, path = store.partition(":///")
    if not found or not scheme.startswith("sqlite") or not path or path.startswith((":memory:", "file:")):
        return store
    return f"{scheme}:///{root / path}"
