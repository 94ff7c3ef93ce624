"""One call over a real socket: what each status means, what is waited for, what is capped and what never leaks."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from wire_peer import http, serve

import nyxlab.providers.http as wire
from nyxlab.errors import ProviderBroken, ProviderBusy, ProviderError, ProviderMisused, ProviderRefused
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.refusals import retry_after
from nyxlab.providers.registry import open_provider
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio

KEY = "sk-VERY-secret-0123456789"
PROMPT = "The merger with Initech closes on Friday; tell nobody about it."
GOOD = {
    "openai": {"model": "m-1", "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}
    | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}},
    "anthropic": {"model": "m-1", "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn"}
    | {"usage": {"input_tokens": 3, "output_tokens": 1}},
    "google": {"candidates": [{"content": {"parts": [{"text": "hello"}]}, "finishReason": "STOP"}]}
    | {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}},
}
OK = http(200, GOOD["openai"], x_request_id="req-1")


def provider(url: str, vendor: str = "openai", key: str | None = KEY) -> Provider:
    return open_provider(f"{vendor}:m", settings=load_settings(), base_url=url, api_key=key)


def request(**options: object) -> Request:
    return Request(messages=[Message("user", PROMPT)], max_tokens=8, **{"deadline": 10, **options})


async def failure(*replies: object, **options: object) -> ProviderError:
    """Ask a peer that answers so, and return the error, after looking that it tells no secret."""
    async with serve(*replies) as peer, provider(peer.url) as asked:
        with pytest.raises(ProviderError) as raised:
            await asked.ask(request(**options))
    told = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + repr(vars(raised.value))
    assert KEY not in told
    assert "Initech" not in told
    assert raised.value.__context__ is None, "a context would drag the request and its headers along"
    return raised.value


@pytest.mark.parametrize(
    ("vendor", "path", "header"),
    [
        ("openai", "/chat/completions", f"authorization: Bearer {KEY}"),
        ("anthropic", "/v1/messages", f"x-api-key: {KEY}"),
        ("google", "/v1beta/models/m:generateContent", f"x-goog-api-key: {KEY}"),
    ],
)
async def test_a_call(vendor: str, path: str, header: str) -> None:
    """A call goes to the vendor's path with the key in the vendor's header alone, and its reply is read whole."""
    async with serve(http(200, GOOD[vendor], request_id="req-9")) as peer, provider(peer.url, vendor) as asked:
        reply = await asked.ask(request())
    head = peer.heads[0]
    assert head.startswith(f"POST {path} HTTP/1.1\r\n")
    assert header in head
    assert head.count(KEY) == 1
    assert ("anthropic-version: 2023-06-01" in head) == (vendor == "anthropic")
    assert (reply.text, reply.stop, reply.attempts, reply.request_id) == ("hello", "end", 1, "req-9")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 1)
    assert reply.cost.certainty == "unknown", "the vendor's price sheet does not speak for other servers"
    assert 0 < reply.latency_seconds < 5
    assert reply.wait_seconds == 0
    assert KEY not in f"{asked!r} {reply!r}"


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (400, ProviderMisused, "not accepted (HTTP 400): invalid_request_error bad option"),
        (401, ProviderMisused, "the key was not accepted (HTTP 401); check the key"),
        (403, ProviderMisused, "the key was not accepted (HTTP 403)"),
        (404, ProviderMisused, "no such model or address (HTTP 404); check 'm' and base_url"),
        (413, ProviderMisused, "HTTP 413"),
        (422, ProviderMisused, "HTTP 422"),
        (301, ProviderBroken, "redirect (HTTP 301), which is not followed; correct base_url"),
        (204, ProviderBroken, "HTTP 204"),
    ],
)
async def test_statuses_that_are_not_retried(status: int, kind: type, said: str) -> None:
    """What asking again cannot mend is asked once, and named by the caller's next move."""
    body = {"error": {"type": "invalid_request_error", "message": "bad option"}}
    raw = b"" if status == 204 else None
    error = await failure(http(status, body, raw=raw, x_request_id="req-2"))
    assert type(error) is kind
    assert said in str(error)
    assert (error.status, error.attempts, error.request_id) == (status, 1, "req-2")


