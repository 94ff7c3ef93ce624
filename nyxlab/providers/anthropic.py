"""Anthropic's Messages format, as two pure functions."""

from __future__ import annotations

from nyxlab.providers.dialect import Answer, Heard, Malformed, Sampling, closed, count, pick, usage
from nyxlab.providers.messages import Json, Message, Request, Stop

# Refused by the vendor's structured outputs (400), so not sent; whoever asked checks the reply against all of it.
_UNSUPPORTED = (
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems "
    "uniqueItems minProperties maxProperties"
)
_STOPS: dict[str | None, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


class AnthropicDialect:
    """``POST /v1/messages``. Its ``input_tokens`` exclude cached ones, as ours do; its output includes thinking."""

    base_url = "https://api.anthropic.com/v1"
    version = "/v1"
    # The last version that takes temperature and top_p, which older models still accept.
    headers = {"anthropic-version": "2023-06-01"}  # noqa: RUF012 - a constant of the format
    key_header = "x-api-key"
    key_prefix = ""
    streaming: dict[str, Json] = {"stream": True}  # noqa: RUF012 - a constant of the format
    keeps = True

    def path(self, _model: str, /, *, stream: bool = False) -> str:  # noqa: ARG002 - a stream has the same path
        """Return the one path there is; the model stands in the body."""
        return "/messages"

    def encode(self, model: str, request: Request, sampling: Sampling, /) -> dict[str, Json]:
        """Return the body that asks for the reply."""
        body: dict[str, Json] = {
            "model": model,
            "max_tokens": request.max_tokens,
            "messages": [
                {"role": m.role, "content": _content(m, request.shared if n == 0 else 0)}
                for n, m in enumerate(request.messages)
            ],
        }
        if request.system:
            body["system"] = request.system
        asked = sampling.given(request)
        body.update({name: asked[name] for name in ("temperature", "top_p") if name in asked})
        if request.output_schema is not None:
            schema = closed(request.output_schema, drop=_UNSUPPORTED.split())
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return body

    def decode(self, body: Json, /) -> Answer:
        """Return what the body says."""
        blocks = pick(body, "content", kind=list)
        text = "".join(pick(block, "text", kind=str) for block in blocks if pick(block, "type") == "text")
        reason = body.get("stop_reason")
        counts = body.get("usage")
        return Answer(
            text=text,
            stop=_STOPS.get(reason, "other"),
            refusal=str(count(body, "stop_details", "category") or "refusal") if reason == "refusal" else None,
            model=pick(body, "model", kind=str),
            usage=usage(
                pick(counts, "input_tokens"),
                pick(counts, "output_tokens"),
                read=count(counts, "cache_read_input_tokens"),
                write=count(counts, "cache_creation_input_tokens"),
                reasoning=count(counts, "output_tokens_details", "thinking_tokens"),
            )
            if isinstance(counts, dict)
            else None,
        )

    def hear(self, event: Json, heard: Heard, /) -> None:
        """Take one event in: the message comes first and empty, then its text in pieces, then how it ended."""
        kind = pick(event, "type")
        if kind == "message_start":
            heard.rest = {**pick(event, "message", kind=dict)}
        elif kind == "content_block_delta" and pick(event, "delta", "type") == "text_delta":
            heard.pieces.append(pick(event, "delta", "text", kind=str))
        elif kind == "message_delta":
            counts = [count(heard.rest, "usage"), count(event, "usage")]
            heard.rest |= pick(event, "delta", kind=dict)
            heard.rest["usage"] = {k: v for each in counts if isinstance(each, dict) for k, v in each.items()} or None

    def whole(self, heard: Heard, /) -> Json:
        """Return the message with all of its text."""
        if heard.rest.get("stop_reason") is None:
            raise Malformed("the stream ended before the reply did")
        return {**heard.rest, "content": [{"type": "text", "text": heard.text}]}


def _content(message: Message, shared: int) -> Json:
    """Return a message's parts; the first ``shared`` characters are kept by the vendor for five minutes."""
    texts: list[Json] = [{"type": "text", "text": message.content}]
    if 0 < shared < len(message.content):
        kept = {"type": "text", "text": message.content[:shared], "cache_control": {"type": "ephemeral"}}
        texts = [kept, {"type": "text", "text": message.content[shared:]}]
    elif not message.images:
        return message.content
    images: list[Json] = [
        {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": image.base64}}
        for image in message.images
    ]
    return [*images, *texts]
