"""A provider behind a URL: turns, retries, deadlines and repairs of a call in any vendor's format live here, once."""

from __future__ import annotations

import email.utils
import json
import logging
import math
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio
import httpx
from pydantic import SecretStr, ValidationError

from nyxlab.errors import ProviderBroken, ProviderBusy, ProviderError, ProviderMisused, ProviderRefused
from nyxlab.providers.base import Capabilities, Provider
from nyxlab.providers.dialect import Answer, Dialect, Heard, Malformed, Sampling
from nyxlab.providers.messages import Cost, Json, Reply, Request
from nyxlab.providers.pace import pace_of
from nyxlab.providers.prices import Tariff, near_models
from nyxlab.providers.sse import Events
from nyxlab.providers.structured import Fault, both, fault_finder, repair
from nyxlab.providers.wire import LARGEST_STREAM, STALL, Cut, Unreached, Wire
from nyxlab.providers.words import explain, hide, parse, plain

ATTEMPTS = 4
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds between attempts, doubled each time, where the vendor names none
RETRIED = frozenset({408, 409, 429, *range(500, 600)})
BUSY = frozenset({408, 409, 429, 503, 529})
_OVERLOADED = ("overloaded", "rate_limit", "RESOURCE_EXHAUSTED", "UNAVAILABLE")  # errors that come within a stream
_REQUEST_IDS = ("request-id", "x-request-id", "x-goog-request-id")
_HEADERS = {
    "content-type": "application/json",
    "accept": "application/json",
    # Nothing compressed is asked for, and none is accepted: replies are small, and bombs are not.
    "accept-encoding": "identity",
    "user-agent": "nyxlab",
}

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs every URL


@dataclass
class _Trip:
    """What one call has been through so far; the only mutable thing of a call. Times are in seconds."""

    request: Request
    started: float = field(default_factory=time.perf_counter)
    attempts: int = 0
    waited: float = 0.0
    service: float = 0.0
    first: float | None = None
    request_id: str | None = None
    heard: Heard = field(default_factory=Heard)
    reply: Reply | None = None  # a whole one, which is being repaired
    failed: ProviderError | None = None  # the last attempt's error, while the next one is waited for

    @property
    def left(self) -> float:
        return self.request.deadline - (time.perf_counter() - self.started)


