"""Certificates come while nginx serves, by certbot from Pebble; what is served is looked at, not believed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import servers
from cryptography.x509 import load_pem_x509_certificate

USER = "user root;" if os.getuid() == 0 else ""  # else its workers are nobody, who may not look into our folders
RENEW = ("renew", "--force-renewal", "--no-random-sleep-on-renew")
CERTBOT = Path(sys.executable).with_name("certbot")


class Site:
    """nginx with our configuration on free ports, an authority, and certbot with folders of its own."""

    def __init__(self, folder: Path, lab_port: int) -> None:
        (self.nginx,) = servers.need("nginx")
        self.folder, self.http, self.https = folder, servers.free_port(), servers.free_port()
        self.file = folder / "letsencrypt" / "live" / "nyxlab" / "fullchain.pem"
        for name in ("www", "tls", "letsencrypt", "reports", "deploy"):
            (folder / name).mkdir()
        moved = {
            "/etc/nyxlab/tls": folder / "tls", "/etc/letsencrypt": folder / "letsencrypt",
            "/opt/certbot/www": folder / "www", "/srv/reports": folder / "reports",
            "/tmp/nginx.pid": folder / "nginx.pid", "listen 80 ": f"listen 127.0.0.1:{self.http} ",
            "listen 443 ": f"listen 127.0.0.1:{self.https} ", "http://lab:8888": f"http://127.0.0.1:{lab_port}",
            "error_log stderr;": f"error_log {folder}/error.log;",
        }  # fmt: skip
        for name in ("nginx.conf", "tls.conf"):
            text = (servers.DEPLOY / "nginx" / name).read_text()
            for here, there in moved.items():
                text = text.replace(here, str(there))
            (folder / name).write_text(text)
        # The hook asks docker to ask nginx; here docker is nginx, and the link that holds in the container holds here.
        hook = (
            (servers.DEPLOY / "reload-nginx.sh").read_text().replace("/etc/nyxlab/nginx/tls.conf", f"{folder}/tls.conf")
        )
        (folder / "deploy" / "reload-nginx.sh").write_text(hook)
        (folder / "docker").write_text(
            f"#!/usr/bin/env bash\n[[ -e {folder}/broken ]] && exit 1\n"
            f'exec {self.nginx} -c {folder}/nginx.conf "${{@:10}}"\n'
        )
        for script in ("docker", "deploy/reload-nginx.sh"):
            (folder / script).chmod(0o755)

    def certbot(self, directory: tuple[str, Path], *words: str) -> subprocess.CompletedProcess[str]:
        """Run certbot with this site's folders and hook."""
        url, ca = directory
        where = [
            f"--{kind}-dir={self.folder / ('letsencrypt' if kind == 'config' else kind)}"
            for kind in ("config", "work", "logs")
        ]
        environment = os.environ | {
            "REQUESTS_CA_BUNDLE": str(ca), "PATH": f"{self.folder}:{os.environ['PATH']}",
            "NYXLAB_LIVE": str(self.file.parent), "NYXLAB_TLS": str(self.folder / "tls"),
        }  # fmt: skip
        command = [str(CERTBOT), *words, "-n", "--server", url, *where]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def issue(self, directory: tuple[str, Path], *words: str, name: str = "nyxlab") -> subprocess.CompletedProcess[str]:
        """Ask for the certificate as deploy/README.md does."""
        hook = f"--deploy-hook={self.folder}/deploy/reload-nginx.sh"
        webroot = words or ("--webroot", "-w", str(self.folder / "www"))
        return self.certbot(directory, "certonly", *webroot, "-d", "localhost", "--cert-name", name, hook,
                            "--agree-tos", "--register-unsafely-without-email")  # fmt: skip

    def health(self, root: Path) -> tuple[int, str]:
        """Ask nyxlab for the certificate that is served."""
        command = [sys.executable, "-m", "nyxlab.cli", "health", "--url", f"https://localhost:{self.https}",
                   "--certificate", str(self.file)]  # fmt: skip
        environment = os.environ | {"SSL_CERT_FILE": str(root)}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()[-1]

    def serial(self) -> int:
        """The serial number of the certificate on disk."""
        return load_pem_x509_certificate(self.file.read_bytes()).serial_number


class Lab(BaseHTTPRequestHandler):
    """Stands for JupyterLab behind nginx."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.headers['Host']} {self.headers.get('Connection')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *told: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[tuple[Site, tuple[str, Path], Path]]:
    """Run a lab, nginx and the authority; yield the site, the authority's directory and its root certificate."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Lab) as lab:
        threading.Thread(target=lab.serve_forever, daemon=True).start()
        site = Site(folder, lab.server_address[1])
        command = [site.nginx, "-c", str(folder / "nginx.conf"), "-g", f"daemon off; {USER}"]
        with (
            servers.running(command, folder / "nginx.log", site.http),
            servers.acme(folder / "acme", site.http) as (url, ca, management),
        ):
            root = folder / "root.pem"
            root.write_text(httpx.get(f"{management}/roots/0", verify=False).text)
            yield site, (url, ca), root
        lab.shutdown()


