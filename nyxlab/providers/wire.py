"""The connections to one endpoint: bytes out, bytes in, and a cap on everything that a stranger could make endless.

Only who makes a call loads this: httpx and aiohttp take longer to import than all of nyxlab's other imports.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from urllib.request import getproxies, proxy_bypass

import aiohttp
import anyio
import httpx
from httpx_aiohttp import AiohttpTransport

from nyxlab.providers.dialect import Cut, Unreached
from nyxlab.settings import is_private

LARGEST_BODY = 16_000_000  # bytes; the longest reply of today's models is under 1 MB
LARGEST_STREAM = 64_000_000  # bytes; a streamed token comes in some 300 bytes of wrapping
STALL = 60.0  # seconds between two pieces of a body that has begun; a model that thinks sends pings, or nothing yet
CONNECT = 10.0
_BROKEN = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError)  # aiohttp's own tree, and httpx's


class Wire:
    """Sends to one base URL. Connections are opened when first used, kept for ``kept`` seconds, closed by ``aclose``.

    Bounding how many calls run at once is the caller's business (``Pace``), so there is no limit on connections here.
    """

    def __init__(self, base_url: str, *, kept: float) -> None:
        self.base_url, self.kept = base_url, kept
        self._transport: httpx.AsyncBaseTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def post(self, path: str, headers: Mapping[str, str], content: bytes) -> httpx.Response:
        """Send a request and return its response with the body unread; close it. Raises ``Unreached`` and ``Cut``."""
        try:
            request = httpx.Request(
                "POST",
                _url(self.base_url + path),
                headers=headers,
                content=content,
                extensions={"timeout": {"connect": CONNECT}},  # the deadline of the call bounds the rest
            )
            return await self.open().handle_async_request(request)
        except _BROKEN as error:
            raise self._named(error) from None

    async def read(self, response: httpx.Response) -> bytes:
        """Return the whole body. Raises ``Cut``."""
        data = bytearray()
        async for chunk in self.chunks(response, LARGEST_BODY):
            data += chunk
        return bytes(data)

    async def chunks(self, response: httpx.Response, most: int | None = None) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises ``Cut`` past ``most`` bytes, or where it stands still in its middle."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Cut("the reply is compressed, which was not asked for")
        most = most or LARGEST_STREAM
        total, patience = 0, math.inf  # nobody knows how long a model thinks before it begins
        body = response.aiter_raw()
        while True:
            try:
                with anyio.fail_after(patience):
                    chunk = await anext(body)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Cut(f"the reply stood still for {STALL:g} s in its middle; it may have been billed") from None
            except _BROKEN as error:
                raise self._named(error) from None
            total, patience = total + len(chunk), STALL
            if total > most:
                raise Cut(f"the reply is larger than {most:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        """Close the connections; they are opened again when something is sent."""
        transport, self._transport = self._transport, None
        if transport:
            await transport.aclose()

    def open(self) -> httpx.AsyncBaseTransport:
        """Return the transport; making the first one takes up to a second, which is no part of anybody's latency."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._loop is not loop:  # connections of another loop are dead ones
            self._transport, self._loop = _transport(self.base_url, self.kept), loop
        return self._transport

    def _named(self, error: Exception) -> Exception:
        """Tell what never left this machine from what broke on its way: httpx-aiohttp calls both a ConnectTimeout."""
        cause = error.__cause__ or error
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | ssl.SSLError):
            return Unreached(f"{httpx.URL(self.base_url).host} could not be reached; check the address and the network")
        if isinstance(cause, aiohttp.InvalidURL | httpx.InvalidURL):
            return Cut("base_url is not a URL that can be called")
        kind = type(cause).__name__
        return Cut(f"the connection broke while the reply was awaited ({kind}); it may have been billed")


def _transport(base_url: str, kept: float) -> httpx.AsyncBaseTransport:
    """Return httpx's transport on aiohttp: its own pool is quadratic in what is in flight (see CONTRIBUTING.md).

    It follows no redirect, which would carry x-api-key along to wherever it points, decompresses nothing, and keeps no
    cookie. Certificates are read where they are looked at, so not without TLS.
    """
    tls = _tls() if httpx.URL(base_url).scheme == "https" else True

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, ssl=tls, keepalive_timeout=kept or None, force_close=not kept)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(client=session, proxy=proxy_for(base_url), verify=tls)


def proxy_for(base_url: str) -> httpx.Proxy | None:
    """Return the proxy that the environment names for a URL; one is for the world, never for loopback."""
    url = httpx.URL(base_url)
    if is_private(url.host) or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return httpx.Proxy(proxy) if proxy else None


@lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    """Take a URL apart once: that is a tenth of a call's time."""
    return httpx.URL(text)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Read the certificates once: that is the 25 ms that a new client costs."""
    return httpx.create_ssl_context()
