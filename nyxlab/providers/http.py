"""A provider behind a URL: every socket, retry, clock and cap of the vendors' formats lives here, once."""

from __future__ import annotations

import email.utils
import json
import logging
import math
import re
import ssl
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import anyio
import httpx
import stamina
from pydantic import SecretStr, ValidationError

from nyxlab.errors import (
    ProviderBroken,
    ProviderBusy,
    ProviderError,
    ProviderMisused,
    ProviderRefused,
)
from nyxlab.providers.base import Capabilities, Provider
from nyxlab.providers.dialect import Dialect, Malformed, Sampling
from nyxlab.providers.messages import Cost, Json, Reply, Request
from nyxlab.providers.prices import Tariff
from nyxlab.settings import is_private

LARGEST_BODY = 16_000_000  # bytes; the longest reply of today's models is under 1 MB
ATTEMPTS = 4
RETRIED = frozenset({408, 409, 429, *range(500, 600)})
_BUSY = frozenset({408, 409, 429, 503, 529})
_REQUEST_IDS = ("request-id", "x-request-id", "x-goog-request-id")

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs every URL
logging.getLogger("stamina").setLevel(logging.ERROR)  # retries are recorded in the reply, not printed into a notebook


class _Key(httpx.Auth):
    """Puts the key into its header at the last moment, so that no client, body or frame of ours holds it in clear."""

    def __init__(self, header: str, prefix: str, key: SecretStr) -> None:
        self._header, self._prefix, self._key = header, prefix, key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._header] = self._prefix + self._key.get_secret_value()
        yield request


@dataclass
class _Trip:
    """What one call has been through so far; the only mutable thing of a call."""

    deadline: float
    started: float
    attempts: int = 0
    waited: float = 0.0
    service: float = 0.0
    request_id: str | None = None
    failed: ProviderError | None = None  # the last attempt's error, while the next one is waited for

    @property
    def left(self) -> float:
        return self.deadline - (time.perf_counter() - self.started)


class _TryAgain(Exception):
    """Tells the retry loop that a failure may pass, and is never seen outside; ``after`` is the vendor's own wish in seconds."""

    def __init__(self, error: ProviderError, after: float | None) -> None:
        super().__init__(type(error).__name__)
        self.error, self.after = error, after


