"""What we send equals what the vendors' own SDKs send for it, apart from the differences that stand here with
reasons."""

from __future__ import annotations

import asyncio
import json

import pytest
from pydantic import BaseModel
from wire_peer import http, serve

from nyxlab.providers.messages import Json, Message, Request
from nyxlab.providers.registry import open_provider
from nyxlab.settings import load_settings

pytestmark = pytest.mark.anyio
KEY = "test-key-0123456789"


class reply(BaseModel):  # noqa: N801 - OpenAI's SDK names the schema after the class, and we name it so
    n: int
    words: list[str]


SHAPES: dict[str, dict] = {
    "plain": {"messages": [Message("user", "hi")]},
    "system": {"messages": [Message("user", "hi")], "system": "Be brief."},
    "turns": {"messages": [Message("user", "hi"), Message("assistant", "ho"), Message("user", "so?")]},
    "unicode": {"messages": [Message("user", "Grüße, 世界 \u2028 🙂")], "system": "Ein\nZeilenumbruch."},
}
OPTIONS: dict[str, dict] = {
    "bare": {},
    "temperature": {"temperature": 0.5},
    "schema": {"output_schema": reply.model_json_schema()},
    "stream": {"stream": True},
}
REQUESTS = {f"{s}-{o}": Request(max_tokens=16, **SHAPES[s], **OPTIONS[o]) for s in SHAPES for o in OPTIONS}

# What else differs, and why:
# - anthropic: the SDK of 2026 sends version 2026-10-21, which takes no temperature, and the key as a bearer token; we send
#   2023-06-01, the last version that takes one, with its x-api-key. So a temperature goes in as the SDK's extra_body.
# - google: the SDK's default path is /v1; we use /v1beta, which it is told here, since schemas and thoughts are there first.
#   It gives the system instruction a role, which is not read, and writes mime_type where the reference says mimeType.
# - openai: with its schema helper the SDK writes out "stream": false, which is the default.
# Headers that are not compared, and why.
HEADERS = {
    "anthropic-version": "see above",
    "accept": "we read one type and say so; a stream is asked for in the body or the path",
    "accept-encoding": "we ask for nothing compressed: replies are small, and bombs are not",
    "user-agent": "we say who we are",
    "connection": "keeping the connection is HTTP/1.1's default",
    "host": "each call has a server of its own here",
    "content-length": "follows from the body, whose white space is free",
    "x-stainless-*": "the SDKs' telemetry about the caller's machine: no vendor needs it",
    "x-goog-api-client": "the SDK's telemetry",
    "anthropic-beta": "the SDK's helper for schemas still asks for the beta of what is now generally available",
    "idempotency-key": "the SDK's own retries; we say which attempts were made in the reply",
}


async def openai_sdk(url: str, request: Request) -> None:
    from openai import AsyncOpenAI

    system = [{"role": "system", "content": request.system}] if request.system else []
    given = {
        "model": "m",
        "messages": [*system, *({"role": m.role, "content": m.content} for m in request.messages)],
        "max_tokens": 16,
    }
    if request.temperature is not None:
        given["temperature"] = request.temperature
    async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        if request.output_schema:
            await client.chat.completions.parse(**given, response_format=reply)
        elif request.stream:
            await client.chat.completions.create(**given, stream=True, stream_options={"include_usage": True})
        else:
            await client.chat.completions.create(**given)


async def anthropic_sdk(url: str, request: Request) -> None:
    from anthropic import AsyncAnthropic

    given = {
        "model": "m",
        "max_tokens": 16,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
    }
    given |= {"system": request.system} if request.system else {}
    extra = {"extra_body": {"temperature": request.temperature}} if request.temperature is not None else {}
    async with AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as client:
        if request.output_schema:
            await client.messages.parse(**given, output_format=reply)
        else:
            await client.messages.create(**given, **({"stream": True} if request.stream else {}), **extra)


async def google_sdk(url: str, request: Request) -> None:
    from google import genai
    from google.genai import types

    roles = {"user": "user", "assistant": "model"}
    contents = [
        types.Content(role=roles[m.role], parts=[types.Part.from_text(text=m.content)]) for m in request.messages
    ]
    schema = {"response_mime_type": "application/json", "response_json_schema": request.output_schema}
    config = types.GenerateContentConfig(
        max_output_tokens=16,
        system_instruction=request.system,
        temperature=request.temperature,
        **(schema if request.output_schema else {}),
    )
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url, api_version="v1beta"))
    if request.stream:
        async for _ in await client.aio.models.generate_content_stream(model="m", contents=contents, config=config):
            pass
    else:
        await client.aio.models.generate_content(model="m", contents=contents, config=config)
    await client.aio.aclose()


GOOD: dict[str, Json] = {
    "openai": {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": '{"n": 1, "words": []}'}, "finish_reason": "stop"}]},
    "anthropic": {"id": "1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": '{"n": 1, "words": []}'}],
        "usage": {"input_tokens": 1, "output_tokens": 1}},
    "google": {"candidates": [{"content": {"role": "model", "parts": [{"text": '{"n": 1, "words": []}'}]},
        "finishReason": "STOP"}]},
}  # fmt: skip
SDKS = {"openai": openai_sdk, "anthropic": anthropic_sdk, "google": google_sdk}
PACKAGES = {"openai": "openai", "anthropic": "anthropic", "google": "google.genai"}


def headers(head: str) -> dict[str, str]:
    """The headers without those of the list above."""
    lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
    named = {name.lower(): value for name, _, value in lines}
    if "x-api-key" in named:
        named["authorization"] = f"Bearer {named.pop('x-api-key')}"
    return {n: v for n, v in named.items() if n not in HEADERS and not n.startswith("x-stainless-")}


def alike(body: dict) -> dict:
    """The SDK's body without the differences that stand above."""
    theirs = json.loads(json.dumps(body).replace('"mime_type"', '"mimeType"'))
    theirs.get("systemInstruction", {}).pop("role", None)
    return {name: value for name, value in theirs.items() if (name, value) != ("stream", False)}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("vendor", SDKS)
async def test_we_send_what_the_sdk_sends(vendor: str, name: str) -> None:
    """The same path, body and headers, field by field, for sixteen requests of each vendor."""
    pytest.importorskip(PACKAGES[vendor], reason=f"{PACKAGES[vendor]} is not installed")
    request = REQUESTS[name]
    async with serve(http(200, GOOD[vendor])) as peer:
        async with asyncio.timeout(30):
            try:
                await SDKS[vendor](peer.url, request)
            except Exception:  # a stream was asked for and a body came: what was sent is what counts here
                assert request.stream, json.dumps(peer.bodies)
        version = "" if vendor == "openai" else {"anthropic": "/v1", "google": "/v1beta"}[vendor]
        url = peer.url + version
        async with open_provider(f"{vendor}:m", settings=load_settings(), base_url=url, api_key=KEY) as ours:
            await ours.ask(request)
    assert peer.heads[-1].split("\r\n")[0] == peer.heads[0].split("\r\n")[0]
    assert peer.bodies[-1] == alike(peer.bodies[0])
    assert headers(peer.heads[-1]) == headers(peer.heads[0])
