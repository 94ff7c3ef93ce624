"""Anthropic's Messages format, as pure functions."""

from __future__ import annotations

from typing import ClassVar

from nyxlab.providers.dialect import Answer, Dialect, Partial, Sampling, closed, look, pick, usage
from nyxlab.providers.messages import Json, Message, Request, Stop, Usage

# Refused by the vendor's structured outputs (400), so not sent; whoever asked checks the reply against all of it.
_UNSUPPORTED = (
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems "
    "uniqueItems minProperties maxProperties"
)


class AnthropicDialect(Dialect):
    """``POST /v1/messages``. Its ``input_tokens`` exclude cached ones, as ours do; its output includes thinking."""

    base_url = "https://api.anthropic.com/v1"
    version = "/v1"
    headers: ClassVar = {"anthropic-version": "2023-06-01"}  # the last one that takes temperature and top_p
    key_header = "x-api-key"
    streaming: ClassVar = {"stream": True}
    keeps = True
    stops: ClassVar[dict[str | None, Stop]] = {
        "end_turn": "end",
        "stop_sequence": "end",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "refusal": "refusal",
    }

    def path(self, _model: str, /, *, stream: bool = False) -> str:  # noqa: ARG002 - a stream has the same path
        """Return the one path there is; the model stands in the body."""
        return "/messages"

    def encode(self, model: str, request: Request, sampling: Sampling, /) -> dict[str, Json]:
        """Return the body that asks for the reply; the first message says what part of it is shared."""
        first, *others = request.messages
        messages = [{"role": first.role, "content": _content(first, request.shared)}]
        messages += [{"role": message.role, "content": message.content} for message in others]
        body: dict[str, Json] = {"model": model, "max_tokens": request.max_tokens, "messages": messages}
        if request.system:
            body["system"] = request.system
        body |= {name: value for name, value in sampling.given(request).items() if name != "seed"}
        if request.output_schema is not None:
            schema = closed(request.output_schema, drop=_UNSUPPORTED.split())
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return body

    def decode(self, body: Json, /) -> Answer:
        """Return what the body says."""
        blocks = pick(body, "content", kind=list)
        partial = Partial([pick(block, "text", kind=str) for block in blocks if pick(block, "type") == "text"])
        _note(partial, body, pick(body, "model", kind=str), body)
        return self.answer(partial)

    def hear(self, event: Json, partial: Partial, /) -> None:
        """Take one event in: the message comes first and empty, then its text in pieces, then how it ended."""
        kind = pick(event, "type")
        if kind == "message_start":
            message = pick(event, "message", kind=dict)
            _note(partial, message, look(message, "model"), message)
        elif kind == "content_block_delta" and pick(event, "delta", "type") == "text_delta":
            partial.pieces.append(pick(event, "delta", "text", kind=str))
        elif kind == "message_delta":
            _note(partial, pick(event, "delta", kind=dict), None, event)

    def usage(self, counts: dict[str, Json], /) -> Usage | None:
        """Return the counts."""
        return usage(
            input_tokens=counts.get("input_tokens"),
            output_tokens=counts.get("output_tokens"),
            cache_read_tokens=look(counts, "cache_read_input_tokens", default=0),
            cache_write_tokens=look(counts, "cache_creation_input_tokens", default=0),
            reasoning_tokens=look(counts, "output_tokens_details", "thinking_tokens", default=0),
        )


def _note(partial: Partial, ending: Json, model: Json, counting: Json) -> None:
    reason = look(ending, "stop_reason")
    category = look(ending, "stop_details", "category") if reason == "refusal" else None
    partial.note(model=model, reason=reason, refusal=category, counts=look(counting, "usage"))


def _content(message: Message, shared: int) -> Json:
    """Return a message's parts; the first ``shared`` characters are kept by the vendor for five minutes."""
    if not 0 < shared < len(message.content):
        return message.content
    kept = {"type": "text", "text": message.content[:shared], "cache_control": {"type": "ephemeral"}}
    return [kept, {"type": "text", "text": message.content[shared:]}]
