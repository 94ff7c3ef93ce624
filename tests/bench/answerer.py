"""A server for benches that answers every POST after so many seconds (its one argument), as cheaply as Python can."""

from __future__ import annotations

import asyncio
import json
import sys

BODY = json.dumps(
    {
        "model": "m",
        "choices": [{"message": {"role": "assistant", "content": "hello there"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    }
).encode()
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


class Answerer(asyncio.Protocol):
    delay = 0.0

    def connection_made(self, transport):
        self.transport, self.got = transport, b""

    def data_received(self, data):
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            self.got = b""
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, REPLY)


async def main() -> None:
    Answerer.delay = float(sys.argv[1])
    server = await asyncio.get_running_loop().create_server(Answerer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
