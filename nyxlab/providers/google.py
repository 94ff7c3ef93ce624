"""Google's ``generateContent`` format, as pure functions."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

from nyxlab.providers.dialect import Answer, Dialect, Malformed, Partial, Sampling, look, pick, tally, usage
from nyxlab.providers.messages import Json, Request, Stop, Usage

_REFUSALS = (
    "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT "
    "IMAGE_RECITATION ESCALATION MODEL_ARMOR PUP_LIMITED_DISABLED"
)
_NAMES = {"temperature": "temperature", "top_p": "topP", "seed": "seed"}


class GoogleDialect(Dialect):
    """``POST /v1beta/models/MODEL:generateContent``. Thoughts are counted apart, so they are added to the output."""

    base_url = "https://generativelanguage.googleapis.com/v1beta"
    version = "/v1beta"
    key_header = "x-goog-api-key"  # never ?key=: URLs end up in logs and error texts
    stops: ClassVar[dict[str | None, Stop]] = {
        "STOP": "end",
        "MAX_TOKENS": "length",
        **dict.fromkeys(_REFUSALS.split(), "refusal"),
    }

    def path(self, model: str, /, *, stream: bool = False) -> str:
        """Return the path, in which the model stands, and whether to stream."""
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/models/{quote(model, safe='')}:{verb}"

    def encode(self, _model: str, request: Request, sampling: Sampling, /) -> dict[str, Json]:
        """Return the body that asks for the reply."""
        config: dict[str, Json] = {"maxOutputTokens": request.max_tokens}
        config |= {_NAMES[name]: value for name, value in sampling.given(request).items()}
        if request.output_schema is not None:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": request.output_schema}
        roles = {"user": "user", "assistant": "model"}
        contents = [{"role": roles[m.role], "parts": [{"text": m.content}]} for m in request.messages]
        system = {"systemInstruction": {"parts": [{"text": request.system}]}} if request.system else {}
        return {"contents": contents, "generationConfig": config, **system}

    def decode(self, body: Json, /) -> Answer:
        """Return what the body says: a stream's one event."""
        partial = Partial()
        self.hear(body, partial)
        if not partial.refusal:
            pick(body, "candidates", 0, kind=dict)
        return self.answer(partial)

    def hear(self, event: Json, partial: Partial, /) -> None:
        """Take one event in: each is a body of its own, with a piece of the text and the counts so far."""
        if not isinstance(event, dict):
            raise Malformed("an event is of the wrong type")
        partial.note(model=event.get("modelVersion"), counts=event.get("usageMetadata"))
        blocked = look(event, "promptFeedback", "blockReason")
        if event.get("candidates"):
            candidate = pick(event, "candidates", 0, kind=dict)
            parts = pick(candidate, "content", "parts", kind=list) if look(candidate, "content", "parts") else []
            said = [part for part in parts if look(part, "text") is not None and not look(part, "thought")]
            partial.pieces += [pick(part, "text", kind=str) for part in said]
            partial.note(reason=candidate.get("finishReason"))
        elif blocked:
            partial.note(reason=blocked, refusal=blocked)

    def usage(self, counts: dict[str, Json], /) -> Usage | None:
        """Return the counts; ``promptTokenCount`` includes cached tokens, so those are taken off."""
        cached = look(counts, "cachedContentTokenCount", default=0)
        thoughts = look(counts, "thoughtsTokenCount", default=0)
        tools = look(counts, "toolUsePromptTokenCount", default=0)
        return usage(
            input_tokens=tally(counts.get("promptTokenCount"), tools, less=(cached,)),
            output_tokens=tally(look(counts, "candidatesTokenCount", default=0), thoughts),
            cache_read_tokens=cached,
            reasoning_tokens=thoughts,
        )
