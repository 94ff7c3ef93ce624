"""What each vendor is sent for a request, and what is read from its reply, body by body."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nyxlab.providers.anthropic import AnthropicDialect
from nyxlab.providers.dialect import Malformed, Sampling
from nyxlab.providers.google import GoogleDialect
from nyxlab.providers.messages import Json, Message, Request, Usage
from nyxlab.providers.openai import OpenAIDialect

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}, "t": {"type": "array", "items": {"type": "string"}}},
    "required": ["n", "t"],
}
PLAIN = Request(messages=[Message("user", "hi")], max_tokens=16)
WHOLE = Request(
    messages=[
        Message("user", "look"),
        Message("assistant", "ok"),
        Message("user", "go"),
    ],
    system="Be brief.",
    max_tokens=16,
    output_schema=SCHEMA,
)
DRAWN = Sampling(temperature=0.5, top_p=0.9, seed=7)
ANTHROPIC, GOOGLE, OPENAI, COMPATIBLE = (
    AnthropicDialect(),
    GoogleDialect(),
    OpenAIDialect("max_completion_tokens"),
    OpenAIDialect(),
)


@dataclass(frozen=True)
class WireCase:
    name: str
    dialect: AnthropicDialect | GoogleDialect | OpenAIDialect
    request: Request
    sampling: Sampling
    body: Json


def closed(**n: Json) -> Json:
    return {
        "type": "object",
        "properties": {"n": {"type": "integer", **n}, "t": {"type": "array", "items": {"type": "string"}}},
        "required": ["n", "t"],
        "additionalProperties": False,
    }


SENT = [
    WireCase(
        "anthropic plain",
        ANTHROPIC,
        PLAIN,
        Sampling(),
        {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]},
    ),
    WireCase(
        "anthropic whole",
        ANTHROPIC,
        WHOLE,
        DRAWN,
        {
            "model": "m",
            "max_tokens": 16,
            "system": "Be brief.",
            "temperature": 0.5,
            "top_p": 0.9,
            "messages": [
                {"role": "user", "content": "look"},
                {"role": "assistant", "content": "ok"},
                {"role": "user", "content": "go"},
            ],
            "output_config": {"format": {"type": "json_schema", "schema": closed()}},
        },
    ),
    WireCase(
        "google plain",
        GOOGLE,
        PLAIN,
        Sampling(),
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 16}},
    ),
    WireCase(
        "google whole",
        GOOGLE,
        WHOLE,
        DRAWN,
        {
            "contents": [
                {"role": "user", "parts": [{"text": "look"}]},
                {"role": "model", "parts": [{"text": "ok"}]},
                {"role": "user", "parts": [{"text": "go"}]},
            ],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {
                "maxOutputTokens": 16,
                "temperature": 0.5,
                "topP": 0.9,
                "seed": 7,
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
            },
        },
    ),
    WireCase(
        "openai plain",
        OPENAI,
        PLAIN,
        Sampling(),
        {"model": "m", "max_completion_tokens": 16, "messages": [{"role": "user", "content": "hi"}]},
    ),
    WireCase(
        "compatible whole",
        COMPATIBLE,
        WHOLE,
        DRAWN,
        {
            "model": "m",
            "max_tokens": 16,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 7,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "look"},
                {"role": "assistant", "content": "ok"},
                {"role": "user", "content": "go"},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": closed(minimum=1), "strict": False},
            },
        },
    ),
]


@pytest.mark.parametrize("case", SENT, ids=lambda case: case.name)
def test_bodies(case: WireCase) -> None:
    """The body on the wire is exactly this one: nothing that was not asked for is sent."""
    assert case.dialect.encode("m", case.request, case.sampling) == case.body


def test_strict_where_the_schema_allows_it() -> None:
    """OpenAI's strict mode is switched on for a schema whose every object is closed and whose properties are
    required."""
    strict = Request(messages=PLAIN.messages, output_schema=closed())
    loose = Request(messages=PLAIN.messages, output_schema={**closed(), "required": ["n"]})
    assert [OPENAI.encode("m", r, Sampling())["response_format"]["json_schema"]["strict"] for r in (strict, loose)] == [
        True,
        False,
    ]


ANTHROPIC_USAGE = {
    "input_tokens": 1,
    "cache_read_input_tokens": 20,
    "cache_creation_input_tokens": 3,
    "output_tokens": 9,
}
OPENAI_USAGE = {
    "prompt_tokens": 21,
    "completion_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 20},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
GOOGLE_USAGE = {
    "promptTokenCount": 21,
    "cachedContentTokenCount": 20,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 4,
}


def anthropic(**change: Json) -> Json:
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    return {"model": "m-1", "content": content, "stop_reason": "end_turn", "usage": ANTHROPIC_USAGE, **change}


def openai(reason: str = "stop", usage: Json = OPENAI_USAGE, **message: Json) -> Json:
    choice = {"message": {"content": "ab", **message}, "finish_reason": reason}
    return {"model": "m-1", "choices": [choice], "usage": usage}


def google(reason: str | None = "STOP", usage: Json = GOOGLE_USAGE, parts: Json = None) -> Json:
    parts = parts or [{"text": "hm", "thought": True}, {"text": "a"}, {"text": "b"}]
    return {
        "modelVersion": "m-1",
        "candidates": [{"content": {"parts": parts}, "finishReason": reason}],
        "usageMetadata": usage,
    }


READ = [
    (ANTHROPIC, anthropic(), Usage(input_tokens=1, output_tokens=9, cache_read_tokens=20, cache_write_tokens=3)),
    (OPENAI, openai(), Usage(input_tokens=1, output_tokens=9, cache_read_tokens=20, reasoning_tokens=4)),
    (GOOGLE, google(), Usage(input_tokens=1, output_tokens=9, cache_read_tokens=20, reasoning_tokens=4)),
]


@pytest.mark.parametrize(("dialect", "body", "usage"), READ)
def test_three_ways_of_counting_become_one(dialect: GoogleDialect, body: Json, usage: Usage) -> None:
    """The same call is counted alike whoever answered: cached tokens apart from input, reasoning within output."""
    answer = dialect.decode(body)
    assert (answer.text, answer.stop, answer.model, answer.usage) == ("ab", "end", "m-1", usage)


@pytest.mark.parametrize(
    ("dialect", "body", "stop"),
    [
        (ANTHROPIC, anthropic(stop_reason="max_tokens"), "length"),
        (ANTHROPIC, anthropic(stop_reason="refusal", content=[]), "refusal"),
        (ANTHROPIC, anthropic(stop_reason="pause_turn"), "other"),
        (OPENAI, openai("length"), "length"),
        (OPENAI, openai("content_filter", content=None), "refusal"),
        (OPENAI, openai(refusal="I will not", content=None), "refusal"),
        (OPENAI, openai("tool_calls"), "other"),
        (GOOGLE, google("MAX_TOKENS"), "length"),
        (GOOGLE, {"candidates": [{"finishReason": "MAX_TOKENS"}]}, "length"),
        (GOOGLE, google("SAFETY"), "refusal"),
        (GOOGLE, google("MALFORMED_RESPONSE"), "other"),
        (GOOGLE, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "refusal"),
    ],
)
def test_stops(dialect: GoogleDialect, body: Json, stop: str) -> None:
    """Each vendor's reason to stop is one of end, length, refusal and other."""
    assert dialect.decode(body).stop == stop


