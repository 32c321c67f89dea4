"""HTTP doors of the OpenAI API. Decode, call one action, encode."""

import base64
import struct
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Controller, MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody

from tenfold.platform.errors import TenfoldError
from tenfold.platform.http import invalid
from tenfold.platform.identity import Principal
from tenfold.systems.chat.actions import completions
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.endpoints import wire
from tenfold.systems.chat.endpoints.completions import complaint, kind
from tenfold.systems.chat.errors import ModelNotFound
from tenfold.systems.chat.rules import moderation


def complain(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Any mistake in this API's shape, so that its clients raise what their users expect."""
    if isinstance(error.__cause__, msgspec.ValidationError) and not isinstance(error, TenfoldError):
        error = invalid(request, error.__cause__)
    if isinstance(error, TenfoldError):
        status, body = complaint(error)
        headers: Mapping[str, str] = error.headers
    else:
        assert isinstance(error, HTTPException)
        status, headers = error.status_code, error.headers or {}
        body = msgspec.json.encode(wire.Complaint(wire.Reason(error.detail.partition("\n")[0][:300], kind(status))))
    return Response(body, status_code=status, headers=dict(headers), media_type=MediaType.JSON)


class OpenAIEndpoints(Controller):
    path = "/v1"
    tags = ("OpenAI API",)
    exception_handlers = {TenfoldError: complain, HTTPException: complain}  # noqa: RUF012 - as the framework has it

    @post("/chat/completions", status_code=200)
    async def complete(self, data: JSONBody[wire.CompleteChat]) -> wire.ChatCompletion:
        """Let a model answer: model is auto, or the name of a tier. With stream, server-sent events."""
        raise AssertionError("endpoints/completions.py answers this; here is its contract")

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


def _model(name: str) -> wire.Model:
    return wire.Model(id=name, created=1_767_225_600)


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
