"""A provider behind a URL: turns, retries, deadlines and repairs of a call in any vendor's format live here, once."""

from __future__ import annotations

import json
import logging
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
from pydantic import SecretStr

from nyxlab.errors import ProviderBroken, ProviderBusy, ProviderError, ProviderMisused, ProviderRefused
from nyxlab.providers.base import Capabilities, Provider, fill_receipt
from nyxlab.providers.dialect import Answer, Cut, Dialect, Malformed, Partial, Sampling, Unreached, look
from nyxlab.providers.messages import Cost, Json, Reply, Request
from nyxlab.providers.pace import pace_of
from nyxlab.providers.prices import Tariff, near_model
from nyxlab.providers.refusals import BUSY, RETRIED, explain, failure, hide, meaning, plain, retry_after
from nyxlab.providers.sse import Events
from nyxlab.providers.structured import Fault, both, fault_finder, read_json, repair

if TYPE_CHECKING:
    import httpx

    from nyxlab.providers.wire import Wire

ATTEMPTS = 4
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds between attempts, doubled each time, where the vendor names none
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
class _Call:
    """What one call has been through so far; the only mutable thing of a call. Times are in seconds."""

    deadline: float
    started: float = field(default_factory=time.perf_counter)
    attempts: int = 0
    sent: int = 0  # attempts that came as far as a connection
    waited: float = 0.0
    service: float = 0.0
    first: float | None = None
    request_id: str | None = None
    partial: Partial = field(default_factory=Partial)
    reply: Reply | None = None  # a whole one, which is being repaired
    failed: ProviderError | None = None  # the last attempt's error, while the next one is waited for

    @property
    def left(self) -> float:
        return self.deadline - (time.perf_counter() - self.started)


class _MayPass(Exception):
    """An attempt failed as the next one need not; ``after`` is the vendor's own wish in seconds. Never seen outside."""

    def __init__(self, error: ProviderError, after: float | None = None) -> None:
        super().__init__(type(error).__name__)
        self.error, self.after = error, after