class HttpProvider(Provider):
    """One model of one endpoint. ``why_no_key`` says what to do where the key that is needed is missing."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        id: str,  # noqa: A002 - it is the provider's `id`
        vendor: str,
        model: str,
        base_url: str,
        key: SecretStr | None,
        why_no_key: str | None,
        sampling: Sampling,
        tariff: Tariff,
    ) -> None:
        self.id, self.vendor, self.model = id, vendor, model
        drawn = "&".join(f"{name}={value}" for name, value in sampling.model_dump(exclude_none=True).items())
        self.identity = f"{type(dialect).__name__}:{model}@{base_url}?{drawn}"
        self.capabilities = Capabilities(context=tariff.context)
        self._dialect, self._url, self._sampling, self._tariff = dialect, base_url, sampling, tariff
        self._key, self._why_no_key = key, None if key else why_no_key
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def unusable(self) -> str | None:
        """Return what is missing before a call can be made: a key, if any."""
        return self._why_no_key

    def estimate(self, request: Request) -> Cost:
        """Return what the request may cost at most at the model's price."""
        return self._tariff.estimate(request)

    async def ask(self, request: Request) -> Reply:
        """Send the request, again where that can help, and return the reply within the request's deadline."""
        if self._why_no_key:
            raise ProviderMisused(self._why_no_key, provider=self.id, attempts=0)
        body = self._dialect.encode(self.model, request, self._sampling)
        trip = _Trip(deadline=request.deadline, started=time.perf_counter())
        failure: ProviderError | None = None
        received: Json = None
        with anyio.move_on_after(request.deadline) as patience:
            try:
                received = await self._retry(body, request, trip)
            except _TryAgain as last:
                failure = last.error
            except ProviderError as error:
                failure = error
        if patience.cancelled_caught:
            said = f"no reply within {request.deadline:g} s; allow a longer deadline or use another provider"
            failure = trip.failed or self._error(ProviderBroken, said, trip)
        if failure:
            failure.__context__ = None  # the original error holds the request, and that holds the key and the prompt
            raise failure.with_traceback(None)
        return self._reply(received, trip)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client:
            await client.aclose()

    async def _retry(self, body: Json, request: Request, trip: _Trip) -> Json:
        def wait(error: Exception) -> bool | float:
            if not isinstance(error, _TryAgain):
                return False
            trip.failed = error.error
            return error.after is None or (error.after < trip.left and error.after)

        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        failed_at: float | None = None
        async for attempt in stamina.retry_context(
            on=wait, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=8.0, wait_jitter=0.5
        ):
            with attempt:
                trip.attempts, trip.failed = trip.attempts + 1, None
                began = time.perf_counter()
                trip.waited += began - failed_at if failed_at else 0.0
                try:
                    return await self._send(content, request, trip)
                finally:
                    failed_at = time.perf_counter()
                    trip.service = failed_at - began
        raise AssertionError("stamina returns or raises")

    async def _send(self, content: bytes, request: Request, trip: _Trip) -> Json:
        """Send once and read the whole body; the one place where bytes cross the wire."""
        url = self._url + self._dialect.path(self.model)
        try:
            async with self._connected().stream("POST", url, content=content) as response:
                trip.request_id = next((response.headers[h] for h in _REQUEST_IDS if h in response.headers), None)
                data = await self._read(response, trip)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            host = httpx.URL(self._url).host
            said = f"{host} could not be reached; check the address and the network"
            raise _TryAgain(self._error(ProviderBroken, said, trip), None) from None
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError) as error:
            said = f"the connection broke while the reply was awaited ({type(error).__name__}); it may have been billed"
            raise self._error(ProviderBroken, said, trip) from None
        if response.status_code != 200:
            raise self._refusal(response, data, request, trip)
        if "json" not in response.headers.get("content-type", ""):
            raise self._error(ProviderBroken, "the reply is not JSON; is base_url right?", trip, 200)
        try:
            return _parse(data)
        except (ValueError, RecursionError):
            raise self._error(ProviderBroken, "the reply is not valid JSON", trip, 200) from None

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            auth = _Key(self._dialect.key_header, self._dialect.key_prefix, self._key) if self._key else None
            self._client = httpx.AsyncClient(
                auth=auth,
                # Nothing compressed is asked for, and none is accepted: replies are small, and bombs are not.
                headers={"content-type": "application/json", "accept-encoding": "identity", **self._dialect.headers},
                timeout=httpx.Timeout(None, connect=10.0),  # the deadline of the call bounds the rest
                follow_redirects=False,  # a redirect would carry x-api-key along to wherever it points
                trust_env=not is_private(httpx.URL(self._url).host),  # a proxy is for the world, not for loopback
                verify=_tls(),
            )
        return self._client

    async def _read(self, response: httpx.Response, trip: _Trip) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._error(ProviderBroken, "the reply is compressed, which was not asked for", trip)
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > LARGEST_BODY:
                raise self._error(ProviderBroken, f"the reply is larger than {LARGEST_BODY:,} bytes", trip)
        return bytes(data)

    def _refusal(self, response: httpx.Response, data: bytes, request: Request, trip: _Trip) -> Exception:
        """Name what a status other than 200 means by the caller's next move."""
        status, why = response.status_code, _explain(data, self._key, request)
        kind: type[ProviderError] = ProviderMisused
        if status in RETRIED and "insufficient_quota" not in why:
            kind = ProviderBusy if status in _BUSY else ProviderBroken
            said = "is overloaded or rate-limited" if status in _BUSY else "failed on its side"
            error = self._error(kind, f"{said} (HTTP {status}){why}", trip, status)
            return _TryAgain(error, retry_after(response.headers.get("retry-after"), datetime.now(UTC)))
        if status in (401, 403):
            said = f"the key was not accepted (HTTP {status}); check the key and what it may use"
        elif status == 404:
            said = f"no such model or address (HTTP 404); check '{self.model}' and base_url{why}"
        elif status >= 400:
            said = f"the request was not accepted (HTTP {status}){why or '; check the model and its options'}"
        elif status >= 300:
            kind, said = (
                ProviderBroken,
                f"answered with a redirect (HTTP {status}), which is not followed; correct base_url",
            )
        else:
            kind, said = ProviderBroken, f"answered HTTP {status} without a reply"
        return self._error(kind, said, trip, status)

    def _reply(self, body: Json, trip: _Trip) -> Reply:
        answer = None
        try:
            answer = self._dialect.decode(body)
        except (Malformed, ValidationError, AttributeError, TypeError) as error:
            where = f": {error}" if isinstance(error, Malformed) else ""
        if answer is None:
            raise self._error(ProviderBroken, f"the reply is not in the vendor's format{where}", trip, 200)
        if answer.stop == "refusal":
            reason = _plain(answer.refusal or "refusal", 60)
            raise self._error(ProviderRefused, f"declined to answer ({reason}); change the request", trip, 200)
        return Reply(
            text=_hide(answer.text.encode("utf-8", "replace").decode(), self._key),
            provider=self.id,
            model=_plain(answer.model, 200) if answer.model else None,
            stop=answer.stop,
            usage=answer.usage,
            cost=self._tariff.cost(answer.usage),
            price=self._tariff.price,
            latency_seconds=trip.service,
            wait_seconds=trip.waited,
            attempts=trip.attempts,
            request_id=trip.request_id,
        )

    def _error(self, kind: type[ProviderError], said: str, trip: _Trip, status: int | None = None) -> ProviderError:
        return kind(
            said,
            provider=self.id,
            status=status,
            request_id=trip.request_id,
            attempts=trip.attempts,
            wait_seconds=trip.waited,
        )


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, given as seconds or as a date; None for nonsense."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Read the certificates once: that is the 25 ms that a new client costs."""
    return httpx.create_ssl_context()


