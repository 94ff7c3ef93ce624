"""A server on loopback for the crash tests: answers by what it is asked, and counts every question it has seen."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ITEMS = 200


class Peer(ThreadingHTTPServer):
    """Speaks OpenAI's chat completions; ``seen`` counts questions, ``keys`` their idempotency keys."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.delay = delay
        self.seen: Counter[str] = Counter()
        self.keys: dict[str, set[str | None]] = defaultdict(set)
        self.lock = threading.Lock()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Peer

    def do_POST(self) -> None:
        """Answer one question."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = json.dumps([body["model"], body["messages"]])
        name = hashlib.sha256(asked.encode()).hexdigest()[:16]
        with self.server.lock:
            self.server.seen[name] += 1
            self.server.keys[name].add(self.headers.get("idempotency-key"))
        time.sleep(self.server.delay)
        data = json.dumps(
            {
                "model": body["model"],
                "choices": [{"message": {"role": "assistant", "content": said(body, name)}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def said(body: dict, name: str) -> str:
    """Return the answer to a question; it holds the question's name, so that a recorded reply tells what was asked."""
    text = body["messages"][-1]["content"]
    if body["model"] == "judge":
        # "one" is the better writer, wherever its answer stands; the fence before the answers differs from run to run.
        verdict = "first" if text.find("by one") < text.find("by two") else "second"
        return json.dumps({"rationale": "", "verdict": verdict})
    if "LIST" in text:
        return json.dumps({"items": [f"part {n}" for n in range(ITEMS)]})
    return f"{name} by {body['model']}"


@contextmanager
def peer(delay: float = 0.0) -> Iterator[Peer]:
    """Run a server in a thread of its own."""
    server = Peer(delay)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
