"""OpenAI's chat-completions format, as pure functions; other servers that speak it differ in one name."""

from __future__ import annotations

from typing import ClassVar

from nyxlab.providers.dialect import Answer, Dialect, Partial, Sampling, closed, look, pick, tally, usage
from nyxlab.providers.messages import Json, Request, Stop, Usage

# What strict mode enforces on every model; a schema with anything else is still sent, and enforced as far as it goes.
_STRICT = "type properties required additionalProperties items anyOf enum const description title $ref $defs"


class OpenAIDialect(Dialect):
    """``POST {base}/chat/completions``. Its ``prompt_tokens`` include cached ones, so those are taken off."""

    base_url = "https://api.openai.com/v1"  # others serve it under any path, so none is added to theirs
    key_header = "authorization"
    key_prefix = "Bearer "
    streaming: ClassVar = {"stream": True, "stream_options": {"include_usage": True}}
    stops: ClassVar[dict[str | None, Stop]] = {"stop": "end", "length": "length", "content_filter": "refusal"}

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
            "messages": [*system, *({"role": m.role, "content": m.content} for m in request.messages)],
            self._limit: request.max_tokens,
            **sampling.given(request),
        }
        if request.output_schema is not None:
            schema = closed(request.output_schema)
            json_schema = {"name": "reply", "schema": schema, "strict": _is_strict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        return body

    def decode(self, body: Json, /) -> Answer:
        """Return what the body says: a stream's one chunk, but for a name."""
        partial = Partial()
        pick(body, "choices", 0, "message", kind=dict)
        self.hear(body, partial)
        return self.answer(partial)

    def hear(self, event: Json, partial: Partial, /) -> None:
        """Take one chunk in: text in pieces, the reason to stop in the last but one, the counts in the last."""
        partial.note(model=look(event, "model"), counts=look(event, "usage"))
        for choice in pick(event, "choices", kind=list)[:1] if look(event, "choices") else []:
            said = look(choice, "delta") or look(choice, "message")
            if look(said, "content"):
                partial.pieces.append(pick(said, "content", kind=str))
            refusal = "refusal" if look(said, "refusal") else None
            partial.note(reason=look(choice, "finish_reason"), refusal=refusal)

    def usage(self, counts: dict[str, Json], /) -> Usage | None:
        """Return the counts."""
        cached = look(counts, "prompt_tokens_details", "cached_tokens", default=0)
        written = look(counts, "prompt_tokens_details", "cache_write_tokens", default=0)
        return usage(
            input_tokens=tally(counts.get("prompt_tokens"), less=(cached, written)),
            output_tokens=counts.get("completion_tokens"),
            cache_read_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=look(counts, "completion_tokens_details", "reasoning_tokens", default=0),
        )


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