@pytest.mark.parametrize("status", [404, 400])
async def test_an_unknown_model_names_near_ones(status: int) -> None:
    """A model's name that the server does not know is refused with near names, whichever status the server gives it."""
    body = {"error": {"message": "no such model"}}
    async with serve(http(status, body)) as peer, open_provider(
        "openai:gpt-4oo", settings=load_settings(), base_url=peer.url, api_key=KEY
    ) as asked:  # fmt: skip
        with pytest.raises(ProviderMisused, match=r"did you mean .*'gpt-4o'"):
            await asked.ask(request())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, ProviderBusy) for status in (408, 409, 429, 503, 529)),
        *((status, ProviderBroken) for status in (500, 502, 504)),
    ],
)
async def test_statuses_that_are_retried(status: int, kind: type) -> None:
    """What may pass is asked four times, then named; a success in between is a reply that says how many it took."""
    again = http(status, {"error": {"message": "soon"}}, retry_after="0.01")
    error = await failure(again)
    assert type(error) is kind
    assert (error.status, error.attempts) == (status, wire.ATTEMPTS)
    async with serve(again, again, OK) as peer, provider(peer.url) as asked:
        reply = await asked.ask(request())
    assert (reply.attempts, len(peer.heads)) == (3, 3)
    assert 0.02 <= reply.wait_seconds < 0.5


async def test_retry_after_is_waited_apart_from_service() -> None:
    """The vendor's wait, in seconds, is honoured and counted as waiting, not as latency."""
    async with serve(http(429, {}, retry_after="0.4"), OK) as peer, provider(peer.url) as asked:
        reply = await asked.ask(request())
    assert 0.4 <= reply.wait_seconds < 0.9
    assert reply.latency_seconds < 0.4


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    """Told to come back after the deadline, the call ends at once as busy instead of sleeping in vain."""
    began = time.perf_counter()
    error = await failure(http(429, {}, retry_after="3600"), deadline=5)
    assert (type(error), error.attempts) == (ProviderBusy, 1)
    assert time.perf_counter() - began < 2


def test_retry_after_in_every_form() -> None:
    """Seconds and dates are read, the past is now, and nonsense is no wish."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert retry_after("2", now) == 2
    assert retry_after(date, now) == 90
    assert retry_after(date, now + timedelta(days=1)) == 0
    for nonsense in (None, "", "soon", "nan", "inf", "1e999"):
        assert retry_after(nonsense, now) is None
    assert retry_after("-5", now) == 0


async def test_an_empty_account_is_not_asked_again() -> None:
    """A quota that is used up does not come back by waiting."""
    error = await failure(http(429, {"error": {"code": "insufficient_quota", "message": "pay"}}))
    assert (type(error), error.attempts) == (ProviderMisused, 1)


async def test_nobody_listens() -> None:
    """A dead address is tried again and then named as unreachable."""
    async with serve(OK) as peer:
        url = peer.url
    await asyncio.sleep(0.05)
    with pytest.raises(ProviderBroken, match=r"127\.0\.0\.1 could not be reached") as raised:
        await provider(url).ask(request(deadline=20))
    assert raised.value.attempts == wire.ATTEMPTS


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
    await writer.drain()


async def stay_silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " * 1_000_000)
        await writer.drain()


async def test_a_connection_that_breaks_is_not_asked_twice() -> None:
    """A reply that was begun may have been billed, so the call is not repeated by itself."""
    error = await failure(hang_up)
    assert (type(error), error.attempts) == (ProviderBroken, 1)
    assert "may have been billed" in str(error)


@pytest.mark.parametrize("peer", [stay_silent, drip])
async def test_the_deadline_holds_whatever_happens(peer: object) -> None:
    """Silence and a drip of bytes without end are both over when the deadline is."""
    began = time.perf_counter()
    error = await failure(peer, deadline=0.3)
    assert type(error) is ProviderBroken
    assert "no reply within 0.3 s" in str(error)
    assert time.perf_counter() - began < 2


async def test_the_deadline_bounds_retries_too() -> None:
    """Retries and the waits between them do not add up past the deadline."""
    began = time.perf_counter()
    error = await failure(http(503, {}), deadline=0.4)
    assert type(error) is ProviderBusy, "the last thing heard is what is told"
    assert time.perf_counter() - began < 1.5


async def test_a_flood_is_cut_off() -> None:
    """A body without end is given up at the cap."""
    error = await failure(flood)
    assert "larger than" in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        http(200, raw=b"<html>hello</html>", content_type="text/html"),
        http(200, raw=b"not json"),
        http(200, raw=b"\xff\xfe"),
        http(200, raw=b"[" * 200_000),
        http(200, raw=b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": NaN}}'),
        http(200, raw=b'{"n": ' + b"9" * 10_000 + b"}"),
        http(200, {"hello": "world"}),
        http(200, raw=b"\x1f\x8b\x08", content_encoding="gzip"),
    ],
    ids=["html", "text", "bytes", "deep", "nan", "digits", "format", "gzip"],
)
async def test_what_is_not_a_reply(reply: bytes) -> None:
    """Wrong type, wrong text, wrong shape, too deep, compressed, NaN: each is one named error, asked once."""
    error = await failure(reply)
    assert (type(error), error.attempts, error.status in (200, None)) == (ProviderBroken, 1, True)


@pytest.mark.parametrize("count", ["1e400", "-1", "true", '"7"', "1.5"])
async def test_a_wrong_usage_is_an_unknown_cost(count: str) -> None:
    """Text with a count that is none is kept, with usage None and a cost that is unknown, never 0."""
    raw = b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": %s, "completion_tokens": 1}}'
    async with serve(http(200, raw=raw % count.encode())) as peer, provider(peer.url) as asked:
        reply = await asked.ask(request())
    assert (reply.text, reply.usage, reply.cost.usd, reply.cost.certainty) == ("x", None, None, "unknown")


async def test_a_redirect_takes_no_key_along() -> None:
    """The place that a redirect points at is never asked, so it never sees a key."""
    async with serve(OK) as other, serve(http(307, {}, location=other.url + "/steal")) as peer:
        with pytest.raises(ProviderBroken, match="redirect"):
            await provider(peer.url, "anthropic").ask(request())
    assert other.heads == []


@pytest.mark.parametrize(
    "echo",
    [
        f"your key {KEY} is bad",
        "key sk-VERY-secret*** rejected",
        f"cannot parse: {PROMPT}",
        "near 'with Initech closes on Fri'",
    ],
)
@pytest.mark.parametrize("status", [400, 401, 429])
async def test_an_error_that_echoes_is_not_repeated(echo: str, status: int) -> None:
    """Where the vendor's own words repeat a piece of the key or of the prompt, they are left out."""
    error = await failure(http(status, {"error": {"message": echo}}, retry_after="0"))
    assert "secret" not in str(error)
    assert "Initech" not in str(error)