async def _load(url: str, stop: asyncio.Event) -> list[object]:
    """Ask again and again, four at a time, each with a connection of its own or a kept one; return what went wrong."""
    wrong: list[object] = []
    count = 0

    async def client(keeps: bool) -> None:
        nonlocal count
        limits = httpx.Limits(max_keepalive_connections=4 if keeps else 0)
        async with httpx.AsyncClient(verify=False, limits=limits, timeout=20) as asking:
            while not stop.is_set():
                try:
                    try:
                        answer = await asking.get(url)
                    except httpx.RemoteProtocolError:
                        if not keeps:
                            raise
                        # A kept connection may be closed just as it is used: whoever keeps one asks again, as browsers
                        # do (RFC 9112, 9.3.1).
                        answer = await asking.get(url)
                    wrong.extend([answer.status_code] if answer.status_code != 200 else [])
                except httpx.HTTPError as error:
                    wrong.append(error)
                count += 1
                await asyncio.sleep(0.01)  # the two cores are for nginx and certbot too

    await asyncio.gather(*(client(keeps) for keeps in (True, True, False, False)))
    return [count, *wrong]


@pytest.mark.anyio
async def test_renewals_under_load(tmp_path) -> None:
    """From no certificate to three forced renewals: not a request fails, and each time the new one is served."""
    with served(tmp_path) as (site, directory, root):
        assert not servers.listens(site.https)
        issued = await asyncio.to_thread(site.issue, directory)
        assert issued.returncode == 0, issued.stdout + issued.stderr
        servers.until(lambda: servers.listens(site.https), "TLS after the first issue")
        assert site.health(root)[0] == 0, site.health(root)
        url = f"https://127.0.0.1:{site.https}/lab/api"  # tests look up no names
        async with httpx.AsyncClient(verify=False) as asking:
            assert (await asking.get(url)).text == "127.0.0.1 close"
            upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
            assert (await asking.get(url, headers=upgrade)).text == "127.0.0.1 upgrade"
            redirected = await asking.get(f"http://127.0.0.1:{site.http}/x")
            assert redirected.headers["Location"] == "https://127.0.0.1/x"
            (tmp_path / "reports" / "answer.html").write_text("an answer")
            closed = await asking.get(f"https://127.0.0.1:{site.https}/reports/answer.html")
            assert closed.status_code in (401, 403)
        stop = asyncio.Event()
        load = asyncio.create_task(_load(url, stop))
        serials = {site.serial()}
        for _ in range(3):
            renewed = await asyncio.to_thread(site.certbot, directory, *RENEW)
            assert renewed.returncode == 0, renewed.stdout + renewed.stderr
            serials.add(site.serial())
            await asyncio.sleep(0.5)
            code, said = await asyncio.to_thread(site.health, root)
            assert code == 0, said
        stop.set()
        count, *wrong = await load
        print(f"{count} requests during three renewals, {len(wrong)} failed")
        assert wrong == []
        assert len(serials) == 4


def test_a_green_certbot_proves_little(tmp_path) -> None:
    """A hook that fails leaves certbot green and the old certificate served: health says so; a dry run runs no hook."""
    with served(tmp_path) as (site, directory, root):
        assert site.issue(directory).returncode == 0
        servers.until(lambda: servers.listens(site.https), "TLS after the first issue")
        (tmp_path / "broken").touch()
        renewed = site.certbot(directory, *RENEW)
        assert renewed.returncode == 0
        assert "all renewals succeeded" in renewed.stdout
        code, said = site.health(root)
        assert code == 1
        assert "reload the web server" in said
        (tmp_path / "broken").unlink()
        before = site.serial()
        dry = site.certbot(directory, "renew", "--dry-run", "--no-random-sleep-on-renew")
        assert dry.returncode == 0, dry.stderr
        assert (site.serial(), site.health(root)[0]) == (before, 1)
        again = site.certbot(directory, *RENEW)
        assert again.returncode == 0
        servers.until(lambda: site.health(root)[0] == 0, "the new certificate")


def test_what_does_not_work(tmp_path) -> None:
    """Standalone beside a web server is refused, and a webroot that nginx does not serve ends in a clear error."""
    with served(tmp_path) as (site, directory, _):
        beside = site.issue(
            directory, "--standalone", "--http-01-port", str(site.http), "--http-01-address", "127.0.0.1"
        )
        assert beside.returncode == 1
        assert f"Could not bind TCP port {site.http}" in beside.stderr
        (tmp_path / "elsewhere").mkdir()
        lost = site.issue(directory, "--webroot", "-w", str(tmp_path / "elsewhere"))
        assert lost.returncode == 1
        assert "unauthorized" in (lost.stdout + lost.stderr).lower() or "404" in lost.stdout + lost.stderr
        assert not site.file.exists()
