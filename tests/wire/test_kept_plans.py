"""A plan that is asked about again is read from the vendor's cache: what two questions share is the same to the byte on
the wire."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from wire_peer import Peer, serve

from nyxlab import Lab
from nyxlab.lab.views.console import out
from nyxlab.lab.views.tables import costs_table
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio

PLAN = "# Berths\n\nEvery booking is written once.\n\nA master can move a booking.\n" + "It is so.\n\n" * 200
CLAIM = {
    "title": "A booking is never changed, and changed", "explanation": "", "entities": ["booking"], "certain": True,
    "outside": False, "fix": "", "consequence": "steps-conflict",
    "quotes": [{"line": 3, "text": "Every booking is written once."}, {"line": 5, "text": "A master can move a booking."}],
}  # fmt: skip


def keeper(peer: list[Peer]):
    """Answer as the vendor does: a beginning that was sent before, system text and form of the reply included, is read
    from the cache."""
    kept: set[str] = set()

    async def write(writer: asyncio.StreamWriter) -> None:
        body = peer[0].bodies[-1]
        (message,) = body["messages"]
        blocks = message["content"] if isinstance(message["content"], list) else [{"text": message["content"]}]
        asked = "".join(block["text"] for block in blocks)
        claims = "Answer for every claim" in asked
        told = {
            "findings": [] if claims else [CLAIM],
            "answers": [{"claim": 1, "answer": "surviving", "reason": "so"}] if claims else [],
        }
        marked = [block["text"] for block in blocks if "cache_control" in block]
        start = json.dumps([body["model"], body.get("system"), body.get("output_config"), marked])
        counts = {"input_tokens": len(asked) // 4}
        if marked:
            size = len(marked[0]) // 4
            name = "cache_read_input_tokens" if start in kept else "cache_creation_input_tokens"
            counts = {"input_tokens": len(asked) // 4 - size, name: size}
            kept.add(start)
        events = [
            {
                "type": "message_start",
                "message": {"model": "m", "content": [], "stop_reason": None, "usage": counts | {"output_tokens": 1}},
            },
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": json.dumps(told)}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}},
            {"type": "message_stop"},
        ]
        data = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()

    return write


async def reviewed(folder: Path, **options: object) -> tuple[list[dict], list[dict]]:
    """Review a plan with the vendor's stand-in; return the bodies that it was sent and the rows of the cost table."""
    peers: list[Peer] = []
    async with serve(keeper(peers)) as peer:
        peers.append(peer)
        (folder / "plan.md").write_text(PLAN)
        (folder / "nyxlab.toml").write_text(
            f'[endpoints.a]\nkind = "anthropic"\nbase_url = "{peer.url}"\nallow_private = true\n'
            '[endpoints.a.models.m]\nprice = {input = "3", output = "15", cache_read = "0.3", cache_write = "3.75"}\n'
        )
        async with Lab(f"sqlite:///{folder}/ledger.db", settings=load_settings(folder)) as lab:
            review = await lab.review(["plan.md"], providers=["a:m"], **options)  # type: ignore[arg-type]
            assert review.unheard is None, review.unheard
            return peer.bodies, await lab.cost()


async def test_a_second_reader_reads_the_plan_from_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Question and refutation begin with the same plan, under the same system text and schema.

    The cost table says what came from the cache.
    """
    bodies, rows = await reviewed(tmp_path, judge="a:m")
    first, second = bodies
    parts = [body["messages"][0]["content"] for body in bodies]
    assert parts[0][0] == parts[1][0]
    assert parts[0][0]["cache_control"] == {"type": "ephemeral"}
    assert "1| # Berths" in parts[0][0]["text"]
    assert [first[key] for key in ("system", "output_config")] == [second[key] for key in ("system", "output_config")]
    assert "cache_control" not in parts[0][1]
    assert parts[0][1]["text"] != parts[1][1]["text"]
    kept = len(parts[0][0]["text"]) // 4
    assert sum(row["cache_read_tokens"] for row in rows) == sum(row["cache_write_tokens"] for row in rows) == kept
    out(costs_table(rows))
    shown = capsys.readouterr().out
    assert "from cache" in shown
    assert f"{kept:,}" in shown or str(kept) in shown


async def test_lenses_wait_for_the_first_one(tmp_path: Path) -> None:
    """Of several questions to one provider the first goes alone, so that the others find the plan in the cache."""
    bodies, rows = await reviewed(tmp_path, lenses=["data", "security", "tests"])
    assert len(bodies) == 3
    assert sum(row["cache_read_tokens"] for row in rows) == 2 * sum(row["cache_write_tokens"] for row in rows) > 0


async def test_a_plan_that_is_asked_about_once_is_not_kept(tmp_path: Path) -> None:
    """To have a plan kept costs a quarter more than to have it read: a single question does not ask for it."""
    ((body,), rows) = await reviewed(tmp_path)
    assert isinstance(body["messages"][0]["content"], str)
    assert sum(row["cache_write_tokens"] for row in rows) == 0