class HttpProvider(Provider):
    """One model of one endpoint. ``why_no_key`` says what to do where the key that is needed is missing.

    ``kept`` is how long an idle connection is kept, in seconds.
    """

    kept = 15.0

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
        self._base_url, self._pace = base_url, pace_of(base_url)
        self._wire: Wire | None = None

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
        call = _Call(request.deadline)
        ticket = self._pace.begin()
        try:
            reply = await self._within_deadline(request, call, fault)
        except ProviderError as error:
            failure = error
            if isinstance(error, ProviderBusy | ProviderBroken) and call.attempts and call.reply is None:
                self._pace.failed(ticket)
            elif call.attempts:
                self._pace.answered()
        else:
            self._pace.answered()
            return reply
        finally:
            self._pace.end(ticket)
            fill_receipt(sent=call.sent > 0, received=self._received(call))
        failure.__context__ = None  # the original error holds the request, and that holds the key and the prompt
        raise failure.with_traceback(None)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._wire:
            await self._wire.aclose()

    async def _within_deadline(self, request: Request, call: _Call, fault: Fault | None) -> Reply:
        with anyio.move_on_after(request.deadline):
            reply = await self._retry(request, call)
            return reply if fault is None else await self._mended(request, reply, fault, call)
        if not call.attempts:
            said = f"no turn within {request.deadline:g} s; ask it less at once, or allow a longer deadline"
            raise self._error(ProviderBusy, said, call)
        said = f"no reply within {request.deadline:g} s; allow a longer deadline or use another provider"
        raise call.failed or self._error(ProviderBroken, said, call)

    async def _mended(self, request: Request, reply: Reply, fault: Fault, call: _Call) -> Reply:
        """Return a reply that satisfies the schema, if need be after telling the model once what is wrong with it."""
        problem = None if reply.truncated else fault(reply.text)
        if problem:
            call.reply = reply
            again = await self._retry(repair(request, reply.text, problem), call)
            reply = both(reply, again)
            problem = None if reply.truncated else fault(reply.text)
        call.reply = reply
        if reply.truncated:
            said = f"cut off at {request.max_tokens} tokens, so it is not the JSON asked for; raise max_tokens"
            raise self._error(ProviderMisused, said, call, 200)
        if problem:
            said = "two replies running were not the JSON asked for; simplify the schema or use another provider"
            raise self._error(ProviderBroken, said, call, 200)
        return reply

    async def _retry(self, request: Request, call: _Call) -> Reply:
        """Send until a reply comes, the failure is one that stays, or the attempts are used up."""
        body = self._dialect.encode(self.model, request, self._sampling)
        if request.stream:
            body |= self._dialect.streaming
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        wire = await self._connected()
        for attempt in range(ATTEMPTS):
            call.waited += await self._pace.enter()
            try:
                reply = await self._attempt(wire, content, request, call)
            except _MayPass as error:
                failure = error
                if failure.error.status in BUSY:
                    self._pace.refused()
            else:
                self._pace.accepted()
                return reply
            finally:
                self._pace.leave()
            jitter = random.uniform(0, FIRST_PAUSE)  # noqa: S311 - no secret
            pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) + jitter
            if attempt + 1 == ATTEMPTS or (failure.after or 0) >= call.left:
                break
            call.failed, slept = failure.error, time.perf_counter()
            await anyio.sleep(pause if failure.after is None else failure.after)
            call.waited += time.perf_counter() - slept
        raise failure.error

    async def _connected(self) -> Wire:
        """Return the connections, open: that takes up to a second at first, which is no part of any latency."""
        if self._wire is None:
            from nyxlab.providers.wire import Wire

            self._wire = Wire(self._base_url, kept=self.kept)
        self._wire.open()
        return self._wire

    async def _attempt(self, wire: Wire, content: bytes, request: Request, call: _Call) -> Reply:
        """Send once and return what was answered."""
        began = time.perf_counter()
        call.attempts, call.sent = call.attempts + 1, call.sent + 1
        call.failed, call.first, call.partial = None, None, Partial()
        path = self._dialect.path(self.model, stream=request.stream)
        try:
            response = await wire.post(path, self._headers(request), content)
            try:
                answer = await self._read(wire, response, request, call, began)
            finally:
                await response.aclose()  # what has not come to its end is closed
        except Unreached as error:
            call.sent -= 1
            raise _MayPass(self._error(ProviderBroken, str(error), call)) from None
        except Cut as error:
            raise self._error(ProviderBroken, str(error), call) from None
        except Malformed as error:
            said = f"the reply is not in the vendor's format: {error}"
            raise self._error(ProviderBroken, said, call, 200) from None
        call.service += time.perf_counter() - began
        if answer.stop == "refusal":
            reason = plain(answer.refusal or "refusal", 60)
            raise self._error(ProviderRefused, f"declined to answer ({reason}); change the request", call, 200)
        return self._reply(answer, call)

    async def _read(self, wire: Wire, response: httpx.Response, request: Request, call: _Call, began: float) -> Answer:
        """Read a whole reply, or a stream event by event, so that what came is known whenever it ends."""
        call.request_id = next((response.headers[h] for h in _REQUEST_IDS if h in response.headers), None)
        kind = response.headers.get("content-type", "")
        if not (response.status_code == 200 and "text/event-stream" in kind and request.stream):
            data = await wire.read(response)
            if response.status_code != 200:
                raise self._refusal(response, data, request, call)
            if "json" not in kind:
                raise self._error(ProviderBroken, "the reply is not JSON; is base_url right?", call, 200)
            return self._dialect.decode(_parse(data))
        events, partial = Events(), call.partial
        async for chunk in wire.chunks(response):
            for data in events.feed(chunk):
                if data == b"[DONE]":
                    continue
                event = _parse(data)
                if look(event, "error"):
                    raise self._broken_off(event, request, call)
                self._dialect.hear(event, partial)
                if call.first is None and partial.pieces:
                    call.first = time.perf_counter() - began
        if partial.reason is None:
            raise Malformed("the stream ended before the reply did")
        return self._dialect.answer(partial)

    def _broken_off(self, event: Json, request: Request, call: _Call) -> Exception:
        """Name an error that comes within a stream; what has begun may have been billed and is not asked again."""
        why = explain(event, self._key, request)
        busy = any(word in str(event["error"]) for word in _OVERLOADED)
        kind, said = failure(busy=busy)
        error = self._error(kind, f"{said} in the middle of its reply{why}", call, 529 if busy else 200)
        return error if call.partial.pieces else _MayPass(error)

    def _headers(self, request: Request) -> dict[str, str]:
        """Return the headers with the key, put together at the last moment: nothing of ours keeps it in clear."""
        key = {self._dialect.key_header: self._dialect.key_prefix + self._key.get_secret_value()} if self._key else {}
        again = {"idempotency-key": request.idempotency_key} if request.idempotency_key else {}
        return {**_HEADERS, **self._dialect.headers, **key, **again}

    def _refusal(self, response: httpx.Response, data: bytes, request: Request, call: _Call) -> Exception:
        """Name what a status other than 200 means."""
        status = response.status_code
        try:
            why = explain(_parse(data), self._key, request)
        except Malformed:
            why = ""
        kind, said = meaning(status, why, self.model)
        if kind is not ProviderMisused:
            error = self._error(kind, said, call, status)
            wish = retry_after(response.headers.get("retry-after"), datetime.now(UTC))
            return _MayPass(error, wish) if status in RETRIED else error
        if not self._tariff.listed and (status == 404 or "model" in why):  # some servers say 400 to a model's name
            said += near_model(self.vendor, self.model)
        return self._error(kind, said, call, status)

    def _reply(self, answer: Answer, call: _Call) -> Reply:
        return Reply(
            text=hide(answer.text.encode("utf-8", "replace").decode(), self._key),
            provider=self.id,
            model=plain(answer.model, 200) if answer.model else None,
            stop=answer.stop,
            usage=answer.usage,
            cost=self._tariff.cost(answer.usage),
            price=self._tariff.price,
            latency_seconds=call.service,
            time_to_first_token_seconds=call.first,
            wait_seconds=call.waited,
            attempts=call.attempts,
            request_id=call.request_id,
        )

    def _received(self, call: _Call) -> Reply | None:
        """Return what came before a call ended without a reply that can be used: it may have been paid for."""
        if call.reply or not call.partial.pieces:
            return call.reply
        return self._reply(Answer(text=call.partial.text, stop="other"), call)

    def _error(self, kind: type[ProviderError], said: str, call: _Call, status: int | None = None) -> ProviderError:
        return kind(
            said,
            provider=self.id,
            status=status,
            request_id=call.request_id,
            attempts=call.attempts,
            wait_seconds=call.waited,
            received=self._received(call),
        )


def _parse(data: bytes) -> Json:
    try:
        return read_json(data)
    except ValueError:
        raise Malformed("it is not valid JSON") from None
