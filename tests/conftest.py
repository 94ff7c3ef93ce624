"""What every test runs under: no network but loopback, no key, a generous hypothesis profile."""

from __future__ import annotations

import socket

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("nyxlab", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("nyxlab")

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
KEYS = ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "NYXLAB_STORE")


def _loopback_only(event: str, args: tuple) -> None:
    """Refuse every connection and look-up that leaves this machine: a paid call is impossible in tests."""
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in LOOPBACK:
        raise PermissionError(f"tests may not connect to {args[1][0]}")
    if event == "socket.getaddrinfo" and args[0] not in {*LOOPBACK, None, "", socket.gethostname()}:
        raise PermissionError(f"tests may not look up {args[0]}")


def pytest_configure(config: pytest.Config) -> None:
    import sys

    sys.addaudithook(_loopback_only)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a key of whoever runs it."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
