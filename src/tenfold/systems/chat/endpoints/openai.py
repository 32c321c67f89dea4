"""HTTP doors of the OpenAI API. Decode, call one action, encode."""

import base64
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from litestar import Controller, MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from tenfold.platform.errors import TenfoldError
from tenfold.platform.http import event_stream, invalid
from tenfold.platform.identity import Principal
from tenfold.platform.inference import Chunk
from tenfold.systems.chat.actions import completions
from tenfold.systems.chat.actions.completions import Asked
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.endpoints import wire
from tenfold.systems.chat.errors import ModelNotFound
from tenfold.systems.chat.rules import moderation

#: Bytes of a request: a conversation with some pictures in it.
MOST_BODY = 20 * 1024 * 1024

#: How this API names kinds of errors, by status.
_TYPES = {
    401: "authentication_error", 403: "permission_error", 404: "invalid_request_error", 429: "rate_limit_error",
}  # fmt: skip
_encode = msgspec.json.Encoder().encode


def complain(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Any mistake in this API's shape, so that its clients raise what their users expect."""
    if isinstance(error.__cause__, msgspec.ValidationError) and not isinstance(error, TenfoldError):
        error = invalid(request, error.__cause__)
    if isinstance(error, TenfoldError):
        status, headers, reason = error.status, error.headers, _reason(error)
    else:
        assert isinstance(error, HTTPException)
        status, headers = error.status_code, error.headers or {}
        reason = wire.Reason(error.detail.partition("\n")[0][:300], _kind(status))
    # The field's clients take 422 for a request of another API.
    body = _encode(wire.Complaint(reason))
    return Response(body, status_code=400 if status == 422 else status, headers=headers, media_type=MediaType.JSON)


def _reason(error: TenfoldError) -> wire.Reason:
    param, words = next(iter(error.fields.items()), (None, ""))
    code = error.code
    if isinstance(error, ModelNotFound):
        code = "model_not_found"
    elif error.status == 429:
        code = "rate_limit_exceeded"
    elif error.status == 401:
        code = "invalid_api_key"
    message = f"{param}: {words}" if param else error.detail
    return wire.Reason(message, _kind(error.status), param, code)


def _kind(status: int) -> str:
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


class OpenAIEndpoints(Controller):
    path = "/v1"
    tags = ("OpenAI API",)
    exception_handlers = {TenfoldError: complain, HTTPException: complain}  # noqa: RUF012 - as the framework has it

    @post("/chat/completions", status_code=200, request_max_body_size=MOST_BODY)
    async def complete(
        self, data: JSONBody[wire.CompleteChat], chat: NamedDependency[Chat], principal: NamedDependency[Principal]
    ) -> Response[bytes] | Stream:
        """Let a model answer: model is auto, or the name of a tier."""
        asked = Asked(
            model=data.model,
            messages=[msgspec.to_builtins(message) for message in data.messages],
            options={name: value for name in wire.PASSED_ON if (value := getattr(data, name)) is not None},
            most_tokens=data.max_completion_tokens or data.max_tokens,
            cache_key=data.prompt_cache_key or data.user or "",
        )
        if not data.stream:
            answered = await completions.complete(chat, asked, principal)
            completion = wire.ChatCompletion(
                id=f"chatcmpl-{answered.id}",
                created=answered.created,
                model=answered.model,
                choices=answered.choices,
                usage=answered.usage,
            )
            headers = {"x-cache": "hit" if answered.cached else "miss"}
            return Response(_encode(completion), media_type=MediaType.JSON, headers=headers)
        pieces = completions.stream(chat, asked, principal)
        # Until there is something to show, an error can still be a status.
        first = await anext(pieces)
        shown = bool(data.stream_options and data.stream_options.include_usage)
        return event_stream(_events(first, pieces, usage=shown))

    @get("/models")
    async def list_models(self, chat: NamedDependency[Chat]) -> wire.Models:
        return wire.Models([_model(name) for name in completions.list_models(chat)])

    @get("/models/{model:str}")
    async def read_model(self, model: FromPath[str], chat: NamedDependency[Chat]) -> wire.Model:
        if model not in completions.list_models(chat):
            raise ModelNotFound(model=model[:100])
        return _model(model)

    @post("/embeddings", status_code=200)
    async def embed(
        self, data: JSONBody[wire.Embed], chat: NamedDependency[Chat], principal: NamedDependency[Principal]
    ) -> wire.Embeddings:
        texts = [data.input] if isinstance(data.input, str) else data.input
        vectors, tokens = await completions.embed(chat, data.model, texts, data.dimensions, principal)
        rows = [
            wire.Embedding(index, _packed(vector) if data.encoding_format == "base64" else vector)
            for index, vector in enumerate(vectors)
        ]
        return wire.Embeddings("embed", rows, {"prompt_tokens": tokens, "total_tokens": tokens})

    @post("/moderations", status_code=200)
    async def moderate(
        self, data: JSONBody[wire.Moderate], chat: NamedDependency[Chat], principal: NamedDependency[Principal]
    ) -> wire.Moderations:
        inputs = [data.input] if isinstance(data.input, str) else data.input
        texts = [each if isinstance(each, str) else each.text or "" for each in inputs]
        found = await completions.judge(chat, texts, principal)
        results = [wire.Judgement(each.flagged, each.categories, each.scores) for each in found]
        return wire.Moderations(f"modr-{chat.runtime.ids.next()}", moderation.NAME, results)


async def _events(
    first: completions.Piece, pieces: AsyncGenerator[completions.Piece], *, usage: bool
) -> AsyncIterator[bytes]:
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
        ready += b"data: " + _encode(wire.Complaint(_reason(error))) + b"\n\n"
    finally:
        await pieces.aclose()
    yield ready + b"data: [DONE]\n\n"


def _model(name: str) -> wire.Model:
    return wire.Model(id=name, created=1_767_225_600)


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
