"""Streaming, https://docs.joinmastodon.org/methods/streaming/: server-sent events, and a WebSocket for many streams."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import structlog
from litestar import MediaType, Request, WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.response import Stream as StreamResponse

from tenfold.platform.errors import TenfoldError, Unauthorized, Unavailable
from tenfold.platform.http import event_stream
from tenfold.platform.identity import Identity, Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.feed.actions import streams
from tenfold.systems.feed.actions.context import Feed
from tenfold.systems.feed.actions.notifications import Conversation, Shown
from tenfold.systems.feed.actions.streams import MOST_STREAMS, Event, NoSuchStream
from tenfold.systems.feed.endpoints import entities
from tenfold.systems.feed.endpoints.api import MastodonController
from tenfold.systems.feed.endpoints.notifications import conversation_view, view
from tenfold.systems.feed.errors import ListNotFound
from tenfold.systems.feed.hot.streams import Reader
from tenfold.systems.feed.rules.streams import TAGGED, Stream

log = structlog.get_logger(__name__)

#: Seconds of silence after which a sign of life is sent, and after which a credential is looked at again.
HEARTBEAT = 15.0
RECHECK = 60.0
#: Characters of a tag, and of what a client says over its WebSocket.
MOST_TAG, MOST_WORDS = 100, 2000

_encode = msgspec.json.encode


class Say(msgspec.Struct, frozen=True):
    """What a client says over its WebSocket."""

    type: str
    stream: str = ""
    tag: str = ""
    list: str = ""


class StreamingEndpoints(MastodonController):
    path = "/api/v1/streaming"

    @get("/health", media_type=MediaType.TEXT)
    async def health(self) -> str:
        return "OK"

    @get(
        [
            "/user",
            "/user/notification",
            "/public",
            "/public/local",
            "/public/remote",
            "/hashtag",
            "/hashtag/local",
            "/list",
            "/direct",
        ],
        media_type="text/event-stream",
    )
    async def events(
        self, request: Request[Any, Any, Any], identity: NamedDependency[Identity], feed: NamedDependency[Feed]
    ) -> StreamResponse:
        """One stream, as server-sent events."""
        query = request.query_params
        name = request.url.path.rstrip("/").rpartition("/streaming/")[2].replace("/", ":")
        if name.startswith("public") and query.get("only_media", "").lower() in ("true", "1"):
            name += ":media"
        stream = _stream(name, query)
        seat = _Seat(feed, identity, request.scope, query.get("access_token"))
        principal = await seat.authenticate()
        feed.streams.admit(await streams.check(feed, principal, stream))
        return event_stream(_lines(seat, principal, stream))

    @websocket()
    async def socket(
        self, socket: WebSocket[Any, Any, Any], identity: NamedDependency[Identity], feed: NamedDependency[Feed]
    ) -> None:
        """Any streams, which the client asks for as it goes."""
        offered = socket.headers.get("sec-websocket-protocol")
        protocol = offered.split(",")[0].strip() if offered else None
        query = socket.query_params
        seat = _Seat(feed, identity, socket.scope, query.get("access_token") or protocol)
        principal = await seat.authenticate()
        first = query.get("stream")
        stream = _stream(first, query) if first else None
        if stream is not None:
            await streams.check(feed, principal, stream)
        reader = feed.streams.open(principal.require("read") if stream is None else principal.account_id or 0)
        try:
            await socket.accept(subprotocols=protocol)
            if stream is not None:
                await streams.listen(feed, reader, stream, notices=seat.notices(principal))
            await _converse(socket, seat, principal, reader)
        finally:
            reader.close()


class Sent(NamedTuple):
    """An event as a client gets it."""

    stream: Stream
    event: str
    payload: bytes


class _Seat:
    """Who sits at a stream, and whether they still may: credentials are looked at again as long as it is open."""

    def __init__(self, feed: Feed, identity: Identity, scope: Any, token: str | None) -> None:
        self.feed = feed
        self._identity = identity
        self._scope = scope
        self._token = token

    async def authenticate(self) -> Principal:
        """Raises Unauthorized, BadCredential, CrossSiteRefused."""
        if self._token:
            return await self._identity.authenticate_bearer(self._token)
        principal = await self._identity.authenticate(self._scope)
        if principal.account_id is None:
            raise Unauthorized
        return principal

    @staticmethod
    def notices(principal: Principal) -> bool:
        """Whether notifications come with the home."""
        return principal.may("read:notifications")

    async def events(self, reader: Reader, principal: Principal) -> AsyncGenerator[list[Sent]]:
        """What the reader may see, as it comes; nothing, as a sign of life. Ends with the reader or the credential."""
        checked = monotonic()
        while (arrived := await reader.take(HEARTBEAT)) is not None:
            if monotonic() - checked >= RECHECK:
                if not await self._still(principal):
                    return
                checked = monotonic()
            try:
                events = await streams.see(self.feed, reader, arrived, notices=self.notices(principal))
                sent = [Sent(each.stream, each.name, await self._payload(reader, each)) for each in events]
            except TenfoldError as error:
                log.info("stream_ends", reason=error.code)  # the client comes back
                return
            if sent or not arrived:
                yield sent

    async def _payload(self, reader: Reader, event: Event) -> bytes:
        about = event.about
        if isinstance(about, int):
            return b"%d" % about
        if isinstance(about, Shown):
            return _encode(await view(self.feed, reader.account_id, about))
        if isinstance(about, Conversation):
            return _encode(await conversation_view(self.feed, reader.account_id, about))
        return await entities.status(self.feed, about, reader.account_id)

    async def _still(self, principal: Principal) -> bool:
        try:
            now = await self.authenticate()
        except Unavailable:
            return True
        except TenfoldError:
            return False
        return now.account_id == principal.account_id and now.scopes == principal.scopes


async def _lines(seat: _Seat, principal: Principal, stream: Stream) -> AsyncIterator[bytes]:
    """The body of an event stream. The reader is opened here, since what never begins to be read never ends."""
    reader = seat.feed.streams.open(principal.account_id or 0)
    try:
        await streams.listen(seat.feed, reader, stream, notices=seat.notices(principal))
        yield b":)\n"
        async with aclosing(seat.events(reader, principal)) as coming:
            async for events in coming:
                lines = [b"event: %s\ndata: %s\n\n" % (each.event.encode(), each.payload) for each in events]
                yield b"".join(lines) or b":thump\n"
    finally:
        reader.close()


async def _converse(socket: WebSocket[Any, Any, Any], seat: _Seat, principal: Principal, reader: Reader) -> None:
    """Send what comes in until one side has gone, and listen to what the client says meanwhile."""
    sending = asyncio.create_task(_send(socket, seat, principal, reader))
    hearing = asyncio.create_task(_hear(socket, seat.feed, principal, reader))
    tasks = (sending, hearing)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    if not any(isinstance(outcome, WebSocketDisconnect) for outcome in outcomes):
        await socket.close(code=1001)  # going away: come again
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            log.error("stream_failed", exc_info=outcome)


async def _send(socket: WebSocket[Any, Any, Any], seat: _Seat, principal: Principal, reader: Reader) -> None:
    async with aclosing(seat.events(reader, principal)) as coming:
        async for events in coming:
            for each in events:
                message = {"stream": each.stream, "event": each.event, "payload": each.payload.decode()}
                await socket.send_text(_encode(message).decode())


async def _hear(socket: WebSocket[Any, Any, Any], feed: Feed, principal: Principal, reader: Reader) -> None:
    """Do what the client says. What can't be done is answered with an error, as the original does."""
    while True:
        words = await socket.receive_data(mode="text")
        try:
            await _obey(feed, principal, reader, words)
        except TenfoldError as error:
            await socket.send_text(_encode({"error": error.detail, "status": error.status}).decode())


async def _obey(feed: Feed, principal: Principal, reader: Reader, words: str | bytes) -> None:
    try:
        say = msgspec.json.decode(words[:MOST_WORDS], type=Say)
    except msgspec.MsgspecError as error:
        raise NoSuchStream from error
    stream = _stream(say.stream, {"tag": say.tag, "list": say.list})
    if say.type == "unsubscribe":
        reader.leave(stream)
    elif say.type == "subscribe" and len(reader.listening) < MOST_STREAMS:
        await streams.check(feed, principal, stream)
        await streams.listen(feed, reader, stream, notices=_Seat.notices(principal))
    else:
        raise NoSuchStream


def _stream(name: str, words: Mapping[str, str]) -> Stream:
    """The stream of a name and what belongs to it. Raises NoSuchStream, ListNotFound."""
    if name in TAGGED:
        tag = words.get("tag", "").removeprefix("#").lower()
        if not 0 < len(tag) <= MOST_TAG:
            raise NoSuchStream
        return name, tag
    if name == "list":
        list_id = read_id(words.get("list", ""))
        if list_id is None:
            raise ListNotFound
        return name, str(list_id)
    return (name,)
