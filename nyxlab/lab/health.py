"""Whether this installation is well: its ledger, kernel, reports, disk, and the certificate that is served for it."""

from __future__ import annotations

import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult

import anyio

from nyxlab import __version__
from nyxlab.errors import InputRefused, NyxlabError
from nyxlab.settings import Settings

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

ROOM = 200  # MB of disk that a run may need
DAYS = 20  # a certificate is renewed a month before its end: under this, renewal has failed for days
PATIENCE = 10.0  # seconds for a server to answer


class Check(NamedTuple):
    """One thing that was looked at: whether it is well, and what was seen or is to be done, in a sentence."""

    name: str
    well: bool
    said: str


def checks(settings: Settings, store: str, address: SplitResult | None, file: Path) -> Iterator[Check]:
    """Look at one thing after another; a certificate, ``file`` on disk, only where an ``address`` is given."""
    yield Check("version", True, f"nyxlab {__version__}")
    yield _ledger(store)
    yield _kernel()
    yield _folder("reports", settings.resolve("reports"))
    free = shutil.disk_usage(settings.root).free // 1_000_000
    yield Check(
        "disk", free >= ROOM, f"{free:,} MB free{'' if free >= ROOM else f': a run may need {ROOM}, make room'}"
    )
    if address:
        yield _certificate(address, file)


def _ledger(url: str) -> Check:
    """Read the ledger and write to it, no row being changed; where there is none yet, look at its folder."""
    from nyxlab.engine.store import open_store  # with its database

    file = Path(url.partition(":///")[2])
    if url.startswith("sqlite") and not file.exists():
        return _folder("store", file.parent)

    async def touch() -> str:
        store = open_store(url)
        try:
            await store.runs(newest=1)
            await store.set_options("nobody's run", {})
            return store.name
        finally:
            await store.aclose()

    try:
        return Check("store", True, f"{anyio.run(touch)} can be read and written")
    except NyxlabError as error:
        if isinstance(error, InputRefused):
            raise
        return Check("store", False, str(error))


def _kernel() -> Check:
    """Look for the kernel of the notebooks, which is this Python's own; a lean build starts without it."""
    well = find_spec("ipykernel") is not None
    return Check("kernel", well, "python3" if well else "none, so no notebook runs here: pip install 'nyxlab[lab]'")


def _folder(name: str, folder: Path) -> Check:
    """Write to a folder, or to the nearest one above in which it can be made; nothing of it stays."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return Check(name, True, f"{folder} can be {'written' if there == folder else 'made'}")
    except OSError as error:
        return Check(name, False, f"{folder} cannot be written ({error.strerror}): give its owner and mode a look")


def _certificate(address: SplitResult, file: Path) -> Check:
    """Compare the certificate that a server shows with the one on disk: a green renewal does not prove a reload."""
    try:
        from cryptography.x509 import load_pem_x509_certificate
    except ImportError:
        raise InputRefused("reading certificates needs a library: pip install 'nyxlab[auth]'") from None
    host, port = address.hostname or "", address.port or 443
    try:
        held = load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return Check("certificate", False, f"{file} cannot be read as a certificate: name it with --certificate")
    try:
        served, distrust = _served(host, port)
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        return Check(
            "certificate", False, f"{host}:{port} gives none ({why}): is the web server up, with TLS, and reached?"
        )
    days = (served.not_valid_after_utc - datetime.now(UTC)).days
    wrong = [f"browsers distrust it ({distrust})"] if distrust else []
    if served != held:
        wrong.append(f"{file} holds {_told(held)}: reload the web server")
    if days < DAYS:
        wrong.append("that is under 20 days: see why it is not renewed, journalctl -u nyxlab-certificate")
    same = [] if wrong else ["the same as on disk"]
    return Check("certificate", not wrong, "; ".join([f"served is {_told(served)}, {days} days left", *wrong, *same]))


def _served(host: str, port: int) -> tuple[Certificate, str | None]:
    """Return the certificate that a server shows, and why it is not trusted, None where it is."""
    from cryptography.x509 import load_der_x509_certificate

    context, distrust = ssl.create_default_context(), None
    while True:
        try:
            with (
                socket.create_connection((host, port), PATIENCE) as wire,
                context.wrap_socket(wire, server_hostname=host) as tls,
            ):
                return load_der_x509_certificate(tls.getpeercert(binary_form=True) or b""), distrust
        except ssl.SSLCertVerificationError as error:
            distrust = error.verify_message
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only to look at it; nothing is sent


def _told(certificate: Certificate) -> str:
    return f"serial {certificate.serial_number:x} until {certificate.not_valid_after_utc:%Y-%m-%d}"