def _parse(data: bytes) -> Json:
    def refuse(name: str) -> Any:
        raise ValueError(name)

    return json.loads(data, parse_constant=refuse)


def _explain(data: bytes, key: SecretStr | None, request: Request) -> str:
    """Return the vendor's own words on an error, unless they repeat a piece of the key or of the prompt."""
    try:
        error = _parse(data)["error"]
        said = " ".join(str(error[name]) for name in ("type", "code", "status", "message") if error.get(name))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return ""
    said = _plain(said, 300)
    secret = key.get_secret_value() if key else ""
    if not said or _repeats(said, secret, 8) or any(_repeats(said, _plain(part), 16) for part in _parts(request)):
        return ""
    return f": {said}"


def _parts(request: Request) -> list[str]:
    return [request.system or "", *(message.content for message in request.messages)]


def _repeats(said: str, source: str, run: int) -> bool:
    """Whether ``said`` holds the whole source, or any ``run`` characters of it in a row."""
    if not source:
        return False
    return source in said or any(said[i : i + run] in source for i in range(len(said) - run + 1))


def _plain(text: str, most: int | None = None) -> str:
    """Return printable text on one line: no terminal escape, no direction mark, nothing invisible."""
    spaced = re.sub(r"\s+", " ", text)
    return "".join(c for c in spaced if c.isprintable())[:most].strip()


def _hide(text: str, key: SecretStr | None) -> str:
    """Take the key out of a reply that echoes it; a key shorter than 8 characters is a placeholder, not a secret."""
    secret = key.get_secret_value() if key else ""
    return text.replace(secret, "[key removed]") if len(secret) >= 8 else text
