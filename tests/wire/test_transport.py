"""What the transport under httpx must do that its speed does not show."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import ssl
import subprocess
import sys

import anyio
import pytest
from wire_peer import http, serve

from nyxlab.errors import ProviderBroken
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.registry import open_provider
from nyxlab.providers.wire import proxy_for
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
OK = http(200, {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}, set_cookie="a=b; Path=/")
ASKED = Request(messages=[Message("user", "hi")], max_tokens=8, deadline=10)


def provider(url: str, model: str = "openai:m") -> Provider:
    return open_provider(model, settings=load_settings(), base_url=url, api_key="k")


async def abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("end", [abort, hang_up])
async def test_cut_before_the_first_byte_is_not_asked_twice(end: object) -> None:
    """A connection that dies after the request was sent may have been billed, though httpx-aiohttp calls it a
    ConnectTimeout."""
    async with serve(end, OK) as peer, provider(peer.url) as asked:
        with pytest.raises(ProviderBroken, match="may have been billed") as raised:
            await asked.ask(ASKED)
    assert (raised.value.attempts, len(peer.heads)) == (1, 1)


async def test_a_server_without_tls_is_named_as_unreachable() -> None:
    """https to a server that speaks none ends in one sentence."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with provider(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as asked:
        with pytest.raises(ProviderBroken, match=r"127\.0\.0\.1 could not be reached"):
            await asked.ask(ASKED)
    server.close()


@pytest.fixture
def tls(tmp_path) -> ssl.SSLContext:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    made = f"req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -keyout {tmp_path}/k -out {tmp_path}/c"
    subprocess.run(["openssl", *made.split()], capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    return context


async def test_an_unknown_certificate_is_not_trusted(tls: ssl.SSLContext) -> None:
    """A certificate that nobody vouches for is refused before the key is sent."""
    got: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(10))

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    async with provider(f"https://127.0.0.1:{port}") as asked:
        with pytest.raises(ProviderBroken, match="could not be reached"):
            await asked.ask(ASKED)
    server.close()
    assert b"".join(got) == b""


async def test_no_cookie_comes_back() -> None:
    """A cookie that a server sets is not sent to it, so no call depends on an earlier one."""
    async with serve(OK) as peer, provider(peer.url.replace("127.0.0.1", "localhost")) as asked:
        await asked.ask(ASKED)
        await asked.ask(ASKED)
    assert "cookie" not in peer.heads[1].lower()


@pytest.mark.parametrize("name", ["a/b", "a b", "ü", "a%2Fb"])
async def test_a_models_name_stays_whole_in_a_path(name: str) -> None:
    """Whatever a Google model is called, its name is one segment of the path, escaped once."""
    from urllib.parse import unquote

    async with serve(OK) as peer, provider(peer.url, f"google:{name}") as asked:
        with pytest.raises(ProviderBroken):
            await asked.ask(ASKED)
    path = peer.heads[0].split(" ")[1]
    assert path.count("/") == 3
    assert unquote(path) == f"/v1beta/models/{name}:generateContent"


async def test_a_gigabyte_and_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that announces a gigabyte is given up at the cap; a gzip bomb is not unpacked at all."""

    async def gigabyte(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" " * 1_000_000)
            await writer.drain()

    bomb = http(200, raw=gzip.compress(b" " * 50_000_000), content_encoding="gzip")
    for reply, said in ((gigabyte, "larger than 16,000,000 bytes"), (bomb, "compressed, which was not asked for")):
        async with serve(reply) as peer, provider(peer.url) as asked:
            with pytest.raises(ProviderBroken, match=said):
                await asked.ask(ASKED)


async def test_leaving_closes_the_connection() -> None:
    """Who cancels a call that is being waited for closes its connection at once, not at the deadline."""
    closed = anyio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(500):
                await asyncio.sleep(0.01)
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
        except ConnectionError:
            closed.set()

    async with serve(wait) as peer, provider(peer.url) as asked:
        with anyio.move_on_after(0.2):
            await asked.ask(ASKED)
        with anyio.fail_after(2):
            await closed.wait()


def test_proxies_are_for_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy is used for vendors, not for loopback, and not where NO_PROXY says so."""
    for name in ("http_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert str(proxy_for("https://api.openai.com/v1").url) == "http://proxy.example:3128"
    assert proxy_for("https://127.0.0.1:8443/v1") is None
    monkeypatch.setenv("no_proxy", "api.openai.com")
    assert proxy_for("https://api.openai.com/v1") is None


def test_one_provider_serves_several_event_loops() -> None:
    """A provider that a script uses in one asyncio.run after another opens its connections anew in each."""

    async def once(asked: list[Provider]) -> str:
        async with serve(OK, OK) as peer:
            if not asked:
                asked.append(provider(peer.url))
            if asked[0]._wire:
                asked[0]._wire.base_url = peer.url
            return (await asked[0].ask(ASKED)).text

    asked: list[Provider] = []
    assert [asyncio.run(once(asked)) for _ in range(2)] == ["hello", "hello"]


def test_a_light_import() -> None:
    """Whoever opens a provider without asking it loads neither aiohttp nor the price sheet."""
    code = "import nyxlab, sys; nyxlab.open_provider; print('aiohttp' in sys.modules, 'genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
