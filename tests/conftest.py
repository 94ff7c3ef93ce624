"""What every test runs under: no network but loopback, no key, a ledger of its own, a generous hypothesis profile."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import postgres as postgres_server
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("nyxlab", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("nyxlab")

LEDGER = pytest.StashKey[Path]()
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
KEYS = ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY")


def _loopback_only(event: str, args: tuple) -> None:
    """Refuse every connection and look-up that leaves this machine: a paid call is impossible in tests."""
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in LOOPBACK:
        raise PermissionError(f"tests may not connect to {args[1][0]}")
    if event == "socket.getaddrinfo" and args[0] not in {*LOOPBACK, None, "", socket.gethostname()}:
        raise PermissionError(f"tests may not look up {args[0]}")


def pytest_configure(config: pytest.Config) -> None:
    """Child processes and notebook kernels inherit it: no key of whoever runs the tests, and not their ledger."""
    sys.addaudithook(_loopback_only)
    for name in KEYS:
        os.environ.pop(name, None)
    config.stash[LEDGER] = Path(tempfile.mkdtemp(prefix="nyxlab-tests-"))
    os.environ["NYXLAB_STORE"] = f"sqlite:///{config.stash[LEDGER]}/ledger.db"


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[LEDGER], ignore_errors=True)


@pytest.fixture(scope="session")
def postgres():
    """The URL of a PostgreSQL server of this session's own."""
    if postgres_server.programs() is None:
        pytest.skip("no PostgreSQL server is installed here")
    with postgres_server.server() as running:
        yield running.url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request, tmp_path):
    """A store's URL, once on SQLite and once on PostgreSQL: what holds for one holds for the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/s.db"
    return postgres_server.database(request.getfixturevalue("postgres"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _own_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test in a folder of its own has its ledger there; the one above is for notebook kernels."""
    monkeypatch.delenv("NYXLAB_STORE", raising=False)
