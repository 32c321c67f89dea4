"""The OpenAI API over collections: a collection is the model, its answers cite, and existing clients can ask."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from time import time
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream
from msgspec import Meta

from tenfold.platform.errors import Invalid
from tenfold.platform.http import event_stream
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.answers.actions import asking, library
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.errors import AnswerFailed
from tenfold.systems.answers.types.asking import Answer, Done, Event, Passages, Piece

#: Messages of a request, and characters of one.
MOST, LONG = 100, 32_000


class Part(msgspec.Struct):
    type: str
    text: Annotated[str, Meta(max_length=LONG)] = ""


class Said(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, Meta(max_length=LONG)] | Annotated[list[Part], Meta(max_length=50)] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or () if part.text)


class Complete(msgspec.Struct):
    """What clients send beside this says how models write, and there is nothing of it to set here."""

    model: Annotated[str, Meta(min_length=1, max_length=100)]
    messages: Annotated[list[Said], Meta(min_length=1, max_length=MOST)]
    stream: bool = False


class Model(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    created: int
    name: str
    object: Literal["model"] = "model"
    owned_by: str = "tenfold"


class Models(msgspec.Struct, frozen=True):
    data: list[Model]
    object: Literal["list"] = "list"


class OpenAIEndpoints(Controller):
    path = "/v1"
    tags = ("Answers",)

    @get("/models")
    async def models(self, answers: NamedDependency[Answers], principal: NamedDependency[Principal]) -> Models:
        """One's own collections: their ids are the models."""
        found = await library.list_collections(answers, principal)
        return Models([
            Model(id=each.id, created=int(each.created_at.timestamp()), name=each.name) for each in found.items
        ])  # fmt: skip

    @post("/chat/completions", status_code=200)
    async def complete(
        self, data: JSONBody[Complete], answers: NamedDependency[Answers], principal: NamedDependency[Principal]
    ) -> dict[str, Any] | Stream:
        """Answer the last question from a collection, by its id or its name. Sources are in `tenfold`, too."""
        account_id, collection_id = await _collection(answers, data.model, principal)
        await answers.runtime.limits.take(asking.ASK, principal)
        asked = [each.text for each in data.messages if each.role == "user" and each.text.strip()]
        if not asked:
            raise Invalid(fields={"messages": "has no question"})
        answered = [each.text for each in data.messages if each.role == "assistant"]
        history = list(zip(asked[:-1], [*answered, *[""] * len(asked)], strict=False))[-asking.REMEMBERED :]
        number = answers.runtime.ids.next()
        draft = Answer(
            id=str(number),
            conversation_id="0",
            collection_id=str(collection_id),
            question=asked[-1][:2000],
            created_at=datetime.now(UTC),
        )
        events = asking.answer(answers, account_id, collection_id, draft, history)
        if data.stream:
            return event_stream(_chunks(data.model, number, events))
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Done):
                    message = {"role": "assistant", "content": event.answer.cited, "refusal": None}
                    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
                    return _head("chat.completion", data.model, number) | {
                        "choices": [choice],
                        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
                        "tenfold": msgspec.to_builtins(event.answer),
                    }
        raise AnswerFailed(part=asking.BROKEN)


async def _collection(answers: Answers, model: str, principal: Principal) -> tuple[int, int]:
    """Raises CollectionNotFound."""
    number = read_id(model)
    if number is None:
        named = [each.id for each in (await library.list_collections(answers, principal)).items if each.name == model]
        number = int(named[0]) if named else 0
    return await library.own(answers, number, principal), number


def _head(kind: str, model: str, number: int) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": int(time()), "model": model}


async def _chunks(model: str, number: int, events: AsyncGenerator[Event]) -> AsyncIterator[bytes]:
    """Citations are known when the answer is whole, so it comes whole; the passages come before it."""

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        told = _head("chat.completion.chunk", model, number) | {"choices": [choice]} | more
        return b"data: %s\n\n" % msgspec.json.encode(told)

    async with aclosing(events):
        async for event in events:
            match event:
                case Passages():
                    yield chunk({"role": "assistant", "content": ""}, tenfold=msgspec.to_builtins(event))
                case Done():
                    yield chunk({"content": event.answer.cited}, tenfold=msgspec.to_builtins(event.answer))
                    yield chunk({}, "stop")
                case Piece():
                    yield b": writing\n\n"
                case _:
                    pass
    yield b"data: [DONE]\n\n"
