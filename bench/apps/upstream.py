"""An endpoint of the OpenAI API that thinks of nothing: the limit of every gateway, served as the product is served.

Its answer is ready before the question is read. The model `trickle` says a word a second instead, until it has said 10.
"""

import asyncio
from typing import Any

import msgspec

from apps import serving

WORDS = 16
TRICKLED, PAUSE = 10, 1.0

_USAGE = {"prompt_tokens": 20, "completion_tokens": WORDS, "total_tokens": 20 + WORDS}


def _event(choices: list[Any], **more: object) -> bytes:
    event = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "instant",
        "choices": choices,
    }
    return b"data: " + msgspec.json.encode({**event, **more}) + b"\n\n"


def _said(text: str) -> bytes:
    return _event([{"index": 0, "delta": {"content": text}, "finish_reason": None}])


_END = _event([{"index": 0, "delta": {}, "finish_reason": "stop"}]) + _event([], usage=_USAGE) + b"data: [DONE]\n\n"
_STREAM = b"".join(_said(f"word{number} ") for number in range(WORDS)) + _END
_WHOLE = msgspec.json.encode({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "instant", "usage": _USAGE,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word " * WORDS}}],
})  # fmt: skip


class _Asked(msgspec.Struct):
    model: str = ""
    stream: bool = False


_decode = msgspec.json.Decoder(_Asked).decode


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    asked = _decode(body) if body else _Asked()
    kind = b"text/event-stream" if asked.stream else b"application/json"
    whole = _STREAM if asked.stream else _WHOLE
    headers = [(b"content-type", kind)]
    if asked.model != "trickle":
        headers.append((b"content-length", b"%d" % len(whole)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if asked.model == "trickle":
        for number in range(TRICKLED):
            await send({"type": "http.response.body", "body": _said(f"word{number} "), "more_body": True})
            await asyncio.sleep(PAUSE)
        whole = _END
    await send({"type": "http.response.body", "body": whole, "more_body": False})


def create() -> Any:
    return serving.application(_answer)


if __name__ == "__main__":
    serving.serve("apps.upstream:create")
