"""A server of ours on loopback that answers with exactly the bytes a test wants, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    url: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[dict] = field(default_factory=list)


def http(status: int = 200, body: object = None, *, raw: bytes | None = None, **headers: str) -> bytes:
    """One whole HTTP reply; header names are written with underscores."""
    data = raw if raw is not None else json.dumps(body).encode()
    named = {"content-type": "application/json", "content-length": str(len(data)), "connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + data


@asynccontextmanager
async def serve(*replies: bytes | Write) -> AsyncIterator[Peer]:
    """Answer the n-th request with the n-th reply, the last one for ever; a function writes what it likes."""
    peer = Peer()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length")
            )
            peer.bodies.append(json.loads(await reader.readexactly(length)))
            peer.heads.append(head)
            reply = replies[min(len(peer.heads), len(replies)) - 1]
            if callable(reply):
                await reply(writer)
            else:
                writer.write(reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
