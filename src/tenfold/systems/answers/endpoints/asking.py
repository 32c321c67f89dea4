"""HTTP doors of questions and conversations. Decode, call one action, encode."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from tenfold.platform.http import event_stream
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.answers.actions import asking
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.endpoints.library import collection_number
from tenfold.systems.answers.errors import AnswerFailed, AnswerNotFound, ConversationNotFound
from tenfold.systems.answers.types.asking import (
    Answer,
    Ask,
    Click,
    Conversations,
    Dialogue,
    Done,
    Event,
    Failed,
    Feedback,
)


def _conversation_number(text: str) -> int:
    number = read_id(text)
    if number is None:
        raise ConversationNotFound
    return number


def answer_number(text: str) -> int:
    """Raises AnswerNotFound for what can't be an id."""
    number = read_id(text)
    if number is None:
        raise AnswerNotFound
    return number


class AskingEndpoints(Controller):
    path = "/api"
    tags = ("Answers",)

    @post("/collections/{collection_id:str}/ask", status_code=200)
    async def ask(
        self,
        request: Request[Any, Any, Any],
        collection_id: FromPath[str],
        data: JSONBody[Ask],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> Answer | Stream:
        """Answer a question from the documents of a collection.

        As JSON when it is whole; as server-sent events while it grows for who accepts text/event-stream: the passages,
        pieces of text, and the answer as it is kept, with the citations of its sentences.
        """
        events = asking.ask(answers, collection_number(collection_id), data, principal)
        first = await anext(events)  # until there is something to show, an error can still be a status
        if "text/event-stream" in request.headers.get("accept", ""):
            return event_stream(_told(first, events))
        async with aclosing(events):
            event: Event | None = first
            while event is not None:
                if isinstance(event, Done):
                    return event.answer
                if isinstance(event, Failed):
                    raise AnswerFailed(part=event.detail)
                event = await anext(events, None)
        raise AnswerFailed(part=asking.BROKEN)

    @get("/conversations")
    async def list_conversations(
        self,
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        collection_id: Annotated[str, QueryParameter(max_length=19)],
        cursor: Annotated[str | None, QueryParameter(max_length=19)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 30,
    ) -> Conversations:
        last = None if cursor is None else _conversation_number(cursor)
        return await asking.list_conversations(answers, collection_number(collection_id), principal, last, limit)

    @get("/conversations/{conversation_id:str}")
    async def read(
        self, conversation_id: FromPath[str], answers: NamedDependency[Answers], principal: NamedDependency[Principal]
    ) -> Dialogue:
        return await asking.read_conversation(answers, _conversation_number(conversation_id), principal)

    @delete("/conversations/{conversation_id:str}")
    async def remove(
        self, conversation_id: FromPath[str], answers: NamedDependency[Answers], principal: NamedDependency[Principal]
    ) -> None:
        await asking.delete_conversation(answers, _conversation_number(conversation_id), principal)

    @post("/answers/{answer_id:str}/feedback", status_code=204)
    async def judge(
        self,
        answer_id: FromPath[str],
        data: JSONBody[Feedback],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> None:
        await asking.judge(answers, answer_number(answer_id), data.good, data.note, principal)

    @post("/answers/{answer_id:str}/clicks", status_code=204)
    async def note_click(
        self,
        answer_id: FromPath[str],
        data: JSONBody[Click],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> None:
        """A passage of an answer was opened: what was found is judged by it."""
        await asking.note_click(answers, answer_number(answer_id), data.passage, principal)

    @post("/answers/{answer_id:str}/accepted", status_code=204)
    async def note_accepted(
        self, answer_id: FromPath[str], answers: NamedDependency[Answers], principal: NamedDependency[Principal]
    ) -> None:
        """An answer was taken over, as by copying it."""
        await asking.note_accepted(answers, answer_number(answer_id), principal)


async def _told(first: Event, events: AsyncGenerator[Event]) -> AsyncIterator[bytes]:
    async with aclosing(events):
        event: Event | None = first
        while event is not None:
            yield b"data: %s\n\n" % msgspec.json.encode(event)
            event = await anext(events, None)
