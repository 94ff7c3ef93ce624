"""OpenAI's chat-completions format, as two pure functions; other servers that speak it differ in one name."""

from __future__ import annotations

from nyxlab.providers.dialect import Answer, Heard, Malformed, Sampling, closed, count, pick, tally, usage
from nyxlab.providers.messages import Json, Message, Request, Stop

_STOPS: dict[str | None, Stop] = {"stop": "end", "length": "length", "content_filter": "refusal"}
# What strict mode enforces on every model; a schema with anything else is still sent, and enforced as far as it goes.
_STRICT = "type properties required additionalProperties items anyOf enum const description title $ref $defs"


class OpenAIDialect:
    """``POST {base}/chat/completions``. Its ``prompt_tokens`` include cached ones, so those are taken off."""

    base_url = "https://api.openai.com/v1"
    version = ""  # others serve it under any path, or none
    headers: dict[str, str] = {}  # noqa: RUF012 - a constant of the format
    key_header = "authorization"
    key_prefix = "Bearer "
    streaming: dict[str, Json] = {"stream": True, "stream_options": {"include_usage": True}}  # noqa: RUF012 - a constant
    keeps = False

    def __init__(self, limit: str = "max_tokens") -> None:
        """``limit`` is ``max_completion_tokens`` at OpenAI, which refuses the old name that all others know."""
        self._limit = limit

    def path(self, _model: str, /, *, stream: bool = False) -> str:  # noqa: ARG002 - a stream has the same path
        """Return the one path there is; the model stands in the body."""
        return "/chat/completions"

    def encode(self, model: str, request: Request, sampling: Sampling, /) -> dict[str, Json]:
        """Return the body that asks for the reply."""
        system = [{"role": "system", "content": request.system}] if request.system else []
        body: dict[str, Json] = {
            "model": model,
            "messages": [*system, *({"role": m.role, "content": _content(m)} for m in request.messages)],
            self._limit: request.max_tokens,
            **sampling.given(request),
        }
        if request.output_schema is not None:
            schema = closed(request.output_schema)
            json_schema = {"name": "reply", "schema": schema, "strict": _is_strict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        return body

    def decode(self, body: Json, /) -> Answer:
        """Return what the body says."""
        choice = pick(body, "choices", 0, kind=dict)
        message = pick(choice, "message", kind=dict)
        reason = choice.get("finish_reason")
        refused = message.get("refusal") or ("content_filter" if reason == "content_filter" else None)
        counts = body.get("usage")
        cached = count(counts, "prompt_tokens_details", "cached_tokens")
        written = count(counts, "prompt_tokens_details", "cache_write_tokens")
        return Answer(
            text="" if message.get("content") is None else pick(message, "content", kind=str),
            stop="refusal" if refused else _STOPS.get(reason, "other"),
            refusal=None if not refused else "content_filter" if reason == "content_filter" else "refusal",
            model=pick(body, "model", kind=str) if "model" in body else None,
            usage=usage(
                tally(pick(counts, "prompt_tokens"), less=(cached, written)),
                pick(counts, "completion_tokens"),
                read=cached,
                write=written,
                reasoning=count(counts, "completion_tokens_details", "reasoning_tokens"),
            )
            if isinstance(counts, dict)
            else None,
        )

    def hear(self, event: Json, heard: Heard, /) -> None:
        """Take one chunk in: text in pieces, the reason to stop in the last but one, the counts in the last."""
        rest, choices = heard.rest, pick(event, "choices", kind=list) if "choices" in event else []
        rest |= {name: event[name] for name in ("model", "usage") if event.get(name)}
        for choice in choices[:1]:
            delta = count(choice, "delta")
            if count(delta, "content"):
                heard.pieces.append(pick(delta, "content", kind=str))
            rest["refusal"] = count(delta, "refusal") or rest.get("refusal")
            rest["finish_reason"] = count(choice, "finish_reason") or rest.get("finish_reason")

    def whole(self, heard: Heard, /) -> Json:
        """Return the completion with all of its text."""
        reason = heard.rest.get("finish_reason")
        if reason is None:
            raise Malformed("the stream ended before the reply did")
        message = {"content": heard.text, "refusal": heard.rest.get("refusal")}
        return {**heard.rest, "choices": [{"message": message, "finish_reason": reason}]}


def _content(message: Message) -> Json:
    if not message.images:
        return message.content
    images: list[Json] = [
        {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.base64}"}}
        for image in message.images
    ]
    return [*images, {"type": "text", "text": message.content}]


def _is_strict(schema: Json) -> bool:
    """Whether strict mode takes the schema: closed objects, every property required, no keyword it does not know."""
    if isinstance(schema, list):
        return all(_is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if not set(schema) <= set(_STRICT.split()):
        return False
    properties = schema.get("properties", {})
    if set(schema.get("required", ())) != set(properties) or schema.get("additionalProperties") not in (None, False):
        return False
    parts = [*properties.values(), *schema.get("$defs", {}).values(), schema.get("items"), schema.get("anyOf")]
    return all(_is_strict(part) for part in parts)
