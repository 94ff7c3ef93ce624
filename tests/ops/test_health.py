"""`nyxlab health` says what is well and what is not, and looks at what is served, not at what a renewal said."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import postgres as postgres_server
import pytest
import servers
from inside import nyxlab


def health(folder: Path, *words: str, **environment: str) -> tuple[int, dict[str, dict], str]:
    """Ask in a folder; return the exit code, the checks by name and what was said on standard error."""
    done = nyxlab(folder, "health", "--json", *words, **environment)
    told = json.loads(done.stdout) if done.stdout else {"checks": []}
    assert done.returncode == (2 if not done.stdout else 0 if told["well"] else 1)
    return done.returncode, {each["name"]: each for each in told["checks"]}, done.stderr


@contextmanager
def tls(folder: Path):
    """Serve the certificate of a folder as it is now, and as it is after a reload that never comes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "fullchain.pem", folder / "privkey.pem")

    class Greets(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # a client that distrusts us hangs up
                context.wrap_socket(self.request, server_side=True).close()

    with ThreadingTCPServer(("127.0.0.1", 0), Greets) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://localhost:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_well(tmp_path: Path) -> None:
    """A fresh folder is well, twice, and looking leaves nothing behind."""
    for _ in range(2):
        code, seen, _ = health(tmp_path)
        assert code == 0, seen
        assert list(seen) == ["version", "store", "kernel", "reports", "disk"]
        assert not list(tmp_path.iterdir())


def test_a_ledger_in_use_is_well(tmp_path: Path) -> None:
    """A ledger that exists is read and written; its rows stay as they are."""
    for words in (["init"], ["run", "data/workflows/first.yaml"]):
        assert nyxlab(tmp_path, *words).returncode == 0
    code, seen, _ = health(tmp_path)
    assert code == 0
    assert seen["store"]["said"].endswith("can be read and written")


@pytest.mark.parametrize("trouble", ["damaged", "no folder", "unreachable"])
def test_a_ledger_that_is_not(tmp_path: Path, trouble: str) -> None:
    """A ledger that cannot be used makes the whole ill, in one sentence."""
    file = tmp_path / "data" / "s.db"
    url = f"sqlite:///{file}"
    if trouble == "damaged":
        file.parent.mkdir()
        file.write_bytes(b"no database " * 500)
    elif trouble == "no folder":
        file.parent.write_text("a file stands where the folder should")
    else:
        url = f"postgresql://nobody@127.0.0.1:{servers.free_port()}/none?connect_timeout=2"
    code, seen, _ = health(tmp_path, "--store", url)
    assert code == 1
    assert not seen["store"]["well"]
    assert "\n" not in seen["store"]["said"]


def test_a_ledger_that_is_read_only(tmp_path: Path, postgres: str) -> None:
    """A ledger that can be read and not written is ill: runs would be lost."""
    url = postgres_server.database(postgres)
    assert health(tmp_path, "--store", url)[0] == 0
    code, seen, _ = health(
        tmp_path, "--store", f"{url}{'&' if '?' in url else '?'}options=-cdefault_transaction_read_only%3Don"
    )
    assert code == 1
    assert "read-only" in seen["store"]["said"]


def test_reports_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the folder of the reports belongs is told."""
    (tmp_path / "reports").write_text("")
    code, seen, _ = health(tmp_path)
    assert code == 1
    assert "cannot be written" in seen["reports"]["said"]


def test_a_lean_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the notebooks' kernel is ill: a lean build shows before its first user."""
    monkeypatch.setitem(sys.modules, "ipykernel", None)  # as where it is not installed
    code, seen, _ = health(tmp_path)
    assert code == 1
    assert "nyxlab[lab]" in seen["kernel"]["said"]


def test_the_served_certificate(tmp_path: Path) -> None:
    """What is served is compared with the file: the same is well; another, an early end, distrust are not."""
    file, _ = servers.certificate(tmp_path / "live")
    trusted = {"SSL_CERT_FILE": str(tmp_path / "old.pem")}
    (tmp_path / "old.pem").write_bytes(file.read_bytes())
    with tls(tmp_path / "live") as url:
        words = ("--url", url, "--certificate", str(file))
        code, seen, _ = health(tmp_path, *words, **trusted)
        assert code == 0, seen
        assert "89 days left; the same as on disk" in seen["certificate"]["said"]
        code, seen, _ = health(tmp_path, *words)
        assert code == 1
        assert "browsers distrust it (self-signed certificate)" in seen["certificate"]["said"]
        servers.certificate(tmp_path / "live")  # renewed, and nobody reloaded
        code, seen, _ = health(tmp_path, *words, **trusted)
        assert code == 1
        assert "reload the web server" in seen["certificate"]["said"]
    servers.certificate(tmp_path / "live", days=19.9)
    with tls(tmp_path / "live") as url:
        code, seen, _ = health(tmp_path, "--url", url, "--certificate", str(file), SSL_CERT_FILE=str(file))
        assert code == 1
        assert "19 days left; that is under 20 days" in seen["certificate"]["said"]


def test_no_certificate(tmp_path: Path) -> None:
    """Nobody there, a file that is none, an address without TLS: each is said in its sentence."""
    url = f"https://localhost:{servers.free_port()}"
    code, seen, _ = health(tmp_path, "--url", url)
    assert code == 1
    assert "/etc/letsencrypt/live/localhost/fullchain.pem cannot be read" in seen["certificate"]["said"]
    file, _ = servers.certificate(tmp_path / "live")
    code, seen, _ = health(tmp_path, "--url", url, "--certificate", str(file))
    assert code == 1
    assert "gives none (Connection refused)" in seen["certificate"]["said"]
    code, _, said = health(tmp_path, "--url", "http://localhost")
    assert code == 2
    assert "https://" in said
