"""Starts llm-rosetta: Google's format, translated by others into OpenAI's for the server behind it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def rosetta_before(base_url: str, key: str, folder: Path) -> Iterator[str]:
    """Give the address of a gateway whose model ``m`` is whatever an OpenAI-compatible server answers."""
    program = Path(sys.executable).with_name("llm-rosetta-gateway")
    if not program.exists():  # to import it would put modules of its own, a yaml among them, before everybody else's
        pytest.skip("llm-rosetta[gateway] is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {
        "providers": {"openai_chat": {"api_key": key, "base_url": base_url}},
        "models": {"m": "openai_chat"},
        "server": {"host": "127.0.0.1", "port": port, "open_on_no_keys": True},
    }
    (folder / "c.jsonc").write_text(json.dumps(config))
    command = [program, "-c", folder / "c.jsonc", "--no-banner", "--data-dir", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as gateway:
        url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1)
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        yield url
        gateway.terminate()