class _TryAgain(Exception):
    """Tells the retry loop that a failure may pass, and is never seen outside; ``after`` is the vendor's own wish in seconds."""

    def __init__(self, error: ProviderError, after: float | None = None) -> None:
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
        self.capabilities = Capabilities(context=tariff.context, keeps=dialect.keeps)
        self._dialect, self._sampling, self._tariff = dialect, sampling, tariff
        self._key, self._why_no_key = key, None if key else why_no_key
        self._wire, self._pace = Wire(base_url), pace_of(base_url)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def unusable(self) -> str | None:
        """Return why no call can be made now: a key is missing, or the endpoint is cooling down."""
        return self._why_no_key or self._pace.resting()

    def estimate(self, request: Request) -> Cost:
        """Return what the request may cost at most at the model's price, under a schema with one repair."""
        cost = self._tariff.estimate(request)
        if request.output_schema is None or cost.usd is None:
            return cost
        return Cost.total([cost, self._tariff.estimate(repair(request, "x" * 4 * request.max_tokens, ""))])

    async def ask(self, request: Request) -> Reply:
        """Send the request, again where that can help, and return the reply within the request's deadline."""
        if self._why_no_key:
            raise ProviderMisused(self._why_no_key, provider=self.id, attempts=0)
        if reason := self._pace.resting():
            raise ProviderBusy(reason, provider=self.id, attempts=0)
        fault = fault_finder(request.output_schema) if request.output_schema is not None else None
        trip = _Trip(request)
        failure: ProviderError | None = None
        ticket = self._pace.begin()
        try:
            with anyio.move_on_after(request.deadline) as patience:
                try:
                    reply = await self._retry(request, trip)
                    reply = reply if fault is None else await self._mended(request, reply, fault, trip)
                except _TryAgain as last:
                    failure = last.error
                except ProviderError as error:
                    failure = error
                except BaseException as leaving:
                    leaving.received = self._received(trip)  # type: ignore[attr-defined]  # read by whoever keeps a ledger
                    raise
            if patience.cancelled_caught:
                said = f"no reply within {request.deadline:g} s; allow a longer deadline or use another provider"
                failure = trip.failed or self._error(ProviderBroken, said, trip)
            if isinstance(failure, ProviderBusy | ProviderBroken) and trip.reply is None:
                self._pace.failed(ticket)
            else:
                self._pace.answered()
        finally:
            self._pace.end(ticket)
        if failure:
            failure.received = self._received(trip)
            failure.__context__ = None  # the original error holds the request, and that holds the key and the prompt
            raise failure.with_traceback(None)
        return reply

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def _mended(self, request: Request, reply: Reply, fault: Fault, trip: _Trip) -> Reply:
        """Return a reply that satisfies the schema, if need be after telling the model once what is wrong with it."""
        problem = None if reply.truncated else fault(reply.text)
        if problem:
            trip.reply = reply
            again = await self._retry(repair(request, reply.text, problem), trip)
            reply = both(reply, again)
            problem = None if reply.truncated else fault(reply.text)
        trip.reply = reply
        if reply.truncated:
            said = f"cut off at {request.max_tokens} tokens, so it is not the JSON asked for; raise max_tokens"
            raise self._error(ProviderMisused, said, trip, 200)
        if problem:
            said = "two replies running were not the JSON asked for; simplify the schema or use another provider"
            raise self._error(ProviderBroken, said, trip, 200)
        return reply

    async def _retry(self, request: Request, trip: _Trip) -> Reply:
        """Send until a reply comes, the failure is one that stays, or the attempts are used up."""
        body = self._dialect.encode(self.model, request, self._sampling)
        if request.stream:
            body |= self._dialect.streaming
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        self._wire.open()
        for attempt in range(ATTEMPTS):
            trip.waited += await self._pace.enter()
            began = time.perf_counter()
            trip.attempts, trip.failed, trip.first, trip.heard = trip.attempts + 1, None, None, Heard()
            try:
                answer = await self._send(content, request, trip, began)
            except _TryAgain as again:
                failure = again
                if again.error.status in BUSY:
                    self._pace.refused()
            else:
                self._pace.accepted()
                return self._reply(answer, trip, time.perf_counter() - began)
            finally:
                self._pace.leave()
            pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) + random.uniform(0, FIRST_PAUSE)  # noqa: S311 - no secret
            if attempt + 1 == ATTEMPTS or (failure.after or 0) >= trip.left:
                break
            trip.failed, slept = failure.error, time.perf_counter()
            await anyio.sleep(pause if failure.after is None else failure.after)
            trip.waited += time.perf_counter() - slept
        raise failure.error

    async def _send(self, content: bytes, request: Request, trip: _Trip, began: float) -> Answer:
        """Send once and read the whole reply."""
        path = self._dialect.path(self.model, stream=request.stream)
        failure: Exception
        try:
            response = await self._wire.post(path, self._headers(request), content)
            try:
                trip.request_id = next((response.headers[h] for h in _REQUEST_IDS if h in response.headers), None)
                kind = response.headers.get("content-type", "")
                if response.status_code == 200 and "text/event-stream" in kind and request.stream:
                    return await self._listen(response, trip, began)
                data = await self._wire.read(response)
            finally:
                await response.stream.aclose()  # type: ignore[union-attr]  # what has not come to its end is closed
            if response.status_code != 200:
                raise self._refusal(response, data, request, trip)
            if "json" not in kind:
                raise self._error(ProviderBroken, "the reply is not JSON; is base_url right?", trip, 200)
            return self._dialect.decode(parse(data))
        except Unreached as error:
            failure = _TryAgain(self._error(ProviderBroken, str(error), trip))
        except Cut as error:
            failure = self._error(ProviderBroken, str(error), trip)
        except (Malformed, ValidationError, AttributeError, TypeError) as error:
            where = f": {error}" if isinstance(error, Malformed) else ""
            failure = self._error(ProviderBroken, f"the reply is not in the vendor's format{where}", trip, 200)
        except (ValueError, RecursionError):
            failure = self._error(ProviderBroken, "the reply is not valid JSON", trip, 200)
        raise failure

    async def _listen(self, response: httpx.Response, trip: _Trip, began: float) -> Answer:
        """Read a stream event by event, so that what has been heard is known whenever it ends."""
        events, heard, dialect = Events(), trip.heard, self._dialect
        async for chunk in self._wire.chunks(response, LARGEST_STREAM, STALL):
            for data in events.feed(chunk):
                if data == b"[DONE]":
                    continue
                event = parse(data)
                if isinstance(event, dict) and event.get("error"):
                    raise self._broken_off(event, trip)
                dialect.hear(event, heard)
                if trip.first is None and heard.pieces:
                    trip.first = time.perf_counter() - began
        return dialect.decode(dialect.whole(heard))

    def _broken_off(self, event: Json, trip: _Trip) -> Exception:
        """Name an error that comes within a stream; what has begun may have been billed and is not asked again."""
        why = explain(event, self._key, trip.request)
        busy = any(word in str(event["error"]) for word in _OVERLOADED)
        said = f"{'is overloaded or rate-limited' if busy else 'failed on its side'} in the middle of its reply{why}"
        error = self._error(ProviderBusy if busy else ProviderBroken, said, trip, 529 if busy else 200)
        return error if trip.heard.pieces else _TryAgain(error)

    def _headers(self, request: Request) -> dict[str, str]:
        """Return the headers with the key, put together at the last moment: nothing of ours keeps it in clear."""
        key = {self._dialect.key_header: self._dialect.key_prefix + self._key.get_secret_value()} if self._key else {}
        again = {"idempotency-key": request.idempotency_key} if request.idempotency_key else {}
        return {**_HEADERS, **self._dialect.headers, **key, **again}

    def _refusal(self, response: httpx.Response, data: bytes, request: Request, trip: _Trip) -> Exception:
        """Name what a status other than 200 means by the caller's next move."""
        status = response.status_code
        try:
            why = explain(parse(data), self._key, request)
        except (ValueError, RecursionError):
            why = ""
        kind: type[ProviderError] = ProviderMisused
        if status in RETRIED and "insufficient_quota" not in why:
            kind = ProviderBusy if status in BUSY else ProviderBroken
            said = "is overloaded or rate-limited" if status in BUSY else "failed on its side"
            error = self._error(kind, f"{said} (HTTP {status}){why}", trip, status)
            return _TryAgain(error, retry_after(response.headers.get("retry-after"), datetime.now(UTC)))
        if status in (401, 403):
            said = f"the key was not accepted (HTTP {status}); check the key and what it may use"
        elif status >= 400:
            said = f"the request was not accepted (HTTP {status}){why or '; check the model and its options'}"
            if status == 404:
                said = f"no such model or address (HTTP 404); check '{self.model}' and base_url{why}"
            if not self._tariff.listed and (status == 404 or "model" in why):  # some servers say 400 to a model's name
                said += near_models(self.vendor, self.model)
        elif status >= 300:
            kind, said = ProviderBroken, f"answered with a redirect (HTTP {status}), which is not followed; correct base_url"  # fmt: skip
        else:
            kind, said = ProviderBroken, f"answered HTTP {status} without a reply"
        return self._error(kind, said, trip, status)

    def _reply(self, answer: Answer, trip: _Trip, took: float) -> Reply:
        trip.service += took
        if answer.stop == "refusal":
            reason = plain(answer.refusal or "refusal", 60)
            raise self._error(ProviderRefused, f"declined to answer ({reason}); change the request", trip, 200)
        return Reply(
            text=hide(answer.text.encode("utf-8", "replace").decode(), self._key),
            provider=self.id,
            model=plain(answer.model, 200) if answer.model else None,
            stop=answer.stop,
            usage=answer.usage,
            cost=self._tariff.cost(answer.usage),
            price=self._tariff.price,
            latency_seconds=trip.service,
            time_to_first_token_seconds=trip.first,
            wait_seconds=trip.waited,
            attempts=trip.attempts,
            request_id=trip.request_id,
        )

    def _received(self, trip: _Trip) -> Reply | None:
        """Return what came before a call ended without a reply that can be used: it may have been paid for."""
        if trip.reply or not trip.heard.pieces:
            return trip.reply
        return self._reply(Answer(text=trip.heard.text, stop="other"), trip, 0.0)

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
