"""Google's ``generateContent`` format, as two pure functions."""

from __future__ import annotations

from urllib.parse import quote

from nyxlab.providers.dialect import Answer, Heard, Malformed, Sampling, count, pick, tally, usage
from nyxlab.providers.messages import Json, Message, Request, Stop, Usage

_REFUSALS = (
    "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT "
    "IMAGE_RECITATION ESCALATION MODEL_ARMOR PUP_LIMITED_DISABLED"
)
_NAMES = {"temperature": "temperature", "top_p": "topP", "seed": "seed"}


class GoogleDialect:
    """``POST /v1beta/models/MODEL:generateContent``. Thoughts are counted apart, so they are added to the output."""

    base_url = "https://generativelanguage.googleapis.com/v1beta"
    version = "/v1beta"
    headers: dict[str, str] = {}  # noqa: RUF012 - a constant of the format
    key_header = "x-goog-api-key"  # never ?key=: URLs end up in logs and error texts
    key_prefix = ""
    streaming: dict[str, Json] = {}  # noqa: RUF012 - the path says it
    keeps = False

    def path(self, model: str, /, *, stream: bool = False) -> str:
        """Return the path, in which the model stands, and whether to stream."""
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/models/{quote(model, safe='')}:{verb}"

    def encode(self, _model: str, request: Request, sampling: Sampling, /) -> dict[str, Json]:
        """Return the body that asks for the reply."""
        config: dict[str, Json] = {"maxOutputTokens": request.max_tokens}
        config.update({_NAMES[name]: value for name, value in sampling.given(request).items()})
        if request.output_schema is not None:
            config.update(responseMimeType="application/json", responseJsonSchema=request.output_schema)
        body: dict[str, Json] = {
            "contents": [
                {"role": "user" if m.role == "user" else "model", "parts": _parts(m)} for m in request.messages
            ],
            "generationConfig": config,
        }
        if request.system:
            body["systemInstruction"] = {"parts": [{"text": request.system}]}
        return body

    def decode(self, body: Json, /) -> Answer:
        """Return what the body says."""
        if not isinstance(body, dict):
            pick(body, "candidates")
        counts, model = _usage(body.get("usageMetadata")), body.get("modelVersion")
        blocked = count(body, "promptFeedback", "blockReason")
        if blocked and not body.get("candidates"):
            return Answer(stop="refusal", refusal=str(blocked), usage=counts, model=model)
        candidate = pick(body, "candidates", 0, kind=dict)
        reason = candidate.get("finishReason")
        stop: Stop = "refusal" if reason in _REFUSALS.split() else "length" if reason == "MAX_TOKENS" else "other"
        return Answer(
            text="".join(_texts(candidate)),
            stop="end" if reason == "STOP" else stop,
            refusal=reason if stop == "refusal" else None,
            usage=counts,
            model=model,
        )

    def hear(self, event: Json, heard: Heard, /) -> None:
        """Take one event in: each is a body of its own, with a piece of the text and the counts so far."""
        if not isinstance(event, dict):
            raise Malformed("an event is of the wrong type")
        if event.get("candidates"):
            heard.pieces += _texts(pick(event, "candidates", 0, kind=dict))
        ended = count(heard.rest, "candidates", 0, "finishReason")
        heard.rest |= event
        if ended and not count(event, "candidates", 0, "finishReason"):  # counts may come after the end
            heard.rest["candidates"] = [{"finishReason": ended}]

    def whole(self, heard: Heard, /) -> Json:
        """Return the body with all of its text."""
        reason = count(heard.rest, "candidates", 0, "finishReason")
        if reason:
            candidate = {"finishReason": reason, "content": {"parts": [{"text": heard.text}]}}
            return {**heard.rest, "candidates": [candidate]}
        if not count(heard.rest, "promptFeedback", "blockReason"):
            raise Malformed("the stream ended before the reply did")
        return heard.rest


def _texts(candidate: Json) -> list[str]:
    """Return the texts of a candidate without its thoughts; one that is cut while still thinking has no content at all."""
    parts = pick(candidate, "content", "parts", kind=list) if count(candidate, "content", "parts") else []
    return [pick(p, "text", kind=str) for p in parts if "text" in p and not p.get("thought")]


def _usage(counts: Json) -> Usage | None:
    if not isinstance(counts, dict):
        return None
    cached, thoughts = count(counts, "cachedContentTokenCount"), count(counts, "thoughtsTokenCount")
    return usage(
        tally(counts.get("promptTokenCount"), count(counts, "toolUsePromptTokenCount"), less=(cached,)),
        tally(count(counts, "candidatesTokenCount"), thoughts),
        read=cached,
        reasoning=thoughts,
    )


def _parts(message: Message) -> list[Json]:
    images: list[Json] = [
        {"inlineData": {"mimeType": image.media_type, "data": image.base64}} for image in message.images
    ]
    return [*images, {"text": message.content}]