@pytest.mark.parametrize("count", [-1, 1.0, True, "7", [], float("inf")])
@pytest.mark.parametrize(
    ("dialect", "body", "counts"),
    [
        (ANTHROPIC, anthropic, ANTHROPIC_USAGE),
        (OPENAI, openai, OPENAI_USAGE),
        (GOOGLE, google, GOOGLE_USAGE),
    ],
)
def test_a_count_that_is_none_is_no_usage(dialect: GoogleDialect, body: object, counts: dict, count: Json) -> None:
    """One wrong count spoils the usage, so that its cost is unknown; the text is kept."""
    field = "usageMetadata" if dialect is GOOGLE else "usage"
    for name in (name for name, value in counts.items() if isinstance(value, int)):
        answer = dialect.decode({**body(), field: {**counts, name: count}})
        assert (answer.text, answer.usage) == ("ab", None), name
    assert dialect.decode({**body(), field: None}).usage is None


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI, GOOGLE])
@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "x",
        7,
        {},
        {"choices": []},
        {"choices": [{"message": {"content": 7}}]},
        {"content": [{"type": "text", "text": 7}], "model": "m"},
        {"candidates": [{"content": {"parts": [{"text": 7}]}}]},
        {"candidates": {"x": 1}},
    ],
)
def test_what_is_not_the_format_is_malformed(dialect: GoogleDialect, body: Json) -> None:
    """A body of another shape ends in Malformed, whose text repeats nothing of the body."""
    with pytest.raises(Malformed):
        dialect.decode(body)
