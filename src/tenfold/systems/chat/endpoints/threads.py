"""HTTP doors of conversations. Decode, call one action, encode."""

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream

from tenfold.platform.http import event_stream
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.chat.actions import reading, threads, tiers
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.endpoints.files import locate
from tenfold.systems.chat.errors import MessageNotFound, ThreadNotFound
from tenfold.systems.chat.types import (
    Ask,
    AskAgain,
    BeginThread,
    ChangeThread,
    Conversation,
    Exchange,
    Message,
    Thread,
    Threads,
    TierStates,
    UsageReport,
)

#: Bytes of a request with a question.
MOST_BODY = 256 * 1024


def _thread_id(text: str) -> int:
    number = read_id(text)
    if number is None:
        raise ThreadNotFound
    return number


def _message_id(text: str) -> int:
    number = read_id(text)
    if number is None:
        raise MessageNotFound
    return number


class ThreadEndpoints(Controller):
    path = "/api"
    tags = ("Chat",)

    @get("/threads")
    async def list_threads(
        self,
        chat: NamedDependency[Chat],
        principal: NamedDependency[Principal],
        q: Annotated[str, QueryParameter(max_length=200)] = "",
        cursor: Annotated[str | None, QueryParameter(max_length=64)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> Threads:
        return await threads.list_threads(chat, principal, q, cursor, limit)

    @post("/threads")
    async def begin(
        self, data: JSONBody[BeginThread], chat: NamedDependency[Chat], principal: NamedDependency[Principal]
    ) -> Thread:
        return await threads.begin(chat, data, principal)

    @get("/threads/{thread_id:str}")
    async def read(
        self,
        request: Request[Any, Any, Any],
        thread_id: FromPath[str],
        chat: NamedDependency[Chat],
        principal: NamedDependency[Principal],
    ) -> Conversation:
        conversation = await threads.read(chat, _thread_id(thread_id), principal)
        locate(request, conversation.messages)
        return conversation

    @patch("/threads/{thread_id:str}")
    async def change(
        self,
        thread_id: FromPath[str],
        data: JSONBody[ChangeThread],
        chat: NamedDependency[Chat],
        principal: NamedDependency[Principal],
    ) -> Thread:
        return await threads.change(chat, _thread_id(thread_id), data, principal)

    @delete("/threads/{thread_id:str}")
    async def delete(
        self, thread_id: FromPath[str], chat: NamedDependency[Chat], principal: NamedDependency[Principal]
    ) -> None:
        await threads.delete(chat, _thread_id(thread_id), principal)

    @post("/threads/{thread_id:str}/messages", request_max_body_size=MOST_BODY)
    async def ask(
        self,
        request: Request[Any, Any, Any],
        thread_id: FromPath[str],
        data: JSONBody[Ask],
        chat: NamedDependency[Chat],
        principal: NamedDependency[Principal],
        idempotency_key: Annotated[
            str | None, HeaderParameter(name="Idempotency-Key", min_length=1, max_length=200)
        ] = None,
    ) -> Exchange:
        """Ask; the answer is written behind the request, and told by its stream. The same key, for a day, asks once."""
        exchange = await threads.ask(chat, _thread_id(thread_id), data, principal, idempotency_key=idempotency_key)
        locate(request, [exchange.question])
        return exchange

    @post("/messages/{message_id:str}/regenerate")
    async def ask_again(
        self,
        message_id: FromPath[str],
        data: JSONBody[AskAgain],
        chat: NamedDependency[Chat],
        principal: NamedDependency[Principal],
    ) -> Message:
        return await threads.ask_again(chat, _message_id(message_id), data, principal)

    @post("/messages/{message_id:str}/stop", status_code=204)
    async def stop(
        self, message_id: FromPath[str], chat: NamedDependency[Chat], principal: NamedDependency[Principal]
    ) -> None:
        await threads.stop(chat, _message_id(message_id), principal)

    @get("/messages/{message_id:str}/stream", media_type="text/event-stream")
    async def stream(
        self,
        request: Request[Any, Any, Any],
        message_id: FromPath[str],
        chat: NamedDependency[Chat],
        principal: NamedDependency[Principal],
    ) -> Stream:
        """What an answer says, as it is written: who comes late or again is told all of it, and where each piece is."""
        account_id = principal.require("chat")
        message = await threads.find_message(chat, account_id, _message_id(message_id))
        return event_stream(reading.follow(chat, account_id, message))

    @get("/usage")
    async def usage(self, chat: NamedDependency[Chat], principal: NamedDependency[Principal]) -> UsageReport:
        return await threads.read_usage(chat, principal)

    @get("/models")
    async def models(self, chat: NamedDependency[Chat]) -> TierStates:
        return tiers.read_states(chat)
