"""`POST /v1/chat/completions`, past the framework, which would cost as much as everything else of a request."""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any

import msgspec
import structlog
from litestar.types import Receive, Send

from tenfold.platform.errors import BadRequest, Invalid, TenfoldError
from tenfold.platform.http import Headers, attended, read_body
from tenfold.platform.identity import Identity, Principal
from tenfold.platform.identity.errors import ApplicationRefused
from tenfold.platform.inference import Chunk
from tenfold.platform.telemetry import traced
from tenfold.systems.chat.actions import completions
from tenfold.systems.chat.actions.completions import Answered, Asked
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.endpoints import wire
from tenfold.systems.chat.errors import ModelNotFound

log = structlog.get_logger(__name__)

#: Bytes of a request: a conversation with some pictures in it.
MOST_BODY = 20 * 1024 * 1024

#: How this API names kinds of errors, by status.
_KINDS = {
    401: "authentication_error", 403: "permission_error", 404: "invalid_request_error", 429: "rate_limit_error",
}  # fmt: skip
_JSON = (b"content-type", b"application/json")
#: Nothing between us and the reader may keep events back.
_EVENTS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(wire.CompleteChat).decode


class Completions:
    """The front of chat. Whoever leaves before the end ends the model's work, too."""

    PATH = "/v1/chat/completions"

    def __init__(self, chat: Chat, identity: Identity) -> None:
        self._chat = chat
        self._identity = identity

    def __call__(
        self, method: str, path: str, scope: Any, headers: Headers, receive: Receive, send: Send
    ) -> Awaitable[None] | None:
        """Answer a chat completion; everything else is the framework's."""
        if path != self.PATH or method != "POST":
            return None
        scope["path_template"] = path
        return traced(self._complete, "chat", scope, dict(headers), receive, send)

    async def _complete(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            principal = await self._identity.authenticate(scope)
            if principal.via == "oauth":
                raise ApplicationRefused
            principal.require("chat")  # before a stranger's body is read
            data = _read(await read_body(receive, MOST_BODY))
            async with attended(receive):
                await self._answer(data, principal, send)
        except TenfoldError as error:
            status, body = complaint(error)
            extra = [(name.encode(), value.encode("latin-1")) for name, value in error.headers.items()]
            await _send(send, status, body, extra)
        except Exception:  # as the framework does
            log.exception("request_crashed", path=self.PATH)
            await _send(send, *complaint(TenfoldError()), [])

    async def _answer(self, data: wire.CompleteChat, principal: Principal, send: Send) -> None:
        asked = _asked(data)
        if not data.stream:
            answered = await completions.complete(self._chat, asked, principal)
            cached = (b"x-cache", b"hit" if answered.cached else b"miss")
            return await _send(send, 200, _encode(_completion(answered)), [cached])
        pieces = completions.stream(self._chat, asked, principal)
        # Until there is something to show, an error can still be a status.
        first = await anext(pieces)
        usage = bool(data.stream_options and data.stream_options.include_usage)
        return await _send_events(_events(first, pieces, usage=usage), send)


def complaint(error: TenfoldError) -> tuple[int, bytes]:
    """An error in this API's shape, so that its clients raise what their users expect."""
    # The field's clients take 422 for a request of another API.
    return 400 if error.status == 422 else error.status, _encode(wire.Complaint(reason(error)))


def reason(error: TenfoldError) -> wire.Reason:
    """What went wrong, as this API says it."""
    param, words = next(iter(error.fields.items()), (None, ""))
    code = error.code
    if isinstance(error, ModelNotFound):
        code = "model_not_found"
    elif error.status == 429:
        code = "rate_limit_exceeded"
    elif error.status == 401:
        code = "invalid_api_key"
    message = f"{param}: {words}" if param else error.detail
    return wire.Reason(message, kind(error.status), param, code)


def kind(status: int) -> str:
    """What this API calls errors of a status."""
    return _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")


def _read(body: bytes) -> wire.CompleteChat:
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        raise Invalid.of(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(reason=str(error)) from None


def _asked(data: wire.CompleteChat) -> Asked:
    return Asked(
        model=data.model,
        messages=[msgspec.to_builtins(message) for message in data.messages],
        options={name: value for name in wire.PASSED_ON if (value := getattr(data, name)) is not None},
        most_tokens=data.max_completion_tokens or data.max_tokens,
        cache_key=data.prompt_cache_key or data.user or "",
    )


def _completion(answered: Answered) -> wire.ChatCompletion:
    return wire.ChatCompletion(
        id=f"chatcmpl-{answered.id}",
        created=answered.created,
        model=answered.model,
        choices=answered.choices,
        usage=answered.usage,
    )


async def _send(send: Any, status: int, body: bytes, extra: list[tuple[bytes, bytes]]) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _send_events(events: AsyncGenerator[bytes], send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
    async with aclosing(events):  # whoever leaves frees the model's slot at once
        async for piece in events:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _events(
    first: completions.Piece, pieces: AsyncGenerator[completions.Piece], *, usage: bool
) -> AsyncGenerator[bytes]:
    """Server-sent events of an answer, as the API has them: the last one says how much it took, if it was asked for."""
    ready = b""
    try:
        piece: completions.Piece | None = first
        while piece is not None:
            chunk: Chunk = piece.chunk
            last = bytes(chunk.choices) == b"[]"
            if usage or not last:
                event = wire.ChatCompletionChunk(
                    id=f"chatcmpl-{piece.id}",
                    created=piece.created,
                    model=piece.model,
                    choices=chunk.choices,
                    usage=chunk.usage if last else None,
                )
                ready += b"data: " + _encode(event) + b"\n\n"
            if ready and not chunk.more:
                yield ready
                ready = b""
            piece = await anext(pieces, None)
    except TenfoldError as error:  # too late for a status
        ready += b"data: " + _encode(wire.Complaint(reason(error))) + b"\n\n"
    finally:
        await pieces.aclose()
    yield ready + b"data: [DONE]\n\n"
