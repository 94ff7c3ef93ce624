"""What `provider.ask` costs on the wire, as ratios to a floor that is measured in the same run: `make bench`.

Floor and provider take turns on one server in a process of its own; the ratio is that of their medians over the rounds.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from statistics import median

import aiohttp
import httpx

from nyxlab import Message, Request, open_provider

ROUNDS = 7
BODY = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}
ASKED = Request(messages=[Message("user", "hi")], max_tokens=16)
Call = Callable[[], Awaitable[object]]


@contextmanager
def server(delay: float) -> Iterator[str]:
    answerer = Path(__file__).with_name("answerer.py")
    with subprocess.Popen([sys.executable, answerer, str(delay)], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


async def seconds(call: Call, calls: int, at_once: int) -> float:
    """Return the seconds that one call takes on average, so many of them in flight."""
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return (time.perf_counter() - began) / calls


async def row(name: str, floor: str, delay: float, calls: int, at_once: int, reach: float) -> bool:
    """Measure one row and print it; True where the ratio is within reach."""
    async with AsyncExitStack() as open_things:
        url = open_things.enter_context(server(delay))
        provider = await open_things.enter_async_context(open_provider("openai:m", base_url=url, api_key="k"))
        bare = await open_things.enter_async_context(httpx.AsyncClient())
        session = await open_things.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))

        async def by_httpx() -> object:
            return (await bare.post(f"{url}/chat/completions", json=BODY)).json()

        async def by_aiohttp() -> object:
            async with session.post(f"{url}/chat/completions", json=BODY) as reply:
                return await reply.json()

        floors: dict[str, Call | None] = {"bare httpx": by_httpx, "aiohttp": by_aiohttp, "the physical limit": None}
        ours, theirs = [], []
        for number in range(ROUNDS + 1):  # the first round opens connections and does not count
            below = floors[floor]
            theirs.append(await seconds(below, calls, at_once) if below else delay / at_once)
            ours.append(await seconds(lambda: provider.ask(ASKED), calls, at_once))
            if not number:
                ours, theirs = [], []
    ratio = median(ours) / median(theirs)
    took = f"{median(ours) * 1e6:5.0f} us a call, floor {median(theirs) * 1e6:5.0f}"
    print(f"{name:34} {ratio:5.2f} x {floor:18} reach {reach:.2f}  {'ok  ' if ratio <= reach else 'MISS'}  {took}")
    return ratio <= reach


async def main() -> int:
    rows = [
        ("one after another, 0 ms server", "bare httpx", 0.0, 150, 1, 0.85),
        ("64 in flight, 50 ms server", "the physical limit", 0.05, 1280, 64, 1.5),
        ("1,000 in flight, 50 ms server", "aiohttp", 0.05, 3000, 1000, 2.5),
    ]
    return 0 if all([await row(*each) for each in rows]) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