async def test_a_vendors_words_are_plain_text() -> None:
    """No escape sequence, direction mark or line break of a vendor reaches the terminal."""
    error = await failure(http(400, {"error": {"message": "red \x1b[31m\u202e\u200bend\nline"}}))
    assert str(error).endswith(": red [31mend line")


async def test_a_reply_that_echoes_the_key_loses_it() -> None:
    """A key that a server puts into its reply does not get into a checkpoint."""
    body = {"choices": [{"message": {"content": f"Bearer {KEY}!"}}]}
    async with serve(http(200, body)) as peer, provider(peer.url) as asked:
        assert (await asked.ask(request())).text == "Bearer [key removed]!"


async def test_refusals() -> None:
    """A model that declines is ProviderRefused with the vendor's reason; asking it again will not help."""
    error = await failure(
        http(200, {"choices": [{"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}]})
    )
    assert (type(error), error.attempts) == (ProviderRefused, 1)


async def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither URLs nor retries are logged at the levels that people see."""
    caplog.set_level(logging.INFO)
    async with serve(http(503, {}, retry_after="0"), OK) as peer, provider(peer.url) as asked:
        await asked.ask(request())
    assert [record.name for record in caplog.records if record.name != "asyncio"] == []


async def test_an_idempotency_key_goes_along_with_each_attempt() -> None:
    """A call under a key sends it with every attempt, a repair under another one, and a call without one sends none."""
    bad, schema = http(200, GOOD["openai"]), {"type": "object", "required": ["a"]}
    good = json.loads(json.dumps(GOOD["openai"]).replace('"hello"', json.dumps('{"a": 1}')))
    async with serve(http(503, {}, retry_after="0"), bad, http(200, good)) as peer, provider(peer.url) as asked:
        await asked.ask(request(idempotency_key="k-1", output_schema=schema))
    keys = [line for head in peer.heads for line in head.lower().splitlines() if line.startswith("idempotency-key")]
    assert keys == ["idempotency-key: k-1", "idempotency-key: k-1", "idempotency-key: k-1-repair"]
    async with serve(OK) as peer, provider(peer.url) as asked:
        await asked.ask(request())
    assert "idempotency-key" not in peer.heads[0].lower()


async def test_no_key_no_header() -> None:
    """A server that needs no key gets no header for one."""
    async with serve(OK) as peer, provider(peer.url, key=None) as asked:
        await asked.ask(request())
    assert "authorization" not in peer.heads[0].lower()


async def test_a_closed_provider_opens_again_and_closes_twice() -> None:
    """Closing twice is fine, and a closed provider may be asked again."""
    async with serve(OK) as peer:
        asked = provider(peer.url)
        assert (await asked.ask(request())).text == "hello"
        await asked.aclose()
        await asked.aclose()
        assert (await asked.ask(request())).text == "hello"
        await asked.aclose()
