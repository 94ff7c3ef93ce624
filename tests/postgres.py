"""A PostgreSQL server of its own for the tests: on loopback, in a temporary folder, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg

NUMBERS = count()


def programs() -> Path | None:
    """Return the folder of the server's programs; None where none is installed."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).parent if found else debian[-1].parent if debian else None


@dataclass(frozen=True)
class Server:
    """A server that runs; ``url`` is without a database's name."""

    url: str
    control: list[str | Path]
    options: str
    how: dict

    def start(self) -> None:
        """Start it and wait until it can be reached."""
        subprocess.run([*self.control, "-o", self.options, "-w", "start"], **self.how)

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; clients are cut off."""
        subprocess.run([*self.control, "-m", mode, "stop"], **self.how)


@contextmanager
def server() -> Iterator[Server]:
    """Start a server; raises FileNotFoundError where none is installed."""
    bin_ = programs()
    if bin_ is None:
        raise FileNotFoundError("no PostgreSQL server is installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="nyxlab-postgres-") as name:
        more = {}
        if os.geteuid() == 0:  # it refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(name, user.pw_uid, user.pw_gid)
            more = {"user": user.pw_uid, "group": user.pw_gid}
        data, quiet = Path(name) / "data", {"stdout": subprocess.DEVNULL, "cwd": name, "check": True}
        subprocess.run(
            [bin_ / "initdb", "-D", data, "-A", "trust", "-U", "nyxlab", "-E", "UTF8", "--no-sync"], **quiet, **more
        )
        options = (
            f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories='' -c fsync=off -c max_connections=300"
        )
        control = [bin_ / "pg_ctl", "-D", data, "-l", Path(name) / "log"]
        running = Server(f"postgresql://nyxlab@127.0.0.1:{port}", control, options, {**quiet, **more})
        running.start()
        try:
            yield running
        finally:
            running.stop()


def database(server_url: str) -> str:
    """Create an empty database on a server and return its URL."""
    name = f"nyxlab_{os.getpid()}_{next(NUMBERS)}"
    with psycopg.connect(f"{server_url}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server_url}/{name}"
