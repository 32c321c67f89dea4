"""The WebSocket: frames in, frames out. docs/messages-protocol.md says which."""

import asyncio
from typing import Any

import msgspec
import structlog
from litestar import Controller, WebSocket, websocket
from litestar.di import NamedDependency

from tenfold.contracts.messages import frames
from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.identity import Identity, Principal
from tenfold.systems.messages.actions.connecting import Connection
from tenfold.systems.messages.actions.context import Messages

log = structlog.get_logger(__name__)

#: Seconds in which the first frame must come.
PATIENCE = 10.0
BEARER = "bearer."

_decode_hello = msgspec.json.Decoder(frames.Hello).decode
_encode = msgspec.json.encode


class SocketEndpoints(Controller):
    path = "/api/v1/socket"

    @websocket()
    async def socket(
        self, socket: WebSocket[Any, Any, Any], identity: NamedDependency[Identity], messages: NamedDependency[Messages]
    ) -> None:
        """A device is connected until one side hangs up."""
        offered = [each.strip() for each in (socket.headers.get("sec-websocket-protocol") or "").split(",")]
        token = next((each.removeprefix(BEARER) for each in offered if each.startswith(BEARER)), None)
        seat = _Seat(identity, socket.scope, token)
        principal = await seat.authenticate()
        await socket.accept(subprotocols=frames.SUBPROTOCOL if frames.SUBPROTOCOL in offered else None)
        connection = await _greet(socket, seat, principal, messages)
        if connection is None:
            return
        try:
            await _converse(socket, connection)
        finally:
            await messages.connections.close(connection)


class _Seat:
    """Who is connected, and whether they still may be."""

    def __init__(self, identity: Identity, scope: Any, token: str | None) -> None:
        self._identity = identity
        self._scope = scope
        self._token = token

    async def authenticate(self) -> Principal:
        """Raises Unauthorized, ScopeMissing, BadCredential, CrossSiteRefused."""
        if self._token:
            principal = await self._identity.authenticate_bearer(self._token)
        else:
            principal = await self._identity.authenticate(self._scope)
        principal.require("messages")
        return principal

    async def still(self) -> bool:
        try:
            await self.authenticate()
        except Unavailable:
            return True
        except TenfoldError:
            return False
        return True


async def _greet(
    socket: WebSocket[Any, Any, Any], seat: _Seat, principal: Principal, messages: Messages
) -> Connection | None:
    """Wait for `hello`. None, and a closed socket, where it doesn't come or isn't good."""
    try:
        async with asyncio.timeout(PATIENCE):
            data = await _receive(socket)
    except TimeoutError:
        await _dismiss(socket, frames.TOO_SILENT, "silence")
        return None
    if data is None:
        return None
    try:
        if len(data) > 1000:
            raise msgspec.ValidationError("it is too long for the first frame")
        hello = _decode_hello(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        problem = frames.Problem(code="bad_frame", detail=f"The first frame must be hello: {str(error)[:200]}")
        await socket.send_text(_encode(problem).decode())
        await _dismiss(socket, frames.BAD_FRAMES, "bad_frames")
        return None
    try:
        opened = await messages.connections.open(principal, hello, seat.still)
    except TenfoldError as error:
        await _dismiss(socket, 1013, error.code, after=messages.settings.retry_most)
        return None
    if isinstance(opened, tuple):
        code, reason, after = opened
        await _dismiss(socket, code, reason, after=after)
        return None
    return opened


async def _dismiss(socket: WebSocket[Any, Any, Any], code: int, reason: str, *, after: int = 0) -> None:
    await socket.send_text(_encode(frames.Bye(reason=reason, after=after)).decode())
    await socket.close(code=code, reason=reason[:120])


async def _converse(socket: WebSocket[Any, Any, Any], connection: Connection) -> None:
    """Hear and send until one side hangs up."""
    hearing = asyncio.create_task(_hear(socket, connection))
    sending = asyncio.create_task(_send(socket, connection))
    try:
        await asyncio.wait((hearing, sending), return_when=asyncio.FIRST_COMPLETED)
        left = hearing.done() and not hearing.cancelled() and hearing.exception() is None and hearing.result()
        if connection.ended is not None and not left:
            await asyncio.wait((sending,))
    finally:
        # Before the goodbye: the server sends none while somebody waits for a frame.
        hearing.cancel()
        sending.cancel()
        for outcome in await asyncio.gather(hearing, sending, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.info("connection_lost", reason=repr(outcome))
    if connection.ended is not None and not left:
        code, reason = connection.ended
        await socket.close(code=code, reason=reason[:120])


async def _hear(socket: WebSocket[Any, Any, Any], connection: Connection) -> bool:
    """Whether the client has hung up; else it is our turn to."""
    while connection.ended is None:
        data = await _receive(socket)
        if data is None:
            return True
        await connection.hear(data)
    return False


async def _receive(socket: WebSocket[Any, Any, Any]) -> bytes | None:
    """The next frame; None when the client has hung up."""
    message: Any = await socket.receive()
    if message["type"] != "websocket.receive":
        return None
    text = message.get("text")
    return text.encode() if text is not None else bytes(message.get("bytes") or b"")


async def _send(socket: WebSocket[Any, Any, Any], connection: Connection) -> None:
    while (taken := await connection.take()) is not None:
        for frame in taken:
            await socket.send({"type": "websocket.send", "text": frame.decode(), "bytes": None})
