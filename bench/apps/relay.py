"""The limit of a messenger: WebSocket in, JetStream publish, WebSocket out, and nothing else.

No accounts, no numbers, no inbox: what comes in on `/7` is stored in a stream under the subject of 7's partner and is
sent to whoever is connected as that. The sender gets its `sent` once the stream has said that it is stored. Publishes
that come meanwhile go together, as the product's transactions do.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from nats.aio.msg import Msg

from apps import serving
from tenfold.platform.bus import Bus, open_bus
from tenfold.platform.bus.messages import Message
from tenfold.platform.settings import Secret, Settings

NATS, NAMESPACE = "BARE_NATS", "BARE_NAMESPACE"
#: Where a connection is only held.
SILENT = "/silent"


class _Asked(msgspec.Struct):
    id: str = ""
    body: str = ""


_decode = msgspec.json.Decoder(_Asked).decode


class Relay:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: list[tuple[Message, str, asyncio.Queue[str | None]]] = []
        self._running: asyncio.Task[None] | None = None

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == SILENT:
            await receive()
            return
        me = int(scope["path"][1:])
        out: asyncio.Queue[str | None] = asyncio.Queue()

        async def heard(message: Msg) -> None:
            out.put_nowait(message.data.decode())

        deaf = await self._bus.listen(self._bus.subject(f"relay.{me}"), heard)
        sending = asyncio.create_task(self._send(out, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                text = message["text"]
                name = _decode(text).id
                self._waiting.append((Message(f"relay.{me ^ 1}", text.encode(), self._bus.new_id(), {}), name, out))
                if self._running is None:
                    self._running = asyncio.create_task(self._publish())
        finally:
            sending.cancel()
            await deaf()

    async def _publish(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:256], self._waiting[256:]
            await self._bus.publish_messages([message for message, _, _ in taken])
            for _, name, out in taken:
                out.put_nowait(f'{{"t":"sent","id":"{name}"}}')
        self._running = None

    async def _send(self, out: asyncio.Queue[str | None], send: Any) -> None:
        while (text := await out.get()) is not None:
            await send({"type": "websocket.send", "text": text, "bytes": None})


_relay: list[Relay] = []


@asynccontextmanager
async def _opened() -> AsyncIterator[None]:
    bus = await open_bus(Settings(nats_url=Secret(os.environ[NATS]), namespace=os.environ[NAMESPACE]))
    _relay.append(Relay(bus))
    yield
    await bus.close()


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def create() -> serving.Answer:
    http = serving.application(_answer, _opened)

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await _relay[0].serve(scope, receive, send)
        else:
            await http(scope, receive, send)

    return asked


if __name__ == "__main__":
    serving.serve("apps.relay:create")
